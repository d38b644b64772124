"""What HailoRT's Python binding does on a device where public sources leave it open, as rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.contact_report import Row
from orchestrator.device.joblog import text_of
from orchestrator.device.validation import beside_jobs, job_script
from orchestrator.errors import HefsmithError, escape_control, last_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.device.base import JobResult, JobRunner

#: Seconds for the questions; starting Python and opening the chip takes most of them.
LIMIT: Final = 60.0

READ_ONLY, NUMPY, EXIT = "read-only arrays", "numpy and the binding", "end of the program"

#: How the library's log names the bytes that it saw of a frame.
_SEEN: Final = re.compile(r"(?:buffer size|passed size -) ?(\d+)\b")

_NUMPY_FIX = "pip install 'numpy<2', in a venv made with --system-site-packages"


def ask_binding(runner: JobRunner, hef: Path) -> tuple[Row, ...]:
    """Ask the binding; a device that does not answer in time, or fails, is told in the rows."""
    try:
        done = runner.run_job(
            job_script("contact"), files={**beside_jobs(), "model.hef": hef},
            request={"hef": "model.hef"}, timeout=LIMIT,
        )  # fmt: skip
    except HefsmithError as error:
        asked = [Row(check=one, state="not asked", found="") for one in (READ_ONLY, NUMPY)]
        return (*asked, Row(check=EXIT, state="error", found=error.message, fix=error.hint or ""))
    return judge(done)


def judge(done: JobResult) -> tuple[Row, ...]:
    """Make rows of what the job said, logged and ended with."""
    answers = {
        text_of(one.get("check")): text_of(one.get("found"))
        for one in done.events
        if one.get("event") == "answer"
    }
    failed = next((one for one in done.events if one.get("event") == "failed"), None)
    why = (text_of(failed.get("message")) or "it failed") if failed is not None else ""
    return (_read_only(answers, why), _numpy(answers, done.log, why), _exit(done, why))


def _not_asked(check: str, why: str) -> Row:
    return Row(check=check, state="not asked", found=escape_control(why))


def _read_only(answers: Mapping[str | None, str | None], why: str) -> Row:
    found = answers.get("read-only")
    if found is None:
        return _not_asked(READ_ONLY, why)
    told = "taken" if found == "taken" else "refused, as known; hefsmith's are writable"
    return Row(check=READ_ONLY, state="ok", found=told)


def _numpy(answers: Mapping[str | None, str | None], log: str, why: str) -> Row:
    version = escape_control(answers.get("numpy") or "")
    if answers.get("eight-bytes") is None:
        return _not_asked(NUMPY, why)
    seen = _SEEN.search(log)
    if seen is None:
        return Row(check=NUMPY, state="ok", found=f"numpy {version}; no word about its bytes")
    found = f"numpy {version}: an array of 8 bytes has {seen[1]}"
    if seen[1] == "0":
        return Row(check=NUMPY, state="error", found=found, fix=_NUMPY_FIX)
    return Row(check=NUMPY, state="ok", found=found)


def _exit(done: JobResult, why: str) -> Row:
    if why:
        # What the chip answered is in the rows of the runs, with its cure.
        return Row(check=EXIT, state="not asked", found=escape_control(why))
    if done.code == 0:
        return Row(check=EXIT, state="ok", found="as it should")
    if bool(done):
        return Row(
            check=EXIT,
            state="warning",
            found=f"code {done.code} after all was done: HailoRT's binding dies while Python ends",
            fix="Jobs of hefsmith are not harmed. End your own programs with os._exit(0).",
        )
    last = last_line(done.log, "")
    found = f"code {done.code}, before all was done{': ' + last if last else ''}"
    return Row(check=EXIT, state="error", found=escape_control(found), fix="hef doctor --device")
