"""From an ONNX file to the report on its head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import onnx

from hefsmith_worker.contract.families import family_of
from hefsmith_worker.contract.trials import OPEN_SIDE
from hefsmith_worker.graph.anchors import fused_anchors, separate_anchors
from hefsmith_worker.graph.backbone import (
    ancestors,
    describe_body,
    kinds_of_layers,
    tower_of,
)
from hefsmith_worker.graph.decoding import read_decoding
from hefsmith_worker.graph.ends import Ends, find_ends
from hefsmith_worker.graph.family import Evidence, Family, name_family, reasons_of
from hefsmith_worker.graph.heads import End, Fused, group_scales, read_ends, strides_of
from hefsmith_worker.graph.model import Graph, GraphError, Node, read_graph
from hefsmith_worker.graph.plain import read_plain
from hefsmith_worker.graph.provenance import Trace
from hefsmith_worker.graph.report import HeadReport
from hefsmith_worker.graph.roles import Head, read_head
from hefsmith_worker.graph.values import Values

#: More learned layers than this at the end are no head of a known kind.
_MOST_ENDS = 48
#: What makes one answer of all channels of a cell: similarities, and descriptors of length 1.
_MIXERS = frozenset(("MatMul", "Gemm", "Einsum", "ReduceL2", "ReduceSumSquare", "LpNormalization"))


def analyse(source: Union[str, Path, onnx.ModelProto]) -> HeadReport:
    """Find the head of a network; a network of no known kind is answered ``other``.

    Raises :class:`~hefsmith_worker.graph.model.GraphError` when ``source`` is no ONNX graph.
    """
    return analyse_graph(read_graph(source))


def analyse_graph(graph: Graph) -> HeadReport:
    """Find the head of a graph that was read already.

    Raises :class:`GraphError` where a node lacks what its operator needs.
    """
    try:
        return _analyse(graph)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        msg = f"the graph is damaged: {type(error).__name__}: {error}"
        raise GraphError(msg) from error


def _analyse(graph: Graph) -> HeadReport:
    values = Values(graph)
    ends = find_ends(graph, values)
    notes = [
        f"input {name} leaves its size open: looked at with {OPEN_SIDE}"
        for name in graph.open_inputs
    ]
    layers = kinds_of_layers(graph, values)
    picture = _picture(graph)
    if picture is None:
        why = "no input is one picture (1, channels, height, width)"
        return HeadReport(reasons=(why,), layers=layers)
    report = read_plain(graph, values, ends) or _detection(graph, values, ends, picture)
    if report is None:
        return HeadReport(reasons=(_why_not(graph, ends), *notes), layers=layers)
    return replace(_with_nameless(graph, _with_notes(report, notes)), layers=layers)


def _with_nameless(graph: Graph, report: HeadReport) -> HeadReport:
    """Say which end nodes are called by their tensor, because the file gives them no name."""
    named = {node.name for node in graph.nodes if node.name}
    nameless = tuple(label for label in report.end_nodes if label not in named)
    if not nameless:
        return report
    note = (
        f"{len(nameless)} end nodes have no name of their own: their tensors' names stand for them"
    )
    return replace(report, nameless=nameless, reasons=(*report.reasons, note))


def _with_notes(report: HeadReport, notes: Sequence[str]) -> HeadReport:
    if not notes:
        return report
    return replace(report, reasons=(*report.reasons, *notes), confidence=report.confidence * 0.9)


def _picture(graph: Graph) -> Optional[Tuple[int, int]]:
    pictures = [shape for shape in graph.inputs.values() if len(shape) == 4]
    if len(pictures) != 1:
        return None
    shape = pictures[0]
    if shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        return shape[1], shape[2]
    return shape[2], shape[3]


def _first_height(graph: Graph, values: Values, picture: Tuple[int, int]) -> int:
    """Return the picture's height in pixels, after a resize that is part of the network."""
    first = next((node for node in graph.nodes if node.op == "Conv"), None)
    if first is None:
        return picture[0]
    before = ancestors(graph, [first.inputs[0]])
    shape = values.shape(first.inputs[0])
    resized = any(node.op in ("Resize", "Upsample") for node in before)
    return shape[2] if resized and shape is not None and len(shape) == 4 else picture[0]


def _why_not(graph: Graph, ends: Ends) -> str:
    if ends.opaque:
        return f"layers of their own kind decide the outputs ({', '.join(ends.opaque)})"
    kinds = sorted({node.op for node in ends.learned})
    return (
        f"{len(ends.learned)} learned layers ({', '.join(kinds) or 'none'}) feed "
        f"{len(graph.outputs)} outputs in no way of a known head"
    )


def _detection(
    graph: Graph, values: Values, ends: Ends, picture: Tuple[int, int]
) -> Optional[HeadReport]:
    if ends.opaque or not 2 <= len(ends.learned) <= _MOST_ENDS:
        return None
    if any(node.op != "Conv" for node in ends.learned):
        return None
    trace = Trace(graph, values, ends)
    found = read_ends(graph, values, ends, trace)
    if len(found) != len(ends.learned):
        return None
    found = [replace(end, light=tower_of(graph, end).depthwise(values) > 0) for end in found]
    prototypes = _prototypes(graph, values, ends, found)
    heads = [end for end in found if prototypes is None or end is not prototypes[0]]
    masks = prototypes[0].channels if prototypes is not None else None
    head, chosen = _main_head(graph, ends, trace, heads, masks)
    if head is None:
        return None
    if _is_mixed(head, trace):
        return None
    has_masks = "mask" in head.roles or (head.fused is not None and head.fused.masks > 0)
    if prototypes is not None and not has_masks:
        return None
    box = head.scales[0]["box"]
    category = head.scales[0].get("class", box)
    body = describe_body(graph, values, heads)
    evidence = Evidence(
        head,
        body,
        tower_of(graph, box),
        tower_of(graph, category),
        values,
        exponential=any(m.op == "Exp" for m in trace.marks((box.position, 2))),
    )
    family = name_family(evidence)
    if family.name == "other" and not head.seen:
        return None
    return _report(graph, head, family, trace, picture, prototypes, chosen)


def _main_head(
    graph: Graph, ends: Ends, trace: Trace, found: List[End], masks: Optional[int]
) -> Tuple[Optional[Head], str]:
    """Read the head; where outputs have complete heads of their own, the last one is meant."""
    head = read_head(group_scales(found), masks, _layout(graph, trace, found))
    if head is not None:
        return head, ""
    whole: List[Head] = []
    for output in graph.outputs:
        nodes = {node.index for node in ends.reaching(graph, output)}
        part = [end for end in found if end.node.index in nodes]
        if len(part) == len(found) or not part:
            continue
        read = read_head(group_scales(part), masks, None)
        if read is not None:
            whole.append(read)
    if not whole:
        return None, ""
    return whole[-1], f"{len(whole)} outputs have a whole head each; the last one is taken"


def _layout(graph: Graph, trace: Trace, found: Sequence[End]) -> Optional[Fused]:
    """Read the layout of fused layers off output shapes, where nothing decodes them."""
    channels = {end.channels for end in found}
    if len(channels) != 1 or len({end.cells for end in found}) != len(found):
        return None
    total = channels.pop()
    for output in graph.outputs:
        numbers = trace.channels_of(output)
        if numbers is None or numbers.ndim != 5:
            continue
        period = numbers.shape[-1]
        if total % period == 0 and period > 5 and total // period in numbers.shape[1:4]:
            return Fused(total // period, period - 5, 0)
    if len(found) in (2, 3, 4) and total % 3 == 0 and total // 3 > 5:
        return Fused(3, total // 3 - 5, 0)
    return None


def _prototypes(
    graph: Graph, values: Values, ends: Ends, found: Sequence[End]
) -> Optional[Tuple[End, Node]]:
    """Find the prototype masks: the finest map, an output of its own, alone at its size."""
    finest = max(found, key=lambda end: end.cells[0] * end.cells[1])
    if sum(end.cells == finest.cells for end in found) != 1 or len(found) < 3:
        return None
    if len({end.cells for end in found}) == len(found) and len({e.kind for e in found}) == 1:
        # Every map is alone at its size, this one is no exception.
        return None
    for output in graph.outputs:
        reaching = ends.reaching(graph, output)
        if [node.index for node in reaching] != [finest.node.index]:
            continue
        name = output
        node = graph.producer[name]
        while node.op in ("Identity", "Cast"):
            name = node.inputs[0]
            node = graph.producer[name]
        if values.shape(name) == finest.shape and set(finest.letters) <= {"r", "s"}:
            return finest, node
    return None


def _is_mixed(head: Head, trace: Trace) -> bool:
    """Say whether a product or a norm mixes channels of a scale: embeddings are no answers."""
    for scale in head.scales[:1]:
        for role in ("box", "class", "objectness"):
            end = scale.get(role)
            if end is not None and any(
                mark.op in _MIXERS for mark in trace.marks((end.position, 0))
            ):
                return True
    return False


_TASKS: Dict[str, str] = {"mask": "segmentation", "keypoints": "pose", "angle": "oriented boxes"}


def _report(
    graph: Graph,
    head: Head,
    family: Family,
    trace: Trace,
    picture: Tuple[int, int],
    prototypes: Optional[Tuple[End, Node]],
    chosen: str,
) -> HeadReport:
    names: List[str] = []
    roles: List[str] = []
    shapes: List[Tuple[int, ...]] = []
    for scale in head.scales:
        for role in head.roles:
            names.append(scale[role].node.label)
            roles.append(role)
            shapes.append(scale[role].shape)
    if prototypes is not None:
        names.append(prototypes[1].label)
        roles.append("prototypes")
        shapes.append(prototypes[0].shape)
    task = next((_TASKS[role] for role in head.roles if role in _TASKS), "detection")
    if head.fused is not None and head.fused.masks:
        task = "segmentation"
    height = _first_height(graph, trace.values, picture)
    strides = strides_of(
        height, [scale["box"].cells[0] for scale in head.scales], priors=family_of(family.name).even
    )
    confidence = family.sure * (1.0 if head.seen else 0.7) * (0.8 if chosen else 1.0)
    reasons = reasons_of(family, head) + ((chosen,) if chosen else ())
    raw = _already_cut(graph, names)
    if raw is not None:
        order = sorted(range(len(names)), key=lambda i: raw[i])
        names, roles, shapes = (
            [names[i] for i in order],
            [roles[i] for i in order],
            [shapes[i] for i in order],
        )
        reasons += ("the file ends at these layers already; its own order is kept",)
    decoding = read_decoding(graph, trace, head, strides)
    anchors = _anchors(trace, head, picture, decoding.order)
    if decoding.scaled:
        reasons += ("learned factors follow the end nodes: the cut-off tail has them",)
    return HeadReport(
        task,
        family.name,
        tuple(names),
        tuple(roles),
        tuple(shapes),
        head.classes,
        strides,
        head.bins,
        anchors,
        min(confidence, 0.99),
        reasons,
        decoding,
    )


def _anchors(
    trace: Trace, head: Head, picture: Tuple[int, int], order: Optional[str]
) -> Optional[List[List[List[float]]]]:
    ends = [scale["box"] for scale in head.scales]
    if head.fused is not None:
        return fused_anchors(trace, ends, head.fused, picture)
    return separate_anchors(trace, ends, picture, order) if head.anchors > 1 else None


def _already_cut(graph: Graph, names: Sequence[str]) -> Optional[List[int]]:
    """Return each end's place among the outputs when the outputs are the ends themselves."""
    places = {}
    for place, output in enumerate(graph.outputs):
        node = graph.producer.get(output)
        if node is not None:
            places[node.label] = place
    if len(graph.outputs) != len(names) or any(name not in places for name in names):
        return None
    return [places[name] for name in names]
