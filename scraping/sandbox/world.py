"""The content of the synthetic Reddit: each post or comment is computed from its position, none is stored.

A subreddit is an endless stream: post number ``i`` appears about ``i`` intervals after ``EPOCH``. Everything
about it (author, text, score, fate) is drawn from the seed, the subreddit and ``i``. Only the changes by callers and
the requested names are kept, in a journal.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from scraping.sandbox.draws import Draws
from scraping.sandbox.items import (
    AUTHORS,
    COMMENT_BITS,
    EPOCH,
    LEVEL_MAX,
    REPLY_DEPTH_MAX,
    SUBREDDIT_BITS,
    Author,
    Change,
    Comment,
    Post,
    State,
    Subreddit,
)

# The mean time between two posts is drawn from these (seconds); 1,000 posts of the last reach back 250 days.
INTERVALS = (120, 180, 300, 600, 1_200, 3_600, 21_600)
# Subreddits that exist from the start; crossposts come from them, and the demo bots read some.
KNOWN_SUBREDDITS = {
    "HomeWorkshop": 300,
    "NightSkyNotes": 1_200,
    "TinyGardens": 43_200,
    "SlowCooking": 600,
    "OldRadios": 3_600,
    "sandbox_busy": 10,
    "sandbox_quiet": 21_600,
}
SUBREDDIT_NAME = re.compile(r"^(?:u_[A-Za-z0-9_-]{1,30}|[A-Za-z0-9][A-Za-z0-9_]{1,20})$")
FULLNAME = re.compile(r"^(t1|t3)_([0-9a-z]{1,13})$")


class Action(StrEnum):
    """A change of an item."""

    DELETE = "delete"
    REMOVE = "remove"
    REMOVE_BY_REDDIT = "remove_by_reddit"
    VANISH = "vanish"
    EDIT = "edit"
    DELETE_ACCOUNT = "delete_account"
    RESTORE = "restore"


STATE_AFTER = {
    Action.DELETE: State.DELETED,
    Action.REMOVE: State.MODERATOR,
    Action.REMOVE_BY_REDDIT: State.REDDIT,
    Action.VANISH: State.VANISHED,
    Action.RESTORE: State.LIVE,
}


class UnknownItemError(LookupError):
    """There is no item with this fullname."""


# One line of the journal.
Entry = dict[str, str | float | None]


class World:
    """All subreddits of one seed, and the changes by callers.

    Safe to read from several threads. ``journal`` is a file that keeps names and changes across restarts; without
    it, the ids of a subreddit are unknown until its name is requested again.
    """

    def __init__(self, *, seed: int, clock: Callable[[], float], journal: Path | None = None) -> None:
        self.draws = Draws(seed)
        self.clock = clock
        self.changes: dict[str, Change] = {}
        self.accounts: dict[int, bool] = {}  # by the author's number: whether the account exists
        self.version = 0  # counts changes, so that caches can notice them
        self._subreddits: dict[int, Subreddit] = {}
        self._numbers: dict[str, int] = {}
        self._lock = threading.RLock()
        self._journal = journal
        # The structure of a thread never changes, and morechildren needs it again and again.
        self._structures = lru_cache(maxsize=64)(self._reply_structure)
        for name in KNOWN_SUBREDDITS:
            self._register(name)
        if journal and journal.exists():
            self._replay(journal.read_text(encoding="utf-8").splitlines())

    # --- Subreddits

    def subreddit(self, name: str) -> Subreddit:
        """Return the subreddit of this name, in any case; each valid name exists."""
        with self._lock:
            if name.lower() not in self._numbers:
                self._register(name)
                self._write({"subreddit": name})
            return self._subreddits[self._numbers[name.lower()]]

    def _register(self, name: str) -> None:
        key = name.lower()
        if key in self._numbers:
            return
        number = self.draws.integer("subreddit", key) % 2**SUBREDDIT_BITS
        while number in self._subreddits:  # another name has the same hash
            number = (number + 1) % 2**SUBREDDIT_BITS
        interval = KNOWN_SUBREDDITS.get(name, INTERVALS[self.draws.integer("interval", key) % len(INTERVALS)])
        hidden = 3_600 * (self.draws.integer("hide score", key) % 2)
        self._numbers[key] = number
        self._subreddits[number] = Subreddit(number, name, interval, hidden)

    def home(self, *key: int | str) -> Subreddit:
        """Draw one of the subreddits that are always known."""
        names = list(KNOWN_SUBREDDITS)
        return self.subreddit(names[self.draws.integer(*key) % len(names)])

    def latest(self, subreddit: Subreddit, at: float) -> int:
        """Return the index of the newest post at this time; -1 before the first."""
        index = int((at - EPOCH) // subreddit.interval)
        return index if self.post(subreddit, index).created <= at else index - 1

    # --- Items

    def author(self, *key: int | str) -> Author:
        """Draw an author."""
        return Author(self, self.draws.integer(*key) % AUTHORS)

    def post(self, subreddit: Subreddit, index: int) -> Post:
        """Return a post by its subreddit and index."""
        return Post(self, subreddit, index)

    def find(self, fullname: str, now: float) -> Post | Comment | None:
        """Return the post or comment; None if the id is unknown, in the future or vanished."""
        match = FULLNAME.match(fullname)
        if match is None:
            return None
        number = int(match[2], 36)
        comment_number = number % 2**COMMENT_BITS
        if match[1] == "t1":
            number >>= COMMENT_BITS
        index, subreddit_number = number >> SUBREDDIT_BITS, number % 2**SUBREDDIT_BITS
        subreddit = self._subreddits.get(subreddit_number)
        if subreddit is None or index > self.latest(subreddit, now):
            return None
        post = self.post(subreddit, index)
        if match[1] == "t3":
            return None if post.state(now) is State.VANISHED else post
        if comment_number >= post.comment_count(now):
            return None
        comment = post.comment(comment_number)
        return None if comment.state(now) is State.VANISHED else comment

    def level(self, subreddit: Subreddit, index: int) -> int:
        """Return how many rounds the post wins in a knock-out: in round n, winners of 2^(n-1) posts meet in pairs."""
        level = 0
        while level < LEVEL_MAX and (index >> level) & 1 == self._winner(
            subreddit, level, index >> (level + 1)
        ):
            level += 1
        return level

    def _winner(self, subreddit: Subreddit, level: int, pair: int) -> int:
        return self.draws.integer("winner", subreddit.number, level, pair) & 1

    def popular(self, subreddit: Subreddit, first: int, last: int, *, wanted: int) -> Iterator[Post]:
        """Yield the most popular posts of [first, last], at least ``wanted`` if there are so many.

        It walks down from the winners instead of ranking millions of posts.
        """
        rounds = max(0, min(LEVEL_MAX, ((last - first + 1) // wanted).bit_length() - 1))
        for block in range(first >> rounds, (last >> rounds) + 1):
            index = block
            for level in range(rounds - 1, -1, -1):
                index = index << 1 | self._winner(subreddit, level, index)
            if first <= index <= last:
                yield self.post(subreddit, index)

    def reply_structure(self, subreddit: int, index: int, total: int) -> tuple[list[int], list[int]]:
        """Return parent (-1: the post) and depth of each of a post's comments."""
        return self._structures(subreddit, index, total)

    def _reply_structure(self, subreddit: int, index: int, total: int) -> tuple[list[int], list[int]]:
        parents: list[int] = []
        depths: list[int] = []
        is_deep = self.draws.share("deep", subreddit, index) < 0.05
        answers_post, answers_last = (0.05, 0.85) if is_deep else (0.4, 0.7)
        for number in range(total):
            draw, where = self.draws.share("answers", subreddit, index, number), 0.0
            if draw >= answers_post:
                where = self.draws.share("answers which", subreddit, index, number)
            if number == 0 or draw < answers_post:
                parent = -1
            elif draw < answers_last:
                parent = number - 1 - (0 if is_deep else int(where * min(number, 4)))
            else:
                parent = int(where * number)
            if parent >= 0 and depths[parent] >= REPLY_DEPTH_MAX:
                parent = -1
            parents.append(parent)
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return parents, depths

    # --- Changes

    def change(self, fullname: str, action: Action, *, words: str | None = None) -> None:
        """Change an item, as its author, a moderator or Reddit would.

        ``words`` is the new text of an edit. ``DELETE_ACCOUNT`` deletes the author's account, and so the name on all
        their items; ``RESTORE`` undoes all changes and deletions.

        Raises:
            UnknownItemError: there is no such post or comment now.
        """
        with self._lock:
            # A vanished item can be restored, although find() does not return it.
            if fullname not in self.changes and self.find(fullname, self.clock()) is None:
                raise UnknownItemError(fullname)
            entry: Entry = {"fullname": fullname, "action": str(action), "at": self.clock(), "text": words}
            self._apply(entry)
            self._write(entry)

    def _apply(self, entry: Entry) -> None:
        fullname, at, words = str(entry["fullname"]), float(entry["at"] or 0), entry["text"]
        action = Action(str(entry["action"]))
        change = self.changes.get(fullname, Change())
        if action is Action.DELETE_ACCOUNT or action is Action.RESTORE:
            self.changes.pop(fullname, None)
            item = self.find(fullname, at)
            if item and (action is Action.DELETE_ACCOUNT or item.author.is_deleted(at)):
                self.accounts[item.author.number] = action is Action.RESTORE
        if action is Action.RESTORE:
            change = Change(state=State.LIVE)
        elif action is Action.EDIT:
            text_ = f"Edited at {at:.0f}." if words is None else str(words)
            change = replace(change, edited_at=float(int(at)), text=text_)
        elif action in STATE_AFTER:
            change = replace(change, state=STATE_AFTER[action])
        self.changes[fullname] = change
        self.version += 1

    def _write(self, entry: Entry) -> None:
        if self._journal:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _replay(self, lines: list[str]) -> None:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off by a crash
            if "subreddit" in entry:
                self._register(entry["subreddit"])
            else:
                self._apply(entry)
