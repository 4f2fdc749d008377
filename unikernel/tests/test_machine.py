#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_machine.py FOLDER CASE

Boots FOLDER/uk_probe, and FOLDER/packhorse.elf, on the machines that QEMU has, without hardware
acceleration, and looks at what they do and at the page tables that they run on.
"""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

folder, case = sys.argv[1:]
PROBE, IMAGE = os.path.join(folder, "uk_probe"), os.path.join(folder, "packhorse.elf")
MMIO, PCI = ["microvm", "microvm,acpi=off"], ["q35", "pc"]
MODERN = ["-global", "virtio-mmio.force-legacy=false"]
temporary = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(temporary.name, name)


def device(machine, kind, options=""):
    pci = machine.split(",")[0] in PCI
    if pci and kind == "net":
        options += ",romfile="
    return ["-device", "virtio-%s-%s%s" % (kind, "pci" if pci else "device", options)]


class Machine:
    def __init__(self, machine, arguments, *more, image=PROBE, cpu="max", memory="64", reboot=False):
        self.log = path("log")
        open(self.log, "w").close()
        command = ["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", cpu, "-m", memory, "-nodefaults",
                   "-display", "none", "-serial", "file:" + self.log, "-qmp", "unix:%s,server=on,wait=off" % path("qmp"),
                   "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-kernel", image, "-append", arguments, *more]
        self.process = subprocess.Popen(command if reboot else command + ["-no-reboot"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for(self, pattern, seconds=30):
        end = time.time() + seconds
        while time.time() < end and self.process.poll() is None:
            found = re.findall(pattern, self.text(), re.M)
            if found:
                return found
            time.sleep(0.02)
        found = re.findall(pattern, self.text(), re.M)
        assert found, "no %r on the console:\n%s" % (pattern, self.text())
        return found

    def end(self, code, seconds=30):
        got = self.process.wait(seconds)
        assert got == code, "ended with %d, not %d:\n%s" % (got, code, self.text())
        return self.text()

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path("qmp"))
            stream = s.makefile("rw")
            stream.readline()
            for words in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(words) + "\n")
                stream.flush()
                answer = {}
                while "return" not in answer:
                    answer = json.loads(stream.readline())
                    assert "error" not in answer, answer
            return answer["return"]

    def monitor(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})


def debug_exit(code):
    return code << 1 | 1


def symbols(image):
    out = subprocess.run(["nm", image], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in out.splitlines() if len(line.split()) == 3}


def pages(machine):
    """{address: (writable, executable, bytes)} of everything that is mapped."""
    table = {}
    for line in machine.monitor("info tlb").splitlines():
        found = re.match(r"([0-9a-f]{16}): ([0-9a-f]{16}) (\S{9,})$", line.strip())
        if found:
            at, where, flags = int(found[1], 16), int(found[2], 16), found[3]
            assert at == where, line
            table[at] = ("W" in flags, "X" not in flags, 2 << 20 if "P" in flags else 4096)
    return table


def check_pages(image, names):
    with open(image, "rb") as f:
        head = f.read(4096)
    at, count = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<H", head, 56)[0]
    segments = [struct.unpack_from("<IIQQQQQQ", head, at + 56 * i) for i in range(count)]
    symbol = symbols(names)
    for machine in ("microvm", "q35"):
        with Machine(machine, "spin --anon-read", *device(machine, "net", ",netdev=n"), "-netdev", "user,id=n", image=image) as m:
            m.wait_for(r"probe heap|listening")
            table = pages(m)
        assert table and 0 not in table, "page 0 is mapped"
        for page, (writable, executable, _) in table.items():
            assert not (writable and executable), "%x is writable and executable" % page
        for kind, flags, _, start, _, _, size, _ in segments:
            if kind != 1:
                continue
            for page in range(start & ~4095, start + size, 4096):
                if page in (symbol["ph__stack_guard"], symbol["ph__fault_guard"]):
                    assert page not in table, "the guard page %x is there" % page
                    continue
                writable, executable, size_there = table[page]
                assert size_there == 4096
                assert (writable, executable) == (bool(flags & 2), bool(flags & 1)), "%x: %s" % (page, table[page])
        text = sum(size for _, executable, size in table.values() if executable)
        assert text == -(-sum(s[6] for s in segments if s[0] == 1 and s[1] & 1) // 4096) * 4096, text
        # Nothing that nobody asked for: RAM, and some pages of devices and tables.
        assert sum(size for _, _, size in table.values()) < (64 << 20) + (1 << 20)


def permissions():
    check_pages(PROBE, PROBE)
    check_pages(IMAGE, IMAGE + ".symbols")


def faults():
    expected = {"stack": "stack overflow: exception 14", "null": "null pointer: exception 14 error 0x0 .* address 0x8 ",
                "text": "fault: exception 14 error 0x3", "constant": "fault: exception 14 error 0x3",
                "execute": "fault: exception 14 error 0x11"}
    for word, line in expected.items():
        with Machine("microvm", word + " isa_debug_exit=0x501") as m:
            text = m.end(debug_exit(2))
            assert re.search(r"^\+0\.\d{3} ERROR \[virtio\] " + line, text, re.M), text
            assert "rip 0x1" in text


def power():
    for machine in MMIO + PCI:
        # Without ACPI there is nothing but a reset.
        with Machine(machine, "exit=007", reboot="acpi" not in machine) as m:
            assert "probe done" in m.end(0)
        for code in (0, 2, 60, 64):
            with Machine(machine, "exit=%03d isa_debug_exit=0x501" % code) as m:
                m.end(debug_exit(code))
            if machine != "microvm":
                break
    # The power button while it sleeps.
    for machine in ["microvm"] + PCI:
        with Machine(machine, "echo", *device(machine, "net", ",netdev=n"), "-netdev", "user,id=n") as m:
            m.wait_for("net mtu")
            start = time.time()
            m.qmp("system_powerdown")
            assert "power button" in m.end(0)
            assert time.time() - start < 3


def entropy():
    with Machine("microvm", "entropy") as m:
        a = re.search(r"entropy 0 (\d+) (\d+)", m.end(0)).groups()
    for machine in ["microvm"] + PCI:
        with Machine(machine, "entropy", *device(machine, "rng"), cpu="qemu64") as m:
            b = re.search(r"entropy 0 (\d+) (\d+)", m.end(0)).groups()
        assert len(set(a + b)) == 4, (a, b)
        with Machine(machine, "entropy", cpu="qemu64") as m:
            assert "entropy 20 0 0" in m.end(0)
    # The server does not start without.
    with Machine("microvm", "isa_debug_exit=0x501", image=IMAGE, cpu="qemu64") as m:
        code = m.process.wait(30)
        assert 60 <= code >> 1 <= 64, code
        assert re.search("ERROR.*(entropy|random)", m.text()), m.text()


def disk():
    drive = ["-drive", "if=none,id=d,format=raw,file=" + path("disk")]
    with open(path("disk"), "wb") as f:
        f.truncate(8 << 20)
    for machine, more in [(m, []) for m in MMIO + PCI] + [("microvm", MODERN)]:
        with Machine(machine, "disk", *drive, *device(machine, "blk", ",drive=d"), *more) as m:
            text = m.end(0)
            assert "disk bytes=8388608 block=512 read_only=0 flush=1" in text, text
            assert "disk write=0 flush=0 read=0 same=1 beyond=10" in text, text
    for machine in ("microvm", "q35"):
        options = ",drive=d,logical_block_size=4096,physical_block_size=4096"
        with Machine(machine, "disk", *drive, *device(machine, "blk", options)) as m:
            text = m.end(0)
            assert "block=4096" in text and "write=0 flush=0 read=0 same=1" in text, text
        read_only = [drive[0], drive[1] + ",readonly=on"]
        with Machine(machine, "disk", *read_only, *device(machine, "blk", ",drive=d")) as m:
            text = m.end(0)
            assert "read_only=1" in text and "write=8 flush=0 read=0" in text, text
        with Machine(machine, "disk") as m:
            assert "disk none" in m.end(0)
        errors = ["-blockdev", json.dumps({"driver": "blkdebug", "node-name": "d", "image": {
            "driver": "file", "filename": path("disk")}, "inject-error": [{"event": "none", "sector": 1000}]})]
        with Machine(machine, "disk", *errors, *device(machine, "blk", ",drive=d,werror=report,rerror=report")) as m:
            assert re.search("disk write=7 flush=0 read=7", m.end(0)), m.text()


def net():
    for machine, more in [(m, []) for m in MMIO + PCI] + [("microvm", MODERN)]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            s.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            s.settimeout(5)
            there = other.getsockname()
            other.close()
            netdev = "socket,id=n,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d" % (s.getsockname()[1], there[1])
            options = ",netdev=n,mac=52:54:00:12:34:56"
            with Machine(machine, "echo", "-netdev", netdev, *device(machine, "net", options), *more) as m:
                assert m.wait_for(r"net mtu=1500 mac=82:84:0:18:52:86$")
                for i in range(400):
                    body = os.urandom(46 + i * 1454 // 399)
                    s.sendto(b"\xff" * 6 + b"\2\0\0\0\0\1\x88\xb5" + body, there)
                    got = s.recv(4096)
                    assert got == b"\2\0\0\0\0\1RT\0\x124V\x88\xb5" + body, "frame %d" % i
                    if i % 100 == 0:
                        time.sleep(0.4)
                assert "WARN" not in m.text(), m.text()
    with Machine("microvm", "echo") as m:
        assert "net none" in m.end(0)


def modules():
    for i, size in enumerate((1, 4096, 300001)):
        with open(path("m%d" % i), "wb") as f:
            f.write(os.urandom(size))
    for machine in MMIO + PCI:
        for name in ("m0", "m1", "m2"):
            with open(path(name), "rb") as f:
                data = f.read()
            with Machine(machine, "zero", "-initrd", path(name), memory="16") as m:
                assert "modules=1 len=%d sum=%d " % (len(data), sum(data)) in m.end(0), m.text()
    for memory in ("8", "4096", "6144"):
        with Machine("q35", "none", memory=memory) as m:
            heap = int(re.search(r"heap=(\d+)", m.end(0))[1])
            assert heap > (int(memory) << 20) / 2 - (4 << 20), heap


def clock():
    for machine, more in (("microvm", ""), ("q35", ""), ("microvm,pit=off", ""), ("microvm", " tsc_khz=1000000")):
        start = time.time()
        with Machine(machine, "sleep" + more) as m:
            text = m.end(0)
        slept = int(re.search(r"sleep ms=(\d+)", text)[1])
        assert 1000 <= slept < 1500, text
        assert abs(int(re.findall(r"wall=(\d+)", text)[0]) - start) < 5, text
        if not more and "pit" not in machine:
            assert time.time() - start > 1, "it thinks that it slept"
        assert ("assuming 1 GHz" in text) == ("pit" in machine)


def reset():
    """Memory is full of what the run before left."""
    for machine in ("microvm", "q35"):
        with Machine(machine, "--anon-read --ipv4=10.0.2.15/24", *device(machine, "net", ",netdev=n"), "-netdev", "user,id=n",
                     image=IMAGE, reboot=True) as m:
            for _ in range(4):
                before = len(m.wait_for("listening ssh"))
                m.qmp("system_reset")
                end = time.time() + 30
                while len(m.wait_for("listening ssh")) == before and time.time() < end:
                    time.sleep(0.05)
                assert len(m.wait_for("listening ssh")) > before, m.text()
            assert "ERROR" not in m.text(), m.text()


{"permissions": permissions, "faults": faults, "power": power, "entropy": entropy, "disk": disk, "net": net,
 "modules": modules, "clock": clock, "reset": reset}[case]()
