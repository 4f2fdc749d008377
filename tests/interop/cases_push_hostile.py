# SPDX-License-Identifier: MIT
"""Pushes that mean harm: packs that lie, swell or go in circles, names and options that are tricks, clients that
stop or never end. Each gets its refusal, nothing of it stays in the store, and the next push works."""
import hashlib
import os
import re
import struct
import time
import zlib

from cases_git import pushed
from cases_refused import ZERO, goes_on, push_raw, small_pack, state
from harness import (BLOB, COMMIT, DAEMON, FLUSH, SANITIZER, TREE, Raw, check, entry_header, equal, object_id, only, pack,
                     pkt, wait_for)

TAG, OFS, REF = 4, 6, 7


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def distance(n):
    code = [n & 0x7F]
    while n > 0x7F:
        n = (n >> 7) - 1
        code.append(n & 0x7F | 0x80)
    return bytes(reversed(code))


def entry(kind, data, size=None, base=b"", stream=None):
    return entry_header(kind, len(data) if size is None else size) + base + (
        zlib.compress(data) if stream is None else stream)


def raw_pack(*entries, count=None):
    body = b"PACK" + struct.pack(">II", 2, len(entries) if count is None else count) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def bad_packs():
    """(what, pack): everything in it that is not wrong would do for the ref that is pushed."""
    entries, _ = small_pack()
    good = [entry(kind, data) for kind, data in entries]
    blob, base = entries[0][1], entry(BLOB, entries[0][1])
    one = varint(len(blob)) + b"\1\x90\1"  # its first byte
    whole = raw_pack(*good)

    def delta(data, base=distance(len(base)), kind=OFS):
        """With the blob before it."""
        return raw_pack(*good[1:], good[0], entry(kind, data, base=base))

    yield "announces what no pack has", raw_pack(*good, count=0xFFFFFFFF)
    yield "announces one more", raw_pack(*good, count=len(good) + 1)
    yield "announces one less", raw_pack(*good, count=len(good) - 1)
    yield "wrong trailer", whole[:-1] + bytes([whole[-1] ^ 1])
    yield "wrong version", raw_pack(*good).replace(b"PACK\0\0\0\2", b"PACK\0\0\0\5", 1)
    yield "no pack", b"KCAP" + whole[4:]
    yield "type 0", raw_pack(*good, entry(0, b"x"))
    yield "type 5", raw_pack(*good, entry(5, b"x"))
    yield "longer than declared", raw_pack(*good, entry(BLOB, b"too long", size=3))
    yield "shorter than declared", raw_pack(*good, entry(BLOB, b"too short", size=30))
    yield "declared beyond all limits", raw_pack(*good, entry(BLOB, b"x", size=1 << 62))
    yield "declared 4 GiB of tree", raw_pack(*good, entry(TREE, b"x", size=1 << 32))
    yield "a size without end", raw_pack(*good, b"\xb0" + b"\x80" * 20 + b"\0")
    yield "a distance without end", raw_pack(*good, b"\x64" + b"\xff" * 20 + b"\x7f")
    yield "no zlib", raw_pack(*good, entry(BLOB, b"", size=40, stream=b"this is no zlib stream, not at all"))
    yield "cut zlib", raw_pack(*good, entry(BLOB, b"", size=1000, stream=zlib.compress(os.urandom(1000))[:-9]))
    broken = bytearray(zlib.compress(b"some text"))
    broken[-1] ^= 1
    yield "wrong Adler-32", raw_pack(*good, entry(BLOB, b"", size=9, stream=bytes(broken)))
    yield "a base that is itself", delta(one, b"\0")
    yield "a base inside another entry", delta(one, distance(len(base) - 2))
    yield "a base before the pack", delta(one, distance(1 << 20))
    yield "a base far before the pack", delta(one, distance(1 << 60))
    yield "a base that is nowhere", delta(one, b"\x12" * 20, REF)
    yield "another base's size", delta(b"\x7f\1\x90\1")
    yield "copy past the end", delta(varint(len(blob)) + b"\2\x91" + bytes([len(blob) - 1]) + b"\2")
    yield "copy from far past the end", delta(varint(len(blob)) + b"\1\x9f\xff\xff\xff\xff\1")
    yield "a result that is larger", delta(varint(len(blob)) + b"\7\x90\1")
    yield "a result that is smaller", delta(varint(len(blob)) + b"\0\x90\1")
    yield "a result of 4 GiB and one", delta(varint(len(blob)) + varint((4 << 30) + 1) + b"\x90\1")
    yield "instruction 0", delta(varint(len(blob)) + b"\1\0\0")
    yield "a cut instruction", delta(varint(len(blob)) + b"\x05\x05ab")
    yield "a delta of nothing", delta(varint(len(blob)) + b"\0")
    a, b = object_id(BLOB, b"the content of a"), object_id(BLOB, b"the content of b")
    swap = [entry(REF, b"\x10\x10\x90\x0f\1" + c, base=bytes.fromhex(o)) for c, o in ((b"a", b), (b"b", a))]
    yield "a circle of two", raw_pack(*good, *swap)
    yield "a circle of one", raw_pack(*good, entry(REF, b"\x10\x10\x90\x10", base=bytes.fromhex(a)))
    yield "an object twice", raw_pack(*good, good[0])
    yield "garbage for a pack", whole[:12] + hashlib.sha512(b"x").digest() * 40
    zeros = zlib.compress(bytes(300 << 20), 9)
    yield "300 MB of zeros as a tree", raw_pack(*good, entry(TREE, b"", size=300 << 20, stream=zeros))
    yield "300 MB of zeros and a lie", raw_pack(*good, entry(BLOB, b"", size=10, stream=zeros))
    yield "a chain without end", chain(good, 100000)
    yield "deltas that swell", swelling(good)


def chain(good, links):
    """Each on the one before it; stored, not compressed, since this is quicker to make."""
    out = [*good, entry(BLOB, struct.pack("<Q", 0))]
    for i in range(1, links):
        data = b"\x08\x08\x08" + struct.pack("<Q", i)
        stream = b"\x78\x01\x01\x0b\x00\xf4\xff" + data + struct.pack(">I", zlib.adler32(data))
        out.append(entry(OFS, data, base=distance(len(out[-1])), stream=stream))
    return raw_pack(*out)


def swelling(good):
    """A thousand deltas of a few bytes that make 16 MiB each."""
    base = bytes(0xFFFFFF)
    out, back = [*good, entry(BLOB, base)], 0
    for i in range(1000):
        back += len(out[-1])
        data = varint(len(base)) + varint(len(base) + 4) + b"\xf0\xff\xff\xff\4" + struct.pack("<I", i)
        out.append(entry(OFS, data, base=distance(back)))
    return raw_pack(*out)


def told(raw, *parts):
    """Sends what the server takes, which may hang up before it has all; (exit status, stdout, stderr)."""
    try:
        raw.send(*parts)
        return raw.close()
    except BrokenPipeError:
        raw.p.stdin = None
        return raw.close()


def push_hostile(world, server, new, packed):
    raw = Raw(world, server, "git-receive-pack", "app")
    raw.until_flush()
    return told(raw, pkt("%s %s refs/heads/bad\0 report-status" % (ZERO, new)), FLUSH, packed)


def peak_mib(server):
    with open("/proc/%d/status" % server.process.pid) as f:
        return int(re.search(r"VmHWM:\s*(\d+)", f.read())[1]) >> 10


def push_works(world, server, source, name):
    world.commit(source, name)
    world.git("push", "-q", server.url("app"), "HEAD:refs/heads/" + name, cwd=source)


def hostile_packs(world):
    """Every lie that a pack can tell: git's refusal, a store without any of it, memory as if nothing had been."""
    _, new = small_pack()
    server = world.serve("store.img", disk_mib=512) if world.platform != "daemon" else world.serve("store.img")
    source = pushed(world, server, "app")
    before, count = state(world, server, "app"), 0
    daemon = world.platform == "daemon"
    size = os.path.getsize(world.path("store.img"))
    least = peak_mib(server) if daemon else 0
    for what, packed in bad_packs():
        code, out, err = push_hostile(world, server, new, packed)
        equal(code, 0, "exit status for " + what)
        said = re.fullmatch(rb"....unpack (.*)\n....ng refs/heads/bad unpacker error\n0000", out)
        check(said and said[1] != b"ok", "%s: %r" % (what, out))
        check(server.alive(), "the server is gone after " + what)
        count += 1
    goes_on(world, server, "app", before)
    push_works(world, server, source, "after")
    check(count > 35, "all of them")
    if daemon and not SANITIZER.search(server.errors()):
        grown = peak_mib(server) - least
        print("peak memory %d MiB, %d before" % (least + grown, least))
        check(world.sanitized() or grown < 100, "memory grew by %d MiB" % grown)
        # The disk's file grows in large steps; what was refused is not in it.
        check(os.path.getsize(world.path("store.img")) < size + (96 << 20), "the store grew")
    server.stop()


NAMES = [b"refs/heads/a\x01b", b"refs/heads/a\x1b[2Jb", b"refs/heads/a\x7fb", b"refs/heads/a\rb", b"refs/heads/a\tb",
         b"refs/heads/../../../etc/passwd", b"refs/../HEAD", b"../x", b"/etc/passwd", b"refs/heads/..", b"refs/heads/.",
         b"refs/heads//x", b"refs/heads/x/", b"refs/heads/.x", b"refs/heads/x.lock", b"refs/heads/x.lock/y",
         b"refs/heads/x..y", b"refs/heads/x~1", b"refs/heads/x^", b"refs/heads/x:y", b"refs/heads/x?", b"refs/heads/*",
         b"refs/heads/[x", b"refs/heads/a\\b", b"refs/heads/x@{1}", b"refs/heads/x.", b"HEAD", b"FETCH_HEAD", b"config",
         b"refs", b"refs/", b"refs/heads", b"x", b"refs/heads/" + b"n" * 3000, b"refs/heads/-x", b"refs/heads/HEAD"]


def hostile_names(world):
    """Names with control bytes and path tricks: refused, and told without what drives a terminal."""
    entries, new = small_pack()
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    for name in NAMES:
        raw = Raw(world, server, "git-receive-pack", "app")
        raw.until_flush()
        raw.send(pkt(b"%s %s %s\0 report-status side-band-64k" % (ZERO.encode(), new.encode(), name)), FLUSH,
                 pack(*entries))
        code, out, err = raw.close()
        equal(code, 0, "exit status for %r" % name)
        check(b"funny refname" in out and b"ok " + name + b"\n" not in out, "%r: %r" % (name, out))
        check(not re.search(rb"[\x07-\x09\x0b-\x1f\x7f]", out + err), "%r: %r" % (name, out))
    raw = Raw(world, server, "git-receive-pack", "app")
    raw.until_flush()
    raw.send(pkt(b"%s %s refs/heads/%s\0 report-status" % (ZERO.encode(), new.encode(), b"n" * 60000)), FLUSH,
             pack(*entries))
    code, out, err = raw.close()
    check(b"ok refs" not in out, repr(out[:200]))
    goes_on(world, server, "app", before)
    push_works(world, server, source, "after")
    server.stop()


TREES = [b".git", b".GIT", b".Git", b"git~1", b"GIT~1", b".git ", b".git.", b".git...", b".git . .", b".git::$INDEX_ALLOCATION",
         b".git:x", b".g\xe2\x80\x8cit", b"\xe2\x80\x8e.git", b".gi\xe2\x80\x8dT", b".git\xef\xbb\xbf", b"..", b".", b"a/b",
         b".git\\config", b""]


def hostile_trees(world):
    """Names of entries that some file system takes for .git, or for a way out."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    blob = b"x"
    for mode, name in [(m, n) for n in TREES for m in (b"100644", b"40000")]:
        inner = b"100644 x\0" + bytes.fromhex(object_id(BLOB, blob))
        oid = object_id(TREE, inner) if mode == b"40000" else object_id(BLOB, blob)
        tree = mode + b" " + name + b"\0" + bytes.fromhex(oid)
        commit = ("tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n" % object_id(TREE, tree)).encode()
        code, out, err = push_raw(world, server, "app", ZERO, object_id(COMMIT, commit), "refs/heads/bad",
                                  pack((BLOB, blob), (TREE, inner), (TREE, tree), (COMMIT, commit)))
        check(b"unpack ok" not in out and b"ng refs/heads/bad unpacker error" in out, "%r: %r" % (name, out))
    goes_on(world, server, "app", before)
    push_works(world, server, source, "after")
    server.stop()


@only(DAEMON, "a machine's limits are not set by arguments")
def endless_commands(world):
    """Commands without end are ended by their limit; so are long names, and shallow lines."""
    _, new = small_pack()
    server = world.serve("store.img", "--limit", "commands_max=2000", "--limit", "shallows_max=2000")
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    for what in ("commands", "shallow lines"):
        raw = Raw(world, server, "git-receive-pack", "app")
        raw.until_flush()
        lines = ("%s %s refs/heads/n%d" % (ZERO, new, i) if what == "commands" else "shallow %040x" % i
                 for i in range(100000))
        code, out, err = told(raw, *map(pkt, lines))
        equal(code, 128, "exit status after many " + what)
        check(b"ok refs" not in out and re.search(rb"too many|2000", out + err), repr((out, err)))
        goes_on(world, server, "app", before)
    push_works(world, server, source, "after")
    server.stop()


@only(DAEMON, "a machine's limits are not set by arguments")
def stopped_push(world):
    """A client that stops in the middle, of commands or of the pack, is ended in time; nothing of it stays."""
    _, new = small_pack()
    server = world.serve("store.img", "--limit", "idle_ms_max=3000")
    source = pushed(world, server, "app")
    before = state(world, server, "app")
    body = os.urandom(1 << 20)
    big = raw_pack(entry(BLOB, body), *(entry(kind, data) for kind, data in small_pack()[0]))
    first = pkt("%s %s refs/heads/x\0 report-status side-band-64k" % (ZERO, new))
    held = []
    for said in (b"", first[:30], first, first + FLUSH, first + FLUSH + big[:9], first + FLUSH + big[:600000],
                 first + FLUSH + big[:-1]):
        raw = Raw(world, server, "git-receive-pack", "app")
        raw.until_flush()
        raw.send(said)
        held.append(raw)
    begun = time.monotonic()
    for raw in held:
        out, err = raw.p.stdout.read(), raw.p.stderr.read()
        equal(raw.p.wait(60), 128, "exit status of a client that stopped, told %r %r" % (out, err))
        check(b"ok refs" not in out, repr(out))
    check(time.monotonic() - begun < 30, "in time")
    goes_on(world, server, "app", before)
    push_works(world, server, source, "after")
    server.stop()


OPTIONS = [b"x\ny", b"\x1b[2J", b"a;rm -rf /", b"$(id)", b"`id`", b"key=\xff\xfe", b"--upload-pack=x", b"", b"'\"\\"]


def hostile_options(world):
    """Push options are opaque bytes, and not many, and not long; none of them drives a terminal or the log."""
    entries, new = small_pack()
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    world.ssh(server, "repo", "config", "app", "receive.advertisePushOptions", "true")
    count = 0
    for options in [[o] for o in OPTIONS] + [OPTIONS]:
        raw = Raw(world, server, "git-receive-pack", "app")
        offered = b" ".join(raw.until_flush())
        check(b"push-options" in offered, "push options are offered")
        ref = b"refs/heads/o%d" % count
        raw.send(pkt(b"%s %s %s\0 report-status push-options" % (ZERO.encode(), new.encode(), ref)), FLUSH,
                 *(pkt(o) for o in options), FLUSH, pack(*entries))
        code, out, err = raw.close()
        check(code == 128 or b"ok " + ref in out or b"ng " + ref in out, "%r: %r" % (options, out))
        check(not re.search(rb"[\x07-\x09\x0b-\x1f\x7f]", out[4:] + err), "%r: %r" % (options, out))
        count += 1
    before = state(world, server, "app")
    for options in ([b"o"] * 5000, [b"x" * 60000] * 3):
        raw = Raw(world, server, "git-receive-pack", "app")
        raw.until_flush()
        code, out, err = told(raw, pkt(b"%s %s refs/heads/z\0 report-status push-options" % (
            ZERO.encode(), new.encode())), FLUSH, *map(pkt, options), FLUSH, pack(*entries))
        check(b"ok refs" not in out, "%d options: %r" % (len(options), out))
    goes_on(world, server, "app", before)
    check(b"\x1b" not in server.errors(), "the log")
    push_works(world, server, source, "after")
    server.stop()


CASES = [hostile_packs, hostile_names, hostile_trees, endless_commands, stopped_push, hostile_options]
