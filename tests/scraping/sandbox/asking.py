"""Requests to the sandbox, and ways to find its items without its listings."""

import base64
import http.client
import json
from contextlib import contextmanager

import praw
import requests

from scraping.sandbox import State
from scraping.sandbox.access import WINDOW_SECONDS

DAY = 86_400
# 2026-09-21, in the middle of a rate-limit window.
NOW = 1_790_000_000 // WINDOW_SECONDS * WINDOW_SECONDS + WINDOW_SECONDS // 2
PLENTY = 1_000_000  # requests per window: PRAW never waits


@contextmanager
def client(server, *, secret="sandbox", **more):
    """Return a real PRAW client of the server."""
    with requests.Session() as session:
        session.trust_env = False
        yield praw.Reddit(
            client_id="sandbox",
            client_secret=secret,
            user_agent="tests:sandbox:1 (by /u/tests)",
            reddit_url=server.url,
            oauth_url=server.url,
            short_url=server.url,
            check_for_updates=False,
            check_for_async=False,
            requestor_kwargs={"session": session},
            **more,
        )


def call(server, method, path, *, body=None, headers=None):
    """Send one plain request; return status, headers and text."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def basic(client_id="sandbox", secret="sandbox"):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def bearer(server, *, client_id="sandbox", secret="sandbox"):
    body = "grant_type=client_credentials"
    text = call(server, "POST", "/api/v1/access_token", body=body, headers=basic(client_id, secret))[2]
    return {"Authorization": "bearer " + json.loads(text)["access_token"]}


def get(server, path):
    """Return the JSON of a signed-in GET."""
    status, _headers, text = call(server, "GET", path, headers=bearer(server))
    assert status == 200, text
    return json.loads(text)


def live_posts(server, name, *, now=NOW):
    """Return each live post of a subreddit, newest first, without the listings' code."""
    subreddit = server.world.subreddit(name)
    for index in range(server.world.latest(subreddit, now), -1, -1):
        post = server.world.post(subreddit, index)
        if post.state(now) is State.LIVE:
            yield post


def post_with(server, wanted, *, name="sandbox_quiet"):
    """Return the newest post for which ``wanted`` is true."""
    return next(post for post in live_posts(server, name) if wanted(post))


def much_discussed_post(server, comments):
    """Return a popular post with more comments than that, none deeper than the levels that are shown."""
    posts = server.listings.posts([server.world.subreddit("sandbox_busy")], "top", span="all", now=NOW)
    return next(
        post
        for post in sorted(posts, key=lambda post: post.comment_total)
        if post.comment_count(NOW) > comments and max(post.replies_to[1]) < 10
    )
