"""What is wrong in the file is refused with its line, its field and what to do; nothing is half applied."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.models import RetentionPolicy
from maintenance.scheduling import edits
from tests.kit import factories

pytestmark = pytest.mark.django_db

GOOD = """\
version: 1
schedules:
- name: Good
  job: cleanup_tokens
  crontab: "0 5 * * *"
"""


@pytest.fixture
def file(tmp_path):
    """Write a file, and return its path."""

    def write(text):
        path = tmp_path / "schedules.yaml"
        path.write_text(text)
        return str(path)

    return write


def refusal(file, what="apply"):
    with pytest.raises(CommandError) as refused:
        call_command("schedules", what, file, yes=what == "apply", stdout=StringIO())
    assert refused.value.returncode == 2
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- x", 1, "begin with version: 1"),
        ("version: 1\nschedule: []", 2, "no such section"),
        ("version: 2\n", 1, "write version: 1"),
        ("version: 1\nschedules:\n  name: [", 3, "expected"),
        ("version: 1\nschedules:\n- name: x\n  crontab: * * * * *", 4, "quotes"),
        ("version: 1\nschedules:\n- job: x", 3, "add name: …"),
        (f"{GOOD}  pasued: x", 6, "no such field"),
        (f"{GOOD}  crontab: '1 1 * * *'", 6, "line 5 too"),
        (f"{GOOD}- name: Good\n  job: cleanup_tokens\n  every: 1 day", 6, "line 3 too"),
        (f"{GOOD}  description: 5", 6, "quotes"),
        (f"{GOOD}  start: 2026-12-01", 6, "with its offset"),
        (f"{GOOD}  one_off: 1", 6, "true or false"),
        (f"{GOOD}  paused: no reason", 6, "reason: …"),
        (f"{GOOD}  every: 5 minutes", 6, "write one of crontab"),
        (f"{GOOD}  timezone: Nowhere", 6, "no time zone"),
        (f"{GOOD}  missed_slots: never", 6, "never"),
        (f"{GOOD}  catch_up_at_most: 0", 6, "1"),
        (f"{GOOD}  parameters: {{colour: red}}", 6, "takes no parameter colour"),
        (f"{GOOD}  has_run: true", 6, "one_off: true"),
        (f"{GOOD}  message: {{queue: x}}", 6, "delete this field"),
        (f"{GOOD}  expires: 2026-01-01 00:00:00+00:00\n  start: 2026-02-01 00:00:00+00:00", 6, "not after"),
        (GOOD.replace("cleanup_tokens", "cleanup"), 4, "There is no job 'cleanup'"),
        (GOOD.replace("0 5", "0 25"), 5, "out of range"),
        (GOOD.replace("0 5 * * *", "0 5"), 5, "minute, hour, day of month"),
        (f"{GOOD}retentions:\n- job: cleanup_tokens\n  days: 5", 7, "no retention"),
        (f"{GOOD}retentions:\n- job: purge_old_content\n  days: 0", 8, "1 to 36,500"),
        (
            f"{GOOD}retentions:\n- job: purge_old_content\n  days: 50\n  overrides:\n  - {{bot: a, owner: b, days: 3}}",
            10,
            "b has no bot a",
        ),
        (
            f"{GOOD}retentions:\n- job: purge_old_content\n  days: 50\n  overrides:\n  - {{subreddit: r/python, days: 3}}",
            10,
            "without r/",
        ),
        (f"{GOOD}pauses:\n- scope: world\n  reason: x", 7, "no such scope"),
        (f"{GOOD}pauses:\n- scope: all", 7, "reason is empty"),
    ],
)
def test_a_fault_names_its_line_and_the_remedy_and_nothing_is_applied(file, text, line, words):
    before = list(PeriodicTask.objects.values()), Event.objects.filter(verb="row.added").count()

    told = refusal(file(text))

    assert f"line {line}: " in told
    assert words in told
    assert (list(PeriodicTask.objects.values()), Event.objects.filter(verb="row.added").count()) == before
    assert refusal(file(text), "plan") == told


def test_every_fault_of_a_file_is_told_at_once(file):
    told = refusal(file(f"{GOOD}  one_off: 1\n  start: soon\n- name: B\n  job: 3"))

    assert [part.split(":")[0] for part in told.split("line ")[1:]] == ["6", "7", "9"]


def test_what_fails_in_the_middle_leaves_nothing_behind(file, monkeypatch):
    kept = factories.schedule(name="Kept", crontab="0 1 * * *")

    def fail(task, **_told):
        raise ValueError("Somebody else was faster.")

    monkeypatch.setattr(edits, "set_time", fail)
    text = f"{GOOD}- name: Kept\n  job: cleanup_tokens\n  crontab: 0 2 * * *\n"

    told = refusal(file(text))

    assert "line 6: schedule “Kept”: Somebody else was faster." in told
    assert not PeriodicTask.objects.filter(name="Good").exists()
    assert PeriodicTask.objects.get(pk=kept.pk).crontab.hour == "1"
    assert not RetentionPolicy.objects.filter(days=1).exists()


def test_a_stored_fault_that_the_file_leaves_alone_is_no_error(file):
    factories.schedule(name="Broken", task="maintenance.gone", kwargs="not JSON")
    path = file("")
    call_command("schedules", "export", path)

    out = StringIO()
    call_command("schedules", "plan", path, stdout=out)

    assert "Nothing would change." in out.getvalue()
