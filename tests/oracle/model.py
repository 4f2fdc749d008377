# SPDX-License-Identifier: MIT
"""Objects in plain Python, as an oracle that shares no code with either server: repositories with their
reachability, and packs taken apart."""
import hashlib
import struct
import zlib

TYPES = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}


def object_id(fmt, kind, body):
    return hashlib.new(fmt, b"%s %d\0" % (kind.encode(), len(body)) + body).hexdigest()


class Repo:
    """Objects by id, refs by name, symrefs, and the commits whose parents are not there."""

    def __init__(self, fmt):
        self.fmt, self.objects, self.refs, self.symrefs, self.shallow = fmt, {}, {}, {}, set()
        self.config = []  # of (key, value)
        self.known_links = {}

    def add(self, kind, body):
        oid = object_id(self.fmt, kind, body)
        self.objects[oid] = (kind, body)
        return oid

    def kind(self, oid):
        return self.objects[oid][0] if oid in self.objects else None

    def links(self, oid):
        """(parents, everything else) that an object names; submodules are not followed."""
        if oid not in self.known_links:
            kind, body = self.objects[oid]
            parents, rest = [], []
            if kind == "commit":
                for line in body.split(b"\n\n", 1)[0].decode().split("\n"):
                    if line.startswith("tree "):
                        rest.append(line[5:])
                    elif line.startswith("parent "):
                        parents.append(line[7:])
            elif kind == "tag":
                rest.append(body.split(b"\n", 1)[0].decode()[7:])
            elif kind == "tree":
                rest = [o for mode, _, o in self.entries(oid) if mode != b"160000"]
            self.known_links[oid] = (parents, rest)
        return self.known_links[oid]

    def entries(self, oid):
        body, at, size, out = self.objects[oid][1], 0, hashlib.new(self.fmt).digest_size, []
        while at < len(body):
            end = body.index(b"\0", at)
            mode, name = body[at:end].split(b" ", 1)
            out.append((mode, name, body[end + 1:end + 1 + size].hex()))
            at = end + 1 + size
        return out

    def closure(self, tips, cut=()):
        """All that is reachable; the parents of commits in cut are not looked at."""
        seen, todo = set(), [t for t in tips if t in self.objects]
        while todo:
            oid = todo.pop()
            if oid in seen:
                continue
            seen.add(oid)
            parents, rest = self.links(oid)
            todo += [o for o in rest if o not in seen]
            if oid not in cut and oid not in self.shallow:
                todo += [o for o in parents if o not in seen]
        return seen

    def missing(self, have):
        """Links from objects in a set that lead out of the repository, as a check of the generator."""
        return {o for h in have for o in sum(self.links(h), []) if o not in self.objects}

    def peel(self, oid):
        while self.kind(oid) == "tag":
            oid = self.links(oid)[1][0]
        return oid

    def commits(self):
        return [o for o, (kind, _) in self.objects.items() if kind == "commit"]

    def hidden(self, name):
        """As transfer.hideRefs and uploadpack.hideRefs say."""
        hides = False
        for key, value in self.config:
            if key.lower() in ("transfer.hiderefs", "uploadpack.hiderefs"):
                pattern = value.lstrip("!").lstrip("^").rstrip("/")
                if name == pattern or name.startswith(pattern + "/"):
                    hides = not value.startswith("!")
        return hides

    def value(self, name):
        while name in self.symrefs:
            name = self.symrefs[name]
        return self.refs.get(name)

    def short(self, name):
        """The value of the ref that a short name means."""
        return next(filter(None, (self.value(p + name) for p in ("", "refs/", "refs/tags/", "refs/heads/"))), None)

    def time(self, oid):
        return int(self.objects[oid][1].split(b"\ncommitter ", 1)[1].split(b"\n")[0].split()[-2])

    def visible(self):
        """What is reachable from refs that are not hidden."""
        names = [n for n in [*self.refs, *self.symrefs] if not self.hidden(n)]
        return self.closure([v for v in map(self.value, names) if v])


class BadPack(Exception):
    pass


class Pack:
    """A pack taken apart and checked: ids, bases that are not in it, and which kinds of deltas it has.
    bases gives the content of objects that are not in it."""

    def __init__(self, fmt, data, bases):
        self.fmt, self.ids, self.thin, self.ofs, self.ref = fmt, {}, set(), False, False
        size = hashlib.new(fmt).digest_size
        if len(data) < 12 + size or data[:8] != b"PACK\0\0\0\2":
            raise BadPack("no pack: %r..., %d bytes" % (data[:40], len(data)))
        if hashlib.new(fmt, data[:-size]).digest() != data[-size:]:
            raise BadPack("checksum")
        entries, at = {}, 12
        for _ in range(struct.unpack(">I", data[8:12])[0]):
            entries[at], at = self.entry(data, at, size)
        if at != len(data) - size:
            raise BadPack("%d bytes behind the last entry" % (len(data) - size - at))
        self.resolve(entries, bases)

    def entry(self, data, at, size):
        start, shift, base = at, 4, None
        kind, length = data[at] >> 4 & 7, data[at] & 15
        while data[at] & 0x80:
            at += 1
            length |= (data[at] & 0x7F) << shift
            shift += 7
        at += 1
        if kind == 6:
            back = data[at] & 0x7F
            while data[at] & 0x80:
                at += 1
                back = (back + 1 << 7) | data[at] & 0x7F
            at, base, self.ofs = at + 1, start - back, True
        elif kind == 7:
            base, at, self.ref = data[at:at + size].hex(), at + size, True
        elif kind not in TYPES:
            raise BadPack("type %d" % kind)
        inflate, room = zlib.decompressobj(), length + length // 500 + 128
        body = inflate.decompress(data[at:at + room])
        if not inflate.eof or len(body) != length:
            raise BadPack("entry at %d: %d bytes of %d" % (start, len(body), length))
        return (kind, base, body), at + min(room, len(data) - at) - len(inflate.unused_data)

    def resolve(self, entries, bases):
        """Every entry once, bases before what is made of them."""
        done, by_id = {}, {}

        def finish(at, kind, body):
            oid = object_id(self.fmt, kind, body)
            if oid in self.ids:
                raise BadPack("%s twice" % oid)
            self.ids[oid], done[at], by_id[oid] = kind, (kind, body), (kind, body)

        waiting = []
        for at, (kind, base, body) in entries.items():
            if base is None:
                finish(at, TYPES[kind], body)
            else:
                waiting.append((at, base, body))
        for may_be_thin in (False, True):
            progress = True
            while waiting and progress:
                progress, again = False, []
                for at, base, body in waiting:
                    found = done.get(base) or by_id.get(base)
                    if not found and may_be_thin and base in bases:
                        found = bases[base]
                        self.thin.add(base)
                    if found:
                        finish(at, found[0], apply_delta(found[1], body))
                        progress = True
                    else:
                        again.append((at, base, body))
                waiting = again
        if waiting:
            raise BadPack("no base for %d deltas" % len(waiting))


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def apply_delta(base, delta):
    source, at = varint(delta, 0)
    length, at = varint(delta, at)
    if source != len(base):
        raise BadPack("a delta for another base")
    out = bytearray()
    while at < len(delta):
        op, at = delta[at], at + 1
        if op & 0x80:
            values = []
            for bits, count in ((op & 15, 4), (op >> 4 & 7, 3)):
                value = 0
                for i in range(count):
                    if bits >> i & 1:
                        value, at = value | delta[at] << 8 * i, at + 1
                values.append(value)
            out += base[values[0]:values[0] + (values[1] or 0x10000)]
        elif op:
            out += delta[at:at + op]
            at += op
        else:
            raise BadPack("delta instruction 0")
    if len(out) != length:
        raise BadPack("a delta made %d bytes of %d" % (len(out), length))
    return bytes(out)


def write_pack(fmt, objects):
    numbers = {v: k for k, v in TYPES.items()}
    out = [b"PACK" + struct.pack(">II", 2, len(objects))]
    for kind, body in objects:
        size, head = len(body), bytearray([numbers[kind] << 4 | len(body) & 15])
        size >>= 4
        while size:
            head[-1] |= 0x80
            head.append(size & 0x7F)
            size >>= 7
        out.append(bytes(head) + zlib.compress(body, 1))
    data = b"".join(out)
    return data + hashlib.new(fmt, data).digest()
