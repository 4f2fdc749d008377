# SPDX-License-Identifier: MIT
"""Partial clones with every filter, and shallow clones by every way, by stock git over real SSH."""
from cases_git import pushed
from harness import check, equal

FILTERS = ("blob:none", "blob:limit=1k", "blob:limit=3k", "tree:0", "tree:2", "object:type=blob", "object:type=tree",
           "object:type=commit", "sparse:oid=main:.sparse", "combine:tree:3+blob:limit=1k",
           "combine:sparse:oid=main:.sparse+blob:limit=1m")


def kinds(world, repo):
    """The objects that a repository has, without asking anybody for those that it lacks."""
    out = world.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)", cwd=repo).text
    return dict(row.split() for row in out.splitlines())


def expected(world, source, spec):
    """What a clone of all branches and tags gets: git's own answer, and what refs name."""
    out = world.git("rev-list", "--objects", "--no-object-names", "--filter=" + spec, "--all", cwd=source).text
    return set(out.split())


def filters(world):
    """--filter of every kind brings what git says, and the checkout fetches what it needs."""
    server = world.serve("mem")
    source = pushed(world, server, "filters")
    world.commit(source, ".sparse", "/*\n!/*/\n/dir0/\n!file3\n**/sub/file1\n")
    world.commit(source, "large", "large\n" * 1000)
    world.git("push", "-q", "--mirror", server.url("filters"), cwd=source)
    # Protocol 0 takes wants that are no ref's value where this is set, as git does.
    world.ssh(server, "repo", "config", "filters", "uploadpack.allowReachableSHA1InWant", "true")
    for n, spec in enumerate(FILTERS):
        # A client of protocol 0 may name a filter as well.
        version = 0 if n % 3 == 0 else 2
        bare = world.path("filter-%d.git" % n)
        world.git("clone", "-q", "--bare", "--filter=" + spec, server.url("filters"), bare, version=version)
        equal(sorted(kinds(world, bare)), sorted(expected(world, source, spec)), "objects of " + spec)
        # Without commits or trees git as a client asks for them one by one, by the thousand.
        if "type=" in spec:
            continue
        work = world.path("filter-%d" % n)
        world.git("clone", "-q", "--filter=" + spec, server.url("filters"), work, version=version)
        equal(world.git("status", "--porcelain", cwd=work).out, b"", "the working tree of " + spec)
    server.stop()


def filters_later(world):
    """A partial clone fetches on with its filter, and all the rest when it drops it."""
    server = world.serve("mem")
    source = pushed(world, server, "later")
    world.ssh(server, "repo", "config", "later", "uploadpack.allowReachableSHA1InWant", "true")
    for version in (0, 2):
        work = world.path("later-%d" % version)
        world.git("clone", "-q", "--filter=tree:1", server.url("later"), work, version=version)
        new = world.commit(source, "new-%d" % version)
        world.git("push", "-q", server.url("later"), "main", cwd=source)
        world.git("pull", "-q", cwd=work, version=version)
        equal(world.rev(work), new, "what was pulled")
        equal(world.git("status", "--porcelain", cwd=work).out, b"", "the working tree")
        if world.git_version() >= (2, 36):
            world.git("fetch", "-q", "--refetch", "--no-filter", cwd=work, version=version)
            check(set(kinds(world, source)) <= set(kinds(world, work)) | reachable_not(world, source),
                  "everything came")
        world.git("fsck", cwd=work)
    server.stop()


def reachable_not(world, source):
    """Objects of a repository that none of its refs reaches."""
    out = world.git("rev-list", "--objects", "--no-object-names", "--all", cwd=source).text
    return set(kinds(world, source)) - set(out.split())


def filters_refused(world):
    """What is no filter, is too much, or names what is not there, is said in plain words."""
    server = world.serve("mem")
    pushed(world, server, "refused")
    rows = (("sparse:oid=main:nosuch", "unable to access sparse blob in 'main:nosuch'"),
            ("sparse:oid=" + "1" * 40, "unable to access sparse blob in"),
            ("sparse:oid=main:dir0", "unable to parse sparse filter data"))
    for version in (0, 2):
        for spec, text in rows:
            r = world.git("clone", "-q", "--bare", "--filter=" + spec, server.url("refused"), world.path("none"),
                          ok=False, version=version)
            # A client of version 0 may be writing on when it is told, and die of that: stderr has it too.
            told = ("remote error: " if version == 2 else "") + text
            check(r.code != 0 and told in r.errtext, "refused: %s" % r.errtext)
    world.ssh(server, "repo", "config", "refused", "uploadpackfilter.tree.maxDepth", "1")
    r = world.git("clone", "-q", "--bare", "--filter=tree:2", server.url("refused"), world.path("none"), ok=False)
    check("tree filter allows max depth 1, but got 2" in r.errtext, "refused: %s" % r.errtext)
    world.ssh(server, "repo", "config", "refused", "uploadpackfilter.blob:none.allow", "false")
    r = world.git("clone", "-q", "--bare", "--filter=blob:none", server.url("refused"), world.path("none"), ok=False)
    check("filter 'blob:none' not supported" in r.errtext, "refused: %s" % r.errtext)
    server.stop()


def commits(world, repo, *what):
    return sorted(world.git("rev-list", *(what or ("HEAD",)), cwd=repo).text.split())


def boundary(repo):
    with open(repo + "/.git/shallow") as f:
        return sorted(f.read().split())


def shallow_by_time(world):
    """--shallow-since and --shallow-exclude, when cloning and when fetching on: as from git itself."""
    server = world.serve("mem")
    source = pushed(world, server, "times")
    world.git("tag", "old", "main~8", cwd=source)
    world.git("push", "-q", "--mirror", server.url("times"), cwd=source)
    times = world.git("log", "--format=%ct", "main", cwd=source).text.split()
    ways = (("--shallow-since=" + times[4], "--shallow-since=" + times[9]),
            ("--shallow-exclude=v0", "--shallow-exclude=old"))
    world.git("tag", "v0", "main~3", cwd=source)
    world.git("push", "-q", "--mirror", server.url("times"), cwd=source)
    for version in (0, 2):
        for n, (first, then) in enumerate(ways):
            copies = [world.path("times-%d-%d-%s" % (version, n, end)) for end in ("ours", "git")]
            for copy, url in zip(copies, (server.url("times"), "file://" + source)):
                world.git("clone", "-q", "--single-branch", first, url, copy, version=version)
            equal(commits(world, copies[0]), commits(world, copies[1]), "commits by " + first)
            equal(boundary(copies[0]), boundary(copies[1]), "the boundary by " + first)
            for copy in copies:
                world.git("fetch", "-q", then, cwd=copy, version=version)
                world.git("fsck", "--strict", cwd=copy)
            equal(commits(world, copies[0]), commits(world, copies[1]), "commits by " + then)
        # Where a merge is cut off, git's rule makes boundaries of commits behind it, which git as a client
        # then stumbles over when it opens them, whoever the server is. Here only the tip is one.
        copy = world.path("tip-%d" % version)
        world.git("clone", "-q", "--single-branch", "--shallow-since=" + times[0], server.url("times"), copy,
                  version=version)
        equal(boundary(copy), [world.rev(source, "main")], "the boundary")
        world.git("fetch", "-q", "--unshallow", cwd=copy, version=version)
        equal(commits(world, copy), commits(world, source, "main"), "all commits")
        world.git("fsck", "--strict", cwd=copy)
        future = str(int(times[0]) + 1)
        r = world.git("clone", "-q", "--shallow-since=" + future, server.url("times"), world.path("none"), ok=False,
                      version=version)
        check("no commits selected for shallow requests" in r.errtext, "nothing so new: %s" % r.errtext)
        r = world.git("clone", "-q", "--shallow-exclude=nosuch", server.url("times"), world.path("none"), ok=False,
                      version=version)
        check("deepen-not is not a ref: deepen-not nosuch" in r.errtext, "no such ref: %s" % r.errtext)
    server.stop()


def shallow_more(world):
    """--deepen, step by step to the end; and a depth and a filter at once."""
    server = world.serve("mem")
    source = pushed(world, server, "more")
    world.ssh(server, "repo", "config", "more", "uploadpack.allowReachableSHA1InWant", "true")
    first = ("rev-list", "--first-parent", "--count", "HEAD")
    total = int(world.git(*first, cwd=source).text)
    for version in (0, 2):
        copy = world.path("more-%d" % version)
        world.git("clone", "-q", "--depth", "2", server.url("more"), copy, version=version)
        for depth in range(4, total + 3, 2):
            world.git("fetch", "-q", "--deepen=2", cwd=copy, version=version)
            equal(int(world.git(*first, cwd=copy).text), min(depth, total), "commits after --deepen")
        equal(commits(world, copy), commits(world, source), "all commits")
        world.git("fsck", "--strict", cwd=copy)
        # A clone of depth and filter at once.
        both = world.path("both-%d" % version)
        world.git("clone", "-q", "--depth", "3", "--filter=tree:0", server.url("more"), both, version=version)
        equal(int(world.git(*first, cwd=both).text), 3, "commits of a partial clone")
        equal(world.git("status", "--porcelain", cwd=both).out, b"", "the working tree")
    server.stop()


CASES = [filters, filters_later, filters_refused, shallow_by_time, shallow_more]
