"""Retentions: the stored ones, the effect of an edit, and the edit itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from database import clock
from database.constraints import cascaded_children
from database.messages import gettext as _
from maintenance.context import conditions
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.purging.days import Retention as Retention
from maintenance.purging.days import range_between
from maintenance.registry import Job, Person, clean_days_from, get_job, is_known, may_keep

PERMISSION = "maintenance.change_retentionpolicy"
CHANGED = "retention.changed"
words.register({CHANGED: gettext_noop("changed the retention")})
# A preview counts this many rows of one table, about one second of work; for more it only says "more than".
COUNTED_ROWS_MAX = 1_000_000


def overrides_of(job: Job) -> list[RetentionOverride]:
    """Return the overrides of a job's retention; none for a job that does not use them."""
    if not job.has_overrides:
        return []
    return list(RetentionOverride.objects.filter(policy__job=job.slug).select_related("config"))


def retention_of(policy: RetentionPolicy) -> Retention:
    """Return the stored retention."""
    return Retention(
        policy.days,
        tuple(policy.overrides.select_related("config")),
        keeps_live_threads=policy.keeps_live_threads,
    )


# --- Preview ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The number of rows by table; a table's number is ``COUNTED_ROWS_MAX`` where ``is_more``."""

    tables: tuple[tuple[str, int], ...]
    is_more: bool = False

    @property
    def total(self) -> int:
        """The sum over the tables."""
        return sum(rows for _name, rows in self.tables)


@dataclass(frozen=True)
class Effect:
    """The effect of an edit on the next run: rows that it would delete in addition, and rows that it would keep."""

    more: Rows
    fewer: Rows


def effect(policy: RetentionPolicy, after: Retention) -> Effect:
    """Count the rows that the next run would delete under ``after`` but not under the stored retention, and vice versa.

    The job's function tells what it would delete, as in a run. Only rows whose age lies between the shortest and the
    longest retention are read, a range of the index: both retentions treat all other rows alike.
    """
    before, now = retention_of(policy), clock.now()
    more: list[tuple[str, int]] = []
    fewer: list[tuple[str, int]] = []
    if before.key() != after.key() and is_known(policy.job):
        function = get_job(policy.job).function
        old_and_new = zip(
            conditions(function, before, now=now), conditions(function, after, now=now), strict=True
        )
        for old, new in old_and_new:
            between = range_between(old.by, now, before, after)
            taken, spared = new.queryset.filter(**between), old.queryset.filter(**between)
            more += _counts(taken, without=spared)
            fewer += _counts(spared, without=taken)
    return Effect(_rows(more), _rows(fewer))


def _counts(rows: models.QuerySet[Any], *, without: models.QuerySet[Any]) -> Iterator[tuple[str, int]]:
    rows = rows.filter(~Exists(without.filter(pk=OuterRef("pk")))).order_by()
    children = [
        field.model._default_manager.filter(**{f"{field.name}__in": rows.values("pk")}).order_by()
        for field in cascaded_children(rows.model)
    ]
    for queryset in (rows, *children):
        name = str(queryset.model._meta.verbose_name_plural)
        yield name, queryset[: COUNTED_ROWS_MAX + 1].count()


def _rows(counts: list[tuple[str, int]]) -> Rows:
    return Rows(
        tuple((name, min(rows, COUNTED_ROWS_MAX)) for name, rows in counts),
        is_more=any(rows > COUNTED_ROWS_MAX for _name, rows in counts),
    )


# --- Changing --------------------------------------------------------------------------------


def refuse_below_floor(days: int, *, by: Person, job: str = "") -> None:
    """Raise ValidationError if the job does not allow so few days, or the person lacks the permission for them."""
    if is_known(job):
        clean_days_from(get_job(job).floor_days)(days)
    if not may_keep(by, days):
        raise ValidationError(
            _("At least %(floor)s days: fewer need the permission to approve runs."),
            code="floor",
            params={"floor": settings.RETENTION_FLOOR_DAYS},
        )


def _new_days(before: Retention, after: Retention) -> set[int]:
    """Return the days that the edit changes: in general, or for a subreddit or bot."""
    old, new = before.days_by_target(), after.days_by_target()
    return {
        new.get(target, after.days)
        for target in {None, *old, *new}
        if new.get(target, after.days) != old.get(target, before.days)
    }


def change(policy: RetentionPolicy, after: Retention, *, by: Person) -> None:
    """Store the retention; it applies from the next run or attempt on.

    Raises:
        PermissionDenied: the person may not change retentions, or not set so few days.
        ValidationError: nobody may set so few days.
    """
    if not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change retentions."))
    with transaction.atomic():
        stored = RetentionPolicy.objects.select_for_update().get(pk=policy.pk)
        before = retention_of(stored)
        for days in _new_days(before, after):
            if is_known(stored.job):
                clean_days_from(get_job(stored.job).floor_days)(days)
            if not may_keep(by, days):
                raise PermissionDenied(
                    _("You may not go below %(floor)s days.") % {"floor": settings.RETENTION_FLOOR_DAYS}
                )
        if after.key() == before.key():
            return
        stored.days, stored.updated_by_id = after.days, by.pk
        stored.keeps_live_threads = after.keeps_live_threads
        stored.save(update_fields=["days", "keeps_live_threads", "updated_by", "updated_at"])
        stored.overrides.all().delete()
        RetentionOverride.objects.bulk_create(
            RetentionOverride(policy=stored, subreddit=row.subreddit, config_id=row.config_id, days=row.days)
            for row in after.overrides
        )
        record(CHANGED, stored, by=by, before=before.as_json(), after=after.as_json())
