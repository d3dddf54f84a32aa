"""Schedules that cannot fire."""

from django.urls import reverse
from django.utils.translation import gettext as _

from console.needs.lines import Action, Line
from console.needs.world import World
from maintenance.scheduling import edits, schedules

SEE = "django_celery_beat.view_periodictask"


def broken(world: World) -> list[Line]:
    """Return a line for each schedule that cannot fire, with the remedy.

    A schedule with parameters that its job refuses does fire, and its runs fail: ``failures`` lists them.
    """
    if not world.may(SEE):
        return []
    label = _("Mend…") if world.may(edits.PERMISSION) else _("Open")
    return [
        Line(
            "failed",
            _("The schedule “%(name)s” is broken") % {"name": schedules.title(task)},
            actions=(Action(label, reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])),),
            error=world.readings[task.pk].schedule_error,
        )
        for task in world.asleep
        if world.readings[task.pk].is_broken
    ]
