#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""big.py --packhorse BINARY REPO: pushes REPO with all its refs and clones it back, ours (store file
and memory) and stock sshd with git, all over SSH on loopback with the same cipher. While the push runs,
another client lists refs again and again. Prints a table, with the ratio to the peer.

  wall      the client's git, start to end
  cpu       of the server: all its processes and threads
  memory    highest private anonymous memory of the server while that ran, sampled every 20 ms
  ls-remote times of a whole git ls-remote over SSH while the push ran
"""
import argparse
import os
import shutil
import subprocess
import sys
import threading
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../tests/interop"))
sys.path.insert(0, here)
from harness import World, check, equal
from servers import CIPHER, Peer, Watch


def list_refs(world, server, seconds, failed, stop, push):
    env = world.env(ssh_options=CIPHER)
    while not stop.is_set() and push.poll() is None:
        start = time.monotonic()
        r = subprocess.run(["git", "ls-remote", server.url("small.git")], env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        if r.returncode != 0:
            failed.append(r.stderr)
        elif push.poll() is None:
            seconds.append(time.monotonic() - start)


def measure(world, server, repo, name):
    small = world.path("small")
    if not os.path.exists(small):
        world.history(small)
    if isinstance(server, Peer):
        server.create("small.git")
        server.create("big.git")
    world.git("push", "-q", "--mirror", server.url("small.git"), cwd=small, ssh_options=CIPHER)
    row, times, failed, stop = {}, [], [], threading.Event()
    with Watch(server.process.pid) as watch:
        push = subprocess.Popen(["git", "push", "-q", "--mirror", server.url("big.git")], cwd=repo,
                                env=world.env(ssh_options=CIPHER))
        lister = threading.Thread(target=list_refs, args=(world, server, times, failed, stop, push))
        lister.start()
        equal(push.wait(), 0, "push to " + name)
        pushed = time.monotonic()
        stop.set()
    lister.join()
    equal(failed, [], "git ls-remote that failed while the push ran")
    check(times, "no git ls-remote ended while the push ran")
    times.sort()
    row["push wall s"] = pushed - watch.start
    row["push cpu s"], row["push memory MB"] = watch.cpu, watch.peak
    row["ls-remote median ms"] = times[len(times) // 2] * 1000
    row["ls-remote 99 % ms"] = times[min(len(times) - 1, len(times) * 99 // 100)] * 1000
    row["ls-remote count"] = len(times)
    row["ls-remote under 150 ms %"] = 100 * sum(t < 0.15 for t in times) / len(times)
    copy = world.path("copy-" + name)
    with Watch(server.process.pid) as watch:
        world.git("clone", "-q", "--mirror", server.url("big.git"), copy, ssh_options=CIPHER, timeout=900)
    row["clone wall s"], row["clone cpu s"], row["clone memory MB"] = watch.wall, watch.cpu, watch.peak
    return row, copy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packhorse", required=True)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--verify", action="store_true",
                        help="fsck the clone, compare refs and objects, kill -9, restart, clone again")
    parser.add_argument("repo")
    args = parser.parse_args()
    rows = {}
    with World(os.path.abspath(args.packhorse)) as world:
        for name in ("file", "mem") + (() if args.no_peer else ("sshd+git",)):
            if name == "sshd+git":
                server = Peer(world)
            else:
                server = world.serve("store.img" if name == "file" else "mem")
            rows[name], copy = measure(world, server, args.repo, name)
            if args.verify and name != "sshd+git":
                world.same(args.repo, copy)
                print("%s: clone equal to %s, fsck clean" % (name, args.repo))
            shutil.rmtree(copy)
            if args.verify and name == "file":
                server.kill()
                server = world.serve("store.img")
                world.git("clone", "-q", "--mirror", server.url("big.git"), copy, timeout=900)
                world.same(args.repo, copy)
                shutil.rmtree(copy)
                print("file: the same after kill -9 and a restart")
            server.stop()
            if name == "file":
                os.unlink(world.path("store.img"))
    names = list(rows)
    print("%-26s" % "" + "".join("%12s" % n for n in names) +
          ("%14s" % "file : peer" if "sshd+git" in rows else ""))
    for key in rows["file"]:
        line = "%-26s" % key + "".join("%12.2f" % rows[n][key] for n in names)
        if "sshd+git" in rows and rows["sshd+git"][key]:
            line += "%14.2f" % (rows["file"][key] / rows["sshd+git"][key])
        print(line)


main()
