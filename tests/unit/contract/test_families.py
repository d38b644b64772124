"""Heads and the compiler's NMS: what the table says and what the code knows are the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hefsmith_worker import decoding
from hefsmith_worker.contract.commands import COMMANDS
from hefsmith_worker.contract.families import (
    DISTANCES,
    EXPONENTIAL,
    FAMILIES,
    META_ARCHS,
    family_of,
    marked,
    proposed_cut,
)
from hefsmith_worker.graph import family
from hefsmith_worker.script.lint import check_text
from hefsmith_worker.script.nms import meta_arch_of

from orchestrator.project.checking import Mistake, section_from
from orchestrator.project.recipe import Nms


def test_every_family_that_can_be_named_has_a_row_and_each_row_can_be_named() -> None:
    tree = ast.parse(Path(str(family.__file__)).read_text(encoding="utf-8"))
    named = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Family"
        and isinstance(node.args[0], ast.Constant)
    }
    assert named == set(FAMILIES)


def test_boxes_are_decoded_as_the_row_says() -> None:
    exponential = {name for name, row in FAMILIES.items() if row.decoding == EXPONENTIAL}
    assert set(decoding._BOXES_OF) == exponential


def test_the_emulator_suppresses_what_the_table_says_that_it_does(repository: Path) -> None:
    from hailo_emulator.nms import suppress

    tables = [value for value in vars(suppress).values() if isinstance(value, dict)]
    decoders = next(table for table in tables if "yolov8" in table)
    assert set(decoders) == {name for name, row in META_ARCHS.items() if row.emulated}


@pytest.mark.parametrize("name", sorted(META_ARCHS))
def test_recipe_linter_and_table_agree_on_an_nms(name: str) -> None:
    assert section_from({"family": name}, Nms).family == name
    assert name in COMMANDS["nms_postprocess"].keyword["meta_arch"].choices
    text = f'nms_postprocess("a.json", meta_arch={name}, engine=nn_core)'
    codes = [finding.code for finding in check_text(text)]
    assert codes == ([] if META_ARCHS[name].on_chip else ["nms-engine"])


def test_an_nms_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(Mistake, match="did you mean yolov8"):
        section_from({"family": "yolo8"}, Nms)


def test_a_file_is_known_by_its_own_key() -> None:
    assert {marked([row.mark]) for row in META_ARCHS.values() if row.mark} == {
        row.name for row in META_ARCHS.values() if row.mark
    }
    assert marked(["name", "stride"]) is None


def test_the_nms_of_a_plain_head_is_the_one_of_its_row() -> None:
    plain = {
        "end_roles": ["box", "class"], "anchors": [[(1, 1)]], "regression_length": None,
        "decoding": {"widths": "linear", "scores": "sigmoid", "order": "yx", "offset": 0.5,
                     "center_factor": 10.0, "size_factor": 5.0},
    }  # fmt: skip
    for name, row in FAMILIES.items():
        head = {**plain, "family": name}
        if row.decoding == EXPONENTIAL:
            head["end_roles"] = ["box", "class", "objectness"]
        elif row.decoding.startswith("anchors"):
            head["end_roles"] = ["box"]
        elif row.decoding == DISTANCES and row.meta_arch == "yolov8":
            head["regression_length"] = 16
        elif name in ("nanodet", "fcos"):
            continue
        assert meta_arch_of(head)[0] == row.meta_arch, name


def test_an_unknown_family_is_decoded_like_the_nameless() -> None:
    assert family_of("yolov99") is FAMILIES["other"]
    assert family_of(None).decoded_here


@pytest.mark.parametrize(
    ("task", "confidence", "cut"),
    [("detection", 1.0, ["a", "b"]), ("other", 1.0, []), ("detection", 0.1, [])],
)
def test_a_build_cuts_at_a_head_that_is_sure_and_needs_a_cut(
    task: str, confidence: float, cut: list[str]
) -> None:
    head = {"task": task, "confidence": confidence, "end_nodes": ("a", "b")}
    assert proposed_cut(head) == cut
