"""Open alerts that no other line says, and messages about alerts that could not be delivered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Exists, OuterRef, Q, Subquery, When
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import number
from alerts.admin.deliveries import GIVEN_UP_LATELY, GIVEN_UP_WITHIN
from alerts.decisions import PERMISSION
from alerts.models import Alert, Delivery, Mute
from alerts.rules import title_of
from console.needs.lines import Action, Line, Muted
from console.needs.world import World

# Other lines of the list say what these rules find.
SAID_ELSEWHERE = (
    "failed",
    "partial",
    "missed",
    "blocked",
    "stalled",
    "no_scheduler",
    "no_worker",
    "stopped_by_reddit",
)
SEE, SEE_DELIVERIES = "alerts.view_alert", "alerts.view_delivery"
# The rules that find what ``failures`` says.
FAILING = ("failed", "partial")
READ_MAX, NAMED = 200, 3
# A rule and its subject: its type and its id.
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Told:
    """An open alert, and who has muted it, if somebody has."""

    alert: Alert
    muted_until: datetime | None
    muted_by: str
    muted_why: str


def open_alerts(world: World) -> list[Line]:
    """Return a line for each rule with open alerts that nobody has acknowledged or muted."""
    return lines_of(
        told.alert
        for told in by_key(world).values()
        if told.alert.rule not in SAID_ELSEWHERE
        and told.alert.acknowledged_at is None
        and not told.muted_until
    )


def lines_of(alerts: Iterable[Alert]) -> list[Line]:
    """Return one line for the alerts of each rule."""
    by_rule: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_rule.setdefault(alert.rule, []).append(alert)
    return [_line(of_rule) for of_rule in by_rule.values()]


def by_key(world: World) -> Mapping[Key, Told]:
    """Return the open alerts that the list may name: those of no other line, of failures, and muted ones; one query."""
    kept: dict[str, dict[Key, Told]] = vars(world)
    if "_alerts" not in kept:
        kept["_alerts"] = _read(world) if world.may(SEE) else {}
    return kept["_alerts"]


def _read(world: World) -> dict[Key, Told]:
    same = {name: OuterRef(name) for name in ("rule", "subject_type", "subject_id")}
    mutes = Mute.objects.holding(world.now).filter(**same)
    rows = Alert.objects.visible_to(world.person).open().select_related("config")
    rows = rows.filter(
        ~Q(rule__in=SAID_ELSEWHERE) & Q(acknowledged_at__isnull=True) | Q(rule__in=FAILING) | Q(Exists(mutes))
    ).annotate(
        until=Subquery(mutes.values("until")),
        by=Subquery(mutes.values("muted_by_name")),
        why=Subquery(mutes.values("reason")),
    )
    found = {}
    # First those that have a line of their own: a storm of failures must not push them out.
    has_a_line = Case(When(rule__in=SAID_ELSEWHERE, then=1), default=0)
    for alert in rows.order_by(has_a_line, "opened_at", "pk")[:READ_MAX]:
        mute = vars(alert)
        found[alert.subject_key] = Told(alert, mute["until"], mute["by"] or "", mute["why"] or "")
    return found


def may_mute(world: World, alert: Alert) -> bool:
    """Whether the person may mute an alert that they see (``alerts.decisions.may_decide``)."""
    is_owner = alert.config is not None and alert.config.owner_id == world.person.pk
    return is_owner or world.may(PERMISSION)


def muted(world: World) -> list[Muted]:
    """Return the open alerts that are muted."""
    return [
        Muted(
            in_words(told.alert.rule, told.alert.subject_in_words),
            told.muted_until,
            told.muted_by,
            told.muted_why,
            page_of(told.alert),
        )
        for told in by_key(world).values()
        if told.muted_until
    ]


def page_of(alert: Alert) -> str:
    """Return the address of an alert's page."""
    return reverse("admin:alerts_alert_change", args=[alert.pk])


def in_words(rule: str, names: str) -> str:
    """Return what is the matter, and with whom."""
    return str(capfirst(_("%(what)s: %(names)s") % {"what": title_of(rule), "names": names}))


def _line(alerts: list[Alert]) -> Line:
    first = alerts[0]
    names = ", ".join(alert.subject_in_words for alert in alerts[:NAMED]) + (
        "…" if len(alerts) > NAMED else ""
    )
    url = reverse("admin:alerts_alert_changelist") + f"?state=open&rule={first.rule}"
    if len(alerts) == 1:
        url = page_of(first)
    return Line(
        "failed" if first.severity == Alert.Severity.CRITICAL else "warning",
        in_words(first.rule, names),
        since=first.opened_at,
        figures=tuple(dict.fromkeys(str(alert.cause) for alert in alerts[:NAMED] if alert.cause)),
        actions=(Action(_("Open"), url),),
    )


def not_delivered(world: World) -> list[Line]:
    """Return a line if messages about alerts were given up within a day."""
    if not world.may(SEE_DELIVERIES):
        return []
    given_up = Delivery.objects.given_up_since(world.now - GIVEN_UP_WITHIN).order_by("-failed_at")
    rows = list(given_up.only("failed_at", "answer", "answer_parts")[:READ_MAX])
    if not rows:
        return []
    found = len(rows) if len(rows) < READ_MAX else given_up.count()
    text = ngettext(
        "%(number)s message about an alert could not be delivered",
        "%(number)s messages about alerts could not be delivered",
        found,
    )
    url = reverse("admin:alerts_delivery_changelist") + f"?state={GIVEN_UP_LATELY}"
    return [
        Line(
            "failed",
            text % {"number": number(found)},
            since=rows[-1].failed_at,
            actions=(Action(_("Open"), url),),
            error=rows[0].answer,
        )
    ]
