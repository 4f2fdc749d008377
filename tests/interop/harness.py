# SPDX-License-Identifier: MIT
"""A running server, stock git and ssh as its clients, and raw protocol where git is too polite.

Everything lives in one temporary folder: keys, ssh configuration, home, repositories, the store. All
traffic is loopback, or within a network namespace. Nothing but Python's standard library is needed.

The server is the daemon, or the unikernel on one of its platforms (machines.py). A case is for all of
them unless it says otherwise.
"""
import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib

TIMEOUT = 300
SANITIZER = re.compile(rb"(ERROR|WARNING): (Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:")


class Failed(Exception):
    """What a case found wrong."""


def check(ok, text):
    if not ok:
        raise Failed(text)


def equal(a, b, what):
    check(a == b, "%s: %r is not %r" % (what, a, b))


DAEMON, UNIKERNEL = ("daemon",), ("host", "process", "microvm", "q35")


def only(platforms, why):
    """Decorates a case that makes no sense elsewhere; why is printed when it is asked for there."""
    def decorate(case):
        case.only, case.why = platforms, why
        return case
    return decorate


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode(errors="replace")

    @property
    def errtext(self):
        return self.err.decode(errors="replace")


class World:
    """A temporary folder with keys and clients. Use it in a with statement."""

    def __init__(self, packhorse=None, unikernel=None, platform="daemon"):
        self.packhorse, self.unikernel, self.platform = packhorse, unikernel, platform
        self.top = tempfile.mkdtemp(prefix="packhorse-test-")
        self.home = self.path("home")
        os.makedirs(self.home + "/.ssh", 0o700)
        self.servers = []
        self.nets = {}
        self.key("id")
        self.write("gitconfig", "[user]\n\tname = Tester\n\temail = tester@example.org\n"
                   "[init]\n\tdefaultBranch = main\n[protocol]\n\tversion = 2\n[gc]\n\tauto = 0\n"
                   "[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for server in self.servers:
            server.kill()
        if kind is None:
            shutil.rmtree(self.top, ignore_errors=True)
        else:
            for server in self.servers:
                print("--- stderr of the server:\n" + server.errors().decode(errors="replace")[-8000:])

    def path(self, *names):
        return os.path.join(self.top, *names)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def key(self, name, kind="ed25519"):
        path = self.path("keys", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            self.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", path],
                     env=dict(os.environ, HOME=self.home))
        return path

    def public(self, name):
        with open(self.key(name) + ".pub") as f:
            return f.read()

    def env(self, key="id", version=None, ssh_options=(), **more):
        options = " ".join("-o " + x for x in ssh_options)
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        env.update(HOME=self.home, GIT_CONFIG_GLOBAL=self.path("gitconfig"), GIT_CONFIG_NOSYSTEM="1",
                   GIT_TERMINAL_PROMPT="0", LC_ALL="C", TZ="UTC",
                   GIT_SSH_COMMAND="ssh -F %s %s" % (self.ssh_config(key), options), GIT_SSH_VARIANT="ssh")
        if version is not None:
            env.update(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="protocol.version",
                       GIT_CONFIG_VALUE_0=str(version))
        env.update(more)
        return env

    def ssh_config(self, key):
        # Made once: another thread's ssh may be reading it.
        path = self.path("ssh_config_" + key)
        return path if os.path.exists(path) else self.write("ssh_config_" + key, "\n".join((
            "Host *", "IdentityFile " + self.key(key), "IdentitiesOnly yes", "IdentityAgent none",
            "StrictHostKeyChecking no", "UserKnownHostsFile " + self.path("known_hosts"),
            "GlobalKnownHostsFile /dev/null", "LogLevel ERROR", "BatchMode yes", "User git",
            # A machine that is killed closes no connections; one that boots again resets them.
            "ServerAliveInterval 2", "ServerAliveCountMax 20", "")))

    def run(self, argv, cwd=None, env=None, data=None, ok=True, timeout=TIMEOUT):
        p = subprocess.run(argv, cwd=cwd or self.top, env=env or self.env(), input=data,
                           stdin=None if data is not None else subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        if ok and p.returncode != 0:
            raise Failed("%s: exit %d\n%s%s" % (" ".join(argv), p.returncode,
                         p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")))
        return Result(p.returncode, p.stdout, p.stderr)

    def git(self, *args, cwd=None, ok=True, data=None, timeout=TIMEOUT, **env):
        return self.run(["git", *args], cwd=cwd, env=self.env(**env), ok=ok, data=data, timeout=timeout)

    def sanitized(self):
        """Whether the daemon is built with a sanitizer, whose memory tells nothing of its own."""
        with open(self.packhorse, "rb") as f:
            data = f.read()
        return b"__asan_init" in data or b"__tsan_init" in data

    def git_version(self):
        return tuple(int(n) for n in re.findall(r"\d+", self.git("--version").text)[:2])

    def ssh(self, server, *command, key="id", ok=True, data=b"", options=(), timeout=TIMEOUT):
        argv = ["ssh", "-F", self.ssh_config(key), "-p", str(server.port)]
        for o in options:
            argv += ["-o", o]
        return self.run([*argv, server.host, *command], ok=ok, data=data, timeout=timeout)

    # ---- histories ----

    def history(self, name, commits=20, fmt="sha1", seed=1, files=6):
        """A repository with merges, tags, deltas and a symlink: the same for the same arguments."""
        path = self.path(name)
        self.git("init", "-q", "--object-format=" + fmt, path)
        stream, mark = [], 0

        def blob(text):
            nonlocal mark
            mark += 1
            stream.append(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(text), text))
            return mark

        def commit(ref, n, parents, changes):
            nonlocal mark
            mark += 1
            out = b"commit %s\nmark :%d\ncommitter T <t@e.org> %d +0000\ndata %d\n%s\n" % (
                ref, mark, 1500000000 + n * 60, len(b"commit %d" % n), b"commit %d" % n)
            for i, p in enumerate(parents):
                out += (b"from :%d\n" if i == 0 else b"merge :%d\n") % p
            stream.append(out + b"".join(changes) + b"\n")
            return mark

        def text(n, i):
            body = [hashlib.sha256(b"%d.%d.%d" % (seed, i, k)).hexdigest() for k in range(60)]
            body[n % 60] = "line changed in %d" % n
            return "\n".join(body).encode()

        last, side = None, None
        for n in range(commits):
            m = blob(text(n, n % files))
            changes = [b"M 100644 :%d dir%d/sub/file%d\n" % (m, n % 3, n % files)]
            if n == 0:
                link = blob(b"dir0/sub/file0")
                changes.append(b"M 120000 :%d link\n" % link)
            if n and n % 7 == 3:
                side = commit(b"refs/heads/side", n, [last], changes)
                continue
            last = commit(b"refs/heads/main", n, [p for p in (last, side) if p], changes)
            side = None
        if side is None:
            stream.append(b"reset refs/heads/side\nfrom :%d\n\n" % last)
        stream.append(b"tag v1\nfrom :%d\ntagger T <t@e.org> 1600000000 +0000\ndata 2\nv1\n" % last)
        self.git("fast-import", "--quiet", cwd=path, data=b"".join(stream))
        self.git("tag", "light", "main", cwd=path)
        self.git("tag", "-a", "-m", "tag of a tag", "v2", "v1", cwd=path)
        self.git("reset", "-q", "--hard", "main", cwd=path)
        return path

    def commit(self, repo, name="more", text="more\n"):
        with open(os.path.join(repo, name), "a") as f:
            f.write(text)
        self.git("add", name, cwd=repo)
        self.git("commit", "-q", "-m", "add to " + name, cwd=repo)
        return self.rev(repo)

    def rev(self, repo, name="HEAD"):
        return self.git("rev-parse", name, cwd=repo).text.strip()

    def refs(self, repo):
        return self.git("for-each-ref", "--format=%(objectname) %(refname)", cwd=repo).text.split("\n")[:-1]

    def objects(self, repo):
        out = self.git("rev-list", "--objects", "--all", cwd=repo).text
        return sorted(line.split(" ")[0] for line in out.splitlines())

    def same(self, a, b):
        equal(self.refs(a), self.refs(b), "refs of %s and %s" % (a, b))
        equal(self.objects(a), self.objects(b), "objects of %s and %s" % (a, b))
        self.git("fsck", "--full", "--strict", "--no-dangling", cwd=b)

    # ---- servers ----

    def serve(self, store="mem", *args, keys=None, listen="127.0.0.1:0", **more):
        """store: "mem", or a name of an image in this folder. The server of world.platform."""
        if self.platform == "daemon":
            return self.daemon(store, *args, keys=keys, listen=listen, **more)
        return self.machine(store, *args, keys=keys, **more)

    def daemon(self, store="mem", *args, keys=None, listen="127.0.0.1:0", **more):
        check(self.packhorse and os.path.exists(self.packhorse),
              "this case needs the daemon: build it, and name it with --packhorse")
        if keys is None:
            keys = self.public("id")
        if keys is not False:
            args += ("--authorized-keys", self.write("authorized_keys_%d" % len(self.servers), keys))
        server = Server(self, store if store == "mem" else self.path(store), args, listen, **more)
        self.servers.append(server)
        return server

    def machine(self, store="mem", *args, keys=None, disk_mib=1024, **more):
        """A disk that is not there yet is made, and formatted; one that is there is made large enough."""
        from machines import Unikernel
        disk, arguments = None, ["--logs=debug", *args]
        if store != "mem":
            disk = self.path(store)
            if not os.path.exists(disk):
                arguments.append("--initialize-disk")
            with open(disk, "ab") as f:
                os.chmod(disk, 0o600)
                if f.tell() < disk_mib << 20:
                    f.truncate(disk_mib << 20)
        module = None
        if keys is not False:
            module = self.write("authorized_keys_%d" % len(self.servers), keys or self.public("id"))
        return Unikernel(self, disk, arguments, module, **more)


class Server:
    def __init__(self, world, store, args, listen, env=None, cwd=None):
        self.world = world
        self.argv = [world.packhorse, "serve", "--store", store, *args]
        for address in [listen] if isinstance(listen, str) else listen:
            self.argv += ["--listen", address]
        self.err = open(world.path("stderr-%d" % len(world.servers)), "w+b")
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=self.err,
                                        stdin=subprocess.DEVNULL, cwd=cwd or world.top,
                                        env=env or world.env())
        self.lines = []
        for _ in [listen] if isinstance(listen, str) else listen:
            line = self.process.stdout.readline().decode()
            m = re.fullmatch(r"listening ssh://(.*):(\d+)/\n", line)
            if not m:
                self.process.kill()
                raise Failed("the server did not start: %r\n%s" % (line, self.errors().decode()))
            self.lines.append((m[1].strip("[]"), int(m[2])))
        self.host, self.port = self.lines[0]

    def url(self, name):
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "ssh://git@%s:%d/%s" % (host, self.port, name)

    def errors(self):
        with open(self.err.name, "rb") as f:
            return f.read()

    def text(self):
        return self.errors().decode(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        """SIGKILL: what a crash looks like to clients and to the store."""
        if self.alive():
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def power_off(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self, signum=signal.SIGTERM, timeout=60):
        """An orderly end; anything a sanitizer said fails the case. None: it was told already."""
        if self.alive() and signum is not None:
            self.process.send_signal(signum)
        code = self.process.wait(timeout=timeout)
        self.process.stdout.close()
        found = SANITIZER.search(self.errors())
        check(not found, "a sanitizer spoke")
        equal(code, 0, "exit status of the server")

    def memory_kib(self):
        """Private anonymous memory."""
        total = 0
        with open("/proc/%d/smaps_rollup" % self.process.pid) as f:
            for line in f:
                if line.startswith("Anonymous:"):
                    total += int(line.split()[1])
        return total

    def connections(self):
        """Descriptors that it has open; only differences mean something."""
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, "waited %d s for: %s" % (seconds, what))
        time.sleep(0.02)


# ---- raw protocol ----

def pkt(data):
    data = data.encode() if isinstance(data, str) else data
    return b"%04x" % (len(data) + 4) + data


FLUSH, DELIM = b"0000", b"0001"


class Raw:
    """ssh with a git service behind it, spoken to by hand."""

    def __init__(self, world, server, service, repo, version=None, key="id"):
        env = world.env(key=key)
        argv = ["ssh", "-F", world.ssh_config(key), "-p", str(server.port)]
        if version is not None:
            argv += ["-o", "SendEnv=GIT_PROTOCOL"]
            env["GIT_PROTOCOL"] = "version=%d" % version
        self.p = subprocess.Popen([*argv, server.host, "%s '%s'" % (service, repo)], env=env,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send(self, *parts):
        self.p.stdin.write(b"".join(parts))
        self.p.stdin.flush()

    def packet(self):
        """The next packet's payload; None for flush, b"" for delim; raises EOFError."""
        head = self.p.stdout.read(4)
        if len(head) < 4:
            raise EOFError(head)
        n = int(head, 16)
        if n < 4:
            return None if n == 0 else b""
        return self.p.stdout.read(n - 4)

    def until_flush(self):
        out = []
        while True:
            p = self.packet()
            if p is None:
                return out
            out.append(p)

    def close(self):
        """Ends our side; (exit status, rest of stdout, stderr)."""
        out, err = self.p.communicate(timeout=TIMEOUT)
        return self.p.returncode, out, err

    def kill(self):
        self.p.kill()
        self.p.communicate()


def entry_header(kind, size):
    out = bytearray([(kind << 4) | (size & 15)])
    size >>= 4
    while size:
        out[-1] |= 0x80
        out.append(size & 0x7F)
        size >>= 7
    return bytes(out)


def pack(*entries, count=None, fmt="sha1"):
    """A packfile of (type, data) entries, or ("ref", base id, delta)."""
    body = b"PACK" + struct.pack(">II", 2, len(entries) if count is None else count)
    for e in entries:
        if e[0] == "ref":
            body += entry_header(7, len(e[2])) + bytes.fromhex(e[1]) + zlib.compress(e[2])
        else:
            body += entry_header(e[0], len(e[1])) + zlib.compress(e[1])
    return body + hashlib.new(fmt, body).digest()


COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4


def object_id(kind, data, fmt="sha1"):
    name = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}[kind]
    return hashlib.new(fmt, name + b" %d\0" % len(data) + data).hexdigest()
