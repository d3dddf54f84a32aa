"""The allow-list of query parameters for every admin's list; their values must be comparable by the database.

Django's admin accepts any look-up on a column of its model (``?secret__regex=^a`` reads a secret letter by letter) and
answers 500 to a value that the column cannot have. Here a look-up passes only if its column is named by the admin's
``list_filter`` or ``lookups``, and its value only if it is one of the column's.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.views.main import (
    ALL_VAR,
    ERROR_FLAG,
    ORDER_VAR,
    PAGE_VAR,
    SEARCH_VAR,
)
from django.core.exceptions import BadRequest, ValidationError
from django.db import connection, models
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from adminkit.key_list import PLACE_VARS

# Longer than any name that people search for; each word adds a condition to the query.
TEXT_MAX = 200
# A link in a search box may be longer: percent-encoded, each letter of its title has nine characters.
LINK_MAX = 2_000
# How many values one ``in``, or one repeated parameter, may have.
VALUES_MAX = 100
PAGE_DIGITS_MAX = 9
# Far from the ends of the calendar, where moving a time into another zone fails.
FIRST_YEAR, LAST_YEAR = 1970, 2200

_ORDER = re.compile(r"-?[0-9]{1,3}(\.-?[0-9]{1,3})*\Z")
_YES_OR_NO = {"0", "1", "true", "false"}
_DATE_LOOKUPS = ("gte", "gt", "lte", "lt")
_DATE_PARTS = {"year": (FIRST_YEAR, LAST_YEAR), "month": (1, 12), "day": (1, 31)}


class RefusedParameter(BadRequest):
    """A parameter of the query string or the form cannot be used; the message says what can."""

    def __init__(self, name: str, remedy: str | Promise) -> None:
        super().__init__(f"{name[:TEXT_MAX]}: {remedy}")
        self.name = name[:TEXT_MAX]
        self.remedy = remedy


def clean_query(model_admin: Any, request: HttpRequest) -> None:
    """Check the query string of a list; times without a zone are read in the console's zone.

    Raises:
        RefusedParameter: for the first parameter that is not allowed, or whose value its column cannot have.
    """
    allowed = Lookups(model_admin, request)
    cleaned = request.GET.copy()
    # A list with pages by key shows its first page where it cannot use them.
    unchecked = PLACE_VARS if getattr(model_admin, "has_pages_by_key", False) else ()
    for name, values in request.GET.lists():
        if name in unchecked:
            continue
        if len(values) > VALUES_MAX:
            raise RefusedParameter(name, _("It is repeated too often."))
        for value in values:
            require_text(name, value)
        if check := _CONTROLS.get(name):
            check(model_admin, request, name, values[-1])
        elif name not in allowed.own_parameters:
            cleaned.setlist(name, [allowed.clean(name, value) for value in values])
    request.GET = cleaned  # type: ignore[assignment]  # a QueryDict as before, only cleaned
    cleaned._mutable = False


def require_text(name: str, value: str) -> None:
    """Refuse text that no database can compare (control characters) or that is longer than any stored text."""
    if "\0" in value or any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise RefusedParameter(name, _("It holds characters that no stored text has."))
    if len(value) > _length_max(name, value):
        raise RefusedParameter(name, _("It is too long."))


def _length_max(name: str, value: str) -> int:
    if name.endswith("__in"):
        return VALUES_MAX * 20
    is_link = name == SEARCH_VAR and "/" in value and len(value.split()) == 1
    return LINK_MAX if is_link else TEXT_MAX


# --- Django's own parameters -----------------------------------------------------------------------


def _page(model_admin: Any, request: HttpRequest, name: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal() and len(value) <= PAGE_DIGITS_MAX and int(value) > 0):
        raise RefusedParameter(name, _("It is the number of a page: 1, 2, …"))


def _order(model_admin: Any, request: HttpRequest, name: str, value: str) -> None:
    columns = (
        len(model_admin.get_list_display(request)) + 1
    )  # the first column is that of the actions' check boxes
    if value and not (_ORDER.match(value) and all(abs(int(part)) <= columns for part in value.split("."))):
        raise RefusedParameter(
            name, _("It is the numbers of columns: 1.-2. Click on a column’s heading instead.")
        )


def _flag(model_admin: Any, request: HttpRequest, name: str, value: str) -> None:
    if value.lower() not in {*_YES_OR_NO, ""}:
        raise RefusedParameter(name, _("It is 1, or left out."))


def _to_field(model_admin: Any, request: HttpRequest, name: str, value: str) -> None:
    if value and not model_admin.to_field_allowed(request, value):
        raise RefusedParameter(name, _("No form refers to these rows by that column."))


def _any_text(model_admin: Any, request: HttpRequest, name: str, value: str) -> None:
    """Accept it: ``require_text`` has checked it."""


_CONTROLS = {
    ALL_VAR: _flag,
    ERROR_FLAG: _flag,
    IS_FACETS_VAR: _flag,
    IS_POPUP_VAR: _flag,
    ORDER_VAR: _order,
    PAGE_VAR: _page,
    SEARCH_VAR: _any_text,
    TO_FIELD_VAR: _to_field,
}


# --- Look-ups --------------------------------------------------------------------------------------


class Lookups:
    """The look-ups that one admin allows: the columns of its ``list_filter`` and ``lookups``.

    Each column allows ``exact``, ``in`` and ``isnull``; a date column also ``gte``, ``gt``, ``lte`` and ``lt``.
    """

    def __init__(self, model_admin: Any, request: HttpRequest) -> None:
        # Parameters of our own filters, which validate them themselves.
        self.own_parameters: set[str] = set()
        self._columns: dict[str, models.Field] = {}
        for path in (
            *self._filtered(model_admin.get_list_filter(request)),
            *getattr(model_admin, "lookups", ()),
        ):
            self._columns |= dict(_columns(model_admin.model, path))
        hierarchy = model_admin.date_hierarchy
        self._date_parts = (
            {f"{hierarchy}__{part}": span for part, span in _DATE_PARTS.items()} if hierarchy else {}
        )

    def _filtered(self, filters: Sequence[Any]) -> Iterator[str]:
        for entry in filters:
            if isinstance(entry, type) and issubclass(entry, admin.SimpleListFilter):
                self.own_parameters.add(str(entry.parameter_name))
            else:
                yield entry[0] if isinstance(entry, tuple | list) else entry

    def allows(self, name: str) -> bool:
        """Whether the parameter is a look-up of the list, or belongs to one of its filters."""
        return name in self.own_parameters or name in self._date_parts or self._split(name) is not None

    def columns(self) -> dict[str, models.Field]:
        """Return the columns that may be looked up, by their path."""
        return dict(self._columns)

    def clean(self, name: str, value: str) -> str:
        """Return the value in the form in which the column is compared.

        Raises:
            RefusedParameter: the look-up is not allowed, or the column cannot have this value.
        """
        if name in self._date_parts:
            low, high = self._date_parts[name]
            if value.isascii() and value.isdecimal() and len(value) <= 4 and low <= int(value) <= high:
                return value
            raise RefusedParameter(
                name, _("It is a number from %(low)d to %(high)d.") % {"low": low, "high": high}
            )
        found = self._split(name)
        if found is None:
            raise RefusedParameter(
                name, _("The list cannot be filtered by it. Use its search and the filters beside it.")
            )
        column, lookup = found
        if lookup == "isnull":
            if value.lower() not in _YES_OR_NO:
                raise RefusedParameter(name, _("It is 1 or 0."))
            return value
        if lookup != "in":
            return _value(name, column, value)
        parts = value.split(",")
        if len(parts) > VALUES_MAX:
            raise RefusedParameter(name, _("It names too many values."))
        return ",".join(_value(name, column, part) for part in parts)

    def _split(self, name: str) -> tuple[models.Field, str] | None:
        if name in self._columns:
            return self._columns[name], "exact"
        path, _separator, lookup = name.rpartition("__")
        column = self._columns.get(path)
        if column is None:
            return None
        ranges = _DATE_LOOKUPS if isinstance(column, models.DateField) else ()
        return (column, lookup) if lookup in ("exact", "in", "isnull", *ranges) else None


def _columns(model: type[models.Model], path: str) -> Iterator[tuple[str, models.Field]]:
    """Return the column at a path, under each name that Django's filters use for it."""
    field: Any = None
    for step in path.split("__"):
        field = model._meta.pk if step == "pk" else model._meta.get_field(step)
        model = field.related_model or model
    if not field.is_relation:
        yield path, field
        return
    target = field.target_field if hasattr(field, "target_field") else model._meta.pk
    yield path, target
    yield f"{path}__{target.name}", target
    yield f"{path}__pk", target


def _value(name: str, column: models.Field, value: str) -> str:
    try:
        python: Any = column.to_python(value)
    except (ValidationError, ValueError, TypeError, OverflowError):
        python = None
    if python is None:
        raise RefusedParameter(name, _("“%(value)s” is no value of “%(column)s”.") % _words(column, value))
    if column.choices and python not in {key for key, _label in column.flatchoices}:
        raise RefusedParameter(name, _("“%(value)s” is no value of “%(column)s”.") % _words(column, value))
    if isinstance(python, int) and not isinstance(python, bool):
        _require_in_range(name, column, python)
    if isinstance(column, models.DateField):
        return _moment(name, column, value, python)
    return value


def _words(column: models.Field, value: str) -> dict[str, Any]:
    return {"value": value[:40], "column": column.verbose_name}


def _require_in_range(name: str, column: models.Field, value: int) -> None:
    low, high = connection.ops.integer_field_range(column.get_internal_type())
    if (low is not None and value < low) or (high is not None and value > high):
        raise RefusedParameter(
            name, _("“%(value)s” is no value of “%(column)s”.") % _words(column, str(value))
        )


def _moment(name: str, column: models.Field, value: str, parsed: date) -> str:
    if not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise RefusedParameter(
            name, _("Its year is from %(low)d to %(high)d.") % {"low": FIRST_YEAR, "high": LAST_YEAR}
        )
    if not isinstance(parsed, datetime):
        return value
    if timezone.is_naive(parsed):
        parsed = timezone.make_aware(parsed)
    return str(parsed)


def clean_keys(model: type[models.Model], name: str, data: QueryDict) -> None:
    """Refuse a selection with keys that no row can have."""
    key: Any = model._meta.pk
    for value in data.getlist(name):
        require_text(name, value)
        _value(name, key, value)
