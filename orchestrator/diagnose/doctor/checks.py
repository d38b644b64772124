"""What a doctor's check is: a pure function of collected facts, and what it tells.

Collecting (``facts.py``, the device room) touches the world; checks never do, so that what is
said about Windows or a Pi is tested from recorded facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from hefsmith_worker.contract.findings import ERROR, INFO, OK, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Group = Literal["host", "engine", "toolchain", "device"]

FactsT = TypeVar("FactsT")


def ok(message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("", OK, message)


def info(message: str, why: str = "", fix: str = "") -> Finding:
    """Return a finding that is good to know."""
    return Finding("", INFO, message, fix, why=why)


def warning(message: str, why: str, fix: str) -> Finding:
    """Return a finding that makes things slow, odd or fragile."""
    return Finding("", WARNING, message, fix, why=why)


def error(message: str, why: str, fix: str) -> Finding:
    """Return a finding that makes things impossible."""
    return Finding("", ERROR, message, fix, why=why)


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
        """Return the JSON object of this result."""
        return {
            "id": self.id,
            "group": self.group,
            "title": self.title,
            "severity": self.finding.severity,
            "found": self.finding.message,
            "why": self.finding.why,
            "fix": self.finding.fix,
        }


def run_checks(checks: Iterable[Check[FactsT]], facts: FactsT) -> tuple[Result, ...]:
    """Run ``checks`` on ``facts`` in their order; those that do not apply are left out."""
    return tuple(
        Result(check.id, check.group, check.title, replace(finding, code=check.id))
        for check in checks
        if (finding := check.run(facts)) is not None
    )
