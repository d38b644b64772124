"""Streaming by hand: ``InputVStreams`` and ``OutputVStreams`` of one configured network.

Frames that are sent wait until every input has one; the network then runs, and each output keeps
its result until somebody receives it. Threads only: a queue does not cross to another process.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np

from hailo_emulator.runtime import boxes
from hailo_emulator.runtime.formats import dtype_of
from hailo_emulator.runtime.status import HailoRTException, fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from hailo_emulator.runtime.formats import VStreamInfo
    from hailo_emulator.runtime.vstreams import ConfiguredNetwork, VStreamParams

_Stream = TypeVar("_Stream", bound="_VStream")


class Pipe:
    """The frames of one configured network that are on their way."""

    def __init__(self, group: ConfiguredNetwork) -> None:
        self._group = group
        self._lock = threading.Lock()
        self._sent: dict[str, deque[NDArray[np.generic]]] = {
            info.name: deque() for info in group.get_input_vstream_infos()
        }
        outputs = group.get_output_vstream_infos()
        self._results: dict[str, queue.Queue[dict[str, NDArray[np.generic]]]] = {
            info.name: queue.Queue() for info in outputs
        }

    def send(self, name: str, frame: NDArray[np.generic]) -> None:
        """Take one frame of one input; compute when all inputs have one."""
        with self._lock:
            self._sent[name].append(frame)
            if not all(self._sent.values()):
                return
            frames = {key: waiting.popleft() for key, waiting in self._sent.items()}
        for waiting in self._results.values():
            waiting.put(frames)

    def receive(self, info: VStreamInfo, timeout_ms: int) -> NDArray[np.generic]:
        """Return the next frame of one output in the type that its receiver wants."""
        try:
            frames = self._results[info.name].get(timeout=timeout_ms / 1000)
        except queue.Empty:
            fail(
                "HAILO_TIMEOUT",
                f"{info.name} (D2H) failed with status=HAILO_TIMEOUT(4), timeout={timeout_ms}ms",
            )
        return self._group.network.run_frame(frames, {info.name: info})[info.name]


class _VStream:
    def __init__(self, group: ConfiguredNetwork, params: VStreamParams) -> None:
        self._group = group
        self._params = params

    @property
    def info(self) -> VStreamInfo:
        """What the network says of the stream."""
        return self._params.info

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.info.name

    @property
    def network_name(self) -> str:
        """The network's name."""
        return self.info.network_name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame at the host."""
        return self.info.buffer_shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Element type at the host."""
        return dtype_of(self.info.format.type)


class InputVStream(_VStream):
    """One input."""

    def send(self, input_data: NDArray[np.generic]) -> None:
        """Send frames (N, ...); another type is converted."""
        if not self._group.active:
            fail("HAILO_NETWORK_GROUP_NOT_ACTIVATED", "Trying to write to an inactive stream")
        data = np.ascontiguousarray(input_data.astype(self.dtype, copy=False))
        for frame in data:
            if frame.nbytes != self.info.buffer_bytes:
                fail(
                    "HAILO_INVALID_ARGUMENT",
                    f"write size {frame.nbytes} must be {self.info.buffer_bytes}",
                )
            self._group.pipe.send(self.name, frame.copy())

    def flush(self) -> None:
        """Return at once: frames that were sent are with the network."""


class OutputVStream(_VStream):
    """One output."""

    tf_nms_format = False

    def recv(self) -> Any:
        """Return one frame without batch dimension; boxes as a list by class."""
        flat = self._group.pipe.receive(self.info, self._params.timeout_ms)
        if self.info.nms is None:
            return flat
        shape = self.info.nms_shape
        if self.tf_nms_format:
            return boxes.padded_boxes(flat, shape.number_of_classes, shape.max_bboxes_per_class)
        return boxes.split_boxes(flat, shape.number_of_classes)


class _VStreams(Generic[_Stream]):
    _kind: type[_Stream]

    def __init__(self, group: ConfiguredNetwork, params: Mapping[str, VStreamParams]) -> None:
        self._group = group
        self._params = dict(params)
        self._streams: dict[str, _Stream] = {}

    def __enter__(self) -> Self:
        self._streams = {
            name: self._kind(self._group, params) for name, params in self._params.items()
        }
        return self

    def __exit__(self, *exc: object) -> None:
        self._streams = {}

    def __iter__(self) -> Iterator[_Stream]:
        return iter(self._streams.values())

    def get(self, name: str | None = None) -> _Stream:
        """Return one stream; its name may be left out when there is only one."""
        if name is None:
            if len(self._streams) != 1:
                msg = "There is no single input vStream. You must give a name"
                raise HailoRTException(msg)
            (name,) = self._streams
        return self._streams[name]

    def clear(self) -> None:
        """Do nothing: no frame waits in a buffer of its own."""


class InputVStreams(_VStreams[InputVStream]):
    """Inputs of a network. Use as a context manager."""

    _kind = InputVStream

    def __init__(
        self,
        configured_network: ConfiguredNetwork,
        input_vstreams_params: Mapping[str, VStreamParams],
    ) -> None:
        super().__init__(configured_network, input_vstreams_params)


class OutputVStreams(_VStreams[OutputVStream]):
    """Outputs of a network. Use as a context manager."""

    _kind = OutputVStream

    def __init__(
        self,
        configured_network: ConfiguredNetwork,
        output_vstreams_params: Mapping[str, VStreamParams],
        tf_nms_format: bool = False,
    ) -> None:
        super().__init__(configured_network, output_vstreams_params)
        self._tf_nms_format = tf_nms_format

    def __enter__(self) -> Self:
        super().__enter__()
        for stream in self._streams.values():
            stream.tf_nms_format = self._tf_nms_format
        return self
