# SPDX-License-Identifier: MIT
"""Random pushes to a repository whose history grows: creates, updates, forces, deletes, atomic sets, wrong old
values, names that are none, thin packs, packs with too much or too little in them, shallow clients, races."""
import hashlib
import struct
import zlib

from model import TYPES, apply_delta

NUMBERS = {v: k for k, v in TYPES.items()}
FUNNY = ["HEAD", "refs/foo", "main", "refs/heads/a..b", "refs/heads/x.lock", "refs/heads/.a", "refs/heads/a/",
         "refs/heads/sp ace", "refs/heads/ti~lde", "refs/heads/ca^ret", "refs/heads/co:lon", "refs/heads/que?",
         "refs/heads/st*r", "refs/heads/br[cket", "refs/heads/back\\slash", "refs/heads//two", "refs/heads/a@{b",
         "refs/heads/end.", "refs/heads/ctl\x01", "refs/heads/del\x7f", "refs/../../etc/passwd", "refs/heads/../x",
         "/refs/heads/x", "refs/heads/", "refs/", "../refs/heads/x", "refs/heads/x.lock/y"]
STRANGE = ["refs/heads/-dash", "refs/heads/@", "refs/heads/\xe9t\xe9", "refs/x/y", "refs/notes/commits", "refs/heads/HEAD",
           "refs/heads/a'b\"c", "refs/heads/$(id)", "refs/heads/a;b", "refs/stash/x", "refs/remotes/o/main"]


def pkt(line):
    data = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
    return b"%04x" % (len(data) + 4) + data


def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def delta(base, result):
    """What they begin and end with is copied, the rest inserted."""
    most, head = min(len(base), len(result)), 0
    while head < most and base[head] == result[head]:
        head += 1
    tail = 0
    while tail < most - head and base[-1 - tail] == result[-1 - tail]:
        tail += 1
    out = varint(len(base)) + varint(len(result)) + copy(0, head)
    middle = result[head:len(result) - tail]
    for at in range(0, len(middle), 127):
        out += bytes([len(middle[at:at + 127])]) + middle[at:at + 127]
    out += copy(len(base) - tail, tail)
    assert apply_delta(base, out) == result
    return out


def copy(offset, size):
    out = b""
    while size:
        n = min(size, 0xFFFFFF)
        out += b"\xff" + struct.pack("<I", offset) + struct.pack("<I", n)[:3]
        offset, size = offset + n, size - n
    return out


class PackWriter:
    def __init__(self, fmt):
        self.fmt, self.out, self.count, self.at = fmt, bytearray(b"PACK\0\0\0\2\0\0\0\0"), 0, {}

    def head(self, kind, size):
        byte, out = kind << 4 | size & 15, bytearray()
        size >>= 4
        while size:
            out.append(byte | 0x80)
            byte, size = size & 0x7F, size >> 7
        self.out += out + bytes([byte])
        self.count += 1

    def whole(self, oid, kind, body):
        self.at[oid] = len(self.out)
        self.head(NUMBERS[kind], len(body))
        self.out += zlib.compress(body, 1)

    def on(self, oid, base, base_body, body, offset):
        """A delta on an entry before it, or on an object by its id."""
        made, start = delta(base_body, body), len(self.out)
        self.head(6 if offset else 7, len(made))
        if offset:
            back = start - self.at[base]
            code = [back & 0x7F]
            while back > 0x7F:
                back = (back >> 7) - 1
                code.append(back & 0x7F | 0x80)
            self.out += bytes(reversed(code))
        else:
            self.out += bytes.fromhex(base)
        self.out += zlib.compress(made, 1)
        self.at[oid] = start

    def finish(self, count=None):
        self.out[8:12] = struct.pack(">I", self.count if count is None else count)
        return bytes(self.out) + hashlib.new(self.fmt, self.out).digest()


class Push:
    """What one client sends behind the advertisement, and what of it counts for comparing."""

    def __init__(self):
        self.commands, self.caps, self.shallow, self.options = [], [], [], None
        self.pack, self.sent, self.kind = None, set(), []

    def bytes(self):
        out = b"".join(pkt("shallow " + s) for s in self.shallow)
        for i, (old, new, name) in enumerate(self.commands):
            out += pkt("%s %s %s" % (old, new, name) + ("\0 " + " ".join(self.caps) if i == 0 else ""))
        out += b"0000"
        if self.options is not None:
            out += b"".join(map(pkt, self.options)) + b"0000"
        return out + (self.pack or b"")

    def has(self, cap):
        return cap in self.caps

    def text(self):
        out = ["caps: " + " ".join(self.caps), "kind: " + " ".join(self.kind)]
        out += ["shallow " + s for s in self.shallow]
        out += ["%s %s %r" % (old[:12], new[:12], name) for old, new, name in self.commands]
        if self.options is not None:
            out.append("options: %r" % self.options)
        out.append("pack: %s" % ("none" if self.pack is None else "%d bytes, %d objects sent" % (
            len(self.pack), len(self.sent))))
        return "\n  ".join(out)


class Pushes:
    """maker: a history that can grow. refs and symrefs: what the server has, kept up to date by the caller."""

    def __init__(self, rng, maker, offered):
        self.rng, self.maker, self.repo, self.offered = rng, maker, maker.repo, offered
        self.refs, self.symrefs, self.hidden = {}, {}, []
        self.zero = "0" * hashlib.new(self.repo.fmt).digest_size * 2
        self.unknown = ["%d" % (i + 1) * len(self.zero) for i in range(3)]

    # ---- parts ----

    def reached(self, refs=None):
        """What a client can know to be there."""
        refs = self.refs if refs is None else refs
        return self.repo.closure(oid for name, oid in refs.items() if not any(
            name == h or name.startswith(h + "/") for h in self.hidden))

    def new_tip(self, old):
        """A new value for a branch: (oid, what it is)."""
        rng, maker = self.rng, self.maker
        what = rng.random()
        if old in maker.files and what < 0.6:
            tip = old
            for _ in range(rng.choice([1, 1, 1, 2, 5])):
                parents = [tip] + ([rng.choice(maker.commits)] if rng.random() < 0.2 else [])
                tip = maker.commit(list(dict.fromkeys(parents)))
            return tip, "forward"
        if what < 0.75:
            return maker.commit([rng.choice(maker.commits)]), "fork"
        if what < 0.9:
            return rng.choice(maker.commits), "rewind"
        return maker.commit([]), "root"

    def other_tip(self):
        """Anything."""
        rng, what = self.rng, self.rng.random()
        if what < 0.45:
            return self.maker.tag(self.new_tip(None)[0], "t%d" % rng.randrange(1000))
        if what < 0.6:
            return rng.choice(self.maker.commits)
        if what < 0.7:
            return self.maker.tag(rng.choice(list(self.repo.objects)), "o%d" % rng.randrange(1000))
        if what < 0.85:
            return rng.choice(list(self.repo.objects))
        return self.maker.blob()

    def name(self):
        rng, what = self.rng, self.rng.random()
        if what < 0.06:
            return rng.choice(FUNNY)
        if what < 0.12:
            return rng.choice(STRANGE)
        if what < 0.2 and self.refs:
            return rng.choice(list(self.refs)) + "/below"
        if what < 0.25 and self.refs:
            return rng.choice(list(self.refs)).rpartition("/")[0]
        if what < 0.6:
            return "refs/heads/%s%d" % (rng.choice(["new", "topic", "a/b"]), rng.randrange(12))
        return "refs/tags/n%d" % rng.randrange(12)

    def old_value(self, name):
        rng = self.rng
        now = self.refs.get(self.target(name), self.zero)
        if rng.random() < 0.93:
            return now
        return rng.choice([self.zero, rng.choice(self.maker.commits), self.unknown[0]])

    def target(self, name):
        for _ in range(5):
            name = self.symrefs.get(name, name)
        return name

    def command(self):
        rng = self.rng
        names = [n for n in [*self.refs, *self.symrefs] if n != "HEAD"]
        what = rng.random()
        if names and what < 0.2:
            name = rng.choice(names) if rng.random() < 0.9 else self.name()
            return self.old_value(name), self.zero, name
        name = rng.choice(names) if names and what < 0.65 else self.name()
        old = self.old_value(name)
        if rng.random() < 0.02:
            return old, self.unknown[1], name
        if name.startswith("refs/heads/") and rng.random() < 0.95:
            return old, self.new_tip(self.refs.get(self.target(name)))[0], name
        return old, self.other_tip(), name

    def capabilities(self, push):
        rng = self.rng
        for cap, chance in (("report-status", 0.8), ("report-status-v2", 0.7), ("side-band-64k", 0.6), ("quiet", 0.3),
                            ("atomic", 0.25)):
            if rng.random() < chance and cap in self.offered:
                push.caps.append(cap)
        if self.repo.fmt != "sha1" or rng.random() < 0.5:
            push.caps.append("object-format=" + self.repo.fmt)
        if "push-options" in self.offered and rng.random() < 0.3:
            push.caps.append("push-options")
            push.options = rng.choice([[], ["a"], ["key=value", "key=value2", "x;y$(z)"], ["\xe9", "x" * 900]])
        if rng.random() < 0.3:
            push.caps.append("agent=x/1")

    # ---- packs ----

    def needed(self, push, base):
        tips = [new for _, new, _ in push.commands if new in self.repo.objects]
        return self.repo.closure(tips, set(push.shallow)) - base

    def shallow_client(self, push):
        """As from a clone of depth 1 or 2: boundaries that the tips have, and some that they have not."""
        tips = [new for _, new, _ in push.commands if self.repo.kind(new) == "commit"]
        reached = [c for c in self.maker.commits if c in self.repo.closure(tips) and self.repo.links(c)[0]]
        if reached:
            push.shallow = sorted({self.rng.choice(reached) for _ in range(self.rng.choice([1, 1, 3]))})
            push.kind.append("shallow")

    def write(self, push, oids, base):
        """These objects, some as deltas on others or on what is there."""
        rng, repo, pack = self.rng, self.repo, PackWriter(self.repo.fmt)
        oids = list(oids)
        rng.shuffle(oids)
        thin, deltas = rng.random() < 0.5, rng.random() < 0.7
        there = {}
        outside = sorted(base - set(oids)) if rng.random() < 0.95 else sorted(base)
        if len(outside) == len(base) and set(oids) & base:
            push.kind.append("circles")  # objects on themselves, or on each other, which the server has
        for oid in outside if thin else ():
            there.setdefault(repo.kind(oid), []).append(oid)
        done = {}
        for oid in oids:
            kind, body = repo.objects[oid]
            inside, outside = done.get(kind, []), there.get(kind, [])
            if not body:
                pack.whole(oid, kind, body)  # git takes no deltas of less than four bytes
            elif deltas and inside and rng.random() < 0.5:
                on = rng.choice(inside)
                pack.on(oid, on, repo.objects[on][1], body, rng.random() < 0.5)
            elif deltas and outside and rng.random() < 0.3:
                on = rng.choice(outside)
                pack.on(oid, on, repo.objects[on][1], body, False)
            else:
                pack.whole(oid, kind, body)
            done.setdefault(kind, []).append(oid)
        return pack

    def make_pack(self, push):
        rng, base = self.rng, self.reached()
        wanted = self.needed(push, base)
        what = rng.random()
        if what < 0.08 and base:
            wanted |= set(rng.sample(sorted(base), min(len(base), rng.choice([1, 5, 30]))))
            push.kind.append("unneeded")
        elif what < 0.12:
            wanted |= self.repo.closure([self.maker.blob(), self.maker.commit([])])
            push.kind.append("unreachable")
        elif what < 0.13:
            wanted |= {self.maker.commit([])}
            push.kind.append("loose ends")
        elif what < 0.18 and wanted:
            wanted -= set(rng.sample(sorted(wanted), rng.choice([1, 1, min(3, len(wanted))])))
            push.kind.append("incomplete")
        elif what < 0.19:
            wanted = set()
            push.kind.append("empty")
        push.sent = set(wanted)
        pack = self.write(push, sorted(wanted), base)
        if 0.19 < what < 0.21 and wanted:
            oid = rng.choice(sorted(wanted))
            pack.whole(oid, *self.repo.objects[oid])
            push.kind.append("duplicate")
        push.pack = pack.finish()
        if 0.21 < what < 0.26:
            self.spoil(push, pack)

    def spoil(self, push, pack):
        rng, whole = self.rng, push.pack
        what = rng.choice(["cut", "flip", "trailer", "more", "fewer", "behind", "version", "no base"])
        if what == "cut":
            push.pack = whole[:rng.randrange(len(whole))]
        elif what == "flip":
            at = rng.randrange(12, len(whole))
            push.pack = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1:]
        elif what == "trailer":
            push.pack = whole[:-1] + bytes([whole[-1] ^ 1])
        elif what == "more":
            push.pack = pack.finish(pack.count + 1)
        elif what == "fewer" and pack.count:
            push.pack = pack.finish(pack.count - 1)
        elif what == "version":
            pack.out[7] = rng.choice([0, 1, 4])
            push.pack = pack.finish()
        elif what == "no base":
            oid = self.maker.blob()
            pack.on(oid, self.unknown[2], b"base", self.repo.objects[oid][1], False)
            push.pack = pack.finish()
        else:
            push.pack = whole + b"trailing garbage 0000"
        push.kind.append(what)

    # ---- pushes ----

    def next(self):
        rng, push = self.rng, Push()
        for _ in range(rng.choice([1, 1, 1, 2, 3, 5, 5, 30])):
            command = self.command()
            if command[2] not in [name for _, _, name in push.commands]:
                push.commands.append(command)
        if rng.random() < 0.04:
            push.commands.append((push.commands[0][0], rng.choice(self.maker.commits), push.commands[0][2]))
            push.kind.append("twice")
        if "refs/heads/alias" in self.symrefs and rng.random() < 0.1:
            old, tip = self.refs.get("refs/heads/main", self.zero), rng.choice(self.maker.commits)
            push.commands += [(old, tip, "refs/heads/main"), (
                old, tip if rng.random() < 0.6 else self.new_tip(tip)[0], "refs/heads/alias")]
            push.kind.append("alias")
        self.capabilities(push)
        if rng.random() < 0.06:
            self.shallow_client(push)
        if any(new != self.zero for _, new, _ in push.commands):
            self.make_pack(push)
        return push

    def first(self, refs):
        """The history that everything begins with."""
        push = Push()
        push.commands = [(self.zero, oid, name) for name, oid in refs.items()]
        push.caps = ["report-status", "object-format=" + self.repo.fmt]
        push.sent = self.repo.closure(refs.values())
        push.pack = self.write(push, sorted(push.sent), set()).finish()
        push.kind.append("first")
        return push

    def race(self):
        """Several clients that have read the same advertisement. No name is below another, no name twice."""
        rng, out = self.rng, []
        names = [n for n in self.refs if n.startswith("refs/") and n not in self.symrefs]
        hot = rng.sample(names, min(len(names), 3)) + ["refs/heads/race%d" % i for i in range(2)]
        for _ in range(rng.choice([2, 2, 3, 4])):
            push = Push()
            for name in rng.sample(hot, rng.choice([1, 2, min(3, len(hot))])):
                now = self.refs.get(name, self.zero)
                if now != self.zero and name != "refs/heads/main" and rng.random() < 0.25:
                    new = self.zero
                elif name.startswith("refs/heads/"):
                    new = self.new_tip(now)[0]
                else:
                    new = rng.choice(self.maker.commits)
                push.commands.append((now, new, name))
            push.caps = ["report-status", "object-format=" + self.repo.fmt]
            push.caps += [c for c in ("atomic", "side-band-64k") if rng.random() < 0.4]
            if any(new != self.zero for _, new, _ in push.commands):
                base = self.reached()
                push.sent = self.needed(push, base)
                push.pack = self.write(push, sorted(push.sent), base).finish()
            out.append(push)
        return out
