"""Streaming by hand: ``InputVStreams`` and ``OutputVStreams`` of one configured network.

Every output has a queue for each input; who receives takes one frame of each and computes. The
queues cross to forked processes: public programs send in one process and receive in another, as
the binding's fork handlers let them.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

import numpy as np

from hailo_emulator.runtime import boxes
from hailo_emulator.runtime.formats import dtype_of
from hailo_emulator.runtime.status import HailoRTException, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from hailo_emulator.runtime.formats import VStreamInfo
    from hailo_emulator.runtime.vstreams import ConfiguredNetwork, VStreamParams

_Stream = TypeVar("_Stream", bound="_VStream")


#: Frames that may be on their way; a sender that nobody receives from times out, too.
IN_FLIGHT = 16


class Pipe:
    """The frames of one configured network that are on their way, and whether it is active.

    ``crosses`` makes it one for several processes; it must then be there before they are forked.
    """

    def __init__(self, group: ConfiguredNetwork, *, crosses: bool = False) -> None:
        self._group = group
        self.crosses = crosses
        self.activity: Any = threading.Event()
        make: Callable[[int], Any] = queue.Queue
        if crosses:
            context = multiprocessing.get_context("fork")
            self.activity, make = context.Event(), context.Queue
        outputs = [info.name for info in group.get_output_vstream_infos()]
        self._frames = {
            info.name: {output: make(IN_FLIGHT) for output in outputs}
            for info in group.get_input_vstream_infos()
        }
        if crosses:
            # A program that ends before all was received must not wait for its reader.
            for queues in self._frames.values():
                for waiting in queues.values():
                    waiting.cancel_join_thread()
        self._taken: dict[str, dict[str, NDArray[np.generic]]] = {name: {} for name in outputs}
        self._receiving = {name: threading.Lock() for name in outputs}

    def send(self, info: VStreamInfo, frame: NDArray[np.generic], timeout_ms: int) -> None:
        """Take one frame of one input; HailoRTTimeout when nobody receives."""
        for waiting in self._frames[info.name].values():
            try:
                waiting.put(frame, timeout=timeout_ms / 1000)
            except queue.Full:
                _time_out(info, "H2D", timeout_ms)

    def receive(self, info: VStreamInfo, timeout_ms: int) -> NDArray[np.generic]:
        """Return the next frame of one output in the type that its receiver wants."""
        end = time.monotonic() + timeout_ms / 1000
        taken = self._taken[info.name]
        with self._receiving[info.name]:
            for name, queues in self._frames.items():
                if name in taken:
                    continue
                try:
                    left = max(0.0, end - time.monotonic())
                    taken[name] = queues[info.name].get(timeout=left)
                except queue.Empty:
                    _time_out(info, "D2H", timeout_ms)
            frames = dict(taken)
            taken.clear()
        return self._group.network.run_frame(frames, {info.name: info})[info.name]

    def move_to(self, other: Pipe) -> None:
        """Hand over what waits, and the activity."""
        if self.activity.is_set():
            other.activity.set()
        for name, queues in self._frames.items():
            for output, waiting in queues.items():
                while not waiting.empty():
                    other._frames[name][output].put(waiting.get_nowait())


def _time_out(info: VStreamInfo, direction: str, timeout_ms: int) -> NoReturn:
    fail(
        "HAILO_TIMEOUT",
        f"{info.name} ({direction}) failed with status=HAILO_TIMEOUT(4), timeout={timeout_ms}ms",
    )


_groups: weakref.WeakSet[ConfiguredNetwork] = weakref.WeakSet()


def follow_forks(group: ConfiguredNetwork) -> None:
    """Let ``group`` be used by processes that are forked later."""
    _groups.add(group)


def _before_fork() -> None:
    for group in list(_groups):
        if not group.pipe.crosses:
            wider = Pipe(group, crosses=True)
            group.pipe.move_to(wider)
            group.pipe = wider


def _after_fork_in_child() -> None:
    for group in list(_groups):
        group.network.follow_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


class _VStream:
    def __init__(self, group: ConfiguredNetwork, name: str, params: VStreamParams) -> None:
        self._group = group
        self._params = params
        self._info = group.resolve(name, params)

    @property
    def info(self) -> VStreamInfo:
        """What the network says of the stream."""
        return self._info

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
            self._group.pipe.send(self.info, frame.copy(), self._params.timeout_ms)

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
            name: self._kind(self._group, name, params) for name, params in self._params.items()
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
