"""Shows and writes what a contact test found; ``toolchain check`` and ``device check`` end so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.cli.output import emit_json, note, print_result, screen_width

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.contact_report import ContactReport


def check_output(output: Path) -> None:
    """Refuse what the report could not be written to, before minutes go into it."""
    from orchestrator.contact_report import is_report
    from orchestrator.errors import ConfigError, escape_control

    said = escape_control(str(output))
    if output.suffix == ".txt" or not output.name:
        msg = f"--output {said}: the readable form of the report takes that name"
        raise ConfigError(msg, hint="Name the document: --output contact-report.json")
    if not output.parent.is_dir():
        msg = f"--output {said}: {escape_control(str(output.parent))} is not a folder"
        raise ConfigError(msg, hint="Make it first, or name another: --output FILE")
    for path in (output, output.with_suffix(".txt")):
        if path.exists() and not (path.is_file() and is_report(path)):
            msg = f"{escape_control(str(path))} exists and is not a contact report"
            raise ConfigError(msg, hint="Name another file: --output FILE.json")


def tell_report(report: ContactReport, output: Path, *, as_json: bool) -> None:
    """Write ``output`` and its readable form beside it, and print the report."""
    from orchestrator.contact_report import as_text, public, shown
    from orchestrator.files import write_atomic

    readable, clean = output.with_suffix(".txt"), public(report)
    write_atomic(output, json.dumps(clean.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_atomic(readable, as_text(clean))
    if as_json:
        emit_json(clean.to_json())
        return
    for line in as_text(shown(report), screen_width()).splitlines():
        print_result(line)
    note(f"written: {output} and {readable.name}; nothing private is in them")
