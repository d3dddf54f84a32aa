"""Texts of the stock admin that are collected here, so that their Chinese is ours: without a space inside a word."""

from django.utils.translation import gettext_noop

TEXTS = (
    gettext_noop("Add %s"),
    gettext_noop("Change %s"),
    gettext_noop("View %s"),
    gettext_noop("Add %(name)s"),
    gettext_noop("Delete selected %(verbose_name_plural)s"),
)
