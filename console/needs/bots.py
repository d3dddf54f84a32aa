"""Bots that were paused because of Reddit's answers, and items that the verification set aside for a decision."""

from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import number
from console.needs.lines import Action, Line
from console.needs.world import World
from scraping.admin.bot_list import STOPPED
from scraping.compliance.brake import may_decide
from scraping.models import BotConfig, SetAside

NAMED = 3
READ_MAX = 200


def stopped(world: World) -> list[Line]:
    """Return one line that names the bots that Reddit's answers have paused."""
    if not world.may("scraping.view_botconfig"):
        return []
    paused = BotConfig.objects.visible_to(world.person).filter(paused_at__isnull=False).order_by("-paused_at")
    bots = list(paused.only("name", "paused_at", "refusal_kind")[:READ_MAX])
    if not bots:
        return []
    found = len(bots) if len(bots) < READ_MAX else paused.count()
    text = ngettext(
        "%(number)s bot stopped by Reddit: %(names)s",
        "%(number)s bots stopped by Reddit: %(names)s",
        found,
    )
    names = ", ".join(bot.name for bot in bots[:NAMED]) + ("…" if len(bots) > NAMED else "")
    url = reverse("admin:scraping_botconfig_changelist") + f"?state={STOPPED}"
    if found == 1:
        url = reverse("admin:scraping_botconfig_change", args=[bots[0].pk])
    return [
        Line(
            "paused",
            text % {"number": number(found), "names": names},
            since=bots[-1].paused_at,
            figures=tuple(dict.fromkeys(str(bot.pause_reason) for bot in bots[:NAMED])),
            actions=(Action(_("Open"), url),),
        )
    ]


def set_aside(world: World) -> list[Line]:
    """Return a line for the items that the verification with Reddit has set aside for a person."""
    if not world.may("scraping.view_setaside"):
        return []
    # Of the items that were set aside, Reddit may have shown some again since.
    open_rows = SetAside.objects.filter(state=SetAside.State.OPEN).annotate(waiting=Count("doubts"))
    rows = list(open_rows.order_by("created_at")[:READ_MAX])
    if not rows:
        return []
    items = sum(row.waiting for row in rows)
    text = ngettext(
        "The verification with Reddit waits for a decision: %(number)s item is set aside",
        "The verification with Reddit waits for a decision: %(number)s items are set aside",
        items,
    )
    if len(rows) == READ_MAX:
        text = _("The verification with Reddit waits for a decision: %(number)s or more items are set aside")
    url = reverse("admin:scraping_setaside_changelist") + "?state__exact=open"
    if len(rows) == 1:
        url = reverse("admin:scraping_setaside_change", args=[rows[0].pk])
    label = _("Review") if may_decide(world.person) else _("Open")
    return [
        Line(
            "blocked",
            text % {"number": number(items)},
            since=rows[0].created_at,
            figures=tuple(str(row) for row in rows[:NAMED]),
            actions=(Action(label, url),),
        )
    ]
