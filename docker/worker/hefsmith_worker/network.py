"""The parsed network (HN) as the stages need it: which layer is which input and output."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.protocol import StageError

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import OutputLayer


def plain_hn(hn: Mapping[str, Any]) -> Dict[str, Any]:
    """Return an HN as JSON has it: an SDK's numbers may be numpy's, its names enumerations."""
    found: Dict[str, Any] = json.loads(json.dumps(hn, default=_plain))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def shape_of(entry: Mapping[str, Any]) -> Tuple[int, ...]:
    """Return the NHWC shape of what a layer gives, an input layer what it takes; else nothing."""
    shapes = entry.get("output_shapes") or entry.get("input_shapes") or []
    shape = shapes[0] if shapes and isinstance(shapes[0], (list, tuple)) else shapes
    return tuple(int(side) for side in shape)


def as_input(array: Any, hn: Mapping[str, Any], layer: str) -> Any:
    """Return samples in the shape that the parsed network gives its input.

    Features (N, F) may be (N, 1, F) or (N, 1, 1, F) there. What does not fit is left as it is:
    the SDK says why in its own words.
    """
    wanted = shape_of(hn["layers"].get(layer) or {})[1:]
    if not wanted or array.shape[1:] == wanted or array[:1].size != math.prod(wanted):
        return array
    return array.reshape((len(array), *wanted))


def as_data(arrays: Mapping[str, Any]) -> Any:
    """Return what an SDK takes for a network's inputs by layer: of a single one, its array."""
    return next(iter(arrays.values())) if len(arrays) == 1 else dict(arrays)


def input_layers(hn: Mapping[str, Any], onnx_inputs: Sequence[str]) -> Dict[str, str]:
    """Return the network's input layer (``net/input_layer1``) for each ONNX input.

    Layers keep their original names; where an SDK leaves them out, the order decides, which is
    the only thing left when there is one input.
    """
    layers = [name for name, layer in hn["layers"].items() if layer.get("type") == "input_layer"]
    if len(layers) != len(onnx_inputs):
        raise StageError(
            "the parsed network has %s (%s), the ONNX file %d (%s)"
            % (
                counted(len(layers), "input"),
                ", ".join(layers),
                len(onnx_inputs),
                ", ".join(onnx_inputs),
            ),
            code="parse.inputs",
        )
    found = {}
    for name in layers:
        originals = hn["layers"][name].get("original_names") or []
        for original in originals:
            if original in onnx_inputs and original not in found:
                found[original] = name
    if len(found) == len(onnx_inputs):
        return {name: found[name] for name in onnx_inputs}
    return dict(zip(onnx_inputs, layers))


def output_layers(hn: Mapping[str, Any]) -> List[OutputLayer]:
    """Return the network's outputs in order: the output layer and the layer that feeds it."""
    found: List[OutputLayer] = []
    for name, layer in hn["layers"].items():
        if layer.get("type") == "output_layer":
            sources = layer.get("input") or [name]
            found.append({"layer": name, "stream": str(sources[0])})
    order = (hn.get("net_params") or {}).get("output_layers_order") or []
    if order:
        rank = {name: index for index, name in enumerate(order)}
        found.sort(
            key=lambda item: min(
                rank.get(item["layer"], len(rank)), rank.get(item["stream"], len(rank))
            )
        )
    return found
