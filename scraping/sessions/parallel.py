"""Scrapes several configs at once, in threads of one worker: a scrape mostly waits for Reddit."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextvars import copy_context
from types import MappingProxyType
from typing import Final

from django.db import connections

from scraping.content.expiry import Source
from scraping.models import BotConfig, ScrapeSession
from scraping.progress import Progress
from scraping.sessions.scrape import ContinueLater, ScrapeRefused, scrape_config

# At Reddit's pace (100 requests per minute, half a second each) two sessions are enough for one app; bots may have
# several apps.
SESSIONS: Final = 4

Outcome = ScrapeSession | ScrapeRefused | ContinueLater


def scrape_configs(
    configs: Iterable[BotConfig],
    *,
    run_id: int | None,
    kind: ScrapeSession.Kind,
    progress_of: Callable[[BotConfig], Progress],
    cutoffs: Source | None = None,
    parts: Mapping[int, Collection[str]] = MappingProxyType({}),
) -> Iterator[tuple[BotConfig, Outcome]]:
    """Scrape the configs, ``SESSIONS`` at a time; yield each with its closed session or the reason why it has none.

    ``parts`` names, by the key of a bot, the subreddits to scrape instead of all of them.

    Raises:
        BaseException: what a ``checkpoint()`` raised, once all sessions have stopped; or an error of the database.
    """

    def scrape(config: BotConfig) -> Outcome:
        try:
            return scrape_config(
                config,
                run_id=run_id,
                kind=kind,
                progress=progress_of(config),
                cutoffs=cutoffs,
                only=parts.get(config.pk, ()),
            )
        except (ScrapeRefused, ContinueLater) as refusal:
            return refusal
        finally:
            connections.close_all()  # the connections of this thread

    with ThreadPoolExecutor(SESSIONS, thread_name_prefix="scrape") as pool:
        futures: dict[Future[Outcome], BotConfig] = {
            pool.submit(copy_context().run, scrape, config): config for config in configs
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # Sessions that have begun end at their next checkpoint; the pool waits for them.
            for future in futures:
                future.cancel()
