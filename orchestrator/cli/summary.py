"""The end of ``hef up``: what was asked and what ran, agreement by step, sizes, files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.cli.measures import step_table
from orchestrator.errors import escape_control
from orchestrator.language import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: Files that a person looks for, in the order in which they are shown.
SHOWN_ROLES = ("hef", "onnx", "har", "script")


#: Information that the lines of what was asked and what ran hold already, or that is harmless.
IN_THE_TABLE = frozenset({"calib.count", "calib.small", "D01"})


def print_plan(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print plans for people, on stdout."""
    from orchestrator.cli.output import print_result

    for plan in plans:
        kind = " (emulated)" if plan["emulated"] else ""
        print_result(f"{plan['model']} for {plan['arch']} with {plan['toolchain']}{kind}")
        for stage in plan["stages"]:
            print_result(f"  {stage['name']:<10} {stage['action']:<11} {stage['key'][:12]}")
        if not plan["commands"]:
            print_result("  nothing to run: everything is up to date")
        for command in plan["commands"]:
            print_result(f"  $ {command}")
        for finding in plan["findings"]:
            print_result(f"  {finding['severity']}: {finding['message']}")
            print_result(f"    {finding['fix']}")
        print_result(f"  -> {plan['artifacts']}")


def print_summary(outcome: Mapping[str, Any]) -> None:
    """Print an outcome for people, on stdout; colours only on a terminal."""
    from orchestrator.cli.output import print_result, screen_width

    paint = painter()
    title = told(f"{outcome['model']} for {outcome['arch']}")
    if outcome["emulated"]:
        title += told("  EMULATED: made without Hailo's compiler, no measure of a chip")
    lines = [paint("bold", title), *columns(_asked_and_ran(outcome), paint)]
    proof = outcome["proof"]
    if proof is not None and proof["verdict"]["steps"]:
        head, *rows = step_table(proof["verdict"]["steps"])
        rows = [[told("exact") if cell == "exact" else told(cell) for cell in row] for row in rows]
        table = shortened([[told("step"), *map(told, head[1:])], *rows], screen_width())
        lines += ["", *columns(table, paint, numbers=True)]
    lines += _findings(outcome, paint)
    files = [(f["path"], size_text(f["bytes"]), f["sha256"][:12]) for f in _shown_files(outcome)]
    lines += ["", *columns(files, paint, header=False)]
    lines.append(_titled("times", ", ".join(_times(outcome)) or told("all stages cached")))
    if proof is not None:
        if proof.get("ship"):
            lines.append(
                _titled("device", f"{proof['device']}: release {proof['ship']['release'][:12]}")
            )
        lines += _verdict(proof, paint)
    lines.append(_titled("folder", escape_control(str(outcome["folder"]))))
    if proof is None or proof["passed"]:
        lines.append(_titled("next", told(next_step(outcome, proof))))
    print_result("\n".join(line.rstrip() for line in lines))


def shortened(table: list[list[str]], width: int | None) -> list[list[str]]:
    """Return a table of steps without the SDK's names for them where a screen is too narrow."""
    if fits(table, width):
        return table
    return [[re.sub(r" \(SDK_\w+\)$", "", row[0]), *row[1:]] for row in table]


def next_step(outcome: Mapping[str, Any], proof: Mapping[str, Any] | None) -> str:
    """Return what to do with a build that has passed, or was not tried on a device yet."""
    model = escape_control(outcome["model"])
    if proof is None:
        return f"hef up {model}: ship it to the device and prove it there"
    if outcome["emulated"]:
        return f"hef toolchain import FILE (Hailo's suite), then hef up {model}: a HEF for a chip"
    if str(proof.get("device", "")).startswith("embedded"):
        return f"hef device add NAME USER@HOST, then hef up {model} --device NAME: on your own Pi"
    return f"hef bundle {model}: a program with this HEF for the camera"


def _titled(title: str, text: str) -> str:
    wide = max(len(told(one)) for one in ("times", "device", "folder", "next", "verdict"))
    return f"{told(title):<{wide}}  {text}"


Paint = Callable[[str, str], str]

_COLOURS = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "good": "1;32", "bad": "1;31"}


def painter() -> Paint:
    """Return a function that colours text on a terminal and leaves it alone elsewhere."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.name == "nt":
        return lambda _, text: text
    return lambda colour, text: f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def columns(
    rows: Sequence[Sequence[str]], paint: Paint, *, header: bool = True, numbers: bool = False
) -> list[str]:
    """Return rows as aligned lines; with ``numbers`` all but the first column is right-aligned."""
    if not rows:
        return []
    widths = _widths(rows)
    lines = []
    for index, row in enumerate(rows):
        cells = [
            cell.rjust(width) if numbers and column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells)
        lines.append(paint("dim", line) if header and index == 0 else line)
    return lines


def fits(rows: Sequence[Sequence[str]], width: int | None) -> bool:
    """Return whether the lines that :func:`columns` makes of rows fit on a screen's width."""
    return width is None or sum(_widths(rows)) + 2 * (len(rows[0]) - 1) <= width


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _times(outcome: Mapping[str, Any]) -> list[str]:
    """Return what each stage took; nothing where all came from the cache."""
    stages = outcome["stages"]
    if all(stage["cached"] for stage in stages.values()):
        return []
    return [
        f"{name} " + (told("cached") if stage["cached"] else f"{stage['seconds']:.1f} s")
        for name, stage in stages.items()
        if stage["cached"] or stage["seconds"] is not None
    ]


def _asked_and_ran(outcome: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = [(row["name"], row["asked"], row["ran"]) for row in outcome["asked_and_ran"]]
    return [
        ("", told("asked"), told("ran")),
        *((told(name), escape_control(told(a)), escape_control(told(r))) for name, a, r in rows),
    ]


def _findings(outcome: Mapping[str, Any], paint: Paint) -> list[str]:
    shown: dict[str, None] = {}
    for finding in outcome["findings"]:
        severity, code = finding["severity"], finding["code"]
        if severity != "info":
            text = f"{told(severity)}: {escape_control(told(finding['message']))} [{code}]"
            shown[paint("red" if severity == "error" else "yellow", text)] = None
            fix = str(finding.get("fix") or "")
            if fix and "\n" not in fix:
                shown[paint("dim", f"  {escape_control(told(fix))}")] = None
        elif code not in IN_THE_TABLE:
            text = f"{told('note')}: {escape_control(told(finding['message']))} [{code}]"
            shown[paint("dim", text)] = None
    return ["", *shown] if shown else []


def _verdict(proof: Mapping[str, Any], paint: Paint) -> list[str]:
    colour = "good" if proof["passed"] else "bad"
    lines = [paint(colour, _titled("verdict", escape_control(told(proof["headline"]))))]
    fault = proof["verdict"].get("fault")
    for cause in fault["causes"] if fault else ():
        lines.append(f"  - {escape_control(told(cause['text']))}")
        lines.append(f"    {escape_control(told(cause['advice']))}")
    notes = proof["verdict"].get("notes", ())
    lines += [f"  {told('note')}: {escape_control(told(note))}" for note in notes]
    return lines


def _shown_files(outcome: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    files = [file for file in outcome["artifacts"] if file["role"] in SHOWN_ROLES]
    return sorted(files, key=lambda file: SHOWN_ROLES.index(file["role"]))


def size_text(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
