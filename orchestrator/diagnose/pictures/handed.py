"""Follows pictures through the code of a post, from what was done to them to where they go.

Pictures that were scaled, or that are in another order of colours than the network wants, print no
error; nothing is found, that is all. The code that people paste shows it.
"""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"^(?:def (?P<name>\w+)\(|(?P<composed>\w+) ?= ?(?:\w+\.)*compose\()")
_RETURNS = re.compile(r"^return\b|\]\)$")
_MAKES = re.compile(
    r"^(?:>>> ?)?(?:(?:\w+, ?)?(?P<to>\w+)(?:\[[^\]]*\])? ?(?P<how>[/*]?=)(?!=) ?"
    r"|(?P<list>\w+)\.append\()(?P<of>.*)"
)
_SAVES = re.compile(r"^(?:>>> ?)?np\.save\(\S*calib\S*, ?(?P<of>.*)")
#: What gives pictures to the chip; the compiler's own `runner.infer` may want others.
_INFERS = re.compile(r"\b(?:\w*pipe\w*\.infer|set_buffer|hailo\w*\.(?:run|infer))\((?P<of>.*)")
_CALLS = re.compile(r"([\w.]+)\(")
#: Calls that leave the values and the order of the channels as they are.
_PLAIN = re.compile(
    r"(?:cv2|np|numpy)\.\w+|(?:[\w.]+\.)?(?:astype|copy|reshape|transpose|append|tobytes|array|stack"
    r"|asarray|ascontiguousarray|expand_dims|resize|pad|letterbox|letterbox_image|read|open|list"
    r"|tuple|dict|float|int|uint8|float32|str|len|range|zip|sorted|enumerate|infer|run|set_buffer"
    r"|unsqueeze|numpy|convert|input|fromarray)"
)
#: What :class:`Handed` looks for; what follows such a line it wants, too.
PATTERNS = (_FUNCTION, _SAVES, _INFERS)
#: So many lines after it, at most.
_FAR = 60


class Handed:
    """Takes in folded lines; tells which of them hands over pictures to which ``does`` was done,
    and not ``undoes`` after it."""

    def __init__(self, does: re.Pattern[str], undoes: re.Pattern[str]) -> None:
        self._does, self._undoes = does, undoes
        self.calibration: str | None = None
        self.inference: str | None = None
        #: What was handed over went through calls of which the post does not show what they do.
        self.unsure = False
        #: The function that is being read, all that were, those that do it, and undo it.
        self._function = ""
        self._functions: set[str] = set()
        self._doing: set[str] = set()
        self._undoing: set[str] = set()
        #: Names of what it was done to, and of those that unknown calls made of them.
        self._done: set[str] = set()
        self._unsure: set[str] = set()
        self._left = 0

    @property
    def waits(self) -> bool:
        """Whether the next line may make something of what it was done to."""
        return self._left > 0

    def feed(self, folded: str, lower: str) -> None:
        """Take in one line, also in small letters; of a post that has no such code it says
        nothing."""
        self._left -= 1
        if lower.startswith("#"):
            return
        begun = _FUNCTION.match(lower)
        if begun:
            self._function = begun["name"] or begun["composed"]
            self._functions.add(self._function)
        back = self._undoes.search(lower) is not None
        does = not back and self._does.search(lower) is not None
        if does or begun:
            self._left = _FAR
        if does and self._function:
            self._doing.add(self._function)
        elif back and self._function:
            self._doing.discard(self._function)
            self._undoing.add(self._function)
        if self._function and _RETURNS.match(lower):
            self._function = ""
        if self._doing or self._done or does:
            self._follow(folded, lower, does=does, back=back)

    def _follow(self, folded: str, lower: str, *, does: bool, back: bool) -> None:
        """Note what a line makes of such pictures, and where it hands them over."""
        saved, inferred = _SAVES.match(lower), _INFERS.search(lower)
        if saved and not back and (does or self._is_done(saved["of"])):
            self.calibration = folded
        if inferred and not back and self._is_done(inferred["of"]):
            self.inference = folded
            self.unsure = self._is_unsure(inferred["of"])
        made = _MAKES.match(lower)
        if not made:
            if back:
                # It was turned in its place.
                self._done -= set(re.findall(r"\w+", lower))
            return
        name = made["to"] or made["list"]
        called = {one.rpartition(".")[2] for one in _CALLS.findall(made["of"])}
        back = back or not called.isdisjoint(self._undoing)
        if not back and (does or self._is_done(made["of"])):
            self._done.add(name)
            if self._is_unsure(made["of"]):
                self._unsure.add(name)
            if "calib" in name:
                self.calibration = folded
        elif back or made["how"] == "=":
            self._done.discard(name)

    def _is_done(self, code: str) -> bool:
        if not self._done.isdisjoint(re.findall(r"\w+", code)):
            return True
        called = (one.removeprefix("self.") for one in _CALLS.findall(code))
        return not self._doing.isdisjoint(called)

    def _is_unsure(self, code: str) -> bool:
        """Tell whether a call of which nothing is known takes a part in ``code``."""
        if not self._unsure.isdisjoint(re.findall(r"\w+", code)):
            return True
        called = (one for one in _CALLS.findall(code) if not _PLAIN.fullmatch(one))
        return any(one.rpartition(".")[2] not in self._functions for one in called)
