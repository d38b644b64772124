"""Follows pictures through the code of a post: were they divided by 255 before the chip does it?

A network whose model script normalises wants pictures of 0 to 255. Code that scales them itself and
hands them to the calibration or to the chip prints no error; nothing is found, that is all.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.pictures import handed
from orchestrator.diagnose.pictures.handed import Handed

_SCALES = re.compile(r"/=? ?255(?:\.0*)?(?![\d\]])|\btotensor\(\)")
_SCALES_BACK = re.compile(r"\*=? ?255")
#: What :class:`Scaling` looks for; what follows such a line it wants, too.
PATTERNS = (*handed.PATTERNS, _SCALES, _SCALES_BACK)


class Scaling(Handed):
    """Takes in folded lines; tells which of them hands over pictures that were scaled."""

    def __init__(self) -> None:
        super().__init__(_SCALES, _SCALES_BACK)
