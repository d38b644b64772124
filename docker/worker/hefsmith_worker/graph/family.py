"""Names the family of a detection head, from the head first and the body where heads agree.

Several families share a head (YOLOv8, v9, 11 and 12 do): then the layers elsewhere decide, and
where they say nothing either, the name is that of the oldest with that head, and the confidence
says so. Decoding and NMS depend on the head alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

from hefsmith_worker.graph.backbone import Body, Tower
from hefsmith_worker.graph.heads import End
from hefsmith_worker.graph.roles import Head
from hefsmith_worker.graph.values import Values

#: Cheap maps beside the real ones, in every block of the body.
_GHOSTS = 8


@dataclass(frozen=True)
class Family:
    """A name, how sure it is (0..1), and what speaks for it."""

    name: str
    sure: float
    why: str


@dataclass(frozen=True)
class Evidence:
    """All that a family is told by; ``exponential`` says that widths are decoded by one."""

    head: Head
    body: Body
    box: Tower
    category: Tower
    values: Values
    exponential: bool = False

    @property
    def light(self) -> bool:
        """Whether the class tower has depthwise convolutions."""
        return self.category.depthwise(self.values) > 0

    @property
    def shared(self) -> bool:
        """Whether all scales use the same weights."""
        return shares_weights([scale["box"] for scale in self.head.scales])


def shares_weights(ends: Sequence[End]) -> bool:
    """Say whether several ends multiply by the same weights."""
    return len(ends) > 1 and len({end.node.inputs[1] for end in ends}) == 1


def name_family(evidence: Evidence) -> Family:
    """Name the family of a detection head."""
    head = evidence.head
    if head.fused is not None:
        return _anchored(evidence)
    if head.dense:
        return Family("nanodet", 0.9, "class scores and distributions share one layer per scale")
    if head.anchors > 1:
        return _separate_anchors(evidence)
    if head.bins is not None:
        return _distributed(evidence)
    return _plain(evidence)


def _anchored(evidence: Evidence) -> Family:
    body = evidence.body
    if evidence.exponential:
        return Family("yolov3", 0.8, "anchors x (5 + classes), exponential widths (YOLOv2 to v4)")
    if body.wide_concats >= 3:
        return Family("yolov7", 0.9, f"{body.wide_concats} concatenations of four maps or more")
    if body.residuals >= 10 and body.concats <= 6:
        return Family("yolov3", 0.8, "a residual body with few concatenations")
    if body.stem == 6 or body.focus or (body.concats >= 8 and body.residuals):
        what = "a 6x6 stem" if body.stem == 6 else "CSP blocks"
        return Family("yolov5", 0.95, f"{what} before three-anchor layers")
    return Family("yolov5", 0.6, "anchors x (5 + classes); the body is of no known family")


def _separate_anchors(evidence: Evidence) -> Family:
    if evidence.shared and evidence.box.depthwise(evidence.values):
        return Family("efficientdet", 0.8, "separable towers that all scales share, anchors")
    if evidence.shared:
        return Family("retinanet", 0.9, "towers that all scales share, several anchors per cell")
    if len(evidence.box.convolutions) >= 4:
        return Family("retinanet", 0.7, "deep towers, several anchors per cell")
    return Family("ssd", 0.9, "box and class layers with anchors on maps of their own")


def _distributed(evidence: Evidence) -> Family:
    body, bins = evidence.body, evidence.head.bins or 0
    silu = body.activations["Sigmoid"]
    if bins <= 12:
        return Family("nanodet", 0.8, f"distributions over {bins} bins")
    if evidence.shared:
        return Family("other", 0.5, "towers that all scales share, with distributions")
    if body.transposed and body.activations["Relu"] + silu and not body.halves:
        return Family("yolov6", 0.85, "transposed convolutions in the neck")
    if bins != 16:
        return Family("other", 0.5, f"distributions over {bins} bins")
    if evidence.light:
        return _light(evidence)
    if body.blurs:
        return Family("yolov9", 0.9, f"{body.blurs} blurred reductions (2x2 average, step 1)")
    if body.attentions and body.halves:
        return Family(
            "yolov11", 0.6, "attention in the body, a class tower without depthwise layers"
        )
    if body.halves >= 3:
        return Family("yolov8", 0.95, "maps cut in halves (C2f), no attention, plain class tower")
    if body.ghosts >= _GHOSTS:
        return Family("yolov8", 0.7, f"{body.ghosts} ghost convolutions before a YOLOv8 head")
    if body.concats >= 8 and body.residuals:
        return Family("yolov5u", 0.8, "C3 blocks before an anchor-free head")
    if body.residuals >= 10 or (body.max_pools and not body.residuals and body.convolutions < 40):
        return Family("yolov3u", 0.6, "a Darknet body before an anchor-free head")
    return Family("yolov8", 0.55, "the head of YOLOv8; the body is of no known family")


def _light(evidence: Evidence) -> Family:
    body = evidence.body
    if body.reductions:
        return Family("yolov10", 0.9, f"{body.reductions} separable reductions, light class tower")
    if body.attentions and not body.max_pools:
        return Family("yolov12", 0.9, "area attention, no pooling pyramid, light class tower")
    if body.attentions or body.halves >= 3:
        return Family("yolov11", 0.9, "light class tower, C3k2 body with a pooling pyramid")
    return Family("yolov11", 0.55, "the head of YOLO11; the body is of no known family")


def _plain(evidence: Evidence) -> Family:
    """Four channels per box, one box per cell."""
    head, body = evidence.head, evidence.body
    if "objectness" in head.roles:
        return _with_objectness(evidence)
    if evidence.light or (body.attentions and body.halves):
        sure = 0.9 if body.halves else 0.6
        return Family("yolov26", sure, "four distances per cell, light class tower")
    if body.transposed:
        return Family("yolov6", 0.9, "four distances per cell, transposed convolutions in the neck")
    if _stemmed(evidence):
        return Family("yolov6", 0.7, "four distances per cell, both towers on a stem of their own")
    if evidence.shared:
        return Family("other", 0.5, "four distances per cell, towers that all scales share")
    return Family("other", 0.4, "four distances per cell; the body is of no known family")


def _with_objectness(evidence: Evidence) -> Family:
    head = evidence.head
    scale = head.scales[0]
    beside_box = scale["objectness"].data == scale["box"].data
    if evidence.shared:
        return Family("fcos", 0.8, "centre-ness, and towers that all scales share")
    if beside_box:
        sure = 0.95 if evidence.body.focus or len(head.scales) == 3 else 0.7
        return Family("yolox", sure, "objectness on the box tower, four channels per box")
    return Family("other", 0.4, "objectness on a tower of its own")


def _stemmed(evidence: Evidence) -> bool:
    """Say whether box and class towers are one layer each on a common convolution."""
    return (
        len(evidence.box.convolutions) == 1
        and len(evidence.category.convolutions) == 1
        and evidence.box.source == evidence.category.source
    )


def reasons_of(family: Family, head: Head) -> Tuple[str, ...]:
    """Return the sentences of a report."""
    found: List[str] = list(head.reasons)
    found.append(f"{family.name}: {family.why}")
    return tuple(found)
