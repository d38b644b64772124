"""Tells inputs of tokens (1, L, C) from signals (1, C, L): by what reads them first.

A linear layer multiplies the last axis by a matrix of weights; what stands before it in an
encoder (positions that are added, a norm) leaves the axes where they are.
"""

from __future__ import annotations

from typing import Callable, Iterable, List, NamedTuple, Sequence, Set

#: They leave every axis where it is.
_THROUGH = frozenset(
    [
        "Add", "Cast", "Clip", "Div", "Dropout", "Erf", "Gelu", "Identity", "LayerNormalization",
        "Mul", "Pow", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh",
    ]
)  # fmt: skip


class TensorReader(NamedTuple):
    """A node that reads a tensor."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]


def reads_tokens(
    name: str, readers: Callable[[str], Iterable[TensorReader]], is_matrix: Callable[[str], bool]
) -> bool:
    """Tell whether a linear layer over the last axis reads an input of three dimensions.

    ``readers`` returns who reads a tensor, ``is_matrix`` tells constants of two dimensions.
    """
    seen: Set[str] = set()
    pending: List[str] = [name]
    while pending:
        tensor = pending.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        for reader in readers(tensor):
            inputs = list(reader.inputs)
            if reader.op == "MatMul" and inputs[0] == tensor and is_matrix(inputs[1]):
                return True
            if reader.op in _THROUGH:
                pending.append(reader.outputs[0])
    return False
