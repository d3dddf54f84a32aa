"""The filters of a bot, and their trial."""

import contextlib
from collections import Counter
from typing import Any

import hypothesis
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from scraping.content.normalise import post_values
from scraping.models import BotConfig, ContentState, RedditApp, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.reddit.answers import Page
from scraping.sessions import cost, filters, trial
from scraping.sessions.filters import keep_wanted, try_on_stored, why_unwanted
from scraping.sessions.scrape import scrape_config
from scraping.skip_reasons import reason_label
from scraping.visibility import SEE_EVERYBODYS
from tests.kit import factories as rows
from tests.kit.scraped import make_config, make_post, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = pytest.mark.django_db

ALL_SET = {
    "nsfw": "exclude",
    "min_score": 1,
    "flairs_wanted": ["News"],
    "domains_wanted": ["example.org", "self"],
    "pattern_wanted": "django|python",
    "pattern_unwanted": r"\bjobs?\b",
    "flairs_unwanted": ["Meme"],
    "domains_unwanted": ["spam.example"],
}


def reason(post: dict[str, Any] | None = None, **settings: Any) -> str:
    return why_unwanted(post_values(raw_post(**(post or {}))), BotConfig(**settings))


@pytest.mark.parametrize(
    ("chosen", "passes", "fails", "expected"),
    [
        ({"nsfw": "exclude"}, {"over_18": False}, {"over_18": True}, "NSFW"),
        ({"nsfw": "only"}, {"over_18": True}, {"over_18": False}, "not NSFW"),
        ({"min_score": 5}, {"score": 5}, {"score": 4}, "score"),
        ({"min_score": 0}, {"score": 0}, {"score": -1}, "score"),
        ({"flairs_wanted": ["News"]}, {"link_flair_text": " nEWS "}, {"link_flair_text": "New"}, "flair"),
        ({"flairs_wanted": ["News"]}, {"link_flair_text": "News"}, {"link_flair_text": None}, "flair"),
        (
            {"flairs_unwanted": ["Meme"]},
            {"link_flair_text": None},
            {"link_flair_text": "meme"},
            "unwanted flair",
        ),
        ({"domains_wanted": ["a.org"]}, {"domain": "www.A.org"}, {"domain": "nota.org"}, "domain"),
        ({"domains_wanted": ["www.a.org"]}, {"domain": "a.org"}, {"domain": "a.org.b"}, "domain"),
        ({"domains_wanted": ["self"]}, {"is_self": True}, {"is_self": False, "domain": "a.b"}, "domain"),
        ({"domains_unwanted": ["a.org"]}, {"domain": "b.org"}, {"domain": "x.a.org"}, "unwanted domain"),
        ({"pattern_wanted": "^django"}, {"title": "Django 5"}, {"title": "On Django"}, "pattern"),
        ({"pattern_wanted": "中文|é"}, {"selftext": "É!"}, {"selftext": "e"}, "pattern"),
        ({"pattern_unwanted": r"\bjob\b"}, {"title": "jobs"}, {"selftext": "a JOB"}, "unwanted pattern"),
    ],
)
def test_each_filter_keeps_one_and_leaves_out_the_other(
    chosen: dict[str, Any], passes: dict[str, Any], fails: dict[str, Any], expected: str
) -> None:
    assert reason(passes, **chosen) == ""
    assert reason(fails, **chosen) == expected
    assert reason(fails) == ""  # without a filter everything passes


def test_a_post_must_pass_all_filters() -> None:
    good = {"link_flair_text": "News", "domain": "example.org", "title": "Python", "score": 1}
    assert reason(good, **ALL_SET) == ""
    for broken in ({"over_18": True}, {"score": 0}, {"link_flair_text": "Meme"}, {"selftext": "a job"}):
        assert reason(good | broken, **ALL_SET) != ""


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x"])
def test_no_pattern_keeps_a_worker_busy(pattern: str) -> None:
    # With backtracking each of them would practically never end.
    reason({"selftext": "a" * 30_000 + "!"}, pattern_wanted=pattern)


@pytest.mark.slow
@given(st.text(max_size=30))
@hypothesis.settings(max_examples=60)
def test_a_pattern_is_refused_or_works(pattern: str) -> None:
    config = BotConfig(pattern_wanted=pattern)
    with contextlib.suppress(ValidationError):
        config._meta.get_field("pattern_wanted").clean(pattern, config)
        assert reason({"selftext": "some text"}, pattern_wanted=pattern) in ("", "pattern")


def test_a_page_is_filtered_by_reason_and_what_cannot_be_read_passes() -> None:
    wanted, unwanted, broken = raw_post(score=9), raw_post(score=1), raw_post(name=None, score=1)
    odd = raw_post(score="many")
    page = Page(posts=[wanted, unwanted, broken, odd], skipped=Counter({"no item": 1}), after="t3_x")
    kept = keep_wanted(page, BotConfig(min_score=5))
    assert kept.posts == [wanted, broken, odd]
    assert kept.skipped == {"no item": 1, "filtered: score": 1}
    assert kept.after == "t3_x"
    assert keep_wanted(page, BotConfig()) is page


def test_a_scrape_stores_what_passes_and_counts_the_rest_by_filter(reddit: RedditReplay) -> None:
    wanted, unwanted = raw_post(score=9, num_comments=1), raw_post(score=1, num_comments=1)
    reddit.add_posts("python", [wanted, unwanted])
    reddit.add_tree(wanted, [])
    reddit.add_tree(unwanted, [])
    config = make_config(min_score=5, comment_policy="first_page")
    session = scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    assert [post.fullname for post in RedditPost.objects.all()] == [wanted["name"]]
    assert (session.status, session.posts_found, session.items_skipped) == ("succeeded", 1, 1)
    assert session.totals["python"]["skipped"] == {"filtered: score": 1}
    assert [asked.path for asked in reddit.asked(path="/comments")] == [f"/comments/{wanted['id']}"]


def test_posts_stored_before_a_filter_stay(reddit: RedditReplay) -> None:
    post = raw_post(score=9)
    reddit.add_posts("python", [post])
    config = make_config(min_score=5)
    scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    post["score"] = 1
    scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    assert RedditPost.objects.get().score == 9


# --- Trying them ---------------------------------------------------------------------------------


def test_trying_on_stored_posts_takes_the_newest_of_its_subreddits_and_changes_nothing() -> None:
    old = make_post(score=9)
    kept, left_out = make_post(subreddit="Python", score=9), make_post(score=1, flair="Meme")
    make_post(subreddit="java", score=9)
    make_post(score=9, state=ContentState.DELETED_BY_AUTHOR)
    config = make_config(min_score=5)
    tried = try_on_stored(config, by=rows.superuser(), limit=2)
    assert tried.posts == [(left_out, "score too low"), (kept, "")]
    assert (tried.passed, tried.reasons) == (1, [("score too low", 1)])
    assert len(try_on_stored(config, by=rows.superuser()).posts) == 3
    assert RedditPost.objects.get(pk=old.pk).score == 9


def test_every_reason_has_words_for_people() -> None:
    for name, _is_set, _passes in filters._FILTERS:
        assert reason_label(name) != name or name in (
            "NSFW",
            "not NSFW",
            "unwanted flair",
            "unwanted domain",
        )


def test_a_trial_lists_ten_items_in_all_and_stores_nothing(reddit: RedditReplay) -> None:
    now = timezone.now().timestamp()  # older than the retention, they would be left out
    reddit.add_posts("python", [raw_post(score=number, created_utc=now) for number in range(20)])
    reddit.add_posts("flask", [raw_post(created_utc=now) for _ in range(20)])
    config = make_config(subreddits=["python", "flask", "nosuch"], min_score=2)
    answer = trial.try_on_reddit(config, by=config.owner)
    assert [(s.name, len(s.items)) for s in answer.subreddits] == [("python", 4), ("flask", 3), ("nosuch", 0)]
    assert [item.reason for item in answer.subreddits[0].items] == ["score too low", "score too low", "", ""]
    assert "check the name" in answer.subreddits[2].error
    assert answer.requests_used == len(reddit.requests) == 4  # with the sign-in
    assert not RedditPost.objects.exists()
    assert not ScrapeSession.objects.exists()


def test_a_trial_stops_at_an_error_of_all_requests(reddit: RedditReplay) -> None:
    reddit.answers["/api/v1/access_token"] = [Answer(401)]
    config = make_config(subreddits=["python", "flask"])
    answer = trial.try_on_reddit(config, by=config.owner)
    assert [bool(s.error) for s in answer.subreddits] == [True]


def test_a_trial_is_for_the_owner_and_superusers(reddit: RedditReplay) -> None:
    config = make_config()
    with pytest.raises(PermissionDenied):
        trial.try_on_reddit(config, by=rows.user("scraping.change_botconfig"))
    assert reddit.requests == []
    trial.try_on_reddit(config, by=rows.superuser())
    assert reddit.requests != []


@pytest.mark.parametrize(
    ("chosen", "listings", "comments"),
    [
        ({"comment_policy": "none", "post_limit": 100}, 2, 0),
        ({"comment_policy": "none", "post_limit": 101}, 4, 0),
        ({"comment_policy": "first_page", "post_limit": 10}, 2, 20),
        ({"comment_policy": "complete", "post_limit": 10, "comment_limit": 500}, 2, 20),
        ({"comment_policy": "complete", "post_limit": 10, "comment_limit": 701}, 2, 80),
    ],
)
def test_the_cost_of_a_run_is_told_beforehand(chosen: dict[str, Any], listings: int, comments: int) -> None:
    most = cost.worst_case(BotConfig(subreddits=["a", "b"], **chosen))
    assert (most.listings, most.comments, most.total) == (listings, comments, listings + comments)


# --- In the admin --------------------------------------------------------------------------------

FORM = {
    "name": "bot",
    "subreddits": "python",
    "sort": "new",
    "time_filter": "day",
    "post_limit": "100",
    "comment_policy": "none",
    "comment_limit": "500",
    "comment_depth": "10",
    "nsfw": "any",
}
VIEWS = ["test", "try_filters"]


def url(view: str, config: BotConfig) -> str:
    return reverse(f"admin:scraping_botconfig_{view}", args=[config.pk])


@pytest.fixture
def owner(client: Any) -> Any:
    user = rows.user(
        "scraping.view_botconfig", "scraping.change_botconfig", "scraping.view_redditpost", SEE_EVERYBODYS
    )
    client.force_login(user)
    return user


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_only_people_who_may_change_a_bot_may_try_it(
    client: Any, owner: Any, reddit: RedditReplay, view: str
) -> None:
    mine, theirs = make_config(owner=owner), make_config()
    assert client.post(url(view, theirs), FORM).status_code == 403
    assert client.get(url(view, mine)).status_code == 405
    assert client.post(url(view, mine), FORM).status_code == 200
    client.force_login(rows.user("scraping.view_botconfig"))
    assert client.post(url(view, mine), FORM).status_code == 404
    client.force_login(rows.user("scraping.view_botconfig", "scraping.change_botconfig", SEE_EVERYBODYS))
    assert client.post(url(view, mine), FORM).status_code == 403
    viewer = rows.user("scraping.view_botconfig")
    BotConfig.objects.filter(pk=mine.pk).update(owner=viewer)
    client.force_login(viewer)
    assert client.post(url(view, mine), FORM).status_code == 403
    client.logout()
    assert client.post(url(view, mine), FORM).status_code == 302


@pytest.mark.slow
def test_stored_posts_are_shown_only_to_people_who_may_see_them(client: Any, reddit: RedditReplay) -> None:
    blind = rows.user("scraping.view_botconfig", "scraping.change_botconfig")
    client.force_login(blind)
    config = make_config(owner=blind)
    make_post(subreddit="python", title="A secret")
    assert client.post(url("try_filters", config), FORM).status_code == 403
    assert client.post(url("test", config), FORM).status_code == 200
    page = client.get(reverse("admin:scraping_botconfig_change", args=[config.pk])).content.decode()
    assert url("try_filters", config) not in page
    assert url("test", config) in page


@pytest.mark.slow
def test_the_unsaved_form_is_tried_and_not_saved(client: Any, owner: Any, reddit: RedditReplay) -> None:
    reddit.add_posts("flask", [raw_post(title="Fine post", score=9), raw_post(title="Poor post")])
    config = make_config(owner=owner, name="stored")
    form = FORM | {"subreddits": "flask", "min_score": "5"}
    page = client.post(url("test", config), form).content.decode()
    assert "Fine post" in page
    assert "no: score too low" in page
    assert "about 1: 1 for listings, 0 for comments" in page
    make_post(subreddit="flask", title="Stored post", score=1)
    page = client.post(url("try_filters", config), form).content.decode()
    assert "Of the last stored post of these subreddits, 0 would be kept." in page
    assert "Stored post" in page
    config.refresh_from_db()
    assert (config.name, config.subreddits, config.min_score) == ("stored", ["python"], None)


@pytest.mark.parametrize("view", VIEWS)
def test_a_bad_filter_is_named_with_its_field(
    client: Any, owner: Any, reddit: RedditReplay, view: str
) -> None:
    page = client.post(url(view, make_config(owner=owner)), FORM | {"pattern_wanted": "(a"}).content.decode()
    assert "<strong>Only posts that match:</strong>" in page
    assert "missing )" in page
    assert reddit.requests == []


def test_a_trial_without_a_reddit_app_says_what_to_do(client: Any, owner: Any, settings: Any) -> None:
    settings.REDDIT_CLIENT_ID = ""
    RedditApp.objects.all().delete()
    page = client.post(url("test", make_config(owner=owner)), FORM).content.decode()
    assert "There is no Reddit app" in page


@pytest.mark.slow
def test_filters_are_saved_one_per_line(client: Any, owner: Any) -> None:
    config = make_config(owner=owner)
    form = FORM | {"flairs_wanted": "News\r\n\r\n Big News \r\nNews", "domains_unwanted": "spam.example"}
    response = client.post(reverse("admin:scraping_botconfig_change", args=[config.pk]), form)
    assert response.status_code == 302
    config.refresh_from_db()
    assert (config.flairs_wanted, config.domains_unwanted) == (["News", "Big News"], ["spam.example"])
    page = client.get(reverse("admin:scraping_botconfig_change", args=[config.pk])).content.decode()
    assert "News\nBig News</textarea>" in page
    assert "Test this config" in page
