"""Whose account a person of the OpenID Connect provider signs in to, and with which roles."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import ExternalIdentity, PersonalToken
from audit.models import Event
from tests.accounts.openid_provider import PASSWORD, is_in, linked, said, sign_in
from tests.kit import factories, steps

pytestmark = pytest.mark.django_db


# --- Whose account ----------------------------------------------------------------------------------


def test_an_account_is_found_by_its_verified_address_and_then_by_its_subject(client, provider):
    person = steps.with_password(factories.user(username="wu", email="Lin@Example.org"), PASSWORD)

    sign_in(client, provider)
    provider.claims["email"] = "lin.wu@example.org"
    sign_in(Client(), provider)

    assert User.objects.get() == person
    assert ExternalIdentity.objects.get().user == person
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


NOT_TAKEN_OVER = {
    "an address that is not verified": ({}, {"email_verified": False}),
    "an address of which nothing is said": ({}, {"email_verified": None}),
    "a text that says true": ({}, {"email_verified": "true"}),
    "a superuser": ({"is_superuser": True}, {}),
    "an inactive account": ({"is_active": False}, {}),
    "an account that may not use the console": ({"is_staff": False}, {}),
    # The sign of Kelvin, which is a k in small letters.
    "an address that a database takes for equal": (
        {"email": "\u212aim@example.org"},
        {"email": "kim@example.org"},
    ),
}


@pytest.mark.parametrize(("fields", "claims"), NOT_TAKEN_OVER.values(), ids=NOT_TAKEN_OVER)
def test_an_account_is_not_taken_over(client, provider, settings, fields, claims):
    settings.OIDC_AUTO_CREATE = False
    factories.user(**{"username": "lin", "email": "lin@example.org", **fields})
    provider.claims.update(claims)

    answers = [said(sign_in(client, provider))]
    User.objects.all().delete()
    answers.append(said(sign_in(client, provider)))

    # The same as without an account.
    assert len(set(answers)) == 1
    assert "you have no account here" in answers[0]
    assert not ExternalIdentity.objects.exists()
    assert not is_in(client)


def test_no_second_account_beside_one_that_is_not_taken_over(client, provider):
    factories.superuser(username="root", email="lin@example.org")

    assert "you have no account here" in said(sign_in(client, provider))
    assert User.objects.count() == 1


def test_two_accounts_with_one_address_are_not_guessed_at(client, provider):
    for name in ("a", "b"):
        factories.user(username=name, email="lin@example.org")

    assert "you have no account here" in said(sign_in(client, provider))


def test_an_address_that_passed_to_somebody_else_gives_them_no_account(client, provider):
    linked(provider)
    provider.claims["sub"] = "f:2"

    assert "you have no account here" in said(sign_in(client, provider))
    assert not is_in(client)


def test_a_name_that_is_taken_gets_a_number(client, provider):
    factories.user(username="LIN", email="other@example.org")

    sign_in(client, provider)

    assert User.objects.get(email="lin@example.org").username == "lin-2"


def test_a_name_that_is_none_gives_way_to_the_address(client, provider):
    provider.claims["preferred_username"] = "a b\x00<script>"

    sign_in(client, provider)

    assert User.objects.get().username == "lin@example.org"


def test_without_the_setting_nobody_gets_an_account(client, provider, settings):
    settings.OIDC_AUTO_CREATE = False

    assert "you have no account here" in said(sign_in(client, provider))
    assert not User.objects.exists()


def test_only_the_domains_of_the_setting_are_let_in(client, provider, settings):
    settings.OIDC_EMAIL_DOMAINS = ["example.com"]
    assert "your mail address may not be used here" in said(sign_in(client, provider))

    settings.OIDC_EMAIL_DOMAINS = ["example.org"]
    sign_in(client, provider)
    assert is_in(client)


@pytest.mark.parametrize(
    ("email", "domain", "is_trusted"),
    [
        ("lin@example.org", None, False),
        ("lin@example.org", "example.org", True),
        ("lin@gmail.com", None, True),
    ],
)
def test_google_verifies_only_addresses_of_its_own(settings, email, domain, is_trusted):
    from accounts.openid.identity import _verified_email

    settings.OIDC_ISSUER = "https://accounts.google.com"
    claims = {"email": email, "email_verified": True, **({"hd": domain} if domain else {})}

    assert bool(_verified_email(claims, claims)) is is_trusted


def test_a_deactivated_person_is_not_let_in(client, provider):
    linked(provider, is_active=False)

    assert "may not use the console" in said(sign_in(client, provider))
    assert not is_in(client)


def test_a_deleted_account_takes_its_link_along(client, provider):
    linked(provider).delete()

    assert not ExternalIdentity.objects.exists()


def test_a_superuser_is_linked_by_a_command(client, provider, capsys):
    root = factories.superuser(username="root", email="root@example.org")
    call_command("link_openid", "root", "--subject", "f:1")

    sign_in(client, provider)
    assert client.session["_auth_user_id"] == str(root.pk)

    with pytest.raises(CommandError, match="linked already"):
        call_command("link_openid", "root", "--subject", "f:9")
    call_command("link_openid", "root", "--remove")
    assert not is_in(client)
    assert Event.objects.filter(verb="person.openid_unlinked").exists()
    with pytest.raises(CommandError, match="no account"):
        call_command("link_openid", "nobody", "--remove")


# --- Roles ------------------------------------------------------------------------------------------


def test_roles_follow_the_groups_at_each_sign_in(client, provider):
    own = Group.objects.create(name="Made by hand")
    person = linked(provider)
    person.groups.add(own)
    sign_in(client, provider)
    assert {group.name for group in person.groups.all()} == {"Operators", "Made by hand"}

    provider.claims["groups"] = ["viewers"]
    sign_in(Client(), provider)

    assert {group.name for group in person.groups.all()} == {"Viewers", "Made by hand"}
    event = Event.objects.filter(verb="person.openid_roles").latest("pk")
    assert (event.before, event.after) == ({"groups": ["Operators"]}, {"groups": ["Viewers"]})


def test_who_has_no_group_any_more_loses_roles_sessions_and_tokens(client, provider):
    sign_in(client, provider)
    person = User.objects.get()
    factories.personal_token(user=person)
    provider.claims["groups"] = []

    page = sign_in(Client(), provider)

    assert "none of your groups there has a role here" in said(page)
    assert not person.groups.exists()
    assert not is_in(client)
    assert not PersonalToken.objects.filter(revoked_at=None).exists()


def test_a_missing_claim_is_no_group(client, provider):
    del provider.claims["groups"]

    assert "none of your groups" in said(sign_in(client, provider))
    assert not User.objects.exists()


def test_an_account_that_was_never_linked_loses_nothing(client, provider):
    person = factories.user(username="wu", email="lin@example.org")
    person.groups.add(Group.objects.get(name="Operators"))
    provider.claims["groups"] = []

    assert "none of your groups" in said(sign_in(client, provider))
    assert person.groups.exists()


def test_without_roles_in_the_settings_groups_are_given_here(client, provider, settings):
    settings.OIDC_ROLES, settings.OIDC_AUTO_CREATE = [], False
    person = linked(provider)
    person.groups.add(Group.objects.get(name="Viewers"))

    sign_in(client, provider)

    assert is_in(client)
    assert person.groups.get().name == "Viewers"


def test_a_star_is_everybody_and_an_unknown_role_is_logged(client, provider, settings, caplog):
    settings.OIDC_ROLES = [("*", "Viewers"), ("operators", "Nobodies")]

    sign_in(client, provider)

    assert User.objects.get().groups.get().name == "Viewers"
    assert "OIDC_ROLES names groups that do not exist: Nobodies." in caplog.text
