"""Why a post or comment is stored, blanked, or not here."""

from collections.abc import Iterator, Sequence
from typing import Final

from django.utils.translation import gettext as _

from adminkit.templatetags.display import moment
from database.names import folded
from maintenance.explanations.cause import Cause, between_quotes
from maintenance.ledger.search import erasures_of
from maintenance.models import JobRun
from maintenance.models.run_queries import Person
from scraping.item_names import is_nameless_link, names_in, subreddit_in
from scraping.models import BotConfig, ContentState, RedditComment, RedditPost
from scraping.models.erasures import Erasure
from scraping.visibility import VIEW_BOTS, sees_everybodys

SEE_RUNS: Final = "maintenance.view_jobrun"
BOTS_SHOWN: Final = 3
# The codes of causes that say why an item is not here.
NOT_HERE: Final = frozenset({"not_scraped", "left_out", "unknown", "comment_left_out"})


class NotAnItem(ValueError):
    """The text is no fullname and no link to a post or comment."""


def explain_item(text: str, *, seen_by: Person | None = None) -> list[Cause]:
    """Return what happened to the item that a fullname or link names; ``seen_by``: who asks, None for a shell.

    Raises:
        NotAnItem.
    """
    names = names_in(text)
    if not names:
        raise NotAnItem(not_an_item(text))
    stored = [cause for name in names for cause in _stored(name, seen_by)]
    lines = erasures_of(text) if _sees_runs(seen_by) else []
    if not stored and not lines:
        return [_unknown(text, seen_by)]
    known = {line.fullname for line in lines} | _fullnames(stored)
    return [*stored, *map(_erased, lines), *_comment_left_out(names, known, stored)]


def not_an_item(text: str) -> str:
    """Return why a text names no post or comment, and what to copy instead."""
    if is_nameless_link(text):
        return _(
            "This link does not name its post. Open it, and copy the address of the post: it has /comments/ in it."
        )
    return _("That is no fullname (t3_…, t1_…) and no link to a post.")


def _sees_runs(seen_by: Person | None) -> bool:
    return seen_by is None or seen_by.has_perm(SEE_RUNS)


def _fullnames(causes: Sequence[Cause]) -> set[str]:
    return {cause.about.fullname for cause in causes if isinstance(cause.about, RedditPost | RedditComment)}


def _comment_left_out(names: Sequence[str], known: set[str], stored: Sequence[Cause]) -> Iterator[Cause]:
    """Yield that a comment is not here although its post is."""
    post = next((cause.about for cause in stored if isinstance(cause.about, RedditPost)), None)
    for name in names:
        if post is not None and name.startswith("t1_") and name not in known:
            text = _(
                "%(name)s is not stored, but its post is: a limit of the bot left it out, or no scrape has read it."
            )
            yield Cause("comment_left_out", text % {"name": name}, about=post)


def _stored(name: str, seen_by: Person | None) -> Iterator[Cause]:
    model = RedditPost if name.startswith("t3_") else RedditComment
    rows = model.objects.all() if seen_by is None else model.objects.visible_to(seen_by)
    item = rows.filter(fullname=name).first()
    if item is None:
        return
    told = {"name": name, "time": moment(item.first_seen_at), "checked": moment(item.checked_at)}
    if item.state != ContentState.LIVE:
        text = _("%(name)s is stored without its content: %(state)s. It was last verified at %(checked)s.")
        yield Cause("blanked", text % {**told, "state": item.get_state_display()}, about=item)
    elif item.is_author_deleted:
        text = _("%(name)s is stored without its author, whose account was deleted.")
        yield Cause("author_deleted", text % told, about=item)
    else:
        text = _("%(name)s is stored since %(time)s, and was last verified at %(checked)s.")
        yield Cause("stored", text % told, about=item)
    if isinstance(item, RedditPost) and item.held_at is not None:
        yield _held(item)


def _held(post: RedditPost) -> Cause:
    told = {
        "reason": between_quotes(post.hold_reason),
        "until": moment(post.held_until) if post.held_until else "",
    }
    if not post.is_held:
        text = _(
            "Its hold against purges, “%(reason)s”, ended at %(until)s: a purge deletes it when it is old enough."
        )
        return Cause("hold_ended", text % told, about=post)
    text = _("It is held against purges without an end: “%(reason)s”.")
    if post.held_until:
        text = _("It is held against purges until %(until)s: “%(reason)s”.")
    return Cause("held", text % told, about=post)


def _erased(line: Erasure) -> Cause:
    run = JobRun(pk=line.run_id) if line.run_id else None
    told = {"name": line.fullname, "time": moment(line.at), "run": line.run_id, "rule": line.rule_in_words}
    if run is None:
        return Cause("erased", _("%(name)s was erased at %(time)s by a shell command: %(rule)s.") % told)
    return Cause("erased", _("%(name)s was erased at %(time)s by run #%(run)s: %(rule)s.") % told, about=run)


def _unknown(text: str, seen_by: Person | None) -> Cause:
    """Return why an item may not be here: no bot reads its subreddit, or nothing is known."""
    deleted = ""
    if not _sees_runs(seen_by):
        deleted = _("Somebody who may see all runs can find out whether a run deleted it.")
    is_all = seen_by is None or sees_everybodys(seen_by)
    sees_bots = seen_by is None or seen_by.has_perm(VIEW_BOTS)
    subreddit = subreddit_in(text)
    if not (subreddit and sees_bots):
        told = _(
            "It is not stored. Nothing is known of it: it was never stored, or a comment that was deleted with its post"
            " (search for the post’s link), or deleted before deletions were written down."
        )
        if not is_all:
            told = _("It is not among what you may see.")
        elif deleted:
            told = _("It is not stored.")
        return Cause("unknown", told, deleted)
    bots = BotConfig.objects.all() if seen_by is None else BotConfig.objects.visible_to(seen_by)
    wanted = folded(subreddit)
    reading = [bot for bot in bots.filter(is_active=True) if wanted in map(folded, bot.subreddits)]
    if not reading:
        told = (
            _("It is not stored: no active bot reads r/%(name)s.")
            if is_all
            else _("It is not among what you may see: no active bot of yours reads r/%(name)s.")
        )
        return Cause("not_scraped", told % {"name": subreddit}, _("Add the subreddit to a bot."))
    told = _(
        "It is not stored, although r/%(name)s is read by %(bots)s: a filter, a limit, a gap or its age left it out."
    )
    if not is_all:
        told = _(
            "It is not among what you may see, although r/%(name)s is read by %(bots)s: a filter, a limit, a gap or its"
            " age left it out, or a run deleted it."
        )
    elif deleted:
        told = _(
            "It is not stored, although r/%(name)s is read by %(bots)s: a filter, a limit, a gap or its age left it"
            " out, or a run deleted it."
        )
    names = ", ".join(bot.name for bot in reading[:BOTS_SHOWN])
    remedy = _("Look at the bot’s latest sessions.")
    return Cause(
        "left_out", told % {"name": subreddit, "bots": names}, f"{remedy} {deleted}".strip(), reading[0]
    )
