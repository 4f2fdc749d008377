# SPDX-License-Identifier: MIT
"""Compares our upload-pack with stock git's, byte for byte where they should be equal.

compare_git.py UPLOAD_PUMP

1. The same requests go to `git upload-pack` and to upload_pump over the same objects. Answers must
   be equal but for: the agent, capabilities that are not built, and the packs, of which the sets of
   objects must be equal.
2. Stock git clones and fetches from upload_pump, in both protocols, and fsck finds nothing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

PUMP = os.path.abspath(sys.argv[1])
ENV = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C",
           GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
           GIT_COMMITTER_EMAIL="a@b", GIT_AUTHOR_DATE="1700000000 +0000",
           GIT_COMMITTER_DATE="1700000000 +0000")
failures = 0


def git(repo, *args, data=None, env=None):
    return subprocess.run(["git", "-C", repo, *args], input=data, env=dict(ENV, **(env or {})),
                          check=True, stdout=subprocess.PIPE).stdout


def line(repo, *args):
    return git(repo, *args).decode().strip()


def pkt(text):
    data = text.encode() + b"\n"
    return b"%04x" % (len(data) + 4) + data


def request(script):
    """Lines by "|"; 0000 and 0001 are the special packets."""
    return b"".join(p.encode() if p in ("0000", "0001", "0002") else pkt(p)
                    for p in script.split("|")) if script else b""


def make_repo(top, fmt):
    repo = os.path.join(top, "srv-" + fmt)
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=" + fmt, repo], check=True,
                   env=ENV)
    when = 1700000000

    def commit(name, body):
        nonlocal when
        when += 100
        with open(os.path.join(repo, name), "w", encoding="ascii") as out:
            out.write(body)
        git(repo, "add", name)
        date = {"GIT_COMMITTER_DATE": f"{when} +0000", "GIT_AUTHOR_DATE": f"{when} +0000"}
        git(repo, "commit", "-qm", name, env=date)

    for i in range(8):
        commit("file", "".join(f"line {n}\n" for n in range(300)) + f"version {i}\n")
        if i == 3:
            git(repo, "tag", "-a", "v1", "-m", "v1")
            git(repo, "-c", "advice.nestedTag=false", "tag", "-a", "vv", "-m", "vv", "v1")
            git(repo, "branch", "side")
        if i == 5:
            git(repo, "tag", "light")
    git(repo, "checkout", "-q", "side")
    for i in range(3):
        commit(f"side{i}", f"side {i}\n" * 20)
    git(repo, "checkout", "-q", "main")
    when += 1000
    git(repo, "merge", "-q", "--no-ff", "-m", "merge", "side",
        env={"GIT_COMMITTER_DATE": f"{when} +0000", "GIT_AUTHOR_DATE": f"{when} +0000"})
    commit("last", "last\n")
    git(repo, "repack", "-qad")
    git(repo, "config", "uploadpack.allowFilter", "true")
    return repo


def dump(repo, out):
    """What upload_pump loads."""
    os.makedirs(out, exist_ok=True)
    revs = git(repo, "for-each-ref", "--format=%(objectname)")
    shallow = os.path.join(line(repo, "rev-parse", "--absolute-git-dir"), "shallow")
    if revs:
        pack = git(repo, "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset",
                   data=revs)
        with open(os.path.join(out, "pack"), "wb") as file:
            file.write(pack)
    with open(os.path.join(out, "refs"), "w", encoding="ascii") as file:
        if line(repo, "rev-parse", "--show-object-format") == "sha256":
            file.write("format sha256\n")
        file.write(f"ref: {line(repo, 'symbolic-ref', 'HEAD')} HEAD\n")
        for ref in git(repo, "for-each-ref",
                       "--format=%(objectname) %(refname) %(objecttype)").decode().splitlines():
            oid, name, kind = ref.split()
            peeled = line(repo, "rev-parse", name + "^{}") if kind == "tag" else ""
            file.write(f"{oid} {name} {peeled}".rstrip() + "\n")
    if os.path.exists(shallow):
        shutil.copy(shallow, os.path.join(out, "shallow"))


def run(command, version, data):
    env = dict(ENV, GIT_PROTOCOL=f"version={version}")
    done = subprocess.run(command, input=data, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    return done.returncode, done.stdout, done.stderr


def parse(data, repo):
    """Packets as text, the pack as its sorted objects."""
    out, pack, at = [], b"", 0

    def unpacked(data):
        # index-pack --fix-thin adds the bases; they are had, so they are taken out again.
        with tempfile.TemporaryDirectory() as tmp:
            fmt = line(repo, "rev-parse", "--show-object-format")
            subprocess.run(["git", "init", "-q", "--bare", "--object-format=" + fmt, tmp],
                           check=True, env=ENV)
            with open(os.path.join(tmp, "objects/info/alternates"), "w", encoding="utf8") as alt:
                alt.write(os.path.join(repo, ".git/objects\n"))
            got = subprocess.run(["git", "index-pack", "--stdin", "--fix-thin"], cwd=tmp, env=ENV,
                                 input=data, check=True, stdout=subprocess.PIPE).stdout
            name = got.decode().split()[1]
            count = int.from_bytes(data[8:12], "big")
            shown = subprocess.run(["git", "show-index", "--object-format=" + fmt], cwd=tmp,
                                   env=ENV, check=True, stdout=subprocess.PIPE,
                                   stdin=open(f"{tmp}/objects/pack/pack-{name}.idx", "rb")).stdout
            # Bases are appended behind the count that was announced.
            entries = sorted(shown.decode().splitlines(), key=lambda s: int(s.split()[0]))
            return " ".join(sorted(e.split()[1] for e in entries[:count]))

    while at < len(data):
        if data[at:at + 4] == b"PACK":
            out.append("pack " + unpacked(data[at:]))
            break
        size = int(data[at:at + 4], 16)
        if size < 4:
            if pack:
                out.append("pack " + unpacked(pack))
            pack = b""
            out.append("%04x" % size)
            at += 4
            continue
        body = data[at + 4:at + size]
        at += size
        if body[:1] == b"\1":
            pack += body[1:]
        elif body[:1] == b"\2":
            continue
        else:
            out.append(body.decode("latin1"))
    return out


CAPS_GONE = {"no-done"}


def normal(out):
    """Takes out what may differ: agents, and what git has and we do not build."""
    result = []
    for text in out:
        if "\0" in text:
            head, caps = text.rstrip("\n").split("\0")
            caps = [c for c in caps.split() if c not in CAPS_GONE and not c.startswith("agent=")]
            text = head + "\0" + " ".join(caps) + "\n"
        if text.startswith("agent=") or text in ("server-option\n", "object-info\n"):
            continue
        if text.startswith("fetch="):
            text = " ".join(w for w in text.split() if w != "wait-for-done") + "\n"
        result.append(text)
    return result


def sort_shallow(out):
    """git lists boundaries in the order of its walk, we by id."""
    result, group = [], []
    for text in out + ["end"]:
        if re.match("(un)?shallow ", text):
            group.append(text)
            continue
        result += sorted(group) + [text]
        group = []
    return result[:-1]


def without_had(repo, script, theirs, ours):
    """git sends some trees and blobs that the client has; leaving those out is no difference."""
    had = set()
    for oid in re.findall("(?:have|shallow) ([0-9a-f]+)", script):
        shown = subprocess.run(["git", "-C", repo, "ls-tree", "-r", "-t", oid], env=ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        had.update(entry.split()[2] for entry in shown.decode().splitlines())
        shown = subprocess.run(["git", "-C", repo, "rev-parse", oid + "^{tree}"], env=ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        had.add(shown.decode().strip())
    result = []
    for their, our in zip(theirs, ours):
        if their.startswith("pack ") and our.startswith("pack "):
            kept = set(our.split())
            their = " ".join(w for w in their.split() if w in kept or w not in had)
        result.append(their)
    return result + theirs[len(ours):]


def same(what, one, other):
    global failures
    if one != other:
        failures += 1
        print(f"DIFFERS: {what}\n  git:  {one}\n  ours: {other}")


def compare(repo, dumped, version, script, strict_err=False):
    data = request(script)
    theirs = run(["git", "upload-pack", repo], version, data)
    ours = run([PUMP, dumped, "git-upload-pack 'r'"], version, data)
    what = f"v{version} {script[:150]}"
    same(what + " (status)", theirs[0], ours[0])
    theirs_out = sort_shallow(normal(parse(theirs[1], repo)))
    ours_out = sort_shallow(normal(parse(ours[1], repo)))
    same(what, without_had(repo, script, theirs_out, ours_out), ours_out)
    if strict_err:
        same(what + " (stderr)", theirs[2].decode().rstrip("\n"), ours[2].decode().rstrip("\n"))


def compare_all(repo, dumped):
    fmt = line(repo, "rev-parse", "--show-object-format")
    main, side = line(repo, "rev-parse", "main"), line(repo, "rev-parse", "side")
    v1, vv = line(repo, "rev-parse", "v1"), line(repo, "rev-parse", "vv")
    light = line(repo, "rev-parse", "light")
    c = [line(repo, "rev-parse", f"main~{n}") for n in range(6)]
    no = ("1" * len(main))
    caps = f" side-band-64k ofs-delta no-progress object-format={fmt}"
    multi = " multi_ack_detailed" + caps
    v0 = [
        # git before 2.41 calls the end of input here an error.
        "0000",
        f"want {main}{caps}|0000|done",
        f"want {main} object-format={fmt}|0000|done",
        f"want {main}{caps} thin-pack include-tag|want {side}|0000|have {c[4]}|done",
        f"want {v1}{caps}|want {vv}|0000|have {no}|0000|done",
        f"want {main}{multi}|0000|have {c[2]}|0000|done",
        f"want {main}{multi}|0000|have {no}|have {c[2]}|0000|have {no}|0000|done",
        f"want {main}{multi}|want {side}|0000|have {light}|0000|have {side}|have {no}|done",
        f"want {main}{multi}|0000|have {no}|0000|have {no}|0000|done",
        f"want {main}{caps}|deepen 1|0000|done",
        f"want {main}{caps}|deepen 3|0000|done",
        f"want {main}{caps}|want {side}|deepen 2|0000|done",
        f"want {main}{multi}|shallow {c[1]}|deepen 4|0000|have {main}|0000|done",
        f"want {main}{multi}|shallow {c[1]}|deepen 2147483647|0000|have {main}|0000|done",
        f"want {main}{multi}|shallow {c[2]}|0000|have {c[2]}|0000|done",
        f"want {main}{caps} filter|filter blob:none|0000|done",
        f"want {light}{caps} include-tag|0000|done",
        f"want {main}{caps} include-tag|0000|have {line(repo, 'rev-parse', 'side~3~1')}|done",
        f"want {main}{caps}|deepen 0|0000",
        f"want {main}{caps}",
        f"want {main}{caps}|0000|have {no}",
    ]
    for script in v0:
        compare(repo, dumped, 0, script)
    compare(repo, dumped, 1, "0000")
    fetch = f"command=fetch|agent=x|object-format={fmt}|0001|ofs-delta|no-progress|"
    refs = f"command=ls-refs|agent=x|object-format={fmt}|0001|"
    v2 = [
        "", "0000",
        refs + "0000", refs + "peel|symrefs|unborn|0000",
        refs + "peel|symrefs|ref-prefix refs/tags/|ref-prefix HEAD|ref-prefix refs/heads/m|0000",
        refs + "ref-prefix refs/tags/v|ref-prefix refs/|0000",
        fetch + f"want {main}|done|0000",
        fetch + f"want {main}|0000|" + refs + "ref-prefix HEAD|0000|0000",
        fetch + f"want {main}|have {no}|0000|" + fetch + f"want {main}|have {c[3]}|0000",
        fetch + f"want {main}|want {side}|have {c[1]}|have {no}|0000",
        fetch + f"thin-pack|include-tag|want {main}|have {c[3]}|done|0000",
        fetch + f"want {c[3]}|want {line(repo, 'rev-parse', 'main~2:file')}|done|0000",
        fetch + f"want {main}|deepen 1|done|0000",
        fetch + f"want {main}|want {side}|deepen 3|done|0000",
        fetch + f"want {main}|shallow {c[1]}|deepen 4|have {main}|0000",
        fetch + f"want {main}|shallow {c[1]}|deepen 2147483647|have {main}|done|0000",
        fetch + f"want {main}|shallow {c[2]}|have {c[2]}|0000",
        fetch + f"want {main}|shallow {no}|done|0000",
        fetch + f"filter blob:none|want {main}|done|0000",
        fetch + f"filter blob:none|want {main}|want {line(repo, 'rev-parse', 'main:file')}|"
        "done|0000",
        fetch + "done|0000", fetch + f"have {main}|0000",
        fetch + f"want {no}|0000",
    ]
    for script in v2:
        compare(repo, dumped, 2, script)
    for script in ["command=fetch|foo=bar|0000", "agent=x|0000", "command=foo|0000",
                   "command=fetch|command=fetch|0000", "ERR foo", fetch + "foo|0000",
                   fetch + "want xyz|0000", fetch + "shallow xyz|0000", fetch + "deepen 0|0000",
                   fetch + "0001", refs + "foo|0000", "command=fetch", fetch + "want x",
                   "command=ls-refs|object-format=foo|0000"]:
        compare(repo, dumped, 2, script, strict_err=True)


# ---- stock clients ----


def client(*args, cwd=None, ok=True):
    done = subprocess.run(["git", *args], cwd=cwd, env=ENV, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    if ok and done.returncode:
        raise RuntimeError(f"git {args}: {done.stderr.decode()}")
    return done.stderr.decode()


def clients(repo, dumped, top):
    global failures
    upload = f"--upload-pack={PUMP} {dumped}"
    url = "file:///r"
    want = sorted(git(repo, "rev-list", "--objects", "--all").split()[::1])
    for version in (0, 1, 2):
        proto = ["-c", f"protocol.version={version}"]
        out = os.path.join(top, f"clone-{version}")
        # The pump's second argument is the path that git appends, so a wrapper makes it a command.
        wrapper = os.path.join(top, "wrapper")
        with open(wrapper, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nexec "{PUMP}" "$1" "git-upload-pack \'$2\'"\n')
        os.chmod(wrapper, 0o755)
        upload = f"--upload-pack={wrapper} {dumped}"
        for name, args in {"full": [], "mirror": ["--mirror"], "depth": ["--depth=2"],
                           "filter": ["--filter=blob:none", "--no-checkout"],
                           "single": ["--single-branch", "-b", "side"]}.items():
            dest = f"{out}-{name}"
            try:
                client(*proto, "clone", "-q", upload, *args, url, dest)
                client("fsck", "--full", "--strict", cwd=dest)
                if name == "mirror":
                    got = sorted(git(dest, "rev-list", "--objects", "--all").split())
                    same(f"objects of a mirror, v{version}", want, got)
                if name == "depth":
                    same("depth", "2", line(dest, "rev-list", "--first-parent", "--count",
                                            "HEAD"))
                    client(*proto, "fetch", "-q", upload, "--depth=5", url, "main", cwd=dest)
                    client("fsck", "--full", cwd=dest)
                    client(*proto, "fetch", "-q", upload, "--unshallow", url, "main", cwd=dest)
                    client("fsck", "--full", cwd=dest)
                    same("unshallow", line(repo, "rev-list", "--count", "main"),
                         line(dest, "rev-list", "--count", "FETCH_HEAD"))
            except RuntimeError as error:
                failures += 1
                print(f"FAILED: v{version} {name}: {error}")
        # An incremental fetch: what is behind catches up.
        dest = f"{out}-old"
        client("clone", "-q", "-b", "light", "--single-branch", repo, dest)
        client(*proto, "fetch", "-q", upload, url, "refs/heads/*:refs/remotes/x/*", cwd=dest)
        client("fsck", "--full", "--strict", cwd=dest)
        same("fetched", line(repo, "rev-parse", "main"), line(dest, "rev-parse", "x/main"))
        said = client(*proto, "ls-remote", f"--upload-pack={wrapper} /none", url, ok=False)
        if "repository 'r' not found" not in said:
            same("missing repository", "not found", said)


def main():
    with tempfile.TemporaryDirectory() as top:
        for fmt in ("sha1", "sha256"):
            repo = make_repo(top, fmt)
            dumped = os.path.join(top, "dump-" + fmt)
            dump(repo, dumped)
            compare_all(repo, dumped)
            where = os.path.join(top, "clients-" + fmt)
            os.makedirs(where)
            if fmt == "sha1":
                clients(repo, dumped, where)
        shallow = os.path.join(top, "shallow")
        client("clone", "-q", "--depth=3", "file://" + os.path.join(top, "srv-sha1"), shallow)
        git(shallow, "config", "uploadpack.allowFilter", "true")
        dump(shallow, shallow + "-dump")
        tip, older = line(shallow, "rev-parse", "HEAD"), line(shallow, "rev-parse", "HEAD~1")
        caps = " side-band-64k ofs-delta no-progress"
        fetch = "command=fetch|0001|ofs-delta|no-progress|"
        for version, script in ((0, "0000"), (0, f"want {tip}{caps}|0000|done"),
                                (0, f"want {tip}{caps}|deepen 9|0000|done"),
                                (2, fetch + f"want {tip}|done|0000"),
                                (2, fetch + f"want {tip}|deepen 2|done|0000"),
                                (2, fetch + f"want {older}|done|0000"),
                                (2, fetch + f"want {tip}|have {older}|0000"),
                                (0, f"want {tip} multi_ack_detailed{caps}|0000|have {older}|"
                                    f"0000|have {'1' * 40}|0000|done"),
                                (2, fetch + f"want {tip}|shallow {tip}|done|0000"),
                                (2, fetch + f"want {tip}|shallow {tip}|deepen 9|done|0000")):
            compare(shallow, shallow + "-dump", version, script)
        empty = os.path.join(top, "empty")
        subprocess.run(["git", "init", "-q", "-b", "trunk", empty], check=True, env=ENV)
        git(empty, "config", "uploadpack.allowFilter", "true")
        dump(empty, empty + "-dump")
        for script in ("command=ls-refs|0001|symrefs|unborn|peel|0000",
                       "command=ls-refs|0001|symrefs|0000"):
            compare(empty, empty + "-dump", 2, script)
    print("failures:", failures)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
