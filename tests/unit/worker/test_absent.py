"""Packages that the user's code imports and that are not here: none is missed, unless it counts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import absent

from tests.unit.worker.test_export import MODEL, folder, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder"]


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """A worker is a process of its own."""
    yield
    absent.forget()
    sys.modules.pop("parts_of_mine", None)


def code(folder: Path, text: str) -> None:
    (folder / "in" / "source" / "model.py").write_text(text, encoding="utf-8")


BESIDE = """
from __future__ import annotations
import absent_plots as plots, absent_more.inner
from absent_logs import Writer, style
from absent_tools.deep import speed
from absent_types import Array
from parts_of_mine import number
style.use("dark")
WRITER = Writer("runs")

@speed(nopython=True)
def draw(x: Array[float] | None = None) -> plots.Figure:
    return plots.plot(x)

def is_drawn(x):
    return isinstance(x, plots.Figure)
"""
NAMES = ["absent_plots", "absent_more", "absent_logs", "absent_tools", "absent_types"]


def test_what_only_draws_and_logs_need_not_be_there(folder: Path) -> None:
    (folder / "in" / "source" / "parts_of_mine.py").write_text("import absent_inner\nnumber = 1\n")
    code(folder, BESIDE + MODEL)
    result, told = run(folder)
    assert result["parity"]["error"] < 1e-5
    said = [one["message"] for one in told if one.get("code") == "export.package-absent"]
    assert len(said) == 1
    assert f"({', '.join(NAMES)}, absent_inner)" in said[0]


def test_a_package_of_torch_that_lacks_one_of_its_own_is_passed_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever has TensorBoard here has it not.
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [one for one in sys.modules if one.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    code(folder, "from torch.utils.tensorboard import SummaryWriter\n" + MODEL)
    _, told = run(folder)
    said = [one["message"] for one in told if one.get("code") == "export.package-absent"]
    assert "(torch.utils.tensorboard)" in said[0]


BUILDS = "def build():\n    net = Net()\n"
ACTS = "Net.forward = lambda self, x: self.head(self.act(self.conv(x)).mean((2, 3)))\n"


@pytest.mark.parametrize(
    "used",
    [
        "class Odd(absent_kit.Module): pass\n",
        "WIDTH = int(absent_kit.width)\n",
        "if absent_kit.flag: pass\n",
        "if absent_kit.load()['act'] == 'relu': pass\n",
        "for one in absent_kit.layers(): pass\n",
        "TABLE = {absent_kit.key: 1}\n",
        "build = absent_kit.build\n",
        "def build():\n    return Net(absent_kit.classes())\n",
        f"{BUILDS}    net.add_module('act', absent_kit.Act())\n    return net\n",
        f"{BUILDS}    net.act = absent_kit.Act()\n    return net\n{ACTS}",
    ],
)
def test_what_the_network_needs_of_it_is_missed(used: str, folder: Path) -> None:
    code(folder, MODEL + "import absent_kit\n" + used)
    with pytest.raises(StageError) as caught:
        run(folder)
    assert "absent_kit" in caught.value.message
    assert caught.value.code == "export.factory-import"
    assert "export: {packages: [absent_kit]} in the recipe" in caught.value.fix


def test_weights_of_a_part_that_is_of_an_absent_package_name_it(folder: Path) -> None:
    import torch

    state = torch.load(folder / "in" / "net.pt")
    torch.save({**state, "neck.weight": torch.zeros(3)}, folder / "in" / "net.pt")
    code(
        folder,
        MODEL + f"import absent_kit\n{BUILDS}    net.neck = absent_kit.Neck()\n    return net\n",
    )
    with pytest.raises(StageError, match="is of absent_kit, which is not here") as caught:
        run(folder)
    assert caught.value.fix == "export: {packages: [absent_kit]} in the recipe."


def test_names_that_nobody_can_know_have_no_stand_in(folder: Path) -> None:
    code(folder, "from absent_kit import *\n" + MODEL)
    with pytest.raises(StageError, match="No module named 'absent_kit'"):
        run(folder)


def test_code_that_asks_itself_whether_a_package_is_there_is_answered(folder: Path) -> None:
    asks = "try:\n    import absent_fast\n    HAS = True\nexcept ImportError:\n    HAS = False\n"
    code(folder, asks + "assert not HAS\n" + MODEL)
    _, told = run(folder)
    assert not [one for one in told if one.get("code") == "export.package-absent"]
