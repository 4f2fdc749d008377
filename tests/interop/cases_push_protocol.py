# SPDX-License-Identifier: MIT
"""What the protocol of pushes has beyond a plain one, by stock git over ssh: options, shallow clients, and what a
user reads of each refusal."""
import os
import re

from cases_config import configure
from cases_git import pushed
from cases_protocol import traced
from harness import FLUSH, Raw, check, equal, pack, pkt

ZERO = "0" * 40


def lines(r, prefix="remote: "):
    """What the server said to the user, without the blanks that git pads with."""
    return [line[len(prefix):].rstrip() for line in r.errtext.split("\n") if line.startswith(prefix)]


def refused(r):
    """[(name, reason)] of what git lists as rejected by the server."""
    return re.findall(r"! \[remote rejected\] (?:\S+ -> )?(\S+) \((.*)\)", r.errtext)


def push_options(world):
    """receive.advertisePushOptions: options are read when they were asked for, within limits that are named."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    r = world.git("push", "-o", "ci.skip", server.url("app"), "main:refs/heads/a", cwd=source, ok=False)
    check(r.code != 0 and "does not support push options" in r.errtext, r.errtext)
    configure(world, server, "app", "receive.advertisePushOptions", "true")
    _, packets = traced(world, "-c", "push.pushOption=ci.skip", "push", "-q", server.url("app"),
                        "main:refs/heads/a", cwd=source)
    check("> ci.skip" in packets, packets)
    world.git("push", "-q", "-o", "a=b;c", "-o", "", "-o", "$(id)\x1b[31m", server.url("app"), ":refs/heads/a",
              "main:refs/heads/b", cwd=source)
    many = [word for n in range(65) for word in ("-o", "o%d" % n)]
    r = world.git("push", *many, server.url("app"), "main:refs/heads/c", cwd=source, ok=False)
    check(r.code != 0 and "too many push options (push_options_max 64)" in r.errtext, r.errtext)
    r = world.git("push", "-o", "x" * 4097, server.url("app"), "main:refs/heads/c", cwd=source, ok=False)
    check(r.code != 0 and "(push_option_bytes_max 4096)" in r.errtext, r.errtext)
    names = world.git("ls-remote", server.url("app"), "refs/heads/?").text.split()[1::2]
    equal(names, ["refs/heads/b"], "single letters")
    server.stop()


def push_capabilities(world):
    """What is offered follows the configuration, in git's order."""
    server = world.serve("mem")
    source = pushed(world, server, "app")

    def offered():
        raw = Raw(world, server, "git-receive-pack", "app")
        caps = raw.until_flush()[0].split(b"\0")[1].decode().split()
        raw.send(FLUSH)
        equal(raw.close()[0], 0, "exit status")
        return [re.sub("=.*", "", cap) for cap in caps]
    equal(offered(), "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta object-format "
          "agent".split(), "capabilities")
    for key in ("receive.advertisePushOptions", "transfer.advertiseSID"):
        configure(world, server, "app", key, "true")
    equal(offered(), "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta push-options "
          "session-id object-format agent".split(), "capabilities")
    for key in ("receive.advertiseAtomic", "repack.useDeltaBaseOffset"):
        configure(world, server, "app", key, "false")
    equal(offered(), "report-status report-status-v2 delete-refs side-band-64k quiet push-options session-id "
          "object-format agent".split(), "capabilities")
    r = world.git("push", "--atomic", server.url("app"), "main:refs/heads/a", cwd=source, ok=False)
    check(r.code != 0 and "does not support --atomic" in r.errtext, r.errtext)
    world.git("push", "-q", server.url("app"), "main:refs/heads/a", cwd=source)
    server.stop()


def shallow_pushes(world):
    """A shallow client pushes what it has; a new root only where receive.shallowUpdate says so."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    shallow = world.path("shallow")
    world.git("clone", "-q", "--depth=2", server.url("app"), shallow)
    tip = world.commit(shallow, "from afar")
    world.git("push", "-q", "origin", "main", "main~2:refs/heads/at-the-boundary", cwd=shallow)
    equal(world.git("ls-remote", server.url("app"), "main").text.split()[0], tip, "a push that needs no root")
    # To another repository, it does.
    r = world.git("push", server.url("new"), "main", cwd=shallow, ok=False)
    equal(refused(r), [("main", "shallow update not allowed")], r.errtext)
    world.ssh(server, "repo", "create", "new")
    configure(world, server, "new", "receive.shallowUpdate", "true")
    world.git("push", "-q", server.url("new"), "main", cwd=shallow)
    copy = world.path("copy")
    world.git("clone", "-q", server.url("new"), copy)
    world.git("fsck", "--full", "--strict", cwd=copy)
    equal(world.rev(copy), tip, "a clone of the shallow repository")
    with open(copy + "/.git/shallow") as f, open(shallow + "/.git/shallow") as g:
        equal(f.read(), g.read(), "its boundary")
    equal(world.git("rev-list", "--count", "HEAD", cwd=copy).text, "3\n", "its history")
    # Nothing is cut off of what is whole, and the rest of the history is as it was.
    configure(world, server, "app", "receive.shallowUpdate", "true")
    world.git("push", "-q", "origin", "main:refs/heads/again", cwd=shallow)
    full = world.path("full")
    world.git("clone", "-q", server.url("app"), full)
    check(not os.path.exists(full + "/.git/shallow"), "the first repository became shallow")
    equal(world.objects(full)[:0], [], "its objects")
    world.git("fsck", "--full", cwd=full)
    # Onwards from the shallow one, after a restart, with each version of the protocol.
    server.stop()
    server = world.serve("store.img")
    new = world.commit(copy, "onwards")
    world.git("push", "-q", server.url("new"), "HEAD:main", "HEAD:refs/heads/other", cwd=copy)
    for version in (0, 1, 2):
        for args in ((), ("--depth=1",), ("--mirror",)):
            again = world.path("again-%d-%d" % (version, len(os.listdir(world.top))))
            world.git("clone", "-q", *args, server.url("new"), again, version=version)
            equal(world.rev(again), new, "clone %r by version %d" % (args, version))
            world.git("fsck", "--full", cwd=again)
    world.git("push", "-q", server.url("new"), "+main:refs/heads/whole", cwd=source)
    server.stop()


def current_branch(world):
    """receive.denyDeleteCurrent: refuse with git's hint, refuse, warn, ignore; denyCurrentBranch changes nothing."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    denied = "error: refusing to delete the current branch: refs/heads/main"

    def delete():
        return world.git("push", server.url("app"), ":refs/heads/main", cwd=source, ok=False)
    r = delete()
    equal(refused(r), [("main", "deletion of the current branch prohibited")], r.errtext)
    equal(lines(r), ["error: By default, deleting the current branch is denied, because the next",
                     "'git clone' won't result in any file checked out, causing confusion.", "",
                     "You can set 'receive.denyDeleteCurrent' configuration variable to",
                     "'warn' or 'ignore' in the remote repository to allow deleting the",
                     "current branch, with or without a warning message.", "",
                     "To squelch this message, you can set it to 'refuse'.", denied], "the hint")
    for value, said, code in (("refuse", [denied], 1), ("warn", ["warning: deleting the current branch"], 0),
                              ("ignore", [], 0)):
        configure(world, server, "app", "receive.denyDeleteCurrent", value)
        r = delete()
        equal((lines(r), r.code), (said, code), value)
        world.git("push", "-q", server.url("app"), "main", cwd=source)
    configure(world, server, "app", "receive.denyCurrentBranch", "refuse")
    world.commit(source, "more")
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    r = configure(world, server, "app", "receive.denyDeleteCurrent", "never", ok=False)
    check("refuse, warn or ignore" in r.errtext, r.errtext)
    server.stop()


def refusals_read(world):
    """Each refusal as a user reads it: git's words, on the lines where git has them."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    head, old = world.rev(source, "main"), world.rev(source, "main~1")
    tree = world.rev(source, "main^{tree}")
    caps = "\0 report-status-v2 side-band-64k"

    def told(*commands, caps=caps, empty=True):
        raw = Raw(world, server, "git-receive-pack", "app")
        raw.until_flush()
        first, *others = commands
        raw.send(pkt(first + caps), *(pkt(c) for c in others), FLUSH, pack() if empty else b"")
        said, report = [], b""
        for p in raw.until_flush():
            if p[:1] == b"\2":
                said.append(p[1:].decode().rstrip("\n"))
            else:
                report += p[1:]
        equal(raw.close()[0], 0, "exit status")
        out, at = [], 0
        while at < len(report):
            n = max(int(report[at:at + 4], 16), 4)
            out.append(report[at + 4:at + n].decode().rstrip("\n"))
            at += n
        equal((out[0], out[-1]), ("unpack ok", ""), "the ends of the report")
        return said, out[1:-1]

    def new(name, oid=head):
        return "%s %s %s" % (ZERO, oid, name)
    at = "error: cannot lock ref 'refs/heads/main': is at %s but expected %s" % (head, old)
    for commands, said, report in (
            ([new("refs/heads/../x")], ["error: refusing to update funny ref 'refs/heads/../x' remotely"],
             ["ng refs/heads/../x funny refname"]),
            ([new("refs/foo")], ["error: refusing to update funny ref 'refs/foo' remotely"],
             ["ng refs/foo funny refname"]),
            (["%s %s refs/heads/main" % (old, head)], [at], ["ng refs/heads/main incorrect old value provided"]),
            ([new("refs/heads/main", old)], ["error: cannot lock ref 'refs/heads/main': reference already exists"],
             ["ng refs/heads/main reference already exists"]),
            (["%s %s refs/heads/none" % (old, head)],
             ["error: cannot lock ref 'refs/heads/none': unable to resolve reference 'refs/heads/none'"],
             ["ng refs/heads/none reference does not exist"]),
            ([new("refs/heads/main/x")], ["error: 'refs/heads/main' exists; cannot create 'refs/heads/main/x'"],
             ["ng refs/heads/main/x refname conflict"]),
            ([new("refs/heads/t", tree)],
             ["error: trying to write non-commit object %s to branch 'refs/heads/t'" % tree],
             ["ng refs/heads/t invalid new value provided"]),
            ([new("refs/heads/n"), new("refs/heads/n/m")],
             ["error: cannot process 'refs/heads/n/m' and 'refs/heads/n' at the same time"],
             ["ok refs/heads/n", "ng refs/heads/n/m refname conflict"]),
            (["%s %s refs/heads/side" % (world.rev(source, "side"), ZERO), new("refs/heads/side/x")], [],
             ["ok refs/heads/side", "ok refs/heads/side/x"])):
        equal(told(*commands), (said, report), "the answer to %r" % (commands,))
    equal(told("%s %s refs/heads/none" % (ZERO, ZERO), empty=False),
          (["warning: deleting a non-existent ref"], ["ok refs/heads/none"]), "deleting nothing")
    for commands, report in (
            ([new("refs/heads/a1"), "%s %s refs/heads/main" % (old, head)],
             ["ng refs/heads/a1 atomic transaction failed", "ng refs/heads/main atomic transaction failed"]),
            ([new("refs/heads/a1"), new("refs/heads/.x")],
             ["ng refs/heads/a1 atomic push failure", "ng refs/heads/.x funny refname"])):
        equal(told(*commands, caps=caps + " atomic")[1], report, "the answer to %r" % (commands,))
    server.stop()


def size_of_pushes(world):
    """receive.maxInputSize refuses while bytes still arrive, holds at once, and leaves nothing behind."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    with open(source + "/large", "wb") as f:
        f.write(os.urandom(8 << 20))
    new = world.commit(source, "large", "")
    configure(world, server, "app", "receive.maxInputSize", "1m")
    r = world.git("push", server.url("app"), "main", cwd=source, ok=False)
    check(r.code != 0 and "fatal: pack exceeds maximum allowed size" in r.errtext, r.errtext)
    configure(world, server, "app", "receive.maxInputSize", "9m")
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    equal(world.git("ls-remote", server.url("app"), "main").text.split()[0], new, "the push")
    for key, value in (("receive.unpackLimit", "1"), ("transfer.unpackLimit", "5000"), ("receive.autogc", "false"),
                       ("receive.updateServerInfo", "true")):
        configure(world, server, "app", key, value)
    world.commit(source, "small")
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    r = configure(world, server, "app", "receive.procReceiveRefs", "refs/for", ok=False)
    check(r.code == 1, "procReceiveRefs is taken")
    server.stop()


CASES = [push_options, push_capabilities, shallow_pushes, current_branch, refusals_read, size_of_pushes]
