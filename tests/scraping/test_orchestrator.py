"""Scrapes through real PRAW over a real socket, down to the rows."""

import pytest

from scraping.models import RedditComment, RedditPost, ScrapeSession
from scraping.orchestrator import scrape_config
from scraping.progress import SilentProgress
from tests.scraping.factories import make_config, raw_comment, raw_post
from tests.scraping.reddit_replay import RedditReplay

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status


def scrape(config, progress=None) -> ScrapeSession:
    return scrape_config(
        config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=progress or SilentProgress()
    )


def test_a_scrape_stores_posts_and_comments(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=2), raw_post()]
    reddit.add_posts("python", posts)
    comment = raw_comment(posts[0])
    reddit.add_tree(posts[0], [comment, raw_comment(posts[0], parent_id=comment["name"])])
    session = scrape(make_config(comment_policy="first_page"))
    assert (session.status, session.error) == (Status.SUCCEEDED, "")
    assert (session.posts_found, session.posts_new, session.comments_found, session.comments_new) == (2, 2, 2, 2)
    assert session.requests_used == 3  # sign-in, listing, one tree
    assert RedditPost.objects.get(fullname=posts[0]["name"]).comments_fetched == 2
    assert sorted(RedditComment.objects.values_list("depth", flat=True)) == [0, 1]
    assert set(RedditPost.objects.values_list("session_id", flat=True)) == {session.pk}
