"""Counts attempts, for all web processes together, in the cache that the sign-in uses."""

from allauth.core.internal import ratelimit
from django.http import HttpRequest

APP = "accounts"


def allows(action: str, key: str, *, rate: str, app: str = APP) -> bool:
    """Count an attempt, and return whether it is within the limit.

    Args:
        action: what is attempted, such as ``password_reset``.
        key: who attempts it, or at whom: an account, a client address. It is stored as a hash.
        rate: attempts per time, such as ``5/5m``.
        app: the prefix of the counter.
    """
    config = {action: f"{rate}/key"}
    return ratelimit.consume(_no_request(), app=app, action=action, config=config, key=key) is not None


def forget(action: str, key: str, *, rate: str, app: str = APP) -> None:
    """Forget the attempts of this key."""
    ratelimit.clear(_no_request(), app=app, action=action, config={action: f"{rate}/key"}, key=key)


def _no_request() -> HttpRequest:
    # The library asks only for the method: it does not count a GET.
    request = HttpRequest()
    request.method = "POST"
    return request
