"""Emulated: the profiler's report; nothing was profiled, and the page says so."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


class ReactReportGenerator:
    """Writes what ``ClientRunner.profile`` returned as a page."""

    def __init__(self, export: Mapping[str, Any], out_path: str | os.PathLike[str]) -> None:
        self.export, self.out_path = export, Path(out_path)

    def create_report(self, should_open_web_browser: bool = True) -> list[list[str]]:
        """Write the page and return its table; no browser is opened."""
        del should_open_web_browser
        text = html.escape(json.dumps(self.export, indent=1, default=str))
        self.out_path.write_text(
            f"<!doctype html><title>emulated</title><p>Emulated: no chip was profiled.</p>"
            f"<pre>{text}</pre>\n",
            encoding="utf-8",
        )
        return [[str(key), str(value)] for key, value in self.export.get("stats", {}).items()]
