"""More rows: lies of detectors whose boxes an NMS in the HEF makes, or a decoder here.

What a float network does wrong shows at every step; what a device does wrong, only there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.lies import heads
from tests.lies.liars import Given, judged, lying_device, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lies.bench import Bench

#: By form: its task, and what the recipe says of the NMS.
FORMS: dict[str, tuple[str, str]] = {
    "NMS in the HEF": ("detection", "enabled: true"),
    "raw boxes": ("detection", "enabled: false"),
    "key points": ("pose", ""),
    "oriented boxes": ("obb", ""),
    "instance masks": ("segmentation", ""),
}
RECIPE = """\
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 3, 64, 64]}
preprocessing: {color: rgb, mean: [0], std: [255]}
calibration: {source: ../../squares/calibration, count: 64}
validation: {source: ../../squares/validation, samples: 16}
postprocess: {task: TASK, labels: [red, green], nms: {NMS}}
parser: {end_nodes: [ENDS]}
optimization: {level: 0}
arch: [hailo8l]
"""
#: By lie: what makes the network, and whether its pictures have labels.
NETWORKS: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing found": ({"blind": True}, False),
    "the same found in all": ({"everywhere": True}, True),
    "classes found wrong": ({"swapped": True}, True),
    "sizes found wrong": ({"reach": 4}, True),
    "nothing found of what the labels show": ({"blind": True}, True),
}
#: Of the forms that share a decoder, one has all lies.
ALL_LIES = ("NMS in the HEF", "oriented boxes")
SOME_LIES = 3


def _model(bench: Bench, form: str, network: dict[str, Any], *, labelled: bool = True) -> str:
    """Write a detector and its pictures; return the model's name."""
    task, nms = FORMS[form]
    squares = bench.root / "squares"
    if not squares.exists():
        heads.draw(squares / "calibration", 64, 1)
        heads.draw(squares / "validation", 16, 2)
        heads.draw(squares / "bare", 16, 2, labelled=False)
    words = [form, *(f"{key}-{value}" for key, value in network.items()), f"labels-{labelled}"]
    name = "-".join(words).replace(" ", "-")
    folder = bench.root / "models" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        made = heads.head(task, **network)
        (folder / "net.onnx").write_bytes(made.SerializeToString())
        by_tensor = {node.output[0]: node.name for node in made.graph.node}
        ends = ", ".join(by_tensor[output.name] for output in made.graph.output)
        text = RECIPE.replace("TASK", task).replace("NMS", nms).replace("ENDS", ends)
        if not labelled:
            text = text.replace("squares/validation", "squares/bare/images")
        (folder / "model.yaml").write_text(text, encoding="utf-8")
    return name


def _float(form: str, lie: str, bench: Bench, planted: bool) -> str | None:
    network, labelled = NETWORKS[lie]
    name = _model(bench, form, network if planted else {}, labelled=labelled)
    if form == "NMS in the HEF":
        return outcome(bench.once(name, "up", name, "--json"))
    return judged(bench, name)


# --- devices ------------------------------------------------------------------------------------

Rows = list[Any]


def _of(change: Callable[[Rows], Rows]) -> Callable[[Path], None]:
    """Return what changes the boxes that a device gave: one (k, 6) array a sample."""

    def write(path: Path) -> None:
        with np.load(path) as archive:
            boxes, offsets = archive["boxes"], archive["offsets"]
        rows = [boxes[a:b].copy() for a, b in pairwise(offsets)]
        assert any(len(one) for one in rows)
        made = change(rows)
        ends = np.cumsum([0, *map(len, made)]).astype(np.int64)
        np.savez(path, boxes=np.concatenate(made).astype(np.float32), offsets=ends)

    return write


def _moved(rows: Rows, by: float) -> Rows:
    for one in rows:
        one[:, :4] += by
    return rows


def _renamed(rows: Rows) -> Rows:
    for one in rows:
        one[:, 5] = 1 - one[:, 5]
    return rows


BOXES: dict[str, Callable[[Rows], Rows]] = {
    "no box": lambda rows: [one[:0] for one in rows],
    "no box for half of the samples": lambda rows: [r[: i % 2] for i, r in enumerate(rows)],
    "boxes come one sample late": lambda rows: [rows[-1], *rows[:-1]],
    "the same boxes for all": lambda rows: [rows[0]] * len(rows),
    "classes renamed": _renamed,
    "boxes half a cell off": partial(_moved, by=8 / heads.SIDE),
    "x and y exchanged": lambda rows: [one[:, [1, 0, 3, 2, 4, 5]] for one in rows],
    "each box ten times": lambda rows: [np.repeat(one, 10, axis=0) for one in rows],
}


def _boxes(lie: str, bench: Bench, planted: bool) -> str | None:
    name = _model(bench, "NMS in the HEF", {})
    return lying_device(bench, name, _of(BOXES[lie]) if planted else None)


#: By form: which outputs of three scales hold what its boxes have beside them.
BESIDE = {
    "key points": (2, 5, 8),
    "oriented boxes": (2, 5, 8),
    "instance masks": (2, 5, 8),
}


def _beside(form: str, bench: Bench, planted: bool) -> str | None:
    name = _model(bench, form, {})

    def lose(path: Path) -> None:
        if int(path.stem) in BESIDE[form]:
            np.save(path, np.zeros_like(np.load(path)))

    return lying_device(bench, name, lose if planted else None)


def _rows() -> Iterator[Given]:
    for form in FORMS:
        some = list(NETWORKS) if form in ALL_LIES else list(NETWORKS)[:SOME_LIES]
        for lie in some:
            yield "verdict", f"{form}: {lie}", partial(_float, form, lie)
    for lie in BOXES:
        yield "device", f"NMS in the HEF: {lie}", partial(_boxes, lie)
    for form in BESIDE:
        yield "device", f"{form} that a device lost", partial(_beside, form)


GIVEN: tuple[Given, ...] = tuple(_rows())
