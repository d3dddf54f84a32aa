"""The names of schedules in templates; ``{% load schedule_names %}``."""

from django import template
from django_celery_beat.models import PeriodicTask

from maintenance.scheduling import schedules

register = template.Library()


@register.filter
def schedule_title(task: PeriodicTask) -> str:
    """Return the schedule's name in the reader's language."""
    return schedules.title(task)
