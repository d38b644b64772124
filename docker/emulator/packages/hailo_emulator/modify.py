"""Apply a model script to a parsed network: what SDK_FP_OPTIMIZED computes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import AllocatorScriptParserException
from hailo_sdk_common.hailo_nn.exceptions import HailoNNException

from hailo_emulator.graph import Node, prune
from hailo_emulator.layers import Layer, LayerGraph

if TYPE_CHECKING:
    from hailo_emulator.conversions import Conversion
    from hailo_emulator.graph import Graph
    from hailo_emulator.network import Network, Port
    from hailo_emulator.options import ActivationChange, InputStep, LogitsRequest, ScriptOptions

_ACTIVATION_OPS = {
    "sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh", "elu": "Elu", "exp": "Exp",
    "leaky": "LeakyRelu", "hardsigmoid": "HardSigmoid", "softplus": "Softplus", "sqrt": "Sqrt",
    "hardswish": "HardSwish", "softsign": "Softsign",
}  # fmt: skip
_ACTIVATIONS = {*_ACTIVATION_OPS, "linear", "relu6", "silu", "swish", "mish", "softmax"}


def apply_options(network: Network, options: ScriptOptions) -> Network:
    """Return the network with the script's input steps, activations and post-process.

    Raises ``HailoNNException`` for a layer that does not exist,
    ``AllocatorScriptParserException`` for one of the wrong kind or size, and what
    :func:`hailo_emulator.nms.request.resolve_nms` raises.
    """
    _check_precisions(network, options)
    network = _add_input_steps(network, options)
    for change in options.activations:
        network = _change_activation(network, change)
    for request in options.logits:
        network = _add_logits(network, request)
    if options.nms is not None:
        from hailo_emulator.nms.request import resolve_nms

        network = resolve_nms(network, options.nms)
    return network


def find_layer(network: Network, name: str) -> Layer | Port:
    """Return a layer, input or output by its name, with or without scope."""
    plain = name.rsplit("/", 1)[-1]
    if "/" not in name or name.split("/", 1)[0] == network.name:
        layer = network.layers.find(plain)
        if layer is not None:
            return layer
        for port in (*network.inputs, *network.outputs):
            if port.name == f"{network.name}/{plain}":
                return port
    msg = f"The layer named {name} doesn't exist in the HN"
    raise HailoNNException(msg)


def _check_precisions(network: Network, options: ScriptOptions) -> None:
    steps = {step.conversion.name for step in options.input_steps}
    for precision in options.precisions:
        for pattern in precision.layers:
            plain = pattern.rsplit("/", 1)[-1]
            if not pattern.startswith("{") and plain not in steps:
                find_layer(network, pattern)


def _add_input_steps(network: Network, options: ScriptOptions) -> Network:
    chains: dict[str, list[Conversion]] = {port.name: [] for port in network.inputs}
    for step in options.input_steps:
        taken = {s.name for chain in chains.values() for s in chain}
        if step.conversion.name in taken or network.layers.find(step.conversion.name):
            msg = f"The name {step.conversion.name} is already used by another layer"
            raise AllocatorScriptParserException(msg)
        name, position = _position(network, chains, step)
        chains[name].insert(position, step.conversion)
    for port in network.inputs:
        shape = port.shape
        for item in reversed(chains[port.name]):
            if item.kind == "normalization":
                features = shape[-1]
                if len(item.mean) not in (1, features):
                    msg = (
                        f"The normalization layer {item.name} has {len(item.mean)} values, but "
                        f"{port.name} has {features} features"
                    )
                    raise AllocatorScriptParserException(msg)
            elif len(port.onnx_shape) != 4 or (item.kind != "resize" and shape[-1] != 3):
                msg = f"{item.kind} needs an image of three features, {port.name} is {shape}"
                raise AllocatorScriptParserException(msg)
            shape = item.input_shape(shape)
    return replace(network, conversions={k: tuple(v) for k, v in chains.items() if v})


def _position(
    network: Network, chains: dict[str, list[Conversion]], step: InputStep
) -> tuple[str, int]:
    """Where a step goes: right after the named input or step, before what stood there."""
    after, kind = step.after, step.conversion.kind
    if after is None:
        if len(network.inputs) != step.count:
            msg = f"{kind} without a layer is ambiguous: the network has the inputs " + ", ".join(
                port.name for port in network.inputs
            )
            raise AllocatorScriptParserException(msg)
        name = network.inputs[step.place].name
        # Normalised is what all else has made of the picture, whichever line comes first.
        return name, len(chains[name]) if kind == "normalization" else 0
    plain = after.rsplit("/", 1)[-1]
    for name, chain in chains.items():
        for index, known in enumerate(chain):
            if known.name == plain:
                return name, index + 1
    found = find_layer(network, after)
    if isinstance(found, Layer) or found.name not in chains:
        kind = found.kind if isinstance(found, Layer) else "output"
        msg = f"{after}: expected input_layer but found {kind} layer"
        raise AllocatorScriptParserException(msg)
    return found.name, 0


def _change_activation(network: Network, change: ActivationChange) -> Network:
    if change.activation not in _ACTIVATIONS:
        msg = f"{change.activation} is not an activation"
        raise AllocatorScriptParserException(msg)
    targets = network.outputs
    if change.layer is not None:
        targets = (_output_of(network, change.layer),)
    for target in targets:
        network = activate_output(network, target, change.activation)
    return network


def _output_of(network: Network, name: str) -> Port:
    found = find_layer(network, name)
    if isinstance(found, Layer):
        for port in network.outputs:
            if network.layers.producer.get(port.tensor) == found.name:
                return port
        msg = f"{name}: expected an output layer but found {found.kind} layer"
        raise AllocatorScriptParserException(msg)
    if found in network.outputs:
        return found
    msg = f"{name}: expected an output layer but found input_layer"
    raise AllocatorScriptParserException(msg)


def activate_output(network: Network, port: Port, activation: str) -> Network:
    """Return the network with another activation before an output."""
    layer = network.layer_of(port)
    assert layer is not None
    if layer.activation == activation:
        return network
    graph = network.graph.copy()
    source, kept = port.tensor, layer.nodes
    extra = _trailing_activation(layer)
    if extra:
        source = layer.nodes[-len(extra) - 1].outputs[0]
        kept = layer.nodes[: -len(extra)]
    tensor = graph.fresh_name(f"{source}/{activation}")
    nodes = _activation_nodes(graph, layer, source, tensor, activation)
    result = tensor if nodes else source
    graph.nodes.extend(nodes)
    graph.shapes[result] = graph.shapes[port.tensor]
    graph.outputs = [result if name == port.tensor else name for name in graph.outputs]
    prune(graph)
    changed = replace(
        layer,
        nodes=(*kept, *nodes),
        tensors=tuple(result if t == port.tensor else t for t in layer.tensors),
        activation="silu" if activation == "swish" else activation,
    )
    return _with_output(network, graph, changed, port, replace(port, tensor=result))


def _trailing_activation(layer: Layer) -> tuple[Node, ...]:
    """The nodes that make up the layer's activation, when they end it."""
    if layer.activation == "linear" or layer.anchor is None or layer.kind == "activation":
        return ()
    index = layer.nodes.index(layer.anchor) + 1
    while (
        index < len(layer.nodes)
        and layer.nodes[index].op == "Add"
        and (layer.anchor.op == "MatMul" and index == layer.nodes.index(layer.anchor) + 1)
    ):
        index += 1
    return layer.nodes[index:]


def _activation_nodes(
    graph: Graph, layer: Layer, source: str, tensor: str, activation: str
) -> list[Node]:
    base = f"{layer.name}/{activation}"
    if activation == "linear":
        return []
    if activation == "softmax":
        return [Node(base, "Softmax", (source,), (tensor,), {"axis": 1})]
    if activation == "relu6":
        limits = (f"{base}/low", f"{base}/high")
        graph.constants[limits[0]] = np.asarray(0, np.float32)
        graph.constants[limits[1]] = np.asarray(6, np.float32)
        return [Node(base, "Clip", (source, *limits), (tensor,))]
    if activation in ("silu", "swish"):
        gate = f"{tensor}/gate"
        return [
            Node(f"{base}/gate", "Sigmoid", (source,), (gate,)),
            Node(base, "Mul", (source, gate), (tensor,)),
        ]
    if activation == "mish":
        plus, tanh = f"{tensor}/softplus", f"{tensor}/tanh"
        return [
            Node(f"{base}/softplus", "Softplus", (source,), (plus,)),
            Node(f"{base}/tanh", "Tanh", (plus,), (tanh,)),
            Node(base, "Mul", (source, tanh), (tensor,)),
        ]
    if activation == "hardswish" and graph.opset < 14:
        gate = f"{tensor}/gate"
        return [
            Node(f"{base}/gate", "HardSigmoid", (source,), (gate,), {"alpha": 1 / 6, "beta": 0.5}),
            Node(base, "Mul", (source, gate), (tensor,)),
        ]
    return [Node(base, _ACTIVATION_OPS[activation], (source,), (tensor,))]


def _with_output(network: Network, graph: Graph, layer: Layer, old: Port, new: Port) -> Network:
    layers = tuple(layer if known.name == layer.name else known for known in network.layers.layers)
    return replace(
        network,
        graph=graph,
        layers=LayerGraph(layers, {t: known.name for known in layers for t in known.tensors}),
        outputs=tuple(new if port is old else port for port in network.outputs),
    )


def _add_logits(network: Network, request: LogitsRequest) -> Network:
    port = _output_of(network, request.layer)
    graph = network.graph.copy()
    tensor = graph.fresh_name(f"{network.name}/{request.name}")
    op, attributes = ("Softmax", {"axis": 1})
    shape, perm, onnx_shape = port.shape, port.perm, port.onnx_shape
    if request.kind == "argmax":
        op, attributes = "ArgMax", {"axis": 1, "keepdims": 1}
        shape = (*port.shape[:-1], 1)
        onnx_shape = (port.onnx_shape[0], 1, *port.onnx_shape[2:])
    node = Node(request.name, op, (port.tensor,), (tensor,), attributes)
    graph.nodes.append(node)
    graph.shapes[tensor] = onnx_shape
    graph.outputs = [tensor if name == port.tensor else name for name in graph.outputs]
    layer = Layer(request.name, request.kind, (node,), (port.tensor,), (tensor,), anchor=node)
    layers = (*network.layers.layers, layer)
    changed = replace(
        port, tensor=tensor, shape=shape, perm=perm, onnx_shape=onnx_shape,
        stream=f"{network.name}/{request.name}",
    )  # fmt: skip
    return replace(
        network,
        graph=graph,
        layers=LayerGraph(layers, {t: known.name for known in layers for t in known.tensors}),
        outputs=tuple(changed if known is port else known for known in network.outputs),
    )
