"""The Chinese catalogue is complete, compiled, and knows every job.

A step of `make lint`, not of the suite: somebody who adds a job or a text without speaking Chinese has working code.
"""

import re
import shutil
import string
import subprocess

import polib
import pytest
from django.conf import settings
from django.utils import translation

from maintenance.ledger import requests  # noqa: F401  (declares the jobs)
from maintenance.registry import jobs

CATALOGUE = settings.BASE_DIR / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
GLOSSARY = settings.BASE_DIR / "docs" / "glossary.md"
# The glossary's terms that mean one thing wherever an English text has them: "session" and "hold" do not.
TERMS = (
    "alert", "bot (config)", "checkpoint", "crontab", "cursor", "cutoff", "dry run", "event", "fencing token",
    "fullname", "gap", "heartbeat", "lease", "listing", "maintenance mode", "mandate", "override", "overlap",
    "plan", "request budget", "retention", "schedule", "set aside", "slot", "sweep", "tombstone", "watermark",
)  # fmt: skip


@pytest.fixture(scope="module")
def entries():
    return [entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete]


def test_every_message_is_translated(entries):
    assert [entry.msgid for entry in entries if not entry.translated() or entry.fuzzy] == []


def test_translations_keep_their_placeholders(entries):
    def placeholders(text):
        named = {piece.split(")")[0] for piece in text.split("%(")[1:]}
        return named, {name for _, name, _, _ in string.Formatter().parse(text) if name}

    wrong = []
    for entry in entries:
        for text in [entry.msgstr, *entry.msgstr_plural.values()]:
            original = entry.msgid_plural or entry.msgid
            if text and placeholders(text) != placeholders(original):
                wrong.append(entry.msgid)
    assert wrong == []


def test_chinese_has_chinese_punctuation(entries):
    wrong = [
        text
        for entry in entries
        for text in [entry.msgstr, *entry.msgstr_plural.values()]
        # Reddit prescribes the form of a user agent: platform:app id:version.
        if re.search("[\u4e00-\u9fff][,:;!?] ?[\u4e00-\u9fff]", text.replace("平台:应用", ""))
    ]
    assert wrong == []


def test_the_compiled_catalogue_is_up_to_date(entries):
    def by_key(catalogue):
        return {(e.msgctxt, e.msgid): (e.msgstr, e.msgstr_plural) for e in catalogue}

    assert by_key(entries) == by_key(polib.mofile(str(CATALOGUE.with_suffix(".mo"))))


@pytest.mark.parametrize("term", TERMS)
def test_the_catalogue_uses_the_words_of_the_glossary(entries, term):
    chinese = re.search(rf"^\| {re.escape(term)} \| ([^|]+) \|", GLOSSARY.read_text(), re.MULTILINE)[1]
    whole_word = re.compile(rf"(?<![\w’']){term.removesuffix(' (config)')}s?\b", re.IGNORECASE)
    wrong = []
    for entry in entries:
        english = re.sub(r"%\(\w+\)\w", "", f"{entry.msgid} {entry.msgid_plural}")
        translated = entry.msgstr + "".join(entry.msgstr_plural.values())
        if whole_word.search(english) and chinese not in translated:
            wrong.append((entry.msgid, translated))
    assert wrong == []


@pytest.mark.parametrize("job", jobs(), ids=lambda job: job.slug)
def test_a_job_speaks_chinese(job):
    with translation.override("zh-hans"):
        assert job.title != job.english_title
        assert job.summary != job.english_summary


@pytest.mark.skipif(not shutil.which("xgettext"), reason="gettext is not installed")
def test_no_message_in_the_source_is_missing_from_the_catalogue(entries, tmp_path):
    """`make messages` was run after the last change of a text."""
    known = {entry.msgid for entry in entries}
    files = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    ).stdout.split()
    ours = [
        name for name in files if not name.startswith(("tests/", "bench/")) and "/migrations/" not in name
    ]
    pot = tmp_path / "source.pot"
    subprocess.run(
        ["xgettext", "--from-code=UTF-8", "--keyword=gettext_lazy", "--keyword=ngettext_lazy:1,2",
         "--keyword=pgettext_lazy:1c,2", "-o", str(pot), *ours],
        cwd=settings.BASE_DIR, check=True, capture_output=True,
    )  # fmt: skip

    assert sorted({entry.msgid for entry in polib.pofile(str(pot))} - known) == []
