"""Maintenance windows in the file of schedules."""

from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine

from audit.models import Event
from database import clock as database_clock
from maintenance.models import MaintenanceMode, PlannedWindow
from maintenance.scheduling import maintenance_mode, planned_windows
from maintenance.scheduling.planned_windows import Plan
from maintenance.scheduling.schedule_file import applying, writing
from maintenance.scheduling.schedule_file.entries import BadFile
from maintenance.scheduling.schedule_file.reading import read
from tests.maintenance.scheduling.schedule_file.test_command import command
from tests.maintenance.scheduling.windows import HOUR, NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
WEEKLY = """\
version: 1
windows:
- reason: backup
  scope: scraping
  weekdays: [sunday, saturday]
  from: 23:00
  to: 01:30
  timezone: Europe/Berlin
"""
ONCE = """\
version: 1
windows:
- reason: new disk
  starts: 2026-06-03 14:00:00+00:00
  ends: 2026-06-03 16:00:00+00:00
  timezone: UTC
"""


def apply(text, **options):
    return applying.apply(read(text, now=database_clock.now()), by=None, **{"prune": False, **options})


def exported():
    return writing.as_yaml({"windows": writing.stored()["windows"]})


def planned():
    return list(PlannedWindow.objects.planned().order_by("pk"))


def test_a_weekly_window_is_applied_and_exported_in_the_same_form():
    apply(WEEKLY)

    [row] = planned()
    assert (row.reason, row.scope, row.weekdays, row.timezone) == (
        "backup",
        "scraping",
        "56",
        "Europe/Berlin",
    )
    assert (row.from_time, row.to_time) == (time(23), time(1, 30))
    text = exported()
    assert "- reason: backup\n  scope: scraping\n  weekdays:\n  - saturday\n  - sunday\n" in text
    assert "  from: '23:00'\n  to: 01:30\n  timezone: Europe/Berlin\n" in text
    assert not apply(text).changes


def test_an_export_applied_elsewhere_gives_the_same_export_and_changes_nothing_at_home():
    apply(WEEKLY)
    apply(ONCE)
    days = Plan(weekdays=frozenset(range(7)), from_time=time(0), to_time=time(0), timezone="Asia/Shanghai")
    for _number in range(2):  # of the same reason
        planned_windows.plan_window(days, by=None, reason="move")
    text = exported()
    assert not apply(text, prune=True).changes
    PlannedWindow.objects.all().delete()

    assert len(apply(text).changes) == 4
    assert exported() == text
    assert not apply(text, prune=True).changes


def test_the_plan_names_what_opens_and_closes(tmp_path):
    path = tmp_path / "windows.yaml"
    apply(ONCE)
    path.write_text(WEEKLY)

    told, code = command("plan", path, "--prune")

    assert code == 5
    assert "windows:\n  + backup\n      scope: scraping\n      weekdays: [saturday, sunday]\n" in told
    assert "backup: opens at 2026-06-06 23:00 Europe/Berlin until 2026-06-07 01:30 Europe/Berlin" in told
    assert ", and so every week, for scraping." in told
    assert "new disk: does not open at 2026-06-03 14:00 UTC any more." in told

    with time_machine.travel(NOON + 3 * HOUR, tick=False):
        told, code = command("plan", path, "--prune")
    assert "new disk: is open until 2026-06-03 16:00 UTC; closes at once." in told

    command("apply", path, "--prune", "--yes")
    assert [row.reason for row in planned()] == ["backup"]
    assert command("plan", path, "--prune") == ("Nothing would change.\n", 0)


def test_without_prune_what_the_file_does_not_have_stays_and_a_file_without_windows_leaves_them_alone():
    apply(ONCE)
    apply(WEEKLY)
    assert [row.reason for row in planned()] == ["new disk", "backup"]
    assert not apply("version: 1\npauses: []\n", prune=True).changes
    assert len(planned()) == 2


def test_a_window_that_changes_is_another_one_and_what_it_has_held_stays_true():
    apply(ONCE)
    with time_machine.travel(NOON + 3 * HOUR, tick=False):
        change = apply(ONCE.replace("16:00", "17:00"))
    assert [one.fields for one in change.changes] == [("ends",)]

    old, new = PlannedWindow.objects.order_by("pk")
    assert (old.ended_at, old.occurrence_at(NOON + 2.5 * HOUR)) == (
        NOON + 3 * HOUR,
        (NOON + 2 * HOUR, NOON + 3 * HOUR),
    )
    assert new.next_occurrence(NOON) == (NOON + 3 * HOUR, NOON + 5 * HOUR)
    verbs = [event.verb for event in Event.objects.filter(verb__startswith="planned_window").order_by("pk")]
    assert verbs == ["planned_window.planned", "planned_window.deleted", "planned_window.planned"]


def test_a_window_that_is_over_is_none(tmp_path):
    with time_machine.travel(NOON + timedelta(days=1), tick=False):
        assert not apply(ONCE).changes
    assert not PlannedWindow.objects.exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("[sunday, saturday]", "[sun]", 5, "write a list of monday, tuesday"),
        ("to: 01:30", "to: 25:00", 7, "write a time of day, such as 01:30."),
        ("  to: 01:30\n", "", 6, "from: Say from when to when."),
        ("scope: scraping", "scope: baking", 4, "there is no such scope: write one of all, scraping."),
        ("Europe/Berlin", "Mars/Base", 8, "timezone: This host knows no such time zone"),
        ("  to: 01:30", "  to: 01:30\n  starts: 2026-06-03 14:00:00+00:00", 5, "a window of every week has"),
        ("reason: backup", "reason: ''", 3, "say why: the reason is empty."),
        ("  from", "  until", 6, "there is no such field; there are reason, scope, weekdays"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_line_and_field(old, new, line, told):
    with pytest.raises(BadFile) as refused:
        apply(WEEKLY.replace(old, new))

    assert told in str(refused.value)
    assert refused.value.problems[0].line == line
    assert not PlannedWindow.objects.exists()


def test_a_switch_and_a_window_of_a_group_that_is_no_longer_declared_do_not_break_the_export():
    apply(WEEKLY)
    PlannedWindow.objects.update(scope="baking")
    maintenance_mode.start(by=None, reason="x")
    MaintenanceMode.objects.create(pk=9, scope="baking", reason="x", started_at=datetime.now(UTC))

    stored = writing.stored()

    assert (list(stored["pauses"]), stored["windows"]) == (["all"], {})
