"""What lists and pages show of a schedule: its reading, the latest runs of its job, the link to *Run now*."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.filters import PeopleFilter
from database.messages import ngettext
from maintenance.admin import run_strip
from maintenance.admin.run_confirmation import run_url
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import TASK_PREFIX, get_job, jobs
from maintenance.scheduling import days_off, schedules
from maintenance.scheduling.bot_schedules import naming
from maintenance.scheduling.reading import Reading, read, read_all
from scraping.models import BotConfig

# What a schedule may set; null: it does not.
OPTIONAL = ("catch_up_hours", "retries", "time_limit_seconds", "pause_after_failures")


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
        """The number of schedules, with the measure word that Chinese wants."""
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


class BotOwnerFilter(PeopleFilter):
    """Schedules whose parameters name a bot of one owner."""

    title = _("owner of the bot")
    parameter_name = "owner"
    shown_max = 200

    def people(self, request: HttpRequest) -> QuerySet[User]:
        """Return the owners of bots that the person may see."""
        theirs = BotConfig.objects.named_to(request.user).filter(owner=OuterRef("pk"))
        return User.objects.filter(Exists(theirs)).order_by("username")

    def queryset(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> QuerySet[PeriodicTask]:
        """Keep those of the chosen owner."""
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen not in {pk for pk, _name in self.lookup_choices}:
            return queryset.none()
        bots = BotConfig.objects.named_to(request.user).filter(owner=int(chosen))
        return queryset.filter(pk__in=[task.pk for task in naming(list(bots))])


@dataclass(frozen=True)
class Fate:
    """What follows if a schedule is deleted."""

    title: str
    runs: int
    open_runs: int
    job: str  # its title; empty: it starts no job of this console
    others: int  # other schedules of the job
    comes_back: bool
    default: str

    @classmethod
    def of(cls, task: PeriodicTask) -> "Fate":
        """Return what would follow."""
        job, runs = schedules.job_of(task), JobRun.objects.filter(schedule=task.pk)
        return cls(
            title=schedules.title(task),
            runs=runs.count(),
            open_runs=runs.open().count(),
            job=job.title if job else "",
            others=schedules.others_of_job(task),
            comes_back=schedules.comes_back(task),
            default=(job and job.crontab) or "",
        )


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


def policies_in_words(control: ScheduleControl) -> str:
    """Return what happens to missed and overlapping slots, and after failures."""
    parts = [
        f"{control.get_misfire_policy_display()} ({control.misfire_limit})",
        control.get_overlap_policy_display(),
    ]
    parts += [
        f"{field.verbose_name}: {number_format(value)}"
        for field in control._meta.concrete_fields
        if field.name in OPTIONAL and (value := getattr(control, field.name)) is not None
    ]
    if control.days_off:
        parts.append(
            _("not on holidays of %(country)s") % {"country": days_off.name_of_calendar(control.days_off)}
        )
    return " · ".join(parts)
