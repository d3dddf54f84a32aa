"""The JSON objects of Reddit's API: which keys there are, and which of them are absent when.

Recorded answers are the source of every key and type; a contract test holds the two together.
"""

from typing import Any

from scraping.sandbox import text
from scraping.sandbox.draws import base36
from scraping.sandbox.items import Author, Comment, Item, Post, State, Subreddit

REDDIT = "https://www.reddit.com"
ARCHIVED_AFTER = 180 * 86_400  # seconds
COLLAPSED_BELOW = -4  # score

Thing = dict[str, Any]

# A post or comment that vanished is still seen inside a crosspost, or as a gap above its replies.
_BY_AUTHOR = (State.DELETED, State.VANISHED)
# What a removed post says instead of itself. Some keep their title, as the recorded ones do.
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
# Every thing carries these; only its moderators would see anything in them.
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
    """Return the place of comments that were left out: ids of siblings, and how many hang below them in all."""
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
    """Return the ``more`` without ids that stands where a thread gets too deep to show."""
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


def permalink(post: Post, title: str) -> str:
    """Return the path of a post's page."""
    return f"/r/{post.subreddit.name}/comments/{post.id36}/{text.slug(title)}/"


def submission(post: Post, *, now: float) -> Thing:
    """Return a t3."""
    state = post.state(now)
    is_live = state is State.LIVE
    draws = post.world.draws
    title, words = post.title, post.text(now)
    keeps_title = draws.share("keeps title", *post.key) < 0.3
    if not is_live:
        title = title if keeps_title else _REMOVED_TITLE[state]
        words = _REMOVED_TEXT[state] if post.kind in ("self", "poll") else ""
    # A removed link may keep its author: only a deleted post has always lost them.
    is_gone = post.author.is_deleted(now) or state in _BY_AUTHOR or not (is_live or keeps_title)
    score = post.score(now)
    is_hidden = now - post.created < post.subreddit.hide_score_seconds
    flair = (
        text.flair(draws.stream("flair", *post.key)) if draws.share("has flair", *post.key) < 0.4 else None
    )
    data = {
        **_ALWAYS_THE_SAME,
        **_author(post.author, is_gone=is_gone),
        **_subreddit(post.subreddit),
        **_times(post, now),
        "allow_live_comments": score > 500,
        "category": None,
        "clicked": False,
        "content_categories": None,
        "contest_mode": False,
        "discussion_type": None,
        "distinguished": "moderator" if post.is_weekly and is_live else None,
        "hidden": False,
        "hide_score": is_hidden,
        "id": post.id36,
        "is_created_from_ads_ui": False,
        "is_crosspostable": is_live,
        "is_meta": False,
        "is_original_content": False,
        "is_robot_indexable": is_live,
        "is_self": post.kind in ("self", "poll"),
        "link_flair_background_color": "",
        "link_flair_css_class": flair and "",
        "link_flair_richtext": [{"e": "text", "t": flair}] if flair else [],
        "link_flair_text": flair,
        "link_flair_text_color": "dark",
        "link_flair_type": "richtext" if flair else "text",
        "locked": state in (State.MODERATOR, State.REDDIT),
        "media_only": False,
        "name": post.fullname,
        "no_follow": score < 10,
        "num_comments": post.comment_count(now),
        "num_crossposts": 0,
        "over_18": draws.share("nsfw", *post.key) < 0.01,
        "permalink": permalink(post, post.title if is_live or keeps_title else title),
        "pinned": False,
        "pwls": 6,
        "quarantine": False,
        "removed_by": None,
        "removed_by_category": None if is_live else _CATEGORY[state],
        "score": 1 if is_hidden else score,
        "selftext": words,
        "selftext_html": f"<!-- SC_OFF -->{text.markdown_html(words)}<!-- SC_ON -->" if words else None,
        "send_replies": True,
        "spoiler": draws.share("spoiler", *post.key) < 0.01,
        "stickied": post.is_stickied(now) and is_live,
        "subreddit_subscribers": subscribers(post.subreddit),
        "suggested_sort": "new" if post.is_weekly else None,
        "title": title,
        "ups": 1 if is_hidden else score,
        "upvote_ratio": 1.0 if is_hidden else post.upvote_ratio,
        "view_count": None,
        "visited": False,
        "wls": 6,
    }
    data |= (
        _content(post, data["permalink"], now=now) if is_live else _removed_content(post, data["permalink"])
    )
    return {"kind": "t3", "data": data}


def _no_media(thumbnail: str) -> Thing:
    return {
        "is_reddit_media_domain": False,
        "is_video": False,
        "media": None,
        "media_embed": {},
        "secure_media": None,
        "secure_media_embed": {},
        "thumbnail": thumbnail,
        "thumbnail_height": None,
        "thumbnail_width": None,
    }


def _removed_content(post: Post, path: str) -> Thing:
    """Return where a removed post pointed to: Reddit leaves the address of links and galleries in place."""
    if post.kind in ("self", "poll"):
        return _no_media("default") | {"domain": f"self.{post.subreddit.name}", "url": REDDIT + path}
    url, domain = _address(post)
    data = _no_media("default") | {"domain": domain, "url": url, "url_overridden_by_dest": url}
    if post.kind == "gallery":
        data |= {"is_gallery": True, "gallery_data": None}
    return data


def _address(post: Post) -> tuple[str, str]:
    source = post.crosspost_parent or post
    media = _media_id(source, 0)
    return {
        "link": (f"https://news.example.com/{text.slug(source.title)}?id={source.index}", "news.example.com"),
        "image": (f"https://i.redd.it/{media}.jpeg", "i.redd.it"),
        "gallery": (f"{REDDIT}/gallery/{source.id36}", "reddit.com"),
        "video": (f"https://v.redd.it/{media}", "v.redd.it"),
        "rich": (f"https://videos.example.org/watch?v={media}", "videos.example.org"),
    }.get(source.kind, (REDDIT + permalink(source, source.title), f"self.{source.subreddit.name}"))


def _content(post: Post, path: str, *, now: float) -> Thing:
    """Return what makes a link a link, a gallery a gallery and so on."""
    if post.kind in ("self", "poll"):
        data = _no_media("self") | {"domain": f"self.{post.subreddit.name}", "url": REDDIT + path}
        return data | {"poll_data": _poll(post, now)} if post.kind == "poll" else data
    url, domain = _address(post)
    data = _no_media("default") | {"domain": domain, "url": url, "url_overridden_by_dest": url}
    if parent := post.crosspost_parent:
        return data | {
            "crosspost_parent": parent.fullname,
            "crosspost_parent_list": [submission(parent, now=now)["data"]],
        }
    return data | _MEDIA[post.kind](post, url)


def _media_id(post: Post, number: int) -> str:
    return base36(post.world.draws.integer("media", *post.key, number)).rjust(13, "0")


def _preview(media: str) -> Thing:
    address = f"https://preview.redd.it/{media}.jpeg"
    widths = [
        {"url": f"{address}?width={width}&crop=smart&auto=webp&s={media}", "width": width, "height": width}
        for width in (108, 216, 320, 640)
    ]
    source = {"url": f"{address}?auto=webp&s={media}", "width": 1080, "height": 1080}
    image = {"source": source, "resolutions": widths, "variants": {}, "id": media}
    return {"images": [image], "enabled": True}


def _thumbnail(media: str) -> Thing:
    url = f"https://preview.redd.it/{media}.jpeg?width=140&height=140&crop=1:1,smart&auto=webp&s={media}"
    return {"thumbnail": url, "thumbnail_height": 140, "thumbnail_width": 140}


def _link(post: Post, url: str) -> Thing:
    return {"post_hint": "link", "preview": _preview(_media_id(post, 0))}


def _image(post: Post, url: str) -> Thing:
    media = _media_id(post, 0)
    return {
        **_thumbnail(media),
        "is_reddit_media_domain": True,
        "post_hint": "image",
        "preview": _preview(media),
    }


def _gallery(post: Post, url: str) -> Thing:
    count = post.world.draws.between(2, 6, "gallery", *post.key)
    media = [_media_id(post, number) for number in range(count)]
    items = [
        {"caption": "", "media_id": name, "is_deleted": False, "id": post.index + place}
        for place, name in enumerate(media)
    ]
    metadata = {}
    for name in media:
        preview = _preview(name)["images"][0]
        sizes = [{"y": s["height"], "x": s["width"], "u": s["url"]} for s in preview["resolutions"]]
        source = {"y": 1080, "x": 1080, "u": preview["source"]["url"]}
        metadata[name] = {
            "status": "valid",
            "e": "Image",
            "m": "image/jpg",
            "p": sizes,
            "s": source,
            "id": name,
        }
    return {
        **_thumbnail(media[0]),
        "is_gallery": True,
        "gallery_data": {"items": items},
        "media_metadata": metadata,
    }


def _video(post: Post, url: str) -> Thing:
    media = _media_id(post, 0)
    video = {
        "reddit_video": {
            "bitrate_kbps": 2400,
            "fallback_url": f"{url}/CMAF_720.mp4?source=fallback",
            "has_audio": True,
            "height": 1280,
            "width": 720,
            "scrubber_media_url": f"{url}/CMAF_96.mp4",
            "dash_url": f"{url}/DASHPlaylist.mpd?v=1&f=sd",
            "duration": post.world.draws.between(3, 240, "duration", *post.key),
            "hls_url": f"{url}/HLSPlaylist.m3u8?v=1&f=sd",
            "is_gif": False,
            "transcoding_status": "completed",
        }
    }
    return {
        **_thumbnail(media),
        "is_reddit_media_domain": True,
        "is_video": True,
        "media": video,
        "secure_media": video,
        "post_hint": "hosted:video",
        "preview": _preview(media),
    }


def _rich(post: Post, url: str) -> Thing:
    media = _media_id(post, 0)
    player = f'<iframe width="600" height="338" src="{url}"></iframe>'
    oembed = {
        "provider_url": "https://videos.example.org/",
        "title": post.title,
        "html": player,
        "thumbnail_width": 480,
        "height": 338,
        "width": 600,
        "version": "1.0",
        "author_name": "Example Videos",
        "provider_name": "Example Videos",
        "thumbnail_url": f"https://videos.example.org/{media}.jpg",
        "type": "video",
        "thumbnail_height": 360,
        "author_url": "https://videos.example.org/",
    }
    video = {"oembed": oembed, "type": "videos.example.org"}
    embed = {"content": player, "width": 600, "scrolling": False, "height": 338}
    return {
        **_thumbnail(media),
        "media": video,
        "secure_media": video,
        "media_embed": embed,
        "secure_media_embed": {**embed, "media_domain_url": f"https://videos.example.org/embed/{media}"},
        "post_hint": "rich:video",
        "preview": _preview(media),
    }


_MEDIA = {"link": _link, "image": _image, "gallery": _gallery, "video": _video, "rich": _rich}


def _poll(post: Post, now: float) -> Thing:
    closes = post.created + 3 * 86_400
    rng = post.world.draws.stream("poll", *post.key)
    answers: list[Thing] = [
        {"text": answer, "id": str(post.index * 10 + place)} for place, answer in enumerate(text.options(rng))
    ]
    votes = [rng.randint(0, 40) for _ in answers]
    if closes <= now:  # the counts stay secret until the poll has closed
        answers = [answer | {"vote_count": n} for answer, n in zip(answers, votes, strict=True)]
    return {
        "user_selection": None,
        "options": answers,
        "voting_end_timestamp": closes * 1_000,
        "total_vote_count": sum(votes),
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
    """Return a number of members that fits the number of posts."""
    return int(50_000_000 / subreddit.interval) + subreddit.number % 1_000


def about(subreddit: Subreddit, *, created: int) -> Thing:
    """Return a t5, without the keys that only matter to whoever dresses up a subreddit."""
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
