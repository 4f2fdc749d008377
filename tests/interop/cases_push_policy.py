# SPDX-License-Identifier: MIT
"""Rules for pushes that owners set, and the log of pushes: as text, as a ref, and whether its chain holds."""
import hashlib
import os
import re
import threading

from harness import check, equal, wait_for


def rule(world, server, name, *words):
    return world.ssh(server, "repo", "config", name, *words)


def push(world, server, name, repo, *specs, key="id", ok=True):
    return world.git("push", server.url(name), *specs, cwd=repo, ok=ok, key=key)


def refused(world, server, name, repo, *specs, said, key="id"):
    r = push(world, server, name, repo, *specs, key=key, ok=False)
    check(r.code != 0, "git said nothing")
    for text in said:
        check(text in r.errtext, "%r is not in: %s" % (text, r.errtext))


def two_keys(world):
    return world.public("id") + 'packhorse="rw" ' + world.public("writer")


def ref_rules(world):
    """protect, fastForwardOnly, denyDeletes and createOnly, and what each says; owners do as they like."""
    server = world.serve("store.img", keys=two_keys(world))
    repo = world.history("src")
    push(world, server, "one", repo, "main", "side", "v1", "main:refs/heads/release/1")
    for key, value in (("protect", "refs/heads/release"), ("fastForwardOnly", "refs/heads/main"),
                       ("denyDeletes", "refs/heads"), ("createOnly", "refs/tags")):
        rule(world, server, "one", "--add", "packhorse." + key, value)
    rule(world, server, "one", "--add", "packhorse.denyDeletes", "!refs/heads/side")
    refused(world, server, "one", repo, "+main~1:refs/heads/release/1", key="writer",
            said=["protected ref (packhorse.protect)", "remote: error: refs/heads/release/1: only owners"])
    refused(world, server, "one", repo, "main:refs/heads/release/2", key="writer", said=["packhorse.protect"])
    push(world, server, "one", repo, "+main~1:refs/heads/release/1")
    push(world, server, "one", repo, "+main~1:refs/heads/other", key="writer")
    refused(world, server, "one", repo, "+main~1:main", said=["non-fast-forward"])
    world.commit(repo)
    push(world, server, "one", repo, "main", key="writer")
    refused(world, server, "one", repo, ":other", said=["deletion prohibited (packhorse.denyDeletes)"])
    push(world, server, "one", repo, ":side")
    refused(world, server, "one", repo, "+main~1:refs/tags/v1", said=["ref is fixed (packhorse.createOnly)"])
    refused(world, server, "one", repo, ":refs/tags/v1", said=["ref is fixed (packhorse.createOnly)"])
    refused(world, server, "one", repo, "--atomic", "main:refs/heads/new", ":refs/tags/v1",
            said=["ref is fixed", "atomic"])
    push(world, server, "one", repo, "main:refs/tags/v9")
    names = [line.split("\t")[1] for line in world.git("ls-remote", server.url("one")).text.splitlines()]
    check("refs/heads/new" not in names and "refs/tags/v9" in names and "refs/tags/v1" in names, names)
    server.stop()


def path_rules(world):
    """allowedPaths and deniedPaths: by each commit, merges, deletions and renames among them."""
    server = world.serve("store.img")
    repo = world.history("src")
    push(world, server, "one", repo, "main")
    rule(world, server, "one", "packhorse.allowedPaths", "docs/")
    rule(world, server, "one", "--add", "packhorse.allowedPaths", "*.md")
    rule(world, server, "one", "--add", "packhorse.deniedPaths", "/docs/secret")

    def commit(*paths, text="x\n"):
        for path in paths:
            os.makedirs(os.path.dirname(os.path.join(repo, path)) or repo, exist_ok=True)
            world.write(os.path.join(repo, path), text)
        world.git("add", "-A", cwd=repo)
        world.git("commit", "-q", "-m", "c", cwd=repo)

    def back():
        world.git("fetch", "-q", server.url("one"), "main", cwd=repo)
        world.git("reset", "-q", "--hard", "FETCH_HEAD", cwd=repo)

    commit("docs/a/b.txt", "dir0/README.md")
    push(world, server, "one", repo, "main")
    commit("docs/secret/key")
    refused(world, server, "one", repo, "main",
            said=["path not allowed (packhorse.deniedPaths)", "changes 'docs/secret/key'"])
    back()
    # Taken back by a later commit, it is in the history all the same.
    commit("src/x.c")
    world.git("revert", "--no-edit", "HEAD", cwd=repo)
    refused(world, server, "one", repo, "main",
            said=["path not allowed (packhorse.allowedPaths)", "changes 'src/x.c'"])
    back()
    world.git("rm", "-q", "-r", "dir1", cwd=repo)
    world.git("commit", "-q", "-m", "rm", cwd=repo)
    refused(world, server, "one", repo, "main", said=["changes 'dir1/sub/file"])
    back()
    world.git("mv", "link", "link.md", cwd=repo)
    world.git("commit", "-q", "-m", "mv", cwd=repo)
    refused(world, server, "one", repo, "main", said=["changes 'link'"])
    back()
    # A merge of what the server has already changes nothing; one with a change of its own does.
    push(world, server, "one", repo, "main~3:refs/heads/old")
    commit("docs/c")
    world.git("merge", "-q", "-s", "ours", "--no-edit", "side", cwd=repo)
    push(world, server, "one", repo, "main")
    world.git("checkout", "-q", "-b", "topic", "main~1", cwd=repo)
    commit("docs/d")
    world.git("merge", "-q", "--no-commit", "--no-ff", "main", cwd=repo, ok=False)
    commit("evil")
    refused(world, server, "one", repo, "topic", said=["changes 'evil'"])
    # Without rules the same is taken.
    for key in ("allowedPaths", "deniedPaths"):
        rule(world, server, "one", "--unset", "packhorse." + key)
    push(world, server, "one", repo, "topic")
    server.stop()


def noise(world, repo, name, size, seed):
    """A file that does not compress, committed on a branch of its own."""
    text = b"".join(hashlib.sha256(b"%d.%d" % (seed, i)).digest() for i in range(size // 32))
    world.git("checkout", "-q", "-B", name, "v1^{commit}", cwd=repo)
    world.write(os.path.join(repo, name + ".bin"), text)
    world.git("add", "-A", cwd=repo)
    world.git("commit", "-q", "-m", name, cwd=repo)


def size_rules(world):
    """maxObjectSize, maxRepositorySize also with several pushes at once, diskReserve; deletions go on."""
    server = world.serve("store.img")
    repo = world.history("src")
    push(world, server, "one", repo, "main", "v1")
    rule(world, server, "one", "packhorse.maxObjectSize", "100k")
    noise(world, repo, "big", 200000, 1)
    refused(world, server, "one", repo, "big",
            said=["object too large (packhorse.maxObjectSize)", "more than 102400 bytes"])
    rule(world, server, "one", "packhorse.maxObjectSize", "1m")
    push(world, server, "one", repo, "big")
    rule(world, server, "one", "packhorse.maxRepositorySize", "1m")
    for n in range(8):
        noise(world, repo, "n%d" % n, 200000, 10 + n)
    done = []

    def one(n):
        r = world.git("push", server.url("one"), "n%d" % n, cwd=repo, ok=False)
        done.append((r.code, "repository is full (packhorse.maxRepositorySize)" in r.errtext, r.errtext))
    pushers = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for t in pushers:
        t.start()
    for t in pushers:
        t.join()
    check(all(full or code == 0 for code, full, _ in done), done)
    taken = sum(code == 0 for code, _, _ in done)
    # 200 KB and a little more are there; three or four of 200 KB fit in 1 MiB, five do not.
    check(1 <= taken <= 4, "%d of 8 pushes were taken" % taken)
    names = world.git("ls-remote", server.url("one")).text
    equal(names.count("refs/heads/n"), taken, "refs")
    there = re.findall("refs/heads/(n[0-9])", names)[0]
    push(world, server, "one", repo, ":" + there)
    push(world, server, "one", repo, "v1^{commit}:refs/heads/as-before")
    rule(world, server, "one", "--unset", "packhorse.maxRepositorySize")
    push(world, server, "one", repo, "n7:refs/heads/last")
    r = world.ssh(server, "repo", "config", "one", "packhorse.diskReserve", "1g", ok=False)
    check(r.code == 1 and "for the server alone" in r.errtext, r.errtext)
    world.ssh(server, "config", "packhorse.diskReserve", "1000000g")
    noise(world, repo, "no-room", 1000, 99)
    refused(world, server, "one", repo, "no-room", said=["disk is nearly full (packhorse.diskReserve)"])
    push(world, server, "one", repo, ":last")
    world.ssh(server, "config", "--unset", "packhorse.diskReserve")
    push(world, server, "one", repo, "no-room")
    server.stop()


def records(text):
    """What repo log prints: (hash, bytes) of each record; checks that they are a chain."""
    out = []
    for part in text.split("\n\n")[:-1]:
        first, previous, *lines = part.split("\n")
        body = ("\n".join([previous[len("previous "):], *lines]) + "\n").encode()
        equal(first, "record " + hashlib.sha256(body).hexdigest(), "hash of a record")
        check(previous == "previous " + (out[-1][0] if out else "0" * 64), "the chain")
        out.append((first[len("record "):], body))
    return out


def push_log(world):
    """repo log and refs/packhorse/log: who, when, which key, which values; a chain, also in the ref."""
    server = world.serve("store.img", keys=two_keys(world))
    repo = world.history("src")
    push(world, server, "one", repo, "main", "v1")
    rule(world, server, "one", "packhorse.pushLogRef", "true")
    rule(world, server, "one", "receive.advertisePushOptions", "true")
    push(world, server, "one", repo, "-o", "a", "-o", "b", "side", key="writer")
    push(world, server, "one", repo, ":side", key="writer")
    log = records(world.ssh(server, "repo", "log", "one").text)
    equal(len(log), 3, "records")
    for n, key in ((0, "id"), (1, "writer"), (2, "writer")):
        lines = log[n][1].decode().split("\n")
        print_ = world.run(["ssh-keygen", "-l", "-f", world.key(key) + ".pub"]).text.split()[1]
        equal(lines[1].split()[2], key, "who")
        equal(lines[2], "key " + print_, "which key")
    side, zero = world.rev(repo, "side"), "0" * 40
    check("\noptions 2\n%s %s refs/heads/side\n" % (zero, side) in log[1][1].decode(), log[1])
    check("\n%s %s refs/heads/side\n" % (side, zero) in log[2][1].decode(), log[2])
    r = world.ssh(server, "repo", "log", "one", key="writer", ok=False)
    check(r.code == 1 and "owner" in r.errtext, r.errtext)

    def seen(key="id"):
        return "refs/packhorse/log" in world.git(
            "ls-remote", server.url("one"), key=key).text

    def chain():
        """The records of the ref, oldest first."""
        world.git("fetch", "-q", server.url("one"), "+refs/packhorse/log:refs/log", cwd=repo)
        ids = world.git("rev-list", "--reverse", "refs/log", cwd=repo).text.split()
        return [world.git("cat-file", "blob", i + ":record", cwd=repo).out for i in ids]
    wait_for("the ref", seen)
    wait_for("three records", lambda: len(chain()) == 3)
    equal(chain(), [body for _, body in log], "records of the ref")
    before = world.rev(repo, "refs/log")
    check(not seen("writer"), "a writer is shown the log")
    r = world.git("fetch", server.url("one"), "refs/packhorse/log", cwd=repo, ok=False, key="writer")
    check(r.code != 0, "a writer fetches the log")
    r = world.git("log", "-p", "--format=%an %s", "refs/log", cwd=repo).text
    check("push by" in r and "refs/heads/main and 1 more" in r and "+push " in r, r)
    for spec in ("+main:refs/packhorse/log", ":refs/packhorse/log", "main:refs/packhorse/new"):
        refused(world, server, "one", repo, spec, said=["hidden ref"])
    # More, in two steps and over a restart: what was made stays as it was.
    for n in range(3):
        world.commit(repo)
        push(world, server, "one", repo, "main")
    wait_for("six records", lambda: len(chain()) == 6)
    world.git("merge-base", "--is-ancestor", before, "refs/log", cwd=repo)
    server.stop()
    server = world.serve("store.img", keys=two_keys(world))
    log = records(world.ssh(server, "repo", "log", "one").text)
    equal(chain(), [body for _, body in log], "records of the ref after a restart")
    equal(len(log), 6, "records")
    mirror = world.path("mirror.git")
    world.git("clone", "-q", "--mirror", server.url("one"), mirror)
    world.git("fsck", "--full", "--strict", cwd=mirror)
    world.git("clone", "-q", "--mirror", server.url("one"), world.path("theirs.git"), key="writer")
    check("refs/packhorse" not in "".join(world.refs(world.path("theirs.git"))), "a writer's mirror has the log")
    server.stop()


CASES = [ref_rules, path_rules, size_rules, push_log]
