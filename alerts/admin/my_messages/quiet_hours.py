"""The form of a person's own quiet hours."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from adminkit.long_select import LongSelect
from alerts import quiet
from alerts.models import QuietHours
from database import zones


class QuietHoursForm(forms.Form):
    """From when until when, and where."""

    begins = forms.TimeField(label=_("From"), widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}))
    ends = forms.TimeField(
        label=pgettext_lazy("end of a time of day", "Until"),
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
    )
    zone = forms.ChoiceField(label=_("Time zone"), widget=LongSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["zone"]
        field.choices = [(name, name) for name in zones.offered()]

    def clean(self) -> dict[str, Any]:
        """Refuse hours without a length."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("begins") is not None and cleaned.get("begins") == cleaned.get("ends"):
            self.add_error("ends", ValidationError(_("Begin and end are the same."), code="same"))
        return cleaned


def form_of(request: HttpRequest, data: Any = None) -> QuietHoursForm:
    """Return the form with what is stored, or with what was sent."""
    stored = QuietHours.objects.filter(person=request.user.pk).first()
    initial: dict[str, Any] = {"zone": settings.TIME_ZONE}
    if stored:
        initial = {"begins": stored.begins, "ends": stored.ends, "zone": stored.zone}
    return QuietHoursForm(data, initial=initial)


def store(request: HttpRequest, form: QuietHoursForm) -> None:
    """Store what was sent."""
    quiet.set_quiet_hours(**form.cleaned_data, by=request.user)
