"""The ping address in the form of a schedule: entered, masked, tested, taken away."""

import pytest
from django.core.management import call_command
from django.urls import reverse

from alerts.models import PingAddress
from audit.models import Event
from maintenance.scheduling import schedules
from tests.alerts.sinks import SECRET
from tests.kit import factories, pings
from tests.maintenance.admin.steps import CHANGE, EDIT, FORM, SEE

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
URL = f"https://hc-ping.example.org/{SECRET}"


@pytest.fixture
def schedule():
    return factories.schedule(name="Purge", task="maintenance.purge_old_content")


@pytest.fixture
def editor(client):
    user = factories.user(EDIT, SEE, "maintenance.run_job", "audit.view_event")
    client.force_login(user)
    return user


def page(client, schedule):
    return client.get(reverse(CHANGE, args=[schedule.pk])).content.decode()


def test_the_form_stores_it_and_no_page_shows_it(client, editor, schedule):
    assert 'name="ping_address"' in page(client, schedule)

    response = client.post(reverse(CHANGE, args=[schedule.pk]), {**FORM, "ping_address": URL})

    assert response.status_code == 302, response.context["errors"]
    assert PingAddress.objects.get(schedule=schedule).url == URL
    shown = page(client, schedule)
    assert "https://hc-ping.example.org/…" in shown
    address = reverse("admin:django_celery_beat_periodictask_history", args=[schedule.pk])
    history = client.get(address, follow=True)
    assert Event.objects.filter(verb="schedule.ping_set").count() == 1
    for text in (shown, history.content.decode(), str(list(Event.objects.values()))):
        assert SECRET not in text


def test_an_empty_field_keeps_it(client, editor, schedule):
    pings.ping_address(schedule=schedule, url=URL)

    response = client.post(reverse(CHANGE, args=[schedule.pk]), {**FORM, "ping_address": ""})

    assert response.status_code == 302
    assert PingAddress.objects.get(schedule=schedule).url == URL
    assert not Event.objects.filter(verb="schedule.ping_set").exists()


def test_an_unusable_one_is_an_error_at_the_field_and_is_not_repeated(client, editor, schedule):
    address = f"http://hc-ping.example.org/{SECRET}"

    response = client.post(reverse(CHANGE, args=[schedule.pk]), {**FORM, "ping_address": address})

    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == ["ping_address"]
    assert SECRET not in response.content.decode()


def test_the_card_shows_the_last_pings_with_their_answers(client, editor, schedule):
    address = pings.ping_address(schedule=schedule, url=URL)
    pings.ping(address=address, answer="HTTP 503 try later", attempts=1)

    assert "HTTP 503 try later" in page(client, schedule)


def test_a_test_shows_the_answer_and_taking_away_forgets_it(client, editor, schedule, service):
    pings.ping_address(schedule=schedule, url=service.url)
    buttons = reverse("admin:maintenance_schedule_part", args=[schedule.pk, "pings"])

    tested = client.post(buttons, {"test": "yes"}, follow=True)
    client.post(buttons, {"remove": "yes"})

    assert "HTTP 200 OK" in tested.content.decode()
    assert [path for path, _body in service.requests] == [f"/{SECRET}/log"]
    assert not PingAddress.objects.exists()


def test_who_may_only_see_schedules_gets_no_button(client, schedule):
    client.force_login(factories.user(SEE))
    pings.ping_address(schedule=schedule, url=URL)
    buttons = reverse("admin:maintenance_schedule_part", args=[schedule.pk, "pings"])

    shown = page(client, schedule)

    assert "https://hc-ping.example.org/…" in shown
    assert buttons not in shown
    assert client.post(buttons, {"remove": "yes"}).status_code == 403
    assert PingAddress.objects.exists()


def test_the_file_of_schedules_does_not_have_it_and_applying_keeps_it(editor, schedule, tmp_path):
    pings.ping_address(schedule=schedule, url=URL)
    file = tmp_path / "schedules.yaml"
    call_command("schedules", "export", str(file))
    exported = file.read_text()
    assert "ping" not in exported.partition("schedules:")[2]
    assert SECRET not in exported
    file.write_text(exported.replace("0 0 * * *", "15 5 * * *"))

    call_command("schedules", "apply", str(file), "--yes", "--reason", "x")

    schedule.refresh_from_db()
    assert str(schedules.crontab_of(schedule)) == "15 5 * * *"
    assert PingAddress.objects.get(schedule=schedule).url == URL
