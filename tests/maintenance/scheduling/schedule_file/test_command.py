"""`manage.py schedules`: what it prints, its exit codes, and the events of what it did."""

import re
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from database.deadlines import TooSlow
from maintenance.models import JobRun, RetentionOverride, RetentionPolicy, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.schedule_file import costs
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path):
    return tmp_path / "schedules.yaml"


def command(*arguments):
    """Return what it prints, and its exit code."""
    out = StringIO()
    try:
        call_command("schedules", *map(str, arguments), stdout=out)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


def test_a_plan_tells_each_field_and_exits_with_5_and_applying_it_does_that(path):
    task = factories.schedule(name="Tokens", crontab="0 1 * * *")
    factories.schedule(name="Other")
    command("export", path)
    text = path.read_text()
    path.write_text(text.replace("crontab: 0 1 * * *", "crontab: 30 1 * * *\n  overlap: queue_one"))

    told, code = command("plan", path)

    assert code == 5
    assert "  ~ Tokens\n      crontab: 0 1 * * * → 30 1 * * *\n      overlap: skip → queue_one\n" in told
    assert "Other" not in told
    assert PeriodicTask.objects.get(pk=task.pk).crontab.minute == "0"

    told, code = command("apply", "--yes", path, "--reason", "as agreed")

    assert (code, "Done: changed 1." in told) == (0, True)
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=task.pk))) == "30 1 * * *"
    assert ScheduleControl.objects.get(pk=task.pk).overlap_policy == "queue_one"
    assert Event.objects.get(verb="schedule.retimed", subject_id=str(task.pk)).reason == "as agreed"
    assert command("plan", path) == ("Nothing would change.\n", 0)


def test_what_the_file_does_not_have_goes_only_with_prune_and_its_runs_stay(path):
    kept, gone = factories.schedule(name="Kept"), factories.schedule(name="Gone")
    run = factories.job_run(schedule=gone, scheduled_for=timezone.now())
    maintenance_mode.start(by=None, reason="a move")
    path.write_text(
        "version: 1\nschedules:\n- name: Kept\n  job: cleanup_tokens\n  crontab: 0 0 * * *\n  timezone: UTC\npauses: []\n"
    )
    others = PeriodicTask.objects.exclude(pk__in=[kept.pk, gone.pk]).count()

    told, code = command("plan", path)
    assert code == 0
    assert "left as they are (--prune ends or deletes them)" in told
    command("apply", "--yes", path)
    assert (PeriodicTask.objects.count(), maintenance_mode.is_on()) == (2 + others, True)

    told, code = command("plan", path, "--prune")
    assert (code, "  - Gone" in told, "  - all" in told) == (5, True, True)
    command("apply", "--yes", path, "--prune")

    assert [task.name for task in PeriodicTask.objects.all()] == ["Kept"]
    assert not maintenance_mode.is_on()
    assert JobRun.objects.get(pk=run.pk).status == run.status
    assert Event.objects.filter(verb="row.deleted", subject_id=str(gone.pk)).count() == 1


def test_a_section_that_the_file_does_not_have_is_never_pruned(path):
    task = factories.schedule()
    path.write_text("version: 1\nretentions: []\n")

    told, code = command("apply", "--yes", path, "--prune")

    assert code == 0
    assert PeriodicTask.objects.filter(pk=task.pk).exists()
    assert "none is ever deleted" in told or not RetentionPolicy.objects.exists()


def test_parameters_and_overrides_name_bots_so_that_the_file_fits_another_database(path):
    bot = factories.bot_config(name="news")
    factories.schedule(name="News", task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')
    factories.retention_override(config=bot, subreddit="", days=45)
    command("export", path)
    assert "config: news" in path.read_text()
    owner = bot.owner
    RetentionOverride.objects.all().delete()
    PeriodicTask.objects.all().delete()
    bot.delete()
    again = factories.bot_config(name="news", owner=owner)

    command("apply", "--yes", path)

    assert PeriodicTask.objects.get(name="News").kwargs == f'{{"config": {again.pk}}}'
    assert [(row.config_id, row.days) for row in RetentionOverride.objects.all()] == [(again.pk, 45)]


def test_a_pause_that_has_ended_is_no_pause(path):
    factories.schedule(name="Tokens")
    command("export", path)
    path.write_text(
        path.read_text().replace(
            "- name: Tokens", "- name: Tokens\n  paused: {reason: x, until: 2020-01-01 00:00:00+00:00}"
        )
    )

    assert command("plan", path) == ("Nothing would change.\n", 0)


def test_it_reads_standard_input_and_writes_standard_output(monkeypatch):
    factories.schedule(name="Tokens")
    text, _code = command("export", "-")
    monkeypatch.setattr("sys.stdin", StringIO(text))

    assert "- name: Tokens" in text
    assert command("plan", "-") == ("Nothing would change.\n", 0)


# --- What is applied is what was looked at ---------------------------------------------------------


class Terminal(StringIO):
    """A person who types."""

    def isatty(self):
        return True


def planned(path):
    """Change the file, and return what plan prints and its checksum."""
    factories.schedule(name="Tokens", crontab="0 1 * * *")
    command("export", path)
    path.write_text(path.read_text().replace("crontab: 0 1 * * *", "crontab: 30 1 * * *"))
    told, code = command("plan", path)
    assert code == 5
    return told, re.search(r"apply .* --plan (\w{12})$", told.strip())[1]


def minute():
    return schedules.crontab_of(PeriodicTask.objects.get(name="Tokens")).minute


def test_the_plan_that_was_printed_is_applied(path):
    _told, checksum = planned(path)

    assert "Done: changed 1." in command("apply", path, "--plan", checksum)[0]

    assert minute() == "30"
    assert command("apply", path, "--plan", checksum) == ("Nothing was to change.\n", 0)


def test_another_plan_than_the_printed_one_is_refused_and_shown(path):
    _told, checksum = planned(path)
    edits.set_details(PeriodicTask.objects.get(name="Tokens"), {"description": "meanwhile"}, by=None)

    out = StringIO()
    with pytest.raises(CommandError, match="not the plan that was made") as refused:
        call_command("schedules", "apply", str(path), "--plan", checksum, stdout=out)

    assert minute() == "0"
    assert refused.value.returncode == 1
    assert "description: meanwhile → –" in out.getvalue()
    again = re.search(r"--plan (\w{12})", str(refused.value))[1]
    assert again != checksum
    assert "Done" in command("apply", path, "--plan", again)[0]


def test_a_change_elsewhere_does_not_make_it_another_plan(path):
    _told, checksum = planned(path)
    factories.schedule(name="New elsewhere")

    assert "Done" in command("apply", path, "--plan", checksum)[0]


@pytest.mark.parametrize("wrong", ["", "0" * 12, "x'; --"])
def test_a_wrong_checksum_is_refused(path, wrong):
    planned(path)

    with pytest.raises(CommandError, match="not the plan"):
        command("apply", path, "--plan", wrong)
    assert minute() == "0"


def test_without_a_terminal_it_needs_a_plan_or_yes(path, monkeypatch):
    planned(path)
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))

    with pytest.raises(CommandError, match=r"--plan CHECKSUM.*--yes") as refused:
        command("apply", path)

    assert (refused.value.returncode, minute()) == (2, "0")


@pytest.mark.parametrize(
    ("answer", "after"), [("y\n", "30"), ("YES\n", "30"), ("n\n", "0"), ("\n", "0"), ("", "0")]
)
def test_on_a_terminal_it_shows_the_plan_and_asks(path, monkeypatch, answer, after):
    planned(path)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    out = StringIO()

    refused = (
        nullcontext() if after == "30" else pytest.raises(CommandError, match=r"^Nothing was changed\.$")
    )
    with refused:
        call_command("schedules", "apply", str(path), stdout=out)

    assert "crontab: 0 1 * * * → 30 1 * * *" in out.getvalue()
    assert "Apply this? [y/N]" in out.getvalue()
    assert minute() == after


def test_what_changes_while_somebody_thinks_is_refused(path, monkeypatch):
    planned(path)

    class Slow(Terminal):
        def readline(self, *_size):
            edits.set_details(PeriodicTask.objects.get(name="Tokens"), {"description": "meanwhile"}, by=None)
            return "y\n"

    monkeypatch.setattr("sys.stdin", Slow())
    with pytest.raises(CommandError, match="not the plan"):
        command("apply", path)
    assert minute() == "0"


def test_a_plan_says_how_many_rows_a_shorter_retention_would_take(path):
    RetentionPolicy.objects.update_or_create(job="purge_old_content", defaults={"days": 90})
    for days in (100, 60, 50, 10):
        factories.comment(post=factories.post(created_at=timezone.now() - timedelta(days=days)))
    path.write_text("version: 1\nretentions:\n- job: purge_old_content\n  days: 30\n")

    told, _code = command("plan", path)
    assert "purge_old_content: the next run would delete 4 more rows: 2 posts, 2 comments." in told

    path.write_text("version: 1\nretentions:\n- job: purge_old_content\n  days: 95\n")
    assert "more rows" not in command("plan", path)[0]


def test_rows_that_take_too_long_to_count_do_not_hold_the_plan(path, monkeypatch):
    def slow(*_arguments):
        raise TooSlow

    monkeypatch.setattr(costs, "effect_on", slow)
    RetentionPolicy.objects.update_or_create(job="purge_old_content", defaults={"days": 90})
    path.write_text("version: 1\nretentions:\n- job: purge_old_content\n  days: 30\n")

    told, code = command("plan", path)

    assert (code, "takes too long to count" in told) == (5, True)


def test_the_default_of_a_job_is_what_a_first_retention_is_compared_with(path):
    RetentionPolicy.objects.all().delete()
    factories.comment(post=factories.post(created_at=timezone.now() - timedelta(days=60)))
    path.write_text("version: 1\nretentions:\n- job: purge_old_content\n  days: 30\n")

    assert "would delete 2 more rows" in command("plan", path)[0]
