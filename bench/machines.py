# SPDX-License-Identifier: MIT
"""The machines that bench/run unikernel compares, each on a tap device of its own in a network namespace
that ends with the process: the image under QEMU, the image as a process, and the peer's Linux VM."""
import errno
import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import time

QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config", "-display", "none",
        "-serial", "stdio", "-no-reboot"]
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40
LIFE = 5400  # seconds after which all of it ends


def enter_namespace(argv):
    """Starts argv again where it is alone with its network and its processes: all end with it."""
    os.environ["PACKHORSE_BENCH_ALONE"] = "1"
    os.execvp("timeout", ["timeout", "-k", "5", str(LIFE), "unshare", "--net", "--pid", "--fork", "--kill-child",
                          "--mount-proc", *argv])


def inside_namespace():
    return os.environ.get("PACKHORSE_BENCH_ALONE") == "1"


class Machine:
    """One machine at a time runs; start it as often as you like."""

    count = 0

    def __init__(self, name, log, known_hosts):
        Machine.count += 1
        self.name, self.number, self.log, self.process = name, Machine.count, log, None
        self.known_hosts = known_hosts  # forgotten at each start: another disk has another key
        self.tap, self.host = "tap%d" % self.number, "10.90.%d.2" % self.number
        self.mac = "52:54:00:90:00:%02x" % self.number
        self.port, self.user, self.prefix = 22, "git", ""
        for command in (["tuntap", "add", self.tap, "mode", "tap"],
                        ["addr", "add", "10.90.%d.1/24" % self.number, "dev", self.tap],
                        ["link", "set", self.tap, "up"]):
            subprocess.run(["ip", *command], check=True, timeout=10)
        self.met = False

    def start(self, command):
        assert self.process is None
        if os.path.exists(self.known_hosts):
            os.unlink(self.known_hosts)
        with open(self.log, "ab") as log:
            log.write(("\n+ %s\n" % " ".join(command)).encode())
            log.flush()
            self.started = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def seconds_to_banner(self, limit=60):
        """From the start of the process until the first bytes that the server sends."""
        while time.monotonic() - self.started < limit:
            if self.process.poll() is not None:
                raise RuntimeError("%s ended with %d" % (self.name, self.process.returncode))
            if not self.connected():
                time.sleep(0.0005)
            elif self.try_banner(0.001 if time.monotonic() - self.started < 0.02 else 0.004):
                passed = time.monotonic() - self.started
                self.remember()
                return passed
        raise RuntimeError("%s does not answer" % self.name)

    def connected(self):
        """Whether somebody has opened the other end. From then on frames wait for the guest, and what is
        sent is one attempt to connect at a time, so that it is not busy with old ones when it is up."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            answer = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sH22x", self.tap.encode(), 0))
            return struct.unpack_from("16sH", answer)[1] & IFF_RUNNING != 0

    def remember(self):
        """Later starts must not wait for a second ARP request, which comes a second after the first."""
        if not self.met:
            known = subprocess.run(["ip", "neigh", "show", self.host, "dev", self.tap], stdout=subprocess.PIPE,
                                   check=True, timeout=10).stdout.decode().split()
            mac = known[known.index("lladdr") + 1]
            subprocess.run(["ip", "neigh", "replace", self.host, "lladdr", mac, "nud", "permanent",
                            "dev", self.tap], check=True, timeout=10)
        self.met = True

    def try_banner(self, patience):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.setblocking(False)
            code = s.connect_ex((self.host, self.port))
            if code not in (0, errno.EINPROGRESS) or not select.select([], [s], [], patience)[1] or \
                    s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                time.sleep(0.0005)
                return False
            s.settimeout(20)
            return s.recv(4).startswith(b"SSH-")
        except OSError:
            return False
        finally:
            s.close()

    def stop(self, limit=20):
        """Asks, then insists. Returns whether it went by itself."""
        process, self.process = self.process, None
        if process is None:
            return True
        process.terminate()
        try:
            process.wait(limit)
            return True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False

    def url(self, name):
        return "ssh://%s@%s:%d/%s" % (self.user, self.host, self.port, name)

    def memory_kib(self):
        """What the image last said that it uses; its source "main" must log at debug."""
        with open(self.log, errors="replace") as f:
            return int(re.findall(r"memory: (\d+) KiB used", f.read())[-1])


class Image(Machine):
    """packhorse.elf under QEMU (kind microvm or q35), or packhorse-host (kind host)."""

    def __init__(self, kind, images, public_key, log, known_hosts):
        super().__init__(kind, log, known_hosts)
        self.kind, self.images = kind, images
        self.arguments = ["--ipv4=%s/24" % self.host, "--ipv4-gateway=10.90.%d.1" % self.number, "--port=22",
                          "--authorized-key=%s" % public_key.strip()]

    def boot(self, disk, memory_mb, *more, symbols=False):
        arguments = self.arguments + list(more)
        if self.kind == "host":
            name = "/packhorse-host.symbols" if symbols else "/packhorse-host"
            command = [self.images + name, "--mem=%d" % memory_mb,
                       "--net:service=" + self.tap]
            if disk:
                command.append("--block:storage=" + disk)
            self.start(command + ["--"] + arguments)
            return
        bus = "device" if self.kind == "microvm" else "pci"
        rom = "" if bus == "device" else ",romfile="
        command = QEMU + ["-M", self.kind, "-m", str(memory_mb), "-kernel", self.images + "/packhorse.elf",
                          "-append", " ".join("'%s'" % a if " " in a else a for a in arguments),
                          "-netdev", "tap,id=net0,ifname=%s,script=no,downscript=no" % self.tap,
                          "-device", "virtio-net-%s,netdev=net0,mac=%s%s" % (bus, self.mac, rom)]
        if bus == "device":
            command += ["-global", "virtio-mmio.force-legacy=false"]
        if disk:
            command += ["-drive", "if=none,id=disk0,format=raw,file=" + disk,
                        "-device", "virtio-blk-%s,drive=disk0" % bus]
        self.start(command)

    def raw_command(self, name):
        return "git-upload-pack '/%s'" % name


class LinuxVm(Machine):
    def __init__(self, log, known_hosts):
        super().__init__("linux", log, known_hosts)
        self.user = "root"

    def address(self):
        return self.host + "/24"

    def boot(self, kernel, initramfs):
        self.start(QEMU + [
            "-M", "q35", "-m", "256", "-kernel", kernel, "-initrd", initramfs,
            "-append", "console=ttyS0 quiet panic=-1",
            "-netdev", "tap,id=net0,ifname=%s,script=no,downscript=no" % self.tap,
            "-device", "virtio-net-pci,netdev=net0,romfile=,mac=" + self.mac])

    def raw_command(self, name):
        # dropbear hands no environment on, its shell does.
        return "GIT_PROTOCOL=version=2 git-upload-pack '/%s'" % name
