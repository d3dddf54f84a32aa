"""What is exported and applied elsewhere is the same there, whatever was stored and wherever it is applied."""

import json
from dataclasses import replace

import pytest
from django.db import transaction
from django_celery_beat.models import PeriodicTask
from hypothesis import HealthCheck, given, settings

from database import clock
from maintenance.models.schedules import POLICY_FIELDS
from maintenance.scheduling import schedules
from maintenance.scheduling.schedule_file import applying, writing
from maintenance.scheduling.schedule_file.entries import WINDOWS
from maintenance.scheduling.schedule_file.reading import read
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.kit.windows import planned_window
from tests.maintenance.scheduling.schedule_file import states

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def facts():
    """Return what decides about each schedule, as it is stored: an export that leaves something out loses it."""
    tasks = PeriodicTask.objects.select_related(*schedules.RELATED)
    return {
        task.name: (
            replace(Timing.of(task), enabled=True),
            (task.enabled, task.one_off, task.task, json.loads(task.kwargs), task.description),
            task.control.paused_until,
            [getattr(task.control, name) for name in POLICY_FIELDS],
        )
        for task in tasks
    }


def exported():
    return writing.as_yaml(writing.stored())


@EXAMPLES
@given(states.states(), states.states())
def test_an_export_applied_to_any_other_state_gives_the_same_export(wanted, other):
    with transaction.atomic():
        wanted()
        text, before = exported(), facts()
        other()

        applying.apply(read(text, now=clock.now()), by=None, prune=True)

        assert facts().keys() == before.keys()
        for name, fact in facts().items():
            assert fact == before[name]
        retentions = "purge_old_content" not in text  # no file deletes a retention
        after = exported()
        assert (after.partition("\nretentions:")[0] if retentions else after) == (
            text.partition("\nretentions:")[0] if retentions else text
        )
        assert not applying.plan(read(text, now=clock.now()), prune=True).changes
        transaction.set_rollback(True)


def test_windows_are_written_in_the_same_order_whichever_was_made_first():
    planned_window(reason="b")
    planned_window(reason="a")

    assert list(writing.stored()[WINDOWS]) == ["a", "b"]


@pytest.mark.parametrize("name", [f"{odd}x{odd}" for odd in "\x85\xa0\u2028\u2029\ufeff\u3000\u200b "])
def test_a_name_of_odd_characters_stays_what_it_is(name):
    factories.schedule(name=name)

    assert not applying.plan(read(exported(), now=clock.now()), prune=True).changes


@EXAMPLES
@given(states.states())
def test_an_export_changes_nothing_where_it_was_made(state):
    with transaction.atomic():
        state()
        before = list(PeriodicTask.objects.order_by("pk").values())

        plan = applying.apply(read(exported(), now=clock.now()), by=None, prune=True)

        assert not plan.changes
        assert list(PeriodicTask.objects.order_by("pk").values()) == before
        transaction.set_rollback(True)
