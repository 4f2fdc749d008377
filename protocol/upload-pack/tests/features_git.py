# SPDX-License-Identifier: MIT
"""Stock git as the client of what has to be configured: refs wanted by name, bands for everything, blobs from
elsewhere, bundles, object-info; and of what needs no more than a client that asks for it.

features_git.py UPLOAD_PUMP

PH_TEST_GIT   folder with another git's bin, which is then the client
"""
import functools
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading

if os.environ.get("PH_TEST_GIT"):
    os.environ["PATH"] = os.environ["PH_TEST_GIT"] + ":" + os.environ["PATH"]

from compare_git import ENV, PUMP, dump, git, line, make_repo

failures = 0


def check(ok, what, text=""):
    global failures
    if not ok:
        failures += 1
        print("FAILED: %s\n%s" % (what, text))


class Server:
    """The pump over a dumped repository, as the program of a remote; a trace of what a client sends."""

    def __init__(self, top, repo):
        self.top, self.repo, self.dumped = top, repo, os.path.join(top, "dump")
        dump(repo, self.dumped)
        self.wrapper = os.path.join(top, "wrapper")
        with open(self.wrapper, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nexec "{PUMP}" "$1" "git-upload-pack \'$2\'"\n')
        os.chmod(self.wrapper, 0o755)
        self.count = 0

    def configure(self, **values):
        with open(os.path.join(self.dumped, "config"), "w", encoding="ascii") as file:
            for key, value in values.items():
                for one in value if isinstance(value, list) else [value]:
                    file.write(f"{key.replace('__', '.')}={one}\n")

    def run(self, *args, cwd=None, config=(), ok=True, data=b"", **env):
        """(status, output, packets) of a git with the server as its remote "r"."""
        self.count += 1
        trace = os.path.join(self.top, f"trace-{self.count}")
        words = [f"remote.r.uploadpack={self.wrapper} {self.dumped}", "remote.r.url=file:///r",
                 "remote.r.fetch=+refs/heads/*:refs/remotes/r/*", "protocol.version=2", *config]
        command = ["git", *(word for pair in words for word in ("-c", pair)), *args]
        done = subprocess.run(command, cwd=cwd, input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120,
                              env=dict(ENV, GIT_TRACE_PACKET=trace, **env))
        packets = ""
        if os.path.exists(trace):
            with open(trace, encoding="latin1") as file:
                packets = file.read()
        if ok:
            check(done.returncode == 0, " ".join(args), done.stdout.decode("latin1"))
        return done.returncode, done.stdout.decode("latin1"), packets

    def clone(self, *args, config=(), **env):
        self.count += 1
        copy = os.path.join(self.top, f"copy-{self.count}")
        subprocess.run(["git", "init", "-q", "-b", "none", copy], check=True, env=ENV)
        code, text, packets = self.run("fetch", "-q", *args, "r", cwd=copy, config=config, **env)
        if code == 0:
            git(copy, "fsck", "--full", "--no-dangling", "--no-progress")
        return copy, text, packets


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def has_http():
    """Whether this git was built with what it fetches by HTTP with."""
    path = subprocess.run(["git", "--exec-path"], env=ENV, stdout=subprocess.PIPE, check=True)
    return os.path.exists(path.stdout.decode().strip() + "/git-http-fetch")


def objects(repo):
    return set(git(repo, "rev-list", "--objects", "--all", "--no-object-names").split())


def ref_in_want(server):
    server.configure(uploadpack__allowrefinwant="true")
    main = line(server.repo, "rev-parse", "main")
    for more in ((), ("--depth=1",), ("--depth=2", "--filter=blob:none")):
        copy, _, packets = server.clone(
            *more, config=("remote.r.fetch=", "remote.r.fetch=refs/heads/main:refs/heads/x"))
        check("want-ref refs/heads/main" in packets, "want-ref is used", packets)
        check("wanted-refs" in packets, "wanted-refs is answered", packets)
        check(line(copy, "rev-parse", "x") == main, "the ref by name")
    _, text, _ = server.run("fetch", "r", "refs/heads/none", cwd=copy, ok=False)
    check("couldn't find remote ref refs/heads/none" in text, "a ref that is not there", text)


def sideband_all(server):
    server.configure(uploadpack__allowsidebandall="true", uploadpack__allowrefinwant="true")
    for more in ((), ("--depth=2",), ("--filter=blob:none",)):
        copy, _, packets = server.clone(*more, GIT_TEST_SIDEBAND_ALL="1")
        check("> sideband-all" in packets, "sideband-all is used", packets)
    copy, _, packets = server.clone()
    git(copy, "update-ref", "refs/remotes/r/main", line(server.repo, "rev-parse", "main~2"))
    server.run("fetch", "-q", "r", cwd=copy)
    check(line(copy, "rev-parse", "r/main") == line(server.repo, "rev-parse", "main"),
          "a fetch with haves")
    _, text, _ = server.run("fetch", "-q", "r", "1" * 40, cwd=copy, ok=False)
    check("remote error: upload-pack: not our ref" in text, "an error on band 3", text)


def packfile_uris(server, web):
    """One blob comes by HTTP, and only there."""
    blob = line(server.repo, "rev-parse", "main:last")
    pack = git(server.repo, "pack-objects", os.path.join(server.top, "mypack"),
               data=blob.encode()).decode().strip()
    uri = f"http://127.0.0.1:{web}/mypack-{pack}.pack"
    server.configure(uploadpack__allowsidebandall="true",
                     uploadpack__blobpackfileuri=f"{blob} {pack} {uri}")
    copy, _, packets = server.clone(config=("fetch.uriprotocols=http,https",))
    check("packfile-uris http,https" in packets, "packfile-uris is asked for", packets)
    check(f"{pack} http://127.0.0.1:{web}/" in packets, "packfile-uris is answered", packets)
    check(objects(copy) == objects(server.repo), "the same objects")
    names = [n for n in os.listdir(os.path.join(copy, ".git/objects/pack")) if n.endswith(".idx")]
    for name in names:
        with open(os.path.join(copy, ".git/objects/pack", name), "rb") as idx:
            shown = subprocess.run(["git", "show-index"], stdin=idx, check=True, env=ENV,
                                   stdout=subprocess.PIPE).stdout.decode()
        check((blob in shown) == (pack in name), "the blob is in one pack alone: " + name, shown)
    # Who cannot fetch it there gets it here; who asks for nothing of the kind too.
    for config in (("fetch.uriprotocols=https",), ()):
        copy, _, packets = server.clone(config=config)
        check("\\1packfile-uris" not in packets, "no URI for who cannot use it", packets)
        check(objects(copy) == objects(server.repo), "the same objects")


def negotiate_only(server):
    server.configure()
    copy, _, _ = server.clone()
    base = line(server.repo, "rev-parse", "main")
    git(copy, "commit", "-q", "--allow-empty", "-m", "root")
    _, text, packets = server.run("fetch", "--negotiate-only", "--negotiation-tip=" + base, "r",
                                  cwd=copy)
    check(base in text, "what both have", text)
    check("> wait-for-done" in packets, "wait-for-done is used", packets)
    tip = line(copy, "rev-parse", "HEAD")
    _, text, _ = server.run("fetch", "--negotiate-only", "--negotiation-tip=" + tip, "r", cwd=copy)
    check(tip not in text, "nothing in common", text)


def server_options(server):
    server.configure()
    copy, _, packets = server.clone("--server-option=a", "-o", "b=c d")
    check("> server-option=a" in packets and "> server-option=b=c d" in packets, "options", packets)
    server.run("ls-remote", "-o", "x", "r", cwd=copy)


def session_id(server):
    server.configure(transfer__advertisesid="true")
    copy, _, packets = server.clone(config=("transfer.advertisesid=true",))
    check(re.search("< session-id=[0-9a-f]{32}", packets), "our id", packets)
    check("> session-id=" in packets, "theirs", packets)
    _, _, packets = server.run("-c", "protocol.version=0", "fetch", "-q", "r", cwd=copy,
                               config=("transfer.advertisesid=true",))
    check(re.search("session-id=[0-9a-f]{32} object-format", packets), "in version 0", packets)


def bundle_uri(server, web, version):
    """From 2.40 on clients ask for bundles, when they are told to."""
    bundle = os.path.join(server.top, "some.bundle")
    uri = f"http://127.0.0.1:{web}/some.bundle"
    git(server.repo, "bundle", "create", "-q", bundle, "side")
    server.configure(uploadpack__advertisebundleuris="true", bundle__version="1",
                     bundle__mode="all", bundle__b__uri=uri)
    server.clone()
    if version < (2, 40):
        return
    copy = os.path.join(server.top, "bundled")
    _, text, packets = server.run(
        "clone", "-q", "-u", f"{server.wrapper} {server.dumped}", "file:///r", copy,
        config=("transfer.bundleURI=true",))
    check("command=bundle-uri" in packets, "bundle-uri is asked for", packets)
    check("< bundle.b.uri=" + uri in packets, "bundle-uri is answered", packets)
    if has_http():
        check(line(copy, "for-each-ref", "refs/bundles") != "", "the bundle was used", text)
        check("have " + line(server.repo, "rev-parse", "side") in packets, "and counts", packets)
    # Off: nobody is told, and a client goes on without.
    server.configure(bundle__version="1", bundle__mode="all", bundle__b__uri=uri)
    _, _, packets = server.run(
        "clone", "-q", "-u", f"{server.wrapper} {server.dumped}", "file:///r", copy + "2",
        config=("transfer.bundleURI=true",))
    check("bundle-uri" not in packets, "bundle-uri is off", packets)


def object_info(server):
    """remote-object-info of cat-file, where this git has it."""
    server.configure(transfer__advertiseobjectinfo="true")
    copy, _, _ = server.clone("--filter=blob:none")
    blob, none = line(server.repo, "rev-parse", "main:file"), "1" * 40
    size = line(server.repo, "cat-file", "-s", blob)
    code, text, packets = server.run(
        "cat-file", "--batch-command=%(objectname) %(objectsize)", cwd=copy, ok=False,
        data=f"remote-object-info r {blob} {none}\n".encode())
    if "unknown command" in text or "remote-object-info" in text and code:
        return
    check(f"{blob} {size}\n" in text, "the size of a blob that is not here", text)
    check(f"{none} missing" in text, "one that is nowhere", text)
    check("command=object-info" in packets, "object-info is used", packets)


def main():
    version = tuple(int(n) for n in re.findall(r"\d+", subprocess.run(
        ["git", "--version"], env=ENV, stdout=subprocess.PIPE, check=True).stdout.decode())[:2])
    with tempfile.TemporaryDirectory() as top:
        server = Server(top, make_repo(top, "sha1"))
        ref_in_want(server)
        sideband_all(server)
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                              functools.partial(Quiet, directory=top))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        if has_http():
            packfile_uris(server, web.server_port)
        negotiate_only(server)
        server_options(server)
        session_id(server)
        bundle_uri(server, web.server_port, version)
        object_info(server)
        web.shutdown()
    print("failures:", failures)
    return failures != 0


sys.exit(main())
