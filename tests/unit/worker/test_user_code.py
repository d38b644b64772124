"""The user's code in an export: where it runs, and what is said of what it raises."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from hefsmith_worker.protocol import StageError

from tests.unit.worker.test_export import MODEL, folder, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder"]


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Forget the packages of a test: a worker is a process of its own."""
    yield
    for name in [one for one in sys.modules if one.partition(".")[0] == "pkg"]:
        del sys.modules[name]


def code(folder: Path, text: str) -> None:
    (folder / "in" / "source" / "model.py").write_text(text, encoding="utf-8")


READ = "    with open('size.txt') as file:\n        classes = int(file.read())\n"
MADE = "    torch.manual_seed(0)\n    return Net(classes)\n"


@pytest.mark.parametrize(
    "place", [f"def build():\n{READ}{MADE}", f"if True:\n{READ}\n\ndef build():\n{MADE}"]
)
def test_code_opens_its_texts_by_the_paths_that_it_has_where_it_lies(
    place: str, folder: Path
) -> None:
    before = os.getcwd()
    (folder / "in" / "source" / "size.txt").write_text("4")
    code(folder, MODEL + place)

    result, _ = run(folder)

    assert result["parity"]["error"] < 1e-5
    assert os.getcwd() == before


def test_a_file_that_does_not_come_along_is_told_with_what_does(folder: Path) -> None:
    code(folder, MODEL + "open('../config/net.yaml')\n")
    with pytest.raises(StageError) as caught:
        run(folder)
    assert "FileNotFoundError" in caught.value.message
    assert "beside model.py or below" in caught.value.fix


PARSES = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', required=True)\n"
    "p.parse_args([])\n"
)


@pytest.mark.parametrize("end", [PARSES, "import sys\nsys.exit('no GPU')\n"])
@pytest.mark.parametrize("inside", [True, False])
def test_code_that_ends_the_program_is_told_so_with_its_line(
    end: str, inside: bool, folder: Path
) -> None:
    if inside:
        end = "def build():\n" + "".join(f"    {line}\n" for line in end.splitlines())
    code(folder, MODEL + end)
    with pytest.raises(StageError) as caught:
        run(folder)
    assert "it ends the program (model.py:" in caught.value.message
    assert "__main__" in caught.value.fix


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ({"factory": "wide"}, "source: {kwargs: {width: ..., depth: ...}}"),
        ({"factory": "wide", "kwargs": {"width": 3}}, "source: {kwargs: {width: ..., depth: ...}}"),
        (
            {"kwargs": {"klasses": 7}},
            "It takes these arguments, for kwargs: in the recipe: classes",
        ),
        ({"factory": "inner"}, ""),
        ({"factory": "named"}, "It takes: cfg, phase. Give them under kwargs: in the recipe, or"),
    ],
)
def test_arguments_that_a_factory_wants_are_named(
    source: dict[str, Any], step: str, folder: Path
) -> None:
    code(
        folder,
        MODEL + "\ndef wide(width, depth, act=None): pass\ndef inner(): len(3)\n"
        "def named(cfg=None, phase=1): cfg['name']\n",
    )
    with pytest.raises(StageError) as caught:
        run(folder, source=source)
    assert caught.value.code == "export.factory-raised"
    assert caught.value.fix == step if not step else step in caught.value.fix


def packages(folder: Path) -> dict[str, str]:
    source = folder / "in" / "source"
    (source / "pkg" / "nets").mkdir(parents=True)
    for name in ("pkg/__init__.py", "pkg/nets/__init__.py"):
        (source / name).write_text("")
    (source / "pkg" / "parts.py").write_text("from torch import nn\nLinear = nn.Linear\n")
    text = MODEL.replace(
        "from torch import nn\n", "from torch import nn\nfrom .. import parts\n", 1
    )
    text = text.replace("self.head = nn.Linear(8, classes)", "self.head = parts.Linear(8, classes)")
    (source / "pkg" / "nets" / "net.py").write_text(text)
    return {"file": "source/pkg/nets/net.py", "module": "pkg.nets.net"}


def test_code_in_packages_is_imported_from_above_them(folder: Path) -> None:
    result, _ = run(folder, source=packages(folder))
    assert result["parity"]["error"] < 1e-5


def test_a_whole_network_of_a_package_needs_no_trust(folder: Path) -> None:
    import torch

    source = packages(folder)
    sys.path.insert(0, str(folder / "in" / "source"))
    try:
        from pkg.nets.net import build  # type: ignore[import-not-found]

        torch.save(build(), folder / "in" / "net.pt")
    finally:
        sys.path.pop(0)
        for name in [one for one in sys.modules if one.partition(".")[0] == "pkg"]:
            del sys.modules[name]

    result, _ = run(folder, source=source)

    assert result["parity"]["error"] < 1e-5


def test_a_relative_import_without_its_package_is_told_with_what_it_needs(folder: Path) -> None:
    code(folder, "from .parts import x\n" + MODEL)
    with pytest.raises(StageError) as caught:
        run(folder)
    assert "run hef from above the package" in caught.value.fix
