# SPDX-License-Identifier: MIT
"""Stores that fill up, and how they come to have room again: on the daemon's file, which may grow no further,
and on a machine's disk."""
import os
import resource
import time

from cases_git import pushed
from harness import check, equal

MIB = 1 << 20


def serve_small(world, mib):
    """A server whose store ends there: a disk of that size, or a file under a limit of the system."""
    if world.platform != "daemon":
        return world.serve("store.img", disk_mib=mib)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (mib * MIB, hard))
    try:
        return world.serve("store.img")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def push_blob(world, server, work, branch, size):
    """A new branch on main with one more file, which does not compress."""
    world.git("checkout", "-q", "-B", branch, "main", cwd=work)
    with open(os.path.join(work, "fill"), "wb") as f:
        f.write(os.urandom(size))
    world.git("add", "fill", cwd=work)
    world.git("commit", "-q", "-m", branch, cwd=work)
    return world.git("push", "-q", server.url("app"), branch, cwd=work, ok=False)


def fill(world, server, work, size):
    branches = []
    while True:
        check(len(branches) < 40, "the store never fills")
        name = "fill-%d-%d" % (size, len(branches))
        r = push_blob(world, server, work, name, size)
        if r.code != 0:
            check("full" in r.errtext or "pace" in r.errtext, r.errtext)
            return branches
        branches.append(name)


def until_it_fits(world, server, work, size, seconds):
    """Maintenance runs in the background; how long it took."""
    start = time.monotonic()
    while push_blob(world, server, work, "fits", size).code != 0:
        check(time.monotonic() - start < seconds, "no room again after %d s" % seconds)
        time.sleep(1)


def whole(world, server, source, name):
    copy = world.path(name)
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    world.git("fsck", "--strict", cwd=copy)
    equal(world.rev(copy, "refs/heads/main"), world.rev(source, "main"), "main of the clone")


def full_store_frees(world):
    """A full store refuses pushes and says so; deleted branches and repositories give their space back."""
    server = serve_small(world, 16)
    source = pushed(world, server, "app")
    work = world.path("work")
    world.git("clone", "-q", server.url("app"), work)
    branches = fill(world, server, work, 2 * MIB)
    check(len(branches) >= 3, "only %d branches fit" % len(branches))
    fill(world, server, work, 100000)
    whole(world, server, source, "full")
    world.git("push", "-q", server.url("app"), *(":refs/heads/" + name for name in branches), cwd=work)
    until_it_fits(world, server, work, 4 * MIB, 60)
    whole(world, server, source, "again")
    fill(world, server, work, MIB)
    # A repository goes with all it holds, at once.
    world.ssh(server, "repo", "delete", "app")
    world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
    check(push_blob(world, server, work, "large", 6 * MIB).code == 0, "a push after the repository went")
    whole(world, server, source, "new")
    server.stop()
    if world.platform == "daemon":
        world.run([world.packhorse, "fsck", world.path("store.img")])


CASES = [full_store_frees]
