# SPDX-License-Identifier: MIT
"""What bench/push.py pushes: packs made once for all servers, written object by object so that large ones need no
memory. Everything is the same in every run."""
import hashlib
import os
import random
import subprocess
import zlib

COMMIT, TREE, BLOB, REF_DELTA = 1, 2, 3, 7
NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
MIB = 1 << 20
IDENTITY = b"B <b@e.org> %d +0000"
DIRECTORIES, FILES = 10, 20


def entry_header(kind, size):
    out = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        out[-1] |= 0x80
        out.append(size & 0x7f)
        size >>= 7
    return bytes(out)


def varint(size):
    out = bytearray()
    while True:
        out.append(size & 0x7f | (0x80 if size > 0x7f else 0))
        size >>= 7
        if not size:
            return bytes(out)


def copy(offset, size):
    """One instruction of a delta; size below 16 MiB."""
    out, bits = bytearray(), 0
    for i, byte in enumerate((*offset.to_bytes(4, "little"), *size.to_bytes(3, "little"))):
        if byte:
            bits |= 1 << i
            out.append(byte)
    return bytes([0x80 | bits]) + bytes(out)


def replaced(old, at, new):
    """The delta that puts new over old from at on."""
    end = at + len(new)
    parts = [varint(len(old)), varint(len(old)), copy(0, at) if at else b"", bytes([len(new)]), new]
    return b"".join(parts) + (copy(end, len(old) - end) if end < len(old) else b"")


class Pack:
    """A packfile with as many objects as it says; bytes() or close() ends it. path None: in memory."""

    def __init__(self, count, path=None):
        self.file = open(path, "wb") if path else None
        self.parts, self.hash = [], hashlib.sha1()
        self.put(b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big"))

    def put(self, data):
        self.hash.update(data)
        if self.file:
            self.file.write(data)
        else:
            self.parts.append(data)

    def object(self, kind, data):
        self.put(entry_header(kind, len(data)) + zlib.compress(data, 6))
        return hashlib.sha1(NAMES[kind] + b" %d\0" % len(data) + data).hexdigest()

    def delta(self, base, delta):
        self.put(entry_header(REF_DELTA, len(delta)) + bytes.fromhex(base) + zlib.compress(delta, 6))

    def blob(self, size, pieces):
        """A large one, from pieces."""
        oid, out = hashlib.sha1(b"blob %d\0" % size), zlib.compressobj(1)
        self.put(entry_header(BLOB, size))
        for piece in pieces:
            oid.update(piece)
            self.put(out.compress(piece))
        self.put(out.flush())
        return oid.hexdigest()

    def close(self):
        end = self.hash.digest()
        if self.file:
            self.file.write(end)
            self.file.close()
            return self.file.name
        return b"".join(self.parts) + end


def commit_text(tree, parent, n):
    who = IDENTITY % (1900000000 + n)
    return b"tree %s\n%sauthor %s\ncommitter %s\n\nchange %d\n" % (
        tree.encode(), b"parent %s\n" % parent.encode() if parent else b"", who, who, n)


class Chain:
    """A small history: directories of files, of which each commit changes one. A push of it has the blob, two trees
    as deltas of those before, and the commit, as git sends it."""

    def __init__(self, seed=0):
        self.seed, self.n, self.objects = seed, 0, 0
        self.tip = self.root_id = None
        self.trees, self.ids, self.root = [], [], b""

    def text(self, n):
        lines = random.Random("%d %d" % (self.seed, n)).randbytes(400).hex()
        return "\n".join(lines[i:i + 40] for i in range(0, 800, 40)).encode()

    def first(self):
        """The whole of it: (ref value, pack)."""
        pack = Pack(DIRECTORIES * FILES + DIRECTORIES + 2)
        for d in range(DIRECTORIES):
            ids = [pack.object(BLOB, self.text(10 ** 9 + d * FILES + i)) for i in range(FILES)]
            self.trees.append(b"".join(b"100644 file%02d\0" % i + bytes.fromhex(o) for i, o in enumerate(ids)))
            self.ids.append(pack.object(TREE, self.trees[-1]))
        self.root = b"".join(b"40000 dir%02d\0" % d + bytes.fromhex(o) for d, o in enumerate(self.ids))
        self.root_id = pack.object(TREE, self.root)
        self.tip = pack.object(COMMIT, commit_text(self.root_id, None, 0))
        self.objects = DIRECTORIES * FILES + DIRECTORIES + 2
        return self.tip, pack.close()

    @staticmethod
    def change(pack, tree, oid, index, each, value):
        """Entry number index, of each bytes, gets another id; (tree, id)."""
        at = (index + 1) * each - 20
        raw = bytes.fromhex(value)
        pack.delta(oid, replaced(tree, at, raw))
        tree = tree[:at] + raw + tree[at + 20:]
        return tree, hashlib.sha1(b"tree %d\0" % len(tree) + tree).hexdigest()

    def one(self, pack):
        self.n += 1
        d, i = self.n % DIRECTORIES, self.n // DIRECTORIES % FILES
        blob = pack.object(BLOB, self.text(self.n))
        self.trees[d], self.ids[d] = self.change(pack, self.trees[d], self.ids[d], i, 14 + 20, blob)
        self.root, self.root_id = self.change(pack, self.root, self.root_id, d, 12 + 20, self.ids[d])
        self.tip = pack.object(COMMIT, commit_text(self.root_id, self.tip, self.n))
        self.objects += 4

    def next(self):
        """The next commit alone: (ref value, pack)."""
        pack = Pack(4)
        self.one(pack)
        return self.tip, pack.close()

    def many(self, count):
        """The next commits, in one pack: (their ids, pack)."""
        pack, tips = Pack(4 * count), []
        for _ in range(count):
            self.one(pack)
            tips.append(self.tip)
        return tips, pack.close()

    def fork(self, seed):
        other = Chain(seed)
        other.tip, other.root, other.root_id = self.tip, self.root, self.root_id
        other.trees, other.ids, other.n = list(self.trees), list(self.ids), self.n
        return other


def large(size, seed, step=MIB):
    """Every other piece is random, the rest compresses as text does."""
    source = random.Random(seed)
    words = [source.randbytes(6).hex().encode() + b" " for _ in range(500)]
    for at in range(0, size, step):
        n = min(step, size - at)
        if at // step % 2 == 0:
            yield source.randbytes(n)
        else:
            line = b"".join(source.choice(words) for _ in range(n // 130 // 8 + 1))
            yield (b"%d %s" % (at, line) * (n // len(line) + 1))[:n]


def named_blob(pack, blob, parent, n):
    tree = pack.object(TREE, b"100644 large.bin\0" + bytes.fromhex(blob))
    return pack.object(COMMIT, commit_text(tree, parent, n))


def large_blob(path, size):
    """(commit, pack) with one large blob."""
    pack = Pack(3, path)
    blob = pack.blob(size, large(size, 1))
    tip = named_blob(pack, blob, None, 1)
    return tip, pack.close()


class Pair:
    """Two versions of one large file: in one pack, and in two of which the second is thin."""

    STEP, NEW = 4 * MIB, b"what the second version has besides\n"

    def __init__(self, folder, size):
        self.size, self.folder = size, folder
        self.delta, self.second = self.make_delta()
        self.first_blob, self.second_blob, self.first_tip, self.both = self.write("both.pack", True)
        _, _, _, self.base = self.write("base.pack", False)
        thin = Pack(3, os.path.join(folder, "thin.pack"))
        thin.delta(self.first_blob, self.delta)
        self.tip = named_blob(thin, self.second_blob, self.first_tip, 2)
        self.thin = thin.close()

    def make_delta(self):
        """Every few MiB something is put in."""
        parts, size = [], 0
        for at in range(0, self.size, self.STEP):
            n = min(self.STEP, self.size - at)
            parts += [bytes([len(self.NEW)]), self.NEW, copy(at, n)]
            size += len(self.NEW) + n
        return varint(self.size) + varint(size) + b"".join(parts), size

    def write(self, name, both):
        pack = Pack(6 if both else 3, os.path.join(self.folder, name))
        second = hashlib.sha1(b"blob %d\0" % self.second)

        def pieces():
            at = 0
            for piece in large(self.size, 2):
                if at % self.STEP == 0:
                    second.update(self.NEW)
                second.update(piece)
                at += len(piece)
                yield piece

        first_blob = pack.blob(self.size, pieces())
        first = named_blob(pack, first_blob, None, 1)
        if both:
            pack.delta(first_blob, self.delta)
            named_blob(pack, second.hexdigest(), first, 2)
        return first_blob, second.hexdigest(), first, pack.close()


class Everything:
    """A repository with all its refs, as one pack without a search for deltas."""

    def __init__(self, world, repo, folder):
        self.env, self.repo = world.env(), repo
        self.refs = dict(reversed(line.split(" ")) for line in self.git(
            "for-each-ref", "--format=%(objectname) %(refname)").decode().splitlines())
        self.path = os.path.join(folder, "all.pack")
        with open(self.path, "wb") as f:
            subprocess.run(["git", "pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"], cwd=repo,
                           input="".join(o + "\n" for o in sorted(set(self.refs.values()))).encode(), stdout=f,
                           check=True, env=self.env)
        with open(self.path, "rb") as f:
            self.objects = int.from_bytes(f.read(12)[8:], "big")
        sizes = self.git("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectsize)").split()
        self.hashed = sum(map(int, sizes))

    def git(self, *args):
        return subprocess.run(["git", *args], cwd=self.repo, check=True, stdout=subprocess.PIPE, env=self.env).stdout
