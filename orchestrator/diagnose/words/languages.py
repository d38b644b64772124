"""What the system says on machines of other languages, in the words that patterns are written for.

The sentences of the system stand in :mod:`orchestrator.diagnose.words.sentences`, those of
programs in the modules beside it; any kind of quote stands for ``'``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.words.sentences import ALONE, FORMED, SYSTEM
from orchestrator.diagnose.words.sentences_media import MEDIA
from orchestrator.diagnose.words.sentences_tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_QUOTE = "[\"'`\u00b4\u2018\u2019\u201c\u201d]"


def _written(sentence: str) -> str:
    return re.escape(sentence).replace("'", _QUOTE).replace(r"\ ", r"\s+")


def _any_of(table: dict[str, tuple[str, ...]]) -> tuple[re.Pattern[str], dict[str, str]]:
    said = {one: english for english, others in table.items() for one in others}
    longest_first = sorted(said, key=len, reverse=True)
    pattern = "|".join(_written(one) for one in longest_first)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE), said


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(_QUOTE, "'", text)).lower()


_SYSTEM, _SAID = _any_of(SYSTEM)
_ALONE, _SAID_ALONE = _any_of(ALONE)
#: A whole line, what follows a colon, or what a shell says of a job: ``4711 Killed  ./run``.
_ALONE_ON_LINE = re.compile(
    rf"(?P<before>^\s*|: ?)(?P<word>{_ALONE.pattern})(?=\s*(?:\(|\.?$))"
    rf"|(?P<job>: +\d+ +)(?P<ended>{_ALONE.pattern})(?=\s|$)",
    re.IGNORECASE,
)
#: The longest word of each sentence, without which there is no use in looking for it.
_FORMED = tuple(
    (
        max(re.split(r"['\s]|%s", one), key=len),
        re.compile(_written(one).replace("%s", r"(\S+)"), re.IGNORECASE),
        english,
    )
    for english, others in FORMED.items()
    for one in others
)
#: The space that French writes before a colon.
_FRENCH = re.compile(r"(?<=\S)[ \u00a0]:[ \u00a0](?=command not found|No such file)")


def _known_by(said: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: said[_key(match[0])]


def _filled(english: str) -> Callable[[re.Match[str]], str]:
    return lambda match: english.replace("%s", match[1])


def sentences() -> Iterable[str]:
    """Yield every sentence that is understood, as the programs write it."""
    for table in (SYSTEM, ALONE, FORMED):
        for others in table.values():
            yield from others


#: Those of programs: each is looked for only in lines with its longest word, and those of Chinese,
#: Japanese and Korean, which have no spaces, in lines of such letters.
_LETTERS = re.compile(r"[^\W\d_]+")
_EAST = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ANY_QUOTE = "[\"'`\u00b4\u2018\u2019\u201a\u201c-\u201e\u2039\u203a\u00ab\u00bb]"
_PLACES = re.compile(r"'\{(\d)\}'|\{(\d)\}")


def _placed(sentence: str) -> re.Pattern[str]:
    """Return the pattern of ``sentence``: words in quotes must stand in quotes, of any kind."""
    pattern, end = "", 0
    for place in _PLACES.finditer(sentence):
        pattern += _written(sentence[end : place.start()])
        pattern += (
            rf"{_ANY_QUOTE}\s?(?P<w{place[1]}>[^\"'\u2019\u201c\u201d\u00ab\u00bb]{{1,120}}?)\s?{_ANY_QUOTE}"
            if place[1]
            else rf"(?P<w{place[2]}>\S+?)"
        )
        end = place.end()
    pattern += _written(sentence[end:])
    bound = r"(?!\w)" if not sentence.endswith("}") else r"(?=[\s,;:.)]|$)"
    east = _EAST.search(sentence)
    return re.compile(pattern if east else rf"(?<!\w){pattern}{bound}", re.IGNORECASE)


def _key_of(sentence: str) -> str:
    words: list[str] = _LETTERS.findall(_PLACES.sub(" ", sentence))
    return max(words, key=len)


_BY_WORD: dict[str, list[tuple[re.Pattern[str], str]]] = {}
_OF_THE_EAST: list[tuple[str, re.Pattern[str], str]] = []
# Long ones first: some stand within others.
for _one, _english in sorted(
    ((one, english) for english, others in (MEDIA | TOOLS).items() for one in others),
    key=lambda row: -len(row[0]),
):
    if _EAST.search(_one):
        _OF_THE_EAST.append((_key_of(_one), _placed(_one), _english))
    else:
        _BY_WORD.setdefault(_key_of(_one), []).append((_placed(_one), _english))


def _in_place(english: str) -> Callable[[re.Match[str]], str]:
    return lambda match: str(_PLACES.sub(lambda place: match[f"w{place[1] or place[2]}"], english))


#: Words without which a line of plain ASCII holds none of the system's sentences.
_ASCII = {_key_of(one.replace("%s", " ")) for one in sentences() if one.isascii()}


def _of_programs(line: str, words: set[str]) -> str:
    for word in sorted(_BY_WORD.keys() & words, key=len, reverse=True):
        for pattern, english in _BY_WORD[word]:
            line = pattern.sub(_in_place(english), line)
    if _EAST.search(line):
        lower = line.lower()
        for word, pattern, english in _OF_THE_EAST:
            if word in lower:
                line = pattern.sub(_in_place(english), line)
    return line


def to_english(line: str) -> str:
    """Return ``line`` with what the system says in another language said in English."""
    words = set(_LETTERS.findall(line.lower()))
    # First, as some of the system's stand within longer ones of these.
    line = _of_programs(line, words)
    if line.isascii() and _ASCII.isdisjoint(words):
        return line
    # Chinese and Japanese shells write a wide colon, with no space after it.
    line = _SYSTEM.sub(_known_by(_SAID), line.replace("\uff1a", ": "))
    line = _ALONE_ON_LINE.sub(
        lambda match: (
            (match["before"] or match["job"] or "")
            + _SAID_ALONE[_key(match["word"] or match["ended"])]
        ),
        line,
    )
    lower = line.lower()
    for word, pattern, english in _FORMED:
        if word in lower:
            line = pattern.sub(_filled(english), line)
    return _FRENCH.sub(": ", line)
