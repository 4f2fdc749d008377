#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the benches share: stock sshd with git as the peer, and what a server costs while something runs.

As a program, servers.py PID samples the memory of a process tree until its standard input ends, and prints
the highest value: so that the sampling does not hold up a client in the same interpreter."""
import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

CIPHER = ["Ciphers=aes128-gcm@openssh.com"]
TICK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """A process and all below it."""
    out = [pid]
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread)) as f:
                for child in f.read().split():
                    out += tree(int(child))
    except OSError:
        pass
    return out


def memory_mb(pid):
    total = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/smaps_rollup" % p) as f:
                for line in f:
                    if line.startswith("Anonymous:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024


def cpu_s(pid):
    """Own and of children that ended and were waited for."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / TICK


def free_port():
    """A port that nobody listens at: two benches may run at once."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end_on_signals():
    """What ends a bench lets it print what it has: SIGTERM is an exception, as SIGINT is."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Watch:
    """A server's highest private anonymous memory, its CPU time, and wall time, while a block runs."""

    def __init__(self, pid, memory=True):
        self.pid, self.peak, self.memory = pid, 0, memory

    def __enter__(self):
        self.sampler = None
        if self.memory:
            self.sampler = subprocess.Popen([sys.executable, "-ES", os.path.abspath(__file__), str(self.pid)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.sampler.stdout.readline()
        self.cpu = self.cpu_before = cpu_s(self.pid)
        self.start = time.monotonic()
        return self

    def __exit__(self, *error):
        self.wall = time.monotonic() - self.start
        if self.sampler:
            self.peak = float(self.sampler.communicate()[0])
        time.sleep(0.2)
        self.cpu = cpu_s(self.pid) - self.cpu


SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"
STRACE = ["strace", "-f", "-e", "signal=none", "-e", "trace=" + SYNCS]


def flushes(path):
    """In what strace wrote."""
    with open(path) as f:
        return sum("sync" in line.partition("(")[0] and "resumed" not in line for line in f)


class Peer:
    """Stock sshd and git; traced: below an strace that writes its flushes to self.trace."""

    def __init__(self, world, port=None, traced=False):
        self.top = world.path("peer-traced" if traced else "peer")
        self.trace = self.top + "/trace" if traced else None
        os.makedirs(self.top)
        os.makedirs("/run/sshd", exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.top + "/host"], check=True)
        shutil.copy(world.key("id") + ".pub", self.top + "/authorized_keys")
        self.host, self.port, self.user = "127.0.0.1", port or free_port(), "root"
        # An empty home: the shell's start-up files of who runs this are no part of the peer.
        os.makedirs(self.top + "/home")
        with open(self.top + "/config", "w") as f:
            f.write("SetEnv HOME=%s/home\n" % self.top)
            f.write("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nPidFile none\nUsePAM no\n"
                    "AuthorizedKeysFile %s/authorized_keys\nStrictModes no\nAcceptEnv GIT_PROTOCOL\n"
                    "MaxStartups 500\nMaxSessions 500\nUseDNS no\n" % (self.port, self.top, self.top))
        # Other calls run at full speed.
        trace = [*STRACE, "--seccomp-bpf", "-o", self.trace] if traced else []
        self.process = subprocess.Popen([*trace, "/usr/sbin/sshd", "-D", "-f", self.top + "/config"])
        time.sleep(0.5)
        self.pid = tree(self.process.pid)[1] if traced else self.process.pid

    def create(self, name, *config):
        """A bare repository; it is served as it was pushed, so git's own maintenance stays out."""
        subprocess.run(["git", "init", "-q", "--bare", self.path(name)], check=True)
        for key, value in (("gc.auto", "0"), *config):
            self.configure(name, key, value)

    def configure(self, name, key, value):
        subprocess.run(["git", "-C", self.path(name), "config", "--add", key, value], check=True)

    def path(self, name):
        return self.top + "/" + name

    def url(self, name):
        return "ssh://root@127.0.0.1:%d%s" % (self.port, self.path(name))

    def stop(self):
        # strace ends with what it traces: the sessions, too, that were cut off in the middle.
        for pid in [p for p in tree(self.process.pid) if p != self.process.pid] + [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def sample(pid):
    """Every 20 ms, until standard input ends."""
    import select
    peak = memory_mb(pid)
    print(flush=True)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        peak = max(peak, memory_mb(pid))
    print(peak)


if __name__ == "__main__":
    sample(int(sys.argv[1]))


def words(known):
    """For argparse: a list of words with commas between, each of which is known."""
    def parse(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError("%s is none of %s" % (word, ",".join(known)))
        return chosen
    return parse
