#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""powercut_git.py [--states N] [--seed N] [--git PROGRAM] [--json]: what git receive-pack leaves after a power cut

Real pushes to a bare repository are run with git receive-pack under strace, and what it does to files is replayed
in models of a file system whose power goes. Each state is written out as a folder, and git itself says what is in it.

Settings: git as it comes, and with core.fsync=all.

Models. In all of them what a program fsynced before the cut is there, and every operation is there whole or not.

  in-order   every operation is durable when the call returns, as on a file system mounted sync. A control: what is
             lost here would be the fault of this program, or of git without any power cut.
  journal    what ext4 does with data=ordered. Operations on names (create, link, rename, unlink, mkdir) are
             durable in their order, up to a point that a journal commit chose: an fsync of anything commits all
             before it, and what came after it may not be there. Data without fsync is there, not there or there up
             to a page, with the length that this makes; a rename over a file that exists first writes the new one's
             data out. Nothing is ever out of order, and no old contents show.
  posix      what POSIX promises: an fsync makes a file's data durable, and only an fsync of a folder the names in
             it. Of the rest any part may be there: names one by one, data page by page.

journal is kinder to git than many systems are. All pushes together take less than the five seconds between two
commits of a journal; in a third of its states the journal has everything, and in another all data is there.

Each state is of one kind, the first of these that it is; what is lost includes what is damaged:

  lost       something that was acknowledged before the cut is not there: a ref is missing or has an older value,
             or not all of its objects can be read
  damaged    lost, and somebody must repair the repository: git calls a ref broken, or an object that is named
             is missing or its bytes are not what they were
  broken     nothing acknowledged is lost, but what nobody was told of is in the way: a ref that git calls broken, or
             one that names what is not there
  in part    a push with --atomic that was not acknowledged did some of its changes
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

PAGE = 4096
MODELS = ("in-order", "journal", "posix")
SETTINGS = {"git": (), "git, core.fsync=all": (("core.fsync", "all"),)}
CALLS = ("open,openat,creat,read,write,writev,pwrite64,pwritev,lseek,ftruncate,truncate,rename,renameat,renameat2,"
         "link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync_file_range,syncfs,"
         "sync,copy_file_range,sendfile,fallocate")
WORKERS = 2
NAMING = ("rename", "renameat", "link", "linkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat")
DIR = "dir"


# ---- pushes under strace ----

class Recorder:
    """A bare repository, clients' commits, and the traces of what was done to it."""

    def __init__(self, top, git, config):
        self.top, self.git_program, self.config = top, git, config
        self.repo, self.work = os.path.join(top, "repo"), os.path.join(top, "work")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        self.env.update(HOME=top, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C", TZ="UTC",
                        GIT_AUTHOR_NAME="T", GIT_AUTHOR_EMAIL="t@e.org", GIT_COMMITTER_NAME="T",
                        GIT_COMMITTER_EMAIL="t@e.org")
        self.pushes = []
        self.receive_pack = os.path.join(top, "receive-pack")
        with open(self.receive_pack, "w") as f:
            f.write("#!/bin/sh\nexec %s \"$PH_TRACE\" %s receive-pack \"$@\"\n" % (self.strace(), git))
        os.chmod(self.receive_pack, 0o755)
        self.git("init", "-q", "--bare", "-b", "main", self.repo)
        shutil.rmtree(self.repo + "/hooks", ignore_errors=True)
        for key, value in config:
            self.git("config", key, value, cwd=self.repo)
        self.git("init", "-q", "-b", "main", self.work)
        self.base = tree_of(self.repo)

    @staticmethod
    def strace():
        return "strace -f -y -ttt -xx -s 16777216 -e trace=%s -e signal=none -o" % CALLS

    def git(self, *args, cwd=None, data=None):
        return subprocess.run([self.git_program, *args], cwd=cwd or self.top, env=self.env, input=data, check=True,
                              stdout=subprocess.PIPE).stdout.decode()

    def commits(self, count, files, rng, parent=None):
        """count commits one after the other with so many new files each; the last one's id."""
        stream = []
        for n in range(count):
            stream.append(b"commit refs/heads/made\nmark :%d\ncommitter T <t@e.org> %d +0000\ndata 2\nc\n" % (
                n + 1, 1500000000 + n))
            if n == 0 and parent:
                stream.append(b"from %s\n" % parent.encode())
            for _ in range(files):
                data = rng.randbytes(rng.choice((10, 300, 3000, 9000))).hex().encode()
                stream.append(b"M 100644 inline d%d/f%d\ndata %d\n%s\n" % (
                    rng.randrange(4), rng.randrange(1000), len(data), data))
        reset = b"" if parent else b"reset refs/heads/made\n"
        self.git("fast-import", "--quiet", "--force", cwd=self.work, data=reset + b"".join(stream))
        return self.git("rev-parse", "refs/heads/made", cwd=self.work).strip()

    def start(self, changes, atomic=False):
        push = {"trace": os.path.join(self.top, "trace-%d" % len(self.pushes)), "changes": changes, "atomic": atomic}
        self.pushes.append(push)
        specs = ["+%s:%s" % (oid, ref) if oid else ":" + ref for ref, oid in changes.items()]
        push["client"] = subprocess.Popen(
            [self.git_program, "push", "--porcelain", *(["--atomic"] if atomic else []),
             "--receive-pack=" + self.receive_pack, self.repo, *specs], cwd=self.work, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=dict(self.env, PH_TRACE=push["trace"]))
        return push

    def finish(self, push):
        out = push.pop("client").communicate()[0].decode()
        push["told"] = {ref: flag in " +-*" for flag, ref in
                        re.findall(r"^([ +\-*!=])\t[^\t]*:(refs/[^\t]*)\t", out, re.M)}
        return push["told"]

    def push(self, changes, atomic=False):
        return self.finish(self.start(changes, atomic))

    def maintain(self):
        trace = os.path.join(self.top, "trace-%d" % len(self.pushes))
        self.pushes.append({"trace": trace, "changes": {}, "told": {}, "atomic": False})
        subprocess.run([*self.strace().split(), trace, self.git_program, "gc", "-q", "--prune=now"], cwd=self.repo,
                       env=self.env, check=True)


def workload(recorder, rng):
    """Create, push, force, delete, 50 refs at once, one that fails, two pushers at once, maintenance, and again."""
    first = recorder.commits(40, 3, rng)
    main = "refs/heads/main"
    recorder.push({main: first})
    tip = recorder.commits(1, 1, rng, first)
    recorder.push({main: tip})
    recorder.push({"refs/heads/topic": recorder.commits(2, 2, rng, tip)})
    for _ in range(2):
        tip = recorder.commits(1, 1, rng, tip)
        recorder.push({main: tip})
    recorder.push({main: recorder.commits(1, 2, rng, first)})
    many = {"refs/heads/many/%02d" % n: recorder.commits(1, 1, rng, first) for n in range(50)}
    recorder.push(many, atomic=True)
    recorder.push({"refs/heads/topic": None})
    told = recorder.push({"refs/heads/good": recorder.commits(1, 1, rng, tip), main + "/below": first})
    if told != {"refs/heads/good": True, main + "/below": False}:
        raise SystemExit("one of two refs was meant to fail: %s" % told)
    pair = [recorder.start({"refs/heads/left": recorder.commits(1, 1, rng, tip)}),
            recorder.start({"refs/heads/right": recorder.commits(40, 3, rng, tip)})]
    for push in pair:
        recorder.finish(push)
    recorder.maintain()
    changes = {ref: None if n % 5 == 0 else tip for n, ref in enumerate(sorted(many))}
    recorder.push(changes, atomic=True)
    recorder.push({"refs/heads/good": None})
    tip = recorder.commits(1, 2, rng, tip)
    recorder.push({main: tip, "refs/heads/last": tip})


def tree_of(top):
    """Files by path, and folders."""
    out = {}
    for folder, names, files in os.walk(top):
        rel = os.path.relpath(folder, top)
        for name in names:
            out[os.path.normpath(os.path.join(rel, name))] = DIR
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                out[os.path.normpath(os.path.join(rel, name))] = f.read()
    return out


# ---- from a trace to operations on files ----

STRING = r'"((?:\\x[0-9a-f]{2})*)"'
LINE = re.compile(r"(\d+) +([\d.]+) (.*)")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.S)
FD = re.compile(r"(AT_FDCWD|\d+)(?:<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?)?")


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def calls(path):
    """(time, pid, name, arguments, result, rest) of every call that ended well."""
    begun = {}
    with open(path) as f:
        for line in f:
            pid, when, what = LINE.fullmatch(line.rstrip("\n")).groups()
            if what.endswith("<unfinished ...>"):
                begun[pid] = what[:-len("<unfinished ...>")]
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>", what)
            if resumed:
                what = begun.pop(pid) + what[resumed.end():]
            m = CALL.fullmatch(what)
            if m and m[3] != "?" and int(m[3]) >= 0:
                yield float(when), pid, m[1], m[2], int(m[3]), m[4]


def written(args):
    """The bytes of a write, or of all parts of a writev."""
    return b"".join(unhex(part) for part in re.findall(STRING, args))


class Files:
    """Operations of a trace, in order, on names and inodes of one repository.

    ("names", {path: inode, DIR or None}, over)   over: an inode that a rename put in place of another
    ("write", inode, offset, data)  ("cut", inode, length)  ("sync", inode)  ("sync-names", folder)
    ("begin", push)  ("told", push)
    """

    def __init__(self, top, base):
        self.top = top
        self.ops, self.names, self.offsets = [], {}, {}
        self.data = []
        for path, content in base.items():
            self.names[path] = DIR if content is DIR else self.inode(content)
        self.base = dict(self.names)
        self.start = [bytes(data) for data in self.data]

    def data_at_start(self, inode):
        return self.start[inode] if inode < len(self.start) else b""

    def inode(self, content=b""):
        self.data.append(bytearray(content))
        return len(self.data) - 1

    def path(self, text, folder=None):
        """Within the repository, or None. Relative ones are to folder, where strace knows it, or the repository."""
        p = os.path.normpath(os.path.join(folder or self.top, os.fsdecode(unhex(text))))
        return os.path.relpath(p, self.top) if p == self.top or p.startswith(self.top + "/") else None

    def of_fd(self, argument):
        m = FD.match(argument)
        path = m and m[2] and not m[3] and self.path(m[2])
        return self.names.get(path) if path else None

    def change(self, entries, over=None):
        self.ops.append(("names", entries, over))
        for path, what in entries.items():
            if what is None:
                del self.names[path]
            else:
                self.names[path] = what

    def paths(self, args):
        """Of the calls with one or two names, with or without a folder's descriptor before each."""
        out = []
        for m in re.finditer(r"(?:(AT_FDCWD|\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?, )?" + STRING, args):
            folder = os.fsdecode(unhex(m[2])) if m[2] else None
            out.append(self.path(m[3], folder))
        return out

    def take(self, name, args, result, rest):
        if name in ("open", "openat", "creat"):
            self.opened(name, args, result, rest)
        elif name in ("write", "writev", "pwrite64"):
            self.wrote(name, args, result)
        elif name in ("read", "lseek"):
            key = self.of_fd(args), args.partition("<")[0]
            if key in self.offsets:
                self.offsets[key] = result + (self.offsets[key] if name == "read" else 0)
        elif name == "ftruncate":
            inode, length = self.of_fd(args), int(args.rsplit(", ", 1)[1])
            if isinstance(inode, int):
                self.cut(inode, length)
        elif name in ("fsync", "fdatasync"):
            inode = self.of_fd(args)
            if inode is DIR:
                self.ops.append(("sync-names", self.path(FD.match(args)[2])))
            elif inode is not None:
                self.ops.append(("sync", inode))
        elif name.rstrip("2") in NAMING:
            self.renamed(name, self.paths(args))
        elif self.of_fd(args) is not None or any(self.paths(args)):
            raise SystemExit("a call that is not modelled: %s(%s)" % (name, args[:200]))

    def cut(self, inode, length):
        self.ops.append(("cut", inode, length))
        data = self.data[inode]
        data[length:] = bytes(max(0, length - len(data)))

    def opened(self, name, args, result, rest):
        m = re.search(r"<((?:\\x[0-9a-f]{2})*)>", rest)
        path = m and self.path(m[1])
        if not path or "O_DIRECTORY" in args:
            return
        if "O_CREAT" in args and path not in self.names:
            self.change({path: self.inode()})
        elif ("O_TRUNC" in args or name == "creat") and self.data[self.names[path]]:
            self.cut(self.names[path], 0)
        if isinstance(self.names.get(path), int):
            at = len(self.data[self.names[path]]) if "O_APPEND" in args else 0
            self.offsets[self.names[path], str(result)] = at

    def wrote(self, name, args, result):
        inode = self.of_fd(args)
        if not isinstance(inode, int):
            return
        data = written(args)[:result]
        if name == "pwrite64":
            offset = int(args.rsplit(", ", 1)[1])
        else:
            key = inode, args.partition("<")[0]
            offset = self.offsets[key]
            self.offsets[key] = offset + len(data)
        self.ops.append(("write", inode, offset, data))
        content = self.data[inode]
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(data)] = data

    def renamed(self, name, paths):
        if not any(paths):
            return
        if name.startswith("rename"):
            old, new = paths
            what = self.names[old]
            if what is DIR:
                raise SystemExit("a folder that is renamed is not modelled: %s" % old)
            over = what if new in self.names else None
            self.change({old: None, new: what}, over)
        elif name.startswith("link"):
            self.change({paths[1]: self.names[paths[0]]})
        elif name.startswith("mkdir"):
            self.change({paths[0]: DIR})
        else:
            self.change({paths[0]: None})

    def content(self):
        return {path: DIR if what is DIR else bytes(self.data[what]) for path, what in self.names.items()}


def operations(recorder):
    """All that was done in all traces, by time. What that makes of the folder must be what is really there."""
    events = []
    for n, push in enumerate(recorder.pushes):
        found = list(calls(push["trace"]))
        events.append((found[0][0], n, None))
        events += [(call[0], n, call) for call in found]
    events.sort(key=lambda e: e[0])
    files = Files(recorder.repo, recorder.base)
    for _, n, call in events:
        if call is None:
            files.ops.append(("begin", n))
            continue
        _, _, name, args, result, rest = call
        if name in ("write", "writev") and args.startswith("1<") and b"unpack ok\n" in written(args):
            files.ops.append(("told", n))
        files.take(name, args, result, rest)
    real, replayed = tree_of(recorder.repo), files.content()
    if real != replayed:
        raise SystemExit("the trace does not explain these files: %s" % sorted(
            p for p in set(real) | set(replayed) if real.get(p) != replayed.get(p)))
    return files


# ---- the disk after a cut ----

def synced(ops, cut):
    """Per inode the last operation up to which its data is durable, and that of the last sync of any."""
    by_inode, last = {}, 0
    for n in range(cut):
        if ops[n][0] == "sync":
            by_inode[ops[n][1]] = last = n
        elif ops[n][0] == "sync-names":
            last = n
    return by_inode, last


def names_in_order(files, cut, committed):
    names, over = dict(files.base), {}
    for n, op in enumerate(files.ops[:cut]):
        if op[0] == "names" and n < committed:
            apply(names, op[1])
            if op[2] is not None:
                over[op[2]] = n
    return names, over


def names_in_part(files, cut, rng):
    """Each change of names that no fsync of its folder followed is there or not."""
    share = rng.choice((0.0, 0.5, 0.9, 1.0, rng.random()))
    names, ops = dict(files.base), files.ops
    folders = {}
    for n in range(cut):
        if ops[n][0] == "sync-names":
            folders[ops[n][1]] = n
    for n in range(cut):
        if ops[n][0] == "names":
            sure = all(folders.get(os.path.dirname(path) or ".", -1) > n for path in ops[n][1])
            if sure or rng.random() < share:
                apply(names, ops[n][1])
    return names


def apply(names, entries):
    for path, what in entries.items():
        if what is None:
            names.pop(path, None)
        else:
            names[path] = what


def contents(files, cut, inodes, durable, rng, holes):
    """What these inodes hold: all that was durable, and of later writes all, nothing or some pages."""
    how = rng.choice(("all", "mixed", "mixed")) if durable is not None else "all"
    sure = {i: bytearray(files.data_at_start(i)) for i in inodes}
    whole = {i: bytearray(files.data_at_start(i)) for i in inodes}
    for n, op in enumerate(files.ops[:cut]):
        if op[0] in ("write", "cut") and op[1] in whole:
            edit(whole[op[1]], op)
            if durable is None or n <= durable.get(op[1], -1):
                edit(sure[op[1]], op)
    if how == "all":
        return whole
    return {i: whole[i] if sure[i] == whole[i] else some_pages(sure[i], whole[i], rng, holes) for i in inodes}


def edit(data, op):
    if op[0] == "cut":
        data[op[2]:] = bytes(max(0, op[2] - len(data)))
        return
    data.extend(bytes(max(0, op[2] - len(data))))
    data[op[2]:op[2] + len(op[3])] = op[3]


def some_pages(sure, whole, rng, holes):
    how = rng.choice(("all", "none", "some"))
    if how == "all":
        return whole
    if how == "none":
        return sure
    if not holes:
        # Longer by whole pages, as they are written out one after the other.
        length = len(sure) // PAGE * PAGE + PAGE * rng.randrange((len(whole) - len(sure)) // PAGE + 1)
        return whole[:max(length, len(sure))]
    out = bytearray(whole)
    for at in range(0, len(whole), PAGE):
        if rng.random() < 0.5:
            old = sure[at:at + PAGE]
            out[at:at + PAGE] = old + bytes(len(out[at:at + PAGE]) - len(old))
    return out


def state(files, model, cut, rng):
    """{path: content or DIR} after a cut before operation number cut."""
    if model == "in-order":
        names, durable = names_in_order(files, cut, cut)[0], None
    elif model == "journal":
        durable, last = synced(files.ops, cut)
        committed = rng.choice((cut, last, rng.randint(last, cut)))
        names, over = names_in_order(files, cut, committed)
        for inode, n in over.items():
            durable[inode] = max(durable.get(inode, -1), n)
    else:
        durable, names = synced(files.ops, cut)[0], names_in_part(files, cut, rng)
    inodes = {what for what in names.values() if what is not DIR}
    data = contents(files, cut, inodes, durable, rng, holes=model == "posix")
    out = {}
    for path in sorted(names):
        parent = os.path.dirname(path)
        if not parent or out.get(parent) is DIR:
            out[path] = DIR if names[path] is DIR else bytes(data[names[path]])
    return out


# ---- what git finds there ----

class Folder:
    """A folder that becomes one state after the other; only what differs is written."""

    def __init__(self, path):
        self.path, self.now = path, {}
        os.makedirs(path)

    def become(self, want):
        for path in sorted(self.now, reverse=True):
            if path not in want or (want[path] is DIR) != (self.now[path] is DIR):
                full = os.path.join(self.path, path)
                (os.rmdir if self.now[path] is DIR else os.unlink)(full)
                del self.now[path]
        for path in sorted(want):
            if self.now.get(path) == want[path]:
                continue
            full = os.path.join(self.path, path)
            if want[path] is DIR:
                os.mkdir(full)
            else:
                with open(full, "wb") as f:
                    f.write(want[path])
            self.now[path] = want[path]


class Judge:
    def __init__(self, recorder, files):
        self.recorder, self.ops = recorder, files.ops

    def expected(self, cut):
        """(the last acknowledged value by ref, values by ref that may be there beside, atomic pushes under way)"""
        told, beside, open_pushes = {}, {}, {}
        for op in self.ops[:cut]:
            if op[0] == "begin":
                open_pushes[op[1]] = self.recorder.pushes[op[1]]
            elif op[0] == "told":
                push = open_pushes.pop(op[1])
                told.update({ref: oid for ref, oid in push["changes"].items() if push["told"][ref]})
        for push in open_pushes.values():
            for ref, oid in push["changes"].items():
                beside.setdefault(ref, []).append(oid)
        return told, beside, [p["changes"] for p in open_pushes.values() if p["atomic"]]

    def git(self, folder, *args):
        return subprocess.run([self.recorder.git_program, "--git-dir", folder, *args], env=self.recorder.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def whole(self, folder, *tips):
        r = self.git(folder, "rev-list", "--quiet", "--objects", "--verify-objects", *tips)
        return r.returncode == 0 and not re.search(rb"^(error|fatal)", r.stderr, re.M)

    def verdict(self, folder, cut):
        told, beside, atomic = self.expected(cut)
        listing = self.git(folder, "for-each-ref", "--format=%(refname) %(objectname)")
        if listing.returncode != 0:
            return "damaged" if told else "broken"
        refs = dict(line.split() for line in listing.stdout.decode().splitlines())
        for ref, oid in told.items():
            if refs.get(ref) != oid and refs.get(ref) not in beside.get(ref, [oid]):
                return "damaged" if b"broken" in listing.stderr else "lost"
        if not self.whole(folder, "--all") or b"broken" in listing.stderr:
            kept = sorted({oid for ref, oid in told.items() if oid and refs.get(ref) == oid})
            return "damaged" if kept and not self.whole(folder, *kept) else "broken"
        for changes in atomic:
            done = [refs.get(ref) == oid for ref, oid in changes.items() if told.get(ref) != oid]
            if any(done) and not all(done):
                return "in part"
        return "good"


def try_states(recorder, files, model, count, seed):
    """How many states there were of each kind."""
    rng = random.Random("%s %s" % (seed, model))
    judge, found, lock = Judge(recorder, files), {}, threading.Lock()
    moments = [rng.randint(1, len(files.ops)) for _ in range(count)]

    def work(n):
        folder = Folder(os.path.join(recorder.top, "state-%s-%d" % (model, n)))
        for k in range(n, count, WORKERS):
            folder.become(state(files, model, moments[k], random.Random("%s %s %d" % (seed, model, k))))
            verdict = judge.verdict(folder.path, moments[k])
            with lock:
                found[verdict] = found.get(verdict, 0) + 1
        shutil.rmtree(folder.path)

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, n) for n in range(WORKERS)]:
            done.result()
    return found


def table(states, seed, git="git", models=MODELS):
    """Rows of the table: for each setting and model so many states, chosen by seed."""
    rows = []
    for setting, config in SETTINGS.items():
        with tempfile.TemporaryDirectory(prefix="powercut-git-") as top:
            recorder = Recorder(top, git, config)
            workload(recorder, random.Random("workload %s" % seed))
            files = operations(recorder)
            kinds = [op[0] for op in files.ops]
            for model in models:
                found = try_states(recorder, files, model, states, seed)
                rows.append({"setting": setting, "model": model, "states": states,
                             "operations": len(kinds) - kinds.count("begin") - kinds.count("told"),
                             "pushes": kinds.count("told"), "syncs": kinds.count("sync") + kinds.count("sync-names"),
                             "lost": found.get("lost", 0) + found.get("damaged", 0),
                             "damaged": found.get("damaged", 0), "broken": found.get("broken", 0),
                             "in_part": found.get("in part", 0)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=300, help="for each setting and model")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--git", default="git")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = table(args.states, args.seed, args.git)
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    columns = ("states", "lost", "damaged", "broken", "in_part")
    print("%-21s %-9s" % ("", "model") + "".join("%9s" % c.replace("_", " ") for c in columns))
    for row in rows:
        print("%-21s %-9s" % (row["setting"], row["model"]) + "".join("%9d" % row[c] for c in columns))
    print("%d pushes; flushes of git: %s" % (rows[0]["pushes"], ", ".join(
        "%d (%s)" % (row["syncs"], row["setting"]) for row in rows[::len(MODELS)])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
