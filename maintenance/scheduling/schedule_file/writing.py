"""Makes the file from what is stored."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import yaml
from django_celery_beat.models import PeriodicTask

from database.messages import english_of
from database.names import folded
from maintenance.models import MaintenanceMode, RetentionPolicy
from maintenance.registry import TASK_PREFIX, InvalidParams, Job, job_of_task, read_params
from maintenance.scheduling import schedules
from maintenance.scheduling.schedule_file.entries import (
    DEFAULTS,
    KEYS,
    MESSAGE,
    PAUSES,
    POLICIES,
    RETENTIONS,
    SCHEDULES,
    WINDOWS,
    Document,
    Entry,
    Fields,
    entry,
    scopes,
)
from maintenance.scheduling.schedule_file.reading import VERSION, in_order
from maintenance.scheduling.schedule_file.windows import stored_windows, window_entry
from maintenance.scheduling.time_rows import in_units
from maintenance.scheduling.timing import Timing
from scraping.models import BotConfig

HEADING = """\
# Schedules, retentions, pauses and maintenance windows of the maintenance console. `manage.py schedules plan FILE` says what it would
# change, `manage.py schedules apply FILE` changes it. What is left out has its default.
# Ping addresses of schedules are secrets: they are not in the file, and applying it leaves them as they are.
"""
# The reason of a schedule that was disabled without one.
NO_REASON = "Disabled by another tool, without a reason."


class BotNames:
    """The bots that parameters name: by a name where only one bot has it, else by key."""

    def __init__(self) -> None:
        rows = list(BotConfig.objects.order_by().values_list("pk", "name"))
        often = Counter(name for _pk, name in rows)
        # A name of digits alone would be read as a key.
        self._names = {pk: name for pk, name in rows if often[name] == 1 and not name.strip().isdigit()}
        self._keys = {name: pk for pk, name in self._names.items()}

    def named(self, job: Job | None, params: Mapping[str, Any]) -> Fields:
        """Return the parameters with names of bots."""
        return self._with(job, params, self._names)

    def keyed(self, job: Job | None, params: Mapping[str, Any]) -> Fields:
        """Return the parameters with keys of bots."""
        return self._with(job, params, self._keys)

    def _with(self, job: Job | None, params: Mapping[str, Any], known: Mapping[Any, Any]) -> Fields:
        bots = {name for name, model in job.refers_to.items() if model is BotConfig} if job else set()
        return {
            name: known.get(value, value) if name in bots and type(value) in (int, str) else value
            for name, value in params.items()
        }


def stored() -> Document:
    """Return what is stored, in a number of queries that does not grow with the number of rows."""
    bots = BotNames()
    tasks = PeriodicTask.objects.select_related(*schedules.RELATED).order_by("name")
    policies = RetentionPolicy.objects.prefetch_related("overrides__config__owner").order_by("job")
    return {
        SCHEDULES: {task.name: schedule_entry(task, bots) for task in tasks},
        RETENTIONS: {policy.job: _retention_entry(policy) for policy in policies},
        PAUSES: _pauses(),
        # By name, as the others: the order in which they were made differs from database to database.
        WINDOWS: {name: window_entry(name, row) for name, row in sorted(stored_windows().items())},
    }


def schedule_entry(task: PeriodicTask, bots: BotNames) -> Entry:
    """Return a schedule as the file has it."""
    control = schedules.control_or_default(task)
    fields: Fields = {
        "job": task.task.removeprefix(TASK_PREFIX) if task.task.startswith(TASK_PREFIX) else None,
        "task": None if task.task.startswith(TASK_PREFIX) else task.task,
        "description": task.description,
        **_time(Timing.of(task)),
        "one_off": task.one_off,
        "has_run": schedules.has_run(task),
        "parameters": _parameters(task, bots),
        "paused": _paused(task),
        "default": " ".join(control.default_crontab.split()),
        "message": {name: getattr(task, name) for name in MESSAGE if _is_set(task, name)},
        **{name: getattr(control, column) for name, column in POLICIES.items()},
    }
    return entry(SCHEDULES, task.name, fields)


def _is_set(task: PeriodicTask, name: str) -> bool:
    return getattr(task, name) not in (None, "", "[]" if name == "args" else "{}")


def _time(timing: Timing) -> Fields:
    sun = timing.solar
    return {
        "crontab": " ".join(str(timing.crontab).split()) if timing.crontab else None,
        "timezone": timing.zone if timing.crontab else None,
        "every": None if timing.every is None else "{} {}".format(*in_units(timing.every)),
        "once": _utc(timing.clocked),
        "sun": {"event": sun[0], "latitude": sun[1], "longitude": sun[2]} if sun else None,
        "start": _utc(timing.start),
        "expires": _utc(timing.expires),
    }


def _parameters(task: PeriodicTask, bots: BotNames) -> Any:
    """Return the parameters; as they are stored if they are no JSON object."""
    try:
        return bots.named(job_of_task(task.task), read_params(task.kwargs))
    except InvalidParams:
        return task.kwargs


def _paused(task: PeriodicTask) -> Fields | None:
    if task.enabled or schedules.has_run(task):
        return None
    control = schedules.control_or_default(task)
    until = {"until": _utc(control.paused_until)} if control.paused_until else {}
    return {"reason": str(english_of(control.pause_reason)) or NO_REASON, **until}


def _retention_entry(policy: RetentionPolicy) -> Entry:
    overrides = [
        {"subreddit": folded(row.subreddit), "days": row.days}
        if row.config is None
        else {"bot": row.config.name, "owner": row.config.owner.get_username(), "days": row.days}
        for row in policy.overrides.all()
    ]
    fields = {
        "days": policy.days,
        "keep_live_threads": policy.keeps_live_threads,
        "overrides": in_order(overrides),
    }
    return entry(RETENTIONS, policy.job, fields)


def _pauses() -> dict[str, Entry]:
    """Return the switches that are on; one of a group that is no longer declared holds nothing, so it is left out."""
    names = {scope: name for name, scope in scopes().items()}
    on = MaintenanceMode.objects.on().filter(scope__in=names).order_by("pk")
    fields = {names[mode.scope]: {"reason": mode.reason, "until": _utc(mode.until)} for mode in on}
    return {name: entry(PAUSES, name, each) for name, each in fields.items()}


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC)


# --- Text ------------------------------------------------------------------------------------


def as_yaml(document: Document) -> str:
    """Return the document as the text of a file."""
    sections = {
        section: [_ordered(one) for one in document[section].values()]
        for section in KEYS
        if section in document
    }
    text = _dumped({"version": VERSION, **sections})
    # An empty line between entries, so that a difference shows whole ones.
    return HEADING + re.sub(r"(?m)^(?=- |[a-z]+:)", "\n", text)


def _ordered(one: Entry) -> Fields:
    return {
        KEYS[one.section]: one.key,
        **{name: one.fields[name] for name in DEFAULTS[one.section] if name in one.fields},
    }


def _dumped(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes the same moment twice instead of a reference to the first."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Escape a line end of old terminals (U+0085): PyYAML would write it as it is, and read it as another one."""
    style = '"' if "\x85" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
