# SPDX-License-Identifier: MIT
"""Fetches all of a repository over protocol version 2 and throws the pack away, so that a server is
measured and not git's index-pack."""
import os
import subprocess
import time


class Failed(Exception):
    pass


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
            yield payload


def fetch(command, env=None, timeout=600):
    """command talks to a git-upload-pack. Returns seconds of the whole command, seconds from the request for
    the pack to its first byte, from that to its end, and its bytes."""
    start = time.monotonic()
    p = subprocess.Popen(["timeout", "-k", "5", str(timeout), *command], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, bufsize=1 << 20,
                         env=dict(env or os.environ, GIT_PROTOCOL="version=2"))
    stream = Stream(p.stdout)
    try:
        capabilities = list(stream.until_flush())
        if capabilities[0].rstrip() != b"version 2":
            raise Failed("the server does not speak version 2")
        algorithm = [c for c in capabilities if c.startswith(b"object-format=")][:1]
        common = b"".join(packet(c) for c in algorithm) + b"0001"
        p.stdin.write(packet(b"command=ls-refs\n") + common + packet())
        p.stdin.flush()
        wants = sorted({line.split(b" ")[0].strip() for line in stream.until_flush()})
        asked = time.monotonic()
        p.stdin.write(packet(b"command=fetch\n") + common + packet(b"ofs-delta\n") + packet(b"no-progress\n") +
                      b"".join(packet(b"want %s\n" % w) for w in wants) + packet(b"done\n") + packet())
        p.stdin.flush()
        size, head, first = 0, b"", 0
        for payload in stream.until_flush():
            if payload.startswith(b"\1") and len(payload) > 1:
                first = first or time.monotonic()
                size += len(payload) - 1
                head = head or payload[1:5]
            elif payload.startswith((b"\3", b"ERR ")):
                raise Failed(payload.decode(errors="replace"))
        end = time.monotonic()
        p.stdin.close()
        if p.wait() != 0:
            raise Failed("exit %d" % p.returncode)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
    if head != b"PACK":
        raise Failed("no pack came")
    return {"wall": time.monotonic() - start, "first": first - asked, "stream": end - first, "bytes": size}
