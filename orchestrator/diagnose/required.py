"""Finds the words without which a pattern cannot match, so that most patterns need not be tried.

A log has a million lines and the list some hundreds of patterns; looking for words is a
hundred times cheaper than matching. Where nothing is certain the answer is the empty set,
which means "always try".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Words = frozenset[str]

NONE: Words = frozenset()

#: Shorter words are in nearly every line and rule nothing out.
SHORTEST = 3
#: A set with more words than this is not worth looking for.
MOST = 14

#: Words of so many lines of any log that they rule little out.
_COMMON = frozenset(
    {
        "cannot", "config", "could", "directory", "error", "exception", "exist", "fail", "failed",
        "file", "found", "http", "memory", "not", "response", "returned", "server", "source",
        "status", "the", "type", "unable", "value",
    }
)  # fmt: skip
_WORD = re.compile(rf"[a-z0-9_]{{{SHORTEST},}}")
_CUT = "\0"


def required_words(pattern: str) -> Words:
    """Return lower-case words of which at least one is in everything that ``pattern`` matches.

    Understands what the lists of failures uses: groups, named groups, look-around, alternatives,
    classes, escapes, and quantifiers.
    """
    words, rest = _alternatives(pattern, 0)
    return words if rest == len(pattern) else NONE


def required_sets(pattern: str) -> tuple[Words, ...]:
    """Return sets of words; everything that ``pattern`` matches has one word of each set.

    Several sets rule out more than the best one alone: ``hef ... version`` needs both words.
    """
    sets, index = _certain(pattern, 0)
    if index == len(pattern):
        return tuple(dict.fromkeys(words for words in sets if words))
    words = required_words(pattern)
    return (words,) if words else ()


def branches(pattern: str) -> list[str]:
    """Split ``a|b`` in two, each of which needs words of its own and may name its own groups."""
    found, depth, index = [""], 0, 0
    while index < len(pattern):
        char = pattern[index]
        end = index + 1
        if char == "\\":
            end = index + 2
        elif char == "[":
            end = pattern.index("]", index + 2) + 1
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += pattern[index:end]
        index = end
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a line must hold to matter to a reader: one word of each set of any of ``sets``.

    ``blind`` are patterns that need no word at all; they have to be asked themselves, and do
    not look at the value of a number.
    """

    sets: tuple[tuple[Words, ...], ...]
    blind: tuple[re.Pattern[str], ...]


def wanted(patterns: Iterable[re.Pattern[str] | tuple[re.Pattern[str], ...]]) -> Wanted:
    """Return what lines must hold that any of ``patterns`` can match; of a tuple all must."""
    sets: list[tuple[Words, ...]] = []
    blind: list[re.Pattern[str]] = []
    for one in patterns:
        together = one if isinstance(one, tuple) else (one,)
        if len(together) > 1:
            sets.append(tuple(some for each in together for some in required_sets(each.pattern)))
            continue
        needed = [required_sets(branch) for branch in branches(together[0].pattern)]
        if all(needed):
            sets.extend(needed)
        else:
            blind.append(together[0])
    return Wanted(tuple(dict.fromkeys(sets)), tuple(blind))


def any_words(patterns: Iterable[re.Pattern[str] | tuple[re.Pattern[str], ...]]) -> Words:
    """Return words of which a line must hold one to be matched by any of ``patterns``.

    :raises ValueError: a pattern needs no word, so that nothing can be said.
    """
    want = wanted(patterns)
    if want.blind:
        msg = f"{want.blind[0].pattern!r} needs no word"
        raise ValueError(msg)
    return frozenset().union(*(max(sets, key=_worth) for sets in want.sets))


def _alternatives(text: str, index: int) -> tuple[Words, int]:
    """Read ``a|b|c`` up to a closing parenthesis; one of the words of each branch is there."""
    total: set[str] = set()
    certain = True
    while True:
        words, index = _branch(text, index)
        certain = certain and bool(words)
        total |= words
        if index < len(text) and text[index] == "|":
            index += 1
            continue
        return (frozenset(total) if certain and len(total) <= MOST else NONE), index


def _branch(text: str, index: int) -> tuple[Words, int]:
    """Read a sequence; the best of its certain parts is returned."""
    found, index = _certain(text, index)
    return max(found, key=_worth, default=NONE), index


def _certain(text: str, index: int) -> tuple[list[Words], int]:
    """Read a sequence up to ``|`` or ``)``; all its certain parts are returned."""
    plain: list[str] = []
    found: list[Words] = []
    while index < len(text) and text[index] not in "|)":
        char = text[index]
        if char == "(":
            words, counts, index = _group(text, index)
            optional, index = _quantifier(text, index)
            if words and counts and not optional:
                found.append(words)
            plain.append(_CUT)
            continue
        literal, index = _one(text, index)
        optional, after = _quantifier(text, index)
        plain.append(_CUT if optional or not literal else literal)
        if after != index and not optional:
            # `a+` and `a{2}`: at least one, and what follows is not joined to it.
            plain.append(_CUT)
        index = after
    found.extend(frozenset({word}) for word in _WORD.findall("".join(plain).lower()))
    return found, index


def _worth(words: Words) -> tuple[int, int, int]:
    """Few, rare and long words are worth most."""
    return (-len(words), -len(words & _COMMON), min(len(word) for word in words))


def _group(text: str, index: int) -> tuple[Words, bool, int]:
    """Read ``(...)``; the second value is false where its words need not be in the match."""
    index += 1
    counts = True
    if text.startswith("?", index):
        if text.startswith(("?!", "?<!"), index):
            counts = False
            index += 2 if text[index + 1] == "!" else 3
        elif text.startswith(("?=", "?<="), index):
            index += 2 if text[index + 1] == "=" else 3
        elif text.startswith("?P<", index):
            index = text.index(">", index) + 1
        else:
            index = text.index(":", index) + 1
    words, index = _alternatives(text, index)
    return words, counts, index + 1


def _one(text: str, index: int) -> tuple[str, int]:
    """Read one character; return it if it is a literal, else ``""``."""
    char = text[index]
    if char == "\\":
        escaped = text[index + 1]
        return ("" if escaped.isalnum() else escaped), index + 2
    if char == "[":
        close = text.index("]", index + 2)
        return "", close + 1
    return ("" if char in ".^$" else char), index + 1


def _quantifier(text: str, index: int) -> tuple[bool, int]:
    """Read ``?``, ``*``, ``+``, ``{..}``; return whether what it follows may be absent."""
    optional = False
    if index < len(text) and text[index] in "?*+":
        optional = text[index] in "?*"
        index += 1
    elif index < len(text) and text[index] == "{":
        close = text.index("}", index)
        optional = text[index + 1 : close].partition(",")[0] in {"", "0"}
        index = close + 1
    else:
        return False, index
    if index < len(text) and text[index] in "?+":
        index += 1
    return optional, index
