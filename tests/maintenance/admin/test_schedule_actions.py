"""Many schedules at once: each keeps its own event, refusals are named, the others are done."""

import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.crontab import Crontab
from tests.kit import factories
from tests.maintenance.admin.steps import EDIT, LIST, SEE

pytestmark = pytest.mark.django_db


@pytest.fixture
def three():
    """Three schedules with times of day, and one more that nothing may touch."""
    times = ("30 2 * * *", "0 3 * * *", "50 23 * * 0")
    made = [
        factories.schedule(name=f"s{number}", crontab=time, task="maintenance.cleanup_tokens")
        for number, time in enumerate(times)
    ]
    factories.schedule(name="survivor", crontab="0 5 * * *", task="maintenance.cleanup_tokens")
    return made


def act(client, action, tasks, **fields):
    """Post the page of an action, as it was shown just before if it is confirmed."""
    values = {"action": action, ACTION_CHECKBOX_NAME: [task.pk for task in tasks], **fields}
    if "confirmed" in fields and "seen" not in fields:
        values = {"seen": seen(client, action, tasks), **values}
    return client.post(reverse(LIST), values, follow=True)


def seen(client, action, tasks):
    """Return the versions of the schedules that the page of the action shows; none if it is not shown."""
    return act(client, action, tasks).context.get("seen", "")


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def events(verb):
    return sorted(Event.objects.filter(verb=verb, reason="load test").values_list("subject_name", flat=True))


def test_it_asks_first_and_says_what_will_happen(client, operator, three):
    page = act(client, "pause_many", three).content.decode()

    assert "Pause 3 schedules?" in page
    assert page.count("does not fire") >= 3
    assert all(stored(task).enabled for task in three)


def test_pauses_with_one_reason(client, operator, three):
    page = act(client, "pause_many", three, reason="load test", until="", confirmed="1")

    assert "3 schedules were paused." in page.content.decode()
    assert [stored(task).enabled for task in three] == [False] * 3
    assert {stored(task).control.pause_reason for task in three} == {"load test"}
    assert events("schedule.paused") == ["s0", "s1", "s2"]
    assert PeriodicTask.objects.get(name="survivor").enabled


def test_no_reason_changes_nothing(client, operator, three):
    act(client, "pause_many", three, reason=" ", until="", confirmed="1")

    assert all(stored(task).enabled for task in three)


def test_resumes(client, operator, three):
    act(client, "pause_many", three, reason="load test", until="", confirmed="1")

    act(client, "resume_many", three[:2], reason="load test", confirmed="1")

    assert [stored(task).enabled for task in three] == [True, True, False]
    assert events("schedule.resumed") == ["s0", "s1"]


def test_moving_shows_each_new_time_then_moves_what_can_move(client, operator, three):
    shown = act(client, "shift_many", three, reason="load test", minutes="20").content.decode()
    assert "50 2 * * *" in shown
    assert "another day" in shown
    assert stored(three[0]).crontab.minute == "30"

    # Minutes that were edited after they were shown are shown first.
    other = act(client, "shift_many", three, reason="x", minutes="21", shown_minutes="20", confirmed="1")
    assert [str(one) for one in other.context["messages"]] == [
        "The minutes were changed: look at what they do, then confirm."
    ]
    page = act(client, "shift_many", three, reason="load test", minutes="20", confirmed="1")
    done = [str(one) for one in page.context["messages"]]

    assert "is left as it is" in page.content.decode()
    times = [f"{stored(task).crontab.minute} {stored(task).crontab.hour}" for task in three]
    assert times == ["50 2", "20 3", "50 23"]
    assert any(text.startswith("s2 is left as it is") for text in done)
    assert "2 schedules were moved." in done
    assert events("schedule.retimed") == ["s0", "s1"]


@pytest.mark.parametrize("minutes", ["", "0", "1440", "2000", "x", "1e3"])
def test_a_move_that_is_none_is_refused(client, operator, three, minutes):
    page = act(client, "shift_many", three, reason="load test", minutes=minutes, confirmed="1")

    assert page.context["form"].errors["minutes"]
    assert stored(three[0]).crontab.minute == "30"


def test_deletes_and_keeps_the_runs(client, superuser, three):
    run = factories.job_run(schedule=three[0], schedule_name="s0")
    client.force_login(superuser)

    act(client, "delete_many", three[:2], reason="load test", confirmed="1")

    left = set(PeriodicTask.objects.values_list("name", flat=True))
    assert left >= {"s2", "survivor"}
    assert not PeriodicTask.objects.filter(name__in=["s0", "s1"]).exists()
    assert JobRun.objects.get(pk=run.pk).schedule_name == "s0"
    assert events("row.deleted") == ["s0", "s1"]


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [((SEE,), set()), ((SEE, EDIT), {"pause_many", "resume_many", "shift_many"})],
)
def test_only_what_the_person_may_do_is_offered(client, three, permissions, offered):
    client.force_login(factories.user(*permissions))
    for name in ("pause_many", "resume_many", "shift_many", "delete_many"):
        act(client, name, three, reason="load test", minutes="20", until="", confirmed="1")

    paused = {"pause_many", "shift_many"} & offered
    assert all(stored(task).enabled for task in three)  # resumed again, or never paused
    assert (stored(three[0]).crontab.minute == "50") == bool(paused)
    assert PeriodicTask.objects.filter(name__in=["s0", "s1", "s2"]).count() == 3


def test_too_many_are_refused(client, operator, three, monkeypatch):
    monkeypatch.setattr("maintenance.admin.schedule_actions.SCHEDULES_MAX", 2)

    page = act(client, "pause_many", three, reason="load test", until="", confirmed="1").content.decode()

    assert "At most 2 schedules at once" in page
    assert all(stored(task).enabled for task in three)


# --- What was shown --------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["pause_many", "shift_many", "delete_many"])
def test_what_was_changed_after_the_page_was_shown_is_refused_by_name(client, superuser, three, action):
    versions = seen(client, action, three)
    edits.retime(three[1], by=None, crontab=Crontab.parse("1 1 * * 1"), timezone_name="UTC")
    three[2].delete()
    fields = {"reason": "load test", "until": "", "minutes": "5", "confirmed": "1", "seen": versions}

    told = [str(one) for one in act(client, action, three[:2], **fields).context["messages"]]

    done = {"pause_many": "paused", "shift_many": "moved", "delete_many": "deleted"}[action]
    assert told[0].startswith("s1 is left as it is: It was changed, or came into the list, after the page")
    assert told[1].startswith("1 schedule that the page showed was deleted meanwhile")
    assert told[2:] == [f"1 schedule was {done}."]
    assert str(schedules.crontab_of(stored(three[1]))) == "1 1 * * 1"
    assert stored(three[1]).enabled
    assert action == "delete_many" or not (
        stored(three[0]).enabled and stored(three[0]).crontab.minute == "30"
    )
    assert PeriodicTask.objects.filter(name="survivor", enabled=True).exists()


def test_no_page_asks_about_schedules_that_were_all_deleted_meanwhile(client, superuser, three):
    keys = [task.pk for task in three[:2]]
    PeriodicTask.objects.filter(pk__in=keys).delete()

    page = client.post(reverse(LIST), {"action": "pause_many", ACTION_CHECKBOX_NAME: keys}, follow=True)

    told = [str(one) for one in page.context["messages"]]
    assert told == ["None of the selected schedules is left: nothing was done."]


def test_a_page_that_did_not_show_a_schedule_does_not_change_it(client, superuser, three):
    versions = seen(client, "pause_many", three[:2])

    act(client, "pause_many", three, reason="load test", until="", confirmed="1", seen=versions)

    assert [stored(task).enabled for task in three] == [False, False, True]


def test_a_run_between_the_page_and_the_click_is_no_change(client, superuser, three):
    versions = seen(client, "pause_many", three)
    PeriodicTask.objects.filter(pk=three[0].pk).update(total_run_count=5, last_run_at=timezone.now())
    ScheduleControl.objects.filter(pk=three[0].pk).update(last_slot_at=timezone.now())

    act(client, "pause_many", three, reason="load test", until="", confirmed="1", seen=versions)

    assert [stored(task).enabled for task in three] == [False] * 3


@pytest.mark.slow
def test_the_page_has_the_next_time_before_and_after(client, superuser):
    with time_machine.travel(datetime(2026, 11, 27, 12, tzinfo=UTC), tick=False):
        task = factories.schedule(name="One", crontab="30 2 * * *")
        until = {"reason": "x", "until": "2026-11-29T12:00"}

        moved = act(client, "shift_many", [task], reason="x", minutes="20").context["outcomes"][0]
        paused = act(client, "pause_many", [task], **until).context["outcomes"][0]
        edits.pause(task, by=None, reason="x")
        resumed = act(client, "resume_many", [task]).context["outcomes"][0]

    def next_times(outcome):
        return [
            reading.next_run_at and f"{reading.next_run_at:%d %H:%M}"
            for reading in (outcome.reading, outcome.later_reading)
        ]

    assert next_times(moved) == ["28 02:30", "28 02:50"]
    assert next_times(paused) == ["28 02:30", "30 02:30"]
    assert next_times(resumed) == [None, "28 02:30"]


# --- All that match --------------------------------------------------------------------------


def across(client, action, **fields):
    """Post the page of an action for all schedules that match the search for "s"."""
    values = {"action": action, "select_across": "1", ACTION_CHECKBOX_NAME: ["1"], **fields}
    return client.post(f"{reverse(LIST)}?q=s&enabled__exact=1", values, follow=True)


@pytest.fixture
def load():
    """More schedules than a page of the list, or than the page of an action shows one by one."""
    return [factories.schedule(name=f"s-{n:02}", task="maintenance.cleanup_tokens") for n in range(60)]


def test_all_that_match_are_counted_and_a_few_named(client, superuser, load, monkeypatch):
    monkeypatch.setattr("django.conf.settings.DATA_UPLOAD_MAX_NUMBER_FIELDS", 20)
    asked = across(client, "shift_many", reason="load test", minutes="1440")
    assert asked.context["form"].errors

    page = across(client, "shift_many", reason="load test", minutes="-5")

    assert len(page.context["outcomes"]) == 20
    assert page.context["kinds"][0][:2] == (page.context["others"] + 20, "starts 5 minutes earlier")
    done = across(
        client, "shift_many", reason="load test", minutes="-5", confirmed="1", seen=page.context["seen"]
    )
    assert len(events("schedule.retimed")) == page.context["others"] + 20
    assert f"{page.context['others'] + 20} schedules were moved." in done.content.decode()


def test_the_page_offers_all_that_match_without_javascript(client, superuser, load):
    page = act(client, "pause_many", load[:1])
    assert page.context["matching"] == PeriodicTask.objects.count()
    assert 'name="select_across" value="1"' in page.content.decode()

    # The button beside the hidden field of the page.
    fields = {"action": "pause_many", "select_across": ["0", "1"], ACTION_CHECKBOX_NAME: [load[0].pk]}
    everything = client.post(reverse(LIST), fields)

    assert everything.context["title"] == f"Pause {PeriodicTask.objects.count()} schedules?"
    assert everything.context["matching"] is None


@pytest.mark.parametrize(("action", "pressed"), [("pause_many", "confirmed"), ("shift_many", "")])
def test_enter_does_not_take_all_that_match(client, superuser, load, action, pressed):
    _head, form = act(client, action, load[:1]).content.decode().split(f'name="action" value="{action}"')

    # Browsers press the first submit button of the form.
    first = form[form.index('<button type="submit"') :].partition(">")[0]
    assert re.findall('name="([^"]*)"', first) == [pressed] * bool(pressed)


def test_what_came_into_the_list_or_left_it_meanwhile_is_told_and_not_taken(client, superuser, load):
    shown = across(client, "pause_many").context["seen"]
    factories.schedule(name="s-new", task="maintenance.cleanup_tokens")
    edits.pause(load[0], by=None, reason="mine")
    edits.retime(load[1], by=None, crontab=Crontab.parse("1 1 * * 1"), timezone_name="UTC")

    page = across(client, "pause_many", reason="load test", until="", confirmed="1", seen=shown)

    told = [str(one) for one in page.context["messages"]]
    assert told[0].startswith("2 schedules are left as they are (s-01, s-new). For each: It was changed")
    assert told[1].startswith("1 schedule that the page showed was deleted meanwhile, or does not match")
    assert stored(load[0]).control.pause_reason == "mine"
    assert PeriodicTask.objects.get(name="s-new").enabled
    assert not stored(load[2]).enabled


def test_the_number_of_statements_does_not_grow_with_the_schedules(client, superuser, load):
    def statements(action, tasks):
        versions = seen(client, action, tasks)
        fields = {"reason": "load test", "until": "", "minutes": "5", "confirmed": "1", "seen": versions}
        with CaptureQueriesContext(connection) as done:
            client.post(
                reverse(LIST),
                {"action": action, ACTION_CHECKBOX_NAME: [task.pk for task in tasks], **fields},
            )
        return len(done)

    for action in ("pause_many", "resume_many", "shift_many", "delete_many"):
        few, many = statements(action, load[:2]), statements(action, load[2:32])
        assert many <= few + 2, action  # on SQLite a statement takes 40 controls


def test_a_default_comes_back_if_all_schedules_of_its_job_are_deleted(client, superuser):
    PeriodicTask.objects.filter(task="maintenance.cleanup_tokens").delete()
    two = [factories.schedule(name=name, task="maintenance.cleanup_tokens") for name in "ab"]

    def afterwards(tasks):
        return [outcome.after for outcome in act(client, "delete_many", tasks).context["outcomes"]]

    assert not any("next deploy" in text for text in afterwards(two[:1]))
    assert all("next deploy" in text for text in afterwards(two))


def test_resuming_says_which_were_active_already(client, superuser, three):
    edits.pause(three[0], by=None, reason="mine")

    page = act(client, "resume_many", three, reason="load test", confirmed="1")

    told = [str(one) for one in page.context["messages"]]
    assert told == ["2 schedules were active already.", "1 schedule was resumed."]
    assert events("schedule.resumed") == ["s0"]


def test_a_one_off_that_has_run_is_not_brought_back(client, operator):
    done = factories.schedule(name="done", one_off=True, enabled=False)
    for action in ("pause_many", "resume_many", "shift_many"):
        shown = act(client, action, [done], reason="x", until="", minutes="5").content.decode()
        page = act(client, action, [done], reason="x", until="", minutes="5", confirmed="1").content.decode()
        assert "It was to run once, and has" in shown
        assert "It was to run once, and has" in page
        assert (stored(done).enabled, stored(done).control.paused_at) == (False, None)


def test_what_was_described_differently_meanwhile_is_left_alone(client, operator, three):
    page = act(client, "pause_many", three[:1], reason="x")
    PeriodicTask.objects.filter(pk=three[0].pk).update(description="must not stop")

    act(client, "pause_many", three[:1], reason="x", until="", seen=page.context["seen"], confirmed="1")

    assert stored(three[0]).enabled
