#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fsck.py PROBE FORMAT: objects that are wrong at random are looked at by git fsck --strict and by us.
Whatever git finds in an object we find, too, by the same id, and hardly anything beyond it. PH_TEST_GIT names
another git than the one on PATH; PH_TEST_SEED and PH_TEST_ROUNDS another round."""
import hashlib
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import zlib

probe, fmt = sys.argv[1:]
GIT = os.environ.get("PH_TEST_GIT", "git")
SEED = int(os.environ.get("PH_TEST_SEED", "1"))
ROUNDS = int(os.environ.get("PH_TEST_ROUNDS", "1500"))
VERSION = tuple(int(n) for n in re.findall(rb"\d+", subprocess.run([GIT, "--version"], stdout=subprocess.PIPE).stdout)[:2])
rng = random.Random("%s %d" % (fmt, SEED))
HEX = 40 if fmt == "sha1" else 64
TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
# What git refuses with --strict and we only warn of; here we do as git.
HYGIENE = ("badDate badDateOverflow badEmail badName badTimezone missingEmail missingNameBeforeEmail "
           "missingSpaceBeforeDate missingSpaceBeforeEmail multipleAuthors nulInCommit zeroPaddedDate "
           "zeroPaddedFilemode").split()


def oid_of(kind, data):
    return hashlib.new(fmt, kind.encode() + b" %d\0" % len(data) + data).hexdigest()


objects = {}


def add(kind, data):
    oid = oid_of(kind, data)
    objects[oid] = (kind, data)
    return oid


WHO = b"A <a@b> 1 +0000\n"
GOOD = {"tree": add("tree", b""), "blob": add("blob", b"x")}
GOOD["commit"] = add("commit", b"tree " + GOOD["tree"].encode() + b"\nauthor " + WHO + b"committer " + WHO + b"\n")
GOOD["tag"] = add("tag", b"object " + GOOD["tree"].encode() + b"\ntype tree\ntag x\ntagger " + WHO + b"\n")


def some_id(kind):
    """Of an object of this type, or of none: git minds types here, and connectivity is not what this is about."""
    if rng.random() < .9:
        return GOOD[kind].encode()
    return rng.choice(("%d2" % TYPES[kind] * (HEX // 2), "a" * (HEX - 1), "AB" * (HEX // 2 - 1) + "%02d" % TYPES[kind],
                       "g" * HEX, "%d" % TYPES[kind] * (HEX + 1), "")).encode()


# ---- commits and tags ----

NAMES = [b"A U Thor", b"", b"A", b" A", b"A > B", b"A\x00", b"\xff\xfe", b"<"]
MAILS = [b"<a@b>", b"<>", b"<a@b", b"a@b>", b"<a<b>", b"a@b", b"<a@b>>", b"< >", b"<a\tb>"]
DATES = [b"1112911993 -0700", b"0 +0000", b"00 +0000", b"01 +0000", b"9223372036854775807 +0000",
         b"9223372036854775808 +0000", b"99999999999999999999999999 +0000", b"-1 +0000", b"1 0000", b"1 +000",
         b"1 +00000", b"1", b"", b" 1 +0000", b"\t1 +0000", b"1  +0000", b"x +0000", b"1x +0000", b"1 -0000 ",
         b"18446744073709551615 +0000", b"18446744073709551616 +0000", b"0", b"0 ", b"1 +12a4"]

if VERSION < (2, 46):
    DATES.remove(b"-1 +0000")  # It was another finding then.


def person():
    if rng.random() < .6:
        return b"A U Thor <author@example.com> 1112911993 -0700"
    pick = lambda a: a[0] if rng.random() < .6 else rng.choice(a)
    return pick(NAMES) + rng.choice((b" ", b" ", b" ", b"", b"  ")) + pick(MAILS) + \
        rng.choice((b" ", b" ", b" ", b"", b"\t")) + pick(DATES)


def disturb(lines):
    """Drops, doubles, swaps and changes lines."""
    lines = list(lines)
    while rng.random() < .35 and lines:
        i = rng.randrange(len(lines))
        what = rng.randrange(7)
        if what == 0:
            del lines[i]
        elif what == 1:
            lines.insert(i, lines[i])
        elif what == 2:
            j = rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        elif what == 3:
            lines.insert(i, rng.choice((b"gpgsig x\n y", b"encoding latin1", b"x", b" x", b"gpgsig-sha256 a", b"",
                                        b"mergetag object " + b"1" * HEX + b"\n type commit")))
        elif what == 4:
            at = rng.randrange(len(lines[i]) + 1)
            lines[i] = lines[i][:at] + rng.choice((b"\0", b" ", b"x", b"\t", b"\r")) + lines[i][at:]
        else:
            lines[i] = lines[i][:rng.randrange(len(lines[i]) + 1)]
    end = rng.choice((b"\n\nmessage\n", b"\n\nmessage\n", b"\n", b"", b"\n\n", b"\n\nnul\0\n", b"\n\n\n"))
    return b"\n".join(lines) + end


def commit():
    lines = [b"tree " + some_id("tree")]
    lines += [b"parent " + some_id("commit") for i in range(rng.choice((0, 0, 1, 2)))]
    return add("commit", disturb(lines + [b"author " + person(), b"committer " + person()]))


def tag():
    name = rng.choice((b"v1", b"v1", b"v1", b"a..b", b"-x", b"x.lock", b"a/b", b"a//b", b"/a", b"a/", b".a", b"a.", b"@",
                       b"a@{b", b"", b"a b", b"a~", b"\x7f", b"HEAD", b"a\\b", b"a.lock/b", b"\xc3\xa4", b"a*", b"a\tb"))
    kind = rng.choice((b"commit", b"tree", b"blob", b"tag", b"tree", b"tree", b"", b"Tree", b"trees"))
    lines = [b"object " + some_id(kind.decode() if kind.decode() in GOOD else "tree"), b"type " + kind, b"tag " + name]
    if rng.random() < .8:
        lines.append(b"tagger " + person())
    return add("tag", disturb(lines))


# ---- trees ----

MODES = [b"100644"] * 6 + [b"40000"] * 3 + [b"120000"] * 3 + [b"100755", b"160000", b"100664", b"040000", b"100600", b"0",
                                                           b"140000", b"0100644"]
WORDS = [b".git", b".gitmodules", b".gitattributes", b".gitignore", b".mailmap", b"git~1", b"gitmod~1", b"gitatt~3",
         b"gi7eba~1", b"gi7eb~12", b"gi7d29~1", b"gi7d2~12", b"maba30~1", b"mailma~4", b"gitign~5", b"gi250a~1", b".",
         b"..", b"...", b"a", b"b", b"a.b", b"a-b", b"a0", b"foo", b"foo.c", b"foo-bar", b".gi", b".gitx", b"git", b"~1",
         b".gitmodulesx", b"git~2", b"g", b"gi7eba~9", b"gi7eba~0", b"gi~12345", b"gitmod~0", b"A", b"README", b"x" * 300]
IGNORED = [b"\xe2\x80\x8c", b"\xe2\x80\x8f", b"\xe2\x80\xaa", b"\xe2\x80\xae", b"\xe2\x81\xaa", b"\xe2\x81\xaf",
           b"\xef\xbb\xbf", b"\xe2\x80\x8b", b"\xe2\x81\xa9", b"\xe2\x80\xaf", b"\xe2\x80"]
TAILS = [b" ", b".", b" .", b"::$INDEX_ALLOCATION", b":x", b"\\x", b"x", b"~1", b"\xe2\x80\x8c"]


def name():
    word = rng.choice(WORDS)
    if rng.random() < .2:
        word = bytes(rng.choice((c, ord(chr(c).upper()) if c < 128 else c)) for c in word)
    if rng.random() < .2:
        at = rng.randrange(len(word) + 1)
        word = word[:at] + rng.choice(IGNORED) + word[at:]
    if rng.random() < .15:
        word += rng.choice(TAILS)
    if rng.random() < .06:
        word = rng.choice((b"a\\", b"a\\b\\", b"\\", b"a/", b"/", b"a:")) + word
    return word or b"x"


def tree(specials):
    entries = {}
    for i in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 12))):
        one = name()
        if rng.random() < .1 and entries:
            one = rng.choice(list(entries))[0]
        mode = rng.choice(MODES)
        oid = rng.choice(specials) if rng.random() < .9 else rng.choice(("0" * HEX, GOOD["blob"]))
        entries[(one, mode if rng.random() < .3 else b"")] = (mode, one, oid)
    out = sorted(entries.values(), key=lambda e: e[1] + (b"/" if e[0].lstrip(b"0")[:1] == b"4" else b""))
    if rng.random() < .1:
        rng.shuffle(out)
    data = b"".join(mode + b" " + one + b"\0" + bytes.fromhex(oid) for mode, one, oid in out)
    if rng.random() < .03:
        data = data[:rng.randrange(len(data) + 1)]
    return add("tree", data)


# ---- files that git reads ----

URLS = ["https://h/x", "-u", "--x", "./-x", "../x", "../../:x", "../../../:x", "..//x", "https://h/%0ahost=y", "./%0ax",
        "git://h/%0ax", "http:::x", "https:::h", "https::http://h", "http://", "http:///x", "ftp://h:99999/", "ftp://h:1/",
        "ssh://-h/x", "http://h/../..", "http://h/a/../../b", "https://h\\nx", "file:///x", "h:x", "../..\\\\:x", "./:x",
        "http://[::1]/x", "http://u@h/", "http://h%2e/", "https://a b/", "../%0d", "..", ".", "", "http://h/%zz", "x\\ny"]
MODULE_NAMES = ["a", "..", "../a", "a/..", "a/../b", "a\\\\..\\\\b", "a..b", "...", "", "a/...", "-a", "/..", "..\\\\a"]


def modules():
    out = []
    for i in range(rng.choice((1, 1, 2, 3))):
        out.append('[%s "%s"]' % (rng.choice(("submodule", "submodule", "SubModule", "other")), rng.choice(MODULE_NAMES)
                                  if rng.random() < .4 else "a"))
        for k in range(rng.choice((1, 2, 3))):
            key = rng.choice(("url", "url", "path", "update", "URL", "x", "ignore"))
            value = {"path": rng.choice(("a", "-a", "a/b", "../x", "a b", '"-a"')),
                     "update": rng.choice(("!sh", "none", "checkout", "\\t!x", '"!x"', "! x"))}.get(key, rng.choice(URLS))
            out.append(rng.choice(("\t%s = %s", "%s=%s", "  %s =   %s  ", '\t%s = "%s"', "%s = %s # x", "%s = %s ; x",
                                   "%s = \\\n %s")) % (key, value))
        if rng.random() < .1:
            out.append(rng.choice(("url", "[", "[x", "= x", "x = \\q", '"', "\tpath", "#x", "; [", "[submodule]", "\0",
                                   "[submodule.b]", "url = \"x")))
    return rng.choice(("\n", "\n", "\n", "\r\n")).join(out).encode() + rng.choice((b"\n", b""))


def attributes():
    return b"\n".join(b"a" * rng.choice((0, 5, 100, 2046, 2047, 2048, 2049, 3000)) for i in range(rng.choice((1, 1, 2, 3)))) + \
        rng.choice((b"", b"\n"))


# ---- both sides ----

def entry(kind, data):
    head, size = bytearray([TYPES[kind] << 4 | len(data) & 15]), len(data) >> 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + zlib.compress(data)


LINE = re.compile(r"^(error|warning) in \w+ ([0-9a-f]+): (\w+): ", re.M)
BROKEN = re.compile(r"^error: .*?\b([0-9a-f]{%d})\b.*(?:could not be parsed|corrupt|bogus|bad )" % HEX, re.M)


def git_says(top):
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=top, LC_ALL="C")
    run = lambda *a, **k: subprocess.run([GIT, *a], cwd=top, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **k)
    run("init", "-q", "--bare", "--object-format=" + fmt, ".", check=True)
    body = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(entry(*o) for o in objects.values())
    done = run("index-pack", "--stdin", input=body + hashlib.new(fmt, body).digest())
    assert done.returncode == 0, done.stderr
    text = run("fsck", "--strict", "--no-dangling").stderr.decode(errors="replace")
    found = {oid: set() for oid in objects}
    for severity, oid, what in LINE.findall(text):
        if oid in found:
            found[oid].add(severity[0] + ":" + what)
    return found, set(BROKEN.findall(text)), text


def we_say():
    def ask(items):
        data = b"".join(b"%s %d %d\n%s" % (kind.encode(), special, len(body), body) for kind, special, body in items)
        out = subprocess.run([probe, fmt, *[h + "=error" for h in HYGIENE]], input=data, stdout=subprocess.PIPE, check=True)
        return [set() if line == "-" else set(line.split(" ")) for line in out.stdout.decode().splitlines()]
    found = dict(zip(objects, ask([(kind, 0, data) for kind, data in objects.values()])))
    specials = set()
    for words in found.values():
        specials |= {tuple(w.split(":")[1:]) for w in words if w[0] == "s"}
    # git gathers from trees that it refuses, too; so do we.
    blobs = [(int(kind), oid) for kind, oid in sorted(specials) if oid in objects]
    for (kind, oid), words in zip(blobs, ask([(objects[oid][0], kind, objects[oid][1]) for kind, oid in blobs])):
        found[oid] |= words
    return {oid: {w for w in words if w[0] != "s"} for oid, words in found.items()}


def excused(kind, data, word):
    """What we find and git does not: our reasons."""
    what = word[2:]
    if kind in ("commit", "tag"):
        return VERSION < (2, 46) and b"\r" in data and what == "badDate"
    if kind == "tree":
        # A backslash parts a path on Windows, whatever is behind it; git looks for two names there.
        if b"\\" in data and what in ("hasDot", "hasDotdot", "gitattributesSymlink", "gitignoreSymlink", "mailmapSymlink",
                                      "gitattributesBlob", "hasDotgit", "gitmodulesSymlink"):
            return True
        # git tells of these as findings in what the entry names.
        if what in ("gitmodulesBlob", "gitattributesBlob"):
            return True
    if kind == "blob":
        if what == "gitmodulesPath":
            return b"\\n" in data
        # A line break of any kind in a URL, whatever the URL is; what lies behind a NUL. Older gits do not
        # take URLs apart.
        if what == "gitmodulesUrl":
            return VERSION < (2, 46) or b"\\n" in data or b"%0d" in data or b"\0" in data
        if what == "gitattributesLineLength":
            return b"\0" in data
    return False


def same_reason(words, mine):
    """git's findings that have another name here, or another object."""
    return {w for w in words if w not in mine and w[2:] not in ("gitmodulesMissing", "gitattributesMissing",
                                                              "gitmodulesBlob", "gitattributesBlob")}


files = [add("blob", modules()) for i in range(ROUNDS // 2)] + [add("blob", attributes()) for i in range(ROUNDS // 20)]
for i in range(ROUNDS):
    commit()
    tag()
    tree(files)
for oid in files:
    for special in (b".gitmodules", b".gitattributes"):
        add("tree", b"100644 " + special + b"\0" + bytes.fromhex(oid))
with tempfile.TemporaryDirectory() as top:
    theirs, broken, text = git_says(top)
ours = we_say()
bad, count = [], {}
for oid, (kind, data) in objects.items():
    mine, git = ours[oid], theirs[oid]
    for word in git:
        count[word[2:]] = count.get(word[2:], 0) + 1
    # git does not even look at a tag that is too short for one with a tagger.
    if kind == "tag" and len(data) < HEX + 24:
        continue
    if oid in broken or (kind != "blob" and not git and oid in text and re.search("error: .*%s" % oid, text)):
        if not any(w[0] == "e" for w in mine):
            bad.append((kind, oid, "git cannot read it, we let it through", data))
        continue
    if kind == "tree" and "e:badTree" in git and "e:badTree" in mine:
        continue  # Each looks at as much as it can read.
    missed = same_reason(git, mine)
    more = {w for w in mine - git if not excused(kind, data, w)}
    if missed or more:
        bad.append((kind, oid, "missed %s, more %s" % (sorted(missed), sorted(more)), data))
for one in bad[:12]:
    print(*one, file=sys.stderr)
print("%d objects, %d kinds of findings: %s" % (len(objects), len(count), " ".join(sorted(count))))
if bad:
    sys.exit("%d of %d objects differ (PH_TEST_SEED=%d)" % (len(bad), len(objects), SEED))
if len(count) < 30:
    sys.exit("only %d kinds of findings: the generator has lost its way" % len(count))
