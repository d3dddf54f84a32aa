"""The admin of posts and comments."""

import json
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.http import (
    HttpRequest,
)
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.filters import rare_choices
from adminkit.links import badge, link, time_ago
from adminkit.templatetags.display import number
from database.names import folded, folded_sql
from database.percents import percent
from scraping.admin import content_list, post_display
from scraping.admin.export import BotFilter, ExportViews
from scraping.admin.holds import HoldActions, HoldFilter
from scraping.admin.post_display import with_parts_noted
from scraping.item_names import names_in
from scraping.models import (
    BotConfig,
    ContentState,
    RedditComment,
    RedditPost,
    ScrapeSession,
    Watermark,
)
from scraping.subreddit_names import plain_author, plain_subreddit
from scraping.visibility import Person, sees_everybodys

SUBREDDITS_SHOWN_MAX = 100
STATE_FILTER: Any = ("state", rare_choices(ContentState.LIVE))


def subreddits_of(user: Person) -> list[str]:
    """Return the first 100 subreddits with posts that the user may see."""
    if sees_everybodys(user):
        return stored_subreddits()
    own = BotConfig.objects.managed_by(user)
    listed = set(Watermark.objects.filter(config__in=own).values_list("name", flat=True))
    listed.update(name for names in own.values_list("subreddits", flat=True) for name in names)
    stored = _with_posts({folded(name) for name in listed}, RedditPost.objects.visible_to(user))
    return [name for name in sorted(listed) if folded(name) in stored][:SUBREDDITS_SHOWN_MAX]


def _with_posts(names: set[str], posts: QuerySet[RedditPost]) -> set[str]:
    """Return those of these folded names that have posts, in one query with an index look-up each."""
    if not names:
        return set()
    first = posts.filter(subreddit__folded=RawSQL("names.value", ())).order_by().values("pk")[:1]
    sql, params = first.query.sql_with_params()
    is_postgres = connection.vendor == "postgresql"
    source = "unnest(%s::text[]) AS names (value)" if is_postgres else "json_each(%s) AS names"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT names.value FROM {source} WHERE ({sql}) IS NOT NULL",  # noqa: S608  # Django's own SQL
            [list(names) if is_postgres else json.dumps(list(names)), *params],
        )
        return {name for (name,) in cursor.fetchall()}


def stored_subreddits() -> list[str]:
    """Return the first 100 subreddits that have posts, by one index look-up each (a loose index scan)."""
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
    """Filters posts by subreddit."""

    title = _("subreddit")
    parameter_name = "subreddit"
    is_verbatim = True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the subreddits that have posts."""
        return [(name, f"r/{name}") for name in subreddits_of(request.user)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the posts of the chosen subreddit."""
        name = self.value()
        return queryset.filter(subreddit__folded=folded(name)) if name else queryset


class ContentAdmin(ExportViews, ReadOnlyAdmin):
    """The common part of posts and comments; lists, pages and exports hold only what the person may see."""

    change_list_template = "scraping/content_list.html"
    list_filter = [BotFilter, STATE_FILTER]
    empty_list = _(
        "Nothing is stored that you may see. What bots find appears here: add a bot, or scrape one now."
    )
    # Django shows the search box only if this is not empty; get_search_results decides what is searched.
    search_fields = ("fullname",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows that this person may see."""
        rows: Any = super().get_queryset(request)
        visible: QuerySet[Any] = rows.visible_to(request.user)
        return visible

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for exact values only, such as a fullname or u/author, because LIKE would read the whole table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if author := plain_author(term):
            return queryset.filter(author=author), False
        return self.search_exact(queryset, term, names_in(term)), False

    def search_exact(self, queryset: QuerySet[Any], term: str, names: list[str]) -> QuerySet[Any]:
        """Return the rows that match the term exactly; ``names``: the fullnames in it, of a link for example."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[content_list.ContentList]:
        """Return the list that knows who found its rows."""
        return content_list.ContentList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row with the names of the bots that found it."""
        content = super().get_object(request, object_id, from_field)
        if content is not None:
            post_id = content_list.post_id_of(content)
            content.finders = content_list.finders({post_id}, request.user).get(post_id, [])
        return content

    @admin.display(description=_("score"))
    def points(self, content: RedditPost | RedditComment) -> str:
        """Show the score with its thousands apart."""
        return number(content.score)

    @admin.display(description=_("found by"))
    def found_by_bots(self, content: Any) -> str | None:
        """Name the bots that found it; bot owners see their own only."""
        return content_list.names(content.finders) or None

    @admin.display(description=_("found by"))
    def found_by(self, content: Any) -> str:
        """Name all bots that found it, on its page; bot owners see their own only."""
        return ", ".join(content.finders) or "–"

    @admin.display(description=_("on Reddit"))
    def reddit_link(self, content: RedditPost | RedditComment) -> str | None:
        """Lead to the original."""
        return content_list.link_to_reddit(content, str(_("Open")))

    @admin.display(description=_("on Reddit"))
    def on_reddit(self, content: RedditPost | RedditComment) -> str | None:
        """Link to the original on Reddit, unless it is gone."""
        return content_list.link_to_reddit(content)

    @admin.display(description=_("state"))
    def state_badge(self, content: RedditPost | RedditComment) -> str:
        """Show the item's state on Reddit."""
        return badge(content.state, ContentState(content.state).label)

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, content: RedditPost | RedditComment) -> str:
        """Say how long ago it was made on Reddit."""
        return time_ago(content.created_at)

    @admin.display(description=_("author"))
    def author_name(self, content: RedditPost | RedditComment) -> str | None:
        """Show the author as Reddit writes it."""
        return f"u/{content.author}" if content.author else None


@admin.register(RedditPost)
class RedditPostAdmin(HoldActions, ContentAdmin):
    """Posts, newest first."""

    change_form_template = "scraping/post.html"
    sortable_by = ("created",)
    list_display = (
        "headline",
        "subreddit_name",
        "author_name",
        "points",
        "comment_count",
        "state_badge",
        "hold_badge",
        "found_by_bots",
        "created",
        "reddit_link",
    )
    list_filter = [SubredditFilter, BotFilter, STATE_FILTER, HoldFilter, "created_at"]
    lookups = ("session",)
    list_select_related = ("held_by",)
    search_help_text = _(
        "A complete fullname (t3_…) or a link, r/subreddit, or u/author as Reddit spells it."
    )
    fieldsets = (
        (None, {"fields": ("fullname", "title", "body", "on_reddit", "url", "media")}),
        (
            _("On Reddit"),
            {
                "fields": (
                    "subreddit", "author", "author_fullname", "flair", "domain", "points", "upvote_ratio",
                    "comments_on_reddit", "created_at", "edited_at", "is_over_18", "is_spoiler", "is_locked", "is_stickied",
                )
            },
        ),
        (
            _("Here"),
            {
                "fields": (
                    "state", "removed_by_category", "is_author_deleted", "comment_count", "stored_comments",
                    "found_by", "first_session", "first_bot", "first_seen_at", "last_seen_at", "checked_at", "missing_count",
                )
            },
        ),
        (_("Hold"), {"fields": ("held_at", "held_until", "held_by", "hold_reason")}),
    )  # fmt: skip
    readonly_fields = (
        "on_reddit", "crosspost_of", "pictures", "votes", "comment_count", "stored_comments", "found_by", "first_session",
        "first_bot", "points", "comments_on_reddit",
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Add what this post has besides title and text."""
        first, *others = self.fieldsets
        parts = post_display.parts_of(obj) if isinstance(obj, RedditPost) else ()
        return (first, *([(_("Parts"), {"fields": parts})] if parts else []), *others)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditPost]:
        """Leave long texts out of the list; add to a post its first session and bot, if this person may see them."""
        posts: QuerySet[RedditPost] = super().get_queryset(request)
        if self.is_list(request):
            listed: QuerySet[RedditPost] = with_parts_noted(posts)
            return listed.defer("body", "media", "url", "gallery", "poll", "crosspost_body")
        bots = BotConfig.objects.named_to(request.user)
        sessions = ScrapeSession.objects.named_to(request.user)
        parents = RedditPost.objects.visible_to(request.user).filter(fullname=OuterRef("crosspost_parent"))
        return posts.annotate(
            parent_id=Subquery(parents.values("pk")[:1]),
            seen_session_id=Subquery(sessions.filter(pk=OuterRef("session_id")).values("pk")[:1]),
            seen_session_name=Subquery(sessions.filter(pk=OuterRef("session_id")).values("config_name")[:1]),
            first_bot=Subquery(bots.filter(pk=OuterRef("config_id")).values("name")[:1]),
        )

    def search_exact(self, queryset: QuerySet[Any], term: str, names: list[str]) -> QuerySet[Any]:
        """Find posts by fullname or link, or the posts of a subreddit, in any case."""
        if names:
            return queryset.filter(fullname__in=names)
        return queryset.filter(subreddit__folded=folded(plain_subreddit(term)))

    @admin.display(description=_("title"))
    def headline(self, post: Any) -> str:
        """Show the title, or the fullname if the title was blanked, and the kind of post."""
        return post_display.headline(post)

    @admin.display(description=_("subreddit"))
    def subreddit_name(self, post: RedditPost) -> str:
        """Show the subreddit as Reddit writes it."""
        return f"r/{post.subreddit}"

    @admin.display(description=_("comments"))
    def comment_count(self, post: RedditPost) -> str:
        """Show how complete the stored tree is."""
        share = "" if post.comment_share is None else f" ({percent(post.comment_share / 100, digits=0)} %)"
        unavailable = (post.walk or {}).get("unavailable")
        lost = ", " + _("%(number)d unavailable") % {"number": unavailable} if unavailable else ""
        return f"{number(post.comments_fetched)} / {number(post.num_comments)}{share}{lost}"

    @admin.display(description=_("crosspost of"))
    def crosspost_of(self, post: Any) -> str:
        """Link to the parent of a crosspost."""
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
        """Link to the post's comments."""
        return link(RedditComment, "changelist", _("Show"), query=f"?post__id__exact={post.pk}")

    @admin.display(description=_("first session"))
    def first_session(self, post: Any) -> str:
        """Link to the session that found the post first, which may have been deleted since."""
        if post.seen_session_id is None:
            return "–"
        name = f"{post.seen_session_name} #{post.seen_session_id}"
        return link(ScrapeSession, "change", name, post.seen_session_id)

    @admin.display(description=_("first bot (its retention applies)"))
    def first_bot(self, post: Any) -> str:
        """Name the bot that found the post first, unless the reader may not see it."""
        return str(post.first_bot or "–")

    @admin.display(description=_("comments on Reddit"))
    def comments_on_reddit(self, post: RedditPost) -> str:
        """Show Reddit's count with its thousands apart."""
        return number(post.num_comments)


@admin.register(RedditComment)
class RedditCommentAdmin(ContentAdmin):
    """Comments, newest first."""

    change_form_template = "scraping/content.html"
    list_display = (
        "excerpt", "post_link", "author_name", "points", "depth", "state_badge", "hold_badge", "found_by_bots",
        "created", "reddit_link",
    )  # fmt: skip
    list_select_related = ("post", "post__held_by")
    lookups = ("post",)
    search_help_text = _(
        "The complete fullname of a comment (t1_…) or of its post (t3_…), a link, or u/author as Reddit spells it."
    )
    fieldsets = (
        (None, {"fields": ("fullname", "body", "post_link", "parent_link", "on_reddit")}),
        (
            _("On Reddit"),
            {
                "fields": (
                    "author", "author_fullname", "points", "is_score_hidden", "depth", "is_submitter",
                    "distinguished", "is_stickied", "created_at", "edited_at",
                )
            },
        ),
        (
            _("Here"),
            {
                "fields": (
                    "state", "hold_badge", "found_by", "is_author_deleted", "first_seen_at", "last_seen_at",
                    "checked_at", "missing_count",
                )
            },
        ),
    )  # fmt: skip
    readonly_fields = ("post_link", "parent_link", "on_reddit", "hold_badge", "found_by", "points")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditComment]:
        """Leave the posts' long texts out."""
        comments: QuerySet[RedditComment] = super().get_queryset(request)
        return comments.select_related("post", "post__held_by").defer(
            "post__body", "post__media", "post__url", "post__gallery", "post__poll", "post__crosspost_body"
        )

    def search_exact(self, queryset: QuerySet[Any], term: str, names: list[str]) -> QuerySet[Any]:
        """Find comments by fullname, id or link, or the comments of a post."""
        comments = [name for name in names if name.startswith("t1_")]
        if names and not comments:
            return queryset.filter(post__fullname__in=names)
        return queryset.filter(fullname__in=comments or [f"t1_{term.lower()}"])

    @admin.display(description=_("text"))
    def excerpt(self, comment: RedditComment) -> str:
        """Show the beginning of the comment, or its fullname if the text was blanked."""
        return comment.body[:120] or comment.fullname

    @admin.display(description=_("hold"))
    def hold_badge(self, comment: RedditComment) -> str | None:
        """Show the hold of its post, with which it stays and goes."""
        post = comment.post
        return render_to_string("scraping/_hold.html", {"post": post}) if post.held_at else None

    @admin.display(description=_("post"))
    def post_link(self, comment: RedditComment) -> str:
        """Link to the post."""
        return link(RedditPost, "change", comment.post, comment.post_id)

    @admin.display(description=_("answers"))
    def parent_link(self, comment: RedditComment) -> str:
        """Link to the post or comment that it answers, if that is stored."""
        parent = RedditComment.objects.filter(fullname=comment.parent_fullname).only("pk").first()
        return (
            link(RedditComment, "change", comment.parent_fullname, parent.pk)
            if parent
            else comment.parent_fullname
        )
