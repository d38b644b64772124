"""Takes out of a sentence what its writer says is over, was another's, or never came.

People tell the story of a failure around its log: "at first I had ..., which I solved", "others had
...", "I have no ... here", "could this be ...?". Such words hold messages that are none of what is
asked about. What they say comes now ("and then I get ...") stays.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.diagnose.catalogue import meaning_of
from orchestrator.diagnose.post import abroad, stories, voices
from orchestrator.diagnose.post.pasted import FENCE
from orchestrator.diagnose.post.supposed import SEEN
from orchestrator.diagnose.words.text import REMEMBERED

#: A line in which a person speaks, and not a program.
_PERSON = re.compile(
    r"\b(?:I(?:['\u2019](?:m|ve|d))? (?:have|had|am|was|did|do|don|can|could|get|got|tried|already"
    r"|fixed|solved|resolved|see|saw|use|used|set|switched|also|now|then|know|think|found|read"
    r"|installed|changed|ruled|just|unplug|worked|never|checked|reinstalled|remove|want|need"
    r"|followed|run|ran)\b|[Mm]y [a-z]|[Ww]e (?:have|had|tried|fixed|solved|used?)\b"
    r"|[Oo]thers? (?:had|have|people|users|issues|threads|posts|get|got|report)"
    r"|[Ss]imilar (?:issue|problem|post|thread)s?\b|[Cc]ould (?:this|it) be\b"
    r"|[Ii]s (?:it|this) (?:because|due|caused|related)\b|[Tt]his is not the same"
    r"|\b(?:seems?|appears?) to (?:be|have been) (?:fixed|solved|resolved|gone)\b"
    r"|\b(?<!not )(?:solved|cured) (?:that|it|this)\b|\bI first had\b|\bthat was (?:the|my) old\b"
    r"|\bI (?:removed (?:that|it)|wrote a new|left [\w.=]+ (?:out|away))\b"
    r"|\b(?:that|it|this) is gone\b)"
)
#: Where a part of a sentence ends. A dot inside of a version or a name of a file ends none.
_END = (
    r"(?:,? (?:which|but|and now|now|however|yet|and then|then|instead)\b"
    r"|,? (?:and )?(?:it|this|the \w+) (?:now )?(?:says|prints|gives|shows|fails|stops|ends)\b"
    r"|,? (?:and )?(?:I|we) (?:now |still |always )?(?:get|got|see)\b| ?(?:[-=]>|\u2192)"
    r"|[.!?;](?=\s+[A-Z(]|\s*$)|$)"
)
_QUOTED = r"(?:`[^`]*`|\"[^\"]*\"|\u201c[^\u201d]*\u201d|[^`\"\u201c])"
#: What is over, another's, or absent comes behind these words.
_BEHIND = re.compile(
    r"\b(?:(?:at first|initially|earlier|previously|before that|in the past|the first time),?"
    r" (?:I|we|it)\b"
    r"|yesterday\b(?=.*\b(?:is gone|is solved|is fixed|works now)\b)"
    r"|(?:I|we)(?:['\u2019]ve| have)? (?:already |now |just |finally )*"
    r"(?:fixed|solved|resolved|got rid of|worked around|got past|ruled out)\b"
    # "..., but I fixed that one.": what is over stands before.
    r"(?!(?: (?:that|it|this))?(?: one)?(?: already| meanwhile| since)?\s*(?:[.,;!)]|$))"
    r"|no longer (?:prints?|says?|reports?|logs?|throws?|raises?|complains?)\b(?! why\b)"
    r"|others? (?:had|have|get|got|report\w*)\b"
    r"|(?:similar|other) (?:issues?|problems?|posts?|threads?|people|users)"
    r" (?:had|have|mention\w*|report\w*|got|get|about|with|say|saw|see)\b"
    r"|not the same (?:\w+ )?as\b|unrelated to\b"
    r"|(?:could (?:this|it) be|is (?:it|this) (?:because|due|caused|related))\b(?=[^?]*\?))"
    rf"{_QUOTED}*?(?={_END})",
    re.IGNORECASE,
)
#: What did not come; what did may stand behind it.
_ABSENT = re.compile(
    r"\b(?:I|we) (?:(?:do not|don['\u2019]t|did not|didn['\u2019]t|never)"
    r" (?:have|had|get|got|see|saw)|(?:have|had|get|got|see|saw) no)\b"
    r"(?! (?:an? |any )?(?:idea|clue|luck|success|solution|modules? named?)\b)"
    # Some plain words, and then what did come: "I see no picture, ...", "no picture - ...".
    r"(?:(?: (?-i:[a-z]+)){1,5}(?=(?:,| [-\u2013\u2014]+>?) (?!(?:or|nor|and|no)\b))"
    rf"|{_QUOTED}*?(?=(?-i:(?<![a-z]Error)(?<![a-z]Exception)):(?:\s|$)"
    r"|,? (?:only|just|except|why|what|how|where|before|with|it is)\b"
    rf"|{_END}))",
    re.IGNORECASE,
)
#: What somebody looked at and found to be none of it, in sentences without a person, too.
_RULED_OUT = re.compile(
    r"(?<!not )(?<!n['\u2019]t )(?<!never )\b(?:to rule|ruled|ruling) out\b"
    rf"{_QUOTED}*?(?={_END})",
    re.IGNORECASE,
)
#: What somebody only asks whether it is the cause: nothing says that it is.
_ASKED = re.compile(
    r"(?:(?<=[.!?:;,)] )|^\W{0,3})(?:(?:or|and|so|but|maybe|perhaps|also),? )?"
    r"(?:is|are|was|were|could|can|might|may|do you think) (?:it|this|that|the|my|our|these"
    r"|some(?:thing)?)\b(?! (?:why|how|possible|normal|ok|supposed)\b)[^?.!:`\"\u201c]*?"
    r"\b(?:corrupt\w*|damaged|defective|broken|faulty|dead|because|due to|caused by|related to"
    r"|the (?:cause|reason|problem|culprit)|to blame"
    r"|too (?:old|new|small|weak|large|big|hot|little)|out of \w+|running out|ran out"
    r"|under-?volt\w*|overheat\w*|throttl\w*|not enough|incompatible|mismatch\w*)\b"
    r"[^?.!:`\"\u201c]*\?",
    re.IGNORECASE,
)
#: What came before another message did, or should have come: quoted, or a status.
_INSTEAD = re.compile(
    r"\binstead of (?:the |an? )?(?:\w+ ){0,2}(?:\"[^\"]*\"|`[^`]*`|\u201c[^\u201d]*\u201d"
    r"|HAILO_[A-Z_]+(?:\(\d+\))?)",
    re.IGNORECASE,
)
#: And before these, as far as its sentence reaches.
_BEFORE = re.compile(
    r"(?:(?<=[.!?;] )|^)(?:(?![.!?;] +[A-Z]"
    # What is said of something else, which is set fast or mended by now.
    r"|\b(?:although|though|while|because|but)\b"
    r"|\band (?:the|my) (?!error|problem|issue|message|failure|first|old|other)).)*?(?:"
    r"\bwhich (?:I|we|is|was|were)(?: (?!never\b|not\b)\w+){0,2}? (?:fixed|solved|resolved|gone)\b"
    r"|, (?:that|this)(?: one| error| problem)? (?:I|we)(?:['\u2019]ve| have)?"
    r"(?: already| now| since| then)? (?:fixed|solved|resolved|mended)\b"
    r"|, (?:then |since )?(?:solved|fixed|cured|mended) (?:it )?(?:by|with)\b"
    r"|(?<!never )\b(?:went away|disappeared)\b"
    r"|(?<!nothing )\b(?:is|was|are|were) (?:now |already )?"
    r"(?:gone|solved|resolved|fixed(?! (?:at|to)\b))\b"
    r"|(?<!nothing )\b(?:seems?|appears?) to (?:be|have been) (?:fixed|solved|resolved|gone)\b"
    r"|\b(?:and|but) (?!nothing)(?:(?!\b(?:not|never|nothing)\b).){0,50}"
    r"\b(?:solved|fixed|cured|removed) (?:that|it|this)\b"
    r"|\b(?:that|this|which) (?:file )?I have since \w+"
    r"|\bcould (?:solve|fix|mend) (?:it|that|this)\b"
    r"|(?:[-\u2013] |, )that was (?:the old|my old|with|on|before)\b"
    r"|\bso I (?:left [\w.=]+ (?:out|away)|wrote a new|made a new|copied)\b"
    r"(?!.*\b(?:same|still|no luck|not help|n['\u2019]t help|no success|again)\b)"
    r"|\bso (?:I (?:used|use|switched|went|took|changed)"
    r"|added|(?:I )?(?:increased|reduced|lowered))\b"
    r"(?!.*\b(?:same|still|no luck|not help|n['\u2019]t help|no success|again)\b)"
    r"|(?:^|[,;(\u2013\u2014-] ?|\b(?:and|but) |(?<=[.!?] ))"
    r"(?:that|this|it|which) is (?:expected|normal)\b)"
)
#: Sentences in which a message may well be none of this failure.
_NARRATED = re.compile(
    r"^\W{0,3}(?:Expected|Previously|Tried|Re-?installing|Installing|Downgrading|Upgrading|After"
    r"|Without the|With the wrong|It (?:works|worked|ran|runs|should)|Related|See also|Same as)\b"
)
_DOUBT = re.compile(
    r"\bas expected\b|^\W{0,3}expected:|^\W{0,3}previously:|\bdocs?(?:umentation)? says?\b"
    r"|\bif I (?:remove|unplug|take|leave|delete|stop)\b|\bused to (?:have|get|see|say)\b"
    r"|\bon (?:another|the other|the old|an old|my other|my old|my pc)\b"
    r"|\bnot (?:my|the) (?:problem|reason|cause|issue)\b|\bI (?:know|can confirm) that\b"
    r"|\bg[eo]t (?:rid of|past)\b|\bno longer\b|\bmeans\b|\bdifferent one\b"
    r"|\bdoes(?: not|n['\u2019]t) (?:come|appear|happen|occur)\b|\bwithout the\b|\(no [A-Z'`\"]"
    r"|\bonce \(|\ban error like\b(?! (?:this|the following)\b)|^\W{0,3}(?:related|see also)\b"
    r"|\bthere it (?:was|is)\b"
    r"|\b(?:I|we|it) (?:would|should) (?:get|see|expect|say|print)\b",
    re.IGNORECASE,
)
#: A program says itself that it only plays: nothing failed, and it prints what would be said.
_PRETENDED = re.compile(
    r"\[(?:mock(?:ed)?|dry[ -]?run|fake|simulat(?:ed|ion|or)|stub)\]|^\W*dry[ -]run\b"
    # A test that names the message it is about, and passes.
    r"|^\W{0,4}(?:tests?|case|check|scenario|step)\b.*\.{3} ?(?:pass(?:ed)?|ok)\W*$"
    r"|^.{0,80}?\bwould (?:print|say|log|show|raise|fail|exit|report) ?(?:with\b|:)"
    r"|\b(?:simulat(?:ed|ing)|inject(?:ed|ing)|mock(?:ed)?|faked?|dummy|deliberate|provoked"
    r"|intended|expected) (?:an? )?(?:\w+ )?(?:errors?|failures?|exceptions?|faults?|messages?"
    r"|crash(?:es)?)\b(?!\W*but\b)",
    re.IGNORECASE,
)
#: A message is explained, asked after, or told to be over: nobody says that it is here.
_TAUGHT = re.compile(
    r"\b(?:some(?:one|body)|(?:a|my) (?:friend|colleague)|they|he|she|people)\b.{0,30}\b(?:proposed"
    r"|suggested|recommended|advised)\b|"
    r"\b(?:release notes|change ?log|manual|readme|wiki) (?:says?|mentions?|lists?)\b"
    r"|[`\"'\u201d] means\b|\b(?:usually|often|typically|generally|normally|commonly) (?:means?"
    r"|indicates?|comes?|happens?|occurs?|is caused)\b|^\W*What (?:does|do|causes)\b.*\?\s*$"
    r"|^\W*(?:solved|resolved|fixed)\b[\])*]*[.:!]|\b(?:the|this|that) (?:error|message|problem)"
    r"\b.*\b(?:is|was) (?:now )?gone\b|^\W*After \w+ing\b.*\b(?<!never )(?:went away|disappeared)\b"
    r"|^\W*(?:in case of|when(?:ever)? you (?:see|get|encounter|receive))\b"
    r"|^\W*if (?:this|it|that|the [\w ]{1,30}) (?:still )?(?:fails|ends|stops|crashes|dies) with\b"
    r"|^\W*if (?:it|that|this|one|somebody|someone) (?:still )?(?:prints|says|shows|reports|gets"
    r"|sees|throws|raises)\b"
    rf"|(?<!what )(?<!as ){SEEN}(?!.*\bbut (?:I|we|it)\b)"
    r"|^\W*this (?:happens|occurs|appears) (?:when|if) (?!I\b|we\b|my\b|you\b)"
    # "If ... comes, install ..." in other languages.
    r"|^\W*falls\b.*\b(?:erscheint|kommt|auftritt|angezeigt)|^\W*si (?:vous (?:voyez|obtenez)"
    r"|aparece|ves|obtienes)\b|^\W*se (?:aparecer|ocorrer|receber|voc\u00ea vir)\b"
    r"|(?:\u5982\u679c|\u82e5)(?:\u51fa\u73b0|\u51fa\u73fe|\u9047\u5230|\u63d0\u793a|\u770b\u5230|\u62a5)"
    r"|\u3068(?:\u8868\u793a\u3055\u308c|\u51fa)\u305f(?:\u3089|\u5834\u5408)",
    re.IGNORECASE,
)
#: Headings of a manual, under which stand messages that may come, or that came before a version.
_MANUAL = re.compile(
    r"^\W*(?:faq|frequently asked questions|troubleshooting(?: guide)?|known (?:issues|problems)"
    r"|(?:common|frequent) (?:errors|issues|problems)|change ?log|release notes|bug ?fixes|fixed"
    r"|fixes)\W*$",
    re.IGNORECASE,
)
#: A line of a list of changes, and the heading of one.
_CHANGES = re.compile(
    r"^\W{0,4}(?:(?:[\w-]{1,30}(?: [\w-]{1,30}){0,2}: )?(?:bug ?)?(?:fix(?:ed|es)?|add(?:ed|s)?"
    r"|updated?|upgraded?|bumped?|support(?:ed|s)?|requires?|changed?|removed?)\b|#{1,6} )"
    r"|^.{0,80}\b(?:release notes|change ?log)\b",
    re.IGNORECASE,
)
#: A table that says what to do about each message.
_GUIDE = re.compile(
    r"^\s*\|.*\b(?:errors?|symptoms?|problems?|issues?|messages?|codes?|status|names?"
    r"|you (?:see|get)"
    r"|fehler|meldung|erreurs?|errore?s?|erros?)\b.*\|"
    r".*\b(?:fix(?:es)?|solutions?|causes?|meanings?|remedy|resolution|what (?:to do|it means)"
    r"|action|you do|do this|try|answer|l(?:\u00f6|oe)sung|ursache|soluci(?:\u00f3|o)n|causa)\b",
    re.IGNORECASE,
)
#: A pair of a manual: a failure, and in the next line what to do.
_PROBLEM = re.compile(
    r"^\W{0,6}(?:problem|issue|symptom|question|q)\W|^\W{0,3}\*\*\w", re.IGNORECASE
)
_SOLUTION = re.compile(
    r"^\W{0,6}(?:solution|fix|resolution|remedy|answer|a)(?:\*\*)?:(?:\*\*)?\s+\w", re.IGNORECASE
)
#: A row of a table of HailoRT's statuses; with so many in a row none of them came.
_STATUS_ROW = re.compile(r"\W{0,6}(?:\d{1,3}\W{1,5})?(?P<name>HAILO_[A-Z_]{4,})\b")
_ROWS = 3
#: Words before a turn by which it is none: hoped for, told by others, not come.
_UNTURNED = re.compile(
    r"\b(?:thought|hop(?:e|ed|ing)|should|supposed|said|says|claims?|if|until|unless|read|not"
    r"|never|whether|assumed?|believed?|seems?|seemed)\b[^.!?;:]{0,80}$|n['\u2019]t\b[^.!?;:]{0,80}$",
    re.IGNORECASE,
)
#: Headings of a report, and those under which stands what did not come, or came by the way.
_HEADING = re.compile(r"^\s{0,3}(?:#{1,6} +|\*\*)(?P<title>[^#*`]{2,80}?)(?:\*\*)?:?\s*$")
_ASIDE = re.compile(
    r"expected|\btried\b|\battempts?\b|\brelated\b|workarounds?|\b(?:possible|proposed|suggested) "
    r"(?:fix|solution|cause|change)",
    re.IGNORECASE,
)
#: How headings begin of what somebody did or teaches about a message.
_DEALS = re.compile(
    r"\W*(?:(?:bug ?|hot)?fix|check|add|updat|remov|how|what|troubleshoot|handl|support|test|catch"
    r"|solv|resolv|if|when|where|why|note|todo|script|guide|known|common|chang|improv|avoid|prevent"
    r"|ensur|detect|print|explain|understand|workaround|tutorial|feature|docs?\b|chore|refactor)",
    re.IGNORECASE,
)
#: Several statuses in a row are what somebody had at one time or another, or a list of them.
_STATUSES = re.compile(
    r"\b(hailo_[a-z_]{6,60})(?:\(\d+\))?(?: ?[,;] ?| / |,? (?:and|or) )(hailo_[a-z_]{6,60})",
    re.IGNORECASE,
)
#: What the form of a report has its writer confirm.
_TICKED = re.compile(r"^\s*[-*] \[[ xX]\] ")
#: Somebody says that what stands above is over, and that another failure follows.
_TURN = re.compile(
    r"^\W*(?:solved|fixed|mended) (?:on|by|with|that|it|this)\b"
    r"|\b(?:this|that) (?:message|log|error|line) is (?:an )?old\b"
    r"|\bthat was with \w+ [\d.]+\b"
    r"|\b(?:that|this|it|the (?:first|old|above|previous|former|last))(?: \w+)?(?: above)?"
    r" (?:is|was|has been|got) (?:now |then |already )?(?:solved|fixed|resolved|gone)\b"
    r"|\b(?:I|we)(?:['\u2019]ve| have)? (?:then |now |already )?(?:fixed|solved|resolved)"
    r" (?:that|this|it|the (?:first|above|previous))\b"
    r"|\b(?:now|then|so|but|that,?|time,?|instead) (?:I|we|it|there|comes?)(?: \w+){0,3}?"
    r" (?:a|an|the|this|yet)? ?(?:new|different|other|another|next|second)(?: \w+)? "
    r"(?:error|problem|issue|message|failure)s?\b"
    r"|\b(?:I|we) (?:now )?(?:get|got|have|see)(?: \w+)? (?:new|different|other|another) (?:\w+ )?"
    r"(?:error|problem|issue|message|failure)s?\b"
    r"|^\W*which (?:I|we)(?:['\u2019]ve| have)? (?:\w+ ){0,2}(?:solved|fixed|resolved)\b"
    # Something was done about what stands above, and this is what came of it.
    r"|^\W*(?:and |but |so )?now (?:I(?:['\u2019]m| am)? |it(?:['\u2019]s| is)? )?(?:just |only )?"
    r"(?:getting|seeing|having|receiving|get|see|have|says?|gives?|shows?|fails? with)"
    r" (?:me )?(?:this|the following|these|an?)\b.{0,20}?\b(?:error|problem|issue|message"
    r"|exception|failure)s?\b",
    re.IGNORECASE,
)
#: One of these is in each such sentence; nearly no other line has any.
_TURNED = (
    "solved", "Solved", "Fixed", "is old", "was with ", "fixed", "gone", "new ", "ther ",
    "different", "next ", "second ", "ow getting",
    "ow I", "ow it", "ow gives", "ow says", "ow shows",
)  # fmt: skip


def heads_aside(line: str) -> bool | None:
    """Tell whether what follows the heading ``line`` stands beside the report of the failure;
    ``None`` for any other line."""
    if line[:1] not in "#* ":
        return None
    heading = _HEADING.match(line)
    return None if heading is None else _ASIDE.search(heading["title"]) is not None


def title_of(line: str) -> str:
    """Return the words of a line that may be the heading of a whole post, without its marks."""
    if line[:2] != "# " or len(line) > 500 or _MANUAL.match(line[1:]) is not None:
        return ""
    return line[2:].strip()


def only_speaks_of(title: str) -> bool:
    """Tell whether a heading asks about a message, or is of a page or change that deals with it."""
    return title.endswith("?") or _DEALS.match(title) is not None or is_doubtful(title)


def moved_on(line: str) -> bool:
    """Tell whether somebody says in ``line`` that the failure above is over, and another came."""
    if len(line) > 2000:
        return False
    if any(word in line for word in abroad.TURNED) and abroad.TURN.search(line) is not None:
        return True
    if not any(word in line for word in _TURNED):
        return False
    turn = _TURN.search(line)
    return turn is not None and _UNTURNED.search(line[: turn.start()]) is None


def as_it_is_now(line: str) -> str:
    """Return ``line`` without what its writer does not ask about; a program's line as it is."""
    if _TICKED.match(line):
        return ""
    if len(line) > 2000:
        return line
    if " out" in line:
        line = _RULED_OUT.sub(" ", line)
    if any(word in line for word in abroad.NOW):
        line = abroad.BEFORE.sub(" ", line)
    if "nstead of " in line:
        line = _INSTEAD.sub(" ", line)
    if "?" in line:
        line = _ASKED.sub(" ", line)
    if _PERSON.search(line) is None:
        return line
    return _BEFORE.sub(" ", _ABSENT.sub(" ", _BEHIND.sub(" ", line)))


def is_doubtful(line: str) -> bool:
    """Tell whether a person speaks of messages in ``line`` that may be none of this failure."""
    return len(line) <= 2000 and _doubts(line)


@lru_cache(maxsize=REMEMBERED)
def _doubts(line: str) -> bool:
    if _TAUGHT.search(line) is not None or _PRETENDED.search(line) is not None:
        return True
    if abroad.DOUBTFUL.search(line) is not None or voices.is_of_another(line):
        return True
    if stories.is_over_by_now(line):
        return True
    listed = _STATUSES.search(line) if line.lower().count("hailo_") > 1 else None
    if listed is not None and any(meaning_of(name) for name in listed.groups()):
        return True
    if _DOUBT.search(line) is None:
        return False
    return _PERSON.search(line) is not None or _NARRATED.match(line) is not None


@lru_cache(maxsize=REMEMBERED)
def speaks(line: str) -> bool:
    """Tell whether a person tells ``line``, or a list of changes: it is no program's own word."""
    return _PERSON.search(line) is not None or _CHANGES.match(line) is not None or is_doubtful(line)


class Manual:
    """Follows where a manual is shown: its part on failures, or a table of messages."""

    def __init__(self) -> None:
        #: Level of the heading of that part; 0 outside of one.
        self._level = 0
        #: Within a block of code, where ``#`` begins a comment and no heading.
        self._fenced = False
        self._table = False
        #: How many lines ago a failure was named, to which an answer may follow; 0: none was.
        self._ago = 0
        #: Names of statuses in the last lines, one in each.
        self._statuses: list[str] = []

    @property
    def inside(self) -> bool:
        """Whether what is read now is what a manual says of messages."""
        return self._level > 0 or self._table or len(set(self._statuses)) >= _ROWS

    def feed(self, line: str) -> int:
        """Take in each line, before :attr:`inside` is asked for it; return how many lines ago
        stood the failure that this line answers, 0 where it answers none."""
        ago = self._ago + 1 if self._ago else 0
        answered = ago if ago and _SOLUTION.match(line) else 0
        self._ago = ago if ago < 3 and not answered else 0
        if _PROBLEM.match(line):
            self._ago = 1
        if FENCE.match(line):
            self._fenced = not self._fenced
        if line[:1] == "#" and not (self._fenced and self._level):
            title = line.lstrip("#")
            level = len(line) - len(title)
            if title[:1] == " " and level <= 6 and (not self._level or level <= self._level):
                self._level = level if _MANUAL.match(title) else 0
        if line.lstrip()[:1] != "|":
            self._table = False
        elif not self._table and len(line) <= 2000:
            self._table = _GUIDE.match(line) is not None
        row = _STATUS_ROW.match(line) if "HAILO_" in line else None
        if row is None:
            self._statuses.clear()
        else:
            before = len(set(self._statuses))
            self._statuses.append(row["name"])
            if before < _ROWS <= len(set(self._statuses)):
                answered = max(answered, len(self._statuses))
        return answered - 1 if answered else 0
