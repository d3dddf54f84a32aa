"""The schedules that name a bot in their parameters; the pages that delete bots show them."""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from operator import or_

from django.db.models import Q
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from database.locks import RowGone
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
            with suppress(RowGone):
                edits.delete(task, by=by)


def naming(bots: Sequence[BotConfig]) -> list[PeriodicTask]:
    """Return the schedules whose parameters name one of these bots, by its key or its name."""
    keys, names = {str(bot.pk) for bot in bots}, {bot.name for bot in bots}
    referring = {
        job.task_name: [name for name, model in job.refers_to.items() if model is BotConfig] for job in jobs()
    }
    tasks = [task for task, parameters in referring.items() if parameters]
    if not bots or not tasks:
        return []
    found = PeriodicTask.objects.filter(task__in=tasks).order_by("pk")
    if len(bots) <= FILTERED_MAX and all(map(_PLAIN.fullmatch, names)):
        # The database leaves out rows whose text cannot match. A short key is a part of nearly every longer number.
        key = f"(^|[^0-9])({'|'.join(sorted(keys))})([^0-9]|$)"
        found = found.filter(
            reduce(or_, (Q(kwargs__contains=name) for name in sorted(names)), Q(kwargs__regex=key))
        )
    else:
        # JSON can write such a name in several ways: every text is parsed, but whole rows are read only of those that match.
        texts = found.values_list("pk", "task", "kwargs").iterator()
        matching = [pk for pk, task, kwargs in texts if _values(kwargs, referring[task]) & (keys | names)]
        whole = PeriodicTask.objects.select_related(*schedules.RELATED).in_bulk(matching)
        return [whole[pk] for pk in matching if pk in whole]
    return [
        task
        for task in found.select_related(*schedules.RELATED)
        if _values(task.kwargs, referring[task.task]) & (keys | names)
    ]


def _values(kwargs: str, parameters: Sequence[str]) -> set[str]:
    try:
        params = read_params(kwargs)
    except InvalidParams:
        return set()
    return {str(params[name]).strip() for name in parameters if name in params}
