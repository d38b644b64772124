"""Small networks with the heads of known families, and which layer of each is which.

Bodies are as short as can be; the heads have the layers, layouts and decoding of the families.
The truth is kept by the parameters' names: exporters rename nodes, not the weights of a layer
without batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Case:
    """A network, its picture, and the truth: (role, name of the layer's weight) in order."""

    build: Callable[[], nn.Module]
    task: str
    ends: tuple[tuple[str, str], ...]
    classes: int | None = None
    family: str | None = None
    strides: tuple[int, ...] = STRIDES
    bins: int | None = None
    anchors: Any = None
    size: tuple[int, int] = (96, 160)


def conv(inside: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.SiLU(),
    )


class Body(nn.Module):
    """Maps of stride 8, 16, 32 (and further) with ``width`` channels."""

    def __init__(self, levels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), conv(8, width, 3, 2))
        self.downs = nn.ModuleList(conv(width, width, 3, 2) for _ in range(levels))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x)
        maps = []
        for down in self.downs:
            x = down(x)
            maps.append(x)
        return maps


def grids(maps: list[torch.Tensor], offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cell centres (1, 2, cells) and strides (1, 1, cells)."""
    points, strides = [], []
    for index, x in enumerate(maps):
        h, w = x.shape[2:]
        ys, xs = torch.meshgrid(torch.arange(h) + offset, torch.arange(w) + offset, indexing="ij")
        points.append(torch.stack((xs, ys)).view(2, -1))
        strides.append(torch.full((1, h * w), float(8 << index)))
    return torch.cat(points, 1)[None], torch.cat(strides, 1)[None]


class Decoupled(nn.Module):
    """A box layer and a class layer per scale, distributions or plain distances, extras."""

    def __init__(
        self, classes: int, bins: int = 16, extra: int = 0, decode: str = "split", protos: int = 0
    ) -> None:
        super().__init__()
        self.body = Body()
        self.classes, self.bins, self.extra, self.decode = classes, bins, extra, decode
        self.box_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.class_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.box = nn.ModuleList(nn.Conv2d(16, 4 * bins, 1) for _ in range(3))
        self.category = nn.ModuleList(nn.Conv2d(16, classes, 1) for _ in range(3))
        if extra:
            self.other_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
            self.other = nn.ModuleList(nn.Conv2d(16, extra, 1) for _ in range(3))
        if protos:
            self.proto_up = nn.ConvTranspose2d(16, 16, 2, 2)
            self.proto = nn.Conv2d(16, protos, 1)
        self.protos = protos

    def others(self, maps: list[torch.Tensor]) -> list[tuple[nn.Module, nn.Module, torch.Tensor]]:
        return list(zip(self.other, self.other_tower, maps, strict=True)) if self.extra else []

    def distances(self, box: torch.Tensor) -> torch.Tensor:
        if self.bins == 1:
            return box
        n, _, cells = box.shape
        spread = box.view(n, 4, self.bins, cells).softmax(2)
        ramp = torch.arange(self.bins, dtype=torch.float32).view(1, 1, self.bins, 1)
        return (spread * ramp).sum(2) if self.decode == "sum" else self.product(spread)

    def product(self, spread: torch.Tensor) -> torch.Tensor:
        ramp = torch.arange(self.bins, dtype=torch.float32)
        return spread.permute(0, 1, 3, 2) @ ramp

    def forward(self, x: torch.Tensor) -> Any:
        maps = self.body(x)
        boxes = [b(t(m)) for b, t, m in zip(self.box, self.box_tower, maps, strict=True)]
        scores = [c(t(m)) for c, t, m in zip(self.category, self.class_tower, maps, strict=True)]
        if self.decode == "none":
            rest = [o(t(m)) for o, t, m in self.others(maps)]
            rows = zip(boxes, scores, *([rest] if rest else []), strict=True)
            return tuple(y for row in rows for y in row)
        if self.decode == "mixed":  # one tensor per scale, cut in two behind the join
            both = torch.cat(
                [torch.cat(p, 1).flatten(2) for p in zip(boxes, scores, strict=True)], 2
            )
            box, score = both.split((4 * self.bins, self.classes), 1)
        else:
            box = torch.cat([b.flatten(2) for b in boxes], 2)
            score = torch.cat([s.flatten(2) for s in scores], 2)
        points, strides = grids(maps, 0.5)
        lt, rb = self.distances(box).chunk(2, 1)
        low, high = points - lt, points + rb
        result = [torch.cat(((low + high) / 2, high - low), 1) * strides, score.sigmoid()]
        if self.extra:
            extra = [o(t(m)) for o, t, m in self.others(maps)]
            result.append(self.finish(torch.cat([e.flatten(2) for e in extra], 2), points, strides))
        out = torch.cat(result, 1)
        if not self.protos:
            return out
        return out, nn.functional.silu(self.proto(self.proto_up(maps[0])))

    def finish(
        self, extra: torch.Tensor, points: torch.Tensor, strides: torch.Tensor
    ) -> torch.Tensor:
        if self.protos:
            return extra
        if self.extra == 1:
            angle = (extra.sigmoid() - 0.25) * 3.141592
            return torch.cat((angle, angle.cos() * strides, angle.sin() * strides), 1)
        n, _, cells = extra.shape
        points3 = extra.view(n, -1, 3, cells)
        place = (points3[:, :, :2] * 2 + points[:, None] - 0.5) * strides
        return torch.cat((place, points3[:, :, 2:].sigmoid()), 2).view(n, -1, cells)


class Anchored(nn.Module):
    """One layer per scale: anchors x (x, y, w, h, objectness, classes)."""

    ANCHORS = (
        ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
        ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
        ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
    )

    def __init__(self, classes: int, style: str = "v5", factor: bool = False) -> None:
        super().__init__()
        self.body = Body()
        self.style, self.each = style, 5 + classes
        self.heads = nn.ModuleList(nn.Conv2d(16, 3 * self.each, 1) for _ in range(3))
        self.factor = factor
        if factor:
            self.scale = nn.ParameterList(
                nn.Parameter(torch.rand(1, 3 * self.each, 1, 1) + 0.5) for _ in range(3)
            )

    def forward(self, x: torch.Tensor) -> Any:
        result = []
        for index, (head, m) in enumerate(zip(self.heads, self.body(x), strict=True)):
            y = head(m)
            if self.factor:
                y = y * self.scale[index]
            n, _, h, w = y.shape
            y = y.view(n, 3, self.each, h, w).permute(0, 1, 3, 4, 2).contiguous()
            if self.style == "raw":
                result.append(y)
                continue
            ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            grid = torch.stack((xs, ys), 2).float().view(1, 1, h, w, 2)
            anchors = torch.tensor(self.ANCHORS[index]).view(1, 3, 1, 1, 2)
            stride = float(8 << index)
            if self.style == "exp":  # YOLOv3 of other frameworks
                xy = (y[..., :2].sigmoid() + grid) * stride
                wh = y[..., 2:4].exp() * anchors
                rest = y[..., 4:].sigmoid()
            else:
                y = y.sigmoid()
                xy = (y[..., :2] * 2 - 0.5 + grid) * stride
                wh = (y[..., 2:4] * 2) ** 2 * anchors
                rest = y[..., 4:]
            result.append(torch.cat((xy, wh, rest), -1).view(n, -1, self.each))
        return tuple(result) if self.style == "raw" else torch.cat(result, 1)


class WithObjectness(nn.Module):
    """YOLOX: boxes and objectness on one tower, classes on another."""

    def __init__(self, classes: int, decode: bool) -> None:
        super().__init__()
        self.body, self.decode = Body(), decode
        self.box_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.class_tower = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.category = nn.ModuleList(nn.Conv2d(16, classes, 1) for _ in range(3))
        self.box = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(3))
        self.object = nn.ModuleList(nn.Conv2d(16, 1, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.body(x)
        rows = []
        for i, m in enumerate(maps):
            near, far = self.box_tower[i](m), self.class_tower[i](m)
            row = (
                self.box[i](near),
                self.object[i](near).sigmoid(),
                self.category[i](far).sigmoid(),
            )
            rows.append(torch.cat(row, 1).flatten(2))
        out = torch.cat(rows, 2).permute(0, 2, 1)
        if not self.decode:
            return out
        points, strides = (part.permute(0, 2, 1) for part in grids(maps, 0.0))
        xy = (out[..., :2] + points) * strides
        wh = out[..., 2:4].exp() * strides
        return torch.cat((xy, wh, out[..., 4:]), -1)


class SingleShot(nn.Module):
    """SSD: layers with their own anchors on each map; softmax over the classes of an anchor."""

    COUNTS = (4, 6, 6, 4)

    def __init__(self, classes: int, softmax: bool, decode: bool = False) -> None:
        super().__init__()
        self.body, self.classes, self.softmax, self.decode = Body(4), classes, softmax, decode
        self.box = nn.ModuleList(nn.Conv2d(16, 4 * n, 3, 1, 1) for n in self.COUNTS)
        self.category = nn.ModuleList(nn.Conv2d(16, classes * n, 3, 1, 1) for n in self.COUNTS)

    @staticmethod
    def rows(y: torch.Tensor, size: int) -> torch.Tensor:
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, size)

    def forward(self, x: torch.Tensor) -> Any:
        maps = self.body(x)
        box = torch.cat([self.rows(b(m), 4) for b, m in zip(self.box, maps, strict=True)], 1)
        score = torch.cat(
            [self.rows(c(m), self.classes) for c, m in zip(self.category, maps, strict=True)], 1
        )
        if self.decode:
            sizes = torch.cat(
                [
                    torch.tensor([[20.0 + 10 * k, 30.0 + 10 * k] for k in range(n)]).repeat(
                        m.shape[2] * m.shape[3], 1
                    )
                    for n, m in zip(self.COUNTS, maps, strict=True)
                ]
            )
            centre = torch.linspace(0, 1, len(sizes))[:, None].repeat(1, 2) * 100
            box = torch.cat(
                (box[..., :2] / 10 * sizes + centre, (box[..., 2:] / 5).exp() * sizes), 2
            )
        return box, score.softmax(-1) if self.softmax else score


class SharedTowers(nn.Module):
    """RetinaNet (anchors) or FCOS (centre-ness): one tower for all scales."""

    def __init__(self, classes: int, anchors: int, centre: bool) -> None:
        super().__init__()
        self.body, self.classes, self.centre = Body(5), classes, centre
        self.box_tower, self.class_tower = conv(16, 16), conv(16, 16)
        self.box = nn.Conv2d(16, 4 * anchors, 3, 1, 1)
        self.category = nn.Conv2d(16, classes * anchors, 3, 1, 1)
        if centre:
            self.middle = nn.Conv2d(16, 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> Any:
        boxes, scores, middles = [], [], []
        for m in self.body(x):
            near = self.box_tower(m)
            boxes.append(SingleShot.rows(self.box(near), 4))
            score = SingleShot.rows(self.category(self.class_tower(m)), self.classes)
            scores.append(score.sigmoid())
            if self.centre:
                middles.append(SingleShot.rows(self.middle(near), 1).sigmoid())
        found = [torch.cat(boxes, 1), torch.cat(scores, 1)]
        return tuple([*found, torch.cat(middles, 1)] if self.centre else found)


class Dense(nn.Module):
    """NanoDet: one layer per scale, class scores and then the distributions."""

    def __init__(self, classes: int, bins: int) -> None:
        super().__init__()
        self.body, self.classes = Body(), classes
        self.heads = nn.ModuleList(nn.Conv2d(16, classes + 4 * bins, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = []
        for head, m in zip(self.heads, self.body(x), strict=True):
            score, box = head(m).split((self.classes, head.out_channels - self.classes), 1)
            rows.append(torch.cat((score.sigmoid(), box), 1).flatten(2))
        return torch.cat(rows, 2).permute(0, 2, 1)


class Whole(nn.Module):
    """One answer per picture, or per pixel, or none of the known kinds."""

    def __init__(self, kind: str, out: int) -> None:
        super().__init__()
        self.body, self.kind = Body(), kind
        self.last = nn.Conv2d(16, out, 1) if kind in MAPS else nn.Linear(16, out)
        self.more = nn.Conv2d(16, out, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> Any:
        maps = self.body(x)
        if self.kind in MAPS:
            y = self.last(maps[0])
            up = nn.functional.interpolate(y, scale_factor=8.0, mode="bilinear")
            if self.kind == "argmax":
                return up.argmax(1)
            return nn.functional.pixel_shuffle(y, 2) if self.kind == "image" else up
        pooled = maps[-1].mean((2, 3))
        if self.kind == "features":
            return nn.functional.normalize(self.last(pooled))
        if self.kind == "two":
            return self.last(pooled), self.more(maps[1])
        logits = self.last(pooled)
        return logits.softmax(1) if self.kind == "softmax" else logits


MAPS = ("resized", "argmax", "image")


class Points(nn.Module):
    """Interest points: cells of 8 x 8 pixels or none of them, and a descriptor beside them."""

    def __init__(self, *, norm: bool, softmax: bool = True) -> None:
        super().__init__()
        self.body, self.norm, self.softmax = Body(1), norm, softmax
        self.points, self.words = nn.Conv2d(16, 65, 1), nn.Conv2d(16, 64, 1)

    def forward(self, x: torch.Tensor) -> Any:
        map_ = self.body(x)[0]
        points, words = self.points(map_), self.words(map_)
        points = points.softmax(1) if self.softmax else points.sigmoid()
        return points, nn.functional.normalize(words, dim=1) if self.norm else words


class Line(nn.Module):
    """Characters of a line of text, one after the other: no map, though it looks like one."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = Body(), nn.Conv2d(16, 30, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        row = self.last(self.body(x)[0].mean(2, keepdim=True))
        return row.squeeze(2).permute(2, 0, 1).log_softmax(-1)


def _scales(*roles: tuple[str, str], count: int = 3) -> tuple[tuple[str, str], ...]:
    return tuple((role, f"{name}.{i}.weight") for i in range(count) for role, name in roles)


_BOX_CLASS = (("box", "box"), ("class", "category"))
_PLAIN = _scales(*_BOX_CLASS)
_OBJECT = _scales(("box", "box"), ("objectness", "object"), ("class", "category"))
_FUSED = _scales(("box", "heads"))

CASES: dict[str, Case] = {
    "distributions": Case(lambda: Decoupled(7), "detection", _PLAIN, 7, bins=16),
    "distributions, one class": Case(lambda: Decoupled(1), "detection", _PLAIN, 1, bins=16),
    "distributions, 64 classes": Case(lambda: Decoupled(64), "detection", _PLAIN, 64, bins=16),
    "distributions, summed": Case(
        lambda: Decoupled(4, decode="sum"), "detection", _PLAIN, 4, bins=16
    ),
    "distributions, joined first": Case(
        lambda: Decoupled(80, decode="mixed"), "detection", _PLAIN, 80, bins=16
    ),
    "distributions, cut already": Case(
        lambda: Decoupled(9, decode="none"), "detection", _PLAIN, 9, bins=16
    ),
    "key points, cut already": Case(
        lambda: Decoupled(1, extra=51, decode="none"),
        "pose",
        _scales(*_BOX_CLASS, ("keypoints", "other")),
        1,
        bins=16,
    ),
    "angles, cut already": Case(
        lambda: Decoupled(15, extra=1, decode="none"),
        "oriented boxes",
        _scales(*_BOX_CLASS, ("angle", "other")),
        15,
        bins=16,
    ),
    "wider distributions": Case(
        lambda: Decoupled(6, bins=17, decode="mixed"), "detection", _PLAIN, 6, bins=17
    ),
    "masks": Case(
        lambda: Decoupled(5, extra=32, protos=32),
        "segmentation",
        (*_scales(*_BOX_CLASS, ("mask", "other")), ("prototypes", "proto.weight")),
        5,
        bins=16,
    ),
    "masks, plain distances": Case(
        lambda: Decoupled(5, bins=1, extra=32, protos=32),
        "segmentation",
        (*_scales(*_BOX_CLASS, ("mask", "other")), ("prototypes", "proto.weight")),
        5,
    ),
    "key points": Case(
        lambda: Decoupled(1, extra=51),
        "pose",
        _scales(*_BOX_CLASS, ("keypoints", "other")),
        1,
        bins=16,
    ),
    "angles": Case(
        lambda: Decoupled(15, extra=1),
        "oriented boxes",
        _scales(*_BOX_CLASS, ("angle", "other")),
        15,
        bins=16,
    ),
    "angles, one class": Case(
        lambda: Decoupled(1, extra=1),
        "oriented boxes",
        _scales(*_BOX_CLASS, ("angle", "other")),
        1,
        bins=16,
    ),
    "plain distances": Case(lambda: Decoupled(11, bins=1), "detection", _PLAIN, 11),
    "plain distances, four classes": Case(lambda: Decoupled(4, bins=1), "detection", _PLAIN, 4),
    "anchors": Case(
        lambda: Anchored(7), "detection", _FUSED, 7, "yolov5", anchors=Anchored.ANCHORS
    ),
    "anchors, one class": Case(
        lambda: Anchored(1), "detection", _FUSED, 1, "yolov5", anchors=Anchored.ANCHORS
    ),
    "anchors, learned factors": Case(
        lambda: Anchored(3, factor=True), "detection", _FUSED, 3, anchors=Anchored.ANCHORS
    ),
    "anchors, exponentials": Case(
        lambda: Anchored(4, "exp"), "detection", _FUSED, 4, anchors=Anchored.ANCHORS
    ),
    "anchors, not decoded": Case(lambda: Anchored(6, "raw"), "detection", _FUSED, 6),
    "objectness": Case(lambda: WithObjectness(9, False), "detection", _OBJECT, 9, "yolox"),
    "objectness, decoded": Case(
        lambda: WithObjectness(80, True), "detection", _OBJECT, 80, "yolox"
    ),
    "objectness, one class": Case(
        lambda: WithObjectness(1, False), "detection", _OBJECT, 1, "yolox"
    ),
    "single shot": Case(
        lambda: SingleShot(21, True),
        "detection",
        _scales(*_BOX_CLASS, count=4),
        21,
        "ssd",
        (8, 16, 32, 64),
        size=(128, 192),
    ),
    "single shot, raw scores": Case(
        lambda: SingleShot(21, False),
        "detection",
        _scales(*_BOX_CLASS, count=4),
        21,
        "ssd",
        (8, 16, 32, 64),
        size=(128, 192),
    ),
    "single shot, decoded": Case(
        lambda: SingleShot(5, True, True),
        "detection",
        _scales(*_BOX_CLASS, count=4),
        5,
        "ssd",
        (8, 16, 32, 64),
        anchors=[[(20 + 10 * k, 30 + 10 * k) for k in range(n)] for n in SingleShot.COUNTS],
        size=(128, 192),
    ),
    "dense": Case(lambda: Dense(8, 8), "detection", _FUSED, 8, "nanodet", bins=8),
    "dense, 80 classes": Case(lambda: Dense(80, 11), "detection", _FUSED, 80, "nanodet", bins=11),
    "softmax": Case(
        lambda: Whole("softmax", 10), "classification", (("logits", "last.weight"),), 10, strides=()
    ),
    "logits": Case(
        lambda: Whole("logits", 1000),
        "classification",
        (("logits", "last.weight"),),
        1000,
        strides=(),
    ),
    "map per class": Case(
        lambda: Whole("resized", 19),
        "segmentation",
        (("logits", "last.weight"),),
        19,
        strides=(8,),
    ),
    "largest class per pixel": Case(
        lambda: Whole("argmax", 2), "segmentation", (("logits", "last.weight"),), 2, strides=(8,)
    ),
}

#: Networks that are none of the known kinds.
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "features": lambda: Whole("features", 128),
    "a number": lambda: Whole("number", 1),
    "picture to picture": lambda: Whole("image", 12),
    "depth": lambda: Whole("resized", 1),
    "vector and map": lambda: Whole("two", 10),
    "interest points": lambda: Points(norm=True),
    "interest points, raw descriptors": lambda: Points(norm=False),
    "interest points, sigmoid": lambda: Points(norm=False, softmax=False),
    "characters of a line": Line,
}
