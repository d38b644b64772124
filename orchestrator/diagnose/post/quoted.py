"""Tells what a post quotes of somebody else from what its writer's own machine printed.

``Max wrote:`` and the lines marked ``>`` below it, a part between ``[quote=...]`` and ``[/quote]``.
Often a quotation is all that there is, or the writer has the same; then the log in it is the log.
It is another's only where the writer shows a log of their own beside it.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.post.session import prompt_of
from orchestrator.diagnose.post.voices import SAME, is_healthy, is_own
from orchestrator.diagnose.tracebacks import RAISED

#: Somebody else is said to speak in the lines below.
_SAYS = re.compile(
    r"^(?:> ?)*\W{0,4}(?!(?:I|we|ich|wir|yo|je|eu)\b)(?:"
    r"@?[\w.-]{2,40}(?: [\w.-]{2,40}){0,2} (?:wrote|writes|said|schrieb|schreibt"
    r"|escribi(?:\u00f3|o)"
    r"|escreveu|a \u00e9crit|ha scritto|\u043d\u0430\u043f\u0438\u0441\u0430\u043b\u0430?)"
    r"(?: .{0,40})?\s?:"
    r"|on .{6,160}\bwrote:|am .{4,120}\bschrieb\b.{0,120}:|le .{6,160}\ba \u00e9crit ?:"
    r"|el .{6,160}\bescribi\u00f3:|em .{6,160}\bescreveu:"
    r"|.{1,60}(?:\u5199\u9053|\u5beb\u9053)\s*[:\uff1a]"
    r"|-{2,} ?(?:original message|forwarded message|urspr\u00fcngliche nachricht) ?-{2,}"
    r")\W{0,3}$",
    re.IGNORECASE,
)
_OPENS = re.compile(r"^\s*(?:\[quote(?P<whose>=[^\]]+)?\]|<blockquote\b)", re.IGNORECASE)
_CLOSES = re.compile(r"(?:\[/quote\]|</blockquote>)\s*$", re.IGNORECASE)
#: Marks that are none of a quotation: Python's prompt, and what HailoRT and shells print.
_UNMARKED = re.compile(r"^>(?:>>|\s*$| inference result:| ?[\w.-]+@[\w.-]+$)", re.IGNORECASE)
#: OpenCV marks the further lines of a message in the same way.
_OPENCV = re.compile(r"\berror: \(-\d+:[^)]*\)")
#: A log of the writer's own: a command, what was raised, words of a tool or of the kernel.
_OWN = re.compile(
    r"^\s*(?:\[?(?:HailoRT|info|error|warning)[\]: ]|Traceback \(most recent|<Hailo Model Zoo"
    r"|\[\s*\d+\.\d{4,}\]|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
    r"|(?:\w+: )?error: |E: |bash: |-bash: )",
    re.IGNORECASE,
)
#: And a failure among it.
_FAILS = re.compile(
    r"\berror\b|\bfailed\b|cannot |not found|no such file|HAILO_(?!SUCCESS)[A-Z_]+\(\d",
    re.IGNORECASE,
)
#: An answer: to a person by name, or how it is with the writer instead.
_ANSWERS = re.compile(
    r"^\W{0,2}@[\w.-]{2,}\b|\bfor me (?:it|this|that)\b|\b(?:with|for) me,? (?:it|this) (?:is"
    r"|looks)"
    r"|\bmine (?:works|is|says)\b|\bbei mir (?:nicht|ist|geht|l\u00e4uft)\b",
    re.IGNORECASE,
)
#: How a mail names whom it quotes, below which programs of mail may leave out the marks.
_MAIL = re.compile(r"(?:on|am|le|el|em|il|il giorno|-{2,}|op) ?.{4,160}$", re.IGNORECASE)
#: And how its writer speaks to one person.
_GREETS = re.compile(
    r"^(?:(?:hi|hello|hey|dear|hallo|moin|servus|lieber?|bonjour|salut|cher|ch\u00e8re|hola"
    r"|buenas|ol\u00e1"
    r"|oi|ciao|caro|cara|thanks?|danke|merci|gracias|obrigad[oa]|grazie),? (?!(?:all|everyone"
    r"|everybody|team"
    r"|there|guys|folks|zusammen|leute|community|tous|a todos|todos|pessoal|a tutti|tutti|for"
    r"|you|f\u00fcr)\b)"
    r"[^\W\d_][\w.-]+(?: [^\W\d_][\w.-]+)?[,!.:]|@[\w.-]{2,}\b)",
    re.IGNORECASE,
)


def _quotations(lines: list[str]) -> list[tuple[int, int, bool]]:
    """Return first line, line behind the last, and whether somebody is named, of each."""
    found = []
    at = 0
    named = -9
    while at < len(lines):
        line = lines[at]
        opens = _OPENS.match(line) if line.lstrip()[:1] in {"[", "<"} else None
        if opens is not None:
            end = at
            while end < len(lines) and _CLOSES.search(lines[end]) is None:
                end += 1
            if end < len(lines):
                found.append((at, end + 1, opens["whose"] is not None))
                at = end + 1
                continue
        if line[:1] == ">" and _UNMARKED.match(line) is None:
            end = at
            if at and _OPENCV.search(lines[at - 1]) is not None:
                while at < len(lines) and lines[at][:1] == ">":
                    at += 1
                continue
            while end < len(lines) and lines[end][:1] == ">":
                end += 1
            says = named >= at - 2 or any(_is_said(one) for one in lines[at : at + 2])
            if end - at > 1 or says:
                found.append((at, end, says))
            at = end
            continue
        if _is_said(line):
            named = at
        at += 1
    return found


def _unmarked(lines: list[str]) -> list[tuple[int, int, bool]]:
    """Return the quotations of mails whose lines have no mark, up to where the answer begins."""
    found = []
    at = 0
    while at < len(lines):
        mail = _is_said(lines[at]) and _MAIL.match(lines[at]) is not None
        body = [line for line in lines[at + 1 : at + 4] if line.strip()] if mail else []
        if not body or any(line[:1] == ">" for line in body):
            at += 1
            continue
        first = at + 1
        at = first
        while at < len(lines) and _GREETS.match(lines[at]) is None:
            at += 1
        found.append((first, at, True))
    return found


def _is_said(line: str) -> bool:
    return (
        len(line) < 250
        and line.rstrip()[-1:] in {":", "\uff1a", "-", "*"}
        and (_SAYS.match(line) is not None)
    )


def of_others(lines: list[str]) -> tuple[set[int], set[int]]:
    """Return the numbers of the lines that are another's, and of those that may be."""
    marked = any(line[:1] in {">", "[", "<"} for line in lines)
    quotations = (_quotations(lines) if marked else []) or _unmarked(lines)
    if not quotations:
        return set(), set()
    inside = {number for first, end, _ in quotations for number in range(first, end)}
    outside = [line for number, line in enumerate(lines) if number not in inside]
    if any(len(line) < 400 and SAME.search(line) for line in outside):
        return set(), set()
    logs = [line for line in outside if _OWN.match(line) or prompt_of(line) or RAISED.match(line)]
    if not logs:
        answered = any(
            (_GREETS.match(line) and not _is_said(line)) or is_healthy(line) for line in outside
        )
        asks = any(is_own(line) for line in outside)
        if asks or not answered:
            return set(), set()
        return set(), {at for first, end, said in quotations if said for at in range(first, end)}
    fails = any(_FAILS.search(line) or RAISED.match(line) for line in logs)
    answers = any(_ANSWERS.search(line) for line in outside)
    others: set[int] = set()
    doubted: set[int] = set()
    for first, end, named in quotations:
        if named:
            others.update(range(first, end))
        elif fails or answers:
            doubted.update(range(first, end))
    return others, doubted
