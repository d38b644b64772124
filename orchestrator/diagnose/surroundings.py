"""Knows which wording stands anywhere in a log that decides what a failure elsewhere in it means.

"No device was found" has ten causes, and a post often shows which: the command that started the
container, a line of ``dmesg``, a release. An entry of the list names such wording in ``beside``,
and in ``without`` what must not stand there. Each way is one pattern or several, which may stand in
different lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.index import Candidates
from orchestrator.diagnose.post.elsewhere import NOWHERE, changes
from orchestrator.diagnose.words.text import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.diagnose.catalogue import Alternative, Entry

#: Whether a log shows what an entry wants, shows it only in lines that prove nothing, or not.
Shown = Literal["yes", "doubted", "no"]
#: A command over several lines is put together up to this length.
MOST_CHARACTERS = 4000
#: Wordings with these are typed on the host of a container, or where somebody logs in from, and
#: hold within it.
_OF_A_HOST = ("lxc", "pct", "docker", "podman", "compose", "kube", "container", "ssh")


@cache
def wanted() -> tuple[Alternative, ...]:
    """Return every single wording that some entry looks for anywhere in a log."""
    entries = load_catalogue().values()
    ways = (way for entry in entries for way in (*entry.beside, *entry.without))
    return tuple({one.parts: one for way in ways for one in way}.values())


@cache
def _candidates() -> Candidates[tuple[str, ...]]:
    """Return the same wordings, to be found by the words of a line."""
    return Candidates((one.parts, one) for one in wanted())


@lru_cache(maxsize=REMEMBERED)
def _found(line: str) -> tuple[tuple[Alternative, Mapping[str, str]], ...]:
    """Return the wordings that a line holds, with what they captured."""
    lower = line.lower()
    plain = lower if line.isascii() else None
    some = ((one, one.search(line, plain)) for _, one in _candidates().of(lower))
    return tuple((one, captured) for one, captured in some if captured is not None)


@cache
def deepened() -> tuple[Entry, ...]:
    """Return the entries without wording of their own: they say more than a general one that
    was found, where the log shows what they want."""
    entries = load_catalogue().values()
    return tuple(one for one in entries if one.beside and not (one.match or one.hint))


@dataclass
class _Sighting:
    """Where a wording stands in a log, and what it captured there."""

    captured: Mapping[str, str]
    #: Only lines that prove nothing show it.
    doubted: bool
    #: The line that it was captured in, and the last that shows it.
    at: int
    last: int
    #: The machines that it was found on, "" where that is not told.
    places: set[str] = field(default_factory=set)
    #: Groups that captured something else in a later line.
    varied: set[str] = field(default_factory=set)


class Surroundings:
    """Takes in the lines of one log; :meth:`shown` is asked for an entry at any time."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], _Sighting] = {}
        self._open = ""
        self._number = 0
        #: The machine of the line that is read, and those of all lines where it is told.
        self._place = ""
        self._places: dict[int, str] = {}
        #: Lines after which what was shown before need not be so any more.
        self._changed: list[int] = []

    @property
    def waits(self) -> bool:
        """Whether the next line goes on with a command that a backslash broke off."""
        return bool(self._open)

    def at(self, number: int, line: str, place: str) -> None:
        """Take note that ``line`` comes, the one of that ``number``, and of which machine it is."""
        self._place, self._number = place, number
        if changes(line):
            self._changed.append(number)
        if place:
            self._places[number] = place

    def feed(self, folded: str, *, doubted: bool = False) -> bool:
        """Take in one folded line, and tell whether it holds wording of an entry; a ``doubted``
        one proves nothing."""
        line = f"{self._open} {folded}" if self._open else folded
        broken = line.endswith("\\") and len(line) < MOST_CHARACTERS
        self._open = line[:-1].rstrip() if broken else ""
        if broken:
            return True
        found = _found(line)
        for one, captured in found:
            self._take(one, captured, doubted=doubted or self._place == NOWHERE)
        return bool(found)

    def _take(self, one: Alternative, captured: Mapping[str, str], *, doubted: bool) -> None:
        sighting = self._seen.get(one.parts)
        if sighting is None or (sighting.doubted and not doubted):
            places = sighting.places if sighting else set()
            sighting = _Sighting(captured, doubted, self._number, self._number, places)
            self._seen[one.parts] = sighting
        elif not doubted:
            first = sighting.captured.items()
            sighting.varied |= {name for name, value in first if captured.get(name) != value}
        sighting.last = self._number
        sighting.places.add(self._place)

    def _ways(self, ways: tuple[tuple[Alternative, ...], ...]) -> Iterator[tuple[Alternative, ...]]:
        for way in ways:
            if all(one.parts in self._seen for one in way):
                yield way

    def shown(
        self, entry: Entry, number: int = 0, apart: Callable[[int], bool] | None = None
    ) -> Shown:
        """Tell whether the log so far shows what ``entry`` wants for a failure in line ``number``,
        and nothing that speaks against it. A line of which ``apart`` says that it is another
        machine's proves nothing."""
        if entry.without and any(self._ways(entry.without)):
            return "no"
        if not entry.beside:
            return "yes"
        rule = (entry.rule or "").split()
        compared = frozenset(rule[1:]) if rule[:1] in (["same"], ["unlike"]) else frozenset()
        found: Shown = "no"
        for way in self._ways(entry.beside):
            until = max(number, *(self._seen[one.parts].last for one in way))
            if not any(
                self._doubts(one, compared)
                or self._is_elsewhere(one, number, apart)
                or self._is_past(one, number, until)
                for one in way
            ):
                return "yes"
            found = "doubted"
        return found

    def _doubts(self, one: Alternative, compared: frozenset[str]) -> bool:
        """Tell whether only lines that prove nothing show a wording; or one of two words that are
        compared was another in another line, so that it is open which is meant."""
        sighting = self._seen[one.parts]
        return sighting.doubted or not compared.isdisjoint(sighting.varied)

    def _is_elsewhere(
        self, one: Alternative, number: int, apart: Callable[[int], bool] | None
    ) -> bool:
        """Tell whether a wording stands only in lines of other machines than line ``number``. What
        sets a container up is written on its host."""
        sighting = self._seen[one.parts]
        here = self._places.get(number, "")
        on = sighting.places - {NOWHERE}
        if here not in {"", NOWHERE} and on and here not in on:
            return True
        if apart is None or any(word in part for part in one.parts for word in _OF_A_HOST):
            return False
        return apart(sighting.at)

    def _is_past(self, one: Alternative, number: int, until: int) -> bool:
        """Tell whether something was changed after a wording was shown the last time, and the log
        goes on ``until`` after that."""
        last = self._seen[one.parts].last
        return number > 0 and any(last < changed < until for changed in self._changed)

    def captured(self, entry: Entry) -> dict[str, str]:
        """Return what the wording captured that ``entry`` wants."""
        words: dict[str, str] = {}
        for way in self._ways(entry.beside):
            for one in way:
                for name, value in self._seen[one.parts].captured.items():
                    words.setdefault(name, value)
        return words
