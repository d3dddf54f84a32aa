"""Errors of starting the console on one machine and keeping it running."""


class SupervisorError(Exception):
    """An error that an operator must act on; the message says how."""


class AlreadyRunning(SupervisorError):
    """Another supervisor runs in the same directory."""


class ServiceFailed(SupervisorError):
    """A service does not stay up, or is not ready in time."""


class StartFailed(SupervisorError):
    """A step of the start failed."""


class StopRequested(BaseException):
    """A person or the system requested a stop (Ctrl-C, SIGTERM, SIGHUP)."""
