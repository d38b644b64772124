"""Which calibration pictures matter: small sets, repeats, classes, and a bad set by its name."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.calibration import coverage
from PIL import Image

from orchestrator.cli.app import run
from tests.bench.accuracy.networks import draw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = """
schema: 1
source: {onnx: net.onnx}
preprocessing: {size: [32, 32], resize: stretch, mean: [0], std: [255]}
calibration: {source: pictures, count: 200}
postprocess: {task: classification, labels: [a, b, c, d, e, f, g]}
validation: {source: held_out, samples: 60}
optimization: {level: 0}
"""


def reach_of(peaks: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(peaks), peaks], -1)


def test_a_few_pictures_of_each_kind_cover_many() -> None:
    random = np.random.default_rng(0)
    kinds = random.uniform(0, 10, (5, 40))
    peaks = kinds[np.arange(500) % 5] + random.uniform(0, 1e-3, (500, 40))
    steps = coverage.steps_of(reach_of(peaks))
    chosen = coverage.greedy(steps, [None] * 500, least=1)
    assert {index % 5 for index in chosen[:5]} == set(range(5))
    assert len(chosen) < 20
    assert coverage.covered(steps, chosen) >= coverage.GOOD
    # A better set than as many at random, and than the first ones of one kind.
    same = coverage.covered(steps, range(0, 5 * len(chosen), 5))
    assert coverage.covered(steps, chosen) > same + 0.1


def test_the_set_grows_until_it_is_good_and_no_further() -> None:
    peaks = np.random.default_rng(1).uniform(0, 1, (400, 60))
    steps = coverage.steps_of(reach_of(peaks))
    chosen = coverage.greedy(steps, [None] * 400, least=1)
    assert coverage.covered(steps, chosen[:-1]) < coverage.GOOD <= coverage.covered(steps, chosen)
    assert len(coverage.greedy(steps, [None] * 400)) >= coverage.LEAST
    assert len(set(chosen)) == len(chosen)


def test_classes_come_in_turn_and_what_is_left_out_is_not_taken() -> None:
    peaks = np.random.default_rng(2).uniform(0, 1, (120, 8))
    steps = coverage.steps_of(reach_of(peaks))
    groups = [0] * 100 + [1] * 20
    chosen = coverage.greedy(steps, groups, left_out=range(110, 120), least=20)
    assert sum(index >= 100 for index in chosen[:20]) == 10
    assert not set(chosen) & set(range(110, 120))
    assert coverage.greedy(steps, groups, left_out=range(120)) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (2, 5)])
def test_tiny_sets_are_no_trouble(shape: tuple[int, int]) -> None:
    steps = coverage.steps_of(reach_of(np.ones(shape)))
    chosen = coverage.greedy(steps, [None] * shape[0])
    assert len(chosen) == shape[0]
    assert coverage.unlike(reach_of(np.ones(shape)), reach_of(np.ones(shape)))[0] == []


def test_missing_and_rare_classes() -> None:
    ours = [0] * 50 + [1] * 50 + [2] * 3
    assert coverage.rare_classes(ours, [0, 5], 4) == ([3, 5], [2])
    assert coverage.rare_classes([None, None], [1], 4) == ([], [])


def test_layers_that_are_cut_off_are_named() -> None:
    mine, other = np.zeros((20, 4, 2)), np.zeros((20, 4, 2))
    mine[..., 1], other[..., 1] = 1.0, 1.0
    other[:5, 2, 1] = 3.0
    found = coverage.cut_off(mine, other, ["a", "a", "b", "b"])
    assert [(one.layer, one.share) for one in found] == [("b", 0.25)]


# --- as a user meets it --------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of random convolutions, and drawn pictures of six classes; ``g`` has none."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    folder = tmp_path / "models" / "net"
    for part, start, many in (("pictures", 0, 120), ("held_out", 5000, 60)):
        for number in range(start, start + many):
            one = draw(number)
            place = folder / part / "abcdef"[one.label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(one.pixels).save(place / f"{number}.png")
    weights, nodes, last, channels = [], [], "image", 3
    for number, wide in enumerate((12, 16, 7)):
        kernel = random.normal(0, 0.3, (wide, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{number}"))
        nodes += [
            helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], strides=[2, 2],
                             pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{number}"], [f"r{number}"]),
        ]  # fmt: skip
        last, channels = f"r{number}", wide
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 7])], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "net.onnx"))
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


def analysed(capsys: pytest.CaptureFixture[str], *more: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run(["calib", "analyze", "net", *more, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_sound_set_is_told_what_it_lacks_and_the_list_is_one_that_a_recipe_takes(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(project / "pictures" / "a" / "0.png", project / "pictures" / "a" / "again.png")
    found = analysed(capsys)
    assert [one["code"] for one in found["findings"] if one["severity"] == "error"] == []
    assert found["missing"] == ["g"]
    pair = {"a/0.png", "a/again.png"}
    assert [set(one) for one in found["repeats"]] == [pair]
    assert not pair <= set(found["chosen"])
    assert 64 <= len(found["chosen"]) < found["names"] == 121
    assert found["by"].startswith("the float network")
    listed = (tmp_path / "calib" / "net-chosen.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert len(listed) == len(found["chosen"])
    text = RECIPE.replace("source: pictures", "source: ../../calib/net-chosen.txt")
    (project / "model.yaml").write_text(text, encoding="utf-8")
    assert run(["calib", "check", "net", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["used"] == len(listed)


@pytest.mark.slow
@pytest.mark.parametrize("plant", ["noise", "dark", "negative"])
def test_a_planted_bad_set_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], plant: str
) -> None:
    random = np.random.default_rng(4)
    bad = project / "pictures" / "a" / plant
    bad.mkdir()
    for number in range(60):
        pixels = draw(number).pixels
        if plant == "noise":
            pixels = random.integers(0, 256, pixels.shape).astype(np.uint8)
        elif plant == "dark":
            pixels = (pixels // 24).astype(np.uint8)
        else:
            pixels = (255 - pixels).astype(np.uint8)
        Image.fromarray(pixels).save(bad / f"{number}.png")
    found = analysed(capsys, code=1)
    (told,) = [one for one in found["findings"] if one["code"] == "calib.unlike"]
    assert told["severity"] == "error"
    assert f"a/{plant}" in told["message"]
    named = [name for name in found["unlike"] if f"/{plant}/" in name]
    assert len(named) >= 45
    assert len(found["unlike"]) - len(named) <= 6
    assert not [name for name in found["chosen"] if name in named]


def tint(folder: Path, colours: tuple[float, float, float], *, swapped: bool = False) -> None:
    for path in sorted(folder.rglob("*.png")):
        pixels = np.asarray(Image.open(path)) * np.array(colours)
        made = pixels[..., ::-1] if swapped else pixels
        Image.fromarray(made.astype(np.uint8)).save(path)


def codes(found: Any) -> set[str]:
    return {one["code"] for one in found["findings"]}


@pytest.mark.slow
@pytest.mark.parametrize("swapped", [True, False])
def test_swapped_colours_are_named_and_others_are_not(
    project: Path, capsys: pytest.CaptureFixture[str], swapped: bool
) -> None:
    brown = (1.0, 0.8, 0.5)
    tint(project / "held_out", brown)
    tint(project / "pictures", brown, swapped=swapped)
    found = json.loads(_printed(capsys))
    assert ("calib.colours" in codes(found)) is swapped
    if swapped:
        (told,) = [one for one in found["findings"] if one["code"] == "calib.colours"]
        assert "nearer in the network" in told["message"]


@pytest.mark.slow
def test_redder_pictures_are_no_swapped_ones(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tint(project / "held_out", (1.0, 0.9, 0.8))
    tint(project / "pictures", (1.0, 0.7, 0.4))
    assert "calib.colours" not in codes(json.loads(_printed(capsys)))


def _printed(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["calib", "analyze", "net", "--json"]) in (0, 1)
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "told"),
    [
        pytest.param(lambda rows: rows.astype(np.float32) / 255, False, id="as the network"),
        pytest.param(lambda rows: rows, False, id="bytes"),
        pytest.param(lambda rows: rows.astype(np.float32) / 255 / 255, True, id="twice"),
        pytest.param(lambda rows: rows.astype(np.float32) / 127.5 - 1, True, id="-1..1"),
    ],
)
def test_arrays_of_another_scale_are_named(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    made: Callable[[np.ndarray], np.ndarray],
    told: bool,
) -> None:
    paths = sorted((project / "pictures").rglob("*.png"))
    rows = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.save(project / "rows.npy", made(rows))
    text = RECIPE.replace("source: pictures", "source: rows.npy")
    text = text.replace("std: [255]", "std: [255], normalize: host")
    (project / "model.yaml").write_text(text, encoding="utf-8")
    found = json.loads(_printed(capsys))
    assert ("calib.scale" in codes(found)) is told
    errors = [one for one in found["findings"] if one["severity"] == "error"]
    assert bool(errors) is told


@pytest.mark.slow
def test_a_normalisation_that_answers_better_is_told(project: Path) -> None:
    """By labels that are known; the network's own answers with it are taken for them here."""
    from hefsmith_worker.calibration import InputSpec
    from hefsmith_worker.calibration.float_check import ProbedRows, check_with_float_model
    from hefsmith_worker.onnx_files import Session
    from hefsmith_worker.pictures import Preprocess

    def spec(mean: float, std: float) -> InputSpec:
        made = Preprocess.from_dict({"size": [32, 32], "mean": [mean], "std": [std]})
        return InputSpec("image", made)

    rows = np.stack([draw(number).pixels for number in range(24)])
    run_one = Session(str(project / "net.onnx")).run
    fed = (rows.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    right = [int(np.argmax(run_one({"image": one[None]})[0])) for one in fed]
    assert len(set(right)) > 2

    def told(mean: float, std: float, truth: list[int]) -> set[str]:
        probe = ProbedRows({"image": rows}, tuple(map(str, range(24))), tuple(truth))
        _, found = check_with_float_model(
            str(project / "net.onnx"), (spec(mean, std),), probe, (), "classification",
            lambda _: None,
        )  # fmt: skip
        return {one.code for one in found if "normalisation" in one.code}

    assert told(0.0, 255.0, right) == {"calib.normalisation"}
    assert told(127.5, 127.5, right) == set()
    # Labels that no normalisation explains accuse none.
    assert told(0.0, 255.0, [(one + 3) % 7 for one in right][::-1]) == set()


def test_a_handful_of_pictures_is_not_called_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(draw(1).pixels).save(tmp_path / "one.png")
    assert run(["calib", "analyze", str(tmp_path), "--size", "32", "--json"]) == 0
    assert codes(json.loads(capsys.readouterr().out)) == {"calib.small"}


@pytest.mark.slow
def test_pictures_without_a_network_and_sources_of_other_kinds(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = str(project / "pictures")
    capsys.readouterr()
    assert run(["calib", "analyze", source, "--size", "32", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by"] == "the pictures alone"
    assert found["list"] is None
    target = tmp_path / "mine.txt"
    assert run(["calib", "analyze", source, "--size", "32", "--write", str(target)]) == 0
    assert len(target.read_text(encoding="utf-8").splitlines()) > 64
    assert run(["calib", "analyze", source, "--measure"]) == 2
    assert run(["calib", "analyze", "nothing"]) == 2
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3)).astype(np.uint8))
    assert run(["calib", "analyze", str(rows), "--size", "32"]) == 0
    capsys.readouterr()
    assert run(["calib", "analyze", str(rows), "--size", "32", "--write", str(target)]) == 2
    assert "files of their own" in capsys.readouterr().err
