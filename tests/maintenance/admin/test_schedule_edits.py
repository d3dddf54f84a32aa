"""Schedules in the admin: stale edits, and an edit during a tick."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.admin.schedule_forms import ScheduleForm
from maintenance.models import RetentionPolicy, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.firetimes import Crontab
from tests.kit import factories
from tests.maintenance.admin.steps import CHANGE, FORM

pytestmark = pytest.mark.django_db


def opened(client, address):
    """Return the form's hidden field from the page."""
    page = client.get(address)
    form = page.context["adminform"].form if "adminform" in page.context else page.context["form"]
    value = form["opened"].value()
    assert f'name="opened" value="{escape(value)}"' in page.content.decode()
    return {"opened": value}


@pytest.mark.slow
def test_an_edit_does_not_undo_unasked_what_somebody_else_saved_meanwhile(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, "name": purge.name, **opened(client, address)}
    edits.retime(purge, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="Asia/Shanghai")
    ScheduleControl.objects.filter(pk=purge.pk).update(overlap_policy="queue_one")

    page = client.post(address, form)

    assert page.status_code == 200
    (stale, again) = page.context["adminform"].form.non_field_errors()
    assert stale == (
        "Somebody else has changed this since you opened it: Minute, Hour, Day of week, Overlap."
    )
    assert again == "Save again to replace that by what stands here."
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "0 9 * * *"

    form["opened"] = page.context["adminform"].form["opened"].value()
    assert client.post(address, form).status_code == 302
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "5 4 * * mon-fri"


@pytest.mark.slow
@pytest.mark.parametrize("garbage", ["5", "[]", "{", '"x"', "[" * 100_000, "\x00"])
def test_a_form_whose_memory_is_garbage_asks_again(client, operator, purge, garbage):
    address = reverse(CHANGE, args=[purge.pk])

    page = client.post(address, {**FORM, "opened": garbage})

    (stale, _) = page.context["adminform"].form.non_field_errors()
    assert stale.startswith("Somebody else has changed this since you opened it: ")
    assert "None" not in stale
    form = {**FORM, "opened": page.context["adminform"].form["opened"].value()}
    assert client.post(address, form).status_code == 302


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("misfire_limit", 0, "greater than or equal to 1"),
        ("catch_up_hours", 0, "greater than or equal to 1"),
        ("catch_up_hours", 8_761, "less than or equal to 8760"),
        ("retries", 11, "less than or equal to 10"),
        ("time_limit_seconds", 9, "greater than or equal to 10"),
        ("time_limit_seconds", 7_001, "less than or equal to 7000"),
        ("pause_after_failures", 0, "greater than or equal to 1"),
        ("pause_after_failures", 101, "less than or equal to 100"),
    ],
)
def test_a_number_outside_its_limits_is_refused_at_its_field(client, operator, purge, field, value, said):
    client.force_login(operator)

    page = client.post(reverse(CHANGE, args=[purge.pk]), {**FORM, field: value})

    assert said in str(page.context["adminform"].form.errors[field])
    assert getattr(ScheduleControl.objects.get(pk=purge.pk), field) != value


def test_saving_the_same_twice_is_nobodys_edit(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, "reason": "quieter then", **opened(client, address)}
    assert [client.post(address, form).status_code for _ in range(2)] == [302, 302]

    address = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    form = {"reason": "noise", "until": "", **opened(client, address)}
    assert [client.post(address, form).status_code for _ in range(2)] == [302, 302]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["form", "pause", "mode", "retention"])
def test_looking_at_a_form_takes_no_lock_and_posting_it_does(client, purge, kind):
    client.force_login(factories.superuser())
    address = {
        "form": reverse(CHANGE, args=[purge.pk]),
        "pause": reverse("admin:maintenance_schedule_pause", args=[purge.pk]),
        "mode": reverse("admin:maintenance_mode"),
        "retention": reverse(
            "admin:maintenance_retentionpolicy_change",
            args=[RetentionPolicy.objects.get(job="purge_old_content").pk],
        ),
    }[kind]
    client.get(address)  # creates the rows that the first view creates
    begins = "BEGIN" if connection.vendor == "sqlite" else "FOR UPDATE"

    with CaptureQueriesContext(connection) as looking:
        client.get(address)
    with CaptureQueriesContext(connection) as posting:
        client.post(address, {"reason": ""})  # refused, so that no service takes another lock

    assert not any(begins in query["sql"] for query in looking)
    asked = [query["sql"] for query in posting]
    first = next(number for number, sql in enumerate(asked) if begins in sql)
    table = {"mode": "maintenancemode", "retention": "retentionpolicy"}.get(kind, "periodictask")
    assert any(f"maintenance_{table}" in sql or f"beat_{table}" in sql for sql in asked[first:])


def test_a_tick_and_a_pause_meanwhile_are_in_nobodys_way(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, **opened(client, address)}
    PeriodicTask.objects.filter(pk=purge.pk).update(total_run_count=7, last_run_at=timezone.now())
    edits.pause(purge, by=None, reason="x")

    assert client.post(address, form).status_code == 302
    assert not PeriodicTask.objects.get(pk=purge.pk).enabled


def test_a_pause_does_not_replace_unasked_what_somebody_else_wrote_meanwhile(client, operator, purge):
    address = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    form = {"reason": "noise", "until": "", **opened(client, address)}
    until = timezone.now() + timedelta(hours=3)
    edits.pause(purge, by=None, reason="migration", until=until)

    page = client.post(address, form)

    assert "Somebody else has changed this" in page.content.decode()
    assert "Change the pause of" in page.content.decode()
    control = ScheduleControl.objects.get(pk=purge.pk)
    assert (control.pause_reason, control.paused_until) == ("migration", until)

    form |= {"opened": page.context["form"]["opened"].value()}
    assert client.post(address, form).status_code == 302
    replaced = ScheduleControl.objects.get(pk=purge.pk)
    assert (replaced.pause_reason, replaced.paused_until) == ("noise", None)
    assert replaced.paused_at == control.paused_at
    change = Event.objects.latest("pk")
    assert (change.before["pause"], change.before["until"]) == ("migration", until.isoformat())
    history = client.get(
        reverse("admin:django_celery_beat_periodictask_history", args=[purge.pk]), follow=True
    )
    assert "migration →" in history.content.decode()


def test_a_change_of_maintenance_mode_does_not_switch_it_on_again_unasked(client, superuser):
    address = reverse("admin:maintenance_mode")
    maintenance_mode.start(by=None, reason="deploy")
    form = {"reason": "the deploy takes longer", "until": "", **opened(client, address)}
    maintenance_mode.end(by=None)

    page = client.post(address, form)

    assert "Somebody else has changed this since you opened it" in page.content.decode()
    assert not maintenance_mode.is_on()


def test_a_second_click_on_save_that_overtakes_the_check_is_told_in_words(client, superuser, monkeypatch):
    client.force_login(superuser)
    check, checked = ScheduleForm.validate_unique, []

    def overtaken(form):
        """See nothing at first, as the other request's row is not committed yet."""
        checked.append(form)
        if len(checked) > 1:
            check(form)

    monkeypatch.setattr(ScheduleForm, "validate_unique", overtaken)
    first = factories.schedule(name="Twice")

    page = client.post(reverse("admin:django_celery_beat_periodictask_add"), {**FORM, "name": "Twice"})

    assert page.status_code == 200
    assert "already exists" in page.content.decode()
    assert list(PeriodicTask.objects.filter(name="Twice")) == [first]
    assert page.context["adminform"].form["minute"].value() == FORM["minute"]
