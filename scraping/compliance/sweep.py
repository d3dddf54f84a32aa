"""Re-checks stored items, so that what is deleted on Reddit is deleted here too (Reddit's Data API terms).

The safety principle: nothing exempts an item, neither a hold nor its age. An item that Reddit calls deleted or removed
loses title, text, URLs, media, flair and all its parts; its state stays. An item of a deleted account loses the
author's name and id. An item that two checks in a row left out becomes a tombstone: fullname, subreddit and times. An
item that Reddit shows again gets its content back.

Reddit offers no feed of deletions, so the least recently verified items are requested, 100 per request. A scrape that
meets an item verifies it too. Items hidden by a subreddit that went private are not deleted: before an item becomes a
tombstone, its subreddit is requested.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Final

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, When

from database import clock
from database.messages import gettext as _
from scraping.compliance import doubts, sweep_queue
from scraping.compliance.brake import Brake, age_of, close_returned
from scraping.compliance.closed_subreddits import Subreddits
from scraping.compliance.doubts import MARKS, Item, Verdict
from scraping.compliance.judging import judge, without_expired
from scraping.compliance.saving import save
from scraping.compliance.sweep_queue import KINDS, Halving
from scraping.models import (
    SANDBOX_CLIENT_ID,
    BotConfig,
    ContentState,
    RedditApp,
)
from scraping.models.erasures import note_blanked
from scraping.models.set_aside import Doubt, SetAside
from scraping.progress import Progress
from scraping.reddit.answers import Page
from scraping.reddit.client import INFO_SIZE, RedditClient, client_for
from scraping.reddit.credentials import environment_credentials

COUNTED: Final = (
    "requests",
    "checked",
    "unchanged",
    "updated",
    "deleted",
    "removed",
    "account_deleted",
    "restored",
    "missing",
    "hidden",
    "tombstoned",
    "set_aside",
    "suspect",
    "unreadable",
    "failing",
)


@dataclass(frozen=True)
class Swept:
    """The result of a sweep: ``counts`` by outcome, and ``problems``, sentences on why the sweep is not complete."""

    counts: dict[str, int]
    problems: list[str]


def refresh_stored_content(
    progress: Progress,
    *,
    max_requests: int = 20,
    counts: Counter[str] | None = None,
    run_id: int | None = None,
) -> Swept:
    """Verify stored items, up to 100 per request, least recently verified first; return the result.

    ``counts``, if given, is updated during the work, so that the caller has it even after an interruption.
    ``run_id`` is stored with each item that is blanked (see ``erasures``).

    Counts: ``requests``, ``checked`` = ``unchanged`` + ``updated`` + ``deleted`` (by the author) + ``removed``
    (by a moderator or Reddit) + ``account_deleted`` + ``restored`` + ``missing`` (once; kept) + ``hidden`` (missing
    again, in a subreddit that is closed to us; kept) + ``tombstoned`` + ``set_aside`` (for a person; kept) +
    ``suspect`` (in an answer that proves nothing; kept) + ``unreadable`` (left as they were) + ``failing`` (the
    request fails when it asks for them). Each request's items are one transaction. With nothing stored, Reddit is
    not asked.

    Raises:
        RedditError: a request failed; earlier results are saved.
        BaseException: what ``progress.checkpoint()`` raised; earlier results are saved.
    """
    counts = Counter() if counts is None else counts
    started_at = clock.now()
    batches = sweep_queue.batches(started_at)
    first = next(batches, None)
    if first is None:
        return Swept(_all_counts(counts), [])
    most = max_requests * INFO_SIZE
    # Count no further than needed: these tables may hold millions of rows.
    total = min(most, sum(model._default_manager.order_by()[:most].count() for model in KINDS))
    with client_for(_stored_app(), for_compliance=True) as client:
        sweep = _Sweep(client, counts, started_at, run_id=run_id)
        for items in chain([first], batches):
            if counts["requests"] >= max_requests:
                break
            progress.checkpoint()
            sweep.verify(items)
            progress.report(min(counts["checked"], total), total, _("verifying stored content"))
    close_returned()
    progress.log(_summary(counts))
    return Swept(_all_counts(counts), sweep.problems())


def _summary(counts: Counter[str]) -> str:
    text = _(
        "%(checked)d items asked for: %(gone)d deleted or removed, %(tombstoned)d tombstones (missing twice),"
        " %(missing)d missing for the first time, %(restored)d restored, %(suspect)d in answers that prove nothing,"
        " %(set_aside)d set aside for a person."
    )
    gone = counts["deleted"] + counts["removed"] + counts["account_deleted"]
    return text % (_all_counts(counts) | {"gone": gone})


def _all_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in COUNTED}


def _stored_app() -> RedditApp | None:
    """Return a stored app, preferably of an active bot; None stands for the environment's app, which comes first.

    Content is verified even if no bot is active. The app needs a readable secret. The sandbox's app comes last,
    because it may not be used with the real Reddit.
    """
    if environment_credentials() is not None:
        return None
    is_used = Exists(BotConfig.objects.filter(app=OuterRef("pk"), is_active=True))
    is_sandbox = Q(client_id=SANDBOX_CLIENT_ID)
    apps = RedditApp.objects.order_by(Case(When(is_sandbox, then=1), default=0), is_used.desc(), "pk")
    return next((app for app in apps if app.has_readable_secret), apps.first())


class _Sweep:
    """The verification of some stored items, request by request."""

    def __init__(
        self, client: RedditClient, counts: Counter[str], started_at: datetime, *, run_id: int | None
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._counts = counts
        self._subreddits = Subreddits(client, counts)
        self._brake = Brake(started_at)
        self._failing: list[Doubt] = []
        self._asides: dict[int, SetAside] = {}

    def verify(self, items: list[Item]) -> None:
        """Request the items, if necessary in smaller requests, and save the outcome.

        Raises:
            RedditError: Reddit does not answer, or no longer.
        """
        # The time before the request: a row that a scrape stores during the request is newer than the answer.
        asked_at = clock.now()
        for asked, page in Halving(items, self._ask).answers():
            if page is None:
                self._put_behind(asked[0], asked_at)
            else:
                self._take(asked, page, asked_at)
            asked_at = clock.now()

    def _ask(self, items: list[Item]) -> Page:
        self._counts["requests"] += 1
        return self._client.info([item.fullname for item in items])

    def _put_behind(self, item: Item, asked_at: datetime) -> None:
        """Record an item that makes requests fail, so that the next sweeps do not begin with it."""
        with transaction.atomic():
            item.model._default_manager.filter(pk=item.pk).update(checked_at=asked_at)
            doubts.save([Verdict(item, "failing")], asked_at, swept_at=self._brake.swept_at)
        self._count(Counter(failing=1))
        self._failing.append(Doubt.objects.get(fullname=item.fullname))

    def _take(self, items: list[Item], page: Page, asked_at: datetime) -> None:
        answers = {str(data.get("name")): data for data in (*page.posts, *page.comments)}
        # If a child cannot be assigned to an item, the answer does not prove that any item is missing.
        is_whole = not page.skipped and answers.keys() <= {item.fullname for item in items}
        verdicts = [judge(item, answers.get(item.fullname), is_whole=is_whole) for item in items]
        verdicts = doubts.confirm(without_expired(verdicts), asked_at)
        closed = self._subreddits.answers_for(verdicts)
        with transaction.atomic():
            self._tally(verdicts, asked_at)
            verdicts = self._spare(verdicts, closed, asked_at)
            saved = [
                verdict
                for model in KINDS
                for verdict in save(model, [v for v in verdicts if v.item.model is model], asked_at)
            ]
            doubts.save(saved, asked_at, swept_at=self._brake.swept_at)
            note_blanked(((v.item.fullname, v.outcome) for v in saved), run_id=self._run_id)
        self._asides |= {v.set_aside.pk: v.set_aside for v in saved if v.set_aside is not None}
        self._count(Counter(verdict.outcome for verdict in saved))

    def _count(self, outcomes: Counter[str]) -> None:
        self._counts.update(outcomes)
        self._counts["checked"] += outcomes.total()

    def _tally(self, verdicts: list[Verdict], asked_at: datetime) -> None:
        """Count by age what a valid answer says about items that are no tombstones."""
        proven = [
            verdict
            for verdict in verdicts
            if verdict.outcome not in ("suspect", "unreadable") and verdict.item.state != ContentState.MISSING
        ]
        self._brake.tally(
            checked=Counter(age_of(v.item.created_at, asked_at) for v in proven),
            missing=Counter(age_of(v.item.created_at, asked_at) for v in proven if v.is_first_miss),
        )

    def _spare(
        self, verdicts: list[Verdict], closed: dict[str, tuple[str, str]], asked_at: datetime
    ) -> list[Verdict]:
        """Return the verdicts; items with too little proof, or too many at once, keep their content."""
        kept: list[Verdict] = []
        by_cause: defaultdict[tuple[str, str], list[Verdict]] = defaultdict(list)
        for verdict in verdicts:
            item, (subreddit, answer) = verdict.item, closed.get(verdict.item.fullname, ("", ""))
            if item.is_confirmed:
                kept.append(verdict)
            elif answer == "hidden":
                kept.append(replace(verdict, outcome="hidden"))
            elif verdict.outcome == "tombstoned" and answer == "gone":
                by_cause["closed", subreddit].append(verdict)
            elif verdict.outcome == "tombstoned":
                missed_at = (item.doubt and item.doubt.missed_at) or asked_at
                by_cause["missing", str(age_of(item.created_at, missed_at))].append(verdict)
            elif item.doubt and item.doubt.reason == Doubt.Reason.MARKED and verdict.outcome in MARKS:
                by_cause["marked", verdict.outcome].append(verdict)
            else:
                kept.append(verdict)
        for (cause, scope), group in by_cause.items():
            aside = self._brake.aside(cause, scope, group)
            kept += (
                [replace(v, outcome="set_aside", values=None, set_aside=aside) for v in group]
                if aside
                else group
            )
        return kept

    def problems(self) -> list[str]:
        """Return sentences on the items for which the sweep is not complete."""
        found: list[str] = []
        for doubt in self._failing:
            text = _("Reddit fails whenever %(fullname)s is asked for (%(times)d times so far).")
            found.append(text % {"fullname": doubt.fullname, "times": doubt.times})
        suspect = self._counts["suspect"]
        if suspect >= doubts.ALIKE_MIN:
            text = _(
                "%(items)d items were in answers that leave out, or say the same of, nearly all: asked again."
            )
            found.append(text % {"items": suspect})
        for aside in self._asides.values():
            text = _("%(what)s: set aside, a person must decide (%(items)d items).")
            found.append(text % {"what": aside, "items": aside.items})
        return found
