"""Tells lists of what may come, and what would: messages that somebody names and nobody got.

A guide or an assistant lists errors below a line such as "it could be one of the following:"; a
line may say what one would see, and the block below it shows that.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.post.pasted import FENCE, behind_empty, behind_fence

#: Heads a list of what may be.
_HEADS = re.compile(
    r"\b(?:one of (?:the following|these)|(?:common|typical|frequent|usual|known|possible|likely"
    r"|potential) (?:errors?|issues?|problems?|causes?|reasons?|messages?|failures?|symptoms?)"
    r"|(?:errors?|messages?|symptoms?) (?:that )?(?:you|one) (?:may|might|can|could|would) "
    r"(?:see|get|meet|encounter)"
    r"|h\u00e4ufige fehler|m\u00f6gliche (?:ursachen|fehler)|causes possibles|erreurs (?:courantes"
    r"|fr\u00e9quentes)|errores (?:comunes|frecuentes)|posibles causas|erros comuns"
    r"|poss\u00edveis causas"
    r"|\u5e38\u89c1(?:\u9519\u8bef|\u95ee\u9898)|\u53ef\u80fd\u7684\u539f\u56e0)"
    r"(?!\w).{0,60}[:\uff1a]\W{0,3}$",
    re.IGNORECASE,
)
#: Heads a list of what was solved.
_SOLVED = re.compile(
    r"\b(?:all (?:of )?(?:the following|these|of them)|the following(?: \w+)?|these(?: \w+)?)"
    r" (?:\w+ ){0,2}?(?:were|was|are|have been|got|is)(?: \w+)? (?:re)?(?:solved|fixed)\b"
    r"|\b(?:solved|fixed|resolved) (?:so far|already|by now|issues?|problems?|errors?)\b"
    r".{0,20}:\s*$",
    re.IGNORECASE,
)
#: What one would see, and that in the block below.
SEEN = (
    r"\b(?:you|one)(?:['\u2019]d| (?:would|may|might|could|should))"
    r"(?: also| then| typically| usually| instead)? (?:see|get|receive|encounter|find)\b"
)
_WOULD = re.compile(rf"{SEEN}[^.]{{0,40}}[:\s]*$", re.IGNORECASE)
_ITEM = re.compile(r"^\s{0,12}(?:[-*\u2022+]|\d{1,2}[.)])\s+\S")
#: Not a list of suppositions: what came.
_CAME = re.compile(
    r"\b(?:I|we) (?:get|got|see|saw|have|had|receive|am getting)\b"
    r"|\bfollowing errors? (?:came|occur)",
    re.IGNORECASE,
)


def is_supposed(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that stand in a list of what may be."""
    doubted: set[int] = set()
    at = 0
    while at < len(lines):
        line, end = lines[at], at
        if len(line) < 300 and line.rstrip()[-1:] in {":", "\uff1a", "*", "e", "t", "d"}:
            if (_HEADS.search(line) and not _CAME.search(line)) or _is_of_solved(line):
                end = _end_of_list(lines, at + 1)
            elif _WOULD.search(line) and not _CAME.search(line):
                end = behind_fence(lines, behind_empty(lines, at + 1))
        doubted.update(range(at, end))
        at = max(end, at + 1)
    return doubted


def _is_of_solved(line: str) -> bool:
    return line.rstrip()[-1:] in {":", "\uff1a"} and _SOLVED.search(line) is not None


def _end_of_list(lines: list[str], at: int) -> int:
    """Return the line behind the list that begins in line ``at``, with what its items hold."""
    item = False
    while at < len(lines):
        line = lines[at]
        if _ITEM.match(line):
            item = True
        elif FENCE.match(line):
            if not item:
                return at
            at = behind_fence(lines, at)
            continue
        elif line.strip() and not (item and line[:1].isspace()):
            return at
        at += 1
    return at
