"""Configuration operations: counted, and judged by the rules of HailoRT, but never kept.

An operation is one trigger and a list of actions. HailoRT refuses a whole HEF for one field
out of range, so a careful reader looks at each. Old files hold their weights in here, so an
operation may be as large as the file: it is decoded in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef.schema import message_class
from orchestrator.hef.wire import (
    BYTES,
    VARINT,
    MalformedError,
    read_length,
    read_tag,
    skip_value,
    too_large,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.hef.wire import Bytes

Fault = tuple[int, str]

MAX_ACTIONS: Final = 1_000_000
MAX_OPERATIONS: Final = 100_000
#: Bytes that protobuf decodes at once: even empty actions then cost a few megabytes only.
_PIECE: Final = 1 << 17
#: Byte strings above this are cut: only whether one has more than four bytes matters.
_KEPT: Final = 64
_U8, _U16, _U32 = 0xFF, 0xFFFF, 0xFFFF_FFFF
_MIN_SLEEP: Final = 1000

#: Oneof member -> what must fit into a smaller register. Members without a row are refused.
_LIMITS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "enable_sequencer": (("cluster", _U8),),
    "wait_for_sequencer": (("first", _U8),),
    "disable_lcu": (("second", _U8), ("first", _U8)),
    "enable_lcu": (("cluster", _U8), ("lcu", _U8), ("done_address", _U16)),
    "none": (),
    "allow_input": (("first", _U8),),
    "wait_for_config": (("first", _U8),),
    "debug": (),
    "enable_nms": (("unit", _U8), ("network", _U8), ("division", _U8)),
    "write_by_type": (("shift", _U8),),
    "switch_lcu": (("second", _U8), ("first", _U8)),
    "allow_config": (("first", _U8),),
    "disable_data": (),
}
_TRIGGER_LIMITS: Final = {
    "lcu": ("first", "second"),
    "none": (),
    "all_sent": ("first",),
    "nms": ("first", "second", "third", "fourth", "fifth", "sixth"),
    "dma_idle": ("first",),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: how many actions, and what HailoRT would say (status, reason) or ``None``."""

    actions: int
    fault: Fault | None


class OperationReader:
    """Reads operations one by one; ``seen`` has the results in file order.

    ``deep`` judges every action; without it actions are only counted.
    """

    def __init__(self, *, header_version: int, deep: bool) -> None:
        self._version = header_version
        self._deep = deep
        self._actions = 0
        self.seen: list[Operation] = []

    def __call__(self, data: Bytes, start: int, end: int) -> None:
        """Read the operation at ``start``; raises ``HefCorruptError`` for malformed bytes."""
        from google.protobuf.message import DecodeError

        make = message_class("Operation").FromString
        trigger: Any = None
        fault: Fault | None = None
        bursts: dict[int, int] = {}
        actions = 0
        for piece in _pieces(data, start, end):
            try:
                operation = make(piece)
            except DecodeError as error:
                raise MalformedError(start, str(error)) from None
            actions += len(operation.actions)
            if actions + self._actions > MAX_ACTIONS:
                raise too_large(MAX_ACTIONS, "actions")
            if not self._deep:
                continue
            if operation.HasField("trigger"):
                # protobuf would merge two triggers; the last member of the oneof wins
                trigger = operation.trigger if operation.trigger.WhichOneof("kind") else trigger
            if fault is None:
                fault = self._judge(operation.actions, bursts)
        self._actions += actions
        if len(self.seen) >= MAX_OPERATIONS:
            raise too_large(MAX_OPERATIONS, "operations")
        if self._deep:
            fault = _judge_trigger(trigger) or fault
        self.seen.append(Operation(actions, fault))

    def _judge(self, actions: Any, bursts: dict[int, int]) -> Fault | None:
        weights_have_a_section = self._version > 0
        for action in actions:
            kind = action.WhichOneof("kind")
            if kind == "ccw_pointer" and weights_have_a_section:
                channel = action.ccw_pointer.channel
            elif kind == "ccw" and not weights_have_a_section:
                channel = action.ccw.channel
            else:
                bursts.clear()
                fault = self._judge_other(kind, action)
                if fault is not None:
                    return fault
                continue
            bursts[channel] = count = bursts.get(channel, 0) + 1
            if channel > _U8 or count > _U16:
                what = "is out of range" if channel > _U8 else "has too many bursts in a row"
                return 26, f"configuration channel {channel} {what}"
        return None

    def _judge_other(self, kind: str | None, action: Any) -> Fault | None:
        if kind in ("ccw_pointer", "ccw"):
            place = "inside the metadata" if kind == "ccw" else "in a section of their own"
            return 26, f"weights {place} do not go with header version {self._version}"
        return _judge_action(kind, action)


def _pieces(data: Bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of an operation in pieces that hold whole fields."""
    if end - start <= _PIECE:
        yield bytes(data[start:end])  # type: ignore[index]
        return
    began = start
    for number, wire, before, value, position in _fields(data, start, end):
        if position - before > _PIECE:
            if before > began:
                yield bytes(data[began:before])  # type: ignore[index]
            if wire == BYTES:
                inner, _ = read_length(data, value, position)
                yield _encode(number, _without_long_bytes(data, inner, position, 2))
            began = position
        elif position - began > _PIECE:
            yield bytes(data[began:before])  # type: ignore[index]
            began = before
    yield bytes(data[began:end])  # type: ignore[index]


def _fields(data: Bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield a field's number and wire type, and where it, its value and the next one begin."""
    while position < end:
        before = position
        number, wire, value = read_tag(data, position, end)
        position = skip_value(data, number, wire, value, end)
        yield number, wire, before, value, position


def _judge_trigger(trigger: Any) -> Fault | None:
    if trigger is None:
        return 26, "an operation has no trigger"
    kind = trigger.WhichOneof("kind")
    if kind == "all_received":
        return 7, "a trigger waits for data received from the host, which is not implemented"
    limits = tuple((name, _U8) for name in _TRIGGER_LIMITS[kind])
    return _over_limit(getattr(trigger, kind), limits, f"trigger {kind}")


def _judge_action(kind: str | None, action: Any) -> Fault | None:
    limits = _LIMITS.get(kind or "")
    if kind is None or limits is None:
        return 8, f"an action is not implemented by HailoRT ({kind or 'unknown'})"
    body = getattr(action, kind)
    more = _MORE_RULES.get(kind)
    return (more(body) if more else None) or _over_limit(body, limits, f"action {kind}")


def _over_limit(body: Any, limits: tuple[tuple[str, int], ...], what: str) -> Fault | None:
    for name, largest in limits:
        value = getattr(body, name)
        if value > largest:
            return 26, f"a field of {what} is {value}, the largest possible is {largest}"
    return None


def _judge_sequencer(body: Any) -> Fault | None:
    if body.initial_l3.included:
        return _over_limit(body.initial_l3, (("index", _U8), ("offset", _U16)), "an L3 cut")
    return None


def _judge_nms(body: Any) -> Fault | None:
    if not (body.classes and body.burst):
        return 26, "an on-chip NMS action has no classes or no burst size (compiler before 3.24)"
    return None


def _judge_write(body: Any) -> Fault | None:
    if body.address > _U32 or body.address % 4:
        return 26, f"a register write goes to address {body.address}"
    if body.type not in (0, 1):
        return 26, f"a register write has data type {body.type}"
    if len(body.data) > 4:
        return 26, f"a register write carries {len(body.data)} bytes or more"
    return None


def _judge_debug(body: Any) -> Fault | None:
    kind = body.WhichOneof("kind")
    if kind == "sleep" and body.sleep.microseconds < _MIN_SLEEP:
        return 26, f"a pause of {body.sleep.microseconds} microseconds"
    return None if kind else (26, "a debug action that neither pauses nor halts")


_MORE_RULES: Final[dict[str, Callable[[Any], Fault | None]]] = {
    "enable_sequencer": _judge_sequencer,
    "enable_nms": _judge_nms,
    "write_by_type": _judge_write,
    "debug": _judge_debug,
}


def _encode(number: int, body: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(body)) + body


def _without_long_bytes(data: Bytes, start: int, end: int, levels: int) -> bytes:
    """Copy a message, ``levels`` deep, with its long byte strings cut to what a judge needs."""
    parts: list[bytes] = []
    size = 0
    for number, wire, before, value, position in _fields(data, start, end):
        if wire == VARINT or position - before <= _KEPT:
            part = bytes(data[before:position])  # type: ignore[index]
        elif wire == BYTES:
            inner, _ = read_length(data, value, position)
            deeper = levels > 1
            part = _encode(
                number,
                _without_long_bytes(data, inner, position, levels - 1)
                if deeper
                else bytes(data[inner : inner + _KEPT]),  # type: ignore[index]
            )
        else:
            part = b""
        parts.append(part)
        size += len(part)
        if size > _PIECE:
            raise too_large(_PIECE, "bytes in one action")
    return b"".join(parts)
