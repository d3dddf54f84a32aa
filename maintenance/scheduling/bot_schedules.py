"""The schedules that name a bot in their parameters; the pages that delete bots show them."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from maintenance.registry import InvalidParams, jobs, read_params
from maintenance.scheduling import edits, schedules
from scraping.dependents import Dependent
from scraping.models import BotConfig

DELETE = "django_celery_beat.delete_periodictask"
SEE = "django_celery_beat.view_periodictask"


class BotSchedules:
    """See ``scraping.dependents.Dependents``."""

    def of(self, bots: Sequence[BotConfig]) -> list[Dependent]:
        """Return the schedules that name at least one of the bots."""
        change = "admin:django_celery_beat_periodictask_change"
        return [Dependent(schedules.title(task), reverse(change, args=[task.pk])) for task in naming(bots)]

    def may_see(self, request: HttpRequest) -> bool:
        """Whether the person may look at schedules."""
        return request.user.has_perm(SEE) or request.user.has_perm(edits.PERMISSION)

    def may_delete(self, request: HttpRequest) -> bool:
        """Whether the person may delete schedules."""
        return request.user.has_perm(DELETE)

    def delete(self, request: HttpRequest, bots: Sequence[BotConfig]) -> None:
        """Delete them as the schedules' own page does, with an event for each."""
        page = admin.site.get_model_admin(PeriodicTask)
        for task in naming(bots):
            page.delete_model(request, task)


def naming(bots: Sequence[BotConfig]) -> list[PeriodicTask]:
    """Return the schedules whose parameters name one of these bots, by its key or its name."""
    keys = {str(bot.pk) for bot in bots}
    names = {bot.name for bot in bots}
    referring = {
        job.task_name: [name for name, model in job.refers_to.items() if model is BotConfig] for job in jobs()
    }
    tasks = [task for task, parameters in referring.items() if parameters]
    if not bots or not tasks:
        return []
    # The database leaves out rows whose text cannot match; the rest is parsed: JSON can write a name in several ways.
    written = keys | {name for name in names if name.isascii() and name.isalnum()}
    is_plain = len(written) == len(keys) + len(names)
    found = PeriodicTask.objects.filter(task__in=tasks).select_related(*schedules.RELATED).order_by("pk")
    if is_plain and len(written) <= 20:
        found = found.filter(reduce(or_, (Q(kwargs__contains=text) for text in sorted(written))))
    named = keys | names
    return [task for task in found if _values(task, referring[task.task]) & named]


def _values(task: PeriodicTask, parameters: Sequence[str]) -> set[str]:
    try:
        params = read_params(task.kwargs)
    except InvalidParams:
        return set()
    return {str(params[name]).strip() for name in parameters if name in params}
