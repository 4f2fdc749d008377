# SPDX-License-Identifier: MIT
"""What the protocols of fetch have beyond a plain one, by stock git over ssh; much of it is off until an owner
sets it."""
import os
import re

from cases_config import configure
from cases_git import pushed
from harness import DAEMON, DELIM, FLUSH, Raw, check, equal, only, pkt


def traced(world, *args, ok=True, **more):
    """A git and the packets of its side."""
    trace = world.path("trace")
    if os.path.exists(trace):
        os.remove(trace)
    r = world.git(*args, ok=ok, GIT_TRACE_PACKET=trace, **more)
    with open(trace, encoding="latin1") as file:
        return r, file.read()


def cloned(world, server, name, *args):
    copy = world.path("copy-%d-%s" % (server.port, len(os.listdir(world.top))))
    world.git("clone", "-q", *args, server.url(name), copy)
    return copy


def negotiate_only(world):
    """fetch --negotiate-only says what both sides have, and gets nothing; push.negotiate builds on it."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    copy = cloned(world, server, "app")
    base = world.rev(copy)
    new = world.commit(copy, "ours")
    r, packets = traced(world, "fetch", "--negotiate-only", "--negotiation-tip=" + new, "origin", cwd=copy)
    both = r.text.split()
    check(base in both and new not in both, "what both have: %r" % both)
    check("> wait-for-done" in packets, packets)
    world.git("checkout", "-q", "--orphan", "none", cwd=copy)
    world.git("commit", "-q", "-m", "root", cwd=copy)
    r = world.git("fetch", "--negotiate-only", "--negotiation-tip=HEAD", "origin", cwd=copy)
    equal(r.text, "", "nothing in common")
    world.git("-c", "push.negotiate=true", "push", "-q", "origin", new + ":refs/heads/n", cwd=copy)
    equal(world.git("ls-remote", server.url("app"), "n", cwd=source).text.split()[0], new, "the push")
    server.stop()


def server_options(world):
    """Any number of server options may be sent, up to a limit that is named."""
    server = world.serve("mem")
    pushed(world, server, "app")
    _, packets = traced(world, "ls-remote", "-o", "one", "--server-option=two=2", server.url("app"))
    check("> server-option=one" in packets and "> server-option=two=2" in packets, packets)
    many = [word for n in range(65) for word in ("-o", "o%d" % n)]
    r = world.git("ls-remote", *many, server.url("app"), ok=False)
    check(r.code != 0 and "too many server options (server_options_max 64)" in r.errtext, r.errtext)
    server.stop()


def session_ids(world):
    """transfer.advertiseSID: one id a session, and the client's is taken."""
    server = world.serve("mem")
    pushed(world, server, "app")
    _, packets = traced(world, "ls-remote", server.url("app"))
    check("session-id" not in packets, "off at first: " + packets)
    configure(world, server, "app", "transfer.advertiseSID", "true")
    seen = set()
    for version in (0, 1, 2):
        _, packets = traced(world, "-c", "transfer.advertiseSID=true", "ls-remote", server.url("app"),
                            version=version)
        seen.update(re.findall("session-id=([0-9a-f]{32})", packets))
    check(len(seen) == 3, "ids: %r" % seen)
    server.stop()


def want_refs(world):
    """uploadpack.allowRefInWant: refs by name, also with a depth, of which git's own server dies."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    configure(world, server, "app", "uploadpack.allowRefInWant", "true")
    for args in ((), ("--depth=2",), ("--depth=1", "--filter=blob:none")):
        copy = world.path("want-refs-%d" % len(args))
        world.git("init", "-q", copy)
        _, packets = traced(world, "fetch", "-q", *args, server.url("app"), "refs/heads/main:refs/heads/x",
                            cwd=copy)
        check("> want-ref refs/heads/main" in packets and "< wanted-refs" in packets, packets)
        equal(world.rev(copy, "x"), world.rev(source, "main"), "the ref")
        world.git("fsck", "--full", cwd=copy)
    server.stop()


def bands_for_all(world):
    """uploadpack.allowSidebandAll: whole answers on bands, errors too."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    configure(world, server, "app", "uploadpack.allowSidebandAll", "true")
    copy = world.path("bands")
    world.git("init", "-q", "--bare", copy)
    _, packets = traced(world, "fetch", "-q", server.url("app"), "refs/*:refs/*", cwd=copy,
                        GIT_TEST_SIDEBAND_ALL="1")
    check("> sideband-all" in packets, packets)
    world.same(source, copy)
    new = world.commit(source, "new")
    world.git("push", "-q", server.url("app"), "main", cwd=source)
    world.git("fetch", "-q", server.url("app"), "refs/*:refs/*", cwd=copy, GIT_TEST_SIDEBAND_ALL="1")
    equal(world.rev(copy, "main"), new, "a fetch with haves")
    r = world.git("fetch", server.url("app"), "1" * 40, cwd=copy, ok=False, GIT_TEST_SIDEBAND_ALL="1")
    check("remote error: upload-pack: not our ref" in r.errtext, r.errtext)
    server.stop()


def any_object(world):
    """Objects by id: in version 0 none but tips until an owner allows it, in version 2 what is reachable."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    blob, old = world.rev(source, "main:link"), world.rev(source, "main~3")
    copy = world.path("any")
    world.git("init", "-q", copy)
    r = world.git("fetch", server.url("app"), old, cwd=copy, version=0, ok=False)
    check("not our ref" in r.errtext or "unadvertised object" in r.errtext, r.errtext)
    for oid in (old, blob):
        world.git("fetch", "-q", server.url("app"), oid, cwd=copy, version=2)
        world.git("cat-file", "-e", oid, cwd=copy)
    configure(world, server, "app", "uploadpack.allowReachableSHA1InWant", "true")
    other = world.path("any-2")
    world.git("init", "-q", other)
    world.git("fetch", "-q", server.url("app"), old, cwd=other, version=0)
    world.git("cat-file", "-e", old, cwd=other)
    server.stop()


def object_sizes(world):
    """object-info tells sizes of what could be fetched, and of nothing else."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    blob = world.rev(source, "main:link")
    secret = world.commit(source, "secret", "nobody is to know\n")
    world.git("push", "-q", server.url("app"), secret + ":refs/heads/secret", cwd=source)
    configure(world, server, "app", "transfer.advertiseObjectInfo", "true")
    configure(world, server, "app", "--add", "transfer.hideRefs", "refs/heads/secret")
    hidden = world.rev(source, secret + ":secret")
    raw = Raw(world, server, "git-upload-pack", "app", version=2)
    check(b"object-info=size\n" in raw.until_flush(), "advertisement")
    raw.send(pkt("command=object-info"), DELIM, pkt("size"), pkt("oid " + blob), pkt("oid " + hidden),
             pkt("oid " + "1" * 40), FLUSH)
    equal(raw.until_flush(), [b"size", (blob + " 14").encode(), (hidden + " ").encode(),
                              ("1" * 40 + " ").encode()], "sizes")
    raw.send(FLUSH)
    equal(raw.close()[0], 0, "exit status")
    r = world.git("cat-file", "--batch-command=%(objectname) %(objectsize)", cwd=source, ok=False,
                  data=("remote-object-info %s %s\n" % (server.url("app"), blob)).encode())
    check(r.code != 0 and "remote-object-info" in r.errtext or r.text == blob + " 14\n",
          "by a git that has the command: " + r.text + r.errtext)
    server.stop()


def bundle_uris(world):
    """bundle-uri is answered as it was configured; off, it is not there."""
    server = world.serve("mem")
    pushed(world, server, "app")
    for key, value in (("bundle.version", "1"), ("bundle.mode", "all"),
                       ("bundle.b.uri", "https://127.0.0.1:1/b.bundle")):
        configure(world, server, "app", key, value)
    raw = Raw(world, server, "git-upload-pack", "app", version=2)
    check(b"bundle-uri\n" not in raw.until_flush(), "off at first")
    raw.kill()
    configure(world, server, "app", "uploadpack.advertiseBundleURIs", "true")
    raw = Raw(world, server, "git-upload-pack", "app", version=2)
    check(b"bundle-uri\n" in raw.until_flush(), "advertisement")
    raw.send(pkt("command=bundle-uri"), FLUSH)
    equal(raw.until_flush(), [b"bundle.version=1", b"bundle.mode=all",
                              b"bundle.b.uri=https://127.0.0.1:1/b.bundle"], "bundles")
    raw.send(FLUSH)
    equal(raw.close()[0], 0, "exit status")
    # Nobody listens there: a client that asks goes on without.
    world.git("clone", "-q", "-c", "transfer.bundleURI=true", server.url("app"), world.path("copy"))
    server.stop()


def endless_requests(world):
    """What a client may name in one request ends, with the limit's name."""
    server = world.serve("mem")
    source = pushed(world, server, "app")
    want = "want " + world.rev(source, "main")
    for line, said in ((lambda n: "have %040x" % n, b"too many haves (haves_max "),
                       (lambda n: "shallow %040x" % n, b"too many shallow lines (shallows_max "),
                       (lambda n: "want %040x" % n, b"too many wants (wants_max "),
                       (lambda n: "ofs-delta", b"too many lines (request_lines_max ")):
        raw = Raw(world, server, "git-upload-pack", "app", version=2)
        raw.until_flush()
        raw.send(pkt("command=fetch"), DELIM, pkt(want))
        try:
            for at in range(0, 2200000, 20000):
                raw.send(b"".join(pkt(line(n)) for n in range(at, at + 20000)))
        except BrokenPipeError:
            pass
        got = raw.p.stdout.read()
        check(said in got, "%r for %r" % (got[:200], line(0)))
        raw.kill()
    check(server.alive(), "the server")
    server.stop()


@only(DAEMON, "a machine's limits follow from its memory")
def limits(world):
    """serve --limit: other limits than the defaults."""
    server = world.serve("mem", "--limit", "server_options_max=1", "--limit=depth_max=2")
    pushed(world, server, "app")
    world.git("ls-remote", "-o", "one", server.url("app"))
    r = world.git("ls-remote", "-o", "one", "-o", "two", server.url("app"), ok=False)
    check("too many server options (server_options_max 1)" in r.errtext, r.errtext)
    r = world.git("clone", "--depth=3", server.url("app"), world.path("deep"), ok=False)
    check("too deep (depth_max 2)" in r.errtext, r.errtext)
    server.stop()


CASES = (negotiate_only, server_options, session_ids, want_refs, bands_for_all, any_object, object_sizes,
         bundle_uris, endless_requests, limits)
