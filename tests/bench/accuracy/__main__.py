"""Measures what tuning wins back on six networks: ``python -m tests.bench.accuracy``.

Trains each network, analyses it, and runs ``hef tune`` on the emulator. ``--write`` puts the table
into docs/accuracy.md; without names all six are done (some minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import figures
from tests.bench.accuracy.networks import BY_NAME, KINDS, make_project

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Row:
    """What one network showed."""

    name: str
    measure: str
    exact: float
    plain: float
    tuned: float
    kept: str
    trials: int
    compiles: int
    grid: int
    planted_first: bool
    seconds: float

    @property
    def back(self) -> float:
        """Share of what 8 bits cost that came back."""
        return (self.tuned - self.plain) / max(self.exact - self.plain, 1e-9)


def hef(folder: Path, *arguments: str) -> Any:
    """Run ``hef`` in a project and return its JSON; its messages go to a file."""
    with (folder / "messages.txt").open("a", encoding="utf-8") as messages:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *arguments, "--engine", "local", "--json"],
            cwd=folder, stdout=subprocess.PIPE, stderr=messages, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HEFSMITH_CACHE": str(folder / "c")},
        )  # fmt: skip
    if not done.stdout:
        raise SystemExit((folder / "messages.txt").read_text("utf-8")[-2000:])
    return json.loads(done.stdout)


def measure(folder: Path, name: str, trials: int) -> Row:
    """Train, analyse and tune one network."""
    began = time.monotonic()
    folder.mkdir()
    (folder / "hef.yaml").touch()
    make_project(folder, name)
    worst = hef(folder, "analyze", name)["worst"][0]
    block = BY_NAME[name].plant[0]
    planted = any(f"{block}.0/Conv" in original for original in worst["original_names"])
    found = hef(folder, "tune", name, "--trials", str(trials))
    measure_name = found["measure"]
    by_name = {one["name"]: one["measures"] for one in found["points"]}
    plain = by_name["as it is"][measure_name]
    return Row(
        name, measure_name, found["float"], plain, by_name[found["keep"]][measure_name],
        found["keep"], len(found["points"]), len(found["compiled"]), found["grid"], planted,
        time.monotonic() - began,
    )  # fmt: skip


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        (
            "| network | measure | float | plain 8 bit | after tune | won back | kept "
            "| tried | compiled | full grid | planted layer first |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(f"{value:.3f}" for value in (row.exact, row.plain, row.tuned))
        first = "yes" if row.planted_first else "no"
        lines.append(
            f"| {row.name} | {row.measure} | {figures} | {row.back:.0%} | {row.kept} | "
            f"{row.trials} | {row.compiles} | {row.grid} | {first} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the networks that are named, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", default=[kind.name for kind in KINDS])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the projects in this folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.keep or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        rows = []
        for name in asked.names:
            rows.append(measure(root / name, name, asked.trials))
            print(rows[-1], flush=True)
    print(table(rows))
    if asked.write:
        figures.show("accuracy.md", table(rows))


if __name__ == "__main__":
    main()
