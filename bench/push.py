#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""push.py --packhorse BINARY [REPO]: pushes to our server (store file) and to stock sshd with git, all over SSH on
loopback with aes128-gcm. The packs are ready made, so that a client's search for deltas is not measured.

  everything   REPO with all its refs (without REPO a history made here)
  small        1,000 pushes in a row over one connection, each of one commit that changes one file
  fifty        50 pushers at once, each with a connection and a branch of its own, 10 pushes each
  blob         one blob of 1 GB, half of it incompressible: pushed, and fetched
  pair         two versions of a file of 400 MiB, as base and delta in one pack and as two pushes; fetched in full
               and at depth 1
  refs         50,000 branches in one push

"git" is as it is installed, "git-fsync" has core.fsync=all, "ours-nofsck" receive.fsckObjects=false.

  report     from the first byte of the pack to the report
  wall       of the client, connection and all
  cpu        of the server: all its processes
  memory     of the server: private anonymous memory, sampled every 20 ms in a run of its own
  written    bytes of the file system's pages that the server wrote to, as /proc/PID/io has it: of whole folios, so that
             4 KiB in the middle of a large one may count as 64
  flushes    fsync, fdatasync and their kin, counted by strace in the run that memory is from

Medians of --rounds runs, servers in turn. After every push the refs are compared with ls-remote, and what was pushed
is fetched and looked at where it is the first of its kind. JGit and dulwich are measured too where they are
installed (--others).
"""
import argparse
import importlib.util
import os
import shutil
import signal
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
from pushes import MIB, Chain, Everything, Pair, large_blob
from raw_fetch import Question, Room
from servers import CIPHER, STRACE, Peer, Watch, cpu_s, end_on_signals, flushes, words

ROWS = ("everything", "small", "fifty", "blob", "pair", "refs")
PUSHERS, EACH = 50, 10
# What hashing and inflating a GB of objects takes at least on two cores: (wall s, cpu s).
FLOORS = {"avx512f": (1.9 / 8.27, 3.7 / 8.27), "sha_ni": (2.9 / 8.27, 5.8 / 8.27)}
# (row, figure, server of ours, peer, how much less or more it should be at least)
GOALS = (("everything", "report s", "ours", "git", 3), ("everything", "cpu s", "ours-nofsck", "git", 3.5),
         ("everything", "cpu s", "ours", "git", 2.5), ("small", "pushes/s", "ours", "git", 1),
         ("blob push", "report s", "ours", "git", 1), ("blob fetch", "wall s", "ours", "git", 1),
         ("pair push", "report s", "ours", "git", 1), ("pair two pushes", "report s", "ours", "git", 1),
         ("pair fetch", "wall s", "ours", "git", 1), ("pair depth-1", "wall s", "ours", "git", 1),
         ("refs", "report s", "ours", "git", 5))
MEMORY_MB = 100


class Target:
    """A server with a way of its own of having repositories made and pushed to."""

    def __init__(self, bench, name, server, config=(), programs=None):
        self.bench, self.name, self.server, self.config = bench, name, server, config
        self.ours = not isinstance(server, Peer)
        self.programs = programs or {"push": "git-receive-pack", "fetch": "git-upload-pack"}
        self.user = getattr(server, "user", "git")
        self.pid = server.process.pid if self.ours else server.pid

    def ssh(self, *more):
        return ["ssh", "-F", self.bench.world.ssh_config("id"), "-o", CIPHER[0], "-o", "SendEnv=GIT_PROTOCOL", *more,
                "-p", str(self.server.port), "%s@%s" % (self.user, self.server.host)]

    def master(self, name):
        """Options of a connection that lasts."""
        path = self.bench.world.path("c-%d-%s" % (self.server.port, name))
        return ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "-o", "ControlPath=" + path]

    def connect(self, name):
        command = "repo list" if self.ours else "true"
        subprocess.run([*self.ssh(*self.master(name)), command], env=self.bench.env, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def hang_up(self, name):
        subprocess.run([*self.ssh(*self.master(name), "-O", "exit")], env=self.bench.env, stderr=subprocess.DEVNULL,
                       check=True)

    def path(self, repo):
        return "/%s.git" % repo if self.ours else self.server.path(repo + ".git")

    def url(self, repo):
        return self.server.url(repo + ".git")

    def create(self, repo):
        if not self.ours:
            self.server.create(repo + ".git", *self.config)
            return
        self.bench.world.ssh(self.server, "repo", "create", repo)
        for key, value in self.config:
            self.bench.world.ssh(self.server, "repo", "config", repo, key, value)

    def delete(self, repo):
        if self.ours:
            self.bench.world.ssh(self.server, "repo", "delete", repo)
        else:
            shutil.rmtree(self.server.path(repo + ".git"))

    def push(self, repo, updates, pack, master=None):
        options = self.master(master) if master else []
        return raw_push.push([*self.ssh(*options), "%s '%s'" % (self.programs["push"], self.path(repo))],
                             self.bench.env, updates, pack)

    def fetch(self, repo, question, room):
        return raw_fetch.fetch([*self.ssh(), "%s '%s'" % (self.programs["fetch"], self.path(repo))], self.bench.env,
                               900, question, room)


def written_mb(pid):
    """By it and by children that ended."""
    with open("/proc/%d/io" % pid) as f:
        figures = dict(line.split(": ") for line in f.read().splitlines())
    return int(figures["write_bytes"]) / 1e6


class Cost(Watch):
    """A Watch with what is written; counting: also memory and flushes."""

    def __init__(self, target, counting):
        super().__init__(target.pid, counting)
        self.target, self.counting, self.flushes = target, counting, None
        self.counts = counting and shutil.which("strace")

    def __enter__(self):
        if self.counts and self.target.ours:
            self.trace = self.target.bench.world.path("trace")
            self.strace = subprocess.Popen([*STRACE, "-o", self.trace, "-p", str(self.pid)], stderr=subprocess.PIPE)
            self.strace.stderr.readline()
        elif self.counts:
            self.trace, self.before = self.target.server.trace, flushes(self.target.server.trace)
        self.written = self.written_before = written_mb(self.pid)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.written = written_mb(self.pid) - self.written
        if self.counts and self.target.ours:
            self.strace.send_signal(signal.SIGINT)
            self.strace.wait()
            self.strace.stderr.close()
            self.flushes = flushes(self.trace)
        elif self.counts:
            self.flushes = flushes(self.trace) - self.before

    def figures(self, per=1):
        if not self.counting:
            return {"cpu s": self.cpu}
        out = {"memory MB": self.peak, "written MB": self.written}
        if self.flushes is not None:
            out["flushes"] = self.flushes / per
        return out


class Bench:
    def __init__(self, args, world):
        self.args, self.world, self.env = args, world, world.env()
        self.table, self.goals, self.checked, self.number = {}, [], set(), 0
        self.server = world.serve("store.img")
        self.targets = [Target(self, "ours", self.server)]
        if self.knows("receive.fsckObjects"):
            self.targets.append(Target(self, "ours-nofsck", self.server, (("receive.fsckObjects", "false"),)))
        self.counted = list(self.targets)
        self.peers = [] if args.only_ours else [Peer(world)]
        if self.peers:
            self.targets += self.peer_targets(self.peers[0])
        if self.peers and shutil.which("strace"):
            self.peers.append(Peer(world, traced=True))
        if self.peers:
            self.counted += self.peer_targets(self.peers[-1])

    def knows(self, key):
        self.world.ssh(self.server, "repo", "create", "keys")
        known = self.world.ssh(self.server, "repo", "config", "keys", key, "false", ok=False).code == 0
        self.world.ssh(self.server, "repo", "delete", "keys")
        return known

    def peer_targets(self, peer):
        out = [Target(self, "git", peer), Target(self, "git-fsync", peer, (("core.fsync", "all"),))]
        if self.args.others and shutil.which("jgit"):
            out.append(Target(self, "jgit", peer, (), {"push": "jgit receive-pack", "fetch": "jgit upload-pack"}))
        if self.args.others and importlib.util.find_spec("dulwich"):
            serve = "%s %s/dulwich_serve.py" % (sys.executable, here)
            out.append(Target(self, "dulwich", peer, (), {"push": serve + " --receive", "fetch": serve}))
        return out

    def count(self, n, least=1):
        return max(least, int(n * self.args.scale))

    def note(self, text):
        print("  " + text, file=sys.stderr, flush=True)

    def put(self, row, target, figures):
        for key, value in figures.items():
            self.table.setdefault((row, key), {}).setdefault(target.name, []).append(value)

    def rest(self, target):
        """Until our server has used no time for a while: its maintenance is not to run into what is next."""
        if not target.ours:
            return
        last, cpu = time.monotonic(), cpu_s(target.pid)
        start = last
        while time.monotonic() - last < 1.5 and time.monotonic() - start < 120:
            time.sleep(0.1)
            if cpu_s(target.pid) > cpu + 0.01:
                cpu, last = cpu_s(target.pid), time.monotonic()

    # ---- what is right ----

    def same_refs(self, target, repo, refs, what):
        listed = self.world.git("ls-remote", target.url(repo), ssh_options=CIPHER).text
        lines = dict(reversed(line.split("\t")) for line in listed.splitlines() if not line.endswith("^{}"))
        lines.pop("HEAD", None)
        wrong = [n for n in sorted(set(lines) | set(refs)) if lines.get(n) != refs.get(n)]
        equal(wrong[:4], [], "refs of %s after %s" % (target.name, what))

    def whole(self, target, repo, objects, what):
        """The first time for a server: a clone with all objects, which git finds sound."""
        if (target.name, what) in self.checked:
            return
        self.checked.add((target.name, what))
        copy = self.world.path("copy.git")
        self.world.git("clone", "-q", "--mirror", target.url(repo), copy, ssh_options=CIPHER, timeout=900)
        listed = self.world.git("rev-list", "--objects", "--all", cwd=copy, timeout=900).text.count("\n")
        equal(listed, objects, "objects of a clone from %s after %s" % (target.name, what))
        self.world.git("fsck", "--connectivity-only" if objects > 100000 else "--full", "--no-dangling", cwd=copy,
                       timeout=900)
        shutil.rmtree(copy)

    # ---- rows ----

    def each_run(self, row, work):
        """work(target, repo, counting) for all servers in turn: first a run for memory and flushes."""
        for turn in range(self.args.rounds + 1):
            for target in self.targets if turn else self.counted:
                self.number += 1
                repo = "r%d" % self.number
                target.create(repo)
                self.rest(target)
                try:
                    work(target, repo, turn == 0)
                except (raw_fetch.Failed, Failed, BrokenPipeError) as error:
                    if target.name not in ("jgit", "dulwich"):
                        raise
                    self.note("%s, %s: left out, %s" % (target.name, row, str(error).split("\n")[-1]))
                target.delete(repo)
        for (name, key), runs in self.table.items():
            if name.startswith(row) and key in ("report s", "wall s", "pushes/s"):
                self.note("%s %s: %s" % (name, key, "  ".join("%s %.3f" % (n, statistics.median(v))
                                                              for n, v in runs.items())))

    def push_once(self, row, target, repo, updates, pack, counting):
        with Cost(target, counting) as cost:
            took = target.push(repo, updates, pack)
        figures = cost.figures()
        if not counting:
            figures.update({"report s": took["report"], "wall s": took["wall"]})
        self.put(row, target, figures)

    def everything(self):
        folder = self.world.path("everything")
        os.makedirs(folder)
        all_of = Everything(self.world, self.args.repo, folder)

        def work(target, repo, counting):
            self.push_once("everything", target, repo, all_of.refs, all_of.path, counting)
            self.same_refs(target, repo, all_of.refs, "everything")
            self.whole(target, repo, all_of.objects, "everything")

        self.each_run("everything", work)
        shutil.rmtree(folder)
        with open("/proc/cpuinfo") as f:
            flags = f.read()
        floor = next((FLOORS[k] for k in FLOORS if " %s " % k in flags), None)
        if floor:
            self.floor = "floor for everything: %.2f s of wall, %.2f s of cpu for %.2f GB of objects" % (
                floor[0] * all_of.hashed / 1e9, floor[1] * all_of.hashed / 1e9, all_of.hashed / 1e9)

    def small(self):
        count = self.count(1000, 20)
        chain = Chain()
        first = chain.first()
        pushes = [chain.next() for _ in range(count)]

        def work(target, repo, counting):
            ref = "refs/heads/main"
            target.push(repo, {ref: first[0]}, first[1])
            target.connect("small")
            some = pushes[:100] if counting else pushes
            with Cost(target, counting) as cost:
                for tip, pack in some:
                    target.push(repo, {ref: tip}, pack, "small")
            # The processes of sshd count when the connection has ended.
            target.hang_up("small")
            self.put_many("small", target, cost, len(some))
            self.same_refs(target, repo, {ref: some[-1][0]}, "small pushes")
            if not counting:
                self.whole(target, repo, chain.objects, "small pushes")

        self.each_run("small", work)

    def put_many(self, row, target, cost, pushes):
        time.sleep(0.2)
        cost.cpu = cpu_s(target.pid) - cost.cpu_before
        cost.written = written_mb(target.pid) - cost.written_before
        figures = cost.figures(pushes)
        for key, name, factor in (("flushes", "flushes a push", 1), ("cpu s", "cpu ms a push", 1000 / pushes),
                                  ("written MB", "KB written a push", 1000 / pushes)):
            if key in figures:
                figures[name] = figures.pop(key) * factor
        if not cost.counting:
            figures["pushes/s"] = pushes / cost.wall
        self.put(row, target, figures)

    def fifty(self):
        count = self.count(PUSHERS, 4)
        chain = Chain(1)
        first = chain.first()
        pushes = []
        for i in range(count):
            fork = chain.fork(100 + i)
            pushes.append([fork.next() for _ in range(EACH)])

        def pusher(target, repo, i, failed):
            try:
                for tip, pack in pushes[i]:
                    target.push(repo, {"refs/heads/p%d" % i: tip}, pack, "f%d" % i)
            except Exception as error:
                failed.append(error)

        def work(target, repo, counting):
            target.push(repo, {"refs/heads/main": first[0]}, first[1])
            for i in range(count):
                target.connect("f%d" % i)
            failed = []
            threads = [threading.Thread(target=pusher, args=(target, repo, i, failed)) for i in range(count)]
            with Cost(target, counting) as cost:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            for i in range(count):
                target.hang_up("f%d" % i)
            if failed:
                raise failed[0]
            self.put_many("fifty", target, cost, count * EACH)
            refs = {"refs/heads/p%d" % i: one[-1][0] for i, one in enumerate(pushes)}
            self.same_refs(target, repo, {"refs/heads/main": first[0], **refs}, "fifty pushers")
            self.whole(target, repo, chain.objects + 4 * EACH * count, "fifty pushers")

        self.each_run("fifty", work)

    def fetch_row(self, row, target, repo, question, counting, room, size):
        """A fetch whose pack is thrown away; the first of its kind is kept and indexed."""
        look = (target.name, row) not in self.checked and not counting
        with Cost(target, counting) as cost:
            got = target.fetch(repo, question, room if look else None)
        figures = {k: v for k, v in cost.figures().items() if k not in ("written MB", "flushes")}
        if not counting:
            figures.update({"wall s": got["wall"], "MB": got["bytes"] / 1e6})
        self.put(row, target, figures)
        equal(got["objects"], size, "objects in the pack of %s, %s" % (target.name, row))
        if look:
            self.checked.add((target.name, row))
            with tempfile.TemporaryDirectory(dir=self.world.top) as top:
                with open(top + "/p.pack", "wb") as f:
                    f.write(room.pack())
                self.world.git("init", "-q", "--bare", top + "/r")
                self.world.git("index-pack", "--fsck-objects", "-o", top + "/p.idx", top + "/p.pack", cwd=top + "/r",
                               timeout=900)
                shown = self.world.git("show-index", cwd=top, data=open(top + "/p.idx", "rb").read()).text
                check(self.expected_blob in shown, "the blob is not in the pack of %s, %s" % (target.name, row))

    def blob(self):
        size = self.count(1 << 30, MIB)
        tip, pack = large_blob(self.world.path("blob.pack"), size)
        room = Room(os.path.getsize(pack) + 32 * MIB)
        self.expected_blob = tip

        def work(target, repo, counting):
            self.push_once("blob push", target, repo, {"refs/heads/main": tip}, pack, counting)
            self.same_refs(target, repo, {"refs/heads/main": tip}, "a large blob")
            self.rest(target)
            self.fetch_row("blob fetch", target, repo, Question(), counting, room, 3)

        self.each_run("blob", work)
        os.unlink(pack)

    def pair(self):
        folder = self.world.path("pair")
        os.makedirs(folder)
        pair = Pair(folder, self.count(400 * MIB, 8 * MIB))
        room = Room(2 * os.path.getsize(pair.both) + 32 * MIB)
        main = "refs/heads/main"
        self.expected_blob = pair.second_blob

        def fetches(target, repo, counting, name):
            self.same_refs(target, repo, {main: pair.tip}, "two versions")
            self.rest(target)
            self.fetch_row("pair fetch" + name, target, repo, Question(), counting, room, 6)
            question = Question(prefixes=(main,), wants=[pair.tip], depth=1)
            self.fetch_row("pair depth-1" + name, target, repo, question, counting, room, 3)

        def together(target, repo, counting):
            self.push_once("pair push", target, repo, {main: pair.tip}, pair.both, counting)
            fetches(target, repo, counting, "")

        def apart(target, repo, counting):
            target.push(repo, {main: pair.first_tip}, pair.base)
            self.rest(target)
            self.push_once("pair two pushes", target, repo, {main: pair.tip}, pair.thin, counting)
            fetches(target, repo, counting, " of two")

        self.each_run("pair", together)
        self.each_run("pair", apart)
        shutil.rmtree(folder)

    def refs(self):
        count = self.count(50000, 100)
        chain = Chain(2)
        first = chain.first()
        tips, pack = chain.many(min(count, 1000))
        updates = {"refs/heads/team-%02d/topic-%05d" % (i % 50, i): tips[i % len(tips)] for i in range(count)}

        def work(target, repo, counting):
            target.push(repo, {"refs/heads/main": first[0]}, first[1])
            self.rest(target)
            self.push_once("refs", target, repo, updates, pack, counting)
            self.same_refs(target, repo, {"refs/heads/main": first[0], **updates}, "many refs")
            self.whole(target, repo, chain.objects, "many refs")

        self.each_run("refs", work)

    def run(self):
        for row in ROWS:
            if row in self.args.rows:
                getattr(self, row)()
        self.server.stop()

    # ---- the table ----

    def print(self):
        names = [t.name for t in self.targets]
        ratios = [n for n in names if not n.startswith("ours")]
        print("%-34s" % "" + "".join("%12s" % n for n in names) + "".join("%17s" % (n + " : ours") for n in ratios))
        for (row, key), runs in sorted(self.table.items(), key=lambda item: list(dict.fromkeys(
                k[0] for k in self.table)).index(item[0][0])):
            values = {n: statistics.median(v) for n, v in runs.items()}
            line = "%-34s" % ("%s, %s" % (row, key)) + "".join("%12.2f" % values[n] if n in values else "%12s" % "-"
                                                             for n in names)
            for n in ratios:
                line += "%17.2f" % (values[n] / values["ours"]) if n in values and values.get("ours") else "%17s" % ""
            print(line.rstrip())
        if hasattr(self, "floor"):
            print(self.floor)
        self.print_goals()

    def print_goals(self):
        def value(row, key, name):
            runs = self.table.get((row, key), {}).get(name)
            return statistics.median(runs) if runs else None

        for row, key, name, peer, least in GOALS:
            ours, theirs = value(row, key, name), value(row, key, peer)
            if ours and theirs:
                ratio = ours / theirs if key == "pushes/s" else theirs / ours
                print("%-8s %s, %s: %s %.2f times better than %s, goal %g" % (
                    "reached" if ratio >= least else "MISSED", row, key, name, ratio, peer, least))
        for (row, key), runs in self.table.items():
            if key == "memory MB" and "ours" in runs:
                peak = max(runs["ours"])
                print("%-8s %s, memory: ours %.0f MB, goal %d" % ("reached" if peak < MEMORY_MB else "MISSED", row,
                                                                  peak, MEMORY_MB))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packhorse", required=True)
    parser.add_argument("--rows", type=words(ROWS), default=list(ROWS), help=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-ours", action="store_true", help="for work on performance")
    parser.add_argument("--others", action="store_true", help="JGit and dulwich too, where they are installed")
    parser.add_argument("--scale", type=float, default=1, help="0.01: everything made here a hundred times smaller")
    parser.add_argument("repo", nargs="?")
    args = parser.parse_args()
    start = time.monotonic()
    end_on_signals()
    with World(os.path.abspath(args.packhorse)) as world:
        if not args.repo:
            generated = world.history("generated", commits=max(100, int(3000 * args.scale)), files=40)
            args.repo = world.path("generated.git")
            world.git("clone", "-q", "--mirror", generated, args.repo)
        args.repo = os.path.abspath(args.repo)
        bench = Bench(args, world)
        try:
            bench.run()
        finally:
            bench.print()
            for peer in bench.peers:
                peer.stop()
    print("%d s in all, %d rounds, scale %g" % (time.monotonic() - start, args.rounds, args.scale))


main()
