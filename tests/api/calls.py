"""A client of the API as programs have it: a bearer token, JSON, no cookies."""

import json

from django.test import Client

from accounts import api_tokens
from tests.kit.steps import with_password

PASSWORD = "correct horse battery"  # an example
V1 = "/api/v1/"


class Api:
    """Calls with the token of a person; ``of`` makes one."""

    def __init__(self, secret=None):
        self.secret = secret
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    @classmethod
    def of(cls, user):
        """Sign in without the sign-in page: with a token issued for this person."""
        return cls(api_tokens.issue(user).access)

    def __call__(self, method, path, body=None, **headers):
        signed = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        text, kind = ("", "") if body is None else (json.dumps(body), "application/json")
        address = path if path.startswith("/") else V1 + path
        return self.client.generic(method.upper(), address, text, kind, headers={**signed, **headers})

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self("POST", path, body, **headers)


def signed_in(user):
    """Sign in at token/ and return the answer."""
    with_password(user, PASSWORD)
    return Api().post("token/", {"username": user.username, "password": PASSWORD})
