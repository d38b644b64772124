"""Short logs of real situations with what is right, and the score of ``hef explain`` on them.

One file a log: a head in YAML (``expect``, ``source``), a line ``---``, the log. ``expect`` is the
id of the cause (several with ``|`` where each is right), ``unknown`` where the list cannot know,
or ``none`` where nothing must be asserted. Written by us after public reports: only message lines
of the programs are theirs.

Rules are tuned on ``open`` alone. ``held_out`` is only run; a rule that lowers its precision is not
taken. ``python -m tests.corpus`` prints the score.

A part is a folder with a file ``about.txt``: where its logs come from, and how many were right when
it was first run, before anything was mended after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.diagnose.log_reader import read_log

HERE = Path(__file__).resolve().parent
PARTS = tuple(sorted(path.parent.name for path in HERE.glob("*/about.txt")))


@dataclass(frozen=True)
class Case:
    """One log; ``expected`` holds the ids that are right, none of them for ``unknown``."""

    name: str
    part: str
    expect: str
    source: str
    log: str

    @property
    def expected(self) -> frozenset[str]:
        """Ids of the right causes."""
        ids = {one.strip() for one in self.expect.split("|")}
        return frozenset(ids - {"unknown", "none"})


@dataclass(frozen=True)
class Result:
    """What was said: ``right``, ``wrong`` (a wrong cause asserted as fatal) or ``unknown``."""

    case: Case
    verdict: str
    told: dict[str, str]


def load(*parts: str) -> list[Case]:
    """Return the cases of ``parts``, of all where none is named."""
    cases = []
    for part in parts or PARTS:
        for path in sorted((HERE / part).glob("*.log")):
            head, _, log = path.read_text("utf-8").partition("\n---\n")
            fields = yaml.safe_load(head)
            cases.append(Case(path.stem, part, fields["expect"], fields["source"], log))
    return cases


def judge(case: Case) -> Result:
    """Explain one log and say whether that is right."""
    findings = read_log(case.log.split("\n")).findings()
    told = {one.id: one.severity for one in findings}
    fatal = {name for name, severity in told.items() if severity == "fatal"}
    if fatal - case.expected:
        return Result(case, "wrong", told)
    if case.expect == "none":
        return Result(case, "right", told)
    if case.expect == "unknown":
        return Result(case, "right" if not fatal else "wrong", told)
    # The right cause counts when it is asserted, or when it is the first of the possible ones.
    first = next((one.id for one in findings if one.severity == "possible"), None)
    named = {name for name, severity in told.items() if severity != "possible"} | {first}
    return Result(case, "right" if case.expected & named else "unknown", told)


def score(*parts: str) -> dict[str, list[Result]]:
    """Return the results of all cases of ``parts`` by verdict."""
    results: dict[str, list[Result]] = {"right": [], "wrong": [], "unknown": []}
    for case in load(*parts):
        result = judge(case)
        results[result.verdict].append(result)
    return results
