#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host platform, seen from outside: the filter is complete and in force, memory is protected as it
should be, the command line does what Solo5's does, and crashes have their exit codes.

test_host.py PROBE [IMAGE...]: PROBE is host_probe; of the images only the file is looked at.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROBE = sys.argv[1]
IMAGES = sys.argv[1:]
ENTERED = "PH_TEST_HOST_NAMESPACE"
# The calls that are let through, and on what: the tap is opened first, then the disk.
TAP, DISK = 3, 4
ALLOWED = {0: {TAP}, 1: {2, TAP}, 17: {DISK}, 18: {DISK}, 75: {DISK}, 228: None, 271: None, 15: None, 231: None}


def enter_namespace():
    if os.environ.pop(ENTERED, None) != str(os.getpid()):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.environ[ENTERED] = str(os.getpid())
        os.execvp("unshare", ["unshare", *user, "--net", sys.executable, "-B", *sys.argv])


def run(*arguments, probe=PROBE, **more):
    return subprocess.run([probe, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **more)


class Host(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.disk = os.path.join(cls.folder.name, "disk")
        with open(cls.disk, "wb") as file:
            file.truncate(1 << 20)
        for command in ("tuntap add dev phprobe mode tap", "link set phprobe up"):
            subprocess.run(["ip", *command.split()], check=True)
        cls.devices = ["--net:service=phprobe", "--block:storage=" + cls.disk]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ends(self, result, code, text=b""):
        self.assertIn(text, result.stdout)
        self.assertEqual(result.returncode, code, result.stdout)

    # ---- the filter ----

    def test_every_other_call_kills(self):
        # Linux keeps 335 and 336 for its own probes, past any filter; others cannot use them.
        for number in {*range(470), 0x40000000 + 1, 0x40000000 + 39} - {335, 336}:
            for fd in range(-1, 6):
                allowed = ALLOWED.get(number, ())
                if allowed is None or fd in allowed or (allowed == () and fd not in (-1, TAP)):
                    continue
                result = run(*self.devices, "--", "call", "%d %d" % (number, fd))
                self.assertEqual(result.returncode, -signal.SIGSYS, (number, fd, result.stdout))

    def test_without_devices_less_is_allowed(self):
        for number, fds in ALLOWED.items():
            for fd in fds or ():
                if fd != 2:
                    result = run("--", "call", "%d %d" % (number, fd))
                    self.assertEqual(result.returncode, -signal.SIGSYS, (number, fd, result.stdout))

    def test_devices_work_under_it(self):
        self.ends(run(*self.devices, "--", "all"), 0, b"mtu 1500")

    # ---- memory ----

    def test_memory_runs_out_and_comes_back(self):
        for mib in (4, 16, 64):
            self.ends(run("--mem=%d" % mib, "--", "memory"), 0, b"refused")

    def test_protection(self):
        process = subprocess.Popen([PROBE, "--mem=8", *self.devices, "--", "wait"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        try:
            self.assertEqual(process.stdout.readline(), b"waiting\n")
            with open("/proc/%d/status" % process.pid) as file:
                status = file.read()
            self.assertRegex(status, r"Seccomp:\s+2\n")
            self.assertRegex(status, r"NoNewPrivs:\s+1\n")
            with open("/proc/%d/maps" % process.pid) as file:
                maps = [line.split() for line in file]
            for line in maps:
                self.assertFalse("w" in line[1] and "x" in line[1], line)
            sizes = [(int(end, 16) - int(start, 16), line[1]) for line in maps
                     for start, end in [line[0].split("-")]]
            # The guard is right below the stack and the heap.
            self.assertTrue(any(one == (1 << 20, "---p") and two[0] >= 8 << 20 and two[1] == "rw-p"
                                for one, two in zip(sizes, sizes[1:])), maps)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=10), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_crashes(self):
        self.ends(run("--", "smash"), 255, b"a stack was overwritten")
        self.ends(run("--", "abort"), 255, b"ended by signal 6")
        self.ends(run("--", "recurse"), -signal.SIGSEGV)
        self.ends(run("--", "execute"), -signal.SIGSEGV)
        self.ends(run("--", "write-text"), -signal.SIGSEGV)

    def test_image_files(self):
        for image in IMAGES:
            text = subprocess.run(["readelf", "-lW", image], stdout=subprocess.PIPE, check=True).stdout.decode()
            # start.c passes no program headers on, so nothing may be thread-local.
            self.assertNotIn("TLS", text, image)
            self.assertNotRegex(text, r"R?WE", image)
            self.assertNotIn("INTERP", text, image)

    # ---- the command line ----

    def test_arguments_arrive_as_words(self):
        words = ["a b", "", "it's", '"', "\\", "--name=x", "--", "--mem=1"]
        told = run("--mem=8", "--", "tell", *words).stdout.split(b"\n")[0]
        back = subprocess.run(["sh", "-c", 'printf "%s\\n" ' + told.decode()], stdout=subprocess.PIPE).stdout
        self.assertEqual(back.decode().split("\n")[1:-1], words)

    def test_modules(self):
        paths = []
        for i in range(9):
            paths.append(os.path.join(self.folder.name, "module-%d" % i))
            with open(paths[-1], "w") as file:
                file.write("text %d" % i)
        self.ends(run(*["--module=" + path for path in paths[:8]], "--", "tell"), 0, b"module 6 text 7")
        self.ends(run(*["--module=" + path for path in paths], "--", "tell"), 1, b"too many modules")
        with open(paths[0], "wb") as file:
            file.truncate((1 << 20) + 1)
        self.ends(run("--module=" + paths[0], "--", "tell"), 1, b"too large")
        self.ends(run("--module=/dev/null", "--", "tell"), 0, b"module 0 ")

    def test_wrong_options(self):
        for option in ("--mem=", "--mem=3", "--mem=1x", "--mem=99999999999999999999", "--nonsense", "x",
                       "--block-sector-size:storage=513", "--block-sector-size:storage=8192"):
            self.ends(run(option, "--", "tell"), 1, b"packhorse-host: " + option.encode())
        self.ends(run("--help"), 0, b"usage: packhorse-host")
        self.ends(run("--net:service=nosuchtap", "--", "tell"), 1, b"does not exist")
        self.ends(run("--net:service=" + "x" * 40, "--", "tell"), 1, b"does not exist")
        self.ends(run("--block:storage=/nonexistent", "--", "tell"), 1, b"does not exist")
        self.ends(run("--block:storage=/dev/null", "--", "tell"), 1, b"/dev/null")
        self.ends(run("--module=/nonexistent", "--", "tell"), 1, b"does not exist")

    def test_devices_are_exclusive(self):
        process = subprocess.Popen([PROBE, *self.devices, "--", "wait"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        try:
            process.stdout.readline()
            self.ends(run(self.devices[0], "--", "tell"), 1, b"phprobe: in use")
            self.ends(run(self.devices[1], "--", "tell"), 1, b"disk: in use")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_addresses(self):
        first = re.search(rb"mac (\S+)", run(*self.devices, "--", "all").stdout).group(1)
        again = re.search(rb"mac (\S+)", run(*self.devices, "--", "all").stdout).group(1)
        self.assertEqual(first, again)
        self.assertEqual(int(first[:2], 16) & 3, 2)

    def test_nobody_reads_the_console(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4096):
                pass
        except BlockingIOError:
            os.set_blocking(writer, True)
        start = time.monotonic()
        result = subprocess.run([PROBE, "--", "tell"], stdout=writer, stderr=writer, timeout=60)
        os.close(reader)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(subprocess.run([PROBE, "--", "tell"], stdout=writer, stderr=writer).returncode, 0)
        os.close(writer)
        self.assertLess(time.monotonic() - start, 10)


if __name__ == "__main__":
    enter_namespace()
    unittest.main(argv=sys.argv[:1])
