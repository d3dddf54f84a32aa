"""The main cause comes first, in both languages, with few queries."""

import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from maintenance.explanations import explain_item, explain_run
from maintenance.explanations.content import NotAnItem
from maintenance.models.statuses import Reason, Status
from tests.kit import factories
from tests.maintenance.explanations import planted, planted_content, planted_schedules
from tests.maintenance.explanations.planted import PLANTED

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]

QUERIES_MAX = 10
# Parts of Chinese sentences that are no words of English.
NO_ENGLISH = re.compile(
    r"“[^”]*”|r/\w+|t[13]_\w+|#\d+|UTC\S*|https?://\S+|\b(ada|Reddit|OAuth|celery beat|hourly)\b"
)


@pytest.mark.parametrize(
    ("code", "word", "plant"), [pytest.param(*one, id=one[2].__name__) for one in PLANTED]
)
def test_the_planted_cause_comes_first(code, word, plant, settings):
    settings.REDDIT_CLIENT_ID = ""

    causes = plant()

    assert causes[0].code == code, [str(cause) for cause in causes]
    assert word in causes[0].text


def test_at_least_thirty_are_planted():
    assert len(PLANTED) >= 30


@pytest.mark.parametrize("plant", [pytest.param(one[2], id=one[2].__name__) for one in PLANTED])
def test_it_is_told_in_chinese(plant, settings):
    settings.REDDIT_CLIENT_ID = ""
    with translation.override("zh-hans"):
        text = plant()[0].text

    assert re.search(r"[一-鿿]", text), text
    assert "%(" not in text
    left = NO_ENGLISH.sub("", text)
    assert not re.search(r"[A-Za-z]{4,} [A-Za-z]{2,}", left) or "posts are more" in left, left


def test_a_reason_and_what_was_said_are_a_sentence_with_chinese_signs():
    run = factories.job_run(status="interrupted", reason="worker_lost", error="no answer")
    with translation.override("zh-hans"):
        assert explain_run(run)[0].text.startswith("工作进程失联：no answer")


@pytest.mark.parametrize("plant", [pytest.param(one[2], id=one[2].__name__) for one in PLANTED])
def test_it_costs_few_queries(plant, settings, monkeypatch):
    settings.REDDIT_CLIENT_ID = ""
    asked = []
    for module, name in [
        (planted, "explain_run"), (planted, "explain_slot"), (planted_schedules, "explain_slot"), (planted_schedules, "explain_schedule"),
        (planted_content, "explain_bot"), (planted_content, "explain_item"),
    ]:  # fmt: skip
        explain = getattr(module, name)

        def counted(*args, explain=explain):
            with CaptureQueriesContext(connection) as queries:
                found = explain(*args)
            asked.append(len(queries))
            return found

        monkeypatch.setattr(module, name, counted)

    plant()

    assert asked
    assert max(asked) <= QUERIES_MAX


@pytest.mark.parametrize("status", Status.values)
@pytest.mark.parametrize("reason", Reason.values)
def test_every_state_and_reason_has_an_explanation(status, reason):
    run = factories.job_run(status=status, reason=reason)

    causes = explain_run(run)

    assert all(cause.code and cause.text for cause in causes)
    assert causes


def test_a_chain_of_runs_that_name_each_other_ends():
    first = factories.job_run(status="skipped", reason="overlap")
    second = factories.job_run(
        status="skipped", reason="overlap", message=f"Run #{first.pk} was not finished."
    )
    first.message = f"Run #{second.pk} was not finished."
    first.save()

    assert explain_run(first)


def test_an_owner_learns_nothing_of_other_peoples_posts():
    post = factories.post()
    stranger = factories.user()

    (unknown,) = explain_item(post.fullname, seen_by=stranger)
    assert (unknown.code, unknown.text) == ("unknown", "It is not among what you may see.")
    assert [cause.code for cause in explain_item(post.fullname, seen_by=factories.superuser())] == ["stored"]


@pytest.mark.parametrize("text", ["", "t3_", "hello", "https://example.org/", "t5_abc"])
def test_what_is_no_item_is_refused(text):
    with pytest.raises(NotAnItem):
        explain_item(text)


# --- The command ------------------------------------------------------------------------------


def why(capsys, *words):
    call_command("why", *words)
    return capsys.readouterr().out


def test_the_command_explains_a_run(capsys):
    run = factories.job_run(status="queued")

    assert why(capsys, "run", str(run.pk)).startswith("No worker is alive")
    assert json.loads(why(capsys, "run", str(run.pk), "--json"))[0]["code"] == "no_worker"


def test_a_schedule_is_named_in_the_readers_language():
    run = factories.job_run(job="cleanup_tokens", status="blocked", schedule_name="Cleanup tokens")
    with translation.override("zh-hans"):
        text = next(str(cause.text) for cause in explain_run(run) if cause.code == "asked_by")

    assert "清理令牌" in text
    assert "Cleanup" not in text


def test_the_command_explains_the_rest(capsys):
    bot = factories.bot_config(name="news", auto_scrape=False)
    post = factories.post()

    assert "on demand" in why(capsys, "bot", bot.name)
    assert post.fullname in why(capsys, "post", post.fullname)
    assert "No scheduler" in why(capsys, "schedule", "purge_old_content")
    assert "no slot" in why(capsys, "schedule", "purge_old_content", "--at", "2026-11-24 02:31")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "999999"], "no run 999999"),
        (["run", "x"], "'x' is no number of a run"),
        (["schedule", "nothing"], "No schedule is named nothing"),
        (["schedule", "purge_old_content", "--at", "tomorrow"], "--at"),
        (["schedule", "purge_old_content", "--at", "9999-12-31 23:59"], "--at"),
        (["schedule", "purge_old_content", "--at", "0001-01-01"], "--at"),
        (["run", "1", "--at", "2026-11-24 02:31"], "--at belongs to a schedule"),
        (["bot", "nobody"], "No bot is named nobody"),
        (["post", "hello"], "no fullname"),
    ],
)
def test_the_command_names_what_is_wrong(words, told):
    with pytest.raises(CommandError, match=re.escape(told)) as error:
        call_command("why", *words)

    assert error.value.returncode == 2


# --- The run's page ---------------------------------------------------------------------------


def page(client, run, user):
    client.force_login(user)
    return client.get(f"/admin/maintenance/jobrun/{run.pk}/change/").content.decode()


def test_the_page_of_a_run_says_why(client):
    run = factories.job_run(status="skipped", reason="overlap")

    text = page(client, run, factories.user("maintenance.view_jobrun"))

    assert "Why?" in text
    assert "An earlier run of the job was not finished" in text


def test_a_run_that_succeeded_needs_no_reason(client):
    run = factories.job_run(status="succeeded", counts={"x": 1})

    assert "Why?" not in page(client, run, factories.superuser())


def test_who_sees_only_some_runs_is_told_nothing_of_others(client):
    person = factories.user("scraping.view_botconfig")
    bot = factories.bot_config(owner=person)
    run = factories.job_run(status="failed", job="scrape_now", params={"config": bot.pk})

    text = page(client, run, person)

    assert f"#{run.pk}" in text
    assert "Why?" not in text
