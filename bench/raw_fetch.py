# SPDX-License-Identifier: MIT
"""Fetches over protocol version 2 (or 0, from who has no other) and indexes nothing, so that a server is
measured and not git's index-pack. The pack is thrown away, or kept in memory that was touched before."""
import fcntl
import mmap
import os
import subprocess
import time

F_SETPIPE_SZ = 1031


class Failed(Exception):
    pass


class Unsupported(Failed):
    """The server does not have what the question needs."""


class Question:
    """What to ask for: prefixes of the refs whose values are wanted (all), or wants by id."""

    def __init__(self, prefixes=(), wants=None, haves=(), depth=None, filter=None):
        self.prefixes, self.wants, self.haves, self.depth, self.filter = prefixes, wants, haves, depth, filter

    def lines(self):
        """Behind the wants, in version 2."""
        out = [b"deepen %d\n" % self.depth] if self.depth else []
        return out + ([b"filter %s\n" % self.filter.encode()] if self.filter else [])


class Room:
    """Memory for one pack, used again and again."""

    def __init__(self, size):
        self.memory = mmap.mmap(-1, size)
        for at in range(0, size, mmap.PAGESIZE):
            self.memory[at] = 1
        self.view, self.size = memoryview(self.memory), 0

    def pack(self):
        return self.view[:self.size]


def packet(text=None):
    return b"0000" if text is None else b"%04x%s" % (len(text) + 4, text)


class Stream:
    def __init__(self, pipe):
        self.pipe = pipe

    def exactly(self, n):
        data = self.pipe.read(n)
        if len(data) != n:
            raise Failed("the server closed the stream")
        return data

    def next(self):
        """A packet's payload, or None for a flush; delimiters are empty payloads."""
        n = int(self.exactly(4), 16)
        return self.exactly(n - 4) if n >= 4 else None if n == 0 else b""

    def until_flush(self):
        while True:
            payload = self.next()
            if payload is None:
                return
            if payload.startswith(b"ERR "):
                raise Failed(payload.decode(errors="replace"))
            yield payload

    def pack(self, room):
        """Band 1 up to the flush: (time of the first byte, bytes, the first twelve, the last twenty)."""
        scratch = None if room else memoryview(bytearray(65536))
        size, first, head, tail = 0, 0, b"", b""
        while True:
            n = int(self.exactly(4), 16) - 5
            if n < 0:
                if n != -5:
                    continue
                return first, size, head, tail
            band = self.exactly(1)
            if band != b"\1":
                text = self.exactly(n)
                if band == b"\3":
                    raise Failed(text.decode(errors="replace"))
                continue
            if n == 0:
                continue
            first = first or time.monotonic()
            part = room.view[size:size + n] if room else scratch[:n]
            if len(part) != n or self.pipe.readinto(part) != n:
                raise Failed("the pack is cut short, or larger than expected")
            head = head if len(head) == 12 else (head + part[:12].tobytes())[:12]
            tail = part[-20:].tobytes() if n >= 20 else (tail + part.tobytes())[-20:]
            size += n
            if room:
                room.size = size


def fetch(command, env=None, timeout=600, question=Question(), room=None):
    """command talks to a git-upload-pack. Returns seconds of the whole command, seconds from the request for
    the pack to its first byte, from that to its end; its bytes, objects and checksum; the refs listed."""
    start = time.monotonic()
    p = subprocess.Popen(["timeout", "-k", "5", str(timeout), *command], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, bufsize=1 << 20,
                         env=dict(env or os.environ, GIT_PROTOCOL="version=2"))
    try:
        fcntl.fcntl(p.stdout, F_SETPIPE_SZ, 1 << 20)
    except OSError:
        pass
    stream = Stream(p.stdout)
    try:
        said = list(stream.until_flush())
        refs, asked = (ask_2 if said and said[0].rstrip() == b"version 2" else ask_0)(p.stdin, stream, said, question)
        first, size, head, tail = stream.pack(room)
        end = time.monotonic()
        p.stdin.close()
        if p.wait() != 0:
            raise Failed("exit %d" % p.returncode)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
    if head[:4] != b"PACK":
        raise Failed("no pack came")
    return {"wall": time.monotonic() - start, "first": first - asked, "stream": end - first, "bytes": size,
            "objects": int.from_bytes(head[8:], "big"), "checksum": tail, "refs": refs}


def ask_2(pipe, stream, capabilities, question):
    algorithm = [c for c in capabilities if c.startswith(b"object-format=")][:1]
    features = b" ".join(c for c in capabilities if c.startswith(b"fetch"))
    if question.filter and b"filter" not in features:
        raise Unsupported("no filters")
    common = b"".join(packet(c) for c in algorithm) + b"0001"
    prefixes = b"".join(packet(b"ref-prefix %s\n" % x.encode()) for x in question.prefixes)
    pipe.write(packet(b"command=ls-refs\n") + common + prefixes + packet())
    pipe.flush()
    refs = {}
    for line in stream.until_flush():
        oid, name = line.split()[:2]
        refs[name.decode()] = oid.decode()
    wants = question.wants or sorted(set(refs.values()))
    arguments = [b"thin-pack\n"] if question.haves else []
    arguments += [b"ofs-delta\n", b"no-progress\n"] + [b"want %s\n" % w.encode() for w in wants] + question.lines()
    arguments += [b"have %s\n" % h.encode() for h in question.haves] + [b"done\n"]
    asked = time.monotonic()
    pipe.write(packet(b"command=fetch\n") + common + b"".join(map(packet, arguments)) + packet())
    pipe.flush()
    while stream.next() != b"packfile\n":
        pass
    return refs, asked


def ask_0(pipe, stream, said, question):
    """A server that knows version 0 alone."""
    refs, features = {}, said[0].partition(b"\0")[2].split()
    for line in said:
        oid, name = line.partition(b"\0")[0].split()[:2]
        if not name.endswith(b"^{}") and (not question.prefixes or name.decode().startswith(question.prefixes)):
            refs[name.decode()] = oid.decode()
    for need, name in ((question.filter, b"filter"), (question.depth, b"shallow"), (True, b"side-band-64k")):
        if need and name not in features:
            raise Unsupported("no " + name.decode())
    wants = question.wants or sorted(set(refs.values()))
    caps = [c for c in (b"ofs-delta", b"no-progress", b"side-band-64k") if c in features]
    caps += ([b"thin-pack"] if question.haves else []) + ([b"filter"] if question.filter else [])
    lines = [b"want %s\n" % w.encode() for w in wants]
    lines[0] = lines[0].strip() + b" " + b" ".join(caps) + b"\n"
    asked = time.monotonic()
    pipe.write(b"".join(map(packet, lines + question.lines())) + packet())
    pipe.write(b"".join(packet(b"have %s\n" % h.encode()) for h in question.haves) + packet(b"done\n"))
    pipe.flush()
    if question.depth:
        list(stream.until_flush())
    while not stream.next().startswith((b"NAK", b"ACK")):
        pass
    return refs, asked
