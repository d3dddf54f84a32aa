"""The retentions of jobs, with their overrides."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from database.constraints import DatabaseOnDelete
from database.names import Folded


class RetentionPolicy(models.Model):
    """The number of days for which a job keeps rows; set by operators."""

    job = models.CharField(_("job"), max_length=100, unique=True)
    days = models.PositiveIntegerField(
        _("days"), validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )
    keeps_live_threads = models.BooleanField(
        _("keep a thread while it is alive"),
        default=False,
        db_default=False,
        help_text=_("A post is then as old as its newest stored comment, also where an override counts."),
    )
    updated_at = models.DateTimeField(pgettext_lazy("time", "changed"), auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # retentionpolicy_updated_by_fk
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("changed by"),
    )

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retentions")
        ordering = ["job"]
        constraints = [
            DatabaseOnDelete(name="retentionpolicy_updated_by_fk", field="updated_by", action="SET NULL"),
            models.CheckConstraint(
                name="retentionpolicy_days_1_to_36500", condition=Q(days__range=(1, 36_500))
            ),
        ]

    def __str__(self) -> str:
        return self.job


class RetentionOverride(models.Model):
    """A different number of days for the posts of one subreddit, or for those that one bot found first."""

    policy = models.ForeignKey(
        RetentionPolicy, on_delete=models.CASCADE, related_name="overrides", verbose_name=_("retention")
    )
    subreddit = models.CharField(_("subreddit"), max_length=50, blank=True)
    # Protected: deleting a bot must not silently shorten the retention of its posts.
    config = models.ForeignKey(
        "scraping.BotConfig",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("bot"),
    )
    days = models.PositiveIntegerField(
        _("days"), validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )

    class Meta:
        verbose_name = _("retention override")
        verbose_name_plural = _("retention overrides")
        ordering = ["subreddit", "config"]
        default_permissions = ()  # whoever may change the retention may change its overrides
        constraints = [
            models.CheckConstraint(
                name="retentionoverride_one_target",
                condition=(~Q(subreddit="") & Q(config__isnull=True)) | Q(subreddit="", config__isnull=False),
            ),
            models.CheckConstraint(
                name="retentionoverride_days_1_to_36500", condition=Q(days__range=(1, 36_500))
            ),
            # Reddit's names are not case-sensitive.
            models.UniqueConstraint(
                "policy",
                Folded("subreddit"),
                condition=~Q(subreddit=""),
                name="retentionoverride_subreddit_once",
            ),
            models.UniqueConstraint(fields=["policy", "config"], name="retentionoverride_config_once"),
        ]

    def __str__(self) -> str:
        return f"r/{self.subreddit}" if self.subreddit else str(self.config)
