#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py CHECK SOURCE [LIBRARY...]

  includes   a folder includes only what stands below it, and one file alone sees each third party
  style      SPDX line, line and function and file length, banned functions
  format     clang-format agrees
  symbols    the libraries import no I/O, no clock, no malloc: nothing but what is listed here
  exports    every symbol that a library shows begins with ph_
  budget     the unikernel does not grow, and nobody else's code is kept here
"""
import os
import re
import subprocess
import sys

check, top, libraries = sys.argv[1], sys.argv[2], sys.argv[3:]
problems = []


def files(*endings):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=top, check=True,
                         stdout=subprocess.PIPE, text=True).stdout.split("\n")
    return [f for f in out if f.endswith(endings) and os.path.exists(os.path.join(top, f))]


def read(name):
    with open(os.path.join(top, name), encoding="utf-8") as f:
        return f.read()


# Folder -> folders whose public headers it may include. Tests and fuzz targets may include all.
BELOW = {
    "libpack": [],
    "store": ["libpack"],
    "store/mem": ["libpack", "store"],
    "store/disk": ["libpack", "store"],
    "protocol": ["libpack", "store"],
    "protocol/upload-pack": ["libpack", "store", "protocol"],
    "protocol/upload-archive": ["libpack", "store", "protocol"],
    "protocol/receive-pack": ["libpack", "store", "protocol"],
    "protocol/maintenance": ["libpack", "store", "protocol"],
    "protocol/admin": ["libpack", "store", "protocol", "protocol/maintenance"],
    "protocol/services": ["libpack", "store", "store/mem", "store/disk", "protocol",
                          "protocol/upload-pack", "protocol/upload-archive", "protocol/receive-pack",
                          "protocol/maintenance", "protocol/admin"],
    "ssh": ["libpack", "store", "protocol", "protocol/admin", "protocol/services", "ssh/verify"],
    "ssh/verify": ["libpack"],
    "daemon": ["libpack", "store", "store/mem", "store/disk", "protocol", "protocol/maintenance", "ssh",
               "ssh/verify"],
    "examples": ["protocol/services"],
    "unikernel": ["libpack", "store", "store/mem", "store/disk", "protocol", "protocol/maintenance",
                  "protocol/services", "ssh", "ssh/verify"],
    "unikernel/third-party": [],
}
# Third party -> the only files that may include it.
ALONE = {
    r"zlib\.h": r"libpack/zlib_streams\.c",
    r"libdeflate\.h": r"libpack/unpack_libdeflate\.c",
    r"mbedtls/.*": r"libpack/(hash|sha512)_mbedtls\.c|ssh/(seed_key|verify/verify_mbedtls)\.c"
                   r"|unikernel/(random|keys|net/secret)\.c",
    r"sodium.*": r"ssh/verify/verify_sodium\.c",
    r"libssh/.*": r"ssh/.*",
    r"uv\.h": r"daemon/.*",
    r"(lwip|netif|arch)/.*": r"unikernel/net/.*|fuzz/.*",
    r"linux/(if_tun|seccomp|filter).*": r"unikernel/platform/host/.*|.*/tests/.*",
    r"solo5\.h": r"unikernel/platform/solo5/.*",
    r"git2.*": r"tests/.*",
}


def folder_of(name):
    best = ""
    for folder in BELOW:
        if name.startswith(folder + "/") and len(folder) > len(best):
            best = folder
    return best


def includes():
    sources = files(".c", ".h")
    homes = {}
    for name in sources:
        if "/include/packhorse/" in name:
            homes["packhorse/" + os.path.basename(name)] = name.split("/include/")[0]
    for name in sources:
        folder = folder_of(name)
        for header in re.findall(r'^#include [<"](.*)[>"]', read(name), re.M):
            for pattern, where in ALONE.items():
                if re.fullmatch(pattern, header) and not re.fullmatch(where, name):
                    problems.append("%s includes %s, which only %s may" % (name, header, where))
            if not folder or "/tests/" in name or "/conformance/" in name:
                continue
            home = homes.get(header)
            if header.startswith("packhorse/") and home is None:
                problems.append("%s includes %s, which is nowhere" % (name, header))
            elif home and home != folder and home not in BELOW[folder]:
                problems.append("%s (%s) includes %s of %s" % (name, folder, header, home))


BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|ctime|asctime|atoi|system|popen"
                    r"|fork|execv\w*|execl\w*)\s*\(")


def style():
    for name in files(".c", ".h"):
        text = read(name)
        lines = text.split("\n")
        if lines[0] != "/* SPDX-License-Identifier: MIT */":
            problems.append("%s:1: no SPDX line" % name)
        if "ph__placeholder" in text:
            problems.append("%s: a placeholder" % name)
        if len(lines) > 1000:
            problems.append("%s: %d lines" % (name, len(lines)))
        start = None
        for i, line in enumerate(lines, 1):
            if len(line.expandtabs(8)) > 100:
                problems.append("%s:%d: longer than 100 columns" % (name, i))
            if re.search(r"[ \t]$", line):
                problems.append("%s:%d: space at the end" % (name, i))
            if BANNED.search(line) and "/tests/" not in name and not name.startswith("tests/"):
                problems.append("%s:%d: banned function" % (name, i))
            if line == "{":
                start = i
            elif line == "}" and start:
                if i - start - 1 > 70 and "/tests/" not in name:
                    problems.append("%s:%d: a function of %d lines" % (name, start, i - start - 1))
                start = None


# It was meant to be 4,000 lines of code. It has more, and is not to grow further.
UNIKERNEL_LINES_MAX = 7060


def budget():
    count = 0
    for name in files(".c", ".h", ".S", ".ld"):
        if name.startswith("unikernel/") and not re.match(r"unikernel/(.*/)?(tests|third-party)/", name):
            code = re.sub(r"/\*.*?\*/", "", read(name), flags=re.S)
            count += sum(1 for line in code.split("\n") if line.strip())
    if count >= UNIKERNEL_LINES_MAX:
        problems.append("unikernel/ has %d lines of code; it is to stay below %d"
                        % (count, UNIKERNEL_LINES_MAX))
    problems.extend("%s: sources are fetched, not kept, and not patched" % f
                    for f in files(".patch", ".diff", ".tar.gz", ".tar.xz", ".tar.bz2", ".a", ".o"))
    for name in files(".c", ".h", ".S", ".ld", ".py", ".sh", ".cmake"):
        if re.search(r"Copyright (\(c\)|©|\d)", read(name), re.I):
            problems.append("%s bears somebody's copyright notice" % name)


def format_():
    names = [os.path.join(top, f) for f in files(".c", ".h")]
    r = subprocess.run(["clang-format", "--dry-run", "--Werror", *names], stderr=subprocess.PIPE, text=True)
    if r.returncode:
        problems.extend(r.stderr.split("\n")[:20])


IMPORTS = re.compile(
    r"ph_\w+|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|pbrk|ncasecmp)"
    r"|v?snprintf|__v?snprintf_chk|__mem\w+_chk|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_"
    r"|bcmp|(in|de)flate\w*|crc32\w*|mbedtls_sha(1|256|512)_\w+|__atomic_\w+|__stdatomic_\w+")


def variables(library):
    """What lies in .data or .bss. Tables of pointers are in .data.rel.ro: constant once loaded."""
    out = subprocess.run(["objdump", "-t", library], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        fields = re.fullmatch(r"[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)", line)
        if fields and re.match(r"\.t?(data|bss)(?!\.rel\.ro)|\*COM\*", fields[1]) and fields[1] != fields[2]:
            yield fields[2]


# What the processor can do, asked once: the answer is the same for ever, whoever asks.
CONSTANT_ONCE_KNOWN = re.compile(r"known(\.\d+)?|ph__sha1_best\.known")


def symbols():
    for library in libraries:
        name = os.path.basename(library)
        defined, wanted = set(), {}
        out = subprocess.run(["nm", "-A", library], check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            where, kind, symbol = line.split(":")[1], line.split()[-2], line.split()[-1]
            if kind == "U":
                wanted.setdefault(symbol, where)
            else:
                defined.add(symbol)
        problems.extend("%s keeps a variable: %s" % (name, v) for v in variables(library)
                        if not CONSTANT_ONCE_KNOWN.fullmatch(v))
        for symbol, where in sorted(wanted.items()):
            if symbol not in defined and not IMPORTS.fullmatch(symbol):
                problems.append("%s: %s imports %s" % (name, where, symbol))


def exports():
    for library in libraries:
        dynamic = ["-D"] if library.endswith(".so") or ".so." in library else []
        out = subprocess.run(["nm", "-g", "--defined-only", *dynamic, library], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        names = [line.split()[-1] for line in out.splitlines() if len(line.split()) == 3]
        if len(names) < 50:
            problems.append("%s shows only %d symbols" % (library, len(names)))
        for name in names:
            if not re.match(r"ph_(?!_)" if dynamic else r"ph_", name):
                problems.append("%s shows %s" % (os.path.basename(library), name))


{"includes": includes, "style": style, "format": format_, "symbols": symbols, "exports": exports,
 "budget": budget}[check]()
print("\n".join(problems) or "nothing found")
sys.exit(bool(problems))
