"""The maker's hour stays as short as it is, and ends in a program that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from tests.journey import maker, ways
from tests.journey.walk import program_of, proposed


@pytest.mark.timeout(600)
def test_from_photographs_to_a_program_on_the_device(tmp_path: Path) -> None:
    """Everything typed was proposed by hef; the bundle answers as the verdict says."""
    hour = maker.walk(tmp_path)
    assert hour.wrong == ()
    assert hour.bundle_top1 > 0.7
    assert [program_of(step.command) for step in hour.walker.steps] == [
        "hef init --yes", "hef up waste", "hef", "hef bundle waste",
        "python3 run.py (60 photographs) --json",
    ]  # fmt: skip
    assert hour.walker.edits == 0
    said = hour.walker.steps[0].err
    assert "importing train.py does more than define the network" in said
    folder = hour.walker.folder
    recipe = (folder / "models/waste/model.yaml").read_text()
    assert "validation:\n  source: ../../photos/val" in recipe
    assert (folder / ".gitignore").is_file()
    assert (folder / "hef.yaml").is_file()


@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_looked_at_in_dockers_box(tmp_path: Path) -> None:
    """A program of somebody's: only the box runs it, and there its preprocessing is found, too."""
    result = ways.walk_source("PyTorch: TorchScript", ways.Studio(tmp_path), tmp_path / "walk")
    assert (result.told, result.skipped, result.edits) == ("right", "", 0)
    assert result.right > 0.7
    recipe = (tmp_path / "walk" / "waste" / "models" / "waste" / "model.yaml").read_text()
    assert "torchscript" in recipe or "weights: ../../waste.pt" in recipe
    assert "labelled pictures are right" in recipe, "it was not looked at"


@pytest.mark.parametrize(
    ("screen", "commands"),
    [
        ("labels: a\nnext: hef up waste\n", ["hef up waste"]),
        ("folder   x\nnext     hef bundle waste: a program\n", ["hef bundle waste"]),
        ("next     hef device add NAME USER@HOST, then hef up waste --device NAME: on\n",
         ["hef device add NAME USER@HOST"]),
        ("next:\n  hef init    look around\n  hef doctor  look\nevery command: hef --help\n",
         ["hef init", "hef doctor"]),
        ("nothing to say\n", []),
    ],
)  # fmt: skip
def test_what_a_screen_proposes_is_read(screen: str, commands: list[str]) -> None:
    assert proposed(screen) == commands
