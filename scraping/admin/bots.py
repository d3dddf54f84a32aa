"""Bots, their sessions, and what they found."""

from typing import Any, cast

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Exists, Model, OuterRef, QuerySet, Subquery
from django.forms import ModelForm
from django.http import (
    HttpRequest,
    HttpResponse,
)
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from adminkit import live
from adminkit.admin_classes import PersonalAdmin, ReadOnlyAdmin
from adminkit.links import badge, link
from database.names import folded, folded_sql
from database.text import row_key
from scraping.admin import (
    post_display,
    trial,  # registers its page
)
from scraping.admin.bot_deletion import BotDeletion
from scraping.admin.export import BotFilter, ExportViews
from scraping.admin.forms import BotConfigForm, RedditAppForm
from scraping.admin.hold_actions import HoldActions, HoldFilter
from scraping.admin.post_display import with_parts_noted
from scraping.models import (
    BotConfig,
    ContentState,
    PostSighting,
    RedditApp,
    RedditComment,
    RedditPost,
    RequestBudget,
    ScrapeSession,
    Watermark,
)
from scraping.reddit.budget import state_of
from scraping.sessions import listed_so_far
from scraping.visibility import Person, sees_everybodys

SUBREDDITS_SHOWN_MAX = 100


def gauges(app: RedditApp | None, user: Person) -> dict[str, Any]:
    """Return what ``_budgets.html`` shows: the budget of one app, or of every client id that the user may see."""
    if app is not None:
        names = {app.client_id: app.name}
        address = reverse("admin:scraping_redditapp_budget", args=[app.pk])
    else:
        clients = RequestBudget.objects.order_by("client_id").values_list("client_id", flat=True)
        apps = dict(RedditApp.objects.visible_to(user).values_list("client_id", "name"))
        hidden = set(RedditApp.objects.exclude(client_id__in=apps).values_list("client_id", flat=True))
        names = {client: apps.get(client, "REDDIT_CLIENT_ID") for client in clients if client not in hidden}
        address = reverse("admin:scraping_redditapp_budgets")
    states = [(name, state_of(client_id)) for client_id, name in names.items()]
    return {"budgets": states, "budgets_address": address}


# --- Bots --------------------------------------------------------------------------------------


@admin.register(BotConfig)
class BotConfigAdmin(BotDeletion, PersonalAdmin):
    """Owners change their own bots, superusers all of them; who else sees them is said in ``visible_to``."""

    form = BotConfigForm
    change_form_template = "scraping/botconfig_form.html"
    list_display = (
        "name",
        "subreddit_names",
        "owner",
        "is_active",
        "auto_scrape",
        "last_session",
        "scrape_now",
    )
    list_filter = ("is_active", "auto_scrape", "sort")
    list_select_related = ("owner",)
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
        """Leave the owner out where it is always the person who asks, and the past of a bot that has none."""
        general, *others = self.fieldsets
        if not sees_everybodys(request.user):
            general = (None, {"fields": ("name", "app", "subreddits")})
        return (general, *(others if obj is not None else others[:-1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave it to superusers whose a bot is."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "owner")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let people change their own bots."""
        return super().has_change_permission(request, obj) and _manages(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let people delete their own bots."""
        return super().has_delete_permission(request, obj) and _manages(request.user, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Offer the person who asks as the owner."""
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the bots this person may see, each with its latest session."""
        latest = ScrapeSession.objects.filter(config=OuterRef("pk")).order_by("-pk")
        configs: Any = super().get_queryset(request)
        managed = BotConfig.objects.managed_by(request.user).filter(pk=OuterRef("pk"))
        return configs.visible_to(request.user).annotate(
            is_managed=Exists(managed),
            last_session_id=Subquery(latest.values("pk")[:1]),
            last_session_status=Subquery(latest.values("status")[:1]),
        )

    def save_model(self, request: HttpRequest, obj: BotConfig, form: ModelForm, change: bool) -> None:
        """Give a new bot its owner."""
        if not change and not request.user.is_superuser:
            obj.owner = cast(User, request.user)
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[Any]:
        """Add the trials of a config, stored or about to be added."""
        return trial.urls(self) + super().get_urls()

    @admin.display(description=_("subreddits"))
    def subreddit_names(self, config: BotConfig) -> str:
        """List the first few subreddits."""
        shown = ", ".join(f"r/{name}" for name in config.subreddits[:4])
        return f"{shown} …" if len(config.subreddits) > 4 else shown

    @admin.display(description=_("paused"))
    def paused_because(self, config: BotConfig) -> str:
        """Say which of Reddit's answers paused it."""
        if config.paused_at is None:
            return "–"
        text = _("%(reason)s, %(number)d times in a row. Saving it as active ends the pause.")
        return str(text) % {"reason": config.pause_reason.capitalize(), "number": config.refusals}

    @admin.display(description=_("subreddits"))
    def listed_so_far(self, config: BotConfig) -> str:
        """Show how new each subreddit's posts are, why it is silent, and how often it must be scraped."""
        return render_to_string("scraping/_listed_so_far.html", listed_so_far.context(config))

    @admin.display(description=_("last session"))
    def last_session(self, config: Any) -> str | None:
        """Show how the latest session ended."""
        if config.last_session_id is None:
            return None
        status = ScrapeSession.Status(config.last_session_status)
        return link(ScrapeSession, "change", badge(status, status.label), config.last_session_id)

    @admin.display(description=_("scrape"))
    def scrape_now(self, config: Any) -> str | None:
        """Offer to scrape at once; the page behind asks before it starts anything. Or say why it is paused."""
        if config.paused_at is not None:
            return str(config.pause_reason)
        if not config.is_active or not config.is_managed:
            return None
        return render_to_string("scraping/_scrape_now.html", {"config": config})


def _manages(user: Person, bot: Model | None) -> bool:
    return bot is None or BotConfig.objects.managed_by(user).filter(pk=bot.pk).exists()


@admin.register(RedditApp)
class RedditAppAdmin(admin.ModelAdmin):
    """OAuth clients, shared or somebody's own; a stored secret is never read here, so it cannot be shown."""

    form = RedditAppForm
    change_form_template = "scraping/redditapp_form.html"
    change_list_template = "scraping/redditapp_list.html"
    list_display = ("name", "client_id", "user_agent", "owned_by")
    list_select_related = ("owner",)
    search_fields = ("name", "client_id")
    fields = ("name", "client_id", "new_secret", "user_agent", "owner")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditApp]:
        """Return the apps that this person may see; their secrets stay sealed."""
        apps: Any = super().get_queryset(request)
        visible: QuerySet[RedditApp] = apps.visible_to(request.user)
        return visible

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave it to superusers whose an app is."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "owner")

    def save_model(self, request: HttpRequest, obj: RedditApp, form: ModelForm, change: bool) -> None:
        """Let a new app belong to whoever made it, unless a superuser chose."""
        if not change and not request.user.is_superuser:
            obj.owner = cast(User, request.user)
        super().save_model(request, obj, form, change)

    @admin.display(description=_("owner"), ordering="owner__username")
    def owned_by(self, app: RedditApp) -> str:
        """Name the owner, or say that there is none."""
        return app.owner.get_username() if app.owner else str(_("shared"))

    def get_urls(self) -> list[Any]:
        """Add the gauge of the budget, which its page asks for every few seconds."""
        view = self.admin_site.admin_view(self.budgets)
        return [
            path("budgets/", view, name="scraping_redditapp_budgets"),
            path("<int:pk>/budgets/", view, name="scraping_redditapp_budget"),
            *super().get_urls(),
        ]

    def budgets(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show what is left of an app's requests, or of everybody's."""
        app = get_object_or_404(self.get_queryset(request), pk=pk) if pk else None
        if not self.has_view_permission(request, app):
            raise PermissionDenied
        return live.answer(
            request,
            "scraping/_live.html",
            main="scraping/_budgets.html",
            context=gauges(app, request.user),
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show all budgets above the list."""
        return super().changelist_view(request, {**gauges(None, request.user), **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the app's budget above its form."""
        app = self.get_queryset(request).filter(pk=row_key(object_id)).first()
        gauge = gauges(app, request.user) if app else {}
        return super().change_view(request, object_id, form_url, {**gauge, **(extra_context or {})})


# --- Sessions ----------------------------------------------------------------------------------


@admin.register(ScrapeSession)
class ScrapeSessionAdmin(ReadOnlyAdmin):
    """What each scrape did; owners see those of their own bots."""

    change_form_template = "scraping/session.html"
    list_display = (
        "session", "status_badge", "kind", "started", "duration", "posts", "comments", "requests_used", "gap"
    )  # fmt: skip
    list_filter = ("status", "kind", "has_gap", "started_at")
    lookups = ("config",)
    search_fields = ("id__exact", "config_name")
    search_help_text = _("A session’s number, or a part of its bot’s name.")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the sessions this person may see."""
        sessions: Any = super().get_queryset(request)
        return sessions.visible_to(request.user)

    @admin.display(description=_("session"))
    def session(self, session: ScrapeSession) -> str:
        """Name the bot and the number."""
        return format_html('{} <span class="run-id">#{}</span>', session.config_name, session.pk)

    @admin.display(description=_("gap"))
    def gap(self, session: ScrapeSession) -> str:
        """Show that the listing ended before the last known post; a red cross for "no" would alarm."""
        return badge(ScrapeSession.Status.PARTIAL, _("Gap")) if session.has_gap else "–"

    @admin.display(description=_("status"))
    def status_badge(self, session: ScrapeSession) -> str:
        """Show the status as a badge."""
        return badge(session.status, session.get_status_display())

    @admin.display(description=_("started"))
    def started(self, session: ScrapeSession) -> str:
        """Say how long ago it started."""
        return render_to_string("scraping/_ago.html", {"moment": session.started_at})

    @admin.display(description=_("duration"))
    def duration(self, session: ScrapeSession) -> str:
        """Say how long it took."""
        return render_to_string("scraping/_duration.html", {"session": session})

    @admin.display(description=_("posts (new)"))
    def posts(self, session: ScrapeSession) -> str:
        """Count posts."""
        return f"{session.posts_found} ({session.posts_new})"

    @admin.display(description=_("comments (new)"))
    def comments(self, session: ScrapeSession) -> str:
        """Count comments."""
        return f"{session.comments_found} ({session.comments_new})"


# --- Content -----------------------------------------------------------------------------------


def subreddits_of(user: Person) -> list[str]:
    """Return the first 100 subreddits of which the user may see posts."""
    if sees_everybodys(user):
        return stored_subreddits()
    own = BotConfig.objects.managed_by(user)
    listed = set(Watermark.objects.filter(config__in=own).values_list("name", flat=True))
    listed.update(name for names in own.values_list("subreddits", flat=True) for name in names)
    posts = RedditPost.objects.visible_to(user)
    return [name for name in sorted(listed) if posts.filter(subreddit__folded=folded(name)).exists()][
        :SUBREDDITS_SHOWN_MAX
    ]


def stored_subreddits() -> list[str]:
    """Return the first 100 subreddits that have posts, by one index look-up each instead of a scan."""
    table = connection.ops.quote_name(RedditPost._meta.db_table)
    key = folded_sql("subreddit")
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE names(name) AS (SELECT min({key}) FROM {table}"  # noqa: S608  # the table's own name
            f" UNION ALL SELECT (SELECT min({key}) FROM {table} WHERE {key} > names.name)"
            " FROM names WHERE names.name IS NOT NULL)"
            f" SELECT (SELECT subreddit FROM {table} WHERE {key} = names.name LIMIT 1)"
            " FROM names WHERE name IS NOT NULL LIMIT %s",
            [SUBREDDITS_SHOWN_MAX],
        )
        return [name for (name,) in cursor.fetchall()]


class SubredditFilter(admin.SimpleListFilter):
    """Posts of one subreddit."""

    title = _("subreddit")
    parameter_name = "subreddit"
    is_verbatim = True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the subreddits that have posts."""
        return [(name, f"r/{name}") for name in subreddits_of(request.user)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the chosen one."""
        name = self.value()
        return queryset.filter(subreddit__folded=folded(name)) if name else queryset


class ContentAdmin(ExportViews, ReadOnlyAdmin):
    """What posts and comments share; each person's list, pages and export hold what they may see."""

    change_list_template = "scraping/content_list.html"
    list_filter = [BotFilter, "state"]
    sortable_by = ()
    # Django shows the search box only where this is not empty; get_search_results decides what is searched.
    search_fields = ("fullname",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what this person may see."""
        rows: Any = super().get_queryset(request)
        visible: QuerySet[Any] = rows.visible_to(request.user)
        return visible

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by what is exact: a fullname, u/author; LIKE would read the whole table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.lower().startswith("u/"):
            return queryset.filter(author=term[2:]), False
        return self.search_exact(queryset, term), False

    def search_exact(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the rows that the term names."""
        raise NotImplementedError

    @admin.display(description=_("state"))
    def state_badge(self, content: RedditPost | RedditComment) -> str:
        """Show what became of it on Reddit."""
        return badge(content.state, ContentState(content.state).label)

    @admin.display(description=_("created"))
    def created(self, content: RedditPost | RedditComment) -> str:
        """Say how long ago it was made on Reddit."""
        return render_to_string("scraping/_ago.html", {"moment": content.created_at})

    @admin.display(description=_("author"))
    def author_name(self, content: RedditPost | RedditComment) -> str | None:
        """Show the author as Reddit writes it."""
        return f"u/{content.author}" if content.author else None


@admin.register(RedditPost)
class RedditPostAdmin(HoldActions, ContentAdmin):
    """Posts, newest first."""

    change_form_template = "scraping/post.html"
    list_display = (
        "headline",
        "subreddit_name",
        "author_name",
        "score",
        "comment_count",
        "state_badge",
        "hold_badge",
        "created",
    )
    list_filter = [SubredditFilter, BotFilter, "state", HoldFilter, "created_at"]
    lookups = ("session",)
    list_select_related = ("held_by",)
    search_help_text = _("A fullname (t3_…), r/subreddit or u/author, written out.")
    fieldsets = (
        (None, {"fields": ("fullname", "title", "body", "on_reddit", "url", "media")}),
        (
            _("On Reddit"),
            {
                "fields": (
                    "subreddit", "author", "author_fullname", "flair", "domain", "score", "upvote_ratio",
                    "num_comments", "created_at", "edited_at", "is_over_18", "is_spoiler", "is_locked", "is_stickied",
                )
            },
        ),
        (
            _("Here"),
            {
                "fields": (
                    "state", "removed_by_category", "is_author_deleted", "comment_count", "stored_comments",
                    "found_by", "bot", "first_seen_at", "last_seen_at", "checked_at", "missing_count",
                )
            },
        ),
        (_("Hold"), {"fields": ("held_at", "held_until", "held_by", "hold_reason")}),
    )  # fmt: skip
    readonly_fields = (
        "on_reddit", "crosspost_of", "pictures", "votes", "comment_count", "stored_comments", "found_by", "bot",
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Add what this post has besides title and text."""
        first, *others = self.fieldsets
        parts = post_display.parts_of(obj) if isinstance(obj, RedditPost) else ()
        return (first, *([(_("Parts"), {"fields": parts})] if parts else []), *others)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditPost]:
        """Leave long texts out of the list; add to a post who found it, as far as this person may see them."""
        posts: QuerySet[RedditPost] = super().get_queryset(request)
        if self.is_list(request):
            listed: QuerySet[RedditPost] = with_parts_noted(posts)
            return listed.defer("body", "media", "url", "gallery", "poll", "crosspost_body")
        bots = BotConfig.objects.visible_to(request.user)
        sessions = ScrapeSession.objects.visible_to(request.user)
        sightings = PostSighting.objects.filter(post=OuterRef("pk"), config__in=bots)
        parents = RedditPost.objects.visible_to(request.user).filter(fullname=OuterRef("crosspost_parent"))
        return posts.annotate(
            parent_id=Subquery(parents.values("pk")[:1]),
            seen_session_id=Subquery(sessions.filter(pk=OuterRef("session_id")).values("pk")[:1]),
            seen_session_name=Subquery(sessions.filter(pk=OuterRef("session_id")).values("config_name")[:1]),
            first_bot=Subquery(bots.filter(pk=OuterRef("config_id")).values("name")[:1]),
            own_bot=Subquery(sightings.order_by("config_id").values("config__name")[:1]),
        )

    def search_exact(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Find a post by its fullname, or those of a subreddit however it is capitalised."""
        if term.startswith("t3_"):
            return queryset.filter(fullname=term)
        name = term[2:] if term.lower().startswith("r/") else term
        return queryset.filter(subreddit__folded=folded(name))

    @admin.display(description=_("title"))
    def headline(self, post: Any) -> str:
        """Show the title, or the fullname where the title was blanked, and what kind of post it is."""
        return post_display.headline(post)

    @admin.display(description=_("subreddit"))
    def subreddit_name(self, post: RedditPost) -> str:
        """Show the subreddit as Reddit writes it."""
        return f"r/{post.subreddit}"

    @admin.display(description=_("comments"))
    def comment_count(self, post: RedditPost) -> str:
        """Show how complete the stored tree is."""
        share = "" if post.comment_share is None else f" ({post.comment_share:.0f} %)"
        unavailable = (post.walk or {}).get("unavailable")
        lost = ", " + _("%(number)d unavailable") % {"number": unavailable} if unavailable else ""
        return f"{post.comments_fetched} / {post.num_comments}{share}{lost}"

    @admin.display(description=_("on Reddit"))
    def on_reddit(self, post: RedditPost) -> str | None:
        """Lead to the original, unless it is gone there."""
        if post.state != ContentState.LIVE:
            return None
        return format_html(
            '<a href="{0}/comments/{1}/" rel="noreferrer noopener">{0}/comments/{1}/</a>',
            settings.REDDIT_URL.rstrip("/"),
            post.id36,
        )

    @admin.display(description=_("crosspost of"))
    def crosspost_of(self, post: Any) -> str:
        """Lead to the post that this one passes on."""
        return post_display.crosspost_of(post, RedditPost.objects.filter(pk=post.parent_id))

    @admin.display(description=_("gallery"))
    def pictures(self, post: RedditPost) -> str:
        """List the gallery's pictures."""
        return post_display.pictures(post)

    @admin.display(description=_("poll"))
    def votes(self, post: RedditPost) -> str:
        """Show the poll."""
        return post_display.votes(post)

    @admin.display(description=_("stored comments"))
    def stored_comments(self, post: RedditPost) -> str:
        """Lead to the post's comments."""
        return link(RedditComment, "changelist", _("Show"), query=f"?post__id__exact={post.pk}")

    @admin.display(description=_("found by"))
    def found_by(self, post: Any) -> str:
        """Lead to the session that found it first; sessions are deleted before posts."""
        if post.seen_session_id is None:
            return "–"
        name = f"{post.seen_session_name} #{post.seen_session_id}"
        return link(ScrapeSession, "change", name, post.seen_session_id)

    @admin.display(description=_("bot"))
    def bot(self, post: Any) -> str:
        """Name the bot that found it first, whose retention counts for the post; to its owner else their own bot."""
        return str(post.first_bot or post.own_bot or "–")


@admin.register(RedditComment)
class RedditCommentAdmin(ContentAdmin):
    """Comments, newest first."""

    change_form_template = "scraping/content.html"
    list_display = ("excerpt", "post_link", "author_name", "score", "depth", "state_badge", "created")
    list_select_related = ("post",)
    lookups = ("post",)
    search_help_text = _("A fullname (t1_…), its post’s (t3_…), or u/author, written out.")
    fieldsets = (
        (None, {"fields": ("fullname", "body", "post_link", "parent_link")}),
        (
            _("On Reddit"),
            {
                "fields": (
                    "author", "author_fullname", "score", "is_score_hidden", "depth", "is_submitter",
                    "distinguished", "is_stickied", "created_at", "edited_at",
                )
            },
        ),
        (
            _("Here"),
            {
                "fields": (
                    "state", "is_author_deleted", "first_seen_at", "last_seen_at", "checked_at", "missing_count",
                )
            },
        ),
    )  # fmt: skip
    readonly_fields = ("post_link", "parent_link")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditComment]:
        """Leave the posts' long texts out."""
        comments: QuerySet[RedditComment] = super().get_queryset(request)
        return comments.select_related("post").defer(
            "post__body", "post__media", "post__url", "post__hold_reason"
        )

    def search_exact(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Find a comment by its fullname, or those of a post."""
        if term.startswith("t3_"):
            return queryset.filter(post__fullname=term)
        return queryset.filter(fullname=term if term.startswith("t1_") else f"t1_{term}")

    @admin.display(description=_("text"))
    def excerpt(self, comment: RedditComment) -> str:
        """Show how the comment begins, or its fullname where the text was blanked."""
        return comment.body[:120] or comment.fullname

    @admin.display(description=_("post"))
    def post_link(self, comment: RedditComment) -> str:
        """Lead to the post."""
        return link(RedditPost, "change", comment.post, comment.post_id)

    @admin.display(description=_("answers"))
    def parent_link(self, comment: RedditComment) -> str:
        """Lead to what it answers, where that is stored."""
        parent = RedditComment.objects.filter(fullname=comment.parent_fullname).only("pk").first()
        return (
            link(RedditComment, "change", comment.parent_fullname, parent.pk)
            if parent
            else comment.parent_fullname
        )
