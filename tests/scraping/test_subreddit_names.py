"""The names of subreddits in the forms that people copy."""

import pytest
from django.core.exceptions import ValidationError

from scraping.admin.forms import SubredditsField
from scraping.subreddit_names import plain_author, plain_subreddit


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python", "python"),
        (" r/python ", "python"),
        ("R/Python/", "Python"),
        ("/r/python/", "python"),
        ("/python/", "python"),
        ("u/Some-Body", "u_Some-Body"),
        ("/user/somebody/", "u_somebody"),
        ("u_somebody", "u_somebody"),
        ("https://www.reddit.com/r/python", "python"),
        ("http://old.reddit.com/r/python/", "python"),
        ("HTTPS://NP.Reddit.com/R/python/new/", "python"),
        ("reddit.com/r/python", "python"),
        ("sh.reddit.com/r/python/top/?sort=top&t=all", "python"),
        ("https://www.reddit.com/r/python/comments/1abc/a_title/?utm_source=share#x", "python"),
        ("https://www.reddit.com/user/somebody/submitted/?sort=new", "u_somebody"),
        ("r/python?sort=new", "python"),
        ("https://www.reddit.com/r/u%5Fsomebody/", "u_somebody"),
    ],
)
def test_each_copied_form_gives_the_name(text: str, name: str) -> None:
    assert plain_subreddit(text) == name
    assert SubredditsField().clean(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "https://www.reddit.com/",
        "reddit.com/about",
        "https://notreddit.com/r/python",
        "https://evil.example/reddit.com/r/python",
        "r/",
        "python/new",
        "r/a+b",
        "r/x",
    ],
)
def test_a_text_without_a_subreddit_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a subreddit name") as refusal:
        SubredditsField().clean(f"django\n{text}")
    assert len(refusal.value.messages) == 1
    assert plain_subreddit(text) in refusal.value.messages[0]


def test_one_subreddit_in_several_forms_is_named_once() -> None:
    assert SubredditsField().clean("r/Python, https://reddit.com/r/python/ u/x_y，/user/X_Y") == [
        "Python",
        "u_x_y",
    ]


def test_an_author_is_named_by_a_path_or_a_profile() -> None:
    for text in ("u/Some-Body", "/U/Some-Body/", " https://old.reddit.com/user/Some-Body?sort=new"):
        assert plain_author(text) == "Some-Body"
    for text in (
        "Some-Body",
        "r/python",
        "u/",
        "https://www.reddit.com/user/a/comments/p1/",
        "https://x.org/u/a",
    ):
        assert plain_author(text) == ""
