#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Power cuts: how many states of a disk after one were tried, and in how many something that was acknowledged is lost.

Ours is tests/powercut: real sessions on a simulated disk, whose writes are replayed in part. git's is its receive-pack
under strace, whose writes to files are replayed in models of a file system (powercut_git.py). A state of git's costs
some processes, so there are fewer of them.
"""
import argparse
import json
import os
import subprocess
import sys

COLUMNS = ("states", "lost", "unopened", "corrupt", "partly", "next_failed", "newest_lost")
TITLES = ("states", "acked lost", "not opened", "corrupt", "in part", "next failed", "newest lost")


def ours(program, states, seed):
    run = subprocess.run([program, "--json", "--states", str(states), "--seed", str(seed)], stdout=subprocess.PIPE)
    if run.returncode not in (0, 1):
        raise SystemExit("powercut: exit status %d" % run.returncode)
    return json.loads(run.stdout)


def line(name, values):
    print("%-12s" % name + "".join("%12s" % value for value in values), flush=True)


def print_ours(found):
    line("packhorse", TITLES)
    for name, row in list(found["workloads"].items()) + [("all", found["all"])]:
        line(name, [row[column] for column in COLUMNS])
    print("newest lost: on the device without flush, which may lose the latest and nothing else\n")


def print_git(states, seed, git):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import powercut_git

    print("%-22s%-10s" % ("git receive-pack", "model") + "%9s%9s%9s%9s" % ("states", "lost", "broken", "in part"))
    for row in powercut_git.table(states, str(seed), git):
        print("%-22s%-10s" % (row["setting"], row["model"])
              + "".join("%9d" % row[column] for column in ("states", "lost", "broken", "in_part")), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--powercut", required=True, help="the program, tests/powercut in a build folder")
    parser.add_argument("--states", type=int, default=24000)
    parser.add_argument("--git-states", type=int, default=300, help="for each setting and model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--git", default="git")
    parser.add_argument("--only-ours", action="store_true")
    args = parser.parse_args()
    found = ours(os.path.abspath(args.powercut), args.states, args.seed)
    print_ours(found)
    if not args.only_ours:
        print_git(args.git_states, args.seed, args.git)
    bad = ("lost", "unopened", "corrupt", "partly", "next_failed")
    return 1 if any(found["all"][column] for column in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
