"""A question that only a person can answer: with a default, and with why it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Question:
    """``options`` are (answer, what it means); ``default`` is one of the answers.

    Free text is an answer where there are no options.
    """

    key: str
    text: str
    options: tuple[tuple[str, str], ...]
    default: str
    reason: str


class Ask(Protocol):
    """Answers a question, by a person or by its default."""

    def __call__(self, question: Question) -> str:
        """Return the answer."""
