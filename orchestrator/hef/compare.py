"""What changed between two HEFs that a user would care about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.hef.model import Hef, NetworkGroup, NmsOp, Quantization, Tensor

_NOTHING: Final = "-"


@dataclass(frozen=True)
class Change:
    """One difference; ``where`` is a path (``net/output net/conv41``), ``-`` means absent."""

    where: str
    what: str
    before: str
    after: str


def compare_hefs(before: Hef, after: Hef) -> tuple[Change, ...]:
    """Return what differs, from the file down to single tensors; empty when nothing does.

    File names, timestamps and checksums are no differences, the bytes of the weights are.
    """
    changes = [*_rows("file", _file_facts(before), _file_facts(after))]
    old = {group.name: group for group in before.network_groups}
    new = {group.name: group for group in after.network_groups}
    for name in dict.fromkeys((*old, *new)):
        if name in old and name in new:
            changes += _groups(name, old[name], new[name])
        else:
            presence = (name in old, name in new)
            changes.append(Change(name, "network group", *map(_presence, presence)))
    return tuple(changes)


def _presence(there: bool) -> str:
    return "there" if there else _NOTHING


def _file_facts(hef: Hef) -> dict[str, str]:
    return {
        "chips": ", ".join(hef.chips),
        "architecture": hef.hw_arch or str(hef.hw_arch_id),
        "compiler": hef.compiler
        or (".".join(map(str, hef.sdk_version)) if any(hef.sdk_version) else _NOTHING),
        "emulated": "yes" if hef.emulated else "no",
        "header version": str(hef.header.version),
        "size": f"{hef.size} bytes",
        "weights": f"{hef.sections.get('weights', 0)} bytes",
        "extensions": ", ".join(sorted(item.name for item in hef.extensions if not item.optional)),
        "external resources": ", ".join(
            f"{item.name} ({item.size} bytes, {item.xxh3_64:016x})"
            for item in sorted(hef.resources, key=lambda item: item.name)
        ),
    }


def _groups(name: str, before: NetworkGroup, after: NetworkGroup) -> Iterator[Change]:
    yield from _rows(name, _group_facts(before), _group_facts(after))
    for direction in ("input", "output"):
        old: dict[str, Tensor] = {tensor.name: tensor for tensor in _side(before, direction)}
        new: dict[str, Tensor] = {tensor.name: tensor for tensor in _side(after, direction)}
        for tensor in dict.fromkeys((*old, *new)):
            where = f"{name}/{direction} {tensor}"
            if tensor in old and tensor in new:
                yield from _rows(where, _tensor_facts(old[tensor]), _tensor_facts(new[tensor]))
            else:
                yield Change(where, direction, _presence(tensor in old), _presence(tensor in new))
    old_ops = {op.output: op for op in before.nms_ops}
    new_ops = {op.output: op for op in after.nms_ops}
    for output in dict.fromkeys((*old_ops, *new_ops)):
        where = f"{name}/NMS {output}"
        if output in old_ops and output in new_ops:
            yield from _rows(where, _nms_facts(old_ops[output]), _nms_facts(new_ops[output]))
        else:
            yield Change(where, "NMS", _presence(output in old_ops), _presence(output in new_ops))


def _side(group: NetworkGroup, direction: str) -> tuple[Tensor, ...]:
    return group.inputs if direction == "input" else group.outputs


def _group_facts(group: NetworkGroup) -> dict[str, str]:
    return {
        "networks": ", ".join(group.networks),
        "contexts": str(group.declared_contexts),
        "predicted FPS": _number(group.predicted_fps),
        "operations": _number(group.operations),
        "order of inputs": ", ".join(tensor.name for tensor in group.inputs),
        "order of outputs": ", ".join(tensor.name for tensor in group.outputs),
    }


def _tensor_facts(tensor: Tensor) -> dict[str, str]:
    nms = tensor.nms_shape
    shape = tensor.shape
    return {
        "shape": "x".join(map(str, shape)) if shape else _NOTHING,
        "padded shape": "x".join(map(str, tensor.padded_shape))
        if tensor.padded_shape
        else _NOTHING,
        "boxes": f"{nms.number_of_classes} classes, {nms.max_bboxes_total} boxes"
        if nms
        else _NOTHING,
        "order": tensor.order,
        "type": tensor.type,
        "quantization": _quantization(tensor.quantization),
        "original names": ", ".join(tensor.original_names),
    }


def _quantization(value: Quantization) -> str:
    low, high = value.limits
    text = f"zero point {value.zero_point:.6g}, scale {value.scale:.6g}, {low:.6g} to {high:.6g}"
    if value.per_feature:
        scales = ", ".join(f"{scale:.6g}" for scale in value.scales)
        points = ", ".join(f"{point:.6g}" for point in value.zero_points)
        text += f", per feature: scales {scales}; zero points {points}"
    return text


def _nms_facts(op: NmsOp) -> dict[str, str]:
    return {
        "family": op.family,
        "score threshold": _number(op.score_threshold),
        "IoU threshold": _number(op.iou_threshold),
        "boxes per class": str(op.max_boxes_per_class),
        "classes": str(op.classes),
        "background": str(op.background_index) if op.background_removal else _NOTHING,
        "decoding only": "yes" if op.box_decoding_only else "no",
        "image": "x".join(f"{side:g}" for side in op.image) if op.image else _NOTHING,
        "decoders": "; ".join(
            f"stride {item.stride} {dict(item.inputs)} {list(item.anchors) or ''}".strip()
            for item in op.decoders
        ),
        "other": ", ".join(f"{key} {value:g}" for key, value in sorted(op.extra.items())),
    }


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows(where: str, before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for what, old in before.items():
        if old != after[what]:
            yield Change(where, what, old or _NOTHING, after[what] or _NOTHING)
