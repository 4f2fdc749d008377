#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fetch.py against a mirror of our own with tiny archives: which version it takes, what it refuses,
and that nothing half-done stays behind."""
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

FETCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fetch.py")
PATCH = b"--- a/hello\n+++ b/hello\n@@ -1 +1 @@\n-old\n+patched\n"


def archive(top, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(top + name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return out.getvalue()


class Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


class Fetch(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.TemporaryDirectory()
        self.addCleanup(self.work.cleanup)
        self.mirror = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        self.mirror.files, self.mirror.asked = {}, []
        thread = threading.Thread(target=self.mirror.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.mirror.server_close)
        self.addCleanup(self.mirror.shutdown)
        self.url = "http://127.0.0.1:%d" % self.mirror.server_address[1]
        self.lock = ""

    def path(self, *names):
        return os.path.join(self.work.name, *names)

    def offer(self, version, body, package="thing", more=(), digest=None):
        """Adds a version to the lock file, and its file to the mirror unless body is None."""
        name = "/pool/%s_%s.tar.xz" % (package, version)
        if body is not None:
            self.mirror.files[name] = body
        self.lock += "%s %s\n  %s %s\n" % (package, version, digest or hashlib.sha256(body or b"").hexdigest(),
                                           name[1:])
        for line in more:
            self.lock += "  %s\n" % line

    def fetch(self, *arguments, url=None):
        with open(self.path("lock"), "w", encoding="utf-8") as f:
            f.write(self.lock)
        return subprocess.run([sys.executable, "-B", FETCH, "--lock", self.path("lock"), *arguments,
                               "out"], cwd=self.work.name, env=dict(os.environ, PH_MIRROR=url or self.url),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)

    def hello(self):
        with open(self.path("out", "thing", "hello"), encoding="utf-8") as f:
            return f.read()

    def left(self):
        """What is in the folder besides downloads."""
        return sorted(n for n in os.listdir(self.path("out")) if n != "downloads")

    def test_the_first_is_taken_once(self):
        self.offer("2", archive("thing-2/", {"hello": b"two"}))
        self.offer("1", archive("thing-1/", {"hello": b"one"}))
        result = self.fetch()
        self.assertEqual((result.returncode, self.hello()), (0, "two"), result.stderr)
        self.assertIn("thing 2\n", result.stdout)
        self.assertEqual(self.left(), ["thing", "thing.version", "used.txt"])
        self.assertEqual(self.fetch().returncode, 0)
        self.assertEqual(self.mirror.asked, ["/pool/thing_2.tar.xz"])

    def test_a_version_that_is_gone(self):
        self.offer("2", None)
        self.offer("1", archive("", {"hello": b"one", "more": b""}))
        result = self.fetch()
        self.assertEqual((result.returncode, self.hello()), (0, "one"), result.stderr)
        self.assertIn("thing 2: cannot be had", result.stdout)

    def test_a_wrong_checksum(self):
        self.offer("2", archive("t/", {"hello": b"two"}), digest="0" * 64)
        self.offer("1", archive("t/", {"hello": b"one"}))
        result = self.fetch()
        self.assertEqual((result.returncode, self.hello()), (0, "one"), result.stderr)
        self.assertEqual(os.listdir(self.path("out", "downloads")), ["thing_1.tar.xz"])

    def test_none_is_to_be_had(self):
        self.offer("1", None)
        result = self.fetch()
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\Afetch.py: .*thing \(1\).*%s.*--source-dir\n\Z" % self.url)
        self.assertEqual(self.left(), [])

    def test_a_dead_mirror(self):
        self.offer("2", archive("t/", {"hello": b"two"}))
        self.offer("1", archive("t/", {"hello": b"one"}))
        result = self.fetch(url="http://127.0.0.1:1")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\Afetch.py: [^\n]*http://127.0.0.1:1 [^\n]*--source-dir\n\Z")
        self.assertEqual((self.left(), os.listdir(self.path("out", "downloads"))), ([], []))

    def test_local_archives(self):
        body = archive("t/", {"hello": b"two"})
        self.offer("2", body)
        self.assertNotEqual(self.fetch("--source-dir", self.path("here")).returncode, 0)
        os.mkdir(self.path("here"))
        with open(self.path("here", "thing_2.tar.xz"), "wb") as f:
            f.write(body)
        result = self.fetch("--source-dir", self.path("here"), url="http://127.0.0.1:1")
        self.assertEqual((result.returncode, self.hello()), (0, "two"), result.stderr)
        self.assertEqual(self.mirror.asked, [])

    def test_no_archive_at_all(self):
        self.offer("2", b"this is no archive")
        result = self.fetch()
        self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1), result.stderr)
        self.assertEqual(self.left(), [])

    def test_patches(self):
        packaging = archive("debian/", {"patches/good": PATCH, "patches/bad": PATCH.replace(b"-old", b"-odd")})
        self.mirror.files["/pool/p.tar.xz"] = packaging
        line = "%s pool/p.tar.xz" % hashlib.sha256(packaging).hexdigest()
        self.offer("1", archive("t/", {"hello": b"old\n"}), more=(line, "patch good"))
        result = self.fetch()
        self.assertEqual((result.returncode, self.hello()), (0, "patched\n"), result.stderr)
        # Another recipe for the same version is another thing; one that fails leaves the old one gone.
        self.lock = self.lock.replace("patch good", "patch bad")
        result = self.fetch()
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("thing.version", self.left())
        self.assertFalse([n for n in self.left() if n.startswith(".unpack")])

    def test_one_version_and_no_other(self):
        self.offer("2", archive("t/", {"hello": b"two"}))
        self.offer("1", archive("t/", {"hello": b"one"}))
        self.assertEqual(self.fetch("--use", "thing=1").returncode, 0)
        self.assertEqual(self.hello(), "one")
        self.assertEqual(self.fetch("--use", "thing=3").returncode, 1)


unittest.main()
