"""Short logs of real situations with what is right, and the score of ``hef explain`` on them.

One file a log: a head in YAML (``expect``, ``source``), a line ``---``, the log. ``expect`` is the
id of the cause (several with ``|`` where each is right), ``unknown`` where the list cannot know,
or ``none`` where nothing must be asserted. Written by us after public reports: only message lines
of the programs are theirs.

Rules are tuned on ``open`` alone. ``held_out`` is only run; a rule that lowers its precision is not
taken. ``python -m tests.corpus`` prints the score.

The first two parts were written by the hands that wrote the rules. ``round_two`` was gathered
before its author had read a rule: 71 situations, of which 41 were named (57 %), 5 were among the
possible ones, 22 stayed unknown and 3 were wrong with certainty. Then rules were mended by kind,
so that part counts as open now. ``round_three`` are 38 more, most of them rare messages from the
programs' public sources: 20 were named at first, 2 among the possible ones wrongly, none wrong with
certainty. ``round_five`` and ``round_six`` are 30 situations each, mostly from around Hailo's tools
(packages, cameras, containers, export, kernel): at first 17 right and 2 wrong with certainty, then
23 right and none wrong. ``round_seven`` looked further away still: 15 right and 2 wrong at first;
``round_eight`` are 15 more, 11 right at first and none wrong. ``round_nine`` was written by an
examiner of its own, after public threads: of 30 logs 22 right at first, 4 possible, 1 wrong, and 3
wrong with certainty (a consequence was named, and its cause stood some lines before);
``round_ten``, 30 more of that examiner: 21 right, 3 possible, 2 unknown, 2 wrong, 2 wrong with
certainty (the general answer of a compilation hid the line beside it).
``compiler_one`` are logs of the compile side alone, after public reports that no rule cited: of
30 logs 17 right at first (57 %) and 2 wrong with certainty; every third is kept out. With it stand
those of an examiner's last batch that belong to that side.
``round_hosts`` is around the tools alone (engines, WSL, pip, apt, git, PyTorch): its first 24
were written after public reports before a rule was looked at, 14 right, 2 possible, 5 unknown, 3
wrong with certainty; of 12 runs that survived such messages 6 were wrong with certainty.
The next 26 were met by 14 right, 3 wrong with certainty (of 11 survived 1), and 23 more by 15
right, 2 wrong with certainty (of 10 survived 2), the last 15 by 8 right, 1 wrong with certainty;
each round was mended by kind before the next.
``compiler_two`` are 30 more of that side: 20 right
at first (67 %), 1 wrong with certainty; then 26 of exporters, notebooks and the zoo's own
commands: 13 right (50 %), 1 wrong with certainty; then 24 of calls and command lines: 17
right (71 %), 1 wrong with certainty; then 20 of training, its images and other converters: 13
right (65 %), 1 wrong with certainty; then 12 of converters: 9 right (75 %), none wrong. With them
near misses, where nothing is asserted.
``runtime_one`` are 33 about driver, bus, bootloader and the chip's own messages: 15 right at
first, one wrong with certainty.
``apps_one`` is around the programs that a HEF runs in (cameras, GStreamer, Frigate, DeGirum, ROS):
its first 24 after public reports that no rule cited, 17 right at first (71 %), 1 too certain; then
24 more of them, looked for further away: 12 right (50 %), 1 wrong with certainty; then
20 after the mending: 14 right (70 %), 1 wrong with certainty. With them stand an examiner's logs
of that side, and messages of those programs' sources (``-said-``).
``runtime_two`` are 32 more of ``runtime_one``'s side, with ten near misses: 22 right at first
(69 %), three wrong with certainty, and two of the near misses; with them an examiner's last
batch of that side.
``healthy_round`` are runs that went well, with the noise of all programs around, written by us: in
them nothing may be asserted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.diagnose.log_reader import read_log

HERE = Path(__file__).resolve().parent
PARTS = ("open", "held_out", "round_two", "round_three", "round_five", "round_six",
         "round_seven", "round_eight", "round_nine", "round_ten", "compiler_one", "round_hosts",
         "compiler_two",
         "runtime_one",
         "apps_one", "runtime_two",
         "examined", "healthy_round")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One log; ``expected`` holds the ids that are right, none of them for ``unknown``."""

    name: str
    part: str
    expect: str
    source: str
    log: str

    @property
    def expected(self) -> frozenset[str]:
        """Ids of the right causes."""
        ids = {one.strip() for one in self.expect.split("|")}
        return frozenset(ids - {"unknown", "none"})


@dataclass(frozen=True)
class Result:
    """What was said: ``right``, ``wrong`` (a wrong cause asserted as fatal) or ``unknown``."""

    case: Case
    verdict: str
    told: dict[str, str]


def load(*parts: str) -> list[Case]:
    """Return the cases of ``parts``, of all where none is named."""
    cases = []
    for part in parts or PARTS:
        for path in sorted((HERE / part).glob("*.log")):
            head, _, log = path.read_text("utf-8").partition("\n---\n")
            fields = yaml.safe_load(head)
            cases.append(Case(path.stem, part, fields["expect"], fields["source"], log))
    return cases


def judge(case: Case) -> Result:
    """Explain one log and say whether that is right."""
    findings = read_log(case.log.split("\n")).findings()
    told = {one.id: one.severity for one in findings}
    fatal = {name for name, severity in told.items() if severity == "fatal"}
    if fatal - case.expected:
        return Result(case, "wrong", told)
    if case.expect == "none":
        return Result(case, "right", told)
    if case.expect == "unknown":
        return Result(case, "right" if not fatal else "wrong", told)
    # The right cause counts when it is asserted, or when it is the first of the possible ones.
    first = next((one.id for one in findings if one.severity == "possible"), None)
    named = {name for name, severity in told.items() if severity != "possible"} | {first}
    return Result(case, "right" if case.expected & named else "unknown", told)


def score(*parts: str) -> dict[str, list[Result]]:
    """Return the results of all cases of ``parts`` by verdict."""
    results: dict[str, list[Result]] = {"right": [], "wrong": [], "unknown": []}
    for case in load(*parts):
        result = judge(case)
        results[result.verdict].append(result)
    return results
