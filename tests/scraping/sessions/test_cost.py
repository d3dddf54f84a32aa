"""The estimated cost of a run, and its progress."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from database import clock
from scraping.models import BotConfig, RedditPost
from scraping.sessions import cost, trial
from scraping.sessions.steps import Steps
from tests.kit import factories as rows
from tests.kit.progress import Recorder
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import Answer, RedditReplay
from tests.scraping.sessions.test_filters import FORM

COMPLETE = {"comment_policy": "complete", "comment_limit": 100_000, "comment_depth": 100, "post_limit": 1000}


def estimate(config: BotConfig) -> cost.Cost:
    found = cost.likely(config, trial.try_on_reddit(config, by=config.owner).listed)
    assert found is not None
    return found


def fill(reddit: RedditReplay, name: str, posts: int, *, comments: int = 0, every: int = 1) -> None:
    """List posts one hour apart; every ``every``-th has comments."""
    now = clock.now().timestamp()
    listed = [
        raw_post(
            subreddit=name,
            created_utc=now - 3600 * (number + 1),
            num_comments=comments if number % every == 0 else 0,
        )
        for number in range(posts)
    ]
    reddit.add_posts(name, listed)
    for post in listed:
        if post["num_comments"]:
            reddit.add_tree(post, [raw_comment(post) for _ in range(comments)])


@pytest.mark.slow
@pytest.mark.django_db
def test_two_small_subreddits_cost_only_the_posts_they_have(reddit: RedditReplay) -> None:
    fill(reddit, "one", 20, comments=3, every=2)
    fill(reddit, "two", 8, comments=2)
    config = make_config(subreddits=["one", "two"], **COMPLETE)
    likely, worst = estimate(config), cost.worst_case(config)
    assert (likely.listings, likely.comments) == (2, 10 + 8)
    assert worst.total > 100_000
    before = len(reddit.requests)
    scrape(config)
    sent = [asked for asked in reddit.requests[before:] if "access_token" not in asked.path]
    assert len(sent) == likely.total


@pytest.mark.slow
@pytest.mark.django_db
def test_the_second_run_costs_what_is_new(reddit: RedditReplay) -> None:
    fill(reddit, "one", 30, comments=3)
    config = make_config(subreddits=["one"], **COMPLETE)
    scrape(config)
    assert estimate(config).total == 1
    new = raw_post(subreddit="one", created_utc=clock.now().timestamp() - 60, num_comments=1)
    reddit.posts["one"].insert(0, new)
    reddit.known[new["name"]] = new
    reddit.posts["one"][5] |= {"num_comments": 4}  # one more than were read
    assert (estimate(config).listings, estimate(config).comments) == (1, 2)


@pytest.mark.django_db
def test_what_the_filters_leave_out_costs_no_comments(reddit: RedditReplay) -> None:
    fill(reddit, "one", 10, comments=3)
    assert estimate(make_config(subreddits=["one"], min_score=5, **COMPLETE)).comments == 0


@pytest.mark.django_db
def test_the_cost_of_a_long_listing_is_estimated_from_its_first_page(reddit: RedditReplay) -> None:
    fill(reddit, "one", 350, comments=1, every=2)
    found = estimate(make_config(subreddits=["one"], **COMPLETE | {"post_limit": 300}))
    assert (found.listings, found.comments) == (3, 150)


@pytest.mark.parametrize(
    ("policy", "comments", "requests"),
    [
        ("none", 900, 0),
        ("first_page", 900, 1),
        ("budgeted", 900, 3),
        ("complete", 900, 5),
        ("complete", 0, 0),
    ],
)
def test_a_post_costs_by_its_comments(policy: str, comments: int, requests: int) -> None:
    config = BotConfig(comment_policy=policy, comment_requests=3, comment_limit=100_000)
    assert cost.of_post(config, comments=comments) == requests


@pytest.mark.django_db
def test_subreddits_that_were_not_asked_cost_like_the_others(reddit: RedditReplay) -> None:
    names = [f"sub{number}" for number in range(20)]
    for name in names[:10]:
        fill(reddit, name, 2, comments=1)
    found = estimate(make_config(subreddits=names, **COMPLETE))
    assert (found.listings, found.comments) == (20, 40)


@pytest.mark.django_db
def test_without_an_answer_nothing_is_guessed(reddit: RedditReplay) -> None:
    reddit.answers["/r/python/new"] = [Answer(403, {}, b'{"reason": "private"}')]
    config = make_config()
    assert cost.likely(config, trial.try_on_reddit(config, by=config.owner).listed) is None


# --- Before a bot is saved -------------------------------------------------------------------------


def add_url(view: str) -> str:
    return reverse(f"admin:scraping_botconfig_add_{view}")


@pytest.mark.slow
@pytest.mark.django_db
def test_a_bot_is_tried_before_it_is_saved(client: Any, reddit: RedditReplay) -> None:
    fill(reddit, "flask", 4, comments=2)
    client.force_login(rows.user("scraping.add_botconfig", "scraping.view_botconfig"))
    page = client.get(reverse("admin:scraping_botconfig_add")).content.decode()
    assert f'formaction="{add_url("test")}"' in page
    assert add_url("try_filters") not in page  # stored posts are not for them
    form = FORM | {"name": "", "subreddits": "flask", "comment_policy": "first_page"}
    page = client.post(add_url("test"), form).content.decode()
    assert "about 5: 1 for listings, 4 for comments" in page
    assert "101: 1 for listings, 100 for comments, if every post" in page
    assert not BotConfig.objects.exists()
    assert not RedditPost.objects.exists()
    assert (
        "<strong>Subreddits:</strong>"
        in client.post(add_url("test"), FORM | {"subreddits": ""}).content.decode()
    )


@pytest.mark.slow
@pytest.mark.django_db
def test_only_people_who_may_add_bots_try_new_ones(client: Any, reddit: RedditReplay) -> None:
    for person in (
        rows.user("scraping.view_botconfig"),
        rows.user("scraping.change_botconfig", "scraping.view_botconfig"),
    ):
        client.force_login(person)
        for view in ("test", "try_filters"):
            assert client.post(add_url(view), FORM).status_code == 403
    client.force_login(rows.user("scraping.add_botconfig", "scraping.view_botconfig"))
    assert client.get(add_url("test")).status_code == 405
    assert client.post(add_url("try_filters"), FORM).status_code == 403
    assert reddit.requests == []


@pytest.mark.django_db
def test_nobody_tries_a_new_bot_with_somebody_elses_app(client: Any, reddit: RedditReplay) -> None:
    app = rows.reddit_app(owner=rows.user())
    client.force_login(rows.user("scraping.add_botconfig", "scraping.view_botconfig"))
    page = client.post(add_url("test"), FORM | {"app": app.pk}).content.decode()
    assert "<strong>Reddit app:</strong>" in page
    assert reddit.requests == []


@pytest.mark.django_db
def test_filters_of_a_new_bot_are_tried_on_posts_that_the_person_sees(client: Any) -> None:
    rows.post(subreddit="python", title="A secret")
    client.force_login(
        rows.user("scraping.add_botconfig", "scraping.view_botconfig", "scraping.view_redditpost")
    )
    assert "A secret" not in client.post(add_url("try_filters"), FORM).content.decode()
    client.force_login(rows.superuser())
    assert "A secret" in client.post(add_url("try_filters"), FORM).content.decode()


# --- While it runs -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 1000])
def test_progress_ends_at_the_true_total(reddit: RedditReplay, limit: int) -> None:
    fill(reddit, "one", 3, comments=2)
    fill(reddit, "two", 150, comments=1, every=50)
    progress = Recorder()
    config = make_config(subreddits=["one", "two"], **COMPLETE | {"post_limit": limit})
    for _ in range(2):  # the second run finds nothing new
        scrape(config, progress)
        done, total, _stage = progress.reports[-1]
        assert done == total
    assert all(total is not None and done <= total for done, total, _stage in progress.reports)
    if limit == 1000:
        first = next(report for report in progress.reports if report[2] == "finished")
        assert first[0] == 153 + 6 + 2  # posts, posts with comments, subreddits


@pytest.mark.django_db
def test_progress_ends_where_a_subreddit_fails(reddit: RedditReplay) -> None:
    reddit.answers["/r/one/new"] = [Answer(403, {}, b'{"reason": "private"}')]
    fill(reddit, "two", 3)
    progress = Recorder()
    scrape(make_config(subreddits=["one", "two"], post_limit=1000), progress)
    assert progress.reports[-1] == (4, 4, "finished")


@pytest.mark.django_db
def test_progress_estimates_posts_by_the_rate(reddit: RedditReplay) -> None:
    config = make_config(post_limit=1000)
    mark = rows.watermark(config=config, subreddit="python", name="python", posts_per_hour=50)
    mark.newest_at = clock.now() - timedelta(hours=6)
    mark.save()
    fill(reddit, "python", 2)
    progress = Recorder()
    scrape(config, progress)
    assert progress.reports[0][:2] == (0, 301)


def test_steps_expect_the_share_of_earlier_subreddits_from_the_others() -> None:
    steps = Steps({"one": 100, "two": 100})
    steps.listed("one", 50)
    steps.end_listing("one")
    assert (steps.done, steps.total(pending=25)) == (50, 50 + 25 + 100 + 50 + 2)
    for _ in range(25):
        steps.walked()
    steps.finish("one")
    steps.give_up("two")
    assert steps.done == steps.total(pending=0) == 76
