# SPDX-License-Identifier: MIT
"""Random repositories: merges, octopus merges, several roots, renames, trees that occur twice, submodules, tags
of everything, symrefs, objects that no ref reaches. The same for the same random numbers."""
from model import Repo

ZERO_TIME = 1600000000
PATTERNS = b"/*\n!/dir1/\n/dir1/sub/\nfile2*\n"


def tree(repo, files):
    """The tree of {path: (mode, id)}."""
    here, below = [], {}
    for path, value in files.items():
        name, _, rest = path.partition("/")
        if rest:
            below.setdefault(name, {})[rest] = value
        else:
            here.append((name, *value))
    here += [(name, "40000", tree(repo, inside)) for name, inside in below.items()]
    here.sort(key=lambda e: e[0] + ("/" if e[1] == "40000" else ""))
    return repo.add("tree", b"".join(b"%s %s\0" % (mode.encode(), name.encode()) + bytes.fromhex(oid)
                                     for name, mode, oid in here))


class Maker:
    def __init__(self, rng, fmt):
        self.rng, self.repo = rng, Repo(fmt)
        self.time, self.skew = ZERO_TIME, rng.random() < 0.15
        self.commits, self.files = [], {}

    def blob(self, old=None):
        rng = self.rng
        if old:
            lines = self.repo.objects[old][1].split(b"\n")
            lines[rng.randrange(len(lines))] = b"changed %d" % rng.randrange(1 << 30)
        else:
            lines = [b"%016x" % rng.getrandbits(64) for _ in range(rng.choice([0, 1, 5, 40, 150]))]
        return self.repo.add("blob", b"\n".join(lines))

    def edit(self, files):
        rng, files = self.rng, dict(files)
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            path = rng.choice(["", "dir0/", "dir1/", "dir1/sub/", "dir2/x/y/"]) + "file%d" % rng.randrange(6)
            plain = [p for p, (mode, _) in files.items() if mode.startswith("100") and p != "patterns"]
            what = rng.random()
            if what < 0.5 and plain:
                old = rng.choice(plain)
                files[old] = (files[old][0], self.blob(files[old][1]))
            elif what < 0.6 and plain:
                files[path] = files.pop(rng.choice(plain))  # renamed
            elif what < 0.65 and plain:
                for p in [p for p in files if p.startswith("dir1/")]:
                    files["copy/" + p[5:]] = files[p]  # a tree that occurs twice
            elif what < 0.7 and plain:
                del files[rng.choice(plain)]
            elif what < 0.75:
                files["link"] = ("120000", self.repo.add("blob", path.encode()))
            elif what < 0.8:
                files["module"] = ("160000", "%0*x" % (len(self.repo.add("blob", b"")), rng.getrandbits(100)))
            else:
                files[path] = (rng.choice(["100644", "100755"]), self.blob())
        return files

    def commit(self, parents):
        rng = self.rng
        files = self.edit(self.files[parents[0]] if parents else {"patterns": (
            "100644", self.repo.add("blob", PATTERNS))})
        if parents and rng.random() < 0.1:
            files = self.files[rng.choice(self.commits)]  # as it was once
        self.time += rng.choice([0, 1, 60, 3600])
        when = self.time - (rng.randrange(100000) if self.skew and rng.random() < 0.2 else 0)
        text = "tree %s\n" % tree(self.repo, files) + "".join("parent %s\n" % p for p in parents)
        text += "author A <a@e.org> %d +0000\ncommitter C <c@e.org> %d +0100\n\ncommit %d\n" % (
            when - 5, when, len(self.commits))
        oid = self.repo.add("commit", text.encode())
        self.files[oid] = files
        if oid not in self.commits:
            self.commits.append(oid)
        return oid

    def tag(self, target, name):
        return self.repo.add("tag", ("object %s\ntype %s\ntag %s\ntagger T <t@e.org> %d +0000\n\n%s\n" % (
            target, self.repo.kind(target), name, self.time, name)).encode())

    def history(self):
        rng, heads = self.rng, []
        for _ in range(rng.choice([3, 12, 25, 50])):
            what = rng.random()
            if not heads or what < 0.04:
                heads.append(self.commit([]))
            elif what < 0.2 and len(heads) > 1:
                merged = rng.sample(heads, min(len(heads), rng.choice([2, 2, 2, 3, 4])))
                keep = rng.random() < 0.3
                heads = [h for h in heads if keep or h not in merged] + [self.commit(merged)]
            elif what < 0.35:
                heads.append(self.commit([rng.choice(self.commits)]))
            else:
                at = rng.randrange(len(heads))
                heads[at] = self.commit([heads[at]])
        return heads

    def name_refs(self, heads):
        rng, repo = self.rng, self.repo
        repo.refs["refs/heads/main"] = heads[0]
        for i, head in enumerate(heads[1:]):
            repo.refs["refs/heads/topic%d" % i if i % 3 else "refs/heads/feature/f%d" % i] = head
        for i in range(rng.randrange(4)):
            repo.refs["refs/pull/%d/head" % i] = rng.choice(self.commits)
        some_tree, some_blob = [rng.choice([o for o, (k, _) in repo.objects.items() if k == kind])
                                for kind in ("tree", "blob")]
        for i in range(rng.randrange(7)):
            name, target = "v%d" % i, rng.choice(self.commits)
            if i == 2:
                target = some_blob
            elif i == 3:
                target = some_tree
            elif i > 3 and rng.random() < 0.7:
                target = repo.refs["refs/tags/v%d" % rng.randrange(i)]
            if rng.random() < 0.75:
                target = self.tag(target, name)
            repo.refs["refs/tags/" + name] = target
        if rng.random() < 0.3:
            repo.refs["refs/other/tag"] = self.tag(rng.choice(self.commits), "other")
        head = rng.random()
        if head < 0.8:
            repo.symrefs["HEAD"] = "refs/heads/main"
        elif head < 0.9:
            repo.symrefs["HEAD"] = "refs/heads/unborn"
        else:
            repo.refs["HEAD"] = rng.choice(self.commits)
        if rng.random() < 0.3:
            repo.symrefs["refs/heads/alias"] = "refs/heads/main"

    def configure(self):
        """Settings that change answers; git's default, or everything on, or something in between."""
        rng, repo = self.rng, self.repo
        repo.config.append(("uploadpack.allowFilter", "true"))
        if rng.random() < 0.3:
            repo.config.append((rng.choice(["transfer.hideRefs", "uploadpack.hideRefs"]),
                                rng.choice(["refs/pull", "refs/tags/v1", "refs/heads/feature/"])))
            if rng.random() < 0.3:
                repo.config.append(("transfer.hideRefs", "!refs/pull/0"))
        for key, chance in (("allowTipSHA1InWant", 0.2), ("allowReachableSHA1InWant", 0.2),
                            ("allowAnySHA1InWant", 0.15), ("allowRefInWant", 0.5), ("allowSidebandAll", 0.5)):
            if rng.random() < chance:
                repo.config.append(("uploadpack." + key, "true"))
        if rng.random() < 0.5:
            repo.config.append(("transfer.advertiseObjectInfo", "true"))
        if rng.random() < 0.15:
            repo.config.append(("uploadpackfilter.tree.maxDepth", "1"))
        if rng.random() < 0.15:
            repo.config.append(("uploadpackfilter.%s.allow" % rng.choice(["tree", "blob:limit", "combine"]), "false"))
        if rng.random() < 0.2:
            repo.config.append(("lsrefs.unborn", rng.choice(["advertise", "allow", "ignore"])))
        if rng.random() < 0.3:
            blobs = [o for o, (kind, _) in repo.objects.items() if kind == "blob"]
            for oid in rng.sample(blobs, min(2, len(blobs))):
                repo.config.append(("uploadpack.blobPackfileUri", "%s %s https://e.org/%s.pack" % (
                    oid, oid[::-1], oid[:8])))

    def cut_off(self):
        """Makes it a repository that is shallow itself."""
        repo = self.repo
        some = self.rng.sample(self.commits, min(3, len(self.commits)))
        repo.shallow = {c for c in some if repo.links(c)[0]}
        kept = repo.closure(repo.refs.values())
        repo.objects = {o: v for o, v in repo.objects.items() if o in kept}
        repo.shallow &= kept
        self.commits = [c for c in self.commits if c in kept]


def random_repo(rng, fmt):
    maker = Maker(rng, fmt)
    heads = maker.history()
    if rng.random() < 0.7:  # a branch that was deleted
        maker.commit([maker.commit([rng.choice(maker.commits)])])
    maker.name_refs(heads)
    if rng.random() < 0.15:
        maker.cut_off()
    maker.configure()
    return maker.repo
