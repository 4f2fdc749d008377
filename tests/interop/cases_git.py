# SPDX-License-Identifier: MIT
"""Clone, fetch and push by stock git, over real SSH."""
import os
import signal
import subprocess
import threading
import time

from harness import Failed, check, equal, wait_for

STORES = ("mem", "store.img")


def both(world, run, **more):
    """A case on both stores and both object formats."""
    for store in STORES:
        server = world.serve(store, **more)
        for fmt in ("sha1", "sha256"):
            run(server, fmt)
        server.stop()


def pushed(world, server, name, fmt="sha1", **more):
    """A history, pushed with all its refs; its path."""
    source = world.path("source-%s-%s-%d" % (name.replace("/", "-"), fmt, server.port))
    if not os.path.exists(source):
        world.history(source, fmt=fmt, **more)
    if fmt == "sha256":
        # Git before 2.45 cannot choose the second of two offered formats.
        world.ssh(server, "repo", "create", name, "--object-format=sha256")
    world.git("push", "-q", "--mirror", server.url(name), cwd=source)
    return source


def clone(world):
    """Clone what was pushed: refs, objects and fsck agree; HEAD follows main."""
    def run(server, fmt):
        source = pushed(world, server, "app-%s.git" % fmt, fmt)
        copy = world.path("clone-%d-%s" % (server.port, fmt))
        world.git("clone", "-q", "--mirror", server.url("app-" + fmt), copy)
        world.same(source, copy)
        equal(world.git("symbolic-ref", "HEAD", cwd=copy).text, "refs/heads/main\n", "HEAD")
        work = copy + "-work"
        world.git("clone", "-q", server.url("app-%s.git/" % fmt), work)
        equal(world.rev(work), world.rev(source, "main"), "the commit checked out")
    both(world, run)


def fetch(world):
    """A fetch brings only what is new; one with nothing new is quiet and exits 0."""
    def run(server, fmt):
        name = "fetch-" + fmt
        source = pushed(world, server, name, fmt)
        copy = world.path("fetch-%d-%s" % (server.port, fmt))
        world.git("clone", "-q", server.url(name), copy)
        for n in range(3):
            new = world.commit(source, "new-%d" % n)
            world.git("push", "-q", server.url(name), "main", cwd=source)
            r = world.git("fetch", "--progress", cwd=copy)
            equal(world.rev(copy, "origin/main"), new, "what was fetched")
            check("Total %d " % (3 if n == 0 else 2) in r.errtext,
                  "only the new objects come:\n" + r.errtext)
        equal(world.git("fetch", cwd=copy).err, b"", "a fetch of nothing")
        world.git("fsck", "--strict", cwd=copy)
    both(world, run)


def fetch_many_rounds(world):
    """Negotiation over more than one round: each side has long history that the other lacks."""
    for version in (0, 2):
        server = world.serve("mem")
        source = pushed(world, server, "rounds", commits=12)
        copy = world.path("rounds-%d" % version)
        world.git("clone", "-q", server.url("rounds"), copy)
        for n in range(150):
            world.git("commit", "-q", "--allow-empty", "-m", "theirs %d" % n, cwd=copy)
        for n in range(40):
            world.git("commit", "-q", "--allow-empty", "-m", "ours %d" % n, cwd=source)
        world.git("push", "-q", server.url("rounds"), "main", cwd=source)
        r = world.git("fetch", "--progress", cwd=copy, version=version)
        check("Total 40 " in r.errtext, "exactly the new commits come:\n" + r.errtext)
        equal(world.rev(copy, "origin/main"), world.rev(source), "what was fetched")
        server.stop()


def push_create(world):
    """The first push creates the repository; nested names work; .git is optional."""
    def run(server, fmt):
        source = pushed(world, server, "team/sub/app-%s.git" % fmt, fmt)
        for name in ("team/sub/app-" + fmt, "/team/sub/app-%s.git" % fmt, "team//sub/app-%s/" % fmt):
            out = world.git("ls-remote", server.url(name)).text
            check(world.rev(source, "main") + "\trefs/heads/main\n" in out, name)
    both(world, run)


def push_sha256(world):
    """A SHA-256 push to a new name creates it; a git too old to choose is told what to do."""
    server = world.serve("mem")
    source = world.history(world.path("source"), fmt="sha256")
    r = world.git("push", server.url("new"), "main", cwd=source, ok=False)
    if r.code != 0:
        check("repo create" in r.errtext and "--object-format=sha256" in r.errtext, r.errtext)
        check(world.git_version() < (2, 45), "this git can choose a format: " + r.errtext)
        equal(world.ssh(server, "repo", "list").out, b"", "repositories after a push that failed")
    else:
        world.git("clone", "-q", server.url("new"), world.path("copy"))
        equal(world.rev(world.path("copy")), world.rev(source), "the commit cloned")
    server.stop()


def push_head(world):
    """HEAD of a new repository follows the first branch pushed, unless main or master is there."""
    server = world.serve("mem")
    source = world.history(world.path("source"))
    for name, refs, head in (("a", ["main:trunk"], "trunk"), ("b", ["main:x", "main:main"], "main"),
                             ("c", ["main:x", "main:master"], "master"), ("d", ["v1"], None)):
        world.git("push", "-q", server.url(name), *refs, cwd=source)
        out = world.git("ls-remote", "--symref", server.url(name), "HEAD").text
        want = "ref: refs/heads/%s\tHEAD\n" % head if head else ""
        check(out.startswith(want) and (head or not out), "HEAD of %s: %r" % (name, out))
    server.stop()


def push_update(world):
    """Fast-forwards, and several refs at once."""
    def run(server, fmt):
        name = "update-" + fmt
        source = pushed(world, server, name, fmt)
        for n in range(5):
            world.commit(source, "n%d" % n)
            world.git("branch", "b%d" % n, cwd=source)
            world.git("push", "-q", server.url(name), "main", "b%d" % n, cwd=source)
        copy = world.path("update-%d-%s" % (server.port, fmt))
        world.git("clone", "-q", "--mirror", server.url(name), copy)
        world.same(source, copy)
    both(world, run)


def push_force(world):
    """A forced push rewinds; without force git refuses by itself, and --force-with-lease is kept."""
    def run(server, fmt):
        name = "force-" + fmt
        source = pushed(world, server, name, fmt)
        old = world.rev(source)
        world.git("reset", "-q", "--hard", "HEAD~3", cwd=source)
        check(world.git("push", server.url(name), "main", cwd=source, ok=False).code != 0,
              "not a fast-forward")
        world.git("push", "-q", "-f", server.url(name), "main", cwd=source)
        r = world.git("push", "--force-with-lease=main:" + old, server.url(name), "side:main",
                      cwd=source, ok=False)
        check(r.code != 0 and "stale info" in r.errtext, r.errtext)
        check(world.rev(source) in world.git("ls-remote", server.url(name), "main").text, "rewound")
    both(world, run)


def push_delete(world):
    """Deleting branches; deleting one that is not there; the current branch stays."""
    def run(server, fmt):
        name = "delete-" + fmt
        source = pushed(world, server, name, fmt)
        world.git("push", "-q", server.url(name), ":side", cwd=source)
        check("side" not in world.git("ls-remote", server.url(name)).text, "deleted")
        r = world.git("push", server.url(name), ":refs/heads/none", cwd=source, ok=False)
        check("none" in r.errtext, r.errtext)
        r = world.git("push", server.url(name), ":main", cwd=source, ok=False)
        check(r.code != 0 and "deletion of the current branch prohibited" in r.errtext, r.errtext)
    both(world, run)


def push_tags(world):
    """Annotated tags, tags of tags, light ones; clone --single-branch follows tags."""
    def run(server, fmt):
        name = "tags-" + fmt
        source = pushed(world, server, name, fmt)
        out = world.git("ls-remote", server.url(name)).text
        check(world.rev(source, "v2^{}") + "\trefs/tags/v2^{}\n" in out, "v2 is peeled:\n" + out)
        copy = world.path("tags-%d-%s" % (server.port, fmt))
        world.git("clone", "-q", "--single-branch", "--branch", "main", server.url(name), copy)
        equal(world.git("tag", cwd=copy).text, "light\nv1\nv2\n", "tags that came along")
        world.git("tag", "-a", "-m", "x", "v3", cwd=source)
        world.git("push", "-q", "--tags", server.url(name), cwd=source)
        world.git("fetch", "-q", cwd=copy)
        world.git("fetch", "-q", "--tags", cwd=copy)
        equal(world.rev(copy, "v3"), world.rev(source, "v3"), "the new tag")
    both(world, run)


def push_many_refs(world):
    """5,000 refs in one push, listed, cloned and deleted again."""
    for store in STORES:
        server = world.serve(store)
        source = world.history(world.path("many-" + store[-3:]))
        tip = world.rev(source)
        lines = "".join("create refs/heads/many/%05d %s\n" % (n, tip) for n in range(5000))
        world.git("update-ref", "--stdin", cwd=source, data=lines.encode())
        world.git("push", "-q", "--mirror", server.url("many"), cwd=source)
        copy = world.path("many-copy-" + store[-3:])
        world.git("clone", "-q", "--mirror", server.url("many"), copy)
        equal(world.refs(copy), world.refs(source), "refs")
        lines = lines.replace("create", "delete")
        world.git("update-ref", "--stdin", cwd=source, data=lines.encode())
        world.git("push", "-q", "--mirror", server.url("many"), cwd=source)
        equal(len(world.git("ls-remote", "--heads", server.url("many")).text.splitlines()), 2, "heads")
        server.stop()


def push_atomic(world):
    """--atomic: one stale ref fails all of them, and none changed."""
    server = world.serve("store.img")
    source = pushed(world, server, "atomic")
    before = world.git("ls-remote", server.url("atomic")).text
    world.git("checkout", "-q", "-b", "work", cwd=source)
    world.commit(source)
    world.git("branch", "-f", "side", "main~2", cwd=source)
    r = world.git("push", "--atomic", server.url("atomic"), "work", "side", cwd=source, ok=False)
    check(r.code != 0, "a push that is not a fast-forward in part")
    equal(world.git("ls-remote", server.url("atomic")).text, before, "refs after a failed atomic push")
    world.git("push", "-q", "--atomic", "-f", server.url("atomic"), "work", "side", cwd=source)
    server.stop()


def empty_repository(world):
    """Cloning what has no commits, in each version; both formats are kept."""
    for store in STORES:
        server = world.serve(store)
        for fmt in ("sha1", "sha256"):
            world.ssh(server, "repo", "create", "empty-" + fmt, "--object-format=" + fmt)
            for version in (0, 1, 2):
                copy = world.path("empty-%s-%d-%d" % (fmt, server.port, version))
                r = world.git("clone", server.url("empty-" + fmt), copy, version=version)
                check("empty repository" in r.errtext, r.errtext)
                got = world.git("rev-parse", "--show-object-format", cwd=copy).text.strip()
                # Git before 2.41 takes SHA-1 for every repository without refs.
                check(got == fmt or world.git_version() < (2, 41), "format: " + got)
            copy = world.path("first-%s-%d" % (fmt, server.port))
            world.git("init", "-q", "--object-format=" + fmt, copy)
            world.commit(copy)
            world.git("push", "-q", server.url("empty-" + fmt), "HEAD:main", cwd=copy)
        server.stop()


def versions(world):
    """Protocols 0, 1 and 2 are really spoken, and give the same clone."""
    def run(server, fmt):
        name = "versions-" + fmt
        source = pushed(world, server, name, fmt)
        for version in (0, 1, 2):
            copy = world.path("v%d-%d-%s" % (version, server.port, fmt))
            r = world.git("clone", "-q", "--mirror", server.url(name), copy, version=version,
                          GIT_TRACE_PACKET="1")
            said = {0: "< " + world.rev(source, "main") + " HEAD", 1: "< version 1", 2: "< version 2"}
            check(said[version] in r.errtext, "version %d is spoken" % version)
            world.same(source, copy)
    both(world, run)


def shallow(world):
    """Depth 1, deepening, unshallow; fetch into and push from nothing shallow."""
    for version in (0, 2):
        server = world.serve("mem")
        source = pushed(world, server, "deep")
        copy = world.path("shallow-%d" % version)
        world.git("clone", "-q", "--depth", "1", server.url("deep"), copy, version=version)
        equal(world.git("rev-list", "--count", "HEAD", cwd=copy).text, "1\n", "commits at depth 1")
        world.git("fetch", "-q", "--depth", "4", cwd=copy, version=version)
        want = world.git("clone", "-q", "--depth", "4", "file://" + source, copy + "-4")
        equal(world.git("rev-list", "HEAD", cwd=copy).text,
              world.git("rev-list", "HEAD", cwd=copy + "-4").text, "commits at depth 4")
        world.commit(source)
        world.git("push", "-q", server.url("deep"), "main", cwd=source)
        world.git("pull", "-q", cwd=copy, version=version)
        world.git("fetch", "-q", "--unshallow", cwd=copy, version=version)
        equal(world.git("rev-list", "HEAD", cwd=copy).text,
              world.git("rev-list", "main", cwd=source).text, "all commits")
        world.git("fsck", "--strict", cwd=copy)
        server.stop()


def partial(world):
    """--filter=blob:none brings no blob, and the checkout fetches what it needs."""
    server = world.serve("mem")
    source = pushed(world, server, "partial")
    bare = world.path("partial.git")
    world.git("clone", "-q", "--bare", "--filter=blob:none", server.url("partial"), bare)
    out = world.git("rev-list", "--objects", "--all", "--missing=print", cwd=bare).text
    blobs = [x for x in out.splitlines() if x.startswith("?")]
    kinds = world.git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)", cwd=bare).text
    check(blobs and "blob" not in kinds, "no blob came: %s" % kinds)
    work = world.path("partial-work")
    world.git("clone", "-q", "--filter=blob:none", server.url("partial"), work)
    equal(world.git("status", "--porcelain", cwd=work).out, b"", "the working tree")
    world.git("log", "-p", "--all", cwd=work)
    world.git("fsck", cwd=work)
    server.stop()


def ten_at_once(world):
    """Ten clones and ten pushes at the same time."""
    for store in STORES:
        server = world.serve(store)
        source = pushed(world, server, "ten", commits=60)
        failures = []

        def one(n):
            try:
                copy = world.path("ten-%s-%d" % (server.port, n))
                world.git("clone", "-q", server.url("ten"), copy)
                world.commit(copy, "file-%d" % n)
                world.git("push", "-q", "origin", "HEAD:refs/heads/from-%d" % n, cwd=copy)
                world.git("push", "-q", server.url("own-%d" % n), "HEAD:main", cwd=copy)
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise failures[0]
        heads = world.git("ls-remote", "--heads", server.url("ten")).text
        equal(heads.count("refs/heads/from-"), 10, "branches that arrived")
        server.stop()


def rekeying(world):
    """New session keys every megabyte, in both directions, in mid-pack."""
    server = world.serve("store.img")
    source = world.history(world.path("source"), commits=8)
    for n in range(3):
        with open(source + "/random-%d" % n, "wb") as f:
            f.write(os.urandom(4 << 20))
    world.git("add", ".", cwd=source)
    world.git("commit", "-q", "-m", "random", cwd=source)
    options = ["RekeyLimit=1M"]
    world.git("push", "-q", "--mirror", server.url("rekey"), cwd=source, ssh_options=options)
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", server.url("rekey"), copy, ssh_options=options)
    world.same(source, copy)
    server.stop()


def reopen(world):
    """A store file holds everything over a restart, with the same host key."""
    server = world.serve("store.img")
    source = pushed(world, server, "kept")
    server.stop()
    os.rename(world.path("known_hosts"), world.path("known_hosts.old"))
    again = world.serve("store.img")
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", again.url("kept"), copy)
    world.same(source, copy)

    def key(name):
        with open(world.path(name)) as f:
            return f.read().split()[1:]
    equal(key("known_hosts"), key("known_hosts.old"), "the host key")
    equal(os.stat(world.path("store.img")).st_mode & 0o777, 0o600, "mode of the store")
    again.stop()


def owner_commands(world):
    """ssh HOST repo create, list, head, delete, help; and no command at all."""
    server = world.serve("store.img")
    world.ssh(server, "repo", "create", "one")
    world.ssh(server, "repo", "create", "two.git", "--object-format=sha256")
    r = world.ssh(server, "repo", "create", "one", ok=False)
    check(r.code == 1 and b"exists" in r.err, "creating what exists: %r" % r.err)
    listed = world.ssh(server, "repo", "list").text
    check("one" in listed and "sha1" in listed and "two" in listed and "sha256" in listed, listed)
    source = pushed(world, server, "three")
    world.ssh(server, "repo", "head", "three", "side")
    check("side" in world.ssh(server, "repo", "head", "three").text, "HEAD as it was set")
    copy = world.path("copy")
    world.git("clone", "-q", server.url("three"), copy)
    equal(world.rev(copy), world.rev(source, "side"), "the branch cloned")
    world.ssh(server, "repo", "delete", "three")
    check(world.git("ls-remote", server.url("three"), ok=False).code != 0, "deleted")
    check("three" not in world.ssh(server, "repo", "list").text, "deleted from the list")
    check(b"repo create" in world.ssh(server, "help").out, "help")
    r = world.ssh(server, ok=False)
    check(r.code == 1 and r.out, "a greeting and exit 1: %r" % r.out)
    for words in (["repo"], ["repo", "create"], ["repo", "create", "../x"], ["rm", "-rf", "/"], ["bash"]):
        r = world.ssh(server, *words, ok=False)
        check(r.code not in (0, 255), "%r: exit %d" % (words, r.code))
    server.stop()


def force_push_between(world):
    """A force-push between another client's ls-refs and its fetch breaks nothing."""
    from harness import DELIM, FLUSH, Raw, pkt
    server = world.serve("store.img")
    source = pushed(world, server, "moving")
    old = world.rev(source)
    raw = Raw(world, server, "git-upload-pack", "moving", version=2)
    raw.until_flush()
    raw.send(pkt("command=ls-refs\n"), DELIM, pkt("ref-prefix refs/heads/main\n"), FLUSH)
    check(any(p.startswith(old.encode()) for p in raw.until_flush()), "the old tip is listed")
    world.git("commit", "-q", "--amend", "-m", "rewritten", cwd=source)
    world.git("push", "-q", "-f", server.url("moving"), "main", cwd=source)
    raw.send(pkt("command=fetch\n"), DELIM, pkt("no-progress\n"), pkt("want %s\n" % old),
             pkt("done\n"), FLUSH)
    equal(raw.packet(), b"packfile\n", "the answer to a want of the old tip")
    packed = b"".join(p[1:] for p in raw.until_flush() if p[:1] == b"\1")
    equal(raw.close()[0], 0, "exit status")
    bare = world.path("moving.git")
    world.git("init", "-q", "--bare", bare)
    world.git("index-pack", "--stdin", "--strict", cwd=bare, data=packed)
    world.git("cat-file", "-e", old, cwd=bare)
    server.stop()


def ipv6(world):
    """IPv6, and one dual-stack socket for both."""
    if not os.path.exists("/proc/net/if_inet6"):
        raise Failed("this machine has no IPv6, and the case needs ::1")
    if world.platform != "daemon":
        server = world.serve("mem")
        server.host = server.net.theirs6
        pushed(world, server, "six")
        server.host = server.net.theirs
        check("refs/heads/main" in world.git("ls-remote", server.url("six")).text, "IPv4 beside it")
        return server.stop()
    server = world.serve("mem", listen=["[::]:0"])
    server.host = "::1"
    pushed(world, server, "six")
    server.host = "127.0.0.1"
    check("refs/heads/main" in world.git("ls-remote", server.url("six")).text, "IPv4 on a dual socket")
    server.stop()
    server = world.serve("mem", listen=["127.0.0.1:0", "[::1]:0"])
    equal(len(server.lines), 2, "a line for each address")
    pushed(world, server, "one")
    server.host, server.port = server.lines[1]
    check("refs/heads/main" in world.git("ls-remote", server.url("one")).text, "the second address")
    server.stop()


def sigterm_waits(world):
    """SIGTERM in mid-push: no new connections, the push ends well, exit 0, and all is there."""
    server = world.serve("store.img")
    source = world.history(world.path("source"), commits=10)
    for n in range(4):
        with open(source + "/random-%d" % n, "wb") as f:
            f.write(os.urandom(8 << 20))
    world.git("add", ".", cwd=source)
    world.git("commit", "-q", "-m", "random", cwd=source)
    push = subprocess.Popen(["git", "push", "-q", "--mirror", server.url("late")], cwd=source,
                            env=world.env(), stderr=subprocess.PIPE)
    def blocks():
        return os.stat(world.path("store.img")).st_blocks

    size = blocks()
    wait_for("the pack to arrive", lambda: blocks() > size or push.poll() is not None)
    server.power_off()
    time.sleep(0.1)
    check(world.ssh(server, "help", ok=False).code == 255, "no new connections")
    err = push.communicate(timeout=60)[1]
    equal(push.returncode, 0, "the push: %r" % err)
    server.stop(None)
    again = world.serve("store.img")
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", again.url("late"), copy)
    world.same(source, copy)
    again.stop()


CASES = [clone, fetch, fetch_many_rounds, push_create, push_sha256, push_head, push_update, push_force, push_delete,
         push_tags, push_many_refs, push_atomic, empty_repository, versions, shallow, partial,
         ten_at_once, rekeying, reopen, owner_commands, force_push_between, ipv6, sigterm_waits]
