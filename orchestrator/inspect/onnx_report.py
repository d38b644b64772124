"""What is worth knowing of an ONNX model before Hailo's parser sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hefsmith_worker.contract.families import proposed_cut
from hefsmith_worker.contract.findings import LOOKUP_FIX
from hefsmith_worker.contract.options import KNOWN_OPSETS, unknown_opset
from hefsmith_worker.tokens import TensorReader, fix_of, looks_up, reads_tokens

from orchestrator.errors import escape_control
from orchestrator.inspect.compiler import cure_of
from orchestrator.inspect.onnx_cost import estimate_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from orchestrator.hef.render import Say
    from orchestrator.inspect.compiler import Judged, Place, Problem
    from orchestrator.inspect.onnx_file import Node, OnnxModel, Value

    Readers = Callable[[str], Iterable[TensorReader]]

#: Operators that users saw refused, with the parser's own name for the error.
_REFUSED: Final = {
    "GatherElements": "UnsupportedOperationError",
    "TopK": "UnsupportedOperationError",
    "Mod": "UnsupportedOperationError",
    "NonMaxSuppression": "UnsupportedOperationError",
    "LSTM": "UnsupportedLSTMLayerError",
    "GRU": "UnsupportedOperationError",
    "Gather": "UnsupportedGatherLayerError",
    "GatherND": "UnsupportedGatherLayerError",
    "ScatterND": "UnsupportedOperationError",
    "Expand": "UnexpectedNodeError",
    "ConstantOfShape": "UnexpectedNodeError",
    "Where": "UnexpectedNodeError",
    "Loop": "UnsupportedOperationError",
    "If": "UnsupportedOperationError",
    "Scan": "UnsupportedOperationError",
    "NonZero": "UnsupportedOperationError",
    "Range": "UnexpectedNodeError",
}
_CUT: Final = "cut the graph before it with end nodes, and run the rest on the host"


@dataclass(frozen=True)
class Objection:
    """Something that Hailo's parser refuses; ``nodes`` are up to five examples.

    ``known`` is false where nobody was seen to get it through, or refused.
    """

    code: str
    message: str
    fix: str
    nodes: tuple[str, ...] = ()
    place: Place | None = None
    known: bool = True


def find_objections(
    model: OnnxModel, cut: Sequence[str] = (), judged: Judged | None = None
) -> tuple[Objection, ...]:
    """Return what users saw the parser refuse, in the order of the graph.

    Judged is what a build gives to the parser: the operators up to the nodes of ``cut`` (all
    without any) that work on data; what is computed from constants and shapes is folded before.
    ``judged`` is the build's own judgement, where it could be had; without it names decide.
    """
    ranks = tuple(_ranks(model))
    inputs = tuple(_inputs(model))
    # An input whose size is open is said already, and better.
    open_sides = any(item.code == "dynamic-shape" for item in inputs)
    operators: Iterable[Objection] = _operators(model, cut)
    if judged is not None:
        # What is said of operators follows from an input that cannot be; that is said of it.
        operators = () if ranks else _judged(judged, open_sides=open_sides)
    # The parser names operators that it does not have, one by one.
    domains = () if judged is not None else _domains(model)
    return (*inputs, *_opset(model), *domains, *operators, *ranks)


def _judged(judged: Judged, *, open_sides: bool) -> Iterator[Objection]:
    """Yield the parser's own objections, those of one kind at one place together."""
    groups: dict[tuple[str, str, Place], list[Problem]] = {}
    for problem in judged.problems:
        groups.setdefault((problem.kind, problem.op, problem.place), []).append(problem)
    for (kind, op, place), problems in groups.items():
        yield Objection(
            "operator",
            f"{len(problems)} x {op}: the parser answers {kind} ({problems[0].reason})",
            cure_of(judged, place),
            tuple(problem.node for problem in problems[:5]),
            place,
        )
    if judged.refused is not None and not judged.problems and not open_sides:
        yield Objection("file", judged.refused, "see what a build says: hef build")


def find_mends(model: OnnxModel) -> tuple[str, ...]:
    """Return what the export of a build mends in the file by itself."""
    bare = sum(
        node.op in ("Conv", "ConvTranspose") and not node.ints.get("kernel_shape")
        for node in model.nodes
    )
    open_batches = sum(_leaves_batch_open(value) for value in model.inputs)
    return (
        *([f"kernel_shape is added to {bare} convolutions"] if bare else ()),
        *([f"the open batch of {open_batches} inputs becomes 1"] if open_batches else ()),
    )


def _leaves_batch_open(value: Value) -> bool:
    """Tell whether a shape is fixed but for its first side, which a build makes 1."""
    first, *others = value.shape or (None,)
    return (
        bool(others)
        and not (isinstance(first, int) and first > 0)
        and all(isinstance(side, int) and side > 0 for side in others)
    )


def _on_data(model: OnnxModel, cut: Sequence[str]) -> list[tuple[Node, frozenset[str]]]:
    """Return the nodes up to the cut that work on data, each with its inputs that are data."""
    wanted = _before(model, cut) if cut else None
    data = {value.name for value in model.inputs}
    found = []
    for node in model.nodes:
        live = data.intersection(node.inputs)
        if not live or node.op in ("Shape", "Size"):
            # The sides of tensors are known: these nodes become constants.
            continue
        data.update(node.outputs)
        if wanted is None or wanted.intersection(node.outputs):
            found.append((node, frozenset(live)))
    return found


def _before(model: OnnxModel, cut: Sequence[str]) -> set[str]:
    """Return the tensors that the nodes of the cut stand on, with their own outputs."""
    makers = {output: node for node in model.nodes for output in node.outputs}
    ends = {name for node in model.nodes if node.name in cut for name in node.outputs}
    wanted: set[str] = set()
    pending = [*ends, *(name for name in cut if name in makers)]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += makers[name].inputs if name in makers else ()
    return wanted


def _is_refused(node: Node, live: frozenset[str]) -> bool:
    """Tell whether the parser refuses an operator in this use."""
    if node.op == "Gather":
        # With known indices it is a slice.
        return len(node.inputs) < 2 or node.inputs[1] in live
    return True


def _inputs(model: OnnxModel) -> Iterator[Objection]:
    for value in model.inputs:
        if _leaves_batch_open(value):
            continue
        if value.shape is None or not all(
            isinstance(side, int) and side > 0 for side in value.shape
        ):
            yield Objection(
                "dynamic-shape",
                f"input {value.name} has an open shape: {_sides(value)}",
                "export with fixed sizes, or give them to the parser (net_input_shapes)",
            )
        elif value.shape and value.shape[0] != 1:
            yield Objection(
                "batch",
                f"input {value.name} has batch {value.shape[0]}",
                "export with batch 1; the device sets its own batch size",
            )


def _opset(model: OnnxModel) -> Iterator[Objection]:
    opset = model.opset
    if opset is not None and not KNOWN_OPSETS[0] <= opset <= KNOWN_OPSETS[1]:
        message, fix = unknown_opset(opset)
        yield Objection("opset", message, fix, known=False)


def _domains(model: OnnxModel) -> Iterator[Objection]:
    for domain in dict.fromkeys(node.domain for node in model.nodes):
        if domain not in ("", "ai.onnx"):
            yield Objection(
                "domain",
                f"the model uses operators of {domain}",
                "export without custom operators",
            )


def _operators(model: OnnxModel, cut: Sequence[str]) -> Iterator[Objection]:
    used = _on_data(model, cut)
    for op, error in _REFUSED.items():
        nodes = [
            node.name or ", ".join(node.outputs)
            for node, live in used
            if node.op == op and _is_refused(node, live)
        ]
        if nodes:
            yield Objection(
                "operator",
                f"{len(nodes)} x {op}: the parser answers {error}",
                _CUT,
                tuple(nodes[:5]),
            )


def _ranks(model: OnnxModel) -> Iterator[Objection]:
    readers = _readers_of(model)
    fixes: dict[str, list[str]] = {}
    for value in model.inputs:
        rank = len(value.shape or ())
        if looks_up(value.name, readers):
            yield Objection(
                "lookup", "inputs that number the rows of an embedding", LOOKUP_FIX, (value.name,)
            )
        elif value.shape is None or rank in (2, 4):
            continue
        elif rank != 3 or not _are_tokens(model, value.name, readers):
            fixes.setdefault(fix_of(value.name, rank, readers), []).append(value.name)
    for fix, names in fixes.items():
        yield Objection(
            "rank",
            "inputs that are neither pictures (1, C, H, W) nor features (1, F)",
            fix,
            tuple(names),
        )


def _are_tokens(model: OnnxModel, name: str, readers: Readers) -> bool:
    ranks = {weight: len(one.shape) for weight, one in model.weights.items()}
    ranks.update(
        (node.outputs[0], len(node.constant.shape))
        for node in model.nodes
        if node.constant is not None
    )
    return reads_tokens(name, readers, lambda tensor: ranks.get(tensor) == 2)


def _readers_of(model: OnnxModel) -> Readers:
    found: dict[str, list[TensorReader]] = {}
    for node in model.nodes:
        reader = TensorReader(node.op, node.inputs, node.outputs)
        for name in dict.fromkeys(node.inputs):
            found.setdefault(name, []).append(reader)
    return lambda tensor: found.get(tensor, ())


def _sides(value: Value) -> str:
    if value.shape is None:
        return "unknown"
    return "x".join("?" if side is None else str(side) for side in value.shape) or "scalar"


def onnx_document(
    model: OnnxModel, head: Mapping[str, Any] | None = None, judged: Judged | None = None
) -> dict[str, Any]:
    """Return a model as a JSON document; ``head`` is what the graph analysis found, as data.

    ``judged`` is the build's own judgement of it.
    """
    cost = estimate_cost(model)
    objections = find_objections(model, proposed_cut(head) if head else (), judged)

    def tensors(values: tuple[Value, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": escape_control(value.name),
                "type": value.type,
                "shape": None
                if value.shape is None
                else [escape_control(s) if isinstance(s, str) else s for s in value.shape],
            }
            for value in values
        ]

    return {
        "file": model.name,
        "kind": "onnx",
        "size": model.size,
        "ir_version": model.ir_version,
        "producer": escape_control(model.producer),
        "opset": model.opset,
        "opsets": {escape_control(domain): version for domain, version in model.opsets.items()},
        "graph": escape_control(model.graph_name),
        "inputs": tensors(model.inputs),
        "outputs": tensors(model.outputs),
        "parameters": sum(weight.count for weight in model.weights.values()),
        "parameter_bytes": sum(weight.size for weight in model.weights.values()),
        "external_weights": sum(weight.external for weight in model.weights.values()),
        "macs": cost.macs,
        "macs_unknown_nodes": [escape_control(name) for name in cost.unknown],
        "nodes": len(model.nodes),
        "op_counts": {
            escape_control(op): count
            for op, count in Counter(node.op for node in model.nodes).most_common()
        },
        "refused_by_hailo": [_plain(item) for item in objections if item.known],
        "not_known": [_plain(item) for item in objections if not item.known],
        "mended_at_export": [*find_mends(model), *(judged.mends if judged is not None else ())],
    }


def _plain(item: Objection) -> dict[str, object]:
    return {
        "code": item.code,
        "message": escape_control(item.message),
        "fix": item.fix,
        "nodes": [escape_control(name) for name in item.nodes],
        "place": item.place,
    }


def _head_text(head: dict[str, Any]) -> str:
    parts = [f"{head.get('family', 'other')} ({head.get('task', 'other')})"]
    if head.get("classes"):
        parts.append(f"{head['classes']} classes")
    if head.get("strides"):
        parts.append(f"strides {', '.join(map(str, head['strides']))}")
    if head.get("confidence"):
        parts.append(f"confidence {head['confidence']:g}")
    return ", ".join(parts)


def render_onnx(
    model: OnnxModel,
    head: dict[str, Any] | None = None,
    judged: Judged | None = None,
    *,
    framed: bool,
    say: Say = str,
) -> RenderableType:
    """Return a model for people; ``head`` is what the graph analysis found, as data.

    ``say`` puts messages into the user's language.
    """
    from rich.text import Text

    from orchestrator.hef.render import Facts, panel, size_text

    document = onnx_document(model, head, judged)
    facts = Facts(say)
    facts.add("opset", Text(f"{document['opset']}  (IR {model.ir_version})"))
    facts.add("producer", Text(document["producer"] or "unknown"))
    for what, values in ((say("input"), model.inputs), (say("output"), model.outputs)):
        for value in values:
            text = f"{value.name}  {value.type} {_sides(value)}"
            facts.add(what, Text(escape_control(text)))
    count, size = document["parameters"], document["parameter_bytes"]
    facts.add("parameters", f"{count / 1e6:.3f} M ({size_text(size)})")
    unknown = document["macs_unknown_nodes"]
    more = f" and {len(unknown)} layers of unknown shape" if unknown else ""
    facts.add("MACs", f"{document['macs'] / 1e9:.3f} G{more}")
    ops = ", ".join(f"{op} {count}" for op, count in document["op_counts"].items())
    facts.add("operators", Text(f"{document['nodes']}: {ops}"))
    if head:
        facts.add("head", _head_text(head))
        nodes = [escape_control(str(name)) for name in head.get("end_nodes", ())]
        if nodes:
            facts.add("end nodes", Text("\n".join(nodes)))
    for text in document["mended_at_export"]:
        facts.add("mended", f"{text} when it is exported")
    objections = [(say("refused"), item) for item in document["refused_by_hailo"]]
    for title, item in [*objections, *((say("not known"), item) for item in document["not_known"])]:
        lines = Text(say(item["message"]), style="yellow")
        if item["nodes"]:
            lines.append(f"\n{', '.join(item['nodes'])}", style="dim")
        facts.add(title, lines, item["fix"])
    heading = Text(f"{escape_control(model.name)} (ONNX, {size_text(model.size)})", style="bold")
    return panel(heading, [facts], style="blue", framed=framed)
