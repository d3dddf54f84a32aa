"""The web server's worker process: gunicorn's thread worker, which resets no connection when it stops.

gunicorn's own closes the listening socket while connections wait in it that the kernel has accepted already; their
requests are reset. Behind a proxy each of those is a 502. What connects in the last milliseconds, between the last
look and the closing, cannot be told apart from what comes later, and may still be reset.
"""

import socket

from gunicorn.workers.gthread import ThreadWorker


class DrainingThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Accepts waiting connections before it closes the listening socket."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Enable or disable accepting; where the worker stops, first accept what waits, then refuse the rest at once."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        listeners = list(self.sockets)
        for listener in listeners:
            self._accept_waiting(listener)
        super().set_accept_enabled(False)
        # The kernel refuses from the moment on when the last worker has closed its copy, not at the end of the grace.
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
