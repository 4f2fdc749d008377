# SPDX-License-Identifier: MIT
"""Pushes packs that were made before, so that a history arrives in hundreds of pushes and the client costs
nothing. Old values are those that the server advertises."""
import subprocess

from raw_fetch import Failed, Stream, packet

ZERO = "0" * 40
EMPTY_PACK = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")


def push(command, env, updates, pack):
    """updates: {ref: new value, or None to delete it}; pack: bytes."""
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    stream = Stream(p.stdout)
    try:
        old = {}
        for line in stream.until_flush():
            oid, name = line.partition(b"\0")[0].split()[:2]
            old[name.decode()] = oid.decode()
        lines = [b"%s %s %s" % (old.get(ref, ZERO).encode(), (new or ZERO).encode(), ref.encode())
                 for ref, new in updates.items()]
        lines[0] += b"\0 report-status"
        p.stdin.write(b"".join(map(packet, lines)) + packet())
        if any(updates.values()):
            p.stdin.write(pack or EMPTY_PACK)
        p.stdin.flush()
        report = [line.strip() for line in stream.until_flush()]
        p.stdin.close()
        if p.wait() != 0 or report[0] != b"unpack ok" or any(not r.startswith(b"ok ") for r in report[1:]):
            raise Failed("push: %r, exit %d" % (report[:3], p.returncode))
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
