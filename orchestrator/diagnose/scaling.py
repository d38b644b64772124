"""Follows pictures through the code of a post: were they divided by 255 before the chip does it?

A network whose model script normalises wants pictures of 0 to 255. Code that scales them itself and
hands them to the calibration or to the chip prints no error; nothing is found, that is all.
"""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"^(?:def (?P<name>\w+)\(|(?P<composed>\w+) ?= ?(?:\w+\.)*compose\()")
_RETURNS = re.compile(r"^return\b|\]\)$")
_SCALES = re.compile(r"/=? ?255(?:\.0*)?(?![\d\]])|\btotensor\(\)")
_SCALES_BACK = re.compile(r"\*=? ?255")
_MAKES = re.compile(
    r"^(?:>>> ?)?(?:(?P<to>\w+)(?:\[[^\]]*\])? ?(?P<how>[/*]?=)(?!=) ?|(?P<list>\w+)\.append\()"
    r"(?P<of>.*)"
)
_SAVES = re.compile(r"^(?:>>> ?)?np\.save\(\S*calib\S*, ?(?P<of>.*)")
#: What gives pictures to the chip; the compiler's own `runner.infer` may want them scaled.
_INFERS = re.compile(r"\b(?:\w*pipe\w*\.infer|set_buffer)\((?P<of>.*)")
#: What :class:`Scaling` looks for; what follows such a line it wants, too.
PATTERNS = (_FUNCTION, _SCALES, _SCALES_BACK, _SAVES, _INFERS)
#: So many lines after it, at most.
_FAR = 60


class Scaling:
    """Takes in folded lines; tells which of them hands over pictures that were scaled."""

    def __init__(self) -> None:
        self.calibration: str | None = None
        self.inference: str | None = None
        #: The function that is being read, functions that scale, and names of what was scaled.
        self._function = ""
        self._scaling: set[str] = set()
        self._scaled: set[str] = set()
        self._left = 0

    @property
    def waits(self) -> bool:
        """Whether the next line may make something of what was scaled."""
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
        back = _SCALES_BACK.search(lower) is not None
        scales = not back and _SCALES.search(lower) is not None
        if scales or begun:
            self._left = _FAR
        if scales and self._function:
            self._scaling.add(self._function)
        elif back:
            self._scaling.discard(self._function)
        if self._function and _RETURNS.match(lower):
            self._function = ""
        if self._scaling or self._scaled or scales:
            self._follow(folded, lower, scales=scales, back=back)

    def _follow(self, folded: str, lower: str, *, scales: bool, back: bool) -> None:
        """Note what a line makes of scaled pictures, and where it hands them over."""
        saved, inferred = _SAVES.match(lower), _INFERS.search(lower)
        if saved and (scales or self._is_scaled(saved["of"])):
            self.calibration = folded
        if inferred and self._is_scaled(inferred["of"]):
            self.inference = folded
        made = _MAKES.match(lower)
        if not made:
            return
        name = made["to"] or made["list"]
        if not back and (scales or self._is_scaled(made["of"])):
            self._scaled.add(name)
            if "calib" in name:
                self.calibration = folded
        elif back or made["how"] == "=":
            self._scaled.discard(name)

    def _is_scaled(self, code: str) -> bool:
        names = set(re.findall(r"\w+", code))
        return not names.isdisjoint(self._scaled) or any(f"{one}(" in code for one in self._scaling)
