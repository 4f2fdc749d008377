#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints signatures.h: keys, and signatures by ssh-keygen and openssl, as data for tests.

It was run once; another run makes other keys. Signatures of security keys are put together here, for
there is no such key at hand: openssl signs what PROTOCOL.u2f says."""
import base64
import hashlib
import os
import struct
import subprocess
import sys
import tempfile

MESSAGE = b"certificate version 0.1\npusher somebody 1700000000 +0000\n\nthe message\n"
KINDS = (("ed25519", ["-t", "ed25519"]), ("p256", ["-t", "ecdsa", "-b", "256"]),
         ("p384", ["-t", "ecdsa", "-b", "384"]), ("p521", ["-t", "ecdsa", "-b", "521"]),
         ("rsa2048", ["-t", "rsa", "-b", "2048"]), ("rsa3072", ["-t", "rsa", "-b", "3072"]),
         ("rsa1024", ["-t", "rsa", "-b", "1024"]))


def run(*argv, data=None):
    return subprocess.run(argv, input=data, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def string(data):
    return struct.pack(">I", len(data)) + data


def mpint(data):
    data = data.lstrip(b"\0")
    return string(b"\0" + data if data[0] & 0x80 else data)


def armored(blob):
    text = base64.b64encode(blob).decode()
    lines = [text[i:i + 70] for i in range(0, len(text), 70)]
    return "-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n" % "\n".join(lines)


def sshsig(key, sign, hash_name="sha512"):
    digest = hashlib.new(hash_name, MESSAGE).digest()
    signed = b"SSHSIG" + string(b"git") + string(b"") + string(hash_name.encode()) + string(digest)
    return armored(b"SSHSIG" + struct.pack(">I", 1) + string(key) + string(b"git") + string(b"") +
                   string(hash_name.encode()) + string(sign(signed)))


def sk(top, kind):
    """A security key's signature: over hashes of the application and the message, flags and a counter."""
    path = os.path.join(top, "sk-" + kind)
    ed = kind == "ed25519"
    run("openssl", "genpkey", *(["-algorithm", "ed25519"] if ed else
                                ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), "-out", path)
    der = run("openssl", "pkey", "-in", path, "-pubout", "-outform", "DER")
    name = b"sk-ssh-ed25519@openssh.com" if ed else b"sk-ecdsa-sha2-nistp256@openssh.com"
    key = string(name) + (string(der[-32:]) if ed else string(b"nistp256") + string(der[-65:])) + string(b"ssh:")
    tail = b"\1" + struct.pack(">I", 5)

    def sign(text):
        data = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(text).digest()
        with open(path + ".data", "wb") as f:
            f.write(data)
        if ed:
            blob = run("openssl", "pkeyutl", "-sign", "-inkey", path, "-rawin", "-in", path + ".data")
        else:
            der = run("openssl", "dgst", "-sha256", "-sign", path, path + ".data")
            r_len = der[3]
            r, s = der[4:4 + r_len], der[6 + r_len:]
            blob = mpint(r) + mpint(s)
        return string(name) + string(blob) + tail
    return name.decode() + " " + base64.b64encode(key).decode(), sshsig(key, sign)


def c_string(text):
    return "\n".join('        "%s"' % (part.replace('"', '\\"') + "\\n") for part in text.split("\n")[:-1])


def main():
    rows = []
    with tempfile.TemporaryDirectory() as top:
        message = os.path.join(top, "message")
        with open(message, "wb") as f:
            f.write(MESSAGE)
        for name, options in KINDS:
            path = os.path.join(top, name)
            run("ssh-keygen", "-q", *options, "-N", "", "-C", "", "-f", path)
            with open(path + ".pub") as f:
                public = " ".join(f.read().split()[:2])
            for hash_name in ("sha512", "sha256"):
                with open(message, "rb") as f:
                    text = run("ssh-keygen", "-Y", "sign", "-f", path, "-n", "git", "-O",
                               "hashalg=" + hash_name, data=f.read()).decode()
                rows.append((name + " " + hash_name, public, text))
            fingerprint = run("ssh-keygen", "-l", "-f", path + ".pub").decode().split()[1]
            if name == "ed25519":
                other = run("ssh-keygen", "-Y", "sign", "-f", path, "-n", "file", data=MESSAGE).decode()
                print_of = fingerprint
        for kind in ("ed25519", "ecdsa"):
            rows.append(("sk-" + kind, *sk(top, kind)))
    out = sys.stdout
    out.write("/* SPDX-License-Identifier: MIT */\n/* Made by make_signatures.py. */\n"
              "#ifndef PH_SIGNATURES_H\n#define PH_SIGNATURES_H\n\n")
    out.write("#define SIGNED_MESSAGE \\\n%s\n\n" % c_string(MESSAGE.decode()).replace("\n        ", " \\\n        "))
    out.write("#define ED25519_FINGERPRINT \"%s\"\n\n" % print_of)
    out.write("static const struct {\n\tconst char *name, *key, *text;\n} signatures[] = {\n")
    for name, public, text in rows:
        half = [public[i:i + 80] for i in range(0, len(public), 80)]
        out.write('        {"%s",\n%s,\n%s},\n' % (name, "\n".join('         "%s"' % h for h in half), c_string(text)))
    out.write("};\n\n/* By the first key, for another purpose than git. */\nstatic const char other_purpose[] =\n%s;\n\n#endif\n"
              % c_string(other))


if __name__ == "__main__":
    main()
