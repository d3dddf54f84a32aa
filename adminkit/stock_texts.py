"""Texts of Django that are collected here, so that their Chinese is ours: no space inside a word, no day like a date."""

from django.utils.translation import gettext_noop, ngettext_lazy

TEXTS = (
    gettext_noop("Add %s"),
    gettext_noop("Change %s"),
    gettext_noop("View %s"),
    gettext_noop("Add %(name)s"),
    gettext_noop("Delete selected %(verbose_name_plural)s"),
    # After the label of a field.
    gettext_noop(":"),
    # "5 日后" and "2 月前" could be read as "after the 5th" and "before February".
    ngettext_lazy("%(num)d month", "%(num)d months", "num"),
    ngettext_lazy("%(num)d day", "%(num)d days", "num"),
)
