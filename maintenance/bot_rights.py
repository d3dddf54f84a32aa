"""The bot that a run is for: which one a parameter names, and who may scrape with it or see its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q

from maintenance.models import Person
from scraping.models import BotConfig
from scraping.models.owners import is_known_to_own_nothing


def clean_config(value: Any) -> int:
    """Return the id of a bot that is given by its id, or by a name that only one bot has."""
    return BotConfig.objects.named(str(value)).pk


def owns_configs(user: Person, many: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether the user may scrape with each of these bots: owners and superusers may."""
    if not user.is_active or user.is_superuser:
        return [user.is_active] * len(many)
    if is_known_to_own_nothing(user):
        return [False] * len(many)
    keys: list[Any] = [params.get("config") for params in many]
    owned = set(BotConfig.objects.managed_by(user).filter(pk__in=keys).values_list("pk", flat=True))
    return [key in owned for key in keys]


def owns_config(user: Person, params: Mapping[str, Any]) -> bool:
    """Whether the user may scrape with this bot."""
    return owns_configs(user, [params])[0]


def of_own_configs(user: Person) -> Q:
    """Return the condition for runs that scraped with a bot of the user."""
    return Q(params__config__in=list(BotConfig.objects.managed_by(user).values_list("pk", flat=True)))
