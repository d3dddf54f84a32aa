"""A small local server that speaks enough of Reddit's API for real PRAW to scrape it.

For the first run without Reddit keys, and for tests. All its content is synthetic, and the same for the same
seed; posts appear as time passes, so that "new" changes. ::

    with SandboxReddit(rate_limit=1_000_000) as sandbox:
        reddit = praw.Reddit(client_id="sandbox", client_secret="sandbox", user_agent="…",
                             reddit_url=sandbox.url, oauth_url=sandbox.url, short_url=sandbox.url)

It knows the token endpoint (client_credentials, and password for the user ``sandbox``), the listings ``new``,
``hot``, ``top``, ``rising`` and ``controversial`` of one or more subreddits, ``/comments``,
``/api/morechildren``, ``/api/info``, ``/r/…/search`` (newest first), ``/r/…/about`` and ``/api/v1/me``. Any valid name is a subreddit with
a steady stream of posts since 2020, at a rate of its own: ``sandbox_busy`` has one every 10 seconds,
``sandbox_quiet`` one every 6 hours (1,000 of them reach back 250 days). ``all`` and ``popular`` list the
subreddits that are known from the start. About one item in twenty is deleted or removed within two days of its
creation, and so leaves the listings.

Subreddits that answer with errors:

=========================  =====================================================================
``sandbox_private``        403, reason private
``sandbox_quarantined``    403, reason quarantined
``sandbox_forbidden``      403 without a reason
``sandbox_banned``         404, reason banned
``sandbox_missing``        302 to /subreddits/search, as for any name that is not valid
``sandbox_401``            401 invalid_token, however fresh the token
``sandbox_429``            429 with rate-limit headers, no Retry-After
``sandbox_429_html``       429 as a page, ``Retry-After: 4``
``sandbox_451``            451, empty
``sandbox_500``            500 JSON
``sandbox_502``            502, empty
``sandbox_503``            503 as a page
``sandbox_hang``           no answer
``sandbox_truncated``      200 that breaks off
``sandbox_empty_body``     200 without a body
``sandbox_null``           200 ``null``
``sandbox_html``           200 as a page
``sandbox_empty``          a listing without posts
=========================  =====================================================================

The first five are left out of a multi-subreddit, as Reddit does; the others make its whole request fail.

For tests, as methods and over HTTP:

- ``faults.add(path, status=…, headers=…, body=…, times=1, skip=0, method="", fails="")``, or
  ``POST /sandbox/faults`` with the same as JSON: answer requests whose path and query match the regular
  expression ``path``; ``fails`` is "hang" or "truncate". ``faults.clear()``, or ``DELETE /sandbox/faults``.
- ``world.change(fullname, action, words=…)``, or ``POST /sandbox/content`` with ``fullname``, ``action`` and
  for edits ``text``. Actions: ``delete`` (its author), ``remove`` (a moderator), ``remove_by_reddit``,
  ``vanish`` (``/api/info`` leaves it out), ``edit``, ``delete_account`` (its author's), ``restore``.
- ``requests``: the requests so far, with the status of each answer.
"""

from scraping.sandbox.access import INSTALLED_CLIENT, REQUESTS_PER_WINDOW, WINDOW_SECONDS
from scraping.sandbox.api import CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME, SandboxReddit
from scraping.sandbox.items import State
from scraping.sandbox.server import Request
from scraping.sandbox.world import Action, UnknownItemError

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "INSTALLED_CLIENT",
    "PASSWORD",
    "REQUESTS_PER_WINDOW",
    "USERNAME",
    "WINDOW_SECONDS",
    "Action",
    "Request",
    "SandboxReddit",
    "State",
    "UnknownItemError",
]
