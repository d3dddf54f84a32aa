"""The page on which a person says how messages are written to them, and when they may wait."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from adminkit.long_select import LongSelect
from alerts import quiet, reading
from alerts.models import QuietHours, Reader
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


class ReadingForm(forms.Form):
    """In which language, and in whose time."""

    language = forms.ChoiceField(label=_("Language"), required=False)
    reading_zone = forms.ChoiceField(label=_("Time zone"), required=False, widget=LongSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["language"].choices = [("", _("that of my browser at the last sign-in")), *settings.LANGUAGES]
        as_console = gettext("that of the quiet hours, else of the console (%(zone)s)")
        fields["reading_zone"].choices = [
            ("", as_console % {"zone": settings.TIME_ZONE}),
            *((name, name) for name in zones.offered()),
        ]


def _reading_form(request: HttpRequest, data: Any = None) -> ReadingForm:
    stored = Reader.objects.filter(person=request.user.pk).first()
    initial = (
        {"language": stored.language if stored.is_chosen else "", "reading_zone": stored.zone}
        if stored
        else {}
    )
    return ReadingForm(data, initial=initial)


def page(request: HttpRequest) -> HttpResponse:
    """Show both forms, and store the person's own quiet hours."""
    form, is_stored = _hours_form(request)
    if request.method == "POST" and form.is_valid():
        quiet.set_quiet_hours(**form.cleaned_data, by=request.user)
        messages.success(request, gettext("Your quiet hours are stored."))
        return HttpResponseRedirect(reverse("admin:quiet_hours"))
    return _answer(request, form, _reading_form(request), is_stored=is_stored)


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Store in which language and zone the person reads."""
    chosen = _reading_form(request, request.POST)
    if chosen.is_valid():
        told = chosen.cleaned_data
        reading.set_reading(language=told["language"], zone=told["reading_zone"], by=request.user)
        messages.success(request, gettext("Language and time zone of your messages are stored."))
        return HttpResponseRedirect(reverse("admin:quiet_hours"))
    form, is_stored = _hours_form(request)
    return _answer(request, form, chosen, is_stored=is_stored)


def _hours_form(request: HttpRequest) -> tuple[QuietHoursForm, bool]:
    stored = QuietHours.objects.filter(person=request.user.pk).first()
    initial: dict[str, Any] = {"zone": settings.TIME_ZONE}
    if stored:
        initial = {"begins": stored.begins, "ends": stored.ends, "zone": stored.zone}
    is_sent = request.method == "POST" and "language" not in request.POST
    return QuietHoursForm(request.POST if is_sent else None, initial=initial), stored is not None


def _answer(
    request: HttpRequest, form: QuietHoursForm, reading_form: ReadingForm, *, is_stored: bool
) -> TemplateResponse:
    context = {
        **admin.site.each_context(request),
        "title": _("Messages to me"),
        "form": form,
        "reading_form": reading_form,
        "is_stored": is_stored,
    }
    return TemplateResponse(request, "alerts/quiet_hours.html", context)


@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """Delete the person's own quiet hours."""
    quiet.end_quiet_hours(by=request.user)
    messages.success(request, gettext("You have no quiet hours."))
    return HttpResponseRedirect(reverse("admin:quiet_hours"))


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the addresses of the page, for people who may use the console."""
    return [
        path("quiet-hours/", site.admin_view(page), name="quiet_hours"),
        path("quiet-hours/language/", site.admin_view(read), name="quiet_hours_language"),
        path("quiet-hours/end/", site.admin_view(end), name="quiet_hours_end"),
    ]
