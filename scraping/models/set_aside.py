"""Items in doubt after a sweep, those set aside for a person's decision, and the tallies of what is usual."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete
from database.messages import gettext, message_of
from database.percents import percent

PERMISSION = "scraping.decide_setaside"


class SetAside(models.Model):
    """Items missing on Reddit in such numbers that an error of Reddit is more likely than deletions.

    OPEN ─► CONFIRMED (Reddit is right) | ASKED_AGAIN (start over) | RETURNED (Reddit shows them again)
    """

    class Cause(models.TextChoices):
        """What Reddit's answers say about the items."""

        MISSING = "missing", _("Reddit leaves them out")
        CLOSED = "closed", _("their subreddit is reported as gone")
        MARKED = "marked", _("all carry the same mark of removal")

    class State(models.TextChoices):
        """The states that the class draws."""

        OPEN = "open", _("waits for a decision")
        CONFIRMED = "confirmed", _("Reddit is right")
        ASKED_AGAIN = "asked_again", _("asked again")
        RETURNED = "returned", _("Reddit shows them again")

    created_at = models.DateTimeField(_("set aside"), db_default=Now())
    cause = models.CharField(_("cause"), max_length=8, choices=Cause)
    # The case-folded name of a closed subreddit, the age of missing items, or the mark of marked ones.
    scope = models.CharField(_("what"), max_length=50, blank=True, db_default="")
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.OPEN, db_default="open")
    items = models.PositiveIntegerField(_("items"), default=0, db_default=0)
    # The items checked, how many of them are gone, and the usual share for items of that age.
    checked = models.PositiveIntegerField(_("checked"), default=0, db_default=0)
    gone = models.PositiveIntegerField(_("gone of them"), default=0, db_default=0)
    usual_share = models.FloatField(_("usual share"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # setaside_decided_by_fk
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_by_name = models.CharField(_("decided by"), max_length=150, blank=True, db_default="")

    class Meta:
        verbose_name = _("item set aside")
        verbose_name_plural = _("items set aside")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_setaside", _("Can decide about items that are set aside"))]
        constraints = [
            DatabaseOnDelete(name="setaside_decided_by_fk", field="decided_by", action="SET NULL"),
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
            # deletion of a person: sets decided_by of their decisions to null
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
    def gone_percent(self) -> str | None:
        """The percentage of checked items that are gone; None for a subreddit, whose items are all gone."""
        return percent(self.gone / self.checked) if self.checked else None

    @property
    def usual_percent(self) -> str | None:
        """The percentage that is usually gone."""
        return None if self.usual_share is None else percent(self.usual_share)


def age_label(scope: str) -> str:
    """Return an age bucket of ``scraping.compliance.brake`` in words."""
    return message_of(_AGES.get(scope, scope))


_AGES: dict[str, Any] = {
    "0": _("up to 2 days old"),
    "1": _("2 to 7 days old"),
    "2": _("more than 7 days old"),
}


class Doubt(models.Model):
    """An item for which Reddit's answers prove nothing yet; it keeps its content, and is requested again.

    A separate table with the item's fullname as key, because doubts are few and the items' tables are wide.
    """

    class Reason(models.TextChoices):
        """Why the item is in doubt."""

        FAILS = "fails", _("the request fails whenever it is asked for")
        SUSPECT = "suspect", _("left out by an answer that left out nearly all")
        MARKED = "marked", _("in an answer with the same mark on nearly all")
        MISSING = "missing", _("left out once, or hidden")

    fullname = models.CharField(_("fullname"), max_length=16)
    reason = models.CharField(_("reason"), max_length=8, choices=Reason)
    # The number of answers in a row that left the item in doubt.
    times = models.PositiveIntegerField(_("times"), default=1, db_default=1)
    since = models.DateTimeField(_("since"))
    # When the sweep began that got the first valid answer without the item; a second one counts only hours later.
    missed_at = models.DateTimeField(_("first missing"), null=True, blank=True)
    ask_after = models.DateTimeField(_("asked again"))
    # When the item was last verified by a valid answer.
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
            # the sweep: doubts to be requested again, longest due first
            models.Index(fields=["ask_after"], name="doubt_ask_after"),
        ]

    def __str__(self) -> str:
        return self.fullname


class SweepTally(models.Model):
    """The totals of one sweep for items of one age: how many were checked, how many left out for the first time.

    The usual share is computed from these rows.
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
