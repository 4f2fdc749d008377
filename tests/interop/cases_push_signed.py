# SPDX-License-Identifier: MIT
"""Signed pushes by stock git and ssh-keygen: certificates that are good, doubtful and refused."""
import re
import subprocess

from cases_git import pushed
from harness import check, equal

KINDS = ("ed25519", "ecdsa", "rsa")


def quoted(value):
    """For the words of an ssh command: single quotes as git has them."""
    return "'" + value.replace("'", "'\\''") + "'"


def configure(world, server, name, *words, ok=True):
    return world.ssh(server, "repo", "config", name, *[quoted(w) for w in words], ok=ok)


def allow(world, server, name, key, principal="alice@example.org", options=""):
    line = " ".join(w for w in (principal, options, *world.public(key).split()[:2]) if w)
    configure(world, server, name, "--add", "gpg.ssh.allowedSigners", line)


def signed_push(world, server, name, source, *refs, key="id", sign=None, ok=True, more=()):
    sign = sign or world.key(key)
    return world.git("-c", "gpg.format=ssh", "-c", "user.signingKey=" + sign, "push", "--signed", *more,
                     server.url(name), *refs, cwd=source, ok=ok)


def certificate(server):
    """What the server's log says of the last certificate: (status, nonce, key, signer)."""
    found = re.findall(r"push certificate \w+ is (.), nonce (\w+), key (\S+), signer (.*?)(?::.*)?$",
                       server.text(), re.M)
    check(found, "no certificate in the log:\n" + server.text()[-2000:])
    return found[-1]


def fingerprint(world, key):
    return world.run(["ssh-keygen", "-l", "-f", world.key(key) + ".pub"]).text.split()[1]


def check_stored(world, server, name, repo, key):
    """The certificate is kept as a blob, as it was signed: ssh-keygen says so."""
    oid = re.findall(r"push certificate ([0-9a-f]+) is", server.text())[-1]
    configure(world, server, name, "uploadpack.allowAnySHA1InWant", "true")
    world.git("fetch", "-q", server.url(name), oid, cwd=repo)
    text = world.git("cat-file", "blob", oid, cwd=repo).out
    cut = text.index(b"-----BEGIN SSH SIGNATURE-----")
    signers = world.write("signers", "somebody " + " ".join(world.public(key).split()[:2]) + "\n")
    world.run(["ssh-keygen", "-Y", "verify", "-n", "git", "-f", signers, "-I", "somebody",
               "-s", world.write("signature", text[cut:])], data=text[:cut])


def signed_pushes(world):
    """Stock git push --signed with every kind of key, in both formats: status, signer, nonce and key."""
    server = world.serve("store.img")
    for fmt in ("sha1", "sha256"):
        name = "app-" + fmt
        source = pushed(world, server, name, fmt)
        r = signed_push(world, server, name, source, "main:x", ok=False)
        check(r.code and "does not support --signed push" in r.errtext, r.errtext)
        configure(world, server, name, "receive.certNonceSeed", "a seed")
        for kind in KINDS:
            world.key("sign-" + kind, kind)
            r = signed_push(world, server, name, source, "main:unknown-" + kind, key="sign-" + kind)
            check("warning: push certificate: its key is none of" in r.errtext, r.errtext)
            equal(certificate(server), ("U", "OK", fingerprint(world, "sign-" + kind), "none"), kind)
            allow(world, server, name, "sign-" + kind, kind + "@example.org,*@example.com",
                  'namespaces="git"')
            r = signed_push(world, server, name, source, "main:known-" + kind, key="sign-" + kind)
            check("warning" not in r.errtext, r.errtext)
            equal(certificate(server), ("G", "OK", fingerprint(world, "sign-" + kind),
                                        kind + "@example.org"), kind)
            check_stored(world, server, name, source, "sign-" + kind)
            listed = world.git("ls-remote", server.url(name), cwd=source).text
            check("refs/heads/known-" + kind in listed, listed)
        # Deletions and many refs are signed as well.
        signed_push(world, server, name, source, ":known-rsa", key="sign-rsa")
        equal(certificate(server)[:2], ("G", "OK"), "a deletion")
        refs = ["main:refs/heads/many/%d" % i for i in range(200)]
        signed_push(world, server, name, source, *refs, key="sign-ecdsa", more=("--atomic",))
        equal(certificate(server)[:2], ("G", "OK"), "many refs")
        clone = world.path("clone-" + fmt)
        world.git("clone", "-q", "--mirror", server.url(name), clone)
        world.git("fsck", "--full", "--strict", cwd=clone)
    server.stop()


def required_certificates(world):
    """packhorse.requireCert: unsigned, unknown, revoked, expired and PGP-like pushes are refused."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    for key in ("good", "bad", "late", "other-use"):
        world.key(key)
    # No seed is needed: the server makes one.
    configure(world, server, "app", "packhorse.requireCert", "true")
    for key, options in (("good", ""), ("late", 'valid-before="20200101"'),
                         ("other-use", 'namespaces="file"')):
        allow(world, server, "app", key, key + "@example.org", options)
    before = world.git("ls-remote", server.url("app"), cwd=source).text
    r = world.git("push", server.url("app"), "main:x", cwd=source, ok=False)
    check(r.code and "only signed pushes are taken here" in r.errtext and "push certificate required" in r.errtext,
          r.errtext)
    for key, why in (("bad", "none of gpg.ssh.allowedSigners"), ("late", "not valid at this time"),
                     ("other-use", "may not sign pushes (gpg.ssh.allowedSigners)")):
        r = signed_push(world, server, "app", source, "main:x", key=key, ok=False)
        check(r.code and why in r.errtext and "push certificate not accepted" in r.errtext, r.errtext)
    equal(world.git("ls-remote", server.url("app"), cwd=source).text, before, "refs after refusals")
    signed_push(world, server, "app", source, "main:x", key="good")
    equal(certificate(server)[::3], ("G", "good@example.org"), "verdict")
    configure(world, server, "app", "--add", "gpg.ssh.revokedKeys", fingerprint(world, "good"))
    r = signed_push(world, server, "app", source, "main:y", key="good", ok=False)
    check(r.code and "revoked" in r.errtext, r.errtext)
    # A program that signs with anything else.
    fake = world.write("sign.sh", "#!/bin/sh\ncat >/dev/null\nprintf '[GNUPG:] SIG_CREATED \\n' >&2\n"
                       "printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nAAAA\\n-----END PGP SIGNATURE-----\\n'\n")
    subprocess.run(["chmod", "+x", fake], check=True)
    r = world.git("-c", "gpg.program=" + fake, "push", "--signed", server.url("app"), "main:y", cwd=source, ok=False)
    check(r.code and "only SSH signatures can be verified here" in r.errtext, r.errtext)
    equal(certificate(server)[0], "E", "verdict on PGP")
    server.stop()


def bound_certificates(world):
    """packhorse.certKey=connection: the certificate's key is the one that opened the connection."""
    for kind in KINDS:
        world.key("conn-" + kind, kind)
    keys = world.public("id") + "".join(world.public("conn-" + kind) for kind in KINDS)
    server = world.serve("store.img", keys=keys)
    source = pushed(world, server, "app")
    configure(world, server, "app", "packhorse.certKey", "connection")
    r = signed_push(world, server, "app", source, "main:other", key="conn-rsa", ok=False)
    check(r.code and "push certificate of another key" in r.errtext and "opened the connection" in r.errtext,
          r.errtext)
    signed_push(world, server, "app", source, "main:own")
    equal(certificate(server), ("G", "OK", fingerprint(world, "id"), "id"), "verdict")
    world.git("push", "-q", server.url("app"), "main:unsigned", cwd=source)
    configure(world, server, "app", "packhorse.requireCert", "true")
    r = world.git("push", "-q", server.url("app"), "main:unsigned2", cwd=source, ok=False)
    check(r.code and "push certificate required" in r.errtext, r.errtext)
    for kind in KINDS:
        key = "conn-" + kind
        world.git("-c", "gpg.format=ssh", "-c", "user.signingKey=" + world.key(key), "push", "--signed",
                  server.url("app"), "main:by-" + kind, cwd=source, key=key)
        equal(certificate(server), ("G", "OK", fingerprint(world, key), key), "verdict")
        r = world.git("-c", "gpg.format=ssh", "-c", "user.signingKey=" + world.key("id"), "push", "--signed",
                      server.url("app"), "main:by-" + kind + "2", cwd=source, key=key, ok=False)
        check(r.code and "push certificate of another key" in r.errtext, r.errtext)
    # With a list of signers, a key that opened the connection has to be in it too.
    allow(world, server, "app", "conn-rsa")
    r = signed_push(world, server, "app", source, "main:own2", ok=False)
    check(r.code and "none of gpg.ssh.allowedSigners" in r.errtext, r.errtext)
    server.stop()


def signer_settings(world):
    """What allowedSigners and its kin take, and what they say of the rest."""
    server = world.serve("store.img")
    world.ssh(server, "repo", "create", "app")
    key = " ".join(world.public("id").split()[:2])
    for line in ("a@b " + key, "*,!x@y namespaces=\"git,file\",valid-after=\"20200101\" " + key + " comment",
                 "\"a b@c\" valid-before=\"203001010000Z\" " + key):
        configure(world, server, "app", "--add", "gpg.ssh.allowedSigners", line)
        found = world.path("allowed")
        world.write("allowed", line + "\n")
        world.run(["ssh-keygen", "-Y", "match-principals", "-I", "nobody", "-f", found], ok=False)
    equal(len(configure(world, server, "app", "gpg.ssh.allowedSigners").text.splitlines()), 3, "lines")
    for name, value, said in (
            ("gpg.ssh.allowedSignersFile", "/etc/signers", "gpg.ssh.allowedSigners"),
            ("gpg.ssh.revocationFile", "/etc/revoked", "gpg.ssh.revokedKeys"),
            ("gpg.ssh.allowedSigners", "a@b cert-authority " + key, "cert-authority is not supported"),
            ("gpg.ssh.allowedSigners", "a@b", "no key of a type"),
            ("gpg.ssh.allowedSigners", "a@b ssh-rsa " + key.split()[1], "base64 of a key of its type"),
            ("gpg.ssh.allowedSigners", "a@b valid-after=\"soon\" " + key, "YYYYMMDD"),
            ("gpg.ssh.revokedKeys", "SHA256:short", "43 characters"),
            ("packhorse.certKey", "mine", "any or connection"),
            ("packhorse.requireCert", "maybe", "true or false")):
        r = configure(world, server, "app", "--add" if name.endswith(("Signers", "Keys")) else name,
                      *((name, value) if name.endswith(("Signers", "Keys")) else (value,)), ok=False)
        check(r.code == 1 and said in r.errtext, "%s=%s: %s" % (name, value, r.errtext))
    server.stop()


def git_verdict(world, bare):
    """What stock git's receive-pack told its hook of the last certificate, in our words."""
    with open(bare + "/verdict") as f:
        status, nonce, key, signer = f.read().split("|")
    # Git's hook is told G of a good signature by anybody; %G? calls it U.
    if status == "G" and not signer:
        status = "U"
    return status, nonce, key or "none", signer or "none"


def signed_as_git(world):
    """The same keys, signers and revocations here and in stock git's receive-pack: the same verdicts."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    bare = world.path("bare.git")
    world.git("clone", "-q", "--bare", source, bare)
    hook = bare + "/hooks/pre-receive"
    world.write(hook, "#!/bin/sh\nprintf '%s|%s|%s|%s' \"$GIT_PUSH_CERT_STATUS\" \"$GIT_PUSH_CERT_NONCE_STATUS\" "
                "\"$GIT_PUSH_CERT_KEY\" \"$GIT_PUSH_CERT_SIGNER\" >verdict\n")
    subprocess.run(["chmod", "+x", hook], check=True)
    configure(world, server, "app", "receive.certNonceSeed", "a seed")
    options = {"plain": "", "many": "", "late": 'valid-before="20200101"', "early": 'valid-after="20990101"',
               "files": 'namespaces="file"', "any": 'namespaces="f*,g?t"', "not": 'namespaces="*,!git"',
               "gone": "", "valid": 'valid-after="20200101",valid-before="20990101Z",namespaces="git"'}
    lines = []
    for name, option in options.items():
        principals = "a@b,c@d" if name == "many" else name + "@example.org"
        world.key(name, KINDS[len(lines) % 3])
        allow(world, server, "app", name, principals, option)
        lines.append(" ".join(w for w in (principals, option, *world.public(name).split()[:2]) if w))
    configure(world, server, "app", "--add", "gpg.ssh.revokedKeys", " ".join(world.public("gone").split()[:2]))
    for key, value in (("receive.certNonceSeed", "a seed"),
                       ("gpg.ssh.allowedSignersFile", world.write("allowed", "\n".join(lines) + "\n")),
                       ("gpg.ssh.revocationFile", world.write("revoked", world.public("gone")))):
        world.git("config", key, value, cwd=bare)
    for name in (*options, "unknown"):
        world.key(name)
        signed_push(world, server, "app", source, "main:by-" + name, key=name)
        world.git("-c", "gpg.format=ssh", "-c", "user.signingKey=" + world.key(name), "push", "-q", "--signed",
                  bare, "main:by-" + name, cwd=source)
        git, ours = git_verdict(world, bare), certificate(server)
        if git[0] == "B":
            # ssh-keygen says nothing about a signature that it does not believe.
            ours = (*ours[:2], *git[2:])
        if name == "gone":
            # Git 2.39 misspells gpg.ssh.revocationFile to itself, and never reads it.
            check(ours[0] == "B" and git[0] in "BG", "verdicts on a revoked key: %r, %r" % (ours, git))
        else:
            equal(ours, git, "verdict on " + name)
    server.stop()


def signed_options(world):
    """Push options are signed along; without a word of them, and with others, the push is refused."""
    server = world.serve("store.img")
    source = pushed(world, server, "app")
    configure(world, server, "app", "packhorse.requireCert", "true")
    configure(world, server, "app", "receive.advertisePushOptions", "true")
    allow(world, server, "app", "id")
    signed_push(world, server, "app", source, "main:x", more=("-o", "a=b", "-o", "two words"))
    equal(certificate(server)[:2], ("G", "OK"), "verdict")
    signed_push(world, server, "app", source, "main:y")
    # A program between git and ssh that changes an option on its way, in the lines behind the commands.
    ssh = world.write("change.py", """import subprocess, sys, threading
server = subprocess.Popen(["ssh", *sys.argv[1:]], stdin=subprocess.PIPE)
data = sys.stdin.buffer.raw.read(65536)
while data:
    server.stdin.write(data.replace(b"0007a=b", b"0007a=c"))
    server.stdin.flush()
    data = sys.stdin.buffer.raw.read(65536)
server.stdin.close()
sys.exit(server.wait())
""")
    env = world.env()
    env["GIT_SSH_COMMAND"] = env["GIT_SSH_COMMAND"].replace("ssh ", "python3 %s " % ssh, 1)
    r = world.run(["git", "-c", "gpg.format=ssh", "-c", "user.signingKey=" + world.key("id"), "push", "--signed",
                   "-o", "a=b", server.url("app"), "main:z"], cwd=source, env=env, ok=False)
    check(r.code and "inconsistent push options" in r.errtext, r.errtext)
    server.stop()


CASES = (signed_as_git, signed_options, signed_pushes, required_certificates, bound_certificates, signer_settings)
