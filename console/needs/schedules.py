"""Schedules that cannot fire."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from console.needs.lines import Action, Line
from console.needs.world import World
from maintenance.models import ScheduleControl
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.reading import read_all

SEE = "django_celery_beat.view_periodictask"
LOOKED_AT_MAX = 30


def broken(world: World) -> list[Line]:
    """Return a line for each schedule that cannot fire, with the remedy.

    A schedule with parameters that its job refuses does fire, and its runs fail: ``failures`` lists them.
    """
    if not world.may(SEE):
        return []
    # An enabled schedule without a next slot has ended, or is broken.
    asleep = ScheduleControl.objects.filter(next_slot_at__isnull=True).values("pk")
    enabled = PeriodicTask.objects.filter(pk__in=asleep, enabled=True).order_by("-pk")
    tasks = list(enabled.select_related(*schedules.RELATED)[:LOOKED_AT_MAX])
    if not tasks:
        return []
    label = _("Mend…") if world.may(edits.PERMISSION) else _("Open")
    return [
        Line(
            "failed",
            _("The schedule “%(name)s” is broken") % {"name": schedules.title(task)},
            actions=(Action(label, reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])),),
            error=reading.schedule_error,
        )
        for task, reading in zip(tasks, read_all(tasks, modes=world.modes), strict=True)
        if reading.is_broken
    ]
