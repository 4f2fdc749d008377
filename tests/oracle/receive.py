#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""receive.py RECEIVE_PUMP: the same random pushes to stock git's receive-pack and to ours, one after the other over
histories that grow, and at last several at once. After every push refs and report must be equal; at the end the
objects, too, which are read from both. DIFFERENCES names what may differ, and why.

Of clients that race, the answers and refs of ours must be those of some order of the clients. Git does command after
command, so there the values that a ref was given must form a chain.

PH_TEST_SEED     where random numbers begin
PH_TEST_ROUNDS   how many repositories, of up to 8 pushes each
PH_TEST_GIT      folder with another git's bin, which is then the peer
PH_TEST_MORE     report that many kinds of differences in full, instead of 5
"""
import collections
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from histories import Maker
from model import object_id
from pushes import Pushes

PUMP = os.path.abspath(sys.argv[1])
SEED = int(os.environ.get("PH_TEST_SEED", "1"))
ROUNDS = int(os.environ.get("PH_TEST_ROUNDS", "40"))
MORE = int(os.environ.get("PH_TEST_MORE", "5"))
ENV = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
ENV.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C", TZ="UTC",
           GIT_COMMITTER_NAME="c", GIT_COMMITTER_EMAIL="c@e.org")
if os.environ.get("PH_TEST_GIT"):
    ENV["PATH"] = os.environ["PH_TEST_GIT"] + ":" + ENV["PATH"]

DIFFERENCES = {
    "words": "git before 2.50 says \"failed to update ref\" for each of the reasons that later ones name",
    "unpack": "what is wrong with a pack git's programs say on band 2, the report that one failed; ours says what",
    "error": "of two things that are wrong with one command git names another; both refuse it",
    "duplicate": "a pack that has an object twice is refused by us",
    "ERR as well": "what is wrong with commands git says on its error stream alone, we to the client, too",
    "unreachable": "git keeps what came with a refused ref, and what was deleted, and lets later pushes name it, and "
                   "what only hidden refs reach; what we have dropped we have not, and what is hidden proves nothing",
    "HEAD": "git looks what symrefs name before it looks at names: HEAD, which cannot be pushed, makes the branch it "
            "names fail with it",
    "loose ends": "with fsckObjects git refuses a pack when anything in it refers to what is not here, whether a ref "
                  "needs it or not; we refuse the refs that need it",
    "unsure": "deleting with no old value, or one that git has not, deletes whatever is there in git; we refuse",
    "current": "the branch of HEAD is not deleted by the name of a symref, either; git does that",
    "control bytes": "what is refused for its control bytes is told without them",
    "aliases": "git says ok to symrefs whose ref it could not change, and to a third command for one ref by two names, "
               "and minds a command for that ref that has failed already",
    "behind": "what comes behind a pack is no matter to us; git's index-pack minds it, its unpack-objects does not",
    "circles": "deltas in a circle, of objects that the server has, too, are not always refused, and not always the "
               "same by both",
    "cut report": "under receive.shallowUpdate git's report may end at the first ref that it cannot change",
    "one level": "git before 2.50 deletes no refs/name",
    "atomic": "git goes on with the rest of an atomic push when some refs are not connected, or hidden",
    "no report": "nobody asked for the report, so which of these it was is not known",
    "makes room": "an atomic push that deletes a ref and makes one whose name has it as a part fails in git",
    "nothing below": "deleting what is not there fails in git when a ref has a part of its name",
    "twice": "a ref that is named twice: git goes on to the second when the first cannot be done, we refuse the second; "
             "and which of the two reasons is said, depends on git's version",
    "strange names": "no branch is called HEAD here, and no name's part begins with a dash",
    "boundary": "git refuses a commit that the client calls its boundary, though here are its parents, too; under "
                "receive.shallowUpdate it forgets those parents",
    "not there": "git refuses to delete a ref that is not there when it has the object that it is said to name; where refs "
                 "are hidden we do not tell whether that is here",
    "git dies": "of a shallow push whose pack is cut or lacks a commit; we refuse the refs that need it",
    "git crashes": "of a shallow push whose pack is cut or lacks a commit, under receive.shallowUpdate",
    "file and folder": "git before 2.50 does command after command, so that one command of a push can make room for "
                       "another's name; we, and git since, judge all of them by what was there",
}
# What git says of a ref that cannot be changed: one text before 2.50, several since.
REJECTED = {"failed to update ref", "incorrect old value provided", "reference already exists", "refname conflict",
            "invalid new value provided", "reference does not exist", "multiple updates for one ref",
            "multiple updates for ref not allowed", "failed to delete", "failed to update refs"}

STRANGE = ["refs/heads/HEAD", "refs/heads/-dash"]


def git_version():
    said = subprocess.run(["git", "--version"], stdout=subprocess.PIPE, check=True, env=ENV).stdout.decode()
    return tuple(map(int, re.findall("[0-9]+", said)[:2]))


GIT_VERSION = git_version()


class Answer:
    """Refs and capabilities of the advertisement, and the report behind it."""

    def __init__(self, code, out, err, side):
        self.code, self.err, self.refs, self.caps = code, err.decode(errors="replace"), {}, []
        self.have, self.shallow = set(), set()
        self.report, self.error, self.ended, self.garbage = None, "", False, b""
        body, at = self.advertisement(out), 0
        band1 = b""
        while at < len(body):
            try:
                size = int(body[at:at + 4], 16)
            except ValueError:
                self.garbage = body[at:]
                break
            data, at = body[at + 4:at + max(size, 4)], at + max(size, 4)
            if data[:1] == b"\1":
                band1 += data[1:]
            elif data[:1] == b"\3" or data[:4] == b"ERR ":
                self.error = data.decode(errors="replace")
            elif side and size == 0 and at == len(body):
                self.ended = True
            elif side and data[:1] == b"\2":
                self.err += data[1:].decode(errors="replace")
            elif side:
                self.garbage = body[at - max(size, 4):]
            else:
                band1 += body[at - max(size, 4):at]
        if band1:
            self.report = self.lines(band1)

    def advertisement(self, out):
        at = 0
        while at < len(out):
            size = int(out[at:at + 4], 16)
            line, at = out[at + 4:at + max(size, 4)], at + max(size, 4)
            if size == 0:
                break
            line, _, caps = line.partition(b"\0")
            self.caps = self.caps or caps.decode().split()
            oid, _, name = line.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
            if oid == "shallow":
                self.shallow.add(name)
                continue
            if name == ".have":
                self.have.add(oid)
            elif name != "capabilities^{}":
                self.refs[name] = oid
        return out[at:]

    def lines(self, data):
        out, at = [], 0
        while at < len(data):
            size = int(data[at:at + 4], 16)
            out.append(data[at + 4:at + size].decode("utf-8", "surrogateescape") if size else "0000")
            at += max(size, 4)
        return out

    def verdicts(self):
        """[(name, error or None)] in order."""
        out = []
        for line in (self.report or [])[1:]:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "ok":
                out.append((rest, None))
            elif word == "ng":
                out.append(rest)
        return out


class Git:
    def __init__(self, top, fmt, config):
        self.folder = top + "/git"
        for name in ("objects", "refs/heads", "refs/tags"):
            os.makedirs(self.folder + "/" + name)
        text = "[core]\n\tbare = true\n\tfsync = none\n\trepositoryformatversion = %d\n" % (fmt != "sha1")
        text += "[extensions]\n\tobjectformat = %s\n" % fmt if fmt != "sha1" else ""
        for key, value in config:
            section, name = key.split(".")
            text += "[%s]\n\t%s = %s\n" % (section, name, value)
        self.write("config", text + "[receive]\n\tautogc = false\n[gc]\n\tauto = 0\n")
        self.write("HEAD", "ref: refs/heads/main\n")

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.folder + "/" + name), exist_ok=True)
        with open(self.folder + "/" + name, "w") as f:
            f.write(text)

    def symref(self, name, target):
        self.write(name, "ref: %s\n" % target)

    def push(self, requests):
        """Of one client; of several at the same time when there are more."""
        running = [subprocess.Popen(["timeout", "-k", "5", "60", "git", "receive-pack", self.folder], env=ENV,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for _ in requests]
        done = [None] * len(requests)

        def talk(i):
            out, err = running[i].communicate(requests[i])
            done[i] = Answer(running[i].returncode, out, err, b"side-band-64k" in requests[i])
        threads = [threading.Thread(target=talk, args=(i,)) for i in range(1, len(requests))]
        for t in threads:
            t.start()
        talk(0)
        for t in threads:
            t.join()
        return done

    def call(self, *args, data=b""):
        return subprocess.run(["git", *args], cwd=self.folder, input=data, check=True, stdout=subprocess.PIPE,
                              env=ENV).stdout

    def refs(self):
        out = self.call("for-each-ref", "--format=%(objectname) %(refname) %(symref)").decode(
            "utf-8", "surrogateescape").splitlines()
        return {line.split(" ")[1]: line.split(" ")[0] for line in out if line.split(" ")[2] == ""}

    def shallow(self):
        try:
            with open(self.folder + "/shallow") as f:
                return set(f.read().split())
        except FileNotFoundError:
            return set()

    def objects(self):
        """{id: (type, content)} of all that is there."""
        data = self.call("cat-file", "--batch-all-objects", "--batch", "--buffer")
        return split_objects(data, 1)


class Ours:
    def __init__(self, top, fmt, config, store):
        self.pump = subprocess.Popen([PUMP, "mem" if store == "mem" else top + "/store.img"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ask("create " + fmt)
        text = "".join("%s=%s\n" % (k.lower(), v) for k, v in config).encode()
        self.send(b"config %d\n" % len(text) + text)
        self.line()

    def send(self, data):
        self.pump.stdin.write(data)
        self.pump.stdin.flush()

    def line(self):
        line = self.pump.stdout.readline().decode("utf-8", "surrogateescape").rstrip("\n")
        if not line:
            raise RuntimeError("the pump died: %r" % self.pump.stderr.read()[-3000:])
        return line

    def ask(self, command):
        self.send((command + "\n").encode())
        answer = self.line()
        if answer != "ok":
            raise RuntimeError("%s: %s" % (command, answer))

    def symref(self, name, target):
        self.ask("symref %s %s" % (name, target))

    def push(self, requests, seed=0):
        self.send(b"push %d" % seed + b"".join(b" %d" % len(r) for r in requests) + b"\n" + b"".join(requests))
        done = []
        for request in requests:
            code, out, err = map(int, self.line().split())
            done.append(Answer(code, self.pump.stdout.read(out), self.pump.stdout.read(err),
                               b"side-band-64k" in request))
        return done

    def refs(self):
        self.send(b"refs\n")
        lines = [self.line() for _ in range(int(self.line()))]
        return {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in lines if not line.startswith("ref: ")}

    def objects(self):
        self.send(b"objects\n")
        out = {}
        while True:
            line = self.line()
            if line == "end":
                return out
            oid, kind, size = line.split()
            out[oid] = (kind, self.pump.stdout.read(int(size)))

    def close(self):
        self.ask("check")
        self.pump.stdin.close()
        said = self.pump.stderr.read()
        if self.pump.wait(60) != 0 or said:
            raise RuntimeError("the pump said %r" % said[-3000:])
        self.kill()

    def kill(self):
        self.pump.kill()
        self.pump.wait()
        for stream in (self.pump.stdin, self.pump.stdout, self.pump.stderr):
            stream.close()


def split_objects(data, gap):
    out, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        oid, kind, size = data[at:end].decode().split()
        out[oid] = (kind, data[end + 1:end + 1 + int(size)])
        at = end + 1 + int(size) + gap
    return out


class Found(Exception):
    """A difference that has no name. A kind, and a text."""


class Meant(Exception):
    """A difference that has a name, after which the two repositories are not the same any more."""


def configuration(rng):
    config = [("receive.fsckObjects", "true")] if rng.random() < 0.3 else []
    for key, chance in (("receive.denyDeletes", 0.08), ("receive.denyNonFastForwards", 0.15)):
        if rng.random() < chance:
            config.append((key, "true"))
    if rng.random() < 0.4:
        config.append(("receive.advertisePushOptions", "true"))
    if rng.random() < 0.15:
        config.append(("receive.shallowUpdate", "true"))
    if rng.random() < 0.1:
        config.append((rng.choice(["receive.hideRefs", "transfer.hideRefs"]),
                       rng.choice(["refs/tags/n1", "refs/heads/a", "refs/heads/topic1"])))
    return config


class Round:
    def __init__(self, seed, top, used):
        self.rng, self.used, self.pushes, self.count = random.Random(seed), used, [], 0
        rng = self.rng
        fmt = rng.choice(["sha1", "sha1", "sha1", "sha256"])
        self.maker = Maker(rng, fmt)
        heads = self.maker.history()
        self.maker.name_refs(heads)
        self.repo = self.maker.repo
        start = {n: o for n, o in self.repo.refs.items() if n.startswith("refs/")}
        config = configuration(rng)
        self.config = config
        self.git = Git(top, fmt, config + [("receive.unpackLimit", rng.choice(["1", "100"]))])
        self.ours = Ours(top, fmt, config, rng.choice(["mem", "disk"]))
        self.random = Pushes(rng, self.maker, ["report-status", "report-status-v2", "side-band-64k", "quiet", "atomic"])
        self.random.hidden = [v for k, v in config if k.endswith("hideRefs")]
        self.kept = set()  # objects that our repository may have
        self.asked = self.random.first(start)
        self.both(self.asked)
        if rng.random() < 0.4:
            self.add_symref("refs/heads/alias", "refs/heads/main")
        if rng.random() < 0.1:
            self.add_symref("refs/heads/dangling", "refs/heads/unborn")

    def add_symref(self, name, target):
        self.git.symref(name, target)
        self.ours.symref(name, target)
        self.random.symrefs[name] = target

    def use(self, name):
        assert name in DIFFERENCES, name
        self.used[name] += 1

    def run(self):
        try:
            for _ in range(self.rng.choice([2, 4, 7])):
                self.asked = self.random.next()
                self.both(self.asked)
            self.same_objects()
            if self.rng.random() < 0.6:
                self.race()
        except Meant:
            self.same_objects([("ours", self.ours)])
        self.ours.close()

    # ---- one client ----

    def both(self, push):
        self.count += 1
        data = push.bytes()
        git, ours = self.git.push([data])[0], self.ours.push([data])[0]
        self.answers = (git, ours)
        self.compare_advertisements(git, ours)
        self.random.offered = [c.partition("=")[0] for c in git.caps if c.partition("=")[0] in
                               [x.partition("=")[0] for x in ours.caps]]
        meant = self.compare_answers(push, git, ours)
        refs = self.git.refs(), self.ours.refs()
        if refs[0] != refs[1] and meant:
            self.kept |= push.sent
            self.repo.shallow |= set(push.shallow)  # what ours may be cut off at now
            raise Meant()
        if refs[0] != refs[1]:
            both = set(refs[0].items()) ^ set(refs[1].items())
            raise Found("refs", "refs differ: %s" % sorted(both)[:6])
        if any(error is None for _, error in map(pair, ours.verdicts())) or not (
                push.has("report-status") or push.has("report-status-v2")):
            self.kept |= push.sent
        self.random.refs, self.repo.shallow = refs[1], self.git.shallow()
        self.complete(refs[1])

    def compare_advertisements(self, git, ours):
        if git.refs != ours.refs:
            both = set(git.refs.items()) ^ set(ours.refs.items())
            raise Found("advertisement", "advertised refs differ: %s" % sorted(both)[:6])
        if git.shallow > ours.shallow:
            self.use("boundary")
            self.repo.shallow = ours.shallow
            self.kept |= self.asked.sent
            raise Meant()
        if git.shallow != ours.shallow:
            raise Found("shallow", "git is cut off at %s, we at %s" % (sorted(git.shallow), sorted(ours.shallow)))
        if git.have or ours.have:
            raise Found("have", "git %s, ours %s" % (git.have, ours.have))

    def compare_answers(self, push, git, ours):
        """Whether they differ so that the repositories may, too."""
        if ours.garbage or git.garbage:
            raise Found("garbage", "git %r, ours %r" % (git.garbage[:80], ours.garbage[:80]))
        if push.shallow and {"incomplete", "cut"} & set(push.kind):
            if git.code == 128 and "unable to parse commit" in git.err:
                self.use("git dies")
                return True
            if git.code in (-6, -11) and not ours.code and ("receive.shallowUpdate", "true") in self.config:
                self.use("git crashes")
                return True
        if git.code != ours.code:
            raise Found("status: git %d, ours %d" % (git.code, ours.code), "git: %s\nours: %s" % (
                git.err[-300:], ours.err[-300:]))
        if git.code == 128:
            self.use("ERR as well")
            return False
        if ours.error or git.error:
            raise Found("error", "git %r, ours %r" % (git.error, ours.error))
        if (git.report is None) != (ours.report is None) or git.ended != ours.ended:
            raise Found("report", "git %r, ours %r" % (git.report, ours.report))
        if not (push.has("report-status") or push.has("report-status-v2")):
            self.use("no report")
            return bool(push.kind) or self.maybe_unreachable(push) or push.has("atomic") or any(
                name in [*STRANGE, *self.random.symrefs, "HEAD"] or old not in self.repo.objects for old, new, name in push.commands)
        if self.unpacked(git) != self.unpacked(ours):
            if "duplicate" in push.kind and self.unpacked(git):
                self.use("duplicate")
                return True
            if "circles" in push.kind:
                self.use("circles")
                return True
            if "behind" in push.kind and self.unpacked(ours):
                self.use("behind")
                return True
            strict = ("receive.fsckObjects", "true") in self.config
            if strict and {"loose ends", "incomplete", "empty"} & set(push.kind) and self.unpacked(ours):
                self.use("loose ends")
                return True
            if self.maybe_unreachable(push):
                self.use("unreachable")
                return True
            raise Found("unpack: git %s, ours %s" % (git.report[0], ours.report[0]), "git %r\nours %r" % (
                git.report[:5], ours.report[:5]))
        if push.shallow and self.unpacked(git) and len(git.report) < len(ours.report):
            self.use("cut report")
            return True
        if git.report[0] != ours.report[0]:
            self.use("unpack")
        return self.compare_verdicts(push, git, ours)

    def unpacked(self, answer):
        return answer.report[0] == "unpack ok\n"

    def compare_verdicts(self, push, git, ours):
        theirs, mine = list(map(pair, git.verdicts())), list(map(pair, ours.verdicts()))
        if [n for n, _ in theirs] != [n for n, _ in mine]:
            theirs = [(re.sub("[\x01-\x1f\x7f]", "?", name), error) for name, error in theirs]
            self.use("control bytes")
        if [n for n, _ in theirs] != [n for n, _ in mine] or len(git.report) != len(ours.report):
            raise Found("names", "git %r\nours %r" % (git.report[:9], ours.report[:9]))
        meant, names = False, [n for _, _, n in push.commands]
        for command, (name, their), (_, my) in zip(push.commands, theirs, mine):
            if their == my:
                continue
            if their in REJECTED and my in REJECTED:
                self.use("words" if GIT_VERSION < (2, 50) else "error")
            elif their and my:
                self.use("error")
                key = "%s / %s" % (their, my)
                self.used["error: " + key] += 1
            elif self.maybe_unreachable(push):
                self.use("unreachable")
                meant = True
            elif their == "inconsistent aliased update" and "HEAD" in [n for _, _, n in push.commands]:
                self.use("HEAD")
                meant = True
            elif not their and [c for c in push.commands if c[1] == self.random.zero and
                                c[0] != self.random.refs.get(self.random.target(c[2]))]:
                self.use("unsure")
                meant = True
            elif my == "atomic push failure" and not their:
                self.use("atomic")
                meant = True
            elif my == "atomic transaction failed" and not their and push.shallow and "shallow update not allowed" in [
                    error for _, error in theirs]:
                self.use("boundary")
                meant = True
            elif my == "deletion of the current branch prohibited" and not their:
                self.use("current")
                meant = True
            elif not my and their == "inconsistent aliased update" and name in self.random.symrefs:
                self.use("aliases")
                meant = True
            elif my == "refname conflict" and not their and "deletion of the current branch prohibited" in [
                    error for _, error in mine]:
                self.use("current")
                meant = True
            elif not their and name in self.random.symrefs or "alias" in push.kind and name == "refs/heads/main":
                self.use("aliases")
                meant = True
            elif GIT_VERSION < (2, 50) and their == "funny refname" and command[1] == self.random.zero:
                self.use("one level")
            elif not my and their in ("refname conflict", "atomic transaction failed") and any(
                    set(c[:2]) == {self.random.zero} for c in push.commands):
                self.use("nothing below")
                meant = True
            elif not my and their == "atomic transaction failed" and any(
                    below[2].startswith(gone[2] + "/") and gone[1] == self.random.zero != below[1]
                    for gone in push.commands for below in push.commands):
                self.use("makes room")
                meant = True
            elif not my and their in REJECTED and command[1] == self.random.zero and self.random.hidden and \
                    name not in self.random.refs:
                self.use("not there")
            elif "twice" in push.kind and (their == "failed to update refs" or names.count(name) > 1):
                self.use("twice")
                meant = True
            elif name in STRANGE:
                self.use("strange names")
                meant = True
            elif their == "shallow update not allowed" and push.shallow:
                self.use("boundary")
                meant = True
            elif GIT_VERSION < (2, 50) and self.conflicts(push):
                self.use("file and folder")
                meant = True
            else:
                raise Found("verdict: git %s, ours %s" % (their, my), "of %r git says %s, we %s" % (name, their, my))
        return meant

    def maybe_unreachable(self, push):
        """It names what neither the pack nor a ref has, but what was here once."""
        reached = self.random.reached()
        tips = [new for _, new, _ in push.commands if new in self.repo.objects]
        return bool(self.repo.closure(tips) - reached - push.sent) or bool(
            {"no base"} & set(push.kind))

    def conflicts(self, push):
        names = {self.random.target(n) for _, _, n in push.commands} | set(self.random.refs)
        return any(n.startswith(other + "/") for n in names for other in names)

    def complete(self, refs):
        """All that refs reach came in some pack that was taken."""
        lost = self.repo.closure(refs.values()) - self.kept
        unknown = [n for n, o in refs.items() if o not in self.repo.objects]
        if lost or unknown:
            raise Found("incomplete", "refs reach what was never taken: %s, %s" % (sorted(lost)[:5], unknown))

    # ---- objects ----

    def same_objects(self, servers=None):
        """What refs reach is there on both sides, and is what it should be; what else ours has was once sent."""
        for who, server in servers or (("git", self.git), ("ours", self.ours)):
            there = server.objects()
            for oid, (kind, body) in there.items():
                if object_id(self.repo.fmt, kind, body) != oid:
                    raise Found("content", "%s of %s is not what its name says" % (oid, who))
            lost = self.repo.closure(server.refs().values()) - set(there)
            if lost:
                raise Found("lost", "%s has not %s" % (who, sorted(lost)[:5]))
            if who == "ours" and set(there) - self.kept:
                raise Found("left", "%d objects of refused pushes are in our store" % len(set(there) - self.kept))
            if who == "git" and set(there) - self.repo.closure(self.git.refs().values()):
                self.use("unreachable")

    # ---- several clients ----

    def race(self):
        pushes = self.random.race()
        self.asked, before = pushes[0], dict(self.random.refs)
        self.pushes = pushes
        data = [p.bytes() for p in pushes]
        self.count += 2 * len(pushes)
        theirs, ours = self.git.push(data), self.ours.push(data, self.rng.randrange(1, 1 << 30))
        for p in pushes:
            self.kept |= p.sent
        self.chained(before, pushes, theirs, self.git.refs())
        self.chained(before, pushes, ours, self.ours.refs())
        got = [[e is None for _, e in map(pair, a.verdicts())] for a in ours]
        after = self.ours.refs()
        for order in itertools.permutations(range(len(pushes))):
            if self.serial(before, pushes, order, got, after):
                break
        else:
            raise Found("race", "no order of the clients explains %r\nbefore %r\nafter %r" % (
                [a.report for a in ours], before, after))
        self.same_objects()

    def chained(self, before, pushes, answers, after):
        """What was reported ok leads, ref by ref, from the value before to the one after."""
        steps = collections.defaultdict(list)
        for push, answer in zip(pushes, answers):
            verdicts = list(map(pair, answer.verdicts()))
            if answer.code or len(verdicts) != len(push.commands):
                raise Found("race answer", "%d %r %s" % (answer.code, answer.report, answer.err[-300:]))
            for (old, new, name), (_, error) in zip(push.commands, verdicts):
                if error is None:
                    steps[name].append((old, new))
        zero = self.random.zero
        for name in set(before) | set(after) | set(steps):
            now, want = before.get(name, zero), after.get(name, zero)
            if not any(self.leads(now, order, want) for order in itertools.permutations(steps[name])):
                raise Found("race chain", "%s was %s, is %s, by %r" % (name, now, want, steps[name]))

    def leads(self, now, steps, want):
        for old, new in steps:
            if old != now and not new == self.random.zero == now:
                return False
            now = new
        return now == want

    def serial(self, before, pushes, order, got, after):
        """Whether these answers and refs are what comes of the clients one after the other."""
        refs, zero, states = dict(before), self.random.zero, [dict(before)]
        for i in order:
            # The base of a push may be older than its end: what it has stays until then.
            if not any(self.fits(refs, states, base, pushes[i], got[i]) for base in states):
                return False
            for (_, new, name), ok in zip(pushes[i].commands, got[i]):
                if ok and new == zero:
                    refs.pop(name, None)
                elif ok:
                    refs[name] = new
            states.append(dict(refs))
        return refs == after

    def fits(self, refs, states, base, push, said):
        """Whether a push that finds refs, and looks for its objects in base, gets these answers."""
        here = push.sent | self.random.reached(base)
        good = [self.may(refs, states, here, c) for c in push.commands]
        good = [s if may is None else may for may, s in zip(good, said)]
        if "atomic" in push.caps and not all(good):
            good = [False] * len(good)
        return good == said

    def may(self, refs, states, here, command):
        """Whether a command comes through where there are these objects. None: it may or may not."""
        old, new, name = command
        zero = self.random.zero
        keys = {k.lower(): v for k, v in self.config}
        if name.startswith("refs/heads/") and new == zero and "receive.denydeletes" in keys:
            return False
        if name.startswith("refs/heads/") and zero not in (old, new) and "receive.denynonfastforwards" in keys \
                and old not in self.repo.closure([new]):
            return False
        if any(name == v or name.startswith(v + "/") for k, v in self.config if k.endswith("hideRefs")):
            return False
        if new == zero and name not in refs and self.random.hidden:
            # Whether the old value is here must not be told; to whose base had the ref, it is nothing new.
            return None if any(name in s for s in states) else True
        if refs.get(name, zero) != old:
            return False
        return new == zero or self.repo.closure([new]) <= here


def pair(verdict):
    """(name, error) of "name error", as Answer.verdicts has them; no name that passes has a blank in it."""
    if isinstance(verdict, tuple):
        return verdict
    known = REJECTED | {"funny refname", "missing necessary objects", "unpacker error", "atomic push failure",
                        "atomic transaction failed", "deny updating a hidden ref", "deny deleting a hidden ref",
                        "deletion prohibited", "deletion of the current branch prohibited", "non-fast-forward",
                        "inconsistent aliased update", "broken symref", "shallow update not allowed", "bad pack",
                        "bad ref"}
    for error in sorted(known, key=len, reverse=True):
        if verdict.endswith(" " + error):
            return verdict[:-len(error) - 1], error
    name, _, error = verdict.partition(" ")
    return name, error


def report(seed, found, round_):
    print("DIFFERS, repository %d: %s\n  %s" % (seed, found.args[0], found.args[1].replace("\n", "\n  ")))
    for push in round_.pushes or [round_.asked]:
        print("  " + push.text())
    print("  config: %r" % round_.config)
    if not round_.pushes:
        for who, answer in zip(("git", "ours"), getattr(round_, "answers", ())):
            print("  %s: %d %r\n    %s" % (who, answer.code, answer.report, answer.err[-600:]))
    sys.stdout.flush()


def main():
    used, kinds, pushes, reported, rounds = collections.Counter(), collections.Counter(), 0, 0, 0
    for seed in range(SEED * 100000, SEED * 100000 + ROUNDS):
        top, round_ = tempfile.mkdtemp(prefix="packhorse-oracle-"), None
        try:
            round_ = Round.__new__(Round)
            round_.__init__(seed, top, used)
            round_.run()
        except Found as found:
            kind = re.sub("[0-9a-f]{40,}", "ID", found.args[0])
            kinds[kind] += 1
            if kinds[kind] == 1 and reported < MORE:
                reported += 1
                report(seed, found, round_)
        finally:
            if getattr(round_, "ours", None):
                round_.ours.kill()
            shutil.rmtree(top)
        rounds += 1
        pushes += round_.count
    for name, count in sorted(used.items()):
        print("%d times: %s%s" % (count, name, " (%s)" % DIFFERENCES[name] if name in DIFFERENCES else ""))
    print("%d pushes to %d repositories, seed %d: %d differ" % (pushes, rounds, SEED, sum(kinds.values())))
    for kind, count in kinds.most_common():
        print("  %4d %s" % (count, kind))
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
