#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py EMBED: stock git pushes to the embedding example and clones from it, several at once."""
import atexit
import os
import socket
import subprocess
import sys
import threading

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../interop"))
from harness import World, check, equal, wait_for

with World("/") as world:
    sock = world.path("git.sock")
    server = subprocess.Popen([sys.argv[1], sock], stderr=subprocess.PIPE)
    atexit.register(server.kill)
    wait_for("the socket", lambda: os.path.exists(sock) or server.poll() is not None)

    def bridge(service):
        return "--%s=%s %s %s git-%s" % (service, sys.executable, os.path.join(here, "bridge.py"), sock, service)

    for fmt in ("sha1", "sha256"):
        source = world.history(world.path("source-" + fmt), fmt=fmt)
        url = "file:///team/" + fmt
        # Any request goes over the socket. Git before 2.45 needs this one for SHA-256.
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(sock)
            s.sendall(b"version=0 repo create team/%s --object-format=%s\n" % (fmt.encode(), fmt.encode()))
            equal(s.makefile("rb").read().count(b"team/" + fmt.encode()), 1, "the name in what it says")
        world.git("push", "-q", bridge("receive-pack"), "--mirror", url, cwd=source)
        for version in (0, 1, 2):
            copy = world.path("copy-%s-%d" % (fmt, version))
            world.git("clone", "-q", bridge("upload-pack"), "--mirror", url, copy, version=version)
            world.same(source, copy)
        failures = []

        def one(n):
            try:
                copy = world.path("many-%s-%d" % (fmt, n))
                world.git("clone", "-q", bridge("upload-pack"), url, copy)
                world.commit(copy, "by-%d" % n)
                world.git("push", "-q", bridge("receive-pack"), url, "HEAD:refs/heads/by-%d" % n, cwd=copy)
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise failures[0]
        heads = world.git("ls-remote", bridge("upload-pack"), "--heads", url).text
        equal(heads.count("refs/heads/by-"), 8, "branches pushed at once")
        r = world.git("push", bridge("receive-pack"), url, "main:refs/heads/wip/x", "main:refs/heads/done", cwd=source,
                      ok=False)
        check("wip/x (work in progress stays at home)" in r.errtext and "remote: thank you for 1 refs" in r.errtext,
              r.errtext)
        heads = world.git("ls-remote", bridge("upload-pack"), "--heads", url).text
        check("refs/heads/done" in heads and "wip" not in heads, heads)
    r = world.git("clone", bridge("upload-pack"), "file:///nothing", "x", ok=False)
    check("remote error" in r.errtext, r.errtext)
    check(server.poll() is None, "the example still serves")
    server.terminate()
    check(b"Sanitizer" not in server.communicate()[1], "a sanitizer spoke")
