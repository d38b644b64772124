"""A question has the screen for itself, and nobody is asked where nobody is."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli.asking import Asker
from orchestrator.project.survey.questions import Question

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = Question(
    key="chip",
    text="Which chip?",
    default="hailo8l",
    reason="so",
    options=(("hailo8l", "a"), ("hailo8", "b")),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_moves_is_stopped_while_a_question_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("hailo8\n"))
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    moving: list[str] = []

    @contextmanager
    def paused() -> Iterator[None]:
        moving.append("stopped")
        yield
        moving.append("on")

    ask = Asker(yes=False)
    ask.around = paused
    assert ask(QUESTION) == "hailo8"
    assert moving == ["stopped", "on"]
    assert "Which chip?" in screen.getvalue()


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hailo8\n"))
    assert Asker(yes=False)(QUESTION) == "hailo8l"
