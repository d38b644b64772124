"""Which of the user's pictures, or arrays in class folders, a recipe is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.project.survey.folder import PictureSet, look_around
from orchestrator.project.survey.pictures import Shown, show

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.survey.folder import Folder


def pictures_near(folder: Folder, chosen: Path | None) -> Shown | None:
    """Return the pictures that are meant: those named, else the best set of the folder."""
    if chosen is None:
        return _best(folder)
    if chosen.is_dir():
        inside = look_around(chosen)
        best = next(iter((*inside.pictures, *inside.array_sets)), None)
        if best is not None and best.kind in ("classes", "arrays"):
            return show(best)
        return show(PictureSet("classes", chosen), folder.tables)
    if chosen.is_file() and chosen.suffix.lower() in (".yaml", ".yml"):
        return show(PictureSet("yolo", chosen))
    return Shown(chosen)


def _best(folder: Folder) -> Shown | None:
    """Return what is labelled before what is not; loose pictures may be plots of arrays."""
    labelled = [one for one in folder.pictures if one.kind != "pictures"]
    best = next(iter((*labelled, *folder.array_sets, *folder.pictures)), None)
    return None if best is None else show(best, folder.tables)
