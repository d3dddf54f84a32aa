"""Rows of people that their constraints refuse: (name of the constraint, a row and the values that break it)."""

from accounts.models import ExternalIdentity
from tests.kit import factories

NOBODY = 987_654_321


def identity(**fields):
    subject = factories.user().username
    values = {"user": factories.user(), "issuer": "https://id.example.org", "subject": subject, **fields}
    return ExternalIdentity.objects.create(**values)


def same_identity(*fields):
    """A second identity, that breaks the constraint if it equals the first in these fields."""
    first, second = identity(), identity()
    return second, {field: getattr(first, field) for field in fields}


def of_nobody(make, field="user_id"):
    return lambda: (make(), {field: NOBODY})


PEOPLE = [
    ("externalidentity_unique", lambda: same_identity("issuer", "subject")),
    ("externalidentity_one_each", lambda: same_identity("user_id", "issuer")),
    ("externalidentity_user_fk", of_nobody(identity)),
    ("loginsession_user_fk", of_nobody(factories.listed_session)),
    ("apitoken_user_fk", of_nobody(factories.api_token)),
    ("personaltoken_user_fk", of_nobody(factories.personal_token)),
    ("refreshtoken_user_fk", of_nobody(factories.refresh_token)),
    ("passwordreset_user_fk", of_nobody(factories.password_reset_token)),
    ("idempotencykey_user_fk", of_nobody(factories.idempotency_key)),
    ("event_actor_fk", of_nobody(factories.event, "actor_id")),
]
