"""Read a user's ONNX file into a :class:`Graph`: static shapes, constants folded, one frame.

Steps: read, name the unnamed, inline functions, lift the opset to 13, fix the input shapes,
fold what is constant, cut at start and end nodes, drop what computes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.inliner
from hailo_sdk_client.model_translator.exceptions import MisspellNodeError, UnsupportedModelError
from onnx import helper, numpy_helper, shape_inference, version_converter

from hailo_emulator.graph import MIN_OPSET, Graph, Node, read_node, sort_nodes, to_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Values above this many elements are not folded: they would be weights made of nothing.
_FOLD_LIMIT = 1 << 24
#: Constants up to this many elements can be sizes, axes or shapes.
_SHAPE_VALUES = 1024
#: FLOAT, FLOAT16 and DOUBLE in ONNX's numbering.
_FLOAT_TYPES = (1, 10, 11)
_FLOATS = (np.float16, np.float32, np.float64)


def read_model(source: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """Read an ONNX model from a path, bytes or a ModelProto.

    Raises ``FileNotFoundError`` for a missing file and ``UnsupportedModelError`` for one that
    is not ONNX or that the checker refuses.
    """
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
    else:
        try:
            if isinstance(source, bytes):
                model = onnx.load_from_string(source)
            else:
                model = onnx.load(str(source))
        except FileNotFoundError:
            raise
        except Exception as error:
            msg = f"the file could not be read as an ONNX model: {error}"
            raise UnsupportedModelError(msg) from error
    if not model.graph.node:
        msg = "the ONNX model has no nodes"
        raise UnsupportedModelError(msg)
    return model


def import_graph(
    source: str | Path | bytes | onnx.ModelProto,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Graph:
    """Return the whole graph with static shapes where ONNX can tell them.

    ``input_shapes`` (ONNX name to NCHW shape) replaces the file's. A dynamic batch becomes 1;
    any other dynamic size is an ``UnsupportedModelError`` that names the input and the size.
    """
    model = read_model(source)
    _name_nodes(model)
    model = _lift(model)
    known = {tensor.name for tensor in model.graph.initializer}
    shapes = {
        value.name: _input_shape(value, (input_shapes or {}).get(value.name))
        for value in model.graph.input
        if value.name not in known
    }
    unknown = sorted(set(input_shapes or {}) - set(shapes))
    if unknown:
        msg = f"Unable to find input names: {unknown}; the model's inputs are {sorted(shapes)}"
        raise MisspellNodeError(msg)
    nodes = [read_node(proto) for proto in model.graph.node]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    try:
        nodes = sort_nodes(nodes, [*shapes, *constants])
    except ValueError as error:
        raise UnsupportedModelError(str(error)) from error
    graph = Graph(
        nodes, shapes, [value.name for value in model.graph.output], constants, {}, _opset(model)
    )
    _infer_and_fold(graph)
    _drop_no_ops(graph)
    _fold_batch_norms(graph)
    _widen_floats(graph)
    return graph


def _opset(model: onnx.ModelProto) -> int:
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            return int(entry.version)
    return MIN_OPSET


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own; exporters may leave them empty or repeat them."""
    seen: set[str] = set()
    for index, proto in enumerate(model.graph.node):
        name = proto.name or f"{proto.op_type}_{index}"
        while name in seen:
            name = f"{name}_{index}"
        proto.name = name
        seen.add(name)


def _lift(model: onnx.ModelProto) -> onnx.ModelProto:
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
        _name_nodes(model)
    if _opset(model) >= MIN_OPSET:
        return model
    try:
        return version_converter.convert_version(model, MIN_OPSET)
    except Exception as error:
        msg = f"opset {_opset(model)} could not be lifted to {MIN_OPSET}: {error}"
        raise UnsupportedModelError(msg) from error


def _input_shape(value: Any, wanted: Sequence[int] | None) -> tuple[int, ...]:
    dims: list[int | str] = [
        int(d.dim_value) if d.HasField("dim_value") else (d.dim_param or "?")
        for d in value.type.tensor_type.shape.dim
    ]
    if wanted is not None:
        if len(dims) not in (0, len(wanted)):
            msg = (
                f"UnsupportedModelError in op {value.name}: net_input_shapes gives "
                f"{list(wanted)}, the model says {dims}"
            )
            raise UnsupportedModelError(msg)
        dims = [int(n) for n in wanted]
    if not dims:
        msg = f"UnsupportedModelError in op {value.name}: the input has no shape"
        raise UnsupportedModelError(msg)
    if len(dims) == 1 and isinstance(dims[0], int):
        msg = f"UnsupportedModelError in op {value.name}: the input {dims} has no batch dimension"
        raise UnsupportedModelError(msg)
    dims[0] = 1
    if any(not isinstance(d, int) or d < 1 for d in dims):
        msg = (
            f"UnsupportedModelError in op {value.name}: dynamic shape {dims} is unsupported, "
            "give net_input_shapes"
        )
        raise UnsupportedModelError(msg)
    return tuple(int(d) for d in dims)


def _infer_and_fold(graph: Graph) -> None:
    """Infer shapes and fold constants until neither tells anything new."""
    for _ in range(8):
        graph.shapes = infer_shapes(graph)
        if not _fold_constants(graph):
            break
    graph.shapes = infer_shapes(graph)


def infer_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return the static shapes that ONNX's own inference finds (inputs and constants too).

    Weights are given by type and shape only: their values tell nothing about shapes, and to
    copy them for every pass would take most of the time of a translation.
    """
    light = Graph(graph.nodes, graph.inputs, [], {}, {}, graph.opset)
    weights = []
    for name, value in graph.constants.items():
        if value.size <= _SHAPE_VALUES:
            light.constants[name] = value
        else:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            weights.append(helper.make_tensor_value_info(name, kind, value.shape))
    model = to_model(light, [])
    model.graph.input.extend(weights)
    try:
        model = shape_inference.infer_shapes(
            model, check_type=False, strict_mode=False, data_prop=True
        )
    except shape_inference.InferenceError as error:
        msg = f"the shapes of the model contradict each other: {error}"
        raise UnsupportedModelError(msg) from error
    shapes: dict[str, tuple[int, ...]] = dict(graph.inputs)
    shapes.update({name: tuple(value.shape) for name, value in graph.constants.items()})
    for value in model.graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(
            d.HasField("dim_value") and d.dim_value > 0 for d in dims
        ):
            shapes[value.name] = tuple(int(d.dim_value) for d in dims)
    return shapes


def _fold_constants(graph: Graph) -> bool:
    kept: list[Node] = []
    changed = False
    outputs = set(graph.outputs)
    for node in graph.nodes:
        values = None if outputs.intersection(node.outputs) else _constant_value(graph, node)
        if values is None:
            kept.append(node)
            continue
        graph.constants.update(zip(node.outputs, values, strict=False))
        changed = True
    graph.nodes = kept
    return changed


def _constant_value(graph: Graph, node: Node) -> list[NDArray[Any]] | None:
    if node.op == "Constant" and not node.domain:
        return [_constant_attribute(node)]
    if node.op == "Shape" and not node.domain and node.inputs[0] in graph.shapes:
        dims = graph.shapes[node.inputs[0]]
        start, end = node.attribute("start", 0), node.attribute("end", None)
        return [np.asarray(dims[start:end], np.int64)]
    if node.domain or not node.inputs or node.captured or graph.data_inputs(node):
        return None
    if node.op.startswith("Random") or any(
        isinstance(v, onnx.GraphProto) for v in node.attributes.values()
    ):
        return None
    shape = graph.shapes.get(node.outputs[0], ())
    if int(np.prod(shape, dtype=np.int64)) > _FOLD_LIMIT:
        return None
    return _evaluate(graph, node)


def _constant_attribute(node: Node) -> NDArray[Any]:
    for key in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if key in node.attributes:
            kind = {
                "value_float": np.float32,
                "value_floats": np.float32,
                "value_int": np.int64,
                "value_ints": np.int64,
            }.get(key)
            return np.asarray(node.attributes[key], kind)
    msg = f"UnsupportedModelError in op {node.name}: a constant of an unknown kind"
    raise UnsupportedModelError(msg)


def _evaluate(graph: Graph, node: Node) -> list[NDArray[Any]] | None:
    """Compute a node of constants with ONNX's reference implementation."""
    from onnx.reference import ReferenceEvaluator

    alone = Graph(
        [node], {}, [], {n: graph.constants[n] for n in node.inputs if n}, {}, graph.opset
    )
    model = to_model(alone, [])
    for name in node.outputs:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        values = ReferenceEvaluator(model).run(None, {})
    except Exception:  # an op without a reference: it stays in the graph and is judged there
        return None
    return [np.asarray(value) for value in values]


def _drop_no_ops(graph: Graph) -> None:
    """Take out Identity, Dropout, casts between floats, and one-to-one shape changes."""
    renamed: dict[str, str] = {}
    kept: list[Node] = []
    extra: dict[str, list[str]] = {}
    outputs = set(graph.outputs)
    producers = graph.producers()
    integers: set[str] = set()
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))  # noqa: PLW2901
        if node.op in ("ArgMax", "ArgMin", "NonZero", "Shape") or (
            node.op == "Cast" and int(node.attribute("to", 1)) not in _FLOAT_TYPES
        ):
            integers.update(node.outputs)
        if _is_no_op(graph, node, integers) and not outputs.intersection(node.outputs):
            renamed[node.outputs[0]] = node.inputs[0]
            if node.inputs[0] in producers:
                extra.setdefault(producers[node.inputs[0]].name, []).append(node.name)
            continue
        kept.append(node)
    graph.nodes = [
        replace(node, absorbed=(*node.absorbed, *extra.get(node.name, ()))) for node in kept
    ]


def _is_no_op(graph: Graph, node: Node, integers: set[str]) -> bool:
    if node.domain:
        return False
    if node.op in ("Identity", "Dropout"):
        return not any(node.outputs[1:])
    if node.op == "Cast":
        # Between widths of floats: everything is computed in single precision here.
        return int(node.attribute("to", 1)) in _FLOAT_TYPES and node.inputs[0] not in integers
    same = graph.shapes.get(node.inputs[0] if node.inputs else "") == graph.shapes.get(
        node.outputs[0], ()
    )
    if node.op in ("Reshape", "Expand", "Flatten", "Squeeze", "Unsqueeze", "Tile"):
        return same
    if node.op == "Pad" and same:
        pads = graph.constants.get(node.inputs[1])
        return pads is not None and not np.any(pads)
    return False


def _fold_batch_norms(graph: Graph) -> None:
    """Fold BatchNormalization into the convolution before it, as every compiler does."""
    consumers = graph.consumers()
    producers = graph.producers()
    outputs = set(graph.outputs)
    replaced: dict[str, Node] = {}
    dropped: set[str] = set()
    for node in graph.nodes:
        if node.op != "BatchNormalization" or any(node.outputs[1:]):
            continue
        before = producers.get(node.inputs[0])
        if before is None or before.op not in ("Conv", "ConvTranspose") or before.name in replaced:
            continue
        if before.outputs[0] in outputs or len(consumers[before.outputs[0]]) != 1:
            continue
        if any(name not in graph.constants for name in (*before.inputs[1:], *node.inputs[1:])):
            continue
        folded = _fold_one(graph, before, node)
        if folded is not None:
            replaced[before.name] = folded
            dropped.add(node.name)
    graph.nodes = [replaced.get(n.name, n) for n in graph.nodes if n.name not in dropped]


def _fold_one(graph: Graph, conv: Node, norm: Node) -> Node | None:
    weight = np.asarray(graph.constants[conv.inputs[1]], np.float64)
    gamma, beta, mean, var = (
        np.asarray(graph.constants[name], np.float64) for name in norm.inputs[1:5]
    )
    factor = gamma / np.sqrt(var + float(norm.attribute("epsilon", 1e-5)))
    bias = (
        np.asarray(graph.constants[conv.inputs[2]], np.float64)
        if len(conv.inputs) > 2 and conv.inputs[2]
        else np.zeros_like(mean)
    )
    if conv.op == "Conv":
        weight = weight * factor.reshape(-1, *([1] * (weight.ndim - 1)))
    else:
        if int(conv.attribute("group", 1)) != 1:
            return None
        weight = weight * factor.reshape(1, -1, *([1] * (weight.ndim - 2)))
    names = (f"{conv.name}.folded.weight", f"{conv.name}.folded.bias")
    graph.constants[names[0]] = weight.astype(np.float32)
    graph.constants[names[1]] = ((bias - mean) * factor + beta).astype(np.float32)
    graph.shapes[names[0]] = tuple(weight.shape)
    graph.shapes[names[1]] = tuple(bias.shape)
    return replace(
        conv,
        inputs=(conv.inputs[0], *names),
        outputs=norm.outputs[:1],
        absorbed=(*conv.absorbed, *norm.original_names),
    )


def _widen_floats(graph: Graph) -> None:
    """Half and double constants become single: the chip's float model has one float type."""
    for name, value in graph.constants.items():
        if value.dtype in _FLOATS and value.dtype != np.float32:
            graph.constants[name] = value.astype(np.float32)
