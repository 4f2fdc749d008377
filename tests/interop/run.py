#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs interop cases against a server; without names, all that are meant for it.

run.py --packhorse BINARY [CASE...]                                 against the daemon
run.py --unikernel IMAGE --platform host|process|microvm|q35 [CASE...]   against the unikernel"""
import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases_archive
import cases_backup
import cases_config
import cases_faults
import cases_floods
import cases_full
import cases_git
import cases_image
import cases_kill
import cases_large
import cases_machine
import cases_maintenance
import cases_memory
import cases_partial
import cases_protocol
import cases_push_fsck
import cases_push_hostile
import cases_push_policy
import cases_push_protocol
import cases_push_signed
import cases_random
import cases_refused
import cases_rot
import cases_tools
import machines
from harness import World

MODULES = (cases_git, cases_refused, cases_random, cases_machine, cases_faults, cases_floods, cases_memory,
           cases_archive, cases_config, cases_protocol, cases_maintenance, cases_partial, cases_image,
           cases_push_fsck, cases_push_protocol, cases_push_policy, cases_push_signed, cases_push_hostile,
           cases_large, cases_kill, cases_tools, cases_backup, cases_rot, cases_full)
CASES = {case.__name__: case for module in MODULES for case in module.CASES}


def meant_for(case, platform):
    return platform in getattr(case, "only", (platform,))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packhorse", type=os.path.abspath, help="the daemon; some cases need both")
    parser.add_argument("--unikernel", type=os.path.abspath, help="an image")
    parser.add_argument("--platform", choices=machines.PLATFORMS)
    parser.add_argument("--list", action="store_true", help="the cases for this platform")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    platform = args.platform or "daemon"
    if args.list:
        print("\n".join(name for name in CASES if meant_for(CASES[name], platform)))
        return 0
    if (platform == "daemon") != (args.unikernel is None) or not (args.packhorse or args.unikernel):
        parser.error("name a daemon with --packhorse, or an image with --unikernel and --platform")
    if args.unikernel:
        machines.enter_namespace(sys.argv)
    failed = 0
    for name in args.cases or [name for name in CASES if meant_for(CASES[name], platform)]:
        case = CASES[name]
        start = time.monotonic()
        try:
            if not meant_for(case, platform):
                raise ValueError("not a case for %s: %s" % (platform, case.why))
            with World(args.packhorse, args.unikernel, platform) as world:
                case(world)
            print("ok %s (%.1f s)" % (name, time.monotonic() - start), flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print("FAILED %s: %s" % (name, case.__doc__.strip()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
