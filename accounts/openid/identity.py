"""What the provider says about a person, as the console uses it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.openid import id_token, provider
from accounts.openid.provider import Json, Refused

GOOGLE = "accounts.google.com"
TEXT_MAX = 150
# The year 9999. Python reads NaN, infinity and integers of thousands of digits from JSON.
SECONDS_MAX = 253_370_764_800


@dataclass(frozen=True)
class Identity:
    """A person at the provider."""

    issuer: str
    subject: str
    # Empty if the provider does not say that the address is the person's.
    verified_email: str
    username: str
    first_name: str
    last_name: str
    groups: frozenset[str]
    # When the provider last asked the person who they are, in seconds since 1970; None: it does not say.
    authenticated_at: float | None


def fetch(code: str, *, nonce: str, verifier: str, redirect_uri: str) -> Identity:
    """Return the person whom the provider gave this code to.

    Raises:
        Refused: as in ``provider``; or ``token``, an ID token that cannot be trusted.
    """
    tokens = provider.exchange(code, verifier=verifier, redirect_uri=redirect_uri)
    issuer = provider.configuration().issuer
    claims = id_token.verify(
        tokens.get("id_token"),
        keys=lambda anew: provider.keys(anew=anew),
        issuer=issuer,
        client_id=settings.OIDC_CLIENT_ID,
        nonce=nonce,
    )
    access_token = tokens.get("access_token")
    more: Json = {}
    if _lacks_something(claims) and isinstance(access_token, str) and access_token.isascii():
        more = provider.userinfo(access_token)
        # OpenID Connect Core 1.0, section 5.3.2: an answer about somebody else must not be used.
        if more and more.get("sub") != claims["sub"]:
            raise Refused("token")
    return _identity(issuer, claims, more)


def _lacks_something(claims: Json) -> bool:
    return "email" not in claims or _groups_in(claims) is None


def _identity(issuer: str, claims: Json, more: Json) -> Identity:
    # The address and whether it is verified come from the same answer.
    groups = _groups_in(claims)
    about = {**more, **claims}
    return Identity(
        issuer=issuer,
        subject=claims["sub"],
        verified_email=_verified_email(claims if "email" in claims else more, claims),
        username=_text(about.get("preferred_username")),
        first_name=_text(about.get("given_name")),
        last_name=_text(about.get("family_name")),
        groups=frozenset(_groups_in(more) or () if groups is None else groups),
        authenticated_at=_seconds(claims.get("auth_time")),
    )


def _seconds(value: Any) -> float | None:
    """Return a time in seconds since 1970; None: the claim is missing or no number.

    Raises:
        Refused: ``token``: no clock shows this number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < SECONDS_MAX:
        raise Refused("token")
    return float(value)


def _verified_email(source: Json, claims: Json) -> str:
    email = source.get("email")
    if source.get("email_verified") is not True or not isinstance(email, str) or len(email) > 254:
        return ""
    # Google verifies addresses outside Gmail and Workspace once, and they may have passed to others since.
    is_google = urlsplit(settings.OIDC_ISSUER).hostname == GOOGLE
    if is_google and not (claims.get("hd") or email.lower().endswith("@gmail.com")):
        return ""
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


def _groups_in(claims: Json) -> set[str] | None:
    """Return the names of the groups; None: the claim is missing."""
    found: Any = claims
    # A name with dots, such as that of a claim of Auth0, is taken as it stands if there is one.
    path = (
        [settings.OIDC_GROUPS_CLAIM]
        if settings.OIDC_GROUPS_CLAIM in claims
        else settings.OIDC_GROUPS_CLAIM.split(".")
    )
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return {name for name in names if isinstance(name, str)}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(
        character for character in text if character.isprintable() and not 0xD800 <= ord(character) <= 0xDFFF
    ).strip()[:TEXT_MAX]
