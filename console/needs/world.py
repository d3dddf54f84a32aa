"""Data that several parts of the dashboard need: read once per request, when the first part needs it."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask

from alerts.conditions import missed_rows
from database import clock
from database.slices import first_of_each, keys_of_each
from maintenance.ledger.worker_health import WorkerHealth, worker_health
from maintenance.models import JobRun, Person, RetentionPolicy, ScheduleControl
from maintenance.registry import jobs
from maintenance.scheduling import maintenance_mode, schedules
from maintenance.scheduling.job_schedules import SCHEDULES_OF_A_JOB, keys_of_schedules
from maintenance.scheduling.reading import Reading, read_all
from maintenance.scheduling.scheduler_health import SchedulerHealth, scheduler_health

SEE_RUNS = "maintenance.view_jobrun"
# More open runs than this are shown only in the list of runs.
OPEN_MAX = 50
# More schedules that do not fire are shown only in the list of schedules.
ASLEEP_MAX = 30


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
    def _noted_runs(self) -> list[Any]:
        policy = RetentionPolicy.objects.filter(job=OuterRef("job")).values("days")[:1]
        runs = JobRun.objects.visible_to(self.person).annotate(policy_days=Subquery(policy))
        runs = runs.defer("mandate", "cursor", "traceback")
        parts = [
            runs.blocked()[:OPEN_MAX],
            runs.running().order_by("pk")[:OPEN_MAX],
            missed_rows(runs, self.now),
        ]
        return list(chain.from_iterable(first_of_each(parts)))

    @property
    def running(self) -> list[JobRun]:
        """The running runs, oldest first."""
        return [run for run in self._noted_runs if run.is_running]

    @cached_property
    def number_running(self) -> int:
        """How many runs are running, of which ``running`` has the first."""
        shown = len(self.running)
        return shown if shown < OPEN_MAX else JobRun.objects.visible_to(self.person).running().count()

    @property
    def blocked(self) -> list[Any]:
        """The runs that wait for a person, longest wait first; ``policy_days``: the retention of their job."""
        return [run for run in self._noted_runs if run.is_blocked]

    @cached_property
    def number_blocked(self) -> int:
        """How many runs wait for a person, of which ``blocked`` has the first."""
        shown = len(self.blocked)
        return shown if shown < OPEN_MAX else JobRun.objects.visible_to(self.person).blocked().count()

    @property
    def missed(self) -> list[JobRun]:
        """The rows of slots that passed without a scheduler, newest first."""
        return [run for run in self._noted_runs if run.status == JobRun.Status.MISSED]

    @cached_property
    def _schedules(self) -> list[PeriodicTask]:
        """The first schedules of each job, and the newest that are enabled and have no next slot, in order.

        Not those whose end has passed: they stay, and would leave no room for the broken ones.
        """
        enabled = PeriodicTask.objects.filter(enabled=True).exclude(expires__lte=self.now)
        asleep = enabled.filter(pk__in=ScheduleControl.objects.filter(next_slot_at=None).values("pk"))
        parts = [*keys_of_schedules(jobs()), asleep.order_by("-pk").values("pk")[:ASLEEP_MAX]]
        found = PeriodicTask.objects.filter(pk__in=keys_of_each(parts))
        return list(found.select_related(*schedules.RELATED).order_by("pk"))

    @cached_property
    def by_task(self) -> dict[str, list[PeriodicTask]]:
        """The first schedules of each job, by the name of its task; one more than are shown, if there are more."""
        found: dict[str, list[PeriodicTask]] = {job.task_name: [] for job in jobs()}
        for task in self._schedules:
            of_job = found.get(task.task)
            if of_job is not None and len(of_job) <= SCHEDULES_OF_A_JOB:
                of_job.append(task)
        return found

    @cached_property
    def asleep(self) -> list[PeriodicTask]:
        """Enabled schedules without a next slot, newest first: each is broken, or never fires before its end."""
        found = [
            task
            for task in self._schedules
            if task.enabled
            and hasattr(task, "control")
            and task.control.next_slot_at is None
            and not (task.expires and task.expires <= self.now)
        ]
        return found[::-1][:ASLEEP_MAX]

    @cached_property
    def readings(self) -> dict[int, Reading]:
        """The readings of all these schedules, by key."""
        shown = [task for tasks in self.by_task.values() for task in tasks[:SCHEDULES_OF_A_JOB]]
        tasks = list({task.pk: task for task in [*shown, *self.asleep]}.values())
        return dict(zip((task.pk for task in tasks), read_all(tasks, modes=self.modes), strict=True))
