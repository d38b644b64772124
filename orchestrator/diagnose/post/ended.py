"""What people write in English above and below a failure that they had, and have no more.

"I could fix this by reinstalling:" says it in one sentence. "A week ago I had:" does so together
with a later one, "it turned out to be the cable". That the same came again, or that another failure
follows, takes it back.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.post.stories import BUT, any_of, is_back

_PAST = (
    r"(?:had|got|saw|said|posted|failed|printed|showed|reported|ended|stopped|crashed|was|were"
    r"|came)"
)
_CURED = r"(?:solved?|fix(?:ed)?|resolved?|cured?|mend(?:ed)?|g[eo]t rid of|get past)"
_SHOWN = (
    r"(?:this(?: one)?|that|the following(?: error| message)?"
    r"|(?:this|that|the) (?:error|message|problem|issue))"
)
#: One sentence says that what stands below it is over.
_ENDED = any_of(
    r"^\W*(?:solved|fixed|resolved)\b[.,:;!]? ?(?:it|this|that|the (?:error|problem"
    r"|message)) was\b",
    r"^\W*(?:already )?(?:solved|fixed|resolved) (?:meanwhile|in the meantime|by now|already)\b",
    rf"^\W*(?:{_SHOWN},? )?(?:I|we)(?:['\u2019]ve| have| could| was able to| managed to)?"
    rf" (?:already |since |meanwhile |just |finally )*{_CURED} (?:{_SHOWN}|myself|by|with)\b",
    r"\b(?:bugs?|errors?|problems?|issues?|faults?|failures?|walls?) and (?:its|their|the)"
    r" (?:resolutions?|fix(?:es)?|solutions?|remed(?:y|ies)|cures?)\b",
    r"^\W*(?:all|both|each|every one)(?: of)?(?: the following| th(?:ese|ose)| them)?(?: \w+)?"
    r" (?:was|were|is|are|has been|have been) (?:since |now |already |all )*(?:solved|fixed"
    r"|resolved|mended)\b",
    rf"^\W*{_SHOWN} (?:is|was|has been) (?:gone|solved|fixed|resolved)"
    r" (?:since|after|by|when|with|once|already|now)\b",
    rf"\b(?:this|that) {_PAST} (?:the|my) (?:\w+ )?(?:error|message|output|problem)\b.{{0,20}}"
    r"\b(?:until|before) (?:I|we|the)\b",
    r"\bno longer (?:fails|stops|crashes|dies|shows|prints)\b",
)
#: What follows is another failure, or the same one all the same.
_GOES_ON = re.compile(
    r"\b(?:thought|still|not|never|again|back|next|then|second|another|now|say|said|same|first)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
#: A sentence of a time, a system or an attempt that is over.
_BEFORE = any_of(
    r"\b(?:(?:an?|two|three|some|a few|\d+) (?:day|week|month|year)s? ago|last (?:week|month|year"
    r"|night|\w+day)|yesterday|my (?:first|earlier|previous) (?:attempt|try|run|build)"
    r"|(?:on|with|in) (?:the|my) (?:old|first|previous|former) \w+(?: \w+)?"
    r"|(?:on|with|under) (?:bullseye|bookworm|trixie|jammy|noble|(?:version |v)?\d+\.\d+\S*)"
    rf"|before (?:the|that|I)\b.{{0,30}})\b.{{0,40}}\b{_PAST}\b",
    rf"\b{_PAST}\b.{{0,40}}\b(?:ago|yesterday|last (?:week|month|year|night|\w+day))\b",
    r"\b(?:I|we) had (?:this|that|the same) (?:\w+ )?(?:problem|error|issue)\b",
    r"^\W*(?:note to self|for the record)\b",
)
#: A sentence by which it ended.
_END = any_of(
    r"\b(?:that|this|which|it|reboot\w*|reinstall\w*|update|upgrade) (?:has |have )?(?:solved|fixed"
    r"|cured|resolved) (?:it|this|that|the (?:problem|issue|error))\b",
    r"\b(?:fix|solution|cure|remedy) was\b|\bturned out to be\b",
    r"\b(?:works|working|runs|running|fine|good|ok|okay) (?:now|since|again|since then)\b",
    r"\b(?:all|everything) (?:is |works? )?(?:good|fine|ok|okay|well) (?:now|since|again)\b",
    r"\b(?:second|next|third|new) (?:attempt|try|run|build) (?:succeeded|worked|went (?:well"
    r"|through))",
    r"\bwith the new \w+,? (?:everything|it|all) (?:is|works|runs)\b",
    r"\b(?:moved|switched|changed|upgraded|updated|went) (?:\S+ ){0,4}and (?:now )?(?:it|everything"
    r"|all) (?:works|runs|is fine)\b",
    r"\bclos(?:ing|ed)(?: this| it| the issue)?\W*$",
)
_DENIED = re.compile(
    r"\b(?:not|never|nothing|no|only|neither|if|when)\b|n['\u2019]t\b", re.IGNORECASE
)
#: It lasted no longer than that.
_FOR_A_WHILE = re.compile(
    r"\b(?:for (?:an?|one|two|some|\d+)|then|until|the same|only|if|when|unless|sometimes)\b",
    re.IGNORECASE,
)
#: One of these is in a sentence above what is over.
SIGN = any_of(_ENDED.pattern, _BEFORE.pattern)


def is_ended(line: str) -> bool:
    """Tell whether one sentence says that what it announces is over."""
    ended = _ENDED.search(line)
    if ended is None or is_back(line):
        return False
    rest = f"{line[: ended.start()]} {line[ended.end() :]}"
    return _GOES_ON.search(rest) is None and BUT.search(rest) is None


def is_before(line: str) -> bool:
    """Tell whether a sentence tells of a time, a system or an attempt that is over."""
    return _BEFORE.search(line) is not None and BUT.search(line) is None and not is_back(line)


def ends(line: str) -> bool:
    """Tell whether a sentence says by what a failure ended, with no "but" behind."""
    end = _END.search(line)
    if end is None or is_back(line) or _DENIED.search(line[: end.end()]) is not None:
        return False
    behind = line[end.end() :]
    return BUT.search(behind) is None and _FOR_A_WHILE.search(behind) is None
