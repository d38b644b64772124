"""Tells pasted papers: lists of changes, commits, forms that nobody filled in, sheets of exercises.

All of them hold messages of programs, and none of these came on the machine of who pastes them. A
paper is known by its own form (the head of an entry of Debian's changelog, the three lines above a
commit's words, "Exercise 4 (5 points)"), and ends where that form does: what follows is read.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.post import voices
from orchestrator.diagnose.post.pasted import FENCE, behind_fence
from orchestrator.diagnose.post.session import prompt_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: The head of an entry of Debian's changelog, and its last line.
_DEBIAN = re.compile(r"^[a-z0-9][\w.+-]+ \([\w.+~:-]+\) [\w, -]+; urgency=\w+")
_DEBIAN_ENDS = re.compile(r"^ ?-- .+ <.*>  ?\w")
#: A commit as git shows it, of which the words are moved to the right.
_COMMIT = re.compile(r"^(?:commit [0-9a-f]{7,64}\b|From [0-9a-f]{40} |Author: .* <\S+@\S+>$)")
_COMMIT_HEAD = re.compile(r"^(?:Author|AuthorDate|Commit|CommitDate|Date|Merge|From|Subject): ?")
#: The head of a list of changes, and what stands below it: items, and lines that go on with them.
_CHANGES = re.compile(
    r"^\W{0,4}(?:%changelog\b|what['\u2019]?s (?:new|changed)\b|release notes\b|changes (?:in"
    r"|since)\b"
    r"|change ?log\b|new in (?:version )?v?\d|versionshinweise|(?:ä|ae)nderungen (?:in|seit)"
    r"|neu in (?:version )?\d|was ist neu|notes de (?:version|publication)|nouveaut(?:é|e)s"
    r"|notas de (?:la )?(?:versi(?:ó|o)n|vers(?:ã|a)o|lan(?:ç|c)amento)|novedades|novidades"
    r"|note di rilascio|novit(?:à|a)|更新日志|发行说明|リリースノート|変更点)"
    r"(?!.*[?:]\s*$).{0,60}$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\W*$")
_ITEM = re.compile(r"^\s{0,6}(?:[-*+\u2022]|\d{1,2}[.)])\s+\S")
#: The head of a commit as projects agree to write it; several in a row are a list.
_AGREED = re.compile(
    r"^(?:[-*] )?(?:[0-9a-f]{7,12} )?(?:fix|feat|docs|chore|test|refactor|ci|build|perf|style)"
    r"(?:\([\w ./-]+\))?!?: \S"
)
#: A request that a change be taken: what it says of itself, and how its sentences begin.
_REQUEST = re.compile(
    r"^\W{0,4}(?:(?:merge|pull) request [!#]\d+|(?:closes|fixes|resolves|implements) #\d+\b)",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"^\W{0,4}(?:adds?|catch(?:es)?|fix(?:es)?|handles?|explains?|documents?|detects?|prints?"
    r"|shows?"
    r"|improves?|avoids?|prevents?|stops?|makes?|removes?)\b(?!:)",
    re.IGNORECASE,
)
#: A sheet of exercises: its head, and what asks who reads it.
_SHEET = re.compile(
    r"^\W{0,4}(?:exercise|question|problem|task|quiz|exam|lab|worksheet|assignment|homework|(?:ü"
    r"|ue)bung(?:sblatt)?|aufgabe|frage"
    r"|klausur|exercice|ejercicio|pregunta|quest(?:ão|ao|ion|ão)|exerc(?:í|i)cio|esercizio|domanda"
    r"|练习|问题|題)\W{0,2}(?:n[o°]\W?)?\d{1,2}\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\(?\b\d{1,2} ?(?:points?|pts?|marks?|punkte?|puntos?|pontos?|punti|分)\b\.?\)?"
    r"|(?:^|[.:!?)] )\W{0,3}(?:explain|name (?:two|three|the|a|one)|describe|give (?:two|the|a"
    r"|one)|state (?:the|two|why|what)"
    r"|what does (?:it|this|that) tell|which of (?:the|these)|erkl(?:ä|ae)ren? sie|nennen sie"
    r"|beschreiben sie|begr(?:ü|ue)nden sie|expliquez|d(?:é|e)crivez|nommez|donnez|explique"
    r"|describ[ae]|indique|nombre (?:dos|la|el)|cite|spieg(?:a|hi|are)|descriv[ai])\b",
    re.IGNORECASE,
)
#: Answers to choose from, with a place for a cross.
_CHOICE = re.compile(r"^\s*(?:\( ?\)|\u25cb|\u2610|[a-eA-E]\)) ?\S")
_CHOICES = 3
#: What the form of a report says itself, and what it gives as an example.
_FORM = re.compile(
    r"^\W*a clear and concise description\b|<!--.*-->|\[(?:paste|insert|describe|enter) .*\]"
    r"|^\W*(?:paste|insert) your .* here\W*$",
    re.IGNORECASE,
)
_FOR_EXAMPLE = re.compile(
    r"\b(?:e\.g\.|for example|for instance|such as|z\. ?b\.|par exemple)", re.IGNORECASE
)
#: A sheet is never longer.
_MOST = 30


def is_of_a_paper(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that belong to such a paper."""
    return _changelogs(lines) | _lists(lines) | _sheets(lines) | _examples(lines)


def _changelogs(lines: list[str]) -> set[int]:
    """Return the entries of Debian's changelogs, and the words of commits."""
    found: set[int] = set()
    at = 0
    while at < len(lines):
        first, line = at, lines[at]
        at += 1
        if _DEBIAN.match(line):
            end = next((n for n in range(at, len(lines)) if _DEBIAN_ENDS.match(lines[n])), None)
            at = end + 1 if end is not None else _behind(lines, at, _is_moved)
            found.update(range(first, at))
        elif _COMMIT.match(line):
            at = _behind(lines, at, _is_head)
            if at > first + 1:
                at = _behind(lines, at, _is_moved)
                found.update(range(first, at))
    return found


def _behind(lines: list[str], at: int, goes_on: Callable[[str], bool]) -> int:
    while at < len(lines) and goes_on(lines[at]):
        at += 1
    return at


def _is_moved(line: str) -> bool:
    return not line.strip() or line[0].isspace()


def _is_head(line: str) -> bool:
    return _COMMIT_HEAD.match(line) is not None


def _lists(lines: list[str]) -> set[int]:
    """Return the items below the head of a list of changes, and commits in a row."""
    found: set[int] = set()
    for number, line in enumerate(lines):
        if len(line) < 120 and _CHANGES.match(line):
            at = number + 1
            item = False
            while (
                at < len(lines)
                and (
                    _RULE.match(lines[at])
                    or _ITEM.match(lines[at])
                    or (item and lines[at][:1].isspace())
                )
                and not (item and FENCE.match(lines[at]))
            ):
                item = item or _ITEM.match(lines[at]) is not None
                at += 1
            if item:
                found.update(range(number, at))
    if any(_REQUEST.match(line) for line in lines):
        found.update(number for number, line in enumerate(lines) if _CHANGE.match(line))
    agreed = [number for number, line in enumerate(lines) if _AGREED.match(line)]
    for one, other in itertools.pairwise(agreed):
        if not any(line.strip() for line in lines[one + 1 : other]):
            found.update((one, other))
    return found


def _sheets(lines: list[str]) -> set[int]:
    """Return the lines of exercises, unless their writer says that they have the failure."""
    found: set[int] = set()
    heads = [number for number, line in enumerate(lines) if _SHEET.match(line)]
    for head, end in itertools.pairwise([*heads, len(lines)]):
        part = range(head, min(end, head + _MOST))
        told = [lines[at] for at in part]
        typed = any(prompt_of(line) for line in told)
        if typed or any(voices.is_own(line) for line in told):
            continue
        if any(_ASKS.search(line) for line in told):
            found.update(part)
    choices = [number for number, line in enumerate(lines) if _CHOICE.match(line)]
    counted = itertools.groupby(enumerate(choices), lambda one: one[1] - one[0])
    for row in ([at for _, at in run] for _, run in counted):
        above = lines[row[0] - 1] if row[0] else ""
        if len(row) >= _CHOICES and above.rstrip().endswith(("?", ":", "\uff1f")):
            found.update(range(row[0] - 1, row[-1] + 1))
    return found


def _examples(lines: list[str]) -> set[int]:
    """Return what a form gives as an example, with the block below it."""
    if not any(len(line) <= 400 and _FORM.search(line) for line in lines):
        return set()
    found: set[int] = set()
    for number, line in enumerate(lines):
        if len(line) > 400 or _FOR_EXAMPLE.search(line) is None:
            continue
        found.add(number)
        at = number + 1
        if line.rstrip().endswith(":"):
            found.update(range(at, behind_fence(lines, at)))
    return found
