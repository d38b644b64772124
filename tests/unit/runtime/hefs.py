"""Small emulated HEFs, made by hand: quantise, a little arithmetic, quantise again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from hailo_emulator.nms.config import Decoder, NmsConfig
from hailo_emulator.payload import Estimate, Output, Payload, Stream, pack
from hailo_emulator.quant import Quantization
from onnx import TensorProto, helper, numpy_helper

from orchestrator.hef import DecoderSpec, NetworkSpec, NmsSpec, StreamSpec, write_emulated_hef

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 8
CLASSES = 5


class Graph:
    """A little ONNX graph with quantise/dequantise pairs, NHWC float32 with batch 1."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def input(self, stream: Stream) -> str:
        sides = [1, *stream.shape]
        value = helper.make_tensor_value_info(stream.tensor, TensorProto.FLOAT, sides)
        self.inputs.append(value)
        return self.pair(stream.tensor, stream.quantization, f"{stream.tensor}/in")

    def pair(self, name: str, quant: Quantization, output: str) -> str:
        kind = np.uint8 if quant.bits == 8 else np.uint16
        scale = self.constant(f"{output}/scale", np.float32(quant.scale))
        zero = self.constant(f"{output}/zero", np.array(quant.zero_point, kind))
        self.node("QuantizeLinear", [name, scale, zero], f"{output}/q")
        return self.node("DequantizeLinear", [f"{output}/q", scale, zero], output)

    def output(self, name: str, stream: Stream) -> None:
        self.pair(name, stream.quantization, stream.tensor)
        sides = [1, *stream.shape]
        value = helper.make_tensor_value_info(stream.tensor, TensorProto.FLOAT, sides)
        self.outputs.append(value)

    def encode(self) -> bytes:
        graph = helper.make_graph(
            self.nodes, "net", self.inputs, self.outputs, initializer=self.constants
        )
        opset = [helper.make_opsetid("", 21)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=10)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _spec(stream: Stream) -> StreamSpec:
    shape = stream.shape if len(stream.shape) == 3 else (1, 1, *stream.shape)
    return StreamSpec(
        name=stream.name,
        shape=(shape[0], shape[1], shape[2]),
        scale=stream.quantization.scale,
        zero_point=stream.quantization.zero_point,
        bits=stream.quantization.bits,
        order=stream.order,
        original_names=stream.original_names,
    )


COMPILER = "3.33.0"
#: Compiler whose HEFs every HailoRT from 4.17 on reads.
OLD_COMPILER = "3.27.0"


def _write(payload: Payload, nms: NmsSpec | None = None) -> bytes:
    network = NetworkSpec(
        name=payload.network,
        inputs=tuple(_spec(stream) for stream in payload.inputs),
        outputs=tuple(_spec(stream) for stream in payload.tensors),
        nms=nms,
        predicted_fps=payload.estimate.fps,
        operations=payload.estimate.macs * 2,
    )
    resources = pack(payload)
    return write_emulated_hef(
        network, arch=payload.arch, resources=resources, emulated_compiler=payload.compiler
    )


def _payload(inputs: tuple[Stream, ...], tensors: tuple[Stream, ...], graph: Graph) -> Payload:
    return Payload(
        network="net",
        arch="hailo8l",
        compiler=COMPILER,
        inputs=inputs,
        tensors=tensors,
        outputs=tuple(Output(stream.name, "tensor") for stream in tensors),
        nms=None,
        estimate=Estimate(fps=100.0, latency_ms=10.0, macs=1000, contexts=1),
        graph=graph.encode(),
    )


def picture(name: str = "net/input_layer1", channels: int = 3) -> Stream:
    shape = (SIDE, SIDE, channels)
    return Stream(name, name, shape, "NHWC", Quantization(1.0, 0, 8), ("image",))


def classifier(
    *, arch: str = "hailo8l", bits: int = 8, channels: int = 3, compiler: str = COMPILER
) -> bytes:
    """A linear classifier of 8x8 pictures; weights are the same at each call."""
    random = np.random.default_rng(0)
    image = picture(channels=channels)
    scale = 0.5 if bits == 8 else 0.5 / 256
    middle = 128 if bits == 8 else 32768
    logits = Stream(
        "net/fc1", "net/fc1:out", (CLASSES,), "NC", Quantization(scale, middle, bits), ("logits",)
    )
    graph = Graph()
    size = SIDE * SIDE * channels
    weights = random.normal(0, 0.02, (size, CLASSES)).astype(np.float32)
    flat = graph.node("Flatten", [graph.input(image)], "flat")
    graph.constant("weights", weights)
    graph.output(graph.node("MatMul", [flat, "weights"], "scores"), logits)
    payload = _payload((image,), (logits,), graph)
    return _write(replace(payload, arch=arch, compiler=compiler))


def two_inputs() -> bytes:
    """The mean of two pictures."""
    left, right = picture("net/input_layer1"), picture("net/input_layer2")
    result = Stream(
        "net/ew_add1", "net/ew_add1:out", left.shape, "NHWC", Quantization(1.0, 0, 8), ("sum",)
    )
    graph = Graph()
    graph.node("Add", [graph.input(left), graph.input(right)], "both")
    graph.constant("half", np.float32(0.5))
    graph.output(graph.node("Mul", ["both", "half"], "mean"), result)
    return _write(_payload((left, right), (result,), graph))


def detector(*, arch: str = "hailo8l", compiler: str = COMPILER) -> bytes:
    """One yolov8 head of stride 8 over 16x16 pictures: 2x2 cells, 3 classes, NMS on the host.

    Distances are constant (bin 1 of 16, so one stride to each side, give or take), and the
    score of class 0 follows the brightness of a cell.
    """
    side, cells, bins, classes = 16, 2, 16, 3
    image = Stream(
        "net/input_layer1", "net/input_layer1", (side, side, 1), "NHWC", Quantization(1.0, 0, 8)
    )
    reg = Stream(
        "net/conv41", "net/conv41:out", (cells, cells, 4 * bins), "NHWC", Quantization(0.1, 0, 8)
    )
    cls = Stream(
        "net/conv42", "net/conv42:out", (cells, cells, classes), "NHWC", Quantization(1 / 255, 0)
    )
    graph = Graph()
    graph.node("Transpose", [graph.input(image)], "nchw", perm=[0, 3, 1, 2])
    graph.node("AveragePool", ["nchw"], "pooled", kernel_shape=[8, 8], strides=[8, 8])
    graph.node("Transpose", ["pooled"], "cells", perm=[0, 2, 3, 1])
    graph.constant("full", np.array([1 / 255, 1 / 1020, 0], np.float32))
    graph.output(graph.node("Mul", ["cells", "full"], "scores"), cls)
    sides = np.zeros((1, cells, cells, 4 * bins), np.float32)
    sides[..., 1::bins] = 20.0
    graph.constant("sides", sides)
    graph.constant("none", np.float32(0))
    graph.node("Mul", ["cells", "none"], "zero")
    graph.output(graph.node("Add", ["sides", "zero"], "distances"), reg)
    nms = NmsConfig(
        output="net/yolov8_nms_postprocess",
        meta_arch="yolov8",
        engine="cpu",
        score_threshold=0.2,
        iou_threshold=0.7,
        classes=classes,
        max_proposals_per_class=10,
        image_dims=(side, side),
        decoders=(Decoder("head", stride=8, reg=reg.name, cls=cls.name),),
    )
    payload = replace(
        _payload((image,), (reg, cls), graph),
        outputs=(Output(nms.output, "nms"),),
        nms=nms,
        arch=arch,
        compiler=compiler,
    )
    spec = NmsSpec(
        family="yolov8",
        output=nms.output,
        score_threshold=nms.score_threshold,
        iou_threshold=nms.iou_threshold,
        max_boxes_per_class=nms.max_proposals_per_class,
        classes=classes,
        image=(float(side), float(side)),
        decoders=(DecoderSpec(stride=8, reg=reg.name, cls=cls.name),),
        extra={"regression_length": float(bins)},
    )
    return _write(payload, spec)


def store(folder: Path, content: bytes, name: str = "model.emulated.hef") -> str:
    """Write bytes into a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return str(path)
