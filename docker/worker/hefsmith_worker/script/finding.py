"""What a check of a script says: something is wrong, and where."""

from __future__ import annotations

import difflib
from typing import Iterable

from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.script.syntax import Span


def close_to(word: str, known: Iterable[object]) -> str:
    """Return the known word that was probably meant, ``""`` when none is close."""
    found = difflib.get_close_matches(word.lower(), [str(option) for option in known], 1, 0.72)
    return found[0] if found else ""


def at(span: Span, severity: str, code: str, message: str, fix: str = "") -> Finding:
    """Return a finding at the place of ``span``."""
    return Finding(code, severity, message, fix, line=span.line, column=span.column)
