"""Retentions: the stored ones, the effect of an edit, and the edit itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.db.models import Case, Exists, OuterRef, Prefetch, When
from django.utils.formats import number_format
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from database import clock
from database.constraints import cascaded_children
from database.estimates import table_sizes
from database.locks import locked
from database.messages import gettext as _
from maintenance.context import conditions
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.purging.counting import count_deletion
from maintenance.purging.days import Retention as Retention
from maintenance.purging.days import range_between
from maintenance.purging.interface import Condition
from maintenance.purging.plan import worth_estimating
from maintenance.registry import Job, Person, clean_days_from, get_job, is_known, may_keep

PERMISSION = "maintenance.change_retentionpolicy"
CHANGED = "retention.changed"
words.register({CHANGED: gettext_noop("changed the retention")})


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


def stored_retentions() -> dict[str, Retention]:
    """Return the stored retention of each job, by its slug; two queries."""
    overrides = Prefetch("overrides", RetentionOverride.objects.select_related("config"))
    return {
        policy.job: Retention(
            policy.days, tuple(policy.overrides.all()), keeps_live_threads=policy.keeps_live_threads
        )
        for policy in RetentionPolicy.objects.prefetch_related(overrides)
    }


def is_made_under(plan: Mapping[str, Any], retention: Retention | None) -> bool:
    """Whether a plan was made under this retention; plans of an earlier release do not say it, and count as such."""
    made_under = plan.get("retention")
    return made_under is None or retention is None or made_under == retention.key()


# --- Preview ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The number of rows by table."""

    tables: tuple[tuple[str, int], ...]
    # The names of the tables whose rows are estimated, as in a preview of a purge.
    estimated: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        """The sum over the tables."""
        return sum(rows for _name, rows in self.tables)

    @property
    def total_text(self) -> str:
        """The sum in words: with "about" if a part of it is estimated."""
        shown = number_format(self.total, force_grouping=True)
        return _("about %(number)s") % {"number": shown} if self.estimated else shown


@dataclass(frozen=True)
class Effect:
    """The effect of an edit on the next run: rows that it would delete in addition, and rows that it would keep."""

    more: Rows
    fewer: Rows


def effect(policy: RetentionPolicy, after: Retention) -> Effect:
    """Count what the next run would delete under ``after`` but not under the stored retention, and vice versa."""
    return effect_on(policy.job, retention_of(policy), after)


def effect_on(job: str, before: Retention, after: Retention) -> Effect:
    """Count the rows that the next run would delete under ``after`` but not under ``before``, and vice versa.

    The job's function tells what it would delete, as in a run. Only rows whose age lies between the shortest and the
    longest retention are read, a range of the index: both retentions treat all other rows alike. The rows of a big
    table to which the database cascades are estimated: counting millions of comments takes longer than all the rest.
    """
    now = clock.now()
    more: list[Rows] = []
    fewer: list[Rows] = []
    if before.key() != after.key() and is_known(job):
        function = get_job(job).function
        old_and_new = zip(
            conditions(function, before, now=now), conditions(function, after, now=now), strict=True
        )
        for old, new in old_and_new:
            between = range_between(old.by, now, before, after)
            if not after.deletes_nothing_beyond(before):
                more.append(_counts(new, between, without=old))
            if not before.deletes_nothing_beyond(after):
                fewer.append(_counts(old, between, without=new))
    return Effect(_joined(more), _joined(fewer))


def _counts(condition: Condition, between: Mapping[str, datetime], *, without: Condition) -> Rows:
    """Count the rows between these times that one condition deletes and the other does not."""
    rows = condition.queryset.filter(**between)
    children = [child.model for child in cascaded_children(rows.model)]
    estimates = condition.facts.estimates
    if estimates:
        estimates = worth_estimating(estimates, children, table_sizes(children, rows.db))
    found = count_deletion(_without(rows, without, between), key=condition.by, estimates=estimates)
    names = {label: str(apps.get_model(label)._meta.verbose_name_plural) for label in found}
    return Rows(
        tuple((names[label], number) for label, number in found.items()),
        frozenset(names[label] for label in estimates),
    )


def _without(
    rows: models.QuerySet[Any], other: Condition, between: Mapping[str, datetime]
) -> models.QuerySet[Any]:
    """Return the rows that the other condition does not delete; both spare the same held rows."""
    if other.facts.is_old is None:
        return rows.filter(~Exists(other.queryset.filter(pk=OuterRef("pk"), **between)))
    # A condition of the row itself, so that the table is read once. A case, because a condition may be null.
    is_old = Case(When(other.facts.is_old, then=True), default=False, output_field=models.BooleanField())
    found: models.QuerySet[Any] = rows.alias(_is_old=is_old).filter(_is_old=False)
    return found


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        tuple(table for part in parts for table in part.tables),
        frozenset().union(*(part.estimated for part in parts)),
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


def change(policy: RetentionPolicy, after: Retention, *, by: Person | None) -> None:
    """Store the retention; it applies from the next run or attempt on. ``by``: None is this host's shell.

    Raises:
        PermissionDenied: the person may not change retentions, or not set so few days.
        ValidationError: nobody may set so few days.
    """
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change retentions."))
    with transaction.atomic():
        stored = locked(policy)
        before = retention_of(stored)
        for days in _new_days(before, after):
            if is_known(stored.job):
                clean_days_from(get_job(stored.job).floor_days)(days)
            if by is not None and not may_keep(by, days):
                raise PermissionDenied(
                    _("You may not go below %(floor)s days.") % {"floor": settings.RETENTION_FLOOR_DAYS}
                )
        if after.key() == before.key():
            return
        stored.days, stored.updated_by_id = after.days, by.pk if by else None
        stored.keeps_live_threads = after.keeps_live_threads
        stored.save(update_fields=["days", "keeps_live_threads", "updated_by", "updated_at"])
        stored.overrides.all().delete()
        RetentionOverride.objects.bulk_create(
            RetentionOverride(policy=stored, subreddit=row.subreddit, config_id=row.config_id, days=row.days)
            for row in after.overrides
        )
        record(CHANGED, stored, by=by, before=before.as_json(), after=after.as_json())
