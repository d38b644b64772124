"""Takes out of a sentence what its writer says is over, was another's, or never came.

People tell the story of a failure around its log: "at first I had ..., which I solved", "others had
...", "I have no ... here", "could this be ...?". Such words hold messages that are none of what is
asked about. What they say comes now ("and then I get ...") stays.
"""

from __future__ import annotations

import re

#: A line in which a person speaks, and not a program.
_PERSON = re.compile(
    r"\b(?:I(?:['\u2019](?:m|ve|d))? (?:have|had|am|was|did|do|don|can|could|get|got|tried|already"
    r"|fixed|solved|resolved|see|saw|use|used|set|switched|also|now|then|know|think|found|read"
    r"|installed|changed|ruled|just|unplug|worked|never)\b|[Mm]y [a-z]"
    r"|[Ww]e (?:have|had|tried|fixed|solved|use)\b"
    r"|[Oo]thers? (?:had|have|people|users|issues|threads|posts|get|got|report)"
    r"|[Ss]imilar (?:issue|problem|post|thread)s?\b|[Cc]ould (?:this|it) be\b"
    r"|[Ii]s (?:it|this) (?:because|due|caused|related)\b|[Tt]his is not the same)"
)
#: Where a part of a sentence ends. A dot inside of a version or a name of a file ends none.
_END = (
    r"(?:,? (?:which|but|and now|now|however|yet|and then|then|instead)\b"
    r"|,? (?:and )?(?:it|this|the \w+) (?:now )?(?:says|prints|gives|shows|fails|stops|ends)\b"
    r"|,? (?:and )?(?:I|we) (?:now |still |always )?(?:get|got|see)\b"
    r"|[.!?;](?=\s+[A-Z(]|\s*$)|$)"
)
_QUOTED = r"(?:`[^`]*`|\"[^\"]*\"|\u201c[^\u201d]*\u201d|[^`\"\u201c])"
#: What is over, another's, or absent comes behind these words.
_BEHIND = re.compile(
    r"\b(?:(?:at first|initially|earlier|previously|before that|in the past|the first time),?"
    r" (?:I|we|it)\b"
    r"|(?:I|we)(?:['\u2019]ve| have)? (?:already |now |just |finally )*"
    r"(?:fixed|solved|resolved|got rid of|worked around|got past|ruled out)\b"
    r"|(?:I|we) (?:do not|don['\u2019]t|did not|didn['\u2019]t|never)"
    r" (?:have|had|get|got|see|saw)\b"
    r"|(?:I|we) (?:have|had|get|got|see|saw) no\b|others? (?:had|have|get|got|report\w*)\b"
    r"|(?:similar|other) (?:issues?|problems?|posts?|threads?|people|users)"
    r" (?:had|have|mention\w*|report\w*|got|get|about|with|say|saw|see)\b"
    r"|not the same (?:\w+ )?as\b|unrelated to\b"
    r"|(?:could (?:this|it) be|is (?:it|this) (?:because|due|caused|related))\b(?=[^?]*\?))"
    rf"{_QUOTED}*?(?={_END})",
    re.IGNORECASE,
)
#: And before these, as far as its sentence reaches.
_BEFORE = re.compile(
    r"(?:(?<=[.!?;] )|^)(?:(?![.!?;] +[A-Z]).)*?(?:"
    r"\bwhich (?:I|we|is|was|were)(?: \w+){0,2}? (?:fixed|solved|resolved|gone)\b"
    r"|\bwent away\b|\bdisappeared\b"
    r"|\b(?:is|was|are|were) (?:now |already )?(?:gone|solved|fixed|resolved)\b"
    r"|\bso I (?:used|use|switched|went|took|changed)\b"
    r"|\b(?:that|this|it|which) is (?:expected|normal)\b)"
)
#: What the form of a report has its writer confirm.
_TICKED = re.compile(r"^\s*[-*] \[[ xX]\] ")


def as_it_is_now(line: str) -> str:
    """Return ``line`` without what its writer does not ask about; a program's line as it is."""
    if _TICKED.match(line):
        return ""
    if len(line) > 2000 or _PERSON.search(line) is None:
        return line
    return _BEFORE.sub(" ", _BEHIND.sub(" ", line))
