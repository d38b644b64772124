"""The pictures of bundled models: made once, by the code that comes with them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

from orchestrator import files, paths
from orchestrator.errors import ConfigError, escape_control, last_line
from orchestrator.project.trust import standing

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.observer import Observer
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.workspace import Workspace


#: The model that has such code, and what its recipe calls it.
BUNDLED, MAKER = "digits", "data.py:prepare"


def make_data(
    loaded: LoadedRecipe, workspace: Workspace, observer: Observer, cache: StageCache
) -> None:
    """Let a bundled recipe write its pictures, once; others may not run code on the host.

    They appear all at once: a folder is never met half full, also if this process is killed.
    """
    if loaded.recipe.data is None:
        return
    target = workspace.calibration / loaded.name
    if target.is_dir():
        return
    # Never a file of the project's own, whatever the recipe calls it: what runs is what came with
    # this program, and a copied recipe is known by the word and the text of the bundled one.
    bundled = paths.bundled_model(BUNDLED)
    file, _, function = MAKER.partition(":")
    script = bundled / file
    own = loaded.folder.resolve() == bundled.resolve()
    if loaded.recipe.data != MAKER or not (own or _same_text(loaded.folder / file, script)):
        msg = f"{loaded.where('data')}: data: only the models that come with hefsmith run code here"
        raise ConfigError(msg, hint=f"Make the pictures yourself, in {target}, and remove data:.")
    _check_place(workspace)
    key = hashlib.sha256(str(target.resolve()).encode()).hexdigest()
    with cache.lock(key, what=f"makes the pictures of {loaded.name}", tell=observer.note):
        if target.is_dir():
            return
        observer.note(f"making the pictures of {loaded.name} in {target}")
        stem = f".{loaded.name}.making"
        workspace.calibration.mkdir(parents=True, exist_ok=True)
        files.remove_abandoned(workspace.calibration, stem)
        draft = workspace.calibration / files.marked_name(stem)
        try:
            _run_maker(loaded, script, function, draft)
            try:
                draft.rename(target)
            except OSError:
                # A hef with another cache was quicker: these pictures are as good.
                if not target.is_dir():
                    raise
        finally:
            files.remove_tree(draft)


def _check_place(workspace: Workspace) -> None:
    """Refuse a stranger's link in the place of the folder that pictures go to."""
    about = standing(workspace.root)
    place = workspace.calibration
    if not about.stranger or place.resolve().is_relative_to(about.root):
        return
    msg = (
        f"this project is not trusted ({about.foreign}), and pictures would go through a link of "
        f"it to your files: {escape_control(f'{place} -> {place.resolve()}')}"
    )
    raise ConfigError(msg, hint="Remove the link, or: hef trust", code="trust.link")


def _run_maker(loaded: LoadedRecipe, script: Path, function: str, target: Path) -> None:
    code = (
        "import runpy, sys, pathlib;"
        "runpy.run_path(sys.argv[1])[sys.argv[2]](pathlib.Path(sys.argv[3]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(script), function, str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = last_line(done.stderr, "no message")
        msg = f"the pictures of {loaded.name} could not be made: {last}"
        hint = f"See that there is room for 10 MB in {target.parent}, and that you may write there."
        raise ConfigError(msg, hint=hint, code="recipe.data")


def _same_text(left: Path, right: Path) -> bool:
    try:
        return left.read_bytes() == right.read_bytes()
    except OSError:
        return False
