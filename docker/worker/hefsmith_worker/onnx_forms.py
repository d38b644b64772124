"""ONNX files of others, brought into the one form that the rest of a build works with.

That form has float32 numbers, pictures as (1, C, H, W), and a batch of one. Half precision,
8-bit inputs, TensorFlow's (1, H, W, C) and larger fixed batches are common in files that were
made for other runtimes; each is changed in the graph and told, and the result is compared with
the original before it is used.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

import numpy as np

from hefsmith_worker import onnx_custom, onnx_files, onnx_tokens
from hefsmith_worker.protocol import StageError

#: Largest difference from the original, as a part of its range; half precision has 11 bits.
TOLERANCE = 1e-4
TOLERANCE_HALF = 2e-2

#: The change of a network that ends in operators of somebody's own.
ENDS_EARLIER = "onnx.ends-earlier"

_TO_NCHW = [0, 3, 1, 2]

#: What pictures are scaled by before the first layer.
_SCALES = ("Add", "Cast", "Div", "Identity", "Mul", "Sub")

#: Numbers of a constant that may be one for each colour.
_SMALL = 4096

#: They compute with whole numbers, which only a network that is quantised has.
_QUANTISED = frozenset(
    ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
     "ConvInteger", "MatMulInteger")
)  # fmt: skip

#: They move numbers about, whatever the type of these is.
_MOVES = ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True)
class Change:
    """One thing that was changed: a code for programs, a sentence for people."""

    code: str
    message: str


def bring_into_form(path: Path, shapes: Mapping[str, Tuple[int, ...]]) -> Tuple[Any, List[Change]]:
    """Return a file's model in the common form, and what was changed for it.

    ``shapes`` are the recipe's, (1, C, H, W); they fill what the file leaves open. Raises
    :class:`StageError` when the changed network answers otherwise than the original.
    """
    model = onnx_files.load(path)
    _refuse_namesakes(path, model.graph)
    refuse_quantised(model.graph)
    changes = []
    whole = onnx_custom.leave_out(model)
    if whole is not None:
        changes.append(Change(ENDS_EARLIER, whole))
    original = copy.deepcopy(model) if whole is not None else None
    half = _floats(model.graph)
    if half:
        text = "numbers of type %s became float32, as the compiler wants them" % ", ".join(
            sorted(half)
        )
        changes.append(Change("onnx.float-type", text))
        _drop_casts(model)
    changes += _inputs_to_float(model.graph)
    changes += _inputs_to_nchw(model.graph)
    changes += _batch_to_one(model.graph, shapes)
    changes += _kernel_shapes(model.graph)
    changes += [Change("onnx.tokens", text) for text in onnx_tokens.take_tokens(model, shapes)]
    if changes:
        # Types and shapes of inner values are inferred anew.
        del model.graph.value_info[:]
        tolerance = TOLERANCE_HALF if half - {"double"} else TOLERANCE
        _compare(original or onnx_files.load(path), model, shapes, tolerance)
    return model, changes


def _refuse_namesakes(path: Path, graph: Any) -> None:
    """Raise for nodes that are called alike: the runtime takes no such file."""
    count = Counter(node.name for node in graph.node if node.name)
    name, many = max(count.items(), key=lambda pair: pair[1], default=("", 1))
    if many > 1:
        raise StageError(
            "%s has %d nodes called %s: a name of a node stands once" % (path.name, many, name),
            code="onnx.invalid",
            fix="Name them apart: for i, node in enumerate(model.graph.node): node.name = str(i)",
        )


def refuse_quantised(graph: Any) -> None:
    """Raise :class:`StageError` for a network that is quantised: the compiler does that itself."""
    found = [node.op_type for node in graph.node if node.op_type in _QUANTISED]
    if not found:
        return
    raise StageError(
        "the network is quantised already: it has %d operations such as %s"
        % (len(found), found[0]),
        code="onnx.quantised",
        fix="Give the float network that it was made from: the compiler quantises for its chip "
        "itself, from float weights and calibration pictures.",
    )


def _floats(graph: Any) -> Set[str]:
    """Turn every half and double into float32; return the names of the types that there were."""
    from onnx import TensorProto, numpy_helper

    others = {
        TensorProto.FLOAT16: "float16",
        TensorProto.BFLOAT16: "bfloat16",
        TensorProto.DOUBLE: "double",
    }
    found: Set[str] = set()

    def convert(tensor: Any) -> None:
        if tensor.data_type in others:
            found.add(others[tensor.data_type])
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    for tensor in graph.initializer:
        convert(tensor)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        kind = value.type.tensor_type
        if kind.elem_type in others:
            found.add(others[kind.elem_type])
            kind.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                convert(attribute.t)
            if attribute.HasField("g"):
                found |= _floats(attribute.g)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in others:
                attribute.i = TensorProto.FLOAT
    return found


def _drop_casts(model: Any) -> None:
    """Take out the casts from float32 to float32 that the change of types has left."""
    from onnx import TensorProto, shape_inference

    inferred = shape_inference.infer_shapes(model, strict_mode=False).graph
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in [*inferred.input, *inferred.output, *inferred.value_info]
    }
    kinds.update((tensor.name, tensor.data_type) for tensor in inferred.initializer)
    for node in list(model.graph.node):
        if (
            node.op_type == "Cast"
            and _attribute(node, "to") == TensorProto.FLOAT
            and kinds.get(node.input[0]) == TensorProto.FLOAT
        ):
            _bypass(model.graph, node)


def _inputs_to_float(graph: Any) -> List[Change]:
    """Let inputs of whole numbers that are cast to float at once be float themselves."""
    from onnx import TensorProto

    changes = []
    for value in onnx_files.network_inputs(graph):
        kind = value.type.tensor_type
        if kind.elem_type not in (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32):
            continue
        casts = _casts_behind(graph, value.name)
        if not casts:
            continue
        kind.elem_type = TensorProto.FLOAT
        for node in casts:
            _bypass(graph, node)
        changes.append(
            Change(
                "onnx.input-type", "input %s takes whole numbers; it takes floats now" % value.name
            )
        )
    return changes


def _casts_behind(graph: Any, name: str) -> List[Any]:
    """Return the casts to float that all of a value goes through; none where it is used otherwise.

    A picture is often turned, or its colours swapped, before it is cast.
    """
    from onnx import TensorProto

    casts: List[Any] = []
    users = _users(graph, name)
    for node in users:
        if node.op_type == "Cast" and _attribute(node, "to") == TensorProto.FLOAT:
            casts.append(node)
        elif node.op_type in _MOVES and name not in list(node.input)[1:]:
            further = _casts_behind(graph, node.output[0])
            if not further:
                return []
            casts += further
        else:
            return []
    ends = {value.name for value in graph.output}
    return [] if ends & {name, *(node.output[0] for node in casts)} else casts


def _inputs_to_nchw(graph: Any) -> List[Change]:
    """Let pictures come as (1, C, H, W) where the graph begins by turning (1, H, W, C) round.

    A file may scale them first: by one number for all, or by one for each colour.
    """
    changes = []
    for value in onnx_files.network_inputs(graph):
        dims = value.type.tensor_type.shape.dim
        way = _way_to_nchw(graph, value.name)
        if len(dims) != 4 or way is None:
            continue
        scaling, turns = way
        turned = [
            type(dims[index]).FromString(dims[index].SerializeToString()) for index in _TO_NCHW
        ]
        del dims[:]
        dims.extend(turned)
        for node, index, constant in scaling:
            _turn_constant(graph, node, index, constant)
        for node in turns:
            _bypass(graph, node)
        changes.append(
            Change(
                "onnx.layout",
                "input %s is (N, H, W, C) in the file, (N, C, H, W) here" % value.name,
            )
        )
    return changes


#: A node, which of its inputs is constant, and that constant's numbers.
_Scaling = List[Tuple[Any, int, np.ndarray]]


def _way_to_nchw(graph: Any, name: str) -> Optional[Tuple[_Scaling, List[Any]]]:
    """Return the scaling that a value goes through, and the nodes that turn it round behind."""
    scaling: _Scaling = []
    ends = {value.name for value in graph.output}
    constants = _constants(graph)
    while True:
        users = _users(graph, name)
        if users and all(
            node.op_type == "Transpose" and _attribute(node, "perm") == _TO_NCHW for node in users
        ):
            return scaling, users
        if len(users) != 1 or users[0].op_type not in _SCALES or name in ends:
            return None
        node = users[0]
        others = [index for index, given in enumerate(node.input) if given != name]
        if len(others) > 1:
            return None
        for index in others:
            constant = constants.get(node.input[index])
            # One number, or one for each colour, which is the last side here.
            if constant is None or constant.size != (constant.shape or (1,))[-1]:
                return None
            scaling.append((node, index, constant))
        name = node.output[0]


def _turn_constant(graph: Any, node: Any, index: int, constant: np.ndarray) -> None:
    """Give a node its numbers for colours that are the first side after the batch."""
    from onnx import numpy_helper

    if constant.size < 2:
        return
    taken = {tensor.name for tensor in graph.initializer}
    name = "%s_by_colour" % node.input[index]
    while name in taken:
        name += "_"
    graph.initializer.append(numpy_helper.from_array(constant.reshape(1, -1, 1, 1), name))
    node.input[index] = name


def _constants(graph: Any) -> Dict[str, np.ndarray]:
    """Return the small constants of a graph."""
    from onnx import numpy_helper

    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in onnx_files.constants_of(graph).items()
        if len(tensor.dims) <= 4 and int(np.prod(list(tensor.dims) or [1])) <= _SMALL
    }


def _batch_to_one(graph: Any, shapes: Mapping[str, Tuple[int, ...]]) -> List[Change]:
    """Make a larger fixed batch one: in the inputs, the outputs, and in constant shapes."""
    from onnx import numpy_helper

    batches = set()
    for value in onnx_files.network_inputs(graph):
        dims = value.type.tensor_type.shape.dim
        wanted = shapes.get(value.name)
        if len(dims) > 1 and dims[0].dim_value > 1 and (wanted is None or wanted[0] == 1):
            batches.add(dims[0].dim_value)
    if len(batches) != 1:
        return []
    batch = batches.pop()
    for value in [*onnx_files.network_inputs(graph), *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if len(dims) > 0 and dims[0].dim_value == batch:
            dims[0].dim_value = 1
    constants = onnx_files.constants_of(graph)
    for node in graph.node:
        if node.op_type in ("Reshape", "Expand") and node.input[1] in constants:
            tensor = constants[node.input[1]]
            shape = numpy_helper.to_array(tensor).copy()
            if shape.size > 1 and shape[0] == batch:
                shape[0] = 1
                tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    return [Change("onnx.batch", "the file is for batches of %d; it is built for one" % batch)]


def _kernel_shapes(graph: Any) -> List[Change]:
    """Write down the kernel of each convolution that leaves it to its weights.

    ONNX allows that; Hailo's parser reads the attribute.
    """
    from onnx import helper

    constants = onnx_files.constants_of(graph)
    mended = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.input) < 2:
            continue
        weights = constants.get(node.input[1])
        kernel = [] if weights is None else list(weights.dims)[2:]
        if kernel and not any(one.name == "kernel_shape" for one in node.attribute):
            node.attribute.append(helper.make_attribute("kernel_shape", kernel))
            mended += 1
    if not mended:
        return []
    text = "kernel_shape was added to %d convolutions, as the parser wants it" % mended
    return [Change("onnx.kernel-shape", text)]


def _compare(
    original: Any, changed: Any, shapes: Mapping[str, Tuple[int, ...]], tolerance: float
) -> None:
    """Raise unless both answer the same to the same seeded numbers."""
    noise = np.random.RandomState(0)
    given, turned = {}, {}
    for before, after in zip(
        onnx_files.network_inputs(original.graph), onnx_files.network_inputs(changed.graph)
    ):
        array = noise.randint(0, 255, _sides(after, shapes)).astype(np.float32)
        turned[after.name] = array
        given[before.name] = _as_before(array, before, after)
    try:
        expected = onnx_files.Session(original.SerializeToString()).run(given)
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error):
            # The original has a type that no CPU runs (bfloat16): there is nothing to compare.
            return
        raise StageError(
            "the network does not run as it is in the file: %s" % _first_line(error),
            code="onnx.does-not-run",
        )
    try:
        got = onnx_files.Session(changed.SerializeToString()).run(turned)
    except Exception as error:
        raise _wrong("it does not run: %s" % _first_line(error))
    for left, right in zip(expected, got):
        first = np.asarray(left, np.float32)[: right.shape[0]] if right.ndim else left
        if first.shape != right.shape:
            raise _wrong("an output is %s instead of %s" % (list(right.shape), list(first.shape)))
        apart = onnx_files.apart(first, right)
        if not apart <= tolerance:
            raise _wrong("an output differs by %.3g of its range" % apart)


def _sides(value: Any, shapes: Mapping[str, Tuple[int, ...]]) -> List[int]:
    dims = value.type.tensor_type.shape.dim
    wanted = shapes.get(value.name)
    known = wanted if wanted is not None and len(wanted) == len(dims) else (1,) * len(dims)
    return [dim.dim_value or known[index] for index, dim in enumerate(dims)]


def _as_before(array: np.ndarray, before: Any, after: Any) -> np.ndarray:
    """Return a sample of the changed network as the original takes it."""
    from onnx import helper

    old = before.type.tensor_type
    if len(old.shape.dim) == 3 and array.ndim == 4:
        array = onnx_tokens.as_tokens(array)
    if old.shape != after.type.tensor_type.shape and len(old.shape.dim) == 4:
        turned = array.transpose(0, 2, 3, 1)
        if _fits(turned.shape, old.shape.dim) and not _fits(array.shape, old.shape.dim):
            array = turned
    batch = old.shape.dim[0].dim_value if len(old.shape.dim) > 0 else 0
    if batch > 1 and array.shape[0] == 1:
        # The others differ, so that a network in which samples meet is found out.
        others = np.random.RandomState(1).randint(0, 255, (batch - 1, *array.shape[1:]))
        array = np.concatenate([array, others.astype(np.float32)])
    result: np.ndarray = np.ascontiguousarray(
        array.astype(helper.tensor_dtype_to_np_dtype(old.elem_type))
    )
    return result


def _fits(shape: Tuple[int, ...], dims: Any) -> bool:
    return all(dim.dim_value in (0, side) for side, dim in zip(shape[1:], list(dims)[1:]))


def _wrong(why: str) -> StageError:
    return StageError(
        "the file cannot be brought into the form that is needed (float32, batch of one): %s" % why,
        code="onnx.form",
        fix="Export the model again in float32, as (1, C, H, W).",
    )


def _users(graph: Any, name: str) -> List[Any]:
    return [node for node in graph.node if name in node.input]


def _bypass(graph: Any, node: Any) -> None:
    """Take a node with one input and one output out of the graph."""
    source, result = node.input[0], node.output[0]
    if any(value.name == result for value in graph.output):
        return
    for other in graph.node:
        for index, name in enumerate(other.input):
            if name == result:
                other.input[index] = source
    graph.node.remove(node)


def _attribute(node: Any, name: str) -> Optional[Any]:
    from onnx import helper

    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
