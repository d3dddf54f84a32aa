"""Holds: a person exempts posts from every retention, and gives a reason.

A hold is independent of edits of retentions and ends at ``until``. It never stops what Reddit's terms require: a held
post whose original was deleted is blanked like any other post.
"""

from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_noop

from audit import words
from audit.events import Subject, record_each
from database import clock
from database.ends import refuse_end
from database.messages import gettext as _
from scraping.models import RedditPost, RedditPostQuerySet

PERMISSION = "scraping.hold_redditpost"
HELD, RELEASED = "post.held", "post.released"
words.register({HELD: gettext_noop("held against deletion"), RELEASED: gettext_noop("released from hold")})
# The limit of one call, which is one transaction: a scrape or a purge may wait for its row locks.
POSTS_MAX = 10_000
REASON_MAX = 500


class TooManyPosts(ValueError):
    """The selection has more posts than one call may hold or release."""

    def __str__(self) -> str:
        return _("At most %(number)s posts at once: narrow the selection by a filter or a search.") % {
            "number": f"{POSTS_MAX:,}"
        }


def may_hold(user: User | AnonymousUser) -> bool:
    """Whether the person may hold and release posts."""
    return user.is_active and user.has_perm(PERMISSION)


def hold_posts(
    posts: RedditPostQuerySet, *, by: User | AnonymousUser, reason: str, until: datetime | None = None
) -> int:
    """Hold the posts until ``until``, or until they are released; return how many.

    A post that is held already gets the new hold; the history of the post keeps the earlier one.

    Raises:
        PermissionDenied; TooManyPosts; ValueError if the reason is empty, or ``until`` is past or too far away.
    """
    reason = _checked(by, reason)
    now = clock.now()
    refuse_end(until)
    return _write(
        posts,
        by=by,
        verb=HELD,
        reason=reason,
        after={"until": until.isoformat()} if until else None,
        values={"held_at": now, "held_until": until, "held_by_id": by.pk, "hold_reason": reason},
    )


def release_posts(posts: RedditPostQuerySet, *, by: User | AnonymousUser, reason: str) -> int:
    """Release the posts that are held; return how many.

    Raises:
        PermissionDenied; TooManyPosts; ValueError when the reason is empty.
    """
    reason = _checked(by, reason)
    return _write(
        posts.filter(held_at__isnull=False),
        by=by,
        verb=RELEASED,
        reason=reason,
        values={"held_at": None, "held_until": None, "held_by_id": None, "hold_reason": ""},
    )


def _checked(by: User | AnonymousUser, reason: str) -> str:
    if not may_hold(by):
        raise PermissionDenied(_("You may not hold or release posts."))
    reason = reason.strip()[:REASON_MAX]
    if not reason:
        raise ValueError(_("Say why."))
    return reason


def _write(
    posts: RedditPostQuerySet,
    *,
    by: User | AnonymousUser,
    verb: str,
    reason: str,
    after: dict[str, str] | None = None,
    values: dict[str, object],
) -> int:
    with transaction.atomic():
        # Locked in the same order as by a purge, so that the two wait for each other instead of deadlocking.
        locked = posts.order_by("created_at", "pk").select_for_update().values_list("pk", "fullname")
        rows = dict(locked[: POSTS_MAX + 1])
        if len(rows) > POSTS_MAX:
            raise TooManyPosts
        RedditPost.objects.filter(pk__in=rows).update(**values)
        # Without the title, which must disappear everywhere once it is deleted on Reddit.
        label = RedditPost._meta.label
        subjects = (Subject(label, str(pk), fullname) for pk, fullname in rows.items())
        record_each(verb, subjects, by=by, after=after, reason=reason)
    return len(rows)
