# SPDX-License-Identifier: MIT
"""Large files in two versions: stock git stores one as a delta on the other, and asks for either alone."""
import random
import threading
import time

from harness import DAEMON, check, equal, only

MIB = 1 << 20
SIZE, PEAK_KIB = 24 * MIB, 44 * 1024


class Peak:
    """The server's highest memory while a block runs."""

    def __init__(self, server):
        self.server, self.peak, self.over = server, 0, threading.Event()

    def watch(self):
        while not self.over.is_set():
            self.peak = max(self.peak, self.server.memory_kib())
            time.sleep(0.02)

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def two_versions(world):
    """Branches old and main; each file is larger than what a server keeps in memory."""
    source = world.path("source")
    world.git("init", "-q", source)
    data = bytearray(random.Random(3).randbytes(SIZE))
    for branch in ("old", "main"):
        with open(source + "/large", "wb") as f:
            f.write(data)
        world.git("add", "large", cwd=source)
        world.git("commit", "-q", "-m", branch, cwd=source)
        if branch == "old":
            world.git("branch", "old", cwd=source)
        # The ends change places, and something comes between.
        half = SIZE // 2
        data = data[half:] + b"what is new\n" * 1000 + data[:half]
    return source


@only(DAEMON, "the memory of a machine is bounded by itself, and emulated ones take minutes for so many bytes")
def large_versions(world):
    """Cloned in full and each version alone: one of them is made from the other, in little memory."""
    server = world.serve("store.img")
    source = two_versions(world)
    world.git("push", "-q", server.url("large"), "main", "old", cwd=source, timeout=600)
    for name, options in (("all", ()), ("old", ("--depth=1", "-b", "old")), ("new", ("--depth=1", "-b", "main"))):
        copy = world.path("copy-" + name)
        with Peak(server) as peak:
            world.git("clone", "-q", *options, server.url("large"), copy, timeout=600)
        world.git("fsck", "--full", cwd=copy)
        branch = "old" if name == "old" else "main"
        equal(world.git("rev-parse", "HEAD:large", cwd=copy).text,
              world.git("rev-parse", branch + ":large", cwd=source).text, "the file in a clone of " + name)
        # Sanitizers keep what was freed.
        check(world.sanitized() or peak.peak < PEAK_KIB, "%d KiB of memory for a clone of %s" % (peak.peak, name))


CASES = (large_versions,)
