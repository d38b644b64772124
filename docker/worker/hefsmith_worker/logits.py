"""A softmax that the model script puts behind an output: the steps before it get it, too.

Else probabilities would be compared with logits, and every build with ``postprocess.softmax``
would fail at the step of its script.
"""

from __future__ import annotations

from typing import FrozenSet, List, Sequence

import numpy as np

from hefsmith_worker.script.syntax import parse


def with_softmax(script: str) -> FrozenSet[str]:
    """Return the layers (short names) whose answers a script sends through a softmax."""
    return frozenset(
        str(command.positional[0]).rsplit("/", 1)[-1]
        for command in parse(script).named("logits_layer")
        if len(command.positional) > 1 and str(command.positional[1]) == "softmax"
    )


def as_after(
    outputs: Sequence[np.ndarray], layers: Sequence[str], softmax: FrozenSet[str]
) -> List[np.ndarray]:
    """Return a step's outputs, channels last, as they are behind the script.

    ``layers`` are the layers that give them, in their order.
    """
    if len(outputs) != len(layers):
        return list(outputs)
    return [
        _softmax(output) if layer.rsplit("/", 1)[-1] in softmax else output
        for output, layer in zip(outputs, layers)
    ]


def _softmax(logits: np.ndarray) -> np.ndarray:
    values = np.asarray(logits, np.float32)
    grown = np.exp(values - values.max(-1, keepdims=True))
    result: np.ndarray = grown / grown.sum(-1, keepdims=True)
    return result
