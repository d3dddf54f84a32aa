"""The fullnames of posts and comments in the texts that people copy."""

import pytest

from scraping.item_names import is_nameless_link, names_in, subreddit_in

POST = "https://www.reddit.com/r/a/comments/p1/title/"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("t1_AbC ", ["t1_abc"]),
        ("T3_P1", ["t3_p1"]),
        (POST, ["t3_p1"]),
        (f"{POST}c1/", ["t3_p1", "t1_c1"]),
        (f"{POST}c1/?context=3&utm_source=share", ["t3_p1", "t1_c1"]),
        ("https://www.reddit.com/r/a/comments/p1/comment/c1", ["t3_p1", "t1_c1"]),
        (f"{POST}?c1", ["t3_p1"]),
        ("HTTPS://OLD.REDDIT.COM/R/A/COMMENTS/P1", ["t3_p1"]),
        ("https://np.reddit.com/r/a/comments/p1.", ["t3_p1"]),
        ("https://m.reddit.com/user/somebody/comments/p1/title", ["t3_p1"]),
        ("r/a/comments/p1", ["t3_p1"]),
        ("https://www.reddit.com/gallery/p1", ["t3_p1"]),
        ("https://www.reddit.com/poll/p1", ["t3_p1"]),
        ("https://www.reddit.com/r/a/duplicates/p1/title/", ["t3_p1"]),
        ("https://redd.it/p1", ["t3_p1"]),
        ("(see redd.it/p1)", ["t3_p1"]),
        ("https%3A%2F%2Fwww.reddit.com%2Fr%2Fa%2Fcomments%2Fp1%2Ftitle%2Fc1%2F", ["t3_p1", "t1_c1"]),
        (
            "https://www.reddit.com/over18?dest=https%3A%2F%2Fwww.reddit.com%2Fr%2Fa%2Fcomments%2Fp1%2F",
            ["t3_p1"],
        ),
        ("https://www.reddit.com/r/a/comments/p1/%E6%A0%87%E9%A2%98/c1/", ["t3_p1", "t1_c1"]),
        ("what deleted “t3_p1”, and t1_c1?", ["t3_p1", "t1_c1"]),
        ("帖子t3_p1。", ["t3_p1"]),
        # Pictures and videos have names of their own.
        ("https://i.redd.it/p1.jpg", []),
        ("https://v.redd.it/p1", []),
        ("https://www.reddit.com/r/a/s/P1", []),
        ("https://news.example.org/comments/a-long-title", []),
        ("comments", []),
        ("no comments/abc here", []),
        ("t5_abc", []),
        ("t3_a-b", []),
        ("t3_zzzzzzzzzzzzz", []),
        ("ｔ３＿ａｂ", ["t3_ab"]),
        ("https://redd.it/aſb", ["t3_asb"]),
        ("", []),
    ],
)
def test_fullnames_are_found_in_texts(text: str, names: list[str]) -> None:
    assert names_in(text) == names


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("https://www.reddit.com/r/a/s/AbC12", True),
        ("https://reddit.com/u/somebody/s/AbC12", True),
        ("https://v.redd.it/abc", True),
        ("https://preview.redd.it/abc.jpg?width=640", True),
        (f"{POST}?url=https://i.redd.it/abc.jpg", False),
        ("https://redd.it/p1", False),
        ("https://www.reddit.com/r/a/", False),
    ],
)
def test_links_that_lead_to_a_post_without_naming_it_are_known(text: str, is_so: bool) -> None:
    assert is_nameless_link(text) is is_so


def test_the_subreddit_of_a_link_is_found() -> None:
    assert subreddit_in(f"<{POST}>") == "a"
    assert subreddit_in("https://www.reddit.com/user/Some-Body/comments/p1/") == "u_Some-Body"
    assert subreddit_in("https://redd.it/p1") == subreddit_in("t3_p1") == ""
