"""The NMS that is written for a head finds the boxes that the network's own decoding gives.

Each network is exported with its decoding, analysed, cut, parsed and compiled by the emulator
with the generated script. Its boxes, in floating point, must be those of the whole ONNX file
after a plain suppression. Where the SDK's decoding is another one, the script has no NMS.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hefsmith_worker.contract.options import NmsOptions, OptimizeOptions
from hefsmith_worker.graph import analyse, name_nodes
from hefsmith_worker.script.generate import generate
from hefsmith_worker.script.request import script_request
from torch import nn

from tests.unit.graph.networks import Anchored, Body, Decoupled, WithObjectness, conv, grids

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SIZE = (96, 128)
SCORE, OVERLAP, MOST = 0.3, 0.6, 50


class Plain(nn.Module):
    """YOLOv6 without distributions: a stem per scale, one layer per tower, a neck that enlarges."""

    def __init__(self, classes: int, corner: bool = False, scaled: bool = False) -> None:
        super().__init__()
        self.body, self.offset = Body(), 0.0 if corner else 0.5
        self.up = nn.ConvTranspose2d(16, 16, 2, 2)
        self.stems = nn.ModuleList(conv(16, 16, 1) for _ in range(3))
        self.box_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.class_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.box = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(3))
        self.category = nn.ModuleList(nn.Conv2d(16, classes, 1) for _ in range(3))
        self.factors = [1.5, 2.0, 2.5] if scaled else [1.0, 1.0, 1.0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.body(x)
        maps[0] = maps[0] + self.up(maps[1])
        boxes, scores = [], []
        for i, m in enumerate(maps):
            stem = self.stems[i](m)
            boxes.append(self.box[i](self.box_tower[i](stem)) * self.factors[i])
            scores.append(self.category[i](self.class_tower[i](stem)).sigmoid())
        box = torch.cat([b.flatten(2) for b in boxes], 2)
        points, strides = grids(maps, self.offset)
        low, high = points - box[:, :2], points + box[:, 2:]
        joined = torch.cat(((low + high) / 2, high - low), 1) * strides
        return torch.cat((joined, torch.cat([s.flatten(2) for s in scores], 2)), 1)


class Priors(nn.Module):
    """SSD: prior boxes on maps of their own, sigmoid scores; ``order`` as TensorFlow or PyTorch."""

    SIZES = ((0.1, 0.2), (0.3, 0.15), (0.25, 0.25))

    def __init__(self, classes: int, order: str = "yx", softmax: bool = False) -> None:
        super().__init__()
        self.body, self.classes, self.order, self.softmax = Body(), classes, order, softmax
        self.box = nn.ModuleList(nn.Conv2d(16, 12, 3, 1, 1) for _ in range(3))
        self.category = nn.ModuleList(nn.Conv2d(16, 3 * classes, 3, 1, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes, scores = [], []
        swapped = [1, 0] if self.order == "yx" else [0, 1]
        for level, m in enumerate(self.body(x)):
            h, w = m.shape[2:]
            ys, xs = torch.meshgrid(
                (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij"
            )
            centre = torch.stack((xs, ys), 2).view(-1, 1, 2)[..., swapped].repeat(1, 3, 1)
            size = torch.tensor(self.SIZES)[:, swapped] * (level + 1)
            y = self.box[level](m).permute(0, 2, 3, 1).reshape(1, h * w, 3, 4)
            place = y[..., :2] / 10 * size + centre
            extent = (y[..., 2:] / 5).exp() * size
            box = torch.cat((place, extent), 3).reshape(1, -1, 4)
            order = [*swapped, *(2 + i for i in swapped)]
            boxes.append(box[..., order])
            raw = self.category[level](m).permute(0, 2, 3, 1).reshape(1, -1, self.classes)
            scores.append(raw.softmax(-1) if self.softmax else raw.sigmoid())
        return torch.cat(boxes, 1), torch.cat(scores, 1)


@dataclass(frozen=True)
class Case:
    """A network, the NMS that is expected for it, and how its output is laid out."""

    build: Callable[[], nn.Module]
    meta_arch: str | None
    layout: str = "columns"  # (1, 4 + classes, boxes); "rows" with objectness; "two" outputs
    why: str = ""


CASES = {
    "yolov8": Case(lambda: Decoupled(3), "yolov8"),
    "yolov8, one class": Case(lambda: Decoupled(1), "yolov8"),
    "nanodet": Case(lambda: Decoupled(4, bins=11), "yolov8"),
    "yolov6 with distributions": Case(lambda: Decoupled(3, bins=17), "yolov8"),
    "yolov6": Case(lambda: Plain(3), "yolov6"),
    "yolov6, scaled": Case(lambda: Plain(3, scaled=True), None, why="learned factors"),
    "yolov6, from the corner": Case(lambda: Plain(3, corner=True), None, why="half a stride"),
    "yolox": Case(lambda: WithObjectness(3, True), "yolox", "rows"),
    "yolov5": Case(lambda: Anchored(3), "yolov5", "rows"),
    "yolov7, not fused": Case(lambda: Anchored(3, factor=True), None, why="learned factors"),
    "yolov3": Case(lambda: Anchored(3, "exp"), None, why="exponential"),
    "ssd": Case(lambda: Priors(5), "ssd", "two"),
    "ssd of PyTorch": Case(lambda: Priors(5, "xy"), None, "two", "reads y, x, h, w"),
    "ssd, softmax": Case(lambda: Priors(5, softmax=True), None, "two", "softmax"),
}


@pytest.fixture(autouse=True)
def _emulator(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.syspath_prepend(str(repository / "docker/emulator/packages"))
    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", "3.33.0")


def exported(build: Callable[[], nn.Module]) -> onnx.ModelProto:
    """The network as a file whose nodes have no names, with scores that differ."""
    torch.manual_seed(3)
    module = build().eval()
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() == 4 and ("category" in name or "heads" in name or "object" in name):
                value.mul_(40.0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, 3, *SIZE),), buffer, opset_version=13, dynamo=False
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.name = ""
    return model


def own_boxes(model: onnx.ModelProto, picture: np.ndarray, case: Case) -> list[np.ndarray]:
    """Per class the boxes (y_min, x_min, y_max, x_max, score) by the network's own decoding."""
    options = onnxruntime.SessionOptions()
    # Its optimiser (1.32) moves a Transpose between Softmax and MatMul to the wrong axis.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found = session.run(None, {session.get_inputs()[0].name: picture})
    height, width = SIZE
    if case.layout == "two":
        box, score = found[0][0] * [width, height, width, height], found[1][0]
        score = score[:, 1:]  # the first class is the background
    elif case.layout == "rows":
        box, score = found[0][0][:, :4], found[0][0][:, 4:5] * found[0][0][:, 5:]
    else:
        box, score = found[0][0].T[:, :4], found[0][0].T[:, 4:]
    x, y, w, h = box.T
    corners = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], 1)
    corners = np.clip(corners / [height, width, height, width], 0, 1)
    return [_suppressed(corners, one) for one in score.T]


def _suppressed(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    chosen = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= SCORE]
    kept: list[int] = []
    for i in chosen:
        if len(kept) < MOST and all(_overlap(boxes[i], boxes[j]) < OVERLAP for j in kept):
            kept.append(int(i))
    return np.concatenate((boxes[kept], scores[kept, None]), 1)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(np.maximum(one[2:4] - one[:2], 0))) for one in (a, b)]
    union = sum(areas) - inside
    return inside / union if union > 0 else 0.0


@pytest.mark.parametrize("name", CASES)
def test_the_written_nms_gives_the_networks_own_boxes(name: str, tmp_path: Path) -> None:
    from hailo_sdk_client import ClientRunner, InferenceContext

    case = CASES[name]
    model = exported(case.build)
    head = analyse(model).to_dict()
    assert head["task"] == "detection"
    assert head["nameless"] == head["end_nodes"]
    named = name_nodes(model, head["end_nodes"])
    assert named is not None
    onnx.save(named, tmp_path / "model.onnx")
    runner = ClientRunner(hw_arch="hailo8l")
    source = model.graph.input[0].name
    runner.translate_onnx_model(
        str(tmp_path / "model.onnx"), "net", start_node_names=[source],
        end_node_names=head["end_nodes"], net_input_shapes={source: [1, 3, *SIZE]},
    )  # fmt: skip
    nms = {"score": SCORE, "iou": OVERLAP, "max_boxes": MOST}
    script = generate(
        script_request(
            hn=runner.get_hn_dict(), inputs={source: "net/input_layer1"}, images=8,
            end_nodes=head["end_nodes"], head=head,
            preprocess={source: {"mean": (0.0,), "std": (255.0,), "normalize": "chip"}},
            options=OptimizeOptions(level=0, nms=NmsOptions.read(nms)),
        )
    )  # fmt: skip
    if case.meta_arch is None:
        assert "nms_postprocess" not in script.text
        assert case.why in " ".join(script.notes)
        return
    assert f"meta_arch={case.meta_arch}," in script.text
    for file, text in script.files.items():
        (tmp_path / file).write_text(_with_background(text, case), encoding="utf-8")
    (tmp_path / "model.alls").write_text(script.text, encoding="utf-8")
    pictures = np.random.default_rng(5).integers(0, 256, (8, *SIZE, 3)).astype(np.float32)
    runner.load_model_script(str(tmp_path / "model.alls"))
    runner.optimize(pictures)
    with runner.infer_context(InferenceContext.SDK_FP_OPTIMIZED) as context:
        result = runner.infer(context, pictures[:2])
    hef = runner.compile()
    from orchestrator.hef import read_hef

    assert "nms_postprocess" in str(read_hef(hef).group().outputs[0].name)
    boxes = 0
    for picture, got in zip(pictures[:2], result, strict=True):
        wanted = own_boxes(model, picture.transpose(2, 0, 1)[None] / 255, case)
        for number, own in enumerate(wanted):
            found = _rows(got, number)
            assert len(found) == len(own)
            boxes += len(own)
            np.testing.assert_allclose(_sorted(found), _sorted(own), atol=2e-3)
    assert boxes > 10


def _with_background(text: str, case: Case) -> str:
    """Networks with prior boxes have a background class, which only the training knows."""
    if case.meta_arch != "ssd":
        return text
    return text.replace('"background_removal": false', '"background_removal": true')


def _rows(got: Any, number: int) -> np.ndarray:
    """Boxes of one class out of (classes, 5, boxes), without the empty places."""
    array = np.asarray(got)
    rows = array[number] if array.shape[-1] == 5 else array[number].T
    return rows[rows[:, 4] > 0]


def _sorted(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(np.round(rows.T, 3))]
