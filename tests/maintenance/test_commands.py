"""The commands: arguments, output, exit codes, signals."""

import getpass
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import Event
from maintenance.models import JobRun
from maintenance.scheduling import maintenance_mode
from scraping.models import RedditPost
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def run_json(capsys, *arguments):
    """Return the JSON object that a command prints, and its exit code."""
    code = 0
    try:
        call_command(*arguments, "--json")
    except SystemExit as end:
        code = int(end.code or 0)
    return json.loads(capsys.readouterr().out), code


def old_posts(number, days=100):
    for _ in range(number):
        factories.comment(post=factories.post(created_at=timezone.now() - timedelta(days=days)))


def test_the_dry_run_and_the_real_run_agree_to_the_row(capsys):
    old_posts(5)
    survivor = factories.post(created_at=timezone.now() - timedelta(days=89))

    dry, dry_code = run_json(capsys, "purge_old_content", "--dry-run")
    assert RedditPost.objects.count() == 6
    real, real_code = run_json(capsys, "purge_old_content")

    assert dry["counts"] == real["counts"] == {"scraping.RedditPost": 5, "scraping.RedditComment": 5}
    assert (dry_code, real_code, dry["dry_run"], real["dry_run"]) == (0, 0, True, False)
    assert list(RedditPost.objects.all()) == [survivor]


def test_days_overrides_the_retention(capsys):
    old_posts(1, days=8)
    survivor = factories.post(created_at=timezone.now() - timedelta(days=6))

    run_json(capsys, "purge_old_content", "--days", "7")

    assert list(RedditPost.objects.all()) == [survivor]


def test_json_prints_one_object_with_the_run(capsys):
    run, _ = run_json(capsys, "cleanup_tokens")

    assert run["id"] == JobRun.objects.get().pk
    assert (run["job"], run["status"], run["trigger"]) == ("cleanup_tokens", "succeeded", "command")
    assert run["duration_seconds"] >= 0


def test_without_json_the_outcome_is_readable(capsys):
    old_posts(2)

    call_command("purge_old_content")

    out = capsys.readouterr().out
    assert "succeeded" in out
    assert "scraping.RedditPost: 2" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["purge_old_content", "--days", "0"], "days"),
        (["purge_old_content", "--days", "x"], "days"),
        (["run_job", "no_such_job"], "no_such_job"),
        (["run_job", "cleanup_tokens", "--param", "oops"], "NAME=VALUE"),
        (["run_job", "cleanup_tokens", "--param", "=b"], "NAME=VALUE"),
        (["run_job", "cleanup_tokens", "--param", "a=b"], "takes no parameter"),
        (["run_job", "purge_old_content", "--queue", "--dry-run", "--check"], "not known yet"),
        (["schedules", "plan", "schedules.yaml", "--reason", "why"], "go with apply"),
        (["schedules", "export", "schedules.yaml", "--prune"], "goes with plan and apply"),
        (["scrape_now", "nobody"], "nobody"),
        (["purge_old_content", "--force"], "--reason"),
        (["purge_old_content", "--reason", "because"], "--force"),
        (["purge_old_content", "--plan", "0"], "no dry run"),
    ],
)
def test_wrong_usage_exits_2_and_names_the_fault(arguments, names):
    with pytest.raises(CommandError, match=names) as error:
        call_command(*arguments)

    assert error.value.returncode == 2
    assert not JobRun.objects.exists()


def test_a_name_that_two_bots_share_is_refused():
    factories.bot_config(name="twin")
    factories.bot_config(name="twin")

    with pytest.raises(CommandError, match="give the id"):
        call_command("scrape_now", "twin")


def test_a_failed_run_exits_1(capsys):
    config = factories.bot_config(is_active=False)

    run, code = run_json(capsys, "scrape_now", str(config.pk))

    assert (run["status"], code) == ("failed", 1)
    assert run["error"]


def test_a_blocked_run_exits_3(capsys, settings):
    settings.PURGE_CAP_ROWS = 1
    old_posts(1)

    run, code = run_json(capsys, "purge_old_content")

    assert (run["status"], code) == ("blocked", 3)
    assert RedditPost.objects.count() == 1


def test_a_blocked_run_prints_the_figures(capsys, settings):
    settings.PURGE_CAP_ROWS = 1
    old_posts(1)

    with pytest.raises(SystemExit):
        call_command("purge_old_content")

    out = capsys.readouterr().out
    assert "scraping.RedditComment: 1 of 1 rows" in out
    assert "2 rows would be deleted, more than the 1 of PURGE_CAP_ROWS" in out


def test_force_with_a_reason_passes_the_cap(capsys, settings):
    settings.PURGE_CAP_ROWS = 1
    old_posts(1)
    survivor = factories.post()

    run, code = run_json(capsys, "purge_old_content", "--force", "--reason", "the import was wrong")

    assert (run["status"], run["mandate"]["reason"], code) == ("succeeded", "the import was wrong", 0)
    assert list(RedditPost.objects.all()) == [survivor]


def test_a_dry_run_prints_the_plan(capsys):
    old_posts(2)
    factories.post(
        created_at=timezone.now() - timedelta(days=100), held_at=timezone.now(), hold_reason="court"
    )

    call_command("purge_old_content", "--dry-run")

    out = capsys.readouterr().out
    assert "scraping.RedditPost: 2 of 3 rows" in out
    assert f"{timezone.now() - timedelta(days=100):%Y-%m}: 2" in out
    assert "1: court" in out


def test_a_run_can_refer_to_its_plan(capsys):
    old_posts(1)
    dry, _ = run_json(capsys, "purge_old_content", "--dry-run")
    old_posts(1)

    call_command("purge_old_content", "--plan", str(dry["id"]))

    assert "Posts: 1 were planned, at the start there were 2." in capsys.readouterr().out


def test_a_run_beside_another_is_skipped_and_exits_4(capsys):
    factories.job_run(status="running", job="cleanup_tokens", concurrency_key="cleanup_tokens")

    run, code = run_json(capsys, "cleanup_tokens")

    assert (run["status"], run["reason"], code) == ("skipped", "overlap", 4)


def test_a_pause_that_begins_before_the_claim_is_told_as_what_stops_the_run(capsys, monkeypatch):
    claim = JobRun.claim

    def paused_meanwhile(run, **values):
        maintenance_mode.start(by=None, reason="Reddit is down", scope="scraping")
        return claim(run, **values)

    monkeypatch.setattr(JobRun, "claim", paused_meanwhile)
    run, code = run_json(capsys, "auto_scraping")

    assert (run["status"], run["reason"], code) == ("skipped", "paused", 4)
    assert "Reddit is down" in run["message"]


def test_run_job_leaves_the_run_to_the_workers(capsys):
    run, code = run_json(capsys, "run_job", "cleanup_tokens", "--queue")

    assert (run["status"], code) == ("queued", 0)
    assert JobRun.objects.get().sent_at is not None


def test_seed_schedules_says_what_it_made(capsys):
    call_command("seed_schedules")
    capsys.readouterr()
    call_command("seed_schedules")

    assert capsys.readouterr().out.strip() == "nothing was missing"


def start(command, *arguments, **environment):
    """Start a command in a separate process on the test database."""
    return subprocess.Popen(
        [sys.executable, "manage.py", command, *arguments],
        env={**os.environ, "DATABASE_URL": factories.database_url(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "attempts"), [(signal.SIGTERM, "interrupted", 2), (signal.SIGINT, "cancelled", 1)]
)
def test_signals_end_a_purge_between_batches(number, status, attempts):
    now = timezone.now()
    RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=now - timedelta(days=100)) for _ in range(30_000)
    )
    survivor = factories.post(created_at=now)
    process = start("purge_old_content", PURGE_CAP_SHARE="1", PURGE_THROTTLE="0.1")
    try:
        wait_until(lambda: JobRun.objects.filter(progress_done__gt=0).exists(), timeout=120)
        process.send_signal(number)
        process.communicate(timeout=120)
    finally:
        process.kill()

    run = JobRun.objects.earliest("id")
    gone = 30_000 - (RedditPost.objects.count() - 1)
    assert process.returncode == 1
    assert run.status == status
    assert 0 < gone == run.counts["scraping.RedditPost"] < 30_000
    assert JobRun.objects.count() == attempts
    cancels = Event.objects.filter(verb="run.cancelled").values_list("actor_kind", "actor_name", "subject_id")
    assert list(cancels) == [("shell", getpass.getuser(), str(run.pk))] * (number == signal.SIGINT)
    assert RedditPost.objects.filter(pk=survivor.pk).exists()


@pytest.mark.slow
def test_a_dry_run_with_check_exits_with_3_where_the_real_one_would_wait(capsys, settings):
    settings.PURGE_CAP_ROWS = 1
    old_posts(1)

    plain, code = run_json(capsys, "purge_old_content", "--dry-run")
    checked, checked_code = run_json(capsys, "purge_old_content", "--dry-run", "--check")

    assert (plain["would"], plain["status"], code) == ("block", "succeeded", 0)
    assert (checked["would"], checked["status"], checked_code) == ("block", "succeeded", 3)
    settings.PURGE_CAP_ROWS = 2
    assert run_json(capsys, "purge_old_content", "--dry-run", "--check")[1] == 0
    assert run_json(capsys, "run_job", "purge_old_content", "--dry-run", "--check")[1] == 0


def test_check_without_a_dry_run_is_wrong_usage():
    with pytest.raises(CommandError, match="--check goes with --dry-run") as refused:
        call_command("purge_old_content", "--check")

    assert refused.value.returncode == 2
