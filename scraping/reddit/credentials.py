"""The credentials of a Reddit app: from the environment or from a stored app."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

from database.fields import SecretUnreadable
from database.messages import gettext as _
from scraping.models import SANDBOX_CLIENT_ID, RedditApp
from scraping.reddit.errors import RedditNotConfigured


@dataclass(frozen=True)
class Credentials:
    """Client id, secret and user agent of a Reddit app."""

    client_id: str
    client_secret: str = field(repr=False)
    user_agent: str


def is_loopback(url: str) -> bool:
    """Return whether the address points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def environment_credentials() -> Credentials | None:
    """Return the app of REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, or None if either is empty."""
    if not settings.REDDIT_CLIENT_ID or not settings.REDDIT_CLIENT_SECRET:
        return None
    return Credentials(settings.REDDIT_CLIENT_ID, settings.REDDIT_CLIENT_SECRET, settings.REDDIT_USER_AGENT)


def credentials_of(app: RedditApp) -> Credentials:
    """Return the credentials of a stored app.

    Raises:
        RedditNotConfigured: its secret cannot be decrypted.
    """
    try:
        return Credentials(app.client_id, app.client_secret, app.user_agent)
    except SecretUnreadable:
        raise RedditNotConfigured(
            _(
                "The secret of the Reddit app “%(app)s” fits none of the keys in FIELD_ENCRYPTION_KEY: put its key back"
                " behind the others, or enter the secret again. Bots of other apps are not affected."
            )
            % {"app": app.name}
        ) from None


def usable_user_agent(credentials: Credentials) -> str:
    """Return the user agent to send; Reddit asks for one that names the app and its owner.

    Raises:
        RedditNotConfigured: the user agent cannot be sent in a header.
    """
    agent = credentials.user_agent.strip()
    if not agent and is_loopback(settings.REDDIT_URL):
        return "python:maintenance-console:0.1 (local)"
    if len(agent) < 7 or not agent.isascii() or not agent.isprintable():
        raise RedditNotConfigured(
            _(
                "The user agent %(agent)r cannot be used: set REDDIT_USER_AGENT (or the Reddit app's user agent)"
                " to platform:app id:version (by /u/name)."
            )
            % {"agent": agent}
        )
    return agent


def keep_sandbox_local(credentials: Credentials) -> None:
    """Make sure that the sandbox's app talks to this machine only.

    Raises:
        RedditNotConfigured: it would talk to the real Reddit.
    """
    if credentials.client_id != SANDBOX_CLIENT_ID:
        return
    if is_loopback(settings.REDDIT_URL) and is_loopback(settings.REDDIT_OAUTH_URL):
        return
    raise RedditNotConfigured(
        _(
            "The app %(client_id)r belongs to the sandbox and never meets the real Reddit: point REDDIT_URL"
            " and REDDIT_OAUTH_URL to sandbox_reddit, or use an app of your own."
        )
        % {"client_id": credentials.client_id}
    )
