# SPDX-License-Identifier: MIT
"""The unikernel as a server of the harness: as a process on a tap device ("host", "process"), and in
QEMU without hardware acceleration ("microvm", "q35").

Everything happens in a network namespace that run.py enters before anything else: its tap devices and
addresses vanish with it, and nobody else's network is touched. A machine has 10.0.N.2 and fd00:N::2, we
have 10.0.N.1 and fd00:N::1; N belongs to a disk, so that a machine that boots again is found where it was.
"""
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

from harness import Failed, SANITIZER, check, equal, wait_for

PLATFORMS = ("host", "process", "microvm", "q35")
QEMU = ("microvm", "q35")
ENTERED = "PH_TEST_NAMESPACE"
MEMORY = re.compile(r"memory: (\d+) KiB used, (\d+) KiB peak, (\d+) connections?")


def enter_namespace(argv):
    """Starts this program again in a network namespace of its own; needs root, or user namespaces."""
    if os.environ.pop(ENTERED, None) == str(os.getpid()):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    probe = subprocess.run([*unshare, "ip", "tuntap", "add", "dev", "probe", "mode", "tap"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if probe.returncode != 0:
        sys.exit("these tests need a network namespace with a tap device: root, or unprivileged user "
                 "namespaces, and /dev/net/tun: " + probe.stdout.decode(errors="replace").strip())
    os.environ[ENTERED] = str(os.getpid())
    os.execvp(unshare[0], [*unshare, sys.executable, "-B", *argv])


class Net:
    """A tap device, and who has which address on it."""
    count = 0

    def __init__(self):
        Net.count += 1
        self.n = Net.count
        self.tap = "ph%d" % self.n
        self.ours, self.theirs = "10.0.%d.1" % self.n, "10.0.%d.2" % self.n
        self.ours6, self.theirs6 = "fd00:%d::1" % self.n, "fd00:%d::2" % self.n
        self.port = 2200 + self.n
        for command in ("tuntap add dev {0} mode tap", "addr add {1}/24 dev {0}",
                        "-6 addr add {2}/64 dev {0} nodad", "link set {0} up"):
            subprocess.run(["ip", *command.format(self.tap, self.ours, self.ours6).split()], check=True)

    def arguments(self, addresses):
        return (["--ipv4=%s/24" % self.theirs, "--ipv4-gateway=" + self.ours, "--ipv6=%s/64" % self.theirs6]
                if addresses else []) + ["--port=%d" % self.port]


class Unikernel:
    """A machine of world.unikernel on world.platform. wait False: it is not expected to come up."""

    def __init__(self, world, disk=None, arguments=(), module=None, net=True, mem=None, wait=True, addresses=True,
                 qemu=(), drive=None, entropy=True, prefix=()):
        self.world, self.disk = world, disk
        self.platform, self.image, self.mem = world.platform, world.unikernel, mem or 128
        self.net = None
        if net:
            key = disk or "net-%d" % len(world.servers)
            self.net = world.nets[key] = world.nets.get(key) or Net()
            subprocess.run(["ip", "neigh", "flush", "dev", self.net.tap], check=True)
            arguments = [*self.net.arguments(addresses), *arguments]
            self.host, self.port = self.net.theirs, self.net.port
        self.err = world.path("console-%d" % len(world.servers))
        self.qmp_path = world.path("qmp-%d" % len(world.servers))
        make = self.qemu if self.platform in QEMU else self.hosted
        self.argv = make(list(arguments), module, list(qemu), drive, entropy)
        with open(self.err, "wb") as out:
            # Dies with us even when we are killed.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *prefix, *self.argv], stdout=out,
                                            stderr=out, stdin=subprocess.DEVNULL, cwd=world.top)
        world.servers.append(self)
        if wait:
            self.wait_ready()

    def hosted(self, arguments, module, qemu, drive, entropy):
        argv = [self.image, "--mem=%d" % self.mem]
        if self.net:
            argv.append("--net:service=" + self.net.tap)
        if self.disk:
            argv.append("--block:storage=" + self.disk)
        if module:
            argv.append("--module=" + module)
        return [*argv, "--", *arguments]

    def qemu(self, arguments, module, qemu, drive, entropy):
        pci = self.platform == "q35"
        kind = "pci,romfile=" if pci else "device"
        argv = ["qemu-system-x86_64", "-M", self.platform, "-accel", "tcg",
                "-cpu", "max" if entropy else "max,-rdrand,-rdseed", "-m", str(self.mem),
                "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
                "-device", "isa-debug-exit,iobase=0x501,iosize=4",
                "-qmp", "unix:%s,server=on,wait=off" % self.qmp_path,
                "-kernel", self.image, "-append", shlex.join(["isa_debug_exit=0x501", *arguments])]
        if not pci:
            argv += ["-global", "virtio-mmio.force-legacy=false"]
        if self.net:
            argv += ["-netdev", "tap,id=n,ifname=%s,script=no,downscript=no" % self.net.tap,
                     "-device", "virtio-net-%s,netdev=n,mac=52:54:00:00:00:%02x" % (kind, self.net.n)]
        if self.disk:
            argv += drive or ["-drive", "id=d,if=none,format=raw,file=" + self.disk]
            argv += ["-device", "virtio-blk-%s,drive=d" % kind.split(",")[0]]
        if module:
            argv += ["-initrd", module]
        return argv + qemu

    # ---- its life ----

    def wait_ready(self, seconds=60):
        """Until it says where to clone from."""
        def ready():
            if not self.alive():
                raise Failed("the machine ended with exit code %s\n%s" % (self.exit_code(), self.text()))
            return b"ssh://" in self.errors()
        wait_for("the machine to come up", ready, seconds)

    def alive(self):
        return self.process.poll() is None

    def exit_code(self):
        """As the image gave it: QEMU's debug exit makes (code << 1) | 1 of it."""
        code = self.process.poll()
        return (code - 1) // 2 if self.platform in QEMU and code and code & 1 else code

    def wait_exit(self, timeout=60):
        try:
            self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed("the machine still runs after %d s\n%s" % (timeout, self.text())) from None
        return self.exit_code()

    def kill(self):
        """SIGKILL: a power cut, as far as the machine can tell."""
        if self.alive():
            self.process.kill()
        self.process.wait()

    def power_off(self):
        """What an operator does: the power button, or SIGTERM."""
        if self.platform in QEMU:
            self.qmp("system_powerdown")
        else:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, signum=signal.SIGTERM, timeout=60):
        """An orderly end. None: it was told already."""
        if self.alive() and signum is not None:
            self.power_off()
        code = self.wait_exit(timeout)
        check(not SANITIZER.search(self.errors()), "a sanitizer spoke")
        equal(code, 0, "exit code of the machine")

    def qmp(self, *commands):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.qmp_path)
            f = s.makefile("rw")
            f.readline()
            try:
                for command in ("qmp_capabilities", *commands):
                    f.write(json.dumps({"execute": command}) + "\n")
                    f.flush()
                    while "return" not in (json.loads(f.readline() or "0") or ["return"]):
                        pass
            except ConnectionError:
                pass  # The machine was off before the answer came.

    # ---- what it says ----

    def url(self, name):
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "ssh://git@%s:%d/%s" % (host, self.port, name)

    def errors(self):
        with open(self.err, "rb") as f:
            return f.read()

    def text(self):
        return self.errors().decode(errors="replace")

    def figures(self):
        """(KiB used, KiB at the peak, connections) as the last debug line about it says."""
        found = MEMORY.findall(self.text())
        check(found, "the console says nothing of memory")
        return tuple(int(n) for n in found[-1])

    def connections(self):
        """Connections that it has open; only differences mean something."""
        return self.figures()[2]

    def memory_kib(self):
        return self.figures()[0]
