"""Refuses what the file asks for and could not be stored, or would not run; only what changes is checked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from database import clock
from database.ends import refuse_end
from maintenance.models import RetentionOverride, ScheduleControl
from maintenance.purging.days import Retention
from maintenance.registry import (
    TASK_PREFIX,
    InvalidParams,
    Job,
    clean_days_from,
    get_job,
    is_known,
    job_of_task,
)
from maintenance.scheduling import days_off, time_rows
from maintenance.scheduling.crontab import InvalidTime
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.planned_windows import InvalidWindow
from maintenance.scheduling.schedule_file.entries import (
    KINDS,
    PAUSES,
    POLICIES,
    RETENTIONS,
    SCHEDULES,
    WINDOWS,
    BadFile,
    Entry,
    Fields,
    Problem,
    scopes,
)
from maintenance.scheduling.schedule_file.planning import Kind, Plan
from maintenance.scheduling.schedule_file.reading import SINGULAR, length_of
from maintenance.scheduling.schedule_file.windows import FIELDS, drafted_from
from maintenance.scheduling.schedule_file.writing import BotNames
from maintenance.scheduling.timing import Timing
from scraping.models import BotConfig
from scraping.models.validators import SUBREDDIT_NAME

REASON_MAX = 500
# The fields of the file for those of a time.
_FIELDS = {"clocked": "once", "solar": "sun"}


def check(plan: Plan) -> None:
    """Refuse changes that could not be applied.

    Raises:
        BadFile: with every problem.
    """
    checks = _Checks()
    for change in plan.changes:
        if change.kind is not Kind.DELETED:
            _CHECKS[change.entry.section](checks, change.entry, {*change.fields}, change.kind is Kind.CREATED)
    if checks.problems:
        raise BadFile(checks.problems)


def task_name_of(entry: Entry) -> str:
    """Return the name of the task that a schedule of the file starts."""
    job: str | None = entry.value("job")
    return f"{TASK_PREFIX}{job}" if job is not None else str(entry.value("task") or "")


def timing_of(entry: Entry) -> Timing:
    """Return the time of a schedule of the file.

    Raises:
        InvalidCrontab: it has not five fields.
    """
    crontab, every, sun = entry.value("crontab"), entry.value("every"), entry.value("sun")
    return Timing(
        crontab=Crontab.parse(crontab) if crontab is not None else None,
        zone=entry.value("timezone") or "",
        every=length_of(every) if every is not None else None,
        clocked=entry.value("once"),
        solar=(sun["event"], sun["latitude"], sun["longitude"]) if sun else None,
        start=entry.value("start"),
        expires=entry.value("expires"),
    )


def retention_of(entry: Entry) -> Retention:
    """Return the retention that the file has.

    Raises:
        ValidationError: it names a bot that does not exist.
    """
    rows = []
    for one in entry.value("overrides"):
        bot = None
        if "bot" in one:
            bot = BotConfig.objects.filter(owner__username=one["owner"], name=one["bot"]).first()
            if bot is None:
                text = f"{one['owner']} has no bot {one['bot']}: create it first, or leave out the override."
                raise ValidationError(text)
        rows.append(RetentionOverride(subreddit=one.get("subreddit", ""), config=bot, days=one["days"]))
    return Retention(entry.value("days"), tuple(rows), keeps_live_threads=entry.value("keep_live_threads"))


class _Checks:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._bots: BotNames | None = None

    @property
    def bots(self) -> BotNames:
        """The bots that parameters name."""
        self._bots = self._bots or BotNames()
        return self._bots

    def note(self, entry: Entry, field: str, text: str) -> None:
        where = f"{SINGULAR[entry.section]} “{entry.key}”, {field}"
        self.problems.append(Problem(entry.line_of(field), where, text))

    @contextmanager
    def of(self, entry: Entry, field: str) -> Iterator[None]:
        """Note what the block refuses, at the field."""
        try:
            yield
        except InvalidTime as error:
            inner = _FIELDS.get(error.field, error.field)
            known = inner in entry.fields or inner in (*KINDS, "timezone", "start", "expires")
            name = inner if known else field
            self.note(entry, name, error.message if known else f"{error.field}: {error.message}")
        except InvalidParams as error:
            self.note(entry, field, error.text)
        except ValidationError as error:
            self.note(entry, field, " ".join(error.messages))
        except ValueError as error:
            self.note(entry, field, str(error))


# --- Schedules -------------------------------------------------------------------------------


def _check_schedule(checks: _Checks, entry: Entry, changed: set[str], is_new: bool) -> None:
    if is_new:
        with checks.of(entry, "name"):
            _column("name").clean(entry.key, None)
    job = job_of_task(task_name_of(entry))
    if is_new or changed & {"job", "task"}:
        _check_task(checks, entry)
    if is_new or changed & {*KINDS, "timezone", "start", "expires"}:
        _check_time(checks, entry)
    if job is not None and (is_new or changed & {"job", "parameters"}):
        with checks.of(entry, "parameters"):
            _check_parameters(job, entry.value("parameters"), checks.bots)
    for name in changed & POLICIES.keys():
        with checks.of(entry, name):
            _policy(POLICIES[name]).clean(entry.value(name), None)
    code = entry.value("not_on_holidays_of")
    if "not_on_holidays_of" in changed and code and not days_off.is_known(code):
        checks.note(
            entry,
            "not_on_holidays_of",
            "no calendar has this code: write a country, such as CN, or with a state, such as DE-BY.",
        )
    if "paused" in changed and entry.value("paused"):
        with checks.of(entry, "paused"):
            _check_pause(entry.value("paused"))
    if entry.value("has_run") and (not entry.value("one_off") or entry.value("paused")):
        checks.note(
            entry, "has_run", "only a schedule with one_off: true, which is not paused, can have run."
        )
    _check_rest(checks, entry, changed, job)


def _check_task(checks: _Checks, entry: Entry) -> None:
    name = "job" if "job" in entry.fields else "task"
    if ("job" in entry.fields) == ("task" in entry.fields):
        checks.note(entry, name, "write either job: … or, for a task that is no job of this console, task: …")
        return
    if "job" in entry.fields and not is_known(entry.value("job")):
        checks.note(entry, "job", _no_job(entry.value("job")))
    with checks.of(entry, name):
        _column("task").clean(task_name_of(entry), None)


def _column(name: str) -> Any:
    return PeriodicTask._meta.get_field(name)


def _policy(name: str) -> Any:
    return ScheduleControl._meta.get_field(name)


def _no_job(slug: str) -> str:
    try:
        get_job(slug)
    except KeyError as error:
        return str(error)
    return ""


def _check_time(checks: _Checks, entry: Entry) -> None:
    kinds = [name for name in KINDS if name in entry.fields]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        checks.note(
            entry, kinds[-1] if kinds else "crontab", f"write one of {', '.join(KINDS)}; this has {found}."
        )
        return
    if "timezone" in entry.fields and kinds != ["crontab"]:
        checks.note(entry, "timezone", "only a crontab has a time zone: delete this line.")
    with checks.of(entry, kinds[0]):
        timing = timing_of(entry)
        time_rows.refuse(timing, now=clock.now(), may_be_over=True)
        time_rows.refuse_limits(timing.start, timing.expires)


def _check_parameters(job: Job, parameters: Any, bots: BotNames) -> None:
    if isinstance(parameters, str):
        raise ValidationError("write the parameters as name: value, one per line, indented.")
    job.clean(bots.keyed(job, parameters))


def _check_pause(paused: dict[str, Any]) -> None:
    if not paused["reason"].strip():
        raise ValidationError("say why: the reason is empty.")
    if paused["reason"] != paused["reason"].strip() or len(paused["reason"]) > REASON_MAX:
        raise ValidationError(f"a reason has up to {REASON_MAX} characters, and no spaces around it.")
    refuse_end(paused.get("until"))


def _check_rest(checks: _Checks, entry: Entry, changed: set[str], job: Job | None) -> None:
    if "default" in changed and entry.value("default"):
        with checks.of(entry, "default"):
            if job is None or job.crontab is None:
                raise ValidationError("this job has no default schedule: delete this line.")
            _policy("default_crontab").clean(entry.value("default"), None)
            try:
                Crontab.parse(entry.value("default")).validate()
            except InvalidTime as error:
                raise ValidationError(str(error)) from None
    if "message" in changed or changed & {"job", "task"}:
        with checks.of(entry, "message"):
            if entry.value("message") and "job" in entry.fields:
                raise ValidationError("a job of this console takes none of these: delete this field.")
            for name, value in entry.value("message").items():
                _column(name).clean(value, None)
    if "expires" in entry.fields and "expire_seconds" in entry.value("message"):
        checks.note(entry, "expires", "a schedule has expires or expire_seconds, not both.")


# --- Retentions, pauses and windows -------------------------------------------------------------------


def _check_retention(checks: _Checks, entry: Entry, changed: set[str], is_new: bool) -> None:
    if not is_known(entry.key):
        checks.note(entry, "job", _no_job(entry.key))
        return
    job = get_job(entry.key)
    if job.retention_days is None:
        checks.note(entry, "job", "this job has no retention: delete this entry.")
        return
    overrides = entry.value("overrides")
    if not isinstance(entry.value("days"), int):
        checks.note(entry, "days", "write days: and a whole number.")
        return
    for field, days in (("days", [entry.value("days")]), ("overrides", [one["days"] for one in overrides])):
        for number in days:
            with checks.of(entry, field):
                clean_days_from(job.floor_days)(number)
    if overrides and not job.has_overrides:
        checks.note(entry, "overrides", "this job takes no overrides: delete them.")
    if entry.value("keep_live_threads") and not job.has_live_threads:
        checks.note(entry, "keep_live_threads", "this job knows no threads: delete this line.")
    with checks.of(entry, "overrides"):
        _check_targets(overrides)
        for row in retention_of(entry).overrides:
            row.clean_fields(exclude=["policy", "config"])


def _check_targets(overrides: list[Fields]) -> None:
    targets = [{name: one.get(name) for name in ("subreddit", "bot", "owner")} for one in overrides]
    if twice := [target for number, target in enumerate(targets) if target in targets[:number]]:
        text = twice[0]["subreddit"] or twice[0]["bot"]
        raise ValidationError(f"{text} has two overrides: delete one.")
    names = [one["subreddit"] for one in overrides if "subreddit" in one]
    if wrong := [name for name in names if not SUBREDDIT_NAME.match(name)]:
        # It would be the name of no post, and the posts that are meant would have the days of all.
        text = "is not a subreddit name: write it without r/, such as python."
        raise ValidationError(f"{wrong[0]!r} {text}")


def _check_switch(checks: _Checks, entry: Entry, changed: set[str], is_new: bool) -> None:
    if entry.key not in scopes():
        checks.note(entry, "scope", f"there is no such scope: write one of {', '.join(scopes())}.")
        return
    with checks.of(entry, "reason"):
        _check_pause({"reason": entry.value("reason"), "until": entry.value("until")})


def _check_window(checks: _Checks, entry: Entry, changed: set[str], is_new: bool) -> None:
    with checks.of(entry, "reason"):
        _check_pause({"reason": entry.key})
    if entry.value("scope") not in scopes():
        checks.note(entry, "scope", f"there is no such scope: write one of {', '.join(scopes())}.")
        return
    try:
        drafted_from(entry)
    except InvalidWindow as error:
        checks.note(entry, FIELDS.get(error.field, error.field), str(error))


_Check = Callable[[_Checks, Entry, set[str], bool], None]
_CHECKS: dict[str, _Check] = {
    SCHEDULES: _check_schedule,
    RETENTIONS: _check_retention,
    PAUSES: _check_switch,
    WINDOWS: _check_window,
}
