"""Invented titles, texts and names. Nothing here was written by a Reddit user."""

import random
from itertools import cycle

_THINGS = (
    "bookshelf", "sourdough starter", "hand plane", "tomato seedlings", "telescope mount", "soldering iron",
    "bike rack", "compost heap", "desk lamp", "cast-iron pan", "rain barrel", "workbench", "weather station",
    "fountain pen", "camp stove", "coffee grinder", "star chart", "herb garden", "knitting pattern", "radio kit",
)  # fmt: skip
_PEOPLE = (
    "my neighbour", "my grandmother", "a friend", "the shop", "my partner", "our club", "a stranger", "my kid",
)  # fmt: skip
_DEEDS = (
    "rebuilt", "restored", "painted", "gave up on", "finally finished", "measured", "traded", "repaired",
    "photographed", "broke", "redesigned", "cleaned",
)  # fmt: skip
_PLACES = (
    "the garage", "a tiny balcony", "the basement", "Kraków", "São Paulo", "成都", "the attic", "Reykjavík",
    "a rented flat", "the allotment", "Tromsø", "the shed",
)  # fmt: skip
_MOODS = ("proud", "puzzled", "happy", "tired", "curious", "relieved", "nervous", "grateful")
_SPANS = (
    "a weekend",
    "three months",
    "two evenings",
    "half a year",
    "ten years",
    "an afternoon",
    "one winter",
)
_TITLES = (
    "I {deed} a {thing} in {place} and I am {mood} about it",
    "How do you store a {thing} in {place}?",
    "{person_} {deed} this {thing}; it took {span}",
    "Is a {thing} worth it for a beginner?",
    "[Help] The {thing} in {place} makes a strange noise",
    "{span_} with the new {thing}: what I learned",
    "What is the oldest {thing} you still use?",
    "PSA: check your {thing} before winter",
    "{thing_} or {other}? {person_} says neither",
    "Before and after: the {thing} from {place}",
    "Unpopular opinion: nobody needs a second {thing}",
    "我在{place}做的{thing}，花了很久",
    "Mi {thing} después de {span}: ¿qué opinan?",
)
_SENTENCES = (
    "It started when {person} {deed} a {thing}.",
    "After {span} I still don't know whether that was wise.",
    "The {thing} stood in {place} for years & nobody cared.",
    "You need < 2 hours and > 3 hands.",
    "I was {mood} at first, then {mood}.",
    "**Do not** do it in {place}.",
    "Here is [the plan](https://example.com/plans/{number}) I followed.",
    "{person_} told me to use a {thing} instead.",
    "> The {thing} is fine.\n\nIt was not.",
    "1. measure\n2. measure again\n3. call {person}",
    "It cost {number} in all, most of it for the {thing}.",
    "Any hints are welcome.",
    "`width = {number}` was wrong, obviously.",
    "Thanks to everyone who answered last time! 🙏",
    "在{place}很难买到。",
)
_REPLIES = (
    "This.",
    "That {thing} looks great!",
    "I {deed} mine in {place}, same result.",
    "Source?",
    "Have you asked {person}?",
    "Mine lasted {span}. YMMV.",
    "No. Just no.",
    "Honestly {mood} for you 😊",
    "It depends on the {thing}, but {span} sounds right.",
    "r/{place_word} would love this",
    "See https://example.org/{number} for the long answer.",
    "> {span}\n\nReally? Mine took {number} days.",
    "I tried that. {person_} laughed, then {deed} it anyway.",
    "收藏了，谢谢！",
    "¡Qué bonito!",
    "Came here to say this 👨‍👩‍👧",
)
# Difficult text, as real posts contain it.
_CURIOSITIES = (
    "&#x200B;", "zero\u200bwidth", "caf\u0065\u0301", "שלום \u200f(hello)", "👩🏽‍🚀🏳️‍🌈", "old\r\nline ends",
    "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 🜚", "tab\there", "¯\\_(ツ)_/¯",
)  # fmt: skip
_FLAIRS = ("Discussion", "Question", "Show & Tell", "Help", "Guide 📘", "Meta")
_FIRST = (
    "quiet",
    "brave",
    "late",
    "fuzzy",
    "solar",
    "plain",
    "rusty",
    "lucky",
    "north",
    "paper",
    "green",
    "odd",
)
_SECOND = (
    "otter",
    "maker",
    "lantern",
    "kettle",
    "walker",
    "sparrow",
    "anvil",
    "gardener",
    "pixel",
    "badger",
    "moth",
)


def _fill(rng: random.Random, template: str) -> str:
    person, thing, span, place = (rng.choice(words) for words in (_PEOPLE, _THINGS, _SPANS, _PLACES))
    return template.format(
        person=person,
        person_=person[0].upper() + person[1:],
        thing=thing,
        thing_=thing[0].upper() + thing[1:],
        other=rng.choice(_THINGS),
        span=span,
        span_=span[0].upper() + span[1:],
        place=place,
        place_word=rng.choice(("workshop", "cooking", "gardens")),
        deed=rng.choice(_DEEDS),
        mood=rng.choice(_MOODS),
        number=rng.randint(2, 999),
    )


def title(rng: random.Random) -> str:
    """Return a title of at most 300 characters; one in a hundred has exactly that many."""
    words = _fill(rng, rng.choice(_TITLES))
    if rng.random() < 0.03:
        words += " " + rng.choice(("🎉", "🔧🔧", "👩🏽‍🚀", "𝔣𝔯𝔞𝔨𝔱𝔲𝔯"))
    if rng.random() < 0.01:
        while len(words) < 300:
            words += ", " + _fill(rng, rng.choice(_TITLES))
    return words[:300]


def body(rng: random.Random) -> str:
    """Return a post's text in markdown: often empty, mostly some sentences, rarely 20,000 characters and more."""
    luck = rng.random()
    if luck < 0.15:
        return ""
    wanted = 20_000 + rng.randint(0, 12_000) if luck > 0.995 else rng.randint(60, 1_200)
    text = ""
    sentences = cycle(rng.sample(_SENTENCES, len(_SENTENCES)))
    while len(text) < wanted:
        text += _fill(rng, next(sentences)) + rng.choice((" ", " ", "\n\n"))
    if rng.random() < 0.08:
        text += "\n\n" + rng.choice(_CURIOSITIES)
    return text.strip(" \n")


def reply(rng: random.Random) -> str:
    """Return a comment's text: mostly one sentence, rarely the 10,000 characters Reddit allows."""
    if rng.random() > 0.999:
        return (_fill(rng, rng.choice(_SENTENCES)) * 500)[:10_000].strip()
    text = " ".join(_fill(rng, rng.choice(_REPLIES)) for _ in range(rng.choice((1, 1, 1, 2, 3))))
    return text + " " + rng.choice(_CURIOSITIES) if rng.random() < 0.03 else text


def flair(rng: random.Random) -> str:
    """Return the text of a link flair."""
    return rng.choice(_FLAIRS)


def username(rng: random.Random, number: int) -> str:
    """Return a user name of at most 20 characters; the number of the account keeps it unique."""
    return f"{rng.choice(_FIRST)}{rng.choice('_-')}{rng.choice(_SECOND)}{number}"


def options(rng: random.Random) -> list[str]:
    """Return the two to four answers of a poll."""
    return rng.sample(_THINGS, rng.randint(2, 4))


def markdown_html(text: str) -> str:
    """Return the value of ``body_html``: paragraphs of escaped text, without rendered markdown."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    paragraphs = "\n\n".join(f"<p>{part}</p>" for part in escaped.split("\n\n"))
    return f'<div class="md">{paragraphs}\n</div>'


def slug(title: str) -> str:
    """Return the title's part of a permalink: at most 50 ASCII characters."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in title.lower()).split()
    return "_".join(words)[:50].strip("_") or "post"
