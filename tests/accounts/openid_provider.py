"""A small OpenID Connect provider on a real socket, with keys of its own: discovery, authorize, token, jwks, userinfo.

A test sets what it says about its one person, and how it lies.
"""

import base64
import hashlib
import html
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.urls import reverse

from accounts.models import ExternalIdentity
from accounts.openid import provider as provider_client
from tests.kit import factories

CLIENT, SECRET = "the-console", "planted-secret-of-the-openid-client"


@cache
def key_of(name: str) -> rsa.RSAPrivateKey:
    """Return the key of this name; making one takes a while."""
    return rsa.generate_private_key(65537, 2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Provider(ThreadingHTTPServer):
    """The provider; ``claims`` are those of its person, and ``sign`` makes the ID token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}/realms/main"
        self.kid = "one"
        self.claims: dict[str, Any] = {
            "sub": "f:1",
            "email": "lin@example.org",
            "email_verified": True,
            "preferred_username": "lin",
            "given_name": "Lin",
            "family_name": "Wu",
            "groups": ["operators"],
        }
        # What only /userinfo says, and what the discovery document says besides.
        self.more: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.sign = self.properly
        self.codes: dict[str, dict[str, str]] = {}
        self.refusal = ""
        self.is_down = False
        self.calls: list[str] = []

    def properly(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, key_of(self.kid), "RS256", headers={"kid": self.kid})

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        fixed = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "auth_time": now}
        return self.sign({**fixed, "nonce": asked["nonce"], **self.claims})

    def code_for(self, asked: dict[str, str]) -> str:
        """Return a new code for the query of an authorization request."""
        code = uuid4().hex
        self.codes[code] = asked
        return code

    def answer_to(self, address: str) -> str:
        """Return the query with which the person's browser comes back from this authorization request."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if self.refusal:
            return urlencode(
                {"error": self.refusal, "error_description": "<b>x</b>", "state": asked["state"]}
            )
        return urlencode({"code": self.code_for(asked), "state": asked["state"], "iss": self.issuer})


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.calls.append(self.path.partition("?")[0])
        if self.server.is_down:
            return self._say({}, 503)
        match urlsplit(self.path).path.removeprefix("/realms/main"):
            case "/.well-known/openid-configuration":
                issuer = self.server.issuer
                names = {
                    "authorization_endpoint": "authorize",
                    "token_endpoint": "token",
                    "jwks_uri": "keys",
                    "userinfo_endpoint": "userinfo",
                }
                document = {name: f"{issuer}/{part}" for name, part in names.items()}
                return self._say({"issuer": issuer, **document, **self.server.document})
            case "/keys":
                key = jwt.algorithms.RSAAlgorithm.to_jwk(key_of(self.server.kid).public_key(), as_dict=True)
                return self._say({"keys": [{**key, "kid": self.server.kid, "use": "sig", "alg": "RS256"}]})
            case "/userinfo":
                is_known = self.headers["Authorization"] == "Bearer planted-access-token"
                return self._say(
                    {"sub": self.server.claims["sub"], **self.server.more}, 200 if is_known else 401
                )
            case "/authorize":
                asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{self.server.answer_to(self.path)}")
                self.end_headers()
                return None
        return self._say({}, 404)

    def do_POST(self) -> None:
        self.server.calls.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.server.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        is_ours = self.headers.get("Authorization") == basic or form.get("client_secret") == SECRET
        if not (asked and is_ours and asked["code_challenge"] == challenge):
            return self._say({"error": "invalid_grant", "error_description": f"{SECRET}"}, 400)
        if asked["redirect_uri"] != form["redirect_uri"] or asked["client_id"] != CLIENT:
            return self._say({"error": "invalid_grant"}, 400)
        token = self.server.id_token(asked)
        return self._say({"access_token": "planted-access-token", "token_type": "Bearer", "id_token": token})

    def _say(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@contextmanager
def running() -> Iterator[Provider]:
    """Run a provider."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


# --- What tests do with it -------------------------------------------------------------------------

START, ANSWER, LOGIN = reverse("openid_start"), reverse("openid_answer"), reverse("admin:login")
PASSWORD = "right horse battery"


@pytest.fixture
def provider(settings):
    with running() as server:
        settings.OIDC_ISSUER, settings.OIDC_NAME = server.issuer, "Example ID"
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT, SECRET
        settings.OIDC_ROLES = [("operators", "Operators"), ("viewers", "Viewers")]
        settings.OIDC_AUTO_CREATE = True
        provider_client.forget()
        yield server
        provider_client.forget()


def begin(client, **fields):
    """The address at the provider to which the console leads."""
    page = client.post(START, fields)
    assert page.status_code == 200, page.status_code
    return html.unescape(re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.content.decode())[1])


def sign_in(client, provider, **fields):
    """The page on which the person is after the whole way."""
    return client.get(f"{ANSWER}?{provider.answer_to(begin(client, **fields))}", follow=True)


def said(page):
    return " ".join(str(message) for message in page.context["messages"])


def is_in(client):
    return client.get(reverse("admin:index")).status_code == 200


def linked(provider, **fields):
    person = factories.user(**{"username": "lin", "email": "lin@example.org", **fields})
    ExternalIdentity.objects.create(user=person, issuer=provider.issuer, subject="f:1")
    return person
