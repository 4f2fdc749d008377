# SPDX-License-Identifier: MIT
"""The peer: the smallest Linux VM that serves Git over SSH, put together from Debian packages.

Debian's cloud kernel, and an initramfs of busybox, dropbear, git with the libraries both need, the
repositories, one script as init. Packages are downloaded once into a folder.
"""
import glob
import gzip
import os
import shutil
import subprocess

KERNEL = "linux-image-cloud-amd64"
PACKAGES = ("busybox-static", "dropbear-bin", "git", "libc6", "libcrypt1", "libgmp10", "libpcre2-8-0",
            "libtomcrypt1", "libtommath1", "zlib1g")
LIBRARIES = ("libc.so.6", "ld-linux-x86-64.so.2", "libcrypt.so.1", "libgmp.so.10", "libpcre2-8.so.0",
             "libtomcrypt.so.1", "libtommath.so.1", "libz.so.1")
# In the order in which they must be loaded.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "failover",
           "net_failover", "virtio_net")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/pts
/bin/busybox mount -t devpts devpts /dev/pts
for module in %(modules)s; do /bin/busybox insmod /modules/$module.ko; done
/bin/busybox ip addr add %(address)s dev eth0
/bin/busybox ip link set eth0 up
export PATH=/bin HOME=/root
exec dropbear -F -E -R -p 22
"""


def download(folder):
    """The packages, unpacked below folder/root; kept for the next run."""
    root = os.path.join(folder, "root")
    if os.path.exists(os.path.join(folder, "complete")):
        return root
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(root)
    out = subprocess.run(["apt-cache", "depends", KERNEL], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    kernel = [w for w in out.decode().split() if w.startswith("linux-image-")][-1]
    fetch = ["apt-get", "download", "-qq", kernel, *PACKAGES]
    if subprocess.run(fetch, cwd=folder, timeout=600, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["apt-get", "update", "-qq"], timeout=300, check=True)
        subprocess.run(fetch, cwd=folder, timeout=600, check=True)
    for package in glob.glob(folder + "/*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, timeout=120)
        os.unlink(package)
    open(os.path.join(folder, "complete"), "w").close()
    return root


def find(root, name):
    found = [p for p in glob.glob(root + "/**/" + name, recursive=True) if os.path.exists(p)]
    if not found:
        raise FileNotFoundError("%s is in none of the packages" % name)
    return os.path.realpath(found[0])


def entry(out, name, mode, data=b""):
    """One member of a cpio archive in the format that the kernel reads."""
    name = name.encode() + b"\0"
    out.write(b"070701" + b"".join(b"%08x" % n for n in (
        entry.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)))
    out.write(name + bytes(-(110 + len(name)) % 4) + data + bytes(-len(data) % 4))
    entry.inode += 1


entry.inode = 1


def add_file(out, path, name, mode=0o100755):
    with open(path, "rb") as f:
        entry(out, name, mode, f.read())


def add_tree(out, path, name):
    for folder, _, files in os.walk(path):
        inside = os.path.normpath(os.path.join(name, os.path.relpath(folder, path)))
        entry(out, inside, 0o040755)
        for f in files:
            if os.path.isfile(os.path.join(folder, f)):
                add_file(out, os.path.join(folder, f), os.path.join(inside, f), 0o100644)


def build(folder, image, address, public_key, repositories):
    """Writes an initramfs that serves repositories {name: path} at address; returns the kernel and it."""
    root = os.path.join(folder, "root")
    with gzip.open(image, "wb", 9) as out:
        for name in ("bin", "dev", "etc", "etc/dropbear", "lib", "lib64", "modules", "proc", "root",
                     "root/.ssh", "run", "sys", "tmp", "usr", "usr/lib", "usr/lib/git-core"):
            entry(out, name, 0o040755 if "ssh" not in name else 0o040700)
        entry(out, "init", 0o100755, (INIT % {"modules": " ".join(MODULES), "address": address}).encode())
        add_file(out, find(root, "bin/busybox"), "bin/busybox")
        add_file(out, find(root, "bin/git"), "bin/git")
        add_file(out, find(root, "sbin/dropbear"), "bin/dropbear")
        for name in ("sh", "cat", "ip", "mkdir", "mount"):
            entry(out, "bin/" + name, 0o120777, b"busybox")
        for name in ("bin/git-upload-pack", "bin/git-receive-pack", "usr/lib/git-core/git"):
            entry(out, name, 0o120777, b"/bin/git")
        for name in LIBRARIES:
            add_file(out, find(root, name), ("lib64/" if name.startswith("ld-") else "lib/") + name)
        for name in MODULES:
            add_file(out, find(root, name + ".ko"), "modules/%s.ko" % name, 0o100644)
        entry(out, "etc/passwd", 0o100644, b"root:x:0:0:root:/root:/bin/sh\n")
        entry(out, "etc/group", 0o100644, b"root:x:0:\n")
        entry(out, "etc/shells", 0o100644, b"/bin/sh\n")
        entry(out, "root/.ssh/authorized_keys", 0o100600, public_key.encode())
        for name, path in repositories.items():
            add_tree(out, path, name)
        entry(out, "TRAILER!!!", 0)
    return find(root, "vmlinuz-*"), image
