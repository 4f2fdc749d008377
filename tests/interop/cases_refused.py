# SPDX-License-Identifier: MIT
"""Who is let in, and what bad input gets: a clear answer, a server that goes on, a store as before."""
import os
import signal
import socket
import subprocess
import time

from cases_git import pushed
from harness import (BLOB, COMMIT, DAEMON, FLUSH, TREE, Raw, check, equal, object_id, only, pack, pkt,
                     wait_for)

ZERO = "0" * 40


def state(world, server, name):
    return world.git("ls-remote", server.url(name)).text


def goes_on(world, server, name, before):
    """The server serves, and the repository is as it was."""
    check(server.alive(), "the server is gone")
    equal(state(world, server, name), before, "refs afterwards")
    copy = world.path("check-%d" % time.monotonic_ns())
    world.git("clone", "-q", "--mirror", server.url(name), copy)
    world.git("fsck", "--strict", cwd=copy)


def wrong_key(world):
    """A key nobody listed is refused, and the log says which."""
    server = world.serve("mem")
    pushed(world, server, "app")
    r = world.git("ls-remote", server.url("app"), key="other", ok=False)
    check(r.code != 0 and "Permission denied" in r.errtext, r.errtext)
    finger = world.run(["ssh-keygen", "-lf", world.key("other") + ".pub"]).text.split()[1]
    wait_for("the refused key in the log", lambda: finger.encode() in server.errors(), 5)
    server.stop()


def restricted_key(world):
    """Options of authorized_keys: honoured, or the line is refused."""
    lines = [world.public("id")]
    for name, options in (("here", 'from="127.0.0.0/8,10.0.0.0/8"'), ("elsewhere", 'from="192.0.2.0/24"'),
                          ("old", 'expiry-time="20200101"'), ("new", 'expiry-time="20990101"'),
                          ("strict", "restrict"), ("forced", 'command="cat"'),
                          ("ca", "cert-authority"), ("odd", "no-such-option"),
                          ("pty", "no-pty,no-port-forwarding")):
        lines.append(options + " " + world.public(name))
    server = world.serve("mem", keys="".join(lines))
    pushed(world, server, "app")
    for name, ok in (("here", True), ("elsewhere", False), ("old", False), ("new", True),
                     ("strict", True), ("forced", False), ("ca", False), ("odd", False), ("pty", True)):
        r = world.git("ls-remote", server.url("app"), key=name, ok=False)
        equal(r.code == 0, ok, "key '%s' is let in" % name)
    for number in (7, 8, 9):
        check(b"%d" % number in server.errors(), "refused line %d is logged" % number)
    server.stop()


def read_only_key(world):
    """packhorse="ro" reads; "rw" pushes to what is there; only an owner creates."""
    server = world.serve("mem", keys=world.public("id") + 'packhorse="ro" ' + world.public("reader") +
                         'packhorse="rw" ' + world.public("writer"))
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    world.git("clone", "-q", server.url("app"), world.path("copy"), key="reader")
    r = world.git("push", server.url("app"), "main:new", cwd=source, key="reader", ok=False)
    check(r.code != 0 and "remote error" in r.errtext, r.errtext)
    goes_on(world, server, "app", before)
    world.git("push", "-q", server.url("app"), "main:new", cwd=source, key="writer")
    r = world.git("push", server.url("other"), "main", cwd=source, key="writer", ok=False)
    check(r.code != 0 and "remote error" in r.errtext, r.errtext)
    for key in ("reader", "writer"):
        check(world.ssh(server, "repo", "delete", "app", key=key, ok=False).code == 1, "not an owner")
    server.stop()


def anonymous(world):
    """--anon-read: without a known key one reads, and cannot push."""
    server = world.serve("mem", "--anon-read")
    source = pushed(world, server, "app")
    world.git("clone", "-q", server.url("app"), world.path("copy"), key="stranger")
    r = world.git("push", server.url("app"), "main:new", cwd=source, key="stranger", ok=False)
    check(r.code != 0, "an anonymous push")
    server.stop()


def unknown_repository(world):
    """A name that is not there gets an answer git can show; nothing is created by asking."""
    server = world.serve("store.img")
    for name in ("nothing", "../etc/passwd", "a/../b", "~root/x", ".", "a/.git", "-x", "a\\b"):
        for version in (0, 2):
            r = world.git("ls-remote", server.url(name), version=version, ok=False)
            check(r.code != 0 and "remote error" in r.errtext, "%s: %s" % (name, r.errtext))
    equal(world.ssh(server, "repo", "list").out, b"", "repositories")
    server.stop()


def killed_client(world):
    """A client that is killed in mid-push or mid-clone leaves nothing behind."""
    server = world.serve("store.img")
    source = pushed(world, server, "app", commits=5)
    big = world.path("big")
    world.git("clone", "-q", server.url("app"), big)
    with open(big + "/random", "wb") as f:
        f.write(os.urandom(24 << 20))
    world.git("add", ".", cwd=big)
    world.git("commit", "-q", "-m", "random", cwd=big)
    before = state(world, server, "app")
    held = server.connections()
    for n in range(4):
        p = subprocess.Popen(["git", "push", "-q", server.url("app"), "main:refs/heads/new%d" % n],
                             cwd=big, env=world.env(), start_new_session=True,
                             stderr=subprocess.DEVNULL)
        time.sleep(0.15 + 0.1 * n)
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    wait_for("the connections to close", lambda: server.connections() <= held)
    refs = state(world, server, "app")
    for line in before.splitlines():
        check(line in refs, "a ref that was there: " + line)
    world.git("push", "-q", server.url("app"), "main:refs/heads/whole", cwd=big)
    for n in range(4):
        p = subprocess.Popen(["git", "clone", "-q", "--mirror", server.url("app"),
                              world.path("kill-%d" % n)], env=world.env(), start_new_session=True,
                             stderr=subprocess.DEVNULL)
        time.sleep(0.15 + 0.1 * n)
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    wait_for("the connections to close", lambda: server.connections() <= held)
    world.git("clone", "-q", "--mirror", server.url("app"), world.path("after"))
    world.git("fsck", "--strict", cwd=world.path("after"))
    server.stop()


def killed_server(world):
    """kill -9 in the middle of pushes: what was acknowledged is there, and the store opens."""
    server = world.serve("store.img")
    source = pushed(world, server, "app", commits=5)
    for n in range(6):
        told, tips = [], {}
        for k in range(3):
            tips["b%d-%d" % (n, k)] = world.commit(source, "f%d-%d" % (n, k))
            world.git("branch", "b%d-%d" % (n, k), cwd=source)
        for name in tips:
            if world.git("push", "-q", server.url("app"), name, cwd=source, ok=False).code == 0:
                told.append(name)
        world.commit(source, "last-%d" % n)
        p = subprocess.Popen(["git", "push", "-q", server.url("app"), "main:refs/heads/last%d" % n],
                             cwd=source, env=world.env(), stderr=subprocess.DEVNULL)
        time.sleep(0.02 + 0.03 * n)
        server.kill()
        server = world.serve("store.img")
        last = p.wait(timeout=60) == 0
        refs = state(world, server, "app")
        for name in told:
            check("%s\trefs/heads/%s\n" % (tips[name], name) in refs, "acknowledged: " + name)
        check(not last or "refs/heads/last%d\n" % n in refs, "acknowledged: last%d" % n)
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    world.git("fsck", "--strict", cwd=copy)
    server.stop()


def garbage_before_banner(world):
    """Bytes that are no SSH: closed, one log line each, and the server goes on."""
    server = world.serve("mem")
    pushed(world, server, "app")
    before, held = state(world, server, "app"), server.connections()
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\0" * 100000, b"SSH-1.5-x\r\n", b"",
                 b"SSH-2.0-x\r\n" + os.urandom(70000), b"A" * 300 + b"\n"):
        with socket.create_connection((server.host, server.port), timeout=20) as s:
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    goes_on(world, server, "app", before)
    wait_for("the connections to close", lambda: server.connections() <= held, 40)
    server.stop()


def never_authenticates(world):
    """Connections that open and wait are closed, and do not keep others out."""
    server = world.serve("mem")
    pushed(world, server, "app")
    before, held = state(world, server, "app"), server.connections()
    quiet = [socket.create_connection((server.host, server.port)) for _ in range(100)]
    for s in quiet[:50]:
        s.sendall(b"SSH-2.0-quiet\r\n")
    goes_on(world, server, "app", before)
    wait_for("the silent connections to be closed", lambda: server.connections() <= held, 60)
    for s in quiet:
        s.close()
    server.stop()


def push_raw(world, server, name, old, new, ref, packed, caps="report-status"):
    raw = Raw(world, server, "git-receive-pack", name)
    raw.until_flush()
    raw.send(pkt("%s %s %s\0 %s" % (old, new, ref, caps)), FLUSH, packed)
    code, out, err = raw.close()
    return code, out, err


def small_pack():
    blob = b"hello\n"
    tree = b"100644 hello\0" + bytes.fromhex(object_id(BLOB, blob))
    commit = ("tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n" %
              object_id(TREE, tree)).encode()
    return [(BLOB, blob), (TREE, tree), (COMMIT, commit)], object_id(COMMIT, commit)


def refused_pack(world, packed, new, said):
    for store in ("mem", "store.img"):
        server = world.serve(store)
        pushed(world, server, "app")
        before = state(world, server, "app")
        code, out, err = push_raw(world, server, "app", ZERO, new, "refs/heads/bad", packed)
        equal(code, 0, "exit status of a refused push")
        check(out.split(b"\n")[0][4:] .startswith(b"unpack ") and b"unpack ok" not in out, repr(out))
        check(b"ng refs/heads/bad " in out and said in out, repr(out))
        goes_on(world, server, "app", before)
        server.stop()


def truncated_pack(world):
    """A pack that ends too early."""
    entries, new = small_pack()
    for cut in (40, 21, 5):
        server = world.serve("mem")
        pushed(world, server, "app")
        before = state(world, server, "app")
        code, out, err = push_raw(world, server, "app", ZERO, new, "refs/heads/bad",
                                  pack(*entries)[:-cut])
        check(b"unpack ok" not in out, repr(out))
        goes_on(world, server, "app", before)
        server.stop()


def wrong_checksum(world):
    """A pack whose trailer is not its hash."""
    entries, new = small_pack()
    packed = bytearray(pack(*entries))
    packed[-1] ^= 1
    refused_pack(world, bytes(packed), new, b"ng refs/heads/bad unpacker error")


def missing_base(world):
    """A delta whose base is nowhere."""
    entries, new = small_pack()
    delta = bytes([6, 6, 0x90, 6])
    refused_pack(world, pack(*entries, ("ref", "12" * 20, delta)), new,
                 b"ng refs/heads/bad unpacker error")


def not_connected(world):
    """A commit whose tree was not sent."""
    entries, new = small_pack()
    server = world.serve("store.img")
    pushed(world, server, "app")
    before = state(world, server, "app")
    code, out, err = push_raw(world, server, "app", ZERO, new, "refs/heads/bad", pack(entries[2]))
    check(b"ng refs/heads/bad missing necessary objects" in out, repr(out))
    goes_on(world, server, "app", before)
    server.stop()


def bad_ref_name(world):
    """A ref name with "..", and other names that git would not take."""
    entries, new = small_pack()
    server = world.serve("mem")
    pushed(world, server, "app")
    before = state(world, server, "app")
    for ref in ("refs/heads/../x", "refs/heads/a..b", "refs/heads/x.lock", "HEAD", "refs/x", "main",
                "refs/heads/sp ace", "refs/heads/-\x01", "refs/heads/a/", "refs/heads/.a"):
        code, out, err = push_raw(world, server, "app", ZERO, new, ref, pack(*entries))
        check(b"ng " in out and b"ok " + ref.encode() + b"\n" not in out, "%r: %r" % (ref, out))
    goes_on(world, server, "app", before)
    server.stop()


def unsafe_tree(world):
    """A tree that would write into .git when it is checked out."""
    blob = b"x"
    for name in (b".git", b".GIT", b"git~1", b".g\xe2\x80\x8cit", b"..", b"a/b"):
        tree = b"100644 " + name + b"\0" + bytes.fromhex(object_id(BLOB, blob))
        commit = ("tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n" %
                  object_id(TREE, tree)).encode()
        server = world.serve("mem")
        pushed(world, server, "app")
        before = state(world, server, "app")
        code, out, err = push_raw(world, server, "app", ZERO, object_id(COMMIT, commit),
                                  "refs/heads/bad", pack((BLOB, blob), (TREE, tree), (COMMIT, commit)))
        check(b"ng refs/heads/bad" in out, "%r: %r" % (name, out))
        goes_on(world, server, "app", before)
        server.stop()


def unknown_want(world):
    """A want that is not there, in version 0 and 2: ERR, exit 128, nothing else."""
    server = world.serve("mem")
    pushed(world, server, "app")
    before = state(world, server, "app")
    want = "12" * 20
    raw = Raw(world, server, "git-upload-pack", "app")
    raw.until_flush()
    raw.send(pkt("want %s no-progress\n" % want), FLUSH, pkt("done\n"))
    code, out, err = raw.close()
    check(b"ERR upload-pack: not our ref " + want.encode() in out, repr(out))
    equal(code, 128, "exit status")
    raw = Raw(world, server, "git-upload-pack", "app", version=2)
    raw.until_flush()
    raw.send(pkt("command=fetch\n"), b"0001", pkt("want %s\n" % want), pkt("done\n"), FLUSH)
    code, out, err = raw.close()
    check(b"ERR upload-pack: not our ref " + want.encode() in out, repr(out))
    equal(code, 128, "exit status")
    goes_on(world, server, "app", before)
    server.stop()


def unreachable_want(world):
    """What no ref reaches any more is given out as git does: over version 2, where no ref is hidden."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    secret = world.commit(source, "secret")
    world.git("push", "-q", server.url("app"), "HEAD:refs/heads/tmp", cwd=source)
    copy = world.path("copy")
    world.git("init", "-q", copy)
    world.git("fetch", "-q", server.url("app"), secret, cwd=copy)
    world.git("push", "-q", server.url("app"), ":refs/heads/tmp", cwd=source)
    other = world.path("other")
    world.git("init", "-q", other)
    r = world.git("fetch", server.url("app"), secret, cwd=other, ok=False, version=0)
    check(r.code != 0 and ("not our ref" in r.errtext or "unadvertised" in r.errtext), r.errtext)
    world.ssh(server, "repo", "config", "app", "transfer.hideRefs", "refs/hide")
    r = world.git("fetch", server.url("app"), secret, cwd=other, ok=False)
    check(r.code != 0 and "not our ref" in r.errtext, r.errtext)
    world.git("fetch", "-q", server.url("app"), world.rev(source, "main~4"), cwd=other)
    world.ssh(server, "repo", "config", "app", "--unset", "transfer.hideRefs")
    world.git("fetch", "-q", server.url("app"), secret, cwd=other)
    server.stop()


def stale_old_value(world):
    """An old value that is not the current one: ng, and the ref stays."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    entries, new = small_pack()
    for old in ("12" * 20, ZERO):
        code, out, err = push_raw(world, server, "app", old, new, "refs/heads/main", pack(*entries))
        check(b"unpack ok" in out and b"ng refs/heads/main " in out, repr(out))
        equal(code, 0, "exit status")
        goes_on(world, server, "app", before)
    server.stop()


@only(DAEMON, "boot arguments have a case of their own")
def options(world):
    """Wrong options: one line that says what to do, exit 64."""
    for args in (["serve", "--bogus"], ["serve", "--listen"], ["serve", "--listen", "nonsense"],
                 ["serve", "--limit", "haves"], ["serve", "--limit", "haves_max=x"],
                 ["serve", "--limit=nothing_max=1"], ["serve", "--limit", "haves_max=4294967296"],
                 ["serve", "--log-level", "loud"], ["serve", "--listen", "1.2.3.4:99999"], ["bogus"], []):
        r = world.run([world.packhorse, *args], ok=False)
        equal(r.code, 64, "exit status of %r" % args)
        equal(r.err.count(b"\n"), 1, "lines about %r" % args)
    for args in (["--version"], ["--help"], ["serve", "--help"]):
        r = world.run([world.packhorse, *args])
        check(r.out and not r.err, "%r" % args)
    r = world.run([world.packhorse, "serve", "--store", "mem", "--listen", "127.0.0.1:0"], ok=False)
    check(r.code != 0 and b"--authorized-keys" in r.err, "no key at all: %r" % r.err)
    world.write("not-a-store", b"precious" * 100000)
    r = world.run([world.packhorse, "serve", "--store", world.path("not-a-store"), "--authorized-keys",
                   world.key("id") + ".pub", "--listen", "127.0.0.1:0"], ok=False)
    check(r.code != 0 and b"not-a-store" in r.err, "a file of somebody else: %r" % r.err)
    with open(world.path("not-a-store"), "rb") as f:
        equal(f.read(), b"precious" * 100000, "the file of somebody else")


@only(DAEMON, "a machine's disk is locked by its hypervisor, if at all")
def second_server(world):
    """A second server or tool on the same store is refused, and told who has it."""
    server = world.serve("store.img")
    pushed(world, server, "app")
    r = world.run([world.packhorse, "serve", "--store", world.path("store.img"), "--authorized-keys",
                   world.key("id") + ".pub", "--listen", "127.0.0.1:0"], ok=False, timeout=20)
    holder = b"process %d (%s serve" % (server.process.pid, os.fsencode(world.packhorse))
    check(r.code != 0 and holder in r.err and b"stop it first" in r.err, repr(r.err))
    before = open(world.path("store.img"), "rb").read()
    for tool in (["info"], ["fsck"], ["mkfs", "--force"], ["export", "app", world.path("out")]):
        args = [world.packhorse, tool[0], *(a for a in tool[1:] if a.startswith("--")), world.path("store.img"),
                *(a for a in tool[1:] if not a.startswith("--"))]
        r = world.run(args, ok=False, timeout=20)
        check(r.code == 1 and holder in r.err, repr((tool, r)))
    check(before == open(world.path("store.img"), "rb").read(), "a tool that was refused wrote")
    server.stop()


@only(DAEMON, "a machine has no user whose keys it could take")
def own_keys(world):
    """Without --authorized-keys: ~/.ssh/*.pub and plain lines of ~/.ssh/authorized_keys are owners."""
    world.write("home/.ssh/id_ed25519.pub", world.public("id"))
    world.write("home/.ssh/authorized_keys", "# mine\n" + world.public("second") +
                'from="10.0.0.0/8" ' + world.public("third"))
    server = world.serve("mem", keys=False)
    pushed(world, server, "app")
    for key, ok in (("second", True), ("third", False)):
        equal(world.git("ls-remote", server.url("app"), key=key, ok=False).code == 0, ok, key)
    check(b"line 3 left out" in server.errors(), "what is left out is said")
    server.stop()


CASES = [wrong_key, restricted_key, read_only_key, anonymous, unknown_repository, killed_client,
         killed_server, garbage_before_banner, never_authenticates, truncated_pack, wrong_checksum,
         missing_base, not_connected, bad_ref_name, unsafe_tree, unknown_want, unreachable_want,
         stale_old_value, options, second_server, own_keys]
