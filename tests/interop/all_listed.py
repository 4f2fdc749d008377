# SPDX-License-Identifier: MIT
"""all_listed.py RUN.PY "CASE;CASE;...": every case of run.py is a test, and every test a case."""
import subprocess
import sys

have = set(subprocess.run([sys.executable, "-B", sys.argv[1], "--packhorse", "/", "--list"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split())
listed = set(sys.argv[2].split(";"))
print("not a test:", sorted(have - listed), "not a case:", sorted(listed - have))
sys.exit(have != listed)
