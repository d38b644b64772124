"""Read a TFLite file as an ONNX model that the importer takes: tf2onnx, and our own checks.

The vendor's translator takes TFLite and nothing else of TensorFlow (facts: hailo.md 3.2, 5.1).
What it says about a quantised file is not known; refusing one is certain, since the compiler
quantises by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hailo_sdk_client.model_translator.exceptions import MisspellNodeError, UnsupportedModelError
from hailo_sdk_client.runner.exceptions import InvalidArgumentsException
from hefsmith_worker.tflite_convert import to_onnx
from hefsmith_worker.tflite_file import TfliteError, TfliteNetwork, read_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

#: The opset that is written; the importer lifts nothing then.
_OPSET = 13


def read_tflite(
    path: Path,
    start_names: Sequence[str] | None = None,
    end_names: Sequence[str] | None = None,
    tensor_shapes: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
) -> onnx.ModelProto:
    """Return a TFLite file as ONNX (NCHW), with the named tensors as its outputs.

    Raises ``FileNotFoundError``, ``UnsupportedModelError`` for what is no float TFLite network,
    ``MisspellNodeError`` for names that the file does not have.
    """
    try:
        network = read_network(path)
    except TfliteError as error:
        raise UnsupportedModelError(str(error)) from error
    if network.quantised:
        msg = (
            f"{path.name} is quantised ({len(network.quantised)} tensors, the first is "
            f"{network.quantised[0]}): a network in floating point is needed"
        )
        raise UnsupportedModelError(msg)
    _check_names(network, start_names, end_names)
    shapes = _shapes(network, tensor_shapes)
    model = _convert(path, network, end_names)
    _name_ends(model)
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dim.dim_value = size
    return model


def _name_ends(model: onnx.ModelProto) -> None:
    """Call the nodes at the outputs as TFLite calls their tensors.

    A fused activation becomes a node of its own; the convolution before it has the name then.
    """
    ends = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.name in ends and node.name not in node.output:
            node.name += "__inner"
    for node in model.graph.node:
        for name in ends.intersection(node.output):
            node.name = name


def _check_names(
    network: TfliteNetwork, start_names: Sequence[str] | None, end_names: Sequence[str] | None
) -> None:
    known = {tensor.name for tensor in network.tensors}
    missing = [name for name in (*(start_names or ()), *(end_names or ())) if name not in known]
    if missing:
        msg = f"Unable to find node {missing[0]}"
        raise MisspellNodeError(msg)
    inputs = {tensor.name for tensor in network.inputs}
    if start_names is not None and set(start_names) != inputs:
        msg = "start nodes other than the network's inputs are not emulated for TFLite"
        raise NotImplementedError(msg)


def _shapes(network: TfliteNetwork, given: Any) -> dict[str, tuple[int, ...]]:
    """Return the inputs' shapes as the ONNX model has them; a batch left open is 1."""
    if given is not None and not isinstance(given, Mapping):
        if len(network.inputs) != 1:
            names = [tensor.name for tensor in network.inputs]
            msg = f"tensor_shapes needs a dict: the model has the inputs {names}"
            raise InvalidArgumentsException(msg)
        given = {network.inputs[0].name: given}
    wanted = {str(name): tuple(int(n) for n in shape) for name, shape in (given or {}).items()}
    unknown = sorted(set(wanted) - {tensor.name for tensor in network.inputs})
    if unknown:
        msg = f"Unable to find node {unknown[0]}"
        raise MisspellNodeError(msg)
    found = {}
    for tensor in network.inputs:
        shape = wanted.get(tensor.name, tensor.shape)
        if len(shape) != len(tensor.shape):
            msg = (
                f"UnsupportedModelError in op {tensor.name}: tensor_shapes gives {list(shape)}, "
                f"the model says {list(tensor.shape)}"
            )
            raise UnsupportedModelError(msg)
        shape = (1, *shape[1:])
        if any(side < 1 for side in shape):
            msg = (
                f"UnsupportedModelError in op {tensor.name}: dynamic shape {list(shape)} is "
                "unsupported, give tensor_shapes"
            )
            raise UnsupportedModelError(msg)
        found[tensor.name] = (1, shape[3], *shape[1:3]) if len(shape) == 4 else shape
    return found


def _convert(
    path: Path, network: TfliteNetwork, end_names: Sequence[str] | None
) -> onnx.ModelProto:
    try:
        return to_onnx(path, network, opset=_OPSET, outputs=end_names)
    except ImportError as error:
        msg = (
            f"the emulator reads TFLite with TensorFlow and tf2onnx ({error}): "
            'pip install "hefsmith[tensorflow]"'
        )
        raise ModuleNotFoundError(msg) from error
    except Exception as error:
        msg = f"{path.name} could not be read: {error}"
        raise UnsupportedModelError(msg) from error
