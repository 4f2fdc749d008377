# SPDX-License-Identifier: MIT
"""Images as others may read them: by store/disk/SPEC.md alone."""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../spec"))
import image_reader
from harness import DAEMON, check, equal, only

daemon = only(DAEMON, "unikernels write the same images: see moves")


def read(image, *args):
    return subprocess.run([sys.executable, "-B", image_reader.__file__, image, *args], capture_output=True, text=True)


def refs_of(text):
    """What the reader lists: repositories to refs to values."""
    out = {}
    for line in text.splitlines():
        if line[:1] != " ":
            out[line.split(" (")[0]] = refs = {}
        else:
            value, name = line.split()
            refs[name] = value
    return out


def remote_refs(world, url):
    lines = [line.split("\t") for line in world.git("ls-remote", "--refs", url).text.splitlines()]
    return {name: value for value, name in lines}


def fill(world, server):
    """Two formats, many refs, tags that are peeled, packs on packs, and a repository that is deleted."""
    for fmt in ("sha1", "sha256"):
        work, name = world.path("work-" + fmt), "team/" + fmt
        world.git("init", "-q", "-b", "main", "--object-format=" + fmt, work)
        world.ssh(server, "repo", "create", name, "--object-format=" + fmt)
        for n in range(12):
            world.commit(work, "file-%d" % (n % 3), "%d\n" % n * 2000)
            world.git("tag", "-a", "-m", "tag", "v%d" % n, cwd=work)
            world.git("push", "-q", server.url(name), "main", "v%d" % n, "main:refs/heads/b%d" % n, cwd=work)
        world.git("push", "-q", server.url(name), *("main:refs/heads/many/%d" % n for n in range(300)), cwd=work)
    world.git("push", "-q", server.url("gone"), "main", cwd=world.path("work-sha1"))
    world.ssh(server, "repo", "delete", "gone")
    return ["team/sha1", "team/sha256"]


@daemon
def image_by_its_specification(world):
    """An independent reader lists repositories and refs, and extracts packs that git takes."""
    server = world.serve("store.img")
    names = fill(world, server)
    expected = {name: remote_refs(world, server.url(name)) for name in names}
    server.stop()
    image = world.path("store.img")
    listed = refs_of(read(image).stdout)
    equal(sorted(listed), names, "repositories")
    for name in names:
        equal(listed[name].pop("HEAD"), "refs/heads/main", "HEAD of " + name)
        equal(listed[name], expected[name], "refs of " + name)
        folder, bare = world.path("packs-" + name[5:]), world.path("bare-" + name[5:])
        said = read(image, name, folder)
        check(said.returncode == 0, "reader: " + said.stderr)
        world.git("init", "-q", "--bare", "--object-format=" + name[5:], bare)
        for pack in os.listdir(folder):
            with open(os.path.join(folder, pack), "rb") as data:
                world.git("index-pack", "--stdin", cwd=bare, data=data.read())
        for ref, value in expected[name].items():
            world.git("update-ref", ref, value, cwd=bare)
        world.git("fsck", "--full", "--strict", "--no-dangling", cwd=bare)


def everything(path):
    """All that the reader finds in an image, and the blocks that it read."""
    image, blocks, found = image_reader.Image(path), set(), {}
    read_block = image.block
    image.block = lambda number: (blocks.add(number), read_block(number))[1]
    for name, repository in image.repositories().items():
        packs = [repository.packfile(sections) for _, sections in repository.packs()]
        found[name] = repository.refs(), sorted(packs)
    return found, blocks


@daemon
def image_damaged(world):
    """A changed bit in what is in use is noticed, or makes no difference; no other makes one."""
    server = world.serve("store.img")
    fill(world, server)
    server.stop()
    path, rng, noticed = world.path("store.img"), random.Random(5), 0
    before, blocks = everything(path)
    check(len(blocks) >= 30, "only %d blocks are in use" % len(blocks))
    with open(path, "r+b") as f:
        for block in rng.choices(sorted(blocks), k=50):
            at, bit = 4096 * block + rng.randrange(4096), 1 << rng.randrange(8)
            f.seek(at)
            byte = f.read(1)[0]
            for value in (byte ^ bit, byte):
                f.seek(at)
                f.write(bytes([value]))
                f.flush()
                if value != byte:
                    try:
                        equal(everything(path)[0], before, "what is read from an image with byte %d changed" % at)
                    except image_reader.Damaged:
                        noticed += 1
    check(noticed >= 10, "only %d of 50 damages were noticed" % noticed)


CASES = [image_by_its_specification, image_damaged]
