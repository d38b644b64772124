"""Which findings stand: what explains what, what only repeats it, and in which order they are told.

A run that fails says so many times. What is proven makes some symptoms idle, the first of several
failures is the one that is asserted, and what names the cause comes before what names the symptom.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.diagnose.catalogue import Entry, load_catalogue
from orchestrator.diagnose.finding import SEVERITIES, Diagnosis, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CONFIRM = "the lines around it speak of the same thing"
#: What makes sure of a package that is missing, though it was there before in the same log.
GONE = "it was not taken away on purpose: its own code ran in the lines before"
#: And of what a report tells beside its failure.
ASIDE = "it came in the run that is asked about, too"
#: And where somebody goes on to install what is missing, and cannot.
KEPT_OUT = "pip can install it"
#: And of want of memory that the kernel tells of before the machine was started anew.
STARTED_SINCE = "it came since the machine was started the last time, too"
#: What costs some accuracy at most, and what makes all numbers wrong; beside the second the first
#: is none of the reasons yet.
_COSTS_SOME = frozenset({"C04", "C05", "D01", "O01"})
_MAKES_WRONG = frozenset({"A02", "A03", "A05", "A10", "A1150", "C12", "O15"})
COSTS_SOME = "the result stays bad when the other cause is mended"
#: What shows another failure only where it was not got over.
OF_A_FAILURE = frozenset({"T430"})
#: What only may be the cause, and what it leaves no proof of: two drivers, and no free
#: device, none at all, or a card that does not answer.
DOUBTED = {"R331": frozenset({"R08", "R53", "X281"})}
#: Entries that are about one HEF: another that runs is no end of them.
OF_ONE_FILE = frozenset(
    {
        *("R01", "R02", "R03", "R04", "R05", "R06", "R23", "R35", "R56", "R59", "R71", "R391"),
        *("R470", "R473", "N280", "N340", "H03", "H04", "F29", "F46", "R314", "T13"),
    }
)
#: Stages whose failure lets everything after it fail.
_BEFORE = ("setup", "docker")
#: What apt says of one source, and goes on with the lists that it has of it.
_OF_ONE_SOURCE = ("B05", "M01")
#: Entries that only repeat what a program says of itself.
OWN_WORDS = frozenset({"F24", "F33", "F34", "F35", "G51", "G57", "G80", "V30", "V38", "Y31"})
#: Entries that only say that something failed, or that something was ended.
_SAY_LITTLE = ("T07", "T17", "K02", "R97", "W02", "W03", "W14", "F09", "Y38", "V16")
#: Entries of lines that close a step: what failed stands before them, and may be known to none.
CLOSES = frozenset({"B07", "F39", "G73", "G78", "K17", "M04", "M07", "M16", "M828", "Q33", "R42"})
#: Words of HailoRT's own that name what failed and no reason; the status beside them says as much.
_NO_REASON = re.compile(
    r"says why: (?:failed to (?:create|send|configure|run|wait)|waiting for|timeout)"
    r"|queue .*is full|status ?=",
    re.IGNORECASE,
)


#: From which severity on a proven finding hides what says less of the same.
_HIDES: dict[Severity, Severity] = {"silent": "possible"}


def over(cause: str) -> tuple[str, ...]:
    """Return the entries that say less of the same failure than the entry ``cause``."""
    entry = load_catalogue().get(cause)
    return entry.over if entry else ()


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


def shade(
    found: Sequence[Diagnosis],
    entries: Mapping[str, Entry],
    apart: Callable[[str, str], bool] = lambda _first, _second: False,
) -> list[Diagnosis]:
    """Drop umbrella findings wherever a specific one explains the same failure.

    ``yields_to`` names ids, stages, first letters of ids, or ``*`` for anything specific. ``apart``
    tells of two entries whether the second needs nothing of what failed first.
    """

    def covers(one: Diagnosis, umbrella: Diagnosis) -> bool:
        if "fatal" == one.severity == umbrella.severity and apart(umbrella.id, one.id):
            return False
        entry = entries.get(umbrella.id)
        wanted = entry.yields_to if entry and entry.yields_to else (umbrella.stage,)
        named = one.id in wanted or one.id[0] in wanted
        if one.umbrella:
            if "*" in wanted and one.severity == "fatal" and one.id not in _SAY_LITTLE:
                # What is plain of any program yields to what is known of this one.
                other = entries.get(one.id)
                if other is not None and "*" not in other.yields_to:
                    return True
            # What is told in a build's last line and names its reasons yields to that reason.
            if umbrella.id in CLOSES and one.id in wanted and one.severity == "fatal":
                return True
            # Of two that only name a symptom the one that asserts stays, then the first.
            return named and one is not umbrella and _weight(one) < _weight(umbrella)
        if one.severity == "possible" and umbrella.severity != "possible":
            return False
        if one.id in wanted:
            return True
        proves = one.severity == "fatal" or one.recovered
        return proves and (named or one.stage in wanted or "*" in wanted)

    def plain(one: Diagnosis) -> bool:
        entry = entries.get(one.id)
        return one.umbrella and entry is not None and "*" in entry.yields_to

    def beside(one: Diagnosis) -> bool:
        """Tell whether a possible cause is idle, since one is proven for that line or stage."""
        return one.severity == "possible" and any(
            other.severity == "fatal"
            and (one.umbrella or other.line == one.line or other.stage == one.stage)
            # What names only a symptom makes idle what may come of any program, of the same line.
            and (not other.umbrella or (plain(one) and other.line == one.line))
            for other in found
        )

    def echoed(one: Diagnosis) -> bool:
        """Tell whether a program's own message is said already by what explains that line."""
        return one.id in OWN_WORDS and any(
            other.id not in OWN_WORDS
            and (
                other.severity == "fatal"
                or (other.severity == "possible" and other.line == one.line)
            )
            for other in found
        )

    if any(one.id in _MAKES_WRONG and one.severity not in {"info", "possible"} for one in found):
        found = [possible(one, COSTS_SOME) if one.id in _COSTS_SOME else one for one in found]
    doubted = {name for one in found for name in DOUBTED.get(one.id, ())}
    found = [possible(one, None) if one.id in doubted else one for one in found]
    # What says more of a warning hides that, and nothing that is worse; a reason of worse results
    # that is proven hides what they might come of, too.
    shown = {
        (name, rank)
        for one in found
        if one.severity not in {"possible", "unknown"} and not one.recovered
        for name in over(one.id)
        for rank in SEVERITIES[SEVERITIES.index(_HIDES.get(one.severity, one.severity)) :]
    }
    kept = [
        one
        for one in found
        if (one.id, one.severity) not in shown and not beside(one) and not echoed(one)
    ]
    kept = [one for one in kept if not (one.umbrella and any(covers(x, one) for x in kept))]
    return _in_order(kept, entries, apart)


def _in_order(
    found: Sequence[Diagnosis], entries: Mapping[str, Entry], apart: Callable[[str, str], bool]
) -> list[Diagnosis]:
    """Let only the first of several failures assert: what comes later may follow from it."""
    fatal = [
        one
        for one in found
        if one.severity == "fatal" and one.line is not None and one.id in entries
    ]
    if len({one.file for one in fatal}) > 1:
        return list(found)
    after = [one for one in fatal if one.id not in _OF_ONE_SOURCE]
    if any(one.stage not in _BEFORE for one in after):
        fatal = after
        why = "what is missing comes from that source"
        found = [possible(one, why) if one.id in _OF_ONE_SOURCE else one for one in found]
    first = min(fatal, key=lambda one: one.line or 0, default=None)
    if first is None:
        return list(found)

    def followed(one: Diagnosis) -> Diagnosis | None:
        """Return the failure before ``one`` that it may follow from."""
        if one not in fatal or one.line == first.line:
            return None
        # Another command needs nothing of some that failed before it.
        before = [x for x in fatal if (x.line or 0) < (one.line or 0) and not apart(x.id, one.id)]
        earlier = min(before, key=lambda one: one.line or 0, default=None)
        if earlier is None:
            return None
        plain = "*" in entries[one.id].yields_to or "*" in entries[earlier.id].yields_to
        # Two of one kind in one run: the second nearly always follows from the first.
        kin = plain or earlier.stage in _BEFORE or one.id[0] == earlier.id[0]
        return earlier if kin else None

    def told(one: Diagnosis) -> Diagnosis:
        earlier = followed(one)
        if earlier is None:
            return one
        why = f"it stays when line {earlier.line} is mended"
        if earlier.line == 1:
            # Nobody mends what may be the title of a post.
            why = "it does not follow from what line 1 tells"
        return possible(one, why)

    return [told(one) for one in found]


def _weight(finding: Diagnosis) -> tuple[int, bool, int, str]:
    return (
        SEVERITIES.index(finding.severity),
        finding.id in _SAY_LITTLE,
        finding.line or 1 << 60,
        finding.id,
    )


def rank(finding: Diagnosis) -> tuple[int, bool, int, bool, bool, int]:
    """Order: worst first, specific before general before umbrella, then as they came."""
    entry = load_catalogue().get(finding.id)
    general = entry is not None and bool(entry.yields_to)
    # What costs accuracy without a word is no reason why something ended.
    silent = entry is not None and entry.severity == "silent"
    # That an argument or a call is not valid says less than HailoRT's own words before it.
    alone = finding.id in {"T01", "T04"} and "HAILO_INVALID_" in finding.cause
    # HailoRT's own words (R97) say more than that something was not found or not supported.
    said = finding.id == "R97" and not _NO_REASON.search(finding.cause)
    bare = finding.id in {"T02", "T06", "T08", "T20"}
    # A status that names the service or the driver says more than either.
    telling = finding.id.startswith("T") and not bare
    general_words = 1 if said or telling else 2
    # A program that ends by its own exception has said before what it could not do.
    thrown = finding.id == "G51" or (finding.id == "G11" and "(std::" in finding.cause)
    return (
        SEVERITIES.index(finding.severity),
        silent and finding.severity == "possible",
        2 if alone else general_words if finding.umbrella else 0,
        general or bare,
        finding.id in _SAY_LITTLE or alone or thrown,
        finding.line or 1 << 60,
    )
