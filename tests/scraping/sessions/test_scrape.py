"""Scrapes through real PRAW over a real socket, checked by the stored rows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from scraping.models import ErrorKind, RedditComment, RedditPost, ScrapeSession
from scraping.sessions.writer import SKIP_LINES_MAX
from tests.kit import factories
from tests.kit.progress import Recorder
from tests.kit.scraped import make_config, make_post, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import Answer, RedditReplay, listing, thing

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status


# --- What a scrape stores ---------------------------------------------------------------------------


def test_a_scrape_stores_posts_and_comments(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=2), raw_post()]
    reddit.add_posts("python", posts)
    comment = raw_comment(posts[0])
    reddit.add_tree(posts[0], [comment, raw_comment(posts[0], parent_id=comment["name"])])
    run = factories.job_run(status="running")
    session = scrape(make_config(comment_policy="first_page"), run=run)
    assert (session.status, session.error, session.error_kind) == (Status.SUCCEEDED, "", "")
    assert (session.posts_found, session.posts_new, session.comments_found, session.comments_new) == (
        2,
        2,
        2,
        2,
    )
    assert session.requests_used == 3  # sign-in, listing, one tree
    assert session.run == run
    assert session.finished_at is not None
    assert RedditPost.objects.get(fullname=posts[0]["name"]).comments_fetched == 2
    assert sorted(RedditComment.objects.values_list("depth", flat=True)) == [0, 1]
    assert set(RedditPost.objects.values_list("session_id", flat=True)) == {session.pk}


def test_a_second_scrape_finds_everything_known(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=1)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post)])
    config = make_config(comment_policy="complete")
    first = scrape(config)
    reddit.posts["python"] = [raw_post(), post | {"score": 50}]
    second = scrape(config)
    assert (second.posts_found, second.posts_new, second.comments_found, second.comments_new) == (2, 1, 0, 0)
    assert second.totals["python"]["posts_changed"] == 1
    known = RedditPost.objects.get(fullname=post["name"])
    assert (known.session, known.score) == (first, 50)


def test_the_limit_counts_posts_of_each_subreddit(reddit: RedditReplay) -> None:
    for name in ("python", "golang"):
        reddit.add_posts(name, [raw_post(subreddit=name) for _ in range(250)])
    session = scrape(make_config(subreddits=["python", "golang"], post_limit=120))
    assert session.posts_found == 240
    assert {name: total["posts_new"] for name, total in session.totals.items()} == {
        "python": 120,
        "golang": 120,
    }


def test_no_comments_are_requested_if_none_are_wanted_or_there_are_none(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post(num_comments=5)])
    reddit.add_posts("golang", [raw_post(num_comments=0)])
    scrape(make_config(comment_policy="none"))
    scrape(make_config(comment_policy="complete", subreddits=["golang"]))
    assert reddit.asked(path="/comments/") == []


@pytest.mark.slow
def test_the_policy_and_its_limits_reach_reddit(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=500)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post) for _ in range(500)], first=50)
    first_page = scrape(make_config(comment_policy="first_page", comment_limit=300))
    assert first_page.comments_found == 50
    complete = scrape(make_config(comment_policy="complete", comment_limit=300))
    assert complete.comments_found == 300
    assert RedditPost.objects.get().comments_fetched == RedditComment.objects.count() == 300
    post["num_comments"] += 1
    again = scrape(make_config(comment_policy="first_page", comment_limit=10))
    assert again.comments_found == 10
    assert RedditPost.objects.get().comments_fetched == 300


def test_the_stickied_posts_of_hot_are_stored_as_well(reddit: RedditReplay) -> None:
    posts = [raw_post(stickied=n < 2) for n in range(7)]
    reddit.answers["/r/python/hot"] = [Answer.of(listing(map(thing, posts)))]
    assert scrape(make_config(sort="hot", post_limit=5)).posts_found == 7


@pytest.mark.slow
def test_skipped_items_are_counted_by_reason_and_named_in_few_lines(reddit: RedditReplay) -> None:
    bad = [raw_post(name=None) for _ in range(3)] + [raw_post(created_utc=n) for n in ("a", "b")]
    children = [None, *({"kind": "t3", "data": p} for p in [*bad, raw_post()])]
    pages = [Answer.of(listing(children, after=f"t3_{n}")) for n in range(29)]
    reddit.answers["/r/python/new"] = [*pages, Answer.of(listing([]))]
    progress = Recorder()
    session = scrape(make_config(post_limit=1000), progress)
    assert (session.status, session.posts_found) == (Status.SUCCEEDED, 3)
    assert session.items_skipped == sum(session.totals["python"]["skipped"].values()) >= 29
    # The 29 pages are the same: an item with a name counts once.
    assert session.totals["python"]["skipped"] == {
        "no item": 29,
        "no name": 87,
    }
    assert session.totals["python"]["odd_fields"] == {"created_utc is no time": 2}
    warnings = [text for level, text in progress.lines if level == "warning"]
    assert len(warnings) == SKIP_LINES_MAX + 1
    assert str(session.items_skipped) in warnings[-1]


def test_posts_and_comments_with_extreme_values_are_stored(reddit: RedditReplay) -> None:
    odd = "a\x00b\ud800c \U0001f600\r\x07"  # over the wire as JSON escapes
    post = raw_post(
        title=odd,
        selftext="x" * 78_000,
        url="https://a.b/" + "y" * 23_000,
        author=None,
        edited=True,
        num_comments=3,
    )
    reddit.add_posts("python", [post, raw_post(name=None), raw_post(score=-(10**12))])
    top = raw_comment(post, body=odd, author=None, edited=True, replies=None, score=-4495)
    nameless = raw_comment(post, name=None)
    more = {"kind": "more", "data": {"id": "z", "parent_id": top["name"], "count": 0, "children": ["z"]}}
    children = [thing(top), {"kind": "t1", "data": nameless}, {"kind": "t1"}, more]
    reddit.add_tree(post, [raw_comment(post, id="z", parent_id=top["name"])])
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([thing(post)]), listing(children)])]
    session = scrape(make_config(comment_policy="complete"))
    assert (session.status, session.error) == (Status.SUCCEEDED, "")
    assert (session.posts_found, session.comments_found, session.items_skipped) == (2, 2, 3)
    assert session.totals["python"]["skipped"] == {"no name": 2, "no item": 1}
    stored = RedditPost.objects.get(fullname=post["name"])
    assert (stored.title, len(stored.body), len(stored.url)) == ("abc \U0001f600\r\x07", 78_000, 23_012)
    assert (stored.author, stored.is_author_deleted, stored.is_edited, stored.edited_at) == (
        "",
        True,
        True,
        None,
    )
    comment = stored.comments.get(fullname=top["name"])
    assert (comment.body, comment.is_author_deleted, comment.score) == ("abc \U0001f600\r\x07", True, -4495)
    assert stored.comments.get(fullname="t1_z").depth == 1


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["\x00", "\ud800", "%s %(path)s"])
def test_an_error_that_quotes_the_unstorable_is_stored(reddit: RedditReplay, reason: str) -> None:
    reddit.add_posts("golang", [raw_post()])
    body = {"reason": f"a{reason}b", "explanation": reason, "kind": reason}
    for status in (400, 403, 418):
        answer = Answer.of(body)
        answer.status = status
        reddit.answers["/r/python/new"] = [answer]
        session = scrape(make_config(subreddits=["python", "golang"]))
        assert session.status == Status.PARTIAL
    reddit.answers["/r/python/new"] = [Answer.of(listing([{"kind": reason, "data": {}}]))]
    session = scrape(make_config(subreddits=["python", "golang"]))
    assert session.totals["python"]["skipped"] == {"no item": 1}


def test_progress_reports_steps_and_stage(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=1)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post)])
    progress = Recorder()
    scrape(make_config(comment_policy="first_page", post_limit=50), progress)
    assert progress.reports[0] == (0, 51, "r/python: posts")
    assert progress.reports[-1] == (3, 3, "finished")  # a post, its comments, a subreddit
    assert ("info", "r/python: 1 posts (1 new), 1 comments.") in progress.lines


# --- Gaps and suspicions ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("posts", "limit", "sort", "before", "gap"),
    [
        (1100, 1000, "new", "", True),
        (1100, 1000, "new", "stranger", True),
        (1100, 1000, "new", "listed", False),
        (1100, 999, "new", "stranger", True),
        (1100, 200, "new", "stranger", False),
        (950, 1000, "new", "stranger", True),
        (950, 1000, "new", "", False),
        (1100, 1000, "top", "stranger", False),
    ],
)
def test_a_gap_is_the_cap_without_a_known_post(
    reddit: RedditReplay, posts: int, limit: int, sort: str, before: str, gap: bool
) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(posts)])
    if before:
        fullname = reddit.posts["python"][800]["name"] if before == "listed" else "t3_old"
        make_post(fullname=fullname, subreddit="Python", first_seen_at=timezone.now() - timedelta(days=1))
    session = scrape(make_config(post_limit=limit, sort=sort))
    assert (session.status, session.has_gap) == (Status.SUCCEEDED, gap)


def test_an_empty_listing_of_a_subreddit_with_posts_is_suspect(reddit: RedditReplay) -> None:
    reddit.posts["python"] = []
    assert scrape(make_config()).status == Status.SUCCEEDED
    make_post(subreddit="Python", first_seen_at=timezone.now() - timedelta(days=1))
    session = scrape(make_config())
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.BAD_ANSWER)
    assert "lists no posts" in session.error
