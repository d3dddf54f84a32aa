"""THE list of rules: each is a function over the ledger that returns the subjects for which its condition holds now."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from django_celery_beat.models import PeriodicTask

from alerts.conditions import does_not_stop, missed_by_schedule, scraping_is_paused, silence_of
from alerts.failures import Group, read_groups
from alerts.models import Alert
from database.messages import gettext as _
from database.messages import joined, message_of
from maintenance.ledger.run_sums import slots_of
from maintenance.ledger.usual import usual_of_each
from maintenance.ledger.worker_health import WorkersState, worker_health
from maintenance.models import JobRun, RowsVerdict
from maintenance.registry import InvalidParams, get_job, is_known, job_of_task, read_params
from maintenance.scheduling.scheduler_health import scheduler_health
from scraping.compliance.coverage import coverage
from scraping.models import BotConfig, Freshness, RequestBudget
from scraping.models.freshness import QUIET, FreshnessQuerySet

CRITICAL, WARNING = Alert.Severity.CRITICAL, Alert.Severity.WARNING
# A rule returns at most this many subjects.
FOUND_MAX = 200
# Of more failing groups than are read, those recover whose success is among so many newest ones.
RECOVERED_MAX = 500
# A deploy restarts schedulers and workers within this time, which is no reason to wake anybody.
RESTART = timedelta(minutes=1)
# A scheduled run that has waited this long for a worker is late.
LATE = timedelta(minutes=10)
# Alerts of earlier releases have these causes, so they stay translated.
FORMER_CAUSES = (
    gettext_lazy("no scheduler was alive"),
    gettext_lazy("The workers have no connection to the broker."),
)
# Running this many times the median duration is longer than usual, but never below the least time.
TIMES_USUAL = 3
LONG_LEAST = timedelta(minutes=10)


@dataclass(frozen=True)
class Found:
    """A subject for which a rule's condition holds; ``name`` is in English, and ``cause`` keeps its parts."""

    type: str
    id: str
    name: str
    cause: str
    occurrences: int = 1
    config_id: int | None = None


# A rule that has not looked at everything returns this too: an alert that it does not find may hold all the same.
LEFT_OUT = None
Find = Callable[[datetime], Iterator[Found | None]]
# Type and id of a subject.
Key = tuple[str, str]


@dataclass(frozen=True)
class Rule:
    """A rule: its code, its title for people, how bad its condition is, and how often it is evaluated."""

    code: str
    title: str | Promise
    severity: str
    every: timedelta
    find: Find
    # How long a condition must hold before an alert opens.
    grace: timedelta = timedelta()
    # The subjects for which the condition has ended since a moment: these are closed although something was left out.
    ended: Callable[[datetime], set[Key]] = lambda _since: set()


RULES: dict[str, Rule] = {}


def rule(
    title: str | Promise, *, severity: str = WARNING, seconds: float = 0, **options: Any
) -> Callable[[Find], Find]:
    """Declare a rule; ``seconds``: the least time between two evaluations, 0 for each one."""

    def declare(find: Find) -> Find:
        code = find.__name__
        RULES[code] = Rule(code, title, severity, timedelta(seconds=seconds), find, **options)
        return find

    return declare


def _failing(now: datetime, status: str) -> Iterator[Found | None]:
    groups = read_groups(JobRun.objects.all(), now)
    if not groups.is_complete:
        yield LEFT_OUT
    for group in groups:
        run = group.newest_failure
        if not group.is_failing or run.status != status:
            continue
        known = run.reason in JobRun.Reason.values
        cause = run.error or run.message or (message_of(JobRun.Reason(run.reason).label) if known else "")
        if follows := _what_follows(group):
            cause = joined([cause, follows], by=" · ")
        yield subject_of(run, cause, group.failed)


def _what_follows(group: Group) -> str:
    """Return whether and when the job is tried again by itself; empty: it is not."""
    if group.is_being_retried:
        return _("It is being tried again.")
    if not group.waits_for_retry:
        return ""
    if group.retry_at is None:
        return _("It is tried again at once.")
    return _("It is tried again at %(moment)s UTC.") % {"moment": f"{group.retry_at:%Y-%m-%d %H:%M}"}


def _recovered(since: datetime) -> set[Key]:
    """Return the subjects of the newest runs that have succeeded since."""
    # By the index of state and number, without a condition on time.
    runs = JobRun.objects.filter(status=JobRun.Status.SUCCEEDED, dry_run=False).order_by("-pk")
    newest = runs.only("job", "params", "schedule", "schedule_name", "finished_at")[:RECOVERED_MAX]
    found = [subject_of(run) for run in newest if run.finished_at and run.finished_at >= since]
    return {(one.type, one.id) for one in found}


def subject_of(run: JobRun, cause: str = "", occurrences: int = 1) -> Found:
    """Return a bot, if the job runs for one bot at a time; else a schedule; else the job."""
    name = run.schedule_name or (get_job(run.job).english_title if is_known(run.job) else run.job)
    config = run.params.get("config")
    if type(config) is int and is_known(run.job) and get_job(run.job).concurrent_by == "config":
        return Found("scraping.BotConfig", str(config), name, cause, occurrences, config)
    if run.schedule_id:
        return Found("django_celery_beat.PeriodicTask", str(run.schedule_id), name, cause, occurrences)
    return Found("maintenance.Job", run.job, name, cause, occurrences)


def _of_run(run: JobRun, cause: str) -> Found:
    return Found("maintenance.JobRun", str(run.pk), str(run), cause)


@rule(gettext_lazy("failed"), severity=CRITICAL, ended=_recovered)
def failed(now: datetime) -> Iterator[Found | None]:
    """Find the jobs whose latest run failed."""
    yield from _failing(now, JobRun.Status.FAILED)


@rule(gettext_lazy("partial"), ended=_recovered)
def partial(now: datetime) -> Iterator[Found | None]:
    """Find the jobs whose latest run did only a part of its work."""
    yield from _failing(now, JobRun.Status.PARTIAL)


@rule(gettext_lazy("missed"))
def missed(now: datetime) -> Iterator[Found]:
    """Find the schedules whose slots passed without a scheduler, and that have not run since."""
    for runs in missed_by_schedule(JobRun.objects.all(), now).values():
        yield subject_of(runs[0], _("no scheduler ticked"), sum(map(slots_of, runs)))


@rule(gettext_lazy("late"))
def late(now: datetime) -> Iterator[Found]:
    """Find the scheduled runs that still wait for a worker long after their slot."""
    waiting = JobRun.objects.could_start().filter(scheduled_for__lt=now - LATE, queued_at__lt=now - LATE)
    for run in waiting.order_by("pk")[:FOUND_MAX]:
        yield _of_run(run, _("It still waits for a worker, long after its slot."))


@rule(gettext_lazy("blocked"), severity=CRITICAL)
def blocked(now: datetime) -> Iterator[Found]:
    """Find the runs that wait for a person's approval."""
    for run in JobRun.objects.blocked()[:FOUND_MAX]:
        yield _of_run(run, run.message)


@rule(gettext_lazy("stalled"), severity=CRITICAL)
def stalled(now: datetime) -> Iterator[Found]:
    """Find the runs whose worker is silent, and the cancelled ones that do not stop."""
    for run in JobRun.objects.running().order_by("pk")[:FOUND_MAX]:
        if silence_of(run, now) is not None:
            yield _of_run(run, _("It stands still: its worker is silent."))
        elif does_not_stop(run, now):
            yield _of_run(run, _("It was cancelled and does not stop."))


@rule(gettext_lazy("longer than usual"), seconds=60)
def longer_than_usual(now: datetime) -> Iterator[Found]:
    """Find the running runs that take three times as long as the median of their kind, and longer than its slowest."""
    begun = JobRun.objects.running().filter(started_at__lt=now - LONG_LEAST, dry_run=False)
    runs = list(begun.order_by("pk")[:FOUND_MAX])
    usual = usual_of_each(runs)
    for run in runs:
        assert run.started_at is not None  # the database holds that a running run has begun
        taken, of_kind = now - run.started_at, usual.get(run.pk)
        if of_kind and taken > TIMES_USUAL * of_kind.p50 and of_kind.is_exceeded_by(taken):
            told = {"minutes": f"{of_kind.p50.total_seconds() / 60:.1f}"}
            yield _of_run(run, _("It usually takes %(minutes)s minutes.") % told)


@rule(gettext_lazy("silent"), seconds=30)
def silent(now: datetime) -> Iterator[Found | None]:
    """Find the subreddits of automatically scraped bots that bring nothing although posts were expected."""
    yield from _of_freshness(Freshness.objects.silent())


@rule(gettext_lazy("fewer or more than usual"), seconds=30)
def unusual(now: datetime) -> Iterator[Found | None]:
    """Find the subreddits of automatically scraped bots that bring far fewer or far more posts than usual."""
    yield from _of_freshness(Freshness.objects.unusual())


@rule(gettext_lazy("fewer or more rows than usual"), seconds=60)
def unusual_rows(now: datetime) -> Iterator[Found]:
    """Find the schedules whose latest two runs did far fewer or far more rows than usual."""
    for verdict in RowsVerdict.objects.in_force().select_related("schedule").order_by("pk")[:FOUND_MAX]:
        task = verdict.schedule
        bot = _bot_of(task)
        yield Found("django_celery_beat.PeriodicTask", str(task.pk), task.name, verdict.text, config_id=bot)


def _bot_of(task: PeriodicTask) -> int | None:
    """Return the key of the bot that a schedule scrapes with, if its job works for one bot at a time."""
    job = job_of_task(task.task)
    if job is None or job.concurrent_by != "config":
        return None
    with suppress(InvalidParams):
        value = read_params(task.kwargs).get("config")
        return value if type(value) is int else None
    return None


def _of_freshness(rows: FreshnessQuerySet) -> Iterator[Found | None]:
    if scraping_is_paused():
        yield LEFT_OUT  # who paused it knows; what was found before holds
        return
    rows = rows.filter(config__in=BotConfig.objects.auto_scraped())
    for row in rows.select_related("config").defer("rates", "yields").order_by("pk")[:FOUND_MAX]:
        refused = row.silent_since is not None and row.why != QUIET
        figures = row.figures_text
        cause = row.error or _("no new posts, although some were expected")
        if figures and not refused:
            cause = joined([joined([figures, "."], by=""), row.error])
        name = f"{row.config.name}: r/{row.name}"
        yield Found("scraping.Freshness", str(row.pk), name, cause, config_id=row.config_id)


@rule(gettext_lazy("no scheduler"), severity=CRITICAL, grace=RESTART)
def no_scheduler(now: datetime) -> Iterator[Found]:
    """Find that no scheduler ticks; only a worker can notice that."""
    health = scheduler_health()
    cause = _("No scheduler is alive: start celery beat.")
    if health.has_lost_its_lease:
        cause = _("No scheduler holds the lease, although one is alive: read its log.")
    if not health.is_alive:
        yield Found("maintenance.BeatLease", "1", "celery beat", cause)


@rule(gettext_lazy("no worker"), severity=CRITICAL, grace=RESTART)
def no_worker(now: datetime) -> Iterator[Found]:
    """Find that no worker takes runs."""
    health = worker_health()
    causes = {
        WorkersState.NONE: _("No worker is alive: start a worker."),
        WorkersState.UNRESPONSIVE: _(
            "The workers do not listen to the broker: they have no connection to it, or stand still."
        ),
        WorkersState.UNSERVED: _("No worker takes the queue %(queue)s: start one.")
        % {"queue": ", ".join(health.unserved)},
        WorkersState.STUCK: _("Runs wait and no worker takes them."),
    }
    if not health.is_well:
        yield Found("maintenance.WorkerProcess", "all", "celery worker", causes[health.state])


@rule(gettext_lazy("compliance below target"), seconds=300)
def compliance_below_target(now: datetime) -> Iterator[Found]:
    """Find that too few stored items were verified with Reddit recently."""
    found = coverage()
    if found.is_below_target:
        told = {
            "percent": f"{found.shown_percent:.1f}",
            "target": f"{found.target_percent:g}",
            "hours": found.hours,
        }
        text = _("%(percent)s %% were verified within %(hours)s hours; the target is %(target)s %%.")
        yield Found("maintenance.Job", "refresh_stored_content", "refresh_stored_content", text % told)


@rule(gettext_lazy("budget exhausted"))
def budget_exhausted(now: datetime) -> Iterator[Found]:
    """Find the Reddit clients that Reddit has stopped with a 429."""
    for budget in RequestBudget.objects.filter(blocked_until__gt=now).order_by("pk")[:FOUND_MAX]:
        cause = _("Reddit refuses further requests of this client for a while.")
        yield Found("scraping.RequestBudget", str(budget.pk), f"Reddit client {budget.pk}", cause)


@rule(gettext_lazy("stopped by Reddit"), severity=CRITICAL)
def stopped_by_reddit(now: datetime) -> Iterator[Found]:
    """Find the bots that were paused after several refusals in a row."""
    for bot in BotConfig.objects.filter(paused_at__isnull=False).order_by("pk")[:FOUND_MAX]:
        yield Found("scraping.BotConfig", str(bot.pk), bot.name, bot.pause_reason, bot.refusals or 1, bot.pk)


def title_in_words(alert: Alert) -> str:
    """Return what an alert is about, such as "late: Purge old content", in the reader's language."""
    return f"{title_of(alert.rule)}: {alert.subject_in_words}"


def title_of(code: str) -> str:
    """Return a rule's title in the reader's language; the code of a rule that no longer exists."""
    return str(RULES[code].title) if code in RULES else code
