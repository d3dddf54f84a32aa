"""Sessions with random faults, then sessions without: in the end all served items are stored."""

import json
import random
import time
from typing import Any

import prawcore.sessions
import pytest

from scraping.models import AccessToken, BotConfig, RedditComment, RedditPost, RequestBudget, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions.scrape import ContinueLater, scrape_config
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, Asked, RedditReplay
from tests.soak import size

pytestmark = [pytest.mark.django_db, pytest.mark.soak]

Raw = dict[str, Any]
SESSIONS = size(30, 300)
# The bots of a sample: each is scraped several times with faults, then twice without.
SESSIONS_PER_BOT = 5

FAULTS: dict[str, Answer] = {
    "403": Answer(403, {"Content-Type": "text/html"}, b"<html>no</html>"),
    "403 json": Answer(403, {}, b'{"message": "Forbidden", "error": 403}'),
    "404": Answer(404, {}, b'{"message": "Not Found", "error": 404}'),
    "451": Answer(451),
    "429": Answer(429, {"Retry-After": "5"}, b"<html>whoa there"),
    "500": Answer(500, {}, b'{"message": "Internal Server Error", "error": 500}'),
    "503 html": Answer(503, {"Content-Type": "text/html"}, b"<!doctype html>Ow!"),
    "reset": Answer(fault="reset"),
    "truncated": Answer(body=b'{"kind": "Listing", "da', fault="short"),
    "cut": Answer(body=b'{"kind": "Listing", "da'),
    "null": Answer(body=b"null"),
    "empty": Answer(),
    "html": Answer(200, {"Content-Type": "text/html"}, b"<!doctype html><title>reddit</title>"),
    "empty listing": Answer(
        body=json.dumps({"kind": "Listing", "data": {"after": None, "children": []}}).encode()
    ),
    "no things": Answer(body=json.dumps({"json": {"errors": [], "data": {"things": []}}}).encode()),
    "token expired": Answer(401, {"www-authenticate": 'Bearer error="invalid_token"'}, b"{}"),
}


class FaultyReddit(RedditReplay):
    """Answers some requests with faults, once or several times in a row, at any endpoint."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.draw, self.rate, self.seen = draw, 0.0, set[str]()
        self._fault: tuple[Answer, int] = (Answer(), 0)

    def respond(self, asked: Asked) -> Answer:
        answer = super().respond(asked)
        fault, times = self._fault
        if times == 0 and self.draw.random() < self.rate:
            kind = self.draw.choice(list(FAULTS))
            if _fits(kind, asked):
                self.seen.add(f"{kind} at {_endpoint(asked)}")
                fault, times = FAULTS[kind], self.draw.choice([1, 1, 1, 2, 3, 9])
        if times and self.rate:
            self._fault = (fault, times - 1)
            return fault if _fits_answer(fault, asked) else answer
        return answer


def _endpoint(asked: Asked) -> str:
    return "token" if asked.path == TOKEN_PATH else asked.path.split("/")[-1 if "api" in asked.path else 1]


def _fits(kind: str, asked: Asked) -> bool:
    return _fits_answer(FAULTS[kind], asked)


def _fits_answer(fault: Answer, asked: Asked) -> bool:
    """Return whether Reddit could give that answer: an empty listing is no answer to a token request."""
    if fault is FAULTS["empty listing"]:
        return "/api/info" in asked.path
    if fault is FAULTS["no things"]:
        return "/api/morechildren" in asked.path
    return True


def grow(reddit: FaultyReddit, draw: random.Random, number: int) -> None:
    """Add posts, some of them with comment trees of all shapes."""
    posts = reddit.posts["python"]
    for _ in range(number):
        made = posts[0]["created_utc"] + draw.choice([1, 60, 600]) if posts else int(time.time()) - 10**6
        post = raw_post(created_utc=made)
        if draw.random() < 0.04:
            comments: list[Raw] = []
            for _number in range(draw.choice([1, 12, 60, 250])):
                above = draw.choice(comments)["name"] if comments and draw.random() < 0.4 else post["name"]
                comments.append(raw_comment(post, parent_id=above))
            post["num_comments"] = len(comments)
            reddit.add_tree(post, comments, first=5, nested=4, unasked=draw.choice([0, 1, 2]))
        posts.insert(0, post)
        reddit.known[post["name"]] = post


def scrape(config: BotConfig) -> ScrapeSession:
    try:
        return scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    except ContinueLater as later:
        return later.session
    finally:
        RequestBudget.objects.all().delete()  # Reddit's next window


@pytest.mark.parametrize("seed", range(SESSIONS // SESSIONS_PER_BOT))
def test_after_any_faults_everything_served_is_stored(
    reddit: RedditReplay, settings: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setitem(prawcore.sessions.Session.request.__kwdefaults__ or {}, "timeout", 5)
    draw = random.Random(seed)
    with FaultyReddit(draw) as faulty:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = faulty.url
        config = make_config(
            post_limit=1000, comment_policy="complete", comment_limit=10_000, comment_depth=100
        )
        grow(faulty, draw, 120)
        for _ in range(SESSIONS_PER_BOT):
            faulty.rate = draw.choice([0.05, 0.2, 0.5])
            if draw.random() < 0.5:
                AccessToken.objects.all().delete()
            session = scrape(config)
            session.refresh_from_db()
            assert session.status != "running"
            assert session.error_kind != "internal", session.error
            if session.status != "succeeded":
                assert session.error_kind, session.status
            BotConfig.objects.filter(pk=config.pk).update(
                is_active=True, paused_at=None
            )  # as its owner would
            grow(faulty, draw, draw.choice([0, 1, 30, 150]))
        assert faulty.seen
        faulty.rate = 0.0
        for _ in range(2):
            last = scrape(config)
        assert last.status == "succeeded", (seed, last.error)
        assert not last.has_gap
        assert set(RedditPost.objects.values_list("fullname", flat=True)) == {
            post["name"] for post in faulty.posts["python"]
        }, seed
        served = {name for tree in faulty.trees.values() for name in tree.comments}
        assert set(RedditComment.objects.values_list("fullname", flat=True)) == served, seed
        for post in RedditPost.objects.filter(num_comments__gt=0):
            assert post.comments_fetched == post.num_comments
