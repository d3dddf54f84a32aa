"""Overrides, the preview of an edit, and the edit itself."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from audit.models import Event
from maintenance import retention
from maintenance.ledger import performing
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.purging import plan
from maintenance.registry import get_job
from maintenance.retention import Retention
from scraping.models import RedditComment, RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def policy():
    return factories.retention_policy(job="purge_old_content", days=90)


@pytest.fixture
def operator():
    return factories.user(retention.PERMISSION, username="op")


@pytest.fixture
def approver():
    return factories.user(retention.PERMISSION, "maintenance.approve_run")


def aged(days, **fields):
    return factories.post(created_at=timezone.now() - days * DAY, **fields)


def subreddit(name, days):
    return RetentionOverride(subreddit=name, days=days)


def rows(found):
    return dict(found.tables)


# --- Looking ahead ---------------------------------------------------------------------------


def test_a_shorter_retention_deletes_more_with_the_comments(policy):
    for days in (50, 60, 70):
        factories.comment(post=aged(days))
    aged(40)
    aged(100)  # deleted in both cases
    factories.post(created_at=timezone.now() - 65 * DAY, held_at=timezone.now(), hold_reason="x")

    found = retention.effect(policy, Retention(45))

    assert rows(found.more) == {"posts": 3, "comments": 3}
    assert found.more.total == 6
    assert found.more.total_text == "6"
    assert found.fewer.total == 0


def test_comments_of_a_big_table_are_estimated_by_what_their_posts_say(policy, monkeypatch):
    monkeypatch.setattr(plan, "ESTIMATED_ROWS_MIN", 0)
    factories.comment(post=aged(50, comments_fetched=7))
    aged(40, comments_fetched=900)  # deleted in neither case

    found = retention.effect(policy, Retention(45))

    assert rows(found.more) == {"posts": 1, "comments": 7}
    assert found.more.estimated == {"comments"}
    assert found.more.total_text == "about 8"
    assert found.fewer.estimated == frozenset()


def test_a_longer_retention_keeps_more(policy):
    factories.comment(post=aged(100))
    aged(400)

    found = retention.effect(policy, Retention(200))

    assert found.more.total == 0
    assert rows(found.fewer) == {"posts": 1, "comments": 1}


def test_an_override_may_delete_here_and_keep_there(policy):
    aged(20, subreddit="Memes")
    aged(20, subreddit="django")
    aged(100, subreddit="python")

    found = retention.effect(policy, Retention(90, (subreddit("memes", 10), subreddit("Python", 365))))

    assert (rows(found.more)["posts"], rows(found.fewer)["posts"]) == (1, 1)


def test_the_same_retention_asks_the_database_for_no_row(policy):
    aged(20)
    factories.retention_override(policy=policy, subreddit="Python", days=5)

    with CaptureQueriesContext(connection) as captured:
        found = retention.effect(policy, Retention(90, (subreddit("python", 5),)))

    assert (found.more.total, found.fewer.total) == (0, 0)
    assert not [query for query in captured if "scraping_redditpost" in query["sql"]]


def test_comments_are_counted_with_their_posts(policy):
    for _ in range(2):
        factories.comment(post=aged(60))
    factories.comment(post=aged(30))

    found = retention.effect(policy, Retention(45))

    assert rows(found.more) == {"posts": 2, "comments": 2}


@pytest.mark.parametrize("job", ["cleanup_sessions", "cleanup_run_history"])
def test_every_job_with_a_retention_says_what_an_edit_would_do(job):
    policy = factories.retention_policy(job=job, days=90)
    at = timezone.now() - 60 * DAY
    factories.session(finished_at=at)
    for _ in range(102):
        factories.job_run(finished_at=at)

    found = retention.effect(policy, Retention(45))

    assert sum(rows(found.more).values()) == {"cleanup_sessions": 1, "cleanup_run_history": 2}[job]


class AnyEdit(TestCase):
    kept = st.builds(
        lambda days, overrides: (days, overrides),
        st.integers(1, 6),
        st.dictionaries(st.sampled_from(["python", "django", 0, 1]), st.integers(1, 6), max_size=4),
    )

    @settings(max_examples=25, deadline=None)
    @given(
        posts=st.lists(
            st.tuples(
                st.integers(0, 7),
                st.sampled_from(["Python", "DJANGO", "rust"]),
                st.sampled_from([None, 0, 1]),
            ),
            max_size=12,
        ),
        before=kept,
        after=kept,
    )
    def test_the_job_deletes_just_what_the_naive_rule_says_and_the_preview_says_the_difference(
        self, posts, before, after
    ):
        bots = [factories.bot_config(), factories.bot_config()]
        now = timezone.now()

        def days_of(kept, name, bot):
            default, overrides = kept
            return max([overrides[key] for key in (name.lower(), bot) if key in overrides], default=default)

        def made(kept):
            days, overrides = kept
            return Retention(
                days,
                tuple(
                    RetentionOverride(subreddit=key, days=value)
                    if isinstance(key, str)
                    else RetentionOverride(config=bots[key], days=value)
                    for key, value in overrides.items()
                ),
            )

        policy = factories.retention_policy(job="purge_old_content", days=90)
        boss = factories.superuser()
        retention.change(policy, made(before), by=boss)
        policy.refresh_from_db()
        to_delete = {"before": set(), "after": set()}
        for age, name, bot in posts:
            # One hour before and after the limit, because time passes while the test runs.
            post = factories.post(
                created_at=now - age * DAY - timedelta(hours=1),
                subreddit=name,
                config=None if bot is None else bots[bot],
            )
            for which, kept in (("before", before), ("after", after)):
                if age >= days_of(kept, name, bot):
                    to_delete[which].add(post.pk)

        found = retention.effect(policy, made(after))
        retention.change(policy, made(after), by=boss)
        plan = performing.preview("purge_old_content")

        assert rows(found.more).get("posts", 0) == len(to_delete["after"] - to_delete["before"])
        assert rows(found.fewer).get("posts", 0) == len(to_delete["before"] - to_delete["after"])
        assert plan.tables[0].rows == len(to_delete["after"])
        RedditPost.objects.all().delete()


# --- Changing --------------------------------------------------------------------------------


def test_an_edit_replaces_the_days_and_the_overrides_and_is_logged_whole(policy, operator):
    bot = factories.bot_config(name="News")
    factories.retention_override(policy=policy, subreddit="old", days=30)

    after = Retention(60, (subreddit("python", 365), RetentionOverride(config=bot, days=20)))
    retention.change(policy, after, by=operator)

    policy.refresh_from_db()
    assert retention.retention_of(policy).key() == after.key()
    assert policy.updated_by == operator
    event = Event.objects.get(actor=operator)
    assert event.before == {"days": 90, "overrides": {"r/old": 30}}
    assert event.after == {"days": 60, "overrides": {"r/python": 365, f"News #{bot.pk}": 20}}


def test_an_edit_that_changes_nothing_writes_nothing(policy, operator):
    factories.retention_override(policy=policy, subreddit="Python", days=30)
    kept = RetentionOverride.objects.get()

    retention.change(policy, Retention(90, (subreddit("python", 30),)), by=operator)

    assert not Event.objects.exists()
    assert RetentionOverride.objects.get() == kept


def test_who_may_not_change_retentions_is_refused(policy):
    with pytest.raises(PermissionDenied):
        retention.change(policy, Retention(60), by=factories.user("maintenance.view_retentionpolicy"))

    policy.refresh_from_db()
    assert policy.days == 90


@pytest.mark.parametrize("after", [Retention(6), Retention(90, (subreddit("python", 6),))])
def test_going_below_the_floor_takes_the_permission_to_approve(policy, operator, approver, after):
    with pytest.raises(PermissionDenied):
        retention.change(policy, after, by=operator)
    policy.refresh_from_db()
    assert retention.retention_of(policy).key() == Retention(90).key()

    retention.change(policy, after, by=approver)
    policy.refresh_from_db()
    assert retention.retention_of(policy).key() == after.key()


@pytest.mark.parametrize(
    "after",
    [
        Retention(90, (subreddit("python", 1),)),  # the days of another subreddit
        Retention(1, (subreddit("spam", 1),)),  # the days of all other subreddits
    ],
)
def test_days_below_the_floor_are_for_what_they_were_approved_for(policy, operator, approver, after):
    retention.change(policy, Retention(90, (subreddit("spam", 1),)), by=approver)

    with pytest.raises(PermissionDenied):
        retention.change(policy, after, by=operator)

    retention.change(policy, Retention(60, (subreddit("SPAM", 1),)), by=operator)


def test_what_an_override_kept_does_not_fall_below_the_floor_with_it(policy, operator, approver):
    retention.change(policy, Retention(1, (subreddit("python", 30),)), by=approver)

    with pytest.raises(PermissionDenied):
        retention.change(policy, Retention(1), by=operator)


def test_what_lies_below_the_floor_already_hinders_no_other_edit(policy, operator, approver):
    retention.change(policy, Retention(3), by=approver)

    retention.change(policy, Retention(3, (subreddit("python", 30),)), by=operator)

    assert policy.overrides.count() == 1


def test_a_single_run_goes_no_lower_than_a_retention():
    job = get_job("purge_old_content")
    runner = factories.user("maintenance.run_job")
    approver = factories.user("maintenance.run_job", "maintenance.approve_run")

    assert job.may_run(runner, {"days": 7})
    assert not job.may_run(runner, {"days": 6})
    assert job.may_run(approver, {"days": 6})


def test_a_bot_with_an_override_is_not_deleted_under_it(policy):
    override = factories.retention_override(policy=policy, config=factories.bot_config(), days=400)

    with pytest.raises(ProtectedError):
        override.config.delete()
    assert RetentionOverride.objects.filter(pk=override.pk).exists()


def test_a_post_outlives_its_bot_and_falls_back_to_the_default(policy):
    bot = factories.bot_config()
    post = aged(10, config=bot)
    comment = factories.comment(post=post)

    bot.delete()

    assert performing.preview("purge_old_content").tables[0].rows == 0
    assert list(RedditComment.objects.all()) == [comment]
    assert RetentionPolicy.objects.get(pk=policy.pk).days == 90
