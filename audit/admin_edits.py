"""Records every addition, change and deletion in the admin as an event; the site adds this to every admin class."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_noop

from adminkit.forms import typed_reason
from audit import snapshots, words
from audit.cascades import deleted_with
from audit.events import Change, record, record_changes

ADDED, CHANGED, DELETED = "row.added", "row.changed", "row.deleted"
words.register(
    {
        ADDED: gettext_noop("added"),
        CHANGED: gettext_noop("changed"),
        DELETED: gettext_noop("deleted"),
    }
)


def activity_url(subject_type: str, subject_id: Any) -> str:
    """Return the address of the Activity page of one subject."""
    query = urlencode({"kind": subject_type, "id": str(subject_id)})
    return f"{reverse('admin:audit_event_changelist')}?{query}"


class RecordedAdmin(admin.ModelAdmin):
    """Writes an event for each row that is added, changed or deleted, in the same transaction."""

    # Declared without a value: a value here would hide that of the admin class behind this one.
    # False if the service behind the form writes the event of a change itself.
    records_changes: bool
    # False if the service behind ``delete_model`` writes the event of a deletion itself.
    records_deletions: bool
    # Fields whose changes a service records.
    recorded_elsewhere: tuple[str, ...]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Remember the row's state before the change."""
        if change and getattr(self, "records_changes", True):
            vars(request).setdefault("rows_before", {})[obj._meta.label, obj.pk] = snapshots.stored(obj)
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write the event."""
        after = snapshots.without_secrets(type(obj), snapshots.stored(obj))
        return record(ADDED, obj, by=request.user, after=after)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write the event, if anything has changed."""
        if not getattr(self, "records_changes", True):
            return None
        kept = vars(request).get("rows_before", {}).pop((obj._meta.label, obj.pk), None)
        before, after = ({}, {}) if kept is None else self._changed(obj, kept)
        fields = _fields_in(message)
        if not (after or fields):
            return None
        parameters = None if after else {"fields": fields}
        return record(
            CHANGED, obj, by=request.user, before=before or None, after=after or None, parameters=parameters
        )

    def _changed(self, obj: Any, kept: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        others = getattr(self, "recorded_elsewhere", ())
        now = {name: value for name, value in snapshots.stored(obj).items() if name not in others}
        return snapshots.difference(type(obj), kept, now)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write nothing: the deletion writes the events, in its transaction."""
        return []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row, and record what it was."""
        with transaction.atomic():
            if getattr(self, "records_deletions", True):
                # The reason is of a page that asks for one.
                record_deletion(obj, by=request.user, reason=typed_reason(request))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the rows, and record what they were."""
        with transaction.atomic():
            if not getattr(self, "records_deletions", True):
                for row in queryset:
                    self.delete_model(request, row)
                return
            for row in queryset:
                record_deletion(row, by=request.user, reason=typed_reason(request))
            super().delete_queryset(request, queryset)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the Activity page of the row."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        return HttpResponseRedirect(activity_url(self.opts.label, row.pk))


def record_deletion(row: Model, *, by: User | AnonymousUser | None, reason: str = "") -> None:
    """Write the event of a row that is about to be deleted, in the transaction of its deletion."""
    record_deletions([row], by=by, reason=reason)


def record_deletions(rows: Sequence[Model], *, by: User | AnonymousUser | None, reason: str = "") -> None:
    """Write the events of rows of one model that are about to be deleted, in the transaction of their deletion."""
    children = deleted_with(rows)
    changes = (
        Change(
            row,
            before=snapshots.without_secrets(type(row), snapshots.snapshot(row)),
            parameters={"deleted_with_it": children[row.pk]} if children[row.pk] else None,
        )
        for row in rows
    )
    record_changes(DELETED, changes, by=by, reason=reason)


def _fields_in(message: Any) -> list[str]:
    """Return the names of the changed fields in Django's message."""
    try:
        parts = json.loads(message) if isinstance(message, str) else message
    except ValueError:
        return []
    found = []
    for part in parts if isinstance(parts, list) else []:
        for told in part.values() if isinstance(part, dict) else []:
            found += [str(name) for name in told.get("fields", [told.get("name", "")]) if name]
    return found
