# SPDX-License-Identifier: MIT
"""Images that are damaged, or none: what servers, clients and tools are told, and that nothing is written."""
import gzip
import hashlib
import os
import random
import struct
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../spec"))
import image_reader
from harness import DAEMON, check, equal, only

daemon = only(DAEMON, "unikernels read the same images, and have no tools")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def fill(world, server, names):
    """A repository for each name, with some large random files that are stored as they are."""
    rng = random.Random(7)
    for name in names:
        work = world.path("work-" + name)
        world.git("init", "-q", "-b", "main", work)
        for n in range(6):
            world.commit(work, "file-%d" % n, "".join(rng.choices("0123456789abcdef", k=40000)))
        world.git("push", "-q", server.url(name), "main", cwd=work)


def blocks_of(path, name, section):
    image, blocks = image_reader.Image(path), []
    for _, sections in image.repositories()[name].packs():
        for start, count in sections[section].extents if section in sections else ():
            blocks += range(start, start + count)
    return blocks


def start_of(path, name, section):
    """Where a section of the repository's only pack begins."""
    found = image_reader.Image(path).repositories()[name].packs()
    sections = next(sections for _, sections in found)
    return 4096 * sections[section].extents[0][0] + sections[section].skip


def flip(path, at, bit=4):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ bit]))


def serve_fails(world, image):
    """The exit code of a server on this image, and what it says."""
    keys = world.write("keys-refused", world.public("id"))
    said = world.run([world.packhorse, "serve", "--store", image, "--authorized-keys", keys, "--listen",
                      "127.0.0.1:0"], ok=False, timeout=20)
    return said.code, said.text + said.errtext


def sealed(data, offset, value):
    """The image with a change in every superblock, whose checksum is right again."""
    out = bytearray(data)
    for slot in range(32):
        at = 4096 * slot
        if out[at:at + 8] == b"PACKHORS":
            out[at + offset:at + offset + len(value)] = value
            struct.pack_into(">I", out, at + 4092, zlib.crc32(bytes(out[at:at + 4092])))
    return bytes(out)


def bad_images(world, good):
    rng = random.Random(3)
    work = world.path("work-one")
    world.git("bundle", "create", "-q", world.path("a.bundle"), "main", cwd=work)
    ext4 = bytearray(1 << 20)
    ext4[1024:1024 + 120] = rng.randbytes(120)
    ext4[1024 + 56:1024 + 58] = b"\x53\xef"
    with open(world.path("a.bundle"), "rb") as f:
        bundle = f.read()
    with open(sys.executable, "rb") as f:
        elf = f.read(1 << 20)
    no = "store of packhorse"
    yield "random", rng.randbytes(3 << 20), no
    yield "text", b"somebody's\n" * 100000, no
    yield "gzip", gzip.compress(rng.randbytes(1 << 20)), no
    yield "bundle", bundle, no
    yield "elf", elf, no
    yield "ext4", bytes(ext4), no
    yield "short", good[:3000], no
    yield "cut", good[:len(good) // 4096 // 2 * 4096], "cut off"
    yield "cut-odd", good[:len(good) - 5000], "cut off"
    yield "newer", sealed(good, 8, struct.pack(">I", 2)), "newer"
    yield "older", sealed(good, 8, struct.pack(">I", 0)), "older"
    yield "feature", sealed(good, 32, struct.pack(">Q", 1 << 40)), "features"
    wrecked = bytearray(good)
    wrecked[:32 * 4096] = b"".join(b"PACKHORS\0\0\0\1" + rng.randbytes(4084) for _ in range(32))
    yield "wrecked", bytes(wrecked), "backup"


@daemon
def bad_images_refused(world):
    """Other files, cut ones, other formats: every tool and serve say why, with code 1, and write nothing."""
    server = world.serve("good.img")
    fill(world, server, ["one"])
    server.stop()
    with open(world.path("good.img"), "rb") as f:
        good = f.read()
    for name, data, words in bad_images(world, good):
        image = world.path(name + ".img")
        with open(image, "wb") as f:
            f.write(data)
        before = digest(image)
        for args in (["info"], ["fsck"], ["fsck", "--deep", "--json"], ["export", image, "one", world.path("to-" + name)],
                     ["import", image, "new", world.path("work-one")]):
            said = world.run([world.packhorse, *args] if len(args) > 3 else [world.packhorse, *args, image], ok=False)
            text = said.text + said.errtext
            equal(said.code, 1, "exit code of %s of %s: %s" % (args[0], name, text))
            check(words in text, "%s of %s says %r" % (args[0], name, text))
        code, text = serve_fails(world, image)
        equal(code, 1, "exit code of serve on %s: %s" % (name, text))
        check(words in text, "serve on %s says %r" % (name, text))
        said = world.run([world.packhorse, "mkfs", image], ok=False)
        equal(said.code, 1, "mkfs of " + name)
        equal(digest(image), before, "the bytes of " + name)
        check(not os.path.exists(world.path("to-" + name)), "an export of nothing")


@daemon
def read_only_feature(world):
    """A feature that forbids writing alone: what is there is read, and pushes are refused with a reason."""
    server = world.serve("good.img")
    fill(world, server, ["one"])
    server.stop()
    image = world.path("good.img")
    with open(image, "rb") as f:
        good = f.read()
    with open(image, "wb") as f:
        f.write(sealed(good, 24, struct.pack(">Q", 1 << 40)))
    before = digest(image)
    server = world.serve("good.img")
    world.git("clone", "-q", server.url("one"), world.path("clone"))
    world.commit(world.path("work-one"))
    said = world.git("push", server.url("one"), "main", cwd=world.path("work-one"), ok=False)
    check(said.code != 0 and "read-only" in said.errtext, "the push says " + said.errtext)
    check("read-only" in world.ssh(server, "repo", "delete", "one", ok=False).errtext, "deleting")
    server.stop()
    equal(digest(image), before, "the bytes")


@daemon
def rot_contained(world):
    """Damage to one repository is named to who meets it and to the owner; others go on; it can be deleted."""
    names = ["one", "two", "three"]
    server = world.serve("store.img")
    fill(world, server, names)
    server.stop()
    image = world.path("store.img")
    flip(image, 4096 * blocks_of(image, "two", image_reader.RUN)[9] + 100)
    flip(image, start_of(image, "three", image_reader.INDEX) + 50)
    server = world.serve("store.img")
    listed = world.ssh(server, "repo", "list", ok=False).text
    check("one\t" in listed and "two\t" in listed, "the list is " + listed)
    world.git("clone", "-q", server.url("one"), world.path("clone-one"))
    world.commit(world.path("work-one"))
    world.git("push", "-q", server.url("one"), "main", cwd=world.path("work-one"))
    said = world.git("clone", server.url("two"), world.path("clone-two"), ok=False)
    check(said.code != 0 and "repository corruption on the remote side: object " in said.errtext, "the clone says " + said.errtext)
    world.commit(world.path("work-two"))
    world.git("push", "-q", server.url("two"), "main", cwd=world.path("work-two"))
    said = world.ssh(server, "scrub", ok=False)
    equal(said.code, 1, "status of scrub")
    for name in ("two", "three"):
        check("repository %s: pack 1, " % name in said.text, "scrub says " + said.text)
    check("repository one" not in said.text, "a whole repository is named: " + said.text)
    check("objects are hit" in said.text or "object is hit" in said.text, "scrub names no object: " + said.text)
    check("repository two: " in server.text(), "the log says " + server.text())
    said = world.git("ls-remote", server.url("three"), ok=False)
    check(said.code != 0 and "repository corruption" in said.errtext, "ls-remote says " + said.errtext)
    for name in ("two", "three"):
        world.ssh(server, "repo", "delete", name)
        world.git("push", "-q", server.url(name), "main", cwd=world.path("work-" + name))
        world.git("clone", "-q", server.url(name), world.path("again-" + name))
    check("0 findings" in world.ssh(server, "scrub").text, "scrub of what is whole again")
    check("last complete" in world.ssh(server, "scrub", "state").text, "scrub state")
    server.stop()
    said = world.run([world.packhorse, "fsck", "--deep", image])
    check("clean" in said.text, "fsck says " + said.text)


CASES = [bad_images_refused, read_only_feature, rot_contained]
