"""Who is told about an alert: the recipients of the routes that tell about it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from django.conf import settings
from django.contrib.auth.models import User

from alerts.channels import mail
from alerts.models import SEE_ALL, Alert, Delivery, Route

# More members of one group are not mailed.
MEMBERS_MAX = 100


@dataclass(frozen=True)
class Recipient:
    """A mail address, or a web address by the name of its host."""

    channel: str
    address: str
    route_id: int | None
    person_id: int | None = None
    # Of a shared address; empty: all languages.
    language: str = ""

    def joined(self, other: "Recipient") -> "Recipient":
        """Return this recipient as a later route to the same address leaves it.

        A shared address is written to in all languages if its routes do not agree on one: each may have its readers.
        """
        if self.person_id or other.person_id or self.language == other.language:
            return self
        of_all = [one.route_id for one in (self, other) if not one.language]
        return replace(self, route_id=of_all[0] if of_all else None, language="")


class Directory:
    """The routes and their people, read once for all alerts of one evaluation."""

    @cached_property
    def routes(self) -> list[Route]:
        """The routes that are on."""
        return list(Route.objects.filter(is_enabled=True).select_related("group", "person").order_by("pk"))

    @property
    def escalations(self) -> list[Route]:
        """The routes that are told only about alerts that nobody acknowledges."""
        return [route for route in self.routes if route.is_escalation]

    def told_at_once(self, alert: Alert) -> list[Recipient]:
        """Return who is told when the alert opens."""
        return self.of([route for route in self.routes if not route.is_escalation], alert)

    def of(self, routes: list[Route], alert: Alert) -> list[Recipient]:
        """Return the recipients of these routes, each address once."""
        found: dict[tuple[str, str], Recipient] = {}
        for route in routes:
            if route.tells_about(alert):
                for one in self._of_route(route, alert):
                    key = (one.channel, one.address)
                    found[key] = found[key].joined(one) if key in found else one
        return list(found.values())

    def _of_route(self, route: Route, alert: Alert) -> Iterator[Recipient]:
        if route.to in (Route.To.WEBHOOK, Route.To.CHAT):
            yield Recipient(Delivery.Channel(route.to), address_name(route), route.pk)
            return
        if not mail.is_set():
            return
        if route.to == Route.To.ADDRESSES:
            for address in settings.ALERT_EMAILS:
                yield Recipient(Delivery.Channel.MAIL, address, route.pk, language=route.language)
        for person in self._people(route, alert):
            if _may_see(person, alert):
                yield Recipient(Delivery.Channel.MAIL, person.email, route.pk, person.pk)

    def _people(self, route: Route, alert: Alert) -> list[User]:
        match route.to:
            case Route.To.OWNER:
                return [alert.config.owner] if alert.config is not None else []
            case Route.To.PERSON:
                return [route.person] if route.person else []
            case Route.To.GROUP:
                return self._members(route.group_id)
        return []

    def _members(self, group: int | None) -> list[User]:
        kept: dict[int | None, list[User]] = vars(self).setdefault("_members_of", {})
        if group not in kept:
            people = User.objects.filter(groups=group, is_active=True).exclude(email="").order_by("pk")
            kept[group] = list(people[:MEMBERS_MAX])
        return kept[group]


def address_name(route: Route) -> str:
    """Return what a delivery shows of the address of a webhook or a chat: the rest of it may be secret."""
    return f"{route.host or '?'} ({route.pk})"


def _may_see(person: User, alert: Alert) -> bool:
    """Whether ``Alert.objects.visible_to`` contains the alert, and the person has a mail address."""
    if not person.is_active or not person.email:
        return False
    return person.has_perm(SEE_ALL) or (alert.config is not None and alert.config.owner_id == person.pk)
