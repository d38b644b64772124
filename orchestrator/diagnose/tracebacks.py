"""Follows Python's tracebacks: which program raised, and which exception came first.

An exception that was raised while another was handled is the symptom; the first of the chain is
the cause. Frames name the files, and these the program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from orchestrator.diagnose.programs import shown_by

#: What a line must hold to matter here (for the prefilter).
BEGINS = re.compile(r"traceback \(most recent call last")
#: A frame; also one that a narrow terminal cut in two, and as rich and IPython draw it.
FRAME = re.compile(
    r"^\s*>?\s*(?:file (?:\S.*, line \d+|[/~]\S+/\S*$|\S+\.py:\d+, in )"
    r"|[/~.]\S*/\S+\.py(?:,|:\d+(?: in \S+)?)\s*$"
    r"|\[[/~]\S*/\S+\.py\]\(\S+|[/~]\S*/\S+\.py in \w)"
)
CUT = re.compile(r"^\s*file [/~]\S+$")
LINKED = re.compile(r"during handling of the above exception|above exception was the direct cause")
RAISED = re.compile(
    r"^\s*(?:[a-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt|Timeout|Aborted\w*|Exit|Fault"
    r"|Warning|WithDevice|NotFound|IterationStop|Unavailable|Unsupported)(?:\s*:|\s*$|\s*\()"
)
#: Chains that are remembered; a program that retries forever prints thousands.
MOST = 64


@dataclass
class Trace:
    """One traceback: its lines, the programs of its frames, what was raised at its end."""

    first: int
    last: int
    linked: bool
    programs: set[str] = field(default_factory=set)
    raised: tuple[int, str] | None = None
    #: The innermost frame, folded and in small letters.
    inner: str = ""


class Tracebacks:
    """Takes in lines; answers which one was raised first, and by whom."""

    def __init__(self) -> None:
        self._traces: list[Trace] = []
        self._open: Trace | None = None
        self._link = False
        #: What was raised with nothing but a colon: its message stands in the next line.
        self._bare: Trace | None = None
        #: A frame that was cut in two: its other half is the next line.
        self._half: Trace | None = None

    @property
    def waits(self) -> bool:
        """Whether the next line is the message of what was raised, or the rest of a frame."""
        return self._bare is not None or self._half is not None

    def feed(self, number: int, bare: str, folded: str) -> None:
        """Take in one line (without prefix), as printed and folded."""
        lower = folded.lower()
        if self._bare is not None and self._bare.raised is not None and bare.strip():
            first, said = self._bare.raised
            self._bare.raised = (first, f"{said} {bare.strip()}")
            self._bare = None
        if self._half is not None and not FRAME.match(lower) and not RAISED.match(bare):
            self._half.inner += lower.strip()
            self._half.programs |= shown_by(self._half.inner)
        self._half = None
        if LINKED.search(lower):
            self._link = True
            return
        frame = FRAME.match(lower)
        if BEGINS.search(lower) or (frame and self._open is None):
            self._open = Trace(number, number, self._link)
            self._link = False
            self._traces.append(self._open)
            del self._traces[:-MOST]
        if self._open is None:
            return
        self._open.last = number
        if frame:
            self._open.programs |= shown_by(lower)
            self._open.inner = lower.replace("\\", "/")
            self._half = self._open if CUT.match(lower) else None
        elif RAISED.match(bare):
            self._open.raised = (number, bare.strip())
            self._open.programs |= shown_by(lower)
            self._bare = self._open if folded.endswith(":") else None
            self._open = None

    @property
    def decisive(self) -> tuple[int, str] | None:
        """Line and words of the exception that began the last chain."""
        for index in range(len(self._traces) - 1, -1, -1):
            if not self._traces[index].linked:
                chain = self._traces[index:]
                return next((one.raised for one in chain if one.raised), None)
        return None

    def programs_at(self, number: int) -> frozenset[str]:
        """Return the programs whose frames lead to what line ``number`` says."""
        for one in reversed(self._traces):
            if one.first <= number <= one.last:
                return frozenset(one.programs)
        return frozenset()

    def inner_at(self, number: int) -> str:
        """Return the innermost frame of the traceback that line ``number`` belongs to."""
        for one in reversed(self._traces):
            if one.first <= number <= one.last:
                return one.inner
        return ""

    def cause_of(self, number: int) -> int | None:
        """Return the line of the exception that another one, at ``number``, only followed."""
        for index, one in enumerate(self._traces):
            if one.linked and one.raised and one.raised[0] == number:
                first = index
                while first > 0 and self._traces[first].linked:
                    first -= 1
                raised = self._traces[first].raised
                return raised[0] if raised and raised[0] != number else None
        return None
