"""Tells what a command only shows: a file of words, what it was told to say, lists of names.

``cat check.sh`` prints a program, ``rg`` lines of sources, ``echo`` what was typed behind it. What
a log holds (``cat hailort.log``, ``dmesg | grep``) was printed by a program, and is read.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.post.pasted import FENCE
from orchestrator.diagnose.post.session import prompt_of

#: Commands that print files as they are, or what they find in them.
_SHOWS = re.compile(
    r"^(?:sudo )?(?:cat|bat|batcat|ccat|head|tail|tac|less|more|most|view|sed(?! -i)|awk|nl"
    r"|fold|column|e?grep|rg"
    r"|ag|ack|glow|mdcat|pygmentize|pandoc)\b"
)
#: Commands that print words and no log, whatever they are told: history, manuals, text of a binary.
_ALWAYS = re.compile(
    r"^(?:sudo )?(?:git(?: -\S+(?: \S+)?)? (?:grep|diff|show|log|blame|annotate|format-patch"
    r"|whatchanged|stash show"
    r"|range-diff)|man|tldr|info|apropos|strings|diff .*\.(?:py|sh|md|c|cpp|h|ya?ml)|pydoc3?"
    r"|python3? -m pydoc)\b"
)
#: Commands that print what others wrote: an issue of a forge, a page, a manual from the web.
_OTHERS = re.compile(
    r"^(?:gh|glab|hub|tea) (?:issue|pr|mr|release|gist|discussion) \w+|^gh (?:search|api) "
    r"|^(?:curl(?!.* -\w*[oO])|wget(?=.* -\w*O ?-)|http|xh|lynx|w3m|links2?"
    r"|elinks)\b(?!.*\|\s*(?:sudo |\S*/)*(?:ba|z|da)?(?:sh|python)).*(?:api\.github\.com"
    r"|/issues?/\d|/pull/\d|/discussions?/\d"
    r"|raw\.githubusercontent|/blob/|community\.|forums?\.|discuss\.|docs?\.|stackoverflow"
    r"|reddit|\.(?:md|rst|html)\b)"
    r"|^(?:jq|yq)\b.*\bbody\b"
)
#: What such a command says of itself, where it fails.
_OTHERS_FAIL = re.compile(r"^(?:gh|glab|hub|curl|wget|jq|GraphQL|bash|-bash|zsh|sh): ")
#: Files of words: programs, manuals, settings. What begins a way through folders of them, too.
_WORDS = re.compile(
    r"[\w./~*-]+\.(?:py|pyi|sh|bash|c|cc|cpp|h|hpp|md|rst|ya?ml|toml|cmake|js|ts|rs|go|ipynb|adoc"
    r"|html|rules|service|conf|csv)\b|--include[= ]|(?:^|\s)(?:\S*/)?(?:src|docs?|tests?|README"
    r"|CHANGELOG\w*)(?:/\S*)?(?=\s|$)"
)
#: Those of settings: they print nothing, and may decide what a failure means.
_SETTINGS = re.compile(r"[\w./~*-]+\.(?:conf|ya?ml|toml|service|rules)\b")
_LOGS = re.compile(
    r"\.log\b|/var/log|\bdmesg\b|\bjournalctl\b|\blogs?\b(?!\.py)|\|\s*(?:sh|bash)\b"
)
#: The command itself fails; that is no word of the file.
_FAILS = re.compile(
    r"^(?:cat|bat|head|tail|less|sed|e?grep|rg|git|bash|-bash|sh|zsh|fatal|error)\b.{0,80}:"
)
#: What ends what a command shows, as a fence does: a sentence behind an empty line.
_SENTENCE = re.compile(
    r"^(?![#>*|-])\W{0,2}[A-Z][\w'\u2019]*(?: [\w'\u2019`/.,()-]+){2,}.*[.:?!]\s*$"
)
#: What a shell is told to say, as typed at a prompt or shown by `set -x`.
_SAYS = re.compile(
    r"(?:^|[;&|+]\s?|\bthen |\bdo )\s*(?:echo|printf)\s+(?:-\w+ )*"
    r"(?:\"(?P<two>[^\"]*)\"|'(?P<one>[^']*)'|(?P<bare>[^;&|<>\"']+))"
)
#: A name of a status with what a list puts round it: its number, quotes, marks.
_STATUS = re.compile(
    r"^[\s\"'`|*,:=>({\[-]*(?:\d{1,3}[\s\"'`|:=,-]+)?(?P<name>HAILO_[A-Z0-9_]{4,})"
    r"(?:\s*[=:|(]?\s*\(?\d{1,3}\)?)?[\s\"'`|*,)}\]]*$"
)
#: What stands between such rows: a key, a bracket, a comment.
_BETWEEN = re.compile(r"^\s*(?:[\w\"' -]{1,40}:\s*[\[{]?|[\[\]{}]+,?|#.*)?\s*$")
#: Rows of them that make a list; a run prints one, or the same again.
_ROWS = 3
#: The name that a case of a test has in brackets, as runners print it.
_CASE = re.compile(
    r"(?P<test>(?:\.py::[\w:]+|^(?:test|build|check)\w*(?= ?\()))\s?"
    r"(?:\[.*\](?= (?:-|PASS|FAIL|ERR|SKIP|XFAIL|XPASS)|\s*$)|\([^()]*(?:\(\d+\)[^()]*)*\)(?=\s+"
    r"(?:pass|fail|ok|success|queued|cancel|skip)))"
)

#: A string of several lines that code begins, with its mark; such a mark alone is a person's fence.
_OPENS_STRING = re.compile(
    r"^(?=.*(?:[=(,\[:+]|\breturn|\byield|\bassert|\bin)\s*[rbfuRBFU]{0,2}(?P<mark>\"\"\"|'{3}"
    r"|`|R\"\()[^`]*$)"
    r"(?=\s*(?:[\w.\[\]\"']+\s*(?::\s*[\w\[\], .]+)?\s*(?:=|\(|\+=|:=)|(?:const|let|var|return"
    r"|yield|assert|auto"
    r"|static|await|expect|self|std::\w+)\b))(?!.*(?P=mark).*(?P=mark))"
)
_CLOSES = {'R"(': ')"'}
#: And text that a shell is given up to a word alone.
_HERE = re.compile(r"(?:^|[\s|;&]|\d)<<-?\s?([\"']?)(?P<end>[A-Za-z_]\w{1,30})\1(?=[\s;|&>)]|$)")
_LONGEST_STRING = 400


def is_shown(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that only show words."""
    return _documents(lines) | _echoes(lines) | _statuses(lines) | _strings(lines)


def without_case(line: str) -> str:
    """Return ``line`` without what a test's name holds of the case that it is run for."""
    if ".py::" not in line and line[:4] not in {"test", "buil", "chec"}:
        return line
    return _CASE.sub(r"\g<test>", line)


def of_settings(lines: list[str]) -> set[int]:
    """Return the numbers of those lines that are of a file of settings, without its comments."""
    return {
        one for one in _documents(lines, _SETTINGS) if lines[one].lstrip()[:1] not in {"#", ";"}
    }


def _documents(lines: list[str], only: re.Pattern[str] | None = None) -> set[int]:
    """Return the lines that commands show; ``only`` those whose command has such a file."""
    shown: set[int] = set()
    #: What is shown: nothing, words of a file (which a sentence below an empty line ends), or what
    #: others wrote, sentences and all.
    inside, empty, fenced = "", False, False
    for number, line in enumerate(lines):
        prompt = prompt_of(line)
        fence = FENCE.match(line) is not None
        if prompt is not None:
            inside = _kind(prompt["command"])
            if only is not None and (inside != "words" or not only.search(prompt["command"])):
                inside = ""
        elif inside == "others" and fence and not fenced:
            # A fence of their own: what stands outside of one may hold one.
            shown.add(number)
            continue
        elif inside and (fence or (inside == "words" and empty and _SENTENCE.match(line))):
            inside = ""
        elif inside:
            fails = _OTHERS_FAIL if inside == "others" else _FAILS
            if fails.match(line) is None:
                shown.add(number)
        fenced ^= fence
        empty = not line.strip()
    return shown


def _kind(command: str) -> str:
    """Return what ``command`` shows: ``words``, what ``others`` wrote, or nothing of these."""
    if _OTHERS.match(command):
        return "others" if re.search(r"--log\b|--log-failed|\.log\b", command) is None else ""
    if _ALWAYS.match(command):
        return "words" if re.search(r"\.log\b|/var/log", command) is None else ""
    words = _SHOWS.match(command) and _WORDS.search(command) and not _LOGS.search(command)
    return "words" if words else ""


def _strings(lines: list[str]) -> set[int]:
    """Return the lines between the marks of a string of a program, or of a shell's text."""
    shown: set[int] = set()
    at = 0
    while at < len(lines):
        line = lines[at]
        ends = None
        if "<<" in line and (here := _HERE.search(line)) is not None:
            ends = re.compile(rf"\s*{re.escape(here['end'])}\s*$")
        elif ('"""' in line or "'''" in line or "`" in line or 'R"(' in line) and (
            opens := _OPENS_STRING.search(line)
        ):
            ends = re.compile(re.escape(_CLOSES.get(opens["mark"], opens["mark"])))
        if ends is None:
            at += 1
            continue
        end = next(
            (
                one
                for one in range(at + 1, min(at + _LONGEST_STRING, len(lines)))
                if ends.search(lines[one])
            ),
            None,
        )
        if end is not None:
            shown.update(range(at + 1, end + 1))
            at = end
        at += 1
    return shown


def _echoes(lines: list[str]) -> set[int]:
    shown: set[int] = set()
    said: set[str] = set()
    for number, line in enumerate(lines):
        if said and line.strip() in said:
            shown.add(number)
        elif "echo " in line or "printf " in line:
            prompt = prompt_of(line)
            traced = line.lstrip().startswith("+")
            typed = prompt["command"] if prompt is not None else line.lstrip("+ ") if traced else ""
            for match in _SAYS.finditer(typed):
                words = (match["two"] or match["one"] or match["bare"] or "").strip()
                if len(words) > 3:
                    said.add(words)
    return shown


def _statuses(lines: list[str]) -> set[int]:
    shown: set[int] = set()
    rows: list[int] = []
    names: set[str] = set()
    for number, line in enumerate([*lines, "end"]):
        row = _STATUS.match(line) if "HAILO_" in line else None
        if row is not None:
            rows.append(number)
            names.add(row["name"])
        elif rows and _BETWEEN.match(line) is None:
            if len(names) >= _ROWS:
                shown.update(rows)
            rows, names = [], set()
    return shown
