"""The border of the compiled binding: what pybind11 takes and refuses there, in one table.

The vendor's Python classes hand their arguments to a C++ library through pybind11, which
refuses arguments of another type before the library sees them, and takes the memory of arrays
with ``mutable_data()``, which refuses read-only ones. :data:`SIGNATURES` says for each call what
crosses that border; :func:`border` checks it. A name without an entry crosses nothing.

Facts: pyhailort 4.17 to 5.2 (``*_api.cpp``), pybind11 2.10.1 and 2.13.6.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from hailo_emulator.runtime.formats import (
    FormatOrder,
    FormatType,
    HailoPowerMode,
    HailoSchedulingAlgorithm,
    HailoStreamInterface,
)
from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import HailoRTException

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Kind(Protocol):
    """A type at the border."""

    def takes(self, value: Any) -> bool:
        """Say whether pybind11 would convert ``value``; may raise what the binding raises."""
        ...

    @property
    def title(self) -> str:
        """The type's name in pybind11's message."""
        ...


@dataclass(frozen=True)
class Whole:
    """A C++ integer: anything with ``__index__`` in its range, no float."""

    low: int
    high: int
    title: str = "int"

    def takes(self, value: Any) -> bool:
        """Refuse floats, texts and numbers out of range."""
        return hasattr(value, "__index__") and self.low <= int(value) <= self.high


@dataclass(frozen=True)
class Number:
    """A C++ float, or a time span made by ``timedelta``."""

    title: str = "float"

    def takes(self, value: Any) -> bool:
        """Take what has a value as a float; texts have none."""
        return hasattr(value, "__float__") or hasattr(value, "__index__")


@dataclass(frozen=True)
class Exactly:
    """An enumeration or a plain type; the binding's enumerations are no integers."""

    type: type

    @property
    def title(self) -> str:
        """The type's name."""
        return self.type.__name__

    def takes(self, value: Any) -> bool:
        """Take instances only."""
        return isinstance(value, self.type)


@dataclass(frozen=True)
class Writable:
    """``py::array`` whose memory is taken with ``mutable_data()``."""

    title: str = "numpy.ndarray"

    def takes(self, value: Any) -> bool:
        """Refuse what is no array; raise for arrays in other orders and for read-only ones."""
        import numpy as np

        # The vendor's Python reads the flags first: a list fails with its own AttributeError.
        if not value.flags.c_contiguous:
            msg = "Buffer must be C_CONTIGUOUS"
            raise HailoRTException(msg)
        if not isinstance(value, np.ndarray):
            return False
        require_writable(value)
        return True


def require_writable(array: Any) -> None:
    """Refuse a read-only array, as ``py::array::mutable_data()`` does."""
    if not array.flags.writeable:
        msg = "array is not writeable"
        raise ValueError(msg)


_U16, _U32, _U8 = Whole(0, 0xFFFF), Whole(0, 0xFFFFFFFF), Whole(0, 0xFF)

#: Call -> the arguments that cross the border, and as what.
SIGNATURES: dict[str, dict[str, Kind]] = {
    "InferModel.set_batch_size": {"batch_size": _U16},
    "InferModel.set_power_mode": {"power_mode": Exactly(HailoPowerMode)},
    "InferModel.input": {"name": Exactly(str)},
    "InferModel.output": {"name": Exactly(str)},
    "InferModel.InferStream.set_format_type": {"type": Exactly(FormatType)},
    "InferModel.InferStream.set_format_order": {"order": Exactly(FormatOrder)},
    "InferModel.InferStream.set_nms_score_threshold": {"threshold": Number()},
    "InferModel.InferStream.set_nms_iou_threshold": {"threshold": Number()},
    "InferModel.InferStream.set_nms_max_proposals_per_class": {"max_proposals": _U32},
    "InferModel.InferStream.set_nms_max_accumulated_mask_size": {"max_accumulated_mask_size": _U32},
    "ConfiguredInferModel.Bindings.InferStream.set_buffer": {"buffer": Writable()},
    "ConfiguredInferModel.wait_for_async_ready": {"timeout_ms": Number(), "frames_count": _U32},
    "ConfiguredInferModel.set_scheduler_timeout": {"timeout_ms": Number()},
    "ConfiguredInferModel.set_scheduler_threshold": {"threshold": _U32},
    "ConfiguredInferModel.set_scheduler_priority": {"priority": _U8},
    "AsyncInferJob.wait": {"timeout_ms": Number()},
    "ConfigureParams.create_from_hef": {"interface": Exactly(HailoStreamInterface)},
    "ConfiguredNetwork.set_scheduler_timeout": {"timeout_ms": Number()},
    "ConfiguredNetwork.set_scheduler_threshold": {"threshold": _U32},
    "ConfiguredNetwork.set_scheduler_priority": {"priority": _U8},
    "_make_vstreams": {"format_type": Exactly(FormatType), "timeout_ms": _U32, "queue_size": _U32},
    "InferVStreams.set_nms_score_threshold": {"threshold": Number()},
    "InferVStreams.set_nms_iou_threshold": {"threshold": Number()},
    "InferVStreams.set_nms_max_proposals_per_class": {"max_proposals_per_class": _U32},
    "InferVStreams.set_nms_max_accumulated_mask_size": {"max_accumulated_mask_size": _U32},
    # Members of plain structures are checked at assignment.
    "VDeviceParams": {
        "device_count": _U32,
        "scheduling_algorithm": Exactly(HailoSchedulingAlgorithm),
        "group_id": Exactly(str),
        "multi_process_service": Exactly(bool),
    },
    "ConfigureNetworkGroupParams": {
        "batch_size": _U16,
        "power_mode": Exactly(HailoPowerMode),
    },
    "UserFormat": {"type": Exactly(FormatType), "order": Exactly(FormatOrder)},
    "VStreamParams": {"timeout_ms": _U32, "queue_size": _U32},
}


def border(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Check a call's arguments against :data:`SIGNATURES` before it runs.

    Raises TypeError as pybind11 does, and ValueError or HailoRTException for arrays.
    """
    kinds = SIGNATURES[function.__qualname__]
    signature = inspect.signature(function)
    unknown = set(kinds) - set(signature.parameters)
    assert not unknown, f"{function.__qualname__} has no {sorted(unknown)}"

    @wraps(function)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        given = signature.bind(*args, **kwargs).arguments
        for name, kind in kinds.items():
            if name in given and not kind.takes(given[name]):
                raise TypeError(_refusal(function.__name__, kinds, given))
        return function(*args, **kwargs)

    return checked


class since:
    """A method that a HailoRT version brought: older ones have no such attribute."""

    def __init__(self, *version: int) -> None:
        self._version = version
        self._function: Any = None
        self._owner = ""

    def __call__(self, function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """Take the method."""
        self._function = function
        return self  # type: ignore[return-value]  # looks up as the method does

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner.__name__

    def __get__(self, instance: object, owner: type) -> Any:
        if read_setup().hailort < self._version:
            name = self._function.__name__
            msg = f"'{self._owner}' object has no attribute '{name}'"
            raise AttributeError(msg)
        return self._function.__get__(instance, owner)


def size_of(array: Any) -> int:
    """Return the bytes of an array as ``py::array::nbytes()`` sees them."""
    return 0 if read_setup().acts("numpy2-nbytes") else int(array.nbytes)


class Struct:
    """A structure of the library: its members only, each of its own type, and no others."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set a member; AttributeError for a name that the structure lacks."""
        if not hasattr(type(self), "__annotations__") or name not in type(self).__annotations__:
            msg = f"'{type(self).__name__}' object has no attribute '{name}'"
            raise AttributeError(msg)
        kind = SIGNATURES[type(self).__name__].get(name)
        if kind is not None and not kind.takes(value):
            raise TypeError(_refusal("(setter)", {name: kind}, {name: value}))
        object.__setattr__(self, name, value)


def _refusal(call: str, kinds: dict[str, Kind], given: dict[str, object]) -> str:
    taken = ", ".join(f"{name}: {kind.title}" for name, kind in kinds.items())
    shown = ", ".join(repr(given[name]) for name in kinds if name in given)
    return (
        f"{call}(): incompatible function arguments. The following argument types are supported:\n"
        f"    1. ({taken}) -> None\n\nInvoked with: {shown}"
    )
