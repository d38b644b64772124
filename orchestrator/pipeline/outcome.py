"""What came of one build, typed: the command line prints it, ``orchestrator.api`` returns it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hefsmith_worker.contract.findings import Finding

    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.proof import Proof


@dataclass(frozen=True)
class StageOutcome:
    """One stage of a build: whether its result was there, and the seconds that it took to make.

    ``seconds`` is ``None`` where that is not known.
    """

    name: str
    cached: bool
    seconds: float | None


@dataclass(frozen=True)
class BuildResult:
    """A finished build: what it is, where it lies, what was found, and what the device said.

    ``proof`` is ``None`` unless the build was shipped and validated.
    """

    build: Build
    stages: tuple[StageOutcome, ...]
    proof: Proof | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.build.model

    @property
    def arch(self) -> str:
        """Chip that it was compiled for."""
        return self.build.arch

    @property
    def toolchain(self) -> str:
        """Name of what compiled it."""
        return str(self.build.summary["toolchain"])

    @property
    def emulated(self) -> bool:
        """Whether the emulator compiled it: then no number of it is a measure of a chip."""
        return self.build.emulated

    @property
    def folder(self) -> Path:
        """Folder of the build."""
        return self.build.folder

    @property
    def hef(self) -> Path:
        """The HEF."""
        return self.build.hef

    @property
    def key(self) -> str:
        """Digest of everything that decided the build."""
        return self.build.key

    @property
    def cached(self) -> bool:
        """Whether no stage had to run."""
        return all(stage.cached for stage in self.stages)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What its stages and the comparison of asked and ran found."""
        return self.build.findings

    @property
    def digests(self) -> Mapping[str, str]:
        """The sha256 of every file of the build, by its path in the folder."""
        return {file["path"]: file["sha256"] for file in self.build.summary["files"]}

    @property
    def passed(self) -> bool:
        """Whether the device's verdict is within the recipe's thresholds; true without one."""
        return self.proof is None or self.proof.passed

    def to_json(self) -> dict[str, object]:
        """Return the whole outcome as JSON values; the screen shows a part of it."""
        from orchestrator.pipeline.judgement import rows

        summary = self.build.summary
        return {
            "model": self.model,
            "arch": self.arch,
            "toolchain": self.toolchain,
            "emulated": self.emulated,
            "engine": summary.get("engine") or None,
            "folder": str(self.folder),
            "hef": str(self.hef),
            "stages": {
                stage.name: {"cached": stage.cached, "seconds": stage.seconds}
                for stage in self.stages
            },
            "asked": summary["asked"],
            "ran": summary["ran"],
            "asked_and_ran": [asdict(row) for row in rows(summary)],
            "results": {name: entry["result"] for name, entry in summary["stages"].items()},
            "findings": summary["findings"],
            "artifacts": summary["files"],
            "proof": self.proof.to_json() if self.proof is not None else None,
        }


def outcome_of(build: Build, plan: Plan | None, proof: Proof | None = None) -> BuildResult:
    """Return the outcome of a build; without the ``plan`` every stage counts as made just now."""
    told = build.summary["stages"]
    cached = (
        dict.fromkeys(told, False)
        if plan is None
        else {stage.name: stage.entry is not None for stage in plan.stages}
    )
    stages = tuple(
        StageOutcome(name, was, told.get(name, {}).get("seconds")) for name, was in cached.items()
    )
    return BuildResult(build, stages, proof)
