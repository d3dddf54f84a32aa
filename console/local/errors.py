"""What may go wrong while the console is started and kept running on one machine."""


class SupervisorError(Exception):
    """Something an operator must act upon; the message says what."""


class AlreadyRunning(SupervisorError):
    """Another supervisor works in the same directory."""


class ServiceFailed(SupervisorError):
    """A service does not stay up, or is not ready in time."""


class StartFailed(SupervisorError):
    """A step of the start failed."""


class StopRequested(BaseException):
    """A person or the system asked for the end (Ctrl-C, SIGTERM, SIGHUP)."""
