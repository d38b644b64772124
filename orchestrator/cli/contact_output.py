"""Shows and writes what a contact test found; ``toolchain check`` and ``device check`` end so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.cli.output import emit_json, note, print_result, screen_width

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.contact_report import ContactReport


def tell_report(report: ContactReport, output: Path, *, as_json: bool) -> None:
    """Write ``output`` and its readable form beside it, and print the report."""
    from orchestrator.contact_report import as_text
    from orchestrator.files import write_atomic

    readable = output.with_suffix(".txt")
    write_atomic(output, json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_atomic(readable, as_text(report))
    if as_json:
        emit_json(report.to_json())
        return
    for line in as_text(report, screen_width()).splitlines():
        print_result(line)
    note(f"written: {output} and {readable.name}; nothing private is in them")
