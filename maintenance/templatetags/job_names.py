"""The names of jobs in templates; ``{% load job_names %}``."""

from django import template

from maintenance import registry

register = template.Library()


@register.filter
def job_title(slug: str) -> str:
    """Return the job's title in the reader's language."""
    return registry.job_title(slug)
