"""How sure a finding is, and in which order findings are told: what names the cause comes first."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.finding import SEVERITIES, Diagnosis

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONFIRM = "the lines around it speak of the same thing"
#: What makes sure of a package that is missing, though it was there before in the same log.
GONE = "it was not taken away on purpose: its own code ran in the lines before"
#: And of what a report tells beside its failure.
ASIDE = "it came in the run that is asked about, too"
#: And where somebody goes on to install what is missing, and cannot.
KEPT_OUT = "pip can install it"
#: And of want of memory that the kernel tells of before the machine was started anew.
STARTED_SINCE = "it came since the machine was started the last time, too"
#: What makes sure of what costs some accuracy, beside what makes all numbers wrong.
COSTS_SOME = "the result stays bad when the other cause is mended"
#: Words of HailoRT's own that name what failed and no reason; the status beside them says as much.
_NO_REASON = re.compile(
    r"says why: (?:failed to (?:create|send|configure|run|wait)|waiting for|timeout)"
    r"|queue .*is full|status ?=",
    re.IGNORECASE,
)


def soften(finding: Diagnosis, recovered: bool) -> Diagnosis:
    """Return a failure, proven or possible, as harmless when the same run ended well after it."""
    if recovered and finding.severity in {"fatal", "possible"}:
        return replace(finding, severity="info", recovered=True)
    return finding


def idle_since(over: Sequence[Diagnosis]) -> set[str]:
    """Return of failures that were got over those that only may have been: another one was proven
    in the same step, as where a HEF that was not there could not be parsed, either."""
    proven = [one for one in over if one.severity == "fatal" and not one.umbrella]
    return {
        one.id
        for one in over
        if one.severity == "possible" and any(one.stage == other.stage for other in proven)
    }


def possible(finding: Diagnosis, confirm: str | None) -> Diagnosis:
    """Return a finding as one that may be: its wording is no proof, or it stands elsewhere."""
    if finding.severity in {"info", "possible"}:
        return replace(finding, confirm=confirm) if finding.severity == "possible" else finding
    return replace(finding, severity="possible", confirm=confirm or _CONFIRM)


def rank(finding: Diagnosis) -> tuple[int, bool, int, bool, bool, int]:
    """Order: worst first, specific before general before umbrella, then as they came."""
    entry = load_catalogue().get(finding.id)
    traits = entry.traits if entry else frozenset[str]()
    general = entry is not None and bool(entry.yields_to)
    # What costs accuracy without a word is no reason why something ended.
    silent = entry is not None and entry.severity == "silent"
    # That an argument or a call is not valid says less than HailoRT's own words before it.
    alone = "argument" in traits and "HAILO_INVALID_" in finding.cause
    # These say more than that something was not found or not supported.
    said = "says-why" in traits and not _NO_REASON.search(finding.cause)
    bare = "bare" in traits
    # A status that names the service or the driver says more than either.
    telling = finding.id.startswith("T") and not bare
    general_words = 1 if said or telling else 2
    thrown = "thrown" in traits or ("signal" in traits and "(std::" in finding.cause)
    return (
        SEVERITIES.index(finding.severity),
        silent and finding.severity == "possible",
        2 if alone else general_words if finding.umbrella else 0,
        general or bare,
        "says-little" in traits or alone or thrown,
        finding.line or 1 << 60,
    )
