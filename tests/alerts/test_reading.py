"""A message is in the language and the zone of whoever reads it."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from alerts import quiet, reading
from alerts.follow_up import follow_up
from alerts.models import Alert, Reader, Route
from alerts.trying import send_test
from audit.models import Event
from tests.alerts.test_quiet_hours import NIGHT
from tests.kit import factories

pytestmark = pytest.mark.django_db


def person_with_route(**fields):
    person = factories.superuser(email="p@example.org", **fields)
    factories.route(to="person", person=person)
    return person


def told(condition, later, mails, address="p@example.org"):
    condition.ids = ["1"]
    condition.hand.now = datetime(2026, 6, 1, 10, tzinfo=UTC)
    condition.look()
    later(minutes=2)
    return next(mail for mail in mails.mails if mail["To"] == address)


@pytest.mark.parametrize(
    ("language", "subject", "since"),
    [
        ("zh-hans", "[严重] 失败: name 1", "自 2026-06-01 12:00:00 UTC+2"),
        ("en", "[critical] failed: name 1", "Since 2026-06-01 12:00:00 UTC+2"),
    ],
)
def test_a_mail_to_a_person_is_in_their_language_and_zone_only(
    condition, later, mails, language, subject, since
):
    person = person_with_route()
    reading.set_reading(language=language, zone="Europe/Berlin", by=person)

    mail = told(condition, later, mails)

    assert mail["Subject"] == subject
    assert since in mail.get_content()
    assert "\n--\n" not in mail.get_content()


def test_without_a_zone_that_of_the_quiet_hours_counts(condition, later, mails):
    person = person_with_route()
    quiet.set_quiet_hours(**NIGHT, by=person)
    reading.set_reading(language="en", zone="", by=person)

    assert "Since 2026-06-01 12:00:00 UTC+2" in told(condition, later, mails).get_content()


def test_the_language_of_the_browser_at_the_last_sign_in_is_kept_until_one_is_chosen(client, settings):
    person = person_with_route()
    person.set_password("a long enough password")
    person.save()

    def sign_in(language):
        client.logout()
        values = {"login": person.username, "password": "a long enough password"}
        client.post(reverse("admin:login"), values, headers={"accept-language": language})
        return Reader.objects.get(person=person).language

    assert sign_in("zh-CN,zh;q=0.9") == "zh-hans"
    assert sign_in("en-GB") == "en"
    reading.set_reading(language="zh-hans", zone="", by=person)
    assert sign_in("en-GB") == "zh-hans"
    reading.set_reading(language="", zone="", by=person)
    assert sign_in("zh-CN") == "zh-hans"
    assert sign_in("en") == "en"


def test_a_shared_address_gets_the_language_of_its_route(condition, later, mails):
    Route.objects.all().delete()
    factories.route(language="zh-hans")

    mail = told(condition, later, mails, "ops@example.org")

    assert mail["Subject"] == "[严重] 失败: name 1"
    assert "Since" not in mail.get_content()


@pytest.mark.parametrize(
    ("first", "second", "are_all"),
    [("zh-hans", "zh-hans", False), ("zh-hans", "en", True), ("zh-hans", "", True), ("", "zh-hans", True)],
)
def test_a_shared_address_with_two_routes_gets_one_mail_for_the_readers_of_both(
    condition, later, mails, first, second, are_all
):
    Route.objects.all().delete()
    for language in (first, second):
        factories.route(language=language)

    content = told(condition, later, mails, "ops@example.org").get_content()

    assert len(mails.mails) == 1
    assert "自" in content
    assert ("Since" in content) == are_all


def test_the_language_of_a_route_does_not_matter_to_a_person(condition, later, mails):
    person = factories.superuser(email="p@example.org")
    factories.route(to="person", person=person, language="zh-hans")

    content = told(condition, later, mails).get_content()

    assert "Since" in content  # not known: all languages
    assert "自" in content


def test_a_test_is_in_the_language_of_its_reader(mails):
    person = person_with_route()
    reading.set_reading(language="zh-hans", zone="", by=person)

    send_test(factories.route(to="person", person=person), by=factories.superuser())
    send_test(factories.route(language="en"), by=factories.superuser())

    chinese, english = mails.mails
    assert "测试" in chinese["Subject"]
    assert english["Subject"] == "A test of the maintenance console’s alerts"
    assert "\n--\n" not in english.get_content()


@pytest.mark.parametrize("wrong", [{"language": "tlh"}, {"zone": "Mars/Base"}])
def test_what_is_unknown_is_refused(wrong):
    with pytest.raises(ValueError, match="unknown"):
        reading.set_reading(**{"language": "en", "zone": "", **wrong}, by=factories.superuser())


def test_the_page_stores_language_and_zone_beside_the_quiet_hours(client):
    person = factories.user(is_staff=True)
    client.force_login(person)
    page, language = reverse("admin:my_messages"), reverse("admin:my_messages_language")
    client.post(
        reverse("admin:my_messages_quiet_hours"),
        {"begins": "22:00", "ends": "07:00", "zone": "Europe/Berlin"},
    )

    client.post(language, {"language": "zh-hans", "reading_zone": "Asia/Tokyo"})

    kept = Reader.objects.get(person=person)
    assert (kept.language, kept.zone, kept.is_chosen) == ("zh-hans", "Asia/Tokyo", True)
    shown = client.get(page)
    assert shown.context["language_form"]["reading_zone"].value() == "Asia/Tokyo"
    assert shown.context["hours_form"]["zone"].value() == "Europe/Berlin"
    answer = client.post(language, {"language": "tlh", "reading_zone": ""})
    assert answer.context["language_form"].errors
    assert not answer.context["hours_form"].errors
    assert Event.objects.filter(verb="person.reading_set", subject_id=str(person.pk)).count() == 1


def test_an_end_is_told_in_the_languages_of_all_who_were_told_of_the_beginning(condition, later, mails):
    Route.objects.all().delete()
    factories.route(language="en")
    factories.route(language="zh-hans", escalates_after_minutes=5)
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    follow_up(condition.hand.now + timedelta(minutes=5))
    later(minutes=8)
    condition.ids = []
    condition.look()
    later(minutes=2)

    opened, escalated, closed = (mail.get_content() for mail in mails.mails)
    assert ("Since" in opened, "自" in opened) == (True, False)
    assert ("Since" in escalated, "自" in escalated) == (False, True)
    assert "From" in closed
    assert re.search("[一-鿿]", closed)


def test_a_person_reads_of_the_end_in_their_language_and_zone(condition, later, mails):
    person = factories.superuser(email="ada@example.org")
    reading.set_reading(language="zh-hans", zone="Asia/Tokyo", by=person)
    factories.route(to="person", person=person)
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    condition.ids = []
    condition.look()
    later(minutes=2)

    closed = mails.mails[-1].get_content()
    until = Alert.objects.get().closed_at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{until:%H:%M}" in closed
    assert "From" not in closed


def test_one_message_for_two_readers_at_one_address_is_in_the_languages_of_both(condition, later, mails):
    alerts = [factories.alert(cause="why") for _ in range(2)]
    routes = [factories.route(language=language) for language in ("en", "zh-hans")]
    for alert, route in zip(alerts, routes, strict=True):
        factories.delivery(
            alert=alert, route=route, recipient="ops@example.org", next_attempt_at=condition.hand.now
        )
    later(seconds=30)

    (mail,) = mails.mails
    assert "Since" in mail.get_content()
    assert "自" in mail.get_content()
