#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""oracle.py ORACLE FORMAT: packs made by git are read by us, and every object is what libgit2 (SHA-1)
and git cat-file (both) say it is; packs made by us are taken by libgit2's indexer and by
git index-pack --strict, whole and in parts, with and without OFS_DELTA."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../interop"))
from harness import World, check, equal

oracle, fmt = sys.argv[1:]
with World("/") as world:
    repo = world.history(world.path("source"), commits=80, fmt=fmt)
    world.git("repack", "-adfq", "--depth=50", "--window=50", cwd=repo)
    ids = world.git("rev-list", "--all", "--objects", cwd=repo).text
    for flags in ([], ["--delta-base-offset"], ["--no-reuse-delta", "--depth=0"]):
        packed = world.git("pack-objects", "--stdout", "--all", "--revs", "-q", *flags, cwd=repo, data=b"").out
        path = world.write("in.pack", packed)
        # Every object of the pack, as we read it, one line each: id, type, size, hash of its bytes.
        out = world.run([oracle, "list", fmt, path]).text.splitlines()
        want = world.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype) %(objectsize)",
                         cwd=repo).text.splitlines()
        equal(sorted(out), sorted(want), "objects of the pack")
        check(len(out) == len(set(x.split()[0] for x in ids.splitlines())), "all of them")
        for name in out:
            oid, kind, size = name.split()
        content = world.run([oracle, "cat", fmt, path]).out
        batch = world.git("cat-file", "--batch", "--buffer", cwd=repo,
                          data="".join(x.split()[0] + "\n" for x in out).encode()).out
        equal(content, batch, "bytes of all objects")
        if fmt == "sha1":
            world.run([oracle, "compare", fmt, path, os.path.join(repo, ".git")])
        for tips in (["main"], ["side"], ["v2"], ["main", "^main~5"], ["main~3", "^side"]):
            wants = [world.rev(repo, t.lstrip("^")) for t in tips]
            args = ["-" + w if t[0] == "^" else w for t, w in zip(tips, wants)]
            for mode in ("ofs", "ref"):
                made = world.run([oracle, "make", fmt, path, mode, *args]).out
                expect = world.git("rev-list", "--objects", *tips, cwd=repo).text.splitlines()
                bare = world.path("bare-%d" % len(os.listdir(world.top)))
                world.git("init", "-q", "--bare", "--object-format=" + fmt, bare)
                world.git("index-pack", "--stdin", "--strict" if "^" not in "".join(tips) else "--fsck-objects",
                          cwd=bare, data=made)
                got = world.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", cwd=bare).text
                want = set(x.split()[0] for x in expect)
                if tips == ["v2"]:
                    want |= {world.rev(repo, "v2")}
                equal(set(got.split()), want, "objects of a pack of ours for %r" % tips)
                if fmt == "sha1":
                    world.run([oracle, "index", fmt, world.write("made.pack", made)])
