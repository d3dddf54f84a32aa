"""What holds schedules, in words: ``{% load holds %}``."""

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from maintenance.models.groups import get_group, group_title
from maintenance.scheduling.holds import Period

register = template.Library()


register.filter("group_title", group_title)


@register.filter
def held_banner(period: Period) -> str:
    """Return what every page says while this is in force."""
    group = get_group(period.scope)
    if group is not None:
        return str(group.banner)
    if period.is_planned:
        return _("Maintenance window: nothing scheduled starts.")
    return _("Maintenance mode: nothing scheduled starts.")


@register.filter
def held_page(period: Period) -> str:
    """Return the address of the page of a switch."""
    return reverse(f"admin:maintenance_pause_{period.scope}" if period.scope else "admin:maintenance_mode")
