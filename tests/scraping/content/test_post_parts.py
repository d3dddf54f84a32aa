"""Galleries, polls and crossposts: read, stored, shown, exported."""

import json
from collections import Counter
from typing import Any

import pytest
from django.urls import reverse

from scraping.content import export
from scraping.content.normalise import post_values
from scraping.models import PostSighting, RedditPost
from tests.kit import factories
from tests.kit.scraped import make_post, raw_post

GALLERY = {
    "is_gallery": True,
    "gallery_data": {
        "items": [
            {"media_id": "a", "caption": "First", "outbound_url": "https://example.org/shop"},
            {"media_id": "b", "is_deleted": True},
            {"media_id": "c", "outbound_url": "javascript:alert(1)"},
        ]
    },
    "media_metadata": {
        "a": {"status": "valid", "s": {"u": "https://preview.example.org/a.jpg"}},
        "c": {"status": "failed"},
    },
}
PICTURES = [
    {
        "id": "a",
        "url": "https://preview.example.org/a.jpg",
        "caption": "First",
        "link": "https://example.org/shop",
    },
    {"id": "c", "url": "", "caption": "", "link": ""},
]
POLL = {
    "options": [{"text": "Yes", "vote_count": 3, "id": "1"}, {"text": "No", "id": "2"}],
    "total_vote_count": 4,
    "voting_end_timestamp": 1_700_000_000_000,
}
VOTES = {
    "options": [{"text": "Yes", "votes": 3}, {"text": "No", "votes": None}],
    "votes": 4,
    "ends_at": "2023-11-14T22:13:20+00:00",
}


def test_a_gallery_and_a_poll_are_read() -> None:
    values = post_values(raw_post(**GALLERY, poll_data=POLL))
    assert (values["gallery"], values["poll"]) == (PICTURES, VOTES)


def test_a_crosspost_takes_gallery_poll_and_text_of_its_parent() -> None:
    parent = raw_post(selftext="Its text", **GALLERY, poll_data=POLL)
    values = post_values(
        raw_post(selftext="", crosspost_parent=parent["name"], crosspost_parent_list=[parent])
    )
    assert (values["crosspost_parent"], values["crosspost_body"], values["body"]) == (
        parent["name"],
        "Its text",
        "",
    )
    assert (values["gallery"], values["poll"]) == (PICTURES, VOTES)


def test_a_crosspost_takes_parts_of_its_parent_only() -> None:
    values = post_values(raw_post(crosspost_parent="t3_gone", crosspost_parent_list=[raw_post(**GALLERY)]))
    assert (values["crosspost_parent"], values["crosspost_body"], values["gallery"]) == ("t3_gone", "", None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gallery_data": "x"}, "gallery_data is no gallery"),
        ({"gallery_data": {"items": 7}}, "gallery_data is no gallery"),
        ({"poll_data": [1]}, "poll_data is no poll"),
        ({"poll_data": {"options": [None]}}, "poll_data is no poll"),
        ({"crosspost_parent": 7}, "crosspost_parent is no fullname"),
        ({"crosspost_parent": "t3_" + "x" * 40}, "crosspost_parent is no fullname"),
    ],
)
def test_an_invalid_part_is_dropped_and_counted(fields: dict[str, Any], reason: str) -> None:
    odd: Counter[str] = Counter()
    values = post_values(raw_post(**fields), odd)
    assert (values["title"], values["gallery"], values["poll"], values["crosspost_parent"]) == (
        "A title",
        None,
        None,
        "",
    )
    assert odd == Counter([reason])


@pytest.mark.parametrize(
    "fields",
    [
        {"gallery_data": None},
        {"gallery_data": {"items": [None, {"media_id": 7, "caption": ["x"]}]}, "media_metadata": [1]},
        {"poll_data": False},
        {"poll_data": {"options": [{"text": None, "vote_count": -1}], "voting_end_timestamp": 1e300}},
        {"crosspost_parent": "t3_x", "crosspost_parent_list": "x"},
        {"crosspost_parent": "t3_x", "crosspost_parent_list": [None, {"name": "t3_x"}]},
        {"gallery_data": {"items": [{"media_id": "a\x00", "caption": "\ud800"}]}},
    ],
)
@pytest.mark.django_db
def test_whatever_reddit_sends_is_stored(fields: dict[str, Any]) -> None:
    values = post_values(raw_post(**fields))
    RedditPost.objects.create(**values)
    assert RedditPost.objects.get().title == "A title"


@pytest.fixture
def full() -> RedditPost:
    make_post(fullname="t3_parent", title="The parent")
    return make_post(
        title="Mine",
        gallery=PICTURES,
        poll=VOTES,
        crosspost_parent="t3_parent",
        crosspost_body="Its text",
        is_spoiler=True,
    )


@pytest.mark.django_db
def test_the_pages_of_posts_show_their_parts(full: RedditPost, client: Any) -> None:
    client.force_login(factories.superuser())
    listed = client.get(reverse("admin:scraping_redditpost_changelist")).content.decode()
    for tag in ("spoiler", "crosspost", "gallery", "poll"):
        assert f'<span class="tag">{tag}</span>' in listed
    page = client.get(reverse("admin:scraping_redditpost_change", args=[full.pk])).content.decode()
    assert 'href="https://preview.example.org/a.jpg"' in page
    assert "javascript:" not in page
    assert "(75 %)" in page
    assert "not published yet" in page
    assert "Closed since 2023-11-1" in page
    assert "Its text" in page
    assert "The parent" in page
    plain = make_post()
    page = client.get(reverse("admin:scraping_redditpost_change", args=[plain.pk])).content.decode()
    assert "Parts" not in page


@pytest.mark.django_db
def test_there_is_no_link_to_a_parent_that_the_reader_may_not_see(full: RedditPost, client: Any) -> None:
    owner = factories.user("scraping.view_redditpost")
    bot = factories.bot_config(owner=owner)
    PostSighting.objects.create(post=full, config=bot)
    client.force_login(owner)
    page = client.get(reverse("admin:scraping_redditpost_change", args=[full.pk])).content.decode()
    assert "Its text" in page
    assert "The parent" not in page


@pytest.mark.django_db
def test_the_parts_are_exported(full: RedditPost) -> None:
    rows = RedditPost.objects.filter(pk=full.pk)
    (line,) = b"".join(export.export(rows, format="jsonl", by=None)).splitlines()
    values = json.loads(line)
    assert (values["gallery"], values["poll"], values["is_spoiler"]) == (PICTURES, VOTES, True)
    assert (values["crosspost_parent"], values["crosspost_body"]) == ("t3_parent", "Its text")
