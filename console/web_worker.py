"""The web server's worker process: gunicorn's thread worker, without connection resets when it stops.

gunicorn's own worker closes the listening socket while it still has waiting connections, which the kernel has already
accepted; these are reset, and a proxy answers 502. This worker first blocks new connections, then accepts the waiting
ones, then closes. A client that connects meanwhile gets no answer from the kernel, retries after a second, and is
refused.
"""

import ctypes
import os
import socket
import struct
import sys
import time
from pathlib import Path

from gunicorn.workers.gthread import ThreadWorker

# From asm-generic/socket.h of Linux; Python's socket module does not have it.
SO_ATTACH_FILTER = 26
# Four instructions of the kernel's classic packet filter (struct sock_filter: code, jt, jf, k), which sees the TCP header.
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # yes: drop
    (0x06, 0, 0, 0xFFFFFFFF),  # no: accept, so that a handshake in progress can finish
)
# How long a handshake in progress may take until its connection can be accepted.
HANDSHAKE_SECONDS = 0.05


def let_nobody_new_in(listener: socket.socket) -> None:
    """Make the kernel ignore new connections to a listening socket, in all processes that share it."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in DROP_SYN))
    program = struct.pack("HP", len(DROP_SYN), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def holds(process: int, listener: socket.socket) -> bool:
    """Return whether a process has this socket open; True if that is unknown."""
    name = f"socket:[{os.fstat(listener.fileno()).st_ino}]"
    try:
        return any(os.readlink(file) == name for file in Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return True


def is_tcp(listener: socket.socket) -> bool:
    """Return whether the kernel can ignore new connections to this socket."""
    return sys.platform == "linux" and listener.family in (socket.AF_INET, socket.AF_INET6)


class DrainingThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Accepts waiting connections before it closes the listening socket."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Enable or disable accepting; at a stop, first accept waiting connections, then refuse new ones at once."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        listeners = list(self.sockets)
        super().set_accept_enabled(False)
        # If only this worker stops, at a reload, the socket stays open and other workers accept from it.
        closing = [listener for listener in listeners if is_tcp(listener) and not holds(self.ppid, listener)]
        for listener in closing:
            let_nobody_new_in(listener)
        if closing:
            time.sleep(HANDSHAKE_SECONDS)
        # The kernel refuses connections as soon as the last worker has closed its copy, not after the grace period.
        for listener in listeners:
            self._accept_waiting(listener)
            listener.close()
        self.sockets.clear()

    def _accept_waiting(self, listener: socket.socket) -> None:
        while True:
            before = self.nr_conns
            self.accept(listener)
            if self.nr_conns == before:
                return
