"""Tells which lines of a post show another machine, another time, or what is no more.

One line of a log may decide what a failure elsewhere in it means, where both are of one machine and
of one time. People show more than that: the PC on which they compile, what a colleague has, how it
was before they mended it, what they only ask. Such a line is still shown, and proves nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.post.reported import is_prose
from orchestrator.diagnose.post.session import prompt_of
from orchestrator.diagnose.post.told import speaks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Stands for the place of a line that proves nothing.
NOWHERE = "?"
#: What is longer is a log, and no post.
_MOST = 400
#: Another machine, somebody else, a time that is over, what works.
_ASIDE = re.compile(
    r"\b(?:my|the|a|an|his|her|our|their|that|your|some) (?:other|second|old|friend|colleague"
    r"|neighbou?r)\b|\banother (?:machine|pi|pc|host|server|board|computer|box|network|model"
    r"|container|project|venv|environment|service|program|one)\b|\b(?:friend|colleague)s?\b"
    r"|\b(?:some(?:one|body)) else\b|\bother (?:container|stack|model|network|venv)\b"
    r"|\b(?:last|previous) (?:year|month|week|summer|winter|spring|autumn|night|time)\b"
    r"|\byesterday\b|\bthis morning\b|\b(?:hours?|days?|weeks?|months?|years?) ago\b|\bused to\b"
    r"|\bearlier\b|\bat first\b|\bfirst it (?:was|said)\b|\bin the past\b|\bpreviously\b"
    r"|\bbefore (?:the|that|i|my|we)\b"
    r"|\b(?:that|this|which|it|and) (?:one )?(?:is|was|works?|runs?|ran|worked) (?:fine|ok|well)\b"
    r"|\b(?:i|we) (?:do not|don['\u2019]t|have not|haven['\u2019]t|did not|didn['\u2019]t|never"
    r"|am not|are not) (?:use|using|run|running|have|on|in)\b|\bmine (?:has|is|does)\b"
    r"|\b(?:saw|read|found) (?:a|an|the|one) (?:post|thread|issue|guide)\b|\bmoved from\b"
    r"|\bof another\b|\bworks(?: there| here)?(?:\.|$)|\bruns? fine\b"
    r"|\b(?:has|have|had|without|no) (?:any )?(?:trouble|problems?)\b|\(works\b"
    r"|\bfor (?:tests?|building|compiling|home assistant) only\b|\bonly for\b|\bwrite this\b"
    r"|\b(?:is|was) (?:another|stopped|switched off|turned off)\b|\bi use none\b",
    re.IGNORECASE,
)
#: A question, and its answer; what is only planned.
_ASKED = re.compile(
    r"\b(?:is|was|could|can|may|might|does|would|should) (?:it|this|that)(?: be| come)?\b[^?]*\?"
    r"|\b(?:is|are) there\b[^?]*\?|\bshould (?:i|we)\b|\?\W{1,3}no\b"
    r"|\b(?:want|plan|intend|going) to\b|\bonce it\b|\bwould (?:a|the)\b",
    re.IGNORECASE,
)
#: What stands above it, or in it, is over.
_MENDED = re.compile(
    r"\b(?:i|we)(?:['\u2019]ve| have| since| then| already| just| took it out and)* (?:removed"
    r"|took|taken|added|deleted|fixed|fitted|mounted|mended|raised|changed|solved|replaced|uninstalled|pulled|unset|disabled"
    r"|enabled|purged|ended|stopped|killed|got rid|corrected|turned|switched)\b"
    r"|\b(?:it|that|which|this|warning|error|message|line|file)s? (?:is|are|was) gone\b"
    r"|\bnot (?:yet )?(?:started|used|enabled|installed|applied) (?:it|that|this|those)\b"
    r"|\bno longer\b|\bany ?more\b|\bi did git\b|\bget rid of\b"
    r"|\b(?:fixed|solved|mended) (?:it|that|this)\b|\bit is \S+ now\b"
    r"|\bsame (?:without|by hand|on the host)\b|\bby hand\b.{0,40}\bsame\b",
    re.IGNORECASE,
)
_NOUN = (
    r"(?:(?P<{0}pc>pc|laptop|desktop|workstation|notebook|macbook|mac|server|build (?:machine|host)"
    r"|x86)|(?P<{0}pi>pi(?: ?\d)?|raspberry(?: pi)?(?: \d)?|rpi ?\d?|board|device|target|jetson|nvr"
    r"|kit))"
)
_PLACE = re.compile(
    r"\b(?:(?:on|at|from|into|to|using) (?:the|my|this|our|a|an) (?:[\w-]+ ){0,2}?"
    + _NOUN.format("at_")
    + r"|(?:the|my|this|our) "
    + _NOUN.format("is_")
    + r" (?:is|runs|has|says|shows|gives|at|itself))\b",
    re.IGNORECASE,
)
#: The sentence is about what stands above it.
_THAT_WAS = re.compile(
    r"^\W*(?:that|this|those|these|it|both) (?:is|was|are|were|ran)\b", re.IGNORECASE
)
#: A person goes on so behind a message.
_SO = re.compile(r"\b(?:so|and|which|then) I [a-z]")
#: A sentence that ends so goes on in what stands below it.
_HEADS = re.compile(r"(?:[:\u2026]|\b\w+)\s*$")
#: Between two sentences of one line.
_BETWEEN = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
#: And so ends a line that a person wrote.
_ENDS = re.compile(r"[.:?!\u2026)]\s*$")


#: Commands after which what was shown before need not be so any more.
_CHANGES = re.compile(
    r"(?:sudo (?:-\S+ )?)?(?:kill|pkill|killall|systemctl (?:stop|disable)"
    r"|(?:docker|podman)(?: compose|-compose)? (?:stop|down|rm|kill)|nano|vim?|sed -i|rm|mv|tee"
    r"|unset|deactivate|dos2unix|truncate|(?:apt|apt-get) (?:-\S+ )*(?:purge|remove)"
    r"|pip3? uninstall|shutdown)\b"
)


def changes(line: str) -> bool:
    """Tell whether somebody typed a command in ``line`` that changes what was shown before."""
    prompt = prompt_of(line)
    return prompt is not None and _CHANGES.match(prompt["command"]) is not None


def _is_aside(sentence: str) -> bool:
    return _ASIDE.search(sentence) is not None or _ASKED.search(sentence) is not None


def _is_told(line: str) -> bool:
    return is_prose(line.lstrip(" (")) or speaks(line) or _SO.search(line) is not None


def places_of(lines: Sequence[str]) -> Mapping[int, str]:
    """Return the place of each line that is told: a machine, or :data:`NOWHERE`."""
    if len(lines) > _MOST:
        return {}
    found: dict[int, str] = {}
    place, aside = "", False
    block: list[int] = []
    for number, line in enumerate(lines):
        if not line.strip():
            aside, block = False, []
            continue
        told = prompt_of(line) is None and (_is_told(line))
        mended = told and _MENDED.search(line) is not None
        # What stands in a line is of its first sentence, and what stands below it of its last.
        sentences = _BETWEEN.split(line) if told and not mended else []
        beside = bool(sentences) and (_is_aside(sentences[0]) or _ASKED.search(line) is not None)
        heads = bool(sentences) and _is_aside(sentences[-1])
        if told and (mended or beside or heads or _ENDS.search(line) or speaks(line)):
            named = [match.lastgroup or "" for match in _PLACE.finditer(line)]
            if named and _THAT_WAS.match(line):
                found.update((one, named[0][3:]) for one in block if found.get(one) != NOWHERE)
            if mended:
                found.update(dict.fromkeys((*block, number), NOWHERE))
            elif beside:
                found[number] = NOWHERE
                if _THAT_WAS.match(line):
                    found.update(dict.fromkeys(block, NOWHERE))
            # A sentence that ends without a full stop goes on in what stands below it.
            aside = heads and _HEADS.search(line) is not None
            block = []
            if named:
                place = named[-1][3:]
        else:
            block.append(number)
            if aside:
                found[number] = NOWHERE
        if place and number not in found:
            found[number] = place
    return found
