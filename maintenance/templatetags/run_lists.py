"""What the filters of the list of runs need: ``{% load run_lists %}``."""

from collections.abc import Iterator
from typing import Any

from django import template

from adminkit.key_list import PLACE_VARS

register = template.Library()


@register.filter
def other_parameters(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of the list that the form of this filter keeps: all but its own, and the page."""
    own = {*spec.expected_parameters(), *PLACE_VARS}
    for name, values in spec.request.GET.lists():
        if name not in own:
            yield from ((name, value) for value in values)
