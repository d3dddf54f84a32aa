"""Two days of sweeps against the sandbox with faults: what was blanked when, and what was verified afterwards.

``pytest -s`` prints the table.
"""

from collections.abc import Iterator

import prawcore.sessions
import pytest
from django.utils import timezone
from pytest_django import Settings

from scraping.compliance.coverage import coverage
from scraping.compliance.sweep import refresh_stored_content
from scraping.models import ContentState, RedditPost, ScrapeSession, SetAside
from scraping.progress import SilentProgress
from scraping.reddit import budget
from scraping.sandbox import SandboxReddit
from scraping.sandbox.world import Action
from scraping.sessions.scrape import scrape_config
from tests.kit.scraped import make_config
from tests.scraping.sweeps import later
from tests.soak import size

pytestmark = pytest.mark.django_db

POSTS = size(150, 1000)  # of each subreddit
SUBREDDITS = ("TinyGardens", "SlowCooking", "HomeWorkshop")
# The hours after the fault begins at which a sweep runs.
HOURS = (0, 0.5, 1.1, 2.5, 8, 15, 22, 36, 48)
EMPTY = {"kind": "Listing", "data": {"after": None, "dist": 0, "children": []}}


@pytest.fixture
def sandbox(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxReddit]:
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.0)
    now = timezone.now().timestamp()
    with SandboxReddit(clock=lambda: now, rate_limit=1_000_000) as server:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = server.url
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        yield server


class Drill:
    """Sweeps over content scraped from the sandbox, at certain hours."""

    def __init__(self, sandbox: SandboxReddit) -> None:
        self.sandbox = sandbox
        config = make_config(subreddits=list(SUBREDDITS), post_limit=POSTS)
        scrape_config(config, run_id=None, kind=ScrapeSession.Kind.AUTO, progress=SilentProgress())
        later(hours=7)
        refresh_stored_content(SilentProgress(), max_requests=1000)
        later(hours=7)
        RedditPost.objects.update(held_at=timezone.now(), hold_reason="evidence")
        self.live = list(RedditPost.objects.filter(state=ContentState.LIVE).order_by("fullname"))
        self.gone: dict[float, int] = {}
        self.lines: list[str] = []

    def blanked(self) -> int:
        names = [post.fullname for post in self.live]
        return RedditPost.objects.filter(fullname__in=names).exclude(state=ContentState.LIVE).count()

    def sweep(self, hours: float) -> None:
        done = refresh_stored_content(SilentProgress(), max_requests=1000)
        self.gone[hours] = self.blanked()
        kept = {
            name: number
            for name, number in done.counts.items()
            if number and name not in ("unchanged", "updated")
        }
        self.lines.append(
            f"  {hours:5.1f} h  blanked {self.gone[hours]:4}  coverage {coverage().percent or 0:5.1f} %  {kept}"
        )

    def run(self, name: str, **at: object) -> None:
        """Sweep at each hour; ``at`` maps an hour (``h1_1`` = 1.1) to an action before its sweep."""
        before = 0.0
        for hours in HOURS:
            later(hours=hours - before)
            before = hours
            event = at.get(f"h{hours}".replace(".", "_"))
            if callable(event):
                event()
            self.sweep(hours)
        print(f"\n{name}: {len(self.live)} live posts, all held", *self.lines, sep="\n")  # noqa: T201  # the table


@pytest.fixture
def drill(sandbox: SandboxReddit) -> Drill:
    return Drill(sandbox)


@pytest.mark.slow
def test_one_item_that_makes_requests_fail(drill: Drill) -> None:
    bad, deleted = drill.live[0], drill.live[7]
    drill.sandbox.faults.add(rf"/api/info.*{bad.fullname}(%2C|&|,|$)", status=500, times=None)
    drill.sandbox.world.change(deleted.fullname, Action.DELETE)

    drill.run("One poisonous item")

    assert set(drill.gone.values()) == {1}  # in the first sweep, and nothing else
    assert coverage().percent == pytest.approx(100 * (1 - 1 / RedditPost.objects.count()), abs=0.01)


@pytest.mark.slow
def test_empty_answers_for_an_hour(drill: Drill) -> None:
    drill.sandbox.faults.add(r"/api/info", body=EMPTY, times=None)
    for post in drill.live[:5]:
        drill.sandbox.world.change(post.fullname, Action.DELETE)

    drill.run("Empty answers for an hour", h1_1=drill.sandbox.faults.clear)

    assert (drill.gone[0], drill.gone[0.5]) == (0, 0)
    assert drill.gone[2.5] == drill.gone[48] == 5
    assert coverage().percent == 100
    assert not SetAside.objects.exists()


@pytest.mark.slow
def test_a_subreddit_banned_by_mistake(drill: Drill) -> None:
    theirs = [post for post in drill.live if post.subreddit == "TinyGardens"]
    others = [post for post in drill.live if post.subreddit != "TinyGardens"]
    drill.sandbox.faults.add(
        r"/r/TinyGardens/about", status=404, body={"reason": "banned", "error": 404}, times=None
    )
    for post in theirs:
        drill.sandbox.world.change(post.fullname, Action.VANISH)
    for post in others[:5]:
        drill.sandbox.world.change(post.fullname, Action.DELETE)

    def mend() -> None:
        drill.sandbox.faults.clear()
        assert SetAside.objects.get().is_open
        for post in theirs:
            drill.sandbox.world.change(post.fullname, Action.RESTORE)

    drill.run("A subreddit banned by mistake, until hour 22", h22=mend)

    assert drill.gone[0] == 5  # nothing else waits
    assert max(drill.gone.values()) == 5
    assert SetAside.objects.get().state == SetAside.State.RETURNED
    assert coverage().percent == 100


@pytest.mark.slow
def test_thirty_per_cent_really_deleted_in_a_day(drill: Drill) -> None:
    """Delete 20 % by their authors and 8 % by moderators; leave out 2 % without a mark."""
    number = len(drill.live)
    deleted, removed, lost = number * 20 // 100, number * 8 // 100, number * 2 // 100
    posts = drill.live[::3][: deleted + removed + lost]
    for post, action in zip(
        posts, [Action.DELETE] * deleted + [Action.REMOVE] * removed + [Action.VANISH] * lost, strict=False
    ):
        drill.sandbox.world.change(post.fullname, action)

    drill.run("30 % really deleted in one day")

    assert drill.gone[0] == min(len(posts), deleted + removed)
    assert drill.gone[8] == len(posts)
    assert not SetAside.objects.exists()
    assert coverage().percent == 100
