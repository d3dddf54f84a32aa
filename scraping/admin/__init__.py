"""Scraping in Django's admin."""

from scraping.admin import bots, export, set_aside, trial

__all__ = ["bots", "export", "set_aside", "trial"]
