"""No error reveals a secret, and nobody can make the console send mail by causing an error."""

import logging

import pytest
from django.conf import settings as configured
from django.core import mail
from django.test import RequestFactory
from django.urls import reverse
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from console.dashboard import page
from scraping.models import RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db
PLANTED = "planted-4711"


@pytest.fixture
def planted(settings, monkeypatch, client):
    """Secrets in the settings, the environment, the database and variables; and a dashboard that fails."""
    settings.CELERY_BROKER_URL = f"redis://:{PLANTED}-broker@127.0.0.1:6379/0"
    settings.SECRET_KEY = f"{PLANTED}-key-that-is-long-enough-to-sign-with"
    settings.FIELD_ENCRYPTION_KEY = [f"{PLANTED}-field"]
    settings.REDDIT_CLIENT_SECRET = f"{PLANTED}-reddit"
    settings.EMAIL_HOST_PASSWORD = f"{PLANTED}-mail"
    settings.HARMLESS_NAME = f"{PLANTED}-harmless"
    # People who would get Django's reports, if somebody configures them.
    settings.ADMINS = [("ops", "ops@example.org")]
    settings.ALERT_EMAILS = ["ops@example.org"]
    app = factories.reddit_app(client_secret=f"{PLANTED}-app")

    def fail(request):
        secret, broker = f"{PLANTED}-variable", configured.CELERY_BROKER_URL
        raise RuntimeError(RedditApp.objects.get(pk=app.pk).name, len(secret), len(broker))

    monkeypatch.setattr(page, "context", fail)
    client.raise_request_exception = False
    client.force_login(factories.superuser())
    return client


@pytest.mark.slow
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_error_tells_no_secret_and_mails_nothing(planted, settings, caplog, capfd, debug, method):
    settings.DEBUG = debug
    planted.cookies["other"] = f"{PLANTED}-cookie"

    answer = getattr(planted, method)(
        reverse("admin:index"),
        {"password": f"{PLANTED}-posted"} if method == "post" else {},
        # As under `runserver`, whose requests contain the environment of the process.
        CELERY_BROKER_URL=f"redis://:{PLANTED}-environment@127.0.0.1/0",
        headers={"Authorization": f"Bearer {PLANTED}-token"},
    )

    assert answer.status_code == 500
    output = capfd.readouterr()
    for told in (answer.content.decode(), caplog.text, output.out, output.err):
        assert PLANTED not in told
    assert mail.outbox == []


@pytest.mark.parametrize("debug", [False, True])
def test_a_wrong_host_mails_nothing(planted, settings, debug):
    settings.DEBUG = debug

    answer = planted.get("/admin/", headers={"Host": "evil"})

    assert answer.status_code == 400
    assert PLANTED not in answer.content.decode()
    assert mail.outbox == []


def test_a_report_that_somebody_mails_nevertheless_tells_no_secret(planted):
    request = RequestFactory().post(
        "/", {"secret": f"{PLANTED}-posted"}, CELERY_BROKER_URL=f"{PLANTED}-environment"
    )
    try:
        variable = f"{PLANTED}-variable"
        raise RuntimeError(len(variable))
    except RuntimeError as error:
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)

    for report in (reporter.get_traceback_text(), reporter.get_traceback_html()):
        # The report contains the source line above, but not the values.
        assert f"{PLANTED}-" not in report.replace(f"{{{PLANTED}}}", "")
        assert "RuntimeError" in report


def test_no_logger_mails():
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]

    assert [
        logger.name for logger in loggers if any(isinstance(h, AdminEmailHandler) for h in logger.handlers)
    ] == []


def test_a_mail_server_that_does_not_answer_is_not_waited_for():
    assert 0 < configured.EMAIL_TIMEOUT <= 30
