"""`manage.py why run 17 | schedule NAME [--at TIME] | bot NAME | post t3_…`: why something is as it is."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django_celery_beat.models import PeriodicTask

from database.moments import written_moment
from maintenance.explanations import (
    Cause,
    explain_bot,
    explain_item,
    explain_run,
    explain_schedule,
    explain_slot,
)
from maintenance.explanations.content import NotAnItem
from maintenance.models import JobRun
from maintenance.scheduling import schedules
from maintenance.scheduling.timing import Timing
from scraping.models import BotConfig

_BIGINT_MAX = 2**63 - 1


class Command(BaseCommand):
    """Explain a run, a schedule or one of its slots, a bot, or a post."""

    help = "Say why a run, schedule, slot, bot or post is as it is, the main cause first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the kind and the name."""
        parser.add_argument("kind", choices=sorted(_EXPLAIN))
        parser.add_argument(
            "name",
            metavar="NAME",
            help="a run's number; a schedule's name or job; a bot's name or number; a fullname or link",
        )
        parser.add_argument(
            "--at", metavar="TIME", help="a slot, such as '2026-11-24 02:30', in the schedule's time zone"
        )
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each cause."""
        kind, name, at = options["kind"], options["name"], options["at"]
        if at and kind != "schedule":
            raise CommandError("--at belongs to a schedule.", returncode=2)
        causes = _slot(name, at) if at else _EXPLAIN[kind](name)
        if options["json"]:
            self.stdout.write(json.dumps([cause.as_json() for cause in causes], ensure_ascii=False))
            return
        for cause in causes:
            self.stdout.write(str(cause))


def _run(name: str) -> list[Cause]:
    if not (name.isascii() and name.isdigit() and int(name) <= _BIGINT_MAX):
        raise CommandError(f"{name!r} is no number of a run.", returncode=2)
    run = JobRun.objects.filter(pk=int(name)).first()
    if run is None:
        raise CommandError(f"There is no run {name}; its history may have been deleted.", returncode=2)
    return explain_run(run)


def _task(name: str) -> PeriodicTask:
    rows = PeriodicTask.objects.select_related(*schedules.RELATED)
    task = rows.filter(name=name).first() or rows.filter(task=f"maintenance.{name}").order_by("pk").first()
    if task is None:
        raise CommandError(f"No schedule is named {name}, and none is of a job of that name.", returncode=2)
    return task


def _slot(name: str, at: str) -> list[Cause]:
    task = _task(name)
    moment = written_moment(at, Timing.of(task).zone_info)
    if moment is None:
        raise CommandError(f"--at: {at!r} is no time. Write it as '2026-11-24 02:30'.", returncode=2)
    return explain_slot(task, moment.replace(second=0, microsecond=0))


def _bot(name: str) -> list[Cause]:
    bots = BotConfig.objects.select_related("app")
    found = list(bots.filter(name=name).order_by("pk")[:2])
    if not found and name.isascii() and name.isdigit() and int(name) <= _BIGINT_MAX:
        found = list(bots.filter(pk=int(name)))
    if not found:
        raise CommandError(f"No bot is named {name}.", returncode=2)
    if len(found) > 1:
        raise CommandError(f"Several owners have a bot {name}: give its number instead.", returncode=2)
    return explain_bot(found[0])


def _post(name: str) -> list[Cause]:
    try:
        return explain_item(name)
    except NotAnItem as error:
        raise CommandError(str(error), returncode=2) from None


_EXPLAIN: Mapping[str, Callable[[str], list[Cause]]] = {
    "run": _run,
    "schedule": lambda name: explain_schedule(_task(name)),
    "bot": _bot,
    "post": _post,
}
