# SPDX-License-Identifier: MIT
"""Random pushes, the same to us and to a bare repository of stock git, which is the oracle. Now and then
the server is killed and started again. PH_TEST_SEED chooses the numbers, PH_TEST_ROUNDS how many."""
import os
import random

from harness import check, equal

ROUNDS = 40


def change(world, rng, work, branches, n):
    """Changes the work tree's refs in a random way; the refspecs to push."""
    kind = rng.choice(["commit", "commit", "branch", "force", "delete", "tag", "merge", "many", "mode"])
    name = rng.choice(branches)
    if kind == "delete" and len(branches) > 2 and name != "main":
        branches.remove(name)
        world.git("checkout", "-q", "main", cwd=work)
        world.git("branch", "-q", "-D", name, cwd=work)
        return [":refs/heads/" + name]
    world.git("checkout", "-q", name, cwd=work)
    if kind == "branch":
        name = rng.choice(["topic-%d", "dir/topic-%d", "dir%d/x"]) % n
        branches.append(name)
        world.git("checkout", "-q", "-b", name, cwd=work)
    if kind == "force":
        world.git("commit", "-q", "--amend", "--allow-empty", "-m", "amended %d" % n, cwd=work)
    elif kind == "merge":
        other = rng.choice(branches)
        world.git("merge", "-q", "-s", "ours", "--allow-unrelated-histories", "-m", "merge %d" % n, other,
                  cwd=work, ok=False)
    elif kind == "many":
        for k in range(rng.randrange(2, 30)):
            world.write(os.path.join(work, "many", "%d-%d" % (n, k)), "%d\n" % rng.getrandbits(64))
        world.git("add", ".", cwd=work)
        world.git("commit", "-q", "-m", "many %d" % n, cwd=work)
    else:
        world.commit(work, "file-%d" % rng.randrange(5), "%d\n" % rng.getrandbits(64))
    if kind == "tag":
        world.git("tag", *(["-a", "-m", "x"] if rng.random() < 0.5 else []), "t%d" % n, cwd=work)
        return ["refs/tags/t%d" % n, "+refs/heads/" + name]
    return ["+refs/heads/" + name]


def random_pushes(world):
    """Random pushes agree with stock git's repository, over kills and restarts of the server."""
    seed = int(os.environ.get("PH_TEST_SEED", "1"))
    rng = random.Random(seed)
    print("seed %d" % seed)
    for fmt in ("sha1", "sha256"):
        server = world.serve(fmt + ".img")
        world.ssh(server, "repo", "create", "app", "--object-format=" + fmt)
        work, oracle = world.path("work-" + fmt), world.path("oracle-" + fmt)
        world.git("init", "-q", "--object-format=" + fmt, work)
        world.git("init", "-q", "--bare", "--object-format=" + fmt, oracle)
        world.git("config", "receive.denyDeleteCurrent", "refuse", cwd=oracle)
        world.commit(work, "first")
        branches, specs, accepted = ["main"], ["refs/heads/main"], 0
        rounds = int(os.environ.get("PH_TEST_ROUNDS", ROUNDS))
        for n in range(rounds):
            if rng.random() < 0.3:
                specs += change(world, rng, work, branches, 1000 + n)
            codes = [world.git("push", "-q", *(["--atomic"] if n % 5 == 0 else []), url, *dict.fromkeys(specs),
                               cwd=work, ok=False).code for url in (server.url("app"), oracle)]
            equal(codes[0], codes[1], "exit status of push %d: %s" % (n, specs))
            accepted += codes[0] == 0
            if rng.random() < 0.15:
                server.kill()
                server = world.serve(fmt + ".img")
            ours = world.git("ls-remote", server.url("app")).text
            equal(ours, world.git("ls-remote", oracle).text, "refs after push %d: %s" % (n, specs))
            specs = change(world, rng, work, branches, n)
        check(accepted > rounds / 2, "only %d of %d pushes were accepted" % (accepted, rounds))
        copy = world.path("copy-" + fmt)
        world.git("clone", "-q", "--mirror", server.url("app"), copy)
        world.same(oracle, copy)
        check(len(world.objects(copy)) > 30, "a history worth the name")
        server.stop()


CASES = [random_pushes]
