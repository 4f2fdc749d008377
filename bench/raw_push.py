# SPDX-License-Identifier: MIT
"""Pushes packs that were made before, so that a history arrives in hundreds of pushes and the client costs
nothing. Old values are those that the server advertises."""
import fcntl
import shutil
import subprocess
import time

from raw_fetch import Failed, Stream, packet

ZERO = "0" * 40
F_SETPIPE_SZ = 1031
EMPTY_PACK = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")


def send(pipe, pack):
    """pack: bytes, or the path of a file."""
    if not isinstance(pack, str):
        pipe.write(pack or EMPTY_PACK)
        return
    with open(pack, "rb") as f:
        shutil.copyfileobj(f, pipe, 1 << 20)


def push(command, env, updates, pack):
    """updates: {ref: new value, or None to delete it}; pack: bytes, or the path of a file. Returns seconds of the
    whole command, and from the pack's first byte to the report."""
    start = asked = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    stream = Stream(p.stdout)
    try:
        if isinstance(pack, str):
            fcntl.fcntl(p.stdin, F_SETPIPE_SZ, 1 << 20)
        old = {}
        for line in stream.until_flush():
            oid, name = line.partition(b"\0")[0].split()[:2]
            old[name.decode()] = oid.decode()
        lines = [b"%s %s %s" % (old.get(ref, ZERO).encode(), (new or ZERO).encode(), ref.encode())
                 for ref, new in updates.items()]
        lines[0] += b"\0 report-status"
        p.stdin.write(b"".join(map(packet, lines)) + packet())
        asked = time.monotonic()
        if any(updates.values()):
            send(p.stdin, pack)
        p.stdin.flush()
        report = [line.strip() for line in stream.until_flush()]
        reported = time.monotonic()
        p.stdin.close()
        if p.wait() != 0 or report[0] != b"unpack ok" or any(not r.startswith(b"ok ") for r in report[1:]):
            raise Failed("push: %r, exit %d" % (report[:3], p.returncode))
        return {"wall": time.monotonic() - start, "report": reported - asked}
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
