"""Analyses on disk: of a folder, and the one that belongs to a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hefsmith_worker.contract.layout import ANALYSIS

from orchestrator.errors import ArtifactError
from orchestrator.pipeline.finished.builds import read_build
from orchestrator.reading import read_json
from orchestrator.report.analysis import Analysis, read_analysis

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build

#: Folder beside a model's builds, with an analysis for each chip.
FOLDER = ".analysis"


def load_analysis(build: Build) -> Analysis:
    """Return the analysis in a folder; raises :class:`ArtifactError` where there is none."""
    try:
        return read_analysis(read_json(build.folder / ANALYSIS))
    except (OSError, ValueError) as error:
        msg = f"{build.folder / ANALYSIS} cannot be read: {error}"
        raise ArtifactError(msg, hint="Make it again: hef analyze MODEL --fresh") from None


def analysis_beside(build: Build, place: Path | None = None) -> Analysis | None:
    """Return the analysis of this very quantised network, ``None`` where there is none.

    ``place`` is the folder of the model's builds, by default the one that this build stands in.
    """
    if (build.folder / ANALYSIS).is_file():  # a build of the past keeps its own
        try:
            return load_analysis(build)
        except ArtifactError:
            return None
    found = read_build((place or build.folder.parent) / FOLDER / build.arch)
    if found is None:
        return None
    same = found.summary.get("why", {}).get("optimize")
    if same is None or same != build.summary.get("why", {}).get("optimize"):
        return None
    try:
        return load_analysis(found)
    except ArtifactError:
        return None
