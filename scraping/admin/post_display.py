"""Displays the other parts of a post: gallery, poll, crosspost."""

from typing import Any

from django.conf import settings
from django.db.models import Case, QuerySet, Value, When
from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from database import clock
from database.percents import percent
from scraping.models import RedditPost


def with_parts_noted(posts: Any) -> Any:
    """Add ``has_gallery`` and ``has_poll``, so that a list need not read the JSON columns."""
    return posts.annotate(
        has_gallery=Case(When(gallery__isnull=False, then=Value(True)), default=Value(False)),
        has_poll=Case(When(poll__isnull=False, then=Value(True)), default=Value(False)),
    )


def headline(post: Any) -> str:
    """Return the title, or the fullname if the title was blanked, and the kind of post."""
    tags = {
        _("NSFW"): post.is_over_18,
        _("spoiler"): post.is_spoiler,
        _("crosspost"): post.crosspost_parent,
        _("gallery"): post.has_gallery,
        _("poll"): post.has_poll,
    }
    shown = format_html_join(
        "", ' <span class="tag">{}</span>', ((text,) for text, is_so in tags.items() if is_so)
    )
    return format_html("{}{}", str(post), shown)


def parts_of(post: RedditPost) -> tuple[str, ...]:
    """Return the names of the displays that are not empty for this post."""
    shown = {
        "crosspost_of": post.crosspost_parent,
        "crosspost_body": post.crosspost_body,
        "pictures": post.gallery,
        "votes": post.poll,
    }
    return tuple(name for name, value in shown.items() if value)


def crosspost_of(post: RedditPost, visible: QuerySet[RedditPost]) -> str:
    """Link to the parent of a crosspost: to the stored post if the reader may see it, and to Reddit."""
    name = post.crosspost_parent
    stored = visible.filter(fullname=name).only("pk", "fullname", "title").first()
    address = f"{settings.REDDIT_URL.rstrip('/')}/comments/{name.partition('_')[2]}/"
    return render_to_string("scraping/_crosspost.html", {"stored": stored, "name": name, "address": address})


def pictures(post: RedditPost) -> str:
    """List the pictures of a gallery as links; the page loads nothing from Reddit."""
    listed = post.gallery if isinstance(post.gallery, list) else []
    return render_to_string(
        "scraping/_gallery.html", {"pictures": [entry for entry in listed if isinstance(entry, dict)]}
    )


def votes(post: RedditPost) -> str:
    """Show a poll's options with their votes, if Reddit gives them."""
    poll = post.poll if isinstance(post.poll, dict) else {}
    total = poll.get("votes") or 0
    options = [
        (
            option,
            percent(option["votes"] / total, digits=0)
            if total and isinstance(option.get("votes"), int)
            else None,
        )
        for option in poll.get("options", [])
    ]
    ends_at = parse_datetime(poll.get("ends_at") or "")
    is_open = ends_at is not None and ends_at > clock.now()
    return render_to_string(
        "scraping/_poll.html", {"options": options, "poll": poll, "ends_at": ends_at, "is_open": is_open}
    )
