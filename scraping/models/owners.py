"""Whether a person owns anything here; most people who look at the console do not."""

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef

from scraping.models.bots import BotConfig
from scraping.models.reddit_apps import RedditApp
from scraping.visibility import Person

_KNOWN = "_owns_something"


def owns_something(person: Person) -> bool:
    """Return whether the person owns a bot or a Reddit app; asked once per request, with one query."""
    bots, apps = (Exists(model.objects.filter(owner=OuterRef("pk"))) for model in (BotConfig, RedditApp))
    if not hasattr(person, _KNOWN):
        setattr(person, _KNOWN, User.objects.filter(bots | apps, pk=person.pk or 0).exists())
    return bool(getattr(person, _KNOWN))


def is_known_to_own_nothing(person: Person) -> bool:
    """Return whether this request has found out already that the person owns nothing."""
    return not getattr(person, _KNOWN, True)
