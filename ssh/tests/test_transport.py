#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stock ssh against sshecho: test_transport.py PATH_OF_SSHECHO [unittest arguments].

Needs ssh and ssh-keygen. Everything runs on loopback, on ports that the system chose, and
every wait has an end.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SSHECHO = ""
WAIT = 120  # seconds that anything may take on a busy machine with sanitizers
MEGABYTE = 1 << 20
KEYS = ["plain", "here", "elsewhere", "past", "future", "restrict", "command", "authority", "bogus",
        "reader", "stranger"]


def setUpModule():
    global TMP
    TMP = tempfile.mkdtemp(prefix="packhorse-ssh-")
    lines = {
        "plain": "", "here": 'from="127.0.0.0/8,::1" ', "elsewhere": 'from="10.0.0.0/8" ',
        "past": 'expiry-time="20200101" ', "future": 'expiry-time="20990101Z" ',
        "restrict": "restrict,no-pty ", "command": 'command="/bin/date" ',
        "authority": "cert-authority ", "bogus": 'tunnel="0" ', "reader": 'packhorse="ro" ',
    }
    with open(os.path.join(TMP, "keys"), "w", encoding="ascii") as out:
        out.write("# keys\r\n\r\n")
        for name in KEYS:
            path = os.path.join(TMP, name)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path],
                           check=True, timeout=WAIT)
            with open(path + ".pub", encoding="ascii") as pub:
                if name in lines:
                    out.write(lines[name] + pub.read())


def tearDownModule():
    shutil.rmtree(TMP, ignore_errors=True)


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


class Server:
    """A running sshecho. Its end must be clean: status 0, nothing left, no sanitizer's report."""

    def __init__(self, *args, keys=True):
        argv = [SSHECHO, *args]
        if keys:
            argv += ["--keys", os.path.join(TMP, "keys")]
        self.address = "::1" if "--v6" in args else "127.0.0.1"
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])
        self.lines = []
        self.clients = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.decode("utf-8", "replace").rstrip())
                self.changed.notify_all()

    def wait_log(self, pattern, count=1):
        """Waits for count lines of the log that match, and returns the last of them."""
        end = time.monotonic() + WAIT
        with self.changed:
            while True:
                found = [line for line in self.lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[-1]
                if not self.changed.wait(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"no {count} x {pattern!r} in:\n" + "\n".join(self.lines))

    def drain(self):
        self.process.stdin.close()

    def stop(self):
        self.forget_clients()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            status = self.process.wait(timeout=WAIT)
        finally:
            self.process.kill()
        self.reader.join(timeout=WAIT)
        self.process.stdout.close()
        self.process.stderr.close()
        if status != 0:
            raise AssertionError(f"sshecho ended with {status}:\n" + "\n".join(self.lines))

    def proc(self, name):
        with open(f"/proc/{self.process.pid}/{name}", encoding="ascii") as file:
            return file.read()

    def resident_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", self.proc("status")).group(1))

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_ticks(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def connect(self):
        sock = socket.create_connection((self.address, self.port), timeout=WAIT)
        return sock

    def argv(self, *command, key="plain", user="git", options=()):
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
        if "BatchMode=no" not in options:
            argv += ["-o", "BatchMode=yes"]
        argv += ["-i", os.path.join(TMP, key)] if key else ["-o", "PubkeyAuthentication=no"]
        return argv + list(options) + [f"{user}@{self.address}", *command]

    def ssh(self, *command, stdin=b"", **kwargs):
        return subprocess.run(self.argv(*command, **kwargs), input=stdin, capture_output=True,
                              timeout=WAIT, check=False)

    def start(self, *command, **kwargs):
        process = subprocess.Popen(self.argv(*command, **kwargs), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.clients.append(process)
        return process

    def forget_clients(self):
        for process in self.clients:
            process.kill()
            process.wait(timeout=WAIT)
            for stream in (process.stdin, process.stdout, process.stderr):
                try:
                    stream.close()
                except OSError:
                    pass


class Case(unittest.TestCase):
    def serve(self, *args, **kwargs):
        server = Server(*args, **kwargs)
        self.addCleanup(server.stop)
        return server

    def assert_echo(self, server, data, **kwargs):
        result = server.ssh("cat", stdin=data, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout), len(data))
        self.assertEqual(hashlib.sha256(result.stdout).digest(), hashlib.sha256(data).digest())

    def assert_denied(self, server, **kwargs):
        result = server.ssh("cat", **kwargs)
        self.assertEqual(result.returncode, 255, result.stderr)
        self.assertIn(b"Permission denied", result.stderr)

    def assert_closed(self, sock):
        """The server ends the connection, whatever it says before."""
        sock.settimeout(WAIT)
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        sock.close()


class Echo(Case):
    def test_64_megabytes(self):
        server = self.serve()
        self.assert_echo(server, random_bytes(1, 64 * MEGABYTE))

    def test_64_megabytes_deferred(self):
        server = self.serve("--defer")
        self.assert_echo(server, random_bytes(2, 64 * MEGABYTE))

    def test_rekey_every_megabyte(self):
        """New keys in mid-transfer, in both directions at once."""
        for args in ((), ("--defer",)):
            server = self.serve(*args)
            for cipher in ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"):
                self.assert_echo(server, random_bytes(3, 64 * MEGABYTE),
                                 options=("-o", "RekeyLimit=1M", "-c", cipher))

    def test_ciphers(self):
        server = self.serve()
        data = random_bytes(4, MEGABYTE)
        for cipher in ("aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"):
            self.assert_echo(server, data, options=("-c", cipher))
        weak_ones = (("-c", "aes128-cbc"), ("-m", "hmac-sha1", "-c", "aes128-ctr"),
                     ("-o", "KexAlgorithms=diffie-hellman-group14-sha1"),
                     ("-o", "KexAlgorithms=diffie-hellman-group-exchange-sha256"))
        for i, weak in enumerate(weak_ones):
            self.assertEqual(server.ssh("cat", options=weak).returncode, 255)
            server.wait_log("nobody let in", count=i + 1)

    def test_compression_is_not_offered(self):
        server = self.serve()
        result = server.ssh("cat", options=("-C", "-v", "-o", "LogLevel=DEBUG1"))
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"compression: none", result.stderr)
        self.assertNotIn(b"compression: zlib", result.stderr)

    def test_no_input(self):
        server = self.serve()
        self.assert_echo(server, b"")
        self.assert_echo(server, b"x")

    def test_ipv6(self):
        try:
            server = self.serve("--v6")
        except (IndexError, ValueError):
            self.skipTest("no IPv6 here")
        self.assert_echo(server, random_bytes(5, MEGABYTE), key="here")


class Channels(Case):
    def master(self, server, path):
        master = subprocess.Popen(server.argv(options=("-M", "-N", "-S", path)),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self.addCleanup(master.stderr.close)
        self.addCleanup(master.wait)
        self.addCleanup(master.kill)
        end = time.monotonic() + WAIT
        while not os.path.exists(path):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(master.poll())
            time.sleep(0.01)
        return master

    def check_many(self, *args):
        server = self.serve(*args)
        path = os.path.join(TMP, "master" + str(server.port))
        self.master(server, path)
        data = [random_bytes(seed, 8 * MEGABYTE + seed) for seed in range(5)]
        results = [None] * len(data)

        def one(i):
            results[i] = server.ssh("cat", stdin=data[i], options=("-S", path))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(data))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, result in enumerate(results):
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, data[i])
        server.wait_log("is let in")
        self.assertEqual(len([line for line in server.lines if "is let in" in line]), 1)

    def test_several_at_once(self):
        self.check_many()

    def test_several_at_once_deferred(self):
        self.check_many("--defer")

    def test_limit(self):
        server = self.serve("--channels", "2")
        path = os.path.join(TMP, "limit" + str(server.port))
        self.master(server, path)
        held = []
        for _ in range(2):
            process = server.start("cat", options=("-S", path))
            process.stdin.write(b"x")
            process.stdin.flush()
            self.assertEqual(process.stdout.read(1), b"x")
            held.append(process)
        # Without the proxy, ssh would make a connection of its own when the channel is refused.
        result = server.ssh("cat", options=("-S", path, "-o", "ProxyCommand=false"))
        self.assertEqual(result.returncode, 255)
        for process in held:
            process.communicate(timeout=WAIT)
            self.assertEqual(process.returncode, 0)
        self.assert_echo(server, b"again", options=("-S", path))

    def test_one_blocked_channel_does_not_block_others(self):
        server = self.serve()
        path = os.path.join(TMP, "blocked" + str(server.port))
        self.master(server, path)
        slow = server.start("cat", options=("-S", path))
        data = random_bytes(6, 16 * MEGABYTE)
        feeder = threading.Thread(target=lambda: slow.stdin.write(data), daemon=True)
        feeder.start()
        time.sleep(0.5)  # its windows are shut by now
        self.assert_echo(server, random_bytes(7, MEGABYTE), options=("-S", path))
        got = b""
        while len(got) < len(data):
            got += slow.stdout.read(len(data) - len(got))
        feeder.join(timeout=WAIT)
        self.assertEqual(got, data)
        slow.stdin.close()
        self.assertEqual(slow.wait(timeout=WAIT), 0)


class Commands(Case):
    def test_greeting(self):
        server = self.serve()
        result = server.ssh()
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"Hi plain!", result.stdout)

    def test_not_a_command(self):
        server = self.serve()
        for command, status in (("git-upload-pack 'open", 128), ("git upload-pack 'a' 'b'", 128),
                                ("what 'open", 1), ("a\nb", 1), ("x" * 5000, 1)):
            result = server.ssh(command)
            self.assertEqual(result.returncode, status, (command, result))
            self.assertTrue(result.stderr, command)

    def test_unknown_repository(self):
        server = self.serve()
        result = server.ssh("git-upload-pack '/no/such.git'")
        self.assertEqual(result.returncode, 128)
        self.assertTrue(result.stderr)

    def test_permission(self):
        """packhorse="ro" reads, and does nothing else; the default here is owner."""
        server = self.serve()
        result = server.ssh("repo create one", key="reader")
        self.assertNotEqual(result.returncode, 0)
        result = server.ssh("repo create one")
        self.assertEqual(result.returncode, 0, result.stderr)
        result = server.ssh("repo list", key="reader")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"one", result.stdout)

    def test_refused_requests(self):
        server = self.serve()
        result = server.ssh("sftp", options=("-s",))
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"subsystem request failed", result.stderr)
        result = server.ssh("cat", stdin=b"x", options=("-tt", "-o", "LogLevel=INFO"))
        self.assertIn(b"PTY allocation request failed", result.stderr)
        result = server.ssh(options=("-W", "127.0.0.1:1"))
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"forwarding failed", result.stderr)
        result = server.ssh("cat", options=("-R", "0:127.0.0.1:1", "-o",
                                            "ExitOnForwardFailure=yes"))
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"forwarding failed", result.stderr)

    def test_environment_is_ignored(self):
        server = self.serve()
        self.assert_echo(server, b"data", options=("-o", "SetEnv=GIT_PROTOCOL=version=2"))
        self.assert_echo(server, b"data", options=("-o", "SetEnv=LD_PRELOAD=/x"))
        self.assert_echo(server, b"data", options=("-o", "SetEnv=GIT_PROTOCOL=" + "x" * 9000))

    def test_keepalives_are_answered(self):
        server = self.serve()
        process = server.start("cat", options=("-o", "ServerAliveInterval=1",
                                               "-o", "ServerAliveCountMax=1"))
        time.sleep(3.5)
        out, err = process.communicate(b"still here", timeout=WAIT)
        self.assertEqual((process.returncode, out), (0, b"still here"), err)


class Login(Case):
    def test_options(self):
        server = self.serve()
        for name in ("plain", "here", "future", "restrict", "reader"):
            self.assert_echo(server, name.encode(), key=name)
        for name, reason in (("elsewhere", "not from this address"), ("past", "expired"),
                             ("command", "unknown"), ("authority", "unknown"),
                             ("bogus", "unknown"), ("stranger", "unknown")):
            self.assert_denied(server, key=name)
            with open(os.path.join(TMP, name + ".pub"), encoding="ascii") as pub:
                fingerprint = subprocess.run(["ssh-keygen", "-lf", "-"], input=pub.read(),
                                             capture_output=True, text=True, check=True,
                                             timeout=WAIT).stdout.split()[1]
            server.wait_log(re.escape(f"keys: {fingerprint} ({reason})"))
        server.wait_log(r"keys:\d+: line refused: command= is not supported")
        server.wait_log(r"keys:\d+: line refused: cert-authority is not supported")
        server.wait_log(r"keys:\d+: line refused: unknown option")
        self.assertEqual(len([line for line in server.lines if "nobody let in" in line]), 6)

    def test_no_password(self):
        server = self.serve()
        self.assert_denied(server, key=None)
        result = server.ssh("cat", key=None, options=("-v", "-o", "LogLevel=DEBUG1"))
        self.assertIn(b"can continue: publickey\r\n", result.stderr)

    def test_second_key_is_tried(self):
        server = self.serve()
        self.assert_echo(server, b"x", key="stranger",
                         options=("-i", os.path.join(TMP, "past"),
                                  "-i", os.path.join(TMP, "plain")))
        server.wait_log("plain is let in")

    def test_many_keys(self):
        server = self.serve()
        many = os.path.join(TMP, "many")
        options = []
        for i in range(25):
            if not os.path.exists(many + str(i)):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                                many + str(i)], check=True, timeout=WAIT)
            options += ["-i", many + str(i)]
        self.assert_echo(server, b"x", options=[*options[:30], "-i", os.path.join(TMP, "plain")],
                         key="stranger")
        result = server.ssh("cat", options=options, key="stranger")
        self.assertEqual(result.returncode, 255)
        server.wait_log("nobody let in.*too many keys offered.*and more")

    def test_anonymous(self):
        server = self.serve("--anon")
        result = server.ssh(key=None, user="anonymous")
        self.assertIn(b"Hi anonymous!", result.stdout)
        # A known key is somebody also where anybody may read.
        self.assertIn(b"Hi plain!", server.ssh().stdout)
        # An unknown or an expired one is nobody in particular, and so is no key at all.
        for key in ("stranger", "past"):
            self.assertIn(b"Hi anonymous!", server.ssh(key=key).stdout)
        result = server.ssh(key=None, options=("-o", "BatchMode=no"))
        self.assertIn(b"Hi anonymous!", result.stdout, result.stderr)
        self.assert_denied(self.serve(), key=None, user="anonymous")

    def test_anonymous_without_keys(self):
        server = self.serve("--anon", keys=False)
        self.assertIn(b"Hi anonymous!", server.ssh(key=None).stdout)

    def test_anonymous_cannot_write(self):
        server = self.serve("--anon")
        result = server.ssh("repo create two", key=None, user="anonymous")
        self.assertNotEqual(result.returncode, 0)
        self.assertNotIn(b"two", server.ssh("repo list").stdout)


class Trouble(Case):
    def test_garbage_before_the_version(self):
        server = self.serve()
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 400, b"\n" * 10,
                        b"SSH-1.5-old\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 400):
            sock = server.connect()
            sock.sendall(garbage)
            self.assert_closed(sock)
        server.wait_log("nobody let in", count=5)

    def test_immediate_close(self):
        server = self.serve()
        server.connect().close()
        server.wait_log("nobody let in")

    def test_too_slow(self):
        """Neither silence nor half a handshake holds a connection."""
        server = self.serve("--auth-ms", "1000")
        started = time.monotonic()
        socks = [server.connect() for _ in range(3)]
        socks[1].sendall(b"SSH-2.0-")
        socks[2].sendall(b"SSH-2.0-half\r\n\0\0\1\0\x05\x14")
        for sock in socks:
            self.assert_closed(sock)
        self.assertGreater(time.monotonic() - started, 0.8)
        server.wait_log("nobody let in: too slow to log in", count=3)

    def test_talkative_stranger(self):
        """Packets that may be ignored may not go on for ever before the login."""
        server = self.serve()
        sock = server.connect()
        payload = b"\2" + struct.pack(">I", 1000) + bytes(1000)
        padding = 16 - (5 + len(payload)) % 8
        packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
        try:
            sock.sendall(b"SSH-2.0-x\r\n" + packet * 1000)
        except OSError:
            pass
        self.assert_closed(sock)
        server.wait_log("nobody let in: too much sent before login")

    def test_slow_drip(self):
        server = self.serve("--auth-ms", "1000")
        sock = server.connect()
        with self.assertRaises(OSError):
            for _ in range(100):
                sock.sendall(b"S")
                time.sleep(0.05)
        sock.close()

    def test_cost_of_a_stranger(self):
        """Connections that are not logged in cost little, of ours and of libssh's memory."""
        server = self.serve()
        self.assert_echo(server, b"x")
        before = server.resident_kb()
        socks = [server.connect() for _ in range(60)]
        for sock in socks:
            sock.recv(64)  # its version: it is being served
        cost = (server.resident_kb() - before) / len(socks)
        for sock in socks:
            sock.close()
        server.wait_log("^closed:", count=61)
        if "PH_SANITIZED" not in os.environ:
            self.assertLess(cost, 64)

    def test_killed_clients(self):
        for args in ((), ("--defer",)):
            server = self.serve(*args)
            self.assert_echo(server, b"x")
            live = server.wait_log("^closed:").split()[-1]
            fds = server.fd_count()
            for i in range(6):
                process = server.start("cat")
                feeder = threading.Thread(target=self.feed, args=(process,), daemon=True)
                feeder.start()
                process.stdout.read(MEGABYTE + i)
                process.kill()
                feeder.join(timeout=WAIT)
                process.wait(timeout=WAIT)
                line = server.wait_log("^closed:", count=i + 2)
                self.assertEqual(line.split()[-1], live)
            self.assertEqual(server.fd_count(), fds)

    @staticmethod
    def feed(process):
        block = bytes(MEGABYTE)
        try:
            for _ in range(1000):
                process.stdin.write(block)
            process.stdin.close()
        except (BrokenPipeError, OSError, ValueError):
            pass

    def test_reader_that_stops(self):
        """A client that takes nothing costs buffers, not memory without end, and no time."""
        for args in ((), ("--defer",)):
            server = self.serve(*args)
            self.assert_echo(server, random_bytes(8, 4 * MEGABYTE))
            before = server.resident_kb()
            data = random_bytes(9, 32 * MEGABYTE)
            process = server.start("cat")
            feeder = threading.Thread(target=self.feed_once, args=(process, data), daemon=True)
            feeder.start()
            time.sleep(1.5)
            ticks = server.cpu_ticks()
            time.sleep(1.0)
            self.assertLess(server.cpu_ticks() - ticks, 20)  # of 100: it does not spin
            if "PH_SANITIZED" not in os.environ:
                self.assertLess(server.resident_kb() - before, 8 * 1024)
            self.assertEqual(process.stdout.read(len(data)), data)
            feeder.join(timeout=WAIT)
            self.assertEqual(process.wait(timeout=WAIT), 0)

    @staticmethod
    def feed_once(process, data):
        process.stdin.write(data)
        process.stdin.close()

    def test_idle_session_ends(self):
        server = self.serve("--idle-ms", "2000")
        process = server.start("cat")
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.read(1), b"x")
        out, err = process.stdout.read(), process.stderr.read()
        process.wait(timeout=WAIT)
        self.assertEqual((process.returncode, out), (128, b""), err)

    def test_stopped_client_is_dropped(self):
        """One that does not even answer keepalives is gone, whatever its sessions wait for."""
        server = self.serve("--idle-ms", "2000")
        process = server.start("cat")
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.read(1), b"x")
        process.send_signal(signal.SIGSTOP)
        server.wait_log("^closed:")

    def test_drain(self):
        server = self.serve()
        path = os.path.join(TMP, "drain" + str(server.port))
        process = server.start("cat", options=("-M", "-S", path))
        process.stdin.write(b"before ")
        process.stdin.flush()
        self.assertEqual(process.stdout.read(7), b"before ")
        stranger = server.connect()
        server.drain()
        self.assert_closed(stranger)
        result = server.ssh("cat", options=("-S", path, "-o", "ControlMaster=no"))
        self.assertNotEqual(result.returncode, 0)
        out, err = process.communicate(b"after", timeout=WAIT)
        self.assertEqual((process.returncode, out), (0, b"after"), err)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    SSHECHO = sys.argv.pop(1)
    unittest.main(verbosity=2)
