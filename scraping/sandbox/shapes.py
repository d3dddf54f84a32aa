"""The JSON objects of Reddit's API: their keys, and which keys are missing in which case.

Recorded answers are the source of each key and type; a contract test compares the two.
"""

from scraping.sandbox import text
from scraping.sandbox.draws import base36
from scraping.sandbox.items import Author, Comment, Item, Post, State, Subreddit
from scraping.sandbox.post_content import Thing, content, permalink, removed_content

ARCHIVED_AFTER = 180 * 86_400  # seconds
COLLAPSED_BELOW = -4  # score
# A post or comment that vanished is still visible inside a crosspost, or as a placeholder above its replies.
_BY_AUTHOR = (State.DELETED, State.VANISHED)
# The placeholder texts of a removed post. Some posts keep their title, as recorded ones do.
_REMOVED_TITLE = {
    State.DELETED: "[deleted by user]",
    State.VANISHED: "[deleted by user]",
    State.MODERATOR: "[ Removed by moderator ]",
    State.REDDIT: "[ Removed by Reddit ]",
}
_REMOVED_TEXT = {
    State.DELETED: "[deleted]",
    State.VANISHED: "[deleted]",
    State.MODERATOR: "[removed]",
    State.REDDIT: "[ Removed by Reddit ]",
}
_CATEGORY = {
    State.DELETED: "deleted",
    State.VANISHED: "deleted",
    State.MODERATOR: "moderator",
    State.REDDIT: "reddit",
}
# All posts and comments have these keys; only moderators would see values in them.
_FOR_MODERATORS: Thing = {
    "approved_at_utc": None,
    "approved_by": None,
    "banned_at_utc": None,
    "banned_by": None,
    "can_mod_post": False,
    "mod_note": None,
    "mod_reason_by": None,
    "mod_reason_title": None,
    "mod_reports": [],
    "num_reports": None,
    "removal_reason": None,
    "report_reasons": None,
    "user_reports": [],
}
_ALWAYS_THE_SAME: Thing = {
    **_FOR_MODERATORS,
    "all_awardings": [],
    "awarders": [],
    "can_gild": False,
    "downs": 0,
    "gilded": 0,
    "gildings": {},
    "likes": None,
    "saved": False,
    "subreddit_type": "public",
    "top_awarded_type": None,
    "total_awards_received": 0,
    "treatment_tags": [],
}

_SAME_FOR_POSTS: Thing = {
    "category": None,
    "clicked": False,
    "content_categories": None,
    "contest_mode": False,
    "discussion_type": None,
    "hidden": False,
    "is_created_from_ads_ui": False,
    "is_meta": False,
    "is_original_content": False,
    "media_only": False,
    "num_crossposts": 0,
    "pinned": False,
    "pwls": 6,
    "quarantine": False,
    "send_replies": True,
    "view_count": None,
    "visited": False,
    "wls": 6,
}


def listing(
    children: list[Thing], *, after: str | None = None, before: str | None = None, dist: int | None = None
) -> Thing:
    """Return a Listing; ``dist`` is null in the listings of comment trees."""
    data = {
        "after": after,
        "dist": dist,
        "modhash": None,
        "geo_filter": "",
        "children": children,
        "before": before,
    }
    return {"kind": "Listing", "data": data}


def more(children: list[str], *, count: int, parent: str, depth: int) -> Thing:
    """Return the ``more`` object for left-out comments: ids of siblings, and the count of all comments below them."""
    data = {
        "count": count,
        "name": f"t1_{children[0]}",
        "id": children[0],
        "parent_id": parent,
        "depth": depth,
        "children": children,
    }
    return {"kind": "more", "data": data}


def continue_thread(parent: str, depth: int) -> Thing:
    """Return the ``more`` object without ids, for a thread that is too deep to show."""
    data = {"count": 0, "name": "t1__", "id": "_", "parent_id": parent, "depth": depth, "children": []}
    return {"kind": "more", "data": data}


def _author(author: Author, *, is_gone: bool) -> Thing:
    nobody = {
        "author_flair_background_color": None,
        "author_flair_css_class": None,
        "author_flair_template_id": None,
        "author_flair_text": None,
        "author_flair_text_color": None,
    }
    if is_gone:
        return {"author": "[deleted]", **nobody}
    return {
        "author": author.name,
        "author_fullname": author.fullname,
        "author_flair_richtext": [],
        "author_flair_type": "text",
        "author_is_blocked": False,
        "author_patreon_flair": False,
        "author_premium": author.number % 17 == 0,
        **nobody,
    }


def _subreddit(subreddit: Subreddit) -> Thing:
    return {
        "subreddit": subreddit.name,
        "subreddit_id": subreddit.fullname,
        "subreddit_name_prefixed": f"r/{subreddit.name}",
    }


def _times(item: Item, now: float) -> Thing:
    return {
        "created": float(item.created),
        "created_utc": float(item.created),
        "archived": now - item.created > ARCHIVED_AFTER,
        "edited": item.edited(now),
    }


def submission(post: Post, *, now: float) -> Thing:
    """Return a t3."""
    state = post.state(now)
    is_live = state is State.LIVE
    title, words = post.title, post.text(now)
    keeps_title = post.world.draws.share("keeps title", *post.key) < 0.3
    if not is_live:
        title = title if keeps_title else _REMOVED_TITLE[state]
        words = _REMOVED_TEXT[state] if post.kind in ("self", "poll") else ""
    # A removed link may keep its author; a deleted post never does.
    is_gone = post.author.is_deleted(now) or state in _BY_AUTHOR or not (is_live or keeps_title)
    path = permalink(post, post.title if is_live or keeps_title else title)
    data = {
        **_ALWAYS_THE_SAME,
        **_SAME_FOR_POSTS,
        **_author(post.author, is_gone=is_gone),
        **_subreddit(post.subreddit),
        **_times(post, now),
        **_fate(post, state, now),
        **_votes(post, now),
        **_link_flair(post),
        "id": post.id36,
        "is_self": post.kind in ("self", "poll"),
        "name": post.fullname,
        "num_comments": post.comment_count(now),
        "over_18": post.world.draws.share("nsfw", *post.key) < 0.01,
        "permalink": path,
        "selftext": words,
        "selftext_html": f"<!-- SC_OFF -->{text.markdown_html(words)}<!-- SC_ON -->" if words else None,
        "spoiler": post.world.draws.share("spoiler", *post.key) < 0.01,
        "subreddit_subscribers": subscribers(post.subreddit),
        "suggested_sort": "new" if post.is_weekly else None,
        "title": title,
    }
    if not is_live:
        return {"kind": "t3", "data": data | removed_content(post, path)}
    parts = content(post, path, now=now, parent_data=lambda parent: submission(parent, now=now)["data"])
    return {"kind": "t3", "data": data | parts}


def _fate(post: Post, state: State, now: float) -> Thing:
    """Return the keys that tell whether a post is live, and who removed it."""
    is_live = state is State.LIVE
    return {
        "distinguished": "moderator" if post.is_weekly and is_live else None,
        "is_crosspostable": is_live,
        "is_robot_indexable": is_live,
        "locked": state in (State.MODERATOR, State.REDDIT),
        "removed_by": None,
        "removed_by_category": None if is_live else _CATEGORY[state],
        "stickied": post.is_stickied(now) and is_live,
    }


def _votes(post: Post, now: float) -> Thing:
    score = post.score(now)
    is_hidden = now - post.created < post.subreddit.hide_score_seconds
    return {
        "allow_live_comments": score > 500,
        "hide_score": is_hidden,
        "no_follow": score < 10,
        "score": 1 if is_hidden else score,
        "ups": 1 if is_hidden else score,
        "upvote_ratio": 1.0 if is_hidden else post.upvote_ratio,
    }


def _link_flair(post: Post) -> Thing:
    draws = post.world.draws
    has_flair = draws.share("has flair", *post.key) < 0.4
    flair = text.flair(draws.stream("flair", *post.key)) if has_flair else None
    return {
        "link_flair_background_color": "",
        "link_flair_css_class": flair and "",
        "link_flair_richtext": [{"e": "text", "t": flair}] if flair else [],
        "link_flair_text": flair,
        "link_flair_text_color": "dark",
        "link_flair_type": "richtext" if flair else "text",
    }


def comment(item: Comment, *, now: float, depth: int | None = None, replies: Thing | str = "") -> Thing:
    """Return a t1; /api/info gives no depth."""
    state = item.state(now)
    is_live = state is State.LIVE
    is_gone = not is_live or item.author.is_deleted(now)
    words = item.text(now) if is_live else _REMOVED_TEXT[state]
    is_hidden = item.is_score_hidden(now)
    score = item.score(now)
    is_low = is_live and score < COLLAPSED_BELOW
    post = item.post
    data = {
        **_ALWAYS_THE_SAME,
        **_author(item.author, is_gone=is_gone),
        **_subreddit(post.subreddit),
        **_times(item, now),
        "associated_award": None,
        "body": words,
        "body_html": text.markdown_html(words),
        "collapsed": is_low or not is_live,
        "collapsed_because_crowd_control": None,
        "collapsed_reason": "comment score below threshold" if is_low else None,
        "controversiality": 0,
        "distinguished": "moderator" if item.is_notice and is_live else None,
        "id": item.id36,
        "is_submitter": item.is_submitter and not is_gone,
        "link_id": post.fullname,
        "locked": item.is_notice,
        "name": item.fullname,
        "no_follow": True,
        "parent_id": item.parent_fullname,
        "permalink": f"{permalink(post, post.title)}{item.id36}/",
        "replies": replies,
        "score": 1 if is_hidden else score,
        "score_hidden": is_hidden,
        "send_replies": True,
        "stickied": item.is_notice and is_live,
        "ups": 1 if is_hidden else score,
    }
    if not is_gone:
        data |= {
            "collapsed_reason_code": "LOW_SCORE" if is_low else None,
            "comment_type": None,
            "unrepliable_reason": None,
        }
    if depth is not None:
        data["depth"] = depth
    return {"kind": "t1", "data": data}


def subscribers(subreddit: Subreddit) -> int:
    """Return a number of subscribers that fits the number of posts."""
    return int(50_000_000 / subreddit.interval) + subreddit.number % 1_000


def about(subreddit: Subreddit, *, created: int) -> Thing:
    """Return a t5, without the keys for the look of a subreddit."""
    members = subscribers(subreddit)
    description = f"Synthetic posts of r/{subreddit.name}, one every {subreddit.interval:g} seconds or so."
    data = {
        "accounts_active": members // 500,
        "active_user_count": members // 500,
        "advertiser_category": "",
        "allow_galleries": True,
        "allow_images": True,
        "allow_polls": True,
        "allow_videos": True,
        "comment_score_hide_mins": subreddit.hide_score_seconds // 60,
        "created": float(created),
        "created_utc": float(created),
        "description": description,
        "description_html": f"<!-- SC_OFF -->{text.markdown_html(description)}<!-- SC_ON -->",
        "display_name": subreddit.name,
        "display_name_prefixed": f"r/{subreddit.name}",
        "hide_ads": False,
        "icon_img": "",
        "id": base36(subreddit.number),
        "lang": "en",
        "name": subreddit.fullname,
        "over18": False,
        "public_description": description,
        "public_traffic": False,
        "quarantine": False,
        "restrict_posting": True,
        "spoilers_enabled": True,
        "submission_type": "any",
        "submit_text": "",
        "subreddit_type": "public",
        "subscribers": members,
        "suggested_comment_sort": None,
        "title": subreddit.name,
        "url": f"/r/{subreddit.name}/",
        "user_is_banned": None,
        "user_is_moderator": None,
        "user_is_subscriber": None,
        "wiki_enabled": False,
        "wls": 6,
    }
    return {"kind": "t5", "data": data}
