"""The form that pauses one schedule, or all of them."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from adminkit.forms import EndField, StaleEditForm
from database import clock


class PauseForm(StaleEditForm):
    """The reason and the optional end of a pause of one schedule, or of all."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )
    ends = forms.ChoiceField(label=_("For how long"), required=False)
    until = EndField()
    # The help text, which says what an empty end means.
    endless = _("Time zone: %(zone)s. Empty: until somebody resumes it.")

    def __init__(self, *args: Any, zone: tzinfo | None = None, **kwargs: Any) -> None:
        """Set the time ``zone`` in which the end is entered; None: the reader's."""
        super().__init__(*args, **kwargs)
        zone = zone or timezone.get_current_timezone()
        self._quick_ends = quick_ends(clock.now().astimezone(zone))
        ends: Any = self.fields["ends"]
        ends.choices = [
            ("", _("until the time below")),
            *((name, label) for name, label, _ in self._quick_ends),
        ]
        until: Any = self.fields["until"]
        until.zone = zone
        until.help_text = self.endless % {"zone": zone}

    @cached_property
    def changed_data(self) -> list[str]:
        """The changed fields: a quick choice changes the end."""
        changed = super().changed_data
        return [*changed, "until"] if "ends" in changed and "until" not in changed else changed

    def clean(self) -> dict[str, Any]:
        """Use the end of the quick choice, whatever the time field contains."""
        cleaned = super().clean()
        for name, _label, end in self._quick_ends:
            if cleaned.get("ends") == name:
                self.errors.pop("until", None)
                cleaned["until"] = end
        return cleaned


def quick_ends(now: datetime) -> list[tuple[str, str, datetime]]:
    """Return the quick choices as name, label and moment; ``now`` must be in the zone of the labels."""
    nine = datetime.combine(now.date(), time(9), tzinfo=now.tzinfo)
    monday = nine + timedelta(days=-now.weekday() % 7)
    if monday <= now:
        monday += timedelta(days=7)
    # In UTC, because Python adds to the wall-clock time.
    two_hours = now.astimezone(UTC) + timedelta(hours=2)
    return [
        ("2h", str(_("for 2 h")), two_hours),
        ("monday", str(_("until Monday 09:00 (%(day)s)") % {"day": monday.date().isoformat()}), monday),
    ]
