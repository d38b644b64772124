"""What is said of a failure that the list does not know: ``python -m tests.corpus.left_out``.

Each log is explained without the entry that it expects, as a log of tomorrow is whose decisive
line is new. Nothing specific may be asserted then. What general entries assert ("that file is not
there") must be true of the line; the score counts them, and a person reads them (``--show``).
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.index import Index
from orchestrator.diagnose.log_reader import read_log
from tests.corpus import PARTS, load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.diagnose.finding import Diagnosis
    from tests.corpus import Case


@dataclass(frozen=True)
class Asserted:
    """What was asserted of a log whose own cause was left out."""

    case: Case
    told: Diagnosis


def without(cases: Iterable[Case]) -> list[Asserted]:
    """Return what is asserted of ``cases`` when the entries that each expects are not known."""
    together: dict[frozenset[str], list[Case]] = defaultdict(list)
    for case in cases:
        if case.expected:
            together[case.expected].append(case)
    known = load_catalogue()
    asserted = []
    for expected, some in together.items():
        rest = Index({name: entry for name, entry in known.items() if name not in expected})
        # What says less of the same failure is right beside it.
        less = {name for one in expected if one in known for name in known[one].over}
        with patch("orchestrator.diagnose.matcher.load_index", lambda rest=rest: rest):
            for case in some:
                asserted += [
                    Asserted(case, one)
                    for one in read_log(case.log.split("\n")).findings()
                    if one.severity == "fatal" and one.id not in expected | less
                ]
    return asserted


def main(*options: str) -> None:
    """Print how many logs get another cause, specific and general, and which entries say it."""
    cases = [one for one in load(*(part for part in PARTS if part != "held_out")) if one.expected]
    asserted = without(cases)
    specific = [one for one in asserted if not one.told.umbrella]
    general = Counter(one.told.id for one in asserted if one.told.umbrella)
    print(f"{len(cases)} logs without the entry that they expect: {len(specific)} specific causes "
          f"asserted, {general.total()} general ones ({general.most_common(12)})")  # fmt: skip
    for one in asserted if "--show" in options else specific:
        print(f"  {one.case.part}/{one.case.name} ({one.case.expect}): {one.told.id} "
              f"{one.told.cause}\n    > {one.told.text}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
