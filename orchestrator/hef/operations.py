"""Configuration operations: counted, and judged by the rules of HailoRT, but never kept.

An operation is one trigger and a list of actions. HailoRT refuses a whole HEF for one field
out of range, so a careful reader looks at each. Numbers are those of the public sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.hef.wire import (
    BYTES,
    VARINT,
    read_length,
    read_tag,
    read_varint,
    skip_value,
    too_large,
)

if TYPE_CHECKING:
    from orchestrator.hef.wire import Bytes

_U8, _U16, _U32 = 0xFF, 0xFFFF, 0xFFFF_FFFF
_CCW, _CCW_POINTER = 3, 16
MAX_ACTIONS: Final = 1_000_000
MAX_OPERATIONS: Final = 200_000
_COPY_BELOW: Final = 1 << 20

#: The set member of a oneof: its number, and its numeric fields (for bytes: their count).
Member = tuple[int, dict[int, int]]

#: Action number: (field, largest value) of what must fit into a smaller register.
_ACTION_LIMITS: Final = {
    5: ((1, _U8),),
    6: ((1, _U8),),
    7: ((2, _U8), (1, _U8)),
    8: ((2, _U8), (1, _U8), (3, _U16)),
    9: (),
    10: ((1, _U8),),
    11: ((1, _U8),),
    13: ((1, _U8), (2, _U8), (5, _U8)),
    14: ((1, _U32), (6, _U8)),
    15: ((2, _U8), (1, _U8)),
    17: ((1, _U8),),
    18: (),
}
#: Trigger number: the same.
_TRIGGER_LIMITS: Final = {
    2: ((1, _U8), (2, _U8)),
    3: (),
    4: ((1, _U8),),
    6: ((1, _U8), (2, _U8), (3, _U8), (4, _U8), (5, _U8), (6, _U8)),
    7: ((1, _U8),),
}
_MIN_SLEEP_USEC: Final = 1000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: how many actions, and what HailoRT would say (status, reason) or ``None``."""

    actions: int
    fault: tuple[int, str] | None


class OperationReader:
    """Reads operations one by one; ``seen`` has the results in file order.

    ``deep`` judges every action; without it actions are only counted.
    """

    def __init__(self, data: Bytes, *, header_version: int, deep: bool) -> None:
        self._data = data
        self._version = header_version
        self._deep = deep
        self._actions = 0
        self.seen: list[Operation] = []

    def __call__(self, start: int, end: int) -> None:
        """Read the operation at ``start``; raises ``HefCorruptError`` for malformed bytes.

        Actions are judged as they come and never listed: four million empty ones fit into
        eight megabytes of file.
        """
        data: Bytes = self._data
        position, stop = start, end
        if end - start <= _COPY_BELOW:
            # plain bytes are walked twice as fast as a memory map
            data = bytes(data[start:end])  # type: ignore[index]
            position, stop = 0, end - start
        trigger: Member | None = None
        fault: tuple[int, str] | None = None
        bursts: dict[int, int] = {}
        actions = 0
        while position < stop:
            number, wire, position = read_tag(data, position, stop)
            if wire != BYTES or number not in (1, 2):
                position = skip_value(data, number, wire, position, stop)
                continue
            inner, position = read_length(data, position, stop)
            if number == 2:
                actions += 1
                if actions > MAX_ACTIONS:
                    raise too_large(MAX_ACTIONS, "actions")
            if not self._deep:
                continue
            if number == 1:
                trigger = read_member(data, inner, position, _TRIGGERS) or trigger
                continue
            # decoded also after a fault: bytes that are no protobuf outweigh what they say
            action = read_member(data, inner, position, _ACTIONS)
            if fault is None:
                fault = self._judge(action, bursts)
        self._actions += actions
        if self._actions > MAX_ACTIONS or len(self.seen) >= MAX_OPERATIONS:
            raise too_large(MAX_ACTIONS, f"actions, or {MAX_OPERATIONS} operations")
        if self._deep:
            fault = _judge_trigger(trigger) or fault
        self.seen.append(Operation(actions, fault))

    def _judge(self, action: Member | None, bursts: dict[int, int]) -> tuple[int, str] | None:
        if action is not None and action[0] in (_CCW, _CCW_POINTER):
            return self._judge_weights(action, bursts)
        bursts.clear()
        return _judge_action(action)

    def _judge_weights(self, action: Member, bursts: dict[int, int]) -> tuple[int, str] | None:
        number, values = action
        if (number == _CCW_POINTER) != (self._version > 0):
            kind = "inside the metadata" if number == _CCW else "in a section of their own"
            return 26, f"weights {kind} do not go with header version {self._version}"
        channel = values.get(2 if number == _CCW else 3, 0) & _U32
        if channel > _U8:
            return 26, f"configuration channel {channel} is out of range"
        bursts[channel] = bursts.get(channel, 0) + 1
        if bursts[channel] > _U16:
            return 26, f"too many weight bursts in a row for channel {channel}"
        return None


def _judge_trigger(trigger: Member | None) -> tuple[int, str] | None:
    if trigger is None:
        return 26, "an operation has no trigger"
    number, values = trigger
    if number == 5:
        return 7, "a trigger waits for data received from the host, which is not implemented"
    return _over_limit(values, _TRIGGER_LIMITS[number], f"trigger {number}")


def _judge_action(action: Member | None) -> tuple[int, str] | None:
    if action is None or (action[0] not in _ACTION_LIMITS and action[0] != 12):
        return 8, f"action {action[0] if action else 0} is not implemented by HailoRT"
    number, values = action
    if number == 12:
        return _judge_debug(values)
    if number == 13:
        return _judge_nms(values)
    limits = _ACTION_LIMITS[number]
    if number == 14:
        return _judge_write(values) or _over_limit(values, limits, "action 14")
    if number == 5 and values.get(11_003):
        limits = (*limits, (11_001, _U8), (11_002, _U16))
    return _over_limit(values, limits, f"action {number}")


def _judge_nms(values: dict[int, int]) -> tuple[int, str] | None:
    unit = _over_limit(values, ((1, _U8), (2, _U8)), "action 13")
    if unit is None and not (values.get(3, 0) & _U32 and values.get(4, 0) & _U32):
        return 26, "an on-chip NMS action has no classes or no burst size (compiler before 3.24)"
    return unit or _over_limit(values, _ACTION_LIMITS[13], "action 13")


def _judge_write(values: dict[int, int]) -> tuple[int, str] | None:
    address = values.get(1, 0)
    if address > _U32 or address % 4:
        return 26, f"a register write goes to address {address}"
    if values.get(2, 0) & _U32 > 1:
        return 26, f"a register write has data type {values[2]}"
    if values.get(3, 0) > 4:
        return 26, f"a register write carries {values[3]} bytes"
    return None


def _judge_debug(values: dict[int, int]) -> tuple[int, str] | None:
    if 2 in values:
        pause = values.get(2_001, 0)
        return (26, f"a pause of {pause} microseconds") if pause < _MIN_SLEEP_USEC else None
    return None if 3 in values else (26, "a debug action that neither pauses nor halts")


def _over_limit(
    values: dict[int, int], limits: tuple[tuple[int, int], ...], what: str
) -> tuple[int, str] | None:
    for field, largest in limits:
        value = values.get(field, 0)
        if what != "action 14" or field != 1:
            value &= _U32
        if value > largest:
            return 26, f"field {field} of {what} is {value}, the largest possible is {largest}"
    return None


#: Oneof members of a trigger and of an action.
_TRIGGERS: Final = frozenset(range(2, 8))
_ACTIONS: Final = frozenset(range(2, 19))
#: Messages inside actions whose fields we need too: (action, field) as thousands.
_NESTED: Final = {(5, 11): 11_000, (12, 2): 2_000, (12, 3): 3_000}


def read_member(data: Bytes, start: int, end: int, members: frozenset[int]) -> Member | None:
    """Return the member of a oneof that is set last."""
    chosen: Member | None = None
    position = start
    while position < end:
        number, wire, position = read_tag(data, position, end)
        if wire != BYTES or number not in members:
            position = skip_value(data, number, wire, position, end)
            continue
        inner, position = read_length(data, position, end)
        # protobuf merges a member that is there twice in a row, and drops the one before it
        values = chosen[1] if chosen is not None and chosen[0] == number else {}
        _numbers(data, inner, position, values, number)
        chosen = (number, values)
    return chosen


def _numbers(
    data: Bytes, start: int, end: int, values: dict[int, int], member: int, base: int = 0
) -> None:
    position = start
    while position < end:
        number, wire, position = read_tag(data, position, end)
        if wire == VARINT:
            values[base + number], position = read_varint(data, position, end)
        elif wire == BYTES:
            inner, position = read_length(data, position, end)
            nested = _NESTED.get((member, number)) if not base else None
            if nested is not None:
                if member == 12:  # sleep and halt are a oneof
                    values.pop(5 - number, None)
                _numbers(data, inner, position, values, member, nested)
            values[base + number] = position - inner
        else:
            position = skip_value(data, number, wire, position, end)
