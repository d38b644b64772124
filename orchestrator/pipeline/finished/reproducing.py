"""Build again what a manifest tells of, and compare: bytes, else numbers.

What went in must be the same, or there is nothing to compare. What makes it may differ (another
version of hefsmith, another machine): that is told, and the comparison says whether it matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import sha256_of
from orchestrator.pipeline.finished.kinship import SAME_DB, decibels, difference_words
from orchestrator.pipeline.plan import explain_difference, listed
from orchestrator.reading import plain_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.finished.attest import Statement
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.plan import Plan

Outcome = Literal["bytes", "numbers", "different"]


@dataclass(frozen=True)
class Compared:
    """One file of the manifest beside the one that was made now.

    ``snr_db`` compares arrays where the first build's file is there; it is ``None`` for the rest,
    and without a limit (``inf``) where every number is the same.
    """

    path: str
    same: bool
    snr_db: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Reproduction:
    """What came of it. ``made_by`` is what of the tools differs, ``folder`` the new build."""

    files: tuple[Compared, ...]
    made_by: tuple[str, ...]
    folder: Path

    @property
    def outcome(self) -> Outcome:
        """The same bytes; else the same numbers at every step; else different."""
        if all(one.same for one in self.files):
            return "bytes"
        arrays = [one for one in self.files if one.path.endswith(".npy") and not one.same]
        known = [one.snr_db for one in arrays if one.snr_db is not None]
        compared = any(one.path.endswith(".npy") for one in self.files)
        if compared and len(known) == len(arrays) and all(db >= SAME_DB for db in known):
            return "numbers"
        return "different"

    @property
    def worst_db(self) -> float | None:
        """The worst of the arrays that could be compared."""
        return min((one.snr_db for one in self.files if one.snr_db is not None), default=None)

    @property
    def words(self) -> str:
        """One line for people: what is the same, and how far apart the rest is."""
        if self.outcome == "bytes":
            return "same inputs, same bytes"
        return f"same inputs, other bytes, {difference_words(self.worst_db)}"

    def to_json(self) -> dict[str, object]:
        """Return plain values; endless decibels are ``null``, beside ``same``."""
        return {
            "outcome": self.outcome,
            "words": self.words,
            "worst_db": _finite(self.worst_db),
            "made_by": list(self.made_by),
            "folder": str(self.folder),
            "files": [{**vars(one), "snr_db": _finite(one.snr_db)} for one in self.files],
        }


def _finite(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else round(value, 2)


def need_same_inputs(
    statement: Statement, made: Plan, materials: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what differs of the tools; raises :class:`ConfigError` where what goes in does."""
    asked = plain_values(made.request.parameters)
    found = [f"inputs.{line}" for line in explain_difference(statement.materials, materials)]
    found += [f"recipe.{line}" for line in explain_difference(statement.asked, asked)]
    if found:
        lines = listed([escape_control(line) for line in found])
        raise ConfigError(
            "\n".join(["what goes into the build is not what the manifest tells:", *lines]),
            hint="Check out what it was made of: a digest names the content of each input.",
            code="reproduce.inputs",
        )
    identities = {name: dict(value) for name, value in made.identities.items()}
    told = explain_difference(statement.identity, plain_values(identities))
    if made.emulated != statement.emulated:
        told.insert(0, f"emulated: {statement.emulated} -> {made.emulated}")
    return tuple(escape_control(line) for line in told)


def compare(statement: Statement, build: Build) -> tuple[Compared, ...]:
    """Compare a new build with the files that a manifest vouches for."""
    first = statement.path.parent
    found = []
    for path, digest in sorted(statement.subjects.items()):
        new = build.folder / path
        if not new.is_file():
            found.append(Compared(path, same=False, note="it was not made"))
        elif sha256_of(new) == digest:
            found.append(Compared(path, same=True))
        elif not (first / path).is_file():
            found.append(Compared(path, same=False, note="the first one is not here to compare"))
        elif path.endswith(".npy"):
            found.append(_arrays(path, first / path, new))
        else:
            found.append(Compared(path, same=False, note="other bytes"))
    return tuple(found)


def _arrays(path: str, first: Path, new: Path) -> Compared:
    import numpy as np

    try:
        old, now = (np.load(one, allow_pickle=False, mmap_mode="r") for one in (first, new))
    except (OSError, ValueError) as error:
        return Compared(path, same=False, note=f"it cannot be read: {escape_control(str(error))}")
    if old.shape != now.shape:
        return Compared(path, same=False, note=f"shape {old.shape} -> {now.shape}")
    a, b = np.asarray(old, np.float64), np.asarray(now, np.float64)
    noise = float(np.sum((a - b) ** 2))
    signal = float(np.sum(a**2))
    if noise == 0:
        return Compared(path, same=False, snr_db=float("inf"), note="same numbers, other bytes")
    return Compared(path, same=False, snr_db=decibels(signal, noise))


def summary_lines(files: Sequence[Compared]) -> list[str]:
    """Return a line for each file that is not the same to the byte."""
    lines = []
    for one in files:
        if one.same:
            continue
        words = one.note
        if one.snr_db is not None and one.snr_db != float("inf"):
            words = f"{one.snr_db:.1f} dB"
        lines.append(f"{escape_control(one.path)}: {words}")
    return lines
