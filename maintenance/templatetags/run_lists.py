"""What lists of runs, and links to runs, need: ``{% load run_lists %}``."""

from collections.abc import Iterator
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from adminkit.key_list import PLACE_VARS
from adminkit.links import badge, choice_label
from maintenance.models import JobRun

register = template.Library()


@register.filter
def other_parameters(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of the list that the form of this filter keeps: all but its own, and the page."""
    own = {*spec.expected_parameters(), *PLACE_VARS}
    for name, values in spec.request.GET.lists():
        if name not in own:
            yield from ((name, value) for value in values)


@register.simple_tag
def run_badge(run: JobRun) -> SafeString:
    """Return the run's state as a link to its page."""
    return format_html(
        '<a href="{}" class="badge-link">{}</a>',
        reverse("admin:maintenance_jobrun_change", args=[run.pk]),
        badge(run.status, choice_label(run, "status")),
    )
