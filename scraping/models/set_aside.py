"""What a sweep cannot believe yet: items in doubt, what of them waits for a person, and what is usual."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database.messages import gettext, message_of

PERMISSION = "scraping.decide_setaside"


class SetAside(models.Model):
    """Items that Reddit seems to have lost in such numbers that an error of Reddit is likelier.

    OPEN ─► CONFIRMED (Reddit is right) | ASKED_AGAIN (start over) | RETURNED (Reddit shows them again)
    """

    class Cause(models.TextChoices):
        """What Reddit says of them."""

        MISSING = "missing", _("Reddit leaves them out")
        CLOSED = "closed", _("their subreddit is said to be gone")
        MARKED = "marked", _("all are said to be removed alike")

    class State(models.TextChoices):
        """See the class."""

        OPEN = "open", _("waits for a decision")
        CONFIRMED = "confirmed", _("Reddit is right")
        ASKED_AGAIN = "asked_again", _("asked again")
        RETURNED = "returned", _("Reddit shows them again")

    created_at = models.DateTimeField(_("set aside"), db_default=Now())
    cause = models.CharField(_("cause"), max_length=8, choices=Cause)
    # Of a closed subreddit its name, folded; of missing items their age; of marked ones the mark.
    scope = models.CharField(_("what"), max_length=50, blank=True, db_default="")
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.OPEN, db_default="open")
    items = models.PositiveIntegerField(_("items"), default=0, db_default=0)
    # The share that is gone, of those checked, and what is usual for items of that age.
    checked = models.PositiveIntegerField(_("checked"), default=0, db_default=0)
    gone = models.PositiveIntegerField(_("gone of them"), default=0, db_default=0)
    usual_share = models.FloatField(_("usual share"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_by_name = models.CharField(_("decided by"), max_length=150, blank=True, db_default="")

    class Meta:
        verbose_name = _("items set aside")
        verbose_name_plural = _("items set aside")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_setaside", _("Can decide about items that are set aside"))]
        constraints = [
            models.CheckConstraint(
                name="setaside_cause_known", condition=Q(cause__in=["missing", "closed", "marked"])
            ),
            models.CheckConstraint(
                name="setaside_state_known",
                condition=Q(state__in=["open", "confirmed", "asked_again", "returned"]),
            ),
            models.CheckConstraint(
                name="setaside_decided_unless_open",
                condition=Q(state="open", decided_at__isnull=True)
                | (~Q(state="open") & Q(decided_at__isnull=False)),
            ),
            models.UniqueConstraint(
                fields=["cause", "scope"], condition=Q(state="open"), name="setaside_one_open_each"
            ),
        ]
        indexes = [
            # deleting a person: whose decisions lose their name
            models.Index(
                fields=["decided_by"], name="setaside_decided_by", condition=Q(decided_by__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        match self.cause:
            case self.Cause.CLOSED:
                return f"r/{self.scope}"
            case self.Cause.MARKED:
                text = gettext("%(items)d items: %(mark)s")
                return text % {"items": self.items, "mark": message_of(self.Cause(self.cause).label)}
        return gettext("%(items)d items, %(age)s") % {"items": self.items, "age": age_label(self.scope)}

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision."""
        return self.state == self.State.OPEN

    @property
    def gone_percent(self) -> float | None:
        """How many of 100 checked items are gone; None of a subreddit, all of whose items are."""
        return 100 * self.gone / self.checked if self.checked else None

    @property
    def usual_percent(self) -> float | None:
        """How many of 100 usually are."""
        return None if self.usual_share is None else 100 * self.usual_share


def age_label(scope: str) -> str:
    """Return an age bucket of ``scraping.compliance.brake`` in words."""
    return message_of(_AGES.get(scope, scope))


_AGES: dict[str, Any] = {
    "0": _("up to 2 days old"),
    "1": _("2 to 7 days old"),
    "2": _("more than 7 days old"),
}


class Doubt(models.Model):
    """An item of which Reddit's answers are not believed yet; it keeps its content, and is asked for again.

    A row of its own, found by the item's fullname: they are few, and the items' tables are wide.
    """

    class Reason(models.TextChoices):
        """Why."""

        FAILS = "fails", _("the request fails whenever it is asked for")
        SUSPECT = "suspect", _("left out by an answer that left out nearly all")
        MARKED = "marked", _("in an answer that said the same of nearly all")
        MISSING = "missing", _("left out once, or hidden")

    fullname = models.CharField(_("fullname"), max_length=16)
    reason = models.CharField(_("reason"), max_length=8, choices=Reason)
    # Answers in a row that left it in doubt.
    times = models.PositiveIntegerField(_("times"), default=1, db_default=1)
    since = models.DateTimeField(_("since"))
    # When the sweep began that first got an answer without it that is believed; a second counts only hours later.
    missed_at = models.DateTimeField(_("first missing"), null=True, blank=True)
    ask_after = models.DateTimeField(_("asked again"))
    # When it was last verified with a believed answer.
    verified_at = models.DateTimeField(_("verified"), null=True, blank=True)
    set_aside = models.ForeignKey(
        SetAside,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="doubts",
        verbose_name=_("set aside"),
    )

    class Meta:
        verbose_name = _("item in doubt")
        verbose_name_plural = _("items in doubt")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["fullname"], name="doubt_one_per_item"),
            models.CheckConstraint(
                name="doubt_reason_known",
                condition=Q(reason__in=["fails", "suspect", "marked", "missing"]),
            ),
        ]
        indexes = [
            # the sweep: those to be asked again, longest due first
            models.Index(fields=["ask_after"], name="doubt_ask_after"),
        ]

    def __str__(self) -> str:
        return self.fullname


class SweepTally(models.Model):
    """What one sweep found of items of one age: how many were checked, how many of them left out for the first time.

    What is usual is learnt from these.
    """

    swept_at = models.DateTimeField(_("sweep began"))
    # An index of ``scraping.compliance.brake.AGES``.
    age = models.PositiveSmallIntegerField(_("age"))
    checked = models.PositiveIntegerField(_("checked"), default=0, db_default=0)
    missing = models.PositiveIntegerField(_("missing"), default=0, db_default=0)

    class Meta:
        verbose_name = _("tally of a sweep")
        verbose_name_plural = _("tallies of sweeps")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["swept_at", "age"], name="sweeptally_one_per_sweep_and_age"),
            models.CheckConstraint(
                name="sweeptally_missing_within_checked", condition=Q(missing__lte=models.F("checked"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.swept_at:%Y-%m-%d %H:%M} {self.age}"
