"""The table of chips: complete, the only one, and enough for a new chip."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.contract import chips

from orchestrator.errors import ConfigError
from orchestrator.pipeline.archs import pick_archs
from orchestrator.project.checking import Mistake, section_from
from orchestrator.project.recipe import Recipe
from tests.unit.contract.copies import copy_tree, walk
from tests.unit.emulator.test_compile import cases, drive

NEW = """
    Chip(
        "hailo19x",
        "Hailo-19X",
        LINE_5,
        (HefCode(119, "SATURN"),),
        "HAILO19X",
        device_number=19,
        identifies="SATURN",
        pci="0x1919",
        also_called=("saturn",),
        since=(5, 2),
        figures=Figures(40.0, 8 * _MIB, "Hailo-19X", "HAILO-19X", "H19X"),
    ),
"""


def names() -> list[str]:
    return [chip.name for chip in chips.usable()]


def test_every_row_can_be_built_for_or_says_why_not() -> None:
    assert len(chips.by_name()) == len(chips.CHIPS)
    for chip in chips.CHIPS:
        assert chips.plain_name(chip.title) == chip.name
        assert set(chip.takes) <= chips.by_name().keys()
        assert bool(chip.refused) != bool(chip.codes and chip.figures), chip.name
        if chip.refused is None and chip.line is chips.LINE_3:
            assert chip.code in chip.listed, f"{chip.name}: HailoRT 4.x takes what it lists"
    numbers = [code for chip in chips.CHIPS for code in chip.codes]
    assert len({code.number for code in numbers}) == len(set(numbers)), "one number, one meaning"


@pytest.mark.parametrize("chip", [chip for chip in chips.CHIPS if chip.refused])
def test_a_chip_that_cannot_be_built_for_is_refused_with_the_reason(chip: chips.Chip) -> None:
    assert chip.refused is not None
    document = {"source": {"onnx": "n"}, "calibration": {"source": "p"}, "arch": chip.name}
    with pytest.raises(Mistake, match=re.escape(chip.refused)):
        section_from(document, Recipe)
    with pytest.raises(ConfigError, match=re.escape(chip.refused)):
        pick_archs(None, [chip.title])  # type: ignore[arg-type]


def tables(path: Path) -> Iterator[str]:
    """Return collections of a file that name several chips."""
    known = chips.by_name().keys()
    text = path.read_text(encoding="utf-8")
    # To parse what names no chip would take most of the time.
    if not any(f'"{name}"' in text or f"'{name}'" in text for name in known):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts = node.elts
        elif isinstance(node, ast.Dict):
            parts = [part for part in node.keys if part is not None]
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            parts = node.slice.elts
        else:
            continue
        named = {part.value for part in parts if isinstance(part, ast.Constant)} & known
        if len(named) > 1:
            yield f"{path}:{node.lineno}: {', '.join(sorted(named))}"


def test_no_other_file_lists_chips(repository: Path, tmp_path: Path) -> None:
    own = repository / "docker/worker/hefsmith_worker/contract/chips.py"
    files = [*(repository / "orchestrator").rglob("*.py"), *(repository / "docker").rglob("*.py")]
    assert [found for path in files if path != own for found in tables(path)] == []
    (tmp_path / "copy.py").write_text('TOPS = {"hailo8": 26, "hailo8l": 13}\n', encoding="utf-8")
    assert len(list(tables(tmp_path / "copy.py"))) == 1


def undocumented(repository: Path, wanted: list[str]) -> set[str]:
    return set(wanted) - set(re.findall(r"hailo\w+", (repository / "docs/recipe.md").read_text()))


def test_the_page_about_recipes_names_every_chip_and_no_other(repository: Path) -> None:
    assert undocumented(repository, names()) == set()
    text = (repository / "docs/recipe.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `arch` |"))
    assert set(re.findall(r"hailo\w+", row)) == set(names())


@pytest.fixture
def network(models: Any, tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(models.fully_convolutional(channels=1).SerializeToString())
    return path


@pytest.mark.parametrize("chip", ["hailo8r", "hailo12l"])
@pytest.mark.slow
def test_a_documented_chip_is_built_and_runs_on_its_own_stand_in(
    repository: Path, network: Path, tmp_path: Path, chip: str
) -> None:
    answer = walk("walk_chip.py", copy_tree(repository, tmp_path / "tree"), network, chip)
    assert answer["recipe"] == [chip]
    assert answer["runs"]
    assert chips.runs_on(chip, answer["device"])


@pytest.mark.slow
def test_a_new_chip_is_one_row(repository: Path, network: Path, tmp_path: Path) -> None:
    tree = copy_tree(repository, tmp_path / "tree")
    table = tree / "docker/worker/hefsmith_worker/contract/chips.py"
    head, start, rows = table.read_text(encoding="utf-8").partition("CHIPS: Tuple[Chip, ...] = (")
    table.write_text(head + start + NEW + rows, encoding="utf-8")
    assert walk("walk_chip.py", tree, network, "hailo19x") == {
        "recipe": ["hailo19x"],
        "lint": [],
        "hef": ["HAILO19X"],
        "device": "hailo19x",
        "runs": True,
        "runs_elsewhere": False,
    }
    assert undocumented(repository, ["hailo19x"]) == {"hailo19x"}


@pytest.mark.parametrize("chip", names())
def test_the_emulator_compiles_for_every_chip_and_its_stand_in_takes_the_hef(
    models: Any, monkeypatch: pytest.MonkeyPatch, chip: str
) -> None:
    from hailo_emulator.runtime.device import identity_lines
    from hailo_emulator.runtime.hef import check_device
    from hailo_emulator.runtime.settings import read_setup

    from orchestrator.hef import read_hef

    row = chips.by_name()[chip]
    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", row.line.emulated_compiler)
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", chip)
    _, _, content = drive(cases(models)["one channel"], chip, 4)
    hef, setup = read_hef(content), read_setup()
    check_device(hef, setup)
    assert row.shows in hef.chips
    assert f"Device Architecture: {row.printed}" in identity_lines(setup)


def test_a_compilers_line_is_the_one_of_its_major_version() -> None:
    for line in chips.LINES:
        assert chips.line_of_compiler(line.compiler) is line
    assert chips.line_of_compiler(99) is None


def test_what_suits_a_chip_is_itself_first_and_once() -> None:
    for chip in chips.usable():
        found = chips.suitable_for(chip.name)
        assert found[0] == chip.name
        assert set(found) == {
            one.name for one in chips.usable() if chips.runs_on(one.name, chip.name)
        }
        assert len(found) == len(set(found))
