# SPDX-License-Identifier: MIT
"""dulwich's upload-pack, or with --receive its receive-pack, on standard input and output, for sshd to start."""
import sys

from dulwich.server import ReceivePackHandler, UploadPackHandler, serve_command

handler = ReceivePackHandler if sys.argv[1] == "--receive" else UploadPackHandler
sys.exit(serve_command(handler, [sys.argv[0], sys.argv[-1]]))
