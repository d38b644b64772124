"""The NMS JSON of a head, and whether the SDK has an NMS for it.

The layers are those of the parsed network: a JSON of another network, or of the same one
exported differently, names other layers (``NMSConfigPostprocessException``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple, Union

from hefsmith_worker.contract.chips import LINE_3, by_name
from hefsmith_worker.contract.families import (
    ANCHORED,
    DISTANCES,
    EXPONENTIAL,
    META_ARCHS,
    PRIORS,
    UNKNOWN,
    HeadFamily,
    family_of,
    marked,
    proposed_cut,
)
from hefsmith_worker.protocol import StageError
from hefsmith_worker.script.network import Layer
from hefsmith_worker.script.request import ScriptRequest

#: Bins of a distribution in all public scripts.
_USUAL_BINS = 16
#: Name of a generated JSON beside the script.
CONFIG_NAME = "nms_config.json"


@dataclass(frozen=True)
class Nms:
    """The NMS of a script: arguments, JSON, and the outputs that must pass a sigmoid."""

    meta_arch: str
    engine: str
    config: str
    sigmoid: Tuple[Layer, ...]
    note: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class NoNms:
    """Why a script gets no NMS, in one sentence; empty when nobody would expect one."""

    why: str = ""


@dataclass(frozen=True)
class _Scale:
    stride: int
    layers: Mapping[str, Layer]


def plan_nms(request: ScriptRequest) -> Union[Nms, NoNms]:
    """Decide the NMS of a request; raises :class:`StageError` where the recipe contradicts it."""
    wish = request.options.nms
    task = request.options.task or request.head.get("task")
    if not wish.enabled:
        return NoNms("postprocess.nms.enabled is false")
    if request.nms_refused:
        return NoNms(request.nms_refused)
    if task != "detection":
        return NoNms()
    if request.head.get("task") != "detection" or set(request.end_nodes) != set(
        request.head.get("end_nodes") or ()
    ):
        if request.nms_config is not None:
            return _own(request, wish.family or _declared(request.nms_config), ())
        why = "the network is not cut at the convolutions of a detection head"
        if request.head.get("task") == "detection" and not request.end_nodes:
            # Cut or not, its boxes would lack what the reason names.
            unsure = "the head that was found is too unsure to cut at (%.0f %%): %s" % (
                100 * request.head.get("confidence", 0.0),
                "where it is right, name its nodes as parser.end_nodes",
            )
            cut = proposed_cut(request.head)
            why = meta_arch_of(request.head)[1] or (why if cut else unsure)
        return NoNms(why)
    meta_arch, why = meta_arch_of(request.head)
    if wish.family is not None:
        meta_arch = wish.family
    if meta_arch is None:
        return NoNms(why)
    layers = request.network.for_end_nodes(request.end_nodes)
    if layers is None:
        return NoNms("the parsed network does not say which layer each end node became")
    roles = _roles(request)
    sigmoid = tuple(
        layer
        for layer, role in zip(layers, roles)
        if role in META_ARCHS[meta_arch].sigmoid and layer.activation != "sigmoid"
    )
    if request.nms_config is not None:
        return _own(request, meta_arch, sigmoid)
    _check_classes(request)
    engine, note = _engine(wish.engine, meta_arch)
    scales = _scales(request, layers, roles)
    document = _document(request, meta_arch, scales)
    doubt = _doubt(meta_arch, document, request.arch)
    return Nms(meta_arch, engine, _json(document), sigmoid, note, doubt)


def _doubt(meta_arch: str, document: Mapping[str, Any], arch: str) -> str:
    """Say what of an NMS no public script shows; empty for forms that are known to work."""
    if meta_arch == "ssd" and not document["background_removal"]:
        return "an ssd without a background class"
    if meta_arch == "yolov8" and document["regression_length"] != _USUAL_BINS:
        return "distributions over %d bins" % document["regression_length"]
    chip = by_name().get(arch)
    if META_ARCHS[meta_arch].chip_only and chip is not None and chip.line is not LINE_3:
        return f"{meta_arch} on {arch}"
    return ""


def meta_arch_of(head: Mapping[str, Any]) -> Tuple[Optional[str], str]:
    """Return the SDK's name for a head's decoding, or why it has none.

    A head that looks alike but is decoded otherwise gets none: its boxes would be wrong, and
    nothing would say so.
    """
    if (head.get("decoding") or {}).get("scaled"):
        return None, (
            "learned factors follow the end nodes (YOLOv7's implicit layers, scales per level), "
            "which the SDK's NMS does not know; export the fused model, or decode on the CPU"
        )
    family = family_of(head.get("family"))
    roles = frozenset(head.get("end_roles") or ())
    found = None
    if roles == _TOGETHER:
        found = _together(family, head)
    elif roles in _NMS_OF.get(family.decoding, {}):
        found = _NMS_OF[family.decoding][roles](family, head)
    if found is not None:
        return found
    name = head.get("family")
    whose = "of this head" if name in (None, "other") else f"of {name}"
    return None, f"the SDK has no NMS for the boxes {whose}; its outputs stay raw"


_TOGETHER = frozenset(["box"])
_APART = frozenset(["box", "class"])
_Answer = Tuple[Optional[str], str]


def _together(family: HeadFamily, head: Mapping[str, Any]) -> _Answer:
    if family.decoding != ANCHORED:
        name = head.get("family")
        return None, f"boxes and classes of {name} share a layer, which no NMS of the SDK reads"
    if (head.get("decoding") or {}).get("widths") == "exponential":
        return None, f"{family.name} decodes widths by an exponential, the SDK's yolov5 does not"
    if not head.get("anchors"):
        return None, "the anchors are not in the graph; give postprocess.nms.config"
    return family.meta_arch, ""


def _exponential(family: HeadFamily, _head: Mapping[str, Any]) -> _Answer:
    return family.meta_arch, ""


def _distances(family: HeadFamily, head: Mapping[str, Any]) -> Optional[_Answer]:
    decoding: Mapping[str, Any] = head.get("decoding") or {}
    if decoding.get("offset") not in (None, 0.5):
        return None, (
            "its distances count from the corner of a cell, the SDK's NMS counts from the centre: "
            "boxes would be shifted by half a stride"
        )
    if decoding.get("scores") == "softmax":
        return None, "class scores share a softmax, the SDK's NMS takes one sigmoid for each"
    own = None if family.meta_arch is None else META_ARCHS[family.meta_arch]
    if head.get("regression_length"):
        return (own.name if own is not None and own.distributed else "yolov8"), ""
    if own is None or own.distributed:
        return None
    if decoding.get("widths") != "linear":
        return None, "the decoding of its distances is not in the graph"
    return own.name, ""


def _with_priors(family: HeadFamily, head: Mapping[str, Any]) -> _Answer:
    """Say whether the SDK's SSD decodes a head with prior boxes just as the network does."""
    decoding: Mapping[str, Any] = head.get("decoding") or {}
    config = "give the NMS JSON of the training as postprocess.nms.config"
    if decoding.get("order") == "xy":
        return None, f"its boxes are x, y, w, h, the SDK's SSD reads y, x, h, w; {config}"
    if decoding.get("scores") != "sigmoid":
        return None, f"its class scores share a softmax, the SDK's SSD takes a sigmoid; {config}"
    factors = (decoding.get("center_factor"), decoding.get("size_factor"))
    if not head.get("anchors") or None in factors or decoding.get("order") != "yx":
        return None, f"the anchors and box factors are not in the graph; {config}"
    return family.meta_arch, ""


#: The NMS of a head by its decoding and the roles of its outputs.
_NMS_OF: Mapping[
    str,
    Mapping[FrozenSet[str], Callable[[HeadFamily, Mapping[str, Any]], Optional[_Answer]]],
] = {
    EXPONENTIAL: {frozenset(["box", "class", "objectness"]): _exponential},
    PRIORS: {_APART: _with_priors},
    DISTANCES: {_APART: _distances},
    UNKNOWN: {_APART: _distances},
}


def _engine(asked: str, meta_arch: str) -> Tuple[str, str]:
    known = META_ARCHS[meta_arch]
    if known.chip_only and asked != "nn_core":
        return "nn_core", f"engine=nn_core: the SDK has {meta_arch} on the chip's NMS core only"
    if asked == "nn_core" and not known.on_chip:
        return "cpu", f"engine=cpu: the chip's NMS core cannot run {meta_arch}"
    return ("cpu" if asked == "auto" else asked), ""


def _own(request: ScriptRequest, meta_arch: Optional[str], sigmoid: Tuple[Layer, ...]) -> Nms:
    if meta_arch is None:
        msg = "postprocess.nms.config is given, but not for which family of heads it is"
        raise StageError(
            msg,
            code="script.nms-family",
            fix="Add postprocess.nms.family: " + ", ".join(META_ARCHS),
        )
    engine, note = _engine(request.options.nms.engine, meta_arch)
    return Nms(meta_arch, engine, own_config(request), sigmoid, note)


def own_config(request: ScriptRequest) -> str:
    """Return the user's NMS JSON, with the recipe's number of classes when it has one."""
    text, classes = request.nms_config or "", request.options.nms.classes
    try:
        document = json.loads(text)
    except ValueError as error:
        msg = f"postprocess.nms.config is not JSON: {error}"
        raise StageError(msg, code="script.nms-json", fix="Correct the file.") from None
    if classes is None or not isinstance(document, dict):
        return text
    if document.get("classes") == classes:
        return text
    return _json({**document, "classes": classes})


def _declared(config: str) -> Optional[str]:
    """Read the meta architecture off a JSON's own keys; the schemas differ in them."""
    try:
        document = json.loads(config)
        decoder = document["bbox_decoders"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        msg = "postprocess.nms.config is not an NMS JSON: it needs a list bbox_decoders"
        raise StageError(
            msg,
            code="script.nms-json",
            fix="Compare with a postprocess_config file of the Model Zoo.",
        ) from None
    return marked({*decoder, *document})


def _roles(request: ScriptRequest) -> List[str]:
    by_node = dict(zip(request.head["end_nodes"], request.head["end_roles"]))
    return [str(by_node[node]) for node in request.end_nodes]


def _check_classes(request: ScriptRequest) -> None:
    asked, found = request.options.nms.classes, request.head.get("classes")
    if asked is not None and asked != found:
        msg = f"postprocess.nms.classes says {asked}, but the network's head has {found} classes"
        raise StageError(
            msg,
            code="script.classes",
            fix=f"Set postprocess.nms.classes to {found}, or leave it out.",
        )


def _scales(request: ScriptRequest, layers: Sequence[Layer], roles: Sequence[str]) -> List[_Scale]:
    shapes = dict(zip(request.head["end_nodes"], request.head["end_shapes"]))
    by_cells: Dict[Tuple[int, ...], Dict[str, Layer]] = {}
    for node, layer, role in zip(request.end_nodes, layers, roles):
        by_cells.setdefault(tuple(shapes[node][2:]), {})[role] = layer
    strides = sorted(int(stride) for stride in request.head["strides"])
    ordered = sorted(by_cells.items(), key=lambda item: -item[0][0] * item[0][1])
    if len(ordered) != len(strides):
        msg = f"the head has {len(strides)} strides but outputs of {len(ordered)} sizes"
        raise StageError(
            msg,
            code="script.scales",
            fix="Set parser.end_nodes, or postprocess.nms.enabled to false.",
        )
    return [_Scale(stride, found) for stride, (_, found) in zip(strides, ordered)]


def _document(
    request: ScriptRequest, meta_arch: str, scales: Sequence[_Scale]
) -> Dict[str, object]:
    wish = request.options.nms
    dims = _image_dims(request)
    document: Dict[str, object] = {
        "nms_scores_th": wish.score,
        "nms_iou_th": wish.iou,
        "image_dims": dims,
        "max_proposals_per_class": wish.max_boxes,
        "classes": request.head["classes"],
    }
    for key in META_ARCHS[meta_arch].extra:
        document[key] = _EXTRA[key](request.head, scales)
    document["background_removal"] = False
    document["background_removal_index"] = 0
    document["bbox_decoders"] = [
        _decoder(meta_arch, scale, index, request.head, dims) for index, scale in enumerate(scales)
    ]
    return document


#: Keys that only some kinds of NMS JSON have, and what their value is.
_EXTRA: Mapping[str, Callable[[Mapping[str, Any], Sequence[_Scale]], Any]] = {
    "regression_length": lambda head, _scales: head["regression_length"],
    "number_of_detection_heads": lambda _head, scales: len(scales),
    "centers_scale_factor": lambda head, _scales: _round(head["decoding"]["center_factor"]),
    "bbox_dimensions_scale_factor": lambda head, _scales: _round(head["decoding"]["size_factor"]),
}


def _decoder(
    meta_arch: str, scale: _Scale, index: int, head: Mapping[str, Any], image: Sequence[int]
) -> Dict[str, object]:
    known = META_ARCHS[meta_arch]
    if known.chip_only:
        # The chip's core finds the layers by itself; the zoo's own files leave them empty.
        name = f"fused_bbox_decoder_{scale.stride}"
        return {"name": name, "stride": scale.stride, **dict.fromkeys(known.layers.values(), "")}
    number = re.search(r"\d+$", scale.layers["box"].short)
    decoder: Dict[str, object] = {
        "name": "bbox_decoder" + (number.group() if number else str(index))
    }
    if known.anchors == "pixels":
        decoder["w"] = [_round(anchor[0]) for anchor in head["anchors"][index]]
        decoder["h"] = [_round(anchor[1]) for anchor in head["anchors"][index]]
    elif known.anchors == "fractions":
        decoder["h"] = [round(anchor[1] / image[0], 6) for anchor in head["anchors"][index]]
        decoder["w"] = [round(anchor[0] / image[1], 6) for anchor in head["anchors"][index]]
    if known.stride:
        decoder["stride"] = scale.stride
    decoder.update({key: scale.layers[role].short for role, key in known.layers.items()})
    return decoder


def _image_dims(request: ScriptRequest) -> List[int]:
    layer = request.network.find(request.inputs[0].layer)
    if layer is None or len(layer.shape) != 4:
        msg = f"the input layer {request.inputs[0].layer} has no height and width"
        raise StageError(
            msg,
            code="script.input",
            fix="Set postprocess.nms.enabled to false.",
        )
    return [layer.shape[1], layer.shape[2]]


def _round(value: float) -> float:
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-3 else round(float(value), 4)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=4) + "\n"
