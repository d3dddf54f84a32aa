"""The content of a post besides its text: link, picture, gallery, video, player, poll.

Recorded answers are the source of every key and type, as in ``shapes``.
"""

from collections.abc import Callable
from typing import Any

from scraping.sandbox import text
from scraping.sandbox.draws import base36
from scraping.sandbox.items import Post

REDDIT = "https://www.reddit.com"
Thing = dict[str, Any]


def permalink(post: Post, title: str) -> str:
    """Return the path of a post's page."""
    return f"/r/{post.subreddit.name}/comments/{post.id36}/{text.slug(title)}/"


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


def removed_content(post: Post, path: str) -> Thing:
    """Return the link of a removed post: Reddit keeps the address of links and galleries."""
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


def content(post: Post, path: str, *, now: float, parent_data: Callable[[Post], Thing]) -> Thing:
    """Return the keys that depend on the kind of post, such as link or gallery.

    ``parent_data``: shapes the post that a crosspost shows.
    """
    if post.kind in ("self", "poll"):
        data = _no_media("self") | {"domain": f"self.{post.subreddit.name}", "url": REDDIT + path}
        return data | {"poll_data": _poll(post, now)} if post.kind == "poll" else data
    url, domain = _address(post)
    data = _no_media("default") | {"domain": domain, "url": url, "url_overridden_by_dest": url}
    if parent := post.crosspost_parent:
        return data | {
            "crosspost_parent": parent.fullname,
            "crosspost_parent_list": [parent_data(parent)],
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
    if closes <= now:  # the counts are hidden until the poll is closed
        answers = [answer | {"vote_count": n} for answer, n in zip(answers, votes, strict=True)]
    return {
        "user_selection": None,
        "options": answers,
        "voting_end_timestamp": closes * 1_000,
        "total_vote_count": sum(votes),
    }
