"""What lists and pages show of a schedule: its reading, the latest runs of its job, the link to *Run now*."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from database.messages import ngettext
from maintenance.admin import run_strip
from maintenance.admin.run_confirmation import run_url
from maintenance.registry import TASK_PREFIX, get_job, jobs
from maintenance.scheduling.reading import Reading, read, read_all


class ScheduleList(ChangeList):
    """The list of schedules, each with the latest runs of its job; the number of queries is constant."""

    def get_results(self, request: HttpRequest) -> None:
        """Read all listed schedules and their runs at once."""
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        for task, reading in zip(self.result_list, read_all(self.result_list), strict=True):
            task.reading, task.job, task.user = reading, reading.job, request.user
        latest = run_strip.latest_runs(
            sorted({task.job.slug for task in self.result_list if task.job}), request.user
        )
        runs_url = reverse("admin:maintenance_jobrun_changelist")
        strips = {slug: run_strip.outline(runs, f"{runs_url}?job={slug}") for slug, runs in latest.items()}
        for task in self.result_list:
            task.strip = strips[task.job.slug] if task.job else None
        for task, url in zip(self.result_list, run_now_urls(self.result_list, request.user), strict=True):
            task.run_url = url

    @property
    def result_text(self) -> str:
        """The number of schedules, with the console's word instead of "periodic tasks"."""
        number = self.result_count
        text = ngettext("%(number)s schedule", "%(number)s schedules", number)
        return text % {"number": number_format(number, force_grouping=True)}


class ScheduleJobFilter(admin.SimpleListFilter):
    """Schedules of one job."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the declared jobs."""
        return [(job.slug, job.title) for job in jobs()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> QuerySet[PeriodicTask]:
        """Keep the chosen one."""
        return queryset.filter(task=f"{TASK_PREFIX}{self.value()}") if self.value() else queryset


def reading_of(task: Any) -> Reading:
    """Return the reading that a list or page has already made of the schedule, else a new one."""
    found: Reading = getattr(task, "reading", None) or read(task)
    return found


def run_now_urls(tasks: Sequence[Any], user: Any) -> list[str | None]:
    """Return the addresses of *Run now* for the jobs of these schedules; None where the person may not run it."""
    urls: dict[int, str] = {}
    by_job: dict[str, list[Any]] = {}
    for task in tasks:
        if task.reading.job is not None and task.reading.params is not None:
            by_job.setdefault(task.reading.job.slug, []).append(task)
    for slug, of_job in by_job.items():
        job = get_job(slug)
        allowed = job.may_run_each(user, [task.reading.params for task in of_job])
        urls |= {
            task.pk: run_url(job, task.reading.params)
            for task, may_run in zip(of_job, allowed, strict=True)
            if may_run
        }
    return [urls.get(task.pk) for task in tasks]
