# SPDX-License-Identifier: MIT
"""Compares ph_refname_valid with `git check-ref-format` on generated names (seeded)."""
import random
import subprocess
import sys

PIECES = [b"refs", b"heads", b"a", b".", b"..", b"@", b"{", b"@{", b"/", b"//", b".lock", b"lock",
          b"~", b"^", b":", b"?", b"*", b"[", b"]", b"\\", b" ", b"\t", b"\n", b"\x01", b"\x7f",
          b"-", b"\x80", b"\xc3\xa9", b"\xff", b"!", b"'", b'"', b"}", b"%", b"HEAD", b"x.y"]


def names(count, seed):
    rng = random.Random(seed)
    yield from (b"@", b"a", b"a/b", b"refs/heads/main", b"refs/heads/@", b"refs/heads/a.lock/b",
                b"-", b"-/b", b"a/-b", b"/a/b", b"a/b/", b"a//b", b"a/b.", b"a./b", b"a/.b")
    for _ in range(count):
        body = b"".join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))
        yield rng.choice([b"refs/heads/", b"refs/", b""]) + body


def main():
    probe, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    all_names = list(names(count, seed))
    ours = subprocess.run([probe], input=b"".join(n + b"\0" for n in all_names), check=True,
                          stdout=subprocess.PIPE).stdout.split()
    assert len(ours) == len(all_names)
    wrong = 0
    for name, answer in zip(all_names, ours):
        # check-ref-format takes a leading dash for an option; "--" is not understood before a name.
        if name.startswith(b"-"):
            continue
        git = subprocess.run(["git", "check-ref-format", name], stderr=subprocess.DEVNULL)
        if (git.returncode == 0) != (answer == b"1"):
            print("differs:", name, "git", git.returncode, "ours", answer)
            wrong += 1
    good = sum(a == b"1" for a in ours)
    print(f"seed {seed}: {len(all_names)} names, {good} valid, {wrong} differ")
    assert 20 < good < len(all_names) - 20, "the sample is one-sided"
    return wrong != 0


sys.exit(main())
