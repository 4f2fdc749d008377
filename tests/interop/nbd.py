# SPDX-License-Identifier: MIT
"""A disk that loses what was not flushed when the power goes: an NBD server for QEMU's drive.

A file on the host loses nothing when QEMU is killed, since the host's page cache has it. Here two files hold the
disk: what the machine reads and writes, and what is on stable storage. Writes are kept in a list until a flush
takes them to the second; at a power cut some of them are taken there, in any order, some with torn sectors, and the
rest is lost. The protocol is that of the NBD project's doc/proto.md: fixed newstyle, simple replies.
"""
import ctypes
import os
import socket
import struct
import subprocess
import threading

NBDMAGIC, IHAVEOPT, REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
OPT_EXPORT_NAME, OPT_ABORT, OPT_GO = 1, 2, 7
REP_ACK, REP_INFO, REP_ERR_UNSUP = 1, 3, 0x80000001
READ, WRITE, DISC, FLUSH, TRIM, ZEROES = 0, 1, 2, 3, 4, 6
HAS_FLAGS, CAN_FLUSH, CAN_FUA, CAN_TRIM, CAN_ZEROES = 1, 4, 8, 32, 64
FLAGS = HAS_FLAGS | CAN_FLUSH | CAN_FUA | CAN_TRIM | CAN_ZEROES
REQUEST, FUA = struct.Struct(">IHHQQI"), 1
KEEP_SIZE, PUNCH_HOLE = 1, 2
EINVAL = 22

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def put(fd, offset, data):
    """Writes data, or where it is a number, so many zeros."""
    if isinstance(data, int):
        if data and libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, offset, data) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")
    else:
        os.pwrite(fd, data, offset)


class PowerCutDisk:
    """path, as a drive of QEMU's at a time: start, drive, then cut. What path holds is what is stable."""

    def __init__(self, path, socket_path, rng):
        self.path, self.socket_path, self.rng = path, socket_path, rng
        self.size = os.stat(path).st_size
        self.requests = self.flushes = self.kept = self.lost = self.torn = 0
        # After so many requests the plug is pulled by whoever set it.
        self.last, self.pull = None, None

    def start(self):
        """Waits for one connection, in a thread."""
        subprocess.run(["cp", "--sparse=always", self.path, self.path + ".seen"], check=True)
        self.seen = os.open(self.path + ".seen", os.O_RDWR)
        self.stable = os.open(self.path, os.O_RDWR)
        self.pending, self.error, self.last = [], None, None
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket_path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def drive(self):
        return ["-drive", "id=d,if=none,format=raw,discard=unmap,file.driver=nbd,file.server.type=unix,file.server.path="
                + self.socket_path]

    def serve(self):
        try:
            with self.listener.accept()[0] as s, s.makefile("rwb") as f:
                if self.negotiate(f):
                    while self.request(f):
                        f.flush()
        except (ConnectionError, EOFError):
            pass
        except Exception as e:
            self.error = e

    def negotiate(self, f):
        f.write(NBDMAGIC + IHAVEOPT + struct.pack(">H", 3))
        f.flush()
        no_zeroes = self.read(f, ">I")[0] & 2
        while True:
            magic, option, n = self.read(f, ">8sII")
            f.read(n)
            if magic != IHAVEOPT or option == OPT_ABORT:
                return False
            if option == OPT_EXPORT_NAME:
                f.write(struct.pack(">QH", self.size, FLAGS) + (b"" if no_zeroes else bytes(124)))
            elif option == OPT_GO:
                self.option_reply(f, option, REP_INFO, struct.pack(">HQH", 0, self.size, FLAGS))
                self.option_reply(f, option, REP_ACK)
            else:
                self.option_reply(f, option, REP_ERR_UNSUP)
            f.flush()
            if option in (OPT_EXPORT_NAME, OPT_GO):
                return True

    @staticmethod
    def read(f, layout):
        n = struct.calcsize(layout)
        data = f.read(n)
        if len(data) < n:
            raise EOFError
        return struct.unpack(layout, data)

    @staticmethod
    def option_reply(f, option, kind, data=b""):
        f.write(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

    def request(self, f):
        """One request; False when there is none, or the moment of the cut has come."""
        _, flags, kind, handle, offset, n = self.read(f, REQUEST.format)
        data = f.read(n) if kind == WRITE else n
        self.requests += 1
        if kind == DISC:
            return False
        if self.last is not None and self.requests > self.last:
            self.pull()
            # It may have been under way when the power went.
            if kind in (WRITE, ZEROES):
                self.pending.append((offset, data))
            return False
        error = 0
        if kind == FLUSH:
            self.flush()
        elif kind in (WRITE, TRIM, ZEROES) and offset + n <= self.size:
            put(self.seen, offset, data)
            self.pending.append((offset, data))
            if flags & FUA:
                put(self.stable, offset, data)
        elif kind != READ or offset + n > self.size:
            error = EINVAL
        f.write(struct.pack(">IIQ", 0x67446698, error, handle))
        if kind == READ and not error:
            f.write(os.pread(self.seen, n, offset))
        return True

    def flush(self):
        for offset, data in self.pending:
            put(self.stable, offset, data)
        self.pending = []
        self.flushes += 1

    # ---- the power cut ----

    def cut(self):
        """After QEMU is gone: decides what of the writes since the last flush is there."""
        self.thread.join(30)
        if self.error:
            raise self.error
        self.listener.close()
        how = self.rng.choice(("none", "all", "prefix", "some", "some", "some"))
        writes = list(self.pending)
        if how == "prefix":
            writes = writes[:self.rng.randrange(len(writes) + 1)]
        elif how == "some":
            share = self.rng.random()
            writes = [w for w in writes if self.rng.random() < share]
            self.rng.shuffle(writes)
        elif how == "none":
            writes = []
        for offset, data in writes:
            if how == "some" and not isinstance(data, int) and self.rng.random() < 0.3:
                self.tear(offset, data)
            else:
                put(self.stable, offset, data)
        self.kept += len(writes)
        self.lost += len(self.pending) - len(writes)
        os.close(self.seen)
        os.close(self.stable)
        os.unlink(self.path + ".seen")

    def tear(self, offset, data):
        """Some sectors of a write."""
        self.torn += 1
        sector = self.rng.choice((512, 4096))
        for at in range(0, len(data), sector):
            if self.rng.random() < 0.5:
                put(self.stable, offset + at, data[at:at + sector])
