"""Repeatable pseudo-random numbers: hashes of a seed and a key."""

import random
from hashlib import blake2b

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Draws:
    """Returns the same number for the same seed and key, in any order, in any process."""

    def __init__(self, seed: int) -> None:
        self._key = str(seed).encode()[:64]

    def integer(self, *key: int | str) -> int:
        """Return an integer of 64 bits."""
        text = "\x1f".join(map(str, key)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "big")

    def share(self, *key: int | str) -> float:
        """Return a float of [0, 1)."""
        return (self.integer(*key) >> 11) / 2**53  # 53 bits: the division is exact, 1.0 cannot come out

    def between(self, low: int, high: int, *key: int | str) -> int:
        """Return an integer of [low, high]."""
        return low + self.integer(*key) % (high - low + 1)

    def stream(self, *key: int | str) -> random.Random:
        """Return a generator for text and other things that need many numbers."""
        return random.Random(self.integer(*key))  # noqa: S311  # repeatable on purpose; nothing here is secret


def base36(number: int) -> str:
    """Return the number as Reddit writes ids: base 36, lower case."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = ALPHABET[digit] + digits
    return digits or "0"
