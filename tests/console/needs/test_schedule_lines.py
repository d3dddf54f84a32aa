"""Broken schedules as lines of "Needs you"."""

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from console.needs import world
from console.roles import OPERATORS
from maintenance.scheduling import replanning
from tests import spoilt
from tests.console.needs.test_needs import HOUR, member, served, texts
from tests.kit import factories

__all__ = ["served"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "served")]


def replanned(task):
    replanning.note_timing(PeriodicTask.objects.get(pk=task.pk))


def test_a_broken_schedule_is_said_however_many_have_ended(monkeypatch):
    monkeypatch.setattr(world, "ASLEEP_MAX", 2)
    replanned(spoilt.TIMES["unknown zone"]())
    for _number in range(2):
        ended = factories.schedule()
        PeriodicTask.objects.filter(pk=ended.pk).update(expires=timezone.now() - HOUR)
        replanned(ended)

    (text,) = texts(member(OPERATORS))

    assert text.endswith("is broken")
