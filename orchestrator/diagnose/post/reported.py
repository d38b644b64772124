"""Tells posts, or parts of them, that show a failure which is not the writer's now.

Somebody supposes one ("assume you get"), tells what a colleague had last year, shows an example, or
keeps an old message for others to find. The sentences above and around a block of messages say so;
the same words about oneself ("I get something like this", "still not solved") take it back. What
one such sentence shows is doubted, not struck out: the writer may ask about it all the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.diagnose.outcome import OutcomeReader
from orchestrator.diagnose.post import ended, stories, voices
from orchestrator.diagnose.post.pasted import FENCE, behind_empty, behind_fence
from orchestrator.diagnose.post.session import prompt_of
from orchestrator.diagnose.post.told import moved_on, speaks
from orchestrator.diagnose.survived import mended_by
from orchestrator.diagnose.tracebacks import RAISED
from orchestrator.diagnose.words.text import REMEMBERED

#: What was done about the failure above helped, and this turns to the next one.
_THEN = re.compile(
    r"(?:\b(?:that|it|this|one) (?:is|was) (?:gone|away|it|over|solved|fixed)\b"
    r"|\b(?:cured|solved|fixed|mended|did) (?:that|it|this)\b"
    r"|\b(?:that|it|this) (?:went|helped|worked)\b|\bI (?:set|took|use|replaced|corrected|changed"
    r"|installed|removed|raised|typed|put|wrote|made|added|moved)\b"
    r"|^with \S.{0,60} it (?!is\b|was\b|does\b)\w+s\b)"
    r"[^?]{0,100}[.;,] (?:and |but |so )?(?:now|next|then|what (?:remains|is left|fails)|still open"
    r"|there|in it|on the \w+)\b.{0,40}$",
    re.IGNORECASE,
)
_UNMENDED = re.compile(r"\b(?:not|same|never|nothing|again|no (?:luck|success|change))\b|n't\b")
#: A sentence right below a log says that what it shows is gone, and by what.
_GONE = re.compile(
    r"^\W{0,3}(?:which|these|those|all of (?:which|these|them)|this|that)"
    r" (?:all |both |errors? |then )*"
    r"(?:disappeared|vanished|went away|(?:was|were|got|is|are) (?:all )?(?:gone|solved|fixed"
    r"|resolved)) (?:after|once|when|by|with|as soon as)\b",
    re.IGNORECASE,
)
#: Longer lines are none that a person writes above a log.
_LONGEST = 400
#: A sentence stands so many lines above what it shows.
_NEAR = 3
#: What a program printed: a mark, a stamp, a place, a name before a colon.
_PRINTED = re.compile(
    r"^\s*(?:[\[<{(/|\u2713\u2714\u2716-\u2718]|\d|File \"|Traceback \("
    r"|(?-i:[a-z_][\w./-]*: )|(?:error|warning|fatal|failed|info|debug): "
    r"|[\w./-]+:\d|(?-i:[A-Z_]{8,}\b|[EWIF]: )"
    r"|\w+ [ \d]\d \d\d:\d\d:\d\d)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"^\W{0,4}[^\W\d_]")
#: How many gaps between words, or signs of another script, make a sentence; one that begins and
#: ends as a sentence needs one gap less.
_WORDS = 3
_SIGNS = 6
#: Shorter ones are sentences where they say whose it is, or that it comes now.
_SHORT = 60
#: What has more of them is a log, and no post.
_MOST = 200


@lru_cache(maxsize=REMEMBERED)
def is_prose(line: str) -> bool:
    """Tell whether ``line`` looks like a sentence that a person wrote."""
    bare = line.strip()
    if not bare or len(bare) > _LONGEST or _LETTER.match(bare) is None or line[:4] == "    ":
        return False
    if stories.LABEL.match(bare) or (len(bare) < _SHORT and _is_short_sentence(bare)):
        return True
    if _PRINTED.match(bare) or RAISED.match(bare) or prompt_of(line):
        return False
    enough = _WORDS - (bare[0].isupper() and bare[-1] in ".:!?")
    return bare.count(" ") >= enough or (not bare.isascii() and len(bare) >= _SIGNS)


def _is_short_sentence(bare: str) -> bool:
    return any(one.match(bare) for one in (voices.THEIRS, stories.SAYS_NOW, stories.WAS))


def is_reported(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that show what is not the writer's failure now."""
    told = {number: line for number, line in enumerate(lines) if is_prose(line)}
    if len(told) > _MOST:
        return set()
    doubted = _mended_since(lines, told) | _gone_since(lines, told)
    if not any(voices.SIGN.search(line) or ended.SIGN.search(line) for line in told.values()):
        return doubted
    doubted |= _put_away(lines, told)
    if any(voices.SAME.search(line) for line in told.values()):
        return doubted
    heads = [number for number in told if _heads(lines, number)]
    own = {
        number
        for number, line in told.items()
        if voices.is_own(line) and (number in heads or voices.FAILURE.search(line))
    }
    healthy = not own and any(voices.is_healthy(line) for line in told.values())
    for number in heads:
        line = told[number]
        before = (
            _is_over(line)
            or (ended.is_ended(line) and not _is_back_since(told, number))
            or (ended.is_before(line) and _ends_since(told, number))
            or (
                stories.is_of_before(line)
                and (_is_well_since(told, number) or _is_other_since(told, heads, number))
            )
        )
        if number in own and not before:
            continue
        block = _block(lines, number + 1)
        other = voices.OTHER.search(line) is not None
        if (
            before
            or stories.is_assumed(line)
            or voices.ASKED_OF_YOU.search(line)
            or stories.DEALT_WITH.search(line)
            or (voices.is_conditional(line) and (healthy or _advises(told, block.stop)))
            or (healthy and (other or voices.EXAMPLE.search(line)))
            or (other and voices.LONG_AGO.search(line))
            or (other and (any(one in heads for one in own) or _went_well(lines, block)))
        ):
            doubted.update(block)
    return doubted


def _mended_since(lines: list[str], told: dict[int, str]) -> set[int]:
    """Return the lines above a sentence by which what they show was mended, where another failure
    stands right below it."""
    end = 0
    for number, line in told.items():
        if _THEN.search(line) is None or _UNMENDED.search(line) is not None:
            continue
        below = behind_empty(lines, number + 1)
        said = lines[below].strip() if below < len(lines) else ""
        if RAISED.match(said) and not any(said in one for one in lines[:number]):
            end = number
    # Messages may look like sentences, too.
    return set(range(end))


def _gone_since(lines: list[str], told: dict[int, str]) -> set[int]:
    """Return the lines of the block above a sentence by which what it shows is gone."""
    gone: set[int] = set()
    for number, line in told.items():
        if _GONE.match(line) is None or _UNMENDED.search(line) or stories.BUT.search(line):
            continue
        if _is_back_since(told, number):
            continue
        at = number - 1
        while at >= 0 and (not lines[at].strip() or FENCE.match(lines[at])):
            at -= 1
        while at >= 0 and lines[at].strip() and not FENCE.match(lines[at]) and at not in told:
            gone.add(at)
            at -= 1
    return gone


def _is_over(line: str) -> bool:
    """Tell whether one sentence says what came before, and that it is over; what it says behind
    that may announce another failure."""
    behind = stories.behind_end(line)
    goes_on = (voices.FAILURE, stories.SAYS, stories.BUT)
    return behind is not None and not (
        voices.is_own(behind) or any(one.search(behind) for one in goes_on)
    )


def _is_back_since(told: dict[int, str], number: int) -> bool:
    """Tell whether a sentence below line ``number`` says that it came again, or stayed."""
    return any(stories.is_back(line) for at, line in told.items() if at > number)


def _ends_since(told: dict[int, str], number: int) -> bool:
    """Tell whether a sentence below line ``number`` says by what it ended, and none that it came
    again."""
    below = any(ended.ends(line) for at, line in told.items() if at > number)
    return below and not _is_back_since(told, number)


def _is_well_since(told: dict[int, str], number: int) -> bool:
    """Tell whether a sentence below line ``number`` says that all is well by now, and none that it
    came again."""
    below = any(stories.is_well_now(line) for at, line in told.items() if at > number)
    return below and not _is_back_since(told, number)


def _is_other_since(told: dict[int, str], heads: list[int], number: int) -> bool:
    """Tell whether a sentence below line ``number`` turns to messages that come now."""
    return any(at > number and voices.says_now(told[at]) for at in heads)


def _advises(told: dict[int, str], at: int) -> bool:
    """Tell whether the first sentence from line ``at`` on says what one does about it."""
    after = min((number for number in told if number >= at), default=-1)
    return after >= 0 and stories.is_advice(told[after])


def _went_well(lines: list[str], block: range) -> bool:
    """Tell whether the writer shows a run of their own outside of ``block``, and it went well; a
    card that only answers says nothing of a run."""
    reader = OutcomeReader()
    rate = False
    for number, line in enumerate(lines):
        if number not in block:
            reader.feed(number + 1, line)
            rate = rate or ("fps" in line.lower() and mended_by(line.lower()) == "rate")
    ended = any(reader.recovered(0, stage) for stage in ("setup", "run"))
    return reader.outcome != "failed" and (rate or ended)


def _put_away(lines: list[str], told: dict[int, str]) -> set[int]:
    """Return the lines of a post whose writer says that it is solved, and kept for others; what
    stands below a sentence by which another failure came stays."""
    kept = [at for at, line in told.items() if stories.is_kept(line) or _edited(lines, at)]
    if not kept or any(stories.is_back(line) for line in told.values()):
        return set()
    end = next((at for at, line in told.items() if moved_on(line)), len(lines))
    return {at for at in range(end) if at not in told}


def _edited(lines: list[str], number: int) -> bool:
    """Tell whether line ``number`` says above all of a log that it is solved: what a log shows
    below its failure does not take that back."""
    return voices.is_solved_edit(lines[number]) and not any(
        FENCE.match(line) or _PRINTED.match(line) or RAISED.match(line) for line in lines[:number]
    )


def _heads(lines: list[str], number: int) -> bool:
    """Tell whether a block of messages follows line ``number``, behind no other sentence.

    Messages may look like sentences; right below a colon they are what it announces, and below a
    few words without an end."""
    said = lines[number].strip()
    ends = said[-1:] in {":", "\uff1a"} or (len(said) < _SHORT and said[-1:].isalpha())
    for at, line in enumerate(lines[number + 1 : number + 1 + _NEAR]):
        if line.strip():
            announced = ends and at == 0 and not speaks(line)
            return announced or FENCE.match(line) is not None or not is_prose(line)
    return False


def _block(lines: list[str], at: int) -> range:
    """Return the lines of the block that follows: up to its fence, a command, or a sentence."""
    first = at
    at = behind_empty(lines, at)
    if (end := behind_fence(lines, at)) > at:
        return range(first, end)
    while at < len(lines):
        line = lines[at]
        if prompt_of(line) or FENCE.match(line):
            break
        # Programs print sentences, too: a person's stands apart, or speaks of its writer or of now.
        if is_prose(line) and (not lines[at - 1].strip() or speaks(line) or voices.says_now(line)):
            break
        at += 1
    return range(first, at)
