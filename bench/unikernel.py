#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""unikernel.py: the image under QEMU without KVM (microvm and q35) and as a process on the host, beside the
smallest Linux VM that does the job, on the same QEMU in the same run. Network is a tap device each, in a
network namespace. Prints a table; the ratio is Linux VM to microvm.

  start to banner  from the start of QEMU, or of the process, to the first bytes from port 22: median
  raw fetch        the whole repository over ssh, protocol 2, chacha20-poly1305, thrown away on arrival:
                   the ssh command from start to end, and the pack alone
  smallest memory  of the machine, in which that passes
"""
import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
top = os.path.dirname(here)
sys.path.insert(0, os.path.join(top, "tests/interop"))
sys.path.insert(0, here)
import linux_vm
import machines
import raw_fetch
from harness import World

CIPHER = "chacha20-poly1305@openssh.com"
# The exchange that both servers have: the client's own share of a post-quantum one is larger than ours.
EXCHANGE = "curve25519-sha256"
SMALL = "small.git"


class Bench:
    def __init__(self, args, world):
        self.args, self.world = args, world
        self.log = world.path("console.log")
        hosts = world.path("known_hosts")
        self.images = os.path.abspath(args.images)
        key = world.public("id")
        self.ours = {kind: machines.Image(kind, self.images, key, self.log, hosts)
                     for kind in ("microvm", "q35", "host")}
        self.linux = None if args.no_peer else machines.LinuxVm(self.log, hosts)
        self.rows = []  # name, unit, goal, {machine: figure}
        self.repo = args.repo or self.bare(world.history("generated", commits=3000, files=40))

    def bare(self, repo):
        path = self.world.path("generated.git")
        self.world.git("clone", "-q", "--mirror", repo, path)
        return path

    def row(self, name, goal, **figures):
        self.rows.append((name, goal, figures))
        print("  %s: %s" % (name, "  ".join("%s %s" % (k, shown(v)) for k, v in figures.items())), file=sys.stderr)

    # ---- what is done with a machine ----

    def disk(self, name, megabytes):
        path = self.world.path(name)
        with open(path, "wb") as f:
            f.truncate(megabytes << 20)
        return path

    def filled(self, name, megabytes, repo):
        """A disk with repo as small.git, pushed to the image on the host."""
        path, host = self.disk(name, megabytes), self.ours["host"]
        host.boot(path, 512, "--initialize-disk")
        host.seconds_to_banner()
        self.push(host, repo)
        host.stop()
        return path

    def push(self, machine, repo, timeout=900, **more):
        self.world.git("push", "-q", machine.url(SMALL), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
                       cwd=repo, timeout=timeout, ssh_options=["Ciphers=" + CIPHER], **more)

    def clone(self, machine, timeout=600, **more):
        path = self.world.path("copy")
        shutil.rmtree(path, ignore_errors=True)
        start = time.monotonic()
        self.world.git("clone", "-q", "--bare", machine.url(SMALL), path, timeout=timeout,
                       ssh_options=["Ciphers=" + CIPHER], **more)
        return time.monotonic() - start

    def list_refs(self, machine):
        start = time.monotonic()
        self.world.git("ls-remote", machine.url(SMALL), timeout=60)
        return time.monotonic() - start

    def raw(self, machine, timeout=600):
        return raw_fetch.fetch(["ssh", "-F", self.world.ssh_config("id"), "-c", CIPHER,
                                "-o", "KexAlgorithms=" + EXCHANGE, "-o", "SendEnv=GIT_PROTOCOL", "-p", str(machine.port),
                                "%s@%s" % (machine.user, machine.host), machine.raw_command(SMALL)],
                               env=self.world.env(), timeout=timeout)

    # ---- rows ----

    def image_size(self):
        path = self.world.path("stripped")
        subprocess.run(["strip", "-o", path, self.images + "/packhorse.elf"], check=True, timeout=60)
        figures = {"microvm": os.path.getsize(path) / 1e6}
        if self.linux:
            figures["linux"] = sum(map(os.path.getsize, self.peer)) / 1e6
        self.row("image, MB", "< 1.2", **figures)

    def lines(self):
        lines = code = 0
        for folder, folders, files in os.walk(os.path.join(top, "unikernel")):
            folders[:] = [f for f in folders if f not in ("tests", "third-party")]
            for name in files:
                if name.endswith((".c", ".h", ".S", ".ld")):
                    with open(os.path.join(folder, name)) as f:
                        text = f.read()
                    lines += text.count("\n")
                    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
                    code += sum(1 for line in text.split("\n") if line.strip())
        self.row("code in unikernel/, lines", "< 4000", microvm=code)
        self.row("and with comments and blank lines", "", microvm=lines)

    def start_peer(self):
        self.linux.boot(*self.peer)
        return self.linux.seconds_to_banner()

    def starts(self, disk):
        runs, figures = (3, 2) if self.args.quick else (11, 5), {}
        for name, machine in self.ours.items():
            seconds = []
            machine.boot(disk, 64)
            machine.seconds_to_banner()  # until its address is known
            machine.stop()
            for _ in range(runs[0]):
                machine.boot(disk, 64)
                seconds.append(machine.seconds_to_banner())
                machine.stop()
            figures[name] = statistics.median(seconds) * 1000
        if self.linux:
            seconds = []
            self.start_peer()
            self.linux.stop()
            for _ in range(runs[1]):
                seconds.append(self.start_peer())
                self.linux.stop()
            figures["linux"] = statistics.median(seconds) * 1000
        self.row("start to banner, ms", "< 100, 10 on host", **figures)

    def transfers(self, disk):
        runs, figures = 2 if self.args.quick else 5, {"ls": {}, "clone": {}, "raw": {}, "rate": {}}
        todo = list(self.ours.items()) + ([("linux", self.linux)] if self.linux else [])
        for name, machine in todo:
            if machine is self.linux:
                self.start_peer()
            else:
                machine.boot(disk, 64)
                machine.seconds_to_banner()
            self.list_refs(machine)  # makes the Linux VM's host key
            figures["ls"][name] = statistics.median(self.list_refs(machine) for _ in range(runs))
            figures["clone"][name] = statistics.median(self.clone(machine) for _ in range(runs))
            raws = [self.raw(machine) for _ in range(runs)]
            figures["raw"][name] = statistics.median(r["wall"] for r in raws)
            figures["rate"][name] = statistics.median(r["bytes"] / (r["first"] + r["stream"]) / 1e6 for r in raws)
            machine.stop()
        self.row("ls-remote, s", "", **figures["ls"])
        self.row("clone, s", "", **figures["clone"])
        self.row("raw fetch, s", "4 times faster", **figures["raw"])
        self.row("its pack alone, MB/s", "", **figures["rate"])

    def passes(self, memory_mb, what, disk):
        host = self.ours["host"]
        try:
            host.boot(disk, memory_mb)
            host.seconds_to_banner(10)
            what(host)
            return host.process.poll() is None
        except Exception as error:  # any failure is the answer, and said
            print("  %d MB: %s" % (memory_mb, str(error).strip().split("\n")[-1]), file=sys.stderr)
            return False
        finally:
            host.stop()

    def smallest(self, name, goal, sizes, what, make_disk):
        """Down from the goal until it fails; up when the goal itself does."""
        down = [s for s in sizes if s <= goal][::-1]
        best = None
        for size in down:
            if not self.passes(size, what, make_disk()):
                break
            best = size
        for size in [s for s in sizes if s > goal] if best is None else []:
            if self.passes(size, what, make_disk()):
                best = size
                break
        self.row(name, "%d" % goal, host=best)

    def connections(self, disk):
        """What the image uses before and after connections of four kinds."""
        host = self.ours["host"]
        host.boot(disk, 64, "--logs=*:warning,main:debug")
        host.seconds_to_banner()

        def rounds(count):
            self.world.key("stranger")
            for i in range(count):
                kind = i % 4
                if kind == 0:
                    self.list_refs(host)
                elif kind == 1:
                    self.world.ssh(host, "help", key="stranger", ok=False)
                else:
                    s = socket.create_connection((host.host, 22), timeout=20)
                    s.recv(64)
                    if kind == 2:
                        s.sendall(b"SSH-2.0-killed\r\n\0\0\1")
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    s.close()
            time.sleep(3)
            return host.memory_kib()

        before = rounds(100)
        after = rounds(100 if self.args.quick else 1000)
        host.stop()
        self.row("memory in use after 100 connections, KiB", "", host=before)
        self.row("and after %d more" % (100 if self.args.quick else 1000), "the same", host=after)

    def big(self, disk):
        host = self.ours["host"]
        host.boot(disk, 64, symbols=True)
        host.seconds_to_banner()
        raws = [self.raw(host) for _ in range(1 if self.args.quick else 3)]
        rate = max(r["bytes"] / (r["first"] + r["stream"]) / 1e6 for r in raws)
        self.row("raw fetch of the big one, MB/s", "> 150", host=rate)
        all_of_it, own = self.cipher_share(host)
        if own:
            self.row("share of the cipher, %", "> 50", host=own)
            self.row("and with the kernel's part, tap and TCP", "", host=all_of_it)
        host.stop()

    def cipher_share(self, host):
        """Of the process's time, with the kernel's part and without."""
        data = self.world.path("perf.data")
        try:
            perf = subprocess.Popen(["perf", "record", "-q", "-F", "999", "-o", data, "-p", str(host.process.pid)],
                                    stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return 0, 0
        time.sleep(0.5)
        self.raw(host)
        perf.send_signal(2)
        perf.wait(60)
        report = subprocess.run(["perf", "report", "--stdio", "-i", data, "--sort", "symbol"], timeout=120,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
        symbols = [(float(share), where, name) for share, where, name in
                   re.findall(r"^ *([0-9.]+)% +\[(.)\] +(\S+)", report, re.M)]
        for share, where, name in symbols[:12]:
            print("    %5.1f %%  %s%s" % (share, name, " (kernel)" if where == "k" else ""), file=sys.stderr)
        cipher = sum(s for s, _, name in symbols if re.search("chacha|poly1305", name))
        own = sum(s for s, where, _ in symbols if where == ".")
        return cipher, 100 * cipher / own if own else 0

    def memory(self, disk):
        sizes = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

        def empty():
            path = self.disk("empty.img", 4096)
            self.ours["host"].boot(path, 64, "--initialize-disk")
            self.ours["host"].seconds_to_banner()
            self.ours["host"].stop()
            return path

        little = self.world.history("little")

        def both(machine):
            self.push(machine, little, timeout=60)
            self.clone(machine, timeout=60)

        self.smallest("smallest memory, little push and clone", 16, sizes, both, empty)
        if self.args.big:
            self.smallest("smallest memory, raw fetch of the big one", 64, sizes, self.raw, lambda: disk)
            self.smallest("smallest memory, push of the big one", 128, sizes,
                          lambda m: self.push(m, self.args.big), empty)

    def run(self):
        if self.linux:
            self.peer = linux_vm.build(os.path.join(self.images, "linux-vm"), self.world.path("initramfs.gz"),
                                       self.linux.address(), self.world.public("id"), {SMALL: self.repo})
        disk = self.filled("disk.img", 2048, self.repo)
        self.image_size()
        self.lines()
        self.starts(disk)
        self.transfers(disk)
        self.connections(disk)
        big = self.filled("big.img", 4096, self.args.big) if self.args.big else None
        if big:
            self.big(big)
        if not self.args.quick:
            self.memory(big)

    def table(self):
        names = ["microvm", "q35", "host"] + (["linux"] if self.linux else [])
        print("%-40s%-20s" % ("", "goal") + "".join("%10s" % n for n in names) +
              ("%16s" % "linux : microvm" if self.linux else ""))
        for name, goal, figures in self.rows:
            line = "%-40s%-20s" % (name, goal) + "".join("%10s" % shown(figures.get(n, "")) for n in names)
            if figures.get("linux") and figures.get("microvm"):
                line += "%16s" % shown(figures["linux"] / figures["microvm"])
            print(line.rstrip())


def shown(figure):
    if figure is None:
        return "none"
    return figure if isinstance(figure, str) else "%d" % figure if isinstance(figure, int) else "%.2f" % figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", required=True, help="folder with packhorse.elf and packhorse-host")
    parser.add_argument("--no-peer", action="store_true", help="without the Linux VM")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no search for the smallest memory")
    parser.add_argument("--big", metavar="REPO", help="a big bare repository, for throughput and memory")
    parser.add_argument("repo", nargs="?", help="a bare repository; without, one is generated")
    args = parser.parse_args()
    for path in (args.repo, args.big):
        if path and not os.path.isdir(os.path.join(path, "objects")):
            parser.error("%s is not a bare repository" % path)
    if not machines.inside_namespace():
        if not args.no_peer:
            linux_vm.download(os.path.join(args.images, "linux-vm"))
        machines.enter_namespace([sys.executable, "-B", *sys.argv])
    with World("") as world:
        bench = Bench(args, world)
        try:
            bench.run()
        except BaseException:
            if os.path.exists(bench.log):
                with open(bench.log, errors="replace") as f:
                    sys.stderr.write("--- console:\n" + f.read()[-4000:])
            raise
        finally:
            for machine in [*bench.ours.values(), bench.linux]:
                if machine:
                    machine.stop()
        bench.table()


main()
