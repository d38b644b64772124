"""Tells lines that show words instead of saying them: programs, settings, changes, commands.

A report shows more than its log. ``raise RuntimeError("Mapping Failed")`` in a listing is no
failure, and neither is a comment that says what to do when one comes, or a command that looks
for one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.diagnose.post.session import PROMPT
from orchestrator.diagnose.words.text import REMEMBERED

#: What somebody notes below a command: what came of it.
_CAME_OF_IT = (
    r"(?:results?|outputs?|\u7d50\u679c|\u7ed3\u679c|\u51fa\u529b|\u8f93\u51fa"
    r"|\u30a8\u30e9\u30fc|\u62a5\u9519|ergebnis|ausgabe|r\u00e9sultat|resultado|risultato"
    r"|\u0440\u0435\u0437\u0443\u043b\u044c\u0442\u0430\u0442)\s?[:\uff1a]"
)
#: Lines of programs, whatever they would print.
_CODE = re.compile(
    r"^\s{0,160}(?:"
    # Python.
    r"(?:async )?def \w+\s*\(|class \w+\s*(?:\([\w., ]*\))?:\s*$|@\w[\w.]*(?:\(.*\))?\s*$"
    r"|(?:el)?if\s.*(?:==|!=|[<>]=?|\b(?:is|in|not|and|or)\b|\w\().*:\s*(?:#.*)?$"
    r"|while\s.*:\s*$|for \w+(?:, ?\w+)* in .*:\s*$|with\s.*\bas \w+:\s*$"
    r"|except(?: [\w.(), ]+)?(?: as \w+)?:\s*(?:#.*)?$|(?:try|else|finally):\s*$"
    r"|raise (?:[a-z_]\w*\.)*[A-Z]\w*\(.*|from [\w.]+ import [\w(*]|import [\w.]+(?: as \w+)?\s*$"
    r"|(?:print|logger\.\w+|logging\.\w+|log\.\w+|warnings\.warn|sys\.exit)\s*\(.*[)\",]\s*$"
    r"|return [\w.]+\(.*\)\s*$"
    # C, C++, JavaScript: a statement, a directive, text in a table of texts.
    r"|#\s*(?:include|define|ifn?def|endif|pragma)\b|\}\s*(?:else|catch)\b.*\{\s*$"
    r"|(?:std::)?(?:cout|cerr|printf|fprintf|throw|console\.\w+)\b\s*(?:<<|\(|std::|\w+\().*"
    r"|(?!\[|.{0,200}\b(?:error|warning):)[^:]{0,200}[(=][^;]*;\s*(?://.*)?$|HAILO_STATUS__X\("
    r"|\"[^\"\s/]*\",\s*$"
    # Tests, and what a program looks for in the words of another.
    r"|(?:self\.)?assert\w*\(|expect\(|with pytest\.raises\(|\w+ = re\.\w+\("
    r"|(?:el)?if (?:! )?grep -|\*[\"'].*[\"']\*\)"
    r"|(?:export )?(?:const|let|var|constexpr|static)\s[\w:<>*&\[\] ]{1,80}=\s*[\"'`]"
    # A table of messages, by their numbers or names; a list of rules.
    r"|[\"']?(?:\d{1,3}|HAILO_[A-Z_]+)[\"']?\s*(?::|=>)\s*[\"'].*[\"'],\s*$"
    r"|(?:- )?(?:match|pattern|regex|contains|expect(?:ed)?|examples?|samples?):\s*[\"'/|]"
    r"|<!--.*-->\s*$|[rf]?\"\"\"[^\"]+\"\"\"\s*$"
    # What grep found in sources and papers. It puts nothing between the place and the text; what
    # compilers and loggers print there looks otherwise.
    r"|[\w./-]+\.(?:h|hpp|c|cc|cpp|cxx|py|js|ts|rs|go|java|ya?ml|toml|cmake|sh|bb):\d+[:-]"
    r"(?=[^\s\d:\[])(?!(?:(?:fatal )?error|warning|note)\b"
    r"|(?:ERROR|WARN(?:ING)?|INFO|DEBUG|CRITICAL|FATAL|[EWIF])\b)"
    r"|[\w./-]+\.(?:md|rst|html):\d+[:-]"
    r"|[\w./-]+\.(?:h|hpp|c|cc|cpp|py|js):\d+[:-]\s?(?:LOGGER__|CHECK\w*\()"
    r"|[\w./-]+\.(?:h|hpp|c|cc|cpp|py|js|md|rst|html|ya?ml|sh):\d+[:-]\s{2,}\S"
    # Names of tests, by their runners.
    r"|Start +\d+: \S|\d+/\d+ Test +#\d+: (?!.*Exception)"
    # Compose says so of what it brought up.
    r"|[\u2713\u2714\u221a] (?!(?:Container|Network) \S+ +(?:Start|Creat)ed)"
    r"|[\u2715\u2717\u00d7] .*\(\d+(?:\.\d+)? ?m?s\)$|test [\w:]+ \.\.\. (?:ok|ignored)$"
    # Issues, and what was found in sources: a number, and then a title or a line of the file. A
    # number is docker's where a time or a step follows, and a debugger's before a function.
    r"|\d{1,6}\s+(?:OPEN|CLOSED|MERGED)\s|\d{1,5}[:-](?: {2,}|\t)\S"
    r"|\[?(?:[\w.-]+/[\w.-]+)?#\d{1,6}\]?[:)]? (?=[A-Za-z`\"']|\[HailoRT)(?!0x|.* (?:at|from) \S+$"
    r"|(?:ERROR|CANCELED|DONE|CACHED|sha256|[a-z]+ing|resolve|inferred|pull)\b)"
    # Comments, as far as nothing else begins so (`#12` is docker's, `* ` is curl's).
    r"|//\s|/\*|#\s+(?!\[|<hailo|" + _CAME_OF_IT + r")(?=\S)"
    r")"
)
#: Code that would say something, wherever it stands in a line.
_SAYING = re.compile(
    r"(?:^|[\s;&|({:])(?:echo|printf)\s+(?:-\w+\s+)*[\"']"
    r"|\b(?:print|sys\.exit|warnings?\.warn|(?:self\.)?log\w*\.\w+|raise [\w.]+|throw [\w:]+"
    r"|console\.\w+)\s*\(\s*[a-zA-Z]{0,2}[\"']"
    r"|\bstd::c(?:out|err)\s*<<"
)
#: What an engine or a shell says of a command that it shows in the same line.
_OF_COMMAND = re.compile(
    r"did not complete|failed to solve|executor failed|returned? (?:a )?non-zero"
    r"|exit(?:ed)? (?:code|status|with)|syntax error",
    re.IGNORECASE,
)
#: Commands (of `set -x`, a Dockerfile), help, titles of commits, names of tests, lists
#: of files, and the code around a failure.
_SHOWN = re.compile(
    r"^\s{0,160}(?:% \S|>>> |\.\.\. |In \[\d+\]:|\+{1,4} \S|#+!? ?(?!" + _CAME_OF_IT + r")[A-Za-z]"
    r"|(?:#\d+ )?(?:\[[\w-]* ?\d+/\d+\] |step \d+/\d+ : |=?> \[.{1,20}\] )"
    r"(?:run|cmd|env|arg|copy|entrypoint)\b"
    r"|\S+\.py::\w|SKIPPED \[\d+\] |(?:not )?ok \d+ |test_\w+ \([\w.]+\) \.\.\. "
    # A list of what stands elsewhere.
    r"|\[.*\]\((?:#|https?:)\S*\)\s*$|\s(?:-\w,? )?--?[a-z][\w-]*(?:[ ,=].*?)? {2,}\w"
    r"|[-dlcbps](?:[r-][w-][xsStT-]){3}[.+@]?\s+\d"
    r"|[-+] {3,}\S|(?-i:[A-Z][A-Z0-9_]+ ?= ?-?(?:0x)?\d+,)"
    r"|(?=\w*\d)(?=\w*[a-f])[0-9a-f]{7,10} (?:\([^)]*\) )?"
    r"(?-i:[A-Z][a-z]+ \S|[a-z]+(?:\([\w-]+\))?: \w)"
    r"|(?:[-*\u2022] |[0-9a-f]{7,12} )(?:fix(?:ed|es)?|add(?:ed|s)?|handled?|handles"
    r"|improved?|revert|merge)\b(?! .{0,40}\bfailed\b)"
    # What a trace of system calls looked for; of the card's node it is told by its own entry.
    r"|(?!.*/dev/(?:hailo|h1x))\w+\(.*\) += -1 E[A-Z]+ \("
    r"|(?:[\u2771>] *)?\d{1,5} [\u2502|] |-{1,4}> ?\d{1,5} "
    # A tree of names, such as that of a library's exceptions.
    r"|[\u2502 ]{0,40}[\u251c\u2514]\u2500{1,2} ?[A-Za-z_]\w*(?: \([^)]*\))?\s*$)",
    re.IGNORECASE,
)
#: What sshd tells of others that came to this machine; a client that is too old is one's own.
_CAME = re.compile(
    r"^.{0,60}?\d\d:\d\d:\d\d\S* \S+ sshd(?:-session)?\[\d+\]: "
    r"(?!.{0,40}kex protocol error|[Aa]uthentication refused: bad own)"
)
_HUNK = re.compile(r"^@@ -\d+(?:,(?P<old>\d+))? \+\d+(?:,(?P<new>\d+))? @@")
_COMMIT = re.compile(r"^commit [0-9a-f]{7,40}(?: \(.{1,200}\))?$")
_BY = re.compile(r"^(?:Author|Merge|AuthorDate|Commit): ")
_OF_COMMIT = re.compile(r"^(?:(?:Author|Date|AuthorDate|Commit|CommitDate):|\s{4}|\s*$)")


@lru_cache(maxsize=REMEMBERED)
def is_code(bare: str) -> bool:
    """Tell whether a line (without prefix) is plainly one of a program, or a comment."""
    if _CODE.match(bare) is not None:
        return True
    return _SAYING.search(bare) is not None and _OF_COMMAND.search(bare) is None


@lru_cache(maxsize=REMEMBERED)
def only_shown(line: str, bare: str) -> bool:
    """Tell whether a line (with its prefix, and without) shows words that no program of this
    story said: a command, a list, or what others met who came here."""
    typed = PROMPT.match(bare) is not None
    return typed or _SHOWN.match(bare) is not None or _CAME.match(line) is not None


class Listings:
    """Follows what is shown over several lines: changes of git, and its history."""

    def __init__(self) -> None:
        #: Lines of the old and of the new text that the change still has.
        self._old = self._new = 0
        #: The last line begins a commit; lines of one follow.
        self._begins = self._commit = False
        self._inside = False
        #: A comment of C is open.
        self._comment = False

    def feed(self, line: str) -> None:
        """Take in each line of the log, before :meth:`shows` is asked for it."""
        self._inside = False
        if self._old > 0 or self._new > 0:
            self._inside = line[:1] in {" ", "+", "-", "\\", ""}
            self._old -= line[:1] in {" ", "-", ""}
            self._new -= line[:1] in {" ", "+", ""}
            if not self._inside:
                self._old = self._new = 0
        elif line.startswith("@@ ") and (hunk := _HUNK.match(line)):
            self._old, self._new = (int(hunk[side] or 1) for side in ("old", "new"))
        elif self._begins or self._commit:
            self._inside = (_BY if self._begins else _OF_COMMIT).match(line) is not None
            self._commit, self._begins = self._inside, False
        if line.startswith("commit ") and _COMMIT.match(line):
            self._begins, self._inside = True, True
        if self._comment:
            self._comment = line.lstrip()[:1] == "*"
            self._inside = self._inside or self._comment
        if "/*" in line or self._comment:
            opened = self._comment or line.lstrip().startswith("/*")
            self._comment = opened and "*/" not in line

    def shows(self, bare: str) -> bool:
        """Tell whether the line (without prefix) is no message, but part of a listing."""
        return self._inside or is_code(bare)
