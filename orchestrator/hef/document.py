"""A HEF as a JSON document for programs.

Fields that the vendor's answers have too (``../shared/hefs/*.expected.json``) carry the same
names and values; ours come after them.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import escape_control
from orchestrator.hef.errors import STATUS_NAMES

if TYPE_CHECKING:
    from orchestrator.hef.compatibility import Compatibility, Reason
    from orchestrator.hef.errors import HefError
    from orchestrator.hef.model import (
        Hef,
        NetworkGroup,
        NmsOp,
        Quantization,
        Stream,
        Tensor,
    )
    from orchestrator.hef.reader import Examination

Json = dict[str, object]


def examination_document(examination: Examination) -> Json:
    """Return the document of one file; ``network_groups`` is empty when HailoRT refuses it.

    What could be read of a refused file is under ``salvaged``.
    """
    header, hef = examination.header, examination.hef
    status = examination.vendor_status
    lengths = [check.ok for check in examination.checks if check.name == "length"]
    sums = [
        check.ok
        for check in examination.checks
        if check.name != "length" and not check.name.startswith("resource:")
    ]
    document: Json = {
        "file": examination.name,
        "path": hef.path if hef else None,
        "size": examination.size,
        "parse_hef_exit": examination.vendor_exit,
        "status": status,
        "status_name": STATUS_NAMES.get(status) if status else None,
        "header_version": header.version if header else None,
        "proto_size": header.proto_size if header else None,
        "ccws_size": _ccws_size(examination),
        "length_ok": all(lengths) if lengths else None,
        "checksum_ok": all(sums) if sums else None,
        "hw_arch": None,
        "sdk_version": None,
        "sdk_version_str": None,
        "compatible_archs": None,
        "network_groups": [],
    }
    if hef is not None:
        document |= {
            "hw_arch": hef.hw_arch or hef.hw_arch_id,
            "sdk_version": list(hef.sdk_version),
            "sdk_version_str": hef.compiler,
        }
        listed = not any("group" in group.problems for group in hef.network_groups)
        if examination.opens:
            document["compatible_archs"] = list(hef.chips)
            if listed:
                document["network_groups"] = [_group(group) for group in hef.network_groups]
        else:
            document["salvaged"] = {
                "compatible_archs": list(hef.chips),
                "network_groups": [_group(group) for group in hef.network_groups],
            }
        document |= _own(hef)
    document["integrity"] = _integrity(examination)
    return _plain(document)  # type: ignore[no-any-return]


def _ccws_size(examination: Examination) -> int | None:
    header = examination.header
    if header is None or header.ccws_size is None:
        return None
    return header.ccws_size - (header.padding_size or 0)


def _own(hef: Hef) -> Json:
    version = hef.compiler_version
    return {
        "emulated": hef.emulated,
        "compiler_version": ".".join(map(str, version)) if version else None,
        "format_version": hef.format_version,
        "timestamp": hef.timestamp,
        "sections": dict(hef.sections),
        "extensions": [
            {"id": item.id, "name": item.name, "optional": item.optional, "known": item.known}
            for item in hef.extensions
        ],
        "external_resources": [
            {"name": item.name, "offset": item.offset, "size": item.size} for item in hef.resources
        ],
    }


def _integrity(examination: Examination) -> Json:
    return {
        "ok": not examination.problems,
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "expected": check.expected,
                "found": check.found,
                "offset": check.offset,
                "checked_by_hailort": check.vendor,
            }
            for check in examination.checks
        ],
        "problems": [error_document(problem) for problem in examination.problems],
    }


def error_document(error: HefError) -> Json:
    """Return an error as data; ``missing`` only where bytes are known to be missing."""
    document: Json = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "status": error.status,
        "status_name": error.status_name,
        "offset": error.offset,
    }
    missing = getattr(error, "missing", None)
    return document if missing is None else {**document, "missing": missing}


def _group(group: NetworkGroup) -> Json:
    problems = group.problems
    return {
        "name": group.name,
        "networks": list(group.networks),
        "is_multi_context": group.multi_context,
        "contexts": group.declared_contexts,
        "inputs": problems["inputs"].status
        if "inputs" in problems
        else [_tensor(tensor) for tensor in group.inputs],
        "outputs": problems["outputs"].status
        if "outputs" in problems
        else [_tensor(tensor) for tensor in group.outputs],
        "nms_ops": [_nms_op(op) for op in group.nms_ops],
        "logits_ops": [
            {"name": op.name, "kind": op.kind, "input": op.input, "output": op.output}
            for op in group.logits_ops
        ],
        "streams": [_stream(stream) for stream in group.streams],
        "context_details": [
            {
                "index": context.index,
                "actions": context.actions,
                "boundary_layers": context.boundary_layers,
                "inter_context_layers": context.inter_context_layers,
                "ddr_layers": context.ddr_layers,
                "cache_layers": context.cache_layers,
            }
            for context in group.contexts
        ],
        "predicted_fps": group.predicted_fps,
        "latency_ms": group.latency,
        "operations": group.operations,
        "transposed": group.transposed,
    }


def _tensor(tensor: Tensor) -> Json:
    nms = tensor.nms_shape
    return {
        "name": tensor.name,
        "network": tensor.network,
        "shape": list(tensor.shape) if tensor.shape is not None else None,
        "nms_shape": {
            "number_of_classes": nms.number_of_classes,
            "max_bboxes_per_class": nms.max_bboxes_per_class,
            "max_bboxes_total": nms.max_bboxes_total,
            "max_accumulated_mask_size": nms.max_accumulated_mask_size,
        }
        if nms
        else None,
        "order": tensor.order,
        "type": tensor.type,
        "frame_size": tensor.frame_size,
        "padded_shape": list(tensor.padded_shape) if tensor.padded_shape is not None else None,
        "quantization": _quantization(tensor.quantization),
        "original_names": list(tensor.original_names),
    }


def _stream(stream: Stream) -> Json:
    return {
        "name": stream.name,
        "direction": stream.direction.value,
        "network": stream.network,
        "shape": list(stream.shape),
        "hw_shape": list(stream.hw_shape),
        "order": stream.order,
        "type": stream.type,
        "hw_frame_size": stream.hw_frame_size,
        "context": stream.context,
        "members": list(stream.members),
        "quantization": _quantization(stream.quantization),
        "original_names": list(stream.original_names),
    }


def _quantization(quantization: Quantization) -> Json:
    document: Json = {
        "zero_point": quantization.zero_point,
        "scale": quantization.scale,
        "limits": list(quantization.limits),
    }
    if quantization.per_feature:
        document["scales"] = list(quantization.scales)
        document["zero_points"] = list(quantization.zero_points)
    return document


def _nms_op(op: NmsOp) -> Json:
    document: Json = {
        "kind": op.kind,
        "score_th": op.score_threshold,
        "iou_th": op.iou_threshold,
        "max_proposals_per_class": op.max_boxes_per_class,
        "classes": op.classes,
        "background_removal": op.background_removal,
        "background_removal_index": op.background_index,
        "bbox_decoding_only": op.box_decoding_only,
    }
    if op.image is not None:
        document |= {"image": list(op.image), "decoders": len(op.decoders)}
    return document | {
        "name": op.name,
        "output": op.output,
        "inputs": list(op.inputs),
        "extra": dict(op.extra),
        "decoder_details": [
            {
                "stride": decoder.stride,
                "anchors": [list(anchor) for anchor in decoder.anchors],
                "inputs": dict(decoder.inputs),
            }
            for decoder in op.decoders
        ],
    }


#: Control characters that JSON leaves as they are: DEL and C1, line ends, changes of direction.
_RAW_CONTROLS: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: no NaN or infinity, no control character on a terminal.

    Names keep their bytes, since programs look streams up by them: JSON itself escapes what
    most could do harm (``\\u001b``).
    """
    if isinstance(value, str):
        return _RAW_CONTROLS.sub(lambda match: escape_control(match[0]), value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def compatibility_document(answer: Compatibility) -> Json:
    """Return an answer of :func:`check_compatibility` as data."""

    def reasons(items: tuple[Reason, ...]) -> list[Json]:
        return [
            {"code": item.code, "message": item.message, "status": item.status, "hint": item.hint}
            for item in items
        ]

    return {
        "chip": answer.chip,
        "hailort": answer.hailort,
        "runs": answer.runs,
        "refusals": reasons(answer.refusals),
        "warnings": reasons(answer.warnings),
    }
