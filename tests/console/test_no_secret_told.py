"""Secrets are planted everywhere, a job fails with all of them, and whatever the console tells has none of them."""

import io
import json
import logging
from uuid import uuid4

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import PersonalToken
from alerts.channels.answers import Answer
from alerts.channels.texts import Notice, as_json, in_words
from alerts.reading import reading_of
from console import logs
from console.error_reports import RedactedReporter
from console.local import processes
from database import clock, opened_secrets, redaction
from database.messages import gettext
from maintenance.ledger import dispatch, performing, publishing, requests
from maintenance.models import JobRun
from scraping.models import RedditApp
from tests.api.calls import Api
from tests.console.test_logs import PLANTED as PLANTED_SETTINGS
from tests.kit import factories
from tests.pages import every_page

pytestmark = pytest.mark.django_db
BROKER_URL = settings.CELERY_BROKER_URL
PERSONAL = PersonalToken.PREFIX + "Kx7planted0personal0token0123456789"
# By what it is: what must be found nowhere, and how the error of somebody else's program would say it.
SPOKEN: dict[str, tuple[str, str]] = {
    "key of the settings": (str(PLANTED_SETTINGS["SECRET_KEY"]), "cannot sign with {}"),
    "Reddit client secret": ("planted-client-secret-0815", "401 for app with {}"),
    "access token": ("planted-access-0815", "GET /r/python with access_token={}"),
    "password in an address": ("planted-password-0815", "postgres://console:{}@db:5432/x refused"),
    "header": ("cGxhbnRlZC1oZWFkZXI6MDgxNQ==", "sent Authorization: Basic {}"),
    "web hook": ("/services/T0PLANTED/B0PLANTED/0123456789abcdef", "Max retries exceeded with url: {}"),
    "messenger": ("110201543:AAHplanted0815SeofSAs0K5", "could not notify tgram://{}/-100"),
    "personal token": (PERSONAL, "called with {}"),
    "second password": ("planted horse 0815", '{{"user": "lin", "password": "{}"}}'),
}
SECRETS = [*(secret for secret, _said in SPOKEN.values()), "planted-broker-password", "planted mail password"]
SAID = [said.format(secret) for secret, said in SPOKEN.values()]


def assert_tells_none(where, text):
    found = [secret for secret in SECRETS if secret in text]
    assert not found, f"{where} tells {found}"


@pytest.fixture
def planted(settings):
    """Secrets in the settings and, encrypted, in the database."""
    for name, value in PLANTED_SETTINGS.items():
        setattr(settings, name, value)
    redaction._of_settings.cache_clear()
    opened_secrets._opened.clear()
    factories.reddit_app(name="Planted", client_secret=SPOKEN["Reddit client secret"][0])
    factories.webhook_route(url="https://hooks.slack.com" + SPOKEN["web hook"][0])
    yield
    redaction._of_settings.cache_clear()


@pytest.fixture
def logged():
    """What the console's handlers write, as text and as JSON."""
    stream, root, handlers = io.StringIO(), logging.getLogger(), []
    for formatter in logs.FORMATTERS.values():
        handlers.append(logging.StreamHandler(stream))
        handlers[-1].setFormatter(formatter())
        handlers[-1].addFilter(logs.WithIds())
        root.addHandler(handlers[-1])
    yield stream.getvalue
    for handler in handlers:
        root.removeHandler(handler)


@pytest.fixture
def failed(planted, declare):
    """A run whose job has logged each secret and failed with all of them, what it touched, and the job's slug."""
    opened = RedditApp.objects.get(name="Planted").client_secret

    def tell_everything(ctx):
        """Say each secret, and fail with all of them."""
        for said in SAID:
            ctx.log(said)
            ctx.log(gettext("%(host)s is not a public address.") % {"host": said})
            logging.getLogger("job").warning("it said: %s", said)
        ctx.report(1, 2, SAID[3])
        text = f"{opened} " + "; ".join(SAID)
        session = factories.session(run=ctx.run, status="running")
        session.record(totals={"python": {"error": text, "warnings": SAID}})
        session.close("failed", error=text)
        raise RuntimeError(text)

    run = requests.request_run(job=declare(tell_everything), trigger="command", send=False)
    with pytest.raises(RuntimeError):
        performing.perform(run)
    return JobRun.objects.get(pk=run.pk)


@pytest.fixture
def alert(failed):
    """An alert about that run, and what a channel answered."""
    made = factories.alert(rule="failed", subject_type="maintenance.JobRun", subject_id=failed.pk)
    for said in SAID:
        made.cause = gettext("%(host)s is not a public address.") % {"host": said}
        made.save()
        factories.delivery(alert=made, answer=Answer.of_error(OSError(said)).text)
    return made


def stored():
    """Return every value of every table, as the database has it, by table."""
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT * FROM {table}")
            yield model._meta.db_table, str(cursor.fetchall())


def body_of(response):
    return b"".join(response.streaming_content if response.streaming else [response.content]).decode()


def test_no_log_line_and_no_stored_row_tells_one(logged, alert):
    assert_tells_none("the log", logged())
    assert logged().count("[hidden]") > 2 * len(SAID)
    for table, rows in stored():
        assert_tells_none(table, rows)


@pytest.mark.slow
def test_no_page_tells_one(failed, alert, client):
    boss = factories.superuser()
    client.force_login(boss)
    run = [
        reverse(f"admin:maintenance_jobrun_{name}", args=[failed.pk])
        for name in ("change", "live", "log", "xray")
    ]
    runs = reverse("admin:maintenance_jobrun_changelist")
    own = [*run, reverse("admin:alerts_alert_change", args=[alert.pk]), f"{runs}?all=1", f"{runs}export/"]
    own += [reverse("admin:scraping_scrapesession_change", args=[one.pk]) for one in failed.sessions.all()]
    for address in [*own, *every_page(boss)]:
        assert_tells_none(address, body_of(client.get(address)))
    page = body_of(client.get(run[0]))
    assert page.count("[hidden]") > 2 * len(SAID)


def test_no_answer_of_the_api_tells_one(failed, alert):
    api = Api.of(factories.superuser())
    for path in (
        "runs/",
        f"runs/{failed.pk}",
        f"runs/{failed.pk}/log",
        "sessions/",
        "alerts/",
        "apps/",
        "bots/",
    ):
        assert_tells_none(path, api.get(path).content.decode())
    assert "[hidden]" in api.get(f"runs/{failed.pk}/log").content.decode()


def test_no_message_tells_one(alert):
    notice = Notice(uuid4(), "opened", [alert], clock.database_now(), reading_of(None, None))

    assert_tells_none("the mail", "".join(in_words(notice)))
    assert_tells_none("the web hook", json.dumps(as_json(notice)))
    assert "[hidden]" in json.dumps(as_json(notice))


def test_no_report_of_an_error_tells_one(planted):
    assert settings.DEFAULT_EXCEPTION_REPORTER == "console.error_reports.RedactedReporter"
    request = RequestFactory().get("/", headers={"Authorization": "Basic " + SPOKEN["header"][0]})
    for said in SAID:
        try:
            raise RuntimeError(said)
        except RuntimeError as error:
            reporter = RedactedReporter(request, type(error), error, error.__traceback__)
        for report in (reporter.get_traceback_text(), reporter.get_traceback_html()):
            assert_tells_none("the report", report)


def test_no_command_tells_one(failed, capsys):
    call_command("why", "run", str(failed.pk))
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit):
            call_command("run_job", failed.job, *options)
    output = capsys.readouterr()
    assert_tells_none("a command", output.out + output.err)


@pytest.mark.django_db(transaction=True)
def test_no_message_of_the_broker_and_no_command_line_tells_one(broker, failed, monkeypatch):
    monkeypatch.setattr(publishing, "_publisher", publishing.Publisher(BROKER_URL))
    assert dispatch.publish(factories.job_run(status="queued", job="cleanup_tokens", error="; ".join(SAID)))
    names = [name for name in broker.scan_iter() if broker.type(name) == b"list"]
    messages = str([broker.lrange(name, 0, -1) for name in names])

    assert "maintenance.cleanup_tokens" in messages
    assert_tells_none("the broker", messages)
    assert_tells_none("a command line", str([processes.web(), processes.worker(), processes.beat()]))
