"""Detection heads: how each family's boxes are made, and which NMS of the compiler reads them.

One row a family (:data:`FAMILIES`, what the head finder can name) and one row an NMS of the
compiler (:data:`META_ARCHS`, what ``nms_postprocess(meta_arch=...)`` takes). Head finder, script
generator, linter, recipe, judgement and emulator read the rows; how a network is told to be of a
family is :mod:`hefsmith_worker.graph.family`, how boxes are computed is
:mod:`hefsmith_worker.decoding` here and ``hailo_emulator.nms.suppress`` there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Tuple

#: How the boxes of a head are decoded.
ANCHORED = "anchors, twice a sigmoid (YOLOv5)"
EXPONENTIAL = "offsets from a cell and exponential sides (YOLOX)"
DISTANCES = "distances of the four sides from a cell's centre, plain or as distributions"
PRIORS = "offsets from prior boxes (SSD)"
UNKNOWN = "a form of its own"


@dataclass(frozen=True)
class HeadFamily:
    """One family: its decoding, the compiler's NMS for it, and whether its grid is even.

    ``meta_arch`` is that of the plain form, ``None`` where the compiler has no NMS for it.
    ``even`` says that the priors are spread evenly over the picture, whatever the strides.
    """

    name: str
    decoding: str
    meta_arch: Optional[str] = None
    even: bool = False

    @property
    def decoded_here(self) -> bool:
        """Whether raw outputs can be turned into boxes from what is in the graph."""
        return self.decoding in (ANCHORED, EXPONENTIAL, DISTANCES)


#: Families that the head finder names, by name; the order is that of their age.
FAMILIES: Dict[str, HeadFamily] = {
    row.name: row
    for row in (
        HeadFamily("ssd", PRIORS, "ssd", even=True),
        HeadFamily("retinanet", PRIORS, "ssd"),
        HeadFamily("efficientdet", PRIORS, "ssd"),
        HeadFamily("fcos", UNKNOWN),
        HeadFamily("nanodet", UNKNOWN, "yolov8"),
        HeadFamily("yolov3", ANCHORED, "yolov5"),
        HeadFamily("yolov5", ANCHORED, "yolov5"),
        HeadFamily("yolov7", ANCHORED, "yolov5"),
        HeadFamily("yolox", EXPONENTIAL, "yolox"),
        HeadFamily("yolov6", DISTANCES, "yolov6"),
        HeadFamily("yolov3u", DISTANCES, "yolov8"),
        HeadFamily("yolov5u", DISTANCES, "yolov8"),
        HeadFamily("yolov8", DISTANCES, "yolov8"),
        HeadFamily("yolov9", DISTANCES, "yolov8"),
        HeadFamily("yolov10", DISTANCES, "yolov8"),
        HeadFamily("yolov11", DISTANCES, "yolov8"),
        HeadFamily("yolov12", DISTANCES, "yolov8"),
        HeadFamily("yolov26", DISTANCES),
        HeadFamily("other", DISTANCES),
    )
}


def family_of(name: object) -> HeadFamily:
    """Return the row of a family's name; what nobody knows is decoded as ``other`` is."""
    return FAMILIES.get(str(name), FAMILIES["other"])


@dataclass(frozen=True)
class MetaArch:
    """One NMS of the compiler, and how the JSON that configures it is written.

    ``on_chip`` says that ``engine=nn_core`` can run it, ``chip_only`` that nothing else can.
    ``layers`` maps a role of the head to the JSON's key for its layer, ``extra`` are further
    keys of the document, ``mark`` is the key by which a file of this kind is known.
    ``sigmoid`` are the roles whose outputs must be scores and not logits. ``anchors`` are in
    ``pixels`` or are ``fractions`` of the picture. ``vendor`` are the compiler's own values where
    a script gives none; empty for those that the emulator does not have. ``in_hef`` is the family
    by which an emulated HEF calls it, where HailoRT's format has none of the name.
    """

    name: str
    on_chip: bool = False
    chip_only: bool = False
    layers: Mapping[str, str] = field(default_factory=dict)
    extra: Tuple[str, ...] = ()
    mark: str = ""
    sigmoid: Tuple[str, ...] = ("class", "objectness")
    anchors: str = ""
    stride: bool = True
    vendor: Mapping[str, object] = field(default_factory=dict)
    in_hef: str = ""

    @property
    def distributed(self) -> bool:
        """Whether it reads distances as distributions."""
        return "regression_length" in self.extra

    @property
    def emulated(self) -> bool:
        """Whether the emulator has it."""
        return bool(self.vendor)

    @property
    def all_scores(self) -> bool:
        """Whether every output passes a sigmoid, those of the boxes too."""
        return "box" in self.sigmoid


def _vendor(score: float, iou: float, boxes: int, **more: object) -> Mapping[str, object]:
    return {
        "nms_scores_th": score,
        "nms_iou_th": iou,
        "max_proposals_per_class": boxes,
        **more,
    }


_PAIR = {"box": "reg_layer", "class": "cls_layer"}

#: What ``meta_arch`` takes, by name.
META_ARCHS: Dict[str, MetaArch] = {
    row.name: row
    for row in (
        MetaArch(
            "yolov5",
            on_chip=True,
            layers={"box": "encoded_layer"},
            mark="encoded_layer",
            sigmoid=("box",),
            anchors="pixels",
            vendor=_vendor(0.2, 0.6, 80),
        ),
        MetaArch(
            "yolox",
            layers={"box": "reg_layer", "objectness": "objectness_layer", "class": "cls_layer"},
            extra=("number_of_detection_heads",),
            mark="objectness_layer",
            vendor=_vendor(0.2, 0.65, 100),
        ),
        MetaArch(
            "yolov8",
            layers=_PAIR,
            extra=("regression_length",),
            mark="regression_length",
            vendor=_vendor(0.2, 0.7, 100),
        ),
        MetaArch(
            "ssd",
            on_chip=True,
            layers=_PAIR,
            extra=("centers_scale_factor", "bbox_dimensions_scale_factor"),
            mark="centers_scale_factor",
            anchors="fractions",
            stride=False,
            vendor=_vendor(0.3, 0.6, 20, background_removal=True),
        ),
        MetaArch(
            "yolov6",
            on_chip=True,
            chip_only=True,
            layers=_PAIR,
            vendor=_vendor(0.03, 0.65, 100),
            in_hef="yolov8",
        ),
        MetaArch("yolo", on_chip=True),
        MetaArch("centernet", on_chip=True),
        MetaArch("yolov5_seg"),
        MetaArch("damoyolo"),
        MetaArch("efficientdet"),
        MetaArch("nanodet"),
        MetaArch("iou"),
    )
}


def marked(keys: Iterable[str]) -> Optional[str]:
    """Return the meta architecture that the keys of an NMS JSON belong to, as far as one tells."""
    known: Collection[str] = set(keys)
    return next((row.name for row in META_ARCHS.values() if row.mark and row.mark in known), None)


#: Below this the analysis of a head is shown, but the graph is not cut by it.
SURE = 0.5


def proposed_cut(head: Mapping[str, Any]) -> List[str]:
    """Return the nodes at which a build cuts a network that its recipe does not cut.

    ``head`` is the report of the graph analysis, as data.
    """
    if head.get("task") in ("classification", "other") or head.get("confidence", 0.0) < SURE:
        return []
    return [str(name) for name in head.get("end_nodes") or ()]
