"""How commands speak: results on stdout, everything else on stderr, JSON when asked."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.errors import HefsmithError


def emit_json(document: object) -> None:
    """Print ``document`` as the one JSON document of this command, on stdout."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def print_result(text: str) -> None:
    """Print one line of result on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one plain line for the person at the terminal, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def console(*, stderr: bool = True) -> Console:
    """Return a Rich console; without a terminal it prints plain text, 100 columns wide."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 100
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


def print_error(error: HefsmithError, *, as_json: bool) -> None:
    """Print an error as ``error: ...`` and ``hint: ...`` on stderr, or as JSON on stdout."""
    if as_json:
        emit_json(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    "exit_code": int(error.exit_code),
                }
            }
        )
    note(f"error: {error.message}")
    if error.hint:
        first, *rest = error.hint.splitlines() or [""]
        note(f"hint:  {first}")
        for line in rest:
            note(f"       {line}")
