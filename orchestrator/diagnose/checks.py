"""What a doctor's check is: a pure function of collected facts, and what it tells.

Collecting (``facts.py``, the device room) touches the world; checks never do, so that what is
said about Windows or a Pi is tested from recorded facts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Group = Literal["host", "engine", "toolchain", "device"]

FactsT = TypeVar("FactsT")


class Severity(IntEnum):
    """How bad a finding is; ``ERROR`` means that a build or a shipment cannot work."""

    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    ``found`` states the fact with its number, ``why`` what it leads to, ``fix`` the exact
    command or setting (may span lines). An ``OK`` finding needs neither.
    """

    severity: Severity
    found: str
    why: str = ""
    fix: str = ""


def ok(found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Severity.OK, found)


def info(found: str, why: str = "", fix: str = "") -> Finding:
    """Return a finding that is good to know."""
    return Finding(Severity.INFO, found, why, fix)


def warning(found: str, why: str, fix: str) -> Finding:
    """Return a finding that makes things slow, odd or fragile."""
    return Finding(Severity.WARNING, found, why, fix)


def error(found: str, why: str, fix: str) -> Finding:
    """Return a finding that makes things impossible."""
    return Finding(Severity.ERROR, found, why, fix)


@dataclass(frozen=True, slots=True)
class Check(Generic[FactsT]):
    """One check. ``run`` returns ``None`` where it does not apply (another system, no facts)."""

    id: str
    group: Group
    title: str
    run: Callable[[FactsT], Finding | None]


@dataclass(frozen=True, slots=True)
class Result:
    """A finding with the check that made it, ready for the screen or for JSON."""

    id: str
    group: Group
    title: str
    finding: Finding

    def as_json(self) -> dict[str, object]:
        """Return the JSON object of this result; the severity is its lower-case name."""
        document = {"id": self.id, "group": self.group, "title": self.title}
        return {
            **document,
            **asdict(self.finding),
            "severity": self.finding.severity.name.lower(),
        }


def run_checks(checks: Iterable[Check[FactsT]], facts: FactsT) -> tuple[Result, ...]:
    """Run ``checks`` on ``facts`` in their order; those that do not apply are left out."""
    return tuple(
        Result(check.id, check.group, check.title, finding)
        for check in checks
        if (finding := check.run(facts)) is not None
    )


def worst(results: Sequence[Result]) -> Severity:
    """Return the highest severity among ``results``, ``OK`` when there are none."""
    return max((result.finding.severity for result in results), default=Severity.OK)
