"""Takes apart a line that holds several: a page's source, a log kept in one string.

A page writes ``<br>`` and ``</p>`` where a line ends, JSON and Python's ``repr`` write ``\\n``. A
whole log may stand in one field, as engines, interfaces of forges and test reports keep it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.post.listings import is_code
from orchestrator.diagnose.post.pasted import KEPT_UNDER
from orchestrator.diagnose.post.session import PROMPT
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longer lines are data, and no log that somebody kept.
LONGEST = 1 << 16
#: Where a page ends or begins a line.
_BREAK = re.compile(
    r"<(?:br|hr)\s*/?>|</?(?:p|pre|li|div|tr|h[1-6]|ul|ol|blockquote|table)(?:\s[^<>]{0,200})?>",
    re.IGNORECASE,
)
#: What else stands in such a line and is no word of it.
_TAG = re.compile(
    r"</?(?:a|b|i|em|strong|code|span|td|th|tt|kbd|samp|font|body|html|details|summary)"
    r"(?:\s[^<>]{0,400})?>",
    re.IGNORECASE,
)
#: Where another message begins in the same line, whose end of line was lost: the mark of HailoRT
#: or of the SDK, the stamp of a logger, of the kernel or of a journal, behind other words.
_GLUED = re.compile(
    r"(?<=[\w.!?;)])(?="
    r"\[HailoRT\] \[(?:info|warning|error|critical|debug|trace)\] "
    r"|\[(?:info|warning|error|critical)\] "
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d{3} (?:- )?[\w.]* ?(?:- )?(?:DEBUG|INFO|WARNING"
    r"|ERROR|CRITICAL)\b"
    r"|\[ {0,4}\d{1,6}\.\d{6}\] \w"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov"
    r"|Dec) [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w.-]+(?:\[\d+\])?: "
    r")"
)
#: What a line holds that may be glued.
_BETWEEN = ("[HailoRT] [", "[error] ", "[info] ", " ERROR", " INFO", " WARNING", "] ", "]: ")
#: A status of HailoRT to which a page's text glued the next sentence.
_RUN_ON = re.compile(r"\b(hailo_[a-z_]{6,60}|HAILO_[A-Z_]{6,60})(?=[A-Z][a-z]|I )")
#: A field of an object that is printed over several lines, or a string in a list.
_FIELD = re.compile(
    r"^\s*(?:[-{\[,]\s*)*(?:\"[^\"\\]{1,60}\"\s*:\s*)?(?P<value>\"(?:[^\"\\]|\\.)*\")[\s,}\]]*$"
)
#: Where Python begins to show a string or bytes, and where that ends: near the end of the line.
_OPENS = {q: re.compile(rf"(?:^|(?<=[=:(,\s]))b?{q}") for q in ("'", '"')}
_CLOSES = re.compile(r"['\"](?=\W{0,4}\Z)")
#: A shorter string is no log.
_SHORTEST = 20
_ESCAPES = (("\\r\\n", "\n"), ("\\n", "\n"), ("\\t", "\t"), ("\\'", "'"), ('\\"', '"'))
#: What stores of logs, test reports and forges call the words of a program.
_WORDS = frozenset((*KEPT_UNDER, "body", "stdout", "stderr", "output"))


def unfold(line: str) -> list[str]:
    """Return the lines that ``line`` holds; nearly always itself alone."""
    if len(line) > LONGEST:
        return [line]
    if _is_glued(line):
        return _GLUED.split(line)
    if "<" in line and _BREAK.search(line) is not None:
        parts = [_TAG.sub(" ", part) for part in _BREAK.split(line)]
        return [part for part in parts if part.strip()] or [""]
    if "\\n" not in line and '"MESSAGE":[' not in line:
        return [line]
    return _out_of_json(line) or _out_of_repr(line) or [line]


def unglued(line: str) -> str:
    """Return ``line`` with a status of HailoRT parted from the sentence behind it."""
    if "ailo_" not in line and "AILO_" not in line:
        return line
    return _RUN_ON.sub(r"\1 ", line)


def _is_glued(line: str) -> bool:
    """Tell whether a second message begins in ``line`` that was begun in a line of its own."""
    if line[:1] in '{"' or "`" in line or not any(sign in line[8:] for sign in _BETWEEN):
        return False
    return _GLUED.search(line, 8) is not None


def _out_of_json(line: str) -> list[str]:
    bare = line.strip()
    if bare[:1] in {"{", "["} and bare[-1:] in {"}", "]"}:
        try:
            kept = parse_json(bare)
        except ValueError:
            kept = None
        texts = list(_texts(kept, "")) if kept is not None else []
        # An object of one line of a log is read as such.
        if any("\n" in text.strip("\n") for text in texts) or '"MESSAGE":[' in line:
            return [part for text in texts for part in _lines(text)]
    field = _FIELD.match(line)
    if field is None or "\\n" not in field["value"]:
        return []
    try:
        return _lines(str(parse_json(field["value"])))
    except ValueError:
        return []


def _texts(kept: object, name: str, depth: int = 0) -> Iterator[str]:
    """Yield the texts of an object that are logs, in their order."""
    if isinstance(kept, str):
        if name in _WORDS or "\n" in kept:
            yield kept
    elif depth > 8:
        return
    elif isinstance(kept, dict):
        for key, value in kept.items():
            yield from _texts(value, str(key), depth + 1)
    elif isinstance(kept, list):
        if (
            kept
            and name == "MESSAGE"
            and all(isinstance(one, int) and 0 <= one < 256 for one in kept)
        ):
            yield bytes(kept).decode("utf-8", "replace")
            return
        for value in kept:
            yield from _texts(value, name, depth + 1)


def _out_of_repr(line: str) -> list[str]:
    if line.count("\\n") < 2 or PROMPT.match(line) or is_code(line):
        return []
    for closes in reversed([*_CLOSES.finditer(line, max(0, len(line) - 5))]):
        opens = _OPENS[closes[0]].search(line)
        if opens is None or closes.start() - opens.end() < _SHORTEST:
            continue
        text = line[opens.end() : closes.start()]
        for written, sign in _ESCAPES:
            text = text.replace(written, sign)
        return [line[: opens.start()], *_lines(text)]
    return []


def _lines(text: str) -> list[str]:
    # Half a sign, as only JSON can write it, is none that could be printed.
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\r\n", "\n").rstrip("\n").split("\n")
