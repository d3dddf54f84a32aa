"""The admin of scrape sessions."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.links import badge, choice_label, time_ago
from adminkit.templatetags.display import duration, number
from scraping.models import BotConfig, ScrapeSession
from scraping.sessions.part import part_of


@admin.register(ScrapeSession)
class ScrapeSessionAdmin(ReadOnlyAdmin):
    """Scrape sessions, read-only; owners see those of their own bots."""

    change_form_template = "scraping/session.html"
    list_display = (
        "session", "status_badge", "kind", "started", "took", "posts", "comments", "requests_used", "gap"
    )  # fmt: skip
    list_filter = ("status", "kind", "has_gap", "started_at")
    lookups = ("config",)
    search_fields = ("id__exact", "config_name")
    search_help_text = _("A session’s number, or a part of its bot’s name.")
    sortable_by = ("started",)
    empty_list = _(
        "Each scrape of a bot is a session here: what it found, what it cost and what failed. Scrape a bot now, or wait"
        " for automatic scraping."
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the sessions this person may see."""
        sessions: Any = super().get_queryset(request)
        return sessions.visible_to(request.user)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Name the subreddits that the person may scrape again: those that a bot of theirs still has."""
        row = self.get_object(request, object_id)
        wanted: list[str] = []
        if row is not None and row.config_id is not None:
            bots = BotConfig.objects.managed_by(request.user).filter(is_active=True)
            bot = bots.filter(pk=row.config_id).first()
            wanted = part_of(row.totals, bot.subreddits) if bot is not None else []
        return super().change_view(
            request, object_id, form_url, {"may_scrape": wanted, **(extra_context or {})}
        )

    @admin.display(description=_("session"))
    def session(self, session: ScrapeSession) -> str:
        """Return the name of the bot and the number of the session."""
        return format_html('{} <span class="run-id">#{}</span>', session.config_name, session.pk)

    @admin.display(description=_("gap"))
    def gap(self, session: ScrapeSession) -> str:
        """Show a gap as a badge, because Django's red cross for "no" would look like an error."""
        return badge(ScrapeSession.Status.PARTIAL, _("Gap")) if session.has_gap else "–"

    @admin.display(description=_("status"))
    def status_badge(self, session: ScrapeSession) -> str:
        """Show the status as a badge."""
        return badge(session.status, choice_label(session, "status"))

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, session: ScrapeSession) -> str:
        """Say how long ago it started."""
        return time_ago(session.started_at)

    @admin.display(description=_("duration"))
    def took(self, session: ScrapeSession) -> str:
        """Say how long it took."""
        return duration(session.duration)

    @admin.display(description=_("posts (new)"))
    def posts(self, session: ScrapeSession) -> str:
        """Return the number of posts."""
        return f"{number(session.posts_found)} ({number(session.posts_new)})"

    @admin.display(description=_("comments (new)"))
    def comments(self, session: ScrapeSession) -> str:
        """Return the number of comments."""
        return f"{number(session.comments_found)} ({number(session.comments_new)})"
