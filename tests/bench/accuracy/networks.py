"""Six small networks on which quantisation matters, trained here on drawn pictures.

Each is trained in some seconds from a fixed seed. Then one of its layers is made sensitive
without changing what the network computes: a channel that nothing reads gets a large constant
(an outlier, as trained networks have them), so that 8 bits are spent on a range that is empty.
Pictures, labels and the metric follow from a picture's number, which is its file's name.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 32
CLASSES = 6


@dataclass(frozen=True)
class Scene:
    """A drawn picture (H, W, 3) uint8 and what is in it."""

    pixels: Any
    label: int
    mask: Any
    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], tuple[float, float]]


def draw(number: int) -> Scene:
    """Draw picture ``number``: one of six figures, textured, on a noisy ground."""
    random = np.random.default_rng(number + 1)
    label = number % CLASSES
    grid = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    cy, cx = random.uniform(10, SIZE - 10, 2)
    r = random.uniform(5.0, 8.5)
    dy, dx = grid[0] - cy, grid[1] - cx
    figures = (
        dy**2 + dx**2 < r**2,
        (np.abs(dy) < r * 0.85) & (np.abs(dx) < r * 0.85),
        (np.abs(dy) + np.abs(dx)) < r * 1.15,
        (dy**2 + dx**2 < r**2) & (dy**2 + dx**2 > (0.55 * r) ** 2),
        ((np.abs(dy) < r * 0.3) | (np.abs(dx) < r * 0.3))
        & (np.maximum(np.abs(dy), np.abs(dx)) < r),
        (np.abs(dx) < (dy + r) * 0.5) & (dy < r * 0.9) & (dy > -r),
    )
    mask = figures[label]
    ground = random.uniform(30, 110, 3)
    tilt = random.uniform(-1.2, 1.2, (2, 3))
    pixels = ground + dy[..., None] * tilt[0] + dx[..., None] * tilt[1]
    pixels = pixels + random.normal(0, 14, (SIZE, SIZE, 3))
    colour = random.uniform(90, 210, 3)
    pixels[mask] = colour + random.normal(0, 14, (int(mask.sum()), 3))
    where = np.argwhere(mask)
    top, left = where.min(0) / SIZE
    bottom, right = (where.max(0) + 1) / SIZE
    return Scene(
        np.clip(pixels, 0, 255).astype(np.uint8), label, mask,
        (float(top), float(left), float(bottom), float(right)),
        ((float(top), float(left)), (float(bottom), float(right))),
    )  # fmt: skip


def scenes(start: int, count: int) -> list[Scene]:
    return [draw(number) for number in range(start, start + count)]


# --- the networks --------------------------------------------------------------------------------


def _block(torch: Any, cin: int, cout: int, stride: int = 1, groups: int = 1) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, stride, 1, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    )


def _point(torch: Any, cin: int, cout: int) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


def classifier(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        _block(torch, 3, 16, 2), _block(torch, 16, 24), _block(torch, 24, 24),
        _block(torch, 24, 32, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


def depthwise(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        _block(torch, 3, 16, 2), _block(torch, 16, 16, groups=16), _point(torch, 16, 24),
        _block(torch, 24, 24, 2, groups=24), _point(torch, 24, 32),
        _block(torch, 32, 32, groups=32), _point(torch, 32, 32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


def _trunk(torch: Any) -> Any:
    return torch.nn.Sequential(
        _block(torch, 3, 16, 2), _block(torch, 16, 24), _block(torch, 24, 32, 2),
        _block(torch, 32, 32),
    )  # fmt: skip


def detector(torch: Any) -> Any:
    nn = torch.nn

    class Detector(nn.Module):
        """A grid of 8 x 8 cells: scores in one branch, distances of a box's sides in another."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = _trunk(torch)
            self.scores = nn.Sequential(_block(torch, 32, 24), nn.Conv2d(24, CLASSES, 1))
            self.boxes = nn.Sequential(_block(torch, 32, 24), nn.Conv2d(24, 4, 1))

        def forward(self, x: Any) -> Any:
            y = self.trunk(x)
            return self.scores(y), self.boxes(y)

    return Detector()


def segmenter(torch: Any) -> Any:
    nn = torch.nn

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Sequential(_block(torch, 3, 16, 2), _block(torch, 16, 24))
            self.deep = nn.Sequential(_block(torch, 24, 32, 2), _block(torch, 32, 24))
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            self.join = _block(torch, 48, 24)
            self.head = nn.Conv2d(24, 1, 1)

        def forward(self, x: Any) -> Any:
            y = self.down(x)
            return self.head(self.join(torch.cat([y, self.up(self.deep(y))], 1)))

    return Segmenter()


def pose(torch: Any) -> Any:
    nn = torch.nn

    class Pose(nn.Module):
        """Two corners of the figure, as numbers in 0..1."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = _trunk(torch)
            self.more = _block(torch, 32, 32, 2)
            self.head = nn.Sequential(
                nn.Flatten(), nn.Linear(32 * 16, 48), nn.ReLU(), nn.Linear(48, 4)
            )

        def forward(self, x: Any) -> Any:
            return self.head(self.more(self.trunk(x)))

    return Pose()


def transformer(torch: Any) -> Any:
    nn = torch.nn

    class Transformer(nn.Module):
        """A convolution for patches, one block of attention over the pixels, a classifier."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Sequential(_block(torch, 3, 16, 2), _block(torch, 16, 32, 2))
            self.q, self.k, self.v = (nn.Conv2d(32, 32, 1) for _ in range(3))
            self.out = nn.Conv2d(32, 32, 1)
            self.mlp = nn.Sequential(_point(torch, 32, 48), nn.Conv2d(48, 32, 1))
            self.head = nn.Linear(32, CLASSES)

        def forward(self, x: Any) -> Any:
            y = self.patches(x)
            q, k, v = (m(y).flatten(2) for m in (self.q, self.k, self.v))
            weights = ((q.transpose(1, 2) @ k) * 32**-0.5).softmax(-1)
            y = y + self.out((v @ weights.transpose(1, 2)).reshape(-1, 32, 8, 8))
            y = y + self.mlp(y)
            return self.head(y.mean((2, 3)))

    return Transformer()


@dataclass(frozen=True)
class Kind:
    """One network: how it is made, trained and judged, and where its outlier is planted.

    ``plant`` names the block that gets a channel and the module that reads it; ``reach`` is the
    outlier, in units of the block's own greatest value.
    """

    name: str
    make: Callable[[Any], Any]
    plant: tuple[str, tuple[str, ...]]
    reach: float
    task: str = "classification"


KINDS = (
    Kind("classifier", classifier, ("2", ("3",)), 150.0),
    Kind("depthwise", depthwise, ("4", ("5", "6")), 120.0),
    Kind("detector", detector, ("boxes.0", ("boxes.1",)), 80.0, "other"),
    Kind("segmenter", segmenter, ("join", ("head",)), 200.0, "other"),
    Kind("pose", pose, ("trunk.3", ("more",)), 80.0, "other"),
    Kind("transformer", transformer, ("mlp.0", ("mlp.1",)), 200.0),
)
BY_NAME = {kind.name: kind for kind in KINDS}


# --- training ------------------------------------------------------------------------------------


def _targets(torch: Any, kind: str, drawn: list[Scene]) -> Any:
    if kind == "segmenter":
        masks = np.stack([one.mask[::2, ::2] for one in drawn])
        return torch.tensor(masks[:, None], dtype=torch.float32)
    if kind == "pose":
        return torch.tensor([[*one.points[0], *one.points[1]] for one in drawn])
    if kind == "detector":
        return (
            torch.tensor([one.label for one in drawn]),
            torch.tensor([one.box for one in drawn]),
        )
    return torch.tensor([one.label for one in drawn])


def cells(boxes: Any, at: Any) -> Any:
    """Return the distances of a box's four sides from the middle of a cell, in cells."""
    y, x = at // 8 + 0.5, at % 8 + 0.5
    side = boxes * 8
    return (y - side[:, 0], x - side[:, 1], side[:, 2] - y, side[:, 3] - x)


def _loss(torch: Any, kind: str, made: Any, target: Any) -> Any:
    functional = torch.nn.functional
    if kind == "segmenter":
        return functional.binary_cross_entropy_with_logits(made, target)
    if kind == "pose":
        return functional.l1_loss(made, target) * 4
    if kind == "detector":
        scores, boxes = made
        labels, wanted = target
        centre = (wanted[:, :2] + wanted[:, 2:]) / 2 * 8
        at = centre[:, 0].long().clamp(0, 7) * 8 + centre[:, 1].long().clamp(0, 7)
        rows = torch.arange(len(labels))
        hot = torch.zeros_like(scores.flatten(2))
        hot[rows, labels, at] = 1.0
        distances = torch.stack(cells(wanted, at.float()), 1)
        return 20 * functional.binary_cross_entropy_with_logits(
            scores.flatten(2), hot
        ) + functional.l1_loss(boxes.flatten(2)[rows, :, at], distances)
    return functional.cross_entropy(made, target)


def train(name: str, *, steps: int = 150, pictures: int = 1000) -> Any:
    """Return the trained network with its outlier planted, in evaluation mode."""
    import torch

    kind = BY_NAME[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = kind.make(torch)
    drawn = scenes(0, pictures)
    pixels = torch.tensor(np.stack([one.pixels for one in drawn])).permute(0, 3, 1, 2) / 255.0
    target = _targets(torch, name, drawn)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(0, pictures, (48,))
        wanted = tuple(t[chosen] for t in target) if isinstance(target, tuple) else target[chosen]
        loss = _loss(torch, name, network(pixels[chosen]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        plant(torch, network, kind, pixels[:64])
    return network


def plant(torch: Any, network: Any, kind: Kind, pixels: Any) -> None:
    """Give a block one more channel with a large constant that no reader weighs."""
    block, readers = kind.plant
    seen: list[float] = []
    module = network.get_submodule(block)
    hook = module.register_forward_hook(lambda _m, _i, out: seen.append(float(out.abs().max())))
    before = network(pixels)
    hook.remove()
    _widen(torch, module[0], out=True)
    _widen_norm(torch, module[1], kind.reach * max(seen))
    for reader in readers:
        found = network.get_submodule(reader)
        conv = found if hasattr(found, "weight") else found[0]
        if conv.groups > 1:  # a depthwise one passes the channel on, and it ends there
            _widen(torch, conv, out=True)
            _widen_norm(torch, found[1], 0.0)
            conv.groups = conv.in_channels = conv.out_channels
        else:
            _widen(torch, conv, out=False)
    after = network(pixels)
    pairs = zip(before, after, strict=True) if isinstance(before, tuple) else [(before, after)]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


def _widen(torch: Any, conv: Any, *, out: bool) -> None:
    weight = conv.weight.data
    shape = list(weight.shape)
    shape[0 if out else 1] = 1
    conv.weight = torch.nn.Parameter(torch.cat([weight, torch.zeros(shape)], 0 if out else 1))
    if out:
        conv.out_channels += 1
        if conv.bias is not None:
            conv.bias = torch.nn.Parameter(torch.cat([conv.bias.data, torch.zeros(1)]))
    else:
        conv.in_channels += 1


def _widen_norm(torch: Any, norm: Any, constant: float) -> None:
    for name, value in (("weight", 1.0), ("bias", constant)):
        old = getattr(norm, name).data
        setattr(norm, name, torch.nn.Parameter(torch.cat([old, torch.tensor([value])])))
    norm.running_mean = torch.cat([norm.running_mean, torch.zeros(1)])
    norm.running_var = torch.cat([norm.running_var, torch.ones(1)])
    norm.num_features += 1


# --- a project of its own ------------------------------------------------------------------------

METRIC = '''\
"""How right the network is, by what was drawn: more is better, 1 is perfect."""

from networks import score


def metric(reference, step, samples):
    return score({kind!r}, step, [int(one["name"].split("/")[-1].split(".")[0]) for one in samples])
'''


def score(kind: str, outputs: list[Any], numbers: list[int]) -> float:
    """Judge a network's outputs (NHWC) on the pictures of those numbers."""
    drawn = [draw(number) for number in numbers]
    if kind == "segmenter":
        made = outputs[0].reshape(len(drawn), SIZE // 2, SIZE // 2) > 0
        wanted = np.stack([one.mask for one in drawn])[:, ::2, ::2]
        both = (made & wanted).sum((1, 2)) / np.maximum((made | wanted).sum((1, 2)), 1)
        return float(both.mean())
    if kind == "pose":
        wanted = np.array([[*one.points[0], *one.points[1]] for one in drawn])
        return float(1.0 - np.abs(outputs[0].reshape(len(drawn), 4) - wanted).mean() * 8)
    scores = next(one for one in outputs if one.shape[-1] == CLASSES).reshape(len(drawn), 64, -1)
    boxes = next(one for one in outputs if one.shape[-1] == 4).reshape(len(drawn), 64, 4)
    right = []
    for one, s, b in zip(drawn, scores, boxes, strict=True):
        at, label = np.unravel_index(s.argmax(), s.shape)
        y, x = at // 8 + 0.5, at % 8 + 0.5
        found = np.array([y - b[at, 0], x - b[at, 1], y + b[at, 2], x + b[at, 3]]) / 8
        right.append((label == one.label) * _overlap(found, np.array(one.box)))
    return float(np.mean(right))


def _overlap(a: Any, b: Any) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(sides.prod())
    areas = float(np.prod(np.clip(a[2:] - a[:2], 0, None)) + np.prod(b[2:] - b[:2]))
    return both / max(areas - both, 1e-9)


RECIPE = """\
# Made by tests/bench/accuracy: a network on which quantisation matters.
schema: 1
source: {{onnx: net.onnx}}
preprocessing: {{size: [{size}, {size}], resize: stretch, mean: [0], std: [255]}}
calibration:
  source: calibration  # drawn pictures
  count: {count}
optimization: {{level: 0}}
postprocess: {{task: {task}{metric}}}
validation:
  source: held_out
  samples: {samples}
  thresholds: {{cosine: 0.5, top1_drop: 50, agreement: 0.3}}
"""


def make_project(
    folder: Path, name: str, *, steps: int = 150, count: int = 256, samples: int = 240
) -> Path:
    """Train a network and write its project: model, pictures, recipe."""
    import torch
    from PIL import Image

    kind = BY_NAME[name]
    place = folder / "models" / name
    place.mkdir(parents=True)
    network = train(name, steps=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, torch.zeros(1, 3, SIZE, SIZE), str(place / "net.onnx"), opset_version=13,
            input_names=["image"], dynamo=False,
        )  # fmt: skip
    for part, start, many in (("calibration", 20_000, count), ("held_out", 50_000, samples)):
        for number in range(start, start + many):
            one = draw(number)
            target = place / part / (str(one.label) if kind.task == "classification" else "")
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(one.pixels).save(target / f"{number}.png")
    metric = ""
    if kind.task != "classification":
        # A metric runs in a box that has its own folder only.
        shutil.copyfile(__file__, place / "networks.py")
        (place / "metric.py").write_text(METRIC.format(kind=name), encoding="utf-8")
        metric = ', metric: "metric.py:metric"'
    (place / "model.yaml").write_text(
        RECIPE.format(size=SIZE, count=count, task=kind.task, metric=metric, samples=samples),
        encoding="utf-8",
    )
    return place


if __name__ == "__main__":
    make_project(Path(sys.argv[1]), sys.argv[2])
