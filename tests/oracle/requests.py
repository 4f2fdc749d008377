# SPDX-License-Identifier: MIT
"""Random requests to git-upload-pack: lists of lines, "0000" and "0001" for the special packets. A capability
that the server does not advertise is hardly ever asked for, as clients do not either."""
FLUSH, DELIM = "0000", "0001"
INFINITE = "2147483647"


class Requests:
    """offered: what stock git advertises for this repository, by version."""

    def __init__(self, rng, repo, offered):
        self.rng, self.repo, self.offered = rng, repo, offered
        self.commits = repo.commits()
        self.tips = sorted(set(repo.refs.values()))
        self.unknown = ["%0*x" % (len(self.tips[0]), 0x1234567 + i) for i in range(3)]

    def some(self, items, most):
        return [self.rng.choice(items) for _ in range(self.rng.randrange(most + 1))] if items else []

    def maybe(self, chance, *lines):
        return list(lines) if self.rng.random() < chance else []

    # ---- parts ----

    def wants(self):
        rng = self.rng
        wants = [rng.choice(self.tips) for _ in range(rng.choice([1, 1, 1, 2, 3, 6]))]
        if rng.random() < 0.2:
            wants = list(self.tips)
        if rng.random() < 0.15:
            wants.append(rng.choice(self.commits))
        if rng.random() < 0.08:
            wants.append(rng.choice(list(self.repo.objects)))
        if rng.random() < 0.03:
            wants.append(self.unknown[0])
        rng.shuffle(wants)
        return wants

    def haves(self):
        """As a client with some commits would send them: newest first, with a few that we do not know."""
        rng = self.rng
        old = [rng.choice(self.commits) for _ in range(rng.choice([1, 1, 2, 4]))]
        reached = self.repo.closure(old)
        haves = [c for c in reversed(self.commits) if c in reached][:rng.choice([1, 2, 8, 40])]
        if rng.random() < 0.4:
            for u in self.unknown:
                haves.insert(rng.randrange(len(haves) + 1), u)
        if rng.random() < 0.15:
            haves = self.unknown[:rng.randrange(1, 4)]
        if rng.random() < 0.1:
            haves += [rng.choice(list(self.repo.objects)), haves[0]]
        return haves

    def batches(self, haves):
        out = []
        while haves:
            n = self.rng.choice([1, 2, 4, 16])
            out.append(haves[:n])
            haves = haves[n:]
        return out

    def filter(self):
        rng = self.rng
        simple = ["blob:none", "blob:limit=%s" % rng.choice(["0", "1", "100", "1k", "1m"]),
                  "tree:%d" % rng.randrange(4), "sparse:oid=" + self.patterns(),
                  "object:type=" + rng.choice(["commit", "tree", "blob", "tag"])]
        what = rng.random()
        if what < 0.7:
            return rng.choice(simple[:4] if rng.random() < 0.8 else simple)
        if what < 0.93:
            return "combine:" + "+".join(rng.sample(simple, 2)).replace("main:p", "main%3ap")
        return rng.choice(["blob:some", "tree:x", "combine:", "sparse:path=x", "sparse:oid=" + self.unknown[0], ""])

    def patterns(self):
        repo = self.repo
        tree = repo.links(repo.refs["refs/heads/main"])[1][0]
        oid = [o for _, name, o in repo.entries(tree) if name == b"patterns"][0]
        return self.rng.choice([oid, "main:patterns", "refs/heads/main:patterns"])

    def depth(self):
        """Lines that deepen, and those that say what is shallow already."""
        rng, out = self.rng, []
        what = rng.random()
        if what < 0.25:
            out += ["shallow " + c for c in self.some(self.commits, 3)]
        elif what < 0.3:
            out.append("shallow " + self.unknown[1])
        what = rng.random()
        if what < 0.35:
            out.append("deepen " + rng.choice(["1", "1", "2", "3", "5", "1000", INFINITE]))
        elif what < 0.6:
            if what < 0.5:
                out.append("deepen-since %d" % self.some_time())
            if what > 0.45:
                out += ["deepen-not " + rng.choice(self.ref_names()) for _ in range(rng.choice([1, 1, 2]))]
        elif what < 0.62:
            out.append(rng.choice(["deepen 0", "deepen x", "deepen -1", "deepen-since x", "deepen-not nowhere",
                                   "shallow x"]))
        elif what < 0.64:
            out += ["deepen 2", "deepen-since %d" % self.some_time()]
        return out

    def some_time(self):
        text = self.repo.objects[self.rng.choice(self.commits)][1].decode()
        return int(text.split("committer ")[1].split("\n")[0].split()[-2]) + self.rng.choice([-1, 0, 1])

    def ref_names(self):
        names = [n for n in self.repo.refs if self.repo.kind(self.repo.peel(self.repo.refs[n])) == "commit"]
        return names + [n.split("/", 2)[2] for n in names if n.startswith(("refs/heads/", "refs/tags/"))]

    # ---- version 0 and 1 ----

    def v0(self):
        rng, offered = self.rng, self.offered[0]
        if rng.random() < 0.04:
            return ["0000"]
        caps = rng.choice([[], ["multi_ack"], ["multi_ack_detailed"], ["multi_ack_detailed"],
                           ["multi_ack", "multi_ack_detailed"]])
        caps = caps + rng.choice([[], ["side-band"], ["side-band-64k"], ["side-band-64k"],
                                  ["side-band", "side-band-64k"]])
        for cap, chance in (("thin-pack", 0.5), ("ofs-delta", 0.6), ("no-progress", 0.8), ("include-tag", 0.4),
                            ("agent=test/1", 0.5), ("deepen-relative", 0.2), ("no-done", 0.05)):
            if cap.split("=")[0] in offered and rng.random() < chance:
                caps.append(cap)
        if self.repo.fmt != "sha1" or rng.random() < 0.3:
            caps.append("object-format=" + (self.repo.fmt if rng.random() < 0.97 else "sha1"))
        block = []
        if rng.random() < 0.5:
            block = self.depth()
        filters = self.maybe(0.3, "filter")
        block += ["filter " + self.filter() for _ in filters] + self.maybe(0.01, "filter blob:none")
        caps += filters if rng.random() < 0.97 else []
        wants = self.wants()
        lines = ["want " + " ".join([wants[0], *caps])] + ["want " + w for w in wants[1:]] + block
        if rng.random() < 0.1:
            lines[1:] = rng.sample(lines[1:], len(lines) - 1)
        lines.append(FLUSH)
        if rng.random() < 0.65:
            for batch in self.batches(self.haves()):
                lines += ["have " + h for h in batch] + [FLUSH]
            if rng.random() < 0.3:
                lines.pop()
        return lines + self.maybe(0.95, "done")

    # ---- version 2 ----

    def head(self, command):
        rng, lines = self.rng, ["command=" + command]
        lines += self.maybe(0.5, "agent=test/1")
        if self.repo.fmt != "sha1" or rng.random() < 0.5:
            lines.append("object-format=" + self.repo.fmt)
        if "server-option" in self.offered[2]:
            lines += self.maybe(0.1, "server-option=one", "server-option=two=2")
        return lines + [DELIM]

    def ls_refs(self):
        rng, names = self.rng, [*self.repo.refs, *self.repo.symrefs]
        args = self.maybe(0.6, "peel") + self.maybe(0.6, "symrefs") + self.maybe(0.4, "unborn")
        for _ in range(rng.choice([0, 0, 1, 3])):
            name = rng.choice(names + ["refs/none"])
            args.append("ref-prefix " + name[:rng.randrange(len(name) + 1)])
        args += self.maybe(0.02, "unknown-argument")
        return self.head("ls-refs") + args + [FLUSH]

    def object_info(self):
        oids = self.some(list(self.repo.objects) + self.unknown, 5)
        return self.head("object-info") + self.maybe(0.9, "size") + ["oid " + o for o in oids] + [FLUSH]

    def fetch_arguments(self):
        rng, fetch = self.rng, self.offered[2].get("fetch", "").split()
        args = []
        for arg, chance in (("thin-pack", 0.5), ("ofs-delta", 0.6), ("no-progress", 0.8), ("include-tag", 0.4)):
            args += self.maybe(chance, arg)
        if "sideband-all" in fetch:
            args += self.maybe(0.3, "sideband-all")
        if "packfile-uris" in fetch:
            args += self.maybe(0.3, "packfile-uris " + rng.choice(["https", "http,https", "ftp"]))
        wants = ["want " + w for w in self.wants()] if rng.random() < 0.95 else []
        if "ref-in-want" in fetch and rng.random() < 0.4:
            wants = wants[:rng.randrange(2)] + ["want-ref " + n for n in set(self.some(
                [*self.repo.refs, *self.repo.symrefs, "refs/heads/none"][:rng.choice([3, 100])], 3))]
        args += wants
        if rng.random() < 0.5:
            args += self.depth() + self.maybe(0.2, "deepen-relative")
        if rng.random() < 0.3:
            args.append("filter " + self.filter())
        if rng.random() < 0.08:
            rng.shuffle(args)
        return args + self.maybe(0.01, "unknown-argument")

    def fetch(self):
        rng, base = self.rng, self.fetch_arguments()
        wait = self.maybe(0.12, "wait-for-done") if "wait-for-done" in self.offered[2].get("fetch", "") else []
        lines, sent = [], []
        if rng.random() < 0.6:
            batches = self.batches(self.haves())[:rng.choice([1, 1, 2, 3])]
            for i, batch in enumerate(batches):
                sent += ["have " + h for h in batch]
                if i + 1 < len(batches):
                    lines += self.head("fetch") + base + wait + sent + [FLUSH]
        return lines + self.head("fetch") + base + wait + sent + self.maybe(0.6, "done") + [FLUSH]

    def v2(self):
        what = self.rng.random()
        if what < 0.13:
            return self.ls_refs()
        if what < 0.17 and ("transfer.advertiseObjectInfo", "true") in self.repo.config:
            return self.object_info() + self.maybe(0.2, *self.object_info())
        if what < 0.18:
            return self.maybe(0.5, FLUSH)
        if what < 0.2:
            return [*self.rng.choice([["command=nothing"], ["agent=x"], ["command=fetch", "command=ls-refs"],
                                      ["nothing=1", "command=fetch"], ["command=fetch", "object-format=md5"]]), FLUSH]
        return self.maybe(0.2, *self.ls_refs()) + self.fetch()

    def next(self):
        """(version, lines)"""
        version = self.rng.choice([0, 0, 0, 1, 2, 2, 2, 2])
        return version, self.v2() if version == 2 else self.v0()


def to_bytes(lines):
    return b"".join(l.encode() if l in (FLUSH, DELIM) else b"%04x%s\n" % (len(l.encode()) + 5, l.encode())
                    for l in lines)
