"""Which variants are tried, and which one is worth keeping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import ConfigError, EngineError, StageFailed
from orchestrator.pipeline.finished.builds import Build
from orchestrator.pipeline.observer import Silent
from orchestrator.pipeline.tune import tuning
from orchestrator.pipeline.tune.tuning import AS_IT_IS, Trial, Variant
from orchestrator.project.loading import LoadedRecipe, load_recipe
from orchestrator.project.recipe import Preprocessing
from orchestrator.report.model import StepReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

RECIPE = """\
source: {onnx: net.onnx}
calibration: {source: pictures}
optimization: {level: 1, script: ["a line"]}
preprocessing: {mean: [1, 2, 3]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    return load_recipe(folder)


def trial(
    name: str, measures: Mapping[str, float], *, passed: bool = True, samples: int = 100
) -> Trial:
    step = StepReport(step="sdk_quantized", measures=dict(measures), outputs=())
    verdict = Verdict(
        passed=passed, task="other", samples=samples, labelled=False, origin="validation",
        reference="onnx", final="sdk_quantized", checks=(), steps=(step,),
    )  # fmt: skip
    changes = {} if name == AS_IT_IS else {"optimization.level": name}
    return Trial(Variant(name, changes), 1.0, verdict=verdict)


def kept(*trials: Trial) -> str:
    choice = tuning.choose(trials)
    assert choice is not None
    return choice.trial.variant.name


# --- which variants ------------------------------------------------------------------------------


def test_without_wishes_the_other_levels_are_tried(loaded: LoadedRecipe) -> None:
    names = [one.name for one in tuning.usual_variants(loaded.recipe)]
    assert names == [AS_IT_IS, "level 0", "level auto"]
    squeezed = tuning.applied(loaded, Variant("x", {"optimization.compression": 2}))
    assert "compression 0" in [one.name for one in tuning.usual_variants(squeezed.recipe)]


def test_the_best_one_is_tried_with_wider_outputs_once(loaded: LoadedRecipe) -> None:
    best = Variant(AS_IT_IS, {}).with_change("optimization.level", 0)
    wider = tuning.wider_outputs(best, loaded.recipe)
    assert wider is not None
    assert wider.name == "level 0, 16-bit outputs"
    assert wider.lines == {"optimization": {"level": 0, "outputs_16bit": True}}
    assert tuning.wider_outputs(wider, loaded.recipe) is None
    assert tuning.wider_outputs(best, tuning.applied(loaded, wider).recipe) is None


def test_wishes_are_combined() -> None:
    found = tuning.asked_variants(["level=0,2", "calibration.count=64", "count=128"])
    assert [dict(one.changes) for one in found] == [
        {},
        {"optimization.level": 0, "calibration.count": 64},
        {"optimization.level": 0, "calibration.count": 128},
        {"optimization.level": 2, "calibration.count": 64},
        {"optimization.level": 2, "calibration.count": 128},
    ]


def test_values_are_yaml(loaded: LoadedRecipe) -> None:
    found = tuning.asked_variants(["preprocessing.mean=[0, 0, 0],[127.5]", "outputs_16bit=true"])
    recipes = [tuning.applied(loaded, one).recipe for one in found]
    means = [
        one.preprocessing.mean for one in recipes if isinstance(one.preprocessing, Preprocessing)
    ]
    assert means == [(1, 2, 3), (0, 0, 0), (127.5,)]
    assert [one.optimization.outputs_16bit for one in recipes] == [False, True, True]
    assert all(one.optimization.script == ("a line",) for one in recipes)


@pytest.mark.parametrize("text", ["level", "level=", "=1", "level=[", "level={", "levle=1"])
def test_a_wish_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--try"):
        tuning.asked_variants([text])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("optimization.levle", 1), r"optimization\.levle: unknown key; did you mean level\?"),
        (("optimization.level", 9), r"optimization\.level: input should be"),
        (("nothing", 1), "unknown key"),
        (("source.onnx.deep", 1), r"source\.onnx"),
    ],
)
def test_values_that_no_recipe_has_are_told(
    loaded: LoadedRecipe, change: tuple[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        tuning.applied(loaded, Variant("x", {}).with_change(*change))


def test_the_recipe_itself_is_not_touched(loaded: LoadedRecipe) -> None:
    before = repr(loaded.document.value)
    changed = tuning.applied(loaded, Variant("x", {"optimization.level": 2}))
    assert changed.recipe.optimization.level == changed.document.value["optimization"]["level"] == 2
    assert loaded.recipe.optimization.level == 1
    assert repr(loaded.document.value) == before


# --- which one to keep ---------------------------------------------------------------------------


def test_the_recipe_stays_unless_another_is_better_by_more_than_one_sample() -> None:
    own = trial(AS_IT_IS, {"top1": 0.90, "snr_db": 30.0})
    assert kept(own, trial("0", {"top1": 0.91, "snr_db": 30.5})) == AS_IT_IS
    assert kept(own, trial("0", {"top1": 0.93, "snr_db": 20.0})) == "0"


def test_equals_are_told_apart_by_their_noise() -> None:
    own = trial(AS_IT_IS, {"agreement": 1.0, "snr_db": 30.0})
    assert kept(own, trial("0", {"agreement": 1.0, "snr_db": 34.0})) == "0"
    # No ratio: nothing differs from the float model.
    assert kept(own, trial("0", {"agreement": 1.0})) == "0"


def built(one: Trial, *, level: int, wide: bool = False) -> Trial:
    summary = {"asked": {"outputs_16bit": wide}, "ran": {"level_run": level}}
    return replace(one, build=Build(Path("nowhere"), summary))


@pytest.mark.parametrize(
    ("level", "wide", "top1", "wanted"),
    [
        (2, False, 0.90, AS_IT_IS),
        (1, True, 0.90, AS_IT_IS),
        (2, False, 0.95, "0"),
        (1, True, 0.95, "0"),
        (0, False, 0.90, "0"),
        (1, False, 0.90, "0"),
    ],
)
def test_more_cost_needs_a_gain_in_the_tasks_own_measure(
    level: int, wide: bool, top1: float, wanted: str
) -> None:
    own = built(trial(AS_IT_IS, {"top1": 0.90, "snr_db": 30.0}), level=1)
    other = built(trial("0", {"top1": top1, "snr_db": 40.0}), level=level, wide=wide)
    assert kept(own, other) == wanted


def test_passing_goes_before_a_better_measure() -> None:
    failed = trial(AS_IT_IS, {"f1": 0.99}, passed=False)
    assert kept(failed, trial("0", {"f1": 0.90})) == "0"
    assert kept(failed, trial("0", {"f1": 0.90}, passed=False)) == AS_IT_IS


def test_a_distance_is_better_when_it_is_smaller() -> None:
    near, far = {"keypoint_distance": 0.01, "f1": 0.9}, {"keypoint_distance": 0.05, "f1": 0.99}
    assert kept(trial(AS_IT_IS, far), trial("0", near)) == "0"


def test_what_could_not_be_built_is_not_chosen() -> None:
    broken = Trial(Variant("2", {}), 1.0, error="the compiler gave up")
    assert tuning.choose([broken]) is None
    assert kept(broken, trial("0", {"cosine": 0.5}, passed=False)) == "0"


# --- trying them ---------------------------------------------------------------------------------


class BuildSession:
    """Builds that fail as they are told to."""

    def __init__(self, failure: Exception) -> None:
        self.observer = Silent()
        self.failure = failure
        self.folders: list[Path] = []

    def build(self, loaded: LoadedRecipe, arch: str, folder: Path) -> tuple[Build, Any]:
        self.folders.append(folder)
        raise self.failure


def test_a_variant_that_cannot_be_built_does_not_end_the_rest(
    loaded: LoadedRecipe, tmp_path: Path
) -> None:
    session: Any = BuildSession(StageFailed("optimize: no GPU\nmore"))
    trials = tuning.TrialRunner(session, loaded, "hailo8l", tmp_path)
    found = list(trials.try_all(tuning.usual_variants(loaded.recipe)))
    assert [one.error for one in found] == ["optimize: no GPU"] * 3
    assert len({folder.name for folder in session.folders}) == 3
    assert all(folder.parent == tmp_path for folder in session.folders)


def test_an_engine_that_is_gone_ends_the_rest(loaded: LoadedRecipe, tmp_path: Path) -> None:
    session: Any = BuildSession(EngineError("the engine went away"))
    trials = tuning.TrialRunner(session, loaded, "hailo8l", tmp_path)
    with pytest.raises(EngineError):
        list(trials.try_all(tuning.usual_variants(loaded.recipe)))
    assert len(session.folders) == 1


def test_what_is_wrong_is_told_by_the_option_that_it_stood_in() -> None:
    for wrong in ("nonsense", "optimisation.level=1"):
        with pytest.raises(ConfigError, match=r"^--also: "):
            tuning.asked_variants([wrong], "--also")


def test_of_equals_on_a_device_the_faster_is_kept() -> None:
    slow = replace(trial("a", {"top1": 0.9, "snr_db": 30.0}), fps=100.0)
    fast = replace(trial("b", {"top1": 0.9, "snr_db": 20.0}), fps=150.0)
    better = replace(trial("c", {"top1": 0.95, "snr_db": 20.0}), fps=50.0)
    assert kept(slow, fast) == "b"
    # What a device does not tell of all of them decides nothing, nor does noise.
    assert kept(replace(slow, fps=None), fast) == "a"
    assert kept(replace(slow, fps=147.0), fast) == "a"
    # Accuracy comes first, and the front has both.
    assert kept(slow, fast, better) == "c"
    assert [one.variant.name for one in tuning.front([slow, fast, better])] == ["b", "c"]
    assert tuning.front([slow, replace(fast, fps=None)]) == []
