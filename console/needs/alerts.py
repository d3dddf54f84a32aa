"""Open alerts that no other line says, and messages about alerts that could not be delivered."""

from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import number
from alerts.models import Alert, Delivery, Mute
from alerts.rules import title_of
from console.needs.lines import Action, Line
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
READ_MAX, NAMED = 200, 3
GIVEN_UP_WITHIN = timedelta(days=1)


def open_alerts(world: World) -> list[Line]:
    """Return a line for each rule with open alerts that nobody has acknowledged or muted."""
    if not world.may(SEE):
        return []
    same = {name: OuterRef(name) for name in ("rule", "subject_type", "subject_id")}
    rows = Alert.objects.visible_to(world.person).open().filter(acknowledged_at__isnull=True)
    rows = rows.exclude(rule__in=SAID_ELSEWHERE)
    rows = rows.exclude(Exists(Mute.objects.holding(world.now).filter(**same)))
    by_rule: dict[str, list[Alert]] = {}
    for alert in rows.order_by("opened_at")[:READ_MAX]:
        by_rule.setdefault(alert.rule, []).append(alert)
    return [_line(alerts) for alerts in by_rule.values()]


def _line(alerts: list[Alert]) -> Line:
    first = alerts[0]
    names = ", ".join(alert.subject_in_words for alert in alerts[:NAMED]) + (
        "…" if len(alerts) > NAMED else ""
    )
    url = reverse("admin:alerts_alert_changelist") + f"?state=open&rule={first.rule}"
    if len(alerts) == 1:
        url = reverse("admin:alerts_alert_change", args=[first.pk])
    return Line(
        "failed" if first.severity == Alert.Severity.CRITICAL else "warning",
        capfirst(_("%(what)s: %(names)s") % {"what": title_of(first.rule), "names": names}),
        since=first.opened_at,
        figures=tuple(dict.fromkeys(str(alert.cause) for alert in alerts[:NAMED] if alert.cause)),
        actions=(Action(_("Open"), url),),
    )


def not_delivered(world: World) -> list[Line]:
    """Return a line if messages about alerts were given up within a day."""
    if not world.may(SEE_DELIVERIES):
        return []
    given_up = Delivery.objects.filter(failed_at__gt=world.now - GIVEN_UP_WITHIN).order_by("-failed_at")
    rows = list(given_up.only("failed_at", "answer", "answer_parts")[:READ_MAX])
    if not rows:
        return []
    text = ngettext(
        "%(number)s message about an alert could not be delivered",
        "%(number)s messages about alerts could not be delivered",
        len(rows),
    )
    url = reverse("admin:alerts_delivery_changelist") + "?state=failed"
    return [
        Line(
            "failed",
            text % {"number": number(len(rows))},
            since=rows[-1].failed_at,
            actions=(Action(_("Open"), url),),
            error=rows[0].answer,
        )
    ]
