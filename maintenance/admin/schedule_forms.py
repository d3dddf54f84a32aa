"""Forms of the operations admin."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.forms import EndField
from database import clock, zones
from database.names import folded
from maintenance.models import RetentionOverride, RetentionPolicy, ScheduleControl
from maintenance.registry import InvalidParams, Person, job_of_task, jobs, read_params
from maintenance.retention import Retention, refuse_below_floor, retention_of
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.reading import read
from maintenance.scheduling.targets import is_gone
from scraping.models import SUBREDDIT_NAME, BotConfig
from scraping.subreddit_names import plain_subreddit

CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
CONTROL_FIELDS = ("misfire_policy", "misfire_limit", "catch_up_after_pause", "overlap_policy")

# What the preset buttons write into the crontab fields.
PRESETS = [
    (_("Every 30 minutes"), "*/30 * * * *"),
    (_("Hourly"), "0 * * * *"),
    (_("Daily 03:10"), "10 3 * * *"),
    (_("Weekly, Sunday 04:00"), "0 4 * * 0"),
    (_("Monthly, 1st 04:00"), "0 4 1 * *"),
]


def zone_choices() -> list[tuple[str, str]]:
    """Return the choices of a timezone field."""
    return [(name, name) for name in zones.offered()]


def tasks() -> list[tuple[str, str]]:
    """Return the choices of a task field: the jobs."""
    return [(job.task_name, job.title) for job in jobs()]


class CrontabForm(forms.Form):
    """The five fields of a crontab, and the zone of its wall-clock times."""

    minute = forms.CharField(label=_("Minute"), max_length=240, initial="0")
    hour = forms.CharField(label=_("Hour"), max_length=96, initial="4")
    day_of_month = forms.CharField(label=_("Day of month"), max_length=124, initial="*")
    month_of_year = forms.CharField(label=_("Month"), max_length=64, initial="*")
    day_of_week = forms.CharField(
        label=_("Day of week"), max_length=64, initial="*", help_text=_("0 is Sunday; mon-fri works")
    )
    timezone = forms.ChoiceField(
        label=_("Timezone"),
        choices=zone_choices,
        initial=settings.TIME_ZONE,
        help_text=_("Of the fields above."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse what Celery could not run, at the field that is wrong."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if any(name not in cleaned for name in CRONTAB_FIELDS):
            return cleaned
        crontab = Crontab(**{name: cleaned[name] for name in CRONTAB_FIELDS})
        try:
            crontab.validate()
        except InvalidCrontab as error:
            self.add_error(error.field, error.message)
        else:
            cleaned["crontab"] = crontab
        return cleaned


class OpenedField(forms.CharField):
    """What was stored when the form was opened; nothing that a person edits."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return False."""
        return False

    def clean(self, value: Any) -> str:
        """Accept anything: an error at a hidden field would be seen by nobody."""
        return str(value or "")


class OpenedForm(forms.Form):
    """Remembers on what it was opened, so that nobody undoes unasked what somebody else has stored since."""

    opened = OpenedField(required=False)

    def __init__(self, *args: Any, stored: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """``stored``: the values now, by the name of their field."""
        super().__init__(*args, **kwargs)
        self.set_stored(stored or {})

    def set_stored(self, stored: Mapping[str, Any]) -> None:
        """See __init__; for what is known only later."""
        self._stored = {
            name: "" if value is None else str(value) for name, value in stored.items() if name != "opened"
        }
        self.initial["opened"] = json.dumps(self._stored)

    def clean(self) -> dict[str, Any]:
        """Say once what somebody else has changed meanwhile; who then saves again means it.

        Two who decide the same are in nobody's way.
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


class ScheduleForm(CrontabForm, OpenedForm, forms.ModelForm):
    """A schedule: what runs, when, and what happens to slots that were missed or overlap."""

    # Who edits; without anybody, nobody who may go below the floor of the retentions.
    person: Person = AnonymousUser()

    task = forms.ChoiceField(label=_("Job"), choices=tasks)
    misfire_policy = ScheduleControl._meta.get_field("misfire_policy").formfield()
    misfire_limit = ScheduleControl._meta.get_field("misfire_limit").formfield()
    catch_up_after_pause = ScheduleControl._meta.get_field("catch_up_after_pause").formfield()
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text=_("Why the time is changed; kept in the history."),
    )
    overlap_policy = ScheduleControl._meta.get_field("overlap_policy").formfield()

    class Meta:
        model = PeriodicTask
        fields = ("name", "task", "description", "kwargs")
        labels = {"name": _("Name"), "description": _("Description"), "kwargs": _("Parameters")}
        widgets = {"description": forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"})}
        help_texts = {
            "name": "",
            "description": "",
            "kwargs": _('The job’s parameters as a JSON object, such as {"days": 30}.'),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schedule: PeriodicTask = self.instance
        for name in self.fields:
            if name in (*CRONTAB_FIELDS, *CONTROL_FIELDS, "timezone"):
                self.fields[name].widget.attrs.setdefault("autocomplete", "off")
        if schedule.pk is None:
            return
        control = schedules.control_of(schedule)
        self.initial.update({name: getattr(control, name) for name in CONTROL_FIELDS})
        if is_gone(schedule):
            field: Any = self.fields["task"]
            field.choices = [(schedule.task, _("%(name)s (no such job)") % {"name": schedule.task}), *tasks()]
        elif job_of_task(schedule.task) is None:
            # Somebody else's task: it stays what it is.
            self.fields["task"] = forms.CharField(label=_("Task"), disabled=True)
        elif schedules.is_default(schedule):
            self.fields["task"].disabled = True
            self.fields["task"].help_text = _(
                "This is the job’s default schedule: add another one for another job."
            )
        stored = read(schedule)
        self._has_no_time = bool(stored.timing_fault) and stored.crontab is None
        if not stored.takes_crontab:
            # An interval, a clock time or the sun: no crontab to edit.
            for name in (*CRONTAB_FIELDS, "timezone", "reason"):
                del self.fields[name]
        elif stored.crontab is not None:
            self.initial.update({name: getattr(stored.crontab, name) for name in CRONTAB_FIELDS})
            self.initial["timezone"] = stored.zone
            self._keep_zone(stored.zone)
        self.set_stored({name: self.initial.get(name) for name in self.fields if name in self.initial})

    def _keep_zone(self, name: str) -> None:
        """Show a stored zone that is not offered as what it is, instead of the first of those that are."""
        field: Any = self.fields["timezone"]
        if not zones.is_offered(name):
            field.choices = [(name, _("%(name)s (choose another)") % {"name": name}), *zone_choices()]

    @property
    def is_retimed(self) -> bool:
        """Whether the crontab or its zone was edited, or stands in for a time that cannot be."""
        is_new = self.instance.pk is None or self._has_no_time
        return is_new or bool({*CRONTAB_FIELDS, "timezone"} & set(self.changed_data))

    def clean_timezone(self) -> str:
        """Refuse a zone that only the stored schedule has."""
        name: str = self.cleaned_data["timezone"]
        if not zones.is_offered(name):
            raise ValidationError(_("This time zone cannot be used: choose another."))
        return name

    def validate_unique(self) -> None:
        """Check the name alone: PeriodicTask also wants its crontab row, which ``retime`` adds on saving."""
        try:
            Model.validate_unique(self.instance)
        except ValidationError as error:
            self.add_error(None, error)

    def clean_kwargs(self) -> str:
        """Accept a JSON object; one that was stored and is not edited stays as it is."""
        text: str = self.cleaned_data["kwargs"].strip() or "{}"
        if "kwargs" not in self.changed_data:
            return str(self.cleaned_data["kwargs"])
        try:
            read_params(text)
        except InvalidParams as error:
            raise ValidationError(error.messages) from None
        return text

    def clean(self) -> dict[str, Any]:
        """Let the job check its parameters, and whether this person may have it run with them."""
        cleaned = super().clean()
        job = job_of_task(cleaned.get("task", ""))
        # What stood there before is not this person's doing: they may still move the time.
        is_edited = self.instance.pk is None or bool({"task", "kwargs"} & set(self.changed_data))
        if job is not None and is_edited and "kwargs" in cleaned:
            try:
                job.require(self.person, job.clean_stored(cleaned["kwargs"]))
            except ValidationError as error:
                self.add_error("kwargs", error.messages)
            except PermissionDenied as error:
                self.add_error("task" if "task" in self.changed_data else "kwargs", str(error))
        return cleaned


class PauseForm(OpenedForm):
    """Why a schedule, or all of them, is paused, and perhaps until when."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )
    ends = forms.ChoiceField(label=_("For how long"), required=False)
    until = EndField()

    def __init__(self, *args: Any, zone: tzinfo | None = None, **kwargs: Any) -> None:
        """``zone``: in which the end is written; None: the reader's."""
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
        until.help_text = _("Time zone: %(zone)s. Empty: until somebody resumes it.") % {"zone": zone}

    @cached_property
    def changed_data(self) -> list[str]:
        """A quick choice changes the end."""
        changed = super().changed_data
        return [*changed, "until"] if "ends" in changed and "until" not in changed else changed

    def clean(self) -> dict[str, Any]:
        """Take the end of the quick choice, whatever the field of the time says."""
        cleaned = super().clean()
        for name, _label, end in self._quick_ends:
            if cleaned.get("ends") == name:
                self.errors.pop("until", None)
                cleaned["until"] = end
        return cleaned


def quick_ends(now: datetime) -> list[tuple[str, str, datetime]]:
    """Return the ends that are chosen with one click, as name, label and moment; ``now`` in the zone of the labels."""
    nine = datetime.combine(now.date(), time(9), tzinfo=now.tzinfo)
    monday = nine + timedelta(days=-now.weekday() % 7)
    if monday <= now:
        monday += timedelta(days=7)
    # In UTC: Python adds to a wall clock.
    two_hours = now.astimezone(UTC) + timedelta(hours=2)
    return [
        ("2h", str(_("for 2 h")), two_hours),
        ("monday", str(_("until Monday 09:00 (%(day)s)") % {"day": monday.date().isoformat()}), monday),
    ]


class ReasonForm(forms.Form):
    """Why somebody decided so."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )


class RetentionForm(forms.ModelForm):
    """For how many days a job keeps things."""

    # Set on the class that the admin makes for each request.
    person: Person

    class Meta:
        model = RetentionPolicy
        fields = ("days", "keeps_live_threads")

    def clean_days(self) -> Any:
        """Refuse to go lower than this person may."""
        if "days" in self.changed_data:
            refuse_below_floor(self.cleaned_data["days"], by=self.person)
        return self.cleaned_data["days"]


class OverrideForm(forms.ModelForm):
    """Other days for one subreddit or one bot."""

    subreddit = forms.CharField(
        label=_("Subreddit"), required=False, max_length=60, widget=forms.TextInput(attrs={"size": 24})
    )
    config = forms.ModelChoiceField(
        label=_("Bot"), required=False, queryset=BotConfig.objects.select_related("owner")
    )

    class Meta:
        model = RetentionOverride
        fields = ("subreddit", "config", "days")

    def clean_subreddit(self) -> str:
        """Accept r/name and name."""
        name = plain_subreddit(self.cleaned_data["subreddit"])
        if name and not SUBREDDIT_NAME.match(name):
            raise ValidationError(
                _("%(name)s is not a subreddit name: write it without r/, such as python."),
                code="invalid",
                params={"name": repr(name)},
            )
        return name

    def clean(self) -> dict[str, Any]:
        """Ask for one of the two."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (
            "subreddit" in cleaned
            and "config" in cleaned
            and bool(cleaned["subreddit"]) == bool(cleaned["config"])
        ):
            raise ValidationError(_("Name either a subreddit or a bot."), code="one_target")
        return cleaned

    def validate_unique(self) -> None:
        """Leave that to the set, which is checked and stored as a whole: a row that goes hinders none that comes."""

    def validate_constraints(self) -> None:
        """As above."""


class OverrideFormSet(forms.BaseInlineFormSet):
    """All overrides of one retention."""

    person: Person

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bots = BotConfig.objects.select_related("owner").order_by("name", "pk")
        # Read once, not once a row.
        self._bots = [("", "---------"), *((bot.pk, f"{bot.name} ({bot.owner})") for bot in bots)]

    def add_fields(self, form: Any, index: int | None) -> None:
        """Offer the bots in each row; a field of a table is labelled by its column, which a screen reader is told."""
        super().add_fields(form, index)
        # A row is known by what it is about; its key may be gone, for somebody else's edit stores all rows anew.
        form.fields["id"] = forms.IntegerField(
            required=False, widget=forms.HiddenInput, initial=form.instance.pk
        )
        form.fields["config"].choices = self._bots
        for field in form.fields.values():
            field.widget.attrs["aria-label"] = field.label

    def clean(self) -> None:
        """Refuse two rows about the same, and days that this person may not go down to."""
        seen = set()
        stored = retention_of(self.instance).days_by_target()
        for form in self.forms:
            row = form.cleaned_data if form.is_valid() else {}
            if not row or row.get("DELETE"):
                continue
            target = (folded(row["subreddit"]), row["config"].pk if row["config"] else None)
            if target in seen:
                form.add_error("config" if row["config"] else "subreddit", _("This one is named twice."))
            seen.add(target)
            if stored.get(target) != row["days"]:  # the days of one subreddit are new to another
                try:
                    refuse_below_floor(row["days"], by=self.person)
                except ValidationError as error:
                    form.add_error("days", error)


def edited_retention(form: RetentionForm, formsets: list[OverrideFormSet]) -> Retention:
    """Return what valid forms say; without a form set the overrides stay."""
    stored = retention_of(form.instance)
    days = form.cleaned_data["days"]
    keeps = form.cleaned_data.get("keeps_live_threads", stored.keeps_live_threads)
    if not formsets:
        return Retention(days, stored.overrides, keeps_live_threads=keeps)
    rows = [
        RetentionOverride(subreddit=row["subreddit"], config=row["config"], days=row["days"])
        for formset in formsets
        for row in (one.cleaned_data for one in formset.forms)
        if row and not row.get("DELETE")
    ]
    return Retention(days, tuple(rows), keeps_live_threads=keeps)
