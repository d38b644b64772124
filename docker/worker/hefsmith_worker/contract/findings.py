"""What somebody should know: one shape, one scale of severity, one word for the cure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

ERROR, WARNING, INFO, OK = "error", "warning", "info", "ok"

#: Worst first. An error makes the thing impossible or wrong, a warning slow, odd or fragile;
#: ``ok`` is the answer of a check that has nothing to say.
SEVERITIES = (ERROR, WARNING, INFO, OK)

#: Characters that one text of a finding may have on its way between processes.
LONGEST_TEXT = 100_000

#: What to do with a network whose input is neither a picture nor features, nor known as tokens.
TOKENS_FIX = (
    "Tokens of an encoder: let the network take (1, C, 1, L) and begin with "
    "x.flatten(2).transpose(1, 2); give the arrays as (N, 1, L, C), color: data.\n"
    "Signals (1, C, L): take (1, C, 1, L) and Conv2d with kernels (1, k)."
)

#: What to do with an input of five dimensions.
VIDEO_FIX = (
    "A video or a volume: the chip has no fifth axis. Let the network take the frames as channels\n"
    "(1, T*C, H, W) with Conv2d, or run it on each frame and join the answers on the host."
)

#: What to do with a series that a recurrent layer reads.
SERIES_FIX = (
    "A recurrent layer reads it. Let the network take one step at a time: its cell written with\n"
    "linear layers, the step (1, F) and the state (1, F) as inputs, the new state as an output."
)

#: What to do with numbers that look up an embedding.
LOOKUP_FIX = (
    "The chip looks nothing up. Let the network begin behind the embedding and take its rows,\n"
    "tokens (1, L, C); the program looks them up."
)


class ContractError(ValueError):
    """A document is not what the contract says; the message tells where and how."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``code`` is stable (``calib.empty``), ``message`` states the fact with its numbers, ``why``
    what it leads to, ``fix`` what to do: a command or a setting, which may span lines.
    ``asked`` and ``got`` are JSON values where something else was done than wanted. ``stage``
    names a stage of a build, ``files`` files it is about, ``line`` and ``column`` (from 1) a place
    in a text. Raises ``ValueError`` for a severity that is not on the scale.
    """

    code: str
    severity: str
    message: str
    fix: str = ""
    asked: Any = None
    got: Any = None
    files: Tuple[str, ...] = ()
    stage: Optional[str] = None
    line: Optional[int] = None
    column: Optional[int] = None
    why: str = ""

    def __post_init__(self) -> None:
        """See to it that there is one scale of severity."""
        if self.severity not in SEVERITIES:
            msg = "severity %r is not one of %s" % (self.severity, ", ".join(SEVERITIES))
            raise ContractError(msg)

    def to_json(self) -> Dict[str, object]:
        """Return JSON data; what a finding does not have is left out, but for a cure."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        kept = {name: value for name, value in found.items() if value not in (None, "", ())}
        if self.files:
            kept["files"] = list(self.files)
        return {**kept, "message": self.message, "fix": self.fix or None}

    @classmethod
    def from_json(cls, document: Any) -> Finding:
        """Read a finding; other names are ignored. Raises :class:`ContractError`."""
        if not isinstance(document, Mapping):
            raise ContractError("a finding is an object, not %s" % type(document).__name__)
        texts = {name: _text(document, name) for name in ("code", "severity", "message")}
        for name in ("fix", "why", "stage"):
            if document.get(name) is not None:
                texts[name] = _text(document, name)
        places = {name: _place(document, name) for name in ("line", "column")}
        files = document.get("files") or ()
        if not isinstance(files, (list, tuple)) or any(not isinstance(one, str) for one in files):
            msg = "a finding's files are a list of names"
            raise ContractError(msg)
        return cls(
            asked=document.get("asked"),
            got=document.get("got"),
            files=tuple(files),
            **texts,  # type: ignore[arg-type]
            **places,  # type: ignore[arg-type]
        )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise ContractError("a finding's %s is a text, not %s" % (name, type(value).__name__))
    if len(value) > LONGEST_TEXT:
        raise ContractError("a finding's %s has more than %d characters" % (name, LONGEST_TEXT))
    return value


def _place(document: Mapping[str, Any], name: str) -> Optional[int]:
    value = document.get(name)
    if value is None or (type(value) is int and value >= 1):
        return value
    raise ContractError("a finding's %s is a number from 1 on" % name)


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst severity among findings, ``ok`` when there are none."""
    return min((one.severity for one in findings), key=SEVERITIES.index, default=OK)
