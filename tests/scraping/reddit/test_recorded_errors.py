"""Each recorded error answer ends in a session that names the cause."""

import pytest

from scraping.models import RedditPost, RequestBudget, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions.scrape import REFUSED_MAX, ContinueLater, scrape_config
from tests import recorded
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, RedditReplay

pytestmark = [pytest.mark.django_db, recorded.needed]

# Cause, a word of the message, how often the request goes out (PRAW tries 5xx and a refused token three times).
EXPECTED = {
    "301_share_url": ("not_found", "redirects", 1),
    "302_nonexistent_subreddit": ("not_found", "/subreddits/search", 1),
    "400_html": ("bad_request", "400", 1),
    "400_json_fields": ("bad_request", "USER_DOESNT_EXIST", 1),
    "400_token_endpoint": ("unauthorized", "REDDIT_CLIENT_SECRET", 1),
    "401_invalid_token": ("unauthorized", "401", 3),
    "401_token_endpoint": ("unauthorized", "REDDIT_CLIENT_SECRET", 1),
    "403_forbidden_json": ("forbidden", "403", 1),
    "403_private": ("private", "private", 1),
    "403_quarantined": ("quarantined", "quarantined", 1),
    "404_banned": ("banned", "banned", 1),
    "404_not_found_json": ("not_found", "404", 1),
    "414_morechildren": ("bad_request", "414", 1),
    "429_2026_no_retry_after": ("rate_limited", "429", 1),
    "429_html_retry_after_4": ("rate_limited", "for 4 s", 1),
    "429_token_endpoint_no_headers": ("rate_limited", "429", 1),
    "451": ("legal", "451", 1),
    "500_json": ("server_error", "500", 3),
    "502_empty": ("server_error", "502", 3),
    "503_empty": ("server_error", "503", 3),
    "503_html_ow": ("server_error", "503", 3),
    "520": ("server_error", "520", 3),
}


ONCE = sorted(name for name, (kind, *_) in EXPECTED.items() if kind != "rate_limited")


def scrape(**fields: object) -> ScrapeSession:
    config = make_config(**fields)
    while True:
        try:
            return scrape_config(
                config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress()
            )
        except ContinueLater:
            RequestBudget.objects.all().delete()  # time passes


def test_every_recorded_error_is_expected_here() -> None:
    assert recorded.error_names() == sorted(EXPECTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recorded_error_of_the_listing_is_named(reddit: RedditReplay, name: str) -> None:
    kind, word, times = EXPECTED[name]
    path = TOKEN_PATH if "token_endpoint" in name else "/r/python/new"
    reddit.answers[path] = [Answer.recorded(recorded.error(name))]
    session = scrape()
    assert (session.status, session.error_kind) == ("failed", kind)
    assert word in session.error
    assert session.totals["python"]["error_kind"] == kind
    # Only a 429 makes the scrape wait and try again.
    sessions = REFUSED_MAX if kind == "rate_limited" else 1
    assert sum(asked.path == path for asked in reddit.requests) == times * sessions
    assert not RedditPost.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ONCE if "token" not in name])
def test_a_recorded_error_of_the_comments_keeps_the_posts(reddit: RedditReplay, name: str) -> None:
    kind, word, times = EXPECTED[name]
    post = raw_post(num_comments=1)
    reddit.add_posts("python", [post])
    reddit.answers[f"/comments/{post['id']}"] = [Answer.recorded(recorded.error(name))]
    session = scrape(comment_policy="first_page")
    assert (session.status, session.error_kind, session.posts_found) == ("partial", kind, 1)
    assert word in session.error
    assert len(reddit.asked(path="/comments/")) == times
    assert RedditPost.objects.count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ONCE if "token" not in name])
def test_a_recorded_error_of_one_subreddit_spares_the_others(reddit: RedditReplay, name: str) -> None:
    kind, _word, _times = EXPECTED[name]
    reddit.add_posts("golang", [raw_post(subreddit="golang")])
    reddit.answers["/r/python/new"] = [Answer.recorded(recorded.error(name))]
    session = scrape(subreddits=["golang", "python"])
    assert (session.status, session.error_kind, session.posts_found) == ("partial", kind, 1)
    assert session.totals["golang"]["error_kind"] == ""
    assert session.error.startswith("r/python: ")
