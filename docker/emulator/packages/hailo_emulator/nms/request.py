"""From ``nms_postprocess(...)`` to an :class:`NmsConfig` that fits the network, or an error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import (
    AllocatorScriptParserException,
    UnsupportedMetaArchError,
)
from hailo_sdk_client.tools.core_postprocess.nms_postprocess import NMSConfigPostprocessException
from hailo_sdk_common.hailo_nn.exceptions import HailoNNException
from hefsmith_worker.contract.families import META_ARCHS, marked

from hailo_emulator import log
from hailo_emulator.line import current_line, is_at_least
from hailo_emulator.nms.anchors import YOLOV5, ssd_anchors
from hailo_emulator.nms.config import Decoder, NmsConfig
from hailo_emulator.quirks import quirk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hailo_emulator.network import Network, Port
    from hailo_emulator.options import NmsRequest

#: Field of a :class:`Decoder` for each key of a JSON that names a layer.
_FIELDS = {
    "encoded_layer": "encoded", "reg_layer": "reg", "cls_layer": "cls", "objectness_layer": "obj",
}  # fmt: skip
#: Layers that end a network which was cut behind its heads.
_NO_HEADS = ("concat", "format_conversion", "reshape", "softmax", "ew_mult", "ew_add", "slice")
_ENGINES = ("cpu", "nn_core", "auto")


def resolve_nms(network: Network, request: NmsRequest) -> Network:
    """Return the network with its NMS.

    Raises ``ValueError`` for an unknown architecture (the vendor's text),
    ``UnsupportedMetaArchError`` for one that cannot run on the chip, ``KeyError`` for a JSON
    without ``bbox_decoders``, ``HailoNNException`` for a layer that is not there,
    ``NMSConfigPostprocessException`` for one that is no output or does not fit.
    """
    document: dict[str, Any] | None = None
    if request.config is not None:
        if not request.config.is_file():
            msg = f"Post-process config file isn't found in {request.config}"
            raise AllocatorScriptParserException(msg)
        document = json.loads(request.config.read_text("utf-8"))
    arch = _architecture(request.meta_arch, document)
    engine = request.engine or "cpu"
    if engine not in _ENGINES:
        msg = f"'{engine}' is not a valid PostprocessTarget"
        raise ValueError(msg)
    if engine == "nn_core" and not META_ARCHS[arch].on_chip:
        msg = f"The specified meta architecture {arch} cannot be run on chip"
        raise UnsupportedMetaArchError(msg)
    if request.bbox_decoding_only:
        msg = "bbox_decoding_only is not emulated"
        raise NotImplementedError(msg)
    _check_heads(network)
    values: dict[str, Any] = dict(META_ARCHS[arch].vendor)
    values.update({k: v for k, v in (document or {}).items() if k != "bbox_decoders"})
    values.update(request.overrides)
    if document is None:
        if META_ARCHS[arch].anchors:
            # The published ones: wrong for a training with anchors of its own.
            log.info("Default values of NMS anchors were loaded")
        decoders = _detect_decoders(network, arch, values)
    else:
        entries = document["bbox_decoders"]
        if META_ARCHS[arch].chip_only and all(not e.get("reg_layer") for e in entries):
            decoders = _detect_decoders(network, arch, values)
        else:
            decoders = tuple(_read_decoder(network, arch, entry) for entry in entries)
    if not decoders:
        msg = "The NMS configuration has no bbox_decoders"
        raise NMSConfigPostprocessException(msg)
    if quirk("strict-nms"):
        _check_strictly(arch, values)
    network = _as_scores(network, arch, decoders)
    config = _make_config(network, arch, "cpu" if engine == "auto" else engine, values, decoders)
    log.info(f"Added {config.output} (meta architecture {arch}, engine {config.engine})")
    return replace(network, nms=config)


def _as_scores(network: Network, arch: str, decoders: tuple[Decoder, ...]) -> Network:
    """From 3.33.1 on the compiler itself gives scores to heads that end in logits."""
    if not is_at_least(3, 33, 1):
        return network
    from hailo_emulator.modify import activate_output

    fields = [_FIELDS[key] for role, key in META_ARCHS[arch].layers.items()
              if role in META_ARCHS[arch].sigmoid]  # fmt: skip
    for stream in [getattr(decoder, field) for decoder in decoders for field in fields]:
        port = next(port for port in network.outputs if port.stream == stream)
        layer = network.layer_of(port)
        if layer is not None and layer.activation == "linear":
            network = activate_output(network, port, "sigmoid")
            log.info(
                f"The activation function of layer {network.scoped(layer.name)} was replaced by a "
                "Sigmoid"
            )
    return network


def _check_strictly(arch: str, values: Mapping[str, Any]) -> None:
    """Refuse what no public script has: the vendor's compiler may take it or not."""
    unseen = {
        "ssd": not values.get("background_removal"),
        "yolov8": int(values.get("regression_length", 16)) != 16,
        "yolov6": current_line().compiler == 5,
    }
    if unseen.get(arch, False):
        msg = f"This configuration of {arch} is not supported"
        raise NMSConfigPostprocessException(msg)


def _check_heads(network: Network) -> None:
    """The layers before an NMS are convolutions; a cut after the decoding leaves others there."""
    for port in network.outputs:
        layer = network.layer_of(port)
        if layer is not None and layer.kind in _NO_HEADS:
            msg = (
                f"Error in the last layers of the model, expected conv but found {layer.kind} layer"
            )
            raise AllocatorScriptParserException(msg)


def _architecture(named: str | None, document: Mapping[str, Any] | None) -> str:
    if named == "nanodet":
        return "yolov8"
    if named is not None:
        if named not in META_ARCHS:
            msg = f"'{named}' is not a valid NMSMetaArchitectures"
            raise ValueError(msg)
        if not META_ARCHS[named].emulated:
            emulated = ", ".join(row.name for row in META_ARCHS.values() if row.emulated)
            msg = f"meta_arch={named} is not emulated; emulated are {emulated}"
            raise NotImplementedError(msg)
        return named
    if document is None:
        msg = "nms_postprocess needs a configuration file or a meta_arch"
        raise NMSConfigPostprocessException(msg)
    entries = document["bbox_decoders"]
    keys = set(document) | {key for entry in entries for key in entry}
    return marked(keys) or ("ssd" if {"h", "w"} <= keys else "yolov6")


def _make_config(
    network: Network,
    arch: str,
    engine: str,
    values: Mapping[str, Any],
    decoders: tuple[Decoder, ...],
) -> NmsConfig:
    removal = bool(values.get("background_removal", False))
    classes = int(values.get("classes") or _count_classes(network, arch, decoders[0], values))
    if removal and arch == "ssd":
        classes -= 1  # the background is a class in the file and none in the result
    dims = values.get("image_dims") or network.inputs[0].shape[:2]
    return NmsConfig(
        output=f"{network.name}/{arch}_nms_postprocess",
        meta_arch=arch,
        engine=engine,
        score_threshold=float(values["nms_scores_th"]),
        iou_threshold=float(values["nms_iou_th"]),
        classes=classes,
        max_proposals_per_class=int(values["max_proposals_per_class"]),
        image_dims=(int(dims[0]), int(dims[1])),
        decoders=decoders,
        regression_length=int(values.get("regression_length", 16)),
        background_removal=removal and arch == "ssd",
        background_removal_index=int(values.get("background_removal_index", 0)),
        centers_scale_factor=float(values.get("centers_scale_factor", 10)),
        bbox_dimensions_scale_factor=float(values.get("bbox_dimensions_scale_factor", 5)),
    )


def _count_classes(network: Network, arch: str, decoder: Decoder, values: Mapping[str, Any]) -> int:
    features = {port.stream: port.shape[-1] for port in network.outputs}
    if arch == "yolov5":
        return features[decoder.encoded] // len(decoder.w) - 5
    if arch == "ssd":
        return features[decoder.cls] // len(decoder.w)
    return features[decoder.cls]


def _read_decoder(network: Network, arch: str, entry: Mapping[str, Any]) -> Decoder:
    streams = {
        _FIELDS[key]: _stream_of(network, str(entry[key]))
        for key in META_ARCHS[arch].layers.values()
    }
    return Decoder(
        name=str(entry.get("name", "")),
        stride=int(entry.get("stride", 0)),
        w=tuple(float(v) for v in entry.get("w", ())),
        h=tuple(float(v) for v in entry.get("h", ())),
        **streams,
    )


def _stream_of(network: Network, name: str) -> str:
    """The stream of the output that a configured layer feeds; there must be exactly one."""
    plain = name.rsplit("/", 1)[-1]
    layer = network.layers.find(plain)
    ports = [port for port in network.outputs if port.name == f"{network.name}/{plain}"]
    if layer is None and not ports:
        msg = f"The layer named {name} doesn't exist in the HN"
        raise HailoNNException(msg)
    if layer is not None:
        ports = [p for p in network.outputs if network.layers.producer[p.tensor] == layer.name]
    if len(ports) != 1 or len(ports[0].shape) != 3:
        msg = f"The layer {network.name}/{plain} doesn't have one output layer"
        raise NMSConfigPostprocessException(msg)
    return ports[0].stream


def _detect_decoders(network: Network, arch: str, values: Mapping[str, Any]) -> tuple[Decoder, ...]:
    """Sort the outputs into heads by their size and number of features."""
    scales: dict[tuple[int, int], list[Port]] = {}
    for port in network.outputs:
        if len(port.shape) == 3:
            scales.setdefault((port.shape[0], port.shape[1]), []).append(port)
    image = values.get("image_dims") or network.inputs[0].shape[:2]
    heads = sorted(scales.items(), key=lambda item: -item[0][0])
    decoders = []
    for number, (size, ports) in enumerate(heads):
        stride = round(int(image[0]) / size[0])
        decoder = _detect_one(arch, ports, stride, values, number, len(heads))
        if decoder is None:
            break
        decoders.append(decoder)
    if not decoders or len(decoders) != len(heads):
        if arch == "yolov6":
            msg = "The layer named  doesn't exist in the HN"
            raise HailoNNException(msg)
        shapes = ", ".join(f"{p.stream} {p.shape}" for p in network.outputs)
        msg = f"The outputs do not look like the heads of {arch}: {shapes}"
        raise NMSConfigPostprocessException(msg)
    return tuple(decoders)


def _detect_one(
    arch: str,
    ports: list[Port],
    stride: int,
    values: Mapping[str, Any],
    number: int,
    scales: int,
) -> Decoder | None:
    name = f"bbox_decoder_{stride}"
    by_features = {port.stream: port.shape[2] for port in ports}
    if arch == "yolov5":
        anchors = YOLOV5.get(stride)
        if anchors is None or len(ports) != 1 or ports[0].shape[2] % 3:
            return None
        w, h = zip(*anchors, strict=True)
        return Decoder(name, stride, encoded=ports[0].stream, w=w, h=h)
    count = {"yolox": 3}.get(arch, 2)
    if len(ports) != count:
        return None
    widths: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()
    if arch == "ssd":
        widths, heights = zip(*ssd_anchors(scales)[number], strict=True)
        wanted = 4 * len(widths)
    else:
        wanted = 4 * int(values.get("regression_length", 16)) if arch == "yolov8" else 4
    reg = next((s for s, f in by_features.items() if f == wanted), None)
    rest = [s for s in by_features if s != reg]
    if reg is None:
        return None
    if arch == "yolox":
        obj = next((s for s in reversed(rest) if by_features[s] == 1), None)
        if obj is None:
            return None
        cls = next(s for s in rest if s != obj)
        return Decoder(name, stride, reg=reg, cls=cls, obj=obj)
    return Decoder(name, stride, reg=reg, cls=rest[0], w=widths, h=heights)
