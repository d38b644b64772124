"""Names that others chose, before one becomes a path; and small rows that other rooms rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hefsmith_worker.contract import names
from hefsmith_worker.contract.chips import runs_on
from hefsmith_worker.contract.events import LONGEST_NAME, ContractError, Message, read_line
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.known import KNOWN, known_for
from hefsmith_worker.contract.needs import NEEDS, OTHER, memory_for


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/b.txt", None),
        ("./a/", None),
        ("a" * 255, None),
        ("a/" * 64, None),
        ("/".join(["abcdefg"] * 63 + ["x" * 496]), "is too long"),
        ("a\nb", "holds a control character"),
        ("/a", "is absolute"),
        ("a\\b", "holds a backslash"),
        ("./", "is empty"),
        ("a/" * 65, "has too many parts"),
        ("c:/a", "names a drive or a stream"),
        ("a/../b", "leads upwards"),
        ("é" * 128, "is too long"),
        ("a/Nul .txt", "names a device of Windows"),
        (b"a", "is no text"),
    ],
)
def test_what_is_wrong_with_a_name(name: object, found: str | None) -> None:
    assert names.fault(name) == found


def test_what_is_wrong_with_a_label() -> None:
    assert names.label_fault("x" * 500) is None
    assert names.label_fault("x" * 501) == "is too long"
    assert names.label_fault("a\tb") is None
    assert names.label_fault("a\u2028b") == "holds a control character, or an end of a line"
    assert names.label_fault(" ") == "is empty"


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    folder, beside = tmp_path / "a", tmp_path / "ab"
    folder.mkdir()
    beside.mkdir()
    (folder / "out").symlink_to(beside)
    assert names.below(folder, "x/y") == folder / "x/y"
    assert names.inside(folder, folder)
    assert names.inside(folder, Path(folder.anchor))
    assert not names.inside(beside, folder)
    with pytest.raises(names.NameRefused, match=r"^'out' is a link that leads out of a$"):
        names.below(folder, "out")


def test_a_name_is_shown_and_made_tame() -> None:
    assert names.shown("x" * 118) == "'" + "x" * 118 + "'"
    assert names.shown("x" * 119) == "'" + "x" * 116 + "..."
    tamed = {name: names.tame(name) for name in ("a b", "a/b:c", "../x", "..", "con", "é\ud800")}
    assert tamed == {
        "a b": "a b", "a/b:c": "a_b_c", "../x": ".._x", "..": "file_", "con": "file_con",
        "é\ud800": "é_",
    }  # fmt: skip
    assert all(names.fault(one) is None for one in tamed.values())


def test_a_chip_that_nobody_knows_takes_only_its_own() -> None:
    assert runs_on("hailo99", "hailo99")
    assert not runs_on("hailo99", "hailo8")
    assert not runs_on("hailo8", "hailo99")


def test_an_event_names_what_is_wrong_with_its_stage() -> None:
    for length, wrong in ((LONGEST_NAME, False), (LONGEST_NAME + 1, True)):
        line = json.dumps({"event": "new", "stage": "x" * length, "t": 0})
        if not wrong:
            assert read_line(line) is not None
            continue
        with pytest.raises(ContractError, match=f"stage has more than {LONGEST_NAME} characters"):
            read_line(line)


def test_an_event_is_one_line_whatever_its_text_holds() -> None:
    line = Message(Finding("a.b", "info", "\ud800\n"), None, 0.0).to_line()
    read = read_line(line.decode("utf-8"))
    assert line.count(b"\n") == 1
    assert read is not None
    assert isinstance(read.event, Finding)
    assert read.event.message == "?\n"


def test_what_is_known_depends_on_head_layers_and_number_of_pictures() -> None:
    def rows(head: dict[str, object], *layers: str, images: int = 5000) -> set[str]:
        return {row.name for row in known_for(head, layers, images)}

    few = next(row for row in KNOWN if row.below is not None)
    assert few.below is not None
    detects: dict[str, object] = {"family": few.family, "task": few.task}
    assert few.name in rows(detects, images=few.below - 1)
    assert few.name not in rows(detects, images=few.below)
    assert rows({}, "matmul") == {"attention"}
    assert rows({}, "matmul", "ew_add") == {"attention", "transformer"}
    assert "maps of numbers (depth)" in rows({"end_shapes": [[1, 1, 8, 8]]})
    assert "maps of numbers (depth)" not in rows({"end_shapes": [[1, 2, 8, 8]]})


def test_a_stage_without_a_row_needs_what_the_least_known_one_takes() -> None:
    assert memory_for(["nobody"], emulated=True) == OTHER.emulator
    assert memory_for(["export", "optimize"], emulated=False) == NEEDS["optimize"].suite
    assert memory_for([], emulated=True) == 0
