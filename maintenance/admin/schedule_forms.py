"""The form of a schedule."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.forms import StaleEditForm
from adminkit.long_select import LongSelect
from maintenance import schedule_parts
from maintenance.admin.time_form import TimeForm
from maintenance.models import ScheduleControl
from maintenance.models.schedules import POLICY_FIELDS
from maintenance.registry import InvalidParams, Person, job_of_task, jobs, read_params
from maintenance.scheduling import days_off, schedules
from maintenance.scheduling.reading import read
from maintenance.scheduling.targets import is_gone

# The values that the preset buttons write into the crontab fields.
PRESETS = [
    (_("Every 30 minutes"), "*/30 * * * *"),
    (_("Hourly"), "0 * * * *"),
    (_("Daily 03:10"), "10 3 * * *"),
    (_("Weekly, Sunday 04:00"), "0 4 * * 0"),
    (_("Monthly, 1st 04:00"), "0 4 1 * *"),
]


def calendars() -> list[tuple[str, str]]:
    """Return the choices of a calendar of days off: none, or that of a country, or of a part of it."""
    return [("", "–"), *((code, f"{name} ({code})") for code, name in days_off.calendars().items())]


class CalendarSelect(LongSelect):
    """The choice of a calendar: all countries, and the parts of the one that is chosen, which the page asks for.

    All 650 parts would be a third of the page. Without JavaScript, *Preview* shows those of the chosen country.
    """

    def build_attrs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Let the page ask for the parts when another country is chosen."""
        address = reverse("admin:maintenance_schedule_calendars")
        return {**super().build_attrs(*args, **kwargs), "hx-get": address, "hx-trigger": "change"}

    def offered(self, chosen: str) -> Iterable[tuple[Any, Any]]:
        """Leave out the parts of other countries."""
        country = chosen.partition("-")[0]
        return [
            (code, name)
            for code, name in self.choices
            if "-" not in code or code.partition("-")[0] == country
        ]


def calendar_options(chosen: str) -> SafeString:
    """Return the options of the choice of a calendar, once this one is chosen."""
    return CalendarSelect(choices=calendars()).drawn_options(chosen)


def tasks() -> list[tuple[str, str]]:
    """Return the choices of a task field: the jobs."""
    return [(job.task_name, job.title) for job in jobs()]


def _of_control(name: str) -> Any:
    """Return the form field of a column, with the limits of the column: Django checks those only of the form's own model."""
    column: Any = ScheduleControl._meta.get_field(name)
    field = column.formfield()
    field.validators += column.validators
    return field


class ScheduleForm(TimeForm, StaleEditForm, forms.ModelForm):
    """The form of a schedule: what runs, when, and what happens to missed and overlapping slots, and after failures."""

    # The person who edits; without one, nothing below the floor of the retentions is allowed.
    person: Person = AnonymousUser()

    task = forms.ChoiceField(label=_("Job"), choices=tasks)
    misfire_policy = _of_control("misfire_policy")
    misfire_limit = _of_control("misfire_limit")
    catch_up_hours = _of_control("catch_up_hours")
    catch_up_after_pause = _of_control("catch_up_after_pause")
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text=_("Why the time is changed; kept in the history."),
    )
    overlap_policy = _of_control("overlap_policy")
    days_off = forms.ChoiceField(
        label=_("Not on holidays of"),
        choices=calendars,
        required=False,
        widget=CalendarSelect(attrs={"data-time": "1"}),
        help_text=_(
            "Slots on public holidays of this country are skipped, and not caught up. Once it is chosen, its states or"
            " provinces follow it in the list."
        ),
    )
    days_off_weekends = _of_control("days_off_weekends")
    retries = _of_control("retries")
    time_limit_seconds = _of_control("time_limit_seconds")
    pause_after_failures = _of_control("pause_after_failures")

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
        for part in schedule_parts.registered():
            self.fields.update(part.fields())
        for name in self.fields:
            if name in POLICY_FIELDS:
                self.fields[name].widget.attrs.setdefault("autocomplete", "off")
        self.fields["days_off_weekends"].widget.attrs["data-time"] = "1"
        self.fields["task"].widget.attrs["data-time"] = "1"  # whose usual durations the preview compares
        if schedule.pk is None:
            return
        control = schedules.control_of(schedule)
        self.initial.update({name: getattr(control, name) for name in POLICY_FIELDS})
        if control.days_off and not days_off.is_known(control.days_off):
            offered: Any = self.fields["days_off"]
            offered.choices = [*calendars(), (control.days_off, control.days_off)]
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
        self.show_time(schedule, stored.zone, is_usable=not stored.timing_fault)
        self.set_zone()
        self.set_stored({name: self.initial.get(name) for name in self.fields if name in self.initial})

    def is_valid(self) -> bool:
        """Return False for a request that only asks for the preview: it saves nothing."""
        return super().is_valid() and not self.is_preview

    @property
    def is_preview(self) -> bool:
        """Whether *Preview* was pressed, which works without JavaScript."""
        return "_preview" in self.data

    @property
    def is_retimed(self) -> bool:
        """Whether the time was edited, or replaces an unusable one; only after the form was found valid."""
        return self.is_another(self.cleaned_data["time"])

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
