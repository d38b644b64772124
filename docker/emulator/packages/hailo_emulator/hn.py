"""The network description (HN) and the parameters (npz) in the vendor's form."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.compose import input_shape
from hailo_emulator.precision import weighted_nodes
from hailo_emulator.quirks import quirk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hailo_emulator.graph import Node
    from hailo_emulator.layers import Layer
    from hailo_emulator.network import Network

    Json = dict[str, Any]
    Bits = Mapping[str, int]
else:
    Json = dict


def make_hn(network: Network, *, stage: str = "HN", bits: tuple[Bits, Bits] | None = None) -> Json:
    """Return the HN as a dict: name, net_params, layers in order (facts: hailo.md 5.1).

    ``bits`` are those of activations and weights by layer, of a network that is quantised.
    Shapes have a batch of -1 and are NHWC; layer names carry the network's scope.
    """
    layers: Json = {}
    made_by = {port.tensor: port.name for port in network.inputs}
    made_by.update({t: network.scoped(name) for t, name in network.layers.producer.items()})
    for port in network.inputs:
        shape = [-1, *input_shape(network, port)]
        layers[port.name] = _entry("input_layer", [], [shape], [shape], [port.original_name])
    for layer in network.layers.layers:
        layers[network.scoped(layer.name)] = _layer_entry(network, layer, made_by)
    for port in network.outputs:
        shape = [-1, *port.shape]
        source = network.scoped(network.layers.producer[port.tensor])
        layers[port.name] = _entry("output_layer", [source], [shape], [shape], [port.original_name])
    if network.nms is not None:
        layers[network.nms.output] = _nms_entry(network, layers)
    for name, layer_entry in layers.items():
        for source in layer_entry["input"]:
            if name not in layers[source]["output"]:
                layers[source]["output"].append(name)
    if bits is not None:
        _note_precision(layers, *bits)
    return _as_quirks_say(
        {
            "name": network.name,
            "net_params": {
                "version": "1.0",
                "stage": stage,
                "clusters_placement": [[]],
                "clusters_to_skip": [],
                "output_layers_order": [
                    network.scoped(network.layers.producer[port.tensor]) for port in network.outputs
                ],
                "transposed_net": False,
                "net_scopes": [network.name],
            },
            "layers": layers,
        }
    )


def _note_precision(layers: Json, activations: Bits, weights: Bits) -> None:
    """Write into each layer how many bits it has; what has no weights has those of its values."""
    for name, entry in layers.items():
        width = activations.get(name)
        if entry["type"] == "output_layer":
            width = activations.get(entry["input"][0])
        if width is not None:
            mode = f"a{width}_w{weights.get(name, width)}"
            entry["quantization_params"] = {"precision_mode": mode}


class _Activation(Enum):
    """A value that JSON does not know, as the vendor's own description may hold."""

    LINEAR = "linear"


def plain(value: object) -> object:
    """Return what JSON can hold for a numpy number, an array or an enumeration."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    msg = f"Object of type {type(value).__name__} is not JSON serializable"
    raise TypeError(msg)


def _as_quirks_say(hn: Json) -> Json:
    for entry in hn["layers"].values():
        params = entry.get("params", {})
        if quirk("outer-activation") and "activation" in params:
            entry["activation"] = params.pop("activation")
        if quirk("renamed-layers") and entry["type"] not in ("input_layer", "output_layer"):
            entry["original_names"] = [f"simplified_{n}" for n in entry["original_names"]]
        if quirk("numpy-hn"):
            if params.get("activation") == "linear":
                params["activation"] = _Activation.LINEAR
            for key in ("input_shapes", "output_shapes"):
                entry[key] = [[np.int64(side) for side in shape] for shape in entry[key]]
    return hn


def _nms_entry(network: Network, layers: Json) -> Json:
    """The post-process as a layer after the heads; the output layers of the heads stay."""
    nms = network.nms
    assert nms is not None
    sources = [
        network.scoped(network.layers.producer[port.tensor])
        for stream in nms.streams
        for port in network.outputs
        if port.stream == stream
    ]
    shape = [-1, nms.classes, 5, nms.max_proposals_per_class]
    entry = _entry(
        "postprocess",
        sources,
        [layers[source]["output_shapes"][0] for source in sources],
        [shape],
        [],
    )
    entry["params"] = {"meta_arch": nms.meta_arch, "engine": nms.engine}
    return entry


def _entry(
    kind: str,
    inputs: list[str],
    input_shapes: list[list[int]],
    output_shapes: list[list[int]],
    original_names: list[str],
) -> Json:
    return {
        "type": kind,
        "input": inputs,
        "output": [],
        "input_shapes": input_shapes,
        "output_shapes": output_shapes,
        "original_names": original_names,
        "compilation_params": {},
        "quantization_params": {},
    }


def _layer_entry(network: Network, layer: Layer, made_by: dict[str, str]) -> Json:
    shapes = network.graph.shapes
    entry = _entry(
        layer.kind,
        list(dict.fromkeys(made_by[t] for t in layer.inputs if t in made_by)),
        [_hn_shape(shapes.get(t, ())) for t in layer.inputs],
        [_hn_shape(shapes.get(t, ())) for t in layer.tensors],
        list(layer.original_names),
    )
    entry["params"] = _params(network, layer)
    return entry


def _hn_shape(shape: tuple[int, ...]) -> list[int]:
    if len(shape) == 4:
        return [-1, shape[2], shape[3], shape[1]]
    if len(shape) == 3:
        return [-1, 1, shape[1], shape[2]]
    return [-1, *shape[1:]]


def _params(network: Network, layer: Layer) -> Json:
    params: Json = {"activation": layer.activation}
    anchor = layer.anchor
    if anchor is None:
        return params
    if anchor.op in ("Conv", "ConvTranspose"):
        weight = network.graph.shapes[anchor.inputs[1]]
        params.update(
            kernel_shape=[*weight[2:], *_channels(anchor, weight)],
            strides=[1, *anchor.attribute("strides", [1, 1]), 1],
            dilations=[1, *anchor.attribute("dilations", [1, 1]), 1],
            padding=_padding(anchor),
            groups=int(anchor.attribute("group", 1)),
            batch_norm=bool(anchor.absorbed),
        )
    elif anchor.op in ("Gemm", "MatMul") and anchor.inputs[1] in network.graph.constants:
        weight = network.graph.shapes[anchor.inputs[1]]
        flipped = anchor.op == "Gemm" and int(anchor.attribute("transB", 0))
        params["kernel_shape"] = list(weight[::-1] if flipped else weight)
    elif anchor.op in ("MaxPool", "AveragePool"):
        params.update(
            kernel_shape=[1, *anchor.attribute("kernel_shape", [1, 1]), 1],
            strides=[1, *anchor.attribute("strides", [1, 1]), 1],
            padding=_padding(anchor),
        )
    return params


def _channels(anchor: Node, weight: tuple[int, ...]) -> list[int]:
    if anchor.op == "Conv":
        return [weight[1], weight[0]]
    return [weight[0], weight[1]]


def _padding(anchor: Node) -> str:
    pads = list(anchor.attribute("pads", [0, 0, 0, 0]))
    mode = anchor.attribute("auto_pad", "NOTSET")
    if mode == "VALID" or (mode == "NOTSET" and not any(pads)):
        return "VALID"
    if mode != "NOTSET" or pads[:2] != pads[2:]:
        return "SAME_TENSORFLOW"
    return "SAME"


def make_params(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    """Return kernels and biases by the vendor's names (``net/conv1/kernel:0``).

    Kernels are (height, width, in, out) as in the HN, dense kernels (in, out).
    """
    params: dict[str, np.ndarray[Any, Any]] = {}
    for layer in network.layers.layers:
        for node in weighted_nodes(network, layer)[:1]:
            weight = network.graph.constants[node.inputs[1]]
            if weight.ndim == 4:
                order = (2, 3, 1, 0) if node.op == "Conv" else (2, 3, 0, 1)
                weight = weight.transpose(order)
            elif node.op == "Gemm" and int(node.attribute("transB", 0)):
                weight = weight.T
            scope = network.scoped(layer.name)
            params[f"{scope}/kernel:0"] = np.ascontiguousarray(weight)
            bias = network.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
            if bias is not None:
                params[f"{scope}/bias:0"] = np.asarray(bias, np.float32).reshape(-1)
    return params
