"""Form fields that several apps share."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, tzinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from database.ends import refuse_end


class MomentField(forms.DateTimeField):
    """A moment in a time zone that the form chooses; it may be empty."""

    def __init__(self, **kwargs: Any) -> None:
        # The browser's own picker: in the admin's pair of fields the second one has no label.
        picker = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})
        super().__init__(**{"required": False, "widget": picker, **kwargs})
        # The time zone in which the time is entered; None: the reader's.
        self.zone: tzinfo | None = None

    def to_python(self, value: Any) -> datetime | None:
        """Read the time in its time zone."""
        with self._in_its_zone():
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Write the time in its time zone."""
        with self._in_its_zone():
            return super().prepare_value(value)

    def _in_its_zone(self) -> AbstractContextManager[None]:
        return timezone.override(self.zone) if self.zone else nullcontext()


class EndField(MomentField):
    """When something ends automatically; empty: only when somebody ends it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("Until"), **kwargs})

    def validate(self, value: datetime | None) -> None:
        """Refuse an end that is in the past or too far ahead."""
        super().validate(value)
        try:
            refuse_end(value)
        except ValueError as error:
            raise ValidationError(str(error), code="end") from None


class OpenedField(forms.CharField):
    """The values stored when the form was opened; a hidden field that nobody edits."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return False."""
        return False

    def clean(self, value: Any) -> str:
        """Accept anything: nobody would see the error of a hidden field."""
        return str(value or "")


class StaleEditForm(forms.Form):
    """Optimistic locking: refuses a stale edit once, because it would overwrite what somebody else saved meanwhile."""

    opened = OpenedField(required=False)

    def __init__(self, *args: Any, stored: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """``stored``: the current values, by field name."""
        super().__init__(*args, **kwargs)
        self.set_stored(stored or {})

    def set_stored(self, stored: Mapping[str, Any]) -> None:
        """Set the current values, for a caller that does not know them in ``__init__``."""
        self._stored = {
            name: "" if value is None else str(value) for name, value in stored.items() if name != "opened"
        }
        self.initial["opened"] = json.dumps(self._stored)

    def clean(self) -> dict[str, Any]:
        """Report once what somebody else has changed meanwhile; a second save then overwrites it.

        Two people who save the same values do not conflict.
        """
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            opened = json.loads(cleaned.get("opened") or "null")
        except (ValueError, RecursionError):
            opened = {}
        if opened is None or opened == self._stored or not self._stored.keys() & set(self.changed_data):
            return cleaned
        theirs = [
            str(self.fields[name].label)
            for name, value in self._stored.items()
            if name in self.fields and not (isinstance(opened, dict) and opened.get(name) == value)
        ]
        data: Any = self.data
        data = data.copy()
        data[self.add_prefix("opened")] = json.dumps(self._stored)
        self.data = data
        text = (
            _("Somebody else has changed this since you opened it: %(fields)s.")
            if theirs
            else _("Somebody else has changed this since you opened it.")
        )
        again = _("Save again to replace that by what stands here.")
        self.add_error(
            None, ValidationError([ValidationError(text, "stale", {"fields": ", ".join(theirs)}), again])
        )
        return cleaned


class ReasonForm(forms.Form):
    """Why somebody made a decision."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )


def typed_reason(request: HttpRequest) -> str:
    """Return the reason of a deletion, whose page has no form to refuse it: what of it can be stored."""
    return request.POST.get("reason", "").replace("\0", "").strip()[:500]


class OptionalReasonForm(ReasonForm):
    """Why somebody did something, if they want to say so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False
