"""Print what ``hailortcli parse-hef`` of HailoRT 5.2 prints, byte for byte."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from orchestrator.hef.model import LogitsOp, NmsOp
from orchestrator.hef.netflow import single

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.hef.model import Hef, NetworkGroup, Stream, Tensor

_TAB: Final = "    "
_OP_NAMES: Final = {
    "yolo_nms_op": "YOLOv5-Post-Process",
    "yolox_nms_op": "YOLOX-Post-Process",
    "ssd_nms_op": "SSD-Post-Process",
    "iou_op": "IoU-Post-Process",
    "yolo_seg_op": "YOLOv5Seg-Post-Process",
    "yolov8_nms_op": "YOLOV8-Post-Process",
}
_BOX_ONLY_NAMES: Final = {
    "yolo_nms_op": "YOLOv5Bbox-Only-Post-Process",
    "yolov8_nms_op": "YOLOv8Bbox-Only-Post-Process",
}
_LOGITS: Final = {"argmax": "Argmax", "softmax": "Softmax"}


def vendor_text(hef: Hef, *, parse_streams: bool = False) -> str:
    """Return the text of ``parse-hef`` (with ``--parse-streams``) for ``hef``.

    Raises the ``HefError`` of the first group that the vendor's tool refuses to list: then it
    prints nothing on stdout either.
    """
    lines = [f"HEF Compatible for: {', '.join(hef.chips)}"]
    if any(hef.sdk_version):
        lines.append("HEF Compiler Version: {}.{}.{}".format(*hef.sdk_version))
    for group in hef.network_groups:
        if "group" in group.problems:
            raise group.problems["group"]
    for group in hef.network_groups:
        lines += _group_lines(group, parse_streams=parse_streams)
    return "".join(line + "\n" for line in lines)


def _group_lines(group: NetworkGroup, *, parse_streams: bool) -> Iterator[str]:
    count = f"Multi Context - Number of contexts: {len(group.contexts)}"
    contexts = count if group.multi_context else "Single Context"
    yield f"Network group name: {group.name}, {contexts}"
    for view in group.views:
        yield f"{_TAB}Network name: {view.name}"
        if parse_streams:
            for key in ("input_streams", "output_streams"):
                if key in view.problems:
                    raise view.problems[key]
            yield f"{_TAB * 2}Stream infos:"
            for stream in view.input_streams:
                yield f"{_TAB * 3}Input  {stream.name} {_stream_text(stream)}"
            for stream in view.output_streams:
                yield f"{_TAB * 3}Output {stream.name} {_stream_text(stream)}"
        for key in ("inputs", "outputs"):
            if key in view.problems:
                raise view.problems[key]
        yield f"{_TAB * 2}VStream infos:"
        for tensor in view.inputs:
            yield f"{_TAB * 3}Input  {tensor.name} {tensor_text(tensor)}"
        for tensor in view.outputs:
            yield f"{_TAB * 3}Output {tensor.name} {tensor_text(tensor)}"
        if group.last_op is not None:
            yield f"{_TAB * 3}Operation:"
            yield from (f"{_TAB * 4}{line}" for line in _op_lines(group.last_op))


def _stream_text(stream: Stream) -> str:
    kind = f"{stream.type}, {stream.order}"
    if stream.order == "HAILO NMS ON CHIP":
        return f"{kind}(maximum frame size: {stream.hw_frame_size})"
    return kind + _shape_text(stream.order, stream.hw_shape)


def tensor_text(tensor: Tensor) -> str:
    """Return type, order and shape as the vendor's tool writes them."""
    kind = f"{tensor.type}, {tensor.order}"
    nms = tensor.nms_shape
    if nms is None:
        return kind + _shape_text(tensor.order, tensor.shape or (0, 0, 0))
    if tensor.order == "HAILO NMS BY CLASS":
        boxes = f"maximum bounding boxes per class: {nms.max_bboxes_per_class}"
    else:
        boxes = f"maximum bounding boxes total: {nms.max_bboxes_total}"
    return (
        f"{kind}(number of classes: {nms.number_of_classes}, {boxes}, "
        f"maximum frame size: {tensor.frame_size})"
    )


def _shape_text(order: str, shape: tuple[int, int, int]) -> str:
    height, width, features = shape
    if order == "NC":
        return f"({features})"
    if order == "NHW":
        return f"({height}x{width})"
    return f"({height}x{width}x{features})"


def _op_lines(op: NmsOp | LogitsOp) -> list[str]:
    if isinstance(op, LogitsOp):
        return [f"{op.kind.upper()} Op", f"Name: {_LOGITS[op.kind]}-Post-Process"]
    if op.box_decoding_only and op.kind in _BOX_ONLY_NAMES:
        lines = [f"Op {op.family}", f"Name: {_BOX_ONLY_NAMES[op.kind]}", f"Classes: {op.classes}"]
    else:
        lines = [f"Op {op.family}", f"Name: {_OP_NAMES[op.kind]}", *_config_lines(op)]
    if op.image is not None:
        lines += [f"Image height: {_whole(op.image[0])}", f"Image width: {_whole(op.image[1])}"]
    if op.kind == "ssd_nms_op":
        lines += [
            f"Centers scales factor: {op.extra['centers_scale_factor']}",
            f"Bbox dimension scale factor: {op.extra['bbox_dimensions_scale_factor']}",
            "Normalize boxes: false",
        ]
    if op.kind == "yolo_seg_op":
        lines.append(f"Mask threshold: {_fixed(op.extra['mask_threshold'], 2)}")
    return lines


def _config_lines(op: NmsOp) -> Iterator[str]:
    yield f"Score threshold: {_fixed(op.score_threshold, 3)}"
    yield f"IoU threshold: {_fixed(op.iou_threshold, 2)}"
    yield f"Classes: {op.classes}"
    if op.kind == "yolo_seg_op":
        yield f"Max bboxes total: {op.max_boxes_per_class * op.classes & 0xFFFFFFFF}"
    else:
        yield f"Max bboxes per class: {op.max_boxes_per_class}"
    if op.background_removal:
        yield f"Background removal index: {op.background_index}"


def _fixed(value: float, digits: int) -> str:
    """Write a number that the vendor keeps in 32 bits with a fixed count of decimals."""
    value = single(value)
    if math.isnan(value):
        return "-nan" if math.copysign(1.0, value) < 0 else "nan"
    return f"{value:.{digits}f}"


def _whole(value: float) -> int:
    """Cut a number to a 32-bit integer; what does not fit becomes the smallest, as on x86."""
    value = single(value)
    if math.isfinite(value) and -(2.0**31) <= math.trunc(value) < 2.0**31:
        return math.trunc(value)
    return -(2**31)
