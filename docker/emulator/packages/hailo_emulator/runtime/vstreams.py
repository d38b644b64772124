"""The older interface: a configured network group and ``InferVStreams``.

It works on Hailo-8 and Hailo-8L. Without the scheduler a group must be activated first; with
it (the default) activation is a no-op that warns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hailo_emulator.runtime.binding import Struct, border, require_writable, size_of
from hailo_emulator.runtime.boxes import padded_boxes, split_boxes
from hailo_emulator.runtime.formats import (
    FormatOrder,
    FormatType,
    HailoStreamDirection,
    VStreamInfo,
    dtype_of,
)
from hailo_emulator.runtime.status import (
    HailoRTException,
    exception_from_status,
    fail,
    log,
    status_of,
)
from hailo_emulator.runtime.streaming import Pipe, follow_forks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hailo_emulator.runtime.network import LoadedNetwork
    from hailo_emulator.runtime.vdevice import VDevice

DEFAULT_VSTREAM_TIMEOUT_MS = 10000
DEFAULT_VSTREAM_QUEUE_SIZE = 2


@dataclass(frozen=True)
class ActivateNetworkGroupParams:
    """Nothing to choose."""


@dataclass
class UserFormat(Struct):
    """Type and order at the host; programs set its members."""

    type: FormatType
    order: FormatOrder
    flags: int = 0


@dataclass
class VStreamParams(Struct):
    """Format and limits of one stream; programs set its members."""

    user_buffer_format: UserFormat
    timeout_ms: int = DEFAULT_VSTREAM_TIMEOUT_MS
    queue_size: int = DEFAULT_VSTREAM_QUEUE_SIZE


class ConfiguredNetwork:
    """A model loaded to the chip."""

    def __init__(self, network: LoadedNetwork, vdevice: VDevice) -> None:
        self.network = network
        self.vdevice = vdevice
        #: Frames that are streamed by hand, and whether the group is active.
        self.pipe = Pipe(self)
        self.active = vdevice.scheduled
        follow_forks(self)

    @property
    def active(self) -> bool:
        """Whether the chip works for this group, in whichever process that was said."""
        return bool(self.pipe.activity.is_set())

    @active.setter
    def active(self, active: bool) -> None:
        if active:
            self.pipe.activity.set()
        else:
            self.pipe.activity.clear()

    def resolve(self, name: str, params: VStreamParams) -> VStreamInfo:
        """Return a stream as ``params`` ask for it."""
        if name not in self.network.inputs and name not in self.network.outputs:
            fail("HAILO_NOT_FOUND", f"Failed to find vstream {name}")
        wanted = params.user_buffer_format
        return self.network.resolve(name, wanted.type, wanted.order)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.network.name

    def get_networks_names(self) -> list[str]:
        """Return the networks of the model."""
        return self.network.hef.get_networks_names()

    @staticmethod
    def create_params() -> ActivateNetworkGroupParams:
        """Return parameters for :meth:`activate`."""
        return ActivateNetworkGroupParams()

    def activate(
        self, network_group_params: ActivateNetworkGroupParams | None = None
    ) -> _ActivatedGroup:
        """Take the chip for this model while the returned context lasts."""
        if self.vdevice.scheduled:
            log(
                "warning",
                "Calls to `activate()` when working with scheduler are deprecated! On future "
                "versions this call will raise an error.",
                source="HailoRT Python",
            )
        return _ActivatedGroup(self)

    def wait_for_activation(self, timeout_ms: int | None = None) -> None:
        """Return when active; HailoRTTimeout when that does not come."""
        if not self.pipe.activity.wait(None if timeout_ms is None else timeout_ms / 1000):
            fail("HAILO_TIMEOUT", "Waiting for activation has reached a timeout", check=False)

    def get_input_vstream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return the inputs."""
        return self.network.hef.get_input_vstream_infos(network_name)

    def get_output_vstream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return the outputs."""
        return self.network.hef.get_output_vstream_infos(network_name)

    def get_all_vstream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return inputs, then outputs."""
        return self.network.hef.get_all_vstream_infos(network_name)

    def get_input_stream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return what goes into the chip."""
        return self.network.hef.get_input_stream_infos(network_name)

    def get_output_stream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return what comes out of the chip."""
        return self.network.hef.get_output_stream_infos(network_name)

    def get_all_stream_infos(self, network_name: str | None = None) -> list[VStreamInfo]:
        """Return inputs, then outputs of the chip."""
        return self.network.hef.get_all_stream_infos(network_name)

    def get_stream_names_from_vstream_name(self, vstream_name: str) -> list[str]:
        """Return the chip's streams behind one that programs use."""
        return self.network.hef.get_stream_names_from_vstream_name(vstream_name)

    def get_vstream_names_from_stream_name(self, stream_name: str) -> list[str]:
        """Return the streams that programs use of one of the chip's."""
        return self.network.hef.get_vstream_names_from_stream_name(stream_name)

    def get_sorted_output_names(self) -> list[str]:
        """Return the outputs' names in the compiler's order."""
        return self.network.hef.get_sorted_output_names()

    @border
    def set_scheduler_timeout(self, timeout_ms: int, network_name: str | None = None) -> None:
        """Accepted with the scheduler, without effect: one model has the emulated chip."""
        self._need_scheduler()

    @border
    def set_scheduler_threshold(self, threshold: int) -> None:
        """Accepted with the scheduler, without effect."""
        self._need_scheduler()

    @border
    def set_scheduler_priority(self, priority: int) -> None:
        """Accepted with the scheduler, without effect."""
        self._need_scheduler()

    def _need_scheduler(self) -> None:
        if not self.vdevice.scheduled:
            fail(
                "HAILO_INVALID_OPERATION",
                "Cannot set scheduler values when there is no scheduler",
            )

    def get_output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the outputs' shapes."""
        return {info.name: info.shape for info in self.get_output_vstream_infos()}


class _ActivatedGroup:
    def __init__(self, group: ConfiguredNetwork) -> None:
        self._group = group

    def __enter__(self) -> Self:
        self._group.active = True
        return self

    def __exit__(self, *exc: object) -> None:
        self._group.active = self._group.vdevice.scheduled


@border
def _make_vstreams(
    group: ConfiguredNetwork,
    infos: list[VStreamInfo],
    *,
    format_type: FormatType,
    timeout_ms: int,
    queue_size: int,
) -> dict[str, VStreamParams]:
    made = {}
    for info in infos:
        resolved = group.network.resolve(info.name, format_type).format
        wanted = UserFormat(resolved.type, resolved.order, resolved.flags)
        made[info.name] = VStreamParams(wanted, timeout_ms, queue_size)
    return made


class _Maker:
    """Makes the parameters of one direction; AUTO means the type at the chip's side."""

    _direction: ClassVar[HailoStreamDirection]

    @classmethod
    def make(
        cls,
        configured_network: ConfiguredNetwork,
        quantized: bool | None = None,
        format_type: FormatType | None = None,
        timeout_ms: int | None = None,
        queue_size: int | None = None,
        network_name: str | None = None,
    ) -> dict[str, VStreamParams]:
        """Return parameters by the name of the stream."""
        infos = [
            info
            for info in configured_network.get_all_vstream_infos(network_name)
            if info.direction is cls._direction
        ]
        return _make_vstreams(
            configured_network,
            infos,
            format_type=FormatType.AUTO if format_type is None else format_type,
            timeout_ms=DEFAULT_VSTREAM_TIMEOUT_MS if timeout_ms is None else timeout_ms,
            queue_size=DEFAULT_VSTREAM_QUEUE_SIZE if queue_size is None else queue_size,
        )

    make_from_network_group = make


class InputVStreamParams(_Maker):
    """Maker of the parameters of inputs."""

    _direction = HailoStreamDirection.H2D


class OutputVStreamParams(_Maker):
    """Maker of the parameters of outputs."""

    _direction = HailoStreamDirection.D2H

    @classmethod
    def make_groups(
        cls,
        configured_network: ConfiguredNetwork,
        quantized: bool | None = None,
        format_type: FormatType | None = None,
        timeout_ms: int | None = None,
        queue_size: int | None = None,
    ) -> list[dict[str, VStreamParams]]:
        """Return parameters in groups that come from one stream of the chip."""
        left = cls.make(
            configured_network,
            format_type=format_type,
            timeout_ms=timeout_ms,
            queue_size=queue_size,
        )
        groups = []
        for stream in configured_network.get_output_stream_infos():
            names = configured_network.get_vstream_names_from_stream_name(stream.name)
            group = {name: left.pop(name) for name in names if name in left}
            groups += [group] if group else []
        return groups


class InferVStreams:
    """Blocking inference of a batch. Use as a context manager."""

    def __init__(
        self,
        configured_net_group: ConfiguredNetwork,
        input_vstreams_params: Mapping[str, VStreamParams],
        output_vstreams_params: Mapping[str, VStreamParams],
        tf_nms_format: bool = False,
    ) -> None:
        self._group = configured_net_group
        self._params = (dict(input_vstreams_params), dict(output_vstreams_params))
        self._inputs: dict[str, VStreamInfo] = {}
        self._outputs: dict[str, VStreamInfo] = {}
        self._tf_nms_format = tf_nms_format
        self._open = False
        self._hw_time: float | None = None
        self._total_time: float | None = None

    def __enter__(self) -> Self:
        self._inputs, self._outputs = (
            {name: self._group.resolve(name, one) for name, one in params.items()}
            for params in self._params
        )
        self._open = True
        return self

    def __exit__(self, *exc: object) -> None:
        self._open = False

    def infer(self, input_data: Any) -> dict[str, Any]:
        """Run a batch: name -> array (batch, ...); one array alone where there is one input.

        Returns name -> array (batch, ...); for NMS a list, per frame, of one array (n, 5) for
        each class, or with ``tf_nms_format`` an array (batch, classes, 5, boxes per class).
        """
        start = time.perf_counter()
        if not isinstance(input_data, dict):
            infos = self._group.get_input_vstream_infos()
            if len(infos) != 1:
                msg = (
                    "when there is more than one input, the input_data should be of type dict, "
                    "mapping between each input_name, and his input_data tensor. number of "
                    f"inputs: {len(infos)}"
                )
                raise Exception(msg)  # noqa: TRY002 - the vendor's own class
            input_data = {infos[0].name: input_data}
        if not self._open:
            msg = "'InferVStreams' object has no attribute '_infer_pipeline'"
            raise AttributeError(msg)
        frames = self._prepare(input_data)
        if not self._group.active:
            log("error", "CHECK_SUCCESS failed with status=HAILO_NETWORK_GROUP_NOT_ACTIVATED(69)")
            raise exception_from_status(status_of("HAILO_NETWORK_GROUP_NOT_ACTIVATED"))
        wanted = self._outputs
        before = time.perf_counter()
        network = self._group.network
        batch = len(next(iter(frames.values())))
        results = [
            network.run_frame({name: data[i] for name, data in frames.items()}, wanted)
            for i in range(batch)
        ]
        self._hw_time = time.perf_counter() - before
        outputs = {name: self._collect(name, info, results) for name, info in wanted.items()}
        self._total_time = time.perf_counter() - start
        return outputs

    def _prepare(self, data: dict[str, Any]) -> dict[str, NDArray[np.generic]]:
        if not data:
            msg = "Input_data can't be empty"
            raise ValueError(msg)
        sizes = [array.shape[0] for array in data.values()]
        for size in sizes:
            if size != sizes[0]:
                msg = (
                    "The number of frames on all input_tensors should be equal! different sizes "
                    f"detected: {sizes[0]} != {size}"
                )
                raise ValueError(msg)
        prepared: dict[str, NDArray[np.generic]] = {}
        for name, array in data.items():
            if name not in self._inputs:
                fail("HAILO_NOT_FOUND", f"Input vstream {name} was not found", check=False)
            prepared[name] = self._fit(name, self._inputs[name], array)
        missing = [name for name in self._inputs if name not in prepared]
        if missing:
            fail("HAILO_INVALID_ARGUMENT", f"Not all inputs were given: {missing[0]}", check=False)
        return prepared

    def _fit(self, name: str, info: VStreamInfo, array: NDArray[np.generic]) -> NDArray[np.generic]:
        wanted = dtype_of(info.format.type)
        if array.dtype != wanted:
            # The vendor converts in silence but for this line; float pixels of 0..1 become 0.
            log(
                "warning",
                f"Given input data dtype ({array.dtype}) is different than inferred dtype "
                f"({wanted}). conversion for every frame will reduce performance",
                source="HailoRT Python",
            )
            array = array.astype(wanted)
        expected = info.buffer_bytes
        found = size_of(array[0])
        if found != expected:
            fail(
                "HAILO_INVALID_OPERATION",
                f"Input buffer size {found} is different than expected {expected} for input "
                f"'{name}'",
            )
        if not array.flags.c_contiguous:
            log(
                "warning",
                f"Converting {name} numpy array to be C_CONTIGUOUS",
                source="HailoRT Python",
            )
            array = np.asarray(array, order="C")
        require_writable(array)
        return array

    def _collect(
        self, name: str, info: VStreamInfo, results: list[dict[str, NDArray[np.generic]]]
    ) -> Any:
        if info.by_score:
            # The vendor's class reads such a buffer as boxes by class, which is no answer.
            msg = "HAILO_NMS_BY_SCORE format is not supported"
            raise HailoRTException(msg)
        frames = [result[name] for result in results]
        if info.nms is None:
            return np.stack(frames)
        classes, boxes = info.nms.number_of_classes, info.nms.max_bboxes_per_class
        if self._tf_nms_format:
            return np.stack([padded_boxes(frame, classes, boxes) for frame in frames])
        return [split_boxes(frame, classes) for frame in frames]

    def get_hw_time(self) -> float | None:
        """Return the seconds that the last batch took."""
        return self._hw_time

    def get_total_time(self) -> float | None:
        """Return the seconds of the last batch, with its conversions."""
        return self._total_time

    @border
    def set_nms_score_threshold(self, threshold: float) -> None:
        """Drop boxes below ``threshold``."""
        self._limits().score = float(threshold)

    @border
    def set_nms_iou_threshold(self, threshold: float) -> None:
        """Suppress boxes that overlap more than ``threshold``."""
        self._limits().iou = float(threshold)

    @border
    def set_nms_max_proposals_per_class(self, max_proposals_per_class: int) -> None:
        """Bound the boxes of each class."""
        self._limits().boxes = int(max_proposals_per_class)

    @border
    def set_nms_max_accumulated_mask_size(self, max_accumulated_mask_size: int) -> None:
        """Bound the bytes of all masks; no model of the emulator makes masks."""
        self._limits().mask_bytes = int(max_accumulated_mask_size)

    def _limits(self) -> Any:
        if not any(info.nms for info in self._outputs.values()):
            msg = "libhailort failed with error: 6 (HAILO_INVALID_OPERATION)"
            raise HailoRTException(msg)
        return self._group.network.limits
