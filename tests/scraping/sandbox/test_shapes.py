"""The sandbox's answers have the keys and types of recorded ones."""

import json
from functools import cache

import pytest

from scraping.sandbox import Action
from tests import recorded
from tests.scraping.sandbox.asking import bearer, call, get, much_discussed_post


def types_by_key(things):
    types = {}
    for thing in things:
        for key, value in thing.items():
            types.setdefault(key, set()).add(type(value).__name__)
    return types


def always_there(things):
    return set.intersection(*(set(thing) for thing in things))


def assert_same_shape(ours, real, newest):
    """Assert that our keys and types exist in recorded items, and that we have each key of all new ones."""
    known = types_by_key(real)
    for key, types in types_by_key(ours).items():
        assert key in known, f"Reddit has no {key}"
        assert types <= known[key], f"{key}: {types} is not {known[key]}"
    missing = always_there(newest) - always_there(ours)
    assert not missing, f"every real one has {sorted(missing)}"


@pytest.fixture
def our_posts(sandbox):
    return [
        child["data"]
        for path in (
            "/r/python/new?limit=100",
            "/r/python/top?t=all&limit=100",
            "/r/sandbox_quiet/hot?limit=100",
        )
        for child in get(sandbox, path + "&raw_json=1")["data"]["children"]
    ]


@cache
def recorded_posts():
    """The recorded posts of 2020 and later."""
    return [post for post in recorded.posts() if post["created_utc"] > 1.58e9]


def is_gone(thing):
    return thing["author"] == "[deleted]"


@pytest.mark.slow
@recorded.needed
def test_our_posts_have_the_keys_and_types_of_recorded_posts(our_posts):
    real = recorded_posts()
    newest = [post for post in real if post["created_utc"] > 1.7e9 and not is_gone(post)]

    assert_same_shape([post for post in our_posts if not is_gone(post)], real, newest)


@pytest.mark.slow
@recorded.needed
def test_our_deleted_and_removed_posts_look_like_recorded_ones(sandbox, our_posts):
    fullnames = [post["name"] for post in our_posts[:100]]
    for place, fullname in enumerate(fullnames):
        action = [Action.DELETE, Action.REMOVE, Action.REMOVE_BY_REDDIT, Action.DELETE_ACCOUNT][place % 4]
        sandbox.world.change(fullname, action)
    children = get(sandbox, f"/api/info?id={','.join(fullnames)}&raw_json=1")["data"]["children"]
    ours = [child["data"] for child in children]
    real = recorded_posts()

    gone, real_gone = [post for post in ours if is_gone(post)], [post for post in real if is_gone(post)]
    assert len(gone) > 50
    # Keys that Reddit has stopped using since the recording may be missing.
    newest = [post for post in real if post["created_utc"] > 1.7e9]
    assert_same_shape(ours, real, real_gone + newest)
    never = set(types_by_key(real)) - set(types_by_key(real_gone))
    assert not [
        post
        for post in gone
        if {"author_fullname", "author_flair_type", "author_premium"} & never & set(post)
    ]
    categories = {post["removed_by_category"] for post in real}
    assert {post["removed_by_category"] for post in ours} <= categories


@pytest.mark.slow
@recorded.needed
def test_our_comments_and_more_objects_have_the_keys_and_types_of_recorded_ones(sandbox):
    post = much_discussed_post(sandbox, 600)
    ours = {"t1": [], "more": []}
    collect(get(sandbox, f"/comments/{post.id36}?limit=500"), ours)
    real = {"t1": [], "more": []}
    for responses in recorded.trees().values():
        for response in responses:
            if response["recorded_at"] > "2020":
                collect(response["response"]["body"], real)
    modern = [comment for comment in recorded.comments() if comment["created_utc"] > 1.7e9]

    assert len(ours["t1"]) == 500
    assert len(ours["more"]) > 10
    assert_same_shape([item for item in ours["t1"] if not is_gone(item)], real["t1"] + modern, modern)
    assert_same_shape(
        [item for item in ours["t1"] if is_gone(item)], real["t1"] + modern, [*filter(is_gone, real["t1"])]
    )
    assert_same_shape(ours["more"], real["more"], real["more"])


@pytest.mark.slow
@recorded.needed
def test_our_listings_have_the_keys_and_types_of_recorded_ones(sandbox):
    ours = [
        get(sandbox, path)["data"]
        for path in ("/r/python/new?limit=5", "/r/python/rising?limit=100", "/r/python/hot?limit=3")
    ]
    pages = [
        page["response"]["body"]["data"]
        for page in recorded.responses("pages")
        if page["recorded_at"] > "2020"
    ]

    assert_same_shape(ours, pages, pages)


@pytest.mark.slow
@recorded.needed
@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("sandbox_private", "403_private"),
        ("sandbox_banned", "404_banned"),
        ("sandbox_quarantined", "403_quarantined"),
        ("sandbox_forbidden", "403_forbidden_json"),
        ("sandbox_missing", "302_nonexistent_subreddit"),
        ("sandbox_401", "401_invalid_token"),
        ("sandbox_429", "429_2026_no_retry_after"),
        ("sandbox_429_html", "429_html_retry_after_4"),
        ("sandbox_451", "451"),
        ("sandbox_500", "500_json"),
        ("sandbox_502", "502_empty"),
        ("sandbox_503", "503_html_ow"),
    ],
)
def test_our_errors_look_like_recorded_ones(sandbox, name, recording):
    real = recorded.error(recording)
    status, headers, text = call(sandbox, "GET", f"/r/{name}/new", headers=bearer(sandbox))

    assert status == real["status"]
    assert headers["content-type"].split(";")[0] == real["headers"]["content-type"].split(";")[0]
    assert {"retry-after", "www-authenticate", "location"} & set(headers) == (
        {"retry-after", "www-authenticate", "location"} & set(real["headers"])
    )
    if headers["content-type"].startswith("application/json") and real["body_text"]:
        assert set(json.loads(text)) == set(json.loads(real["body_text"]))


def collect(node, found):
    """Collect the data of all t1 and more objects of an answer."""
    if isinstance(node, list):
        for item in node:
            collect(item, found)
    elif isinstance(node, dict):
        if node.get("kind") in found:
            found[node["kind"]].append(node["data"])
        for value in node.values():
            collect(value, found)
