"""What became of an attempt to tell somebody."""

from dataclasses import dataclass
from typing import Self

# As much of a server's answer is kept.
ANSWER_LENGTH = 500


@dataclass(frozen=True)
class Answer:
    """What the receiver's server said, or why it could not be reached."""

    text: str
    is_delivered: bool = False

    @classmethod
    def of_error(cls, error: Exception) -> Self:
        """Return the answer that an error stands for."""
        return cls(f"{type(error).__name__}: {error}"[:ANSWER_LENGTH])
