# SPDX-License-Identifier: MIT
"""Compares partial and shallow answers with stock git's on random histories.

compare_partial.py UPLOAD_PUMP [SEED [REQUESTS]]

Filters of every kind, by the sets of objects: equal to git's, but for filters that combine places
(tree, sparse:oid) with others. There git forgets objects that one part saw before another would let
them go, so what git sends is at least in ours, and ours is what the definition below says.
Boundaries by time, by excluded refs and relative ones, line by line, over both protocols.
"""
import os
import random
import re
import subprocess
import sys
import tempfile
from urllib.parse import quote, unquote

import compare_git
from compare_git import ENV, dump, git, line, parse, request, run, PUMP

PATTERNS = ["/*", "!/*/", "*.c", "!*.c", "/a/", "b/", "!b/", "a/**", "**/c", "a/**/x*", "/a/b/*.h",
            "f?", "[a-c]*", "[!a]*.c", "\\!f0", "#comment", "", "f1  ", "f1\\ ", "d/e", "/d/**/",
            "!/d/e", "x[0-9].[ch]", "*", "**", "a*/b", "/*/c/", "!a/b/", "[[:alpha:]]2", "f0\r",
            "*/f*", "**/b/**", "a/b/", "/d", "!/a/b/c/", "***", "a**b", "[]a]*", "[a-"]

VERSION = re.findall(r"\d+", subprocess.run(["git", "--version"], check=True,
                                            stdout=subprocess.PIPE).stdout.decode())
RELATIVE = (int(VERSION[0]), int(VERSION[1])) >= (2, 54)


def build(repo, rng, commits, skewed):
    """A history through fast-import: names that repeat, blobs and trees at several places."""
    subprocess.run(["git", "init", "-q", "-b", "main", repo], check=True, env=ENV)
    out, when, marks, mark = [], 1600000000, [], 0
    names = ["a", "b", "c", "d", "e"]
    leaves = ["f0", "f1", "x1.c", "x2.h", "!f0", "b2", "f1 ", "aXb", "]y"]
    branches = {}

    def path():
        return "/".join([rng.choice(names) for _ in range(rng.randrange(5))] + [rng.choice(leaves)])

    for i in range(commits):
        branch = rng.choice(["main", "side", "old"]) if i else "main"
        parents = []
        if branch in branches:
            parents.append(branches[branch])
        elif marks:
            parents.append(rng.choice(marks))
        if marks and rng.random() < 0.3:
            other = rng.choice(marks)
            if other not in parents:
                parents.append(other)
        mark += 1
        when += rng.randrange(-3000, 3000) if skewed else rng.randrange(1, 1000)
        out.append(f"commit refs/heads/{branch}\nmark :{mark}\n"
                   f"committer a <a@b> {max(when, 1)} +0000\ndata 1\nx\n")
        if parents:
            out.append(f"from :{parents[0]}\n")
            out += [f"merge :{p}\n" for p in parents[1:]]
        for _ in range(rng.randrange(1, 5)):
            kind = rng.random()
            if kind < 0.15 and parents:
                out.append(f"D {path()}\n")
                continue
            body = "y" * rng.choice([0, 1, 10, 100, 1023, 1024, 1025, 3000]) + \
                str(rng.randrange(12))
            mode = "120000" if kind > 0.95 else "100644"
            out.append(f'M {mode} inline "{path()}"\ndata {len(body)}\n{body}\n')
        branches[branch] = mark
        marks.append(mark)
    for i in range(3):
        out.append(f"tag t{i}\nfrom :{rng.choice(marks)}\ntagger a <a@b> {when} +0000\ndata 1\nt\n")
    subprocess.run(["git", "-C", repo, "fast-import", "--quiet", "--force"], check=True, env=ENV,
                   input="".join(out).encode(), stdout=subprocess.DEVNULL)
    for i in range(6):
        body = "\n".join(rng.choice(PATTERNS) for _ in range(rng.randrange(1, 7))).encode()
        oid = git(repo, "hash-object", "-w", "--stdin", data=body).decode().strip()
        git(repo, "update-ref", f"refs/sparse/{i}", oid)
    # As directories are moved: the same trees at other paths.
    tree = line(repo, "rev-parse", "main^{tree}")
    both = git(repo, "mktree", data=f"040000 tree {tree}\tq\n040000 tree {tree}\ta\n".encode())
    moved = git(repo, "commit-tree", "-m", "moved", "-p", "main", both.decode().strip())
    git(repo, "update-ref", "refs/heads/main", moved.decode().strip())
    git(repo, "tag", "-a", "-m", "b", "blobtag", "refs/sparse/0")
    git(repo, "tag", "-a", "-m", "t", "treetag", "main^{tree}")
    git(repo, "config", "uploadpack.allowFilter", "true")


# ---- what a filter lets go, by its definition ----


def leaves_of(spec):
    if not spec.startswith("combine:"):
        return [spec]
    return [leaf for part in spec[8:].split("+") if part for leaf in leaves_of(unquote(part))]


def shown(repo, spec, wants):
    return set(git(repo, "rev-list", "--objects", "--no-object-names", f"--filter={spec}",
                   *wants).decode().split())


def is_placed(spec):
    leaves = leaves_of(spec)
    placed = any(leaf.startswith(("tree:", "sparse:")) for leaf in leaves)
    return placed and len(leaves) > 1


def filter_spec(rng, deep=0):
    kind = rng.randrange(7 if deep < 2 else 6)
    if kind == 0:
        return "blob:none"
    if kind == 1:
        return "blob:limit=" + rng.choice(["0", "1", "11", "1024", "1k", "1025", "2K", "1m"])
    if kind == 2:
        return f"tree:{rng.randrange(6)}"
    if kind in (3, 4):
        return f"sparse:oid=refs/sparse/{rng.randrange(6)}"
    if kind == 5:
        return "object:type=" + rng.choice(["blob", "tree", "commit", "tag"])
    parts = [filter_spec(rng, deep + 1) for _ in range(rng.randrange(1, 4))]
    return "combine:" + "+".join(quote(p, safe=":=/.") for p in parts)


def objects(answer, repo):
    packs = [text for text in parse(answer, repo) if text.startswith("pack ")]
    return set(packs[0].split()[1:]) if packs else None


def compare_filters(repo, dumped, rng, count):
    tips = git(repo, "for-each-ref", "--format=%(objectname)").decode().split()
    some = git(repo, "rev-list", "--all").decode().split()
    fetch = "command=fetch|agent=x|object-format=sha1|0001|ofs-delta|no-progress|"
    for _ in range(count):
        spec = filter_spec(rng)
        wants = rng.sample(tips, rng.randrange(1, 4)) if rng.random() < 0.8 else tips
        haves = rng.sample(some, rng.randrange(0, 3)) if rng.random() < 0.3 else []
        script = fetch + "|".join([f"filter {spec}"] + [f"want {w}" for w in wants] +
                                  [f"have {h}" for h in haves] + ["done", "0000"])
        data = request(script)
        theirs = run(["git", "upload-pack", repo], 2, data)
        ours = run([PUMP, dumped, "git-upload-pack 'r'"], 2, data)
        compare_git.same(f"{spec} (status) {ours[2]}", theirs[0], ours[0])
        theirs, ours = objects(theirs[1], repo), objects(ours[1], repo)
        what = f"{repo} {spec} {wants} {haves}"
        if theirs is None or ours is None:
            compare_git.same(what, theirs, ours)
            continue
        everything = set(git(repo, "rev-list", "--objects", "--no-object-names", *wants,
                             "--not", *haves).decode().split())
        # An object wanted by id is sent by us wherever else it is; git may filter it then.
        named = set()
        for want in wants:
            while want not in named:
                named.add(want)
                if line(repo, "cat-file", "-t", want) == "tag":
                    want = line(repo, "rev-parse", want + "^{}")
        # Of what the client has git sends again what its cheap look did not see.
        had = set(git(repo, "rev-list", "--objects", "--no-object-names",
                      *haves).decode().split()) if haves else set()
        compare_git.same(what + " (too little)", set(), theirs - ours - had)
        extra = ours - theirs - named
        if is_placed(spec):
            for leaf in leaves_of(spec):
                extra -= ours - shown(repo, leaf, wants)
                compare_git.same(what + f" (against {leaf})", set(),
                                 ours - shown(repo, leaf, wants) - named)
        else:
            compare_git.same(what + " (too much)", set(), extra)
        compare_git.same(what + " (unwanted)", set(), ours - everything - named)


# ---- boundaries ----


def deepen_lines(repo, rng, some, refs):
    # Git before 2.54 counted a relative depth from each boundary, not from the nearest one.
    kind = rng.randrange(6 if RELATIVE else 5)
    if kind == 0:
        return [f"deepen {rng.randrange(1, 8)}"]
    if kind == 1:
        when = int(line(repo, "log", "-1", "--format=%ct", rng.choice(some)))
        return [f"deepen-since {max(when + rng.randrange(-1, 2), 0)}"]
    if kind == 2:
        return [f"deepen-not {ref}" for ref in rng.sample(refs, rng.randrange(1, 3))]
    if kind == 3:
        when = int(line(repo, "log", "-1", "--format=%ct", rng.choice(some)))
        return [f"deepen-not {rng.choice(refs)}", f"deepen-since {when}"]
    if kind == 4:
        return ["deepen 2147483647"]
    return [f"deepen {rng.randrange(1, 5)}", "deepen-relative"]


def compare_depths(repo, dumped, rng, count):
    tips = git(repo, "for-each-ref", "--format=%(objectname)", "refs/heads").decode().split()
    some = git(repo, "rev-list", "--all").decode().split()
    refs = ["main", "side", "heads/old", "refs/tags/t0", "t1", "nosuch", "tags/t2"]
    refs = [r for r in refs if r in ("nosuch",) or subprocess.run(
        ["git", "-C", repo, "rev-parse", "-q", "--verify", r], env=ENV,
        stdout=subprocess.DEVNULL).returncode == 0]
    fetch = "command=fetch|agent=x|object-format=sha1|0001|ofs-delta|no-progress|"
    caps = " side-band-64k ofs-delta no-progress multi_ack_detailed"
    for _ in range(count):
        wants = rng.sample(tips, rng.randrange(1, len(tips) + 1))
        deepen = deepen_lines(repo, rng, some, refs)
        shallows = rng.sample(some, rng.randrange(0, 4)) if rng.random() < 0.6 else []
        lines = [f"shallow {s}" for s in shallows] + deepen
        haves = [f"have {s}" for s in shallows]
        if rng.random() < 0.5:
            relative = " deepen-relative" if "deepen-relative" in deepen else ""
            lines = [text for text in lines if text != "deepen-relative"]
            script = "|".join([f"want {wants[0]}{caps}{relative}"] +
                              [f"want {w}" for w in wants[1:]] + lines + ["0000"] + haves +
                              ["done"])
            compare_lines(repo, dumped, 0, script)
        else:
            script = fetch + "|".join([f"want {w}" for w in wants] + lines + haves +
                                      ["done", "0000"])
            compare_lines(repo, dumped, 2, script)


def compare_lines(repo, dumped, version, script):
    """Boundary lines are equal; the pack holds at least what git's does but for what is had."""
    data = request(script)
    theirs = run(["git", "upload-pack", repo], version, data)
    ours = run([PUMP, dumped, "git-upload-pack 'r'"], version, data)
    what = f"{repo} v{version} {script}"
    compare_git.same(what + " (status)", theirs[0], ours[0])
    if theirs[0]:
        # Git before 2.45 calls a ref that is not there ambiguous.
        told = [side[2].decode().strip().split("\n")[-1].replace(
            "ambiguous deepen-not", "deepen-not is not a ref") for side in (theirs, ours)]
        compare_git.same(what + " (stderr)", *told)
        return
    theirs = compare_git.sort_shallow(compare_git.normal(parse(theirs[1], repo)))
    ours = compare_git.sort_shallow(compare_git.normal(parse(ours[1], repo)))
    had = set()
    for oid in re.findall("(?:have|shallow) ([0-9a-f]+)", script):
        had.update(git(repo, "rev-list", "--objects", "--no-walk", "--no-object-names",
                       oid).decode().split())
    sets = [set(w for text in side if text.startswith("pack ") for w in text.split()[1:])
            for side in (theirs, ours)]
    compare_git.same(what, [t for t in theirs if not t.startswith("pack ")],
                     [t for t in ours if not t.startswith("pack ")])
    # A tree that came back after it was changed: git does not see that the client has it.
    compare_git.same(what + " (pack)", set(), sets[0] - sets[1] - had)
    compare_git.same(what + " (pack, more)", set(), sets[1] - sets[0] - had)


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 15
    with tempfile.TemporaryDirectory() as top:
        for number in range(4):
            rng = random.Random(seed * 1000 + number)
            repo = os.path.join(top, f"r{number}")
            build(repo, rng, rng.randrange(5, 60), number == 3)
            dumped = repo + "-dump"
            dump(repo, dumped)
            compare_filters(repo, dumped, rng, count)
            compare_depths(repo, dumped, rng, count)
    print("failures:", compare_git.failures)
    return compare_git.failures != 0


if __name__ == "__main__":
    sys.exit(main())
