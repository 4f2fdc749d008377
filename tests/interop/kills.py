# SPDX-License-Identifier: MIT
"""Servers that are killed while stock git pushes to them, and what must be there afterwards.

Lanes are pushers that work at the same time. Each owns repositories of its own, and refs in one that all
share, so what it was told says exactly what must be there: its state, or, when the last thing it asked for was
cut off, its state before or after that. Two refs are fought over by all lanes; for them the times tell.
Commits come from a pool that is made beforehand, so a push costs one git and one ssh.
"""
import os
import random
import re
import signal
import subprocess
import threading
import time

from harness import Failed, check, equal

COMMON = "common"
FOUGHT = ("refs/heads/fought/a", "refs/heads/fought/b")
LANES = 3
MANY = 50
# Sizes of blobs: most pushes are small, some keep the server busy for a while.
SIZES = (20, 20, 500, 500, 9000, 60000, 400000)
# Objects that a push was made against may be dropped before it arrives; it is refused then, and works when repeated.
OVERTAKEN = re.compile(r"\[remote rejected\] \((unpacker error|missing necessary objects)\)")
REPORTED = re.compile(r"^([ +\-*!=])\t[^\t]*:(refs/[^\t]*)\t(.*)$", re.M)
OK, REFUSED, UNKNOWN = "acknowledged", "refused", "cut off"


class Pool:
    """Commits to push; children[i] are those of commit i."""

    def __init__(self, world, name, seed, count=240):
        self.path = world.path(name)
        rng = random.Random("pool %s" % seed)
        world.git("init", "-q", "--bare", self.path)
        stream, self.children = [], [[] for _ in range(count)]
        for n in range(count):
            parent = n - 1 if rng.random() < 0.7 else rng.randrange(max(n - 12, 0), n) if n else -1
            out = b"commit refs/heads/pool\nmark :%d\ncommitter T <t@e.org> %d +0000\ndata 6\ncommit\n" % (
                n + 1, 1500000000 + n)
            if parent >= 0:
                self.children[parent].append(n)
                out += b"from :%d\n" % (parent + 1)
            for _ in range(rng.choice((1, 1, 2, 5))):
                data = b"%d\n" % n + rng.randbytes(rng.choice(SIZES) // 2).hex().encode()
                out += b"M 100644 inline d%d/f%d\ndata %d\n%s\n" % (rng.randrange(3), rng.randrange(9), len(data), data)
            stream.append(out)
        world.git("fast-import", "--quiet", "--force", "--export-marks=marks", cwd=self.path, data=b"".join(stream))
        with open(self.path + "/marks") as f:
            marks = dict(line.split() for line in f)
        self.ids = [marks[":%d" % (n + 1)] for n in range(count)]
        self.number = {oid: n for n, oid in enumerate(self.ids)}


class Attempt:
    """One thing that a lane asks for: refs of a repository to change, the whole of it to go (changes None), or
    nothing ({}: maintenance)."""

    def __init__(self, what, repo, changes, atomic=False, refused=(), fought=False):
        self.what, self.repo, self.changes, self.atomic = what, repo, changes, atomic
        self.refused, self.fought = set(refused), fought
        self.start = self.end = None
        self.told = None

    def __str__(self):
        return "%s %s %s: %s" % (self.what, self.repo, self.changes, self.told)

    def after(self, state):
        """state, the refs by repository, when all of this was done."""
        state = {repo: dict(refs) for repo, refs in state.items()}
        if self.changes is None:
            state.pop(self.repo, None)
        elif not self.fought and not (self.atomic and self.refused):
            refs = state.setdefault(self.repo, {})
            for ref in self.changes.keys() - self.refused:
                refs[ref] = self.changes[ref]
                if refs[ref] is None:
                    del refs[ref]
        return state


class Lane:
    def __init__(self, kills, number):
        self.kills, self.number, self.made = kills, number, 0
        self.rng = random.Random("%s lane %d" % (kills.seed, number))
        self.prefix = "refs/heads/lane%d/" % number
        self.state = {COMMON: {}}
        self.candidates, self.log, self.error = [self.state], [], None

    def owns(self, repo):
        return repo.startswith("lane%d-" % self.number)

    # ---- what to ask for ----

    def own_repo(self):
        return next((repo for repo in self.state if repo != COMMON), None)

    def some_id(self):
        return self.rng.choice(self.kills.pool.ids)

    def somewhere(self):
        """(repository, its refs, what a new ref's name begins with)"""
        repo = self.rng.choice(list(self.state))
        return repo, self.state[repo], self.prefix if repo == COMMON else "refs/heads/"

    def fresh(self, prefix):
        self.made += 1
        return prefix + "n%d" % self.made

    def next(self):
        kind = self.rng.choice(("push", "push", "push", "several", "force", "force", "delete", "many", "one_fails",
                                "fight", "fight", "repository", "maintain"))
        return getattr(self, kind)()

    def push(self):
        """A new branch, or one that moves on to a child."""
        repo, refs, prefix = self.somewhere()
        for ref in self.rng.sample(sorted(refs), min(len(refs), 4)):
            children = self.kills.pool.children[self.kills.pool.number[refs[ref]]]
            if children:
                return Attempt("push", repo, {ref: self.kills.pool.ids[self.rng.choice(children)]})
        return Attempt("push", repo, {self.fresh(prefix): self.some_id()})

    def several(self):
        repo, _, prefix = self.somewhere()
        return Attempt("several", repo, {self.fresh(prefix): self.some_id() for _ in range(4)})

    def force(self):
        repo, refs, prefix = self.somewhere()
        ref = self.rng.choice(sorted(refs) or [self.fresh(prefix)])
        return Attempt("+force", repo, {ref: self.some_id()})

    def delete(self):
        repo, refs, _ = self.somewhere()
        refs = [ref for ref in refs if ref != "refs/heads/main"]
        if not refs:
            return self.push()
        # Many go now and then, or there would be more and more.
        count = len(refs) if len(refs) > 2 * MANY else self.rng.randrange(1, 3)
        return Attempt("delete", repo, dict.fromkeys(self.rng.sample(sorted(refs), min(count, len(refs)))))

    def many(self):
        repo, refs, prefix = self.somewhere()
        changes = {}
        for n in range(MANY):
            ref = prefix + "many/%02d" % n
            changes[ref] = None if ref in refs and self.rng.random() < 0.3 else self.some_id()
        return Attempt("+many", repo, changes, atomic=True)

    def one_fails(self):
        """A ref below another ref: git's client asks for it, and the server refuses it."""
        repo, refs, prefix = self.somewhere()
        if not refs:
            return self.push()
        changes = {self.fresh(prefix): self.some_id() for _ in range(2)}
        bad = self.rng.choice(sorted(refs)) + "/below"
        changes[bad] = self.some_id()
        return Attempt("one fails", repo, changes, atomic=self.rng.random() < 0.5, refused=[bad])

    def fight(self):
        return Attempt("+fight", COMMON, dict.fromkeys(FOUGHT, self.some_id()), atomic=True, fought=True)

    def repository(self):
        own = self.own_repo()
        if own:
            return Attempt("delete repository", own, None)
        self.made += 1
        name = "lane%d-%d" % (self.number, self.made)
        refs = {"refs/heads/main": self.some_id(), "refs/heads/other": self.some_id()}
        return Attempt("create", name, refs)

    def maintain(self):
        return Attempt("maintain", self.own_repo() or COMMON, {})

    # ---- asking ----

    def command(self, attempt, server):
        if not attempt.changes:
            verb = "delete" if attempt.changes is None else "maintain"
            return ["ssh", "-F", self.kills.world.ssh_config("id"), "-p", str(server.port), server.host,
                    "repo %s %s" % (verb, attempt.repo)]
        plus = "+" if attempt.what.startswith("+") else ""
        return ["git", "push", "--porcelain", *(["--atomic"] if attempt.atomic else []), server.url(attempt.repo),
                *("%s:%s" % (plus + oid if oid else "", ref) for ref, oid in attempt.changes.items())]

    def ask(self, attempt, server):
        """What the client was told: OK, REFUSED or UNKNOWN."""
        attempt.start = time.monotonic()
        p = subprocess.Popen(self.command(attempt, server), cwd=self.kills.pool.path, env=self.kills.env,
                             start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        while True:
            try:
                out, err = (b.decode(errors="replace") for b in p.communicate(timeout=0.2))
                break
            except subprocess.TimeoutExpired:
                # Nothing more comes from a machine that is off; what came before gets a moment.
                if self.kills.dead_since and time.monotonic() > self.kills.dead_since + 0.6:
                    os.killpg(p.pid, signal.SIGKILL)
        attempt.end = time.monotonic()
        attempt.told = self.judge(attempt, p.returncode, out, err)
        if attempt.told == UNKNOWN and not self.kills.dead_since:
            raise Failed("%s failed before the server was killed: exit %d\n%s%s" % (attempt, p.returncode, out, err))

    def judge(self, attempt, code, out, err):
        if not attempt.changes:
            return OK if code == 0 else UNKNOWN
        told = {}
        for flag, ref, summary in REPORTED.findall(out):
            lost = flag == "!" and ("[remote failure]" in summary or "failed to report" in summary)
            told[ref] = UNKNOWN if lost else REFUSED if flag == "!" else OK
        good = {told.get(ref, UNKNOWN) for ref in attempt.changes.keys() - attempt.refused}
        bad = {told.get(ref, UNKNOWN) for ref in attempt.refused}
        expected = REFUSED if attempt.atomic and attempt.refused else OK
        # What was told of one ref holds for its push: it changes all that it may at once.
        if expected in good:
            check(good <= {expected, UNKNOWN} and bad <= {REFUSED, UNKNOWN}, "%s: was told %s" % (attempt, told))
            return expected
        if good | bad == {REFUSED} and OVERTAKEN.search(out):
            self.kills.counts["overtaken"] += 1
            return REFUSED
        check(attempt.fought or REFUSED not in good | bad or (bad == {REFUSED} and good == {UNKNOWN}),
              "%s: refused: %s\n%s" % (attempt, told, err[-2000:]))
        check(OK not in bad, "%s: was told %s" % (attempt, told))
        return REFUSED if good == {REFUSED} else UNKNOWN

    def run(self, server):
        try:
            while not self.kills.dead_since:
                attempt = self.next()
                self.log.append(attempt)
                self.ask(attempt, server)
                self.kills.answered += 1
                if attempt.told == UNKNOWN:
                    self.candidates = [self.state, attempt.after(self.state)]
                    return
                if attempt.told == OK:
                    self.state = attempt.after(self.state)
                    self.candidates = [self.state]
        except Exception as e:
            self.error = e


class Kills:
    """A store's life over many kills. Owners say how a server is started and how it dies."""

    def __init__(self, world, seed, name="store.img"):
        self.world, self.seed, self.store = world, seed, name
        self.rng = random.Random("kills %s" % seed)
        self.pool = Pool(world, "pool-" + name, seed)
        self.env = world.env()
        self.lanes = [Lane(self, n) for n in range(LANES)]
        self.fights = [Attempt("+fight", COMMON, dict.fromkeys(FOUGHT))]
        self.dead_since, self.answered, self.server = None, 0, None
        self.counts = {OK: 0, REFUSED: 0, "overtaken": 0, "cut off, there": 0, "cut off, not there": 0}

    def begin(self, server):
        """Makes what all share; its HEAD must not be a branch that a lane deletes."""
        self.world.git("push", "-q", server.url(COMMON), self.pool.ids[0] + ":refs/heads/main", cwd=self.pool.path)

    def round(self, server, wait):
        """Lanes push to server until wait returns, or has killed it."""
        self.dead_since, self.answered, self.server = None, 0, server
        for lane in self.lanes:
            lane.log, lane.candidates = [], [lane.state]
        threads = [threading.Thread(target=lane.run, args=(server,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        try:
            wait()
        finally:
            # Set before the kill, or what the kill cut off would look like a failure.
            self.dead_since = self.dead_since or time.monotonic()
            server.kill()
            for thread in threads:
                thread.join()
        for lane in self.lanes:
            if lane.error:
                raise lane.error

    # ---- what is there ----

    def compare(self, server):
        """Every lane finds its state, or that after what was cut off, whole; then that is its state."""
        repos = {line.split()[0] for line in self.world.ssh(server, "repo", "list").text.splitlines()}
        there = {repo: self.refs(server, repo) for repo in sorted(repos)}
        common = there.pop(COMMON, {})
        for lane in self.lanes:
            seen = {repo: refs for repo, refs in there.items() if lane.owns(repo)}
            seen[COMMON] = {ref: oid for ref, oid in common.items() if ref.startswith(lane.prefix)}
            found = [n for n, state in enumerate(lane.candidates) if state == seen]
            if not found:
                raise Failed("lane %d found something else than it was told of:\n%s" % (
                    lane.number, self.difference(lane, seen)))
            self.count(lane, found)
            lane.state = seen
        self.compare_fought(common)
        return sorted(repos)

    def refs(self, server, repo):
        lines = self.world.git("ls-remote", "--refs", server.url(repo)).text.splitlines()
        return dict(reversed(line.split("\t")) for line in lines)

    def difference(self, lane, seen):
        out = ["asked: %s" % attempt for attempt in lane.log[-4:]]
        for state in lane.candidates:
            for repo in sorted(set(state) | set(seen)):
                a, b = state.get(repo), seen.get(repo)
                if a is None or b is None:
                    out.append("%s: expected %s, there %s" % (repo, a, b))
                else:
                    out += ["%s %s: expected %s, there %s" % (repo, ref, a.get(ref), b.get(ref))
                            for ref in sorted(set(a) | set(b)) if a.get(ref) != b.get(ref)]
            out.append("-- or --")
        return "\n".join(out[:-1])

    def count(self, lane, found):
        for attempt in lane.log:
            if attempt.told == UNKNOWN and attempt.changes != {} and not attempt.fought:
                self.counts["cut off, there" if 0 not in found else "cut off, not there"] += 1
            elif attempt.told in self.counts and attempt.changes != {}:
                self.counts[attempt.told] += 1

    def compare_fought(self, refs):
        """The value is that of a push after which no acknowledged one began."""
        value = refs.get(FOUGHT[0])
        equal(refs.get(FOUGHT[1]), value, "two refs that always change together")
        tried = [a for lane in self.lanes for a in lane.log if a.fought and a.told != REFUSED]
        for a in self.fights + tried:
            if a.changes[FOUGHT[0]] == value:
                end = a.end if a.told == OK else time.monotonic() if a.told == UNKNOWN else 0
                if not any(b.told == OK and b.start > end for b in tried):
                    break
        else:
            raise Failed("%s is %s, which is none of the last: %s" % (
                FOUGHT[0], value, [(a.start, a.end, a.told, a.changes[FOUGHT[0]]) for a in tried]))
        self.fights = [Attempt("+fight", COMMON, dict.fromkeys(FOUGHT, value))]

    def clone(self, server, repo):
        """A clone of what is there is whole."""
        copy = self.world.path("copy")
        self.world.git("clone", "-q", "--mirror", server.url(repo), copy)
        self.world.git("fsck", "--strict", "--no-dangling", cwd=copy)
        subprocess.run(["rm", "-rf", copy], check=True)

    def fsck(self, path):
        r = self.world.run([self.world.packhorse, "fsck", "--deep", path], ok=False)
        check(r.code == 0, "fsck --deep of what was left: exit %d\n%s%s" % (r.code, r.text, r.errtext))


def meter(pid):
    """(bytes, writes) of a process so far: its files and its connections."""
    with open("/proc/%d/io" % pid) as f:
        figures = dict(line.split(": ") for line in f.read().splitlines())
    return int(figures["rchar"]) + int(figures["wchar"]), int(figures["syscw"])


class Moment:
    """When to kill: after some time, or when a counter has moved so far. The first round of a store is a whole one,
    to ANSWERS answers, however slow the machine is; moments are spread over what was seen in that."""
    ANSWERS = 8
    SECONDS = 30

    def __init__(self, rng, counters=2):
        self.rng, self.counters = rng, counters
        self.most = None

    def choose(self):
        """(index of a counter or None for time, the count, seconds at most)"""
        kind, share = self.rng.randrange(self.counters + 1), 1.1 * self.rng.random()
        if self.most is None:
            return None, None, self.SECONDS
        if kind == self.counters:
            return None, None, share * self.most[kind]
        return kind, 1 + int(share * self.most[kind]), self.SECONDS

    def wait(self, kills, read, pull=None):
        """Until the moment; read gives the counters, pull may do the killing when a counter is reached."""
        kind, count, seconds = self.choose()
        start, first, now = time.monotonic(), read(), [0] * self.counters
        if kind is not None and pull:
            pull(first[kind] + count)
        while (kills.server.alive() and kills.answered < self.ANSWERS and time.monotonic() < start + seconds
               and (kind is None or now[kind] < count)):
            time.sleep(0.002 if kind is None else 0.0003)
            now = [b - a for a, b in zip(first, read())]
        if self.most is None:
            self.most = [*now, time.monotonic() - start]
