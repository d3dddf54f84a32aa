"""The app that the Reddit client uses, and how it reads answers."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import prawcore.const
import prawcore.sessions
import pytest
from pytest_django import Settings

from scraping.models import ErrorKind, RedditApp
from scraping.reddit.answers import Page
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.credentials import Credentials
from scraping.reddit.errors import RedditNotConfigured
from scraping.reddit.listing import PAGES_MAX
from tests.kit.scraped import raw_comment, raw_post
from tests.scraping.reddit.reading import all_comments
from tests.scraping.reddit_replay import TOKEN, Answer, RedditReplay, Tree, listing, thing

pytestmark = pytest.mark.django_db  # the budget is a row


def names(pages: Iterable[Page], kind: str = "posts") -> list[str]:
    return [item["name"] for page in pages for item in getattr(page, kind)]


def listed(reddit_client: RedditClient, limit: int, sort: str = "new") -> list[str]:
    return names(reddit_client.listing("python", sort=sort, time_filter="week", limit=limit))


def test_without_an_app_it_says_what_to_set(settings: Settings) -> None:
    settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = ""
    with pytest.raises(RedditNotConfigured, match="set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET") as caught:
        client_for(None)
    assert caught.value.kind == ErrorKind.NOT_CONFIGURED


def test_the_configs_own_app_comes_before_the_environments(reddit: RedditReplay) -> None:
    app = RedditApp(client_id="own", client_secret="s3cret", user_agent="test:own app:1 (by /u/nobody)")
    with client_for(app) as reddit_client:
        reddit.add_posts("python", [raw_post()])
        assert len(listed(reddit_client, 1)) == 1
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
def test_the_sandboxs_app_is_never_used_with_the_real_reddit(
    settings: Settings, variable: str, url: str
) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = "http://127.0.0.1:9"
    setattr(settings, variable, url)
    app = RedditApp(client_id="sandbox", client_secret="x", user_agent="test:sandbox:1 (by /u/nobody)")
    with pytest.raises(RedditNotConfigured, match="sandbox"):
        client_for(app)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_the_sandboxs_app_is_used_with_loopback(settings: Settings, url: str) -> None:
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


def test_a_praw_ini_and_a_proxy_are_ignored(
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
    with client_for(None) as reddit_client:
        assert len(listed(reddit_client, 1)) == 1
    assert reddit.requests[0].form == {"grant_type": "client_credentials"}


def test_prawcore_waits_as_long_as_the_setting_says(settings: Settings) -> None:
    assert float(os.environ["PRAWCORE_TIMEOUT"]) == settings.REDDIT_TIMEOUT_SECONDS
    assert settings.REDDIT_TIMEOUT_SECONDS == prawcore.const.TIMEOUT


def test_the_secret_is_in_no_representation() -> None:
    assert "s3cret" not in repr(Credentials("id", "s3cret", "agent"))


@pytest.mark.parametrize(
    ("limit", "asked"), [(1, ["1"]), (100, ["100"]), (101, ["100", "1"]), (250, ["100", "100", "50"])]
)
def test_a_listing_is_read_to_its_limit(
    reddit: RedditReplay, reddit_client: RedditClient, limit: int, asked: list[str]
) -> None:
    posts = [raw_post() for _ in range(300)]
    reddit.add_posts("python", posts)
    assert listed(reddit_client, limit) == [post["name"] for post in posts[:limit]]
    assert [r.query["limit"] for r in reddit.asked()] == asked


def test_a_listing_ends_where_reddit_says_so(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(150)])
    assert len(listed(reddit_client, 1000)) == 150
    assert len(reddit.asked()) == 2


def test_a_listing_ends_at_reddits_cap(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(1100)])
    assert len(listed(reddit_client, 5000)) == 1000
    assert len(reddit.asked()) == 10


def test_only_top_and_controversial_ask_for_a_time_span(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    reddit.add_posts("python", [raw_post()])
    for sort in ("new", "hot", "rising", "top", "controversial"):
        listed(reddit_client, 1, sort)
    assert [r.query.get("t") for r in reddit.asked()] == [None, None, None, "week", "week"]


def test_stickied_posts_on_top_of_hot_come_on_top_of_the_limit(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    posts = [raw_post(stickied=n < 2) for n in range(6)]
    reddit.answers["/r/python/hot"] = [Answer.of(listing(map(thing, posts), after="t3_x"))]
    assert listed(reddit_client, 4, "hot") == [post["name"] for post in posts]
    reddit.answers["/r/python/new"] = [Answer.of(listing(map(thing, posts), after="t3_x"))]
    assert listed(reddit_client, 4, "new") == [post["name"] for post in posts[:4]]


def test_a_listing_that_shifts_or_circles_yields_each_post_once_and_ends(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    a, b, c = raw_post(), raw_post(), raw_post()
    reddit.answers["/r/python/new"] = [
        Answer.of(listing([thing(a), thing(b)], after=b["name"])),
        Answer.of(listing([thing(b), thing(c)], after=a["name"])),
        Answer.of(listing([], after=b["name"])),
        Answer.of(listing([thing(a)], after=b["name"])),
    ]
    assert listed(reddit_client, 1000) == [a["name"], b["name"], c["name"]]
    assert len(reddit.asked()) == 3  # the third one leads to where the first one led


def test_a_listing_of_ever_new_empty_pages_ends(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer.of(listing([], after=f"t3_{n}")) for n in range(99)]
    assert listed(reddit_client, 1000) == []
    assert len(reddit.asked()) == PAGES_MAX


def test_a_malformed_child_is_skipped_and_its_page_is_kept(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
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
    page = reddit_client.page("r/python/new", {})
    assert [post["name"] for post in page.posts] == [post["name"] for post in good]
    assert dict(page.skipped) == {"no item": 4, "unexpected kind t5": 1}


def test_posts_without_a_valid_name_are_passed_on_and_counted(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    odd_names: list[Any] = [None, None, ["list"], {}]
    nameless = [raw_post(name=name) for name in odd_names]
    reddit.answers["/r/python/new"] = [Answer.of(listing({"kind": "t3", "data": p} for p in nameless))]
    pages = list(reddit_client.listing("python", sort="new", time_filter="day", limit=10))
    assert [len(page.posts) for page in pages] == [4]


def chain(post: dict[str, Any], length: int) -> list[dict[str, Any]]:
    comments: list[dict[str, Any]] = []
    for _ in range(length):
        above = comments[-1] if comments else post
        comments.append(raw_comment(post, parent_id=above["name"]))
    return comments


def test_a_first_page_is_one_request(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(30)], first=20)
    assert len(all_comments(reddit_client, tree, requests=0, limit=700)) == 20
    (asked,) = reddit.asked()
    assert (asked.query["limit"], asked.query["depth"]) == ("500", "100")


@pytest.mark.slow
def test_a_whole_tree_is_opened_100_ids_at_a_time(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(4702)], first=20)
    comments = all_comments(reddit_client, tree)
    assert len({c["name"] for c in comments}) == len(comments) == 4702
    posted = [r.form["children"].split(",") for r in reddit.asked(method="POST")]
    assert [len(ids) for ids in posted] == [100] * 46 + [82]
    assert len(reddit.asked()) == 48


def test_deep_threads_are_continued_and_keep_their_depth(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, chain(post, 25), nested=10)
    comments = all_comments(reddit_client, tree)
    assert [c["depth"] for c in comments] == list(range(25))
    assert [r.path.count("/_/") for r in reddit.asked()] == [0, 1, 1]


def test_comments_deeper_than_the_limit_are_neither_kept_nor_asked_for(
    reddit: RedditReplay, reddit_client: RedditClient
) -> None:
    post = raw_post()
    tree = reddit.add_tree(
        post, [*chain(post, 25), *(raw_comment(post) for _ in range(3))], first=2, nested=4
    )
    assert sorted(c["depth"] for c in all_comments(reddit_client, tree, depth=1)) == [0] * 4
    assert len(reddit.asked()) == 2
    assert max(c["depth"] for c in all_comments(reddit_client, tree, depth=6)) == 5


def test_no_more_comments_than_the_limit(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(500)], first=20)
    assert len(all_comments(reddit_client, tree, limit=150)) == 150
    assert len(reddit.asked()) == 3


def test_a_tree_that_never_ends_costs_no_more_than_its_requests(
    reddit: RedditReplay, reddit_client: RedditClient
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
    assert all_comments(reddit_client, tree, limit=500) == []
    assert len(reddit.asked(method="POST")) == 30


@pytest.mark.slow
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
def test_each_shape_of_more_is_read(
    reddit: RedditReplay, reddit_client: RedditClient, more: dict[str, Any], leads_on: bool
) -> None:
    post = raw_post()
    top = raw_comment(post, id="a")
    reply = raw_comment(post, id="b", parent_id=top["name"])
    tree = reddit.add_tree(post, [top, reply])
    node = {"kind": "more", "data": {"parent_id": top["name"]} | more}
    shown = thing({**top, "replies": listing([node])})
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([thing(post)]), listing([shown])])]
    found = [c["name"] for c in all_comments(reddit_client, tree)]
    assert found == (["t1_a", "t1_b"] if leads_on else ["t1_a"])


@pytest.mark.parametrize("replies", ["", None, [], 0, {"kind": "Listing", "data": {"children": []}}])
def test_each_shape_of_no_replies_is_read(
    reddit: RedditReplay, reddit_client: RedditClient, replies: Any
) -> None:
    post = raw_post()
    comments = [thing(raw_comment(post, replies=replies)), thing(raw_comment(post))]
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([]), listing(comments)])]
    assert len(all_comments(reddit_client, Tree(post, []))) == 2


def test_every_request_sent_is_counted(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer(503), Answer(503), Answer.of(listing([]))]
    reddit_client.page("r/python/new", {})
    reddit_client.info(["t3_abc"])
    assert reddit_client.requests_used == len(reddit.requests) == 5


def test_info_returns_the_items_that_still_exist(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    post = raw_post()
    comment = raw_comment(post)
    reddit.known = {post["name"]: post, comment["name"]: comment}
    page = reddit_client.info([post["name"], "t3_gone", comment["name"]])
    assert (page.posts, page.comments) == ([post], [comment])
    with pytest.raises(ValueError, match="100 fullnames"):
        reddit_client.info([f"t3_{n}" for n in range(101)])
