"""The client against a replayed Reddit: real PRAW, real sockets."""

import json
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import prawcore.const
import prawcore.sessions
import pytest
from pytest_django import Settings

from scraping.models import RedditApp, ScrapeSession
from scraping.reddit.answers import Page
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.comment_walk import Reach, requests_per_post
from scraping.reddit.credentials import Credentials
from scraping.reddit.errors import RedditError, RedditNotConfigured
from scraping.reddit.listing import PAGES_MAX
from tests.scraping.factories import raw_comment, raw_post
from tests.scraping.reddit_replay import TOKEN, TOKEN_PATH, Answer, RedditReplay, Tree, listing, thing

pytestmark = pytest.mark.django_db  # the budget is a row

ErrorKind = ScrapeSession.ErrorKind


@pytest.fixture
def client(reddit: RedditReplay) -> Iterator[RedditClient]:
    with client_for(None) as client:
        yield client


def names(pages: Iterable[Page], kind: str = "posts") -> list[str]:
    return [item["name"] for page in pages for item in getattr(page, kind)]


def listed(client: RedditClient, limit: int, sort: str = "new") -> list[str]:
    return names(client.listing("python", sort=sort, time_filter="week", limit=limit))


def all_comments(
    client: RedditClient, tree: Tree, *, limit: int = 100_000, depth: int = 100, requests: int | None = None
) -> list[dict[str, Any]]:
    reach = Reach(requests_per_post(limit) if requests is None else requests, limit, depth)
    return [c for page in client.comments(tree.post["id"], reach) for c in page.comments]


def fails_with(client: RedditClient) -> RedditError:
    with pytest.raises(RedditError) as caught:
        client.page("r/python/new", {})
    return caught.value


# --- Which app ----------------------------------------------------------------------------------


def test_without_an_app_it_says_what_to_set(settings: Settings) -> None:
    settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = ""
    with pytest.raises(RedditNotConfigured, match="set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET") as caught:
        client_for(None)
    assert caught.value.kind == ErrorKind.NOT_CONFIGURED


def test_the_configs_own_app_comes_before_the_environments(reddit: RedditReplay) -> None:
    app = RedditApp(client_id="own", client_secret="s3cret", user_agent="test:own app:1 (by /u/nobody)")
    with client_for(app) as client:
        reddit.add_posts("python", [raw_post()])
        assert len(listed(client, 1)) == 1
    sign_in, asked = reddit.requests
    assert sign_in.form == {"grant_type": "client_credentials"}
    assert sign_in.headers["Authorization"] == "Basic b3duOnMzY3JldA=="
    assert asked.headers["Authorization"] == f"bearer {TOKEN['access_token']}"
    assert asked.headers["User-Agent"].startswith("test:own app:1 (by /u/nobody)")
    assert asked.query["raw_json"] == "1"


@pytest.mark.parametrize("variable", ["REDDIT_URL", "REDDIT_OAUTH_URL"])
@pytest.mark.parametrize(
    "url", ["https://www.reddit.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "http://[::2]"]
)
def test_the_sandboxs_app_never_meets_the_real_reddit(settings: Settings, variable: str, url: str) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = "http://127.0.0.1:9"
    setattr(settings, variable, url)
    app = RedditApp(client_id="sandbox", client_secret="x", user_agent="test:sandbox:1 (by /u/nobody)")
    with pytest.raises(RedditNotConfigured, match="sandbox"):
        client_for(app)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_the_sandboxs_app_meets_loopback(settings: Settings, url: str) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = url
    app = RedditApp(client_id="sandbox", client_secret="x", user_agent="test:sandbox:1 (by /u/nobody)")
    client_for(app).close()


@pytest.mark.parametrize("agent", ["", "short", "a\nheader: injected", "ünïcode agent"])
def test_a_user_agent_reddit_would_refuse_is_refused_here(settings: Settings, agent: str) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = "https://www.reddit.com"
    settings.REDDIT_CLIENT_ID, settings.REDDIT_CLIENT_SECRET = "id", "secret"
    settings.REDDIT_USER_AGENT = agent
    with pytest.raises(RedditNotConfigured, match="REDDIT_USER_AGENT"):
        client_for(None)


def test_a_praw_ini_and_a_proxy_lying_about_are_ignored(
    reddit: RedditReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "praw.ini").write_text("[DEFAULT]\nusername=eve\npassword=eve\n[evil]\nusername=eve\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("praw_site", "evil")
    monkeypatch.setenv("praw_username", "eve")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    reddit.add_posts("python", [raw_post()])
    with client_for(None) as client:
        assert len(listed(client, 1)) == 1
    assert reddit.requests[0].form == {"grant_type": "client_credentials"}


def test_prawcore_waits_as_long_as_the_setting_says(settings: Settings) -> None:
    assert float(os.environ["PRAWCORE_TIMEOUT"]) == settings.REDDIT_TIMEOUT_SECONDS
    assert settings.REDDIT_TIMEOUT_SECONDS == prawcore.const.TIMEOUT


def test_the_secret_is_in_no_representation() -> None:
    assert "s3cret" not in repr(Credentials("id", "s3cret", "agent"))


# --- Listings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "asked"), [(1, ["1"]), (100, ["100"]), (101, ["100", "1"]), (250, ["100", "100", "50"])]
)
def test_a_listing_is_read_to_its_limit(
    reddit: RedditReplay, client: RedditClient, limit: int, asked: list[str]
) -> None:
    posts = [raw_post() for _ in range(300)]
    reddit.add_posts("python", posts)
    assert listed(client, limit) == [post["name"] for post in posts[:limit]]
    assert [r.query["limit"] for r in reddit.asked()] == asked


def test_a_listing_ends_where_reddit_says_so(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(150)])
    assert len(listed(client, 1000)) == 150
    assert len(reddit.asked()) == 2


def test_a_listing_ends_at_reddits_cap(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(1100)])
    assert len(listed(client, 5000)) == 1000
    assert len(reddit.asked()) == 10


def test_only_top_and_controversial_ask_for_a_time_span(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.add_posts("python", [raw_post()])
    for sort in ("new", "hot", "rising", "top", "controversial"):
        listed(client, 1, sort)
    assert [r.query.get("t") for r in reddit.asked()] == [None, None, None, "week", "week"]


def test_stickied_posts_on_top_of_hot_come_on_top_of_the_limit(
    reddit: RedditReplay, client: RedditClient
) -> None:
    posts = [raw_post(stickied=n < 2) for n in range(6)]
    reddit.answers["/r/python/hot"] = [Answer.of(listing(map(thing, posts), after="t3_x"))]
    assert listed(client, 4, "hot") == [post["name"] for post in posts]
    reddit.answers["/r/python/new"] = [Answer.of(listing(map(thing, posts), after="t3_x"))]
    assert listed(client, 4, "new") == [post["name"] for post in posts[:4]]


def test_a_listing_that_shifts_or_circles_yields_each_post_once_and_ends(
    reddit: RedditReplay, client: RedditClient
) -> None:
    a, b, c = raw_post(), raw_post(), raw_post()
    reddit.answers["/r/python/new"] = [
        Answer.of(listing([thing(a), thing(b)], after=b["name"])),
        Answer.of(listing([thing(b), thing(c)], after=a["name"])),
        Answer.of(listing([], after=b["name"])),
        Answer.of(listing([thing(a)], after=b["name"])),
    ]
    assert listed(client, 1000) == [a["name"], b["name"], c["name"]]
    assert len(reddit.asked()) == 3  # the third one leads to where the first one led


def test_a_listing_of_ever_new_empty_pages_ends(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer.of(listing([], after=f"t3_{n}")) for n in range(99)]
    assert listed(client, 1000) == []
    assert len(reddit.asked()) == PAGES_MAX


def test_a_malformed_child_costs_itself_and_not_the_page(reddit: RedditReplay, client: RedditClient) -> None:
    good = [raw_post(author=None), raw_post()]
    children = [
        thing(good[0]),
        None,
        7,
        {"kind": "t3"},
        {"kind": "t3", "data": []},
        {"kind": "t5", "data": {}},
    ]
    reddit.answers["/r/python/new"] = [Answer.of(listing([*children, thing(good[1])]))]
    page = client.page("r/python/new", {})
    assert [post["name"] for post in page.posts] == [post["name"] for post in good]
    assert dict(page.skipped) == {"no item": 4, "unexpected kind t5": 1}


def test_posts_without_a_usable_name_are_all_handed_on_to_be_counted(
    reddit: RedditReplay, client: RedditClient
) -> None:
    odd_names: list[Any] = [None, None, ["list"], {}]
    nameless = [raw_post(name=name) for name in odd_names]
    reddit.answers["/r/python/new"] = [Answer.of(listing({"kind": "t3", "data": p} for p in nameless))]
    pages = list(client.listing("python", sort="new", time_filter="day", limit=10))
    assert [len(page.posts) for page in pages] == [4]


# --- Comments -----------------------------------------------------------------------------------


def chain(post: dict[str, Any], length: int) -> list[dict[str, Any]]:
    comments: list[dict[str, Any]] = []
    for _ in range(length):
        above = comments[-1] if comments else post
        comments.append(raw_comment(post, parent_id=above["name"]))
    return comments


def test_a_first_page_is_one_request(reddit: RedditReplay, client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(30)], first=20)
    assert len(all_comments(client, tree, requests=0, limit=700)) == 20
    (asked,) = reddit.asked()
    assert (asked.query["limit"], asked.query["depth"]) == ("500", "100")


def test_a_whole_tree_is_opened_100_ids_at_a_time(reddit: RedditReplay, client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(4702)], first=20)
    comments = all_comments(client, tree)
    assert len({c["name"] for c in comments}) == len(comments) == 4702
    posted = [r.form["children"].split(",") for r in reddit.asked(method="POST")]
    assert [len(ids) for ids in posted] == [100] * 46 + [82]
    assert len(reddit.asked()) == 48


def test_deep_threads_are_continued_and_keep_their_depth(reddit: RedditReplay, client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, chain(post, 25), nested=10)
    comments = all_comments(client, tree)
    assert [c["depth"] for c in comments] == list(range(25))
    assert [r.path.count("/_/") for r in reddit.asked()] == [0, 1, 1]


def test_comments_deeper_than_the_limit_are_neither_kept_nor_asked_for(
    reddit: RedditReplay, client: RedditClient
) -> None:
    post = raw_post()
    tree = reddit.add_tree(
        post, [*chain(post, 25), *(raw_comment(post) for _ in range(3))], first=2, nested=4
    )
    assert sorted(c["depth"] for c in all_comments(client, tree, depth=1)) == [0] * 4
    assert len(reddit.asked()) == 2
    assert max(c["depth"] for c in all_comments(client, tree, depth=6)) == 5


def test_no_more_comments_than_the_limit(reddit: RedditReplay, client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(500)], first=20)
    assert len(all_comments(client, tree, limit=150)) == 150
    assert len(reddit.asked()) == 3


def test_a_tree_that_never_ends_costs_no_more_than_its_requests(
    reddit: RedditReplay, client: RedditClient
) -> None:
    post = raw_post()

    def more(*ids: str) -> dict[str, Any]:
        data = {"id": "x", "parent_id": post["name"], "count": 1, "children": list(ids)}
        return {"kind": "more", "data": data}

    tree = Tree(post, [])
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([]), listing([more("a0")])])]
    reddit.answers["/api/morechildren"] = [
        Answer.of({"json": {"errors": [], "data": {"things": [more(f"a{n}", "a0")]}}}) for n in range(1, 99)
    ]
    assert all_comments(client, tree, limit=500) == []
    assert len(reddit.asked(method="POST")) == 30


@pytest.mark.parametrize(
    ("more", "leads_on"),
    [
        ({"id": "_", "count": 0, "children": []}, True),
        ({"id": "b", "count": 0, "children": ["b"]}, True),
        ({"id": "b", "count": 3, "children": ["b", "b", None, 7, ""]}, True),
        ({}, True),  # no children: the thread goes on below the comment
        ({"children": "b"}, True),
        ({"parent_id": None, "children": None}, False),
        ({"parent_id": "t3_x", "children": []}, False),
    ],
)
def test_every_shape_of_more_is_survived(
    reddit: RedditReplay, client: RedditClient, more: dict[str, Any], leads_on: bool
) -> None:
    post = raw_post()
    top = raw_comment(post, id="a")
    reply = raw_comment(post, id="b", parent_id=top["name"])
    tree = reddit.add_tree(post, [top, reply])
    node = {"kind": "more", "data": {"parent_id": top["name"]} | more}
    shown = thing({**top, "replies": listing([node])})
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([thing(post)]), listing([shown])])]
    found = [c["name"] for c in all_comments(client, tree)]
    assert found == (["t1_a", "t1_b"] if leads_on else ["t1_a"])


@pytest.mark.parametrize("replies", ["", None, [], 0, {"kind": "Listing", "data": {"children": []}}])
def test_every_shape_of_no_replies_is_survived(
    reddit: RedditReplay, client: RedditClient, replies: Any
) -> None:
    post = raw_post()
    comments = [thing(raw_comment(post, replies=replies)), thing(raw_comment(post))]
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([]), listing(comments)])]
    assert len(all_comments(client, Tree(post, []))) == 2


# --- What goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"7",
        b"<html>Ow!</html>",
        b'{"kind": "Listing"}',
        b'{"kind": "Listing", "data": {}}',
        b'{"kind": "Listing", "data": {"children": null}}',
        b'{"kind": "Listing", "data": {"children": [',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_a_200_that_is_no_listing_is_a_bad_answer(
    reddit: RedditReplay, client: RedditClient, body: bytes
) -> None:
    reddit.answers["/r/python/new"] = [Answer(body=body)]
    error = fails_with(client)
    assert (error.kind, error.stops_everything) == (ErrorKind.BAD_ANSWER, False)
    assert "/r/python/new" in str(error)


@pytest.mark.parametrize(
    "body", [b"null", b"{}", b'{"json": {}}', b'{"json": {"data": {"things": null}}}', b"[1, 2]", b""]
)
def test_comment_answers_that_are_none_are_bad_answers(
    reddit: RedditReplay, client: RedditClient, body: bytes
) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(3)], first=1)
    reddit.answers["/api/morechildren"] = [Answer(body=body)]
    with pytest.raises(RedditError, match="morechildren") as caught:
        all_comments(client, tree)
    assert caught.value.kind == ErrorKind.BAD_ANSWER
    reddit.answers[f"/comments/{post['id']}"] = [Answer(body=body)]
    with pytest.raises(RedditError, match="comments") as caught:
        all_comments(client, tree)
    assert caught.value.kind == ErrorKind.BAD_ANSWER


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([["RATELIMIT", "you are doing that too much", "ratelimit"]], ErrorKind.RATE_LIMITED),
        ([["TOO_OLD", "that is archived", None]], ErrorKind.BAD_REQUEST),
    ],
)
def test_a_refusal_inside_a_200_is_told(
    reddit: RedditReplay, client: RedditClient, errors: list[Any], kind: ErrorKind
) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(3)], first=1)
    reddit.answers["/api/morechildren"] = [Answer.of({"json": {"errors": errors}})]
    with pytest.raises(RedditError) as caught:
        all_comments(client, tree)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, {}, b'{"message": "Bad Request", "error": 400}'), ErrorKind.UNAUTHORIZED),
        (Answer(401, {}, b"{}"), ErrorKind.UNAUTHORIZED),
        (Answer(200, {}, b'{"error": "invalid_grant"}'), ErrorKind.UNAUTHORIZED),
        (Answer(429, {}, b"{}"), ErrorKind.RATE_LIMITED),
        (Answer(429, {"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, b""), ErrorKind.RATE_LIMITED),
        (Answer(503, {}, b"<html>"), ErrorKind.SERVER_ERROR),
        (Answer(403, {}, b"<html>blocked"), ErrorKind.FORBIDDEN),
        (Answer(200, {}, b"<html>"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b"null"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b"{}"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b""), ErrorKind.BAD_ANSWER),
    ],
)
def test_errors_of_the_sign_in_are_told_and_stop_everything(
    reddit: RedditReplay, client: RedditClient, answer: Answer, kind: ErrorKind
) -> None:
    reddit.answers[TOKEN_PATH] = [answer]
    error = fails_with(client)
    assert (error.kind, error.stops_everything) == (kind, True)
    assert reddit.asked() == []


@pytest.mark.parametrize("challenge", ["", 'Bearer realm="reddit", error="invalid_token"', "Bearer", "a=b=c"])
def test_a_refused_token_is_renewed_and_if_it_stays_refused_told(
    reddit: RedditReplay, client: RedditClient, challenge: str
) -> None:
    refused = Answer(401, {"www-authenticate": challenge} if challenge else {}, b"{}")
    reddit.answers["/r/python/new"] = [refused, Answer.of(listing([thing(raw_post())]))]
    assert len(client.page("r/python/new", {}).posts) == 1
    reddit.answers["/r/python/new"] = [refused]
    error = fails_with(client)
    assert (error.kind, error.stops_everything) == (ErrorKind.UNAUTHORIZED, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
    ],
)
def test_every_form_of_retry_after_is_read(
    reddit: RedditReplay, client: RedditClient, header: dict[str, str], seconds: float | None
) -> None:
    reddit.answers["/r/python/new"] = [Answer(429, header, b"")]
    error = fails_with(client)
    assert (error.kind, error.retry_after) == (ErrorKind.RATE_LIMITED, seconds)


def test_a_date_in_retry_after_becomes_seconds(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer(429, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, b"")]
    assert (fails_with(client).retry_after or 0) > 10**9


@pytest.mark.parametrize(
    ("used", "remaining", "reset"),
    [("1.5", "99.0", "5.5"), ("x", "99", "5"), ("1", "nan", "5"), ("1", "99", ""), ("", "99", "5")],
)
def test_odd_rate_limit_headers_break_nothing(
    reddit: RedditReplay,
    client: RedditClient,
    used: str,
    remaining: str,
    reset: str,
) -> None:
    body = listing([thing(raw_post())])
    headers = {"x-ratelimit-used": used, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
    reddit.answers["/r/python/new"] = [Answer.of(body, **headers)]
    assert len(client.page("r/python/new", {}).posts) == 1
    assert len(client.page("r/python/new", {}).posts) == 1


def test_nobody_waits_ten_minutes_for_a_used_up_rate_limit(
    reddit: RedditReplay, client: RedditClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("prawcore.rate_limit.time.sleep", slept.append)
    headers = {"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "590"}
    reddit.answers["/r/python/new"] = [Answer.of(listing([]), **headers)]
    client.page("r/python/new", {})
    error = fails_with(client)
    assert (error.kind, error.stops_everything) == (ErrorKind.RATE_LIMITED, True)
    assert 580 < (error.retry_after or 0) < 592
    assert (len(reddit.asked()), slept) == (1, [])


@pytest.mark.parametrize("fault", ["hang", "reset", "short"])
def test_a_broken_connection_is_tried_three_times_and_then_told(
    reddit: RedditReplay, client: RedditClient, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    defaults = prawcore.sessions.Session.request.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "timeout", 0.3 if fault == "hang" else 5)
    broken = Answer(body=json.dumps(listing([])).encode(), fault=fault)
    reddit.answers["/r/python/new"] = [broken, broken, Answer.of(listing([thing(raw_post())]))]
    assert len(client.page("r/python/new", {}).posts) == 1
    reddit.answers["/r/python/new"] = [broken]
    reddit.requests.clear()
    error = fails_with(client)
    assert (error.kind, error.stops_everything) == (ErrorKind.NETWORK, False)
    assert len(reddit.asked()) == 3


def test_a_server_that_is_not_there_is_told(settings: Settings, reddit: RedditReplay) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client_for(None) as client:
            error = fails_with(client)
    assert error.kind == ErrorKind.NETWORK
    assert "cannot be reached" in str(error)


def test_an_address_that_is_none_names_its_variable(settings: Settings, reddit: RedditReplay) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = "reddit"
    with client_for(None) as client:
        error = fails_with(client)
    assert error.kind == ErrorKind.NOT_CONFIGURED
    assert "REDDIT_URL" in str(error)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (302, {}, b"", ErrorKind.NOT_FOUND),  # no Location
        (400, {}, b"", ErrorKind.BAD_REQUEST),
        (400, {}, b'{"fields": ["a", "b"]}', ErrorKind.BAD_REQUEST),
        (400, {}, b'{"explanation": "no reason"}', ErrorKind.BAD_REQUEST),
        (400, {}, b"[]", ErrorKind.BAD_REQUEST),
        (403, {"www-authenticate": 'Bearer error="unheard_of"'}, b"", ErrorKind.FORBIDDEN),
        (403, {}, b"<html>blocked by network security", ErrorKind.FORBIDDEN),
        (403, {}, b'{"reason": "gold_only"}', ErrorKind.FORBIDDEN),
        (404, {}, b"", ErrorKind.NOT_FOUND),
        (409, {}, b"{}", ErrorKind.BAD_REQUEST),
        (415, {}, b"<html>", ErrorKind.BAD_REQUEST),
        (418, {}, b"", ErrorKind.BAD_REQUEST),
        (500, {}, b"[]", ErrorKind.SERVER_ERROR),
        (522, {}, b"", ErrorKind.SERVER_ERROR),
        (599, {}, b"", ErrorKind.SERVER_ERROR),
    ],
)
def test_statuses_nobody_recorded_are_told_as_well(
    reddit: RedditReplay,
    client: RedditClient,
    status: int,
    headers: dict[str, str],
    body: bytes,
    kind: ErrorKind,
) -> None:
    reddit.answers["/r/python/new"] = [Answer(status, headers, body)]
    assert fails_with(client).kind == kind


# --- Counting -----------------------------------------------------------------------------------


def test_every_request_sent_is_counted(reddit: RedditReplay, client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer(503), Answer(503), Answer.of(listing([]))]
    client.page("r/python/new", {})
    client.info(["t3_abc"])
    assert client.requests_used == len(reddit.requests) == 5


def test_info_returns_what_reddit_still_knows(reddit: RedditReplay, client: RedditClient) -> None:
    post = raw_post()
    comment = raw_comment(post)
    reddit.known = {post["name"]: post, comment["name"]: comment}
    page = client.info([post["name"], "t3_gone", comment["name"]])
    assert (page.posts, page.comments) == ([post], [comment])
    with pytest.raises(ValueError, match="100 fullnames"):
        client.info([f"t3_{n}" for n in range(101)])
