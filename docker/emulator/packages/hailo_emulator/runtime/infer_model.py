"""The newer interface: ``InferModel``, ``ConfiguredInferModel``, bindings and jobs.

The order of calls, the checks and the exceptions follow pyhailort 4.23 and 5.2; one worker
thread stands for the chip's queue.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from hailo_emulator.runtime import boxes
from hailo_emulator.runtime.binding import border, size_of
from hailo_emulator.runtime.formats import (
    HAILO_DEFAULT_BATCH_SIZE,
    FormatOrder,
    FormatType,
    HailoFormat,
    HailoPowerMode,
    QuantInfo,
    VStreamInfo,
)
from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import (
    HailoRTException,
    exception_from_status,
    fail,
    log,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hailo_emulator.runtime.hef import HEF
    from hailo_emulator.runtime.network import Limits, LoadedNetwork
    from hailo_emulator.runtime.vdevice import VDevice

#: Frames that may wait for the chip at once.
QUEUE_SIZE = 16

_Stream = TypeVar("_Stream")


class AsyncInferCompletionInfo:
    """What a callback is told: ``exception`` is None when the job went well."""

    def __init__(self, exception: HailoRTException | None) -> None:
        self._exception = exception

    @property
    def exception(self) -> HailoRTException | None:
        """What went wrong, or None."""
        return self._exception


class AsyncInferJob:
    """A frame, or several, on their way through the chip."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: HailoRTException | None = None

    def finish(self, error: HailoRTException | None) -> None:
        """Mark the job as done (called by the worker thread)."""
        self._error = error
        self._done.set()

    @border
    def wait(self, timeout_ms: int) -> None:
        """Wait for the job and its callback; HailoRTTimeout when that takes longer."""
        if not self._done.wait(timeout_ms / 1000):
            fail(
                "HAILO_TIMEOUT",
                f"Waiting for async job to finish has failed with timeout ({timeout_ms}ms)",
            )
        if self._error is not None:
            raise self._error


class InferModel:
    """A model of a HEF, with the formats that the program wants at its ends."""

    class InferStream:
        """One input or output."""

        def __init__(self, info: VStreamInfo, limits: Limits | None) -> None:
            self._native = info
            self.limits = limits
            self._type = FormatType.AUTO
            self._order = FormatOrder.AUTO

        @property
        def name(self) -> str:
            """The stream's name."""
            return self._native.name

        @property
        def shape(self) -> tuple[int, ...]:
            """Shape of one frame's buffer (flat for NMS)."""
            return self._native.with_order(self._order).buffer_shape

        @property
        def format(self) -> HailoFormat:
            """Type and order that the program will use."""
            own = self._native.with_order(self._order).format
            chosen = own.type if self._type is FormatType.AUTO else self._type
            return HailoFormat(chosen, own.order, own.flags)

        @border
        def set_format_type(self, type: FormatType) -> None:  # noqa: A002 - the vendor's name
            """Choose the element type."""
            self._type = type

        @border
        def set_format_order(self, order: FormatOrder) -> None:
            """Choose the order; beside a stream's own, boxes may come by score from 4.21 on."""
            by_score = self.is_nms and order is FormatOrder.HAILO_NMS_BY_SCORE
            if order is FormatOrder.HAILO_NMS_BY_SCORE and read_setup().hailort < (4, 21, 0):
                msg = "Format order HAILO_NMS_BY_SCORE is not supported"
                raise HailoRTException(msg)
            if order not in (FormatOrder.AUTO, self._native.format.order) and not by_score:
                fail(
                    "HAILO_NOT_IMPLEMENTED",
                    f"Format order {order.name} is not emulated",
                    check=False,
                )
            self._order = order

        @property
        def quant_infos(self) -> list[QuantInfo]:
            """Quantisation, one for the stream or one per feature."""
            return list(self._native.quant_infos)

        @property
        def is_nms(self) -> bool:
            """True when the stream carries boxes."""
            return self._native.nms is not None

        @border
        def set_nms_score_threshold(self, threshold: float) -> None:
            """Drop boxes below ``threshold``; refused at configure without NMS."""
            self._nms_limits().score = float(threshold)

        @border
        def set_nms_iou_threshold(self, threshold: float) -> None:
            """Suppress boxes that overlap more than ``threshold``."""
            self._nms_limits().iou = float(threshold)

        @border
        def set_nms_max_proposals_per_class(self, max_proposals: int) -> None:
            """Bound the boxes of each class."""
            self._nms_limits().boxes = int(max_proposals)

        @border
        def set_nms_max_accumulated_mask_size(self, max_accumulated_mask_size: int) -> None:
            """Bound the bytes of all masks; no model of the emulator makes masks."""
            self._nms_limits().mask_bytes = int(max_accumulated_mask_size)

        def _nms_limits(self) -> Limits:
            from hailo_emulator.runtime.network import Limits

            if self.limits is None:
                self.limits = Limits()
            return self.limits

    def __init__(self, vdevice: VDevice, hef: HEF) -> None:
        from hailo_emulator.runtime.network import Limits

        self._vdevice = vdevice
        self._hef = hef
        self._batch_size = HAILO_DEFAULT_BATCH_SIZE
        self._limits = Limits()
        self._inputs = {
            info.name: self.InferStream(info, None) for info in hef.get_input_vstream_infos()
        }
        self._outputs = {
            info.name: self.InferStream(info, self._limits if info.nms else None)
            for info in hef.get_output_vstream_infos()
        }

    @property
    def hef(self) -> HEF:
        """The HEF of this model."""
        return self._hef

    @border
    def set_batch_size(self, batch_size: int) -> None:
        """Choose how many frames go to the chip together."""
        self._batch_size = batch_size

    @border
    def set_power_mode(self, power_mode: HailoPowerMode) -> None:
        """Choose the clock policy; no effect in the emulator."""

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return list(self._inputs)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return list(self._outputs)

    @property
    def inputs(self) -> list[InferStream]:
        """All inputs."""
        return list(self._inputs.values())

    @property
    def outputs(self) -> list[InferStream]:
        """All outputs."""
        return list(self._outputs.values())

    @border
    def input(self, name: str = "") -> InferStream:
        """Return one input; its name may be left out when there is only one."""
        return _pick(self._inputs, name, "Input", "input")

    @border
    def output(self, name: str = "") -> InferStream:
        """Return one output; its name may be left out when there is only one."""
        return _pick(self._outputs, name, "Output", "output")

    def configure(self) -> ConfiguredInferModel:
        """Load the model to the chip. Use the result as a context manager."""
        if not self._vdevice.is_open:
            fail("HAILO_INVALID_OPERATION", "VDevice was released", check=False)
        if self._batch_size > QUEUE_SIZE:
            fail(
                "HAILO_INVALID_OPERATION",
                f"Trying to configure a model with a batch={self._batch_size} bigger than "
                f"internal_queue_size={QUEUE_SIZE}, which is not supported. Try using a smaller "
                f"batch.",
            )
        network = self._vdevice.load(self._hef)
        for stream in (*self._inputs.values(), *self._outputs.values()):
            network.resolve(stream.name, stream.format.type, stream.format.order)
            limits = stream.limits
            if limits is not None and limits.changed and not stream.is_nms:
                fail(
                    "HAILO_INVALID_OPERATION",
                    f"NMS was set for stream {stream.name} that has no NMS operation",
                )
        network.limits = self._limits
        return ConfiguredInferModel(self, network, scheduled=self._vdevice.scheduled)


def _pick(streams: Mapping[str, _Stream], name: str, title: str, word: str) -> _Stream:
    if name == "":
        if len(streams) != 1:
            fail("HAILO_INVALID_OPERATION", f"Model has more than one {word}!")
        return next(iter(streams.values()))
    if name not in streams:
        fail("HAILO_NOT_FOUND", f"{title} {name} not found!")
    return streams[name]


class ConfiguredInferModel:
    """A model on the chip."""

    class Bindings:
        """The buffers of one frame."""

        class InferStream:
            """One buffer."""

            def __init__(self, info: VStreamInfo) -> None:
                self.info = info
                self.buffer: NDArray[np.generic] | None = None

            @border
            def set_buffer(self, buffer: NDArray[np.generic]) -> None:
                """Use ``buffer``, whose memory the library may write."""
                boxes.check_kind(self.info, buffer)
                self.buffer = buffer

            def get_buffer(self, tf_format: bool | None = False) -> Any:
                """Return the buffer; for NMS as a list by class, or padded with ``tf_format``.

                ``None`` asks for the plain buffer.
                """
                if tf_format is None or self.info.nms is None or self.buffer is None:
                    return self.buffer
                return boxes.read(self.info, self.buffer, padded=tf_format)

        def __init__(
            self, inputs: Mapping[str, VStreamInfo], outputs: Mapping[str, VStreamInfo]
        ) -> None:
            self.inputs = {name: self.InferStream(info) for name, info in inputs.items()}
            self.outputs = {name: self.InferStream(info) for name, info in outputs.items()}
            # Picamera2's Hailo class reads this name of the vendor's.
            self._output_names = list(outputs)

        def input(self, name: str = "") -> InferStream:
            """Return one input's buffer holder."""
            return _pick(self.inputs, name, "Input", "input")

        def output(self, name: str = "") -> InferStream:
            """Return one output's buffer holder."""
            return _pick(self.outputs, name, "Output", "output")

        def check(self) -> None:
            """Refuse missing buffers and buffers of another size."""
            for word, held in (("input", self.inputs), ("output", self.outputs)):
                for name, stream in held.items():
                    _check_buffer(word, name, stream.info, stream.buffer)

    def __init__(self, infer_model: InferModel, network: LoadedNetwork, *, scheduled: bool) -> None:
        self._network = network
        self._scheduled = scheduled
        self._active = scheduled
        self._inputs = {s.name: network.resolve(s.name, s.format.type) for s in infer_model.inputs}
        self._outputs = {
            s.name: network.resolve(s.name, s.format.type, s.format.order)
            for s in infer_model.outputs
        }
        self._jobs: queue.Queue[
            tuple[Sequence[ConfiguredInferModel.Bindings], AsyncInferJob, Any] | None
        ] = queue.Queue()
        self._waiting = 0
        self._room = threading.Condition()
        self._thread: threading.Thread | None = None
        self._alive = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()

    def activate(self) -> None:
        """Take the chip; invalid when the scheduler does that."""
        if self._scheduled:
            fail(
                "HAILO_INVALID_OPERATION",
                "Manually activating a core-op is not allowed when the core-op scheduler is "
                "active!",
            )
        self._active = True

    def deactivate(self) -> None:
        """Let go of the chip; invalid when the scheduler does that."""
        if self._scheduled:
            fail(
                "HAILO_INVALID_OPERATION",
                "Manually deactivating a core-op is not allowed when the core-op scheduler is "
                "active!",
            )
        self._active = False

    def create_bindings(
        self,
        input_buffers: Mapping[str, NDArray[np.generic]] | None = None,
        output_buffers: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> Bindings:
        """Return a holder of one frame's buffers."""
        bindings = self.Bindings(self._inputs, self._outputs)
        for name, buffer in (input_buffers or {}).items():
            bindings.input(name).set_buffer(buffer)
        for name, buffer in (output_buffers or {}).items():
            bindings.output(name).set_buffer(buffer)
        return bindings

    def get_async_queue_size(self) -> int:
        """Return how many frames may wait at once."""
        return QUEUE_SIZE

    @border
    def set_scheduler_timeout(self, timeout_ms: int) -> None:
        """Accepted, without effect: one model has the emulated chip for itself."""

    @border
    def set_scheduler_threshold(self, threshold: int) -> None:
        """Accepted, without effect."""

    @border
    def set_scheduler_priority(self, priority: int) -> None:
        """Accepted, without effect."""

    @border
    def wait_for_async_ready(self, timeout_ms: int = 1000, frames_count: int = 1) -> None:
        """Wait until ``frames_count`` more frames fit; HailoRTTimeout when they do not."""
        deadline = time.monotonic() + timeout_ms / 1000
        with self._room:
            while self._waiting + frames_count > QUEUE_SIZE:
                left = deadline - time.monotonic()
                if left <= 0 or not self._room.wait(left):
                    fail(
                        "HAILO_TIMEOUT",
                        f"Got timeout in `wait_for_async_ready` ({timeout_ms}ms)",
                    )

    def run(self, bindings: Sequence[Bindings], timeout: int) -> None:
        """Run frames and wait at most ``timeout`` milliseconds for them."""
        self.run_async(bindings).wait(timeout)

    def run_async(
        self,
        bindings: Sequence[Bindings],
        callback: Callable[..., None] | None = None,
    ) -> AsyncInferJob:
        """Start frames; ``callback`` is called with the keyword ``completion_info``."""
        if not self._alive:
            fail("HAILO_STREAM_ABORT", "The model was shut down", check=False)
        for frame in bindings:
            frame.check()
        with self._room:
            if self._waiting + len(bindings) > QUEUE_SIZE:
                fail("HAILO_QUEUE_IS_FULL", "Failed to enqueue frames, queue is full", check=False)
            self._waiting += len(bindings)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="chip", daemon=True)
                self._thread.start()
        job = AsyncInferJob()
        self._jobs.put((tuple(bindings), job, callback))
        return job

    def shutdown(self) -> None:
        """Stop; the model cannot be used any more."""
        self._alive = False
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            frames, job, callback = item
            error: HailoRTException | None = None
            try:
                if not self._active:
                    fail("HAILO_STREAM_NOT_ACTIVATED", "the model was not activated", check=False)
                for frame in frames:
                    self._run_frame(frame)
            except HailoRTException as caught:
                error = caught
            except Exception as caught:
                log("error", f"the emulator failed: {caught!r}")
                error = exception_from_status(status_of("HAILO_INTERNAL_FAILURE"))
                error.__cause__ = caught
            with self._room:
                self._waiting -= len(frames)
                self._room.notify_all()
            try:
                if callback is not None:
                    callback(completion_info=AsyncInferCompletionInfo(error))
            finally:
                job.finish(error)

    def _run_frame(self, frame: Bindings) -> None:
        buffers = {name: stream.buffer for name, stream in frame.inputs.items()}
        given = {name: buffer for name, buffer in buffers.items() if buffer is not None}
        result = self._network.run_frame(given, self._outputs)
        for name, stream in frame.outputs.items():
            assert stream.buffer is not None
            # The library writes bytes: only their number must fit.
            flat = stream.buffer.reshape(-1).view(np.uint8)
            flat[:] = np.ascontiguousarray(result[name]).reshape(-1).view(np.uint8)


def _check_buffer(
    word: str, name: str, info: VStreamInfo, buffer: NDArray[np.generic] | None
) -> None:
    if buffer is None:
        fail("HAILO_NOT_FOUND", f"Couldnt find {word} buffer for '{name}'")
    expected = info.buffer_bytes
    if size_of(buffer) != expected:
        fail(
            "HAILO_INVALID_OPERATION",
            f"{word.capitalize()} buffer size {size_of(buffer)} is different than expected "
            f"{expected} for {word} '{name}'",
        )
