"""The tutorial, word for word: its files are written and its commands run, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tutorial.md"

COLORS = {
    "cardboard": (150, 110, 60), "glass": (60, 160, 110), "metal": (150, 150, 160),
    "paper": (235, 235, 225), "plastic": (70, 110, 220), "trash": (50, 45, 45),
}  # fmt: skip


def photographs(folder: Path) -> None:
    """Make pictures that a small network can tell apart: a patch of colour on clutter."""
    chance = np.random.default_rng(5)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(24):
            picture = chance.integers(0, 256, (60, 80, 3)).astype(np.float32) * 0.5 + 40
            top, left = chance.integers(2, 14, 2)
            patch = np.array(color) + chance.normal(0, 12, (40, 50, 3))
            picture[top : top + 40, left : left + 50] = patch
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(
                folder / name / f"{number}.png"
            )


def test_every_step_of_the_tutorial_works(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    photographs(tmp_path / "photos")
    env = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name in ("HEFSMITH_CACHE", "HEFSMITH_DATA"):
        env.pop(name, None)
    said = {}
    for kind, title, block in re.findall(
        r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', text, re.MULTILINE | re.DOTALL
    ):
        if kind == "python":
            (tmp_path / title).write_text(block)
        for line in block.splitlines() if kind == "sh" else ():
            if line.startswith("pip "):
                continue
            done = subprocess.run(
                shlex.split(line), cwd=tmp_path, env=env, capture_output=True, text=True,
                check=False, timeout=600,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            said[line] = done.stdout + done.stderr
    verdict = said["hef up waste"]
    assert "passed" in verdict
    assert "labelled" in verdict
    assert (tmp_path / "artifacts/waste/hailo8l/report.html").is_file()


@pytest.mark.parametrize("name", ["net.py", "train.py"])
def test_its_code_is_there(name: str) -> None:
    assert f'title="{name}"' in PAGE.read_text("utf-8")
