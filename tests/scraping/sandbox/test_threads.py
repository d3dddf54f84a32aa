"""Comment trees and single items of the sandbox."""

import json
from typing import Any

import praw
import pytest

from scraping.sandbox import Action, State
from scraping.sandbox.items import Comment, Post
from tests.scraping.sandbox.asking import NOW, bearer, call, get, much_discussed_post, post_with


def visible_comments(post, now=NOW):
    """Return the fullnames that a complete walk finds: all except deleted comments without live replies."""
    parents = post.replies_to[0]
    seen = set()
    for number in range(post.comment_count(now)):
        if post.comment(number).state(now) is State.LIVE:
            while number >= 0:
                seen.add(post.comment(number).fullname)
                number = parents[number]
    return seen


@pytest.mark.slow
def test_replace_more_finds_every_visible_comment_once(sandbox, reddit):
    post = much_discussed_post(sandbox, 600)

    submission = reddit.submission(post.id36)
    submission.comments.replace_more(limit=None)
    found = [comment.fullname for comment in submission.comments.list()]

    assert len(found) == len(set(found))
    assert set(found) == visible_comments(post)
    assert len(found) < submission.num_comments  # the number includes deleted ones


@pytest.mark.slow
def test_continue_this_thread_opens_a_deep_thread(sandbox, reddit):
    post = post_with(
        sandbox,
        lambda post: 30 < post.comment_count(NOW) < 300 and max(post.replies_to[1], default=0) > 25,
    )

    submission = reddit.submission(post.id36)
    more: list[Any] = [
        item for item in submission.comments.list() if isinstance(item, praw.models.MoreComments)
    ]
    submission.comments.replace_more(limit=None)

    assert any(item.id == "_" and item.count == 0 and item.depth == 10 for item in more)
    assert {comment.fullname for comment in submission.comments.list()} == visible_comments(post)


def test_limit_and_depth_bound_a_tree_and_more_counts_the_rest(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 100)

    comments = get(sandbox, f"/comments/{post.id36}?limit=20&depth=3")[1]["data"]["children"]

    shown, left = [], 0
    queue = list(comments)
    while queue:
        thing = queue.pop()
        if thing["kind"] == "more":
            left += thing["data"]["count"]
            continue
        shown.append(thing["data"]["depth"])
        if thing["data"]["replies"]:
            queue += thing["data"]["replies"]["data"]["children"]
    assert len(shown) == 20
    assert max(shown) <= 2
    assert 20 + left <= len(visible_comments(post))


@pytest.mark.slow
def test_the_first_page_of_comments_holds_at_most_500(sandbox):
    post = much_discussed_post(sandbox, 700)

    text = json.dumps(get(sandbox, f"/comments/{post.id36}?limit=2048"))

    assert text.count('"kind": "t1"') == 500


def test_one_comment_is_shown_with_its_parents(sandbox):
    post = post_with(sandbox, lambda post: max(post.replies_to[1], default=0) > 4)
    comment = next(
        comment
        for comment in map(post.comment, range(post.comment_count(NOW)))
        if comment.depth == 3 and comment.fullname in visible_comments(post)
    )

    alone = get(sandbox, f"/comments/{post.id36}/_/{comment.id36}")[1]["data"]["children"]
    within = get(sandbox, f"/r/sandbox_quiet/comments/{post.id36}/_/{comment.id36}?context=2")[1]["data"]

    assert [thing["data"]["id"] for thing in alone] == [comment.id36]
    assert alone[0]["data"]["depth"] == 0
    child = within["children"][0]["data"]["replies"]["data"]["children"][0]["data"]
    assert within["children"][0]["data"]["name"] != post.fullname
    assert child["replies"]["data"]["children"][0]["data"]["id"] == comment.id36


@pytest.mark.slow
def test_morechildren_answers_a_hundred_and_names_the_rest(sandbox):
    post = much_discussed_post(sandbox, 900)
    ids = [
        post.comment(number).id36
        for number, parent in enumerate(post.replies_to[0])
        if parent < 0 and post.comment(number).state(NOW) is State.LIVE
    ]
    form = f"api_type=json&link_id={post.fullname}&children={','.join(ids)}"
    headers = {**bearer(sandbox), "Content-Type": "application/x-www-form-urlencoded"}

    status, _headers, text = call(sandbox, "POST", "/api/morechildren/", body=form, headers=headers)

    things = json.loads(text)["json"]["data"]["things"]
    shown = [thing["data"]["id"] for thing in things if thing["kind"] == "t1"]
    left = [thing["data"] for thing in things if thing["kind"] == "more"]
    roots_left = [data["children"] for data in left if data["parent_id"] == post.fullname]
    assert status == 200
    assert len(shown) == 100
    # As on Reddit, some were not requested, and the ids that did not fit come back.
    assert 0 < len(set(shown) - set(ids)) < 50
    assert all(thing["data"]["replies"] == "" for thing in things if thing["kind"] == "t1")
    assert set(roots_left[-1]) == set(ids) - set(shown)


def test_morechildren_as_get_works_until_the_address_is_too_long(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 30)
    first = post.comment(0).id36
    path = f"/api/morechildren?api_type=json&link_id={post.fullname}&children="

    short = call(sandbox, "GET", path + first, headers=bearer(sandbox))
    long = call(sandbox, "GET", path + ",".join([first] * 1_000), headers=bearer(sandbox))

    assert short[0] == 200
    assert (long[0], long[2]) == (414, "Error: URI Too Long")


def test_morechildren_brings_replies_too_unless_told_not_to(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 60)
    root = next(
        number
        for number in range(20)
        if post.replies_to[0][number] < 0
        and any(
            parent == number and post.comment(child).state(NOW) is State.LIVE
            for child, parent in enumerate(post.replies_to[0])
        )
    )
    path = f"/api/morechildren?link_id={post.fullname}&children={post.comment(root).id36}"

    family = get(sandbox, path)["json"]["data"]["things"]
    alone = get(sandbox, path + "&limit_children=true")["json"]["data"]["things"]

    assert family[1]["data"]["parent_id"] == post.comment(root).fullname
    assert [thing["kind"] for thing in alone] == ["t1", "more"]


def test_a_deleted_comment_without_replies_leaves_the_tree_and_stays_in_info(sandbox, reddit):
    post = post_with(sandbox, lambda post: 10 < post.comment_count(NOW) < 100)
    parents = set(post.replies_to[0])
    leaf = next(
        comment
        for comment in map(post.comment, range(post.comment_count(NOW)))
        if comment.number not in parents and comment.state(NOW) is State.LIVE
    )
    sandbox.world.change(leaf.fullname, Action.DELETE)

    tree = [comment.fullname for comment in reddit.submission(post.id36).comments.list()]
    (answer,) = reddit.info(fullnames=[leaf.fullname])

    assert leaf.fullname not in tree
    assert len(tree) > 5
    assert (answer.body, answer.author) == ("[deleted]", None)


@pytest.mark.parametrize(
    "path", ["/comments/zzzzzz", "/comments/1", "/r/python/comments/-1", "/api/v2/me", "/"]
)
def test_an_unknown_path_is_not_found(sandbox, path):
    status, _headers, text = call(sandbox, "GET", path, headers=bearer(sandbox))

    assert (status, json.loads(text)) == (404, {"message": "Not Found", "error": 404})


def test_info_answers_posts_and_comments_and_leaves_out_what_is_unknown(sandbox, reddit):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 5)
    comment = post.comment(3)
    asked = [post.fullname, "t3_zzzzzzz", comment.fullname, "t1_1", "t3_", "nonsense", "t3_+1", "t3_1_0"]

    found = list(reddit.info(fullnames=asked))

    assert [item.fullname for item in found] == [post.fullname, comment.fullname]
    assert found[0].title == post.title
    assert found[1].parent_id == comment.parent_fullname


def test_info_leaves_out_items_of_the_future(sandbox, reddit, clock):
    subreddit = sandbox.world.subreddit("sandbox_busy")
    coming = sandbox.world.post(subreddit, sandbox.world.latest(subreddit, NOW) + 1)
    assert list(reddit.info(fullnames=[coming.fullname])) == []

    clock.now += 20

    assert [post.fullname for post in reddit.info(fullnames=[coming.fullname])] == [coming.fullname]


def test_an_id_contains_subreddit_and_position(sandbox):
    for name in ("python", "sandbox_quiet", "u_some-body"):
        subreddit = sandbox.world.subreddit(name)
        post = post_with(sandbox, lambda post: post.comment_count(NOW) > 3, name=name)
        comment = post.comment(2)

        found = sandbox.world.find(post.fullname, NOW)
        found_comment = sandbox.world.find(comment.fullname, NOW)

        assert isinstance(found, Post)
        assert (found.subreddit, found.index) == (subreddit, post.index)
        assert isinstance(found_comment, Comment)
        assert (found_comment.post.index, found_comment.number) == (post.index, 2)
        assert len(comment.fullname) <= 16
