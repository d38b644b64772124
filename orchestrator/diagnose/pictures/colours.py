"""Follows pictures through the code of a post: in which order have they their colours?

OpenCV reads pictures as B, G, R, and nearly every network learned R, G, B. Nothing fails where the
one is given for the other; what is found is worse, and things that differ by their colour are
taken for one another.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.pictures import handed
from orchestrator.diagnose.pictures.handed import Handed

#: OpenCV reads in B, G, R, also from a camera or a video.
_READS = re.compile(
    r"\bcv2\.imread\((?!.*(?:gray|color_rgb|unchanged|, ?(?:0|-1)\)))"
    r"|^(?:>>> ?)?\w+, ?\w+ ?= ?[\w.]+\.read\(\)"
)
_TURNS = re.compile(
    r"color_(?:bgra?2|rgba?2bgr)|\bswaprb ?= ?true"
    r"|\[(?:\.\.\.|:, ?:|:, ?:, ?:), ?(?:::-1|\[2, ?1, ?0\])\]"
    r"|\bflip\(.*(?:-1|2|3)\)|\)\[::-1\]|\[:, ?:, ?\(2, ?1, ?0\)\]"
    # The number of COLOR_BGR2RGB, and the place of swapRB.
    r"|\bcvtcolor\(.*, ?(?:2|4)\)|\bblobfromimages?\(.*, ?true\b"
    r"|\b(?:bgr_?(?:to|2)_?rgb|to_rgb|swap_?channels?|cv2\.(?:split|merge))\b"
)
#: Pillow, imageio and torchvision read in R, G, B.
_READS_RGB = re.compile(
    r"\b(?:pil\.)?image\.open\(|\bcolor_bgr2rgb\b|\b(?:imageio|iio)\.\w*imread\(|\bread_image\("
    r"|\btf\.io\.decode_\w+\(|\bcolor_rgb\b"
)
_TURNS_RGB = re.compile(r"color_rgb2|\[(?:\.\.\.|:, ?:|:, ?:, ?:), ?::-1\]")
#: What says in which order the network wants them; ultralytics turns what OpenCV read.
_WANTS_RGB = re.compile(
    r"^(?:>>> ?)?(?:from ultralytics\b(?!\.utils)|import ultralytics\b)"
    r"|\byolo (?:\w+ )?(?:train|export) \S*="
    r"|\b(?<!not )(?:trained|training|train|learn\w*) (?:\w+ ){0,3}?"
    r"(?:on|with|in|from|as) (?:\w+ )?rgb\b"
    r"|\b(?:network|model|net|it|hef|onnx) (?:expects|wants|takes|needs) (?:\w+ )?rgb\b"
)
#: The chip turns them itself, the network learned B, G, R, or another part of the program turns.
_OTHERWISE = re.compile(
    r"\bbgr_to_rgb\b|\bbgr2rgb ?[:=] ?true|\binput_conversion\w*\("
    r"|\bformat ?= ?(?:\(string\))?rgb(?:24)?\b|\bconvert_rgb\b"
    # A class of the post's own reads, in an order of its own; YOLOX learned B, G, R.
    r"|^def read\(|\byolox(?:_\w+)?\b"
    r"|\b(?:trained|training|expects|wants|takes|needs|learn\w*) "
    r"(?:\w+ ){0,3}?bgr\b|\brgb888\b|\bbgr888\b"
    # Somebody tried it the other way, too.
    r"|\btried (?:\w+ ){0,5}?(?:rgb|bgr)\b|\b(?:rgb and bgr|bgr and rgb)\b"
    r"|\b(?:rgb|bgr|channels?|colou?rs?)\b.{0,40}\b(?:no difference|the same|not help|nothing)\b"
)
#: What :class:`Colours` looks for; what follows such a line it wants, too.
PATTERNS = (*handed.PATTERNS, _READS, _TURNS, _READS_RGB, _WANTS_RGB, _OTHERWISE)


class Colours:
    """Takes in folded lines; tells which of them hands over pictures in B, G, R, and whether the
    post shows that this is the wrong order."""

    def __init__(self) -> None:
        self._bgr = Handed(_READS, _TURNS)
        self._rgb = Handed(_READS_RGB, _TURNS_RGB)
        self._wants_rgb = False
        self._otherwise = False

    @property
    def waits(self) -> bool:
        """Whether the next line may make something of pictures that were read."""
        return self._bgr.waits or self._rgb.waits

    def feed(self, folded: str, lower: str) -> None:
        """Take in one line, also in small letters."""
        if not lower.startswith("#"):
            self._wants_rgb |= _WANTS_RGB.search(lower) is not None
            self._otherwise |= _OTHERWISE.search(lower) is not None
        self._bgr.feed(folded, lower)
        self._rgb.feed(folded, lower)

    @property
    def inference(self) -> str | None:
        """The line that hands pictures in B, G, R to the chip."""
        # Two programs of one post, of which the other turns them: it is open which is meant.
        unclear = self._otherwise or self._rgb.inference is not None
        return None if unclear else self._bgr.inference

    @property
    def is_wrong(self) -> bool:
        """Whether the post shows that the chip is given another order than it was made for."""
        other = self._rgb.calibration is not None and self._bgr.calibration is None
        return (self._wants_rgb or other) and not self._bgr.unsure

    @property
    def calibration(self) -> str | None:
        """The line that puts pictures in B, G, R into the calibration set of a network that is
        given R, G, B."""
        given = self._rgb.inference is not None and self._bgr.inference is None
        sure = not (self._rgb.unsure or self._bgr.unsure or self._otherwise)
        alone = self._rgb.calibration is None
        return self._bgr.calibration if given and sure and alone else None
