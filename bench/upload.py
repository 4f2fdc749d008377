#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""upload.py --packhorse BINARY REPO: fetches from our server (store file) and from stock sshd with git, all over
SSH on loopback with aes128-gcm, in three states of the repository:

  a  one mirror push
  b  the same history in 200 pushes, with 50 force-updates between them
  c  as b, then 30 % of the refs deleted and some hidden; each measurement one second after a push

"bitmaps" is the peer after git repack -adb; "pushed" is as it was pushed, with its own gc off. Nothing is run on
ours: before a and b are measured its own maintenance is waited for, and what that took is printed.

  wall         of a client, connection and all; medians of --rounds runs, servers in turn
  first byte   from the request for the pack to its first byte
  cpu, memory  of the server: all its processes; private anonymous memory, sampled every 20 ms in a run of its own

Every pack received is held against git rev-list --objects: its number of objects, and all its ids where it is
small or the first of its kind (--check all: always; of a peer's large packs the number only). What is hidden or
unreachable, or missing, fails the bench. Fetches that send haves may bring objects that the client has.
JGit and dulwich are measured too where they are installed (--others), for at most --patience seconds a run.
"""
import argparse
import contextlib
import hashlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../tests/interop"))
sys.path.insert(0, here)
import raw_fetch
import raw_push
from harness import Failed, World, check, equal
from raw_fetch import Question, Room
from servers import CIPHER, Peer, Watch, cpu_s, end_on_signals, words
from slices import FORCED, PRIVATE, Source

ROWS = ("ls-remote", "full", "depth-1", "blob-none", "single", "twenty", "fifteen", "clone")
SMALL_PACK = 32 << 20
CLIENTS = 15


class Served:
    """One repository on one server."""

    def __init__(self, bench, name, server, repo, path, program="git-upload-pack"):
        self.bench, self.name, self.server, self.repo, self.path, self.program = bench, name, server, repo, path, program
        self.user = getattr(server, "user", "git")
        self.checked = {}  # checksums of packs that were held against rev-list in full: their kind

    def ssh(self, *more):
        world = self.bench.world
        return ["ssh", "-F", world.ssh_config("id"), "-o", CIPHER[0], "-o", "SendEnv=GIT_PROTOCOL", *more,
                "-p", str(self.server.port), "%s@%s" % (self.user, self.server.host)]

    def fetch(self, question, room=None, timeout=600):
        return raw_fetch.fetch([*self.ssh(), "%s '%s'" % (self.program, self.path)], self.bench.env, timeout, question,
                               room)

    def push(self, updates, pack):
        control = ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes",
                   "-o", "ControlPath=%s" % self.bench.world.path("control-%s" % self.name)]
        raw_push.push([*self.ssh(*control), "git-receive-pack '%s'" % self.path], self.bench.env, updates, pack)

    def hang_up(self):
        """Ends the connection that pushes share."""
        subprocess.run([*self.ssh("-O", "exit", "-o", "ControlPath=%s" % self.bench.world.path(
            "control-%s" % self.name))], env=self.bench.env, stderr=subprocess.DEVNULL)

    def url(self):
        return self.server.url(self.repo)


class Bench:
    def __init__(self, args, world):
        self.args, self.world = args, world
        self.env = world.env()
        self.source = Source(world, args.repo)
        self.peer = None if args.only_ours else Peer(world)
        self.table = []
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(os.path.join(args.repo, "objects"))
                   for f in files if f.endswith(".pack"))
        self.room = Room(size * 3 // 2 + (16 << 20))
        self.known = {}  # answers of rev-list
        self.others = []

    def note(self, text):
        print("  " + text, file=sys.stderr, flush=True)

    # ---- states ----

    def state(self, name):
        """Servers with the repository in a state: [Served], ours first; what each took is noted."""
        self.refs = {}
        store = self.world.path("store-%s.img" % name)
        server = self.world.serve(os.path.basename(store))
        repo = "%s.git" % name
        targets = [Served(self, "ours", server, repo, "/" + repo)]
        if self.peer:
            self.peer.create(repo, ("uploadpack.allowFilter", "true"))
            targets.append(Served(self, "pushed", self.peer, repo, self.peer.path(repo)))
        for served in targets:
            with self.building(served, name):
                if name == "a":
                    self.world.git("push", "-q", "--mirror", served.url(), cwd=self.source.repo, ssh_options=CIPHER)
                    self.refs = dict(self.source.refs)
                else:
                    self.push_slices(served)
        return targets + self.with_bitmaps(name)

    @contextlib.contextmanager
    def building(self, served, name):
        pid = served.server.process.pid
        with Watch(pid) as watch:
            yield
            served.hang_up()
        figures = {"push wall s": watch.wall, "push cpu s": watch.cpu, "push memory MB": watch.peak}
        if served.name == "ours":
            figures["after it, wall s"], figures["after it, cpu s"] = self.wait_idle(pid)
        for key, value in figures.items():
            self.put(name, key, served.name, value)

    def wait_idle(self, pid):
        """Until the server has used no time for 12 seconds, as maintenance waits for ten; (wall, cpu) until then."""
        start = last = time.monotonic()
        before = cpu = cpu_s(pid)
        while time.monotonic() - last < 12:
            time.sleep(0.1)
            if cpu_s(pid) > cpu + 0.01:
                cpu, last = cpu_s(pid), time.monotonic()
            check(time.monotonic() - start < 600, "our maintenance does not come to rest")
        return last - start, cpu - before

    def push_slices(self, served):
        self.refs = {}
        if not hasattr(self, "slices"):
            self.slices = list(self.source.packed(self.source.plan(self.args.slices, self.args.slices // 4)))
        for updates, pack in self.slices:
            served.push(updates, pack)
            self.refs.update(updates)

    def with_bitmaps(self, name):
        if not self.peer:
            return []
        path = self.peer.path("bitmaps-%s.git" % name)
        self.source.git("symbolic-ref", "HEAD", self.source.main, repo=self.peer.path("%s.git" % name))
        shutil.copytree(self.peer.path("%s.git" % name), path)
        start = time.monotonic()
        self.source.git("repack", "-adbq", repo=path)
        self.put(name, "repack -adb, wall s", "bitmaps", time.monotonic() - start)
        return [Served(self, "bitmaps", self.peer, "bitmaps-%s.git" % name, path)] + self.other_servers(name)

    def other_servers(self, name):
        path = self.peer.path("%s.git" % name)
        found = []
        if self.args.others and shutil.which("jgit"):
            found.append(Served(self, "jgit", self.peer, "", path, "jgit upload-pack"))
        if self.args.others and importlib.util.find_spec("dulwich"):
            program = "%s %s/dulwich_serve.py" % (sys.executable, here)
            found.append(Served(self, "dulwich", self.peer, "", path, program))
        return found

    def spoil(self, targets):
        """From state b to state c."""
        private, pack = self.source.private(self.refs)
        self.refs.update(private)
        gone, empty = self.source.deletions(self.refs)
        for served in targets:
            if served.name in ("ours", "pushed", "bitmaps"):
                served.push(private, pack)
                served.push(gone, empty)
                self.hide(served)
        for name in gone:
            del self.refs[name]
        for served in targets:
            if served.name == "bitmaps":
                self.source.git("repack", "-adbq", repo=served.path)
        self.more = iter(self.source.commits("more", 400, self.refs[self.source.main]))

    def hide(self, served):
        if served.name != "ours":
            self.peer.configure(os.path.basename(served.path), "transfer.hideRefs", PRIVATE)
        else:
            self.world.ssh(served.server, "repo", "config", served.repo.replace(".git", ""), "transfer.hideRefs",
                           PRIVATE)

    def push_one_more(self, targets):
        """The last push, and a second after it."""
        main, new = self.refs[self.source.main], next(self.more)
        pack = self.source.pack([new], [main])
        for served in targets[::-1]:
            if served.name in ("ours", "pushed", "bitmaps"):
                served.push({self.source.main: new}, pack)
        self.refs[self.source.main] = new
        time.sleep(1)

    # ---- what is right ----

    def visible(self):
        return {n: o for n, o in self.refs.items() if not (self.hidden and n.startswith(PRIVATE))}

    def expected(self, *args, tips, nots=(), grows=None):
        """rev-list of tips. What grows by a push at a time is listed once, and what came later is added."""
        key = (args, frozenset(tips), frozenset(nots))
        if key not in self.known:
            old, old_tips = self.grown.get(grows, (set(), nots))
            self.known[key] = old | self.source.objects(*args, tips=tips, nots=old_tips)
            if grows:
                self.grown[grows] = self.known[key], tips
        return self.known[key]

    def expect(self, row):
        """(objects that must come, objects that may come)"""
        refs = self.visible()
        tips = sorted(set(refs.values()))
        if row in ("full", "fifteen"):
            must = self.expected(tips=tips, grows="all")
        elif row == "depth-1":
            must = self.expected("--no-walk=unsorted", tips=[refs[self.source.main]])
        elif row == "blob-none":
            must = self.expected("--filter=blob:none", tips=tips, grows="blob:none")
        elif row == "single":
            must = self.expected(tips=[refs[self.source.main]], grows="single")
        else:
            must = self.expected(tips=[refs[self.source.main]], nots=self.twenty_haves())
            return must, must | self.expected(tips=[refs[self.source.main]], grows="single")
        return must, must

    def twenty_haves(self):
        """The commit of the main branch behind which there are twenty, or a few more."""
        if self.twenty_of != self.refs[self.source.main]:
            self.twenty_of = self.refs[self.source.main]
            for n in range(1, 21):
                at = "%s~%d" % (self.twenty_of, n)
                count = int(self.source.git("rev-list", "--count", "%s..%s" % (at, self.twenty_of)))
                if count >= 20:
                    break
            self.twenty = [self.source.git("rev-parse", at).decode().strip()]
        return self.twenty

    def ids(self, thin):
        """Those of the pack in the room; without the bases that a thin pack lacks."""
        with tempfile.TemporaryDirectory(dir=self.world.top) as top:
            with open(top + "/p.pack", "wb") as f:
                f.write(self.room.pack())
            if thin:
                self.source.git("init", "-q", "--bare", top + "/r", repo=top)
                with open(top + "/r/objects/info/alternates", "w") as f:
                    f.write(os.path.join(self.source.work, "objects") + "\n")
                with open(top + "/p.pack", "rb") as f:
                    subprocess.run(["git", "index-pack", "--stdin", "--fix-thin"], cwd=top + "/r", stdin=f, check=True,
                                   env=self.env, stdout=subprocess.DEVNULL)
                folder = top + "/r/objects/pack/"
                index = [folder + n for n in os.listdir(folder) if n.endswith(".idx")][0]
            else:
                self.source.git("index-pack", "-o", top + "/p.idx", top + "/p.pack", repo=top)
                index = top + "/p.idx"
            with open(index, "rb") as f:
                shown = subprocess.run(["git", "show-index"], stdin=f, check=True, stdout=subprocess.PIPE).stdout
        entries = sorted((int(line.split()[0]), line.split()[1].decode()) for line in shown.splitlines())
        return {oid for _, oid in entries[:int.from_bytes(self.room.pack()[8:12], "big")]}

    def verify(self, served, row, got):
        """Fails when what came is not what should have. The pack is in the room."""
        must, may = self.expect(row)
        what = "%s, %s: " % (served.name, row)
        if row in ("full", "blob-none"):
            listed = {n: o for n, o in got["refs"].items() if n != "HEAD"}
            equal(sorted(set(listed.items()) ^ set(self.visible().items()))[:4], [], what + "refs")
        exact = must == may
        if exact:
            equal(got["objects"], len(must), what + "number of objects")
        small = got["bytes"] < SMALL_PACK
        if not small and self.args.check != "all" and (served.name != "ours" or row in served.checked.values()):
            return
        checksum = hashlib.sha1(self.room.pack()[:-20]).digest()
        equal(checksum, got["checksum"], what + "checksum of the pack")
        if checksum not in served.checked:
            ids = self.ids(not exact)
            equal(sorted(ids - may)[:5], [], what + "objects that must not be there")
            equal(sorted(must - ids)[:5], [], what + "objects that are missing")
            served.checked[checksum] = row

    # ---- rows ----

    def question(self, row):
        main = self.source.main
        # As git clone --depth 1 asks: for the main branch alone.
        if row == "depth-1":
            return Question(prefixes=(main,), wants=[self.refs[main]], depth=1)
        if row == "blob-none":
            return Question(filter="blob:none")
        if row == "single":
            return Question(prefixes=(main,), wants=[self.refs[main]])
        if row == "twenty":
            return Question(prefixes=(main,), wants=[self.refs[main]], haves=self.twenty_haves())
        return Question()

    def put(self, state, key, name, value):
        self.table.append((state, key, name, value))

    def one(self, served, row, memory):
        """One run: {key: figure}."""
        timeout = 600 if served.name in ("ours", "pushed", "bitmaps") else self.args.patience
        with Watch(served.server.process.pid, memory) as watch:
            if row == "ls-remote":
                listed = self.world.git("ls-remote", served.url(), ssh_options=CIPHER).text
            elif row == "clone":
                copy = self.world.path("copy.git")
                self.world.git("clone", "-q", "--bare", served.url(), copy, ssh_options=CIPHER, timeout=900)
            elif row == "fifteen":
                got = self.fifteen(served, timeout)
            else:
                got = served.fetch(self.question(row), self.room, timeout)
        figures = {"wall s": watch.wall, "cpu s": watch.cpu}
        if memory:
            figures["memory MB"] = watch.peak
        if row == "ls-remote":
            lines = dict(reversed(line.split("\t")) for line in listed.splitlines() if not line.endswith("^{}"))
            lines.pop("HEAD", None)
            equal(lines, self.visible(), "ls-remote of " + served.name)
        elif row == "clone":
            equal(self.world.rev(copy, self.source.main), self.refs[self.source.main], "main branch of the clone")
            shutil.rmtree(copy)
        elif row == "fifteen":
            self.verify_all(served, got)
        else:
            figures["first byte ms"], figures["MB"] = got["first"] * 1000, got["bytes"] / 1e6
            self.verify(served, row, got)
        return figures

    def fifteen(self, served, timeout):
        got, failed = [], []

        def client():
            try:
                got.append(served.fetch(Question(), None, timeout))
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return got

    def verify_all(self, served, got):
        """All have as many objects as they should; a pack of ours that was not seen before is fetched again."""
        must, _ = self.expect("fifteen")
        for one in got:
            equal(one["objects"], len(must), "number of objects in one of %d packs of %s" % (CLIENTS, served.name))
        if served.name == "ours" and any(one["checksum"] not in served.checked for one in got):
            self.verify(served, "full", served.fetch(Question(), self.room))

    def measure(self, state, targets, row):
        """Servers in turn; the first turn is for memory alone, but for rows that take long anyway."""
        long_row = row in ("fifteen", "clone")
        runs, skip = {}, set()
        for turn in range(1 if long_row else self.args.rounds + 1):
            if state == "c":
                self.push_one_more(targets)
            for served in targets:
                other = served.name in ("jgit", "dulwich")
                if served.name in skip or other and (long_row or row == "ls-remote" or turn > 1):
                    continue
                try:
                    figures = self.one(served, row, memory=turn == 0)
                except (raw_fetch.Failed, Failed) as error:
                    if not other:
                        raise
                    self.note("%s, %s: left out, %s" % (served.name, row, str(error).split("\n")[-1]))
                    skip.add(served.name)
                    continue
                if turn and "memory MB" in figures:
                    del figures["memory MB"]
                for key, value in figures.items():
                    if turn or long_row or key == "memory MB":
                        runs.setdefault((key, served.name), []).append(value)
        for (key, name), values in runs.items():
            if key in self.wanted(row):
                self.put(state, "%s %s" % (row, key), name, statistics.median(values))
        self.note("%s %s: %s" % (state, row, "  ".join("%s %.3f" % (name, statistics.median(v)) for (key, name), v in
                                                       runs.items() if key == "wall s")))

    def wanted(self, row):
        more = {"full": ("first byte ms", "cpu s", "memory MB"), "depth-1": ("MB", "memory MB"), "blob-none": ("MB",),
                "fifteen": ("memory MB", "cpu s"), "twenty": ("MB",)}
        return ("wall s", *more.get(row, ()))

    def run_state(self, state, targets):
        self.hidden = state == "c"
        self.known, self.grown, self.twenty_of = {}, {}, None
        for served in targets:
            served.checked = {}
        for row in ROWS:
            if row in self.args.rows:
                self.measure(state, targets, row)

    def run(self):
        targets = []
        for state in ("a", "b"):
            if state in self.args.states or state == "b" and "c" in self.args.states:
                targets = self.state(state)
                if state in self.args.states:
                    self.run_state(state, targets)
                if state == "a" or "c" not in self.args.states:
                    targets[0].server.stop()
        if "c" in self.args.states:
            self.spoil(targets)
            self.run_state("c", targets)
            for served in targets:
                served.hang_up()
            targets[0].server.stop()
        if self.peer:
            self.peer.stop()

    # ---- the table ----

    def print(self):
        names = [n for n in ("ours", "pushed", "bitmaps", "jgit", "dulwich") if n in [t[2] for t in self.table]]
        ratios = [n for n in names if n != "ours"]
        print("%-30s" % "" + "".join("%10s" % n for n in names) + "".join("%16s" % (n + " : ours") for n in ratios))
        for state in "abc":
            keys = list(dict.fromkeys(t[1] for t in self.table if t[0] == state))
            if keys:
                print("state " + state)
            for key in keys:
                row = {t[2]: t[3] for t in self.table if t[:2] == (state, key)}
                line = "  %-28s" % key + "".join("%10.2f" % row[n] if n in row else "%10s" % "-" for n in names)
                for n in ratios:
                    line += "%16.2f" % (row[n] / row["ours"]) if n in row and row.get("ours") else "%16s" % ""
                print(line.rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packhorse", required=True)
    parser.add_argument("--states", type=words("abc"), default=list("abc"))
    parser.add_argument("--rows", type=words(ROWS), default=list(ROWS), help=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=200, help="pushes of state b; a quarter as many force-updates")
    parser.add_argument("--only-ours", action="store_true", help="for work on performance")
    parser.add_argument("--check", choices=("first", "all"), default="first")
    parser.add_argument("--others", action="store_true", help="JGit and dulwich too, where they are installed")
    parser.add_argument("--patience", type=int, default=60)
    parser.add_argument("repo", nargs="?")
    args = parser.parse_args()
    start = time.monotonic()
    end_on_signals()
    with World(os.path.abspath(args.packhorse)) as world:
        if not args.repo:
            generated = world.history("generated", commits=3000, files=40)
            args.repo = world.path("generated.git")
            world.git("clone", "-q", "--mirror", generated, args.repo)
        bench = Bench(args, world)
        try:
            bench.run()
        finally:
            bench.print()
            if bench.peer:
                bench.peer.stop()
    left = [n for n, there in (("JGit", shutil.which("jgit")), ("dulwich", importlib.util.find_spec("dulwich")))
            if not there and not args.only_ours]
    print("%d s in all, %d rounds%s" % (time.monotonic() - start, args.rounds,
                                        "; not installed: " + ", ".join(left) if left else ""))


main()
