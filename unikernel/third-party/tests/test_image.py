#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_image.py CHECK SOURCE BUILD SOURCES: what is true of the images whatever they do when they run.

  checks   size, permissions of segments, no instruction that calls a kernel or sleeps in a crash
  twice    a clean build of a copy of the source, elsewhere, gives the same bytes
  relink   relink/ gives the same bytes again, and takes another libssh, which then serves ssh
"""
import filecmp
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

# It was 1.2 MB before there were signed pushes, rules, checks of every kind, backups and scrubs.
BYTES_MAX = 1280 * 1000
IMAGE = "packhorse.elf"
check, source, build, sources = sys.argv[1], *map(os.path.abspath, sys.argv[2:5])


def run(*command, **how):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **how).stdout


def require(truth, *words):
    if not truth:
        sys.exit(" ".join(map(str, words)))


def same(a, b):
    require(filecmp.cmp(a, b, shallow=False), a, "and", b, "differ")


KERNEL_CALL = r"syscall|sysenter|int +\$0x80"


def instructions(image, which):
    where, found = "", []
    for line in run("objdump", "-d", image).splitlines():
        if line.endswith(">:"):
            where = line
        elif re.search(r"\t(%s)\b" % which, line):
            found.append(where + line)
    return found


def checks():
    image = os.path.join(build, IMAGE)
    size = os.path.getsize(image)
    require(size < BYTES_MAX, image, "has", size, "bytes")
    require("no symbols" in run("nm", image, stderr=subprocess.STDOUT), image, "is not stripped")
    hosted = os.path.join(build, "packhorse-host.symbols")
    found = instructions(image + ".symbols", KERNEL_CALL)
    require(not found, "\n".join(found[:10]))
    # The one that runs under a kernel shows that the search finds what is there.
    require(instructions(hosted, KERNEL_CALL), "nothing is found anywhere")
    # A crash that sleeps is none; see musl/crash.h.
    found = instructions(hosted, "hlt")
    require(not found, "\n".join(found[:10]))
    require(instructions(hosted, "ud2"), "nothing can crash")
    loads = re.findall(r"^ +LOAD .* ([R ][W ][E ]) +0x", run("readelf", "-lW", image), re.M)
    require(len(loads) >= 3 and not [f for f in loads if "W" in f and "E" in f], loads)
    print(size, "bytes; segments", loads)


def configure_and_build(top, folder, unpacked, *targets):
    run("cmake", "-S", top, "-B", folder, "-G", "Ninja", "-DPH_UNIKERNEL=image", "-DCMAKE_BUILD_TYPE=Release",
        "-DPH_SOURCES_DIR=" + unpacked)
    run("ninja", "-C", folder, *targets)


def twice(work):
    names = run("git", "ls-files", "-co", "--exclude-standard", cwd=source).split("\n")
    for name in filter(None, names):
        if os.path.isfile(os.path.join(source, name)):
            os.makedirs(os.path.join(work, "copy", os.path.dirname(name)), exist_ok=True)
            shutil.copy(os.path.join(source, name), os.path.join(work, "copy", name))
    unpacked = os.path.join(work, "somewhere", "else")
    os.makedirs(unpacked)
    for name in "musl", "mbedtls", "zlib", "libssh", "lwip":
        shutil.copytree(os.path.join(sources, name), os.path.join(unpacked, name), symlinks=True)
    configure_and_build(os.path.join(work, "copy"), os.path.join(work, "output"), unpacked)
    for name in IMAGE, "packhorse-host":
        same(os.path.join(build, name), os.path.join(work, "output", name))


def versions(package):
    with open(os.path.join(source, "unikernel/third-party/sources.lock"), encoding="utf-8") as lock:
        return re.findall(r"^%s (\S+)" % package, lock.read(), re.M)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serves(image, work):
    """Boots image, asks it for help over ssh, shuts it down; returns what it said on its console."""
    key, port, log = os.path.join(work, "key"), free_port(), os.path.join(work, "console")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    ssh = ["ssh", "-i", key, "-F", "none", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
           "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "127.0.0.1"]
    with open(log, "w+", encoding="utf-8") as console, subprocess.Popen(
            ["qemu-system-x86_64", "-M", "microvm,accel=tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-display",
             "none", "-no-user-config", "-no-reboot", "-serial", "stdio", "-kernel", image, "-initrd", key + ".pub",
             "-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:22" % port, "-device",
             "virtio-net-device,netdev=n", "-append", "--ipv4=10.0.2.15/24 --ipv4-gateway=10.0.2.2"],
            stdin=subprocess.DEVNULL, stdout=console) as machine:
        try:
            end = time.monotonic() + 60
            while subprocess.run(ssh + ["help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                                 check=False).returncode:
                require(time.monotonic() < end and machine.poll() is None, "no answer by ssh")
                time.sleep(0.2)
            run(*ssh, "shutdown", timeout=60)
            require(machine.wait(60) == 0, "the machine ended with", machine.returncode)
        finally:
            machine.kill()
        console.seek(0)
        return console.read()


def relink(work):
    script, again = os.path.join(build, "relink", "link.sh"), os.path.join(work, IMAGE)
    run("sh", script, IMAGE, again)
    same(os.path.join(build, IMAGE), again)
    with open(os.path.join(sources, "libssh.version"), encoding="utf-8") as f:
        used = f.readline().split()[1]
    other = [v for v in versions("libssh") if v != used][0]
    unpacked, folder = os.path.join(work, "unpacked"), os.path.join(work, "build")
    run(sys.executable, "-B", os.path.join(source, "unikernel/third-party/fetch.py"), "--use", "libssh=" + other,
        "--downloads", os.path.join(sources, "downloads"), unpacked)
    configure_and_build(source, folder, unpacked, "ph_tp_libssh")
    run("sh", script, IMAGE, again, os.path.join(folder, "relink", "libph_tp_libssh.a"))
    said = serves(again, work)
    require(" libssh %s/" % other.split("-")[0] in said, "it runs another libssh:\n" + said)


if check == "checks":
    checks()
else:
    with tempfile.TemporaryDirectory() as folder:
        {"twice": twice, "relink": relink}[check](folder)
