#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bridge.py SOCKET SERVICE PATH: what git runs as --upload-pack or --receive-pack. It copies its
standard input and output to and from the Unix socket that examples/embed.c listens on."""
import os
import socket
import sys
import threading

path, service, repo = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.sendall(("%s %s '%s'\n" % (os.environ.get("GIT_PROTOCOL", "version=0"), service, repo)).encode())


def outward():
    while True:
        data = os.read(0, 65536)
        if not data:
            break
        s.sendall(data)
    s.shutdown(socket.SHUT_WR)


threading.Thread(target=outward, daemon=True).start()
while True:
    data = s.recv(65536)
    if not data:
        break
    while data:
        data = data[os.write(1, data):]
os._exit(0)
