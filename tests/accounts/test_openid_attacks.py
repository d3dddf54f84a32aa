"""Attacks on signing in through an OpenID Connect provider."""

import re
import time

import jwt
import pytest
from django.test import Client

from audit.models import Event
from tests.accounts.openid_provider import (
    ANSWER,
    SECRET,
    START,
    begin,
    is_in,
    key_of,
    linked,
    public_pem,
    said,
    sign_in,
)

pytestmark = pytest.mark.django_db


def with_claims(**changes):
    def lie(provider):
        provider.claims.update(changes)

    return lie


def without(name):
    def lie(provider):
        provider.sign = lambda claims: provider.properly({k: v for k, v in claims.items() if k != name})

    return lie


def signed(how):
    def lie(provider):
        provider.sign = lambda claims: how(provider, claims)

    return lie


def by_another_key(provider, claims):
    return jwt.encode(claims, key_of("evil"), "RS256", headers={"kid": provider.kid})


def with_the_public_key_as_a_secret(provider, claims):
    # PyJWT refuses to make it, so it is made by hand.
    import base64
    import hashlib
    import hmac
    import json

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    text = part({"alg": "HS256", "kid": provider.kid, "typ": "JWT"}) + b"." + part(claims)
    mac = hmac.new(public_pem(key_of(provider.kid)), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def with_its_claims_changed(provider, claims):
    head, _body, tail = provider.properly(claims).split(".")
    other = provider.properly({**claims, "sub": "f:2"}).split(".")[1]
    return f"{head}.{other}.{tail}"


def with_a_key_in_the_header(provider, claims):
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key_of("evil").public_key(), as_dict=True)
    return jwt.encode(claims, key_of("evil"), "RS256", headers={"jwk": jwk, "kid": "evil"})


HOUR_AGO = time.time() - 3600
LIES = {
    "another key": signed(by_another_key),
    "a key in the header": signed(with_a_key_in_the_header),
    "changed claims": signed(with_its_claims_changed),
    "alg none": signed(lambda _provider, claims: jwt.encode(claims, None, "none")),
    "HS256 with the public key": signed(with_the_public_key_as_a_secret),
    "HS256 with the client's secret": signed(lambda _provider, claims: jwt.encode(claims, SECRET, "HS256")),
    "PS256 with a key for RS256": signed(
        lambda provider, claims: jwt.encode(
            claims, key_of(provider.kid), "PS256", headers={"kid": provider.kid}
        )
    ),
    "no token": signed(lambda _provider, _claims: ""),
    "no text": signed(lambda _provider, _claims: ["a"]),
    "rubbish": signed(lambda _provider, _claims: "a.b.c"),
    "another issuer": with_claims(iss="https://evil.example/realms/main"),
    "another audience": with_claims(aud="another-client"),
    "several audiences, for another": with_claims(aud=["the-console", "x"], azp="x"),
    "several audiences, for nobody": with_claims(aud=["the-console", "x"]),
    "for another party": with_claims(azp="x"),
    "expired": with_claims(exp=int(HOUR_AGO)),
    "not valid yet": with_claims(nbf=int(time.time()) + 3600),
    "issued in the future": with_claims(iat=int(time.time()) + 3600),
    "times that are none": with_claims(exp="soon"),
    "endless": with_claims(exp=1e400),
    "confirmed at a time that no clock shows": with_claims(auth_time=10**400),
    "confirmed at no number": with_claims(auth_time=float("nan")),
    "the nonce of another sign-in": with_claims(nonce="n" * 43),
    "a nonce that is no text": with_claims(nonce=["n"]),
    "no nonce": without("nonce"),
    "no expiry": without("exp"),
    "no audience": without("aud"),
    "no issuer": without("iss"),
    "no subject": without("sub"),
    "an empty subject": with_claims(sub=""),
    "a subject that is no text": with_claims(sub=7),
    "a long subject": with_claims(sub="s" * 256),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_token_that_is_not_quite_right_lets_nobody_in(client, provider, lie, caplog):
    linked(provider)
    lie(provider)

    page = sign_in(client, provider)

    assert "could not be verified" in said(page)
    assert not is_in(client)
    assert Event.objects.get(verb="person.openid_refused").parameters == {"cause": "token"}
    assert "planted" not in caplog.text + page.content.decode()


def test_a_nonce_cannot_be_used_again(client, provider):
    """Whoever has a token of an earlier sign-in of the person cannot put it into their own."""
    linked(provider)
    tokens = []

    def the_first(claims):
        tokens.append(provider.properly(claims))
        return tokens[0]

    provider.sign = the_first
    sign_in(Client(), provider)

    page = sign_in(client, provider)

    assert len(tokens) == 2
    assert "could not be verified" in said(page)


def test_the_state_of_another_session_is_refused(client, provider):
    query = provider.answer_to(begin(Client()))

    page = client.get(f"{ANSWER}?{query}", follow=True)

    assert "began in another browser" in said(page)
    assert not is_in(client)
    assert f"{provider.issuer.removeprefix('http://')}/token" not in provider.calls


@pytest.mark.parametrize(
    "query", ["", "code=a", "state=", "state=a&code=a", "state=%ED%A0%80&code=%00", "error=x"]
)
def test_an_answer_without_a_sign_in_is_refused(client, provider, query):
    begin(client)

    assert "began in another browser" in said(client.get(f"{ANSWER}?{query}", follow=True))
    assert not Event.objects.exists()


def test_an_answer_works_once(client, provider):
    query = provider.answer_to(begin(client))
    client.get(f"{ANSWER}?{query}")

    assert "began in another browser" in said(client.get(f"{ANSWER}?{query}", follow=True))
    assert provider.calls.count("/realms/main/token") == 1


def test_a_code_works_once(client, provider):
    """The provider refuses it, with an error that the page does not repeat."""
    code = re.search(r"code=(\w+)", provider.answer_to(begin(Client())))[1]
    provider.codes.pop(code)
    state = re.search(r"state=([\w-]+)", begin(client))[1]

    page = client.get(f"{ANSWER}?code={code}&state={state}", follow=True)

    assert "did not accept the sign-in" in said(page)
    assert SECRET not in page.content.decode()


def test_a_stolen_code_does_not_work_in_another_browser(client, provider):
    """PKCE: the thief's browser has another verifier."""
    code = re.search(r"code=(\w+)", provider.answer_to(begin(Client())))[1]
    state = re.search(r"state=([\w-]+)", begin(client))[1]

    assert "did not accept the sign-in" in said(
        client.get(f"{ANSWER}?code={code}&state={state}", follow=True)
    )
    assert not is_in(client)


def test_an_old_sign_in_is_not_answered(client, provider, monkeypatch):
    query = provider.answer_to(begin(client))
    later = time.time() + 601
    monkeypatch.setattr("accounts.openid.pages.time.time", lambda: later)

    assert "took too long" in said(client.get(f"{ANSWER}?{query}", follow=True))


def test_an_answer_of_another_provider_is_refused(client, provider):
    query = provider.answer_to(begin(client)).replace("realms%2Fmain", "realms%2Fevil")

    assert "could not be verified" in said(client.get(f"{ANSWER}?{query}", follow=True))


def test_userinfo_about_somebody_else_is_refused(client, provider):
    del provider.claims["groups"]
    provider.more = {"sub": "f:2", "groups": ["operators"]}

    assert "could not be verified" in said(sign_in(client, provider))


def test_who_begins_too_often_has_to_wait(client, provider, monkeypatch):
    monkeypatch.setattr("accounts.openid.pages.OF_AN_ADDRESS", "1/m")
    begin(client)

    assert "wait a minute" in said(client.post(START, follow=True))
