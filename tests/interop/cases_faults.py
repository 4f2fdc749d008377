# SPDX-License-Identifier: MIT
"""Machines whose power goes, and whose disks fill up or fail. PH_TEST_SEED chooses the moments,
PH_TEST_ROUNDS how often the power goes."""
import json
import os
import random
import signal
import subprocess
import threading
import time

from cases_git import pushed
from cases_machine import machine, random_files
from harness import Failed, check, equal, only
from machines import QEMU


def stream_of_pushes(world, server, lane, n, stop, told):
    """Pushes one new branch after the other until told to stop; told[name] is what was acknowledged."""
    work = world.path("work-%d" % lane)
    rng = random.Random("%d.%d" % (lane, n))
    k = 0
    while not stop.is_set():
        name = "lane%d-round%d-%d" % (lane, n, k)
        k += 1
        with open(work + "/data", "wb") as f:
            f.write(rng.randbytes(rng.choice((10, 1000, 100000, 3000000))))
        world.git("add", "data", cwd=work)
        world.git("commit", "-q", "-m", name, cwd=work)
        tip = world.rev(work)
        push = subprocess.Popen(["git", "push", "-q", server.url("app"), "HEAD:refs/heads/" + name,
                                 "+HEAD:refs/heads/main-%d" % lane], cwd=work, env=world.env(),
                                start_new_session=True, stderr=subprocess.DEVNULL)
        cut = None
        while push.poll() is None:
            # After a power cut nothing more comes; what came before is given a moment to arrive.
            cut = cut or (time.monotonic() + 0.5 if stop.is_set() else None)
            if cut and time.monotonic() > cut:
                os.killpg(push.pid, signal.SIGKILL)
                push.wait()
            time.sleep(0.005)
        if push.returncode == 0:
            told[name] = tip
            told["main-%d" % lane] = tip
        elif not stop.is_set():
            raise Failed("a push failed before the power went: exit %d" % push.returncode)


@machine
def power_cuts(world):
    """Killed at random moments of a stream of pushes: it boots, and what was acknowledged is there."""
    seed = int(os.environ.get("PH_TEST_SEED", "1"))
    rng = random.Random(seed)
    print("seed %d" % seed)
    lanes = 2
    server = world.serve("store.img", disk_mib=4096)
    source = pushed(world, server, "app")
    for lane in range(lanes):
        world.git("clone", "-q", source, world.path("work-%d" % lane))
    told, acknowledged = {}, 0
    for n in range(int(os.environ.get("PH_TEST_ROUNDS", 5))):
        stop, failed, news = threading.Event(), [], [{} for _ in range(lanes)]

        def run(lane):
            try:
                stream_of_pushes(world, server, lane, n, stop, news[lane])
            except Exception as e:
                failed.append(e)
        threads = [threading.Thread(target=run, args=(lane,)) for lane in range(lanes)]
        for t in threads:
            t.start()
        time.sleep(rng.uniform(0.1, 6 if world.platform in QEMU else 3))
        stop.set()
        server.kill()
        for t in threads:
            t.join()
        if failed:
            raise failed[0]
        server = world.serve("store.img", disk_mib=4096)
        check("store-disk" not in server.text().lower() or "damaged" not in server.text(), server.text())
        acknowledged += sum(len(new) for new in news)
        for new in news:
            told.update(new)
        there = dict(reversed(line.split("\t")) for line in
                     world.git("ls-remote", "--heads", server.url("app")).text.splitlines())
        for name, tip in told.items():
            got = there.get("refs/heads/" + name)
            # A push that was cut off may have been done all the same.
            later = name.startswith("main-") and got and subprocess.run(
                ["git", "merge-base", "--is-ancestor", tip, got], cwd=world.path("work-" + name[5:]),
                stderr=subprocess.DEVNULL).returncode == 0
            check(got == tip or later, "round %d: %s was acknowledged as %s, and is %s" % (n, name, tip, got))
        copy = world.path("copy-%d" % n)
        world.git("clone", "-q", "--bare", server.url("app"), copy)
        world.git("fsck", "--full", "--strict", "--no-dangling", cwd=copy)
        subprocess.run(["rm", "-rf", copy])
    print("%d acknowledged pushes" % acknowledged)
    check(acknowledged > 0, "no push was ever acknowledged")
    server.stop()


def refused(world, server, source, name, said):
    r = world.git("push", server.url("app"), "main:refs/heads/" + name, cwd=source, ok=False)
    check(r.code != 0, "the push went through")
    check(any(word in r.errtext for word in said), "none of %r in: %s" % (said, r.errtext))


@machine
def full_disk(world):
    """A push that does not fit is refused, and told why; what fits is served as before."""
    server = world.serve("store.img", disk_mib=16)
    source = pushed(world, server, "app")
    big = world.path("big")
    world.git("clone", "-q", server.url("app"), big)
    random_files(world, big, 24)
    for n in range(3):
        refused(world, server, big, "big-%d" % n, ("full", "no space", "No space"))
        world.commit(source, "small-%d" % n)
        world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
        copy = world.path("copy-%d" % n)
        world.git("clone", "-q", "--mirror", server.url("app"), copy)
        world.same(source, copy)
    # Filled to the last block by small ones: reading and deleting go on.
    work, n = world.path("work"), 0
    world.git("clone", "-q", server.url("app"), work)
    while True:
        check(n < 60, "the disk never fills")
        with open(work + "/fill", "wb") as f:
            f.write(os.urandom(400000))
        world.git("add", "fill", cwd=work)
        world.git("commit", "-q", "-m", "fill", cwd=work)
        r = world.git("push", "-q", server.url("app"), "HEAD:refs/heads/fill", cwd=work, ok=False)
        if r.code != 0:
            check("full" in r.errtext or "pace" in r.errtext, r.errtext)
            break
        n += 1
    check(n > 5, "only %d small pushes fit" % n)
    world.git("clone", "-q", "--mirror", server.url("app"), world.path("full"))
    world.git("fsck", "--strict", cwd=world.path("full"))
    world.ssh(server, "repo", "delete", "app")
    world.git("push", "-q", "--mirror", server.url("again"), cwd=source)
    server.stop()


def failing(world, server, said, **more):
    """A push into a disk that fails is refused; reading goes on; without the fault all is as before."""
    source = world.path("source-app-sha1-%d" % server.port)
    big = world.path("big")
    world.git("clone", "-q", server.url("app"), big)
    random_files(world, big, 24)
    before = world.git("ls-remote", server.url("app")).text
    server.stop()
    server = world.serve("store.img", **more)
    refused(world, server, big, "bad", ("error", "read-only"))
    equal(world.git("ls-remote", server.url("app")).text, before, "refs afterwards")
    copy = world.path("copy-of-failing")
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    world.same(source, copy)
    check(said in server.text(), "no line about it:\n" + server.text())
    server.stop()
    server = world.serve("store.img")
    equal(world.git("ls-remote", server.url("app")).text, before, "refs after a new start")
    world.git("push", "-q", server.url("app"), "main:refs/heads/good", cwd=big)
    copy = world.path("copy-at-last")
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    world.git("fsck", "--strict", cwd=copy)
    server.stop()


@machine
def write_errors(world):
    """Writes beyond some place fail in mid-push."""
    server = world.serve("store.img")
    pushed(world, server, "app")
    # The host refuses to write beyond 8 MiB of any file, with an error.
    failing(world, server, "disk", prefix=["prlimit", "--fsize=%d" % (8 << 20), "env", "--ignore-signal=XFSZ"])


def faulty(world, **fault):
    image = {"driver": "file", "filename": world.path("store.img")}
    return ["-blockdev", json.dumps({"driver": "raw", "node-name": "d", "file": {
        "driver": "blkdebug", "image": image, "inject-error": [dict(fault, errno=5)]}})]


@only(QEMU, "it is QEMU that makes flushes fail")
def flush_errors(world):
    """Flushes fail: nothing is acknowledged."""
    server = world.serve("store.img")
    pushed(world, server, "app")
    failing(world, server, "disk", drive=faulty(world, event="flush_to_disk", iotype="flush"))


@only(QEMU, "it is QEMU that makes reads fail")
def read_errors(world):
    """A bad sector under a pack: that clone fails and says so, others go on, and a good disk heals it."""
    server = world.serve("store.img")
    pushed(world, server, "app")
    big = world.path("big")
    world.git("clone", "-q", server.url("app"), big)
    random_files(world, big, 24)
    world.git("push", "-q", server.url("big"), "main", cwd=big)
    server.stop()
    server = world.serve("store.img", drive=faulty(world, event="read_aio", iotype="read",
                                                   sector=(16 << 20) // 512))
    for _ in range(3):
        r = world.git("clone", server.url("big"), world.path("never"), ok=False)
        check(r.code != 0, "a clone without what cannot be read")
        world.git("clone", "-q", "--mirror", server.url("app"), world.path("c-%d" % time.monotonic_ns()))
    check("disk" in server.text() and "error" in server.text().lower(), "no line about it:\n" + server.text())
    server.stop()
    server = world.serve("store.img")
    world.git("clone", "-q", "--mirror", server.url("big"), world.path("healed"))
    world.git("fsck", "--strict", cwd=world.path("healed"))
    server.stop()


CASES = [power_cuts, full_disk, write_errors, flush_errors, read_errors]
