"""The rows of the admin's lists as HTML: what Django's ``items_for_result`` shows, and on each cell its column's title.

Django asks for each cell again what kind of column it is in, and for each row what the address of its page is; that took
longer than what the cells say. Here both are asked once for a list.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import display_for_field, display_for_value, lookup_field, quote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db.models import DateField, Field, ForeignKey, Model, TimeField
from django.urls import reverse
from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

# The column of the boxes that select rows for an action.
BOXES: Final = "action_checkbox"
# It stands for the key in the address of a row's page.
KEY: Final = "-key-"
# The texts of an empty cell; it is hidden on a narrow screen.
NOTHING: Final = frozenset({"", "–", "-"})


@dataclass(frozen=True)
class Column:
    """A column of a list."""

    title: str  # escaped; narrow screens show it in each cell
    css_class: str
    # Whether its cells link to the pages of their rows.
    is_link: bool
    # Returns what it shows of a row: a text that may not be escaped yet.
    read: Callable[[Model], Any]
    # What it shows where the row that it names is gone.
    empty: str


def table_rows(cl: ChangeList, titles: Sequence[Any]) -> SafeString:
    """Return the rows of a list; ``titles`` are those of its columns."""
    columns = [_column(cl, name, title) for name, title in zip(cl.list_display, titles, strict=True)]
    before, behind = _address(cl)
    shown = []
    for row in cl.result_list:
        address = f"{before}{quote(getattr(row, cl.pk_attname))}{behind}"
        shown.append(f"<tr>{''.join(_cells(columns, row, address))}</tr>")
    return mark_safe("\n".join(shown))  # noqa: S308  # escaped cell by cell


def _address(cl: ChangeList) -> tuple[str, str]:
    """Return the address of a row's page, before and behind the key."""
    page = reverse(f"admin:{cl.opts.app_label}_{cl.opts.model_name}_change", args=[KEY])
    kept = add_preserved_filters({"preserved_filters": cl.preserved_filters, "opts": cl.opts}, page)
    before, _key, behind = escape(kept).partition(KEY)
    return before, behind


def _cells(columns: Sequence[Column], row: Model, address: str) -> Iterator[str]:
    tag = "th"  # for the first link, which names the row
    for column in columns:
        try:
            text = str(conditional_escape(column.read(row)))
        except ObjectDoesNotExist:
            text = column.empty
        opening = f'data-label="{column.title}"'
        if column.is_link:
            opening += ' scope="row"' if tag == "th" else ""
            yield f'<{tag} {opening} class="{column.css_class}"><a href="{address}">{text}</a></{tag}>'
            tag = "td"
            continue
        nothing = " data-nothing" if text.strip() in NOTHING else ""
        yield f'<td {opening}{nothing} class="{column.css_class}">{text}</td>'


def _column(cl: ChangeList, name: Any, title: Any) -> Column:
    field = _field(cl, name)
    is_link = bool(cl.list_display_links) and name in cl.list_display_links
    css_class = "action-checkbox" if name == BOXES else f"field-{getattr(name, '__name__', name)}"
    if isinstance(field, DateField | TimeField | ForeignKey):
        css_class += " nowrap"
    empty = str(cl.model_admin.get_empty_value_display())
    return Column(
        # The title of the boxes is a box itself.
        title="" if "<" in str(title) else conditional_escape(capfirst(str(title))),
        css_class=css_class,
        is_link=is_link,
        read=_of_field(field, empty, is_link) if field else _of_method(cl, name, empty),
        empty=empty,
    )


def _field(cl: ChangeList, name: Any) -> "Field[Any, Any] | None":
    """Return the model's field of this name; None: the column is a method of the admin or of the model."""
    try:
        field = cl.lookup_opts.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) and not field.auto_created else None


def _of_field(field: "Field[Any, Any]", empty: str, is_link: bool) -> Callable[[Model], Any]:
    def read(row: Any) -> Any:
        value = getattr(row, field.name)
        if isinstance(field, ForeignKey):
            return empty if value is None else value
        return display_for_field(value, field, empty, avoid_link=is_link)

    return read


def _of_method(cl: ChangeList, name: Any, empty: str) -> Callable[[Model], Any]:
    method = name if callable(name) else None if name == "__str__" else getattr(cl.model_admin, name, None)
    is_boolean = getattr(method, "boolean", False)

    def read(row: Any) -> Any:
        value = method(row) if method else lookup_field(name, row)[2]
        if isinstance(value, str):
            return value if value.strip() else empty
        return display_for_value(value, empty, is_boolean)

    return read
