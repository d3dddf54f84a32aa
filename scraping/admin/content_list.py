"""The lists of posts and comments: which bots found them, and where they are on Reddit, for a page at once."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _

from adminkit.key_list import KeyList
from adminkit.templatetags.display import number
from scraping.models import BotConfig, ContentState, PostSighting, RedditComment, RedditPost
from scraping.visibility import Person

# So many bots are named; of more the number is told.
NAMES_SHOWN = 2


def finders(post_ids: set[int], user: Person) -> dict[int, list[str]]:
    """Return the names of the bots, of those that the user may see, that found each of the posts; one query."""
    bots = BotConfig.objects.named_to(user)
    found: dict[int, list[str]] = {}
    sightings = PostSighting.objects.filter(post__in=post_ids, config__in=bots)
    for post_id, name in sightings.order_by("config__name").values_list("post_id", "config__name"):
        found.setdefault(post_id, []).append(name)
    return found


def names(bots: list[str]) -> str:
    """Name the first bots, and count the others."""
    shown = ", ".join(bots[:NAMES_SHOWN])
    more = len(bots) - NAMES_SHOWN
    return (
        _("%(names)s and %(number)s more") % {"names": shown, "number": number(more)} if more > 0 else shown
    )


class ContentList(KeyList):
    """Attaches to each row of a page who found it."""

    def get_results(self, request: HttpRequest) -> None:
        """Attach ``finders`` to each row."""
        super().get_results(request)
        found = finders({post_id_of(row) for row in self.result_list}, request.user)
        for row in self.result_list:
            row.finders = found.get(post_id_of(row), [])


def post_id_of(content: RedditPost | RedditComment) -> int:
    """Return the key of the post that this is, or stands below."""
    return content.post_id if isinstance(content, RedditComment) else content.pk


def address_on_reddit(content: RedditPost | RedditComment) -> str | None:
    """Return the original's address; None where it is gone there."""
    if content.state != ContentState.LIVE:
        return None
    post = content.post if isinstance(content, RedditComment) else content
    address = f"{settings.REDDIT_URL.rstrip('/')}/comments/{post.id36}/"
    if isinstance(content, RedditComment):
        address += f"_/{content.fullname.partition('_')[2]}/"
    return address


def link_to_reddit(content: RedditPost | RedditComment, text: str = "") -> str | None:
    """Lead to the original, with a short text in a list and the address itself on a page."""
    address = address_on_reddit(content)
    if address is None:
        return None
    return format_html('<a href="{}" rel="noreferrer noopener">{}</a>', address, text or address)
