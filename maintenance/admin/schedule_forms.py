"""The form of a schedule."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.forms import StaleEditForm
from adminkit.long_select import LongSelect
from database import zones
from maintenance.models import ScheduleControl
from maintenance.registry import InvalidParams, Person, job_of_task, jobs, read_params
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.reading import read
from maintenance.scheduling.targets import is_gone

CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
CONTROL_FIELDS = ("misfire_policy", "misfire_limit", "catch_up_after_pause", "overlap_policy")

# The values that the preset buttons write into the crontab fields.
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
    """The five fields of a crontab, and its time zone."""

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
        widget=LongSelect,
        initial=settings.TIME_ZONE,
        help_text=_("The time zone of this schedule."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse what Celery could not run, with an error at the field that is wrong."""
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


class ScheduleForm(CrontabForm, StaleEditForm, forms.ModelForm):
    """The form of a schedule: what runs, when, and what happens to missed and overlapping slots."""

    # The person who edits; without one, nothing below the floor of the retentions is allowed.
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
            # A task that is no job of ours stays as it is.
            self.fields["task"] = forms.CharField(label=_("Task"), disabled=True)
        elif schedules.is_default(schedule):
            self.fields["task"].disabled = True
            self.fields["task"].help_text = _(
                "This is the job’s default schedule: add another one for another job."
            )
        stored = read(schedule)
        self._has_no_time = bool(stored.timing_fault) and stored.crontab is None
        if not stored.takes_crontab:
            # An interval, a clocked or a solar schedule: it has no crontab to edit.
            for name in (*CRONTAB_FIELDS, "timezone", "reason"):
                del self.fields[name]
        elif stored.crontab is not None:
            self.initial.update({name: getattr(stored.crontab, name) for name in CRONTAB_FIELDS})
            self.initial["timezone"] = stored.zone
            self._keep_zone(stored.zone)
        self.set_stored({name: self.initial.get(name) for name in self.fields if name in self.initial})

    def _keep_zone(self, name: str) -> None:
        """Show a stored zone that is not among the choices, instead of the first choice."""
        field: Any = self.fields["timezone"]
        if not zones.is_offered(name):
            field.choices = [(name, _("%(name)s (choose another)") % {"name": name}), *zone_choices()]

    @property
    def is_retimed(self) -> bool:
        """Whether the crontab or its zone was edited, or replaces an unusable time."""
        is_new = self.instance.pk is None or self._has_no_time
        return is_new or bool({*CRONTAB_FIELDS, "timezone"} & set(self.changed_data))

    def clean_timezone(self) -> str:
        """Refuse a zone that only the stored schedule has."""
        name: str = self.cleaned_data["timezone"]
        if not zones.is_offered(name):
            raise ValidationError(_("This time zone cannot be used: choose another."))
        return name

    def validate_unique(self) -> None:
        """Check only the name: PeriodicTask also requires its crontab row, which ``retime`` adds on saving."""
        try:
            Model.validate_unique(self.instance)
        except ValidationError as error:
            self.add_error(None, error)

    def clean_kwargs(self) -> str:
        """Accept a JSON object; a stored text that is not edited stays as it is."""
        text: str = self.cleaned_data["kwargs"].strip() or "{}"
        if "kwargs" not in self.changed_data:
            return str(self.cleaned_data["kwargs"])
        try:
            read_params(text)
        except InvalidParams as error:
            raise ValidationError(error.messages) from None
        return text

    def clean(self) -> dict[str, Any]:
        """Let the job check its parameters, and whether this person may run it with them."""
        cleaned = super().clean()
        job = job_of_task(cleaned.get("task", ""))
        # Stored parameters were set by somebody else: this person may still change the time.
        is_edited = self.instance.pk is None or bool({"task", "kwargs"} & set(self.changed_data))
        if job is not None and is_edited and "kwargs" in cleaned:
            try:
                job.require(self.person, job.clean_stored(cleaned["kwargs"]))
            except ValidationError as error:
                self.add_error("kwargs", error.messages)
            except PermissionDenied as error:
                self.add_error("task" if "task" in self.changed_data else "kwargs", str(error))
        return cleaned
