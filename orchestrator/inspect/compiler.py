"""What the compiler takes of an ONNX file: the build's own judgement, asked for beforehand.

The emulated parser is asked in a process of its own, with the file as the export would give it
and cut as the recipe or the head says. So ``hef inspect``, ``hef lint`` and a build give one
answer. Its rules follow what users report of the vendor's parser; the vendor's own are not public.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from orchestrator import paths
from orchestrator.hef.errors import HefError
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Place = Literal["before", "middle", "after"]

#: Larger networks, with the weights in files beside them, are not judged beforehand: folding them
#: takes as long as a build does, and three times their size in memory.
LARGEST = 512 << 20
#: Seconds after which a report is given without the judgement.
PATIENCE = 60.0


@dataclass(frozen=True)
class Problem:
    """An operator that is refused: the parser's name for it, the node, and where that stands."""

    kind: str
    node: str
    op: str
    reason: str
    place: Place


@dataclass(frozen=True)
class Judged:
    """The judgement of a file. ``refused`` is said of the whole, ``problems`` of operators.

    ``start_nodes`` and ``end_nodes`` are where a cut would help; ``learned`` is how many learned
    layers are before that end, and how many there are. ``mends`` are what the export leaves out
    by itself, in sentences.
    """

    refused: str | None
    problems: tuple[Problem, ...]
    start_nodes: tuple[str, ...]
    end_nodes: tuple[str, ...]
    learned: tuple[int, int] = (0, 0)
    mends: tuple[str, ...] = ()


def judge(
    path: Path,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    start_nodes: Sequence[str] = (),
    end_nodes: Sequence[str] = (),
) -> Judged | None:
    """Return the judgement of a file; ``None`` where nobody can be asked.

    It needs the onnx package, as the emulator does.
    """
    request = {
        "file": str(path.resolve()),
        "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
        "start_nodes": list(start_nodes),
        "end_nodes": list(end_nodes),
    }
    here = os.pathsep.join(map(str, paths.emulator_path()))
    environ = {**os.environ, "PYTHONPATH": here}
    try:
        if weight_of(path) > LARGEST:
            return None
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hailo_emulator.judge"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=PATIENCE,
            env=environ,
        )
        if done.returncode != 0:
            return None
        judged = _read(parse_json(done.stdout))
        return replace(judged, end_nodes=_needed(path, judged.end_nodes))
    except (OSError, ValueError, KeyError, TypeError, HefError, subprocess.SubprocessError):
        return None


def weight_of(path: Path) -> int:
    """Return how many bytes a network has: its file, and the weights that are loaded with it.

    What its tensors claim counts, and what lies in the files that it names: either may be the
    smaller one. Nothing of the weights is read. Raises ``OSError``, ``HefError``.
    """
    from hefsmith_worker.contract import names
    from hefsmith_worker.onnx_external import external_files

    from orchestrator.inspect.onnx_file import read_onnx

    size = path.stat().st_size
    if size > LARGEST:
        return size
    beside = [path.parent / name for name in external_files(path) if names.fault(name) is None]
    there = sum(one.stat().st_size for one in beside if one.is_file())
    claimed = sum(max(one.size, 0) for one in read_onnx(path).weights.values() if one.external)
    return size + max(there, claimed)


def _read(answer: Mapping[str, Any]) -> Judged:
    return Judged(
        answer["refused"],
        tuple(Problem(**problem) for problem in answer["problems"]),
        tuple(answer["start_nodes"]),
        tuple(answer["end_nodes"]),
        (int(answer["learned"][0]), int(answer["learned"][1])),
        tuple(answer["mends"]),
    )


def _needed(path: Path, ends: Sequence[str]) -> tuple[str, ...]:
    """Leave out the end nodes that the host can compute from the others, without learned layers."""
    if len(ends) < 2:
        return tuple(ends)
    import onnx

    model = onnx.load(str(path))
    kept = list(ends)
    least = _left_to_the_host(model, kept)
    for one in ends:
        others = [name for name in kept if name != one]
        if others and least is not None and _left_to_the_host(model, others) == least:
            kept = others
    return tuple(kept)


def _left_to_the_host(model: Any, ends: Sequence[str]) -> int | None:
    """Return how many learned layers are behind end nodes; ``None`` where more is needed."""
    from hefsmith_worker.graph import GraphError
    from hefsmith_worker.graph.tail import cut_tail

    try:
        tail = cut_tail(model, ends, alone=True)
    except (GraphError, ValueError):
        return None
    learned = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    return 0 if tail is None else sum(node.op_type in learned for node in tail.graph.node)


def cure_of(judged: Judged, place: Place) -> str:
    """Return what to do about operators that stand at a place of the network."""
    if place == "before" and judged.start_nodes:
        begin = f"parser: {{start_nodes: [{', '.join(judged.start_nodes)}]}}"
        return (
            f"it stands before the first learned layer: begin behind it ({begin}), and give the "
            "pictures as that node wants them"
        )
    if place == "before":
        return (
            "it stands before the first learned layer, and no node behind it can be the start: "
            "write it with other operations, or do it to the pictures beforehand"
        )
    if place == "after":
        end = f"parser: {{end_nodes: [{', '.join(judged.end_nodes)}]}}"
        where = end if judged.end_nodes else "parser.end_nodes"
        return (
            f"it stands behind the last learned layer: end before it ({where}), and run the rest "
            "on the host"
        )
    before, total = judged.learned
    if judged.end_nodes and before:
        return (
            "it stands in the middle, between learned layers: write it with other operations, or "
            f"end before it (parser: {{end_nodes: [{', '.join(judged.end_nodes)}]}}), which keeps "
            f"{before} of {total} learned layers on the chip, and run the rest on the host"
        )
    return (
        "it stands in the middle, between learned layers, where no cut helps: write it with other "
        "operations, or cut the network in two and run this part on the host"
    )
