# SPDX-License-Identifier: MIT
"""What only a machine does: boot, refuse to, be told things at boot, power off, trade disks with the daemon."""
import base64
import os
import re
import socket
import struct
import subprocess
import threading
import time
import zlib

from cases_git import pushed
from harness import UNIKERNEL, check, equal, only, wait_for
from machines import QEMU, Net, Unikernel

machine = only(UNIKERNEL, "it is about a machine")
LINE = re.compile(r"\S+ (ERROR|WARN|WARNING|INFO|DEBUG) .*", re.I)


def host_key(world, server):
    out = world.run(["ssh-keyscan", "-T", "20", "-t", "ed25519", "-p", str(server.port), server.host]).text
    check("ssh-ed25519" in out, "a host key: " + out)
    return out.split()[2]


def fails(world, text, code=None, **more):
    """A boot that must end by itself, with an exit code that no restart mends, and a line saying why."""
    m = Unikernel(world, wait=False, **more)
    got = m.wait_exit(30)
    check(60 <= got <= 64 if code is None else got == code,
          "exit code %s, and not %s:\n%s" % (got, code or "60 to 64", m.text()))
    check(re.search(text, m.text(), re.I), "no line about '%s':\n%s" % (text, m.text()))
    check("ssh://" not in m.text(), "it served:\n" + m.text())
    return m


def own_keys_file(world):
    return world.write("authorized_keys", world.public("id"))


def random_files(world, source, mib, name="random"):
    """Commits mib MiB that do not compress; git need not spend its time on trying."""
    world.git("config", "core.compression", "0", cwd=source)
    for n in range(mib // 4 or 1):
        with open("%s/%s-%d" % (source, name, n), "wb") as f:
            f.write(os.urandom(min(mib, 4) << 20))
    world.git("add", ".", cwd=source)
    world.git("commit", "-q", "-m", "random", cwd=source)


@machine
def moves(world):
    """The daemon's file boots as the machine's disk, and goes back, with pushes in between."""
    source, keys = world.history(world.path("source")), set()
    for n in range(3):
        for serve in (world.daemon, world.serve):
            server = serve("moving.img")
            keys.add(host_key(world, server))
            if n or serve == world.serve:
                copy = world.path("copy-%d-%s" % (n, serve.__name__))
                world.git("clone", "-q", "--mirror", server.url("app"), copy)
                world.same(source, copy)
            for k in range(3):
                world.commit(source, "%s-%d-%d" % (serve.__name__, n, k))
                world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
            server.stop()
    equal(len(keys), 1, "host keys seen on the way")


def shutdown(server):
    r = server.world.ssh(server, "shutdown", ok=False)
    equal(r.code, 0, "exit status of shutdown: %s" % r.errtext)


@machine
def reboot(world):
    """Power off in every way there is, each in mid-push: the push ends well, and all is there again."""
    source = world.history(world.path("source"))
    pushed_so_far = []
    server = world.serve("store.img")
    for n, off in enumerate((shutdown, Unikernel.power_off)):
        world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
        work = world.path("work-%d" % n)
        world.git("clone", "-q", server.url("app"), work)
        random_files(world, work, 16)
        push = subprocess.Popen(["git", "push", "-q", server.url("late-%d" % n), "main"], cwd=work,
                                env=world.env(), stderr=subprocess.PIPE)
        before = os.stat(server.disk).st_blocks
        wait_for("the pack to arrive", lambda: os.stat(server.disk).st_blocks > before + 4096 or
                 push.poll() is not None)
        off(server)
        err = push.communicate(timeout=100)[1]
        equal(push.returncode, 0, "the push: %r" % err)
        server.stop(None)
        pushed_so_far.append((work, "late-%d" % n))
        server = world.serve("store.img")
        copy = world.path("copy-%d" % n)
        world.git("clone", "-q", "--mirror", server.url("app"), copy)
        world.same(source, copy)
        for work, name in pushed_so_far:
            check(world.rev(work) in world.git("ls-remote", server.url(name)).text, name)
        world.commit(source, "after-%d" % n)
    server.stop()


@machine
def shutdown_refused(world):
    """Only an owner shuts down."""
    server = world.serve("mem", keys=world.public("id") + 'packhorse="rw" ' + world.public("writer"))
    source = pushed(world, server, "app")
    r = world.ssh(server, "shutdown", key="writer", ok=False)
    check(r.code not in (0, 255), "exit status %d" % r.code)
    check(world.rev(source) in world.git("ls-remote", server.url("app")).text, "it serves")
    server.stop()


@machine
def boot_arguments(world):
    """Wrong ones: a line that says which, exit code 64. --help: 63."""
    keys = own_keys_file(world)
    for bad in ("--bogus", "port=22", "--ipv4=nonsense", "--ipv4=10.0.0.300/24", "--ipv4-gateway=x",
                "--ipv6=fd00::2/200", "--port=0", "--port=70000", "--port=ssh", "--logs=*:loud",
                "--ssh-key=junk", "--ssh-key=ed25519:junk", "--authorized-key=junk"):
        fails(world, re.escape(bad.split("=")[0].lstrip("-")), 61 if "ssh-key" in bad else 64, arguments=[bad],
              module=keys)
    m = fails(world, "--ipv4", 63, arguments=["--help"])
    for option in ("--ipv4-gateway", "--ipv6", "--ssh-key", "--authorized-key", "--port", "--name", "--logs",
                   "--initialize-disk", "--anon-read"):
        check(option in m.text(), "%s in the help:\n%s" % (option, m.text()))
    fails(world, "authorized", arguments=[])


@machine
def boot_refused(world):
    """What it cannot work with is said in one line, and nothing is touched."""
    keys = own_keys_file(world)
    fails(world, "network", net=False, module=keys)

    def disk(name, data, mib=16):
        path = world.write(name, data)
        os.truncate(path, mib << 20)
        return path
    precious = b"precious" * 100000
    for arguments in ([], ["--initialize-disk"]):
        path = disk("theirs.img", precious)
        fails(world, "disk", disk=path, arguments=arguments, module=keys)
        with open(path, "rb") as f:
            equal(f.read(len(precious)), precious, "the disk of somebody else")
    fails(world, "initialize-disk", disk=disk("blank.img", b""), module=keys)
    fails(world, "disk", disk=world.write("tiny.img", bytes(65536)), arguments=["--initialize-disk"],
          module=keys)
    # A store of a later version: all its superblocks say so, and are whole.
    server = world.serve("later.img", disk_mib=16)
    pushed(world, server, "app")
    server.stop()
    with open(server.disk, "r+b") as f:
        ring = f.read(32 * 4096)
        for at in range(0, len(ring), 4096):
            block = bytearray(ring[at:at + 4096])
            if block[:8] == b"PACKHORS":
                block[8:12] = struct.pack("<I", 7)
                block[-4:] = struct.pack("<I", zlib.crc32(block[:-4]))
                f.seek(at)
                f.write(block)
    fails(world, "version|format", disk=server.disk, module=keys)
    # A later one boots the disk that it was; the ring as it was kept all.
    with open(server.disk, "r+b") as f:
        f.write(ring)
    world.git("ls-remote", world.serve("later.img", disk_mib=16).url("app"))


@only(QEMU, "elsewhere the processor or the kernel always has entropy")
def entropy(world):
    """No source of entropy: no boot. VIRTIO's is one."""
    keys = own_keys_file(world)
    fails(world, "entropy", entropy=False, module=keys)
    rng = "virtio-rng-" + ("pci" if world.platform == "q35" else "device")
    server = world.serve("mem", entropy=False, qemu=["-device", rng])
    pushed(world, server, "app")
    server.stop()


@only(QEMU, "it is a drive that cannot be written")
def read_only_disk(world):
    """A disk that cannot be written: clones are served or the boot refused, and a line says why."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    server.stop()
    m = Unikernel(world, server.disk, module=own_keys_file(world), wait=False,
                  drive=["-drive", "id=d,if=none,format=raw,readonly=on,file=" + server.disk])
    wait_for("it to serve, or not to", lambda: not m.alive() or "ssh://" in m.text())
    check("read-only" in m.text(), "a line about it:\n" + m.text())
    if m.alive():
        world.git("clone", "-q", m.url("app"), world.path("copy"))
        r = world.git("push", m.url("app"), "main:new", cwd=source, ok=False)
        check(r.code != 0 and ("read-only" in r.errtext or "remote" in r.errtext), r.errtext)
        m.stop()


@machine
def told_at_boot(world):
    """Keys, host key, name and log levels as arguments; the same host key each time."""
    line = world.public("id").strip()
    second = 'from="10.0.0.0/8",packhorse="ro" ' + world.public("reader").strip()
    secret = "ed25519:" + base64.b64encode(bytes(range(32))).decode()
    seen = set()
    for n in range(2):
        server = world.serve("mem", "--authorized-key=" + line, "--authorized-key=" + second,
                             "--ssh-key=" + secret, "--name=horse", keys=False)
        seen.add(host_key(world, server))
        source = pushed(world, server, "app")
        world.git("clone", "-q", server.url("app"), world.path("copy-%d" % n), key="reader")
        r = world.git("push", server.url("app"), "main:new", cwd=source, key="reader", ok=False)
        check(r.code != 0 and "remote error" in r.errtext, r.errtext)
        check(world.git("ls-remote", server.url("app"), key="other", ok=False).code != 0, "a stranger")
        server.stop()
    equal(len(seen), 1, "host keys of one secret")


@machine
def console(world):
    """Lines of at most 512 bytes: time, level, source, text; nothing of a peer's gets through raw."""
    server = world.serve("store.img", keys="".join(
        [world.public("id"), "no-such-option " + world.public("id"), "x" * 5000 + "\n"]))
    pushed(world, server, "app")
    for name in ("x" * 3000, "a\x1b[2Jb", "line\nbreak", "\u202egnp"):
        world.ssh(server, "git-upload-pack '%s'" % name, ok=False)
        world.ssh(server, name, ok=False)
    world.run(["ssh", "-F", world.ssh_config("other"), "-p", str(server.port), "-l", "u\x1b[1m" * 200,
               server.host, "x"], ok=False)
    start = server.text()
    server.stop()
    for want in (r"packhorse", r"SHA256:[\w+/]{43}", r"ssh://[^ ]*:%d/" % server.port, re.escape(server.host)):
        check(re.search(want, start), "%s at start:\n%s" % (want, start))
    for text in server.errors().split(b"\n")[:-1]:
        text = text.rstrip(b"\r")
        check(len(text) < 512, "a line of %d bytes" % len(text))
        check(all(c >= 32 and c != 127 for c in text), "control characters: %r" % text)
        check(LINE.fullmatch(text.decode()), "not a log line: %r" % text)


def dhcp_server(net, seen, stop):
    """Gives its one address to whoever asks; seen gets the options of each request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, net.tap.encode() + b"\0")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.bind(("", 67))
        s.settimeout(0.2)
        while not stop.is_set():
            try:
                asked = s.recv(2000)
            except OSError:
                continue
            options, at = {}, 240
            while at + 1 < len(asked) and asked[at] != 255:
                options[asked[at]] = asked[at + 2:at + 2 + asked[at + 1]]
                at += 2 + asked[at + 1] if asked[at] else 1
            seen.append(options)
            if options.get(53) not in (b"\1", b"\3"):
                continue
            ours, theirs = socket.inet_aton(net.ours), socket.inet_aton(net.theirs)
            answer = struct.pack(">BBBB4sHH4s4s4s4s", 2, 1, 6, 0, asked[4:8], 0, 0x8000, bytes(4), theirs, ours,
                                 bytes(4)) + asked[28:44] + bytes(192) + b"\x63\x82\x53\x63"
            for kind, value in ((53, b"\2" if options[53] == b"\1" else b"\5"), (54, ours),
                                (51, struct.pack(">I", 3600)), (1, b"\xff\xff\xff\0"), (3, ours)):
                answer += bytes((kind, len(value))) + value
            s.sendto(answer + b"\xff", ("255.255.255.255", 68))


def advertise(net, stop):
    """A router's advertisements of fd00:99::/64."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, net.tap.encode() + b"\0")
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        prefix = struct.pack(">BBBBIII16s", 3, 4, 64, 0xc0, 3600, 3600, 0,
                             socket.inet_pton(socket.AF_INET6, "fd00:99::"))
        while not stop.wait(0.5):
            try:
                s.sendto(struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix,
                         ("ff02::1", 0, 0, socket.if_nametoindex(net.tap)))
            except OSError:
                pass  # No address of our own yet.


@machine
def addresses(world):
    """Without addresses at boot: IPv4 by DHCP, with the machine's name, and IPv6 from a router."""
    net, seen, stop = Net(), [], threading.Event()
    world.nets[world.path("store.img")] = net
    subprocess.run(["ip", "addr", "add", "fd00:99::1/64", "dev", net.tap, "nodad"], check=True)
    threads = [threading.Thread(target=dhcp_server, args=(net, seen, stop)),
               threading.Thread(target=advertise, args=(net, stop))]
    for t in threads:
        t.start()
    try:
        server = world.serve("store.img", "--name=horse", addresses=False)
        wait_for("the address from DHCP", lambda: "ssh://%s:" % net.theirs in server.text().replace("git@", ""))
        check(any(o.get(12) == b"horse" for o in seen), "its name, told to the DHCP server: %r" % seen)
        source = pushed(world, server, "app")
        six = re.compile(r"\[(fd00:99:[0-9a-f:]+)\]", re.I)
        wait_for("an address from the router", lambda: six.search(server.text()))
        server.host = six.search(server.text())[1]
        copy = world.path("copy")
        world.git("clone", "-q", "--mirror", server.url("app"), copy)
        world.same(source, copy)
        server.stop()
    finally:
        stop.set()
        for t in threads:
            t.join()


def big_push(world, mem, mib, disk_mib=1024):
    """A push and clones of mib MiB through a machine of mem MiB."""
    source = world.history(world.path("source"), commits=40)
    random_files(world, source, mib)
    server = world.serve("store.img", mem=mem, disk_mib=disk_mib)
    world.git("push", "-q", "--mirror", server.url("app"), cwd=source)
    for n in range(2):
        copy = world.path("copy-%d" % n)
        world.git("clone", "-q", "--mirror", server.url("app"), copy)
        world.same(source, copy)
    server.stop()


@machine
def small_memory(world):
    """A small repository in 16 MiB."""
    big_push(world, 16, 2)


@machine
def memory_does_not_grow(world):
    """100 MiB pushed to, and cloned from, a machine of 64 MiB."""
    big_push(world, 64, 100)


@only(UNIKERNEL, "it is about a machine's memory")
def named_repository(world):
    """A real repository (PH_TEST_REPOSITORY, bare): pushed with 128 MiB, cloned with 64 MiB."""
    source = os.environ.get("PH_TEST_REPOSITORY")
    check(source, "PH_TEST_REPOSITORY names no repository")
    server = world.serve("store.img", mem=128, disk_mib=4096)
    start = time.monotonic()
    world.git("push", "-q", server.url("app"), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*",
              cwd=source, timeout=3000)
    print("push: %.1f s, %r" % (time.monotonic() - start, server.figures()))
    server.stop()
    server = world.serve("store.img", mem=64, disk_mib=4096)
    start = time.monotonic()
    copy = world.path("copy")
    world.git("clone", "-q", "--mirror", server.url("app"), copy, timeout=3000)
    print("clone: %.1f s, %r" % (time.monotonic() - start, server.figures()))
    heads = [line for line in world.refs(source) if " refs/heads/" in line or " refs/tags/" in line]
    equal(world.refs(copy), heads, "refs")
    world.git("fsck", "--connectivity-only", cwd=copy, timeout=3000)
    server.stop()


CASES = [moves, reboot, shutdown_refused, boot_arguments, boot_refused, entropy, read_only_disk, told_at_boot,
         console, addresses, small_memory, memory_does_not_grow, named_repository]
