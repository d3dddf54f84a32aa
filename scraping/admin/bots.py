"""The admin of bots."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Exists, Model, OuterRef, Q, Subquery, TextField
from django.db.models.functions import Cast
from django.forms import ModelForm
from django.http import (
    HttpRequest,
)
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import PersonalAdmin
from adminkit.links import badge, choice_label, link, time_ago
from adminkit.templatetags.display import number
from scraping.admin import bot_list, trial
from scraping.admin.bot_deletion import BotDeletion
from scraping.admin.forms import BotConfigForm
from scraping.models import SUBREDDIT_NAME, BotConfig, ScrapeSession
from scraping.runs import runs
from scraping.sessions import listed_so_far
from scraping.subreddit_names import plain_subreddit
from scraping.visibility import Person, sees_everybodys

SUBREDDITS_SHOWN = 4


@admin.register(BotConfig)
class BotConfigAdmin(BotDeletion, PersonalAdmin):
    """Owners change their own bots, superusers all bots; ``visible_to`` decides who sees them."""

    form = BotConfigForm
    change_form_template = "scraping/botconfig_form.html"
    list_display = (
        "name",
        "state",
        "newest_post",
        "posts_of_day",
        "last_session",
        "subreddit_names",
        "owner",
        "scrape_now",
    )
    list_filter = (bot_list.StateFilter, "is_active", "auto_scrape", "sort")
    search_help_text = _(
        "A part of the bot’s, the owner’s or a subreddit’s name; r/name finds that subreddit only."
    )
    empty_list = _(
        "A bot scrapes subreddits for its owner. Add one, name its subreddits, test it, and save: automatic scraping"
        " takes it up at its next run."
    )
    list_select_related = ("owner",)
    list_per_page = 50
    list_max_show_all = 150  # about 190 kB
    search_fields = ("name", "owner__username")
    fieldsets = (
        (None, {"fields": ("name", "owner", "app", "subreddits")}),
        (_("Posts"), {"fields": ("sort", "query", "time_filter", "post_limit")}),
        (
            _("Comments"),
            {
                "fields": (
                    "comment_policy", "comment_limit", "comment_depth", "comment_requests", "comment_min_score",
                    "comment_refresh_hours",
                )
            },
        ),
        (
            _("Filters"),
            {
                "fields": (
                    "nsfw", "min_score", "flairs_wanted", "flairs_unwanted", "domains_wanted", "domains_unwanted",
                    "pattern_wanted", "pattern_unwanted",
                ),
                "description": _("Posts that are left out are not stored; the session counts them by filter."),
            },
        ),
        (_("Running"), {"fields": ("is_active", "auto_scrape", "paused_because")}),
        (_("Listed so far"), {"fields": ("listed_so_far",)}),
    )  # fmt: skip
    readonly_fields = ("paused_because", "listed_so_far")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Hide the owner if it can only be the current person, and the history of a new bot."""
        general, *others = self.fieldsets
        if not sees_everybodys(request.user):
            general = (None, {"fields": ("name", "app", "subreddits")})
        return (general, *(others if obj is not None else others[:-1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Let only superusers change the owner."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "owner")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let people change their own bots."""
        return super().has_change_permission(request, obj) and _manages(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let people delete their own bots."""
        return super().has_delete_permission(request, obj) and _manages(request.user, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Preset the current person as the owner."""
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the bots this person may see, each with its latest session."""
        latest = ScrapeSession.objects.filter(config=OuterRef("pk")).order_by("-pk")
        configs: Any = super().get_queryset(request)
        managed = BotConfig.objects.managed_by(request.user).filter(pk=OuterRef("pk"))
        return bot_list.with_state(configs.visible_to(request.user)).annotate(
            is_managed=Exists(managed), last_session_id=Subquery(latest.values("pk")[:1])
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[bot_list.BotList]:
        """Return the list with the newest posts, sessions and states of its page."""
        return bot_list.BotList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search names and subreddits; r/name is that subreddit, whatever the case."""
        name = plain_subreddit(search_term)
        if not SUBREDDIT_NAME.match(name):
            return super().get_search_results(request, queryset, search_term)
        listed = queryset.alias(_names=Cast("subreddits", TextField()))
        if search_term.strip().lower().removeprefix("/").startswith(("r/", "u/", "user/", "http")):
            return listed.filter(_names__icontains=f'"{name}"'), False
        words = Q(_names__icontains=name)
        for field in self.search_fields:
            words |= Q(**{f"{field}__icontains": search_term.strip()})
        return listed.filter(words), False

    def save_model(self, request: HttpRequest, obj: BotConfig, form: ModelForm, change: bool) -> None:
        """Set the owner of a new bot."""
        if not change and not request.user.is_superuser:
            obj.owner = cast(User, request.user)
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[Any]:
        """Add the trials of a config, stored or about to be added."""
        return trial.urls(self) + super().get_urls()

    @admin.display(description=_("subreddits"))
    def subreddit_names(self, config: BotConfig) -> str:
        """List the first few subreddits."""
        shown = ", ".join(f"r/{name}" for name in config.subreddits[:SUBREDDITS_SHOWN])
        more = len(config.subreddits) - SUBREDDITS_SHOWN
        text = gettext("%(names)s and %(number)s more")
        return text % {"names": shown, "number": number(more)} if more > 0 else shown

    @admin.display(description=_("paused"))
    def paused_because(self, config: BotConfig) -> str:
        """Return the refusal by which Reddit paused the bot."""
        if config.paused_at is None:
            return "–"
        text = _("%(reason)s, %(number)d times in a row. Saving it as active ends the pause.")
        return str(text) % {"reason": config.pause_reason.capitalize(), "number": config.refusals}

    @admin.display(description=_("subreddits"))
    def listed_so_far(self, config: BotConfig) -> str:
        """Show each subreddit's newest post, why it is silent, and how often it must be scraped."""
        return render_to_string("scraping/_listed_so_far.html", listed_so_far.context(config))

    @admin.display(description=_("state"), ordering="list_place")
    def state(self, config: Any) -> str:
        """Show whether somebody is needed, and why."""
        state = bot_list.state_of(config)
        shown = badge(bot_list.BADGES[state], bot_list.LABELS[state])
        facts = config.facts
        if not (
            config.paused_at or facts.silent or facts.late or (config.is_active and not config.auto_scrape)
        ):
            return shown
        return render_to_string("scraping/_bot_state.html", {"bot": config, "badge": shown})

    @admin.display(description=_("newest post"))
    def newest_post(self, config: Any) -> str | None:
        """Say how new the newest post of all its subreddits is."""
        newest = config.facts.newest_at
        return time_ago(newest) if newest else None

    @admin.display(description=_("posts in 24 h"))
    def posts_of_day(self, config: Any) -> str:
        """Count the posts of the last 24 hours that the bot has found, whichever bot found them first."""
        return number(config.facts.posts_of_day)

    @admin.display(description=_("last session"))
    def last_session(self, config: Any) -> str | None:
        """Show how the latest session ended, and when it began."""
        session = config.facts.session
        if not session:
            return None
        shown = link(
            ScrapeSession, "change", badge(session.status, choice_label(session, "status")), session.pk
        )
        error = choice_label(session, "error_kind") if session.error_kind else ""
        why = format_html(' <span class="quiet-line">{}</span>', error) if error else ""
        return format_html("{} {}{}", shown, time_ago(session.started_at), why)

    @admin.display(description=_("scrape"))
    def scrape_now(self, config: Any) -> str | None:
        """Offer to scrape at once; the page behind asks before it starts anything."""
        if not config.is_active or not config.is_managed:
            return None
        return format_html(
            '<a class="push" href="{}">{} <span class="visually-hidden">{}</span></a>',
            runs().scrape_page(config.pk),
            _("Scrape now…"),
            config.name,
        )


def _manages(user: Person, bot: Model | None) -> bool:
    if bot is None:
        return True
    # A page asks several times; the query that read the bot has asked the database already.
    read: bool | None = getattr(bot, "is_managed", None)
    return BotConfig.objects.managed_by(user).filter(pk=bot.pk).exists() if read is None else read
