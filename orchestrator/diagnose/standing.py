"""Which findings stand: what explains what, what only repeats it, what follows from what.

A run that fails says so many times. What is proven makes some symptoms idle, and the first of
several failures is the one that is asserted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.diagnose.catalogue import having, load_catalogue
from orchestrator.diagnose.finding import SEVERITIES, Diagnosis, Severity
from orchestrator.diagnose.ranking import COSTS_SOME, possible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from orchestrator.diagnose.catalogue import Entry

#: Stages whose failure lets everything after it fail.
_BEFORE = ("setup", "docker")
#: From which severity on a proven finding hides what says less of the same.
_HIDES: dict[Severity, Severity] = {"silent": "possible"}
#: What a build foresees, by the entries of which one then tells what came.
FORESEEN = {"calib.count.level": ("O01", "C04", "A09", "D01")}


@dataclass(frozen=True)
class Standing:
    """Decides over the findings of one log.

    ``shown`` are the entries that lines of the log show, others follow from the run as a whole.
    ``apart`` tells of two entries whether the second needs nothing of what failed first.
    """

    shown: Collection[str] = ()
    apart: Callable[[str, str], bool] = lambda _first, _second: False

    def of(self, found: Sequence[Diagnosis]) -> list[Diagnosis]:
        """Return the findings that stand, those that only may be as possible."""
        found = _beside_worse(found)
        less = _says_less(found)
        kept = [
            one
            for one in found
            if (one.id, one.severity) not in less
            and not _idle(one, found)
            and not _echo(one, found)
        ]
        kept = [
            one for one in kept if not (one.umbrella and any(self._covers(x, one) for x in kept))
        ]
        return self._first_asserts(kept)

    def _covers(self, one: Diagnosis, umbrella: Diagnosis) -> bool:
        """Tell whether ``one`` explains what the other, an umbrella, only tells.

        ``yields_to`` names ids, stages, first letters of ids, or ``*`` for anything specific.
        """
        if "fatal" == one.severity == umbrella.severity and self.apart(umbrella.id, one.id):
            return False
        entry = _entry(umbrella)
        wanted = entry.yields_to if entry and entry.yields_to else (umbrella.stage,)
        named = one.id in wanted or one.id[0] in wanted
        if one.umbrella:
            return _more_exact(one, umbrella, wanted, named=named)
        if one.severity == "possible" and umbrella.severity != "possible":
            return False
        if one.id in wanted:
            return True
        proves = one.severity == "fatal" or one.recovered
        return proves and (named or one.stage in wanted or "*" in wanted)

    def _first_asserts(self, found: Sequence[Diagnosis]) -> list[Diagnosis]:
        """Let only the first of several failures assert: what comes later may follow from it."""
        fatal = [
            one
            for one in found
            if one.severity == "fatal" and one.line is not None and one.id in self.shown
        ]
        if len({one.file for one in fatal}) > 1:
            return list(found)
        of_one_source = having("one-source")
        after = [one for one in fatal if one.id not in of_one_source]
        if any(one.stage not in _BEFORE for one in after):
            fatal = after
            why = "what is missing comes from that source"
            found = [possible(one, why) if one.id in of_one_source else one for one in found]
        fatal.sort(key=_line)
        return [self._told(one, fatal) for one in found]

    def _told(self, one: Diagnosis, fatal: Sequence[Diagnosis]) -> Diagnosis:
        """Return ``one`` as possible where it may follow from a failure before it."""
        earlier = self._followed(one, fatal)
        if earlier is None:
            return one
        why = f"it stays when line {earlier.line} is mended"
        if earlier.line == 1:
            # Nobody mends what may be the title of a post.
            why = "it does not follow from what line 1 tells"
        return possible(one, why)

    def _followed(self, one: Diagnosis, fatal: Sequence[Diagnosis]) -> Diagnosis | None:
        """Return the failure of ``fatal`` (in their order) that ``one`` may follow from."""
        if one not in fatal:
            return None
        # Another command needs nothing of some that failed before it.
        before = (x for x in fatal if _line(x) < _line(one) and not self.apart(x.id, one.id))
        earlier = next(before, None)
        if earlier is None:
            return None
        # Two of one kind in one run: the second nearly always follows from the first.
        plain = _is_plain(one) or _is_plain(earlier)
        kin = plain or earlier.stage in _BEFORE or one.id[0] == earlier.id[0]
        return earlier if kin else None


def told_already(name: str, others: Iterable[str]) -> bool:
    """Tell whether one of ``others`` tells what ``name`` tells, with a better reason."""
    known = load_catalogue()
    given = set(others)
    if given & set(FORESEEN.get(name, ())):
        return True
    return any(name in known[other].over for other in given - {name} if other in known)


def _entry(one: Diagnosis) -> Entry | None:
    return load_catalogue().get(one.id)


def _line(one: Diagnosis) -> int:
    return one.line or 0


def _is_plain(one: Diagnosis) -> bool:
    """Tell whether a finding may come of any program, so that anything specific hides it."""
    entry = _entry(one)
    return entry is not None and "*" in entry.yields_to


def _beside_worse(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Return as possible what is no reason yet beside another finding."""
    wrong = having("makes-wrong")
    some = having("costs-some")
    if any(one.id in wrong and one.severity not in {"info", "possible"} for one in found):
        found = [possible(one, COSTS_SOME) if one.id in some else one for one in found]
    entries = filter(None, map(_entry, found))
    doubted = {name for entry in entries for name in entry.doubts}
    return [possible(one, None) if one.id in doubted else one for one in found]


def _says_less(found: Sequence[Diagnosis]) -> set[tuple[str, Severity]]:
    """Return which findings, by id and severity, say less than one that is proven.

    What says more of a warning hides that, and nothing that is worse; a reason of worse results
    that is proven hides what they might come of, too.
    """
    known = load_catalogue()
    return {
        (name, rank)
        for one in found
        if one.id in known and one.severity not in {"possible", "unknown"} and not one.recovered
        for name in known[one.id].over
        for rank in SEVERITIES[SEVERITIES.index(_HIDES.get(one.severity, one.severity)) :]
    }


def _idle(one: Diagnosis, found: Iterable[Diagnosis]) -> bool:
    """Tell whether a possible cause is idle, since one is proven for that line or stage."""
    return one.severity == "possible" and any(
        other.severity == "fatal"
        and (one.umbrella or other.line == one.line or other.stage == one.stage)
        # What names only a symptom makes idle what may come of any program, of the same line.
        and (not other.umbrella or (one.umbrella and _is_plain(one) and other.line == one.line))
        for other in found
    )


def _echo(one: Diagnosis, found: Iterable[Diagnosis]) -> bool:
    """Tell whether a program's own message is said already by what explains that line."""
    own = having("own-words")
    return one.id in own and any(
        other.id not in own
        and (other.severity == "fatal" or (other.severity == "possible" and other.line == one.line))
        for other in found
    )


def _more_exact(
    one: Diagnosis, umbrella: Diagnosis, wanted: Collection[str], *, named: bool
) -> bool:
    """Tell whether one umbrella says more than another, which yields to ``wanted``."""
    if one.severity == "fatal":
        # What is plain of any program yields to what is known of this one.
        little = having("says-little")
        if "*" in wanted and one.id not in little and _entry(one) and not _is_plain(one):
            return True
        # What is told in a build's last line and names its reasons yields to that reason.
        if umbrella.id in having("closes") and one.id in wanted:
            return True
    # Of two that only name a symptom the one that asserts stays, then the first.
    return named and one is not umbrella and _weight(one) < _weight(umbrella)


def _weight(finding: Diagnosis) -> tuple[int, bool, int, str]:
    return (
        SEVERITIES.index(finding.severity),
        finding.id in having("says-little"),
        finding.line or 1 << 60,
        finding.id,
    )
