"""Follows what systemd shows of a unit: one that runs by now has got over what it said before.

``systemctl status`` shows the last lines of the journal, too: a service that failed at the start of
the machine, was started again, and runs. What it says after that start stays, and so does what is
said of other units.
"""

from __future__ import annotations

import re

_HEAD = re.compile(r"[\u25cf\u25cb\u00d7*] (?P<unit>[\w@.:-]+\.service)(?: - (?P<named>.*\S))?\s*$")
_RUNS = re.compile(r"\s+Active: active \(running\)")
_STARTED = re.compile(r"systemd\[\d+\]: Started (?P<what>.*?)\.?\s*$")
_OTHER = re.compile(r"[\w@:-][\w@.:-]*\.service\b")


class Units:
    """Takes in each line (cleaned); tells from which line on a unit spoke that runs since."""

    def __init__(self) -> None:
        self._unit = self._named = ""
        self._head = 0
        self._runs = False

    def feed(self, number: int, line: str) -> int:
        """Take in a line; return the first line of the unit that it says was started, else 0."""
        if ".service" in line and (head := _HEAD.match(line)) is not None:
            self._unit, self._named = head["unit"], head["named"] or head["unit"]
            self._head, self._runs = number, False
        elif self._head and "Active: " in line:
            self._runs = _RUNS.match(line) is not None
        elif self._runs and (started := _STARTED.search(line)) is not None:
            what = started["what"]
            return self._head if what.startswith(self._unit) or what == self._named else 0
        return 0

    def says(self, text: str) -> bool:
        """Tell whether words below the head may be of this unit: they name no other."""
        return all(one == self._unit for one in _OTHER.findall(text))
