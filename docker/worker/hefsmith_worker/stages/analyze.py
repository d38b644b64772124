"""Stage analyze: what quantisation costs, layer by layer and output by output, without a HEF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from hefsmith_worker.contract.layout import (
    ANALYSIS,
    GOLDEN_DRAFT,
    HAR_QUANTIZED,
    HEAD,
    PARSED,
)
from hefsmith_worker.contract.options import AnalyzeOptions
from hefsmith_worker.network import as_data, as_input, plain_hn
from hefsmith_worker.stages import evaluate
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import Draft, Parsed

#: On how many samples layers are compared, and each layer for itself (which takes a pass each).
NOISE_SAMPLES, ALONE_SAMPLES = 64, 8
#: A channel whose weights are all below this share of the layer's greatest one is empty.
EMPTY = 1e-6
#: Keys under which an SDK may tell a layer's figure.
_SNR_KEYS = ("snr", "snr_db", "SNR")


def run(workspace: Workspace) -> Dict[str, object]:
    """Write ``analysis.json`` and the golden samples' answers up to the quantised network."""
    asked = workspace.plan.of("analyze")
    options = AnalyzeOptions.read(asked)
    runner = workspace.runner(HAR_QUANTIZED, "optimize")
    measured = evaluate.measure(workspace, runner, asked, options.samples)
    if not options.layers:
        return measured
    draft: Draft = workspace.read_json(GOLDEN_DRAFT, "samples")
    parsed: Parsed = workspace.read_json(PARSED, "parse")
    hn = plain_hn(runner.get_hn_dict())
    raw = evaluate.raw_inputs(workspace, draft, parsed)
    shaped = {name: as_input(data, parsed["hn"], name) for name, data in raw.items()}
    taken = {name: np.asarray(data[:NOISE_SAMPLES]) for name, data in shaped.items()}
    noise = _noise(workspace, runner, taken, "simple")
    few = {name: data[:ALONE_SAMPLES] for name, data in taken.items()}
    alone = _noise(workspace, runner, few, "advanced") if noise else {}
    extra = _asked(workspace, "layer facts", lambda: _emulated(runner, taken)) or {}
    weights = _asked(workspace, "weights", lambda: weight_facts(runner.get_params())) or {}
    layers = [
        {
            "name": name,
            "type": str(entry.get("type")),
            "inputs": list(entry.get("input") or ()),
            "original_names": list(entry.get("original_names") or ()),
            "macs": macs(entry),
            "snr_db": noise.get(name),
            "alone_db": alone.get(name),
            **_bits(entry),
            **weights.get(name, {}),
            **{key: value for key, value in extra.get(name, {}).items() if value is not None},
        }
        for name, entry in (hn.get("layers") or {}).items()
        if entry.get("type") not in ("input_layer", "output_layer", "postprocess")
    ]
    path = workspace.write_json(
        ANALYSIS,
        {
            "schema": 1,
            "samples": len(next(iter(taken.values()))),
            "layers": layers,
            "outputs": _outputs(parsed, workspace.read_json(HEAD, "parse"), noise),
        },
    )
    workspace.announce("analysis", path)
    return {**measured, "layers": len(layers), "noise": bool(noise)}


def _emulated(runner: Any, data: Mapping[str, np.ndarray]) -> Dict[str, Dict[str, object]]:
    ask = getattr(type(runner), "emulated_layers", None)
    count = len(next(iter(data.values())))
    return {} if ask is None else dict(ask(runner, as_data(data), data_count=count))


def _noise(
    workspace: Workspace, runner: Any, data: Mapping[str, np.ndarray], mode: str
) -> Dict[str, float]:
    """Return decibels by layer; empty, with a finding, where the SDK does not tell them.

    That the SDK has ``analyze_noise`` is public, its arguments are not: the shorter call is
    tried where the longer one is refused.
    """
    count = len(next(iter(data.values())))

    def ask() -> Dict[str, float]:
        try:
            found = runner.analyze_noise(
                as_data(data), data_count=count, batch_size=1, analyze_mode=mode
            )
        except TypeError:
            found = runner.analyze_noise(as_data(data))
        return decibels(found)

    found = _asked(workspace, "analyze_noise (%s)" % mode, ask)
    if found is not None and not found:
        workspace.channel.finding(
            "analyze.noise",
            "info",
            "the SDK's noise analysis gave no figures by layer; outputs are compared all the same",
        )
    return found or {}


def _asked(workspace: Workspace, what: str, ask: "Callable[[], Any]") -> Any:
    """Return what the SDK answers, ``None`` with a finding where it fails: the rest goes on."""
    try:
        return ask()
    except Exception as error:
        workspace.channel.finding(
            "analyze.refused",
            "warning",
            "the SDK did not give %s (%s: %s)"
            % (what, type(error).__name__, str(error).strip().split("\n")[0][:200]),
            fix="The analysis goes on without it.",
        )
        return None


def decibels(found: Any) -> Dict[str, float]:
    """Return decibels by layer from what an SDK gives: numbers, or a mapping with one."""
    result: Dict[str, float] = {}
    if not isinstance(found, Mapping):
        return result
    for name, told in found.items():
        value = told
        if isinstance(told, Mapping):
            value = next((told[key] for key in _SNR_KEYS if key in told), None)
        if value is None:
            continue
        try:
            number = float(np.mean(np.asarray(value, np.float64)))
        except (TypeError, ValueError):
            continue
        if np.isfinite(number):
            result[str(name)] = round(number, 3)
    return result


def _bits(entry: Mapping[str, Any]) -> Dict[str, int]:
    """Return a layer's bits as its precision mode says (``a16_w16``), nothing without one."""
    mode = str((entry.get("quantization_params") or {}).get("precision_mode") or "")
    parts = mode.split("_")
    found: Dict[str, int] = {}
    for part in parts[:2]:
        key = {"a": "activation_bits", "w": "weight_bits"}.get(part[:1])
        if key and part[1:].isdigit():
            found[key] = int(part[1:])
    return found


def weight_facts(params: Mapping[str, Any]) -> Dict[str, Dict[str, object]]:
    """Return how many weights each layer has, what they span, and its channels without weight.

    Kernels have their output channels last.
    """
    found: Dict[str, Dict[str, object]] = {}
    for key, value in params.items():
        layer, _, name = str(key).rpartition("/")
        if not name.startswith("kernel"):
            continue
        kernel = np.asarray(value)
        if kernel.ndim < 2 or not kernel.size or kernel.dtype.kind != "f":
            continue
        reach = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(axis=0)
        greatest = float(reach.max())
        used = reach[reach > EMPTY * greatest] if greatest else reach[:0]
        found[layer] = {
            "weights": int(kernel.size),
            "weight_low": float(kernel.min()),
            "weight_high": float(kernel.max()),
            "channels": int(kernel.shape[-1]),
            "empty_channels": int(kernel.shape[-1] - len(used)),
            "weight_spread": float(used.max() / np.median(used)) if len(used) else 1.0,
        }
    return found


def macs(entry: Mapping[str, Any]) -> Optional[int]:
    """Return a layer's multiply-accumulates for a frame, ``None`` where it has no kernel."""
    kernel = (entry.get("params") or {}).get("kernel_shape")
    shapes = entry.get("output_shapes") or [[]]
    if entry.get("type") not in ("conv", "dw", "deconv", "dense") or not kernel:
        return None
    return math.prod(int(side) for side in (*kernel, *shapes[0][1:-1]))


def _outputs(
    parsed: "Parsed", head: Mapping[str, Any], noise: Mapping[str, float]
) -> List[Dict[str, object]]:
    """Return the network's outputs, each with its role in the head and its noise."""
    roles = _roles(head, parsed["end_nodes"])
    return [
        {
            "name": output["layer"],
            "stream": output["stream"],
            "onnx_name": parsed["end_tensors"][index]
            if index < len(parsed["end_tensors"])
            else None,
            "role": roles[index] if index < len(roles) else None,
            "snr_db": noise.get(output["stream"]),
        }
        for index, output in enumerate(parsed["outputs"])
    ]


def _roles(head: Mapping[str, Any], end_nodes: Sequence[str]) -> List[Optional[str]]:
    known = dict(zip(head.get("end_nodes") or (), head.get("end_roles") or ()))
    return [known.get(name) for name in end_nodes]
