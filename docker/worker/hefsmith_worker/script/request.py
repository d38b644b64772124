"""What a model script is made from: the parsed network, the head, the pictures, the wishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.contract.options import OPTIMIZE, OptimizeOptions
from hefsmith_worker.script.network import Network


@dataclass(frozen=True)
class InputPlan:
    """One network input: its layer, and the normalisation that the chip must do.

    ``mean`` and ``std`` are in units of 0..255, one value or one per channel; both empty when
    the chip normalises nothing.
    """

    layer: str
    mean: Tuple[float, ...] = ()
    std: Tuple[float, ...] = ()


@dataclass(frozen=True)
class ScriptRequest:
    """All that decides a model script.

    ``head`` is the report of :func:`hefsmith_worker.graph.analyse`, ``end_nodes`` are those that
    the network was really parsed with, ``images`` the calibration images that exist.
    ``options.level`` is ``None`` when the recipe leaves it to the vendor, ``options.script`` are
    the user's own commands, ``nms_config`` is the text of the user's own NMS JSON.
    """

    network: Network
    inputs: Tuple[InputPlan, ...]
    head: Mapping[str, Any]
    end_nodes: Tuple[str, ...]
    images: int
    options: OptimizeOptions = OPTIMIZE
    nms_config: Optional[str] = None
    arch: str = ""
    #: Why there can be none, as the SDK has shown.
    nms_refused: str = ""


def script_request(
    *,
    hn: Mapping[str, Any],
    inputs: Mapping[str, str],
    end_nodes: Sequence[str],
    head: Mapping[str, Any],
    preprocess: Mapping[str, Mapping[str, Any]],
    images: int,
    options: OptimizeOptions,
    nms_config: Optional[str] = None,
    arch: str = "",
) -> ScriptRequest:
    """Put a request together from what the stages have.

    ``inputs`` maps ONNX input names to input layers, ``preprocess`` the same names to their
    preprocessing, ``nms_config`` is the text of the user's own NMS JSON.
    """
    network = Network.from_hn(hn)
    plans = tuple(_input_plan(layer, preprocess.get(name) or {}) for name, layer in inputs.items())
    return ScriptRequest(network, plans, head, tuple(end_nodes), images, options, nms_config, arch)


def _input_plan(layer: str, preprocess: Mapping[str, Any]) -> InputPlan:
    if preprocess.get("normalize", "chip") != "chip":
        return InputPlan(layer)
    mean = _numbers(preprocess.get("mean"), 0.0)
    std = _numbers(preprocess.get("std"), 1.0)
    if all(value == 0 for value in mean) and all(value == 1 for value in std):
        return InputPlan(layer)
    return InputPlan(layer, mean, std)


def _numbers(value: Any, default: float) -> Tuple[float, ...]:
    if value is None:
        return (default,)
    if isinstance(value, (int, float)):
        return (float(value),)
    return tuple(float(item) for item in value) or (default,)
