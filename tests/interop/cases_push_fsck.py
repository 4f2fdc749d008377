# SPDX-License-Identifier: MIT
"""Checks of received objects, as stock git's pushes meet them: what is refused, in git's words, and what
receive.fsck.*, receive.fsck.skipList and receive.fsckObjects say otherwise."""
import os
import re

from cases_config import configure
from cases_git import pushed
from harness import check, equal

LINE = re.compile(r"^(?:remote: )?(?:error|warning): (object [0-9a-f]+: [A-Za-z0-9]+: .*?)\s*$", re.M)


class Source:
    """A repository whose objects are made by hand."""

    def __init__(self, world, name="hostile", fmt="sha1"):
        self.world, self.path, self.count = world, world.path(name), 0
        world.git("init", "-q", "--object-format=" + fmt, self.path)

    def add(self, kind, data):
        return self.world.git("hash-object", "-w", "--literally", "-t", kind, "--stdin", cwd=self.path,
                              data=data).text.strip()

    def tree(self, *entries):
        return self.add("tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid)
                                         for mode, name, oid in entries))

    def commit(self, tree, author=b"A <a@b> 1 +0000", parent=None):
        self.count += 1
        return self.add("commit", b"tree %s\n%sauthor %s\ncommitter C <c@d> 1 +0000\n\n%d\n" %
                        (tree.encode(), b"parent %s\n" % parent.encode() if parent else b"", author, self.count))

    def file(self, name, text, mode=b"100644"):
        return self.tree((mode, name, self.add("blob", text)))


def modules(text):
    return lambda s: s.file(b".gitmodules", b'[submodule "a"]\n' + text)


def entry(name, mode=b"100644"):
    return lambda s: s.file(name, b"x", mode)


def entries(*names):
    return lambda s: s.tree(*[(b"40000" if n.endswith(b"/") else b"100644", n.rstrip(b"/"),
                              s.tree() if n.endswith(b"/") else s.add("blob", b"x")) for n in names])


# A tree that is refused, and the id that git has for it.
HOSTILE = [
    (entry(b".git"), "hasDotgit"), (entry(b".GiT"), "hasDotgit"), (entry(b"GIT~1"), "hasDotgit"),
    (entry(b".git "), "hasDotgit"), (entry(b".git. ."), "hasDotgit"), (entry(b".git::$INDEX_ALLOCATION"), "hasDotgit"),
    (entry(b".g\xe2\x80\x8ciT"), "hasDotgit"), (entry(b"\xe2\x80\xae.git"), "hasDotgit"),
    (entry(b"a\\.git"), "hasDotgit"), (entry(b"."), "hasDot"), (entry(b".."), "hasDotdot"),
    (entry(b".gitmodules", b"120000"), "gitmodulesSymlink"),
    (entry(b".git\xe2\x81\xafmodules", b"120000"), "gitmodulesSymlink"),
    (entry(b"GITMOD~2", b"120000"), "gitmodulesSymlink"), (entry(b"gi7eba~1", b"120000"), "gitmodulesSymlink"),
    (entries(b"b", b"a"), "treeNotSorted"), (entries(b"a", b"a"), "duplicateEntries"),
    (entries(b"a", b"a.b", b"a/"), "duplicateEntries"),
    (modules(b"\turl = -u./payload\n"), "gitmodulesUrl"),
    (modules(b"\turl = https://h/%0ahost=x\n"), "gitmodulesUrl"),
    (modules(b"\turl = http:::x\n"), None),
    (modules(b"\turl = ../../../:x\n"), "gitmodulesUrl"),
    (modules(b"\tpath = -x\n"), "gitmodulesPath"), (modules(b"\tupdate = !sh\n"), "gitmodulesUpdate"),
    (lambda s: s.file(b".gitmodules", b'[submodule "../a"]\n\turl = x\n'), "gitmodulesName"),
    (lambda s: s.file(b".GitModules ", b'[submodule "..\\\\a"]\n\turl = x\n'), "gitmodulesName"),
    (lambda s: s.file(b".gitattributes", b"a" * 2048 + b"\n"), "gitattributesLineLength"),
    (lambda s: s.tree((b"40000", b".gitattributes", s.tree())), "gitattributesBlob"),
]


def said(text):
    return [line for line in LINE.findall(text)]


def stock(world, commits, source):
    """What stock git's receive-pack says of each commit, with all its checks."""
    peer = world.path("peer-%d.git" % len(os.listdir(world.top)))
    world.git("init", "-q", "--bare", peer)
    world.git("config", "transfer.fsckObjects", "true", cwd=peer)
    return [world.git("push", peer, commit + ":refs/heads/x%d" % i, cwd=source.path, ok=False)
            for i, commit in enumerate(commits)]


def push_fsck_refused(world):
    """Hostile trees and files are refused by us and by git, of the same object, in the same words."""
    server = world.serve("mem")
    pushed(world, server, "app")
    before = world.git("ls-remote", server.url("app")).text
    source = Source(world)
    commits = [source.commit(make(source)) for make, want in HOSTILE]
    theirs = stock(world, commits, source)
    for commit, (make, want), peer in zip(commits, HOSTILE, theirs):
        r = world.git("push", server.url("app"), commit + ":refs/heads/x", cwd=source.path, ok=False)
        lines, peers = said(r.errtext), said(peer.errtext)
        if want is None:
            equal(r.code == 0, peer.code == 0, "whether it is taken: %s %s" % (r.errtext, peer.errtext))
            continue
        check(r.code != 0 and peer.code != 0, "%s: it is taken: %s" % (want, r.errtext))
        check(lines and lines[0].split(": ")[1] == want, "%s: %s" % (want, r.errtext))
        check("fatal: fsck error in packed object" in r.errtext, r.errtext)
        # git adds what was disallowed; a tree of its own object is told there as a blob that is none.
        if want != "gitattributesBlob":
            check(any(p.startswith(lines[0]) for p in peers), "%r is none of git's %r" % (lines[0], peers))
    equal(world.git("ls-remote", server.url("app")).text, before, "refs")
    server.stop()


# What old tools wrote: git refuses it, here it warns unless it is said otherwise.
OLD = [
    (lambda s: s.commit(s.tree(), b"A <a@b> 1"), "badDate"),
    (lambda s: s.commit(s.tree(), b"A <a@b> 1 0000"), "badTimezone"),
    (lambda s: s.commit(s.tree(), b"A a@b 1 +0000"), "missingEmail"),
    (lambda s: s.commit(s.tree(), b"A<a@b> 1 +0000"), "missingSpaceBeforeEmail"),
    (lambda s: s.commit(s.tree(), b"A <a@b> 01 +0000"), "zeroPaddedDate"),
    (lambda s: s.commit(s.tree((b"040000", b"a", s.tree()))), "zeroPaddedFilemode"),
]


def push_fsck_rules(world):
    """receive.fsck.<msg-id>: error refuses, warn tells, ignore is silent; fatal findings stay."""
    server = world.serve("mem")
    pushed(world, server, "app")
    source = Source(world)

    def push(commit, name):
        return world.git("push", server.url("app"), commit + ":refs/heads/" + name, cwd=source.path, ok=False)
    for make, want in OLD:
        r = push(make(source), want)
        check(r.code == 0 and said(r.errtext)[0].split(": ")[1] == want and "warning: " in r.errtext, r.errtext)
        configure(world, server, "app", "receive.fsck." + want, "error")
        r = push(make(source), want + "-error")
        check(r.code != 0 and said(r.errtext)[0].split(": ")[1] == want and "error: " in r.errtext, r.errtext)
        configure(world, server, "app", "receive.fsck." + want.upper(), "ignore")
        r = push(make(source), want + "-ignore")
        check(r.code == 0 and not said(r.errtext), r.errtext)
    bad = source.commit(entry(b".git")(source))
    check(push(bad, "dotgit").code != 0, "refused")
    configure(world, server, "app", "receive.fsck.hasDotgit", "warn")
    r = push(bad, "dotgit")
    check(r.code == 0 and "warning: object " in r.errtext and "hasDotgit: contains '.git'" in r.errtext, r.errtext)
    for words, why in ((("receive.fsck.nulInHeader", "warn"), "fatal"),
                       (("receive.fsck.hasDotgit", "maybe"), "error, warn or ignore"),
                       (("receive.fsck.noSuchId", "warn"), "")):
        r = configure(world, server, "app", *words, ok=False)
        check(r.code != 0 and why in r.errtext, "%r: %s" % (words, r.errtext))
    server.stop()


def push_fsck_skips(world):
    """receive.fsck.skipList lets objects through by their ids, those that come as deltas, too."""
    server = world.serve("store.img")
    pushed(world, server, "app")
    source = Source(world)
    many = [(b"100644", b"name-%04d" % i, source.add("blob", b"%d\n" % (i % 7))) for i in range(300)]
    first = source.tree(*many)
    second = source.tree(*many[:100], (b"100644", b"name-0100", source.add("blob", b"new\n")), *many[101:280],
                         (b"100644", b".git", many[0][2]))
    commit = source.commit(second, parent=source.commit(first))
    attributes = source.add("blob", b"a" * 3000 + b"\n")
    other = source.commit(source.tree((b"100644", b".gitattributes", attributes)))

    def push(commit, name):
        return world.git("push", server.url("app"), commit + ":refs/heads/" + name, cwd=source.path, ok=False)
    for bad in (commit, other):
        check(push(bad, "bad").code != 0, "refused")
    configure(world, server, "app", "--add", "receive.fsck.skipList", "%s %s" % ("12" * 20, second))
    r = push(commit, "bad")
    check(r.code == 0 and not said(r.errtext), r.errtext)
    check(push(other, "other").code != 0, "that one is still refused")
    configure(world, server, "app", "--add", "receive.fsck.skipList", attributes)
    r = push(other, "other")
    check(r.code == 0 and not said(r.errtext), r.errtext)
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    equal(world.rev(copy, "refs/heads/bad"), commit, "the branch")
    check(configure(world, server, "app", "receive.fsck.skipList", "/etc/list", ok=False).code != 0, "no path")
    server.stop()


def push_fsck_off(world):
    """receive.fsckObjects=false takes what git without checks takes; its word counts more than transfer's."""
    server = world.serve("mem")
    pushed(world, server, "app")
    source = Source(world)

    def push(name):
        commit = source.commit(entry(b"..")(source))
        return world.git("push", server.url("app"), commit + ":refs/heads/" + name, cwd=source.path, ok=False).code
    check(push("default") != 0, "checked by default")
    configure(world, server, "app", "transfer.fsckObjects", "false")
    equal(push("transfer"), 0, "without checks")
    configure(world, server, "app", "receive.fsckObjects", "true")
    check(push("both") != 0, "checked again")
    configure(world, server, "app", "receive.fsckObjects", "no")
    configure(world, server, "app", "transfer.fsckObjects", "yes")
    equal(push("receive"), 0, "without checks")
    server.stop()


CASES = [push_fsck_refused, push_fsck_rules, push_fsck_skips, push_fsck_off]
