# SPDX-License-Identifier: MIT
"""Backups: of a server that runs, and of an image; what is in them, and what is not."""
import os
import stat
import subprocess
import threading

from harness import DAEMON, check, equal, only, wait_for

daemon = only(DAEMON, "tools are the daemon's")


def fill(world, server):
    """Two repositories, of both formats."""
    for fmt in ("sha1", "sha256"):
        work = world.history("work-" + fmt, fmt=fmt, commits=12)
        world.ssh(server, "repo", "create", fmt, "--object-format=" + fmt)
        world.git("push", "-q", "--all", server.url(fmt), cwd=work)
        world.git("push", "-q", server.url(fmt), *("main:refs/heads/many/%d" % n for n in range(200)), cwd=work)
    world.ssh(server, "config", "receive.certNonceSeed", "nobody-knows-this")
    world.ssh(server, "config", "receive.certNonceSlop", "60")
    world.ssh(server, "repo", "config", "sha1", "receive.certNonceSeed", "nor-this-one")
    return {name: listed(world, server, name) for name in ("sha1", "sha256")}


def listed(world, server, name):
    return world.git("ls-remote", server.url(name)).text


def backup(world, server, name, *args):
    """What ssh HOST backup says goes to a file of this name."""
    said = world.ssh(server, "backup", *args)
    with open(world.path(name), "wb") as f:
        f.write(said.out)
    return said


def expect(world, image, refs):
    """A server on the image shows these refs, and git finds every object of theirs."""
    server = world.serve(image)
    for name, text in refs.items():
        equal(listed(world, server, name), text, "refs of " + name)
        clone = world.path("%s-of-%s" % (name, image))
        world.git("clone", "-q", "--mirror", server.url(name), clone)
        world.git("fsck", "--full", "--strict", "--no-dangling", cwd=clone)
    return server


def tool(world, code, *args):
    said = world.run([world.packhorse, *args], ok=False)
    equal(said.code, code, "exit code of %s: %s" % (" ".join(args), said.text + said.errtext))
    return said.text + said.errtext


def contains(path, text):
    with open(path, "rb") as f:
        return text in f.read()


def backup_of_a_server(world):
    """ssh HOST backup: the copy is served at once, shows what the server shows, and takes pushes."""
    server = world.serve("store.img")
    refs = fill(world, server)
    said = backup(world, server, "copy.img")
    check("host key" in said.errtext, "nothing is said of the host key: " + said.errtext)
    check(len(said.out) % 4096 == 0 and len(said.out) >= 1 << 20, "a backup of %d bytes" % len(said.out))
    for secret in (b"nobody-knows-this", b"nor-this-one", b"OPENSSH PRIVATE KEY"):
        check(not contains(world.path("copy.img"), secret), "the backup has a secret: %r" % secret)
    said = backup(world, server, "with.img", "--with-host-key")
    equal(said.errtext, "", "what is said of a backup with the host key")
    check(contains(world.path("with.img"), b"nobody-knows-this"), "what was asked for is not in the backup")
    config = world.ssh(server, "config").text
    server.stop()
    for name in ("copy.img", "with.img"):
        tool(world, 0, "fsck", world.path(name), "--deep")
        other = expect(world, name, refs)
        world.commit(world.path("work-sha1"), "more-" + name)
        world.git("push", "-q", other.url("sha1"), "HEAD:refs/heads/new", cwd=world.path("work-sha1"))
        equal(world.ssh(other, "config").text, config if name == "with.img" else "receive.certnonceslop=60\n",
              "the server's configuration in " + name)
        other.stop()
        tool(world, 0, "fsck", world.path(name), "--deep")


def backup_meanwhile(world):
    """Pushes, deletes and maintenance go on, and the backup has the state of one moment."""
    server = world.serve("store.img")
    work = world.history("work", commits=3)
    world.git("push", "-q", server.url("r"), "main", cwd=work)
    ended, failures = threading.Event(), []

    def push():
        # Both refs move together in one transaction, always.
        for n in range(1000):
            if ended.is_set():
                return
            world.commit(work, "file-%d" % (n % 4), "%d\n" % n * 3000)
            said = world.git("push", "-q", "--atomic", server.url("r"), "+main:refs/heads/a", "+main:refs/heads/b",
                             *([":refs/heads/c"] if n % 2 else ["main:refs/heads/c"]), cwd=work, ok=False)
            if said.code:
                failures.append(said.errtext)
                return
            if n % 5 == 4:
                world.ssh(server, "repo", "maintain", "r")

    thread = threading.Thread(target=push)
    thread.start()
    try:
        for n in range(6):
            backup(world, server, "copy-%d.img" % n)
    finally:
        ended.set()
        thread.join()
    equal(failures, [], "pushes that failed meanwhile")
    server.stop()
    for n in range(6):
        name = "copy-%d.img" % n
        tool(world, 0, "fsck", world.path(name), "--deep")
        other = world.serve(name)
        refs = dict(reversed(line.split("\t")) for line in listed(world, other, "r").splitlines())
        equal(refs.get("refs/heads/a"), refs.get("refs/heads/b"), "two refs that move together")
        clone = world.path("clone-%d" % n)
        world.git("clone", "-q", "--mirror", other.url("r"), clone)
        world.git("fsck", "--full", "--strict", "--no-dangling", cwd=clone)
        other.stop()


def backup_refused(world):
    """Who is not the owner gets none; nor does who asks for what there is not, or of a store in memory."""
    server = world.serve("store.img", keys=world.public("id") + 'packhorse="rw" ' + world.public("rw"))
    for args, key, text in ((["backup"], "rw", "only the owner"), (["backup", "--all"], "id", "what is this: --all")):
        said = world.ssh(server, *args, key=key, ok=False)
        equal(said.code, 1, "status of " + " ".join(args))
        check(text in said.errtext, said.errtext)
        equal(said.out, b"", "what came")
    server.stop()


@daemon
def backup_in_memory(world):
    """A store in memory has no form that a backup could be of; that is said."""
    server = world.serve("mem")
    said = world.ssh(server, "backup", ok=False)
    equal(said.code, 1, "status")
    check("it is in memory" in said.errtext, said.errtext)
    equal(said.out, b"", "what came")
    server.stop()


@daemon
def backup_stalled(world):
    """Who takes nothing is cut off by the server's time limit, and what was taken does not open."""
    server = world.serve("store.img", "--limit", "idle_ms_max=5000")
    work = world.path("work")
    world.git("init", "-q", "-b", "main", work)
    world.git("config", "core.compression", "0", cwd=work)
    with open(world.path("work", "random"), "wb") as f:
        f.write(os.urandom(16 << 20))
    world.git("add", "-A", cwd=work)
    world.git("commit", "-q", "-m", "much", cwd=work)
    world.git("push", "-q", server.url("r"), "main", cwd=work)
    ssh = subprocess.Popen(["ssh", "-F", world.ssh_config("id"), "-p", str(server.port), server.host, "backup"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        wait_for("the server to give up", lambda: "idle for too long" in server.text())
        taken = ssh.stdout.read()
    finally:
        ssh.kill()
        ssh.communicate()
    with open(world.path("part.img"), "wb") as f:
        f.write(taken)
    check(len(taken) > 65536, "only %d bytes came" % len(taken))
    tool(world, 1, "info", world.path("part.img"))
    # The server goes on as before.
    backup(world, server, "whole.img")
    server.stop()
    check(len(taken) < os.path.getsize(world.path("whole.img")), "all of it came")
    tool(world, 0, "fsck", world.path("whole.img"))


@daemon
def backup_of_an_image(world):
    """packhorse backup: the same of an image that nobody has open, into a file of mode 0600 or to stdout."""
    server = world.serve("store.img")
    refs = fill(world, server)
    image, copy = world.path("store.img"), world.path("copy.img")
    check("has it open" in tool(world, 1, "backup", image, copy), "a server has it open")
    check(not os.path.exists(copy), "there is a file")
    server.stop()
    said = tool(world, 0, "backup", image, copy)
    check("host key" in said, said)
    equal(stat.S_IMODE(os.stat(copy).st_mode), 0o600, "mode of a backup")
    equal(sorted(os.listdir(world.path("."))).count("copy.img"), 1, "files of the backup")
    check(not any(name.startswith("copy.img.") for name in os.listdir(world.path("."))), "something is left over")
    check("exists" in tool(world, 1, "backup", image, copy), "it exists")
    said = world.run([world.packhorse, "backup", image, "-"])
    with open(copy, "rb") as f:
        equal(said.out, f.read(), "a backup to stdout")
    for path, text in ((world.path("no", "folder"), "No such file"), ("/dev/full", "exists")):
        check(text in tool(world, 1, "backup", image, path), path)
    tool(world, 64, "backup", image)
    tool(world, 64, "backup", image, copy, "--what")
    said = tool(world, 0, "backup", image, world.path("with.img"), "--with-host-key", "--json")
    check('"host_key": true' in said and '"damaged": 0' in said, said)
    check(contains(world.path("with.img"), b"nobody-knows-this"), "what was asked for is not in it")
    check(not contains(copy, b"nobody-knows-this"), "a secret is in it")
    tool(world, 0, "fsck", copy, "--deep")
    expect(world, "copy.img", refs).stop()


@daemon
def backup_of_damage(world):
    """A changed bit ends a backup, or with --keep-going is named and copied; another repository is whole."""
    server = world.serve("store.img")
    for name in ("good", "bad"):
        work = world.path(name)
        world.git("init", "-q", "-b", "main", work)
        text = os.urandom(3000).hex()
        world.write(name + "/file", text)
        world.git("add", "-A", cwd=work)
        world.git("-c", "core.compression=0", "commit", "-q", "-m", "one", cwd=work)
        world.git("-c", "core.compression=0", "-c", "pack.compression=0", "push", "-q", server.url(name), "main", cwd=work)
    server.stop()
    image = world.path("store.img")
    with open(image, "r+b") as f:
        data = f.read()
        at = data.find(text[100:200].encode())
        check(at > 0, "the text of a file is not in the image as it is")
        f.seek(at)
        f.write(bytes([data[at] ^ 1]))
    said = tool(world, 3, "backup", image, world.path("none.img"))
    check("repository bad: pack" in said and "packhorse fsck says what is" in said, said)
    check(not os.path.exists(world.path("none.img")), "there is a backup")
    # Damage that was passed by is not why a full disk takes no more.
    said = world.run(["prlimit", "--fsize=1000000", "env", "--ignore-signal=XFSZ", world.packhorse, "backup", image,
                      world.path("none.img"), "--keep-going"], ok=False)
    equal(said.code, 1, "exit code of a backup that found damage and no room: " + said.errtext)
    check("repository bad: pack" in said.errtext and "cannot write" in said.errtext, said.errtext)
    check(not os.path.exists(world.path("none.img")), "there is a backup")
    said = tool(world, 3, "backup", image, world.path("some.img"), "--keep-going")
    check("repository bad: pack" in said, said)
    said = tool(world, 3, "fsck", world.path("some.img"))
    check("repository bad: pack" in said, said)
    server = world.serve("some.img")
    world.git("clone", "-q", server.url("good"), world.path("clone"))
    world.git("fsck", "--full", "--strict", cwd=world.path("clone"))
    check(world.git("clone", "-q", server.url("bad"), world.path("clone-bad"), ok=False).code != 0, "damage was served")
    server.stop()


CASES = [backup_of_a_server, backup_meanwhile, backup_refused, backup_in_memory, backup_stalled, backup_of_an_image,
         backup_of_damage]
