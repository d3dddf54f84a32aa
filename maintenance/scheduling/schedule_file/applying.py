"""Stores what the file has, in one transaction, through the services that people use."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django_celery_beat.models import PeriodicTask

from maintenance import retention
from maintenance.models import JobRun, RetentionPolicy
from maintenance.registry import Person, job_of_task
from maintenance.scheduling import creation, edits, maintenance_mode, planned_windows, schedules
from maintenance.scheduling.schedule_file import checking, writing
from maintenance.scheduling.schedule_file.checking import retention_of, task_name_of, timing_of
from maintenance.scheduling.schedule_file.entries import (
    KINDS,
    MESSAGE,
    PAUSES,
    POLICIES,
    SCHEDULES,
    WINDOWS,
    BadFile,
    Document,
    Entry,
    Problem,
    scopes,
)
from maintenance.scheduling.schedule_file.planning import Change, Kind, Plan, make_plan
from maintenance.scheduling.schedule_file.reading import SINGULAR
from maintenance.scheduling.schedule_file.windows import plan_of, stored_windows
from maintenance.scheduling.schedule_file.writing import BotNames

TIME_FIELDS = frozenset({*KINDS, "timezone", "start", "expires"})


def plan(wanted: Document, *, prune: bool) -> Plan:
    """Return what ``apply`` would do.

    Raises:
        BadFile: it could not be applied.
    """
    made = make_plan(wanted, writing.stored(), prune=prune)
    checking.check(made)
    return made


class OtherPlan(Exception):
    """What would be done is not what was planned; nothing was changed."""

    def __init__(self, made: Plan) -> None:
        super().__init__()
        self.made = made


def apply(
    wanted: Document, *, by: Person | None, prune: bool, reason: str = "", planned: str | None = None
) -> Plan:
    """Store the file, all or nothing, with an event for each change; return what was done.

    ``planned``: the checksum of the only plan that may be carried out; None: any. A plan without changes is always fine.

    Raises:
        BadFile: with the line of each problem; PermissionDenied; OtherPlan.
    """
    with transaction.atomic():
        _lock()
        made = plan(wanted, prune=prune)
        if planned is not None and made.changes and made.checksum != planned:
            raise OtherPlan(made)
        work = _Work(by, reason)
        for change in made.changes:
            try:
                # A statement that the database refuses must not spoil the transaction before it is reported.
                with transaction.atomic():
                    work.do(change)
            except (ValueError, ValidationError, IntegrityError) as error:
                where = f"{SINGULAR[change.entry.section]} “{change.entry.key}”"
                text = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
                raise BadFile([Problem(change.entry.line, where, text)]) from None
    return made


def _lock() -> None:
    """Lock all schedules, in the order in which everything else does: open runs, then schedules."""
    runs = JobRun.objects.open().filter(schedule__isnull=False).order_by("pk")
    list(runs.select_for_update().values_list("pk"))
    list(PeriodicTask.objects.select_for_update().order_by("pk").values_list("pk"))


class _Work:
    """Applies changes one by one."""

    def __init__(self, by: Person | None, reason: str) -> None:
        self._by, self._reason = by, reason
        self._bots = BotNames()
        # By the names of the plan: a number in a name depends on what else is stored.
        self._windows = stored_windows()

    def do(self, change: Change) -> None:
        """Apply one change."""
        if change.entry.section == SCHEDULES:
            self._schedule(change)
        elif change.entry.section == PAUSES:
            self._switch(change)
        elif change.entry.section == WINDOWS:
            self._window(change)
        else:
            self._retention(change.entry)

    def _schedule(self, change: Change) -> None:
        entry, by, reason = change.entry, self._by, self._reason
        if change.kind is Kind.CREATED:
            values = {"name": entry.key, **self._columns(entry), "one_off": entry.value("one_off")}
            task = creation.create(values, timing_of(entry), by=by, reason=reason, may_be_over=True)
        else:
            task = PeriodicTask.objects.select_related(*schedules.RELATED).get(name=entry.key)
        if change.kind is Kind.DELETED:
            edits.delete(task, by=by, reason=reason)
            return
        changed = {*change.fields}
        if change.kind is Kind.CHANGED:
            if changed & TIME_FIELDS:
                edits.set_time(task, time=timing_of(entry), by=by, reason=reason, may_be_over=True)
            edits.set_details(task, self._details(entry, changed), by=by, reason=reason)
        policies = {POLICIES[name]: entry.value(name) for name in changed & POLICIES.keys()}
        if "default" in changed:
            policies["default_crontab"] = entry.value("default")
        if policies:
            edits.set_policies(task, policies, by=self._by)
        self._pause(task, entry)

    def _details(self, entry: Entry, changed: set[str]) -> dict[str, Any]:
        columns = self._columns(entry)
        wanted = {"one_off": entry.value("one_off")}
        if "description" in changed:
            wanted["description"] = columns["description"]
        if changed & {"job", "task"}:
            wanted["task"] = columns["task"]
        if "parameters" in changed:
            wanted["kwargs"] = columns["kwargs"]
        if "message" in changed:
            wanted |= {name: columns[name] for name in MESSAGE}
        return wanted

    def _columns(self, entry: Entry) -> dict[str, Any]:
        parameters = entry.value("parameters")
        if not isinstance(parameters, str):
            job = job_of_task(task_name_of(entry))
            parameters = json.dumps(self._bots.keyed(job, parameters), ensure_ascii=False)
        empty = {"args": "[]", "headers": "{}"}
        return {
            "task": task_name_of(entry),
            "description": entry.value("description"),
            "kwargs": parameters,
            **{name: entry.value("message").get(name, empty.get(name)) for name in MESSAGE},
        }

    def _pause(self, task: PeriodicTask, entry: Entry) -> None:
        """Pause it, end its pause, or let it count as one that has run, whichever it is not yet."""
        paused, stored = entry.value("paused"), writing.schedule_entry(_fresh(task), self._bots)
        if paused:
            if stored.value("paused") != paused:
                edits.pause(task, by=self._by, reason=paused["reason"], until=paused.get("until"))
        elif entry.value("has_run"):
            if not stored.value("has_run"):
                edits.finish(task, by=self._by, reason=self._reason)
        elif stored.value("paused") or stored.value("has_run"):
            edits.resume(task, by=self._by, reason=self._reason)

    def _retention(self, entry: Entry) -> None:
        policy, _created = RetentionPolicy.objects.get_or_create(
            job=entry.key, defaults={"days": entry.value("days")}
        )
        retention.change(policy, retention_of(entry), by=self._by)

    def _switch(self, change: Change) -> None:
        entry, scope = change.entry, scopes()[change.entry.key]
        if change.kind is Kind.DELETED:
            maintenance_mode.end(by=self._by, reason=self._reason, scope=scope)
            return
        reason, until = entry.value("reason"), entry.value("until")
        maintenance_mode.start(by=self._by, reason=reason, until=until, scope=scope)

    def _window(self, change: Change) -> None:
        """Plan or delete it; one that changes is another one, because what it has held stays true."""
        entry, by = change.entry, self._by
        if change.before is not None:
            planned_windows.delete_window(self._windows[entry.key], by=by, reason=self._reason)
        if change.kind is not Kind.DELETED:
            scope = scopes()[entry.value("scope")]
            planned_windows.plan_window(plan_of(entry), by=by, reason=entry.key, scope=scope)


def _fresh(task: PeriodicTask) -> PeriodicTask:
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
