"""Encoders that take tokens (1, L, C): taken by an added axis, as the chip has no other input.

Hailo's own text encoders have inputs of 1 x L x C (height, width, channels). In ONNX's layout that
is (1, C, 1, L), which the network turns into its tokens at once: no number changes.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Tuple

import numpy as np

from hefsmith_worker import onnx_files
from hefsmith_worker.contract.findings import LOOKUP_FIX
from hefsmith_worker.protocol import StageError
from hefsmith_worker.tokens import TensorReader, fix_of, looks_up, reads_tokens

Shapes = Mapping[str, Tuple[int, ...]]

#: Metadata of a file of ours: an input that was given its axis here, by name.
MARK = "hefsmith.tokens:"


def take_tokens(model: Any, shapes: Shapes) -> List[str]:
    """Let every input of tokens be (1, C, 1, L) in the model; return what was done, in sentences.

    ``shapes`` fill what the file leaves open. Other inputs of three dimensions stay.
    """
    constants = onnx_files.constants_of(model.graph)
    ranks = {name: len(tensor.dims) for name, tensor in constants.items()}
    readers = _readers_of(model)
    told = []
    for value in onnx_files.network_inputs(model.graph):
        sides = _sides(value, shapes)
        if len(sides) != 3 or not all(sides[1:]):
            continue
        if not reads_tokens(value.name, readers, lambda name: ranks.get(name) == 2):
            continue
        _add_axis(model, value, sides[1], sides[2])
        told.append(
            "input %s takes tokens (N, %d, %d); in the HEF they are rows of a picture: height 1, "
            "width %d, %d channels" % (value.name, sides[1], sides[2], sides[1], sides[2])
        )
    return told


def _readers_of(model: Any) -> Callable[[str], List[TensorReader]]:
    readers: Dict[str, List[TensorReader]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(
                TensorReader(node.op_type, list(node.input), list(node.output))
            )
    return lambda name: readers.get(name, [])


def _sides(value: Any, shapes: Shapes) -> List[int]:
    dims = value.type.tensor_type.shape.dim
    wanted = shapes.get(value.name, ())
    if len(wanted) == 4 and len(dims) == 3:
        # As the build has it: a recipe may say that, too.
        wanted = (wanted[0], wanted[3], wanted[1])
    known = wanted if len(wanted) == len(dims) else (0,) * len(dims)
    return [dim.dim_value or known[index] for index, dim in enumerate(dims)]


def _add_axis(model: Any, value: Any, length: int, channels: int) -> None:
    from onnx import helper, numpy_helper

    graph, name = model.graph, value.name
    rows, tokens, shape = (name + "/tokens/" + part for part in ("rows", "tokens", "shape"))
    for node in graph.node:
        for index, given in enumerate(node.input):
            if given == name:
                node.input[index] = tokens
    graph.initializer.append(
        numpy_helper.from_array(np.array([1, channels, length], np.int64), shape)
    )
    first = helper.make_node("Reshape", [name, shape], [rows], name=name + "/tokens/Reshape")
    then = helper.make_node(
        "Transpose", [rows], [tokens], name=name + "/tokens/Transpose", perm=[0, 2, 1]
    )
    graph.node.insert(0, then)
    graph.node.insert(0, first)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(name, kind, [1, channels, 1, length]))
    entry = model.metadata_props.add()
    entry.key, entry.value = MARK + name, "%d,%d" % (length, channels)


def with_axis(model: Any) -> List[str]:
    """Return the inputs of a file of ours that were given an axis."""
    return [entry.key[len(MARK) :] for entry in model.metadata_props if entry.key.startswith(MARK)]


def as_built(model: Any, shapes: Shapes) -> Dict[str, Tuple[int, ...]]:
    """Return a recipe's shapes as the model has its inputs: tokens (1, L, C) as (1, C, 1, L)."""
    found = dict(shapes)
    for name in with_axis(model):
        given = found.get(name, ())
        if len(given) == 3:
            found[name] = (given[0], given[2], 1, given[1])
    return found


def as_tokens(array: np.ndarray) -> np.ndarray:
    """Return rows (N, C, 1, L) as the tokens (N, L, C) that the network itself takes."""
    return np.ascontiguousarray(array[:, :, 0, :].transpose(0, 2, 1))


def refuse_others(model: Any) -> None:
    """Raise :class:`StageError` for an input that the chip cannot take, and no form of it."""
    readers = _readers_of(model)
    for value in onnx_files.network_inputs(model.graph):
        sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if looks_up(value.name, readers):
            raise StageError(
                "input %s numbers the rows of an embedding (Gather)" % value.name,
                code="preprocess.lookup",
                fix=LOOKUP_FIX,
            )
        if len(sides) == 3:
            raise StageError(
                "input %s has shape %s: tokens (1, L, C) that no linear layer reads, or a signal "
                "(1, C, L); the chip takes pictures (1, C, H, W) or features (1, F)"
                % (value.name, sides),
                code="preprocess.tokens",
                fix=fix_of(value.name, len(sides), readers),
            )
