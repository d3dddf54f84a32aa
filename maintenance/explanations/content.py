"""Why a post or comment is stored, blanked, or not here."""

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from adminkit.templatetags.display import moment
from database.names import folded
from maintenance.explanations.cause import Cause, between_quotes
from maintenance.ledger.search import erasures_of
from maintenance.models import JobRun
from maintenance.models.run_queries import Person
from scraping.models import BotConfig, ContentState, RedditComment, RedditPost
from scraping.models.erasures import Erasure, names_in

_SUBREDDIT = re.compile(r"/r/([A-Za-z0-9_]{2,21})/", re.IGNORECASE)
BOTS_SHOWN = 3


class NotAnItem(ValueError):
    """The text is no fullname and no link to a post or comment."""


def explain_item(text: str, *, seen_by: Person | None = None) -> list[Cause]:
    """Return what happened to the item that a fullname or link names; ``seen_by``: who asks, None for a shell.

    Raises:
        NotAnItem.
    """
    names = names_in(text)
    if not names:
        raise NotAnItem(_("That is no fullname (t3_…, t1_…) and no link to a post."))
    causes = [cause for name in names for cause in _stored(name, seen_by)]
    causes += (
        [_erased(line) for line in erasures_of(text)]
        if seen_by is None or seen_by.has_perm("maintenance.view_jobrun")
        else []
    )
    return causes or [_unknown(text, seen_by)]


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
        until = moment(item.held_until) if item.held_until else _("without an end")
        text = _("It is held against purges: “%(reason)s”, %(until)s.")
        yield Cause("held", text % {"reason": between_quotes(item.hold_reason), "until": until}, about=item)


def _erased(line: Erasure) -> Cause:
    run = JobRun(pk=line.run_id) if line.run_id else None
    told = {"name": line.fullname, "time": moment(line.at), "run": line.run_id, "rule": line.rule_in_words}
    if run is None:
        return Cause("erased", _("%(name)s was erased at %(time)s by a shell command: %(rule)s.") % told)
    return Cause("erased", _("%(name)s was erased at %(time)s by run #%(run)s: %(rule)s.") % told, about=run)


def _unknown(text: str, seen_by: Person | None) -> Cause:
    """Return why an item may not be here: no bot reads its subreddit, or nothing is known."""
    named = _SUBREDDIT.search(text)
    if named is not None:
        bots = BotConfig.objects.all() if seen_by is None else BotConfig.objects.visible_to(seen_by)
        wanted = folded(named[1])
        reading = [bot for bot in bots.filter(is_active=True) if wanted in map(folded, bot.subreddits)]
        if not reading:
            told = _("No active bot reads r/%(name)s.") % {"name": named[1]}
            return Cause("not_scraped", told, _("Add the subreddit to a bot."))
        names = ", ".join(bot.name for bot in reading[:BOTS_SHOWN])
        told = _(
            "It is not stored, although r/%(name)s is read by %(bots)s: a filter, a limit or a gap left it out."
        )
        return Cause(
            "left_out",
            told % {"name": named[1], "bots": names},
            _("Look at the bot’s latest sessions."),
            reading[0],
        )
    told = _("Nothing is known of it: it was never stored, or deleted before deletions were written down.")
    return Cause("unknown", told)
