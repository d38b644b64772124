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
#: The package whose code a frame (in small letters, with slashes) shows at work.
PACKAGE = re.compile(r"(?:site|dist)-packages/(?P<name>[a-z_]\w*)/")
#: A frame; also one that a narrow terminal cut in two, and as rich and IPython draw it.
FRAME = re.compile(
    r"^\s{0,160}>?\s{0,160}(?:file (?:\S.*, line \d+|[/~]\S+/\S*$|\S+\.py:\d+, in )"
    r"|[/~.]\S*/\S+\.py(?:,|:\d+(?: in \S+)?)\s*$"
    r"|\[[/~]\S*/\S+\.py\]\(\S+|[/~]\S*/\S+\.py in \w)"
)
CUT = re.compile(r"^\s*file [/~]\S+$")
LINKED = re.compile(r"during handling of the above exception|above exception was the direct cause")
RAISED = re.compile(
    r"^\s*(?:[a-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt|Timeout|Aborted\w*|Exit|Fault"
    r"|Warning|WithDevice|NotFound|Stop(?:Async)?Iteration|Unavailable|Unsupported)(?:\s*:|\s*$|\s*\()"
)
#: Files of installed packages, of Python itself, and what has no file.
INSTALLED = re.compile(r"(?:site|dist)-packages|/usr/|/lib/python3|/opt/|<\w+>")
#: What ends a traceback, whatever the class is called: at the margin, a name and a message.
NAMED = re.compile(r"^(?:[A-Za-z_]\w*\.)+[A-Z]\w*(?:: \S|:?$)|^[A-Z]\w*[a-z]\w*: \S")
#: What was raised without a word.
BARE = re.compile(r"[\w.]+:?")
#: Somebody ended the program, or it ended itself.
_STOPPED = re.compile(r"(?:\w+\.)*(?:KeyboardInterrupt|SystemExit)\b")
#: Words that say something, and the class before the message of an exception.
_WORD = re.compile(r"[a-z_]{4,}")
_CLASS = re.compile(r"^\s*[\w.]+:")
#: What Python says before the traceback of an exception that nobody can take.
_IGNORED = re.compile(r"^\s*exception ignored (?:in|while|on)\b")
#: Lines that may stand between a frame and what was raised: its code, and marks below it.
MOST_CODE = 3
#: What a logger says of an exception that the program caught: its traceback is the next line.
LOGGED = re.compile(r"^\W{0,20}(?:\S{1,80} ){0,3}?\W{0,20}(?:ERROR|WARNING|CRITICAL|EXCEPTION)\b")
#: What a logger says when nothing is wrong.
CALM = re.compile(r"^.{0,80}?(?<![\w/.])(?:INFO|DEBUG)\b(?!\.)")
#: Lines of the logger after which the program plainly lives.
ENOUGH_CALM = 2
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
    #: A logger printed it, and how often the logger spoke calmly afterwards.
    caught: bool = False
    calm: int = 0


def words_of(text: str) -> frozenset[str]:
    """Return the words of a message, without the class of what was raised."""
    return frozenset(_WORD.findall(_CLASS.sub("", text).lower()))


class Ignored:
    """Knows the tracebacks of exceptions that Python ignores, at its end mostly: none failed."""

    def __init__(self) -> None:
        self.inside = False
        #: The last line was a frame; its code may follow, without its margin where pages took it.
        self._frame = False

    def covers(self, bare: str) -> bool:
        """Tell whether a line (without prefix) belongs to such a traceback."""
        lower = bare.lower()
        behind, self._frame = self._frame, FRAME.search(lower) is not None
        if _IGNORED.match(lower):
            self.inside = True
            return True
        if not self.inside:
            return False
        if not bare.strip() or bare[0].isspace() or BEGINS.match(lower) or self._frame:
            return True
        if behind and RAISED.match(bare) is None:
            return True
        self.inside = False
        return RAISED.match(bare) is not None


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
        #: The line that was looked at last: its number, and whether a logger's error is in it.
        self._logged = (0, False)
        #: Line of what was raised last where only its place shows that it was, else 0.
        self.named = 0
        #: The line of the last frame, and how many may still belong to it.
        self._frame_at = 0
        self._behind_frame = 0
        #: Packages whose own code ran, and the line of the first frame that shows it.
        self.loaded: dict[str, int] = {}

    @property
    def waits(self) -> bool:
        """Whether the next line is the message of what was raised, or belongs to a frame."""
        return self._bare is not None or self._half is not None or self._behind_frame > 0

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
        logged, self._logged = self._logged, (number, LOGGED.match(bare) is not None)
        if self._logged[1] and self.caught:
            self._traces[-1].calm = 0
        if BEGINS.search(lower) or (frame and self._open is None):
            caught = logged == (number - 1, True)
            if self._link and self._traces:
                caught = self._traces[-1].caught
            self._open = Trace(number, number, self._link, caught=caught)
            self._link = False
            self._traces.append(self._open)
            del self._traces[:-MOST]
        if self._open is None:
            return
        self._open.last = max(self._open.last, number + MOST_CODE if frame else 0)
        self._behind_frame = MOST_CODE if frame else max(self._behind_frame - 1, 0)
        if frame:
            self._frame_at = number
        if frame:
            self._open.programs |= shown_by(lower)
            self._open.inner = lower.replace("\\", "/")
            if (package := PACKAGE.search(self._open.inner)) is not None:
                self.loaded.setdefault(package["name"], number)
            self._half = self._open if CUT.match(lower) else None
        elif RAISED.match(bare) or self._ends(number, bare):
            self._behind_frame = 0
            self.named = 0 if RAISED.match(bare) else number
            self._open.raised = (number, bare.strip())
            self._open.last = number
            self._open.programs |= shown_by(lower)
            self._bare = self._open if folded.endswith(":") else None
            self._open = None

    def _ends(self, number: int, bare: str) -> bool:
        """Tell whether a line so near a frame ends the traceback by its form alone."""
        return number - self._frame_at <= MOST_CODE and NAMED.match(bare) is not None

    @property
    def caught(self) -> bool:
        """Whether what was raised last was caught and logged, and nothing was raised since."""
        return self._open is None and bool(self._traces) and self._traces[-1].caught

    def calm(self) -> None:
        """Take note that the logger goes on calmly after the exception that it printed."""
        self._traces[-1].calm += 1

    def lived_on(self, number: int) -> bool:
        """Tell whether line ``number`` belongs to an exception that the program got over."""
        for index in range(len(self._traces) - 1, -1, -1):
            if self._traces[index].first <= number <= self._traces[index].last:
                chain = self._traces[index:]
                linked = next(
                    (n for n, one in enumerate(chain[1:], 1) if not one.linked), len(chain)
                )
                return any(one.caught and one.calm >= ENOUGH_CALM for one in chain[:linked])
        return False

    @property
    def decisive(self) -> tuple[int, str] | None:
        """Line and words of the exception that began the last chain."""
        for index in range(len(self._traces) - 1, -1, -1):
            if not self._traces[index].linked:
                chain = self._traces[index:]
                return next((one.raised for one in chain if one.raised), None)
        return None

    def ends(self) -> list[tuple[int, int, str]]:
        """Return the exceptions of a user's own code at which a program ended: the first line of
        the traceback, the line of what was raised, and its words."""
        after = [*self._traces[1:], None]
        found = []
        for one, later in zip(self._traces, after, strict=False):
            if one.raised is None or one.linked or one.caught or (later and later.linked):
                continue
            line, said = one.raised
            own = "/" in one.inner and INSTALLED.search(one.inner) is None
            if own and not BARE.fullmatch(said) and not _STOPPED.match(said):
                found.append((one.first, line, said))
        return found

    def programs_at(self, number: int) -> frozenset[str]:
        """Return the programs whose frames lead to what line ``number`` says."""
        for one in reversed(self._traces):
            if one.first <= number <= one.last:
                return frozenset(one.programs)
        return frozenset()

    def own_code(self, number: int) -> bool:
        """Tell whether line ``number`` was raised in a file of no installed package."""
        inner = self.inner_at(number)
        return "/" in inner and INSTALLED.search(inner) is None

    def inner_at(self, number: int) -> str:
        """Return the innermost frame of the traceback that line ``number`` belongs to."""
        for one in reversed(self._traces):
            if one.first <= number <= one.last:
                return one.inner
        return ""

    def raised_at(self, number: int) -> int | None:
        """Return the line of what was raised in the traceback that line ``number`` is in."""
        for one in reversed(self._traces):
            if one.first <= number <= one.last:
                return one.raised[0] if one.raised else None
        return None

    def cause_of(self, number: int) -> int | None:
        """Return the line of the exception that another one, at ``number``, only followed."""
        for index, one in enumerate(self._traces):
            if one.linked and one.raised and one.raised[0] == number:
                first = index
                while first > 0 and self._traces[first].linked:
                    first -= 1
                raised = self._traces[first].raised
                if raised is None or BARE.fullmatch(raised[1]):
                    # It says nothing; what the program made of it is all there is.
                    return None
                return raised[0] if raised[0] != number else None
        return None
