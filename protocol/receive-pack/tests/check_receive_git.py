#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends the same bytes to stock git receive-pack and to ours, and compares what comes back.

usage: check_receive_git.py SESSION_PUMP

Both start from the same repository. The advertisement must agree in its refs; behind it, everything
must agree byte for byte, but for the words of some refusals, which changed in git 2.50.
"""
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

ZERO = "0" * 40
ENV = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C",
           GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org",
           GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org",
           GIT_AUTHOR_DATE="1700000000 +0000", GIT_COMMITTER_DATE="1700000000 +0000")
ENV.pop("GIT_PROTOCOL", None)
# What git says of a ref that cannot be changed: one text before 2.50, several since.
REJECTED = {b"failed to update ref", b"incorrect old value provided", b"reference already exists",
            b"refname conflict", b"invalid new value provided", b"reference does not exist",
            b"multiple updates for one ref", b"failed to update refs"}


def git(*args, cwd=None, data=None):
    return subprocess.run(["git", *args], cwd=cwd, input=data, env=ENV, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def text(*args, cwd=None):
    return git(*args, cwd=cwd).decode().strip()


def pkt(line):
    data = line.encode() if isinstance(line, str) else line
    return b"%04x" % (len(data) + 4) + data


def pack(objects=()):
    """A pack of whole objects: (type number, content)."""
    data = b"PACK" + struct.pack(">II", 2, len(objects))
    for kind, content in objects:
        size = len(content)
        byte = kind << 4 | size & 15
        size >>= 4
        while size:
            data += bytes([byte | 128])
            byte, size = size & 127, size >> 7
        data += bytes([byte]) + zlib.compress(content)
    return data + hashlib.sha1(data).digest()


def packets(data):
    at = 0
    while at < len(data):
        size = int(data[at:at + 4], 16)
        end = at + max(size, 4)
        yield data[at:end]
        at = end


def split_advert(data):
    lines = list(packets(data))
    at = lines.index(b"0000") + 1
    return lines[:at], b"".join(lines[at:])


def settle(report):
    """The words that differ between versions of git, made one."""
    out = b""
    for packet in packets(report):
        line = packet[4:].rstrip(b"\n")
        if line.startswith(b"ng ") and line.split(b" ", 2)[2] in REJECTED:
            packet = b"ng " + line.split(b" ", 2)[1] + b" rejected\n"
        out += packet
    return out


def without_band2(body):
    """Side-band answers: band 1 joined, band 2 dropped (its words are each server's own)."""
    out, ended = b"", False
    for packet in packets(body):
        if packet == b"0000":
            ended = True
        elif packet[4:5] == b"\x01":
            out += packet[5:]
        elif packet[4:5] != b"\x02":
            raise SystemExit("unexpected packet %r" % packet)
    return out, ended


class World:
    def __init__(self, pump, folder):
        self.pump, self.folder = pump, folder
        self.srv = os.path.join(folder, "srv")
        git("init", "-q", "-b", "main", self.srv)
        for i in range(3):
            with open(os.path.join(self.srv, "f"), "w") as f:
                f.write("%d\n" % i)
            git("add", "f", cwd=self.srv)
            git("commit", "-q", "-m", "c%d" % i, cwd=self.srv)
        git("tag", "-a", "-m", "v1", "v1", cwd=self.srv)
        git("branch", "side", "HEAD~1", cwd=self.srv)
        self.head = text("rev-parse", "HEAD", cwd=self.srv)
        self.old = text("rev-parse", "HEAD~1", cwd=self.srv)
        self.tree = text("rev-parse", "HEAD^{tree}", cwd=self.srv)
        self.tag = text("rev-parse", "v1", cwd=self.srv)
        self.seed = os.path.join(folder, "seed")
        refs = text("for-each-ref", "--format=%(objectname) %(refname)", cwd=self.srv)
        lines = ["%s %s" % (ZERO, line) for line in refs.split("\n")]
        objects = git("rev-list", "--objects", "--all", cwd=self.srv)
        names = b"\n".join(line.split(b" ")[0] for line in objects.split(b"\n"))
        with open(self.seed, "wb") as f:
            f.write(b"".join(pkt(line) for line in lines) + b"0000")
            f.write(git("pack-objects", "--stdout", "-q", cwd=self.srv, data=names))

    def stock(self, data):
        bare = os.path.join(self.folder, "bare.git")
        shutil.rmtree(bare, ignore_errors=True)
        git("clone", "-q", "--bare", self.srv, bare)
        done = subprocess.run(["git", "receive-pack", bare], input=data, env=ENV,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout

    def ours(self, data):
        done = subprocess.run([self.pump, "-p", "demo=" + self.seed, "mem",
                               "git-receive-pack 'demo'"], input=data, env=ENV, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout


def cases(w):
    def push(*lines, caps="report-status", rest=None, before=b""):
        first, *others = lines
        data = before + pkt(first + "\0" + caps) + b"".join(pkt(line) for line in others)
        return data + b"0000" + (pack() if rest is None else rest)

    def new(ref, oid=w.head):
        return "%s %s %s" % (ZERO, oid, ref)

    blob = b"new content\n"
    blob_id = hashlib.sha1(b"blob %d\0" % len(blob) + blob).digest()
    tree = b"100644 g\0" + blob_id
    tree_id = hashlib.sha1(b"tree %d\0" % len(tree) + tree).hexdigest()
    commit = ("tree %s\nparent %s\nauthor a <a@b> 1700000001 +0000\n"
              "committer a <a@b> 1700000001 +0000\n\nnew\n" % (tree_id, w.head)).encode()
    commit_id = hashlib.sha1(b"commit %d\0" % len(commit) + commit).hexdigest()
    whole = pack([(3, blob), (2, tree), (1, commit)])
    holey = pack([(2, tree), (1, commit)])
    one, three = "1" * 40, "3" * 40
    side = "report-status side-band-64k"
    yield "no commands", b"0000"
    yield "fast-forward", push("%s %s refs/heads/main" % (w.head, commit_id), rest=whole)
    yield "fast-forward on band 1", push("%s %s refs/heads/main" % (w.head, commit_id),
                                         caps=side, rest=whole)
    yield "force", push("%s %s refs/heads/main" % (w.head, w.old))
    yield "trailing LF", push(new("refs/heads/a"), new("refs/heads/b") + "\n")
    yield "duplicates", push(new("refs/heads/n1"), new("refs/heads/n1"))
    yield "funny", push(new("refs/heads/../x"), new("refs/heads/fine"))
    yield "one level", push(new("refs/foo"))
    yield "HEAD", push(new("HEAD"))
    yield "wrong old value", push("%s %s refs/heads/main" % (one, w.head))
    yield "exists", push(new("refs/heads/main"))
    yield "delete", push("%s %s refs/heads/side" % (w.old, ZERO), rest=b"")
    yield "delete with wrong old value", push("%s %s refs/heads/side" % (w.head, ZERO), rest=b"")
    yield "delete what is not there", push("%s %s refs/heads/none" % (ZERO, ZERO), rest=b"")
    yield "delete what is not there, unknown", push("%s %s refs/heads/none" % (one, ZERO), rest=b"")
    yield "delete what is not there, known", push("%s %s refs/heads/none" % (w.head, ZERO), rest=b"")
    yield "delete the current branch", push("%s %s refs/heads/main" % (w.head, ZERO), rest=b"")
    yield "missing object", push(new("refs/heads/mm", three))
    yield "missing object among others", push(new("refs/heads/a"), new("refs/heads/mm", three),
                                              new("refs/heads/b"))
    yield "missing blob", push(new("refs/heads/mm", commit_id), new("refs/heads/ok"), rest=holey)
    yield "no report", push(new("refs/heads/nr"), caps="")
    yield "side-band without report", push(new("refs/heads/nr2"), caps="side-band-64k")
    yield "side-band", push(new("refs/heads/sb1"), caps=side)
    yield "report-status-v2", push(new("refs/heads/v2"), caps="report-status-v2")
    yield "no capabilities", pkt(new("refs/heads/nr3")) + b"0000" + pack()
    yield "file and folder", push(new("refs/heads/main/x"))
    yield "tree as a branch", push(new("refs/heads/tr", w.tree))
    yield "tag as a branch", push(new("refs/heads/tg", w.tag))
    yield "tree as a tag", push(new("refs/tags/tr", w.tree))
    yield "unneeded shallow line", push(new("refs/heads/sh"), before=pkt("shallow " + w.head))
    yield "atomic, one bad", push(new("refs/heads/a1"), "%s %s refs/heads/main" % (one, w.head),
                                  caps="report-status atomic")
    yield "atomic, all good", push(new("refs/heads/a1"), new("refs/heads/a2"),
                                   caps="report-status atomic")
    yield "atomic, funny", push(new("refs/heads/a1"), new("refs/foo"),
                                caps="report-status atomic")
    yield "bytes behind the pack", push(new("refs/heads/tb"), rest=pack() + b"JUNK")
    yield "many", push(*[new("refs/heads/m%04d" % i) for i in range(2500)], caps=side)
    yield "death: no flush", pkt(new("refs/heads/x"))
    yield "death: bad line", pkt("hello") + b"0000"
    yield "death: bad length", b"0003"
    yield "death: other format", push(new("refs/heads/x"), caps="object-format=sha256")


def compare(name, data, w):
    (stock_rc, stock_out), (our_rc, our_out) = w.stock(data), w.ours(data)
    stock_refs, stock_body = split_advert(stock_out)
    our_refs, our_body = split_advert(our_out)
    side = b"side-band-64k" in data
    if name.startswith("death"):
        # Git says it on the error stream only; we say it as ERR too, so that users see it.
        same = stock_rc == our_rc == 128 and stock_body == b"" and our_body[4:8] in (b"ERR ", b"")
    elif side:
        (stock_body, stock_end), (our_body, our_end) = map(without_band2, (stock_body, our_body))
        same = settle(stock_body) == settle(our_body) and stock_end == our_end
    else:
        same = settle(stock_body) == settle(our_body)
    names = [[line.split(b"\0")[0].rstrip(b"\n")[4:] for line in refs]
             for refs in (stock_refs, our_refs)]
    if same and stock_rc == our_rc and names[0] == names[1]:
        return True
    print("DIFFERS: %s\n git:  %d %r\n ours: %d %r" % (name, stock_rc, stock_body[:2000], our_rc,
                                                        our_body[:2000]))
    return False


def main():
    folder = tempfile.mkdtemp()
    try:
        w = World(os.path.abspath(sys.argv[1]), folder)
        results = [compare(name, data, w) for name, data in cases(w)]
    finally:
        shutil.rmtree(folder)
    print("%d cases, %d differ" % (len(results), results.count(False)))
    return 0 if all(results) and len(results) > 30 else 1


if __name__ == "__main__":
    sys.exit(main())
