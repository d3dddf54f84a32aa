"""Texts that are stored in one language and read in another."""

import ast
import json
import pickle
import re
from typing import cast

import grimp
import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext_lazy, ngettext_lazy, pgettext_lazy, trans_real

from database.messages import (
    Message,
    as_json,
    english_of,
    file_size,
    from_json,
    gettext,
    joined,
    message_of,
    ngettext,
    parts_of,
    told,
)
from maintenance.models import JobRun, RunLogLine
from scraping.models import RedditPost, freshness
from scraping.models.freshness import Freshness
from tests.kit import factories

CJK = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
CHINESE = "由 ada 取消。"
# The services that write: whatever they import may make a text that is stored.
WRITERS = [
    "maintenance.scheduling.beat",
    "maintenance.scheduling.maintenance_mode",
    "maintenance.scheduling.recovery",
    "maintenance.retention",
    "maintenance.ledger.interventions",
    "maintenance.ledger.performing",
    "maintenance.ledger.requests",
    "maintenance.scheduling.schedules",
    "maintenance.tasks",
    "scraping.compliance.brake",
    "scraping.content.holds",
]


def cancelled():
    return gettext("Cancelled by %(name)s.") % {"name": "ada"}


def sources():
    for app in ("database", "audit", "scraping", "maintenance"):
        for path in sorted((settings.BASE_DIR / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, path.read_text()


# --- Each code has its words ---------------------------------------------------------------------


def codes():
    """The texts of all modules that store them."""
    for path, source in sources():
        tree = ast.parse(source)
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "database.messages"
            for alias in node.names
            if alias.name in ("gettext", "ngettext")
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                for argument in node.args[:2]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield path.name, argument.value


def placeholders(text):
    return set(re.findall(r"%\((\w+)\)", text))


@pytest.mark.slow
def test_each_code_has_its_words_with_the_same_placeholders():
    found = sorted(set(codes()))
    catalog = trans_real.translation("zh-hans")

    wrong = []
    for path, code in found:
        words = catalog.gettext(code)
        if words == code:  # the plural of the other form, or none
            continue
        if placeholders(words) != placeholders(code):
            wrong.append((path, code, words))

    assert len(found) > 150
    assert wrong == []


@pytest.mark.slow
def test_what_stores_texts_takes_them_from_here():
    graph = grimp.build_graph(
        "database", "adminkit", "audit", "accounts", "scraping", "maintenance", cache_dir=None
    )
    modules = {*WRITERS}.union(*(graph.find_upstream_modules(name) for name in WRITERS)) - {
        "database.messages"
    }

    wrong = []
    for name in sorted(modules):
        path = settings.BASE_DIR / f"{name.replace('.', '/')}.py"
        for node in ast.walk(ast.parse(path.read_text())) if path.exists() else ():
            if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
                wrong += [name for alias in node.names if alias.name in ("gettext", "ngettext", "pgettext")]

    assert len(modules) > 50
    # Take gettext from database.messages: what that returns may be stored.
    assert wrong == []


# --- Taken apart and put together ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "english"),
    [
        (cancelled, "Cancelled by ada."),
        (lambda: ngettext("%(number)s schedule", "%(number)s schedules", 2) % {"number": 2}, "2 schedules"),
        (lambda: joined(["r/python:", cancelled()]), "r/python: Cancelled by ada."),
        (lambda: "» " + cancelled() + "!", "» Cancelled by ada.!"),
        (lambda: cast("Message", message_of(JobRun.Status.QUEUED.label)).capitalized(), "Queued"),
        (lambda: message_of(RedditPost._meta.verbose_name_plural), "posts"),
        (lambda: file_size(3 * 1024 * 1024), "3.0\xa0MB"),
        (lambda: gettext("Cancelled by %(name)s.") % {"name": gettext_lazy("queued")}, "Cancelled by queued."),
        (lambda: message_of(pgettext_lazy("time", "queued")), "queued"),
        (lambda: message_of(ngettext_lazy("%(number)s schedule", "%(number)s schedules", 1)), "%(number)s schedule"),
    ],
)  # fmt: skip
def test_a_text_made_in_chinese_reads_in_english(make, english):
    with translation.override("zh-hans"):
        made = make()

    assert english_of(made) == english
    assert not CJK.search(json.dumps(parts_of(made), ensure_ascii=False))
    with translation.override("en"):
        assert Message(parts_of(made)) == english


def test_its_parts_survive_an_exception_and_a_process():
    error = ValueError(cancelled())

    assert parts_of(str(error)) == parts_of(cancelled())
    assert parts_of(pickle.loads(pickle.dumps(cancelled()))) == parts_of(cancelled())


def test_a_document_keeps_the_english_text_and_its_parts():
    with translation.override("zh-hans"):
        document = as_json({"rows": 3, "why": [cancelled(), "plain"], "in": {"error": cancelled()}})

    assert document["why"] == ["Cancelled by ada.", "plain"]
    assert document["in"]["error"] == "Cancelled by ada."
    assert from_json(document, "why") == ["Cancelled by ada.", "plain"]
    with translation.override("zh-hans"):
        assert from_json(document, "why") == [CHINESE, "plain"]
        assert from_json(document["in"], "error") == CHINESE
    assert from_json({"why": ["old"]}, "why") == ["old"]


# --- In rows ------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["create", "bulk_create", "save", "update", "verb"])
def test_a_row_reads_in_the_readers_language(way):
    with translation.override("zh-hans"):
        match way:
            case "create":
                run = factories.job_run(message=cancelled())
            case "bulk_create":
                [run] = JobRun.objects.bulk_create([JobRun(job="x", trigger="admin", message=cancelled())])
            case "save":
                run = factories.job_run(message="before")
                run.message = cancelled()
                run.save()
            case "update":
                run = factories.job_run()
                JobRun.objects.filter(pk=run.pk).update(message=cancelled())
            case "verb":
                run = factories.job_run(status="queued")
                run.cancel_queued(message=cancelled())
                assert run.message == CHINESE
    run = JobRun.objects.get(pk=run.pk)

    assert run.message == "Cancelled by ada."
    assert JobRun.objects.values_list("message", flat=True).get(pk=run.pk) == "Cancelled by ada."
    with translation.override("zh-hans"):
        assert run.message == CHINESE
        run.refresh_from_db()
        assert run.message == CHINESE
        assert JobRun.objects.only("message").get(pk=run.pk).message == CHINESE


@pytest.mark.django_db
def test_texts_of_before_and_plain_ones_stay_as_they_are():
    old = factories.job_run(message=CHINESE)
    line = RunLogLine.objects.create(run=old, text="r/python: 12 %(posts)s")

    assert JobRun.objects.get(pk=old.pk).message == CHINESE
    assert RunLogLine.objects.get(pk=line.pk).text == "r/python: 12 %(posts)s"


@pytest.mark.django_db
def test_a_text_that_the_release_before_wrote_over_is_shown():
    run = factories.job_run(message=cancelled())
    JobRun.objects.filter(pk=run.pk).update(message=cancelled())
    super(type(JobRun.objects.all()), JobRun.objects.filter(pk=run.pk)).update(message="Approved by old.")

    with translation.override("zh-hans"):
        assert JobRun.objects.get(pk=run.pk).message == "Approved by old."


@pytest.mark.django_db
@pytest.mark.parametrize(
    "parts", [[], "x", {"code": 3}, {"code": "%(a)d", "params": {"a": "x"}}, {"params": {}}]
)
def test_parts_that_nobody_can_read_leave_the_text(parts):
    run = factories.job_run(message="Kept")
    super(type(JobRun.objects.all()), JobRun.objects.filter(pk=run.pk)).update(message_parts=parts)

    assert JobRun.objects.get(pk=run.pk).message == "Kept"


@pytest.mark.django_db
def test_a_long_stage_is_cut_to_its_column():
    run = factories.job_run()
    run.stage = joined(["x" * 150, "y" * 150])
    run.save()

    assert JobRun.objects.get(pk=run.pk).stage == f"{'x' * 150} {'y' * 49}"


@pytest.mark.django_db
def test_update_or_create_brings_the_parts_along():
    bot = factories.bot_config()
    with translation.override("zh-hans"):
        for number in (1, 2):  # it is created, then updated
            freshness.note_failed(
                bot.pk, ["python"], kind="network", error=gettext("Cancelled by %(name)s.") % {"name": number}
            )

    assert Freshness.objects.get().error == "Cancelled by 2."
    with translation.override("zh-hans"):
        assert Freshness.objects.get().error == "由 2 取消。"


def test_counts_are_grouped_and_a_text_that_was_stored_before_is_still_understood():
    text = gettext("%(items)d items: %(mark)s") % {"items": 2700, "mark": "#2700"}

    assert str(text) == "2,700 items: #2700"
    with translation.override("zh-hans"):
        assert told("2700 items: #2700", text.parts).startswith("2,700 ")
        assert told("2,700 items: #2700", text.parts).startswith("2,700 ")
        assert told("2701 items: #2700", text.parts) == "2701 items: #2700"
