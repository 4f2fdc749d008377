#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs interop cases: run.py --packhorse BINARY [--list | CASE...]; without names, all of them."""
import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases_git
import cases_random
import cases_refused
from harness import World

CASES = {case.__name__: case for module in (cases_git, cases_refused, cases_random) for case in module.CASES}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packhorse", required=True)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return 0
    failed = 0
    for name in args.cases or CASES:
        start = time.monotonic()
        try:
            with World(os.path.abspath(args.packhorse)) as world:
                CASES[name](world)
            print("ok %s (%.1f s)" % (name, time.monotonic() - start), flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print("FAILED %s: %s" % (name, CASES[name].__doc__.strip()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
