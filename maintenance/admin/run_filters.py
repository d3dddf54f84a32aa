"""The filters of the list of runs."""

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from adminkit.filters import PeopleFilter
from adminkit.parameters import RefusedParameter
from adminkit.templatetags.display import duration
from database import clock
from maintenance.ledger.search import RUNS_SEARCHED
from maintenance.models import JobRun
from maintenance.registry import jobs

LONGER_THAN: Final = (60, 600, 3_600, 6 * 3_600)


class JobFilter(admin.SimpleListFilter):
    """Runs of one job."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the declared jobs."""
        return [(job.slug, job.title) for job in jobs()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        """Keep the chosen one."""
        return queryset.filter(job=self.value()) if self.value() else queryset


class QueuedFilter(admin.DateFieldListFilter):
    """Runs that were queued on a day of the choices, or between two days; by the index of that column."""

    template = "maintenance/filter_days.html"

    def __init__(self, field: Any, request: HttpRequest, *others: Any, **named: Any) -> None:
        super().__init__(field, request, *others, **named)
        # For the form with the two days, which keeps the other filters.
        self.request = request


def without_blank_days(query: QueryDict) -> QueryDict:
    """Return the query string without the days that the form of ``QueuedFilter`` left blank."""
    kept = query.copy()
    for name in ("queued_at__gte", "queued_at__lt"):
        if name in kept and not str(kept[name]).strip():
            del kept[name]
    return kept


class LongFilter(admin.SimpleListFilter):
    """Runs that took, or have taken so far, longer than a time. No index has durations: only the newest are read."""

    title = _("longer than (newest 20,000)")
    parameter_name = "longer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer four times."""
        return [(str(seconds), duration(timedelta(seconds=seconds))) for seconds in LONGER_THAN]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        """Keep the longer ones."""
        value = self.value()
        if not value:
            return queryset
        if value not in map(str, LONGER_THAN):
            raise RefusedParameter(self.parameter_name, str(_("Choose one of the times beside the list.")))
        time = timedelta(seconds=int(value))
        newest = JobRun.objects.order_by("-pk").values_list("pk", flat=True)
        if oldest := list(newest[RUNS_SEARCHED : RUNS_SEARCHED + 1]):
            queryset = queryset.filter(pk__gt=oldest[0])
        return queryset.filter(
            Q(finished_at__gt=F("started_at") + time)
            | Q(status=JobRun.Status.RUNNING, started_at__lt=clock.now() - time)
        )


class PersonFilter(PeopleFilter):
    """Runs that one person requested; offered to those who see the runs of all."""

    title = _("requested by")
    parameter_name = "by"

    def people(self, request: HttpRequest) -> QuerySet[User]:
        """Return the people who have requested runs."""
        if not request.user.has_perm("maintenance.view_jobrun"):
            return User.objects.none()
        theirs = JobRun.objects.filter(requested_by=OuterRef("pk"))
        return User.objects.filter(Exists(theirs)).order_by("username")

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        """Keep the runs of the chosen one."""
        value = self.value()
        if not value:
            return queryset
        if value not in {key for key, _name in self.lookup_choices}:
            raise RefusedParameter(self.parameter_name, str(_("Choose one of the people beside the list.")))
        return queryset.filter(requested_by=int(value))
