"""What somebody had typed into a form that could not be taken: the page that says why shows it, to be copied.

Pages are not kept by browsers (``no-store``), so going back would show an empty form, or that there is no such page.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.request import RawPostDataException
from django.utils.text import capfirst

from audit.snapshots import SECRET_WORDS

# Fields that no person fills in; all that begin with an underscore are buttons.
OWN_FIELDS = frozenset({"action", "confirmed", "index", "next", "opened", "post", "seen", "select_across"})
# The counts and keys of the rows of a table in a form.
OF_ROWS = ("_FORMS", "-id")
# Beside the words that mark secrets: codes of a second factor, and the fields of ``SecretField``, which no page shows.
SECRET_FIELDS = frozenset({"code", "credential", "new_url", "new_chat", "ping_address"})
VALUES_MAX = 1_000
# What a form puts around the name of a field: the prefix and the number of a row of a table, the part of a date and time.
ROW, PART = re.compile(r"^.+-\d+-"), re.compile(r"_[01]$")


def typed(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the labels and values of the fields of the posted form, without secrets; none of a form of another site.

    A field of a form that is no admin's keeps its name.
    """
    own = f"{request.scheme}://{request.get_host()}"
    if request.method != "POST" or request.headers.get("Origin") != own or request.headers.get("HX-Request"):
        return []
    try:
        fields = list(request.POST.lists())
    except (RawPostDataException, OSError):  # its body was read already, or never arrived
        return []
    labels = _labels(request)
    found = [
        (_label(name, labels), value)
        for name, values in fields
        if not name.startswith("_")
        and name not in OWN_FIELDS
        and not name.endswith(OF_ROWS)
        and not is_secret(name)
        for value in values
        if value.strip()
    ]
    return found[:VALUES_MAX]


def is_secret(name: str) -> bool:
    """Whether a page must not show what was typed into the field of this name."""
    return name.rpartition("-")[2] in SECRET_FIELDS or any(word in name.lower() for word in SECRET_WORDS)


def _label(name: str, labels: Mapping[str, str]) -> str:
    in_row = ROW.sub("", name)
    return labels.get(in_row) or labels.get(PART.sub("", in_row)) or name.replace("_", " ")


def _labels(request: HttpRequest) -> dict[str, str]:
    """Return the labels of the fields by name, if the address is that of an admin's form to add or to change a row."""
    match = request.resolver_match
    model_name, _separator, form = (match.url_name or "").rpartition("_") if match else ("", "", "")
    if form not in {"add", "change"}:
        return {}
    for model, model_admin in admin.site._registry.items():
        if model_name == f"{model._meta.app_label}_{model._meta.model_name}":
            in_rows = [(inline.model, inline.form) for inline in model_admin.inlines]
            # The fields of the row itself come last: they win.
            return {
                name: str(capfirst(label))
                for of_model, of_form in (*in_rows, (model, model_admin.form))
                for name, label in _labels_of(of_model, of_form)
            }
    return {}


def _labels_of(model: Any, form: Any) -> Iterator[tuple[str, Any]]:
    for column in model._meta.get_fields():
        if hasattr(column, "verbose_name"):
            yield column.name, column.verbose_name
    yield from ((name, field.label) for name, field in form.base_fields.items() if field.label)
