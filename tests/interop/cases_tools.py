# SPDX-License-Identifier: MIT
"""Repositories into images and out of them, with stock git at both ends, and what mkfs takes for blank."""
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import time
import zlib

from harness import DAEMON, SANITIZER, check, equal, only

daemon = only(DAEMON, "tools are the daemon's")
ROOT = os.geteuid() == 0


def tool(world, code, *args, data=b"", **more):
    """What a tool says, both streams; it must end with this code."""
    said = subprocess.run([world.packhorse, *args], cwd=world.top, input=data, capture_output=True, timeout=300, **more)
    text = (said.stdout + said.stderr).decode(errors="replace")
    check(not SANITIZER.search(said.stderr), "a sanitizer spoke: " + text)
    equal(said.returncode, code, "exit code of %s: %s" % (" ".join(args), text))
    return text


def image(world, name="store.img", *args):
    path = world.path(name)
    tool(world, 0, "mkfs", "-q", path, *args)
    return path


def repositories(world, path):
    return {r["name"]: r for r in json.loads(tool(world, 0, "info", "--json", path))["repositories"]}


def round_trip(world, path, source, repo, **env):
    """Into an image and out again: nothing is lost, and git likes it."""
    said = json.loads(tool(world, 0, "import", "-q", "--json", path, repo, source))
    bare = world.path("out-" + repo.replace("/", "-"))
    tool(world, 0, "export", "-q", path, repo, bare)
    world.same(source, bare)
    equal(world.git("symbolic-ref", "HEAD", cwd=bare, ok=False).text,
          world.git("symbolic-ref", "HEAD", cwd=source, ok=False).text, "HEAD")
    clone = world.path("clone-" + repo.replace("/", "-"))
    world.git("clone", "-q", "--mirror", bare, clone, **env)
    world.same(source, clone)
    check("clean" in tool(world, 0, "fsck", "--deep", path), "fsck")
    return said


def grow(world, work):
    """Loose objects, packs that overlap, packed refs with newer ones in front, symrefs, a stash."""
    for n in range(3):
        world.commit(work, "more-%d" % n, "%d\n" % n * 3000)
        world.git("repack", "-q", cwd=work)
        world.git("branch", "b%d" % n, cwd=work)
    world.git("pack-objects", "-q", "--revs", ".git/objects/pack/pack", cwd=work, data=b"HEAD~2\n")
    world.git("pack-refs", "--all", cwd=work)
    world.commit(work, "loose", "loose\n")
    world.git("branch", "-f", "b0", cwd=work)
    world.git("tag", "-a", "-m", "loose", "v3", cwd=work)
    world.git("symbolic-ref", "refs/heads/alias", "refs/heads/b1", cwd=work)
    world.git("update-ref", "refs/notes/deep/er", "HEAD", cwd=work)
    world.git("update-ref", "refs/stash", "HEAD~1", cwd=work)
    world.commit(work, "empty-file", "")


@daemon
def import_round_trip(world):
    """Worktrees of both formats, with all that git keeps in them, are the same after a round trip."""
    path = image(world)
    for fmt in ("sha1", "sha256"):
        work = world.history("work-" + fmt, 30, fmt)
        grow(world, work)
        said = round_trip(world, path, work, "team/" + fmt)
        equal((said["created"], said["object_format"]), (True, fmt), "what was made")
        check(said["packs"] >= 3, "packs and loose objects: %r" % said)
    before = repositories(world, path)
    check("0 of them new" in tool(world, 0, "import", path, "team/sha1", world.path("work-sha1")), "again")
    after = repositories(world, path)
    equal(after["team/sha1"]["objects"], before["team/sha1"]["objects"], "objects after the same import again")
    check("objects and" in tool(world, 1, "import", path, "team/sha1", world.path("work-sha256")), "another format")
    server = world.serve("store.img")
    for fmt in ("sha1", "sha256"):
        world.git("clone", "-q", "--mirror", server.url("team/" + fmt), world.path("served-" + fmt))
        equal(world.objects(world.path("served-" + fmt)), world.objects(world.path("work-" + fmt)), "served")
        world.commit(world.path("work-" + fmt))
        world.git("push", "-q", server.url("team/" + fmt), "main", cwd=world.path("work-" + fmt))
    check("has it open" in tool(world, 1, "import", path, "x", world.path("work-sha1")), "an image in use was opened")
    check("import" in world.ssh(server, "repo", "log", "team/sha1").text, "the log does not tell of the import")
    server.stop()


@daemon
def import_is_noted(world):
    """All of an imported pack is walked for what nobody reaches once, and not at every start."""
    path = image(world)
    work = world.history("work", 20)
    world.git("repack", "-a", "-d", "-q", cwd=work)
    tool(world, 0, "import", path, "x", work)
    for told in (1, 0):
        server = world.serve("store.img")
        world.ssh(server, "repo", "maintain", "x")
        check("nothing was due" in world.ssh(server, "repo", "maintain", "x").text, "something is always due")
        equal(server.text().count("refs reach all"), told, "walks that found all in reach")
        server.stop()


@daemon
def import_kinds(world):
    """A bare repository, .git, a linked worktree, alternates, nothing at all, a detached HEAD."""
    path, work = image(world), world.history("work", 20)
    grow(world, work)
    world.git("clone", "-q", "--mirror", work, world.path("bare"))
    round_trip(world, path, world.path("bare"), "bare")
    tool(world, 0, "import", path, "dot", os.path.join(work, ".git"))
    world.git("worktree", "add", "-q", "-b", "linked", world.path("linked"), cwd=work)
    tool(world, 0, "import", path, "linked", world.path("linked"))
    tool(world, 0, "import", path, "linked-git", world.path("linked/.git"))
    world.git("clone", "-q", "--shared", "--mirror", work, world.path("shared"))
    round_trip(world, path, world.path("shared"), "shared")
    world.git("init", "-q", "--bare", "-b", "trunk", world.path("empty"))
    round_trip(world, path, world.path("empty"), "empty")
    world.git("checkout", "-q", "--detach", "HEAD~1", cwd=work)
    round_trip(world, path, work, "detached")
    tool(world, 0, "export", "-q", path, "linked", world.path("linked-out"))
    equal(world.git("symbolic-ref", "HEAD", cwd=world.path("linked-out")).text, "refs/heads/linked\n", "HEAD")
    server = world.serve("store.img")
    world.git("clone", "-q", server.url("detached"), world.path("detached"))
    equal(world.rev(world.path("detached")), world.rev(work), "a HEAD that names no branch")
    server.stop()


@daemon
def import_shallow(world):
    """A shallow clone stays one; a repository with its history does not become one; a bundle cannot say it."""
    path, work = image(world), world.history("work", 20)
    shallow = world.path("shallow")
    world.git("clone", "-q", "--bare", "--depth", "2", "file://" + work, shallow)
    round_trip(world, path, shallow, "shallow")
    equal(world.git("rev-parse", "--is-shallow-repository", cwd=world.path("out-shallow")).text, "true\n", "shallow")
    check("is shallow" in tool(world, 1, "export", path, "shallow", "-"), "a bundle of it")
    world.git("branch", "-D", "side", cwd=work, ok=False)
    early = world.path("early")
    world.git("init", "-q", "--bare", early)
    world.git("push", "-q", early, "main~10:refs/heads/early", cwd=work)
    tool(world, 0, "import", path, "whole", early)
    check("is shallow" in tool(world, 1, "import", path, "whole", shallow), "history was cut off")


@daemon
def import_bundles(world):
    """Bundles from files and pipes, both versions, also such that build on others."""
    path = image(world)
    for fmt in ("sha1", "sha256"):
        work, whole, later = world.history("work-" + fmt, 20, fmt), world.path("whole-" + fmt), world.path("later-" + fmt)
        world.git("bundle", "create", "-q", whole, "--all", cwd=work)
        base = world.rev(work)
        world.commit(work)
        world.git("bundle", "create", "-q", later, "main", "^" + base, cwd=work)
        check("builds on the commit " + base in tool(world, 1, "import", path, "new", later), "prerequisites are not there")
        tool(world, 0, "import", path, fmt, whole)
        with open(later, "rb") as f:
            data = f.read()
        tool(world, 0, "import", path, fmt, "-", data=data)
        tool(world, 0, "export", path, fmt, world.path("out-" + fmt))
        world.same(work, world.path("out-" + fmt))
        equal(world.git("symbolic-ref", "HEAD", cwd=world.path("out-" + fmt)).text, "refs/heads/main\n", "HEAD")
        out = subprocess.run([world.packhorse, "export", path, fmt, "-"], capture_output=True, check=True).stdout
        tool(world, 0, "import", path, fmt + "-again", "-", data=out)
        equal(tool(world, 0, "import", "--json", path, fmt + "-third", "-", data=b"# v3 git bundle\n@object-format=" +
                   fmt.encode() + out[out.index(b"\n", 20 if fmt == "sha256" else 0):])[0], "{", "version 3")
        tool(world, 0, "export", path, fmt + "-again", world.path("again-" + fmt))
        world.same(work, world.path("again-" + fmt))
    equal(sorted(repositories(world, path)), ["sha1", "sha1-again", "sha1-third", "sha256", "sha256-again", "sha256-third"], "all")


@daemon
def import_cut_off(world):
    """A bundle that ends anywhere, has a byte changed, or goes on: nothing is made of it, and it is said."""
    path, work, rng = image(world), world.history("work", 6), random.Random(7)
    bundle = world.path("bundle")
    world.git("bundle", "create", "-q", bundle, "--all", cwd=work)
    with open(bundle, "rb") as f:
        data = f.read()
    head = data.index(b"PACK")
    for at in sorted(rng.sample(range(head), 20) + rng.sample(range(head, len(data)), 20)):
        check("cannot import" in tool(world, 1, "import", path, "cut", "-", data=data[:at]), "cut at %d" % at)
    for at in rng.sample(range(head, len(data)), 20):
        changed = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
        check("cannot import" in tool(world, 1, "import", path, "changed", "-", data=changed), "changed at %d" % at)
    for what, other in ("junk", data + b"\0"), ("lines", b"# v2 git bundle\n" * 3), ("nothing", b""), ("zeros", b"\0" * 9999), \
            ("long", b"a" * 99999), ("v4", data.replace(b"v2", b"v4", 1)), ("filter", b"# v3 git bundle\n@filter=blob:none\n"), \
            ("capability", b"# v3 git bundle\n@new\n"), ("format", b"# v3 git bundle\n@object-format=md5\n"), \
            ("ref", data[:head - 1] + b"x" * 40 + b" refs/heads/x\n\n" + data[head:]):
        check("cannot import" in tool(world, 1, "import", path, "x", "-", data=other), what)
    equal(repositories(world, path), {}, "repositories")
    tool(world, 0, "import", path, "whole", "-", data=data)
    check("clean" in tool(world, 0, "fsck", "--deep", path), "fsck")


def damage(path, at=None):
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(0, os.SEEK_END)
        f.seek(at if at is not None else f.tell() // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 0x10]))


def loose(repo):
    top = os.path.join(repo, "objects")
    return sorted(os.path.join(top, d, f) for d in os.listdir(top) if len(d) == 2 for f in os.listdir(os.path.join(top, d)))


def packs(repo, end):
    top = os.path.join(repo, "objects/pack")
    return sorted(os.path.join(top, name) for name in os.listdir(top) if name.endswith(end))


def put(repo, name, text):
    os.makedirs(os.path.dirname(os.path.join(repo, name)), exist_ok=True)
    with open(os.path.join(repo, name), "w") as f:
        f.write(text)


def write_object(repo, kind, content):
    """A loose object as git itself would not write it."""
    import hashlib
    data = b"%s %d\0" % (kind.encode(), len(content)) + content
    name = hashlib.sha1(data).hexdigest()
    os.makedirs(os.path.join(repo, "objects", name[:2]), exist_ok=True)
    with open(os.path.join(repo, "objects", name[:2], name[2:]), "wb") as f:
        f.write(zlib.compress(data))
    return name


def commit_of(repo, tree):
    return write_object(repo, "commit", b"tree %s\nauthor A <a@e.org> 1 +0000\ncommitter A <a@e.org> 1 +0000\n\nx\n" % tree.encode())


@daemon
def import_damaged(world):
    """Damaged and incomplete repositories are refused by name of what is wrong; the image stays as it was."""
    path, work = image(world), world.history("work", 12)
    world.git("gc", "-q", cwd=work)
    world.commit(work, "loose", "loose\n")
    tip, blob = world.rev(work), world.rev(work, "HEAD:loose")

    def refused(text, change):
        bad = world.path("bad")
        shutil.copytree(os.path.join(work, ".git"), bad)
        change(bad)
        said = tool(world, 1, "import", path, "bad", bad)
        check(text in said, "%s: %s" % (text, said))
        shutil.rmtree(bad)

    refused("is damaged", lambda bad: damage(packs(bad, ".pack")[0]))
    refused("is damaged", lambda bad: damage(packs(bad, ".pack")[0], 2))
    refused("is damaged", lambda bad: damage(loose(bad)[0]))
    refused("cut off", lambda bad: os.truncate(packs(bad, ".pack")[0], 1000) if not os.chmod(packs(bad, ".pack")[0], 0o644) else 0)
    refused("No such file", lambda bad: os.unlink(packs(bad, ".pack")[0]))
    refused("is not there", lambda bad: os.unlink(packs(bad, ".idx")[0]))
    refused(blob, lambda bad: os.unlink(os.path.join(bad, "objects", blob[:2], blob[2:])))
    refused("refs/heads/main", lambda bad: os.unlink(os.path.join(bad, "objects", tip[:2], tip[2:])))
    refused("refs/heads/broken", lambda bad: put(bad, "refs/heads/broken", "nothing\n"))
    refused("refs/heads/zero", lambda bad: put(bad, "refs/heads/zero", "0" * 40 + "\n"))
    refused("refs/heads/out", lambda bad: os.symlink("/etc/passwd", os.path.join(bad, "refs/heads/out")))
    refused("refs/heads/blob", lambda bad: put(bad, "refs/heads/blob", blob + "\n"))
    refused("packed-refs", lambda bad: put(bad, "packed-refs", "what is this\n"))
    refused("packed-refs", lambda bad: put(bad, "packed-refs", tip + " refs/heads/cut"))
    refused("HEAD", lambda bad: put(bad, "HEAD", "ref: ../../etc/passwd\n"))
    refused("HEAD names a blob", lambda bad: put(bad, "HEAD", blob + "\n"))
    refused("HEAD", lambda bad: put(bad, "HEAD", "1" * 40 + "\n"))
    refused("neither", lambda bad: os.unlink(os.path.join(bad, "HEAD")))
    refused("neither", lambda bad: shutil.rmtree(os.path.join(bad, "objects")))
    refused("reftable", lambda bad: put(bad, "config", "[core]\n\trepositoryFormatVersion = 1\n[extensions]\nrefStorage = reftable\n"))
    refused("Sparkle", lambda bad: put(bad, "config", "[core] repositoryformatversion = 1\n[Extensions] Sparkle\n"))
    refused("md5", lambda bad: put(bad, "config", "[core]\nrepositoryformatversion=1\n[extensions]\nobjectFormat=\"md5\" # no\n"))
    refused("version 2", lambda bad: put(bad, "config", "[core]\nrepositoryformatversion=2\n"))
    refused("/nowhere", lambda bad: put(bad, "objects/info/alternates", "/nowhere\n"))
    refused("quoted", lambda bad: put(bad, "objects/info/alternates", "\"/no\\nwhere\"\n"))
    refused("shallow is damaged", lambda bad: put(bad, "shallow", "x\n"))
    refused("shallow: Is a directory", lambda bad: os.mkdir(os.path.join(bad, "shallow")))
    refused("hasDotgit", lambda bad: put(bad, "refs/heads/evil", commit_of(bad, write_object(
        bad, "tree", b"100644 .git\0" + bytes.fromhex(blob))) + "\n"))
    partial = world.path("partial")
    world.git("config", "uploadpack.allowFilter", "true", cwd=work)
    world.git("clone", "-q", "--bare", "--filter=blob:none", "file://" + work, partial)
    check("partial clone" in tool(world, 1, "import", path, "partial", partial), "a partial clone")
    equal(repositories(world, path), {}, "repositories")
    check("clean" in tool(world, 0, "fsck", "--deep", path), "fsck")
    # What is merely untidy is taken, and told.
    put(work, ".git/refs/heads/old", commit_of(os.path.join(work, ".git"), write_object(
        os.path.join(work, ".git"), "tree", b"100664 f\0" + bytes.fromhex(blob))) + "\n")
    check("badFilemode" in tool(world, 0, "import", path, "old", work), "a warning")
    # A name that no ref here may have.
    put(work, ".git/refs/heads/HEAD", tip + "\n")
    check("left out" in tool(world, 0, "import", path, "odd", work), "a ref that is left out")


@daemon
def import_empty_pack(world):
    """git's pack of no objects proves nothing: what loose objects lack beside it is found all the same."""
    path, work = image(world), world.history("work", 2)
    world.git("pack-objects", "-q", ".git/objects/pack/pack", cwd=work)
    git = os.path.join(work, ".git")
    check(packs(git, ".idx") and loose(git), "a pack of no objects, and loose ones")
    round_trip(world, path, work, "whole")
    blob = world.rev(work, "HEAD:dir0/sub/file0")
    os.unlink(os.path.join(git, "objects", blob[:2], blob[2:]))
    check(blob in tool(world, 1, "import", path, "lacks", work), "the object that is missing")
    equal(sorted(repositories(world, path)), ["whole"], "repositories")


@daemon
def import_long_path(world):
    """An index whose path is as long as one can be: that of its pack is longer, and that is said."""
    path = image(world)
    tail = "/objects/pack/pack-x.idx"
    source = world.path("deep")
    while len(source) + len(tail) < 4095:
        source += "/" + "d" * min(200, 4095 - len(tail) - len(source) - 1)
    os.makedirs(os.path.dirname(source + tail))
    os.mkdir(source + "/refs")
    put(source, "HEAD", "ref: refs/heads/main\n")
    put(source, "objects/pack/pack-x.idx", "")
    check("the path is too long" in tool(world, 1, "import", path, "long", source), "a path")


@daemon
def import_refused(world):
    """Wrong arguments, names, places; what is there already; images that are full, read-only or none."""
    path, work = image(world), world.history("work", 12)
    check("No such file" in tool(world, 1, "import", path, "a", world.path("none")), "no source")
    check("neither" in tool(world, 1, "import", path, "a", world.path("keys")), "a folder of another kind")
    check("neither" in tool(world, 1, "import", path, "a", world.packhorse), "a file of another kind")
    check("No such file" in tool(world, 1, "import", world.path("none.img"), "a", work), "no image")
    check("not a store" in tool(world, 1, "import", world.write("other.img", "x" * 99999), "a", work), "no store")
    for name in ("", "../a", "a/../b", "/a", "a.git/.git", "-a/b", "a\nb", "x" * 300):
        check("no name for" in tool(world, 1, "import", path, "--", name, work), "name %r" % name)
    for args in (), ("a",), ("--what", path, "a", work), (path, "a", work, "more"):
        check("usage" in tool(world, 64, "import", *args), "usage of %r" % (args,))
    check("usage" in tool(world, 0, "import", "--help"), "--help")
    tool(world, 0, "import", path, "a", work)
    world.git("checkout", "-q", "side", cwd=work)
    world.git("branch", "-f", "main", "main~3", cwd=work)
    world.commit(work, "new")
    said = tool(world, 1, "import", path, "a", work)
    check("refs/heads/main has another value" in said and "--force" in said, "refs in the way: " + said)
    tool(world, 0, "export", path, "a", world.path("before"))
    check(world.rev(world.path("before"), "side") != world.rev(work, "side"), "half of it was imported")
    tool(world, 0, "import", "--force", path, "a", work)
    tool(world, 0, "export", path, "a", world.path("after"))
    world.same(work, world.path("after"))
    world.git("checkout", "-q", "--detach", cwd=work)
    world.git("branch", "-m", "side", "side/below", cwd=work)
    check("folder" in tool(world, 1, "import", path, "a", work), "names that cannot both be")
    world.git("branch", "-m", "side/below", "side", cwd=work)
    world.git("tag", "-f", "light", "side", cwd=work)
    check("refs/tags/light has another value" in tool(world, 1, "import", path, "a", work), "a tag that moves forward")


@daemon
def import_read_only(world):
    """An image that cannot be written: said so, and info, fsck and export work."""
    path, work = image(world), world.history("work", 12)
    tool(world, 0, "import", path, "a", work)
    # Root may write everything, and has to be somebody else for that.
    os.chmod(path, 0o444)
    os.chmod(world.top, 0o755)
    os.mkdir(world.path("out"))
    os.chmod(world.path("out"), 0o777)
    other = {"user": 65534, "group": 65534, "extra_groups": []} if ROOT else {}
    bundle = subprocess.run([world.packhorse, "export", path, "a", "-"], capture_output=True, check=True).stdout
    if ROOT and subprocess.run(["test", "-x", world.packhorse], **other).returncode != 0:
        return
    check("read-only" in tool(world, 1, "import", path, "b", "-", data=bundle, **other), "import")
    check("read-only" in tool(world, 1, "mkfs", "--force", path, **other), "mkfs")
    equal(list(json.loads(tool(world, 0, "info", "--json", path, **other))["repositories"])[0]["name"], "a", "info")
    check("clean" in tool(world, 0, "fsck", path, **other), "fsck")
    tool(world, 0, "export", path, "a", world.path("out/a"), **other)
    world.git("-c", "safe.directory=*", "fsck", "--full", cwd=world.path("out/a"))


@daemon
def tools_interrupted(world):
    """SIGINT and SIGTERM at any moment leave neither half a folder nor half a repository."""
    path, rng = image(world), random.Random(11)
    work = world.history("work", 1500, files=40)
    tool(world, 0, "import", path, "there", work)
    begun = time.monotonic()
    tool(world, 0, "import", path, "measured", work)
    took = time.monotonic() - begun
    ends = []
    for n in range(16):
        out = world.path("out-%d" % n)
        args = ["import", "-q", path, "new", work] if n % 2 else ["export", "-q", path, "there", out]
        process = subprocess.Popen([world.packhorse, *args], stderr=subprocess.PIPE)
        time.sleep(rng.uniform(0, took))
        process.send_signal(signal.SIGTERM if n % 3 == 0 else signal.SIGINT)
        said = process.communicate()[1].decode()
        ends.append(process.returncode)
        check(process.returncode in (0, -signal.SIGINT, -signal.SIGTERM), "exit code %d: %s" % (process.returncode, said))
        if process.returncode and n % 2:
            check("new" not in repositories(world, path), "half a repository: " + said)
        elif process.returncode:
            check(not os.path.exists(out), "half a folder: " + said)
        elif n % 2:
            break
    check(any(ends), "none of 16 was interrupted")
    check("clean" in tool(world, 0, "fsck", path), "fsck")


@daemon
def mkfs_interrupted(world):
    """A signal that came before mkfs was done takes away the file that it made, and no other."""
    def waiting():
        # What waits stays, and is blocked, when another program is run.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)

    there = world.write("there", b"x" * 65536)
    for args in ((world.path("new"), "--size", "64M"), (world.path("new"),), (there, "--force")):
        process = subprocess.run([world.packhorse, "mkfs", *args], capture_output=True, preexec_fn=waiting)
        equal(process.returncode, -signal.SIGINT, "how it ended: %s" % process.stderr)
        check(b"interrupted" in process.stderr, "what is said: %s" % process.stderr)
    check(not os.path.exists(world.path("new")), "half a store was left")
    with open(there, "rb") as f:
        equal(f.read(), b"x" * 65536, "what was there")


def on_terminal(argv):
    """What a tool writes to a terminal as its stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(argv, stderr=theirs, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.close(theirs)
    out = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        out += piece
    os.close(ours)
    equal(process.wait(), 0, "exit code")
    return out.decode()


@daemon
def tools_progress(world):
    """One line that is drawn again on a terminal, nothing elsewhere, nothing with --quiet."""
    path, work = image(world), world.history("work", 300)
    said = on_terminal([world.packhorse, "import", path, "a", work])
    check("\rReading objects: 100% (" in said and "/s, done." in said and "Resolving deltas: 100% (" in said, repr(said))
    said = on_terminal([world.packhorse, "export", path, "a", world.path("out")])
    check("\rWriting objects: 100% (" in said and ", done." in said, repr(said))
    for args in ("import", "-q", path, "b", work), ("export", "-q", path, "a", world.path("quiet")):
        equal(on_terminal([world.packhorse, *args]), "", "with -q")
    check("\r" not in tool(world, 0, "import", path, "c", work), "no terminal")


@daemon
def tools_output_lost(world):
    """What a tool says and nobody can have is said on standard error, and it fails."""
    path, work = image(world), world.history("work", 2)
    tool(world, 0, "import", "-q", path, "a", work)
    for args in (("info", path), ("info", "--json", path), ("fsck", path), ("fsck", "--json", path), ("fsck", "--help"),
                 ("mkfs", "--json", world.path("new.img")), ("import", "--json", path, "b", work), ("--version",),
                 ("export", "--json", path, "a", world.path("out")), ("export", path, "a", "-"), ("help",),
                 ("backup", path, world.path("copy.img"), "--json")):
        with open("/dev/full", "wb") as full:
            said = subprocess.run([world.packhorse, *args], cwd=world.top, stdout=full, stderr=subprocess.PIPE)
        equal(said.returncode, 1, "exit code of " + " ".join(args))
        equal(said.stderr.count(b"No space left on device"), 1, "what %s says: %s" % (args, said.stderr))


@daemon
def mkfs_blank(world):
    """mkfs names what it finds at either end of a file or device, and serve takes it for no blank one either."""
    def filled(*parts):
        with open(world.path("disk"), "wb") as f:
            f.truncate(20 << 20)
            for at, data in parts:
                f.seek(at % (20 << 20))
                f.write(data)
        return world.path("disk")

    for what, *parts in ("ext4", (1080, b"\x53\xef")), ("btrfs", (65600, b"_BHRfS_M")), ("xfs", (0, b"XFSB")), \
            ("GPT", (510, b"\x55\xaa"), (512, b"EFI PART")), ("boot sector", (510, b"\x55\xaa")), ("LVM", (536, b"LVM2 001")), \
            ("LUKS", (0, b"LUKS\xba\xbe")), ("swap", (4086, b"SWAPSPACE2")), ("data of some kind", (500000, b"\1")), \
            ("at its end", (-512, b"EFI PART")), ("at its end", (-1, b"x")):
        disk = filled(*parts)
        before = open(disk, "rb").read()
        said = tool(world, 1, "mkfs", disk)
        check(what in said and "--force" in said, "%s: %s" % (what, said))
        if what == "btrfs":
            check("neither empty nor" in tool(world, 1, "serve", "--store", disk, "--anon-read", "--authorized-keys",
                                              world.write("keys.txt", world.public("id"))), "serve took it")
        check(open(disk, "rb").read() == before, "it was written to")
    check("larger than that" in tool(world, 1, "mkfs", "--force", disk, "--size", "16M"), "a smaller size")
    check(open(disk, "rb").read() == before, "it was written to before it was refused")
    said = json.loads(tool(world, 0, "mkfs", "--force", "--json", disk))
    equal(said["bytes"], 20 << 20, "size")
    check("a store of packhorse" in tool(world, 1, "mkfs", disk), "a store")
    text = b"unfinished store of packhorse\n\0"
    check("data of some kind" in tool(world, 1, "mkfs", filled((0, text), (65535, b"x"))), "another's text")
    disk = filled((0, text), (65536, b"map"), (-1, b"x"))
    equal(tool(world, 0, "mkfs", "-q", disk), "", "a store that was not finished")
    disk = filled()
    equal(tool(world, 0, "mkfs", "-q", disk), "", "a blank file")
    short = world.path("short")
    for content, code in ((b"x" + bytes(4999), 1), (bytes(5000), 0)):
        with open(short, "wb") as file:
            file.write(content)
        tool(world, code, "mkfs", short)
    equal(repositories(world, disk), {}, "repositories")
    sparse = world.path("sparse")
    tool(world, 0, "mkfs", sparse, "--size=100G", "--sparse")
    equal(os.path.getsize(sparse), 100 << 30, "size")
    check(os.stat(sparse).st_blocks < 65536, "it is not sparse")  # what is kept back for deletes has its space
    check("clean" in tool(world, 0, "fsck", sparse), "fsck")
    check("no room" in tool(world, 1, "mkfs", world.path("huge"), "--size", "4096T"), "a size that cannot be had")
    check(not os.path.exists(world.path("huge")), "a file that is good for nothing was left")
    check("--size" in tool(world, 64, "mkfs", world.path("huge"), "--sparse"), "--sparse alone")
    said = world.run(["prlimit", "--fsize=4096", "env", "--ignore-signal=XFSZ", world.packhorse, "mkfs",
                      world.path("huge")], ok=False)
    check(said.code == 1 and "no room" in said.errtext, "no room at all: " + said.errtext)
    check("--sparse" not in said.errtext, "advice that does not help: " + said.errtext)
    check(not os.path.exists(world.path("huge")), "a file that is good for nothing was left")


@daemon
def tools_on_devices(world):
    """A block device, where this machine lets us have one: it is formatted, filled, and full."""
    disk = world.path("disk")
    with open(disk, "wb") as f:
        f.truncate(20 << 20)
    made = subprocess.run(["losetup", "--show", "-f", disk], capture_output=True, text=True) if ROOT and shutil.which("losetup") else None
    if not made or made.returncode != 0:
        print("no loop device can be had here")
        return
    device, big = made.stdout.strip(), world.path("big")
    world.write("big/noise", random.Random(3).randbytes(20 << 20))
    world.git("init", "-q", big)
    world.git("add", "noise", cwd=big)
    world.git("commit", "-q", "-m", "noise", cwd=big)
    try:
        check("leave --size out" in tool(world, 1, "mkfs", device, "--size", "32M"), "a size")
        tool(world, 0, "mkfs", device)
        check("a store of packhorse" in tool(world, 1, "mkfs", device), "a store")
        check("no room" in tool(world, 1, "import", device, "big", big), "a full device")
        equal(repositories(world, device), {}, "repositories of what was full")
        round_trip(world, device, world.history("work", 12), "a")
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


CASES = [import_round_trip, import_is_noted, import_kinds, import_shallow, import_bundles, import_cut_off,
         import_damaged, import_empty_pack, import_long_path, import_refused, import_read_only, tools_interrupted,
         tools_progress, tools_output_lost, mkfs_blank, mkfs_interrupted, tools_on_devices]
