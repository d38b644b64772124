"""Look at a network before there is a recipe: its inputs, its head, and how it wants pictures.

A job of its own, no stage of a build. Labelled pictures are shown to the float network under each
way of preparing them; what it gets right under which is the host's to judge.
"""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from hefsmith_worker import onnx_files, onnx_forms, onnx_tokens
from hefsmith_worker.contract.findings import TOKENS_FIX
from hefsmith_worker.contract.options import KNOWN_OPSETS
from hefsmith_worker.contract.sources import BY_NAME, TENSORFLOW
from hefsmith_worker.pictures import PictureError, Preprocess, normalise, prepare
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import input_shapes
from hefsmith_worker.workspace import Workspace

Batch = Callable[[np.ndarray], np.ndarray]

#: Seconds of computing after which no further way is begun, so that a busy machine tries as many
#: as an idle one; and seconds by the clock. What was tried until then is told.
ENOUGH = 15.0
PATIENCE = 90.0

#: Ways that are tried with other fits and sizes, out of those that did best.
FINALISTS = 3

#: The largest loss that one picture counts: a network that is sure and wrong tells no more.
WORST_LOSS = 12.0


@dataclass(frozen=True)
class Way:
    """One way of preparing pictures, and by what name its scaling goes."""

    scaling: str
    preprocess: Preprocess


def run(workspace: Workspace) -> Dict[str, Any]:
    """Return what is seen: ``runs``, ``outputs``, ``head``, ``input_scaling``, ``trials`` and
    ``left``.

    ``kwargs`` are the factory's arguments with which the weights fit, where some were guessed;
    ``opset`` is the first one from the wanted one on that has all operators of the network.

    ``trials`` has one entry for each way: its scaling, colour, fit and size, how many pictures were
    ``right`` and the ``losses`` (nats) of each; it is empty where pictures cannot tell. ``left``
    counts the ways that there was no time for.
    """
    wanted = workspace.plan.of("look")
    source = workspace.plan.of("export")["source"]
    batch: Optional[Batch]
    if source["kind"] == "torch":
        seen, batch = _torch(workspace, source, wanted)
    elif BY_NAME[source["kind"]].framework == TENSORFLOW:
        seen, batch = _tensorflow(workspace, wanted)
    else:
        seen, batch = _onnx(workspace, source, wanted)
    seen["trials"], seen["left"] = [], 0
    pictures = wanted.get("pictures") or []
    if pictures and batch is not None and _tells_classes(seen["outputs"], wanted["classes"]):
        seen["trials"], seen["left"] = _trials(workspace, wanted, seen["runs"], batch)
    return seen


def _torch(
    workspace: Workspace, source: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Tuple[Dict[str, Any], Batch]:
    from hefsmith_worker.stages import fitting, torch_source

    module, kwargs = fitting.load_fitting(
        workspace, source, wanted.get("guessed") or [], wanted.get("unstated") or ""
    )

    def batch(pictures: np.ndarray) -> np.ndarray:
        return torch_source.answers(module, [pictures])[0]

    runs: List[Dict[str, List[int]]] = []
    outputs: List[List[int]] = []
    refused = ""

    def answered(shapes: Mapping[str, Tuple[int, ...]]) -> List[np.ndarray]:
        return torch_source.answers(
            module, [np.zeros(shape, np.float32) for shape in shapes.values()]
        )

    for inputs in wanted["inputs"]:
        shapes = _for_each(module, {name: tuple(shape) for name, shape in inputs.items()})
        try:
            answers = answered(shapes)
        except Exception as error:
            refused = refused or "%s: %s" % (type(error).__name__, str(error).strip()[:300])
            found = input_shapes.mixed(module, shapes, answered) if not runs else None
            found = found or input_shapes.with_channels(shapes, str(error), answered)
            if found is None:
                continue
            shapes, answers = found
        runs.append({name: list(shape) for name, shape in shapes.items()})
        outputs = outputs or [list(one.shape) for one in answers]
    if not runs:
        given = list(_for_each(module, dict.fromkeys(wanted["inputs"][0], ())))
        told = "the network takes no input of the sizes that were tried: %s" % refused
        if len(given) > 1:
            raise StageError(
                told,
                code="look.shape",
                fix="Do not run it here: hef init --no-run, then name each in the recipe, in "
                "order: inputs: {%s}. An argument that is not a tensor needs a default in "
                "forward." % torch_source.shapes_to_fill(given),
            )
        raise StageError(
            told,
            code="look.shape",
            fix=_fix(refused),
        )
    target = workspace.path("look.onnx")
    shapes = {name: tuple(shape) for name, shape in runs[0].items()}
    export = _exported(module, shapes, workspace.plan.of("export"), target)
    exported = onnx_files.load(target)
    onnx_tokens.take_tokens(exported, shapes)
    onnx_tokens.refuse_others(exported)
    return {
        "runs": runs,
        "outputs": outputs,
        "head": _head(target),
        "input_scaling": _scaling(target),
        "kwargs": kwargs,
        "export": export,
    }, batch


def _exported(
    module: Any, shapes: Dict[str, Tuple[int, ...]], wanted: Mapping[str, Any], target: Path
) -> Dict[str, Any]:
    """Export as is wanted, with the next opset that the parser is known to take, or by dynamo.

    Return the exporter and the opset that did it.
    """
    from hefsmith_worker.stages import torch_source

    first, last = int(wanted["opset"]), KNOWN_OPSETS[1]
    ways: List[Dict[str, Any]] = [{"opset": opset} for opset in range(first, last + 1)]
    ways.append({"exporter": "dynamo", "opset": last})
    failure: Optional[StageError] = None
    for way in ways:
        try:
            torch_source.export(module, shapes, {**wanted, **way}, target)
        except StageError as error:
            if error.code != "export.exporter":
                raise
            failure = failure or error
            continue
        return {"exporter": wanted["exporter"], **way}
    assert failure is not None
    # There is no recipe yet that what helps could be written into.
    raise StageError(
        failure.message,
        code=failure.code,
        fix="Write the recipe without a look, by hef init --no-run, and change it then.\n"
        + failure.fix,
    )


def _for_each(module: Any, shapes: Dict[str, Tuple[int, ...]]) -> Dict[str, Tuple[int, ...]]:
    """Return one input of that shape for each argument that ``forward`` must be given."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return shapes
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [one.name for one in parameters if one.kind in plain and one.default is one.empty]
    if len(shapes) != 1 or len(names) < 2:
        return shapes
    return dict.fromkeys(names, next(iter(shapes.values())))


def _fix(refused: str) -> str:
    if "conv1d" in refused.lower():
        return TOKENS_FIX
    if "cuda" in refused.lower():
        return (
            "The code asks for a GPU: leave .cuda() and device='cuda' out of the network, or "
            "follow its input there: .to(x.device)"
        )
    if "forward() missing" in refused:
        return (
            "forward takes inputs of several kinds. Do not run it here: hef init --no-run, then\n"
            "name each in the recipe, in order: inputs: {left: [1, 3, H, W], ...}"
        )
    return "Say which it takes: --size C,H,W; L,C of tokens; or F of features"


def _onnx(
    workspace: Workspace, source: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Tuple[Dict[str, Any], Optional[Batch]]:
    path = workspace.plan.input(source["file"])
    target = workspace.path("look.onnx")
    onnx_files.copy_onnx(path, target)
    shapes = {name: tuple(shape) for name, shape in wanted["inputs"][0].items()}
    with onnx_files.called(path.name, target):
        model, _ = onnx_forms.bring_into_form(target, shapes)
        onnx_tokens.refuse_others(model)
        onnx_files.save(model, target)
        return _as_onnx(target, onnx_tokens.as_built(model, shapes))


def _tensorflow(
    workspace: Workspace, wanted: Mapping[str, Any]
) -> Tuple[Dict[str, Any], Optional[Batch]]:
    """Look at the ONNX form of a network of TensorFlow, whose file alone names its inputs."""
    from hefsmith_worker.stages import tensorflow_source

    target = workspace.path("look.onnx")
    tensorflow_source.prepare(workspace, workspace.plan.of("export"), target)
    given = [tuple(shape) for shape in wanted["inputs"][0].values()]
    shapes = {}
    for index, entry in enumerate(onnx_files.describe(onnx_files.load(target))["inputs"]):
        default = given[index] if index < len(given) else ()
        shapes[entry["name"]] = _filled(entry["shape"], default)
    return _as_onnx(target, shapes)


def _filled(shape: Sequence[Any], default: Sequence[int]) -> Tuple[int, ...]:
    """Return a shape of a batch of one, its open sides as in ``default`` where that is as long."""
    fitting = default if len(default) == len(shape) else (1,) * len(shape)
    closed = [side or fitting[index] for index, side in enumerate(shape)]
    return (1, *(int(side) for side in closed[1:]))


def _as_onnx(
    target: Path, shapes: Dict[str, Tuple[int, ...]]
) -> Tuple[Dict[str, Any], Optional[Batch]]:
    model = onnx_files.checked(target, shapes)
    onnx_files.save(model, target)
    facts = onnx_files.describe(model)
    session = onnx_files.Session(str(target))
    runs = {entry["name"]: list(entry["shape"]) for entry in facts["inputs"]}
    for name in onnx_tokens.with_axis(model):
        batch_of, channels, _, length = runs[name]
        runs[name] = [batch_of, length, channels]
    seen = {
        "runs": [runs],
        "outputs": [list(entry["shape"]) for entry in facts["outputs"]],
        "head": _head(target),
        "input_scaling": _scaling(target),
    }
    if len(facts["inputs"]) != 1:
        return seen, None
    name = facts["inputs"][0]["name"]

    def batch(pictures: np.ndarray) -> np.ndarray:
        rows = [np.asarray(session.run({name: row[None]})[0]) for row in pictures]
        return np.concatenate(rows)

    return seen, batch


def _head(target: Path) -> Dict[str, Any]:
    from hefsmith_worker.graph import GraphError, analyse

    try:
        return analyse(target).to_dict()
    except (GraphError, OSError, ValueError, MemoryError, RecursionError):
        return {}


def _scaling(target: Path) -> Dict[str, Any]:
    from hefsmith_worker.graph import GraphError
    from hefsmith_worker.graph.scaling import input_scaling

    try:
        return dict(input_scaling(target))
    except (GraphError, OSError, ValueError, MemoryError, RecursionError):
        return {}


def _tells_classes(outputs: Sequence[Sequence[Any]], classes: int) -> bool:
    """Tell whether the one output has a number for each class of the pictures."""
    if len(outputs) != 1 or not classes >= 2:
        return False
    sides = [side for side in outputs[0][1:] if side != 1]
    return sides == [classes]


def _trials(
    workspace: Workspace,
    wanted: Mapping[str, Any],
    runs: Sequence[Mapping[str, Sequence[int]]],
    batch: Batch,
) -> Tuple[List[Dict[str, Any]], int]:
    """Try every scaling first, then other fits and sizes of those that did best."""
    computed, started = time.thread_time(), time.monotonic()
    left: Set[Way] = set()
    shapes = [tuple(next(iter(inputs.values()))) for inputs in runs if len(inputs) == 1]
    if not shapes or len(shapes[0]) != 4 or shapes[0][1] not in (1, 3):
        return [], 0
    show = _Show(workspace, wanted["pictures"], batch)
    tried: Dict[Way, Dict[str, Any]] = {}

    def attempt(ways: Iterator[Way], known: int) -> None:
        for way in ways:
            if way in tried:
                continue
            late = time.thread_time() - computed > ENOUGH or time.monotonic() - started > PATIENCE
            if tried and late:
                left.add(way)
                continue
            tried[way] = show.under(way)
            workspace.channel.progress(len(tried), max(known, len(tried)), "ways")

    fits = [str(fit) for fit in wanted["fits"]]
    attempt(_scalings(wanted["scalings"], shapes[0], fits[0]), 0)
    best = _best(tried)
    attempt((_fitted(way, fit) for way in best for fit in fits), len(tried))
    if len(shapes) > 1:
        best = _best(tried)[:1]
        attempt((_sized(way, shape) for way in best for shape in shapes), len(tried))
        best = _best(tried)[:FINALISTS]
        attempt((_fitted(way, fit) for way in best for fit in fits), len(tried))
        # The size decides more than all else: the scalings are tried again where it does best.
        size = best[0].preprocess.size
        attempt(_scalings(wanted["scalings"], (1, shapes[0][1], *size), fits[0]), len(tried))
        attempt((_fitted(way, fit) for way in _best(tried) for fit in fits), len(tried))
    return [
        {
            "scaling": way.scaling,
            "color": way.preprocess.color,
            "resize": way.preprocess.resize,
            "resize_to": way.preprocess.resize_to,
            "size": list(way.preprocess.size),
            "mean": list(way.preprocess.mean),
            "std": list(way.preprocess.std),
            **result,
        }
        for way, result in tried.items()
    ], len(left)


def _scalings(
    scalings: Sequence[Mapping[str, Any]], shape: Sequence[int], fit: str
) -> Iterator[Way]:
    colors = ("gray",) if shape[1] == 1 else ("rgb", "bgr")
    for color in colors:
        for scaling in scalings:
            mean, std = list(scaling["mean"]), list(scaling["std"])
            # Only the file itself says how many channels a network of TensorFlow takes.
            if len(mean) not in (1, shape[1]):
                continue
            if color == "bgr":
                # The numbers belong to the colours, not to the places.
                mean, std = mean[::-1], std[::-1]
            given = {"size": list(shape[2:]), "color": color, "mean": mean, "std": std}
            yield _fitted(Way(scaling["name"], Preprocess.from_dict(given)), fit)


def _fitted(way: Way, fit: str) -> Way:
    """Return a way with another fit: a name of a resize, with ``:SIDE`` where it scales to that."""
    resize, _, side = fit.partition(":")
    larger = int(side) if side else None
    if larger is not None and larger < max(way.preprocess.size):
        larger = None
    return replace(way, preprocess=replace(way.preprocess, resize=resize, resize_to=larger))


def _sized(way: Way, shape: Sequence[int]) -> Way:
    plain = replace(way.preprocess, resize_to=None)
    return replace(way, preprocess=plain.with_size(int(shape[2]), int(shape[3])))


def _best(tried: Mapping[Way, Mapping[str, Any]]) -> List[Way]:
    """Return those that did best, by what was right, then by the loss."""

    def rank(way: Way) -> Tuple[int, float]:
        return -int(tried[way]["right"]), float(np.mean(tried[way]["losses"]))

    return sorted(tried, key=rank)[:FINALISTS]


class _Show:
    """Shows the pictures to the network under one way after another."""

    def __init__(
        self, workspace: Workspace, pictures: Sequence[Mapping[str, Any]], batch: Batch
    ) -> None:
        self._files = [str(workspace.plan.input(one["name"])) for one in pictures]
        self._truth = [int(one["class"]) for one in pictures]
        self._batch = batch
        self._prepared: Dict[Tuple[Any, ...], Dict[int, np.ndarray]] = {}

    def under(self, way: Way) -> Dict[str, Any]:
        rows = self._rows(way.preprocess)
        pixels = np.stack(list(rows.values()))
        if way.preprocess.color == "bgr":
            pixels = pixels[..., ::-1]
        numbers = normalise(np.ascontiguousarray(pixels), way.preprocess)
        feed = np.ascontiguousarray(numbers.transpose(0, 3, 1, 2))
        answers = [self._batch(feed[at : at + 16]) for at in range(0, len(feed), 16)]
        scores = np.concatenate(answers).reshape(len(feed), -1).astype(np.float64)
        truth = np.asarray([self._truth[index] for index in rows])
        scores = np.nan_to_num(scores, nan=0.0, posinf=1e9, neginf=-1e9)
        losses = np.minimum(_losses(scores, truth), WORST_LOSS)
        return {
            "right": int((scores.argmax(1) == truth).sum()),
            "losses": [round(float(loss), 4) for loss in losses],
        }

    def _rows(self, preprocess: Preprocess) -> Dict[int, np.ndarray]:
        """Return the pictures as pixels, by their number; the same pixels serve every scaling."""
        color = "rgb" if preprocess.color == "bgr" else preprocess.color
        key = (preprocess.size, preprocess.resize, preprocess.resize_to, color)
        if key not in self._prepared:
            self._prepared.clear()
            plain = replace(preprocess, color=color)
            rows: Dict[int, np.ndarray] = {}
            reason = ""
            for index, file in enumerate(self._files):
                try:
                    rows[index] = prepare(file, plain)
                except PictureError as error:
                    reason = error.reason
            if not rows:
                msg = "none of the pictures can be read: %s" % reason
                raise StageError(msg, code="look.pictures")
            self._prepared[key] = rows
        return self._prepared[key]


def _losses(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return -log of what each picture's true class was given; scores may be logits or shares."""
    shares = scores
    if scores.min() < 0 or not np.allclose(scores.sum(1), 1.0, atol=1e-3):
        shifted = np.exp(scores - scores.max(1, keepdims=True))
        shares = shifted / shifted.sum(1, keepdims=True)
    given: np.ndarray = shares[np.arange(len(truth)), truth]
    losses: np.ndarray = -np.log(np.maximum(given, 1e-12))
    return losses
