# SPDX-License-Identifier: MIT
"""Servers killed with SIGKILL at any moment of a stream of pushes. PH_TEST_SEED chooses the moments and what is
pushed, PH_TEST_ROUNDS how often."""
import os
import random
import signal
import subprocess
import time

from harness import DAEMON, check, only
from kills import Kills, Moment, meter
from machines import QEMU
from nbd import PowerCutDisk

DISK_MIB = 512


def seed_and_rounds(rounds):
    seed = os.environ.get("PH_TEST_SEED", "1")
    print("seed %s" % seed)
    return seed, int(os.environ.get("PH_TEST_ROUNDS", rounds))


class Totals:
    def __init__(self):
        self.stores, self.counts = 0, {}

    def add(self, kills):
        self.stores += 1
        for what, n in kills.counts.items():
            self.counts[what] = self.counts.get(what, 0) + n

    def print(self, rounds, more=""):
        print("%d rounds, %d stores: %s%s" % (rounds, self.stores, ", ".join(
            "%d %s" % (n, what) for what, n in self.counts.items()), more))
        check(self.counts["acknowledged"] > 0, "no push was ever acknowledged")
        check(20 * self.counts["overtaken"] <= 20 + self.counts["acknowledged"], "too many were refused for no fault")


def kill_starting(world, store, rng):
    """A server that is killed while it makes or opens its store."""
    p = subprocess.Popen([world.packhorse, "serve", "--store", world.path(store), "--listen", "127.0.0.1:0",
                          "--authorized-keys", world.key("id") + ".pub"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=world.env())
    time.sleep(rng.uniform(0, 0.04))
    p.send_signal(signal.SIGKILL)
    p.wait()


def lives(seed, rounds, rng):
    """(name, its seed, rounds) of stores: one lives for long, another starts anew soon."""
    n = 0
    while n < rounds:
        count = min(rounds - n, rng.choice((10, 25, 100)))
        yield "store-%d.img" % n, "%s.%d" % (seed, n), count
        n += count


@only(DAEMON, "machines have kills of their own")
def killed_daemon(world):
    """The daemon dies in mid-push, again and again: fsck finds nothing, and what was acknowledged is there."""
    seed, rounds = seed_and_rounds(10 if world.sanitized() else 50)
    rng = random.Random("daemon %s" % seed)
    totals = Totals()
    for store, life, count in lives(seed, rounds, rng):
        moment = Moment(rng)
        kills = Kills(world, life, store)
        kill_starting(world, store, rng)
        server = world.daemon(store)
        kills.begin(server)
        for _ in range(count):
            kills.round(server, lambda: moment.wait(kills, lambda: meter(server.process.pid)))
            kills.fsck(world.path(store))
            if rng.random() < 0.15:
                kill_starting(world, store, rng)
                kills.fsck(world.path(store))
            server = world.daemon(store)
            repos = kills.compare(server)
            kills.clone(server, rng.choice(repos))
        for repo in repos:
            kills.clone(server, repo)
        server.stop()
        totals.add(kills)
        os.unlink(world.path(store))
    totals.print(rounds)


@only(QEMU, "it is QEMU that is killed")
def killed_machine(world):
    """QEMU dies in mid-push; its disk is a file, and all that it wrote is in there."""
    seed, rounds = seed_and_rounds(5)
    rng = random.Random("machine %s" % seed)
    totals = Totals()
    for store, life, count in lives(seed, rounds, rng):
        moment = Moment(rng)
        kills = Kills(world, life, store)
        server = world.serve(store, disk_mib=DISK_MIB)
        kills.begin(server)
        for _ in range(count):
            kills.round(server, lambda: moment.wait(kills, lambda: meter(server.process.pid)))
            kills.fsck(world.path(store))
            server = world.serve(store, disk_mib=DISK_MIB)
            kills.clone(server, rng.choice(kills.compare(server)))
        server.stop()
        totals.add(kills)
        os.unlink(world.path(store))
    totals.print(rounds)


def boot(world, store, disk):
    disk.start()
    return world.serve(store, "--initialize-disk", disk_mib=DISK_MIB, drive=disk.drive())


def unplug(kills, disk, moment):
    """Waits for the moment. Where requests are counted the disk itself pulls the plug, before the next."""
    def pull():
        kills.dead_since = time.monotonic()
        kills.server.process.kill()

    def set_last(last):
        disk.pull, disk.last = pull, last

    moment.wait(kills, lambda: [disk.requests], set_last)


@only(QEMU, "it is QEMU that is killed")
def unplugged_machine(world):
    """QEMU dies in mid-push, and its disk loses what was not flushed, or some of it, or parts of sectors."""
    seed, rounds = seed_and_rounds(5)
    rng = random.Random("unplugged %s" % seed)
    totals, lost = Totals(), [0, 0, 0, 0]
    for store, life, count in lives(seed, rounds, rng):
        moment = Moment(rng, counters=1)
        kills = Kills(world, life, store)
        with open(world.path(store), "wb") as f:
            f.truncate(DISK_MIB << 20)
        disk = PowerCutDisk(world.path(store), world.path("nbd-" + store), rng)
        server = boot(world, store, disk)
        kills.begin(server)
        for _ in range(count):
            kills.round(server, lambda: unplug(kills, disk, moment))
            disk.cut()
            kills.fsck(world.path(store))
            server = boot(world, store, disk)
            kills.clone(server, rng.choice(kills.compare(server)))
        server.stop()
        disk.cut()
        totals.add(kills)
        lost = [a + b for a, b in zip(lost, (disk.flushes, disk.lost, disk.kept, disk.torn))]
        os.unlink(world.path(store))
    totals.print(rounds, "; %d flushes; of writes under way %d lost, %d not, %d torn" % tuple(lost))


CASES = [killed_daemon, killed_machine, unplugged_machine]
