"""Forms of the operations admin."""

import json
import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from maintenance import schedules
from maintenance.firetimes import Crontab, InvalidCrontab
from maintenance.models import ScheduleControl
from maintenance.registry import job_of_task, jobs

CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
CONTROL_FIELDS = ("misfire_policy", "misfire_limit", "overlap_policy")

# What the preset buttons write into the crontab fields.
PRESETS = [
    (_("Every 30 minutes"), "*/30 * * * *"),
    (_("Hourly"), "0 * * * *"),
    (_("Daily 03:10"), "10 3 * * *"),
    (_("Weekly, Sunday 04:00"), "0 4 * * 0"),
    (_("Monthly, 1st 04:00"), "0 4 1 * *"),
]


def zones() -> list[tuple[str, str]]:
    """Return the choices of a timezone field."""
    return [(name, name) for name in sorted(zoneinfo.available_timezones())]


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
        label=_("Timezone"), choices=zones, initial=settings.TIME_ZONE, help_text=_("Of the fields above.")
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


class ScheduleForm(CrontabForm, forms.ModelForm):
    """A schedule: what runs, when, and what happens to slots that were missed or overlap."""

    task = forms.ChoiceField(label=_("Job"), choices=tasks)
    misfire_policy = ScheduleControl._meta.get_field("misfire_policy").formfield()
    misfire_limit = ScheduleControl._meta.get_field("misfire_limit").formfield()
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
        if job_of_task(schedule.task) is None:
            # Somebody else's task: it stays what it is.
            self.fields["task"] = forms.CharField(label=_("Task"), disabled=True)
        crontab = schedules.crontab_of(schedule)
        if crontab is None:
            # An interval, a clock time or the sun: no crontab to edit.
            for name in (*CRONTAB_FIELDS, "timezone"):
                del self.fields[name]
        else:
            self.initial.update({name: getattr(crontab, name) for name in CRONTAB_FIELDS})
            self.initial["timezone"] = str(schedules.zone_of(schedule))

    @property
    def is_retimed(self) -> bool:
        """Whether the crontab or its zone was edited."""
        return self.instance.pk is None or bool({*CRONTAB_FIELDS, "timezone"} & set(self.changed_data))

    def validate_unique(self) -> None:
        """Check the name alone: PeriodicTask also wants its crontab row, which ``retime`` adds on saving."""
        try:
            Model.validate_unique(self.instance)
        except ValidationError as error:
            self.add_error(None, error)

    def clean_kwargs(self) -> str:
        """Accept a JSON object."""
        text = self.cleaned_data["kwargs"].strip() or "{}"
        try:
            params = json.loads(text)
        except ValueError as error:
            raise ValidationError(_("This is not JSON: %(error)s") % {"error": error}) from None
        if not isinstance(params, dict):
            raise ValidationError(_("This is not a JSON object."))
        return str(text)

    def clean(self) -> dict[str, Any]:
        """Let the job check its parameters."""
        cleaned = super().clean()
        job = job_of_task(cleaned.get("task", ""))
        if job is not None and "kwargs" in cleaned:
            try:
                job.clean(json.loads(cleaned["kwargs"]))
            except ValidationError as error:
                self.add_error("kwargs", error.messages)
        return cleaned


class PauseForm(forms.Form):
    """Why a schedule is paused, and perhaps until when."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )
    until = forms.DateTimeField(
        label=_("Until"),
        required=False,
        # The browser's own picker: the admin's pair of fields leaves the second without a label.
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        help_text=_("Empty: until somebody resumes it."),
    )

    def clean_until(self) -> Any:
        """Refuse an end that has passed."""
        until = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError(_("The end of the pause is in the past."))
        return until


class ReasonForm(forms.Form):
    """Why somebody decided so."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )
