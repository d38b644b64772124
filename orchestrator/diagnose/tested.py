"""Follows what runners of tests print: what a test that passes prints came on purpose.

A test of what is said when no device is there prints just that, and passes. What a test prints that
fails, or that nobody says the end of, stays.
"""

from __future__ import annotations

import re

#: A test begins: GoogleTest, Go, CTest, unittest, pytest (what it prints follows its name, or the
#: head of its log), and the whole of a run of pytest.
_BEGINS = re.compile(
    r"\[ RUN +\] (?P<google>\S+)|=== RUN +(?P<go>\S+)|\s{0,8}Start +(?P<ctest>\d+): \S"
    r"|(?P<unit>test\w* \([\w.]+\) \.\.\.)|(?P<session>=+ test session starts =+$)"
    r"|(?P<py>(?:\S+\.py::\S+|-+ live log (?:setup|call|teardown) -+$)"
    r"(?!.*\b(?:PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b))"
)
#: And passes, or is left out.
_PASSES = re.compile(
    r"\[ +(?:OK|SKIPPED) +\] (?P<google>[^\s,(]+)|\s{0,40}--- (?:PASS|SKIP): (?P<go>\S+)"
    r"|\s{0,8}\d+/\d+ Test +#(?P<ctest>\d+): .* (?:Passed|Skipped)\b"
    r"|(?P<unit>(?:ok|skipped\b.*|expected failure)$)"
    r"|(?P<py>(?:PASSED|SKIPPED|XFAIL)\b(?! \S+\.py::))"
    r"|(?P<session>=+ (?!.*\b(?:failed|errors?)\b).*\b\d+ passed\b.* =+$)"
)
#: What no test of these runners begins without.
_SIGNS = ("[ RUN", "=== RUN", "Start ", ") ...", ".py::", "live log", "session starts")
#: The verdict on a test of the Test Anything Protocol; lines with a mark below it belong to it.
_VERDICT = re.compile(r"(?P<failed>not )?ok \d+\b")
#: What a test of Go told, below the line that says that it passed.
_OF_GO = re.compile(r"\s{4,}\S+_test\.go:\d+: ")
#: Tests that are remembered; one that ends closes those that began after it.
_MOST = 32


class Tests:
    """Takes in each line (cleaned); tells from which line on a test printed that has passed."""

    def __init__(self) -> None:
        #: Kind and name of each test that runs, and its first line.
        self._running: list[tuple[str, str, int]] = []
        #: What follows belongs to a test that passed.
        self._of_passed = False
        #: Whether the line was printed by a test that has passed by now.
        self.shown = False

    @property
    def idle(self) -> bool:
        """Whether no test runs."""
        return not self._running

    def feed(self, number: int, line: str) -> int:
        """Take in a line; return the first line of the test that it says has passed, else 0."""
        # In the summary of pytest: a test that was expected to fail, and did.
        self.shown = line.startswith("XFAIL ") and ".py::" in line
        if self._of_passed:
            self.shown = line.startswith("#") or _OF_GO.match(line) is not None
            self._of_passed = self.shown
        if line.startswith(("ok ", "not ok ")) and (verdict := _VERDICT.match(line)) is not None:
            self._of_passed = verdict["failed"] is None
        if self._running and (ends := _PASSES.match(line)) is not None:
            kind = ends.lastgroup or ""
            self._of_passed = kind == "go"
            named = ends[kind] if kind in {"google", "go", "ctest"} else ""
            return self._end(kind, named)
        if any(sign in line for sign in _SIGNS) and (begins := _BEGINS.match(line)) is not None:
            kind = begins.lastgroup or ""
            named = begins[kind] if kind in {"google", "go", "ctest"} else ""
            if not (
                kind == "py"
                and self._running
                and self._running[-1][0] == "py"
                and line.startswith("-")
            ):
                self._running.append((kind, named, number))
            del self._running[:-_MOST]
        return 0

    def _end(self, kind: str, named: str) -> int:
        for at in range(len(self._running) - 1, -1, -1):
            if self._running[at][:2] == (kind, named):
                first = self._running[at][2]
                del self._running[at:]
                return first
        return 0
