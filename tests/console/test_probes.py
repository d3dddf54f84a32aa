"""Probes are answered for any host name and over plain HTTP; readiness names what is missing."""

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor

from console import probes
from database import clock
from maintenance.ledger import publishing
from maintenance.models import WorkerProcess
from maintenance.scheduling.lease import Lease
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def complete(broker):
    """A console with everything that it needs."""
    lease = Lease(60)
    lease.acquire()
    now = clock.now()
    WorkerProcess.objects.create(name="worker@one", pid=1, started_at=now, seen_at=now, listening_at=now)


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
@pytest.mark.parametrize("https", [False, True])
def test_a_probe_by_address_is_answered_as_it_is(client, settings, path, https, django_assert_num_queries):
    settings.ALLOWED_HOSTS = ["console.example.org"]
    settings.SECURE_SSL_REDIRECT = https

    with django_assert_num_queries(0):
        answer = client.get(path, headers={"host": "10.1.2.3:8000"})

    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_everything_else_is_still_refused_and_redirected(client, settings):
    settings.ALLOWED_HOSTS = ["console.example.org"]

    assert client.get("/admin/login/", headers={"host": "10.1.2.3"}).status_code == 400
    assert client.post("/readyz").status_code == 405


def test_a_console_with_everything_is_ready(client, complete):
    answer = client.get("/readyz", headers={"host": "10.1.2.3"})

    assert answer.status_code == 200, answer.content
    assert answer.json()["ready"]
    assert set(answer.json()["checks"]) == {
        "database", "migrations", "broker", "scheduler", "workers", "queue",
    }  # fmt: skip


def missing(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    return {name: check["detail"] for name, check in answer.json()["checks"].items() if not check["ok"]}


def test_a_broker_that_is_away_is_named(client, complete, monkeypatch):
    monkeypatch.setattr(publishing, "_publisher", publishing.Publisher("redis://127.0.0.1:1/0"))

    assert missing(client) == {"broker": "does not answer"}


def test_scheduler_and_workers_are_named(client, broker):
    assert set(missing(client)) == {"scheduler", "workers"}


def test_workers_that_take_nothing_are_named(client, complete):
    factories.job_run(status="queued", queued_at=clock.now() - timedelta(minutes=10))

    assert missing(client) == {"workers": "runs wait and none takes them"}


def test_missing_migrations_are_named_and_looked_for_again(client, complete, monkeypatch):
    probes._migrations.cache_clear()
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["one"])
    assert missing(client) == {"migrations": "1 are missing: run manage.py migrate"}
    monkeypatch.undo()

    assert client.get("/readyz").json()["checks"]["migrations"]["ok"]


def test_a_database_that_is_away_is_named_without_its_address(client, complete, monkeypatch):
    def away():
        raise DatabaseError("could not connect to server at 10.9.8.7")

    monkeypatch.setitem(probes.CHECKS, "database", away)

    assert missing(client) == {"database": "the database does not answer"}
