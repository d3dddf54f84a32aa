"""The schedules that name a bot in their parameters; the pages that delete bots show them."""

import re
from collections.abc import Sequence
from functools import reduce
from operator import or_

from django.db.models import Q
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from maintenance.registry import InvalidParams, Person, jobs, read_params
from maintenance.scheduling import edits, schedules
from scraping.dependents import Dependent
from scraping.models import BotConfig

SEE = "django_celery_beat.view_periodictask"
# Names that every program writes into JSON as they are; and how many of them one query looks for.
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:()-]*")
FILTERED_MAX = 20


class BotSchedules:
    """See ``scraping.dependents.Dependents``."""

    def of(self, bots: Sequence[BotConfig]) -> list[Dependent]:
        """Return the schedules that name at least one of the bots."""
        change = "admin:django_celery_beat_periodictask_change"
        return [Dependent(schedules.title(task), reverse(change, args=[task.pk])) for task in naming(bots)]

    def may_see(self, by: Person) -> bool:
        """Whether the person may look at schedules."""
        return by.has_perm(SEE) or by.has_perm(edits.PERMISSION)

    def may_delete(self, by: Person) -> bool:
        """Whether the person may delete schedules."""
        return by.has_perm(edits.DELETE)

    def delete(self, bots: Sequence[BotConfig], *, by: Person) -> None:
        """Delete them as the schedules' own page does, with an event for each."""
        for task in naming(bots):
            edits.delete(task, by=by)


def naming(bots: Sequence[BotConfig]) -> list[PeriodicTask]:
    """Return the schedules whose parameters name one of these bots, by its key or its name."""
    keys = keys_naming(bots)
    whole = PeriodicTask.objects.select_related(*schedules.RELATED).in_bulk(keys)
    return [whole[pk] for pk in keys if pk in whole]


def keys_naming(bots: Sequence[BotConfig]) -> list[int]:
    """Return the keys of the schedules whose parameters name one of these bots, in order; no whole row is read."""
    named = {str(bot.pk) for bot in bots} | {bot.name for bot in bots}
    referring = {
        job.task_name: [name for name, model in job.refers_to.items() if model is BotConfig] for job in jobs()
    }
    tasks = [task for task, parameters in referring.items() if parameters]
    if not bots or not tasks:
        return []
    found = PeriodicTask.objects.filter(task__in=tasks).order_by("pk")
    if len(named) <= FILTERED_MAX and all(map(_PLAIN.fullmatch, named)):
        # The database leaves out rows whose text cannot match. Otherwise every text is parsed, because JSON can write a
        # name in several ways.
        found = found.filter(reduce(or_, (Q(kwargs__contains=text) for text in sorted(named))))
    texts = found.values_list("pk", "task", "kwargs").iterator()
    return [pk for pk, task, kwargs in texts if _values(kwargs, referring[task]) & named]


def _values(kwargs: str, parameters: Sequence[str]) -> set[str]:
    try:
        params = read_params(kwargs)
    except InvalidParams:
        return set()
    return {str(params[name]).strip() for name in parameters if name in params}
