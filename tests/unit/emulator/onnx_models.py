"""Small ONNX models with the structure (and node names) of what people export from PyTorch.

Weights are random but scaled, so that activations keep their size from layer to layer and a
quantised model is a fair approximation of the float one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Writes nodes one after the other; every method returns the name of its result."""

    def __init__(self, *, opset: int = 13, seed: int = 3) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.constants: list[Any] = []
        self.features: dict[str, int] = {}

    def input(self, name: str, shape: list[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        if len(shape) > 1 and isinstance(shape[1], int):
            self.features[name] = shape[1]
        return name

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(
        self, op: str, inputs: list[str], *, name: str, outputs: int = 1, **attributes: Any
    ) -> Any:
        results = [f"{name}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, results, name=name, **attributes))
        self.features[results[0]] = self.features.get(inputs[0], 0)
        return results[0] if outputs == 1 else results

    def conv(
        self,
        x: str,
        out: int,
        k: int = 3,
        *,
        stride: int = 1,
        group: int = 1,
        name: str,
        gain: float = 1.4,
        bias: float = 0.1,
    ) -> str:
        cin = self.features[x]
        weight = self.rng.normal(0, gain / np.sqrt(cin // group * k * k), (out, cin // group, k, k))
        w = self.constant(f"{name}.weight", weight)
        b = self.constant(f"{name}.bias", self.rng.normal(0, bias, out))
        pad = k // 2
        result = self.node(
            "Conv",
            [x, w, b],
            name=name,
            kernel_shape=[k, k],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=group,
            dilations=[1, 1],
        )
        self.features[result] = out
        return result

    def silu(self, x: str, *, name: str) -> str:
        gate = self.node("Sigmoid", [x], name=f"{name}/Sigmoid")
        return self.node("Mul", [x, gate], name=f"{name}/Mul")

    def cbs(
        self, x: str, out: int, k: int = 3, *, stride: int = 1, group: int = 1, name: str
    ) -> str:
        return self.silu(
            self.conv(x, out, k, stride=stride, group=group, name=f"{name}/conv/Conv"),
            name=f"{name}/act",
        )

    def concat(self, parts: list[str], *, name: str, axis: int = 1) -> str:
        result = self.node("Concat", parts, name=name, axis=axis)
        self.features[result] = sum(self.features[p] for p in parts)
        return result

    def dense(self, x: str, width: int, out: int, *, name: str) -> str:
        w = self.constant(f"{name}.weight", self.rng.normal(0, 1 / np.sqrt(width), (out, width)))
        b = self.constant(f"{name}.bias", self.rng.normal(0, 0.1, out))
        result = self.node("Gemm", [x, w, b], name=name, transB=1)
        self.features[result] = out
        return result

    def build(self, outputs: list[str]) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", self.inputs, infos, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        return onnx.shape_inference.infer_shapes(model)


def classifier(
    *, size: int = 16, channels: int = 3, classes: int = 10, opset: int = 13, batch: int | str = 1
) -> onnx.ModelProto:
    """Conv+BN+ReLU, depthwise with SiLU and a skip, HardSwish, pooling, Gemm, Softmax."""
    b = Builder(opset=opset)
    x = b.input("image", [batch, channels, size, size])
    y = b.conv(x, 8, name="/c1/Conv")
    norm = [
        b.constant("bn.scale", b.rng.uniform(0.5, 1.5, 8)),
        b.constant("bn.bias", b.rng.normal(0, 0.2, 8)),
        b.constant("bn.mean", b.rng.normal(0, 0.2, 8)),
        b.constant("bn.var", b.rng.uniform(0.5, 1.5, 8)),
    ]
    y = b.node("BatchNormalization", [y, *norm], name="/bn1/BatchNormalization")
    y = b.node("Relu", [y], name="/relu1/Relu")
    z = b.cbs(y, 8, group=8, name="/dw")
    y = b.node("Add", [y, z], name="/skip/Add")
    y = b.node("MaxPool", [y], name="/pool/MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    y = b.conv(y, 16, stride=2, name="/c2/Conv")
    h = b.node("HardSigmoid", [y], name="/hs/HardSigmoid", alpha=1 / 6, beta=0.5)
    y = b.node("Mul", [y, h], name="/hs/Mul")
    y = b.node("GlobalAveragePool", [y], name="/gap/GlobalAveragePool")
    y = b.node("Flatten", [y], name="/Flatten", axis=1)
    y = b.dense(y, 16, classes, name="/fc/Gemm")
    return b.build([b.node("Softmax", [y], name="/Softmax", axis=1)])


def two_inputs() -> onnx.ModelProto:
    """An image and a vector, joined before the last dense layer."""
    b = Builder()
    image = b.input("image", [1, 3, 8, 8])
    extra = b.input("extra", [1, 4])
    y = b.node("Relu", [b.conv(image, 8, name="/c1/Conv")], name="/relu/Relu")
    y = b.node("GlobalAveragePool", [y], name="/gap")
    y = b.node("Flatten", [y], name="/flat", axis=1)
    b.features[y] = 8
    y = b.concat([y, extra], name="/join")
    return b.build([b.dense(y, 12, 5, name="/fc")])


def fully_convolutional(*, channels: int = 1, size: int = 12) -> onnx.ModelProto:
    """An image to an image, as depth and segmentation networks do; two outputs."""
    b = Builder()
    x = b.input("x", [1, channels, size, size])
    down = b.cbs(x, 6, stride=2, name="/down")
    scale = b.constant("scales", [1, 1, 2, 2])
    up = b.node(
        "Resize",
        [down, "", scale],
        name="/up/Resize",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    y = b.concat([x, up], name="/cat/Concat")
    mask = b.conv(y, 2, 1, name="/mask/Conv")
    depth = b.node("Relu", [b.conv(y, 1, 1, name="/depth/Conv")], name="/depth/Relu")
    return b.build([mask, depth])


def _c2f(b: Builder, x: str, out: int, count: int, *, name: str, shortcut: bool) -> str:
    y = b.cbs(x, out, 1, name=f"{name}/cv1")
    half = out // 2
    sizes = b.constant(f"{name}.split", [half, half], np.int64)
    parts = b.node("Split", [y, sizes], name=f"{name}/Split", outputs=2, axis=1)
    for part in parts:
        b.features[part] = half
    last = parts[1]
    for number in range(count):
        inner = b.cbs(last, half, name=f"{name}/m.{number}/cv1")
        inner = b.cbs(inner, half, name=f"{name}/m.{number}/cv2")
        if shortcut:
            inner = b.node("Add", [last, inner], name=f"{name}/m.{number}/Add")
        parts.append(inner)
        last = inner
    return b.cbs(b.concat(parts, name=f"{name}/Concat"), out, 1, name=f"{name}/cv2")


def yolov8(
    *, width: int = 4, size: int = 64, classes: int = 3, reg: int = 16, tail: bool = False
) -> onnx.ModelProto:
    """YOLOv8n's topology, thin; with ``tail`` also the decode part that no chip can do."""
    b = Builder(seed=8)
    x = b.input("images", [1, 3, size, size])
    w = width
    x = b.cbs(x, w, stride=2, name="/model.0")
    x = b.cbs(x, 2 * w, stride=2, name="/model.1")
    x = _c2f(b, x, 2 * w, 1, name="/model.2", shortcut=True)
    x = b.cbs(x, 4 * w, stride=2, name="/model.3")
    p3 = _c2f(b, x, 4 * w, 2, name="/model.4", shortcut=True)
    x = b.cbs(p3, 8 * w, stride=2, name="/model.5")
    p4 = _c2f(b, x, 8 * w, 2, name="/model.6", shortcut=True)
    x = b.cbs(p4, 16 * w, stride=2, name="/model.7")
    x = _c2f(b, x, 16 * w, 1, name="/model.8", shortcut=True)
    x = b.cbs(x, 8 * w, 1, name="/model.9/cv1")
    pools = [x]
    for number in range(3):
        pools.append(
            b.node(
                "MaxPool",
                [pools[-1]],
                name=f"/model.9/m/MaxPool_{number}",
                kernel_shape=[5, 5],
                strides=[1, 1],
                pads=[2, 2, 2, 2],
            )
        )
    p5 = b.cbs(b.concat(pools, name="/model.9/Concat"), 16 * w, 1, name="/model.9/cv2")
    scales = b.constant("up.scales", [1, 1, 2, 2])

    def up(t: str, name: str) -> str:
        return b.node(
            "Resize",
            [t, "", scales],
            name=name,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    x = _c2f(
        b,
        b.concat([up(p5, "/model.10/Resize"), p4], name="/model.11/Concat"),
        8 * w,
        1,
        name="/model.12",
        shortcut=False,
    )
    n3 = _c2f(
        b,
        b.concat([up(x, "/model.13/Resize"), p3], name="/model.14/Concat"),
        4 * w,
        1,
        name="/model.15",
        shortcut=False,
    )
    y = b.cbs(n3, 4 * w, stride=2, name="/model.16")
    n4 = _c2f(
        b, b.concat([y, x], name="/model.17/Concat"), 8 * w, 1, name="/model.18", shortcut=False
    )
    y = b.cbs(n4, 8 * w, stride=2, name="/model.19")
    n5 = _c2f(
        b, b.concat([y, p5], name="/model.20/Concat"), 16 * w, 1, name="/model.21", shortcut=False
    )
    heads = []
    for number, feature in enumerate((n3, n4, n5)):
        pair = []
        for branch, out in (("cv2", 4 * reg), ("cv3", classes)):
            base = f"/model.22/{branch}.{number}/{branch}.{number}"
            y = b.cbs(feature, 2 * w, name=f"{base}.0")
            y = b.cbs(y, 2 * w, name=f"{base}.1")
            pair.append(b.conv(y, out, 1, name=f"{base}.2/Conv", bias=0.5))
        heads.append(pair)
    if not tail:
        return b.build([t for pair in heads for t in pair])
    flat = []
    shape = b.constant("flat.shape", [1, 4 * reg + classes, -1], np.int64)
    for number, pair in enumerate(heads):
        joined = b.concat(pair, name=f"/model.22/Concat_{number}")
        flat.append(b.node("Reshape", [joined, shape], name=f"/model.22/Reshape_{number}"))
    joined = b.concat(flat, name="/model.22/Concat_3", axis=2)
    sizes = b.constant("tail.split", [4 * reg, classes], np.int64)
    box, cls = b.node("Split", [joined, sizes], name="/model.22/Split", outputs=2, axis=1)
    dfl = b.constant("dfl.shape", [1, 4, reg, -1], np.int64)
    box = b.node("Reshape", [box, dfl], name="/model.22/dfl/Reshape")
    box = b.node("Transpose", [box], name="/model.22/dfl/Transpose", perm=[0, 2, 1, 3])
    box = b.node("Softmax", [box], name="/model.22/dfl/Softmax", axis=1)
    b.features[box] = reg
    box = b.conv(box, 1, 1, name="/model.22/dfl/conv/Conv")
    back = b.constant("dfl.back", [1, 4, -1], np.int64)
    box = b.node("Reshape", [box, back], name="/model.22/dfl/Reshape_1")
    cls = b.node("Sigmoid", [cls], name="/model.22/Sigmoid")
    return b.build([b.node("Concat", [box, cls], name="/model.22/Concat_5", axis=1)])


def single(
    op: str,
    *,
    shape: tuple[int, ...] = (1, 4, 8, 8),
    extra: dict[str, Any] | None = None,
    outputs: int = 1,
    opset: int = 13,
    **attributes: Any,
) -> onnx.ModelProto:
    """A convolution followed by one node of ``op``: for the rules of what is supported."""
    b = Builder(opset=opset)
    x = b.input("x", list(shape))
    y = b.conv(x, shape[1], name="/conv/Conv")
    inputs = [y]
    for key, (value, dtype) in (extra or {}).items():
        inputs.append(b.constant(key, value, dtype) if key else "")
    result = b.node(op, inputs, name=f"/{op.lower()}/{op}", outputs=outputs, **attributes)
    return b.build([result] if outputs == 1 else list(result))


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, str(path))
    return path
