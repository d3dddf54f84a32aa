"""Secrets are taken out of texts, and nothing else is; stored sentences keep what can be translated."""

import pytest
from django.db import connection
from django.utils import translation
from hypothesis import assume, given
from hypothesis import strategies as st

from database import opened_secrets
from database.messages import Message, as_json, gettext, without_secrets
from database.redaction import redacted
from maintenance.models import JobRun, RunLogLine
from tests.kit import factories


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456789", "abcdef123456789"),
        ("Authorization: Token abcdef123456789, again", "abcdef123456789"),
        ("sent 'Cookie: a=b; sessionid=k2j3h4k2j3h4; csrftoken=q'", "k2j3h4k2j3h4"),
        ("tgram://123456789:AAFabcdef/-100200", "AAFabcdef"),
        ("mailtos://lin:hunter22@example.org", "hunter22"),
        ("url: /services/T024F/B0/XyZ0123456789 (Caused by …)", "XyZ0123456789"),
        ("https://discord.com/api/webhooks/12345/abcdefghij-klm", "abcdefghij-klm"),
        (
            "https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5/send",
            "AAHdqTcvCH1vGWJxfSeofSAs0K5",
        ),
        ("used mct_0123456789abcdefghijkl to sign in", "0123456789abcdefghijkl"),
        ("{'Authorization': 'basic YWJjZGVmOmdoaWprbA=='}", "YWJjZGVmOmdoaWprbA=="),
        ("postgres://console:hunter22@db:5432/x refused", "hunter22"),
        ("redis://:hunter22@broker/0", "hunter22"),
        ('{"access_token": "abc.def-123", "expires_in": 86400}', "abc.def-123"),
        ("pass=hunter22 db_pass: hunter22 https://h/x?my-token=hunter22 /token=hunter22", "hunter22"),
        ("POST client_secret=abcdefg&grant_type=password", "abcdefg"),
        ("{'password': 'correct horse battery', 'user': 'lin'}", "correct horse battery"),
        ("Cookie: sessionid=k2j3h4k2j3h4; path=/", "k2j3h4k2j3h4"),
        (r'"{\"password\": \"correct horse\", \"user\": 1}"', "correct horse"),
        ("{&quot;password&quot;: &quot;correct horse&quot;}", "correct horse"),
        ("""password: "it's one" """, "s one"),
        ("gAAAAABm" + "x" * 60, "x" * 60),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text, secret):
    assert secret not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "maintenance.cleanup_tokens #17 succeeded: 5 rows",
        "The broker redis://broker:6379/0 does not answer.",
        "https://www.reddit.com/r/python/comments/abc/title/ and postgres://console@db:5432/console",
        "HTTP basic authentication is off; the digest maintenance; services/TOOLS",
        "deleted 5 tokens: 3 posts; t3_abc: no title",
        "r/secret: The subreddit is private; r/my_token: 5 posts; r/compass: 5 posts; Compass: succeeded",
        "GET /admin/maintenance/jobrun/17/change/?status=failed",
        "3 messages were not sent; their runs wait in the database.",
        "cleanup_tokens: 0 * * * * (hourly; UTC), next 12:00",
    ],
)
def test_an_ordinary_line_stays_as_it_is(text):
    assert redacted(text) == text


@given(st.text(max_size=80), st.text("abcDEF123-_", min_size=8, max_size=30))
def test_credentials_are_taken_out_in_any_text_and_the_rest_stays(text, secret):
    plain = "".join(character for character in text if character.isalpha() or character == " ")
    assume(secret not in plain)
    for said in (
        f"redis://:{secret}@cache:6379/0",
        f"postgres://console:{secret}@db/console",
        f"Authorization: Bearer {secret}",
        f"client_secret={secret}",
        f'"refresh_token": "{secret}"',
        f"password: {secret}",
    ):
        told = redacted(f"{plain} {said} {plain}")
        assert secret not in told
        assert told.startswith(plain)


@given(st.text())
def test_what_was_redacted_stays_as_it_is(text):
    for said in (text, f"token={text}", f"Authorization: Bearer {text}", f"x://{text}", f"://u:{text}@h"):
        once = redacted(said)
        assert redacted(once) == once


def test_only_the_latest_opened_secrets_are_kept():
    for number in range(opened_secrets.KEPT_MAX + 5):
        opened_secrets.remember(f"secret-number-{number}")
    opened_secrets.remember("short")

    assert len(opened_secrets.opened()) == opened_secrets.KEPT_MAX
    assert "secret-number-4" not in opened_secrets.opened()
    assert "short" not in opened_secrets.opened()


def test_the_path_of_an_opened_web_address_is_hidden_without_its_host_too():
    opened_secrets.remember("https://hooks.example.org/in/0123456789abcdef?key=1")

    told = redacted("Max retries exceeded with url: /in/0123456789abcdef?key=1 (Caused by …)")
    assert told == "Max retries exceeded with url: [hidden] (Caused by …)"
    assert redacted("GET https://hooks.example.org/in/0123456789abcdef?key=1") == "GET [hidden]"


# --- Stored texts --------------------------------------------------------------------------------


def test_a_sentence_with_a_secret_parameter_can_still_be_translated():
    said = gettext("%(host)s is not a public address.") % {"host": "x://abcdefgh1234"}

    told = without_secrets(said)

    assert isinstance(told, Message)
    assert told.english == "x://[hidden] is not a public address."
    with translation.override("zh-hans"):
        assert str(Message(told.parts)) != told.english


def test_a_secret_that_only_the_whole_sentence_shows_makes_it_a_plain_text():
    told = without_secrets(Message({"code": "token=%(value)s", "params": {"value": "abcdefgh1234"}}))

    assert (told, isinstance(told, Message)) == ("token=[hidden]", False)


def test_a_document_holds_no_secret_in_texts_lists_and_parts():
    said = gettext("%(host)s is not a public address.") % {"host": "token=abcdefgh1234"}

    told = as_json({"error": said, "warnings": [said, "password: hunter22"], "number": 5})

    assert "abcdefgh1234" not in str(told)
    assert "hunter22" not in str(told)
    assert told["error_parts"]["params"] == {"host": "token=[hidden]"}


@pytest.mark.django_db
def test_texts_are_stored_without_secrets_however_they_are_written():
    said = gettext("%(host)s is not a public address.") % {"host": "token=abcdefgh1234"}
    run = factories.job_run(error=said, traceback="password='hunter22'", stage="token=abcdefgh1234")
    RunLogLine.objects.bulk_create([factories.unsaved_log_line(run, said)])
    JobRun.objects.filter(pk=run.pk).update(message=said)

    stored = str([*JobRun.objects.values(), *RunLogLine.objects.values()])

    assert "abcdefgh1234" not in stored
    assert "hunter22" not in stored
    assert "abcdefgh1234" not in f"{run.error} {run.stage}"
    assert stored.count("[hidden]") >= 5


@pytest.mark.django_db
def test_what_an_earlier_release_has_stored_is_not_shown():
    line = factories.log_line(text="x")
    with_secret = (
        "UPDATE maintenance_runlogline SET text = 'token=abcdefgh1234', text_parts = NULL WHERE id = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(with_secret, [line.pk])

        trace = "UPDATE maintenance_jobrun SET traceback = 'password: hunter22' WHERE id = %s"
        cursor.execute(trace, [line.run_id])

    assert RunLogLine.objects.get(pk=line.pk).text == "token=[hidden]"
    assert JobRun.objects.get(pk=line.run_id).traceback == "password: [hidden]"
