"""One search for everything: schedules, runs, bots, subreddits, posts and comments, by indexes and permissions.

It never scans a table that grows without bound: posts and comments are found by fullname, and by subreddit or author
through their lists; subreddits by the bots' lists, runs by number and job. The list of runs searches for words in logs
and errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit.parameters import TEXT_MAX, require_text
from database.names import folded
from maintenance.explanations import Cause, explain_item
from maintenance.explanations.content import NOT_HERE, not_an_item
from maintenance.ledger.search import erasures_of
from maintenance.models import JobRun
from maintenance.registry import job_title, jobs
from maintenance.scheduling import schedules
from scraping.item_names import is_nameless_link, names_in
from scraping.models import SUBREDDIT_NAME, BotConfig, Erasure, RedditComment, RedditPost
from scraping.subreddit_names import plain_author, plain_subreddit

ROWS_MAX: Final = 5
# Bots that are read for the names of their subreddits.
BOTS_MAX: Final = 100
NUMBER_DIGITS_MAX: Final = 18


@dataclass(frozen=True)
class Hit:
    """One result: its name, its address, and a detail that distinguishes it from others."""

    title: str
    address: str
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The first results of one kind, and the address of the list of all of them."""

    title: str
    hits: list[Hit]
    more: str = ""


def page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show the results for the words in ``q``; the caller wraps this in ``admin_view``."""
    words = _shortened(request.GET.get("q", "").strip())
    require_text("q", words)
    groups, erased = (found(request, words), erasures(request, words)) if words else ([], [])
    answer = {
        **context,
        "title": _("Search: %(words)s") % {"words": words} if words else _("Search"),
        "searched": words,
        "groups": groups,
        "erasures": erased,
        "missing": _missing(request, words),
    }
    return render(request, "admin/global_search.html", answer)


def _shortened(words: str) -> str:
    """Return the fullnames in a text that is too long to search for: an encoded title may have hundreds of characters."""
    return " ".join(names_in(words)) or words if len(words) > TEXT_MAX else words


def _missing(request: HttpRequest, words: str) -> list[Cause]:
    """Return why an item that the words name is not here; the groups and the erasures show what is."""
    if is_nameless_link(words):
        return [Cause("nameless", not_an_item(words))]
    causes = explain_item(words, seen_by=request.user) if names_in(words) else []
    return [cause for cause in causes if cause.code in NOT_HERE]


def found(request: HttpRequest, words: str) -> list[Group]:
    """Return the groups that have results, in the order of the menu."""
    searches: tuple[tuple[str, Callable[[HttpRequest, str], Group]], ...] = (
        ("django_celery_beat.view_periodictask", _schedules),
        ("maintenance.view_jobrun", _runs),
        ("scraping.view_botconfig", _bots),
        ("scraping.view_botconfig", _subreddits),
        ("scraping.view_redditpost", _posts),
        ("scraping.view_redditcomment", _comments),
    )
    groups = [search(request, words) for permission, search in searches if request.user.has_perm(permission)]
    return [group for group in groups if group.hits]


def erasures(request: HttpRequest, words: str) -> list[Erasure]:
    """Return which runs deleted or blanked the item that the words name, or a comment's post."""
    return erasures_of(words) if request.user.has_perm("maintenance.view_jobrun") else []


def _list_of(model: type[Model], **query: str) -> str:
    name = model._meta.label_lower.replace(".", "_")
    return f"{reverse(f'admin:{name}_changelist')}?{urlencode(query)}"


def _page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


def _jobs_named(words: str) -> list[str]:
    """Return the slugs of the jobs whose slug or title, in the reader's language, contains the words."""
    text = folded(words)
    return [job.slug for job in jobs() if text in folded(job.slug) or text in folded(job.title)]


def _schedules(request: HttpRequest, words: str) -> Group:
    tasks = [f"maintenance.{slug}" for slug in _jobs_named(words)]
    # At most 10,000 rows; the name has an index, and a person who may see schedules may see all of them.
    named = PeriodicTask.objects.filter(Q(name__icontains=words) | Q(task__in=tasks)).order_by("name")
    hits = [Hit(schedules.title(task), _page_of(task), task.name) for task in named[:ROWS_MAX]]
    return Group(_("Schedules"), hits, _list_of(PeriodicTask, q=words))


def _number(words: str) -> int | None:
    digits = words.removeprefix("#")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= NUMBER_DIGITS_MAX
    return int(digits) if is_number else None


def _runs(request: HttpRequest, words: str) -> Group:
    number = _number(words)
    runs: QuerySet[JobRun] = JobRun.objects.visible_to(request.user).order_by("-pk")
    if number is not None:
        runs = runs.filter(pk=number)
    elif slugs := _jobs_named(words):
        runs = runs.filter(job__in=slugs)
    else:
        return Group(_("Job runs"), [])
    hits = [
        Hit(f"{job_title(run.job)} #{run.pk}", _page_of(run), str(run.get_status_display()))
        for run in runs.only("pk", "job", "status")[:ROWS_MAX]
    ]
    return Group(_("Job runs"), hits, _list_of(JobRun, q=words))


def _bots(request: HttpRequest, words: str) -> Group:
    bots = BotConfig.objects.visible_to(request.user).select_related("owner").order_by("name")
    hits = [
        Hit(bot.name, _page_of(bot), str(bot.owner)) for bot in bots.filter(name__icontains=words)[:ROWS_MAX]
    ]
    return Group(_("Bots"), hits, _list_of(BotConfig, q=words))


def _subreddits(request: HttpRequest, words: str) -> Group:
    name = plain_subreddit(words)
    if not name:
        return Group(_("Subreddits"), [])
    visible = BotConfig.objects.visible_to(request.user).order_by("name")
    listing = visible.alias(_names=Cast("subreddits", TextField())).filter(_names__icontains=name)
    wanted: dict[str, tuple[str, list[BotConfig]]] = {}
    text = folded(name)
    bots = list(listing.only("pk", "name", "subreddits")[: BOTS_MAX + 1])
    are_all = len(bots) <= BOTS_MAX
    for bot in bots[:BOTS_MAX]:
        for subreddit in bot.subreddits:
            if text in folded(subreddit):
                wanted.setdefault(folded(subreddit), (subreddit, []))[1].append(bot)
    hits = [
        # The page of its only bot says how fresh it is, and why it is silent.
        Hit(
            f"r/{subreddit}",
            _page_of(theirs[0]) if are_all and len(theirs) == 1 else _list_of(BotConfig, q=f"r/{subreddit}"),
            ", ".join(bot.name for bot in theirs[:3]) + ("" if are_all and len(theirs) <= 3 else "…"),
        )
        for subreddit, theirs in sorted(wanted.values(), key=lambda pair: (len(pair[0]), pair[0]))[:ROWS_MAX]
    ]
    return Group(_("Subreddits"), hits, _list_of(BotConfig, q=words))


def _posts(request: HttpRequest, words: str) -> Group:
    group = _content(request, words, RedditPost, "t3_", _("Posts"))
    name = plain_subreddit(words)
    if SUBREDDIT_NAME.match(name) and not names_in(words):
        posts = RedditPost.objects.visible_to(request.user).filter(subreddit__folded=folded(name))
        # As Reddit spells it.
        if spelt := posts.order_by("-created_at").values_list("subreddit", flat=True).first():
            text = _("Stored posts of %(name)s") % {"name": f"r/{spelt}"}
            group.hits.append(Hit(text, _list_of(RedditPost, subreddit=spelt)))
    return group


def _comments(request: HttpRequest, words: str) -> Group:
    return _content(request, words, RedditComment, "t1_", _("Comments"))


def _content(
    request: HttpRequest, words: str, model: type[RedditPost] | type[RedditComment], kind: str, title: str
) -> Group:
    """Find items by fullname, by a link (the link of a comment contains its post), by the id alone, or by author."""
    rows: Any = model.objects.visible_to(request.user)
    if author := plain_author(words):
        text = _("Stored posts by %(name)s") if model is RedditPost else _("Stored comments by %(name)s")
        by_author = [Hit(text % {"name": f"u/{author}"}, _list_of(model, q=f"u/{author}"))]
        return Group(title, by_author if rows.filter(author=author).exists() else [])
    names = [name for name in names_in(words) if name.startswith(kind)]
    bare = words.lower()
    if not names_in(words) and bare.isascii() and bare.isalnum() and len(bare) <= NUMBER_DIGITS_MAX:
        names = [kind + bare]
    found = rows.filter(fullname__in=names[:ROWS_MAX]) if names else []
    return Group(title, [Hit(str(row), _page_of(row), row.fullname) for row in found])
