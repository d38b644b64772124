"""What a job tells the host: one JSON object a line, written and read by these classes.

A line that is no event is something printed. An event that is not known here comes from a newer
worker and means nothing. One that is known must be right: :class:`ContractError` says what is not.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, Union

from hefsmith_worker.contract.findings import LONGEST_TEXT, ContractError, Finding

#: Raise it when the host can no longer read an older worker.
SCHEMA = 1

#: Characters of the longest line that is read as an event.
LONGEST_LINE = 1 << 25
#: Characters of a file's path below the work folder, and of other short names.
LONGEST_NAME = 4096
#: The largest count (bytes, steps) that is believed: what JSON readers keep exactly.
LARGEST = 1 << 53

_SHA256 = re.compile(r"[0-9a-f]{64}")

Check = Callable[[Any], Optional[str]]


def _text(limit: int) -> Check:
    def check(value: Any) -> Optional[str]:
        if not isinstance(value, str):
            return "is not a text"
        return "has more than %d characters" % limit if len(value) > limit else None

    return check


def _count(value: Any) -> Optional[str]:
    right = type(value) is int and 0 <= value <= LARGEST
    return None if right else "is not a count from 0 to %d" % LARGEST


def _seconds(value: Any) -> Optional[str]:
    right = type(value) in (int, float) and math.isfinite(value) and value >= 0
    return None if right else "is not a number of seconds"


def _sha256(value: Any) -> Optional[str]:
    right = isinstance(value, str) and _SHA256.fullmatch(value) is not None
    return None if right else "is not a sha256 in lower-case hex"


def _object(value: Any) -> Optional[str]:
    return None if isinstance(value, dict) else "is not an object"


def _path(value: Any) -> Optional[str]:
    wrong = _text(LONGEST_NAME)(value)
    if wrong is not None:
        return wrong
    parts = value.split("/")
    inside = all(part not in ("", ".", "..") for part in parts) and not re.search(r"[\\\0]", value)
    return None if inside else "is not a path below the work folder"


def _of(check: Check) -> Any:
    return field(metadata={"check": check})


def _maybe(check: Check) -> Any:
    return field(default=None, metadata={"check": check})


_NAME = _text(LONGEST_NAME)
_LONG = _text(LONGEST_TEXT)


@dataclass(frozen=True)
class Hello:
    """The job has begun; where it runs."""

    schema: int = _of(_count)
    python: str = _of(_NAME)
    machine: str = _of(_NAME)
    pid: int = _of(_count)
    executable: str = _of(_NAME)


@dataclass(frozen=True)
class StageStarted:
    """The stage that the message names has begun."""


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` units are finished; a ``total`` of 0 is not known."""

    done: int = _of(_count)
    total: int = _of(_count)
    unit: str = _of(_NAME)


@dataclass(frozen=True)
class Written:
    """A file is there, and will be announced when it is hashed."""

    path: str = _of(_path)
    bytes: int = _of(_count)


@dataclass(frozen=True)
class Artifact:
    """A file is finished: its role in the build, its path below the work folder, its content."""

    role: str = _of(_NAME)
    path: str = _of(_path)
    sha256: str = _of(_sha256)
    bytes: int = _of(_count)


@dataclass(frozen=True)
class StageFinished:
    """A stage is done; ``result`` is what it reports, as JSON.

    ``files`` is how many files it has announced: a line that was lost is noticed by it.
    """

    seconds: float = _of(_seconds)
    result: Dict[str, object] = _of(_object)  # noqa: RUF009  # a field
    files: Optional[int] = _maybe(_count)


@dataclass(frozen=True)
class StageFailed:
    """A stage, or the job before its first, cannot go on.

    ``kind`` is the class of the exception (``class`` in JSON), ``known`` the code of a failure
    that the worker itself knows, ``signal`` what ended the process.
    """

    kind: str = _of(_NAME)
    message: str = _of(_LONG)
    known: Optional[str] = _maybe(_NAME)
    fix: Optional[str] = _maybe(_LONG)
    traceback: Optional[str] = _maybe(_text(LONGEST_LINE))
    signal: Optional[str] = _maybe(_NAME)


@dataclass(frozen=True)
class Interrupted:
    """The job was told to stop."""

    why: str = _of(_NAME)


@dataclass(frozen=True)
class Done:
    """Every stage is done."""

    seconds: float = _of(_seconds)


@dataclass(frozen=True)
class Log:
    """A line that something printed."""

    line: str = _of(_text(LONGEST_LINE))


Event = Union[
    Hello,
    StageStarted,
    Progress,
    Finding,
    Written,
    Artifact,
    StageFinished,
    StageFailed,
    Interrupted,
    Done,
    Log,
]

_BY_NAME: Mapping[str, Type[Any]] = {
    "hello": Hello,
    "stage_started": StageStarted,
    "progress": Progress,
    "finding": Finding,
    "written": Written,
    "artifact": Artifact,
    "stage_finished": StageFinished,
    "stage_failed": StageFailed,
    "interrupted": Interrupted,
    "done": Done,
    "log": Log,
}
_NAMES: Mapping[Type[Any], str] = {kind: name for name, kind in _BY_NAME.items()}
#: Events that say nothing without a stage.
_OF_A_STAGE = (StageStarted, Progress, Written, Artifact, StageFinished)

#: Fields whose name is a word of the language.
_SPELLED = {"kind": "class"}


@dataclass(frozen=True)
class Message:
    """An event, the stage that it belongs to, and when it was sent (seconds since the epoch).

    ``event`` is ``None`` for one that is not known here.
    """

    event: Optional[Event]
    stage: Optional[str]
    t: float

    def to_json(self) -> Dict[str, object]:
        """Return the JSON object of the message; what an event does not have is left out."""
        assert self.event is not None
        document: Dict[str, object] = {
            "event": _NAMES[type(self.event)],
            "stage": self.stage,
            "t": self.t,
        }
        if isinstance(self.event, Finding):
            # What the stage found is the stage's.
            return {**self.event.to_json(), **document}
        for one in fields(self.event):
            value = getattr(self.event, one.name)
            if value is not None:
                document[_SPELLED.get(one.name, one.name)] = value
        return document

    def to_line(self) -> bytes:
        """Return the message as one line of UTF-8; values that JSON does not have become text."""
        text = json.dumps(self.to_json(), ensure_ascii=False, default=str)
        return text.encode("utf-8", "replace") + b"\n"


def read_line(line: str) -> Optional[Message]:
    """Return the message that a line is, ``None`` when it is something printed.

    Raises :class:`ContractError` for an event that is not as its class says.
    """
    if not line.startswith("{") or len(line) > LONGEST_LINE:
        return None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    name = document.get("event")
    if not isinstance(name, str):
        return None
    kind = _BY_NAME.get(name)
    wrong: List[str] = []
    stage, sent = document.get("stage"), document.get("t", 0.0)
    if stage is not None and _NAME(stage) is not None:
        wrong.append("stage %s" % _NAME(stage))
    elif stage is None and kind in _OF_A_STAGE:
        wrong.append("stage is missing")
    if _seconds(sent) is not None:
        wrong.append("t is not a time")
    try:
        event = None if kind is None else _read(kind, document)
    except ContractError as error:
        wrong.append(str(error))
        event = None
    if wrong:
        raise ContractError("event %s: %s" % (name[:100], "; ".join(wrong)))
    return Message(event, stage, float(sent))


def _read(kind: Type[Any], document: Mapping[str, Any]) -> Event:
    if kind is Finding:
        return Finding.from_json(document)
    values: Dict[str, object] = {}
    wrong: List[str] = []
    for one in fields(kind):
        name = _SPELLED.get(one.name, one.name)
        value = document.get(name)
        if value is None and one.default is None:
            continue
        problem = "is missing" if name not in document else one.metadata["check"](value)
        if problem is not None:
            wrong.append("%s %s" % (name, problem))
        values[one.name] = value
    if wrong:
        raise ContractError("; ".join(wrong))
    event: Event = kind(**values)
    return event
