"""Analyse a model: its quantised network without a HEF, beside the artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hefsmith_worker.contract.options import AnalyzeOptions

from orchestrator.pipeline.analyses import FOLDER, load_analysis

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch
    from orchestrator.report.analysis import Analysis


def analyse(
    session: BuildSession, loaded: LoadedRecipe, arch: Arch, folder: Path | None = None
) -> tuple[Build, Analysis]:
    """Return the analysis of a recipe for a chip, made now if need be, and what it stands on."""
    place = folder or session.artifacts / loaded.name / FOLDER / arch
    build, _ = session.build(loaded, arch, place, AnalyzeOptions())
    return build, load_analysis(build)
