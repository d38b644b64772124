"""A network's graph computed by torch, so that gradients flow: for training in the emulator.

Only what real networks have after translation is here; another operation raises
:class:`Untrainable`, which names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hailo_emulator.graph import Graph, Node


class Untrainable(Exception):
    """The graph has an operation that is not computed here."""


def check_graph(graph: Graph) -> None:
    """Raise :class:`Untrainable` for the first operation that is not known."""
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx") or node.op not in _TABLE:
            raise Untrainable(node.op)


def run_graph(
    graph: Graph,
    inputs: Mapping[str, Any],
    constants: Mapping[str, Any],
    after: Callable[[str, Any], Any],
) -> dict[str, Any]:
    """Compute the graph on tensors with a batch and return its outputs by name.

    ``constants`` are tensors (trained ones among them); ``after`` may change each tensor that is
    made, by its name.
    """
    values: dict[str, Any] = {name: after(name, value) for name, value in inputs.items()}
    batch = next(iter(inputs.values())).shape[0]
    for node in graph.nodes:
        arguments = [
            None if not name else values[name] if name in values else constants[name]
            for name in node.inputs
        ]
        made = _TABLE[node.op](_Call(node, graph, batch), arguments)
        made = made if isinstance(made, (tuple, list)) else (made,)
        for name, value in zip(node.outputs, made, strict=False):
            if name:
                values[name] = after(name, value)
    return {name: values[name] for name in graph.outputs}


class _Call:
    """One node with what its attributes say."""

    def __init__(self, node: Node, graph: Graph, batch: int) -> None:
        self.node, self.graph, self.batch = node, graph, batch

    def refuse(self, *, to: str) -> Untrainable:
        return Untrainable(f"{self.node.op} {to}")

    def get(self, name: str, default: Any = None) -> Any:
        return self.node.attribute(name, default)

    def constant(self, index: int) -> Any:
        """The constant input of that number as a numpy array, ``None`` without one."""
        if index >= len(self.node.inputs) or not self.node.inputs[index]:
            return None
        return self.graph.constants.get(self.node.inputs[index])


_Made = Any
_Do = Callable[[_Call, "list[Any]"], _Made]


def _conv(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    sides = x[1].dim() - 2
    pads = list(call.get("pads", [0] * (2 * sides)))
    if call.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.refuse(to="with auto_pad")
    value = x[0]
    if any(pads):
        value = functional.pad(value, _torch_pads(pads, sides))
    run = functional.conv2d if sides == 2 else functional.conv1d
    if sides > 2:
        raise call.refuse(to="over volumes")
    return run(
        value, x[1], x[2] if len(x) > 2 else None, stride=call.get("strides", [1] * sides),
        dilation=call.get("dilations", [1] * sides), groups=int(call.get("group", 1)),
    )  # fmt: skip


def _torch_pads(pads: list[int], sides: int) -> list[int]:
    return [pads[i + part] for i in reversed(range(sides)) for part in (0, sides)]


def _deconv(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    sides = x[1].dim() - 2
    pads = list(call.get("pads", [0] * (2 * sides)))
    if sides != 2 or pads[:sides] != pads[sides:]:
        raise call.refuse(to="with uneven padding")
    return functional.conv_transpose2d(
        x[0], x[1], x[2] if len(x) > 2 else None, stride=call.get("strides", [1, 1]),
        padding=pads[:sides], output_padding=call.get("output_padding", [0, 0]),
        groups=int(call.get("group", 1)), dilation=call.get("dilations", [1, 1]),
    )  # fmt: skip


def _gemm(call: _Call, x: list[Any]) -> _Made:
    left = x[0].T if call.get("transA", 0) else x[0]
    right = x[1].T if call.get("transB", 0) else x[1]
    made = left @ right * float(call.get("alpha", 1.0))
    return made if len(x) < 3 or x[2] is None else made + x[2] * float(call.get("beta", 1.0))


def _pool(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    kernel = list(call.get("kernel_shape"))
    sides = len(kernel)
    pads = list(call.get("pads", [0] * (2 * sides)))
    if sides != 2 or call.get("ceil_mode", 0) or call.get("auto_pad", "NOTSET") != "NOTSET":
        raise call.refuse(to="of that form")
    strides = list(call.get("strides", [1, 1]))
    if call.node.op == "MaxPool":
        value = functional.pad(x[0], _torch_pads(pads, 2), value=float("-inf"))
        return functional.max_pool2d(value, kernel, strides)
    if any(pads) and not call.get("count_include_pad", 0):
        ones = functional.pad(x[0].new_ones(x[0].shape), _torch_pads(pads, 2))
        value = functional.pad(x[0], _torch_pads(pads, 2))
        return functional.avg_pool2d(value, kernel, strides) / functional.avg_pool2d(
            ones, kernel, strides
        )
    return functional.avg_pool2d(functional.pad(x[0], _torch_pads(pads, 2)), kernel, strides)


def _axes(call: _Call, index: int = 1) -> Any:
    given = call.constant(index)
    return [int(a) for a in given.reshape(-1)] if given is not None else call.get("axes")


def _reduce(call: _Call, x: list[Any]) -> _Made:
    axes = _axes(call)
    keep = bool(call.get("keepdims", 1))
    axes = list(range(x[0].dim())) if axes is None else list(axes)
    kind = call.node.op
    if kind == "ReduceMean":
        return x[0].mean(dim=axes, keepdim=keep)
    if kind == "ReduceSum":
        return x[0].sum(dim=axes, keepdim=keep)
    return (x[0].amax if kind == "ReduceMax" else x[0].amin)(dim=axes, keepdim=keep)


def _reshape(call: _Call, x: list[Any]) -> _Made:
    wanted = [int(side) for side in call.constant(1).reshape(-1)]
    shape = [x[0].shape[i] if side == 0 else side for i, side in enumerate(wanted)]
    # Graphs are written for a batch of one; which axis holds it, the first says.
    if shape and shape[0] == 1:
        shape[0] = call.batch
    return x[0].reshape(shape)


def _squeeze(call: _Call, x: list[Any]) -> _Made:
    value = x[0]
    axes = _axes(call) or [i for i, side in enumerate(value.shape) if side == 1 and i]
    for axis in sorted((a % value.dim() for a in axes), reverse=True):
        value = value.squeeze(axis)
    return value


def _unsqueeze(call: _Call, x: list[Any]) -> _Made:
    value = x[0]
    for axis in sorted(_axes(call)):
        value = value.unsqueeze(axis)
    return value


def _slice(call: _Call, x: list[Any]) -> _Made:
    starts, ends = call.constant(1), call.constant(2)
    axes, steps = call.constant(3), call.constant(4)
    where: list[Any] = [slice(None)] * x[0].dim()
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        step = 1 if steps is None else int(steps[i])
        if step < 1:
            raise call.refuse(to="backwards")
        where[i if axes is None else int(axes[i])] = slice(int(start), int(end), step)
    return x[0][tuple(where)]


def _split(call: _Call, x: list[Any]) -> _Made:
    axis = int(call.get("axis", 0))
    sizes = call.constant(1)
    count = len(call.node.outputs)
    if sizes is None:
        return x[0].split(-(-x[0].shape[axis] // count), dim=axis)
    return x[0].split([int(size) for size in sizes], dim=axis)


def _resize(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    shape = call.graph.shapes[call.node.outputs[0]]
    mode = str(call.get("mode", "nearest"))
    if len(shape) != 4 or mode not in ("nearest", "linear"):
        raise call.refuse(to=mode)
    size = list(shape[2:])
    if mode == "nearest":
        return functional.interpolate(x[0], size=size)
    corners = call.get("coordinate_transformation_mode") == "align_corners"
    return functional.interpolate(x[0], size=size, mode="bilinear", align_corners=corners)


def _pad(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    pads = [int(p) for p in call.constant(1)]
    if call.get("mode", "constant") != "constant":
        raise call.refuse(to="by reflection")
    value = call.constant(2)
    return functional.pad(
        x[0], _torch_pads(pads, len(pads) // 2), value=0.0 if value is None else float(value)
    )


def _clip(call: _Call, x: list[Any]) -> _Made:
    low = call.constant(1) if len(call.node.inputs) > 1 else call.get("min")
    high = call.constant(2) if len(call.node.inputs) > 2 else call.get("max")
    return x[0].clamp(None if low is None else float(low), None if high is None else float(high))


def _layer_norm(call: _Call, x: list[Any]) -> _Made:
    from torch.nn import functional

    axis = int(call.get("axis", -1)) % x[0].dim()
    shape = list(x[0].shape[axis:])
    return functional.layer_norm(
        x[0], shape, x[1], x[2] if len(x) > 2 else None, eps=float(call.get("epsilon", 1e-5))
    )


def _torch(name: str, **options: Any) -> _Do:
    def do(call: _Call, x: list[Any]) -> _Made:
        import torch

        return getattr(torch, name)(x[0], **options)

    return do


def _functional(name: str) -> _Do:
    def do(call: _Call, x: list[Any]) -> _Made:
        from torch.nn import functional

        return getattr(functional, name)(x[0])

    return do


def _gather(call: _Call, x: list[Any]) -> _Made:
    index, axis = call.constant(1), int(call.get("axis", 0))
    if index is None or np.ndim(index) != 0:
        raise call.refuse(to="of several")
    return x[0].select(axis, int(index))


def _concat(call: _Call, x: list[Any]) -> _Made:
    import torch

    rank = max(value.dim() for value in x)
    whole = [v.expand(call.batch, *v.shape[1:]) if v.shape[0] == 1 and rank == v.dim() else v
             for v in x]  # fmt: skip
    return torch.cat(whole, dim=int(call.get("axis", 0)))


_TABLE: dict[str, _Do] = {
    "Conv": _conv,
    "ConvTranspose": _deconv,
    "Gemm": _gemm,
    "MatMul": lambda call, x: x[0] @ x[1],
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": lambda call, x: x[0].mean(dim=tuple(range(2, x[0].dim())), keepdim=True),
    "GlobalMaxPool": lambda call, x: x[0].amax(dim=tuple(range(2, x[0].dim())), keepdim=True),
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "ReduceMin": _reduce,
    "Relu": _functional("relu"),
    "LeakyRelu": lambda call, x: x[0].where(x[0] > 0, x[0] * float(call.get("alpha", 0.01))),
    "Sigmoid": _torch("sigmoid"),
    "Tanh": _torch("tanh"),
    "Erf": _torch("erf"),
    "Exp": _torch("exp"),
    "Sqrt": _torch("sqrt"),
    "Neg": _torch("neg"),
    "Abs": _torch("abs"),
    "Reciprocal": _torch("reciprocal"),
    "Softplus": _functional("softplus"),
    "HardSwish": _functional("hardswish"),
    "HardSigmoid": lambda call, x: (
        x[0] * float(call.get("alpha", 0.2)) + float(call.get("beta", 0.5))
    ).clamp(0, 1),
    "Elu": _functional("elu"),
    "Mish": _functional("mish"),
    "Gelu": _functional("gelu"),
    "Clip": _clip,
    "Softmax": lambda call, x: x[0].softmax(dim=int(call.get("axis", -1))),
    "LayerNormalization": _layer_norm,
    "Add": lambda call, x: x[0] + x[1],
    "Sub": lambda call, x: x[0] - x[1],
    "Mul": lambda call, x: x[0] * x[1],
    "Div": lambda call, x: x[0] / x[1],
    "Pow": lambda call, x: x[0] ** x[1],
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Transpose": lambda call, x: x[0].permute(call.get("perm", list(range(x[0].dim()))[::-1])),
    "Reshape": _reshape,
    "Flatten": lambda call, x: x[0].flatten(int(call.get("axis", 1))),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Resize": _resize,
    "Pad": _pad,
    "Identity": lambda call, x: x[0],
    "Cast": lambda call, x: x[0],
}
