"""Who needs a second factor, who has one, and which codes are right."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib.auth.models import Group

from accounts import second_factor
from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from database import keys
from tests.kit import factories

pytestmark = pytest.mark.django_db


def code_of(secret, *, later=0):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


@pytest.fixture
def person():
    return factories.user()


@pytest.fixture
def secret(person):
    secret = generate_totp_secret()
    TOTP.activate(person, secret)
    return secret


def required(role, setting, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = setting
    person = factories.user()
    person.groups.add(Group.objects.get(name=role))
    return second_factor.required_for(person)


@pytest.mark.parametrize(
    ("setting", "roles"),
    [
        ("nobody", set()),
        ("superusers", set()),
        ("operators", {OPERATORS, APPROVERS}),
        ("everybody", {VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS}),
    ],
)
def test_the_setting_names_who_needs_one(setting, roles, settings):
    asked = (VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS)

    assert {role for role in asked if required(role, setting, settings)} == roles
    assert second_factor.required_for(factories.superuser()) == (setting != "nobody")


def test_recovery_codes_alone_are_no_second_factor(person):
    RecoveryCodes.activate(person)

    assert not second_factor.has(person)
    TOTP.activate(person, generate_totp_secret())
    assert second_factor.has(person)
    assert not second_factor.has(factories.user())


def test_a_code_is_right_once_and_not_for_somebody_else(person, secret):
    other = factories.user()
    TOTP.activate(other, generate_totp_secret())
    code = code_of(secret)

    assert not second_factor.verify(other, code)
    assert second_factor.verify(person, code)
    assert not second_factor.verify(person, code)


@pytest.mark.parametrize("later", [-3, 3])
def test_a_code_of_another_time_is_wrong(person, secret, later):
    assert not second_factor.verify(person, code_of(secret, later=later))


def test_a_recovery_code_is_right_once(person, secret):
    first, *others = RecoveryCodes.activate(person).get_unused_codes()

    assert second_factor.verify(person, first)
    assert not second_factor.verify(person, first)
    assert len(Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()) == len(others)


def test_after_five_wrong_codes_the_right_one_is_wrong_too(person, secret):
    for _number in range(5):
        assert not second_factor.verify(person, "000000")

    assert not second_factor.verify(person, code_of(secret))


def test_no_code_is_counted_as_no_guess(person, secret):
    for _number in range(6):
        assert not second_factor.verify(person, "")

    assert second_factor.verify(person, code_of(secret))


def test_the_rotation_of_keys_reaches_second_factors(person, secret, settings):
    codes = RecoveryCodes.activate(person).get_unused_codes()
    old, new = settings.FIELD_ENCRYPTION_KEY, ["a new key that is long and random"]
    settings.FIELD_ENCRYPTION_KEY = [*new, *old]
    assert any("mfa.Authenticator" in one.msg for one in keys.check_keys(databases=["default"]))

    assert keys.rotate().rotated == 2

    settings.FIELD_ENCRYPTION_KEY = new
    assert keys.check_keys(databases=["default"]) == []
    assert second_factor.verify(person, code_of(secret))
    assert Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes() == codes


def test_secrets_are_encrypted_in_the_database(person, secret):
    RecoveryCodes.activate(person)

    stored = dict(Authenticator.objects.values_list("type", "data"))
    assert stored["totp"]["secret"].startswith("gAAAA")
    assert stored["recovery_codes"]["seed"].startswith("gAAAA")
