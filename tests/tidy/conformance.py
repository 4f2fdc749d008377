# SPDX-License-Identifier: MIT
"""conformance.py ROOT: every test that docs/conformance.md names exists."""
import glob
import os
import re
import sys

ROOT = sys.argv[1]


def read(path):
    with open(path, encoding="utf8") as file:
        return file.read()


def sources(pattern):
    return {path: read(path) for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)}


def known(name, programs, cases, cmake):
    program, _, function = name.partition(": ")
    if program.startswith("interop."):
        return "def %s(world)" % program[8:] in cases
    if program.startswith("fuzz."):
        return os.path.exists(os.path.join(ROOT, "fuzz", "fuzz_%s.c" % program[5:]))
    if function:
        texts = [text for path, text in programs.items()
                 if os.path.basename(path) == "test_%s.c" % program]
        return any(re.search(r"^static void %s\(void \*\*state\)" % function, text, re.M)
                   for text in texts)
    return re.search(r"(NAME |ph_test\()%s\b" % re.escape(program), cmake) is not None or any(
        os.path.basename(path) == "test_%s.c" % program for path in programs)


def main():
    programs = {**sources("*/tests/test_*.c"), **sources("*/*/tests/test_*.c")}
    cases = "".join(sources("tests/interop/cases_*.py").values())
    cmake = "".join(sources("**/CMakeLists.txt").values())
    text = read(os.path.join(ROOT, "docs/conformance.md"))
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    missing, named = set(), 0
    for row in rows:
        for name in re.findall(r"`([^`]+)`", row.rstrip("|").rpartition("|")[2]):
            named += 1
            if not known(name, programs, cases, cmake):
                missing.add(name)
    for name in sorted(missing):
        print("docs/conformance.md: there is no test " + name)
    if named < 50:
        print("docs/conformance.md: only %d tests are named" % named)
    return bool(missing) or named < 50


sys.exit(main())
