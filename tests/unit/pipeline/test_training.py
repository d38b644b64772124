"""Training that a recipe names is foreseen: hours on a CPU, few images, and what to choose."""

from __future__ import annotations

import pytest

from orchestrator.pipeline.tune.training import foresee, planned_training

FINETUNE = "post_quantization_optimization(finetune, policy=enabled, dataset_size={}, epochs={})"


def said(level: int | None, *script: str, count: int = 1024, gpu: bool = False) -> str:
    found = foresee(level, script, count, gpu=gpu, emulated=False)
    return "" if found is None else f"{found.severity}: {found.message} {found.fix}"


@pytest.mark.parametrize("level", [None, -100, 0, 1])
def test_the_default_level_and_those_that_do_not_train_are_no_news(level: int | None) -> None:
    assert planned_training(level, (), 1024) is None
    assert said(level) == ""


@pytest.mark.parametrize(
    ("level", "count", "hours"),
    [(2, 1024, "1.1 to 5.7"), (2, 4096, "1.1 to 5.7"), (3, 1024, "23 to 114"),
     (4, 1024, "91 to 455"), (4, 64, "5.7 to 28")],
)  # fmt: skip
def test_a_named_level_says_its_hours_without_a_gpu(level: int, count: int, hours: str) -> None:
    text = said(level, count=count)
    assert text.startswith(f"warning: optimization.level {level} trains as named")
    assert f"{hours} hours without a GPU" in text
    assert ("reckoned" in text) == (level > 2)
    for choice in ("--gpu on", "calibration.count", "level: auto"):
        assert choice in text


def test_with_a_gpu_only_few_images_are_news() -> None:
    assert said(2, gpu=True) == ""
    text = said(2, count=128, gpu=True)
    assert "hours" not in text
    assert "128 images are few to train on" in text


def test_lines_of_the_users_own_win_over_the_level() -> None:
    assert "2.3 to 11 hours" in said(0, FINETUNE.format(1024, 8))
    assert "finetune in optimization.script" in said(2, FINETUNE.format(1024, 8))
    assert said(2, "post_quantization_optimization(finetune, policy=disabled)") == ""
    assert "optimization.level 3" in said(
        3, "post_quantization_optimization(finetune, policy=disabled)"
    )
    assert said(2, "model_optimization_flavor(optimization_level=0)") == ""
    assert "level 2" in said(0, "model_optimization_flavor(optimization_level=2)")
    assert said(None, "post_quantization_optimization(bias_correction, policy=enabled)") == ""
    assert said(0, "what is this") == ""


def test_a_training_of_minutes_is_nothing_to_ask_about() -> None:
    assert "hours" not in said(0, FINETUNE.format(64, 1), count=64)


def test_on_the_emulator_it_is_information_for_the_real_compiler() -> None:
    found = foresee(2, (), 1024, gpu=False, emulated=True)
    assert found is not None
    assert found.severity == "info"
    assert found.message.startswith("on the real compiler, ")
