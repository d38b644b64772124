"""What configuration files beside a network say of its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.project.survey.beside import facts_beside, stated_in_facts

if TYPE_CHECKING:
    from pathlib import Path

MEAN = (123.675, 116.28, 103.53)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("preprocessor_config.json", '{"image_mean": [0.485, 0.456, 0.406], "image_std": 0.25}'),
        ("config.yaml", "mean: [0.485, 0.456, 0.406]\nstd: [0.229, 0.224, 0.225]\n"),
        ("config.yml", "data:\n  normalize:\n    mean: [0.485, 0.456, 0.406]\n    std: 0.25\n"),
        ("best.yaml", "norm_mean: [0.485, 0.456, 0.406]\nnorm_std: [0.229, 0.224, 0.225]\n"),
        ("../hparams.yaml", "mean: [0.485, 0.456, 0.406]\nstd: [0.229, 0.224, 0.225]\n"),
        (
            "config.json",
            '{"pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.2, 0.2, 0.2]}}',
        ),
    ],
)
def test_means_are_read_beside_the_weights(tmp_path: Path, name: str, text: str) -> None:
    weights = tmp_path / "checkpoints" / "best.pt"
    weights.parent.mkdir()
    (weights.parent / name).write_text(text)
    found = stated_in_facts(facts_beside(weights), "the files beside it")
    assert found.mean == MEAN
    assert found.std is not None


def test_a_file_of_its_own_name_is_believed_before_others(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("img_size: 224\n")
    (tmp_path / "best.json").write_text('{"img_size": 320}')
    assert stated_in_facts(facts_beside(tmp_path / "best.pt"), "x").size == (320, 320)


def test_values_that_contradict_each_other_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "train:\n  img_size: 224\n  mean: 0.5\nval:\n  img_size: 256\n  mean: 0.5\n"
    )
    facts = facts_beside(tmp_path / "best.pt")
    assert "img_size" not in facts
    assert facts["mean"] == 0.5


def test_a_section_does_not_overrule_what_stands_before_all_sections(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("img_size: 192\nold_run:\n  img_size: 640\n")
    assert facts_beside(tmp_path / "best.pt")["img_size"] == 192


@pytest.mark.parametrize(
    "text",
    ["mean: [0.5", "- 1\n- 2\n", "\ufeff", "a: &a [1]\nb: *c\n", "!!python/object:os.system {}"],
)
def test_what_is_no_configuration_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert facts_beside(tmp_path / "best.pt") == {}
