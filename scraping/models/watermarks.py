"""The watermarks: how far each bot has listed each subreddit."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete
from database.names import Folded
from scraping.models.bots import BotConfig


class Watermark(models.Model):
    """How far a config has listed one subreddit, newest first: all posts up to ``newest_at`` have been listed."""

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # watermark_one_per_subreddit
        related_name="watermarks",
        verbose_name=_("bot"),
    )
    # The name in the config's list, case-folded (``database.names``).
    subreddit = models.CharField(_("subreddit"), max_length=50)
    # The name as Reddit writes it, as it is stored with its posts.
    name = models.CharField(_("subreddit"), max_length=50)
    # "new" or "search:…", because each listing shows different posts.
    listing = models.CharField(_("listing"), max_length=600)
    newest_at = models.DateTimeField(_("newest post"))
    listed_at = models.DateTimeField(_("listed"))
    posts_per_hour = models.FloatField(_("posts an hour"), null=True, blank=True)
    # The fullnames of the listing's first posts: the next listing has met it when it shows one of them.
    anchors = models.JSONField(_("listed last"), null=True, blank=True)
    # The oldest time of the first listing, if there was more: a deep reading does not go further back.
    since = models.DateTimeField(_("listed since"), null=True, blank=True)
    # When late approvals were last looked for, and how many hours before the newest post.
    deep_at = models.DateTimeField(_("late approvals looked for"), null=True, blank=True)
    late_hours = models.FloatField(_("hours covered for late approvals"), null=True, blank=True)

    class Meta:
        verbose_name = _("watermark")
        verbose_name_plural = _("watermarks")
        ordering = ["subreddit"]
        constraints = [
            DatabaseOnDelete(name="watermark_config_fk", field="config"),
            models.UniqueConstraint(fields=["config", "subreddit"], name="watermark_one_per_subreddit"),
            models.CheckConstraint(
                name="watermark_subreddit_is_folded", condition=Q(subreddit=Folded("subreddit"))
            ),
            models.CheckConstraint(
                name="watermark_rate_not_negative",
                condition=Q(posts_per_hour__isnull=True) | Q(posts_per_hour__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return f"r/{self.name}"
