"""Record ``hef up digits`` into ``docs/up.svg``: ``python docs/recording.py``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "up.svg"
COLUMNS = 100


def record() -> str:
    """Return what the command prints, results and progress as they come."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "HOME": folder, "COLUMNS": str(COLUMNS)}
        for name in ("HEFSMITH_CACHE", "HEFSMITH_DATA"):
            env.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "up", "digits", "--engine", "local"],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout.replace(folder, "~/first")


def draw(text: str) -> str:
    """Return the text as a picture of a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ hef up digits", style="bold green"))
    for line in text.splitlines():
        if re.search(r"\d+/\d+ \w+$|\d+ kB of", line):
            continue  # how far a stage is
        style = "bold" if line.startswith("verdict") else "dim" if line.startswith(" ") else ""
        console.print(Text(line, style=style))
    picture = console.export_svg(title="hef up", clear=True)
    # Fonts of the reader's own machine: a picture asks nobody for anything.
    return re.sub(r"@font-face \{[^}]*\}\s*", "", picture)


if __name__ == "__main__":
    PICTURE.write_text(draw(record()), encoding="utf-8")
