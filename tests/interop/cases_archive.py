# SPDX-License-Identifier: MIT
"""git archive --remote by stock git, compared with what git itself makes of the same repository."""
import contextlib
import io
import os
import random
import tarfile
import time
import zipfile
import zlib

from cases_git import both
from harness import Raw, FLUSH, check, equal, pkt

ATTRIBUTES = """\
# A comment, and a blank line

[attr]doc -diff export-subst
[attr]twice doc ident
[attr]binary -diff -merge -text foo
*.secret export-ignore
/only-here export-ignore
gone/ export-ignore
deep/**/hidden export-ignore
mid/*/x.c export-ignore
"quoted \\"name\\"" export-ignore
s?t export-ignore
c[ab-d]e export-ignore
c[!ab]f export-ignore
emptied/** export-ignore
sub-ignored export-ignore
*.fmt export-subst
*.dos text eol=crlf
*.auto text=auto eol=crlf
*.id ident
*.bin binary
*.txt diff
manual doc
guide twice
a/kept !export-ignore
!negative export-ignore
a/* export-ignore=maybe
bad,name good
"""

FORMATS = """\
$Format:%H$ $Format:%h$ $Format:%T %t$
$Format:%P|%p$
$Format:%an <%ae> %al at %ad, %aD, %ai, %as, %at$
$Format:%cn <%ce> at %cd, %cD, %ci, %cs, %ct$
$Format:%s|%f|%e$
$Format:%b$|$Format:%B$|
$Format:%d|%D|%m$
$Format:%x41%x0a%n%%%x4$
$Format:%<(20)%an|%>(20)%an|%><(20)%an|$
$Format:%<(8,trunc)%s|%<(8,ltrunc)%s|%<(8,mtrunc)%s|$
$Format:   %>>(10)%an|%<|(40)%an|%>|(40)%an|$
$Format:%+s%+x%-s% s%- %+$
$Format:%w(20,2,4)%B%w()x$
$Format:%w(30)%s%n%n%b$
$Format:%w(0,3,5)%b$
$Format:%Cred%an%Creset%C(auto)%C(bold blue)$
$Format:%<(20)%Cred%an|$
$Format:%G? %N %S %(bogus) %(trailers %q %$
$Format:%gd%gs%gn$
$Format:not closed
$Format:%<(999999)%an %w(99999)$
$Format:$Formats$ $Id$ $Format:%h
lines$
"""


def long_name(n, salt):
    name = ""
    while len(name) < n:
        name += "%s%03d" % (salt, len(name))
    return name[:n]


def attic(world, path, fmt):
    """A tree with everything that an archive may find difficult, in two commits, with tags."""
    world.git("init", "-q", "--bare", "--object-format=" + fmt, path)
    rng = random.Random(7)
    files = {
        ".gitattributes": ATTRIBUTES, "README": "hello\n", "empty": "", "a/kept": "kept\n", "a/b": "b\n",
        "x.secret": "no\n", "dir/y.secret": "no\n", "only-here": "no\n", "dir/only-here": "yes\n",
        "gone/file": "no\n", "dir/gone": "a file\n", "deep/1/2/hidden": "no\n", "deep/hidden": "no\n",
        "deep/1/shown": "yes\n", "mid/a/x.c": "no\n", "mid/a/b/x.c": "yes\n", 'quoted "name"': "no\n",
        "set": "no\n", "sett": "yes\n", "cae": "no\n", "cee": "yes\n", "cxf": "no\n", "caf": "yes\n",
        "emptied/1/2": "no\n", "emptied/3": "no\n",
        "v.fmt": FORMATS, "manual": "is $Format:%h$\n", "guide": "$Id$ $Format:%s$\n$Id: 12 $ $Id: a b $\n",
        "crlf.dos": "one\ntwo\r\nthree\n\nfour", "text.auto": "one\ntwo\n", "nul.auto": "one\0\ntwo\n",
        "mixed.auto": "one\r\ntwo\n", "cr.auto": "a\rb\nc\n", "key.id": "$Id$ $Id: old $ $Id: x y $ $Id:\n$ $Id\n",
        "raw.bin": "text\n", "nul.txt": "a\0b\n", "plain.c": "int x;\n",
        "sub/.gitattributes": "[attr]macro export-ignore\n*.fmt -export-subst\nleft export-ignore\n"
                              "/top export-ignore\nin/side export-ignore\n",
        "sub/w.fmt": "$Format:%H$\n", "sub/left": "no\n", "sub/x/left": "no\n", "sub/top": "no\n",
        "sub/x/top": "yes\n", "sub/in/side": "no\n", "sub/x/in/side": "yes\n",
        "sub/x/.gitattributes": "y.secret !export-ignore\nz.secret -export-ignore\n",
        "sub/x/y.secret": "yes\n", "sub/x/z.secret": "yes\n", "z/.gitattributes": "* export-ignore\n", "z/1": "no\n",
        "w*ld": "star\n", "w[x]": "set\n", "back\\slash": "b\n",
        long_name(100, "n"): "100\n", long_name(101, "m"): "101\n",
        long_name(90, "p") + "/" + long_name(60, "q") + "/" + long_name(99, "r"): "prefix and name\n",
        long_name(155, "s") + "/" + long_name(100, "t"): "as long as it fits\n",
        long_name(156, "u") + "/" + long_name(20, "v"): "prefix too long\n",
        long_name(20, "w") + "/" + long_name(120, "x"): "name too long\n",
        "/".join(long_name(80, c) for c in "abcdef"): "480\n",
        "\u00fcml\u00e4ut/\u65e5\u672c\u8a9e.txt": "unicode\n",
        "big.txt": "".join("line %d of %d\n" % (n, rng.randrange(1 << 30)) for n in range(60000)),
        "big.dat": rng.randbytes(1200000) + b"\0", "mid.dat": rng.randbytes(300000),
        "just.dat": bytes(1 << 20), "wide.dos": "line\n" * 450000 + "\r\n\r", "wide.auto": "line\n" * 450000,
        "binary.auto": "line\n" * 450000 + "\0",
    }
    stream = []

    def put(mode, name, data):
        data = data.encode() if isinstance(data, str) else data
        name = name.encode() if isinstance(name, str) else name
        quoted = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        stream.append(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted, len(data), data))

    def commit(message, author, when):
        body = message.encode()
        stream.append(b"commit refs/heads/main\nauthor %s %s\ncommitter C O Mitter <c@example.org> 1500000000"
                      b" +0000\ndata %d\n%s\n" % (author.encode(), when.encode(), len(body), body))

    commit("first\n", "A U Thor <a@example.org>", "1400000000 -0330")
    for name, data in files.items():
        put("100755" if name in ("README", "sett") else "100644", name, data)
    put("120000", "link", "README")
    put("120000", "long-link", long_name(100, "l"))
    put("120000", "longer-link", long_name(101, "l"))
    put("120000", long_name(110, "k"), long_name(300, "l"))
    put("100644", b"latin-\xe9", "not UTF-8\n")
    stub = "12" * (32 if fmt == "sha256" else 20)
    stream.append(b"M 160000 %s module\nM 160000 %s sub-ignored\nM 160000 %s deeper/module\n" % ((stub.encode(),) * 3))
    commit("A subject that\nhas two lines, and: signs...\n\nA body with words that are wrapped somewhere, "
           "and\nlines.\n\n  indented\n\tand a tab\n\nEnd\u00e9.\n", "\u00c4 \u00dcthor <a.b@example.org>", "1600000000 +0200")
    stream.append(b"reset refs/heads/side\nfrom refs/heads/main\n\n")
    stream.append(b"reset refs/remotes/origin/main\nfrom refs/heads/main\n\n")
    stream.append(b"reset refs/pull/1/head\nfrom refs/heads/main\n\n")
    stream.append(b"reset refs/tags/light\nfrom refs/heads/main\n\n")
    world.git("fast-import", "--quiet", cwd=path, data=b"".join(stream))
    world.git("tag", "-a", "-m", "one", "v1", "main", cwd=path)
    world.git("tag", "-a", "-m", "two", "v2", "v1", cwd=path)
    empty = world.git("mktree", cwd=path, data=b"").text.strip()
    world.git("update-ref", "refs/heads/empty",
              world.git("commit-tree", "-m", "empty", empty, cwd=path).text.strip(), cwd=path)
    world.git("update-ref", "refs/tags/tree", world.rev(path, "main:dir"), cwd=path)
    world.git("update-ref", "refs/tags/blob", world.rev(path, "main:README"), cwd=path)
    world.git("symbolic-ref", "HEAD", "refs/heads/main", cwd=path)
    # Deltas, as a push from anywhere would bring.
    world.git("repack", "-adfq", "--depth=5", cwd=path)
    return path


def memory(world):
    """A file that is stored as a difference is put together in memory: small machines refuse large ones."""
    return {} if world.platform == "daemon" else {"mem": 512}


def published(world, server, fmt="sha1"):
    name = "attic-%s" % fmt
    path = world.path(name)
    if not os.path.exists(path):
        attic(world, path, fmt)
    if fmt == "sha256":
        world.ssh(server, "repo", "create", name, "--object-format=sha256")
    world.git("push", "-q", "--mirror", server.url(name), cwd=path)
    return path, server.url(name)


def gunzip(data):
    return zlib.decompress(data, 31)


def same_bytes(ours, theirs, what):
    if ours == theirs:
        return
    where = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    where = max(0, where - 60)
    check(False, "%s: %d and %d bytes, different from byte %d on: %r, not %r" % (
        what, len(ours), len(theirs), where + 60, ours[where:where + 200], theirs[where:where + 200]))


def same_archive(world, path, url, *args, unpack=None):
    ours = world.git("archive", "--remote=" + url, *args).out
    theirs = world.git("archive", *args, cwd=path).out
    if unpack:
        ours, theirs = unpack(ours), unpack(theirs)
    same_bytes(ours, theirs, args)
    return ours


def archive_tar(world):
    """tar, tar.gz and tgz are git's, byte for byte inside, for every kind of entry and of attribute."""
    ran = []

    def run(server, fmt):
        path, url = published(world, server, fmt)
        requests = (["main"], ["HEAD"], ["refs/heads/main"], ["v2"], ["tags/light"], ["heads/side"],
                     ["--prefix=x/", "main"], ["--prefix=a/b//", "main"], ["--prefix=y-", "main"],
                     ["--prefix=" + long_name(120, "z") + "/", "main"], ["empty"], ["--prefix=e/", "empty"],
                     ["--format=tar", "main", "dir"], ["main", "README", "link", "module"], ["main", "deep/"],
                     ["main", "*.c"], ["main", "w?ld", "a/"], ["main", "*/x*"], ["main", "."], ["main", "./a//b"],
                     ["main", ":/dir"], ["main", ":(literal)w*ld"], ["main", ":(glob)mid/*/*/x.c"], ["main", ":(glob)**/x.c"],
                     ["main", "sub", "--", "z"], ["main", "module/"], ["main:sub"], ["main:sub/x/", "in"])
        # All of them once, then some on each store and in each object format.
        for args in requests[len(ran)::4 if ran else 1]:
            unpack = None
            if ":sub" in args[0]:
                # It has no commit, so its time is now.
                unpack = names
            same_archive(world, path, url, *args, unpack=unpack)
        for fmt_name in ("tar.gz", "tgz"):
            for level in ([], ["-0"], ["-1"], ["-9"])[len(ran):]:
                same_archive(world, path, url, "--format=" + fmt_name, *level, "main", unpack=gunzip)
        data = world.git("archive", "--remote=" + url, "-o", world.path("out.tar.gz"), "main") and \
            open(world.path("out.tar.gz"), "rb").read()
        equal(data[:10], b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "the header of gzip")
        ran.append(fmt)
    both(world, run, **memory(world))


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as f:
        for m in f:
            check(abs(m.mtime - time.time()) < 600 or m.mtime == 0, "the time of a tree is now: %d" % m.mtime)
        f = tarfile.open(fileobj=io.BytesIO(data))
        return [(m.name, m.mode, m.size, m.linkname, m.type) for m in f]


def archive_zip(world):
    """zip is git's as well, byte for byte where compression is the same, with comment, modes and times."""
    def listed(data):
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            equal(z.testzip(), None, "the zip's checksums")
            return z.comment, [(i.filename, i.date_time, i.external_attr, i.internal_attr, i.extra, i.file_size, i.CRC,
                                i.create_system, i.flag_bits, z.read(i)) for i in z.infolist()]

    def run(server, fmt):
        path, url = published(world, server, fmt)
        for args in (["main"], ["v1"], ["--prefix=p/", "main", "sub"], ["-0", "main"], ["-9", "main"], ["empty"]):
            data = same_archive(world, path, url, "--format=zip", *args)
            if args == ["main"]:
                comment, _ = listed(data)
                equal(comment.decode(), world.rev(path, "main"), "the comment")
    both(world, run, **memory(world))


def archive_told(world):
    """--list and -v are told as git tells them."""
    server = world.serve("mem", **memory(world))
    path, url = published(world, server)
    equal(world.git("archive", "--remote=" + url, "--list").text, "tar\ntgz\ntar.gz\nzip\n", "--list")
    r = world.git("archive", "--remote=" + url, "-v", "--prefix=x/", "-o", world.path("v.tar"), "main", "dir", "README")
    local = world.git("archive", "-v", "--prefix=x/", "main", "dir", "README", cwd=path)
    told = [line.replace("remote: ", "").rstrip() for line in r.errtext.splitlines()]
    check(told[0].startswith("warning: negative patterns"), "a warning comes first: %r" % told)
    equal(told[1:], [x for x in local.errtext.splitlines() if "egative" not in x and "Use" not in x], "what is told")
    equal(open(world.path("v.tar"), "rb").read(), local.out, "the archive beside it")
    # Many lines, interleaved with the archive.
    r = world.git("archive", "--remote=" + url, "--verbose", "--format=tgz", "-o", world.path("v.tgz"), "main")
    equal(gunzip(open(world.path("v.tgz"), "rb").read()), world.git("archive", "main", cwd=path).out, "the archive")
    lines = [x.replace("remote: ", "").rstrip() for x in r.errtext.splitlines()]
    check("sub/x/in/side" in lines and "[attr]macro not allowed: sub/.gitattributes:1" in lines, r.errtext[-2000:])
    server.stop()


def archive_refused(world):
    """Only what a ref shows is given out, and what is wrong is said in git's words."""
    server = world.serve("mem", **memory(world))
    path, url = published(world, server)
    oid = world.rev(path, "main")
    world.git("update-ref", "refs/hidden/x", oid, cwd=path)
    world.git("push", "-q", url, "refs/hidden/x:refs/hidden/x", cwd=path)

    def refused(words, *args, exact=True):
        r = world.git("archive", "--remote=" + url, *args, ok=False)
        check(r.code != 0 and words in r.errtext and r.out == b"", "%r: %d %r" % (args, r.code, r.errtext))

    for args, words in (([oid], "no such ref: " + oid), (["main^"], "no such ref: main^"), (["main~1"], "no such ref"),
                        ([oid + ":dir"], "no such ref"), (["main^{tree}"], "no such ref"), (["none"], "no such ref: none"),
                        (["main@{1}"], "no such ref"), (["main:none"], "not a valid object name: main:none"),
                        (["main:README"], "not a tree object"), (["main:module"], "not a tree object"),
                        (["blob"], "not a tree object"), (["main:./dir"], "relative path syntax"),
                        (["main", "none"], "pathspec 'none' did not match any files"),
                        (["main", "*.none"], "did not match"), (["main", ":!a"], "magic"),
                        (["main", "../x"], "outside repository"), (["main", ""], "empty string is not a valid pathspec"),
                        (["--format=rar", "main"], "Unknown archive format 'rar'"),
                        (["-3", "--format=tar", "main"], "Argument not supported for format 'tar': -3"),
                        (["--bogus", "main"], "bogus"), (["--worktree-attributes", "main"], "no working tree")):
        refused(words, *args)
    r = world.git("archive", "--remote=" + server.url("nowhere"), "main", ok=False)
    check(r.code != 0 and "not found" in r.errtext, r.errtext)
    refused("pathspec", "main", "x.none", *["README"] * 40)
    # A ref that is there is given until it is hidden.
    same_archive(world, path, url, "refs/hidden/x")
    server.stop()


def raw(world, server, name, *packets):
    """The answer to packets sent by hand: bands by number, and the exit status."""
    client = Raw(world, server, "git-upload-archive", name)
    # Who is told why has hung up by then, maybe.
    with contextlib.suppress(BrokenPipeError):
        client.send(*packets)
    bands = {1: b"", 2: b"", 3: b""}
    equal(client.packet(), b"ACK\n", "the first answer")
    equal(client.packet(), None, "what follows")
    while True:
        try:
            packet = client.packet()
        except EOFError:
            break
        if packet is None:
            break
        bands[packet[0]] += packet[1:]
    code, rest, _ = client.close()
    equal(rest, b"", "what comes behind the end")
    return bands, code


def archive_garbage(world):
    """What no git sends is answered, not obeyed: too many arguments, files to add, nonsense."""
    server = world.serve("mem", **memory(world))
    path, url = published(world, server)
    died = b"git upload-archive: archiver died with error"

    def refused(words, *packets):
        bands, code = raw(world, server, "attic-sha1", *packets)
        check(code == 128 and words in bands[2] and died in bands[3] and not bands[1], "%r: %r" % (packets, bands))

    argument = [pkt("argument main\n")]
    refused(b"Too many options (>63)", *[pkt("argument README\n")] * 65, FLUSH)
    bands, code = raw(world, server, "attic-sha1", *argument, *[pkt("argument README\n")] * 63, FLUSH)
    equal((code, bands[3]), (0, b""), "64 arguments")
    refused(b"'argument' token or flush expected", pkt("main\n"), FLUSH)
    refused(b"'argument' token or flush expected", b"0004", FLUSH)
    refused(b"'argument' token or flush expected", b"0001", FLUSH)
    refused(b"bad line length", b"00zz")
    refused(b"--add-file' and '--remote'", pkt("argument --add-file=/etc/passwd\n"), *argument, FLUSH)
    refused(b"--add-file' and '--remote'", pkt("argument --add-virtual-file=x:y\n"), *argument, FLUSH)
    refused(b"Unexpected option --remote", pkt("argument --remote=x\n"), *argument, FLUSH)
    refused(b"Unexpected option --output", pkt("argument -o\n"), pkt("argument x\n"), *argument, FLUSH)
    refused(b"--exec", pkt("argument --exec=x\n"), *argument, FLUSH)
    refused(b"usage: git archive", FLUSH)
    refused(b"unknown switch `z'", pkt("argument -z\n"), *argument, FLUSH)
    refused(b"unknown option `nonsense'", pkt("argument --nonsense\n"), *argument, FLUSH)
    refused(b"requires a value", *argument, pkt("argument --format\n"), FLUSH)
    refused(b"ambiguous option", pkt("argument --add=x\n"), *argument, FLUSH)
    refused(b"too long", *[pkt(b"argument " + b"x" * 60000)] * 6, FLUSH)
    equal(raw(world, server, "attic-sha1", pkt("argument --form=tar\n"), pkt("argument --pre\n"), pkt("argument q/\n"),
              pkt("argument main\n"), FLUSH)[0][1], world.git("archive", "--prefix=q/", "main", cwd=path).out,
          "shortened options")
    bands, code = raw(world, server, "attic-sha1", pkt("argument --mtime=2001-02-03 04:05:06 +0100\n"),
                      pkt("argument main\n"), pkt("argument README\n"), FLUSH)
    with tarfile.open(fileobj=io.BytesIO(bands[1])) as f:
        equal(f.getmember("README").mtime, 981169506, "--mtime")
    server.stop()


def archive_random(world):
    """Random trees, attributes, formats and paths give what git gives. PH_TEST_SEED chooses, PH_TEST_ROUNDS how many."""
    seed = int(os.environ.get("PH_TEST_SEED", "1"))
    server = world.serve("mem", **memory(world))
    for n in range(int(os.environ.get("PH_TEST_ROUNDS", "6"))):
        rng = random.Random(seed * 1000 + n)
        path, refs = random_trees(world, rng, "random-%d" % n), []
        world.git("push", "-q", "--mirror", server.url("random-%d" % n), cwd=path)
        head = world.git("ls-remote", "--symref", server.url("random-%d" % n), "HEAD").text.split()[1]
        world.git("symbolic-ref", "HEAD", head, cwd=path)
        for ref in world.refs(path):
            name = ref.split(" ")[1]
            args = [rng.choice([name, name.replace("refs/heads/", "")])]
            if rng.random() < 0.5:
                args += [pattern(rng) for _ in range(rng.randrange(1, 3))]
            if rng.random() < 0.3:
                args = ["--prefix=" + pattern(rng), *args]
            if rng.random() < 0.3:
                args = ["--format=zip", *args]
            local = world.git("archive", *args, cwd=path, ok=False)
            ours = world.git("archive", "--remote=" + server.url("random-%d" % n), *args, ok=False)
            what = "PH_TEST_SEED=%d, round %d, %r in %s" % (seed, n, args, path)
            if local.code:
                check(ours.code, "%s: git says %s" % (what, local.errtext))
            else:
                check(ours.code == 0, "%s: we say %s" % (what, ours.errtext))
                same_bytes(ours.out, local.out, what)
    server.stop()


def pattern(rng):
    parts = ["a", "b", "ab", "b.c", "*", "?", "[ab]", "[!a]", "[[:alpha:]]", "\\a", "*.c", "a*", "*b", "", ".", "[a-"]

    def component():
        # Old gits take "a**" for more than "a*".
        if rng.random() < 0.15:
            return "**"
        return "".join(rng.choice(parts) for _ in range(rng.choice((1, 1, 1, 2)))).replace("**", "*")
    return "/".join(component() for _ in range(rng.choice((1, 1, 2, 3))))


def random_trees(world, rng, name):
    """Branches with small random trees of names that patterns often hit."""
    path = world.path(name)
    world.git("init", "-q", "--bare", path)
    formats = ["%" + x for x in ("H", "h", "an", "ae", "ad", "aD", "as", "cI", "ci", "ct", "s", "f", "b", "B", "d", "D", "e", "n", "x41",
               "<(7)", ">(12)", "><(9)", "<(6,trunc)", ">(5,ltrunc)", "<(7,mtrunc)", "<|(20)", ">>(9)", "w(20,1,3)", "w()", "+s",
               "-b", " D", "+b", "Cred", "C(auto)", "%", "q", "P", "p", "T", "gd", "N", "m", "")]
    stream = []

    def attributes():
        out = []
        for _ in range(rng.randrange(1, 8)):
            states = rng.sample(["export-ignore", "-export-ignore", "!export-ignore", "export-subst", "text", "-text", "text=auto",
                                 "eol=crlf", "eol=lf", "ident", "-diff", "diff", "binary", "both", "crlf=input", "x y=z"],
                                rng.randrange(1, 4))
            out.append("%s%s %s" % (rng.choice(["", "", "", "/"]), pattern(rng) + rng.choice(["", "", "/"]), " ".join(states)))
        if rng.random() < 0.5:
            out.insert(rng.randrange(len(out)), "[attr]both export-subst %s" % rng.choice(["ident", "eol=crlf", "-text", "binary"]))
        return "\n".join(out) + rng.choice(["\n", ""])

    def content():
        out = []
        for _ in range(rng.randrange(0, 6)):
            out.append(rng.choice(["plain", "$Id$", "$Id: x $", "a\r", "\0" if rng.random() < 0.2 else "t", "\u00e4\u65e5",
                                   "$Format:" + "".join(rng.choice(["", " ", "x", "\u65e5", "  "]) + rng.choice(formats)
                                                       for _ in range(rng.randrange(1, 7))) + "$"]))
        return "\n".join(out) + rng.choice(["\n", ""])

    for branch in range(4):
        message = rng.choice(["one line", "two\nlines\n\nbody of it\nand more of it here\n", "\n\nlate\n\n\n\nbody\n\tx\n",
                              "\u65e5\u672c\u8a9e subject: with... dots--\n\nb", ""])
        person = rng.choice(["A U Thor <a@example.org>", "<only@mail>", "\u65e5\u672c <x>", "Noat <noat> "]).strip()
        stream.append("commit refs/heads/r%d\nauthor %s %d %s\ncommitter C <c@d> %d +0100\ndata %d\n%s\ndeleteall\n" % (
            branch, person, rng.randrange(1 << 31), rng.choice(["+0000", "-0730", "+1345"]), rng.randrange(1 << 31),
            len(message.encode()), message))
        if branch and rng.random() < 0.5:
            stream[-1] = stream[-1].replace("deleteall\n", "from refs/heads/r%d\ndeleteall\n" % rng.randrange(branch))
        files = {".gitattributes": attributes()}
        for _ in range(rng.randrange(3, 12)):
            parts = [rng.choice(["a", "b", "ab", "b.c", "aab", "c.c", "-", "a b"]) for _ in range(rng.choice((1, 1, 2, 3)))]
            if any("/".join(parts[:i]) in files for i in range(1, len(parts))) or \
                    any(f.startswith("/".join(parts) + "/") for f in files):
                continue
            files["/".join(parts)] = content()
            if len(parts) > 1 and rng.random() < 0.3:
                files[parts[0] + "/.gitattributes"] = attributes()
        for file, data in files.items():
            stream.append('M %s inline "%s"\ndata %d\n%s\n' % (rng.choice(["100644", "100755"]) if data else "100644", file,
                                                             len(data.encode()), data))
    world.git("fast-import", "--quiet", cwd=path, data="".join(stream).encode())
    return path


CASES = [archive_random, archive_tar, archive_zip, archive_told, archive_refused, archive_garbage]
