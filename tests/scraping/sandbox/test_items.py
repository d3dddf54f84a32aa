"""The sandbox's posts and comments, and their changes."""

import json
import re
from collections import Counter

import pytest

from scraping.sandbox import Action, SandboxReddit, State, UnknownItemError
from tests.scraping.sandbox.asking import DAY, NOW, bearer, call, get, live_posts, post_with


def test_without_raw_json_every_string_is_escaped(sandbox):
    post = post_with(sandbox, lambda post: "<" in post.text(NOW))

    plain = get(sandbox, f"/api/info?id={post.fullname}")["data"]["children"][0]["data"]["selftext"]
    raw = get(sandbox, f"/api/info?id={post.fullname}&raw_json=1")["data"]["children"][0]["data"]["selftext"]

    assert raw == post.text(NOW)
    assert "&lt;" in plain
    assert "<" not in plain


@pytest.mark.slow
def test_the_content_has_every_kind_of_post_and_every_fate(sandbox):
    kinds, fates, edits, texts = Counter(), Counter(), Counter(), []
    subreddit = sandbox.world.subreddit("python")
    latest = sandbox.world.latest(subreddit, NOW)
    for index in range(latest - 3_000, latest):
        post = sandbox.world.post(subreddit, index)
        kinds[post.kind] += 1
        fates[post.state(NOW)] += 1
        edits[type(post.edited(NOW))] += 1
        texts += [post.title, post.text(NOW)]

    assert set(kinds) == {"self", "link", "image", "gallery", "video", "rich", "poll", "crosspost"}
    assert set(fates) == set(State) - {State.VANISHED}
    assert 0.85 < fates[State.LIVE] / 3_000 < 0.99
    assert set(edits) == {bool, float}
    assert max(map(len, texts)) > 20_000
    assert max(len(title) for title in texts[::2]) == 300
    everything = "".join(texts)
    assert any(ord(letter) > 0xFFFF for letter in everything)
    assert "&#x200B;" in everything
    assert not re.search("[\x00\ud800-\udfff]", everything)


def test_scores_and_comments_grow_with_age(sandbox, clock):
    post = post_with(sandbox, lambda post: post.comment_total > 20)
    hours = [0, 1, 6, 24, 72]

    scores = [post.score(post.created + hour * 3_600) for hour in hours]
    comments = [post.comment_count(post.created + hour * 3_600) for hour in hours]

    assert scores == sorted(scores)
    assert scores[0] == 1 < scores[-1]
    assert comments == sorted(comments)
    assert (comments[0], comments[-1]) == (0, post.comment_total)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Python", "u_some-body", "ab", "A1_b2_c3_d4_e5_f6_g7"])
def test_any_valid_name_is_a_subreddit(reddit, name):
    subreddit = reddit.subreddit(name)

    assert next(subreddit.new(limit=1)).subreddit.display_name == name
    assert subreddit.subscribers > 0


@pytest.mark.parametrize("name", ["x", "no-dash", "way_too_long_for_a_subreddit", "%C3%A4rger"])
def test_an_invalid_name_is_no_subreddit(sandbox, name):
    for path in (f"/r/{name}/new", f"/r/{name}/about"):
        status, headers, _text = call(sandbox, "GET", path, headers=bearer(sandbox))

        assert status == 302
        assert headers["location"].startswith("/subreddits/search?q=")


def change(server, fullname, action, **more):
    body = json.dumps({"fullname": fullname, "action": action, **more})
    status, _headers, text = call(server, "POST", "/sandbox/content", body=body)
    assert status == 204, text


def info(server, fullname):
    children = get(server, f"/api/info?id={fullname}&raw_json=1")["data"]["children"]
    return children[0]["data"] if children else None


@pytest.fixture
def text_post(sandbox):
    return post_with(
        sandbox,
        lambda post: (
            post.kind == "self"
            and post.own_words
            and not post.author.is_deleted(NOW)
            and post.comment_count(NOW) > 3
        ),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "category", "text"),
    [
        ("delete", "deleted", "[deleted]"),
        ("remove", "moderator", "[removed]"),
        ("remove_by_reddit", "reddit", "[ Removed by Reddit ]"),
    ],
)
def test_a_post_is_taken_away_and_restored(sandbox, text_post, action, category, text):
    before = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, action)
    gone = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "restore")

    assert (gone["selftext"], gone["removed_by_category"], gone["is_robot_indexable"]) == (
        text,
        category,
        False,
    )
    assert before["removed_by_category"] is None
    assert info(sandbox, text_post.fullname) == before | {"edited": before["edited"]}


@pytest.mark.parametrize(
    ("action", "text"),
    [("delete", "[deleted]"), ("remove", "[removed]"), ("remove_by_reddit", "[ Removed by Reddit ]")],
)
def test_a_comment_is_taken_away_and_restored(sandbox, text_post, action, text):
    comment = next(
        comment
        for comment in map(text_post.comment, range(text_post.comment_count(NOW)))
        if comment.state(NOW) is State.LIVE
    )
    before = info(sandbox, comment.fullname)
    change(sandbox, comment.fullname, action)
    gone = info(sandbox, comment.fullname)
    change(sandbox, comment.fullname, "restore")

    assert (gone["body"], gone["author"]) == (text, "[deleted]")
    assert "author_fullname" not in gone
    assert info(sandbox, comment.fullname)["body"] == before["body"]


def test_a_vanished_post_is_missing_everywhere_until_it_is_restored(sandbox, text_post):
    change(sandbox, text_post.fullname, "vanish")
    assert info(sandbox, text_post.fullname) is None
    assert call(sandbox, "GET", f"/comments/{text_post.id36}", headers=bearer(sandbox))[0] == 404

    change(sandbox, text_post.fullname, "restore")

    assert info(sandbox, text_post.fullname)["title"] == text_post.title


def test_an_edit_has_a_time(sandbox, text_post, clock):
    clock.now += 77
    change(sandbox, text_post.fullname, "edit", text="New words & all.")

    edited = info(sandbox, text_post.fullname)

    assert (edited["selftext"], edited["edited"]) == ("New words & all.", NOW + 77.0)


def test_deleting_an_account_removes_its_name_and_keeps_its_texts(sandbox, text_post):
    number = text_post.author.number
    other = next(post for post in live_posts(sandbox, "sandbox_quiet") if post.author.number != number)
    before = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "delete_account")

    after = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "restore")

    assert (after["author"], after["selftext"]) == ("[deleted]", before["selftext"])
    assert after["removed_by_category"] is None
    assert "author_fullname" not in after
    assert info(sandbox, other.fullname)["author"] == other.author.name
    assert info(sandbox, text_post.fullname)["author"] == before["author"]


def test_an_unknown_item_cannot_be_changed(sandbox):
    status, _headers, text = call(
        sandbox, "POST", "/sandbox/content", body='{"fullname": "t3_zz", "action": "delete"}'
    )

    assert status == 404
    assert "t3_zz" in text
    with pytest.raises(UnknownItemError):
        sandbox.world.change("t1_zz", Action.DELETE)


@pytest.mark.slow
def test_some_items_are_deleted_after_they_were_listed(sandbox, reddit, clock):
    listed = [post.fullname for post in reddit.subreddit("sandbox_busy").new(limit=500)]

    clock.now += 3 * DAY
    later = Counter(post.removed_by_category for post in reddit.info(fullnames=listed))

    assert set(later) == {None, "deleted", "moderator", "reddit"}
    assert later[None] > 400


def test_the_journal_keeps_names_and_changes_across_a_restart(tmp_path, clock):
    journal = tmp_path / "journal.jsonl"
    with SandboxReddit(clock=clock, journal=journal) as sandbox:
        first, second = get(sandbox, "/r/BirdWatching/new?limit=2")["data"]["children"]
        change(sandbox, first["data"]["name"], "delete")
    with journal.open("a") as file:
        file.write('{"fullname": "t3_')  # the process died here

    with SandboxReddit(clock=clock, journal=journal) as sandbox:
        assert info(sandbox, first["data"]["name"])["removed_by_category"] == "deleted"
        assert info(sandbox, second["data"]["name"])["subreddit"] == "BirdWatching"
        assert info(sandbox, second["data"]["name"])["title"] == second["data"]["title"]


def test_without_a_journal_a_restart_forgets_the_names(clock):
    with SandboxReddit(clock=clock) as sandbox:
        known, unknown = (
            get(sandbox, f"/r/{name}/new?limit=1")["data"]["children"][0]["data"]["name"]
            for name in ("HomeWorkshop", "BirdWatching")
        )

    with SandboxReddit(clock=clock) as sandbox:
        assert info(sandbox, known) is not None
        assert info(sandbox, unknown) is None
