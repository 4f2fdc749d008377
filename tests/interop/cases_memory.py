# SPDX-License-Identifier: MIT
"""Transfers that wait for memory, and addresses that open more connections than is good for others."""
import os
import select
import socket
import subprocess
import time

from cases_git import pushed
from cases_refused import push_raw, small_pack
from harness import DAEMON, DELIM, FLUSH, Raw, check, equal, only, pack, pkt, wait_for

ZERO = "0" * 40


def held_clone(world, server, name, tip):
    """A clone whose pack nobody reads; what it is told, and what it answers, goes to files."""
    raw = Raw(world, server, "git-upload-pack", name, version=2)
    raw.until_flush()
    raw.send(pkt("command=fetch"), DELIM, pkt("want " + tip), pkt("done"), FLUSH)
    os.set_blocking(raw.p.stderr.fileno(), False)
    raw.told = b""
    return raw


def waits(raw):
    raw.told += raw.p.stderr.read() or b""
    return b"waiting for memory: " in raw.told


def begun(raw):
    """Whether the answer has begun: the pack is there to be read."""
    return bool(select.select([raw.p.stdout], [], [], 0)[0])


def fill(world, server, name, tip):
    """Held clones until one has to wait: the ones that run, and that one."""
    running = []
    while True:
        raw = held_clone(world, server, name, tip)
        wait_for("a clone to begin or to wait", lambda: waits(raw) or begun(raw))
        if waits(raw):
            return running, raw
        running.append(raw)
        check(len(running) < 12, "memory for everybody")


@only(DAEMON, "the machine's memory is its own; admission and small_memory look at it")
def waiting_for_memory(world):
    """Who finds memory taken is told so and served later; who gives up waiting leaves nothing behind."""
    server = world.serve("store.img", "--memory", "24")
    source = pushed(world, server, "app", commits=5)
    with open(source + "/random", "wb") as f:
        f.write(os.urandom(24 << 20))
    world.git("add", "random", cwd=source)
    world.git("commit", "-q", "-m", "random", cwd=source)
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    tip = world.rev(source)
    running, waiting = fill(world, server, "app", tip)
    check(len(running) >= 4, "%d transfers at once in 24 MB" % len(running))
    check(b"waiting for memory: %d transfers are running" % len(running) in waiting.told,
          "what the first to wait is told: %r" % waiting.told)
    check(not begun(waiting), "it waits")
    # What needs no memory to speak of is served meanwhile.
    check(tip in world.git("ls-remote", server.url("app")).text, "ls-remote")
    clone = subprocess.Popen(["git", "clone", "-q", server.url("app"), world.path("late")], env=world.env(),
                             stderr=subprocess.PIPE)
    world.commit(source, "yet-more")
    push = subprocess.Popen(["git", "push", server.url("app"), "main:late"], cwd=source, env=world.env(),
                            stderr=subprocess.PIPE)
    wait_for("two more to wait", lambda: server.text().count("waiting for memory") >= 3)
    waiting.kill()
    time.sleep(0.3)
    check(clone.poll() is None and push.poll() is None, "they wait until a transfer ends")
    for raw in running:
        raw.kill()
    err = clone.communicate(timeout=120)[1]
    equal(clone.returncode, 0, "the clone that waited: %r" % err)
    check(b"waiting for memory" in err, "what git's user reads: %r" % err)
    err = push.communicate(timeout=120)[1]
    equal(push.returncode, 0, "the push that waited: %r" % err)
    check(b"remote: waiting for memory" in err, "what git's user reads: %r" % err)
    # All is given back: as many as before may run again.
    again, waiting = fill(world, server, "app", tip)
    equal(len(again), len(running), "transfers at once")
    for raw in [*again, waiting]:
        raw.kill()
    server.stop()


@only(DAEMON, "the machine's memory is its own")
def not_enough_memory(world):
    """A push that no waiting would help is refused and told why; small ones go on."""
    server = world.serve("mem", "--memory", "16")
    source = pushed(world, server, "app")
    entries, tip = small_pack()
    code, out, err = push_raw(world, server, "app", ZERO, tip, "refs/heads/x", pack(*entries, count=5000000))
    equal(code, 0, "an orderly refusal")
    check(b"unpack not enough memory: this needs " in out, "what the client reads: %r" % out)
    check(b" MiB, and the server has 16 MiB for transfers" in out, "what the client reads: %r" % out)
    check(b"ng refs/heads/x" in out, "the ref is refused: %r" % out)
    world.commit(source)
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    server.stop()


@only(DAEMON, "its address is the only one of its network")
def flood_from_one_address(world):
    """One address with hundreds of connections that do not log in locks itself out, and nobody else."""
    server = world.serve("mem")
    pushed(world, server, "app")
    held = server.connections()
    flood, closed = [], 0
    for _ in range(300):
        s = socket.create_connection((server.host, server.port), timeout=20)
        flood.append(s)
    for s in flood:
        s.settimeout(0.2)
        try:
            closed += s.recv(1) == b""
        except (TimeoutError, ConnectionError) as error:
            closed += isinstance(error, ConnectionError)
    check(closed >= 150, "%d of 300 were turned away" % closed)
    check(world.ssh(server, "help", ok=False).code != 0, "the address itself is locked out")
    for _ in range(3):
        world.ssh(server, "help", options=["BindAddress=127.0.0.2"])
    for s in flood:
        s.close()
    wait_for("the connections to close", lambda: server.connections() <= held, 60)
    world.ssh(server, "help")
    server.stop()


CASES = (waiting_for_memory, not_enough_memory, flood_from_one_address)
