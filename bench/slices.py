# SPDX-License-Identifier: MIT
"""A repository's history as a series of pushes, whose packs are made once for all servers."""
import concurrent.futures
import os
import random
import subprocess

from raw_push import EMPTY_PACK

FORCED = "refs/heads/bench/forced"
PRIVATE = "refs/private"


class Source:
    """REPO, read only, with a bare repository beside it for commits that the bench makes."""

    def __init__(self, world, repo):
        self.world, self.repo = world, os.path.abspath(repo)
        self.work = world.path("work.git")
        world.git("init", "-q", "--bare", self.work)
        world.write("work.git/objects/info/alternates", os.path.join(self.repo, "objects") + "\n")
        head = self.git("symbolic-ref", "HEAD", repo=self.repo).decode().strip()
        self.refs, self.peeled = {}, {}
        for line in self.git("for-each-ref", "--format=%(objectname) %(*objectname) %(objecttype) %(refname)",
                             repo=self.repo).decode().splitlines():
            oid, peeled, kind, name = line.split(" ")
            self.refs[name] = oid
            self.peeled[name] = peeled or oid
        self.main = head if head in self.refs else sorted(n for n in self.refs if n.startswith("refs/heads/"))[0]

    def git(self, *args, data=None, repo=None):
        return subprocess.run(["git", *args], cwd=repo or self.work, input=data, check=True,
                              stdout=subprocess.PIPE, env=self.world.env()).stdout

    def commits(self, name, count, onto):
        """Commits of our own on top of others, each with a file of its own; chained when onto is one id."""
        out, stream = [], []
        for i in range(count):
            parent = b":%d" % i if isinstance(onto, str) and i else (onto if isinstance(onto, str) else onto[i]).encode()
            text = b"%s %d\n" % (name.encode(), i)
            stream.append(b"commit refs/made/%s\nmark :%d\ncommitter B <b@e.org> %d +0000\ndata %d\n%sfrom %s\n"
                          b"M 100644 inline bench-%s\ndata %d\n%s\n" % (
                              name.encode(), i + 1, 1900000000 + i, len(text), text, parent, name.encode(),
                              len(text) * 20, text * 20))
        marks = self.world.path("marks-" + name)
        self.git("fast-import", "--quiet", "--force", "--date-format=raw", "--export-marks=" + marks, data=b"".join(stream))
        with open(marks) as f:
            ids = {int(m[1:]): oid for m, oid in (line.split() for line in f)}
        for i in range(count):
            out.append(ids[i + 1])
        return out

    def pack(self, wants, haves):
        lines = "".join(w + "\n" for w in wants) + "--not\n" + "".join(h + "\n" for h in haves)
        return self.git("pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q", "--threads=1",
                        data=lines.encode())

    def objects(self, *args, tips=(), nots=()):
        """The ids that rev-list --objects says."""
        data = "".join(t + "\n" for t in tips) + "".join("^%s\n" % n for n in nots)
        out = self.git("rev-list", "--objects", "--stdin", *args, data=data.encode())
        return {line.split(b" ", 1)[0].decode() for line in out.splitlines()}

    # ---- pushes ----

    def steps(self, count):
        """Commits of the main branch that cut it into pieces, and which of them each commit is first in."""
        parents, chain, at = {}, [], self.peeled[self.main]
        for line in self.git("rev-list", "--parents", at).decode().splitlines():
            commit, *rest = line.split()
            parents[commit] = rest
        while at:
            chain.append(at)
            at = (parents[at] or [None])[0]
        chain.reverse()
        count = min(count, len(chain))
        tips, first = [chain[(i + 1) * len(chain) // count - 1] for i in range(count)], {}
        for i, tip in enumerate(tips):
            todo = [tip]
            while todo:
                commit = todo.pop()
                if commit not in first:
                    first[commit] = i
                    todo += parents[commit]
        return tips, first

    def plan(self, slices, forced):
        """[(updates, wants, haves)]: slices pushes of the history, and forced updates of one branch between them."""
        tips, first = self.steps(slices)
        last, by_step = len(tips) - 1, {}
        for name, oid in self.refs.items():
            if name != self.main:
                by_step.setdefault(first.get(self.peeled[name], last), {})[name] = oid
        every = max(1, len(tips) // forced)
        onto = [tips[min(last, (i + 1) * every - 1)] for i in range(forced)]
        made, out, pushed = self.commits("forced", forced, onto), [], []
        for i, tip in enumerate(tips):
            updates = {self.main: tip, **by_step.get(i, {})}
            out.append((updates, list(updates.values()), list(pushed)))
            pushed = [tip]
            if (i + 1) % every == 0 and (i + 1) // every <= forced:
                commit = made[(i + 1) // every - 1]
                out.append(({FORCED: commit}, [commit], list(pushed)))
        return out

    def packed(self, plan):
        """The same with packs: made two at a time, each when it is nearly due."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = []
            for updates, wants, haves in plan:
                waiting.append((updates, pool.submit(self.pack, wants, haves)))
                if len(waiting) > 4:
                    updates, pack = waiting.pop(0)
                    yield updates, pack.result()
            for updates, pack in waiting:
                yield updates, pack.result()

    def deletions(self, refs):
        """30 % of the refs, always the same, but not the main branch."""
        names = sorted(n for n in refs if n not in (self.main, FORCED) and not n.startswith(PRIVATE))
        gone = random.Random(4).sample(names, len(names) * 3 // 10)
        return {name: None for name in gone}, EMPTY_PACK

    def private(self, refs, count=5):
        """Refs to be hidden, with commits that only they have."""
        made = self.commits("private", count, [refs[self.main]] * count)
        return {"%s/%d" % (PRIVATE, i): c for i, c in enumerate(made)}, self.pack(made, [refs[self.main]])
