#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetches and unpacks the source packages that the unikernel is built from; see sources.lock.

Each package ends as FOLDER/PACKAGE, and FOLDER/used.txt lists what was taken. Every file is checked
against its SHA-256 in the lock file. What is there already is not fetched again.
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request

# The one place that names a mirror. PH_MIRROR overrides it.
MIRROR = "http://deb.debian.org"
HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """A file cannot be had; another version of the package may do."""


class Dead(Exception):
    """The mirror does not answer at all; there is no point in asking it for more."""


def say(*words, **how):
    print(*words, flush=True, **how)


def read_lock(name):
    """[(package, version, [(sha256, path)], [patch])] in the file's order."""
    entries = []
    with open(name, encoding="utf-8") as lock:
        for line in lock:
            words = line.split("#")[0].split()
            if not words:
                continue
            if not line.startswith(" "):
                entries.append((words[0], words[1], [], []))
            elif words[0] == "patch":
                entries[-1][3].append(words[1])
            else:
                entries[-1][2].append((words[0], words[1]))
    return entries


def sha256(name):
    digest = hashlib.sha256()
    with open(name, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def checked(name, want):
    got = sha256(name)
    if got != want:
        raise Missing("%s has sha256 %s, not %s" % (name, got, want))
    return name


def download(url, target):
    part = target + ".part"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(part, "wb") as out:
            shutil.copyfileobj(answer, out)
    except urllib.error.HTTPError as e:
        raise Missing("%s: %d %s" % (url, e.code, e.reason)) from e
    except (urllib.error.URLError, OSError) as e:
        raise Dead(str(getattr(e, "reason", e))) from e
    os.replace(part, target)


def have(path, want, options):
    """The name of a local copy of the file at path below the mirror."""
    base = os.path.basename(path)
    if options.source_dir:
        name = os.path.join(options.source_dir, base)
        if not os.path.exists(name):
            raise Missing("%s is not there" % name)
        return checked(name, want)
    name = os.path.join(options.downloads, base)
    if os.path.exists(name) and sha256(name) == want:
        return name
    os.makedirs(options.downloads, exist_ok=True)
    download(options.mirror.rstrip("/") + "/" + urllib.parse.quote(path, safe="/~+"), name)
    try:
        return checked(name, want)
    except Missing:
        os.remove(name)
        raise


def unpack(archive, target):
    """The archive's contents, without the one folder that it may have around them."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(target, filter="data")
        else:
            tar.extractall(target)
    names = os.listdir(target)
    if len(names) == 1 and names[0] != "debian":
        inner = target + ".inner"
        os.rename(os.path.join(target, names[0]), inner)
        os.rmdir(target)
        os.rename(inner, target)


def place(package, archives, patches, folder):
    """Unpacks beside the final place and moves it there whole."""
    work = tempfile.mkdtemp(prefix=".unpack-", dir=folder)
    try:
        tree = os.path.join(work, "tree")
        unpack(archives[0], tree)
        if patches:
            unpack(archives[1], os.path.join(work, "packaging"))
        for patch in patches:
            name = os.path.join(work, "packaging", "debian", "patches", patch)
            subprocess.run(["patch", "-p1", "-s", "-d", tree, "-i", name], check=True)
        final = os.path.join(folder, package)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(tree, final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def stamp(package, version, files, patches):
    lines = ["%s %s" % (package, version)]
    lines += ["  %s %s" % (digest, os.path.basename(path)) for digest, path in files]
    return "\n".join(lines + ["  patch " + p for p in patches]) + "\n"


def fetch(package, versions, options):
    """Makes one package ready; returns its lines for used.txt."""
    reasons = []
    for _, version, files, patches in versions:
        text = stamp(package, version, files, patches)
        mark = os.path.join(options.folder, package + ".version")
        if os.path.isdir(os.path.join(options.folder, package)) and os.path.exists(mark):
            with open(mark, encoding="utf-8") as f:
                if f.read() == text:
                    return text
        try:
            archives = [have(path, digest, options) for digest, path in files]
        except Missing as e:
            say("%s %s: cannot be had (%s)" % (package, version, e))
            reasons.append(version)
            continue
        if os.path.exists(mark):
            os.remove(mark)
        place(package, archives, patches, options.folder)
        with open(mark, "w", encoding="utf-8") as f:
            f.write(text)
        return text
    sys.exit("fetch.py: none of the versions of %s (%s) is to be had from %s; give the archives with"
             " --source-dir" % (package, ", ".join(reasons), options.source_dir or options.mirror))


def chosen(entries, wanted):
    """Per package its versions; wanted narrows a package to one."""
    packages = {}
    for entry in entries:
        packages.setdefault(entry[0], []).append(entry)
    for choice in wanted:
        package, _, version = choice.partition("=")
        packages[package] = [e for e in packages.get(package, []) if e[1] == version]
        if not packages[package]:
            sys.exit("fetch.py: the lock file has no %s" % choice)
    return packages


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where to unpack")
    parser.add_argument("--source-dir", help="take the archives from here and download nothing")
    parser.add_argument("--downloads", help="where downloaded archives are kept; default FOLDER/downloads")
    parser.add_argument("--lock", default=os.path.join(HERE, "sources.lock"))
    parser.add_argument("--use", action="append", default=[], metavar="PACKAGE=VERSION",
                        help="this version and no other")
    options = parser.parse_args()
    options.mirror = os.environ.get("PH_MIRROR") or MIRROR
    options.downloads = options.downloads or os.path.join(options.folder, "downloads")
    # patch changes folder.
    options.folder = os.path.abspath(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    used = ""
    for package, versions in chosen(read_lock(options.lock), options.use).items():
        try:
            used += fetch(package, versions, options)
        except Dead as e:
            sys.exit("fetch.py: the mirror %s does not answer (%s); give the archives with --source-dir"
                     % (options.mirror, e))
        except (OSError, subprocess.CalledProcessError, tarfile.TarError) as e:
            sys.exit("fetch.py: %s: %s" % (package, " ".join(str(e).split())))
    with open(os.path.join(options.folder, "used.txt"), "w", encoding="utf-8") as f:
        f.write(used)
    say(used, end="")


main()
