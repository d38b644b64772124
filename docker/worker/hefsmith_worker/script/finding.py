"""What a check of a script says: something is wrong, and where."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Dict, Iterable

from hefsmith_worker.script.syntax import Span


@dataclass(frozen=True)
class Finding:
    """Something wrong with a script, and where. ``severity`` is error, warning or info."""

    severity: str
    code: str
    line: int
    column: int
    message: str
    hint: str = ""

    def to_dict(self) -> Dict[str, object]:
        """Return the finding as JSON can hold it."""
        return {
            "severity": self.severity,
            "code": self.code,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint or None,
        }


def close_to(word: str, known: Iterable[object]) -> str:
    """Return the known word that was probably meant, ``""`` when none is close."""
    found = difflib.get_close_matches(word.lower(), [str(option) for option in known], 1, 0.72)
    return found[0] if found else ""


def at(span: Span, severity: str, code: str, message: str, hint: str = "") -> Finding:
    """Return a finding at the place of ``span``."""
    return Finding(severity, code, span.line, span.column, message, hint)
