"""One service of the supervisor and its process: what to run, whether it is alive, how it is killed."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Service:
    """What to run, and how long it may take to end after SIGTERM (seconds).

    ``inherits``: the variables that it gets from the supervisor's environment; None: all, including the keys.
    ``alive_file``: a file that the service touches regularly; if it stops, the service is killed and started again.
    """

    name: str
    command: Sequence[str]
    grace_seconds: float = 10.0
    environment: Mapping[str, str] = field(default_factory=dict)
    inherits: Collection[str] | None = None
    alive_file: Path | None = None
    # Longer than any start takes (seconds).
    silent_seconds: float = 60.0


def process_start(pid: int) -> str | None:
    """Return the start time of a process as text; None if there is none. A reused pid has another start time."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # proc(5): field 22, in clock ticks since boot; the name in field 2 may contain anything.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, IndexError):
            return None
        return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
    shown = subprocess.run(  # noqa: S603  # a fixed program and a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None


def kill_session(pid: int) -> None:
    """Kill the process group of the session that ``pid`` leads, if any process of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for zombies
        os.killpg(pid, signal.SIGKILL)


def die_with(parent: int) -> None:
    """Run in a new child before exec: let the kernel kill it when its supervisor ends (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the supervisor ended before the line above
            os._exit(1)


@dataclass
class Process:
    """One process of a service."""

    popen: subprocess.Popen[bytes]
    output: int  # the read end of its stdout and stderr
    started_at: float
    partial_line: bytes = b""
    # When its alive file last changed, by the monotonic clock, which stops while the machine is suspended.
    alive_mark: int = 0
    alive_at: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """The process's id; it also leads the session."""
        return self.popen.pid

    def has_ended(self) -> bool:
        """Return whether it is dead, without reaping it: until it is reaped, its pid is not reused."""
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return self.popen.poll() is not None


@dataclass
class Child:
    """One service, its current process if there is one, and the outcome of earlier ones."""

    service: Service
    process: Process | None = None
    restart_at: float | None = None
    quick_deaths: int = 0
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))
