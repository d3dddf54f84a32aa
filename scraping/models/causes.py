"""The causes of failed requests to Reddit."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ErrorKind(models.TextChoices):
    """The cause of a failed request."""

    NONE = "", _("none")
    NOT_CONFIGURED = "not_configured", _("no Reddit app")
    UNAUTHORIZED = "unauthorized", _("credentials refused")
    PRIVATE = "private", _("private subreddit")
    QUARANTINED = "quarantined", _("quarantined subreddit")
    FORBIDDEN = "forbidden", _("forbidden")
    BANNED = "banned", _("banned subreddit")
    NOT_FOUND = "not_found", _("no such subreddit")
    RATE_LIMITED = "rate_limited", _("rate limit")
    UNAVAILABLE_FOR_LEGAL_REASONS = "legal", _("unavailable for legal reasons")
    SERVER_ERROR = "server_error", _("Reddit's server failed")
    NETWORK = "network", _("network")
    BAD_ANSWER = "bad_answer", _("unreadable answer")
    BAD_REQUEST = "bad_request", _("request refused")
    INTERNAL = "internal", _("our own fault")

    @property
    def is_transient(self) -> bool:
        """Whether a retry within the hour may succeed."""
        # "forbidden" is a 403 that names no reason.
        return self.value in ("rate_limited", "server_error", "network", "bad_answer", "forbidden")

    @property
    def remedy(self) -> str:
        """What a person can do about it, in the reader's language; empty where there is nothing to do but wait."""
        return str(_REMEDIES.get(self.value, ""))


_REMEDIES = {
    "not_configured": _(
        "Give the bot a Reddit app, or set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, then test it."
    ),
    "unauthorized": _(
        "Reddit refuses the app’s client id or secret: compare both with reddit.com/prefs/apps, enter the secret"
        " anew on the Reddit app’s page, then test the bot."
    ),
    "private": _(
        "Its moderators have made the subreddit private. Take it out of the bot, or wait until it is open again;"
        " an app sees no more than the public does."
    ),
    "quarantined": _(
        "Reddit shows a quarantined subreddit only to accounts that have opted in, which an app cannot do."
        " Take it out of the bot."
    ),
    "banned": _("Reddit has banned the subreddit, and it will not come back: take it out of the bot."),
    "not_found": _("No subreddit has this name: look it up on Reddit and correct the name in the bot."),
    "forbidden": _(
        "Reddit refuses without a reason. Open the subreddit in a browser: if it is public there, test the bot again"
        " in an hour."
    ),
    "legal": _(
        "Reddit may not show it in the country of this server. Take the subreddit out of the bot, or scrape it from"
        " another place."
    ),
    "bad_request": _("Reddit does not understand the request: check the search and the listing of the bot."),
}
