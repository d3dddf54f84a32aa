"""The OpenID Connect provider of the tests."""

from tests.accounts.openid_provider import provider

__all__ = ["provider"]
