# SPDX-License-Identifier: MIT
"""Maintenance in the background: packs are joined and let go of while stock git pushes and clones."""
import random
import threading
import time

from harness import check, equal, wait_for


def joined(server):
    return server.text().count(" joined ")


def clone_checked(world, server, name, source, copy):
    """A mirror of what was pushed, checked object by object."""
    world.git("clone", "-q", "--mirror", server.url(name), world.path(copy))
    world.git("fsck", "--strict", cwd=world.path(copy))
    world.same(source, world.path(copy))


def octopus(world, work):
    """The branch's next commit is a merge of it and of two commits beside it."""
    sides = [world.git("commit-tree", "-p", "HEAD", "-m", "side %d" % n, "HEAD^{tree}", cwd=work).text.strip()
             for n in range(2)]
    parents = [word for side in ["HEAD", *sides] for word in ("-p", side)]
    merge = world.git("commit-tree", *parents, "-m", "octopus", "HEAD^{tree}", cwd=work).text.strip()
    world.git("reset", "-q", "--hard", merge, cwd=work)


def depths_checked(world, server, name, source, copy):
    """Boundaries in the middle of history are those that git itself draws."""
    for depth in range(1, 40, 6):
        shallow = []
        for n, url in enumerate((server.url(name), "file://" + source)):
            repo = world.path("%s-%d-%d" % (copy, depth, n))
            world.git("clone", "-q", "--bare", "--single-branch", "--branch", "main", "--depth", str(depth), url, repo)
            world.git("fsck", "--strict", cwd=repo)
            shallow.append((world.git("rev-list", "main", cwd=repo).text, world.objects(repo)))
        equal(shallow[0], shallow[1], "a clone of depth %d" % depth)


def busy_history(world, server, name, rounds, seed):
    """Many small pushes: commits, merges of three, forced updates, branches that come and go."""
    rng = random.Random(seed)
    work = world.path("work-" + name)
    world.git("init", "-q", "-b", "main", work)
    world.commit(work, "first")
    world.git("push", "-q", server.url(name), "main", cwd=work)
    for n in range(rounds):
        kind = rng.randrange(6)
        world.commit(work, "f%d" % rng.randrange(8), "%d\n" % rng.getrandbits(64) * rng.randrange(1, 40))
        world.git("push", "-q", server.url(name), "main", cwd=work)
        if kind == 0:
            world.git("commit", "-q", "--amend", "-m", "amended %d" % n, cwd=work)
            world.git("push", "-q", server.url(name), "+main", cwd=work)
        elif kind == 1:
            world.git("push", "-q", server.url(name), "main:refs/heads/b%d" % n, cwd=work)
            world.git("branch", "-f", "b%d" % n, "main", cwd=work)
        elif kind == 2:
            for branch in world.git("branch", "--list", "b*", cwd=work).text.split()[:2]:
                world.git("push", "-q", server.url(name), ":refs/heads/" + branch, cwd=work)
                world.git("branch", "-q", "-D", branch, cwd=work)
        elif kind == 3:
            world.git("tag", "-a", "-m", "tag", "t%d" % n, cwd=work)
            world.git("push", "-q", server.url(name), "t%d" % n, cwd=work)
        elif kind == 4:
            octopus(world, work)
            world.git("push", "-q", server.url(name), "main", cwd=work)
    return work


def maintenance(world):
    """Many pushes become few packs, and clones and fetches are right before and after."""
    for store in ("mem", "store.img"):
        server = world.serve(store)
        source = busy_history(world, server, "app-" + store, 25, 3)
        clone_checked(world, server, "app-" + store, source, "before-" + store)
        wait_for("packs joined", lambda: joined(server) > 0, 40)
        time.sleep(2.5)
        clone_checked(world, server, "app-" + store, source, "after-" + store)
        world.git("commit", "-q", "--amend", "-m", "amended once more", cwd=source)
        world.git("push", "-q", server.url("app-" + store), "+main", cwd=source)
        said = world.ssh(server, "repo", "maintain", "app-" + store).text
        check("joined" in said or "let go of" in said or "nothing was due" in said, "repo maintain says: " + said)
        clone_checked(world, server, "app-" + store, source, "asked-" + store)
        depths_checked(world, server, "app-" + store, source, "deep-" + store)
        copy = world.path("fetching-" + store)
        world.git("clone", "-q", server.url("app-" + store), copy)
        new = world.commit(source, "new")
        world.git("push", "-q", server.url("app-" + store), "main", cwd=source)
        world.git("fetch", "-q", cwd=copy)
        check(world.rev(copy, "origin/main") == new, "what was fetched after joining")
        for trouble in ("nothing is dropped", "without maps"):
            check(trouble not in server.text(), "the server says: " + trouble)
        server.stop()


def maintenance_meanwhile(world):
    """Pushes, clones and maintenance at the same time."""
    server = world.serve("store.img")
    sources, failures = {}, []

    def pusher(k):
        try:
            sources[k] = busy_history(world, server, "app%d" % k, 14, 10 + k)
        except Exception as e:
            failures.append("push %d: %s" % (k, e))

    threads = [threading.Thread(target=pusher, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for n in range(100):
        if not any(thread.is_alive() for thread in threads):
            break
        copy = world.path("during-%d" % n)
        if world.git("clone", "-q", "--mirror", server.url("app%d" % (n % 2)), copy, ok=False).code == 0:
            world.git("fsck", "--strict", cwd=copy)
        elif n > 6:
            failures.append("clone %d failed" % n)
        time.sleep(0.4)
    for thread in threads:
        thread.join()
    check(not failures, "; ".join(failures))
    wait_for("packs joined", lambda: joined(server) > 0, 40)
    for k in range(2):
        clone_checked(world, server, "app%d" % k, sources[k], "last-%d" % k)
    server.stop()


def maintenance_killed(world):
    """kill -9 while maintenance is at work: the store opens, nothing is lost, and the work is done later."""
    server = world.serve("store.img")
    source, seen = busy_history(world, server, "app", 12, 5), 0
    for n in range(8):
        world.commit(source, "more-%d" % n, "%d\n" % n * 2000)
        world.git("push", "-q", server.url("app"), "main", cwd=source)
        # A second after the push it begins.
        time.sleep(0.97 + 0.012 * n)
        server.kill()
        seen += joined(server)
        server = world.serve("store.img")
        clone_checked(world, server, "app", source, "killed-%d" % n)
    wait_for("packs joined", lambda: seen + joined(server) > 0, 40)
    clone_checked(world, server, "app", source, "last")
    server.stop()


CASES = [maintenance, maintenance_meanwhile, maintenance_killed]
