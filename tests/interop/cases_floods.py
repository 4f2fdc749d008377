# SPDX-License-Identifier: MIT
"""Many connections, connections that stop half-way at every stage, and frames that nobody should send."""
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

from cases_git import pushed
from cases_machine import machine, random_files
from harness import DELIM, FLUSH, Raw, check, equal, pkt, wait_for



class Relay:
    """Between a client and a server. Lets limit bytes of the client's through, and then nothing."""

    def __init__(self, server, limit=1 << 60):
        self.said, self.limit = b"", limit
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.far = socket.create_connection((server.host, server.port), timeout=60)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        near, _ = self.listener.accept()
        self.near = near
        while True:
            wanted = [self.far] + ([near] if len(self.said) < self.limit else [])
            for s in select.select(wanted, [], [])[0]:
                try:
                    data = s.recv(65536 if s is self.far else min(65536, self.limit - len(self.said)))
                    if not data:
                        return self.close()
                    if s is near:
                        self.said += data
                    (near if s is self.far else self.far).sendall(data)
                except (OSError, ValueError):
                    return self.close()

    def stop(self):
        try:
            self.far.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It was closed by the server.

    def close(self):
        for s in (self.near, self.far, self.listener):
            s.close()


def ssh_through(world, relay):
    return subprocess.Popen(["ssh", "-F", world.ssh_config("id"), "-p", str(relay.port), "127.0.0.1", "help"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def recorded(world, server):
    """What a client says in a whole login; its first part can be said again by anybody."""
    relay = Relay(server)
    ssh = ssh_through(world, relay)
    equal(ssh.wait(60), 0, "ssh through a relay")
    relay.thread.join(20)
    return relay.said


def hello(server, data, pause=0.0):
    """A connection on which data was said, as soon as the server had said its name."""
    s = socket.create_connection((server.host, server.port), timeout=60)
    if data:
        s.recv(100)
        try:
            s.sendall(data)
        except OSError:
            pass
    return s


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def quiet(server, seconds=60):
    wait_for("the connections to close", lambda: server.connections() == 0, seconds)


def connections_round(world, server, said, rng, each):
    """each good ones, refused ones, half-open ones, and ones killed in the handshake."""
    def many(work):
        threads = [threading.Thread(target=work, args=(each // 5,)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    failed = []

    def good(n):
        for _ in range(n):
            if world.ssh(server, "help", ok=False).code != 0:
                failed.append("a good one was refused")

    def refused(n):
        for _ in range(n):
            if world.ssh(server, "help", key="other", ok=False).code != 255:
                failed.append("a stranger was let in")
    many(good)
    many(refused)
    check(not failed, "%d times: %s" % (len(failed), failed[:1]))
    for n in range(each):
        s = hello(server, b"" if n % 2 else said[:20])
        (reset if n % 3 else socket.socket.close)(s)
    for n in range(each):
        s = hello(server, said[:rng.randrange(len(said))])
        if n % 2:
            time.sleep(0.003)
        (reset if n % 3 else socket.socket.close)(s)


@machine
def thousand_connections(world):
    """Good, refused, half-open, killed in the handshake: memory is what it was before."""
    server = world.serve("mem", mem=64)
    pushed(world, server, "app")
    world.key("other")
    rng, said = random.Random(1), recorded(world, server)
    each = 250 if world.platform == "host" else 50
    # The first ones fill what is kept for good.
    connections_round(world, server, said, rng, 25)
    quiet(server)
    first = most = server.memory_kib()
    # What is lost grows with every round, and by more than this when a thousand connections lose 32 bytes
    # each. How the last ones of a round happened to overlap moves a few pages to and fro.
    for number in range(5):
        connections_round(world, server, said, rng, each)
        quiet(server)
        after = server.memory_kib()
        print("%d connections: %d KiB at most before, %d KiB after" % (each * 4, most, after))
        check(after <= first + 32, "%d KiB at first, %d KiB now" % (first, after))
        if after <= most:
            break
        most = after
    else:
        check(False, "memory grew in each of %d rounds, to %d KiB" % (number + 1, after))
    check("refs/heads/main" in world.git("ls-remote", server.url("app")).text, "it serves")
    server.stop()


@machine
def held_at_every_stage(world):
    """Connections that stop after any number of a client's bytes: others are served, and these end."""
    server = world.serve("store.img", mem=64)
    source = pushed(world, server, "app")
    total = len(recorded(world, server))
    relays = [Relay(server, n) for n in range(1, total, max(1, total // 60))]
    clients = [ssh_through(world, r) for r in relays]
    idle = [hello(server, b"") for _ in range(60)]
    for n in range(3):
        copy = world.path("copy-%d" % n)
        world.git("clone", "-q", "--mirror", server.url("app"), copy, timeout=60)
        world.same(source, copy)
        world.commit(source)
        world.git("push", "-q", "--mirror", server.url("app"), cwd=source, timeout=60)
    # Those that did not log in are thrown out; who did may stay, and is closed here.
    wait_for("those that wait to be thrown out", lambda: server.connections() <= 20, 90)
    for r in relays:
        r.stop()
    for c in clients:
        c.kill()
        c.wait()
    for s in idle:
        s.close()
    quiet(server)
    server.stop()


# ---- frames ----

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(source, target, protocol, payload, **field):
    total = field.get("total", 20 + len(payload))
    head = struct.pack(">BBHHHBBH4s4s", field.get("version", 0x45), 0, total, 1, field.get("fragment", 0), 64,
                       protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def tcp(source, target, ports, seq, flags, options=b"", payload=b"", offset=None):
    offset = (20 + len(options)) // 4 if offset is None else offset
    head = struct.pack(">HHIIBBHHH", *ports, seq, 0, (offset & 15) << 4, flags, 65535, 0, 0) + options + payload
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack(">BBH", 0, 6, len(head))
    return head[:16] + struct.pack(">H", checksum(pseudo + head)) + head[18:]


class Wire:
    """Frames of any kind to a machine."""

    def __init__(self, net):
        self.net = net
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self.s.bind((net.tap, 0))
        self.ours = self.s.getsockname()[4]
        socket.create_connection((net.theirs, net.port), timeout=20).close()
        out = subprocess.run(["ip", "neigh", "show", net.theirs, "dev", net.tap], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        self.theirs = bytes.fromhex(out.split("lladdr ")[1].split()[0].replace(":", ""))
        self.sent = 0

    def frame(self, kind, payload, target=None):
        try:
            self.s.send((target or self.theirs) + self.ours + struct.pack(">H", kind) + payload)
            self.sent += 1
        except OSError:
            pass  # The device's queue is full.

    def ping(self):
        """Whether an echo comes back. What was not read meanwhile may have filled our own buffer."""
        for _ in range(3):
            while select.select([self.s], [], [], 0)[0]:
                self.s.recv(2000)
            body = struct.pack(">BBHHH", 8, 0, 0, 77, 1) + os.urandom(32)
            body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
            self.frame(0x0800, ip4(self.net.ours, self.net.theirs, 1, body))
            end = time.monotonic() + 3
            while time.monotonic() < end:
                if select.select([self.s], [], [], 0.5)[0]:
                    got = self.s.recv(2000)
                    if got[12:14] == b"\x08\0" and got[23] == 1 and got[34] == 0 and got[42:] == body[8:]:
                        return True
        return False


def during(world, server, source, work):
    """Clones and pushes while work(stop) runs in another thread."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        for n in range(3):
            copy = world.path("during-%d" % time.monotonic_ns())
            world.git("clone", "-q", "--mirror", server.url("app"), copy, timeout=100)
            world.same(source, copy)
            world.commit(source)
            world.git("push", "-q", "--mirror", server.url("app"), cwd=source, timeout=100)
    finally:
        stop.set()
        thread.join()


@machine
def syn_flood(world):
    """Connections that are never opened in full, from everywhere, while others clone and push."""
    server = world.serve("store.img", mem=64)
    source = pushed(world, server, "app")
    wire, rng = Wire(server.net), random.Random(2)

    def flood(stop):
        while not stop.is_set():
            for _ in range(50):
                address = "198.18.%d.%d" % (rng.randrange(256), rng.randrange(1, 255))
                wire.frame(0x0800, ip4(address, server.host, 6, tcp(
                    address, server.host, (rng.randrange(1024, 65536), server.port), rng.getrandbits(32), 2,
                    b"\2\4\5\xb4")))
            time.sleep(0.01)
    during(world, server, source, flood)
    print("%d frames" % wire.sent)
    quiet(server, 90)
    server.stop()


def odd_frames(rng, server, wire):
    """Endless frames with something wrong in each layer."""
    ours, theirs, ports = server.net.ours, server.host, (4444, server.port)
    while True:
        kind = rng.randrange(12)
        junk = rng.randbytes(rng.randrange(1, 1400))
        if kind == 0:
            yield rng.choice((0x0800, 0x86dd, 0x0806, 0x8100, rng.randrange(65536))), junk
        elif kind == 1:
            yield 0x0800, ip4(ours, theirs, rng.randrange(256), junk)
        elif kind == 2:
            yield 0x0800, ip4(ours, theirs, 6, junk, total=rng.randrange(65536))
        elif kind == 3:
            yield 0x0800, ip4(ours, theirs, 17, junk, fragment=rng.choice((0x2000, 0x1fff, 0x2001, 100)))
        elif kind == 4:
            yield 0x0800, ip4(ours, theirs, 6, junk, version=0x40 | rng.randrange(16))
        elif kind == 5:
            options = rng.randbytes(rng.randrange(0, 10) * 4)
            yield 0x0800, ip4(ours, theirs, 6, tcp(ours, theirs, ports, 1, rng.randrange(256), options))
        elif kind == 6:
            yield 0x0800, ip4(ours, theirs, 6, tcp(ours, theirs, ports, 1, 2, offset=rng.randrange(16)))
        elif kind == 7:
            # Options whose lengths are wrong: MSS, window scale, SACK, time stamps.
            options = bytes((rng.choice((2, 3, 4, 5, 8, 99)), rng.choice((0, 1, 3, 255)), 1, 0))
            yield 0x0800, ip4(ours, theirs, 6, tcp(ours, theirs, ports, rng.getrandbits(32), 2, options))
        elif kind == 8:
            yield 0x0800, ip4(ours, theirs, 1, junk)
        elif kind == 9:
            yield 0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, rng.randrange(4)) + junk[:20]
        elif kind == 10:
            # Neighbour discovery and other ICMPv6, with a wrong checksum or a random body.
            body = bytes((rng.choice((133, 134, 135, 136, 137, 128, 130)), 0)) + junk[:200]
            yield 0x86dd, struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + socket.inet_pton(
                socket.AF_INET6, server.net.ours6) + socket.inet_pton(
                socket.AF_INET6, server.net.theirs6) + body
        else:
            # Extension headers, chained or endless.
            yield 0x86dd, struct.pack(">IHBB", 6 << 28, rng.choice((len(junk), 0, 65535)), rng.choice(
                (0, 43, 44, 60)), 255) + socket.inet_pton(socket.AF_INET6, server.net.ours6) + socket.inet_pton(
                socket.AF_INET6, server.net.theirs6) + junk


@machine
def packet_flood(world):
    """Frames of every wrong kind, and floods of right ones: clones and pushes go on; echo is answered."""
    server = world.serve("store.img", mem=64)
    source = pushed(world, server, "app")
    wire, rng = Wire(server.net), random.Random(int(os.environ.get("PH_TEST_SEED", "3")))
    frames = odd_frames(rng, server, wire)
    check(wire.ping(), "an echo before")

    def flood(stop):
        while not stop.is_set():
            for _ in range(100):
                wire.frame(*next(frames))
            time.sleep(0.01)
    during(world, server, source, flood)
    print("%d frames" % wire.sent)
    check(wire.ping(), "an echo afterwards")
    quiet(server, 90)
    server.stop()


# ---- admission ----

class Transfer:
    """A fetch of everything that stops before its first byte of pack is taken."""

    def __init__(self, world, server, tip):
        self.raw, self.started, self.said = Raw(world, server, "git-upload-pack", "app", version=2), False, b""
        self.tip = tip
        for work in (self.listen, self.begin):
            threading.Thread(target=work, daemon=True).start()

    def listen(self):
        while True:
            data = os.read(self.raw.p.stderr.fileno(), 4096)
            if not data:
                return
            self.said += data

    def begin(self):
        self.raw.until_flush()
        self.raw.send(pkt("command=fetch\n"), DELIM, pkt("want %s\n" % self.tip), pkt("done\n"), FLUSH)
        self.started = self.raw.packet() == b"packfile\n"

    def take(self):
        """All of it, once it has started; how many bytes there were."""
        n = sum(len(p) for p in self.raw.until_flush())
        self.raw.p.stdin.close()
        equal(self.raw.p.wait(60), 0, "exit status of a transfer: %r" % self.said)
        return n


@machine
def admission(world):
    """64 MiB: 200 idle or authenticating connections and 4 transfers or more; who waits is told, and runs."""
    server = world.serve("store.img", mem=64)
    source = world.history(world.path("source"))
    random_files(world, source, 16)
    world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
    tip, said = world.rev(source), recorded(world, server)
    rng = random.Random(4)
    first = said.index(b"\n") + 1
    crowd = [hello(server, said[:rng.choice((0, first, rng.randrange(first, len(said) // 2)))])
             for _ in range(200)]

    # They ask for everything and take nothing yet; those at the end have to wait.
    transfers = [Transfer(world, server, tip) for _ in range(24)]
    wait_for("all to start, or to be told", lambda: all(t.started or t.said for t in transfers), 60)
    waiting = [t for t in transfers if not t.started]
    print("%d wait: %r" % (len(waiting), waiting and waiting[0].said))
    check(waiting and len(waiting) <= 20, "%d wait" % len(waiting))
    check(all(b"waiting for memory" in t.said for t in waiting), "what they are told")
    while transfers:
        wait_for("the next one to start", lambda: any(t.started for t in transfers), 60)
        t = next(t for t in transfers if t.started)
        check(t.take() > 16 << 20, "a whole pack")
        transfers.remove(t)
    equal(sum(server.text().count(s) for s in ("out of memory", "nobody let in: too many")), 0, "out of memory")
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", server.url("app"), copy)
    world.same(source, copy)
    for s in crowd:
        s.close()
    server.stop()


CASES = [thousand_connections, held_at_every_stage, syn_flood, packet_flood, admission]
