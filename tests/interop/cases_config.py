# SPDX-License-Identifier: MIT
"""The configuration as owners set it over ssh, and what stock git sees of it: hidden refs above all."""
import threading

from cases_git import pushed
from harness import DELIM, FLUSH, Raw, check, equal, pkt


def configure(world, server, name, *words, ok=True):
    return world.ssh(server, "repo", "config", name, *words, ok=ok)


def config_commands(world):
    """config and repo config list, set, add to and unset; errors say what would be right; it lasts."""
    server = world.serve("store.img")
    world.ssh(server, "repo", "create", "one")
    equal(configure(world, server, "one").text, "", "a new repository's configuration")
    configure(world, server, "one", "uploadpack.keepAlive", "7")
    configure(world, server, "one", "--add", "transfer.hideRefs", "refs/hide")
    configure(world, server, "one", "--add", "transfer.hideRefs", "!refs/hide/not")
    world.ssh(server, "config", "uploadpack.keepAlive", "9")
    equal(configure(world, server, "one", "transfer.hiderefs").text, "refs/hide\n!refs/hide/not\n", "values")
    for words, said in ((["transfer.hideRef", "x"], "transfer.hideRefs"),
                        (["uploadpack.keepAlive", "often"], "number of seconds"),
                        (["transfer.hideRefs", "hide"], "full name"),
                        (["core.editor", "vi"], "uploadpack.hideRefs"),
                        (["lsrefs.unborn"], "is not set")):
        r = configure(world, server, "one", *words, ok=False)
        check(r.code == 1 and said in r.errtext, "%r: %s" % (words, r.errtext))
    check(b"repo config NAME" in world.ssh(server, "help").out, "help")
    server.stop()
    server = world.serve("store.img")
    equal(configure(world, server, "one").text,
          "uploadpack.keepalive=7\ntransfer.hiderefs=refs/hide\ntransfer.hiderefs=!refs/hide/not\n",
          "the configuration after the server was started again")
    equal(world.ssh(server, "config").text, "uploadpack.keepalive=9\n", "the server's")
    configure(world, server, "one", "--unset", "transfer.hideRefs")
    equal(configure(world, server, "one").text, "uploadpack.keepalive=7\n", "what is left")
    server.stop()


def config_at_once(world):
    """Owners who change different keys at the same time lose none of them."""
    server = world.serve("store.img")
    world.ssh(server, "repo", "create", "one")
    failed = []

    def owner(n):
        for i in range(4):
            for words in (["repo", "config", "one"], ["config"]):
                r = world.ssh(server, *words, "--add", "transfer.hideRefs", "refs/o%d/%d" % (n, i), ok=False)
                if r.code:
                    failed.append(r.errtext)
    owners = [threading.Thread(target=owner, args=(n,)) for n in range(4)]
    for one in owners:
        one.start()
    for one in owners:
        one.join()
    equal(failed, [], "failures")
    for words in (["repo", "config", "one"], ["config"]):
        values = sorted(world.ssh(server, *words, "transfer.hideRefs").text.split())
        equal(values, sorted("refs/o%d/%d" % (n, i) for n in range(4) for i in range(4)), "values")
    server.stop()


def with_secret(world, server, name):
    """A repository with a branch and a tag that are hidden: (source, the secret commit, its blob)."""
    source = pushed(world, server, name)
    secret = world.commit(source, "secret", "nobody is to know\n")
    world.git("tag", "-a", "-m", "hidden tag", "hidden", "main~1", cwd=source)
    world.git("tag", "-a", "-m", "seen tag", "seen", "main~1", cwd=source)
    world.git("push", "-q", server.url(name), "HEAD:refs/heads/secret", "main~1:refs/heads/main",
              "hidden", "seen", "+HEAD:refs/hide/x", cwd=source)
    for hidden in ("refs/heads/secret", "refs/tags/hidden", "refs/hide"):
        configure(world, server, name, "--add", "transfer.hideRefs", hidden)
    return source, secret, world.rev(source, "HEAD:secret")


def hidden_refs(world):
    """ls-remote, clone and fetch, by name and by id, of a repository with hidden refs."""
    server = world.serve("store.img")
    source, secret, blob = with_secret(world, server, "app")
    for version in (0, 1, 2):
        listed = world.git("ls-remote", server.url("app"), version=version).text
        for word in ("secret", "hidden", "refs/hide", secret):
            check(word not in listed, "%s is listed:\n%s" % (word, listed))
        check("refs/tags/seen^{}" in listed, listed)
        copy = world.path("clone-%d" % version)
        world.git("clone", "-q", "--mirror", server.url("app"), copy, version=version)
        world.git("fsck", "--strict", cwd=copy)
        objects = world.objects(copy)
        for oid in (secret, blob, world.rev(source, "hidden")):
            check(oid not in objects, "a clone has " + oid)
        single = world.path("single-%d" % version)
        world.git("clone", "-q", "--single-branch", server.url("app"), single, version=version)
        tags = world.git("tag", cwd=single).text.split()
        check("hidden" not in tags and "seen" in tags, "tags that come along: %r" % tags)
        for what in ("refs/heads/secret", "refs/tags/hidden", "refs/hide/x", secret, blob):
            r = world.git("fetch", server.url("app"), what, cwd=copy, ok=False, version=version)
            check(r.code != 0, "fetch of %s over version %d" % (what, version))
    # Leave to ask for it.
    copy = world.path("clone-2")
    configure(world, server, "app", "uploadpack.allowTipSHA1InWant", "true")
    world.git("fetch", "-q", server.url("app"), secret, cwd=copy)
    check(world.git("fetch", server.url("app"), world.rev(source, "main~1^{tree}"), cwd=world.path("clone-0"),
                    ok=False).code == 0, "what a visible ref reaches as well")
    configure(world, server, "app", "uploadpack.allowTipSHA1InWant", "false")
    configure(world, server, "app", "uploadpack.allowAnySHA1InWant", "true")
    world.git("fetch", "-q", server.url("app"), blob, cwd=world.path("clone-0"), version=0)
    # A HEAD that names a hidden branch tells nothing of it.
    world.ssh(server, "repo", "head", "app", "secret")
    for version in (0, 2):
        listed = world.git("ls-remote", "--symref", server.url("app"), version=version).text
        check("HEAD" not in listed and secret not in listed, listed)
    server.stop()


def hidden_haves(world):
    """Who has what is hidden learns nothing by it, and who has what is seen fetches little."""
    server = world.serve("store.img")
    source, secret, blob = with_secret(world, server, "app")
    copy = world.path("copy")
    world.git("clone", "-q", server.url("app"), copy)
    seen = world.rev(copy)
    raw = Raw(world, server, "git-upload-pack", "app", version=2)
    raw.until_flush()
    for have, answer in ((secret, [b"acknowledgments\n", b"NAK\n"]), (blob, [b"acknowledgments\n", b"NAK\n"]),
                         ("12" * 20, [b"acknowledgments\n", b"NAK\n"])):
        raw.send(pkt("command=fetch\n"), DELIM, pkt("want %s\n" % seen), pkt("have %s\n" % have), FLUSH)
        equal(raw.until_flush(), answer, "the answer to a have of " + have)
    raw.send(FLUSH)
    equal(raw.close()[0], 0, "exit status")
    # A clone that knows of it, by other ways, is served as if it did not.
    new = world.git("commit-tree", "-p", seen, "-m", "more", seen + "^{tree}", cwd=source).text.strip()
    world.git("update-ref", "refs/heads/next", new, cwd=source)
    world.git("push", "-q", server.url("app"), "next:main", cwd=source)
    world.git("fetch", "-q", source, secret, cwd=copy)
    r = world.git("fetch", "--progress", cwd=copy)
    equal(world.rev(copy, "origin/main"), new, "what was fetched")
    check("Total 1 " in r.errtext, r.errtext)
    server.stop()


def hidden_pushes(world):
    """Hidden refs are not advertised to a push, nor changed by one."""
    server = world.serve("store.img")
    source, secret, _ = with_secret(world, server, "app")
    raw = Raw(world, server, "git-receive-pack", "app")
    listed = b"".join(raw.until_flush())
    raw.send(FLUSH)
    raw.close()
    for word in (b"refs/heads/secret", b"refs/hide", b".have", secret.encode()):
        check(word not in listed, "%r is advertised" % word)
    for spec, said in (("+main~2:refs/heads/secret", "deny updating a hidden ref"),
                       ("main:refs/hide/new", "deny updating a hidden ref"),
                       (":refs/hide/x", "deny deleting a hidden ref")):
        r = world.git("push", server.url("app"), spec, cwd=source, ok=False)
        check(r.code != 0 and said in r.errtext, "%s: %s" % (spec, r.errtext))
    world.git("push", "-q", server.url("app"), "main~1:refs/heads/fine", cwd=source)
    configure(world, server, "app", "--unset", "transfer.hideRefs")
    equal(world.git("ls-remote", server.url("app"), "refs/heads/secret").text.split()[0], secret, "the secret")
    server.stop()


def denied_pushes(world):
    """receive.denyDeletes and receive.denyNonFastForwards, of the server and of a repository."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    world.git("push", "-q", server.url("app"), "main:refs/heads/other", cwd=source)
    world.ssh(server, "config", "receive.denyDeletes", "true")
    world.ssh(server, "config", "receive.denyNonFastForwards", "yes")
    for spec, said in ((":refs/heads/other", "deletion prohibited"),
                       ("+main~2:refs/heads/other", "non-fast-forward")):
        r = world.git("push", server.url("app"), spec, cwd=source, ok=False)
        check(r.code != 0 and said in r.errtext, "%s: %s" % (spec, r.errtext))
    world.commit(source, "onwards")
    world.git("push", "-q", server.url("app"), "HEAD:refs/heads/other", "+main~3:refs/tags/t", cwd=source)
    configure(world, server, "app", "receive.denyNonFastForwards", "no")
    world.git("push", "-q", server.url("app"), "+main~2:refs/heads/other", cwd=source)
    configure(world, server, "app", "receive.denyDeletes", "no")
    world.git("push", "-q", server.url("app"), ":refs/heads/other", cwd=source)
    server.stop()


CASES = [config_commands, config_at_once, hidden_refs, hidden_haves, hidden_pushes, denied_pushes]
