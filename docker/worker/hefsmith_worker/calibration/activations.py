"""What pictures do inside the float network: how far channels of some layers reach in each.

Quantisation takes each layer's range from the calibration pictures. So pictures that reach the
same values are as good as one, and values that no picture reaches are cut off on the chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Sequence, Tuple

from hefsmith_worker.calibration.float_check import as_network_input
from hefsmith_worker.calibration.model import InputSpec

if TYPE_CHECKING:
    import numpy as np

#: Layers, and channels of each, that are looked at: spread over the network.
LAYERS, CHANNELS = 24, 32
#: Kinds of nodes after which a compiler quantises.
QUANTISED = frozenset(
    ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Concat", "Relu", "LeakyRelu", "Clip",
     "Sigmoid", "HardSwish", "HardSigmoid", "Softmax", "MaxPool", "AveragePool",
     "GlobalAveragePool"),
)  # fmt: skip


def open_network(model: str) -> Tuple[Callable[[Mapping[str, Any]], List[Any]], List[str]]:
    """Return a function that runs an ONNX file, and the names of the tensors that it gives.

    They are the outputs and some tensors on the way. Raises ``ValueError`` for no ONNX file.
    """
    import onnx
    import onnxruntime

    try:
        network = onnx.load(model)
        graph = network.graph
        last = [output.name for output in graph.output]
        inside = [
            node.output[0]
            for node in graph.node
            if node.op_type in QUANTISED and node.output and node.output[0] not in last
        ]
        step = max(1, -(-len(inside) // LAYERS))
        chosen = inside[::-1][::step][::-1]
        for name in chosen:
            graph.output.add().name = name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        msg = "%s cannot be run: %s" % (model, str(error).strip().split("\n")[0][:200])
        raise ValueError(msg) from None
    names = [*last, *chosen]
    return lambda feed: list(session.run(names, dict(feed))), names


def reaches(
    model: str,
    inputs: Sequence[InputSpec],
    arrays: Mapping[str, Any],
    tell: Callable[[int], None] = lambda _: None,
) -> Tuple[np.ndarray[Any, Any], List[str]]:
    """Return the least and greatest value of each channel by picture (N, F, 2), and F's names.

    ``arrays`` are the prepared pictures by input name (N, H, W, C).
    """
    import numpy as np

    run, names = open_network(model)
    count = len(next(iter(arrays.values())))
    rows: List[np.ndarray[Any, Any]] = []
    labels: List[str] = []
    for index in range(count):
        feed = {
            spec.name: as_network_input(np.asarray(arrays[spec.name][index]), spec)
            for spec in inputs
        }
        parts = []
        for name, value in zip(names, run(feed)):
            found = np.asarray(value, np.float32)
            flat = found.reshape(found.shape[1], -1) if found.ndim > 1 else found.reshape(1, -1)
            if not flat.size:
                continue
            flat = flat[:: max(1, -(-len(flat) // CHANNELS))]
            parts.append(np.stack([flat.min(1), flat.max(1)], 1))
            if not index:
                labels += [name] * len(flat)
        rows.append(np.nan_to_num(np.concatenate(parts)))
        tell(1)
    return np.stack(rows), labels


def of_pictures(arrays: Mapping[str, Any]) -> Tuple[np.ndarray[Any, Any], List[str]]:
    """Return the same of the pictures themselves, on a grid of 8 x 8: where there is no network."""
    import numpy as np

    first = np.asarray(next(iter(arrays.values())), np.float32)
    if first.ndim != 4:
        flat = first.reshape(len(first), -1)
        flat = flat[:, :: max(1, flat.shape[1] // 256)]
        return np.stack([flat, flat], 2), ["input"] * flat.shape[1]
    rows = [np.array_split(block, min(8, first.shape[2]), axis=2)
            for block in np.array_split(first, min(8, first.shape[1]), axis=1)]  # fmt: skip
    cells = [cell for row in rows for cell in row]
    low = np.concatenate([cell.min((1, 2)) for cell in cells], 1)
    high = np.concatenate([cell.max((1, 2)) for cell in cells], 1)
    return np.stack([low, high], 2), ["input"] * low.shape[1]
