#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A reader of store images that knows nothing but store/disk/SPEC.md: if it fails on a good image, one of the two
is wrong. It trusts nothing that it reads, and only reads.

image_reader.py IMAGE                  lists repositories and their refs
image_reader.py IMAGE REPO FOLDER      writes the packs of a repository as packfiles"""
import hashlib
import os
import struct
import sys
import zlib

BLOCK, SLOTS, CHUNK, PAGE_CRCS = 4096, 32, 16384, 1024
HASHES = {1: ("sha1", 20), 2: ("sha256", 32)}
RUN, INDEX = 1, 2
REMOVED = b"\2"


class Damaged(Exception):
    pass


def check(good, what):
    if not good:
        raise Damaged(what)


class Pointer:
    def __init__(self, raw):
        self.block, self.epoch, self.crc = struct.unpack(">QQI", raw)


class Tree:
    """Keys and values below a pointer, with those of the buffer in their place (section 2)."""

    def __init__(self, image, pointer, height, owner, buffer):
        check(height <= 16, "tree too high")
        self.image, self.pointer, self.height, self.owner = image, pointer, height, owner
        self.buffer = ascending(self.walk(buffer, 0)) if isinstance(buffer, Pointer) else buffer

    def items(self):
        cells = ascending(self.walk(self.pointer, self.height - 1) if self.height else ())
        for key, value in sorted({**cells, **self.buffer}.items()):
            if value != REMOVED:
                yield key, self.image.value(value)

    def walk(self, pointer, level):
        data = self.image.block(pointer.block)
        check(zlib.crc32(data) == pointer.crc, "checksum of block %d" % pointer.block)
        magic, at_level, _, count, epoch, block, owner = struct.unpack_from(">4sBBHQQQ", data)
        check(magic == b"PHND" and at_level == level and count > 0, "not the node expected")
        check((epoch, block, owner) == (pointer.epoch, pointer.block, self.owner), "a node of elsewhere")
        for at in struct.unpack_from(">%dH" % count, data, 32):
            if level == 0:
                key_len, value_len = struct.unpack_from(">HH", data, at)
                key = data[at + 4:at + 4 + key_len]
                value = data[at + 4 + key_len:at + 4 + key_len + value_len]
                check(len(key) == key_len and len(value) == value_len, "a cell beyond its block")
                yield key, value
            else:
                yield from self.walk(Pointer(data[at + 2:at + 22]), level - 1)


def ascending(cells):
    out, last = {}, None
    for key, value in cells:
        check(last is None or last < key, "keys do not ascend")
        out[key] = value
        last = key
    return out


class Section:
    def __init__(self, image, raw, at):
        self.image = image
        self.type, self.paged, self.skip, extents, crcs, self.length, self.epoch = struct.unpack_from(">BBHIIQQ", raw, at)
        at += 28
        self.extents = [struct.unpack_from(">QI", raw, at + 12 * i) for i in range(extents)]
        at += 12 * extents
        self.crcs = struct.unpack_from(">%dI" % crcs, raw, at)
        self.end = at + 4 * crcs

    def blocks(self):
        for start, count in self.extents:
            for i in range(count):
                yield self.image.block(start + i)

    def bytes(self):
        data = b"".join(self.blocks())
        used = -(-(self.skip + self.length) // BLOCK) * BLOCK
        chunks = -(-self.length // CHUNK)
        crcs = self.crcs
        if self.paged:
            pages = [data[at:at + BLOCK] for at in range(used, len(data), BLOCK)]
            check([zlib.crc32(p) for p in pages] == list(crcs), "checksum of a page")
            crcs = [c for p in pages for c in struct.unpack(">%dI" % PAGE_CRCS, p)][:chunks]
        check(len(crcs) == chunks, "number of checksums")
        data = data[self.skip:]
        for i, crc in enumerate(crcs):
            check(zlib.crc32(data[i * CHUNK:min((i + 1) * CHUNK, self.length)]) == crc, "checksum of chunk %d" % i)
        return data[:self.length]


class Repository:
    def __init__(self, image, name, raw):
        check(len(raw) == 131, "a repository of %d bytes" % len(raw))
        algo, height, _, owner = struct.unpack_from(">BBBQ", raw)
        check(algo in HASHES, "unknown hash")
        self.image, self.name, (self.hash, self.hash_len) = image, name, HASHES[algo]
        self.refs_count, self.packs_count = struct.unpack_from(">QQ", raw, 27)
        buffer = Pointer(raw[111:131])
        self.tree = Tree(image, Pointer(raw[59:79]), height, owner, buffer if buffer.block else {})

    def refs(self):
        """Names to (value, peeled or None), or to (target,) of a symref."""
        out = {}
        for key, value in self.tree.items():
            if key[:1] != b"R":
                continue
            n, kind = self.hash_len, value[0]
            check(kind <= 2 and (kind == 1 or len(value) == 1 + n * (1 + kind // 2)), "unknown kind of ref")
            if kind == 1:
                out[key[1:].decode()] = (value[1:].decode(),)
            else:
                out[key[1:].decode()] = (value[1:1 + n].hex(), value[1 + n:].hex() or None)
        check(len(out) == self.refs_count, "number of refs")
        return out

    def packs(self):
        for key, raw in self.tree.items():
            if key[:1] == b"P":
                sections, at = {}, 2
                for _ in range(struct.unpack_from(">H", raw)[0]):
                    section = Section(self.image, raw, at)
                    sections[section.type], at = section, section.end
                check(at == len(raw), "a pack's record is longer than its sections")
                yield struct.unpack(">Q", key[1:])[0], sections

    def packfile(self, sections):
        """The run, with what is made on output: header and trailer."""
        run = sections[RUN].bytes()
        data = b"PACK" + struct.pack(">II", 2, self.entries(run)) + run
        return data + hashlib.new(self.hash, data).digest()

    def entries(self, run):
        """How many there are: each is a header and a zlib stream (gitformat-pack)."""
        at = count = 0
        while at < len(run):
            kind = run[at] >> 4 & 7
            while run[at] & 0x80:
                at += 1
            at += 1
            if kind == 6:
                while run[at] & 0x80:
                    at += 1
                at += 1
            elif kind == 7:
                at += self.hash_len
            stream = zlib.decompressobj()
            while not stream.eof:
                check(at < len(run), "the run ends in an entry")
                piece = run[at:at + CHUNK]
                stream.decompress(piece)
                at += len(piece) - len(stream.unused_data)
            count += 1
        return count


class Image:
    def __init__(self, path):
        self.file = open(path, "rb")
        self.file.seek(0, os.SEEK_END)
        self.blocks = self.file.tell() // BLOCK
        self.superblock = max(filter(None, map(self.slot, range(SLOTS))), default=None, key=lambda s: s["epoch"])
        check(self.superblock, "no superblock")
        check(not self.superblock["flags"] & 1, "written to a device that cannot flush")

    def block(self, number):
        check(number < self.blocks, "block %d is beyond the end" % number)
        self.file.seek(number * BLOCK)
        return self.file.read(BLOCK)

    def slot(self, number):
        """A superblock as a dict, or None where none is valid (section 1)."""
        data = self.block(number)
        magic, version, block, _, _, incompatible = struct.unpack_from(">8sIIQQQ", data)
        epoch, blocks = struct.unpack_from(">QQ", data, 56)
        if magic != b"PACKHORS" or zlib.crc32(data[:4092]) != struct.unpack(">I", data[4092:])[0]:
            return None
        check(version == 1 and block == BLOCK and not incompatible, "a format that this reader does not know")
        if epoch % SLOTS != number or blocks > self.blocks:
            return None
        return {"epoch": epoch, "root": Pointer(data[96:116]), "height": data[116], "flags": data[117],
                "buffer": ascending(self.buffer(data))}

    def buffer(self, data):
        """The cells of the catalogue's buffer, behind the entries of the map."""
        entries, length = struct.unpack_from(">IH", data, 148)
        at = 544 + 12 * entries
        end = at + length
        check(end <= 4092, "a buffer beyond its superblock")
        while at < end:
            key_len, value_len = struct.unpack_from(">HH", data, at)
            middle, at = at + 4 + key_len, at + 4 + key_len + value_len
            check(at <= end, "a cell beyond its buffer")
            yield data[middle - key_len:middle], data[middle:at]

    def value(self, raw):
        """What a value stands for, without its first byte: its other bytes, or a blob's."""
        if raw[0] == 0:
            return raw[1:]
        check(raw[0] == 1, "unknown kind of value")
        length, crc, count, _ = struct.unpack_from(">IIHQ", raw, 1)
        extents = [struct.unpack_from(">QI", raw, 19 + 12 * i) for i in range(count)]
        data = b"".join(self.block(start + i) for start, n in extents for i in range(n))[:length]
        check(len(data) == length and zlib.crc32(data) == crc, "checksum of a blob")
        return data

    def repositories(self):
        catalogue = Tree(self, self.superblock["root"], self.superblock["height"], 0, self.superblock["buffer"])
        return {key[1:].decode(): Repository(self, key[1:].decode(), value) for key, value in catalogue.items()
                if key[:1] == b"R"}


def main(path, name=None, folder=None):
    repositories = Image(path).repositories()
    if name is None:
        for repository in repositories.values():
            print("%s (%s, %d packs)" % (repository.name, repository.hash, repository.packs_count))
            for ref, value in repository.refs().items():
                print("  %s %s" % (value[0], ref))
        return
    os.makedirs(folder, exist_ok=True)
    for number, sections in repositories[name].packs():
        with open(os.path.join(folder, "pack-%d.pack" % number), "wb") as out:
            out.write(repositories[name].packfile(sections))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Damaged, KeyError, struct.error, zlib.error, IndexError) as e:
        sys.exit("%s: %s %s" % (sys.argv[1], type(e).__name__, e))
