# SPDX-License-Identifier: MIT
"""dulwich's upload-pack on standard input and output, for sshd to start."""
import sys

from dulwich.server import UploadPackHandler, serve_command

sys.exit(serve_command(UploadPackHandler, [sys.argv[0], sys.argv[1]]))
