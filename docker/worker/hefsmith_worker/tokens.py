"""Tells inputs of tokens (1, L, C) from signals (1, C, L): by what reads them first.

A linear layer multiplies the last axis by a matrix of weights; what stands before it in an
encoder (positions that are added, a norm) leaves the axes where they are.
"""

from __future__ import annotations

from typing import (
    Callable,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Sequence,
    Set,
    Tuple,
)

from hefsmith_worker.contract.findings import SERIES_FIX, TOKENS_FIX, VIDEO_FIX

#: They leave every axis where it is.
_THROUGH = frozenset(
    [
        "Add", "Cast", "Clip", "Div", "Dropout", "Erf", "Gelu", "Identity", "LayerNormalization",
        "Mul", "Pow", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh",
    ]
)  # fmt: skip

#: They move axes, which says nothing about what reads the numbers in the end.
_MOVES = frozenset(["Reshape", "Squeeze", "Transpose", "Unsqueeze"])
_RECURRENT = frozenset(["GRU", "LSTM", "RNN"])


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
    return any(
        reader.op == "MatMul" and reader.inputs[0] == tensor and is_matrix(reader.inputs[1])
        for tensor, reader in _readers(name, readers, _THROUGH)
    )


def looks_up(name: str, readers: Callable[[str], Iterable[TensorReader]]) -> bool:
    """Tell whether an input numbers the rows of an embedding."""
    return any(
        reader.op == "Gather" and list(reader.inputs[1:2]) == [tensor]
        for tensor, reader in _readers(name, readers, _MOVES | {"Cast", "Identity"})
    )


def fix_of(name: str, rank: int, readers: Callable[[str], Iterable[TensorReader]]) -> str:
    """Return what to do with an input that is neither a picture nor features nor tokens."""
    if rank > 4:
        return VIDEO_FIX
    found = _readers(name, readers, _THROUGH | _MOVES)
    return SERIES_FIX if any(reader.op in _RECURRENT for _, reader in found) else TOKENS_FIX


def _readers(
    name: str, readers: Callable[[str], Iterable[TensorReader]], through: FrozenSet[str]
) -> Iterator[Tuple[str, TensorReader]]:
    """Yield who reads a tensor, and what comes of it as long as such operators read it."""
    seen: Set[str] = set()
    pending: List[str] = [name]
    while pending:
        tensor = pending.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        for reader in readers(tensor):
            yield tensor, reader
            if reader.op in through:
                pending.append(reader.outputs[0])
