"""Activity shows people's words for what events store as codes, in the reader's language."""

from datetime import time

import pytest
from django.utils import translation

from accounts import personal_tokens
from alerts import reading
from audit.admin_edits import ADDED, CHANGED, DELETED
from audit.changes import rows_of
from audit.models import Event
from audit.words import in_words
from maintenance.scheduling import edits, planned_windows
from maintenance.scheduling.planned_windows import Plan
from tests.kit import factories

pytestmark = pytest.mark.django_db


def window(scope):
    times = Plan(weekdays=frozenset({5, 6}), from_time=time(1), to_time=time(3))
    planned_windows.plan_window(times, by=None, reason="backup", scope=scope)


def policies():
    edits.set_policies(
        factories.schedule(), {"misfire_policy": "run_all", "overlap_policy": "queue_one", "days_off": "CN"}, by=None
    )  # fmt: skip


def language():
    person = factories.user()
    reading.set_reading(language="", zone="UTC", by=person)


def token():
    person = factories.user()
    personal_tokens.make(person, name="ci", scopes=["run"], days=7, by=person)


# What is done, and words that the event shows and codes that it does not, in both languages.
TABLE = {
    "a window of all schedules": (
        lambda: window(""),
        {"en": ("Saturday, Sunday", "all schedules"), "zh-hans": ("星期六, 星期日", "所有计划任务")},
        ("56", "all"),
    ),
    "a window of a group": (
        lambda: window("scraping"),
        {"en": ("Saturday, Sunday", "scraping"), "zh-hans": ("抓取",)},
        ("56",),
    ),
    "policies of a schedule": (
        policies,
        {
            "en": ("Missed slots", "run all, up to a limit", "queue one", "Not on holidays of", "China"),
            "zh-hans": ("错过的时间点", "中国"),
        },
        ("run_all", "queue_one", "CN"),
    ),
    "the language of messages": (
        language,
        {"en": ("as the browser",), "zh-hans": ("与浏览器相同",)},
        ("browser",),
    ),
    "the scopes of a token": (
        token,
        {"en": ("start runs and scrapes",), "zh-hans": ("启动运行和抓取",)},
        ("run",),
    ),
}


def test_rows_are_added_changed_and_deleted_in_words_of_their_own():
    # Not in those of a column for the time of a change, or of what an author deleted on Reddit.
    with translation.override("zh-hans"):
        said = [str(in_words(verb)) for verb in (ADDED, CHANGED, DELETED)]

    assert said == ["添加", "更改", "删除"]


@pytest.mark.parametrize(("act", "words", "codes"), TABLE.values(), ids=TABLE)
def test_codes_are_shown_in_words(act, words, codes):
    act()
    event = Event.objects.latest("pk")
    for language, expected in words.items():
        with translation.override(language):
            changes = rows_of(event)
        shown = [change.name for change in changes] + [
            text for change in changes for text in (change.before, change.after) if text
        ]
        assert [text for text in expected if text not in shown] == []
        assert [code for code in codes if code in shown] == []


def test_a_choice_of_a_model_is_shown_by_its_label():
    route = factories.route(least_severity="critical")
    event = factories.event(
        subject_type="alerts.Route",
        subject_id=str(route.pk),
        before={"least_severity": "critical", "rules": ["no_scheduler"], "name": "a"},
        after={"least_severity": "warning", "rules": [], "name": "b"},
    )
    found = {change.name: (change.before, change.after) for change in rows_of(event)}

    assert found == {
        "Least severity": ("critical", "warning"),
        "Rules": ("no scheduler", "–"),
        "Name": ("a", "b"),
    }
