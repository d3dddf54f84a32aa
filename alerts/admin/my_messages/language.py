"""The form of the language and the time zone in which a person reads messages."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.long_select import LongSelect
from alerts import reading
from alerts.models import Reader
from database import zones


class LanguageForm(forms.Form):
    """In which language, and in whose time."""

    language = forms.ChoiceField(label=_("Language"), required=False)
    # The page has another field that is named "zone".
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


def form_of(request: HttpRequest, data: Any = None) -> LanguageForm:
    """Return the form with what is stored, or with what was sent."""
    stored = Reader.objects.filter(person=request.user.pk).first()
    initial = (
        {"language": stored.language if stored.is_chosen else "", "reading_zone": stored.zone}
        if stored
        else {}
    )
    return LanguageForm(data, initial=initial)


def store(request: HttpRequest, form: LanguageForm) -> None:
    """Store what was sent."""
    told = form.cleaned_data
    reading.set_reading(language=told["language"], zone=told["reading_zone"], by=request.user)
