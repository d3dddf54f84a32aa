"""Data that several parts of the dashboard need: read once per request, when the first part needs it."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest

from database import clock
from database.slices import first_of_each
from maintenance.ledger.worker_health import WorkerHealth, worker_health
from maintenance.models import JobRun, Person, RetentionPolicy
from maintenance.scheduling import maintenance_mode
from maintenance.scheduling.scheduler_health import SchedulerHealth, scheduler_health

SEE_RUNS = "maintenance.view_jobrun"
# More open runs than this are shown only in the list of runs.
OPEN_MAX = 50


@dataclass
class World:
    """The console as one person sees it now."""

    request: HttpRequest

    @property
    def person(self) -> Person:
        """The person for whom the page is made."""
        return self.request.user

    @cached_property
    def now(self) -> datetime:
        """The database's clock."""
        return clock.now()

    @property
    def sees_runs(self) -> bool:
        """Whether they may see every run, and so the state of the whole service."""
        return self.person.is_active and self.person.has_perm(SEE_RUNS)

    def may(self, permission: str) -> bool:
        """Whether the person has a permission."""
        return self.person.is_active and self.person.has_perm(permission)

    def may_view(self, model: type) -> bool:
        """Whether the person may open the model's pages."""
        return admin.site.get_model_admin(model).has_view_permission(self.request)

    @cached_property
    def scheduler(self) -> SchedulerHealth:
        """The state of the schedulers."""
        return scheduler_health(self.modes)

    @cached_property
    def workers(self) -> WorkerHealth:
        """The state of the workers."""
        return worker_health()

    @property
    def modes(self) -> maintenance_mode.Modes:
        """The switches that stop many schedules; every page shows them, and reads them once."""
        return maintenance_mode.modes_for(self.request)

    @cached_property
    def _open_runs(self) -> list[Any]:
        policy = RetentionPolicy.objects.filter(job=OuterRef("job")).values("days")[:1]
        runs = JobRun.objects.visible_to(self.person).annotate(policy_days=Subquery(policy))
        runs = runs.defer("mandate", "cursor", "traceback")
        return first_of_each([runs.blocked()[:OPEN_MAX], runs.running().order_by("pk")[:OPEN_MAX]])

    @property
    def running(self) -> list[JobRun]:
        """The running runs, oldest first."""
        return [run for run in self._open_runs if run.is_running]

    @property
    def blocked(self) -> list[Any]:
        """The runs that wait for a person, longest wait first; ``policy_days``: the retention of their job."""
        return [run for run in self._open_runs if run.is_blocked]
