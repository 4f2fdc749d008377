# SPDX-License-Identifier: MIT
"""Images as others may read them, by store/disk/SPEC.md alone, and as our own tools do."""
import json
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


def tool(world, code, *args):
    """What a tool says, both streams; it must end with this code."""
    said = world.run([world.packhorse, *args], ok=False)
    equal(said.code, code, "exit code of %s: %s" % (" ".join(args), said.text + said.errtext))
    return said.text + said.errtext


@daemon
def image_tools(world):
    """mkfs makes a store of what is blank and of nothing else; info and fsck say what is in it."""
    image = world.path("store.img")
    tool(world, 0, "mkfs", image, "--size", "32M")
    equal(os.path.getsize(image), 32 << 20, "size")
    equal(os.stat(image).st_mode & 0o777, 0o600, "mode")
    server = world.serve("store.img")
    names = fill(world, server)
    for args in ("mkfs", "--force"), ("info",), ("fsck",):
        check("has it open" in tool(world, 1, *args, image), "an image in use was opened")
    expected = {name: len(remote_refs(world, server.url(name))) + 1 for name in names}
    server.stop()
    said = json.loads(tool(world, 0, "info", "--json", image))
    equal({r["name"]: r["refs"] for r in said["repositories"]}, expected, "refs")
    equal({r["object_format"] for r in said["repositories"]}, {"sha1", "sha256"}, "formats")
    check(0 < said["free_bytes"] < said["bytes"] <= 32 << 20, "space")
    check("clean" in tool(world, 0, "fsck", image), "fsck")
    objects = sum(r["objects"] for r in said["repositories"])
    check("clean, %d objects" % objects in tool(world, 0, "fsck", "--deep", image), "fsck --deep")
    check("not blank" in tool(world, 1, "mkfs", image), "a store was formatted without being asked twice")
    check("clean" in tool(world, 0, "fsck", image), "what mkfs refused is as it was")
    tool(world, 0, "mkfs", "--force", image)
    equal(json.loads(tool(world, 0, "info", "--json", image))["repositories"], [], "after --force")


@daemon
def image_tools_refuse(world):
    """Other files, none, sizes that are none: a line that says so, and nothing is touched."""
    other = world.path("other")
    with open(other, "wb") as f:
        f.write(b"somebody's\n" * 10000)
    check("not a store" in tool(world, 1, "info", other), "info of another file")
    check("not a store" in tool(world, 1, "fsck", other), "fsck of another file")
    check("not blank" in tool(world, 1, "mkfs", other), "mkfs of another file")
    equal(os.path.getsize(other), 110000, "another file's size")
    check("No such file" in tool(world, 1, "info", world.path("none")), "info of nothing")
    check(not os.path.exists(world.path("none")), "info made a file")
    for size in ("0", "1M", "16", "20Q", "-1", "99999999999999999999T"):
        check("--size" in tool(world, 64, "mkfs", world.path("new"), "--size", size), "size " + size)
    check(not os.path.exists(world.path("new")), "a refused mkfs made a file")
    for args in ("mkfs",), ("info", "--x", other), ("fsck", other, other):
        check("usage" in tool(world, 64, *args), "usage of " + args[0])


@daemon
def image_fsck_finds(world):
    """A changed bit where something is kept is found, and named by its repository; others are served."""
    server = world.serve("store.img")
    fill(world, server)
    server.stop()
    path = world.path("store.img")
    for name in ("team/sha1", "team/sha256"):
        image, blocks = image_reader.Image(path), set()
        for _, sections in image.repositories()[name].packs():
            blocks |= {start for start, _ in sections[image_reader.RUN].extents}
        with open(path, "r+b") as f:
            f.seek(4096 * min(blocks) + 5)
            byte = f.read(1)[0]
            for value, code in ((byte ^ 4, 3), (byte, 0)):
                f.seek(4096 * min(blocks) + 5)
                f.write(bytes([value]))
                f.flush()
                said = json.loads(tool(world, code, "fsck", "--json", path))
                equal({found["repository"] for found in said["findings"]}, {name} if code else set(), "damaged")
                check(code == 0 or any(found["ids"] for found in said["findings"]), "no object is named")
                equal(said["clean"], code == 0, "clean")


@daemon
def image_export(world):
    """Repositories leave an image as git has them: a bare one, and a bundle."""
    server = world.serve("store.img")
    names = fill(world, server)
    world.git("push", "-q", server.url(names[0]), "v3^{}:refs/heads/deep/er/branch", cwd=world.path("work-sha1"))
    expected = {name: world.git("ls-remote", server.url(name)).text for name in names}
    server.stop()
    image = world.path("store.img")
    for name in names:
        bare, bundle, clone = (world.path(kind + name[5:]) for kind in ("bare-", "bundle-", "clone-"))
        check("refs, " in tool(world, 0, "export", image, name, bare), "export says how much")
        world.git("fsck", "--full", "--strict", cwd=bare)
        for pack in os.listdir(os.path.join(bare, "objects/pack")):
            if pack.endswith(".idx"):
                world.git("verify-pack", os.path.join("objects/pack", pack), cwd=bare)
        equal(world.git("ls-remote", bare).text, expected[name], "refs of the folder")
        with open(bundle, "wb") as out:
            out.write(world.run([world.packhorse, "export", image, name, "-"]).out)
        world.git("clone", "-q", "--mirror", bundle, clone)
        world.git("fsck", "--full", "--strict", cwd=clone)
        equal(world.git("ls-remote", clone).text, expected[name], "refs of the bundle")
        check("not an empty folder" in tool(world, 1, "export", image, name, bare), "a folder was written over")
    check("no such repository" in tool(world, 1, "export", image, "none", world.path("none")), "an unknown repository")
    check(not os.path.exists(world.path("none")), "an unknown repository leaves a folder")


CASES = [image_by_its_specification, image_damaged, image_tools, image_tools_refuse, image_fsck_finds, image_export]
