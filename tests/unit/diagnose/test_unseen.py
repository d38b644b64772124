"""Logs that no pattern foresaw: other languages, and lines that may pass unread."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest

from orchestrator.diagnose.log_reader import VendorLog, read_log
from orchestrator.diagnose.prefilter import OPEN, Prefilter
from orchestrator.diagnose.required import wanted

HEALTHY = Path(__file__).resolve().parent / "healthy"
EXAMPLES = json.loads(Path(__file__).resolve().parent.joinpath("examples.json").read_text("utf-8"))


def found(text: str) -> dict[str, str]:
    """What a log shows, and how sure that is."""
    return {one.id: one.severity for one in read_log(text.split("\n")).findings()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ssh: connect to host 10.0.0.5 port 22: Keine Route zum Zielrechner", "H06"),
        ("ssh: connect to host pi port 22: Verbindungsaufbau abgelehnt", "H06"),
        ("scp: /home/pi/a.hef: Auf dem Gerät ist kein Speicherplatz mehr verfügbar", "H02"),
        ("run.sh: Zeile 31: lspci: Kommando nicht gefunden", "S11"),
        ("./x.sh: Zeile 3: 4711 Ungültiger Maschinenbefehl hailomz", "S06"),
        ("hailo: Zeile 9: 12 Getötet", "S26"),
    ],
)
def test_what_a_german_system_says_is_understood(text: str, name: str) -> None:
    assert set(found(text)) == {name}


@pytest.mark.parametrize(
    "text",
    [
        "sudo: setrlimit(RLIMIT_CORE): Operation not permitted",
        'perl: warning: Falling back to the standard locale ("C").',
        "UserWarning: Provided key output for dynamic axes is not a valid input/output name",
        "W: Possible missing firmware /lib/firmware/rtl_nic/rtl8125b-2.fw for module r8169",
        "no errors were found while checking; 0 failed, 412 passed in 9.2s",
        "[info] No GPU chosen, Selected GPU 0",
    ],
)
def test_what_other_programs_warn_of_is_none_of_ours(text: str) -> None:
    assert found(text) == {}


class Open(Prefilter):
    """Lets nothing pass: every line is read in full."""

    def __init__(self) -> None:
        super().__init__(())

    def judge(self, line: str, *, told: bool) -> object:  # type: ignore[override]
        super().judge(line, told=told)
        return OPEN


def _lines(seed: int) -> list[str]:
    """A wild mixture of failures, healthy logs, cut lines, and other programs' lines."""
    chance = random.Random(seed)
    known = [
        line
        for group in EXAMPLES.values()
        for texts in group.values()
        for text in texts
        for line in text.split("\n")
    ]
    healthy = [
        line for path in sorted(HEALTHY.glob("*.log")) for line in path.read_text().split("\n")
    ]
    lines: list[str] = []
    while len(lines) < 500:
        line = chance.choice(known if chance.random() < 0.2 else healthy)
        if chance.random() < 0.5:
            line = re.sub(r"\d", lambda _: str(chance.randrange(10)), line)
        change = chance.randrange(12)
        if change == 0:
            at = chance.randrange(len(line) + 1)
            lines.append(line[:at])
            line = line[at:]
        elif change == 1:
            line = f"\x1b[33m{line}\x1b[0m\r"
        elif change == 2:
            line = f"2025-11-22T10:00:01.123456789Z {line}"
        elif change == 3:
            line = f"{chance.getrandbits(48):012x} worker handled request"
        lines.append(line)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_lines_that_pass_unread_would_have_told_nothing(seed: int) -> None:
    results = []
    passed = 0
    for prefilter in (None, Open()):
        log = VendorLog(prefilter=prefilter)
        news = []
        for number, line in enumerate(_lines(seed)):
            for one in log.feed(line):
                news.append((number, re.sub(r"eta_s=[^)]*", "", repr(one))))
            verdict = log._prefilter.judge(line, told=False) if prefilter is None else None
            passed += verdict is not None and not verdict.readers and not verdict.search
        results.append((news, log.ran(), log.findings()))
    assert results[0] == results[1]
    # Some pass, else the comparison says nothing; the longer the list, the fewer of this mixture.
    assert passed > 5


def _repeated(seed: int) -> list[str]:
    """Lines that come again and again, long ones and single words, with failures in between."""
    chance = random.Random(seed)
    known = [text for texts in EXAMPLES["recorded"].values() for text in texts]
    dull = ["some line that says nothing", "word", "   indented", "Error", "x" * 250, "0",
            "A sentence that ended.", "some longer line that goes on and is dull"]  # fmt: skip
    lines: list[str] = []
    while len(lines) < 900:
        lines.extend([chance.choice(dull)] * chance.choice([1, 2, 9, 10, 12, 40]))
        text = chance.choice(known)
        at = chance.randrange(len(text))
        lines.extend([text[:at], text[at:]] if chance.random() < 0.5 else text.split("\n"))
        lines.extend([chance.choice(["calibset_size=64", "Killed", "[info] Using dataset"])] * 12)
    return lines


@pytest.mark.parametrize("seed", range(4))
def test_lines_that_come_again_change_nothing(seed: int) -> None:
    results = []
    for prefilter in (None, Open()):
        log = VendorLog(prefilter=prefilter)
        news = []
        for number, line in enumerate(_repeated(seed)):
            if prefilter is not None:
                log._again = 0  # read each in full
            news.extend((number, repr(one)) for one in log.feed(line))
        last = dict(log._log.last), log.notable(9)
        results.append((news, last, log.ran(), log.findings()))
    assert results[0] == results[1]


def test_lines_of_one_word_cost_the_same_each() -> None:
    """What a break may cut in two is no longer than the words of the list."""
    log = VendorLog()
    for number in range(3000):
        log.feed("abcdefgh" if number % 7 else "abcdefghq")
    assert len(log._prefilter._tail) < 200


@pytest.mark.bench
def test_the_time_for_a_log_grows_with_its_length() -> None:
    healthy = [
        line
        for path in sorted(HEALTHY.glob("*.log"))
        for line in path.read_text(encoding="utf-8").splitlines(True)
    ]
    took = []
    for times in (20, 80):
        log = VendorLog()
        began = time.perf_counter()
        for line in healthy * times:
            log.feed(line.rstrip("\n"))
        took.append(time.perf_counter() - began)
    assert took[1] < 8 * took[0], took


def test_the_prefilter_follows_from_the_patterns() -> None:
    patterns = (re.compile(r"moons? of (?:jupiter|saturn)"), re.compile(r"^\s*\d+%\s*\|"),
                (re.compile("tide"), re.compile("ebb|flow")))  # fmt: skip
    want = wanted(patterns)
    assert {frozenset(map(frozenset, sets)) for sets in want.sets} == {
        frozenset({frozenset({"jupiter", "saturn"}), frozenset({"moon"})}),
        frozenset({frozenset({"tide"}), frozenset({"ebb", "flow"})}),
    }
    assert want.blind == (patterns[1],)
