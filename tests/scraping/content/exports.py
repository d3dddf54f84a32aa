"""Reads exports."""

import json

from scraping.models import PostSighting


def lines(data):
    return [json.loads(line) for line in data.decode().splitlines()]


def titles(data):
    return [line["title"] for line in lines(data)]


def sighting(post, bot):
    PostSighting.objects.create(post=post, config=bot)
    return post
