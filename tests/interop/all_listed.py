# SPDX-License-Identifier: MIT
"""all_listed.py "CASE;CASE;..." RUN...: every case that RUN --list names is a test, and every test a case."""
import subprocess
import sys

have = set(subprocess.run([*sys.argv[2:], "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split())
listed = set(sys.argv[1].split(";"))
print("not a test:", sorted(have - listed), "not a case:", sorted(listed - have))
sys.exit(have != listed)
