"""Tells lines of programs, settings and changes, which a report shows beside its log.

``raise RuntimeError("Mapping Failed")`` in a listing is no failure, and neither is a comment that
says what to do when one comes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.diagnose.text import REMEMBERED

_CODE = re.compile(
    r"^\s*(?:"
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
    r"|\"[^\"/]*\",\s*$"
    # What grep found in sources.
    r"|[\w./-]+\.(?:h|hpp|c|cc|cpp|py|js|md|rst|ya?ml|sh):\d+[:-]\s{2,}\S"
    # Comments, as far as nothing else begins so (`#12` is docker's, `* ` is curl's).
    r"|//\s|/\*|#\s+(?!\[|<hailo)(?=\S)"
    r")"
)
_BEGINNINGS = ("diff --git ", "@@ -", "Index: ", "commit ")
_CHANGE = re.compile(r"^(?:[+\- ]|@@ |index |---|\+\+\+|diff --git |new file|deleted file|\\ No)")
_OF_COMMIT = re.compile(r"^(?:commit |(?:Author|Date|Merge|Commit\w*):|\s{4}|\s*$)")


@lru_cache(maxsize=REMEMBERED)
def is_code(bare: str) -> bool:
    """Tell whether a line (without prefix) is plainly one of a program or a comment."""
    return _CODE.match(bare) is not None


class Listings:
    """Follows what is shown over several lines: changes of git, and its history."""

    def __init__(self) -> None:
        self._inside: re.Pattern[str] | None = None

    def feed(self, line: str) -> None:
        """Take in each line of the log, before :meth:`shows` is asked for it."""
        if line.startswith(_BEGINNINGS):
            self._inside = _OF_COMMIT if line.startswith("commit ") else _CHANGE
        elif self._inside is not None and not self._inside.match(line):
            self._inside = None

    def shows(self, bare: str) -> bool:
        """Tell whether the line (without prefix) is no message, but part of a listing."""
        return self._inside is not None or is_code(bare)
