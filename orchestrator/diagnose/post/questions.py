"""Tells a post that only asks something from one in which something fails.

"How do I switch between two models?" has the words of a failure and is none. Causes that people's
own words bring up are not told for it, but those that answer such a question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A question is short; what is longer tells of something.
MOST_LINES = 30
_LONGEST = 600

#: How a question begins that asks for a way, a limit or an advice; "why" and "what can I do" tell
#: of something that is not as it should be.
_ASKS = re.compile(
    r"(?:^|[,;:] |\band |\bor |\bso )(?:how (?!come\b)|is it |is there |are there |can |could |may "
    r"|should |must |do |does |will |would |which |where |when |has any|have any|are |is the "
    r"|what(?! can i do| to do| is (?:wrong|going|happening)|(?:'s| is) the (?:problem|reason)"
    r"| am i))"
    r"|\b(?:i (?:wonder|was wondering|am wondering)|want to know|would like to know|curious"
    r"|any (?:advice|suggestions?|recommendations?))\b",
    re.IGNORECASE,
)
#: What a question has beside it: greetings, what somebody has, wants and plans.
_SETS_OUT = re.compile(
    r"^\W*(?:hello|hi|hey|dear|good (?:morning|evening|day)|thanks?|thank you|regards|cheers"
    r"|all the best|best|greetings)\b.{0,60}$"
    r"|^\W*(?:currently |now |right now |for that |for this |in the end )?(?:i|we)(?:'m| am|'re"
    r"| are|'d| would)? (?:want|need|plan\w*|like|have|own|use|using|intend\w*|going|think\w*"
    r"|consider\w*|interested|new to|look\w*|wonder\w*|building|develop\w*|know|understand)\b"
    r"|^\W*my (?:goal|plan|idea|aim|setup|use case|project|question)\b",
    re.IGNORECASE,
)
_FAILS = re.compile(
    r"\b(?:errors?|fail\w*|crash\w*|exception|traceback|segfault|freez\w*|froze|hangs?|wrong|broken"
    r"|garbage|problems?|issues?|trouble)\b"
    r"|\b(?:does|do|did|is|are|was|were|has|have|can) ?(?:not|n't)\b|\bcannot\b|\bunable\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


@dataclass
class Questions:
    """Takes in the lines of a post."""

    _asks: bool = False
    _tells: bool = False
    _lines: int = 0
    _open: str = ""

    def feed(self, line: str) -> None:
        """Take in one line as it was written."""
        if self._tells:
            return
        bare = line.replace("\u2019", "'").strip()
        if not bare:
            self._end()
            return
        self._lines += 1
        self._open = f"{self._open} {bare}".strip()
        if self._lines > MOST_LINES or len(self._open) > _LONGEST:
            self._tells = True

    def _end(self) -> None:
        """Look at the paragraph that ended."""
        sentences, self._open = _SENTENCE.split(self._open), ""
        for sentence in sentences:
            if not sentence:
                continue
            asked = sentence.endswith("?") or sentence.lower().startswith("how to ")
            if asked and _ASKS.search(sentence) and not _FAILS.search(sentence):
                self._asks = True
            elif not (_SETS_OUT.search(sentence) and not _FAILS.search(sentence)):
                self._tells = True

    @property
    def only_asks(self) -> bool:
        """Whether somebody asks, and nothing in the post fails."""
        self._end()
        return self._asks and not self._tells
