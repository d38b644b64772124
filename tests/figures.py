"""Figures that a command measured, in the page that shows them: between two comments."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return rows of what was measured and its figure, and where and when, as Markdown."""
    lines = ["| what | figure |", "|---|---|", *(f"| {what} | {said} |" for what, said in rows)]
    made = (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}, {os.cpu_count()} cores, "
        f"a load of {os.getloadavg()[0]:.0f} at the end."
    )
    return "\n".join([*lines, "", made])


def machine() -> str:
    """Return the Python and the system that measured."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def shown(page: str) -> str:
    """Return what stands between the marks of a page of the docs."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.partition("<!-- figures: start -->\n")[2].partition("<!-- figures: end -->")[0]


def show(page: str, text: str) -> None:
    """Put a text between the marks of a page of the docs."""
    whole = (DOCS / page).read_text(encoding="utf-8")
    before, start, rest = whole.partition("<!-- figures: start -->\n")
    _, end, after = rest.partition("<!-- figures: end -->")
    assert start and end, f"docs/{page} has no marks for figures"
    whole = f"{before}{start}{text.strip()}\n{end}{after}"
    (DOCS / page).write_text(whole, encoding="utf-8", newline="\n")
