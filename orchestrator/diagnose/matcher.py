"""Finds known failures in a stream of lines, also where a message is wrapped over several.

Terminals, wikis and chat programs wrap long messages. A line that starts no message of its own
is therefore also tried together with the lines before it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.diagnose.index import load_index
from orchestrator.diagnose.post.listings import is_code, only_shown
from orchestrator.diagnose.survived import chatter, proves
from orchestrator.diagnose.tracebacks import FRAME, RAISED
from orchestrator.diagnose.words import text as texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.diagnose.catalogue import Entry
    from orchestrator.diagnose.index import Found

#: A message is never followed further than this many lines or characters.
MOST_LINES = 4
MOST_CHARACTERS = 700
#: Lines of which all that a message may hold are together within its limit.
SHORT = MOST_CHARACTERS // MOST_LINES
#: After so many of them the message is the same, whatever was before.
WASHED_OUT = 3 * MOST_LINES
#: Lines shorter than this are not taken for wrapped ones, unless the next one is indented.
WRAP_WIDTH = 24
#: A message that was cut at some width, between two words, has lines of this length at least.
NARROWEST = 45
#: Narrower than any terminal: a number was not cut there.
TERMINAL_WIDTH = 64
#: Lines that showed nothing and whose message is made only when a later line asks for it.
MOST_PASSED = 4096

#: Bars and searches, drawn again and again. Nothing hides in them.
_BARS = re.compile(
    r"^(?:\[info\] )?(?:iteration #\d+ - |\d+/\d+ [━=>.\[\] ]+(?!.*\b(?:nan|inf)\b)"
    r"|[a-z ]{1,40}: +\d+%\|"
    # The code that a traceback shows: what was raised stands in a line of its own.
    r"|raise (?:[a-z_]\w*\.)*[a-z_]\w*\()",
    re.IGNORECASE,
)


#: What a compiler prints before its message, where a line was wrapped between the two.
_PLACE = re.compile(r"\S\.\w{1,4}:\d+(?::\d+)?:$")
_SAYS = re.compile(r"\s*(?:fatal )?(?:error|warning):", re.IGNORECASE)

#: What HailoRT tells by the way in its log file: waits that it may have, streams that it ends.
_TELLS = re.compile(r"\[hailort\] \[(?:info|debug|trace)\]", re.IGNORECASE)

#: What CMake writes above the indented lines of a warning.
_BLOCK = ("CMake Warning", "CMake Deprecation Warning", "CMake Author Warning")
#: Files of installed packages: what stands in their code says where a program was.
_LIBRARY = re.compile(
    r"(?:site|dist)-packages|/usr/lib/|/lib/python3|^file (?:picamera2|torch|onnx)/"
)


#: What the logging of a program puts before each message.
_LOGGED = re.compile(
    r"\s*\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\]?"
    r" - (?:[\w.]{1,60} - )?(?:INFO|DEBUG|IMPORTANT) - "
)


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that explains a message: where it was, and what was captured."""

    entry: Entry
    line: int
    #: What was printed, without colours and prefixes; of several lines the first to the last.
    text: str
    captured: Mapping[str, str]
    certain: bool = True
    #: The message went on and takes an earlier hit of this entry back.
    withdrawn: bool = False
    #: The wording is proof, but the line only warns.
    warned: bool = False


def _hit(
    found: Found, line: int, text: str, folded: str, *, mild: bool = False, by_the_way: bool = False
) -> Hit:
    """Return what was found in a message; a warning, or what was only typed, proves less."""
    mild = mild and found.entry.severity == "fatal"
    told = not proves(found.entry, folded, by_the_way=by_the_way)
    warned = found.certain and (mild or told)
    return Hit(found.entry, line, text, found.captured, found.certain and not warned, warned=warned)


def _in_order(found: Found, message: str) -> bool:
    """Tell whether one pattern alone proves it, in which the words stand in their order."""
    return found.parts == 1 or any(
        len(one.parts) == 1 and one.search(message) is not None for one in found.entry.match
    )


def _is_logged(line: str, bare: str) -> bool:
    """Tell whether a program's logger wrote ``line`` as a message of its own, with its level."""
    return bare[:1].isupper() and _LOGGED.match(line) is not None


def _shortest(entry: Entry, parts: list[str], glue: str) -> int:
    """Return with which line of a message its shortest end begins that still holds the proof.

    Whether it only warns is told by its beginning, and lines before it may belong to another.
    """
    for at in range(len(parts) - 1, 0, -1):
        if any(one.search(glue.join(parts[at:])) is not None for one in entry.match):
            return at
    return 0


class Matcher:
    """Feeds on cleaned lines and tells which known failures they show."""

    def __init__(self) -> None:
        self._index = load_index()
        #: Number, folded text and text as printed.
        self._message: deque[tuple[int, str, str]] = deque(maxlen=MOST_LINES - 1)
        #: Whether this line may be the second half of a word: a terminal that wraps puts nothing
        #: before it, no stamp and no name.
        self._plain = True
        self._in_message: dict[str, tuple[Entry, bool]] = {}
        self._withdrawn: set[str] = set()
        #: Entries whose words stand in a line of the message that only warns.
        self._warned: set[str] = set()
        self._passed: list[tuple[int, str]] = []
        #: The line before is the frame of a traceback; the code that it shows follows.
        self._framed = False
        #: Within what CMake only warns of: indented lines below its first.
        self._block = False
        #: Number of lines that were looked at.
        self.taken = 0

    @property
    def expects(self) -> bool:
        """Whether the message so far shows something that its next line may take back."""
        return bool(self._in_message)

    def pass_over(self, number: int, line: str) -> None:
        """Take note of a line that shows nothing, alone or with those before."""
        self.taken += 1
        self._follow(line)
        self._passed.append((number, line))
        if len(self._passed) > MOST_PASSED:
            self._catch_up()

    def _follow(self, line: str) -> None:
        """Take note where a warning of several lines begins and ends."""
        if line.startswith(_BLOCK):
            self._block = True
        elif self._block and line and not line[0].isspace():
            self._block = False

    def _catch_up(self) -> None:
        """Make the message of the lines that were passed over, as :meth:`feed` would have."""
        passed, self._passed = self._passed, []
        bare: list[str] = []
        start = len(passed)
        short = 0
        while start > 0 and short < WASHED_OUT:
            start -= 1
            # After some short lines in a row it does not matter what was before them: a message
            # holds a few lines, and of these none is long enough to end it.
            short = short + 1 if len(passed[start][1]) < SHORT else 0
            text = texts.strip_prefix(texts.clean(passed[start][1]))
            bare.append(text)
            # What was before the beginning of a message does not matter.
            if texts.starts_message(text) or not texts.fold(text):
                break
        for (number, line), text in zip(passed[start:], reversed(bare), strict=True):
            if texts.says_nothing(text):
                continue
            folded = texts.fold(text)
            if self._is_code(text, folded):
                self._forget()
                continue
            if not folded or not self._continues(texts.clean(line), text):
                self._forget()
            if folded:
                self._message.append((number, folded, text.strip()))

    def feed(self, number: int, line: str) -> list[Hit]:
        """Return what ``line`` (cleaned, number ``number``) shows, alone or with those before."""
        self.taken += 1
        self._follow(line)
        if self._passed:
            self._catch_up()
        bare = texts.strip_prefix(line)
        if not bare.strip():
            self._forget()
            return []
        folded = texts.fold(bare)
        if self._is_code(bare, folded):
            self._forget()
            return []
        if _TELLS.match(bare) or only_shown(line, bare):
            # A command may say what was left out; that something failed it does not say.
            self._forget()
            return [
                _hit(one, number, bare.strip(), folded)
                for one in self._index.search(folded)
                if one.entry.severity not in {"fatal", "possible"}
            ]
        by_the_way = chatter(line)
        wrapped = self._continues(line, bare)
        self._plain = len(bare) == len(line)
        if not wrapped:
            self._forget()
        if _BARS.match(folded):
            self._message.append((number, folded, bare.strip()))
            return []
        hits = [
            _hit(one, number, bare.strip(), folded, mild=self._block, by_the_way=by_the_way)
            for one in self._index.search(folded)
        ]
        for hit in hits:
            if hit.warned:
                self._warned.add(hit.entry.id)
            if not hit.entry.rule:
                _, before = self._in_message.get(hit.entry.id, (hit.entry, False))
                self._in_message[hit.entry.id] = (hit.entry, before or hit.certain)
        if wrapped:
            hits.extend(self._search_wrapped(number, folded, bare.strip(), by_the_way=by_the_way))
        self._message.append((number, folded, bare.strip()))
        return hits

    def _is_code(self, bare: str, folded: str) -> bool:
        """Tell whether a line is code, as of the user's in a traceback: its words say nothing."""
        if is_code(bare):
            return True
        # A frame without code (of what is run from a string) is followed by what was raised.
        code = self._framed and bare[:1].isspace() and RAISED.match(bare) is None
        lower = folded.lower()
        frame = FRAME.match(lower) is not None
        self._framed = frame and _LIBRARY.search(lower) is None
        return code and not frame

    def _forget(self) -> None:
        """Let the message so far go; the next line begins another."""
        self._message.clear()
        self._in_message.clear()
        self._withdrawn.clear()
        self._warned.clear()

    def _continues(self, line: str, bare: str) -> bool:
        if not self._message:
            return False
        if texts.starts_message(bare) and not self._of_place(bare):
            return False
        if len(bare) < len(line) and (texts.stamped_by_system(line) or _is_logged(line, bare)):
            return False
        _, before, said = self._message[-1]
        if bare[:1].isupper() and RAISED.match(bare) and RAISED.match(said):
            # One exception below another: each is a message of its own.
            return False
        if sum(len(part) for _, part, _ in self._message) > MOST_CHARACTERS:
            return False
        if bare[:1] in " \t([/" or bare[:1].islower():
            return True
        # A sentence that ended was not wrapped there.
        return len(before) >= WRAP_WIDTH and before[-1] not in ".!?"

    def _of_place(self, bare: str) -> bool:
        """Tell whether ``bare`` is what a compiler says of the place that the line before names."""
        return _PLACE.search(self._message[-1][1]) is not None and _SAYS.match(bare) is not None

    def _search_wrapped(
        self, number: int, folded: str, bare: str, *, by_the_way: bool
    ) -> list[Hit]:
        """Try the message that ends in ``folded``, with and without a space at each break."""
        numbers = [*(one for one, _, _ in self._message), number]
        parts = [part for _, part, _ in self._message]
        printed = [*(text for _, _, text in self._message), bare]
        hits: list[Hit] = []
        # A fixed-width wrap may cut within a word: then the parts belong together without space.
        # Two numbers would make a third, unless the first line is as wide as terminals are.
        whole = all(
            len(one) >= TERMINAL_WIDTH or not (one[-1:] + two[:1]).isdigit()
            for one, two in pairwise([*parts, folded])
        )
        for glue in (" ", "") if self._plain and whole else (" ",):
            joined = glue.join([*parts, folded])
            for one in self._index.search(joined):
                entry = one.entry
                if entry.id in self._warned:
                    continue
                # Words in any order in lines of their own may be of two messages.
                apart = len(parts[-1]) < NARROWEST and not _in_order(one, joined)
                found = one._replace(certain=one.certain and not apart)
                at = _shortest(entry, [*parts, folded], glue) if one.certain else 0
                said, text = glue.join([*parts, folded][at:]), " ".join(printed[at:])
                hit = _hit(found, numbers[at], text, said, mild=self._block, by_the_way=by_the_way)
                _, before = self._in_message.get(entry.id, (entry, None))
                if before is None or (hit.certain and not before):
                    if not entry.rule:
                        self._in_message[entry.id] = (entry, hit.certain)
                    hits.append(hit)
            for entry, _ in self._in_message.values():
                if entry.id in self._withdrawn or not entry.vetoed(joined):
                    continue
                self._withdrawn.add(entry.id)
                hits.append(Hit(entry, numbers[0], " ".join(printed), {}, withdrawn=True))
        return hits
