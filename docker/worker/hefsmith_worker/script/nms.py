"""The NMS JSON of a head, and whether the SDK has an NMS for it.

The layers are those of the parsed network: a JSON of another network, or of the same one
exported differently, names other layers (``NMSConfigPostprocessException``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from hefsmith_worker.protocol import StageError
from hefsmith_worker.script.network import Layer
from hefsmith_worker.script.request import ScriptRequest

#: Meta architectures that the chip's own NMS core can run; the others need the host's CPU.
ON_CHIP = ("ssd", "yolov5", "yolov6", "centernet")
#: Anchor-based families whose decoding is YOLOv5's.
ANCHORED = ("yolov3", "yolov5", "yolov7")


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
    if task != "detection":
        return NoNms()
    if request.head.get("task") != "detection" or set(request.end_nodes) != set(
        request.head.get("end_nodes") or ()
    ):
        if request.nms_config is not None:
            return _own(request, wish.family or _declared(request.nms_config), ())
        return NoNms("the network is not cut at the convolutions of a detection head")
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
        if (role in ("class", "objectness") or meta_arch == "yolov5")
        and layer.activation != "sigmoid"
    )
    if request.nms_config is not None:
        return _own(request, meta_arch, sigmoid)
    _check_classes(request)
    engine, note = _engine(wish.engine, meta_arch)
    scales = _scales(request, layers, roles)
    document = _document(request, meta_arch, scales)
    return Nms(meta_arch, engine, _json(document), sigmoid, note)


def meta_arch_of(head: Mapping[str, Any]) -> Tuple[Optional[str], str]:
    """Return the SDK's name for a head's decoding, or why it has none.

    A head that looks alike but is decoded otherwise gets none: its boxes would be wrong, and
    nothing would say so.
    """
    family = str(head.get("family"))
    roles = set(head.get("end_roles") or ())
    decoding: Mapping[str, Any] = head.get("decoding") or {}
    if decoding.get("scaled"):
        return None, (
            "learned factors follow the end nodes (YOLOv7's implicit layers, scales per level), "
            "which the SDK's NMS does not know; export the fused model, or decode on the CPU"
        )
    if roles == {"box"}:
        if family in ANCHORED and decoding.get("widths") == "exponential":
            return None, f"{family} decodes widths by an exponential, the SDK's yolov5 does not"
        if family in ANCHORED and head.get("anchors"):
            return "yolov5", ""
        if family in ANCHORED:
            return None, "the anchors are not in the graph; give postprocess.nms.config"
        return None, f"boxes and classes of {family} share a layer, which no NMS of the SDK reads"
    if roles == {"box", "class", "objectness"} and family == "yolox":
        return "yolox", ""
    if roles == {"box", "class"} and family in ("ssd", "retinanet", "efficientdet"):
        return _with_priors(head, decoding)
    if roles == {"box", "class"} and decoding.get("offset") not in (None, 0.5):
        return None, (
            "its distances count from the corner of a cell, the SDK's NMS counts from the centre: "
            "boxes would be shifted by half a stride"
        )
    if roles == {"box", "class"} and decoding.get("scores") == "softmax":
        return None, "class scores share a softmax, the SDK's NMS takes one sigmoid for each"
    if roles == {"box", "class"} and head.get("regression_length"):
        return "yolov8", ""
    if roles == {"box", "class"} and family == "yolov6" and decoding.get("widths") != "linear":
        return None, "the decoding of its distances is not in the graph"
    if roles == {"box", "class"} and family == "yolov6":
        return "yolov6", ""
    return None, f"the SDK has no NMS for the boxes of {family}; its outputs stay raw"


def _with_priors(head: Mapping[str, Any], decoding: Mapping[str, Any]) -> Tuple[Optional[str], str]:
    """Say whether the SDK's SSD decodes a head with prior boxes just as the network does."""
    config = "give the NMS JSON of the training as postprocess.nms.config"
    if decoding.get("order") == "xy":
        return None, f"its boxes are x, y, w, h, the SDK's SSD reads y, x, h, w; {config}"
    if decoding.get("scores") != "sigmoid":
        return None, f"its class scores share a softmax, the SDK's SSD takes a sigmoid; {config}"
    factors = (decoding.get("center_factor"), decoding.get("size_factor"))
    if not head.get("anchors") or None in factors or decoding.get("order") != "yx":
        return None, f"the anchors and box factors are not in the graph; {config}"
    return "ssd", ""


def _engine(asked: str, meta_arch: str) -> Tuple[str, str]:
    if meta_arch == "yolov6" and asked != "nn_core":
        return "nn_core", "engine=nn_core: the SDK has yolov6 on the chip's NMS core only"
    if asked == "nn_core" and meta_arch not in ON_CHIP:
        return "cpu", f"engine=cpu: the chip's NMS core cannot run {meta_arch}"
    return ("cpu" if asked == "auto" else asked), ""


def _own(request: ScriptRequest, meta_arch: Optional[str], sigmoid: Tuple[Layer, ...]) -> Nms:
    if meta_arch is None:
        msg = "postprocess.nms.config is given, but not for which family of heads it is"
        raise StageError(
            msg,
            code="script.nms-family",
            fix="add postprocess.nms.family: yolov5, yolov6, yolov8, yolox, ssd or centernet",
        )
    engine, note = _engine(request.options.nms.engine, meta_arch)
    return Nms(meta_arch, engine, own_config(request), sigmoid, note)


def own_config(request: ScriptRequest) -> str:
    """Return the user's NMS JSON, with the recipe's number of classes when it has one."""
    text, classes = request.nms_config or "", request.options.nms.classes
    try:
        document = json.loads(text)
    except ValueError as error:
        msg = f"postprocess.nms.config is no JSON: {error}"
        raise StageError(msg, code="script.nms-json", fix="correct the file") from None
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
        msg = "postprocess.nms.config is no NMS JSON: it needs a list bbox_decoders"
        raise StageError(
            msg,
            code="script.nms-json",
            fix="compare with a postprocess_config file of the Model Zoo",
        ) from None
    if "encoded_layer" in decoder:
        return "yolov5"
    if "objectness_layer" in decoder:
        return "yolox"
    if "regression_length" in document:
        return "yolov8"
    return "ssd" if "centers_scale_factor" in document else None


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
            fix=f"set postprocess.nms.classes to {found}, or leave it out",
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
            fix="set parser.end_nodes, or postprocess.nms.enabled to false",
        )
    return [_Scale(stride, found) for stride, (_, found) in zip(strides, ordered)]


def _document(request: ScriptRequest, meta_arch: str, scales: Sequence[_Scale]) -> Dict[str, Any]:
    wish = request.options.nms
    document: Dict[str, Any] = {
        "nms_scores_th": wish.score,
        "nms_iou_th": wish.iou,
        "image_dims": _image_dims(request),
        "max_proposals_per_class": wish.max_boxes,
        "classes": request.head["classes"],
    }
    if meta_arch == "yolov8":
        document["regression_length"] = request.head["regression_length"]
    if meta_arch == "yolox":
        document["number_of_detection_heads"] = len(scales)
    if meta_arch == "ssd":
        decoding = request.head["decoding"]
        document["centers_scale_factor"] = _round(decoding["center_factor"])
        document["bbox_dimensions_scale_factor"] = _round(decoding["size_factor"])
    document["background_removal"] = False
    document["background_removal_index"] = 0
    document["bbox_decoders"] = [
        _decoder(meta_arch, scale, index, request.head, document["image_dims"])
        for index, scale in enumerate(scales)
    ]
    return document


def _decoder(
    meta_arch: str, scale: _Scale, index: int, head: Mapping[str, Any], image: Sequence[int]
) -> Dict[str, Any]:
    if meta_arch == "yolov6":
        # The chip's core finds the layers by itself; the zoo's own files leave them empty.
        name = f"fused_bbox_decoder_{scale.stride}"
        return {"name": name, "stride": scale.stride, "reg_layer": "", "cls_layer": ""}
    box = scale.layers["box"].short
    number = re.search(r"\d+$", box)
    decoder: Dict[str, Any] = {"name": "bbox_decoder" + (number.group() if number else str(index))}
    if meta_arch == "yolov5":
        anchors = head["anchors"][index]
        decoder["w"] = [_round(anchor[0]) for anchor in anchors]
        decoder["h"] = [_round(anchor[1]) for anchor in anchors]
        decoder["stride"] = scale.stride
        decoder["encoded_layer"] = box
        return decoder
    if meta_arch == "ssd":
        anchors = head["anchors"][index]
        decoder["h"] = [round(anchor[1] / image[0], 6) for anchor in anchors]
        decoder["w"] = [round(anchor[0] / image[1], 6) for anchor in anchors]
        decoder["reg_layer"] = box
        decoder["cls_layer"] = scale.layers["class"].short
        return decoder
    decoder["stride"] = scale.stride
    decoder["reg_layer"] = box
    if meta_arch == "yolox":
        decoder["objectness_layer"] = scale.layers["objectness"].short
    decoder["cls_layer"] = scale.layers["class"].short
    return decoder


def _image_dims(request: ScriptRequest) -> List[int]:
    layer = request.network.find(request.inputs[0].layer)
    if layer is None or len(layer.shape) != 4:
        msg = f"the input layer {request.inputs[0].layer} has no height and width"
        raise StageError(
            msg,
            code="script.input",
            fix="set postprocess.nms.enabled to false",
        )
    return [layer.shape[1], layer.shape[2]]


def _round(value: float) -> float:
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-3 else round(float(value), 4)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=4) + "\n"
