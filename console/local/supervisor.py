"""Runs a set of long-lived processes together: starts, watches, restarts and stops them.

Each child leads its own session, so that neither Ctrl-C nor a signal to the group reaches the children
that *it* started: Celery's and gunicorn's main processes stop those in order.
No child outlives the supervisor: the kernel kills them with it on Linux, and elsewhere the next
supervisor of the same directory stops what an earlier one left behind.
"""

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Self

from console.local.child_process import Child, Process, Service, die_with, kill_session, process_start
from console.local.errors import AlreadyRunning, ServiceFailed, StopRequested

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Signals that come together are one request: a terminal and `make` may each deliver theirs (seconds).
SAME_REQUEST_SECONDS = 1.0
# A child that ran this long was healthy, and the count of quick deaths is reset (seconds).
STABLE_SECONDS = 20.0
# After this many quick deaths in a row, the supervisor does not restart the service again.
MAX_QUICK_DEATHS = 5
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0
# How long a child that an earlier supervisor left behind may take to end (seconds).
LEFTOVER_GRACE_SECONDS = 10.0
LINE_MAX_BYTES = 65_536
COLOURS = (36, 32, 33, 35, 34, 31)  # ANSI foregrounds
# Output contains text from outside, which must not control the terminal.
CONTROL_CHARACTERS = bytes(set(range(32)) - {9}) + b"\x7f"


class Supervisor:
    """Runs services; use it as a context manager in the main thread: leaving it stops them all.

    Services stop in the reverse order of their start. A service that dies is restarted with increasing
    delays; after ``MAX_QUICK_DEATHS`` deaths at its start it has failed for good.

    Raises:
        AlreadyRunning: on entry, if another supervisor has locked ``directory``.
    """

    def __init__(
        self,
        *,
        directory: Path,
        cwd: Path,
        environment: Mapping[str, str],
        output: BinaryIO,
        names: Sequence[str] = (),
    ) -> None:
        self._directory = directory
        self._cwd = cwd
        self._environment = dict(environment)
        self._output = output
        self._width = max((len(name) for name in names), default=0)
        self._colours = output.isatty() and "NO_COLOR" not in os.environ
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._undo = contextlib.ExitStack()
        self._stop_requests = 0
        self._last_request_at = float("-inf")
        self._raise_at_once = True

    # --- Entering and leaving -----------------------------------------------------------------

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self._selector.close)
            self._lock(undo)
            self._listen_to_signals(undo)
            self._stop_leftovers()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.stop()
        finally:
            self._undo.close()

    def _lock(self, undo: contextlib.ExitStack) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = undo.enter_context((self._directory / "up.lock").open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(
                f"The console is already running from {self._directory.parent} (process"
                f" {file.read().strip() or 'unknown'}). Stop it first, or give this one a VAR_DIR of its own."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()

    def _listen_to_signals(self, undo: contextlib.ExitStack) -> None:
        receiver, sender = socket.socketpair()
        for end in (receiver, sender):
            end.setblocking(False)
            undo.callback(end.close)
        # A signal that comes just before select() must still wake it.
        undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False))
        self._selector.register(receiver, selectors.EVENT_READ, lambda: receiver.recv(4096))
        handlers: dict[signal.Signals, Any] = dict.fromkeys(STOP_SIGNALS, self._on_stop_signal)
        handlers[signal.SIGCHLD] = lambda number, frame: None  # only to wake select()
        for number, handler in handlers.items():
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup: it must stay ignored
            undo.callback(signal.signal, number, signal.signal(number, handler))

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last_request_at < SAME_REQUEST_SECONDS:
            return
        self._last_request_at = now
        self._stop_requests += 1
        if self._raise_at_once:
            self._raise_at_once = False
            raise StopRequested

    @contextlib.contextmanager
    def _deferring_signals(self) -> Iterator[None]:
        """Defer a stop signal to the next ``_check_stop()``, so that it does not raise at an arbitrary place inside."""
        before, self._raise_at_once = self._raise_at_once, False
        try:
            yield
        finally:
            self._raise_at_once = before and not self._stop_requests

    def _check_stop(self) -> None:
        if self._stop_requests:
            raise StopRequested

    # --- What callers use ---------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line from the supervisor itself."""
        self._print("up", text.encode())

    def start(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        with self._deferring_signals():
            child = self._children[service.name] = Child(service)
            self._width = max(self._width, len(service.name))
            self._spawn(child)
            self._check_stop()

    def wait_until(self, condition: Callable[[], bool], *, seconds: float, otherwise: str) -> None:
        """Watch the services until ``condition()`` holds.

        Raises:
            ServiceFailed: a service failed for good, or the time is over (the message is ``otherwise``).
            StopRequested: a stop signal came.
        """
        with self._deferring_signals():
            deadline = time.monotonic() + seconds
            while True:
                holds = condition()
                self._watch(0 if holds else 0.1)  # print the services' output so far before our next line
                self._check_stop()
                if holds:
                    return
                if time.monotonic() > deadline:
                    raise ServiceFailed(otherwise)

    def run(self) -> None:
        """Watch the services until a stop signal comes.

        Raises:
            ServiceFailed: a service failed for good.
        """
        with self._deferring_signals():
            while not self._stop_requests:
                self._watch(1.0)

    def is_up(self, name: str) -> bool:
        """Return whether the service's process is alive."""
        return self._children[name].process is not None

    def never_died(self, name: str) -> bool:
        """Return True.

        Raises:
            ServiceFailed: the service has died since its start; for a service that others need at their start.
        """
        if self._children[name].quick_deaths:
            raise ServiceFailed(f"{name} died at its start.")
        return True

    def pid(self, name: str) -> int | None:
        """Return the pid of the service's main process; None between its death and its restart."""
        process = self._children[name].process
        return process.pid if process else None

    def last_line(self, name: str) -> str:
        """Return the last line that the service printed; empty if it printed nothing."""
        return next((line for line in reversed(self._children[name].last_lines) if line.strip()), "")

    def stop(self) -> None:
        """Stop the services, the last started first; another stop signal kills those that are left."""
        self._raise_at_once = False
        requests = self._stop_requests
        for child in reversed(list(self._children.values())):
            child.restart_at = None
            if child.process is None:
                continue
            self.say(f"Stopping {child.service.name}")
            child.process.popen.terminate()
            deadline = time.monotonic() + child.service.grace_seconds
            while child.process is not None:
                hastened = self._stop_requests > requests
                if hastened or time.monotonic() > deadline:
                    why = "as asked" if hastened else f"it did not end in {child.service.grace_seconds:g} s"
                    self.say(f"Killing {child.service.name}: {why}")
                    kill_session(child.process.pid)
                    deadline = time.monotonic() + 1
                self._watch(0.2, stopping=True)
        self._children.clear()

    # --- Watching -----------------------------------------------------------------------------

    def _spawn(self, child: Child) -> None:
        service, parent = child.service, os.getpid()
        reader, writer = os.pipe()
        try:
            # preexec_fn is safe here: this process has one thread, and PDEATHSIG follows that thread.
            popen = subprocess.Popen(  # noqa: S603  # the commands are our own
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=self._cwd,
                env=self._environment_of(service),
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),
            )
        except OSError as error:
            os.close(reader)
            raise ServiceFailed(f"{service.name} cannot be started: {error}") from error
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        process = Process(popen, output=reader, started_at=time.monotonic())
        child.process, child.restart_at = process, None
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._read(child, process))
        self._pid_file(child).write_text(f"{popen.pid} {process_start(popen.pid)}\n")

    def _environment_of(self, service: Service) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in self._environment.items()
            if service.inherits is None or name in service.inherits
        }
        return inherited | dict(service.environment)

    def _pid_file(self, child: Child) -> Path:
        return self._directory / f"{child.service.name}.pid"

    def _watch(self, seconds: float, *, stopping: bool = False) -> None:
        """Forward output and handle dead children, for at most ``seconds``."""
        for key, _events in self._selector.select(seconds):
            key.data()
        for child in self._children.values():
            if child.process is not None and child.process.has_ended():
                self._bury(child, child.process, stopping=stopping)
            elif child.process is not None and not stopping:
                self._kill_if_silent(child.service, child.process)
            elif child.restart_at is not None and time.monotonic() >= child.restart_at:
                self._spawn(child)

    def _kill_if_silent(self, service: Service, process: Process) -> None:
        """Kill a process that has stopped responding; it is reaped and started again like one that died."""
        if service.alive_file is None:
            return
        with contextlib.suppress(OSError):  # the service has not touched its alive file yet
            mark = service.alive_file.stat().st_mtime_ns
            if mark != process.alive_mark:
                process.alive_mark, process.alive_at = mark, time.monotonic()
        if time.monotonic() - process.alive_at > service.silent_seconds:
            self.say(f"Killing {service.name}: it has shown no sign of life for {service.silent_seconds:g} s")
            process.alive_at = time.monotonic()
            kill_session(process.pid)

    def _read(self, child: Child, process: Process) -> bool:
        """Print the process's complete lines and keep the rest. False: there was nothing to read."""
        try:
            data = os.read(process.output, LINE_MAX_BYTES)
        except BlockingIOError:
            return False
        *lines, process.partial_line = (process.partial_line + data).split(b"\n")
        if process.partial_line and (not data or len(process.partial_line) > LINE_MAX_BYTES):
            lines.append(process.partial_line)
            process.partial_line = b""
        for line in lines:
            child.last_lines.append(line.decode(errors="replace"))
            self._print(child.service.name, line)
        if not data:
            self._stop_listening(process)
        return bool(data)

    def _stop_listening(self, process: Process) -> None:
        with contextlib.suppress(KeyError):  # done already, at the end of its output
            self._selector.unregister(process.output)

    def _bury(self, child: Child, process: Process, *, stopping: bool) -> None:
        """Reap a dead process, kill the rest of its session, and plan the service's restart."""
        kill_session(process.pid)
        code = process.popen.wait()
        while self._read(child, process):
            pass
        self._stop_listening(process)
        os.close(process.output)
        child.process = None
        self._pid_file(child).unlink(missing_ok=True)
        if not stopping:
            self._plan_restart(child, code, lived_seconds=time.monotonic() - process.started_at)

    def _plan_restart(self, child: Child, code: int, *, lived_seconds: float) -> None:
        name = child.service.name
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        child.quick_deaths = child.quick_deaths + 1 if lived_seconds < STABLE_SECONDS else 1
        if child.quick_deaths >= MAX_QUICK_DEATHS:
            raise ServiceFailed(
                f"{name} does not stay up: it {how}, for the {child.quick_deaths}th time in a row within"
                f" {STABLE_SECONDS:g} s of its start. Its last line: {self.last_line(name) or '(none)'}"
            )
        delay = min(BACKOFF_FIRST_SECONDS * 2 ** (child.quick_deaths - 1), BACKOFF_MAX_SECONDS)
        child.restart_at = time.monotonic() + delay
        self.say(f"{name} {how} after {lived_seconds:.0f} s; restarting it in {delay:g} s")

    def _print(self, name: str, line: bytes) -> None:
        prefix = f"{name:<{self._width}} | "
        if self._colours:
            names = list(self._children)
            colour = COLOURS[names.index(name) % len(COLOURS)] if name in names else 1
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        # The terminal may be gone (SIGHUP); the services must still be stopped in order.
        with contextlib.suppress(OSError, ValueError):
            self._output.write(prefix.encode() + line.translate(None, CONTROL_CHARACTERS) + b"\n")
            self._output.flush()

    # --- Leftovers ----------------------------------------------------------------------------

    def _stop_leftovers(self) -> None:
        """Stop children of a supervisor that was killed; a pid that was reused by another process is left alone."""
        newest_first = sorted(self._directory.glob("*.pid"), key=lambda file: -file.stat().st_mtime_ns)
        for file in newest_first:
            pid_text, _space, mark = file.read_text().strip().partition(" ")
            pid = int(pid_text) if pid_text.isdecimal() else 0
            if pid and mark and process_start(pid) == mark:
                self.say(f"Stopping {file.stem} (process {pid}), left behind by an earlier start")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                deadline = time.monotonic() + LEFTOVER_GRACE_SECONDS
                while process_start(pid) == mark and time.monotonic() < deadline:
                    time.sleep(0.05)
                if process_start(pid) == mark:
                    kill_session(pid)
            file.unlink(missing_ok=True)
