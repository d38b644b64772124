"""Tells what the same log settles further down, and what was meant to fail.

The kernel tries to place a card's memory more than once: what it refused at first it may assign in
a later line. A machine that was not reached may be reached by the next command. Who mistyped a name
types it again. Below a command that failed somebody may write that this is as it should be, and a
bench of tests says of a fault that it makes it. What a program says of itself that it got over is
another thing (:mod:`orchestrator.diagnose.post.went_on`).
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from orchestrator.diagnose.post.pasted import FENCE
from orchestrator.diagnose.post.session import prompt_of
from orchestrator.diagnose.words.text import holding

_BAR = re.compile(
    r"\b(?P<device>[0-9a-f:]{4,7}:[0-9a-f]{2}\.\d): BAR (?P<bar>\d+)\b.{0,60}?(?P<said>assigned\b"
    r"|failed to assign|no space for|can['\u2019]t assign)"
)
_EXPECTED = re.compile(
    r"^\W{0,3}(?:(?:that|this|which|it) (?:is|was) |just |all )?(?:as expected"
    r"|to be expected|expected"
    r"|on purpose|intended|wie erwartet|das ist (?:normal|gewollt)|como (?:era )?(?:de )?esperar"
    r"|comme (?:prévu|attendu))\b(?! (?:behaviou?r|result|output)\b)(?!.{0,3}:)",
    re.IGNORECASE,
)
#: What somebody typed, at the prompt of Python, of IPython or of a notebook.
_STATEMENT = re.compile(r"^\s{0,8}(?:>>>|In \[\d+\]:) (?P<command>\S.*)$")
#: What was typed and is not there.
_NO_SUCH = re.compile(
    r"No module named ['\"]?(?P<module>[\w.-]+)|name ['\"](?P<name>\w+)['\"] is not defined"
    r"|(?P<program>[\w.+-]+): (?:command )?not found|command not found: (?P<typed>[\w.+-]+)"
)
#: A command that reaches another machine, and what such commands say where they do not reach it.
_REACHES = re.compile(
    r"^(?:sshpass (?:-\S+ ?\S* )?)?(?P<tool>ssh(?:-copy-id)?|scp|sftp|rsync|mosh)\b(?P<rest>.*)"
)
_MACHINE = re.compile(
    r"(?:^|\s)(?:(?P<user>[\w.-]+)@(?P<host>[\w.-]+)|(?P<alone>[\w.-]+))(?=[\s:]|$)"
)
_NOT_REACHED = re.compile(
    r"^(?:ssh|scp|sftp|rsync|kex_exchange_identification|mosh)\b.{0,40}: |^rsync error: "
    r"|^\S*\s?permission denied\b|^connection (?:closed|reset|to \S+ closed)|^lost connection"
    r"|^host key verification|^received disconnect|^@{5}|^\S+@\S+: permission denied",
    re.IGNORECASE,
)
#: Words of a machine that was reached, and does not serve what was asked of it: a login that works
#: is no end of that.
_WAS_REACHED = re.compile(
    r"\bsftp\b|\bsubsystem\b|\bprotocol\b|shell clean|message too long|\bnot found\b|no such file"
    r"|no space|read-only",
    re.IGNORECASE,
)
#: How a bench of tests says that it makes something fail, and that all went as it should.
_INJECTS = re.compile(
    r"^.{0,60}?\b(?:inject(?:ing|ed|s)?|simulat(?:ing|ed|es)|provok(?:ing|ed|es)|forc(?:ing|ed)"
    r"|mock(?:ing|ed)?"
    r"|fak(?:ing|ed)) (?:an? |the |of )?(?:\w+ ){0,2}?(?:faults?|failures?|errors?|outages?"
    r"|crash(?:es)?|exceptions?|loss)\b"
    r"|^\W*(?:chaos|drill)(?:[ -]\w+)?\W*: |\bfault[ -]injection: (?!off|none|disabled|0)"
    r"|\b(?:fehler|st(?:ö|oe)rung|ausfall) (?:wird|werden) (?:jetzt )?(?:eingespielt|simuliert"
    r"|ausgel(?:ö|oe)st|provoziert)"
    r"|\b(?:simulation|injection) d['\u2019](?:une? )?(?:erreur|panne)|\b(?:simulando|inyectando"
    r"|injetando)"
    r" (?:una? |uma? )?(?:fallo|error|avería|falha|erro)\b",
    re.IGNORECASE,
)
#: One of these is in each such line.
_INJECTED = (
    "inject", "simul", "provo", "forc", "mock", "fak", "chaos", "drill", "eingespielt", "ausgel",
    "inyect", "injet",
)  # fmt: skip
_AS_WANTED = re.compile(
    r"\b(?:handled|as (?:wanted|expected|intended)|pass(?:ed)?|survived|recovered|restored"
    r"|reconnected|retried, ok|is back"
    r"|ok$|bestanden|erwartet|wie gewünscht|abgefangen|überstanden|réussi|récupéré|comme prévu"
    r"|superad[oa]|recuperad[oa]|como se esperaba|passou|tratad[oa])\b",
    re.IGNORECASE,
)
_NOT_AS_WANTED = re.compile(
    r"\b(?:not (?:handled|as expected|as wanted|recovered)|unhandled|unexpected|(?<!0 )fail(?:ed)?$"
    r"|nicht (?:bestanden|erwartet|abgefangen))\b",
    re.IGNORECASE,
)
#: So far below reaches what a bench made fail.
_BENCH = 40
#: What systemd says of a unit that it could not start, and how ``systemctl status`` begins. One
#: that is up for seconds is one that it starts again and again.
_UNIT_FAILED = re.compile(
    r"(?:^|\]: )(?P<unit>[\w@.:-]+)\.service: "
    r"(?:Failed (?!with result)|(?:Main|Control) process exited)"
)
_UNIT_SHOWN = re.compile(r"^\W{0,3}(?P<unit>[\w@.:-]+)\.service(?: - |$)")
_UNIT_RUNS = re.compile(r"^\s*Active: active \(running\)(?!.*; \d+m?s ago)")
#: So many lines below it stands whether it runs.
_STATUS = 6
#: One of these is in each such line.
_ABSENT = ("No module named", "is not defined", "not found")
#: How like two names are that differ by a slip.
_ALIKE = 0.75
#: Such a sentence says little else.
_SHORT = 160


def is_settled(lines: list[str]) -> set[int]:
    """Return the numbers of the lines whose failure is over, or was meant."""
    return _placed(lines) | _meant(lines) | _reached(lines) | _injected(lines) | _runs(lines)


def _placed(lines: list[str]) -> set[int]:
    refused: dict[tuple[str, str], list[int]] = {}
    over: set[int] = set()
    for number, line in enumerate(lines):
        bar = _BAR.search(line) if "BAR " in line else None
        if bar is None:
            continue
        place = (bar["device"], bar["bar"])
        if bar["said"] == "assigned":
            over.update(refused.pop(place, ()))
        else:
            refused.setdefault(place, []).append(number)
    return over


def _runs(lines: list[str]) -> set[int]:
    """Return what systemd said of a unit that failed, and that runs further down, for some time."""
    failed: dict[str, list[int]] = {}
    over: set[int] = set()
    shown, until = "", 0
    for number, line in holding(lines, (".service", "active: active"), 400):
        if (unit := _UNIT_FAILED.search(line)) is not None:
            failed.setdefault(unit["unit"], []).append(number)
        elif (unit := _UNIT_SHOWN.match(line)) is not None:
            shown, until = unit["unit"], number + _STATUS
        elif shown and number <= until and _UNIT_RUNS.search(line) is not None:
            over.update(failed.pop(shown, ()))
    return over


def _meant(lines: list[str]) -> set[int]:
    meant: set[int] = set()
    for number, line in enumerate(lines):
        if len(line) > _SHORT or _EXPECTED.match(line) is None:
            continue
        block = _block_above(lines, number)
        if any(prompt_of(lines[at]) for at in block):
            meant.update(block)
    return meant


def _reached(lines: list[str]) -> set[int]:
    """Return what commands said that did not reach a machine, which a later one reached."""
    over: set[int] = set()
    failed: dict[str, list[int]] = {}
    names: frozenset[str] = frozenset()
    printed: list[int] = []
    for number, line in enumerate([*lines, "$ end"]):
        prompt = prompt_of(line)
        if prompt is None:
            if names and line.strip() and FENCE.match(line) is None:
                printed.append(number)
            continue
        bad = [at for at in printed if _NOT_REACHED.match(lines[at])]
        for name in names if printed else ():
            # Who mistypes a password is asked again, and what is printed last counts.
            if printed[-1] in bad and any(_WAS_REACHED.search(lines[at]) for at in printed):
                continue
            if printed[-1] in bad:
                failed.setdefault(name, []).extend(printed)
            else:
                over.update(failed.pop(name, ()))
                over.update(bad)
        command = _REACHES.match(prompt["command"])
        names = _machines(command["rest"]) if command is not None else frozenset()
        printed = []
    return over


def _machines(rest: str) -> frozenset[str]:
    """Return the machine that the words behind ``ssh`` or ``scp`` name, and its user."""
    names = [one for one in _MACHINE.finditer(rest) if one["user"]]
    if names:
        return frozenset((f"{names[0]['user']}@", names[0]["host"].lower()))
    alone = next((one for one in rest.split() if not one.startswith("-")), "")
    return frozenset((alone.partition(":")[0].lower(),)) if alone else frozenset()


def _injected(lines: list[str]) -> set[int]:
    """Return the lines between the word that something is made to fail and that it went well."""
    meant: set[int] = set()
    for number, line in holding(lines, _INJECTED, _SHORT):
        if _INJECTS.search(line) is None or prompt_of(line):
            continue
        for at in range(number + 1, min(number + _BENCH, len(lines))):
            if prompt_of(lines[at]) or _NOT_AS_WANTED.search(lines[at]):
                break
            if _AS_WANTED.search(lines[at]):
                meant.update(range(number, at))
                break
    return meant


def is_mistyped(lines: list[str]) -> set[int]:
    """Return the lines that a slip of the hand printed: the same is typed next, spelled right."""
    slips: set[int] = set()
    typed, first, wrong = "", 0, ""
    for number, line in enumerate(lines):
        if (entered := prompt_of(line) or _STATEMENT.match(line)) is not None:
            if wrong and _is_slip(typed, wrong, entered["command"]):
                slips.update(range(first + 1, number))
            typed, first, wrong = entered["command"], number, ""
        elif typed and any(sign in line for sign in _ABSENT) and (absent := _NO_SUCH.search(line)):
            wrong = next(name for name in absent.groups() if name)
    return slips


def _is_slip(typed: str, wrong: str, again: str) -> bool:
    """Tell whether ``again`` is ``typed`` with another spelling of the name ``wrong``."""
    before, found, after = typed.partition(wrong)
    if not found or not again.startswith(before) or again == typed:
        return False
    other = re.match(r"[\w.+-]+", again[len(before) :])
    if other is None or other[0].startswith(wrong) or not again[len(before) :].endswith(after):
        return False
    return SequenceMatcher(None, wrong, other[0], autojunk=False).ratio() >= _ALIKE


def _block_above(lines: list[str], number: int) -> range:
    """Return the lines of the block above line ``number``: commands and what they printed."""
    end = number
    while end > 0 and (not lines[end - 1].strip() or FENCE.match(lines[end - 1])):
        end -= 1
    first = end
    while first > 0 and lines[first - 1].strip() and not FENCE.match(lines[first - 1]):
        first -= 1
    return range(first, end)
