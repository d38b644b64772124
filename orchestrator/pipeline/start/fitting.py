"""Whose code fits a network's weights: each that may is made and run, until one does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.trials import OPEN_SIDE, SIDES

from orchestrator.errors import ConfigError, EngineError, HefsmithError, escape_control
from orchestrator.pipeline.start import code as start_code
from orchestrator.project.survey import beside, decide, programs, stated
from orchestrator.project.survey.arrays import inputs_of
from orchestrator.project.survey.pictures import Labels, Shown, to_try
from orchestrator.project.survey.sizes import common_size
from orchestrator.project.survey.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.start.look import LookResult
    from orchestrator.pipeline.start.recipe import Draft
    from orchestrator.project.survey.code import Script
    from orchestrator.project.survey.given import Given

#: Networks that are tried where the weights do not fit the first.
_MOST_TRIED = 8
#: Why other code may be the one: packages that are not here, and weights that do not fit a network
#: of which a part is of such a package.
_ABSENT = frozenset({"engine.packages", "export.part-absent"})
#: Why a look may fail although the recipe builds elsewhere.
_ELSEWHERE = frozenset(
    {
        "export.torchscript-refused",
        "export.factory-import",
        "export.tensorflow-missing",
        "export.part-absent",
    }
)


@dataclass(frozen=True)
class Fitting:
    """The code whose network the weights fit, what its files state, and what a run of it showed."""

    code: start_code.Code
    written: stated.Stated
    alike: tuple[int, int] | None
    inputs: Sequence[Mapping[str, tuple[int, ...]]]
    seen: LookResult | None
    failure: HefsmithError | None


def fit(
    given: Given,
    weights: Weights,
    facts: Mapping[str, Any],
    scripts: Sequence[Script],
    draft: Draft,
    labels: Labels,
    session: BuildSession,
) -> Fitting:
    """Find the code, and run it; where the weights do not fit, the next that may be theirs.

    A file has networks in several sizes, and functions that make each: the weights tell which.
    """
    known, shown = _known(scripts, labels.names), given.calibration
    tried: list[str] = []
    refused: ConfigError | None = None
    kept: Fitting | None = None
    while len(tried) <= _MOST_TRIED:
        try:
            code = start_code.find_code(
                given, weights, scripts, known, draft.target, draft.ask, but=tried
            )
        except ConfigError as error:
            refused = refused or error
            break
        if code is None:
            break
        written = beside.stated_in_facts(weights.facts, given.network.path.name)
        written = written.over(beside.stated_in_facts(facts, "the files beside it"))
        written = written.over(programs.stated_in_scripts(scripts, code.script))
        alike = common_size(shown) if written.size is None and shown is not None else None
        inputs = _inputs(given, weights, written, alike)
        if shown is not None and shown.array is not None and not (given.size or given.inputs):
            inputs = inputs_of(shown.array, weights.rank, weights.channels)
        try:
            seen, failure = _look(
                given, session, code, inputs, shown, labels, written, draft.target
            )
        except ConfigError as error:
            refused = refused or code.unstated or error
            if not code.place or (code.unstated is None and error.code != "export.weights-fit"):
                break
            tried.append(code.place)
            continue
        if seen is None and code.unstated is not None:
            raise code.unstated
        fitting = Fitting(code, written, alike, inputs, seen, failure)
        if failure is None or failure.code not in _ABSENT or not code.place:
            return fitting
        # Another may fit with all of its parts here.
        kept = kept or fitting
        tried.append(code.place)
    if kept is not None:
        return kept
    assert refused is not None
    if len(tried) > 1:
        names = ", ".join(dict.fromkeys(one.rpartition(":")[2] for one in tried))
        hint = (
            f"Nor does another of the {len(tried)} that were tried ({names}). Write a function "
            "that makes the network as your own program does, and name it: --torch FILE.py:FACTORY"
        )
        raise ConfigError(refused.message, hint=hint, code=refused.code)
    raise refused


def _known(scripts: Sequence[Script], labels: Sequence[str]) -> dict[str, object]:
    """Return values that scripts compute of their data: lists of class names, by their names."""
    if not labels:
        return {}
    names = {
        name
        for script in scripts
        for name in script.assigned
        if any(word in name.lower() for word in ("class", "label", "categor"))
    }
    return {name: list(labels) for name in names if not name.lower().startswith(("num", "n_"))}


def _inputs(
    given: Given, weights: Weights, written: stated.Stated, alike: tuple[int, int] | None = None
) -> list[dict[str, tuple[int, ...]]]:
    """Return the shapes to try, the likeliest first; ``alike`` is the size of all pictures."""
    sizes = [written.size] if written.size is not None else [(side, side) for side in SIDES]
    if written.sides is not None and written.size is None:
        sizes = [written.sides, written.sides[::-1]]
    if alike is not None:
        sizes = [alike, *(size for size in sizes if size != alike)]
    if given.size is not None:
        sizes = [(given.size[1], given.size[2])] if len(given.size) == 3 else sizes
    if sizes[1:] and given.head.get("task") not in (None, "classification"):
        sizes = [alike or (OPEN_SIDE, OPEN_SIDE)]
    if given.inputs:
        found = []
        for high, wide in sizes:
            found.append({name: _closed(shape, high, wide) for name, shape in given.inputs.items()})
            if found[-1] == found[0] and len(found) > 1:
                return found[:1]
        return found
    if weights.features is not None and given.size is None:
        return [{"features": (1, weights.features)}]
    channels = weights.channels or 3
    if given.size is not None and len(given.size) != 3:
        return [{"features": (1, *given.size)}]
    if given.size is not None:
        channels = given.size[0]
    return [{"image": (1, channels, high, wide)} for high, wide in sizes]


def _closed(shape: tuple[int, ...], high: int, wide: int) -> tuple[int, ...]:
    """Fill the sides that a file leaves open."""
    sides = [1, *shape[1:]]
    if len(sides) == 4:
        sides = [1, sides[1] or 3, sides[2] or high, sides[3] or wide]
    return tuple(side or 1 for side in sides)


def _look(
    given: Given,
    session: BuildSession,
    code: start_code.Code,
    inputs: Sequence[Mapping[str, tuple[int, ...]]],
    shown: Shown | None,
    labels: Labels,
    written: stated.Stated,
    target: Path,
) -> tuple[LookResult | None, HefsmithError | None]:
    """Run the network once, and on labelled pictures where there are any."""
    from orchestrator.pipeline.start.look import Wanted, look

    if not given.measure:
        return None, None
    first = next(iter(inputs[0].values()))
    pictures = to_try(shown, labels.names) if shown is not None else []
    if len(inputs[0]) > 1 or len(first) != 4 or first[1] not in (1, 3):
        pictures = []
    source = shown.root if shown is not None and pictures else target.parent
    draft = {
        "schema": 1,
        "name": given.name,
        "source": code.absolute,
        "inputs": {name: list(shape) for name, shape in inputs[0].items()},
        "calibration": {"source": str(source)},
        "export": {"packages": list(code.packages)},
    }
    if not pictures:
        # Nothing is read of it: the look needs a recipe, and a recipe needs a source.
        draft["calibration"] = {"source": str(given.network.path.resolve())}
    size = written.size
    wanted = Wanted(
        recipe=draft,
        inputs=inputs,
        code=code.draft,
        pictures=pictures,
        classes=len(labels.names),
        scalings=decide.scalings(written, first[1] if len(first) == 4 else 3),
        fits=decide.fits(written, size),
        guessed=code.guessed,
        unstated=code.missing,
    )
    try:
        return look(session, wanted), None
    except EngineError as error:
        return None, error
    except HefsmithError as error:
        others = [one for one in _others(given, first, shown) if one not in inputs]
        if error.code == "look.shape" and others and given.size is None:
            try:
                return look(session, replace(wanted, inputs=others)), None
            except HefsmithError as second:
                error = second
        if error.code in _ELSEWHERE:
            return None, error
        name = escape_control(given.network.path.name)
        msg = error.message if error.message.startswith(name) else f"{name}: {error.message}"
        raise ConfigError(msg, hint=error.hint, code=error.code) from None


def _others(
    given: Given, first: tuple[int, ...], shown: Shown | None
) -> list[dict[str, tuple[int, ...]]]:
    """Return the shapes to try where a network refuses the first: people write width x height, too.

    What comes next is the size of the pictures, whatever it is, and then all that are usual.
    """
    sides = [(first[3], first[2])] if len(first) == 4 and first[2] != first[3] else []
    alike = common_size(shown, usual=False) if shown is not None else None
    sides += [alike] if alike is not None else []
    channels = Weights({"w.weight": (1, first[1], 3, 3)})
    shapes = [one for size in sides for one in _inputs(given, channels, stated.Stated(size=size))]
    return [*shapes, *_inputs(given, channels, stated.Stated())]
