"""Why Reddit did not answer as hoped."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ErrorKind(models.TextChoices):
    """Why Reddit did not answer as hoped."""

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
        """Whether it may be right again within the hour."""
        # "forbidden" is a 403 that names no reason.
        return self.value in ("rate_limited", "server_error", "network", "bad_answer", "forbidden")
