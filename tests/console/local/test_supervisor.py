"""The supervisor with real processes; each is a few lines of Python."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from console.local import processes
from console.local import supervisor as module
from console.local.child_process import Service, process_start
from console.local.errors import AlreadyRunning, ServiceFailed, StopRequested
from console.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_SECONDS = 20.0

# A service that ends on SIGTERM, and prints that.
OBEDIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
print("ready")
while True:
    time.sleep(60)
"""
IGNORES_SIGNALS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True:
    time.sleep(60)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", textwrap.dedent(code)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    return process_start(pid) is not None


def signalled(supervisor: Supervisor, *numbers: signal.Signals) -> Supervisor:
    """Send this process one signal each time the supervisor next checks its services."""
    watch, left = supervisor._watch, list(numbers)

    def watch_after_a_signal(seconds: float, *, stopping: bool = False) -> None:
        if left:
            signal.raise_signal(left.pop(0))
        watch(seconds, stopping=stopping)

    vars(supervisor)["_watch"] = watch_after_a_signal
    return supervisor


@pytest.fixture
def output() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def make(tmp_path: Path, output: io.BytesIO) -> Callable[[], Supervisor]:
    return lambda: Supervisor(
        directory=tmp_path / "run", cwd=tmp_path, environment=os.environ, output=output, names=["one"]
    )


def said(supervisor: Supervisor, name: str, text: str) -> None:
    supervisor.wait_until(
        lambda: supervisor.last_line(name) == text,
        seconds=DEADLINE_SECONDS,
        otherwise=f"{name} never said {text}",
    )


def test_output_is_prefixed_and_control_characters_are_left_out(make, output):
    with make() as supervisor:
        supervisor.start(Service("one", python("print('a\\x1b[31mb\\rc\\td'); import time; time.sleep(60)")))
        said(supervisor, "one", "a\x1b[31mb\rc\td")

    assert b"one | a[31mbc\td\n" in output.getvalue()


def test_the_last_line_without_an_end_is_printed_too(make, output):
    with make() as supervisor:
        supervisor.start(Service("one", python("print('half', end='')")))
        supervisor.wait_until(
            lambda: not supervisor.is_up("one"), seconds=DEADLINE_SECONDS, otherwise="still up"
        )

    assert b"one | half\n" in output.getvalue()


def test_services_stop_in_reverse_order_each_with_sigterm(make, output):
    with make() as supervisor:
        for name in ("one", "two", "three"):
            supervisor.start(Service(name, python(OBEDIENT)))
        for name in ("one", "two", "three"):
            said(supervisor, name, "ready")

    lines = [line for line in output.getvalue().decode().splitlines() if "bye" in line]
    assert [line.split()[0] for line in lines] == ["three", "two", "one"]


@pytest.mark.slow
def test_a_service_that_ignores_sigterm_is_killed_with_what_it_started(make, tmp_path, output):
    with make() as supervisor:
        code = f"""
            import subprocess, sys
            child = subprocess.Popen([sys.executable, "-u", "-c", {IGNORES_SIGNALS!r}], stdout=subprocess.PIPE)
            child.stdout.readline()
            print(child.pid)
            {textwrap.indent(IGNORES_SIGNALS, " " * 12).strip()}
        """
        supervisor.start(Service("one", python(code), grace_seconds=0.3))
        said(supervisor, "one", "ready")
        grandchild = int(output.getvalue().split(b"| ")[1].split()[0])
        assert is_alive(grandchild)

    assert b"did not end in 0.3 s" in output.getvalue()
    wait_for(lambda: not is_alive(grandchild))


def test_only_the_main_process_gets_the_stop_signal(make, tmp_path, output):
    witness = tmp_path / "signalled"
    grandchild = f"""
        import pathlib, signal, sys, time
        def handler(*_):
            pathlib.Path({str(witness)!r}).touch()
        signal.signal(signal.SIGTERM, handler); signal.signal(signal.SIGINT, handler)
        print("ready")
        while True: time.sleep(60)
    """
    code = f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-u", "-c", {textwrap.dedent(grandchild)!r}])
        {textwrap.indent(OBEDIENT, " " * 8).strip()}
    """
    with make() as supervisor:
        supervisor.start(Service("one", python(code)))
        supervisor.wait_until(
            lambda: output.getvalue().count(b"ready") == 2, seconds=DEADLINE_SECONDS, otherwise="not ready"
        )

    assert b"bye" in output.getvalue()
    assert not witness.exists()


@pytest.mark.slow
def test_a_service_that_dies_is_restarted_and_the_log_says_so(make, output):
    with make() as supervisor:
        supervisor.start(Service("one", python(OBEDIENT)))
        first = supervisor.pid("one")
        os.kill(first, signal.SIGKILL)
        supervisor.wait_until(
            lambda: supervisor.pid("one") not in (first, None),
            seconds=DEADLINE_SECONDS,
            otherwise="not restarted",
        )

    assert b"one ended by SIGKILL" in output.getvalue()
    assert b"restarting it in 0.5 s" in output.getvalue()


def test_what_a_dead_service_left_of_its_session_is_killed_before_the_restart(make, output):
    code = f"""
        import subprocess, sys, time
        print(subprocess.Popen([sys.executable, "-c", {IGNORES_SIGNALS!r}], stdout=subprocess.DEVNULL).pid)
        time.sleep(60)
    """
    with make() as supervisor:
        supervisor.start(Service("one", python(code)))
        supervisor.wait_until(
            lambda: supervisor.last_line("one").isdecimal(),
            seconds=DEADLINE_SECONDS,
            otherwise="no grandchild",
        )
        grandchild = int(supervisor.last_line("one"))
        os.kill(supervisor.pid("one"), signal.SIGKILL)
        supervisor.wait_until(
            lambda: not is_alive(grandchild), seconds=DEADLINE_SECONDS, otherwise="it lives on"
        )


@pytest.mark.slow
def test_restarts_come_later_and_later_until_the_service_is_given_up(make, output, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_FIRST_SECONDS", 0.01)
    with make() as supervisor:
        supervisor.start(Service("one", python("raise SystemExit('no settings')")))
        with pytest.raises(ServiceFailed, match=r"one does not stay up: it exited with 1.*no settings"):
            supervisor.run()

    text = output.getvalue().decode()
    assert [f"restarting it in {seconds} s" in text for seconds in (0.01, 0.02, 0.04, 0.08, 0.16)] == [
        True, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_service_that_lived_long_may_die_again_and_again(make, output, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "STABLE_SECONDS", 0.0)
    with make() as supervisor:
        supervisor.start(Service("one", python("raise SystemExit(3)")))
        supervisor.wait_until(
            lambda: output.getvalue().count(b"exited with 3") > module.MAX_QUICK_DEATHS,
            seconds=DEADLINE_SECONDS,
            otherwise="not restarted",
        )


def test_a_command_that_does_not_exist_is_a_clear_error(make):
    with make() as supervisor, pytest.raises(ServiceFailed, match=r"one cannot be started.*no-such-command"):
        supervisor.start(Service("one", ["no-such-command"]))


def test_a_second_supervisor_of_the_same_directory_is_refused(make):
    with make(), pytest.raises(AlreadyRunning, match=rf"already running .*process {os.getpid()}"), make():
        pass

    with make():  # the directory is free again afterwards
        pass


@pytest.mark.parametrize("number", module.STOP_SIGNALS)
def test_a_stop_signal_ends_the_run(make, output, number):
    with make() as supervisor:
        supervisor.start(Service("one", python(OBEDIENT)))
        said(supervisor, "one", "ready")
        signalled(supervisor, number).run()

    assert b"bye" in output.getvalue()


def test_a_stop_signal_breaks_into_work_between_the_services(make):
    with pytest.raises(StopRequested), make():
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_signals_that_come_together_are_one_request(make, output, monkeypatch):
    monkeypatch.setattr(module, "SAME_REQUEST_SECONDS", DEADLINE_SECONDS)
    slow = OBEDIENT.replace('print("bye")', 'time.sleep(0.5), print("bye")')
    with make() as supervisor:
        supervisor.start(Service("one", python(slow)))
        said(supervisor, "one", "ready")
        signalled(supervisor, signal.SIGHUP, signal.SIGTERM).run()

    assert b"bye" in output.getvalue()


def test_a_second_request_hastens(make, output, monkeypatch):
    monkeypatch.setattr(module, "SAME_REQUEST_SECONDS", 0.0)
    with make() as supervisor:
        for name in ("one", "two"):
            supervisor.start(Service(name, python(IGNORES_SIGNALS), grace_seconds=60))
        for name in ("one", "two"):
            said(supervisor, name, "ready")
        started = time.monotonic()
        signalled(supervisor, signal.SIGINT, signal.SIGINT).run()

    assert time.monotonic() - started < DEADLINE_SECONDS
    assert b"Killing two: as asked" in output.getvalue()
    assert b"Killing one: as asked" in output.getvalue()


def test_a_closed_terminal_does_not_keep_services_from_stopping(make, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as broken:
        supervisor = Supervisor(
            directory=tmp_path / "run", cwd=tmp_path, environment=os.environ, output=broken
        )
        with supervisor:
            supervisor.start(Service("one", python(OBEDIENT)))
            said(supervisor, "one", "ready")
            pid = supervisor.pid("one")

    assert not is_alive(pid)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_no_child_outlives_a_killed_supervisor(tmp_path):
    code = f"""
        import os, sys
        from pathlib import Path
        from console.local.child_process import Service
        from console.local.supervisor import Supervisor
        directory = Path({str(tmp_path)!r})
        with Supervisor(directory=directory, cwd=directory, environment=os.environ, output=sys.stdout.buffer) as it:
            it.start(Service("one", [sys.executable, "-u", "-c", {IGNORES_SIGNALS!r}]))
            it.run()
    """
    process = subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"one | ready\n"
        (child,) = psutil.Process(process.pid).children()
        process.kill()

    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_child_left_behind_is_stopped_at_the_next_start(make, tmp_path, output):
    leftover = subprocess.Popen(python(OBEDIENT), stdout=subprocess.PIPE, start_new_session=True)
    with leftover:
        assert leftover.stdout.readline() == b"ready\n"
        (tmp_path / "run").mkdir()
        (tmp_path / "run/one.pid").write_text(f"{leftover.pid} {process_start(leftover.pid)}\n")

        with make():
            assert leftover.wait(DEADLINE_SECONDS) == 0

    assert b"left behind" in output.getvalue()
    assert not (tmp_path / "run/one.pid").exists()


@pytest.mark.parametrize("text", ["{pid} another-start\n", "{pid}\n", "rubbish", "", "0 x", "-1 x"])
def test_a_process_that_has_a_reused_pid_is_left_alone(make, tmp_path, text):
    bystander = subprocess.Popen(python(OBEDIENT), stdout=subprocess.PIPE, start_new_session=True)
    with bystander:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/one.pid").write_text(text.format(pid=bystander.pid))

        with make():
            pass

        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.slow
def test_a_service_that_shows_no_sign_of_life_is_killed_and_started_again(make, tmp_path, output):
    alive, starts = tmp_path / "alive", tmp_path / "starts"
    code = f"""
        import pathlib, time
        alive, starts = pathlib.Path({str(alive)!r}), pathlib.Path({str(starts)!r})
        number = len(starts.read_text()) if starts.exists() else 0
        starts.write_text("x" * (number + 1))
        until = time.monotonic() + (0.5 if number == 0 else 600)
        while True:  # the first life falls silent, the second does not
            if time.monotonic() < until:
                alive.touch()
            time.sleep(0.05)
    """
    with make() as supervisor:
        service = Service("one", python(code), alive_file=alive, silent_seconds=2)
        supervisor.start(service)
        supervisor.wait_until(
            lambda: starts.exists() and len(starts.read_text()) == 2,
            seconds=DEADLINE_SECONDS,
            otherwise="it was not started again",
        )
        pid = supervisor.pid("one")
        lasts_until = time.monotonic() + 2.5
        supervisor.wait_until(
            lambda: time.monotonic() > lasts_until, seconds=DEADLINE_SECONDS, otherwise="time stands still"
        )
        assert supervisor.pid("one") == pid

    assert output.getvalue().count(b"no sign of life for 2 s") == 1


def test_a_service_inherits_what_it_needs_and_no_key(make, output, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "a key of the console's")
    code = "import os, time; print(sorted(os.environ.keys() & {'SECRET_KEY', 'PATH', 'OWN'})); time.sleep(60)"
    with make() as supervisor:
        supervisor.start(
            Service("one", python(code), environment={"OWN": "1"}, inherits=processes.BARE_ENVIRONMENT)
        )
        said(supervisor, "one", "['OWN', 'PATH']")
        supervisor.start(Service("two", python(code)))
        said(supervisor, "two", "['PATH', 'SECRET_KEY']")
