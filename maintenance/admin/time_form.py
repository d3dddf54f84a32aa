"""The fields of a schedule's time: a crontab, an interval or one moment, with a start and an end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.forms import MomentField
from adminkit.long_select import LongSelect
from database import clock, zones
from maintenance.scheduling import time_rows
from maintenance.scheduling.crontab import InvalidTime
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.time_rows import UNITS, in_units
from maintenance.scheduling.timing import Timing

CRONTAB, INTERVAL, ONCE, SUN = "crontab", "interval", "once", "sun"
KINDS = [(CRONTAB, _("at times of day (crontab)")), (INTERVAL, _("at an interval")), (ONCE, _("once"))]
CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
INTERVAL_FIELDS = ("every", "unit")
MOMENTS = ("once_at", "starts_at", "ends_at")
TIME_FIELDS = ("kind", *CRONTAB_FIELDS, *INTERVAL_FIELDS, *MOMENTS, "timezone")
# The names of the form's fields for those that a refusal names.
_FIELDS = {"clocked": "once_at", "start": "starts_at", "expires": "ends_at", "solar": "kind"}
_UNITS = {
    "days": _("days"),
    "hours": _("hours"),
    "minutes": _("minutes"),
    "seconds": _("seconds"),
}


def zone_choices() -> list[tuple[str, str]]:
    """Return the choices of a timezone field."""
    return [(name, name) for name in zones.offered()]


class TimeForm(forms.Form):
    """When a schedule fires. Only the fields of its kind are asked for; others may hold anything."""

    kind = forms.ChoiceField(
        label=_("Runs"), choices=KINDS, widget=forms.RadioSelect, required=False, initial=CRONTAB
    )
    minute = forms.CharField(label=_("Minute"), max_length=240, initial="0", required=False)
    hour = forms.CharField(label=_("Hour"), max_length=96, initial="4", required=False)
    day_of_month = forms.CharField(label=_("Day of month"), max_length=124, initial="*", required=False)
    month_of_year = forms.CharField(label=_("Month"), max_length=64, initial="*", required=False)
    day_of_week = forms.CharField(
        label=_("Day of week"),
        max_length=64,
        initial="*",
        required=False,
        help_text=_("0 is Sunday; mon-fri works"),
    )
    every = forms.IntegerField(label=_("Every"), min_value=1, max_value=10**9, required=False)
    unit = forms.ChoiceField(label=_("Unit"), choices=list(_UNITS.items()), initial="minutes", required=False)
    once_at = MomentField(
        label=_("Once at"), help_text=_("In the time zone below. It runs at this moment, and never again.")
    )
    timezone = forms.ChoiceField(
        label=_("Timezone"),
        choices=zone_choices,
        widget=LongSelect,
        initial=settings.TIME_ZONE,
        required=False,
        help_text=_("The time zone of this schedule."),
    )
    starts_at = MomentField(label=_("Not before"), help_text=_("Empty: from now on."))
    ends_at = MomentField(label=_("Not after"), help_text=_("Empty: it never ends."))

    # The time as it is stored; None: a new schedule, or none is stored.
    stored_time: Timing | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in TIME_FIELDS:
            self.fields[name].widget.attrs.update({"autocomplete": "off", "data-time": "1"})

    def show_time(self, task: PeriodicTask, zone: str, *, is_usable: bool) -> None:
        """Show the stored time; ``zone``: in which its moments are shown. A crontab replaces one that is not usable."""
        time = self.stored_time = Timing.of(task)
        self.initial["timezone"] = zone
        self.initial.update({"starts_at": time.start, "ends_at": time.expires})
        if not is_usable and time.crontab is None:
            self._keep_zone(zone)
            return
        if time.crontab is not None:
            self.initial.update({name: getattr(time.crontab, name) for name in CRONTAB_FIELDS})
        elif time.every is not None:
            number, unit = in_units(time.every)
            self.initial.update({"kind": INTERVAL, "every": number, "unit": unit})
            if unit not in _UNITS:
                self._choices("unit", [(unit, unit)])
        elif time.clocked is not None:
            self.initial.update({"kind": ONCE, "once_at": time.clocked})
        elif time.solar is not None:
            self.initial["kind"] = SUN
            self._choices("kind", [(SUN, _("by the sun, as it is stored"))])
        self._keep_zone(zone)

    def _keep_zone(self, zone: str) -> None:
        """Show a stored zone that is not among the choices, instead of the first choice."""
        if not zones.is_offered(zone):
            shown = (zone, _("%(name)s (choose another)") % {"name": zone})
            field: Any = self.fields["timezone"]
            field.choices = [shown, *zone_choices()]

    def _choices(self, name: str, more: list[tuple[str, Any]]) -> None:
        field: Any = self.fields[name]
        field.choices = [*field.choices, *more]

    def set_zone(self) -> None:
        """Let the moments be read and written in the zone that was chosen."""
        chosen = self.data.get(self.add_prefix("timezone")) if self.is_bound else None
        zone = zones.find(chosen or self.get_initial_for_field(self.fields["timezone"], "timezone"))
        for name in MOMENTS:
            field: Any = self.fields[name]
            field.zone = zone

    def full_clean(self) -> None:
        """Read the moments in the chosen zone."""
        self.set_zone()
        super().full_clean()

    def clean_kind(self) -> str:
        """Return the kind; that of the stored time if the request has none."""
        kind: str = self.cleaned_data["kind"] or self.get_initial_for_field(self.fields["kind"], "kind")
        return kind

    def clean_timezone(self) -> str:
        """Refuse a zone that only the stored schedule has."""
        name: str = self.cleaned_data["timezone"] or settings.TIME_ZONE
        if not zones.is_offered(name):
            raise ValidationError(_("This time zone cannot be used: choose another."))
        return name

    def clean(self) -> dict[str, Any]:
        """Put the fields together as ``time``; refuse what would never fire, at the field that is wrong."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind = cleaned.get("kind", "")
        for name in self._unused(kind):
            self.errors.pop(name, None)
        if not kind or self.errors.keys() & {*TIME_FIELDS}:
            return cleaned
        try:
            time = self._time(kind, cleaned)
            if self.is_another(time) or kind == CRONTAB:
                time_rows.refuse(time, now=clock.now(), may_be_over=not self.is_another(time))
        except InvalidTime as error:
            self.add_error(_FIELDS.get(error.field, error.field), error.message)
        else:
            cleaned["time"] = time
        return cleaned

    def _unused(self, kind: str) -> set[str]:
        used = {CRONTAB: CRONTAB_FIELDS, INTERVAL: INTERVAL_FIELDS, ONCE: ("once_at",)}
        return {name for other, names in used.items() if other != kind for name in names}

    def _time(self, kind: str, cleaned: dict[str, Any]) -> Timing:
        stored = self.stored_time or Timing()
        if kind != CRONTAB and self.stored_time and self.add_prefix("kind") not in self.data:
            return stored  # a request without the field does not change such a time
        time = Timing(
            start=self._moment(cleaned, "starts_at", stored.start),
            expires=self._moment(cleaned, "ends_at", stored.expires),
        )
        if kind == CRONTAB:
            crontab = Crontab(**{name: cleaned.get(name, "") for name in CRONTAB_FIELDS})
            return replace(time, crontab=crontab, zone=cleaned["timezone"])
        if kind == INTERVAL:
            if not cleaned.get("every"):
                raise InvalidTime("every", str(_("Enter a number.")))
            return replace(time, every=_length(cleaned["every"], cleaned.get("unit") or "minutes"))
        if kind == ONCE:
            if not cleaned.get("once_at"):
                raise InvalidTime("clocked", str(_("Enter a date and a time.")))
            return replace(time, clocked=self._moment(cleaned, "once_at", stored.clocked))
        return replace(time, solar=stored.solar)

    def _moment(self, cleaned: dict[str, Any], name: str, stored: datetime | None) -> datetime | None:
        """Return the field's moment; the stored one, which may be more exact, if it was not edited."""
        moment: datetime | None = cleaned.get(name)
        if stored is not None and moment in (
            stored.replace(microsecond=0),
            stored.replace(second=0, microsecond=0),
        ):
            return stored
        return moment

    def is_another(self, time: Timing) -> bool:
        """Whether this is not the stored time."""
        return self.stored_time is None or replace(time, enabled=self.stored_time.enabled) != self.stored_time


def _length(number: int, unit: str) -> timedelta:
    try:
        return number * UNITS[unit]
    except OverflowError:
        return time_rows.LONGEST_INTERVAL + timedelta(days=1)
