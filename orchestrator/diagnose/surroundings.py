"""Knows which wording stands anywhere in a log that decides what a failure elsewhere in it means.

"No device was found" has ten causes, and a post often shows which: the command that started the
container, a line of ``dmesg``, a release. An entry of the list names such wording in ``beside``,
and in ``without`` what must not stand there. Each way is one pattern or several, which may stand in
different lines.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from orchestrator.diagnose.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.diagnose.catalogue import Alternative, Entry

#: Whether a log shows what an entry wants, shows it only in lines that prove nothing, or not.
Shown = Literal["yes", "doubted", "no"]
#: A command over several lines is put together up to this length.
MOST_CHARACTERS = 4000
#: Wordings with these are written on the host of a container, and hold within it.
_OF_A_HOST = ("lxc", "pct", "docker", "podman", "compose", "kube", "container")


@cache
def wanted() -> tuple[Alternative, ...]:
    """Return every single wording that some entry looks for anywhere in a log."""
    entries = load_catalogue().values()
    ways = (way for entry in entries for way in (*entry.beside, *entry.without))
    return tuple({one.parts: one for way in ways for one in way}.values())


@cache
def _by_word() -> Mapping[str, tuple[Alternative, ...]]:
    """Return the wordings by a word of which a line needs one of several: few of them are in it."""
    found: dict[str, list[Alternative]] = {}
    for one in wanted():
        rarest = min(one.required, key=lambda words: (len(words), -min(map(len, words))))
        for word in rarest:
            found.setdefault(word, []).append(one)
    return {word: tuple(some) for word, some in found.items()}


@cache
def deepened() -> tuple[Entry, ...]:
    """Return the entries without wording of their own: they say more than a general one that
    was found, where the log shows what they want."""
    entries = load_catalogue().values()
    return tuple(one for one in entries if one.beside and not (one.match or one.hint))


@cache
def _compared() -> frozenset[tuple[str, ...]]:
    """Return the wordings of entries that want two captured words to be the same."""
    some = (one for one in load_catalogue().values() if (one.rule or "").startswith("same "))
    return frozenset(one.parts for entry in some for way in entry.beside for one in way)


class Surroundings:
    """Takes in the lines of one log; :meth:`shown` is asked for an entry at any time."""

    def __init__(self) -> None:
        #: What was captured, by the wording; and which stand only in lines that prove nothing.
        self._seen: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._doubted: set[tuple[str, ...]] = set()
        #: The line in which each stands.
        self._at: dict[tuple[str, ...], int] = {}
        #: What was captured otherwise in a later line, by the wording.
        self._varied: dict[tuple[str, ...], set[str]] = {}
        self._open = ""

    @property
    def waits(self) -> bool:
        """Whether the next line goes on with a command that a backslash broke off."""
        return bool(self._open)

    def feed(self, folded: str, *, number: int = 0, doubted: bool = False) -> None:
        """Take in one folded line; a ``doubted`` one proves nothing."""
        line = f"{self._open} {folded}" if self._open else folded
        broken = line.endswith("\\") and len(line) < MOST_CHARACTERS
        self._open = line[:-1].rstrip() if broken else ""
        if broken:
            return
        lower = line.lower()
        some = {
            one.parts: one for word, ones in _by_word().items() if word in lower for one in ones
        }
        compared = _compared()
        for one in some.values():
            known = one.parts in self._seen
            settled = known and (doubted or one.parts not in self._doubted)
            if settled and one.parts not in compared:
                continue
            if not all(any(word in lower for word in words) for words in one.required):
                continue
            captured = one.search(line, lower if line.isascii() else None)
            if captured is None:
                continue
            if settled:
                first = self._seen[one.parts].items()
                if not doubted:
                    others = {name for name, value in first if captured.get(name) != value}
                    self._varied.setdefault(one.parts, set()).update(others)
                continue
            self._seen[one.parts] = captured
            self._at[one.parts] = number
            if doubted:
                self._doubted.add(one.parts)
            else:
                self._doubted.discard(one.parts)

    def _ways(self, ways: tuple[tuple[Alternative, ...], ...]) -> Iterator[tuple[Alternative, ...]]:
        for way in ways:
            if all(one.parts in self._seen for one in way):
                yield way

    def shown(self, entry: Entry, apart: Callable[[int], bool] | None = None) -> Shown:
        """Tell whether the log so far shows what ``entry`` wants, and nothing that speaks
        against it. A line of which ``apart`` says that it is another machine's proves nothing."""
        if entry.without and any(self._ways(entry.without)):
            return "no"
        if not entry.beside:
            return "yes"
        # Of two words that must be the same one was another in another line: which is meant?
        rule = (entry.rule or "").split()
        compared = set(rule[1:]) if rule[:1] == ["same"] else set()
        found: Shown = "no"
        for way in self._ways(entry.beside):
            if not any(self._doubts(one, apart, compared) for one in way):
                return "yes"
            found = "doubted"
        return found

    def _doubts(
        self, one: Alternative, apart: Callable[[int], bool] | None, compared: set[str]
    ) -> bool:
        """Tell whether the line that shows ``one`` may not be of what failed. What sets a container
        up is written on its host."""
        if one.parts in self._doubted or compared & self._varied.get(one.parts, set()):
            return True
        if apart is None or any(word in part for part in one.parts for word in _OF_A_HOST):
            return False
        return apart(self._at[one.parts])

    def captured(self, entry: Entry) -> dict[str, str]:
        """Return what the wording captured that ``entry`` wants."""
        words: dict[str, str] = {}
        for way in self._ways(entry.beside):
            for one in way:
                for name, value in self._seen[one.parts].items():
                    words.setdefault(name, value)
        return words
