"""What a model script puts between an input and the network, as ONNX nodes in NCHW.

Colour arithmetic is that of ITU-R BT.601 in video range, which is what the vendor's converters
and cameras use; the vendor's exact rounding is not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.graph import Node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hailo_emulator.graph import Graph, Shape

#: BT.601 video range: R, G, B rows over (Y - 16, U - 128, V - 128).
_YUV_TO_RGB = np.array(
    [[1.164, 0.0, 1.596], [1.164, -0.392, -0.813], [1.164, 2.017, 0.0]], np.float32
)
_YUV_OFFSET = np.array([16.0, 128.0, 128.0], np.float32)

#: input_conversion kinds done here, and how the input's (H, W, C) follows from the network's.
KINDS = ("bgr_to_rgb", "rgb_to_bgr", "yuv_to_rgb", "yuv_to_bgr", "tf_rgbx_to_hailo_rgb",
         "yuy2_to_hailo_yuv", "nv12_to_hailo_yuv", "yuy2_to_rgb", "nv12_to_rgb")  # fmt: skip

#: Those that are a format and a colour conversion in one command.
HYBRIDS = ("yuy2_to_rgb", "nv12_to_rgb")


@dataclass(frozen=True)
class Conversion:
    """One step after an input. ``kind``: normalization, resize, or one of :data:`KINDS`."""

    name: str
    kind: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: tuple[int, int] = (0, 0)

    @property
    def command(self) -> str:
        """The command of the model script that makes it."""
        return self.kind if self.kind in ("normalization", "resize") else "input_conversion"

    def input_shape(self, shape: Shape) -> Shape:
        """The (H, W, C) that goes in, from the (H, W, C) that comes out."""
        if self.kind == "resize":
            return (*self.size, shape[2])
        if self.kind.startswith("yuy2"):
            return (shape[0], shape[1], 2)
        if self.kind.startswith("nv12"):
            return (shape[0] // 2, shape[1], 3)
        if self.kind == "tf_rgbx_to_hailo_rgb":
            return (shape[0], shape[1], 4)
        return shape


def append_conversion(graph: Graph, tensor: str, step: Conversion, result: str) -> None:
    """Append the nodes of ``step`` from ``tensor`` to ``result`` (both NCHW, or vectors)."""
    if step.kind == "normalization":
        _append_normalization(graph, tensor, step, result)
    elif step.kind == "resize":
        _append_resize(graph, tensor, step, result)
    elif step.kind in ("bgr_to_rgb", "rgb_to_bgr"):
        _append_gather(graph, tensor, step, result, [2, 1, 0])
    elif step.kind == "tf_rgbx_to_hailo_rgb":
        _append_gather(graph, tensor, step, result, [0, 1, 2])
    elif step.kind in ("yuv_to_rgb", "yuv_to_bgr"):
        _append_yuv(graph, tensor, step, result)
    else:
        _append_packed(graph, tensor, step, result)


def _constant(graph: Graph, name: str, value: NDArray[Any]) -> str:
    graph.constants[name] = value
    return name


def _append_normalization(graph: Graph, tensor: str, step: Conversion, result: str) -> None:
    rank = len(graph.shapes[tensor])
    shape = (1, -1, *([1] * (rank - 2)))
    mean = _constant(graph, f"{step.name}/mean", np.asarray(step.mean, np.float32).reshape(shape))
    std = _constant(graph, f"{step.name}/std", np.asarray(step.std, np.float32).reshape(shape))
    centred = f"{step.name}/centred"
    graph.nodes.append(Node(f"{step.name}/sub", "Sub", (tensor, mean), (centred,)))
    graph.nodes.append(Node(f"{step.name}/div", "Div", (centred, std), (result,)))
    graph.shapes[result] = graph.shapes[tensor]


def _append_resize(graph: Graph, tensor: str, step: Conversion, result: str) -> None:
    target = graph.shapes[result]
    sizes = _constant(graph, f"{step.name}/sizes", np.asarray(target, np.int64))
    graph.nodes.append(
        Node(
            f"{step.name}/resize", "Resize", (tensor, "", "", sizes), (result,),
            {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        )
    )  # fmt: skip


def _append_gather(
    graph: Graph, tensor: str, step: Conversion, result: str, order: list[int]
) -> None:
    index = _constant(graph, f"{step.name}/order", np.asarray(order, np.int64))
    graph.nodes.append(
        Node(f"{step.name}/gather", "Gather", (tensor, index), (result,), {"axis": 1})
    )


def _append_yuv(graph: Graph, tensor: str, step: Conversion, result: str) -> None:
    """One 1x1 convolution: matrix and offsets, no clipping (the chip's layer has none)."""
    matrix = _YUV_TO_RGB if step.kind == "yuv_to_rgb" else _YUV_TO_RGB[::-1]
    weight = _constant(
        graph, f"{step.name}/matrix", np.ascontiguousarray(matrix).reshape(3, 3, 1, 1)
    )
    bias = _constant(graph, f"{step.name}/offset", (-matrix @ _YUV_OFFSET).astype(np.float32))
    graph.nodes.append(
        Node(f"{step.name}/conv", "Conv", (tensor, weight, bias), (result,),
             {"kernel_shape": [1, 1]})
    )  # fmt: skip


def _append_packed(graph: Graph, tensor: str, step: Conversion, result: str) -> None:
    """Unpack YUY2 (Y U | Y V pairs) or NV12 (planes) to YUV, then to RGB where asked."""
    height, width = graph.shapes[result][2:]
    yuv = result if step.kind.endswith("yuv") else f"{step.name}/yuv"
    graph.shapes[yuv] = (1, 3, height, width)
    if step.kind.startswith("yuy2"):
        _append_yuy2(graph, tensor, step, yuv, (height, width))
    else:
        _append_nv12(graph, tensor, step, yuv, (height, width))
    if yuv != result:
        _append_yuv(graph, yuv, Conversion(f"{step.name}/rgb", "yuv_to_rgb"), result)


class _Writer:
    def __init__(self, graph: Graph, prefix: str) -> None:
        self.graph, self.prefix, self.count = graph, prefix, 0

    def add(self, op: str, inputs: tuple[str, ...], result: str = "", **attributes: object) -> str:
        self.count += 1
        result = result or f"{self.prefix}/{self.count}"
        name = f"{self.prefix}/{op.lower()}{self.count}"
        self.graph.nodes.append(Node(name, op, inputs, (result,), attributes))
        return result

    def ints(self, values: list[int]) -> str:
        self.count += 1
        return _constant(self.graph, f"{self.prefix}/k{self.count}", np.asarray(values, np.int64))

    def part(self, tensor: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        ranges = ([start], [stop], [axis], [step])
        return self.add("Slice", (tensor, *(self.ints(value) for value in ranges)))

    def twice(self, tensor: str, shape: list[int]) -> str:
        return self.add(
            "Resize", (tensor, "", "", self.ints(shape)), mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip


def _append_yuy2(
    graph: Graph, tensor: str, step: Conversion, yuv: str, size: tuple[int, int]
) -> None:
    write = _Writer(graph, step.name)
    shape = [1, 1, *size]
    luma = write.part(tensor, 1, 0, 1)
    chroma = write.part(tensor, 1, 1, 2)
    planes = [write.twice(write.part(chroma, 3, start, size[1], 2), shape) for start in (0, 1)]
    write.add("Concat", (luma, *planes), yuv, axis=1)


def _append_nv12(
    graph: Graph, tensor: str, step: Conversion, yuv: str, size: tuple[int, int]
) -> None:
    """The input is (H/2, W, 3): the bytes of the frame in order, Y plane then UV pairs."""
    write = _Writer(graph, step.name)
    height, width = size
    rows = write.add("Transpose", (tensor,), perm=[0, 2, 3, 1])
    frame = write.add("Reshape", (rows, write.ints([1, 1, height * 3 // 2, width])))
    luma = write.part(frame, 2, 0, height)
    pairs = write.part(frame, 2, height, height * 3 // 2)
    pairs = write.add("Reshape", (pairs, write.ints([1, 1, height // 2, width])))
    planes = [
        write.twice(write.part(pairs, 3, start, width, 2), [1, 1, height, width])
        for start in (0, 1)
    ]
    write.add("Concat", (luma, *planes), yuv, axis=1)
