"""A model loaded to the emulated chip: frames in, frames out, one at a time.

The numbers come from ``hailo_emulator.execute.Executor``, the same that the emulated compiler
uses for SDK_QUANTIZED. Here they are only packed and unpacked as HailoRT's streams ask.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.execute import Executor
from hailo_emulator.payload import read_payload
from hailo_emulator.quant import dequantize, quantize
from hailo_emulator.runtime.boxes import flatten
from hailo_emulator.runtime.formats import (
    FormatOrder,
    FormatType,
    VStreamInfo,
    dtype_of,
)
from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import fail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hailo_emulator.runtime.hef import HEF

#: The vendor's default time limit of a virtual stream, as its message shows it.
TIMEOUT_MS = 10000


class Limits:
    """Post-processing limits that a program may change before it configures a model."""

    def __init__(self) -> None:
        self.score: float | None = None
        self.iou: float | None = None
        self.boxes: int | None = None
        self.mask_bytes: int | None = None

    @property
    def changed(self) -> bool:
        """True when the program set one."""
        return any(value is not None for value in vars(self).values())


class LoadedNetwork:
    """The model of one HEF, ready to compute. Calls are serialised: there is one chip."""

    def __init__(self, hef: HEF) -> None:
        self.hef = hef
        self.name = hef.get_network_group_names()[0]
        self.inputs = {info.name: info for info in hef.get_input_vstream_infos()}
        self.outputs = {info.name: info for info in hef.get_output_vstream_infos()}
        self.limits = Limits()
        self._executor = self._load()
        self._inherited: Executor | None = None
        self._chip = threading.Lock()
        self._quantizations = {
            stream.name: stream.quantization
            for stream in (*self._executor.payload.inputs, *self._executor.payload.tensors)
        }
        self._frames = 0

    def _load(self) -> Executor:
        source: Path | bytes = self.hef.source
        return Executor(read_payload(source))

    def follow_fork(self) -> None:
        """Let a forked process load the model for itself: threads do not come along."""
        self._inherited = self._executor
        self._chip = threading.Lock()

    def run_frame(
        self,
        frames: Mapping[str, NDArray[np.generic]],
        wanted: Mapping[str, VStreamInfo],
    ) -> dict[str, NDArray[np.generic]]:
        """Return one frame of every output in ``wanted``, in the type that it asks for.

        ``frames`` holds one frame per input: integers as the chip takes them, or float32,
        which is quantised with the input's own scale. NMS results are flat buffers, see
        ``boxes.py``.
        """
        setup = read_setup()
        if setup.has("timeout"):
            first = next(iter(self.inputs))
            fail(
                "HAILO_TIMEOUT",
                f"{first} (H2D) failed with status=HAILO_TIMEOUT(4), timeout={TIMEOUT_MS}ms",
            )
        values = {name: self._to_values(self.inputs[name], frame) for name, frame in frames.items()}
        with self._chip:
            if self._executor is self._inherited:
                # The other one is kept: its end would wait for its threads, which are not here.
                self._executor = self._load()
            self._frames += 1
            count = self._frames
            result = self._executor.run(
                values,
                score_threshold=self.limits.score,
                iou_threshold=self.limits.iou,
                max_proposals_per_class=self.limits.boxes,
            )
        noise = np.random.default_rng(count) if setup.has("unstable") else None
        return {name: self._from_values(info, result[name], noise) for name, info in wanted.items()}

    def _to_values(self, info: VStreamInfo, frame: NDArray[np.generic]) -> NDArray[np.float32]:
        quantization = self._quantizations[info.name]
        shaped = frame.reshape(info.buffer_shape)
        if shaped.dtype == np.float32:
            integers = quantize(shaped.astype(np.float32, copy=False), quantization)
        else:
            integers = shaped.astype(dtype_of(info.format.type), copy=False)
        return dequantize(integers, quantization)

    def _from_values(
        self,
        info: VStreamInfo,
        values: NDArray[np.float32] | list[NDArray[np.float32]],
        noise: np.random.Generator | None,
    ) -> NDArray[np.generic]:
        if isinstance(values, list):
            return flatten(info, values, noise)
        if noise is not None:
            spread = float(np.ptp(values)) or 1.0
            values = (values + noise.normal(0, 0.1 * spread, values.shape)).astype(np.float32)
        integers = quantize(values, self._quantizations[info.name]).reshape(info.buffer_shape)
        if info.format.type is FormatType.FLOAT32:
            return dequantize(integers, self._quantizations[info.name])
        return integers.astype(dtype_of(info.format.type), copy=False)

    def check_format(self, info: VStreamInfo, native: VStreamInfo) -> None:
        """Refuse a type that the library would not convert to."""
        kind, own = info.format.type, native.format.type
        is_nms = native.nms is not None
        narrower = own is FormatType.UINT16 and kind is FormatType.UINT8
        if (is_nms and kind is not FormatType.FLOAT32) or narrower:
            fail(
                "HAILO_INVALID_ARGUMENT",
                f"Invalid user format type {kind.name} for stream {info.name} of type {own.name}",
            )

    def resolve(
        self, name: str, kind: FormatType, order: FormatOrder = FormatOrder.AUTO
    ) -> VStreamInfo:
        """Return the stream ``name`` with type and order that a program asked for; AUTO = own."""
        native = self.inputs.get(name) or self.outputs[name]
        native = native.with_order(order)
        if kind is FormatType.AUTO:
            return native
        info = native.with_type(kind)
        self.check_format(info, native)
        return info
