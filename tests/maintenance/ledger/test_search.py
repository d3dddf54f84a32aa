"""Runs are found by words in any of their texts, and with any status."""

import pytest

from maintenance.ledger import search
from maintenance.ledger.search import having_words
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db


def found(words):
    return list(having_words(JobRun.objects.order_by("pk"), words))


@pytest.mark.slow
@pytest.mark.parametrize(
    "status", ["succeeded", "partial", "failed", "cancelled", "interrupted", "skipped", "missed", "blocked"]
)
@pytest.mark.parametrize(
    "fields",
    [
        {"message": "the Lock was not granted"},
        {"error": "no LOCK"},
        {"requested_by_name": "locksmith"},
        {"schedule_name": "Nightly lock"},
        {"params": {"config": 7, "note": "locked"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_words_of_a_run_find_it(status, fields):
    wanted = factories.job_run(status=status, **fields)
    factories.job_run(status=status, message="other")

    assert found("lock") == [wanted]


def test_words_of_a_log_find_its_run():
    wanted = factories.log_line(text="r/python: Private").run
    factories.log_line(run=wanted, text="and private again")
    factories.log_line(text="r/python: fine")

    assert found("private") == [wanted]


@pytest.mark.parametrize("words", ["%", "_", "\\", "'"])
def test_signs_of_patterns_are_words_like_any_other(words):
    wanted = factories.job_run(message=f"a {words} b")
    factories.job_run(message="nothing of the kind")

    assert found(words) == [wanted]


def test_only_the_newest_are_read(monkeypatch):
    monkeypatch.setattr(search, "RUNS_SEARCHED", 2)
    monkeypatch.setattr(search, "LINES_SEARCHED", 1)
    runs = [factories.job_run(message="lock") for _ in range(3)]
    factories.log_line(run=runs[1], text="old words")
    factories.log_line(run=runs[2], text="new words")

    assert found("lock") == runs[1:]
    assert found("words") == runs[2:]
