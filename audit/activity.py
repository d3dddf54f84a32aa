"""The filters of the Activity page."""

from datetime import datetime
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.http import QueryDict
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from adminkit.parameters import FIRST_YEAR, LAST_YEAR, RefusedParameter, require_text
from audit import words
from audit.models import Event

# Kinds of subjects that are not database rows.
PAGE, LIST, COMMAND, SIGN_IN = "page", "list", "command", "sign-in"
KINDS = {
    PAGE: gettext_noop("page"),
    LIST: gettext_noop("list"),
    COMMAND: gettext_noop("command"),
    SIGN_IN: gettext_noop("sign-in"),
}
# The parameters that set where a page begins: older, or newer, than a cursor.
PLACES = ("before", "after")
MOMENT = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})


def kind_name(subject_type: str) -> str:
    """Return the name of a kind of subject; an unknown kind, such as of a removed app, is returned as it is stored."""
    if subject_type in KINDS:
        return gettext(KINDS[subject_type])
    try:
        return str(apps.get_model(subject_type)._meta.verbose_name)
    except (LookupError, ValueError):
        return subject_type


def offered_kinds() -> set[str]:
    """Return the kinds of subjects that the filter offers."""
    return {*(model._meta.label for model in admin.site._registry if model is not Event), *KINDS}


def _kinds() -> list[tuple[str, str]]:
    found = sorted((capfirst(kind_name(label)), label) for label in offered_kinds())
    return [("", "–"), *((label, name) for name, label in found)]


def _verbs() -> list[tuple[str, str]]:
    found = sorted((capfirst(text), verb) for verb, text in words.verbs())
    return [("", "–"), *((verb, f"{text} ({verb})") for text, verb in found)]


class ActivityForm(forms.Form):
    """The filters of the events; all are optional."""

    person = forms.CharField(label=_("Person"), required=False, max_length=150)
    verb = forms.CharField(label=_("What"), required=False, widget=forms.Select)
    kind = forms.CharField(label=_("Kind of subject"), required=False, widget=forms.Select)
    id = forms.CharField(label=_("Subject’s id"), required=False, max_length=64)
    since = forms.DateTimeField(label=_("From"), required=False, widget=MOMENT)
    until = forms.DateTimeField(label=_("To"), required=False, widget=MOMENT)
    q = forms.CharField(label=_("Search"), required=False, max_length=200)
    before = forms.CharField(required=False, widget=forms.HiddenInput)
    after = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, query: QueryDict) -> None:
        super().__init__(query, label_suffix="")
        for name, choices in (("verb", _verbs()), ("kind", _kinds())):
            widget = self.fields[name].widget
            assert isinstance(widget, forms.Select)
            # A link may name a kind that the running code does not know.
            value = self.data.get(name, "")
            known = [choice for choice, _text in choices]
            widget.choices = choices if value in known else [*choices, (value, value)]

    def values(self) -> dict[str, Any]:
        """Return the values of the filters.

        Raises:
            RefusedParameter: a parameter is unknown, or its value cannot be used.
        """
        for name in self.data:
            if name not in self.fields:
                raise RefusedParameter(name, _("The list cannot be filtered so."))
            if name in PLACES:  # a page is the first where it cannot use them
                continue
            for value in self.data.getlist(name):  # type: ignore[attr-defined]  # a query string
                require_text(name, value)
        faults = [(name, errors) for name, errors in self.errors.items() if name not in PLACES]
        if faults:
            name, errors = faults[0]
            raise RefusedParameter(str(name), str(errors[0]))
        return {**self.cleaned_data, **{name: self.data.get(name, "") for name in PLACES}}

    def clean_since(self) -> datetime | None:
        """Refuse dates at the ends of the calendar."""
        return _within(self.cleaned_data["since"])

    def clean_until(self) -> datetime | None:
        """Refuse dates at the ends of the calendar."""
        return _within(self.cleaned_data["until"])


def _within(moment: datetime | None) -> datetime | None:
    if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise forms.ValidationError(gettext("It is too far from today."))
    return moment
