"""Reddit's request allowance of each OAuth client."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class RequestBudget(models.Model):
    """The requests that an OAuth client id has left in Reddit's current window (``scraping/reddit/budget.py``).

    Times are by the database's clock. Each change is a compare-and-set on ``version``; the two fields of the
    morechildren turn have a compare-and-set of their own.
    """

    client_id = models.CharField(_("client id"), max_length=100)
    # The requests per window, by Reddit's last headers.
    window_requests = models.PositiveIntegerField(_("requests per window"))
    # Grows with each window, so that a portion of an earlier window is recognised.
    window = models.PositiveBigIntegerField(_("window"), default=1)
    ends_at = models.DateTimeField(_("window ends"))
    # Whether a rate header has given the end of the window; until then the end is estimated.
    is_confirmed = models.BooleanField(_("confirmed by Reddit"), default=False)
    used = models.PositiveIntegerField(_("used"), default=0)
    used_by_compliance = models.PositiveIntegerField(_("used to verify stored content"), default=0)
    # Given to workers and not yet settled.
    leased = models.PositiveIntegerField(_("given to workers"), default=0)
    # Set after a 429.
    blocked_until = models.DateTimeField(_("blocked until"), null=True, blank=True)
    turn_holder = models.CharField(_("sends morechildren"), max_length=64, blank=True)
    turn_until = models.DateTimeField(_("sends morechildren until"), null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("request budget")
        verbose_name_plural = _("request budgets")
        constraints = [
            models.UniqueConstraint(fields=["client_id"], name="requestbudget_one_per_client"),
            models.CheckConstraint(
                name="requestbudget_window_not_empty", condition=Q(window_requests__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.client_id
