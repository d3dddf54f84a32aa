"""The admin pages of scraping."""

from scraping.admin import apps, bots, content, export, sessions, set_aside, trial

__all__ = ["apps", "bots", "content", "export", "sessions", "set_aside", "trial"]
