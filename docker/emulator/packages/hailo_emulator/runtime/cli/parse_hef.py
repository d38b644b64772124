"""``parse-hef``: what the vendor's tool says about a file. No device is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from hailo_emulator.runtime.hef import compiled_for
from hailo_emulator.runtime.status import STATUS_NAMES, exception_from_status, log, status_of

if TYPE_CHECKING:
    from pathlib import Path

    from hailo_emulator.runtime.settings import Setup
    from orchestrator.hef import Hef


def print_hefs(setup: Setup, path: Path, *, streams: bool) -> int:
    """Print one HEF, or every ``*.hef`` of a folder; return the exit status."""
    if not path.is_dir():
        return _print_one(setup, path, streams=streams)
    found = sorted(item for item in path.iterdir() if item.suffix == ".hef")
    for item in found:
        print("*" * 80)
        print(f"Parsing {item}:")
        status = _print_one(setup, item, streams=streams)
        if status:
            return status
    if not found:
        text = f"CHECK failed - No HEF files were found in the directory: {path}"
        log("error", text, source="HailoRT CLI")
        return 2
    return 0


def _print_one(setup: Setup, path: Path, *, streams: bool) -> int:
    """Print one HEF; the vendor's tool overlooks some damage that our reader finds."""
    from orchestrator.hef import HefError, examine_hef
    from orchestrator.hef.vendor import vendor_text

    found = examine_hef(path)
    if found.vendor_status != 0 or found.hef is None:
        first = found.problems[0].message if found.problems else "HEF cannot be parsed"
        # Where the vendor's tool crashes (no status), a clear error is the better stand-in.
        _refuse(first, 26 if found.vendor_status is None else found.vendor_status)
    try:
        text = vendor_text(found.hef, parse_streams=streams)
    except HefError as error:
        _refuse(error.message, 26 if error.status is None else error.status)
    text = _for_version(setup, found.hef, text)
    print(text, end="" if text.endswith("\n") else "\n")
    return 0


def _refuse(text: str, status: int) -> NoReturn:
    log("error", f"CHECK failed - {text}")
    raise exception_from_status(status_of(STATUS_NAMES[status]))


def _for_version(setup: Setup, hef: Hef, text: str) -> str:
    """Return the text of 5.2 as earlier versions print it: other words in the first lines."""
    lines = text.splitlines(keepends=True)
    if setup.hailort < (5, 2, 0):
        lines = [line for line in lines if not line.startswith("HEF Compiler Version")]
    if setup.hailort < (5, 1, 1):
        lines[0] = f"Architecture HEF was compiled for: {compiled_for(hef)}\n"
    return "".join(lines)
