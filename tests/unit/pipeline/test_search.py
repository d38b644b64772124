"""What a search tries first, what it keeps, when it stops, and that it goes on later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError, StageFailed
from orchestrator.pipeline.observer import Silent
from orchestrator.pipeline.tune import search as searching
from orchestrator.pipeline.tune.candidates import (
    Choice,
    Space,
    cost_of,
    make_space,
    variant_of,
)
from orchestrator.pipeline.tune.search import (
    Budget,
    Found,
    Point,
    SearchContext,
    Searcher,
    front_of,
)
from orchestrator.project.amend import amend, amended
from orchestrator.project.loading import LoadedRecipe, load_recipe
from orchestrator.report.analysis import Analysis, LayerReport
from orchestrator.report.model import StepReport, Verdict

RECIPE = """\
# my recipe
source: {onnx: net.onnx}
calibration:
  source: pictures  # from the yard
  count: 512
optimization: {level: 0, script: ["performance_param(compiler_optimization_level=max)"]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    return load_recipe(folder)


def network(*alone: float, **more: Any) -> Analysis:
    layers = tuple(
        LayerReport(name=f"net/conv{number}", type="conv", weights=100, macs=1000,
                    alone_db=decibels, weight_bits=8, **more)
        for number, decibels in enumerate(alone, 1)
    )  # fmt: skip
    return Analysis(8, layers, ())


def space_of(loaded: LoadedRecipe, analysis: Analysis, head: Any = None, **more: Any) -> Space:
    given = {"pictures": 512, **more}
    return make_space(loaded.recipe, analysis, head or {}, "hailo8l", **given)


# --- what is tried -------------------------------------------------------------------------------


def test_the_recipe_is_first_and_the_worst_layers_are_next(loaded: LoadedRecipe) -> None:
    space = space_of(loaded, network(60.0, 12.0, 25.0, 55.0))
    assert space.worst[:2] == ("conv2", "conv3")
    assert space.first[0] == Choice()
    assert space.first[1] == Choice(wide=1)
    assert space.first[2] == Choice(wide=2)
    variant = variant_of(space.first[1], space, loaded.recipe)
    assert variant.changes["optimization.script"] == [
        "performance_param(compiler_optimization_level=max)",
        "quantization_param([conv2], precision_mode=a16_w16)",
    ]
    assert variant.name == "16 bits for conv2"


def test_what_is_known_of_a_family_is_proposed_before_that(loaded: LoadedRecipe) -> None:
    head = {"family": "yolov26", "task": "detection"}
    few = space_of(loaded, network(30.0), head)
    named = few.first[1]
    assert named.known == "YOLO26 detection, few pictures"
    changes = variant_of(named, few, loaded.recipe).changes
    assert changes["optimization.level"] == 2
    assert changes["optimization.outputs_16bit"] is True
    assert "dataset_size=512" in str(changes["optimization.script"])
    many = space_of(loaded, network(30.0), head, pictures=2048)
    assert many.first[1].known == "YOLO26 detection"
    assert "adaround" in str(variant_of(many.first[1], many, loaded.recipe).changes)
    assert space_of(loaded, network(30.0), {"family": "other"}).known == {}


def test_every_known_setting_has_a_source_and_lines_of_a_script() -> None:
    from hefsmith_worker.contract.known import KNOWN
    from hefsmith_worker.script import parse

    for row in KNOWN:
        assert row.source.startswith("https://")
        assert len(parse("\n".join(row.lines(512)))) == len(row.script)


def test_trainings_that_take_hours_are_left_out_and_said(loaded: LoadedRecipe) -> None:
    analysis = network(30.0)
    free = space_of(loaded, analysis)
    assert free.axes["adaround"] == (False, True)
    bound = space_of(loaded, analysis, hours=1.0)
    assert bound.axes["adaround"] == (False,)
    assert bound.axes["finetune"] == (0,)
    assert any("adaround is left out" in note for note in bound.notes)
    assert not any(one.adaround or one.finetune for one in bound.first)
    assert space_of(loaded, analysis, hours=1e6).axes["adaround"] == (False, True)


def test_every_choice_is_a_recipe(loaded: LoadedRecipe) -> None:
    from orchestrator.pipeline.tune.tuning import applied

    space = space_of(loaded, network(10.0, 20.0, limits=(0.0, 99.0), bulk=1.0, channel_spread=99.0))
    names = set()
    for choice in space.first:
        variant = variant_of(choice, space, loaded.recipe)
        applied(loaded, variant)
        names.add(variant.name)
    assert len(names) == len(space.first) > 6


def test_wider_layers_cost_their_weights_and_their_arithmetic(loaded: LoadedRecipe) -> None:
    analysis = network(60.0, 12.0, 25.0, 55.0)
    space = space_of(loaded, analysis)
    plain, wide = (cost_of(Choice(wide=n), space, analysis) for n in (0, 1))
    assert (plain.weight_bytes, plain.arithmetic) == (400, 1.0)
    assert wide.weight_bytes == 500
    assert wide.arithmetic == pytest.approx(1.125)


# --- how it goes ---------------------------------------------------------------------------------


class Judge(Searcher):
    """A search whose points are judged by a rule instead of being built."""

    looks: list[tuple[str, int | None]]
    stop_after: int | None = None

    def _judge(self, variant: Any, samples: int | None) -> Verdict:
        self.looks.append((variant.name, samples))
        if self.stop_after is not None and len(self.looks) > self.stop_after:
            raise KeyboardInterrupt
        text = str(variant.changes)
        if "adaround" in text:
            msg = "the compiler refused"
            raise StageFailed(msg)
        top1 = 0.6 + 0.25 * ("a16_w16" in text) + 0.05 * ("outputs_16bit" in text)
        steps = tuple(
            StepReport(step=step, measures={"top1": value, "snr_db": 20.0}, outputs=())
            for step, value in (("onnx", 0.95), ("sdk_quantized", top1))
        )
        return Verdict(passed=True, task="classification", samples=200, labelled=True,
                       origin="validation", reference="onnx", final="sdk_quantized", checks=(),
                       steps=steps)  # fmt: skip


class Session:
    observer = Silent()


def judge(loaded: LoadedRecipe, folder: Path, stop_after: int | None = None) -> Judge:
    pytest.importorskip("optuna")
    analysis = network(60.0, 12.0, 25.0, 55.0)
    space = space_of(loaded, analysis)
    made = Judge(SearchContext(Session(), loaded, "hailo8l", folder, space, analysis, 200))  # type: ignore[arg-type]
    made.looks, made.stop_after = [], stop_after
    return made


@pytest.mark.slow
def test_the_best_is_found_and_a_failed_point_is_told(loaded: LoadedRecipe, tmp_path: Path) -> None:
    found = judge(loaded, tmp_path).search(Budget(trials=12))
    assert (found.measure, found.ideal) == ("top1", 0.95)
    assert found.best is not None
    assert found.best.measures["top1"] == pytest.approx(0.90)
    assert found.best.choice.outputs
    assert found.best.choice.wide == 1 or found.best.cost.arithmetic < 1.3
    assert len(found.points) == 12
    assert next(p.error for p in found.points if p.choice.adaround) == "the compiler refused"


def test_points_are_looked_at_on_few_samples_first(loaded: LoadedRecipe, tmp_path: Path) -> None:
    made = judge(loaded, tmp_path)
    found = made.search(Budget(trials=12))
    assert made.looks[0] == ("as it is", None)
    assert made.looks[1][1] == 50
    dropped = [one for one in found.points if one.dropped]
    assert dropped
    whole = {name for name, samples in made.looks if samples is None}
    assert not {one.variant.name for one in dropped} & whole


def test_a_search_that_was_stopped_goes_on(loaded: LoadedRecipe, tmp_path: Path) -> None:
    first = judge(loaded, tmp_path, stop_after=5).search(Budget(trials=10))
    assert first.stopped == "interrupted"
    done = [one.choice for one in first.points]
    assert done
    again = judge(loaded, tmp_path)
    found = again.search(Budget(trials=10))
    assert [one.choice for one in found.points][: len(done)] == done
    assert len(found.points) == 10
    assert (found.measure, found.ideal) == ("top1", 0.95)
    assert "as it is" not in {name for name, _ in again.looks}


def test_another_recipe_begins_anew(loaded: LoadedRecipe, tmp_path: Path) -> None:
    judge(loaded, tmp_path / "s").search(Budget(trials=3))
    text = loaded.document.path.read_text("utf-8").replace("level: 0", "level: 1")
    loaded.document.path.write_text(text, "utf-8")
    other = judge(load_recipe(loaded.folder), tmp_path / "s")
    other.search(Budget(trials=1))
    assert other.looks == [("as it is", None)]


def test_it_stops_when_nothing_is_left_to_win(
    loaded: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "CLOSE", 0.11)
    found = judge(loaded, tmp_path).search(Budget(trials=12))
    assert found.stopped == "nothing is left to win"
    assert len(found.points) == 2


def point(name: str, value: float, arithmetic: float) -> Point:
    from orchestrator.pipeline.tune.candidates import Cost
    from orchestrator.pipeline.tune.tuning import Variant

    return Point(Choice(known=name), Variant(name, {}), Cost(1, arithmetic), {"top1": value}, 9,
                 1.0, value)  # fmt: skip


def test_a_search_that_has_won_all_tries_nothing_more_when_asked_again(
    loaded: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "CLOSE", 0.1)
    first = judge(loaded, tmp_path).search(Budget(trials=12))
    assert (first.stopped, len(first.points)) == ("nothing is left to win", 2)
    again = judge(loaded, tmp_path)
    found = again.search(Budget(trials=12))
    assert again.looks == []
    assert found.stopped == first.stopped
    assert [one.choice for one in found.points] == [one.choice for one in first.points]


def test_the_front_holds_what_no_other_beats() -> None:
    points = [point("a", 0.5, 1.0), point("b", 0.9, 1.2), point("c", 0.8, 1.3),
              point("d", 0.95, 1.5), point("e", 0.9, 1.2)]  # fmt: skip
    assert [one.variant.name for one in front_of(points)] == ["a", "b", "d"]
    cheapest = Found(points=[point("x", 0.9, 1.5), point("y", 0.9, 1.1)])
    assert cheapest.best is not None
    assert cheapest.best.variant.name == "y"
    assert Found(points=[replace(points[0], error="x")]).best is None


# --- what is written -----------------------------------------------------------------------------


def test_a_recipe_keeps_its_comments() -> None:
    pytest.importorskip("ruamel.yaml")
    text = amended(
        RECIPE,
        {
            "optimization.level": 1,
            "optimization.script": ["a", "b"],
            "calibration.count": 256,
            "postprocess.nms.score": 0.3,
        },
    )
    assert "# my recipe\n" in text
    assert "# from the yard" in text
    assert "count: 256" in text
    assert "  script:\n  - a\n  - b\n" in text or "  script:\n    - a\n    - b\n" in text
    assert "postprocess:\n  nms:\n    score: 0.3" in text


def test_a_recipe_that_would_be_none_is_left_as_it_was(loaded: LoadedRecipe) -> None:
    pytest.importorskip("ruamel.yaml")
    path = loaded.document.path
    with pytest.raises(ConfigError, match="was left as it was"):
        amend(path, {"optimization.level": 99})
    assert path.read_text("utf-8") == RECIPE
    amend(path, {"optimization.level": 1})
    assert load_recipe(path).recipe.optimization.level == 1
    assert sorted(one.name for one in path.parent.iterdir()) == ["model.yaml"]


CHANGES = {
    "optimization.level": 1,
    "optimization.script": ["a = b(c)", "d = e(f)"],
    "calibration.count": 32,
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param(
            "# mine\r\nsource: {onnx: net.onnx}\r\ncalibration:\r\n  source: a # x\r\n",
            ["# mine\r\n", "source: a # x\r\n"],
            id="line ends of Windows",
        ),
        pytest.param(
            "\ufeffsource: {onnx: net.onnx}\ncalibration: {source: a}\n",
            ["\ufeff"],
            id="byte order mark",
        ),
        pytest.param(
            "{source: {onnx: net.onnx}, calibration: {source: a, count: 64}}\n",
            ["{source: {onnx: net.onnx}"],
            id="flow",
        ),
        pytest.param(
            "---\nsource: {onnx: net.onnx}\ncalibration: {source: a}  # end\n...\n",
            ["---\n", "\n...\n", "# end"],
            id="marks of a document",
        ),
        pytest.param(
            "source:\n    onnx: net.onnx\ncalibration:\n    source: a\noptimization:\n"
            "    script:\n      - a = b(c)\n",
            ["    onnx: net.onnx", "      - a = b(c)\n      - d = e(f)\n"],
            id="its own indentation",
        ),
        pytest.param(
            "source: {onnx: net.onnx}\noptimization:\n  script:\n  - a = b(c)  # why\n\n"
            "# --- pictures ---\ncalibration:\n  source: a\n",
            ["- a = b(c)  # why\n", "# --- pictures ---\ncalibration:"],
            id="comments of lines and of what follows",
        ),
        pytest.param(
            "source: {onnx: net.onnx}\ncalibration: {source: a}\n"
            "optimization:\n  script:\n  - old = x(y)\n\n  # the end\nexport: {opset: 17}\n",
            ["\n\n  # the end\nexport: {opset: 17}\n"],
            id="what follows a list that is another",
        ),
        pytest.param(
            "source: {onnx: net.onnx}\ncalibration: {source: a}\noptimization:\n",
            ["optimization:\n"],
            id="an empty section",
        ),
    ],
)
def test_a_recipe_keeps_its_style(tmp_path: Path, text: str, kept: list[str]) -> None:
    pytest.importorskip("ruamel.yaml")
    path = tmp_path / "model.yaml"
    path.write_bytes(text.encode())
    amend(path, CHANGES)
    made = path.read_bytes().decode()
    for part in kept:
        assert part in made
    assert made.count("\r\n") == (made.count("\n") if "\r\n" in text else 0)
    recipe = load_recipe(path).recipe
    assert (recipe.optimization.level, recipe.calibration.count) == (1, 32)
    assert list(recipe.optimization.script) == CHANGES["optimization.script"]


def test_what_an_alias_shares_changes_at_one_place_only(tmp_path: Path) -> None:
    pytest.importorskip("ruamel.yaml")
    from orchestrator.project.yaml_source import parse_yaml

    shared = "calibration: &same {source: a, count: 64}\n"
    found = parse_yaml(amended(f"{shared}data: *same\n", {"data.count": 5}))
    assert found == {
        "calibration": {"source": "a", "count": 64},
        "data": {"source": "a", "count": 5},
    }
    merged = f"{shared}data:\n  <<: *same\n  source: b\n"
    found = parse_yaml(amended(merged, {"data.count": 5, "calibration.source": "c"}))
    assert found["data"] == {"source": "b", "count": 5}
    lists = "optimization:\n  script: &s [a]\nexport: *s\n"
    found = parse_yaml(amended(lists, {"optimization.script": ["a", "b"]}))
    assert found == {"optimization": {"script": ["a", "b"]}, "export": ["a"]}


def test_a_link_to_a_recipe_stays_one(tmp_path: Path) -> None:
    pytest.importorskip("ruamel.yaml")
    real = tmp_path / "real.yaml"
    real.write_text(RECIPE, encoding="utf-8")
    link = tmp_path / "model.yaml"
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    amend(link, {"optimization.level": 1})
    assert link.is_symlink()
    assert load_recipe(real).recipe.optimization.level == 1


# --- other keys of the recipe, and how long it takes ---------------------------------------------


def test_other_keys_join_the_search_and_come_early(loaded: LoadedRecipe) -> None:
    also = {"few good": {"calibration.source": "../few.txt", "calibration.count": 70}}
    space = space_of(loaded, network(30.0), also=also)
    assert space.axes["also"] == ("own", "few good")
    assert Choice(also="few good") in space.first[:3]
    variant = variant_of(Choice(also="few good", wide=1), space, loaded.recipe)
    assert variant.name == "16 bits for conv1, few good"
    assert variant.changes["calibration.source"] == "../few.txt"
    assert variant.changes["calibration.count"] == 70
    # A size beside a smaller set does not ask for more than it has.
    both = variant_of(Choice(also="few good", count="256"), space, loaded.recipe)
    assert both.changes["calibration.count"] == 70


def test_a_smaller_input_costs_less_and_is_compared_by_labels_only(loaded: LoadedRecipe) -> None:
    small = {"inputs.image": [1, 3, 32, 32]}
    space = space_of(loaded, network(30.0), also={"small": small})
    own = {"image": (1, 3, 64, 64)}
    plain, less = (
        cost_of(choice, space, network(30.0), own) for choice in (Choice(), Choice(also="small"))
    )
    assert less.arithmetic == pytest.approx(plain.arithmetic / 4)
    assert searching.other_pictures(small)
    assert searching.other_pictures({"parser.end_nodes": ["a"]})
    assert not searching.other_pictures({"calibration.source": "x", "optimization.level": 1})
    assert "cosine" not in searching.ABSOLUTE
    assert "agreement" not in searching.ABSOLUTE


def test_time_left_is_of_the_whole_search() -> None:
    budget = Budget(12, None, 3)
    assert searching.left_text(0.0, 0, 4, budget, 1.0) == ""
    # 8 points and 3 compiles of 10 seconds, whatever an earlier run had tried.
    assert searching.left_text(20.0, 2, 4, budget, 1.0) == ", about 2 min left"
    assert searching.left_text(1.0, 2, 4, budget, 1.0) == ", about 6 s left"
    # Minutes that are asked for end it sooner.
    assert searching.left_text(20.0, 2, 4, Budget(12, 1.0, 0), 50.0) == ", about 10 s left"
