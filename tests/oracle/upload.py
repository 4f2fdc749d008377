#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""upload.py UPLOAD_PUMP: the same random requests to stock git's upload-pack and to ours, over the same random
repositories. What the protocol fixes must be equal byte for byte; packs are taken apart and compared as sets
of objects, and checked for completeness against a model. DIFFERENCES names what may differ, and why.

PH_TEST_SEED     where random numbers begin
PH_TEST_ROUNDS   how many repositories, of 28 requests each
PH_TEST_GIT      folder with another git's bin, which is then the peer
PH_TEST_MORE     report that many kinds of differences in full, instead of 5
PH_TEST_ONLY     of those that this regular expression matches
"""
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from histories import random_repo
from model import BadPack, Pack, write_pack
from requests import Requests, to_bytes

PUMP = os.path.abspath(sys.argv[1])
SEED = int(os.environ.get("PH_TEST_SEED", "1"))
ROUNDS = int(os.environ.get("PH_TEST_ROUNDS", "10"))
MORE = int(os.environ.get("PH_TEST_MORE", "5"))
ONLY = os.environ.get("PH_TEST_ONLY", "")
PER_REPO = 25
ENV = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
ENV.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C", TZ="UTC")
if os.environ.get("PH_TEST_GIT"):
    ENV["PATH"] = os.environ["PH_TEST_GIT"] + ":" + ENV["PATH"]

DIFFERENCES = {
    "agent": "names another program",
    "band 2": "progress is for people, and timed",
    "order": "git lists boundaries as its walk finds them, we by id; and wanted refs by a hash since 2.46; URIs as "
             "they come in the pack",
    "second ACK": "without multi_ack git says ACK again when the second have is a parent of the first; the "
                  "protocol has one",
    "ACK twice": "in version 2 git acknowledges a have as often as it was sent, we once; since 2.46 it leaves out "
                 "parents of those acknowledged before",
    "ERR as well": "of what is wrong with a request git says some on stderr alone, we on both",
    "at once": "git sees what is wrong with depths and sparse blobs when it makes the pack, we when it is asked for",
    "state": "git keeps marks on objects from one request of a connection to the next, we nothing",
    "own boundary": "but for plain deepen git forgets that its own repository is shallow",
    "hidden deepen-not": "git takes names of hidden refs in deepen-not, for us they are none",
    "wanted and filtered": "git leaves out a tree or blob that is wanted by id, or what such a tree has, when a commit "
                           "has it too, and the filter does not want it",
    "shallow twice": "git says a boundary for each want that leads to it, we once",
    "hidden ready": "git marks hidden refs with the bit that its search for common commits has for found ones",
    "hidden have": "where refs are hidden, we do not say that we have what only they reach, nor trees or blobs",
    "other error": "of two things that are wrong git says the one it reads first; we look at wants at the end",
    "object-info": "git of some versions offers it always, without saying that it is about sizes, and tells sizes "
                   "that were not asked for, or not",
    "object-format": "git takes no notice of a wrong object-format in version 0; we refuse",
    "section order": "git sends wanted-refs before shallow-info, the document says after",
    "any object": "git serves what exists in version 2, and trees and blobs under allowReachableSHA1InWant, and "
                  "tells sizes; we of what the client may see",
    "hidden tag": "git's include-tag sends tags of hidden refs",
    "deepen-relative": "git counts from the farthest boundary, and is confused by merges, until 2.54; and takes it "
                       "for plain deepen where no boundary is met, until 2.55",
    "no haves": "of wait-for-done without haves git makes a pack of nothing, of which its own client dies; we say NAK",
    "unseen boundary": "deepen without end opens whatever the client says is shallow in git; we what a ref reaches",
    "seen by a filter": "in a combined filter git forgets an object that one part took at a place that another did "
                        "not, and leaves it out at the next place, which both want",
    "skewed dates": "git's rev-list stops too early where commits are older than their parents: it refuses what can "
                    "be reached, and does not see what deepen-not leaves out; and whether it is ready depends on the "
                    "order of the wants where one is older than what is common",
    "had": "git sends trees and blobs that the client has: it marks those of few commits as had; or we do",
}


def git_version():
    said = subprocess.run(["git", "--version"], stdout=subprocess.PIPE, check=True, env=ENV).stdout.decode()
    return tuple(map(int, re.findall("[0-9]+", said)[:2]))


GIT_VERSION = git_version()


def run(command, version, data):
    done = subprocess.run(["timeout", "-k", "5", "60", *command], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=dict(ENV, GIT_PROTOCOL="version=%d" % version))
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class Served:
    """A repository on disk for git, and in the form that the pump loads."""

    def __init__(self, repo, top):
        self.repo, self.top = repo, top
        self.git, self.pump = top + "/git", top + "/pump"
        os.makedirs(self.pump)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", "--object-format=" + repo.fmt, self.git],
                       check=True, env=ENV)
        self.write(self.git + "/config", "".join(map(self.section, repo.config)), "a")
        self.write(self.pump + "/config", "".join("%s=%s\n" % (k.lower(), v) for k, v in repo.config))
        if repo.shallow:
            for folder in (self.git, self.pump):
                self.write(folder + "/shallow", "".join(o + "\n" for o in sorted(repo.shallow)))
        self.call("unpack-objects", "-q", data=write_pack(repo.fmt, list(repo.objects.values())))
        refs = ["create %s %s\n" % (n, o) for n, o in repo.refs.items() if n != "HEAD"]
        self.call("update-ref", "--stdin", data="".join(refs).encode())
        for name, target in repo.symrefs.items():
            self.call("symbolic-ref", name, target)
        if "HEAD" in repo.refs:
            self.write(self.git + "/HEAD", repo.refs["HEAD"] + "\n")
        # What nothing reaches stays loose in git's, and is in our pack.
        packed = self.call("pack-objects", "--stdout", "-q", "--delta-base-offset", "--window=50",
                           data="".join(o + "\n" for o in repo.objects).encode())
        self.write(self.pump + "/pack", packed)
        if not any("PackfileUri" in key for key, _ in repo.config):
            self.call("repack", "-adq")  # git names URIs for loose objects alone
        self.write(self.pump + "/refs", self.refs_text())

    def write(self, path, data, how="w"):
        with open(path, how + "b") as f:
            f.write(data if isinstance(data, bytes) else data.encode())

    def section(self, item):
        section, _, name = item[0].partition(".")
        if "." in name:
            section, name = '%s "%s"' % (section, name.rpartition(".")[0]), name.rpartition(".")[2]
        return "[%s]\n\t%s = %s\n" % (section, name, item[1])

    def call(self, *args, data=b""):
        return subprocess.run(["git", *args], cwd=self.git, input=data, check=True, stdout=subprocess.PIPE,
                              env=ENV).stdout

    def refs_text(self):
        repo, out = self.repo, []
        if repo.fmt == "sha256":
            out.append("format sha256")
        for name, target in sorted(repo.symrefs.items()):
            out.append("ref: %s %s" % (target, name))
        for name, oid in sorted(repo.refs.items()):
            out.append("%s %s %s" % (oid, name, repo.peel(oid) if repo.kind(oid) == "tag" else ""))
        return "\n".join(out) + "\n"

    def theirs(self, version, data):
        return run(["git", "upload-pack", self.git], version, data)

    def ours(self, version, data):
        return run([PUMP, self.pump, "git-upload-pack 'r'"], version, data)

    def offered(self):
        """What git advertises, by version: {capability: value}."""
        out = {}
        for version in (0, 2):
            texts = [p for p in Answer(self.theirs(version, b"0000"), version, self.repo).items]
            caps = texts[0].partition("\0")[2].split() if version == 0 else [t.strip() for t in texts]
            out[version] = {c.partition("=")[0]: c.partition("=")[2] for c in caps}
        return out


class Answer:
    """A server's answer: items are packets as text, special packets, and packs in between."""

    def __init__(self, done, version, repo):
        self.code, data, self.stderr = done
        self.items, self.packs, self.progress = [], [], b""
        pack, at, in_pack = None, 0, False
        while at < len(data):
            if data[at:at + 4] == b"PACK":
                pack, at = data[at:], len(data)
                break
            try:
                size = int(data[at:at + 4], 16)
            except ValueError:
                self.items.append("garbage %r" % data[at:at + 60])
                break
            body, at = data[at + 4:at + max(size, 4)], at + max(size, 4)
            if size < 4:
                pack, in_pack = self.end_of_pack(pack, repo), False
                self.items.append("%04x" % size)
            elif body[:1] == b"\1" and (in_pack or version < 2):
                pack = (pack or b"") + body[1:]
            elif body[:1] == b"\2":
                self.progress += body[1:]
            else:
                self.items.append(body.decode("latin1"))
                in_pack = in_pack or body.lstrip(b"\1") == b"packfile\n"
        self.end_of_pack(pack, repo)

    def end_of_pack(self, data, repo):
        if data:
            try:
                self.packs.append(Pack(repo.fmt, data, repo.objects))
                self.items.append("<pack>")
            except BadPack as error:
                self.packs.append(None)
                self.items.append("<pack that is none: %s>" % error)


def general(text):
    return re.sub("[0-9a-f]{40,}|[0-9]+", "N", text)


def last_line(text):
    return (re.split("[\r\n]", text.strip()) or [""])[-1]


class Case:
    """One request to both, and what differs."""

    def __init__(self, served, version, lines, used):
        self.served, self.repo, self.version, self.lines, self.used = served, served.repo, version, lines, used
        self.words = set(" ".join(lines).split())
        data = to_bytes(lines)
        self.git = Answer(served.theirs(version, data), version, self.repo)
        self.our = Answer(served.ours(version, data), version, self.repo)
        self.found = []
        self.compare()

    def named(self, lead):
        """The second words of lines that begin with something."""
        return [(line.split() + [""])[1] for line in self.lines if line.startswith(lead)]

    def differs(self, kind, text):
        self.found.append((kind, text))

    def use(self, name):
        assert name in DIFFERENCES, name
        self.used[name] += 1

    # ---- what is fixed ----

    def normal(self, items):
        """Without what may always differ."""
        out, group, in_wanted = [], [], False
        for text in items + ["end"]:
            if re.match("\1?(un)?shallow |\1?[0-9a-f]{40,} [a-z]+://", text) or \
                    in_wanted and re.match("\1?[0-9a-f]{40,} ", text):
                group.append(text)
                continue
            if len(set(group)) < len(group):
                self.use("shallow twice")
            out += sorted(set(group))
            group, in_wanted = [], text.lstrip("\1") == "wanted-refs\n"
            out.append(re.sub("agent=[!-~]+", "agent=*", text))
        return out[:-1]

    def without_had_uris(self, items):
        """Without URIs that only one names, of what the client has."""
        uris = {t for t in items if re.match("\1?[0-9a-f]{40,} [a-z]+://", t)}
        uris -= set(self.git.items) & set(self.our.items)
        had = self.repo.closure(self.named("have "), set(self.named("shallow "))) if uris else set()
        had = {v.split()[1] for k, v in self.repo.config if k.endswith("PackfileUri") and v.split()[0] in had}
        out = [t for t in items if t not in uris or t.lstrip("\1").split()[0] not in had]
        if out != items:
            self.use("had")
        return out

    def sizes_of_visible(self, items):
        """Without sizes that we do not tell, of what the client may not see."""
        untold = {t.strip() for t in self.our.items if re.fullmatch("[0-9a-f]{40,} ", t)} - self.repo.visible()
        if "command=object-info" not in self.lines or not untold & set(self.repo.objects):
            return items
        self.use("any object")
        return [t.split()[0] + " " if t.split(" ")[0] in untold else t for t in items]

    def without_own_boundary(self, items):
        if not self.repo.shallow or not self.words & {"deepen-relative", "deepen-since", "deepen-not"}:
            return items
        out = [t for t in items if not re.match("\1?(un)?shallow ", t) or t.split()[1] not in self.repo.shallow or
               t in self.git.items and t in self.our.items]
        if out != items:
            self.use("own boundary")
        return out

    def meant(self, theirs, ours):
        """Whether what differs has a name. These end the comparison."""
        said = self.our.stderr
        hides = any(k.lower().endswith("hiderefs") for k, _ in self.repo.config)
        if self.version < 2 and said.startswith("fatal: mismatched object format"):
            self.use("object-format")
        elif self.asks_no_size() and "size" in theirs:
            self.use("object-info")
        elif "deepen and deepen-since" in said or "unable to access sparse blob in '%s'" % self.unknown_blob() in said:
            self.use("at once")
        elif len(self.named("command=fetch")) > 1 and self.named("deepen") + self.named("shallow"):
            self.use("state")
        elif hides and any(h in self.repo.objects and (h not in self.repo.visible() or self.repo.kind(h) != "commit")
                           for h in self.named("have ") + self.named("shallow ")):
            self.use("hidden have")
        elif hides and self.named("have ") and self.repo.closure(self.named("want ")) & {
                o for n, o in self.repo.refs.items() if self.repo.hidden(n)}:
            self.use("hidden ready")
        elif hides and "deepen-not is not a ref" in said:
            self.use("hidden deepen-not")
        elif self.repo.shallow and self.our.code == 0 and "possible repository corruption" in self.git.stderr:
            self.use("own boundary")
        elif self.no_haves():
            self.use("no haves")
        elif GIT_VERSION < (2, 55) and "deepen-relative" in self.words and \
                self.boundary(theirs, "shallow", "unshallow") != self.boundary(ours, "shallow", "unshallow"):
            self.use("deepen-relative")
        elif self.opens_less(theirs, ours):
            self.use("unseen boundary")
        elif (self.skewed() or self.outdated_want()) and self.skew_matters(theirs, ours):
            self.use("skewed dates")
        elif self.refused_rightly(ours):
            self.use("any object")
        else:
            return self.both_refuse(theirs, ours)
        return True

    def asks_no_size(self):
        """Whether a request is object-info without what is asked about."""
        requests = ("\n" + "\n".join(self.lines)).split("\n0000")
        return any("command=object-info" in r and "\nsize" not in r for r in requests)

    def no_haves(self):
        """Whether the last request waits for done and has nothing to say."""
        requests = " ".join(self.lines).split(" 0000")
        last = ([r for r in requests if "command=fetch" in r] or [""])[-1].split()
        return "wait-for-done" in last and not {"have", "want", "want-ref", "done"} & set(last)

    def boundary(self, items, *words):
        """The ids of shallow and unshallow lines."""
        lines = [t.lstrip("\1").split() for t in items if re.match("\1?(un)?shallow ", t)]
        return {line[1] for line in lines if line[0] in words}

    def opens_less(self, theirs, ours):
        """Of an endless depth: that some boundary does not open is all that differs."""
        less = self.boundary(theirs, "unshallow") - self.boundary(ours, "unshallow")
        return "2147483647" in self.named("deepen ") and less and not less & self.repo.visible() and \
            self.boundary(theirs, "shallow") == self.boundary(ours, "shallow")

    def skewed(self):
        return any(self.repo.time(p) > self.repo.time(c) for c in self.repo.commits()
                   for p in self.repo.links(c)[0] if p in self.repo.objects)

    def outdated_want(self):
        """Whether git's search from a want does not begin, as all that is common is newer."""
        common = [self.repo.time(h) for h in self.named("have ") if h in self.repo.commits()]
        return common and any(self.repo.time(w) < min(common) for w in self.named("want ") if w in self.repo.commits())

    def skew_matters(self, theirs, ours):
        """Whether ours is right where dates lead git astray."""
        repo, refused = self.repo, re.search("not our ref ([0-9a-f]+)", " ".join(self.git.items[-1:]))
        if refused and self.version < 2:
            return self.our.code == 0 and self.on("uploadpack.allowReachableSHA1InWant") and \
                repo.kind(refused[1]) == "commit" and refused[1] in repo.visible()
        at = next((i for i, pair in enumerate(zip(theirs, ours)) if pair[0] != pair[1]), 0)
        if ours[at:] and (" " + ours[at].lstrip("\1")).endswith(" ready\n"):
            return all(repo.closure([w]) & repo.closure(self.named("have ")) for w in self.named("want "))
        if not self.words & {"deepen-not"} or self.words & {"deepen-since"}:
            return False
        out = repo.closure(map(repo.short, self.named("deepen-not ")))
        kept = repo.closure(self.named("want ") + [repo.value(n) for n in self.named("want-ref ")]) - out
        kept = {o for o in kept if repo.kind(o) == "commit"}
        edge = {c for c in kept if c in repo.shallow or not set(repo.links(c)[0]) <= kept}
        return self.boundary(ours, "shallow") - repo.shallow == edge - set(self.named("shallow ")) - repo.shallow

    def unknown_blob(self):
        """The id in a sparse:oid that is no object."""
        said = re.search("sparse:oid=([0-9a-f]{40,})", " ".join(self.lines))
        return said[1] if said and said[1] not in self.repo.objects else "-"

    def behind_advertisement(self, items):
        """Advertisements are compared on their own."""
        return items if self.lines == ["0000"] or "0000" not in items else items[items.index("0000") + 1:]

    def one_ack(self, items):
        """Version 0 without multi_ack: the first ACK, and no other. Version 2: each once."""
        if self.version == 2:
            return self.each_once(items)
        if self.words & {"multi_ack", "multi_ack_detailed"}:
            return items
        acks = [i for i, t in enumerate(items) if t.startswith("ACK ")]
        if len(acks) > 1:
            self.use("second ACK")
        return [t for i, t in enumerate(items) if i not in acks[1:]]

    def each_once(self, items):
        out, seen = [], set()
        for text in items:
            seen = seen if text[-1:] == "\n" else set()  # a section ended
            if text.lstrip("\1").startswith("ACK ") and text in seen:
                self.use("ACK twice")
                continue
            seen.add(text)
            out.append(text)
        return out

    def no_parents(self, items):
        """Version 2: without ACKs that git has not, of parents of other haves."""
        parents = {p for h in self.named("have ") if self.repo.kind(h) == "commit" for p in self.repo.links(h)[0]}
        out = [t for t in items if not (self.version == 2 and t.strip("\1\n")[:4] == "ACK " and
                                        t.strip("\1\n")[4:] in parents and t not in self.git.items)]
        if out != items:
            self.use("ACK twice")
        return out

    def document_order(self, items):
        """wanted-refs moved behind shallow-info."""
        for i, text in enumerate(items):
            if text.lstrip("\1") == "wanted-refs\n":
                end = items.index("0001", i) + 1 if "0001" in items[i:] else len(items)
                if items[end:end + 1] and items[end].lstrip("\1") == "shallow-info\n" and "0001" in items[end:]:
                    last = items.index("0001", end) + 1
                    self.use("section order")
                    return items[:i] + items[end:last] + items[i:end] + self.document_order(items[last:])
        return items

    def refused_rightly(self, items):
        """Ours says that a want is none of its, and the client may not have it."""
        said = re.fullmatch("(?:ERR |\3)upload-pack: not our ref ([0-9a-f]+)", (items or [""])[-1])
        if not said or self.our.code != 128:
            return False
        return said[1] in self.repo.objects and any(map(self.not_allowed, self.named("want ")))

    def not_allowed(self, want):
        repo = self.repo
        return want in repo.objects and want not in repo.visible() and \
            not self.on("uploadpack.allowAnySHA1InWant") and \
            not (self.on("uploadpack.allowTipSHA1InWant") and want in repo.refs.values())

    def both_refuse(self, theirs, ours):
        """Both end with an error, and all that was said before is the same."""
        if self.git.code != 128 or self.our.code != 128:
            return False
        if "\1wanted-refs" in ["\1" + t.strip("\1\n") for t in theirs] and \
                last_line(self.git.stderr) == last_line(self.our.stderr):
            self.use("section order")
            return True
        error = re.compile("(ERR |\3)")
        ends = [x[-1] if x and error.match(x[-1]) else "" for x in (theirs, ours)]
        if theirs[:len(theirs) - bool(ends[0])] != ours[:len(ours) - bool(ends[1])]:
            return False
        if not ends[0] and error.sub("", ends[1], 1) in self.git.stderr:
            self.use("ERR as well")
        elif re.search("not our ref|unknown ref|deepen-not", ends[0] + ends[1]):
            self.use("other error")
        else:
            return False
        return True

    def on(self, key):
        return (key, "true") in self.repo.config

    def compare(self):
        theirs = self.document_order(self.one_ack(self.normal(self.behind_advertisement(self.git.items))))
        ours = self.normal(self.behind_advertisement(self.our.items))
        if self.lines == ["0000"] and "object-info\n" in theirs:
            self.use("object-info")
            theirs.remove("object-info\n")
            ours = [t for t in ours if t != "object-info=size\n"]
        theirs = self.without_had_uris(self.without_own_boundary(self.sizes_of_visible(theirs)))
        ours = self.without_had_uris(self.without_own_boundary(self.no_parents(ours)))
        if (theirs != ours or self.git.code != self.our.code) and self.meant(theirs, ours):
            return
        if self.git.code != self.our.code:
            self.differs("status: git %d %s, ours %d %s" % (
                self.git.code, general(last_line(self.git.stderr)) if self.git.code else "",
                self.our.code, general(last_line(self.our.stderr))), "git %d (%s), ours %d (%s)" % (
                self.git.code, last_line(self.git.stderr), self.our.code, self.our.stderr.strip()))
        if theirs != ours:
            at = 0
            while at < min(len(theirs), len(ours)) and theirs[at] == ours[at]:
                at += 1
            pair = [(x[at:at + 1] or ["nothing"])[0] for x in (theirs, ours)]
            self.differs("packet: git %r, ours %r" % tuple(general(p)[:40] for p in pair),
                         "packet %d\n  git  %r\n  ours %r" % (at, theirs[at:at + 3], ours[at:at + 3]))
        elif None not in self.git.packs + self.our.packs:
            for their, our in zip(self.git.packs, self.our.packs):
                self.compare_pack(their, our)

    # ---- packs ----

    def compare_pack(self, their, our):
        repo = self.repo
        shallow = set(self.named("shallow "))
        had = repo.closure(self.named("have ") + list(shallow), shallow)
        if "include-tag" in self.words:
            # Whether such a tag goes depends on whether its target did, which the client may have.
            had |= {o for o in repo.refs.values() if repo.kind(o) == "tag" and repo.peel(o) in had}
        less, more = set(their.ids) - set(our.ids), set(our.ids) - set(their.ids)
        if "include-tag" in self.words:
            visible = {o for n, o in repo.refs.items() if not repo.hidden(n)}
            hidden = {o for o in less if repo.kind(o) == "tag" and o not in visible}
            if hidden:
                self.use("hidden tag")
            less -= hidden
        wants = self.named("want ") + [repo.value(n) for n in self.named("want-ref ")]
        wanted = set()
        if self.named("filter "):
            wanted = more & repo.closure(w for w in map(repo.peel, wants) if repo.kind(w) in ("tree", "blob"))
        if wanted:
            self.use("wanted and filtered")
            more -= wanted
        more -= self.seen_by_filter(more, wants)
        for what, some in (("missing from ours", less - had), ("only in ours", more - had)):
            if some:
                kinds = collections.Counter(repo.kind(o) for o in some)
                self.differs("objects %s" % what, "%s: %s" % (dict(kinds), sorted(some)[:5]))
        if less or more:
            self.use("had")
        if our.thin and ("thin-pack" not in self.words or our.thin - had):
            self.differs("thin", "bases outside: %s, not had: %s" % (sorted(our.thin)[:3], sorted(our.thin - had)[:3]))
        if our.ofs and "ofs-delta" not in self.words:
            self.differs("ofs", "OFS_DELTA though not asked for")
        if not self.named("filter "):
            self.complete(our, had, shallow)

    def seen_by_filter(self, more, wants):
        """What is at more than one place, under a combined filter with a part that takes note of what it took."""
        lines = " ".join(self.named("filter "))
        if not more or not re.search("combine:.*(blob:limit|object:type)", lines):
            return set()
        repo, places = self.repo, set()
        todo = [(repo.peel(w), b"") for w in wants if w in repo.objects]
        todo += [(repo.links(o)[1][0], b"") for o in repo.closure(filter(None, wants)) if repo.kind(o) == "commit"]
        while todo:
            oid, path = todo.pop()
            if (oid, path) not in places and repo.kind(oid) == "tree":
                todo += [(o, path + b"/" + name) for _, name, o in repo.entries(oid)]
            places.add((oid, path))
        counts = collections.Counter(o for o, _ in places)
        often = {o for o in more if counts[o] > 1}
        if often:
            self.use("seen by a filter")
        return often

    def complete(self, our, had, shallow):
        """Wants, with what was unshallowed, within what the client then has for its boundary."""
        repo = self.repo
        said = [t.lstrip("\1").split() for t in self.our.items]
        opened = {w[1] for w in said if w[0:1] == ["unshallow"]}
        new = shallow - opened | {w[1] for w in said if w[0:1] == ["shallow"]}
        tips = self.named("want ") + [repo.value(n) for n in self.named("want-ref ")]
        tips += [p for o in opened for p in repo.links(o)[0]]
        left = repo.closure(filter(None, tips), new) - set(our.ids) - had
        left -= self.by_uri()
        if left:
            kinds = collections.Counter(repo.kind(o) for o in left)
            self.differs("incomplete", "%s: %s" % (dict(kinds), sorted(left)[:5]))

    def by_uri(self):
        return {v.split()[0] for k, v in self.repo.config if k.endswith("PackfileUri")} \
            if self.named("packfile-uris ") else set()


def well_formed(version, lines):
    """Whether it is a request to its end, whatever it says."""
    if version < 2:
        return "0000" in lines and lines[0].startswith("want ")
    requests = "\n".join(lines) + "\n"
    return re.fullmatch(r"(command=[^\n]*\n([^\n]{5,}\n)*0001\n([^\n]{5,}\n)*0000\n)+", requests) is not None


def shrunk(case):
    """The same difference with fewer lines."""
    whole = well_formed(case.version, case.lines)
    kind, lines, tries = case.found[0][0], case.lines, 0
    step = max(1, len(lines) // 2)
    while step:
        at = 0
        while at < len(lines) and tries < 200:
            fewer = lines[:at] + lines[at + step:]
            tries += 1
            good = fewer and (not whole or well_formed(case.version, fewer))
            again = Case(case.served, case.version, fewer, collections.Counter()) if good else None
            if again and kind in [k for k, _ in again.found]:
                lines, case = fewer, again
            else:
                at += step
        step //= 2
    for i, line in enumerate(lines):
        for word in line.split()[2:] if line.startswith("want ") else []:
            fewer = lines[:i] + [" ".join(w for w in lines[i].split() if w != word)] + lines[i + 1:]
            again = Case(case.served, case.version, fewer, collections.Counter())
            if kind in [k for k, _ in again.found]:
                lines, case = fewer, again
    return case


def described(repo, oid):
    """An object in a line: which refs have it, what it points to."""
    if oid not in repo.objects:
        return oid + " is not there"
    kind, body = repo.objects[oid]
    out = [oid, kind] + [n for n, o in repo.refs.items() if o == oid]
    if kind == "commit":
        out += ["at " + re.search(rb"committer .* (\d+) ", body)[1].decode()]
        out += ["parent " + p[:12] for p in repo.links(oid)[0]]
    elif kind == "tag":
        out += ["of " + repo.links(oid)[1][0][:12]]
    if oid in repo.shallow:
        out.append("shallow here")
    if oid not in repo.visible():
        out.append("not visible")
    return " ".join(out)


def report(case, seed):
    short = shrunk(case)
    print("DIFFERS, repository %d, version %d: %s" % (seed, case.version, case.found[0][0]))
    for _, text in short.found:
        print("  " + text.replace("\n", "\n  "))
    print("  request: " + " | ".join(short.lines))
    for oid in dict.fromkeys(re.findall("[0-9a-f]{40,}", " ".join(short.lines + [t for _, t in short.found]))):
        print("    " + described(case.repo, oid))
    print("  config: " + " ".join("%s=%s" % item for item in case.repo.config if "Uri" not in item[0]))
    print("  git's stderr: %r\n  our stderr:   %r" % (last_line(short.git.stderr), short.our.stderr[-200:]), flush=True)


def main():
    used, kinds, requests, reported = collections.Counter(), collections.Counter(), 0, 0
    for seed in range(SEED * 1000, SEED * 1000 + ROUNDS):
        rng = random.Random(seed)
        repo = random_repo(rng, rng.choice(["sha1", "sha1", "sha256"]))
        top = tempfile.mkdtemp(prefix="packhorse-oracle-")
        try:
            served = Served(repo, top)
            made = Requests(rng, repo, served.offered())
            for version, lines in [(0, ["0000"]), (1, ["0000"]), (2, ["0000"])] + [
                    made.next() for _ in range(PER_REPO)]:
                requests += 1
                case = Case(served, version, lines, used)
                if case.found:
                    kinds[case.found[0][0]] += 1
                    if kinds[case.found[0][0]] == 1 and reported < MORE and re.search(ONLY, case.found[0][0]):
                        reported += 1
                        report(case, seed)
        finally:
            shutil.rmtree(top)
    for name, count in sorted(used.items()):
        print("%d times: %s (%s)" % (count, name, DIFFERENCES[name]))
    print("%d requests to %d repositories, seed %d: %d differ" % (requests, ROUNDS, SEED, sum(kinds.values())))
    for kind, count in kinds.most_common():
        print("  %4d %s" % (count, kind))
    return 1 if kinds else 0


sys.exit(main())
