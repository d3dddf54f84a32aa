"""Template tags for the admin's lists: the filter bar and the table; ``{% load lists %}``."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import template
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.templatetags.admin_list import result_headers
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.utils.text import capfirst

from adminkit.parameters import Lookups
from adminkit.rows import table_rows

register = template.Library()

# Parameters of a list that are not filters.
_CONTROLS = frozenset(
    {ALL_VAR, ERROR_FLAG, IS_FACETS_VAR, IS_POPUP_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR, TO_FIELD_VAR}
)


class Chip(NamedTuple):
    """One active filter: its title, the chosen value, and the address without it."""

    title: str
    value: str
    without: str


@register.inclusion_tag("admin/_filter_bar.html", takes_context=True)
def filter_bar(context: dict[str, Any], cl: Any) -> dict[str, Any]:
    """Show the active filters as chips, and all filters in a menu."""
    chips = [*_chosen(cl), *_looked_up(cl, context["request"])]
    return {"cl": cl, "chips": chips, "clear_all": cl.get_query_string(remove=_set_by_filters(cl))}


def _set_by_filters(cl: Any) -> list[str]:
    return [name for name in cl.params if name not in _CONTROLS]


def _chosen(cl: Any) -> Iterator[Chip]:
    for spec in cl.filter_specs:
        parameters = [name for name in spec.expected_parameters() if name in cl.params]
        if not parameters:
            continue
        labels = [str(choice["display"]) for choice in spec.choices(cl) if choice.get("selected")]
        value = ", ".join(labels) or ", ".join(str(cl.params[name]) for name in parameters)
        is_verbatim = getattr(spec, "is_verbatim", False)
        yield Chip(
            capfirst(str(spec.title)),
            value if is_verbatim else capfirst(value),
            cl.get_query_string(remove=spec.expected_parameters()),
        )


def _looked_up(cl: Any, request: Any) -> Iterator[Chip]:
    """Return chips for the look-ups that a link set and that have no filter in the menu."""
    offered = {name for spec in cl.filter_specs for name in spec.expected_parameters()}
    columns = Lookups(cl.model_admin, request).columns()
    for name in _set_by_filters(cl):
        if name in offered:
            continue
        column = columns.get(name) or columns.get(name.rpartition("__")[0])
        value = str(cl.params[name])
        choices = {str(key): str(label) for key, label in column.flatchoices} if column is not None else {}
        title = name.partition("__")[0]
        field = next((field for field in cl.opts.get_fields() if field.name == title), None)
        yield Chip(
            capfirst(str(getattr(field, "verbose_name", title))),
            choices.get(value, value),
            cl.get_query_string(remove=[name]),
        )


@register.inclusion_tag("admin/_list_table.html")
def list_table(cl: Any) -> dict[str, Any]:
    """Show the rows of a list, and the titles of its columns, which sort it."""
    headers = list(result_headers(cl))
    return {
        "name": capfirst(str(cl.opts.verbose_name_plural)),
        "headers": headers,
        "has_several_sorted": sum(bool(header.get("sorted")) for header in headers) > 1,
        "rows": table_rows(cl, [header["text"] for header in headers]),
    }
