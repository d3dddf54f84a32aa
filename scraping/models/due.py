"""Comment walks that are due: posts whose comments a bot still has to read.

One failed request (403, 404, 451 or other) proves nothing about a post: it happens to intact posts too. So the post
stays due, with the reason and the time of the next try, until its comments are read or the post is gone from Reddit,
even if no listing shows it again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.messages import MessageField, MessagesQuerySet, PartsField
from database.names import folded
from scraping.models.bots import BotConfig

# The first retries happen at the next scrape; after them the wait doubles each time (exponential backoff).
TRIES_AT_ONCE: Final = 5
FIRST_WAIT: Final = timedelta(hours=1)
LONGEST_WAIT: Final = timedelta(hours=24)


class DueWalk(models.Model):
    """A post whose comments a bot still has to read."""

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # duewalk_one_per_post
        related_name="due_walks",
        verbose_name=_("bot"),
    )
    # Written as in the config's list, perhaps in other case than there now: compared case-folded.
    subreddit = models.CharField(_("subreddit"), max_length=50)
    fullname = models.CharField(_("post"), max_length=16)
    # An ErrorKind and its text; empty: not tried yet.
    reason = models.CharField(_("reason"), max_length=16, blank=True)
    error = MessageField(_("error"), blank=True)
    error_parts = PartsField(of="error")
    tries = models.PositiveIntegerField(_("tries"), default=0, db_default=0)
    since = models.DateTimeField(_("since"), default=clock.now, db_default=Now())
    next_try_at = models.DateTimeField(_("next try"), default=clock.now, db_default=Now())

    objects = MessagesQuerySet.as_manager()

    class Meta:
        verbose_name = _("due comments")
        verbose_name_plural = _("due comments")
        ordering = ["next_try_at", "id"]
        constraints = [
            DatabaseOnDelete(name="duewalk_config_fk", field="config"),
            models.UniqueConstraint(fields=["config", "fullname"], name="duewalk_one_per_post"),
            models.CheckConstraint(name="duewalk_is_of_a_post", condition=Q(fullname__startswith="t3_")),
        ]

    def __str__(self) -> str:
        return self.fullname


def posts_due(config_id: int, subreddit: str) -> list[str]:
    """Return the fullnames of the posts to try now, those with the fewest failures first."""
    rows = _of(config_id, subreddit).filter(next_try_at__lte=clock.now())
    return list(rows.order_by("tries", "id").values_list("fullname", flat=True))


def among(config_id: int, fullnames: Iterable[str]) -> set[str]:
    """Return those of the posts that are due, now or later."""
    rows = DueWalk.objects.filter(config=config_id, fullname__in=list(fullnames))
    return set(rows.values_list("fullname", flat=True))


def number_waiting(config_id: int, subreddit: str) -> int:
    """Return the number of posts whose comments are not read yet."""
    return _of(config_id, subreddit).count()


def _of(config_id: int, subreddit: str) -> models.QuerySet[DueWalk]:
    return DueWalk.objects.filter(config=config_id, subreddit__folded=folded(subreddit))


def keep_due(config_id: int, subreddit: str, fullnames: Iterable[str]) -> None:
    """Make posts due that were not requested yet, for the next scrape; posts already due are not changed."""
    DueWalk.objects.bulk_create(
        [DueWalk(config_id=config_id, subreddit=subreddit, fullname=fullname) for fullname in fullnames],
        ignore_conflicts=True,
    )


def note_failure(config_id: int, subreddit: str, fullname: str, *, reason: str, error: str) -> int:
    """Keep a post due after a failed try; return how often it was tried."""
    keep_due(config_id, subreddit, [fullname])
    row = DueWalk.objects.filter(config=config_id, fullname=fullname)
    row.update(tries=F("tries") + 1, reason=reason, error=error)
    tries = row.values_list("tries", flat=True).first() or 1
    row.update(next_try_at=next_try(tries, now=clock.now()))
    return tries


def next_try(tries: int, *, now: datetime) -> datetime:
    """Return when a post may be tried again after so many tries."""
    waits = tries - TRIES_AT_ONCE
    return now if waits < 0 else now + min(FIRST_WAIT * 2 ** min(waits, 10), LONGEST_WAIT)


def settle(config_id: int, fullname: str) -> None:
    """Remove a post: its comments are read, or it is gone."""
    DueWalk.objects.filter(config=config_id, fullname=fullname).delete()


def forget_unwanted(config_id: int, subreddits: Iterable[str]) -> None:
    """Remove the posts of subreddits that the bot no longer scrapes."""
    DueWalk.objects.filter(config=config_id).exclude(
        subreddit__folded__in=[folded(name) for name in subreddits]
    ).delete()
