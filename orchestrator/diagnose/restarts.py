"""Follows programs that a supervisor starts again: what one said before is over once it runs well.

systemd, s6, Docker and Kubernetes start a service again that has failed. The same program then
speaks with another number (``cam[901]``), or below a line that says that it left. It has got over
what it said before where it tells something that only a healthy program does, and fails no more;
or where systemd shows that it runs (:class:`Units`).
"""

from __future__ import annotations

import re
from bisect import bisect_left

#: The speaker: a program and its number in a journal, or a container's name before a bar.
_JOURNAL = re.compile(
    r"^.{0,60}?\d\d:\d\d:\d\d\S* \S+ (?P<who>[^\s:\[]{1,60})\[(?P<pid>\d+)\]: (?P<said>.*)"
)
_COMPOSE = re.compile(r"^(?P<who>[\w.-]{1,60})\s*\| ?(?P<said>.*)")
#: A supervisor that says a program ended, or is started again.
_ENDS = re.compile(
    r"^(?P<one>[\w.-]{1,60}?)(?:-\d+)? exited with code \d+"
    r"|systemd\[\d+\]: (?P<unit>[\w@.:-]+)\.service: (?:Main process exited|Failed with result"
    r"|Scheduled restart job)"
    r"|\bService (?P<s6>[\w-]+) exited with code [1-9]",
    re.IGNORECASE,
)
#: What only a healthy program tells.
WELL = re.compile(
    r"(?<![\w.])(?!0+\.0+ )\d+(?:\.\d+)? ?fps\b|\bfps[ :=]+(?!0+(?:\.0+)?\b)\d"
    r"|\binference(?: speed| time)?\W{0,3}\d+(?:\.\d+)? ?ms"
    r"|\b(?:detector|pipeline|camera|service|server|application)\b.{0,40}\b(?:is )?(?:running|ready"
    r"|started|up)\b(?!.*\b(?:fail|error|not)\b)"
    r"|\b(?:listening|serving) on\b|\bframe \d+: \d+ detections?\b",
    re.IGNORECASE,
)
#: What a supervisor tells of one that runs.
_RUNS = re.compile(
    r"^\s+Active: active \(running\)|^active$|\bUp \d+ .*\(healthy\)|\s1/1\s+Running\b"
)
_STARTED = re.compile(
    r"systemd\[\d+\]: Started (?P<what>(?P<unit>[\w@.:-]+?)(?:\.service)?(?: - .*)?|.*?)\.?\s*$"
)
#: The head of what ``systemctl status`` shows, and a unit that a line names.
_HEAD = re.compile(r"[\u25cf\u25cb\u00d7*] (?P<unit>[\w@.:-]+\.service)(?: - (?P<named>.*\S))?\s*$")
_UNIT = re.compile(r"[\w@:-][\w@.:-]*\.service\b")
#: Speakers whose lines are remembered; of a long log the last.
MOST = 20_000
#: Lines that such a reader needs to see.
_SIGNS = ("]: ", " |", "exited with code", "Active: ", "active", "Up ", "Running")


class Restarts:
    """Takes in each line (cleaned); tells of a line whether its program runs well since."""

    def __init__(self) -> None:
        #: How often each program ended so far, and the numbers of lines that it said, by run.
        self._ended: dict[str, int] = {}
        self._lines: list[int] = []
        self._runs: list[tuple[str, str]] = []
        #: The last run of each that told something healthy, and the line of that.
        self._well: dict[str, tuple[str, int]] = {}
        self._last: dict[str, str] = {}

    def feed(self, number: int, line: str) -> None:
        """Take in one line."""
        if not any(sign in line for sign in _SIGNS):
            return
        ends = _ENDS.search(line) if "xited" in line or ".service: " in line else None
        if ends is not None:
            who = next(one for one in ends.groups() if one).lower()
            self._ended[who] = self._ended.get(who, 0) + 1
            self._note(number, who, f"end{self._ended[who]}")
            return
        started = _STARTED.search(line) if ": Started " in line else None
        if started is not None and started["unit"]:
            self._last[started["unit"].lower()] = ""
            return
        if _RUNS.search(line) is not None:
            # Of the program that was started last.
            for who in list(self._last)[-1:]:
                self._well[who] = (self._last[who], number)
            return
        spoken = _JOURNAL.match(line) or _COMPOSE.match(line)
        if spoken is None:
            return
        who = spoken["who"].lower()
        if who in {"systemd", "kernel"}:
            return
        pid = spoken.groupdict().get("pid") or ""
        run = f"{pid}/{self._ended.get(who, 0)}"
        self._note(number, who, run)
        self._last.pop(who, None)
        self._last[who] = run
        if WELL.search(spoken["said"]) is not None:
            self._well[who] = (run, number)

    def _note(self, number: int, who: str, run: str) -> None:
        if len(self._lines) < MOST:
            self._lines.append(number)
            self._runs.append((who, run))

    def _run_at(self, number: int) -> tuple[str, str] | None:
        at = bisect_left(self._lines, number)
        found = at < len(self._lines) and self._lines[at] == number
        return self._runs[at] if found else None

    def runs_since(self, number: int, failures: list[int]) -> bool:
        """Tell whether the program that said line ``number`` was started again and runs well;
        none of ``failures`` (lines) is of that run."""
        spoke = self._run_at(number)
        if spoke is None or not self._ended:
            return False
        who, run = spoke
        later, at = self._well.get(who, ("", 0))
        if at <= number or later == run:
            return False
        return not any(
            line > number and (other := self._run_at(line)) is not None and other == (who, later)
            for line in failures
        )


class Units:
    """Takes in each line (cleaned); tells from which line on a unit spoke that runs since.

    ``systemctl status`` shows the last lines of the journal, too: a service that failed at the
    start of the machine, was started again, and runs. What it says after that start stays, and so
    does what is said of other units."""

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
        return all(one == self._unit for one in _UNIT.findall(text))
