"""The steps of a start; a whole start with real processes is in tests/chaos."""

import contextlib
import io
import os

import pytest
from django.db import OperationalError, connection

from console.local import start as module
from console.local.errors import StartFailed
from console.local.supervisor import Supervisor
from maintenance.models import JobRun


@pytest.fixture
def steps(tmp_path):
    output = io.BytesIO()
    supervisor = Supervisor(directory=tmp_path / "run", cwd=tmp_path, environment=os.environ, output=output)
    with supervisor, contextlib.ExitStack() as stack:
        start = module.Start(supervisor, stack=stack, host="127.0.0.1", port=8000, workers=1)
        vars(start)["output"] = output
        yield start


@pytest.mark.django_db
def test_the_first_start_is_the_one_without_a_scrape():
    JobRun.objects.create(job="cleanup_tokens", trigger="command")
    assert module.is_first_start()

    JobRun.objects.create(job="auto_scraping", trigger="schedule")
    assert not module.is_first_start()


@pytest.mark.slow
def test_a_database_that_stays_away_is_one_sentence(steps, monkeypatch):
    def away() -> None:
        raise OperationalError("connection refused\n\tIs the server running?\n")

    monkeypatch.setattr(module, "DATABASE_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(connection, "ensure_connection", away)

    with pytest.raises(
        StartFailed, match=r"does not answer within 0.3 s: connection refused Is the server running\?"
    ):
        steps.prepare_database()

    assert vars(steps)["output"].getvalue().count(b"Waiting for the database") == 1


def test_a_database_that_comes_late_is_waited_for(steps, monkeypatch):
    tries = iter([OperationalError("starting up"), OperationalError("starting up"), None])
    migrated = []

    def sometimes() -> None:
        if (error := next(tries)) is not None:
            raise error

    monkeypatch.setattr(connection, "ensure_connection", sometimes)
    monkeypatch.setattr(module, "call_command", lambda name, **options: migrated.append(name))

    steps.prepare_database()

    assert migrated == ["migrate"]


def test_a_failing_step_is_named_in_one_sentence(steps):
    with (
        pytest.raises(StartFailed, match="Baking bread failed: ValueError: no flour"),
        steps.step("Baking bread"),
    ):
        raise ValueError("no flour")
