"""A look at a network before there is a recipe for it: one job on the engine that builds run on."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import PLAN
from hefsmith_worker.contract.stages import LOOK

from orchestrator.errors import ConfigError, EngineError, HefsmithError, StageFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.pipeline.events import EventReader
    from orchestrator.pipeline.session import BuildSession


@dataclass(frozen=True)
class Wanted:
    """What to look at.

    ``recipe`` is a first recipe with absolute paths; ``code`` is the network's code by file name
    where that is not on the disk yet; ``inputs`` are the shapes to try, by input name; ``pictures``
    are files below the recipe's pictures with the number of their class of ``classes``.
    ``guessed`` are arguments of the factory that may be others, ``unstated`` one that nothing is
    known of.
    """

    recipe: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Sequence[int]]]
    code: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[tuple[Path, int]] = ()
    classes: int = 0
    scalings: Sequence[Mapping[str, Any]] = ()
    fits: Sequence[str] = ()
    guessed: Sequence[str] = ()
    unstated: str = ""


@dataclass(frozen=True)
class LookResult:
    """What the float network showed; ``trials`` are as the worker's stage ``look`` tells them.

    ``kwargs`` are the factory's arguments that fit and ``export`` the exporter and opset that did,
    both ``None`` where no torch code is run. ``left`` counts ways of preparing pictures that there
    was no time for. ``end_nodes`` are where the network must end for the compiler, empty where it
    is taken whole or nobody can tell.
    """

    runs: tuple[dict[str, tuple[int, ...]], ...]
    outputs: tuple[tuple[int, ...], ...]
    head: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...]
    input_scaling: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    kwargs: Mapping[str, Any] | None = None
    export: Mapping[str, Any] | None = None
    left: int = 0
    end_nodes: tuple[str, ...] = ()


def look(session: BuildSession, wanted: Wanted) -> LookResult:
    """Run the look and return what was seen.

    Raises :class:`~orchestrator.errors.HefsmithError` where the network cannot be loaded, or no
    engine has the libraries.
    """
    root = session.settings.cache_folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="look-", dir=root) as place:
        folder = Path(place) / "look"
        folder.mkdir()
        (folder / "model.yaml").write_text(
            json.dumps(wanted.recipe), encoding="utf-8", newline="\n"
        )
        for name, text in wanted.code.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        try:
            return _run(session, wanted, folder)
        except ConfigError as error:
            # Nobody knows the recipe of the look, which is gone a moment later.
            draft = re.escape(str(folder / "model.yaml"))
            message = re.sub(rf"^{draft}:\d+:\d+: (?:[\w.]+: )?", "", error.message)
            raise ConfigError(message, hint=error.hint, code=error.code) from None


def _run(session: BuildSession, wanted: Wanted, folder: Path) -> LookResult:
    from orchestrator.pipeline.jobs import make_job
    from orchestrator.pipeline.start.cut import ends_for
    from orchestrator.project.loading import load_recipe

    loaded = load_recipe(folder)
    request = session.request(loaded, loaded.recipe.arch[0])
    made, segment = session.first_job(request)
    staging = folder.parent / "work"
    staging.mkdir()
    job = make_job(made, segment, staging)
    document = made.worker_document((LOOK.name,))
    # Code travels file by file: of a folder that it lies in, nothing else is there.
    lent = {one.path: one.name for one in request.materials if one.files is None}
    document["parameters"] = {
        **document["parameters"],
        LOOK.name: {
            "inputs": [{name: list(shape) for name, shape in one.items()} for one in wanted.inputs],
            "pictures": [
                {"name": name, "class": number}
                for path, number in wanted.pictures
                if (name := _lent_as(path, lent)) is not None
            ],
            "classes": wanted.classes,
            "scalings": list(wanted.scalings),
            "fits": list(wanted.fits),
            "guessed": list(wanted.guessed),
            "unstated": wanted.unstated,
        },
    }
    (staging / PLAN).write_text(json.dumps(document), encoding="utf-8", newline="\n")
    seen = _follow(session, segment.target.engine.start(job), staging)
    return replace(seen, end_nodes=ends_for(staging / "look.onnx", seen.runs[0]))


def _lent_as(path: Path, lent: Mapping[Path, str]) -> str | None:
    """Return what a picture is called in the job, ``None`` where it is in no folder of it."""
    resolved = path.resolve()
    for folder, name in lent.items():
        if resolved.is_relative_to(folder):
            return f"{name}/{resolved.relative_to(folder).as_posix()}"
    return None


def _follow(session: BuildSession, started: Any, staging: Path) -> LookResult:
    from orchestrator.pipeline.events import EventReader

    with started as running, (staging / "log.txt").open("w", encoding="utf-8", newline="\n") as log:
        reader = EventReader(session.observer, log)
        for line in running.lines():
            reader.feed(line)
        ending = running.wait(told=reader.done)
    record = reader.stages.get(LOOK.name)
    if record is None or not record.finished:
        raise _failure(reader, ending.detail)
    result = record.result
    return LookResult(
        tuple(
            {str(name): tuple(int(side) for side in shape) for name, shape in one.items()}
            for one in result["runs"]
        ),
        tuple(tuple(side for side in shape) for shape in result["outputs"]),
        dict(result["head"]),
        tuple(result["trials"]),
        dict(result["input_scaling"]),
        result.get("kwargs"),
        result.get("export"),
        int(result["left"]),
    )


def _failure(reader: EventReader, detail: str) -> HefsmithError:
    failure = reader.failure
    if failure is None:
        msg = f"the process that reads the network ended without a message ({detail})"
        return EngineError(msg, hint="\n".join(reader.tail[-5:]) or None, code="look")
    told = failure.told
    return StageFailed(told.message, hint=told.fix, code=told.known or "look")
