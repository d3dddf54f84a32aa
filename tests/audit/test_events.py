"""What an event keeps, and that nobody can change or delete it."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from audit import triggers
from audit.events import acting_from, events_of, record
from audit.middleware import AddressMiddleware
from audit.models import Event
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def append_only():
    """The triggers of the migration, which the suite removes so that its tables can be emptied."""
    triggers.install(Event, connection)


def refused(statement):
    """Whether the database refuses the statement; the rows stay unchanged."""
    with pytest.raises(DatabaseError), transaction.atomic():
        statement()
    return True


def test_an_event_names_who_did_what_to_what():
    ada, run = factories.user(username="ada"), factories.job_run()
    before = timezone.now()

    event = record("run.approved", run, by=ada, before={"rows": 1}, after={"rows": 2}, reason="seen")

    event.refresh_from_db()
    assert (event.actor, event.actor_name, event.actor_kind) == (ada, "ada", "person")
    assert (event.subject_type, event.subject_id) == ("maintenance.JobRun", str(run.pk))
    assert event.subject_name == f"cleanup_tokens #{run.pk}"
    assert (event.before, event.after, event.reason) == ({"rows": 1}, {"rows": 2}, "seen")
    assert abs(event.at - before) < timedelta(minutes=1)
    assert event.address is None


def test_the_system_a_shell_and_a_stranger_have_no_name():
    run = factories.job_run()

    kinds = [
        record("x", run).actor_kind,
        record("x", run, kind=Event.ActorKind.SHELL).actor_kind,
        record("x", run, by=AnonymousUser()).actor_kind,
    ]

    assert kinds == ["system", "shell", "system"]
    assert set(Event.objects.values_list("actor_name", flat=True)) == {""}


def test_an_event_outlives_its_subject_and_its_actor(append_only):
    ada, run = factories.user(username="ada"), factories.job_run()
    key = run.pk
    record("run.approved", run, by=ada)

    run.delete()
    User.objects.get(username="ada").delete()

    (event,) = events_of(JobRun, [key])
    assert (event.actor, event.actor_name, event.subject_name) == (None, "ada", f"cleanup_tokens #{key}")


def test_no_event_is_changed(append_only):
    event = factories.event(actor=factories.user(), parameters={"rows": 1})
    rows = Event.objects.filter(pk=event.pk)

    assert refused(lambda: rows.update(reason="another"))
    assert refused(lambda: rows.update(at=timezone.now() - timedelta(days=999)))
    assert refused(lambda: rows.update(parameters={"rows": 2}))
    assert refused(lambda: rows.update(actor=factories.user()))
    assert refused(lambda: rows.update(actor=None, actor_name="nobody"))
    assert refused(lambda: rows.update(subject_id=F("subject_id") + 1))
    event.refresh_from_db()
    assert (event.reason, event.parameters, event.actor_name) == ("", {"rows": 1}, "")


def test_only_a_very_old_event_can_be_deleted(append_only):
    now = timezone.now()
    old = factories.event(at=now - timedelta(days=triggers.KEPT_DAYS, minutes=1))
    kept = factories.event(at=now - timedelta(days=triggers.KEPT_DAYS) + timedelta(minutes=1))

    assert refused(Event.objects.all().delete)
    Event.objects.filter(pk=old.pk).delete()

    assert list(Event.objects.all()) == [kept]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
def test_the_log_cannot_be_emptied(append_only):
    factories.event()

    with connection.cursor() as cursor:
        assert refused(lambda: cursor.execute("TRUNCATE audit_event"))
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("peer", "address"),
    [("192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("", None), ("unix:", None)],
)
def test_an_event_of_a_request_has_its_address_and_the_next_one_has_not(peer, address):
    run = factories.job_run()
    request = RequestFactory().get("/", REMOTE_ADDR=peer)

    def answer(request):
        record("x", run)
        return HttpResponse()

    AddressMiddleware(answer)(request)
    record("x", run)

    assert list(events_of(JobRun, [run.pk]).values_list("address", flat=True)) == [address, None]


def test_an_address_is_that_of_the_innermost_request():
    run = factories.job_run()
    with acting_from("192.0.2.1"):
        with acting_from("192.0.2.2"):
            record("x", run)
        record("x", run)

    addresses = list(events_of(JobRun, [run.pk]).values_list("address", flat=True))
    assert addresses == ["192.0.2.2", "192.0.2.1"]
