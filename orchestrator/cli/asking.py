"""Questions to the person at the terminal: with a default and a reason; never waits for nobody."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from orchestrator.cli.output import note
from orchestrator.language import told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.project.survey.questions import Question

#: Wrong answers after which the default is taken.
PATIENCE = 3


class Asker:
    """Asks on a terminal; elsewhere, or with ``yes``, takes the default and says which."""

    def __init__(self, *, yes: bool) -> None:
        self._asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext
        """What leaves the screen to a question meanwhile."""

    def __call__(self, question: Question) -> str:
        """Return the answer to a question."""
        from orchestrator.errors import escape_control

        meant = dict(question.options)
        shown = escape_control(told(meant.get(question.default, "")))
        if not self._asks:
            default = f"{question.default} ({shown})" if shown else question.default
            if question.default.isdigit() and shown:
                default = shown
            asked = escape_control(told(question.text))
            note(f"{told('taken')}: {asked} {default}: {_plain(question.reason)}")
            return question.default
        with self.around():
            return self._ask(question, meant)

    @staticmethod
    def _ask(question: Question, meant: Mapping[str, str]) -> str:
        from orchestrator.errors import escape_control

        note("")
        note(escape_control(question.text))
        note(f"  ({_plain(question.reason)})")
        for answer, meaning in question.options:
            mark = "*" if answer == question.default else " "
            note(f"  {mark} {answer:<10} {escape_control(told(meaning))}")
        for _ in range(PATIENCE):
            sys.stderr.write(f"{told('answer')} [{question.default}]: ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            answer = line.strip()
            if not line or not answer:
                return question.default
            fitting = [one for one in meant if one == answer] or [
                one for one in meant if one.startswith(answer)
            ]
            if len(fitting) == 1:
                return fitting[0]
            if not meant:
                return answer
            note(f"  one of {', '.join(meant)}")
        return question.default


def _plain(text: str) -> str:
    from orchestrator.errors import escape_control

    return escape_control(" ".join(told(text).split()))
