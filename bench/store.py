#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""store.py --bench BINARY [--rows group,day,churn,open] [--scale F]: figures of the store on disk, each
with its goal. Everything runs in one process of store_bench, with whole receive-pack and maintenance sessions over a
simulated device that counts what is written to it.

  group   commits per second on a device whose flush takes 5 ms: one writer, and 32, each with a repository of its
          own, in threads as in the daemon, and in one thread as in the unikernel. Pushes are small: one commit.
  day     a generated day: 6 repositories (two large, with 2,000 files; four small) are pushed whole in the
          morning, and then changed by 400 pushes between 8 and 20 o'clock, in bursts: mostly one to three commits
          of one to five files, every tenth push a branch of 5 to 40 commits, every fortieth a new file of 200 to
          1,000 KB that does not compress; every fourth push is of a topic branch, which goes when it is merged, and
          every twentieth is of one that was made anew on the newest main. Maintenance runs as in the daemon, by its
          queue, on the day's clock. Packs are git's own, thin, as git push sends them. "written" is all
          that reaches the device, superblocks and map too, and is compared with the packs as they were sent.
          Of its pushes, too: flushes, and blocks written beyond the pack's own bytes, as it is
          stored: the bases that complete a thin pack are part of it, and so is its index.
  churn   a repository of about 20 MB; 50 rounds push a branch of 1 MB that does not compress and delete it after
          the next one came. Used space at its end, beside that of a store into which the same refs were pushed
          once. Rounds are 10 minutes apart.
  open    a store with 10,000 repositories and 100 GB used, built through the store's own interface in a sparse
          file: the packs are runs of zeros, and every eleventh repository that was made was deleted again, so that
          the map of free blocks is not all of one piece. Opened by a process of its own that then reads a ref.
"""
import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile

ZEROS = "0" * 40
HOUR = 3600 * 1000


class Repo:
    """A repository made by git fast-import; knows its branches and what of them was pushed."""

    def __init__(self, folder, name, files, size, rng):
        self.path, self.name, self.rng, self.serial = os.path.join(folder, name + ".git"), name, rng, 0
        self.tips, self.pushed, self.files = {}, {}, {}
        git("init", "-q", "--bare", self.path)
        for i in range(files):
            self.files["d%d/f%d.txt" % (i % 37, i)] = self.text(rng.randint(size // 3, 2 * size))
        self.commit("refs/heads/main", dict(self.files))

    def text(self, size):
        words = ["the", "store", "pack", "commit", "branch", "flush", "block", "return", "static", "int", "if",
                 "while", "struct", "(", ")", "{", "}", ";", "=", "0", "1"]
        out, length = [], 0
        while length < size:
            line = " ".join(self.rng.choice(words) for _ in range(8)) + " %d\n" % self.rng.randrange(10 ** 6)
            out.append(line)
            length += len(line)
        return "".join(out).encode()

    def change(self, count):
        """So many files, each with one line changed or added."""
        changed = {}
        for name in self.rng.sample(sorted(self.files), min(count, len(self.files))):
            lines = self.files[name].splitlines(keepends=True)
            lines[self.rng.randrange(len(lines))] = self.text(40)
            changed[name] = self.files[name] = b"".join(lines)
        return changed

    def commit(self, ref, files, parent=None, merge=None):
        self.serial += 1
        stream = [b"commit %s\nmark :1\ncommitter A <a@example.com> %d +0000\ndata 9\na change\n\n" %
                  (ref.encode(), 1700000000 + self.serial)]
        parent = parent or self.tips.get(ref)
        if parent:
            stream.append(b"from %s\n" % parent.encode())
        if merge:
            stream.append(b"merge %s\n" % merge.encode())
        for name, data in files.items():
            stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data))
        stream.append(b"get-mark :1\n")
        self.tips[ref] = git("-C", self.path, "fast-import", "--quiet", "--force", "--done",
                             input=b"".join(stream) + b"done\n").decode().strip()
        return self.tips[ref]

    def push(self, ref, folder):
        """The line of the script for this push, without its time."""
        new, old = self.tips.get(ref, ZEROS), self.pushed.get(ref, ZEROS)
        path = "-"
        if new != ZEROS:
            revs = new + "\n" + "".join("^%s\n" % tip for tip in set(self.pushed.values()))
            data = git("-C", self.path, "pack-objects", "-q", "--revs", "--thin", "--stdout", "--delta-base-offset",
                       input=revs.encode())
            path = os.path.join(folder, hashlib.sha1(data).hexdigest())
            with open(path, "wb") as f:
                f.write(data)
            self.pushed[ref] = new
        else:
            self.pushed.pop(ref)
        return "%s %s %s %s %s\n" % (self.name, ref, old, new, path)

    def delete(self, ref, folder):
        self.tips.pop(ref)
        return self.push(ref, folder)


def git(*args, input=None):
    r = subprocess.run(["git", *args], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if r.returncode != 0:
        sys.exit("git %s: %s" % (args, r.stderr.decode()))
    return r.stdout


def figures(binary, *args):
    r = subprocess.run([binary, *map(str, args)], stdout=subprocess.PIPE)
    if r.returncode != 0:
        sys.exit("store_bench %s failed" % " ".join(map(str, args)))
    return {name: float(value) for name, value in (line.split() for line in r.stdout.decode().splitlines())}


def play(binary, folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        for at, line in lines:
            f.write("push %d %s" % (at, line))
    return figures(binary, "play", path)


def row(name, measured, goal=""):
    print("%-62s | %-28s | %s" % (name, measured, goal), flush=True)


def megabytes(value):
    return "%.1f MB" % (value / 1e6)


# ---- rows ----

def group(args, folder):
    for mode, words in (("threads", "threads"), ("loop", "one thread, as in the unikernel")):
        one = figures(args.bench, "group", mode, 1, int(100 * args.scale) or 1, 5000)
        many = figures(args.bench, "group", mode, 32, int(40 * args.scale) or 1, 5000)
        row("commits per second, 1 writer (%s)" % words, "%.0f" % one["commits_per_s"])
        row("commits per second, 32 writers (%s)" % words, "%.0f" % many["commits_per_s"])
        row("  32 writers against one", "%.1f times" % (many["commits_per_s"] / one["commits_per_s"]), ">= 10")
        row("  flushes per commit, 1 and 32 writers",
            "%.2f, %.3f" % (one["flushes_per_commit"], many["flushes_per_commit"]), "<= 2")


def burst(rng, repo, folder, at, number):
    """One push of the day, and now and then the end of a topic branch."""
    ref = "refs/heads/topic%d" % number if number % 4 == 3 else "refs/heads/main"
    topics = sorted(name for name in repo.tips if name.startswith("refs/heads/topic"))
    if number % 20 == 13 and topics:
        ref = topics[-1]
    if ref != "refs/heads/main":
        repo.tips[ref] = repo.tips["refs/heads/main"]
    commits = rng.randint(5, 40) if number % 10 == 9 else rng.randint(1, 3)
    for _ in range(commits):
        repo.commit(ref, repo.change(rng.randint(1, 5)))
    if number % 40 == 39:
        name = "big%d.bin" % number
        repo.files[name] = b""
        repo.commit(ref, {name: rng.randbytes(rng.randint(200000, 1000000))})
        repo.files.pop(name)
    lines = [(at, repo.push(ref, folder))]
    topics = sorted(name for name in repo.tips if name.startswith("refs/heads/topic"))
    if topics and number % 5 == 4:
        merged = topics[0]
        repo.commit("refs/heads/main", repo.change(1), merge=repo.tips[merged])
        lines.append((at + 3000, repo.push("refs/heads/main", folder)))
        lines.append((at + 5000, repo.delete(merged, folder)))
    return lines


def make_day(args, folder):
    rng = random.Random(6)
    sizes = [(2000, 4000), (2000, 2500), (200, 3000), (100, 2000), (40, 2000), (10, 1000)]
    repos = [Repo(folder, "r%d" % i, max(10, int(files * min(args.scale, 1))), size, rng)
             for i, (files, size) in enumerate(sizes)]
    lines = [(7 * HOUR + 60000 * i, repo.push("refs/heads/main", folder)) for i, repo in enumerate(repos)]
    at = 8 * HOUR
    pushes = int(400 * args.scale) or 10
    for number in range(pushes):
        # Bursts: a third of the pushes come seconds after the one before.
        at += rng.randint(2000, 10000) if number % 3 == 2 else int(12 * HOUR / pushes * 1.5 * rng.random() * 1.5)
        lines += burst(rng, rng.choice(repos[:2] * 3 + repos[2:]), folder, at, number)
        at = lines[-1][0]
    return lines


def day(args, folder):
    f = play(args.bench, folder, "day", make_day(args, folder))
    row("a day: pushes, bytes of their packs", "%d, %s" % (f["pushes"], megabytes(f["pack_bytes"])))
    row("flushes per acknowledged push, one client; most",
        "%.2f; %d" % (f["flushes_per_push"], f["flushes_most"]), "<= 2")
    row("  the same as stored, thin packs with their bases", megabytes(f["stored_bytes"]))
    row("blocks written beyond the stored pack and its index; most",
        "%.1f; %d" % (f["extra_blocks_per_push"], f["extra_blocks_most"]), "<= 6")
    row("written by maintenance (%d sessions)" % f["maintenance_sessions"], megabytes(f["maintenance_bytes"]))
    row("  against the packs that were pushed", "%.2f times" % (f["maintenance_bytes"] / f["pack_bytes"]), "<= 2")
    row("  its processor time", "%.2f s" % f["maintenance_cpu_s"])


def churn(args, folder):
    rng = random.Random(7)
    repo = Repo(folder, "churn", 100, 2000, rng)
    main = "refs/heads/main"
    repo.commit(main, {"big%d" % i: rng.randbytes(1000000) for i in range(20)})
    lines, at = [(0, repo.push(main, folder))], 600000
    for i in range(50):
        ref = "refs/heads/b%d" % i
        repo.commit(ref, {"blob%d" % i: rng.randbytes(1000000)}, parent=repo.tips[main])
        lines.append((at, repo.push(ref, folder)))
        if i > 0:
            lines.append((at + 5000, repo.delete("refs/heads/b%d" % (i - 1), folder)))
        at += 600000
    lines.append((at, repo.delete("refs/heads/b49", folder)))
    after = play(args.bench, folder, "churn", lines)
    live = play(args.bench, folder, "live", lines[:1])
    row("churn: live data (the same refs, pushed once)", megabytes(live["used_bytes"]))
    row("  used after 50 rounds of push and delete",
        "%.2f times" % (after["used_bytes"] / live["used_bytes"]), "< 2")
    row("  most that was ever used", "%.2f times" % (after["used_most"] / live["used_bytes"]))
    row("  length of the file", "%.2f times" % (after["file_bytes"] / live["used_bytes"]))
    row("  written by maintenance against the packs pushed",
        "%.2f times" % (after["maintenance_bytes"] / after["pack_bytes"]))


def open_large(args, folder):
    repos = max(10, int(10000 * args.scale))
    path = os.path.join(folder, "large.img")
    made = figures(args.bench, "large-make", path, repos, 10000000)
    f = figures(args.bench, "large-open", path)
    row("a store of %d repositories, used" % f["repos"], "%.1f GB" % (f["used_bytes"] / 1e9))
    row("  the file takes, and was built in", "%s, %.0f s" % (megabytes(os.stat(path).st_blocks * 512), made["wall_s"]))
    row("  opening it: wall", "%.1f ms" % (f["wall_s"] * 1e3), "< 100 ms")
    row("  opening it: processor", "%.1f ms" % (f["cpu_s"] * 1e3))
    row("  opening it and reading a ref: memory, most", megabytes(f["peak_bytes"]), "< 64 MB")


ROWS = {"group": group, "day": day, "churn": churn, "open": open_large}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--keep", help="a folder for what is generated, which stays")
    args = parser.parse_args()
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    folder = args.keep or tempfile.mkdtemp(prefix="packhorse-store-")
    row("what", "measured", "goal")
    try:
        for name in args.rows.split(","):
            ROWS[name](args, folder)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
