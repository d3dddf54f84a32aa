"""Verifies ID tokens: the signature by the provider's keys, for whom and by whom, the times and the nonce.

OpenID Connect Core 1.0, section 3.1.3.7. The signature is verified although the token came from the provider itself over
TLS, which the specification would allow to trust: a proxy that opens TLS, or a wrong address, must let nobody in.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

import jwt

from accounts.openid.provider import Json, Refused

# Signatures that only the provider can make. None is not among them, nor is one of which the console holds the key:
# a token "signed" by HS256 with the public key would be valid.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
LEEWAY_SECONDS = 60
SUBJECT_MAX = 255

Keys = Callable[[bool], list[Json]]


def verify(token: Any, *, keys: Keys, issuer: str, client_id: str, nonce: str) -> Json:
    """Return the claims of an ID token.

    Args:
        token: the token, as the provider sent it.
        keys: returns the provider's keys; with True it may fetch them anew.
        issuer: the provider.
        client_id: this console at the provider.
        nonce: what the sign-in sent to the provider.

    Raises:
        Refused: ``token``: anything about it is wrong.
    """
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Refused("token")
        key = _key(header, algorithm, keys)
        claims: Json = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise Refused("token") from None
    _check(claims, client_id, nonce)
    return claims


def _key(header: Json, algorithm: str, keys: Keys) -> jwt.PyJWK:
    """Return the key that the header names; without a name, the only one that fits."""
    name = header.get("kid")
    for anew in (False, True):
        found = [key for key in keys(anew) if _fits(key, name, algorithm)]
        # Without a name, a key of several is not guessed.
        if len(found) == 1 or (found and name is not None):
            return jwt.PyJWK(found[0], algorithm=algorithm)
    raise Refused("token")


def _fits(key: Json, name: Any, algorithm: str) -> bool:
    kinds = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    return (
        key.get("kty") == kinds[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    )


def _check(claims: Json, client_id: str, nonce: str) -> None:
    """Check what PyJWT does not.

    Raises:
        Refused: ``token``.
    """
    subject, audience = claims["sub"], claims["aud"]
    sent = claims["nonce"]
    if not isinstance(sent, str) or not compare_digest(sent.encode(errors="replace"), nonce.encode()):
        raise Refused("token")
    is_for_others = isinstance(audience, list) and len(audience) > 1
    if claims.get("azp", None if is_for_others else client_id) != client_id:
        raise Refused("token")
    if not (isinstance(subject, str) and 0 < len(subject) <= SUBJECT_MAX and subject.isprintable()):
        raise Refused("token")
