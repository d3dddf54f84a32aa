"""The shape of a state in a template; ``{% load marks %}`` and ``{% mark "blocked" %}``."""

from django import template

from adminkit.marks import mark

register = template.Library()
register.simple_tag(mark)
