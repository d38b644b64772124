"""Code that hef init cannot use alone: the command that it proposes runs where it is shown."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from orchestrator.cli import app as application  # noqa: E402

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, x):
        return self.conv(x)
"""


@pytest.mark.skipif("os.name == 'nt'", reason="the hint is written for that system's shells")
def test_the_command_of_a_hint_finds_weights_and_code_in_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("my runs", "src"):
        (tmp_path / folder).mkdir()
    code = tmp_path / "src" / "net.py"
    code.write_text(NET, encoding="utf-8")
    torch.save(
        {"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "my runs/a.pt"
    )
    assert application.run(["init", "net", "--yes", "--no-run"]) == 2
    told = capsys.readouterr().err
    assert "needs arguments" in told
    proposed = next(line for line in told.splitlines() if "then: hef" in line)
    words = shlex.split(proposed.partition("then: hef ")[2])
    with code.open("a", encoding="utf-8") as file:
        file.write("\n\ndef build(): return Net(width=4)\n")
    assert application.run([*words, "--no-run"]) == 0
    recipe = (tmp_path / "models" / "net" / "model.yaml").read_text(encoding="utf-8")
    assert "../../my runs/a.pt" in recipe
