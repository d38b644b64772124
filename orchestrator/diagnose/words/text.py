"""Log text as it should be compared: without colours, prefixes, quotes and other accidents.

The vendor's tools print through tqdm (carriage returns), Keras (backspaces), docker (time
stamps), compose (container names) and people's clipboards (curly quotes, wrapped lines). All
of it is taken off here, once, so that patterns speak about words only.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.diagnose.words.languages import to_english

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Longer lines are cut in the middle: no message is that long, and a minified JSON must not
#: cost minutes of matching.
LONGEST = 2400
#: Long logs say the same again and again: results for this many lines are kept.
REMEMBERED = 8192

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: No word of a message is so long; matching takes the square of it.
_LONG_WORD = re.compile(r"\S{400,}")
_KEPT = 150
#: The box that rich draws around a traceback.
_BORDERS = re.compile("^\\s*[\u2502\u2503]\\s?|\\s*[\u2502\u2503]\\s*$")
_SPACES = re.compile(r"\s+")
# Straight, grave, acute, and the curly ones of word processors and chat programs.
_APOSTROPHE = "['`\u00b4\u2018\u2019]"
_QUOTES = re.compile("[\"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]")
_CONTRACTED = re.compile(rf"{_APOSTROPHE}(?:t|s)\b|\bcant?\b(?:\s+not\b)?", re.IGNORECASE)
_CONTRACTIONS = (
    (re.compile(rf"\bcan{_APOSTROPHE}?t\b|\bcan\s+not\b", re.IGNORECASE), "cannot"),
    (re.compile(rf"\bwon{_APOSTROPHE}t\b", re.IGNORECASE), "will not"),
    (re.compile(rf"(?<=[a-z])n{_APOSTROPHE}t\b", re.IGNORECASE), " not"),
    (re.compile(rf"\b(there|it|that){_APOSTROPHE}s\b", re.IGNORECASE), r"\1 is"),
)
_STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
#: What programs put before a line that is not theirs.
_PREFIX = re.compile(
    r"^\s*(?:"
    rf"{_STAMP}\s\S+\s(?:kernel|[^\s:\[]{{1,40}}\[\d+\]):"  # journalctl with full stamps
    rf"|\[?{_STAMP}\]?"  # docker logs -t, GitHub, loguru
    r"|std(?:out|err)\s[FP](?=\s)"  # container runtimes of Kubernetes
    r"|\[\d*\](?=\s*(?:\[\d*\]\s*)?\[hailort\])"  # HailoRT's log file: process and thread
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?(?=\s|$)"  # a clock alone
    r"|\[\s*\d{1,7}\.\d{6}\]"  # dmesg
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\s+\d+\s\d\d:\d\d:\d\d"
    r"\s\S+\s[^\s:\[]{1,40}(?:\[\d+\])?:"  # syslog
    r"|(?!(?:info|warn|warning|error|debug|critical)\s)[\w.-]{1,60}\s+\|(?=\s|$)"  # docker compose
    r"|\d{1,6}\s{2,}(?=\[|<hailo)|(?<=\s)\d{1,6}(?:\t|\s{2})"  # cat -n, history
    r"|(?:\||#|[-*\u2022])\s(?=\s*(?:\[|<hailo))"  # quoted in a report
    r"|(?:> ?)+(?=\s*[\w\"'/\[<])(?<!>>>)(?<!>>> )"
    r"|#\d+ \d+\.\d{1,3}(?=\s)"  # docker build
    # A program's own log; the SDK's (hailo_sdk.client.log) also names the place in its code.
    r"|-\s(?:[\w.]{1,40} - )?(?:info|debug|important|stdout|stderr) -"
    r"(?:\s\w{1,60}\.py:\d{1,5} -)?(?=\s)"
    r")\s*",
    re.IGNORECASE,
)
_SYSTEM = re.compile(
    r"^\s*(?:\[\s*\d+\.\d{6}\]|[A-Z][a-z]{2}\s+\d+\s\d\d:\d\d:\d\d\s"
    rf"|{_STAMP}\s\S+\s(?:kernel|[^\s:\[]{{1,40}}\[\d+\]):)"
)
#: Prefixes that may stand one before the other.
_MOST_PREFIXES = 4
#: Nothing hides in these, and nothing of them is read.
_BULK = re.compile(
    r"^(?:\[info\] )?(?:[\w./-]+: pass|\+[-+]+\+|reverts on .*|iterations: \d+"
    r"|activation fitting started for \S+|\| (?:cluster_\d+|total) .*|[.+ ]+)\s*$"
    r"|^\s*worker\d\b",
    re.IGNORECASE,
)
#: A new message of the vendor's own tools starts here.
_MARKER = re.compile(
    r"^\s*(?:\[\s*(?:info|warning|warn|error|debug|critical|fatal|trace|hailort[^\]]*|hailo[^\]]*)"
    r"\s*\]"
    r"|<hailo model zoo [a-z]+>|traceback \(most recent|error\s*:|warning\s*:|\$ "
    # Tools of the shell: each says who it is, and says it in one line.
    r"|(?:stat|ls|cat|cp|mv|rm|ln|chmod|chown|mkdir|tar|sed|(?:group|user)(?:mod|add)|mount"
    r"|modprobe|insmod|systemctl|(?:/bin/)?(?:ba|da)?sh): "
    # Loggers of Python programs: name and level, in either order.
    r"|(?-i:(?:[|-]\s*)?(?:[\w.:]+\s+(?:[|-]\s+)?)?"
    r"(?:INFO|WARN(?:ING)?|ERROR|DEBUG|CRITICAL|SUCCESS)\s*[|:-]\s)"
    # What ldd prints: each library is a message of its own.
    r"|lib\S+\.so[\d.]* =>"
    # The parser's list: one error of one node in each line.
    r"|unsupported\w+error in op \S|unexpectednodeerror in op \S"
    r"|calibration:|[iwef]\d{4} |[iwef] \S+/\S+:\d+\]|(?:info|debug)\s*:|step \d+/\d+)",
    re.IGNORECASE,
)


def clean(line: str) -> str:
    """Return one printed line without escapes, control characters and outer white space."""
    if len(line) > LONGEST:
        keep = LONGEST // 2
        line = f"{line[:keep]} ... {line[-keep:]}"
    if "\x1b" in line or "\x9b" in line:
        line = _ESCAPES.sub("", line)
    if "\u2502" in line or "\u2503" in line:
        line = _BORDERS.sub("", line)
    line = _CONTROLS.sub("", line).rstrip()
    if len(line) < 400:
        return line
    return _LONG_WORD.sub(lambda word: f"{word[0][:_KEPT]}...{word[0][-_KEPT:]}", line)


def holding(lines: list[str], signs: Iterable[str], longest: int) -> Iterator[tuple[int, str]]:
    """Yield number and words of each line that has one of ``signs`` in small letters, and is not
    longer than ``longest``; most logs have few of them, which the whole tells at once."""
    small = [line.lower() if len(line) <= longest else "" for line in lines]
    whole = "\n".join(small)
    here = [sign for sign in signs if sign in whole]
    for number, lower in enumerate(small if here else ()):
        if any(sign in lower for sign in here):
            yield number, lines[number]


def split_feed(chunk: str) -> list[str]:
    """Split what arrived as one line into what a terminal would have shown one after another.

    tqdm and Keras redraw a line with carriage returns; each drawing is a line of its own.
    """
    if "\r" not in chunk and "\n" not in chunk:
        return [chunk]
    parts = [part for part in re.split(r"[\r\n]+", chunk) if part.strip()]
    return parts or [""]


@lru_cache(maxsize=REMEMBERED)
def strip_prefix(line: str) -> str:
    """Return ``line`` without time stamps, container names and the like before the message."""
    for _ in range(_MOST_PREFIXES):
        match = _PREFIX.match(line)
        if match is None or match.end() == 0:
            break
        line = line[match.end() :]
    return line


@lru_cache(maxsize=REMEMBERED)
def says_nothing(bare: str) -> bool:
    """Tell whether a line is one of the bulk of a long log: one for each layer, step, cluster."""
    return _BULK.match(bare) is not None


def behind_bar(bare: str) -> str:
    """Return what stands behind a progress bar (``]Killed``); nearly always nothing."""
    tail = bare.rpartition("]")[2].strip()
    return tail if tail[:1].isalpha() and len(tail) > 3 else ""


def stamped_by_system(line: str) -> bool:
    """Tell whether the kernel or syslog wrote ``line``: each of theirs is a message of its own.

    An engine or a report may have put a prefix of its own before theirs.
    """
    for _ in range(_MOST_PREFIXES):
        if _SYSTEM.match(line):
            return True
        match = _PREFIX.match(line)
        if match is None or match.end() == 0:
            return False
        line = line[match.end() :]
    return False


@lru_cache(maxsize=REMEMBERED)
def starts_message(line: str) -> bool:
    """Tell whether ``line`` (without prefix) begins a message, so that it continues nothing."""
    return _MARKER.match(line) is not None


@lru_cache(maxsize=REMEMBERED)
def fold(line: str) -> str:
    """Return the form that patterns are written for; letter case is kept for what is captured.

    White space is collapsed, quotes are gone, ``doesn't`` is ``does not``, and what the system
    says in other languages is said in English.
    """
    line = to_english(line)
    if _CONTRACTED.search(line):
        for pattern, replacement in _CONTRACTIONS:
            line = pattern.sub(replacement, line)
    return _SPACES.sub(" ", _QUOTES.sub("", line)).strip()
