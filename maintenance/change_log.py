"""What people change, with before, after and reason, in Django's own log of the admin."""

import json
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models
from django.http import HttpResponse
from django.template.response import TemplateResponse

from database.messages import as_json, from_json
from maintenance.registry import Person


def log_change(
    subject: models.Model,
    *,
    by: Person | None,
    before: dict[str, Any],
    after: dict[str, Any],
    reason: str = "",
) -> None:
    """Write a LogEntry; nobody's change (a shell's, the system's) leaves none, as the log knows only persons."""
    if by is None or by.pk is None:
        return
    change = {"before": before, "after": after, "reason": reason}
    LogEntry.objects.log_actions(
        by.pk,
        [subject],
        CHANGE,
        change_message=json.dumps(as_json(change), ensure_ascii=False),
        single_object=True,
    )


def read_changes(response: HttpResponse) -> None:
    """Give the entries of an admin's history page their ``change``, as ``log_change`` wrote it."""
    if isinstance(response, TemplateResponse) and response.context_data:
        for entry in response.context_data["action_list"]:
            entry.change = _change(entry.change_message)


def _change(text: str) -> dict[str, Any] | None:
    """Return what ``log_change`` wrote; None for another entry."""
    try:
        change = json.loads(text) if text.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(change, dict) and all(
        isinstance(change.get(side), dict) for side in ("before", "after")
    )
    if change is None or not is_ours:
        return None
    sides = {
        side: {name: from_json(change[side], name) for name in change[side]} for side in ("before", "after")
    }
    return {**sides, "reason": from_json(change, "reason")}
