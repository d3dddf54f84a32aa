"""Texts of a run in one language are read in the other: on pages, in JSON, in the output of commands."""

import json
import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from audit.models import Event
from database.messages import gettext as _
from maintenance.context import JobContext
from maintenance.ledger import interventions, performing, run_json
from maintenance.ledger.search import having_words
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, recovery, seeding, slot_rows
from maintenance.scheduling.timing import Timing
from scraping.content.holds import hold_posts
from scraping.models import RedditPost, ScrapeSession
from scraping.sessions.abandoned import close_abandoned_sessions
from tests.kit import factories
from tests.kit.steps import performed

pytestmark = pytest.mark.django_db

CJK = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.fixture(autouse=True)
def _low_cap(settings):
    """One old post waits for a person."""
    settings.PURGE_CAP_ROWS = 1


@pytest.fixture
def ada():
    return factories.superuser(username="ada")


def purge(**fields):
    return factories.job_run(**{"job": "purge_old_content", "status": "queued", **fields})


def old_posts(number=2):
    return [factories.post(created_at=LONG_AGO, title="title") for _ in range(number)]


def a_cancel(by):
    run = purge()
    interventions.cancel_run(run, by=by)
    return run


def a_block(by):
    old_posts()
    return performed(purge())


def an_approval(by):
    run = a_block(by)
    interventions.approve_run(run, by=by, reason="seen")
    return performed(run)


def a_rejection(by):
    run = a_block(by)
    interventions.reject_run(run, by=by, reason="no")
    return run


def a_forced_stop(by):
    run = factories.job_run(status="running", cancel_requested_at=timezone.now() - timedelta(minutes=5))
    interventions.force_stop_run(run, by=by)
    return run


def a_superseded_run(by):
    run = a_block(by)
    a_block(by)
    run.refresh_from_db()
    assert run.reason == JobRun.Reason.SUPERSEDED
    return run


def a_dry_run(by):
    old_posts()
    return performed(purge(dry_run=True))


def a_purge(by):
    old_posts(1)
    return performed(purge())


def a_purge_of_the_log(by):
    factories.job_run(finished_at=LONG_AGO)
    return performed(factories.job_run(job="cleanup_run_history", status="queued"))


def a_scrape_without_bots(by):
    return performed(factories.job_run(job="auto_scraping", status="queued"))


def a_scrape_without_an_app(by):
    bot = factories.bot_config(name="bot", subreddits=["python"])
    run = factories.job_run(job="scrape_now", status="queued", params={"config": bot.pk})
    return performed_badly(run)


def performed_badly(run):
    with pytest.raises(BaseException):  # noqa: B017, PT011  (any exception; the row has its text)
        performing.perform(run)
    run.refresh_from_db()
    return run


def a_lost_worker(by):
    run = factories.job_run(status="running", heartbeat_at=LONG_AGO)
    recovery.interrupt_lost_runs()
    run.refresh_from_db()
    return run


def slots_missed(by):
    task = factories.schedule(name="hourly")
    due = [LONG_AGO, LONG_AGO + timedelta(hours=1)]
    row = slot_rows.missed_row(task, "cleanup_tokens", due, timing=Timing.of(task), cut_at=due[0])
    row.save()
    return row


def slots_of_a_pause(by):
    task = factories.schedule(name="hourly")
    row = slot_rows.paused_row(
        task, "cleanup_tokens", [LONG_AGO], timing=Timing.of(task), why=_("no reason given")
    )
    row.save()
    return row


WAYS = [
    a_cancel,
    a_block,
    an_approval,
    a_rejection,
    a_forced_stop,
    a_superseded_run,
    a_dry_run,
    a_purge,
    a_purge_of_the_log,
    a_scrape_without_bots,
    a_lost_worker,
    slots_missed,
    slots_of_a_pause,
]


def page_of(client, run, language):
    answer = client.get(
        reverse("admin:maintenance_jobrun_change", args=[run.pk]), headers={"accept-language": language}
    )
    page = answer.content.decode()
    found = re.search(r"<main.*</main>|<div id=\"main\".*", page, re.S)
    return found.group() if found else page


def texts(run):
    """Return the texts of a run, in the active language."""
    run = JobRun.objects.get(pk=run.pk)
    said = [run.message, run.error, run.stage, *(line.text for line in run.log_lines.all())]
    return [text for text in said if text]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_was_done_in_chinese_reads_in_english(client, ada, way):
    with translation.override("zh-hans"):
        run = way(ada)
        chinese = texts(run)
        document = json.dumps(run_json.as_json(run), ensure_ascii=False)
        again = json.dumps(run_json.as_json(JobRun.objects.get(pk=run.pk)), ensure_ascii=False)
    client.force_login(ada)

    page = page_of(client, run, "en").replace("简体中文", "")

    assert chinese
    assert all(CJK.search(text) for text in chinese if " → " not in text)
    assert not any(CJK.search(text) for text in texts(run))
    assert CJK.findall(page) == []
    assert not CJK.search(document)
    assert not CJK.search(again)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_was_done_in_english_reads_in_chinese(client, ada, way):
    run = way(ada)
    with translation.override("zh-hans"):
        chinese = texts(run)
    client.force_login(ada)

    page = page_of(client, run, "zh-hans")

    assert all(CJK.search(text) for text in chinese if " → " not in text)
    for text in chinese[:1]:
        assert text.split("：")[0].split("。")[0][:20] in page


def test_json_carries_the_code_its_parameters_and_the_english_text(ada):
    with translation.override("zh-hans"):
        run = run_json.as_json(a_cancel(ada))

    assert run["message"] == "Cancelled by ada."
    assert run["message_parts"] == {"code": "Cancelled by %(name)s.", "params": {"name": "ada"}}
    assert (run["error"], run["error_parts"]) == ("", None)


def test_a_command_in_english_prints_what_a_chinese_worker_found(capsys, ada):
    old_posts()
    with translation.override("zh-hans"), pytest.raises(SystemExit):
        call_command("purge_old_content", "--json")
    document = capsys.readouterr().out

    assert not CJK.search(document)
    assert json.loads(document)["status"] == "blocked"
    assert json.loads(document)["message_parts"]["sentences"]


def test_the_decisions_read_in_the_readers_language(client, ada):
    with translation.override("zh-hans"):
        run = an_approval(ada)
    [blocked, *_others] = Event.objects.filter(subject_id=str(run.pk)).order_by("pk")

    assert not CJK.search(json.dumps(blocked.parameters, ensure_ascii=False))
    assert blocked.parameters["message_parts"]


def test_the_history_of_a_schedule_reads_in_the_readers_language(client, ada):
    seeding.seed()
    task = PeriodicTask.objects.get(task="maintenance.cleanup_tokens")
    with translation.override("zh-hans"):
        edits.pause(task, by=ada, reason="holiday")
        ScheduleControl.objects.filter(pk=task.pk).update(paused_until=timezone.now() - timedelta(minutes=1))
        edits.resume_ended_pauses(timezone.now())
    client.force_login(ada)
    address = reverse("admin:django_celery_beat_periodictask_history", args=[task.pk])

    page = (
        client.get(address, follow=True, headers={"accept-language": "en"})
        .content.decode()
        .replace("简体中文", "")
    )
    chinese = client.get(address, follow=True, headers={"accept-language": "zh-hans"}).content.decode()

    assert "The pause ended." in page
    assert not CJK.search(page)
    assert "The pause ended." not in chinese


def test_a_hold_reads_in_the_readers_language(client, ada):
    post = factories.post(title="title")
    with translation.override("zh-hans"):
        hold_posts(RedditPost.objects.all(), by=ada, reason="evidence")
    client.force_login(ada)

    page = client.get(
        reverse("admin:scraping_redditpost_history", args=[post.pk]), follow=True
    ).content.decode()

    assert "Held against deletion" in page
    assert "evidence" in page
    assert not CJK.search(page.replace("简体中文", ""))


def test_a_session_reads_in_the_readers_language():
    row = factories.session(status="running", finished_at=None, run=factories.job_run())
    with translation.override("zh-hans"):
        close_abandoned_sessions()
        assert CJK.search(ScrapeSession.objects.get(pk=row.pk).error)

    assert ScrapeSession.objects.get(pk=row.pk).error == (
        "The run ended before the session did; everything found until then is stored."
    )


def test_a_newcomers_job_need_not_know_of_this():
    run = factories.job_run(status="running")
    context = JobContext(run=run, params={}, dry_run=False)
    with translation.override("zh-hans"):
        context.log("12 files gone")
        context.log(gettext_lazy("It would run."))  # type: ignore[arg-type]  # it is what a job may do wrong
        context.partial(_("%(done)s of %(all)s bots scraped") % {"done": 1, "all": 2})
        run.finish("partial", message=context.message)

    assert texts(run) == ["1 of 2 bots scraped", "12 files gone", "It would run."]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["取消", "ada", "Cancelled"])
def test_a_reader_finds_what_they_read(ada, words):
    run = a_cancel(ada)
    factories.job_run(message="other")

    with translation.override("zh-hans"):
        assert list(having_words(JobRun.objects.all(), words)) == [run]
        blocked = a_block(ada)
        assert list(having_words(JobRun.objects.all(), "的上限")) == [blocked]


@pytest.mark.slow
def test_a_schedule_has_one_word_in_chinese(client, ada):
    seeding.seed()
    task = PeriodicTask.objects.first()
    client.force_login(ada)
    name = "admin:django_celery_beat_periodictask"
    pages = [
        *(reverse(f"{name}_{kind}") for kind in ("changelist", "add")),
        *(reverse(f"{name}_{kind}", args=[task.pk]) for kind in ("change", "delete")),
        reverse("admin:index"),
        reverse("admin:app_list", args=["django_celery_beat"]),
        reverse("admin:auth_group_add"),
        reverse("admin:audit_event_changelist"),
    ]

    for address in pages:
        page = client.get(address, HTTP_ACCEPT_LANGUAGE="zh-hans").content.decode()
        assert "计划任务" in page, address
        # What the library says: a periodic task, with and without 性; on the group's page of its inner tables too.
        assert "周期任务" not in page, address
        assert "周期性任务" not in page.replace("周期性任务追踪", ""), address
    with translation.override("zh-hans"):
        assert str(CrontabSchedule._meta.verbose_name) == "crontab 表达式"
