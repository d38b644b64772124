"""Plans: a change runs the stages that stand on it, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.contract.stages import HEF, NAMES, STAGES

from orchestrator.errors import ConfigError
from orchestrator.pipeline import plan as planning
from orchestrator.pipeline.cache import CacheEntry
from orchestrator.pipeline.inputs import BuildRequest, collect
from orchestrator.project.loading import load_recipe

OF_A_BUILD = tuple(stage.name for stage in STAGES if HEF in stage.goals)

RECIPE = """\
schema: 1
source: {torch: "model.py:build", weights: net.pt}
inputs: {image: [1, 3, 32, 32]}
calibration: {source: pictures}
validation: {source: held_out}
postprocess: {task: classification, labels: [cat, dog]}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "model.py").write_text("def build(): ...\n", encoding="utf-8")
    (folder / "net.pt").write_bytes(b"weights")
    for name in ("pictures", "held_out"):
        (folder / name).mkdir()
        (folder / name / "1.png").write_bytes(name.encode())
    return folder


def request(model: Path) -> BuildRequest:
    return collect(load_recipe(model), model.parent.parent, "hailo8l")


def make(
    asked: BuildRequest,
    done: dict[str, CacheEntry] | None = None,
    materials: dict[str, str] | None = None,
    code: dict[str, str] | None = None,
    identity: dict[str, Any] | None = None,
) -> planning.Plan:
    entries = done or {}
    digests = {material.name: "d" for material in asked.materials} | (materials or {})
    return planning.make_plan(
        asked,
        toolchain="emulator",
        emulated=True,
        identities=dict.fromkeys(NAMES, identity or {"toolchain": "emulator"}),
        materials=digests,
        code=dict.fromkeys(NAMES, "c") | (code or {}),
        find=entries.get,
    )


def finished(plan: planning.Plan) -> dict[str, CacheEntry]:
    return {
        stage.key: CacheEntry(key=stage.key, stage=stage.name, files=()) for stage in plan.stages
    }


def test_a_first_build_runs_everything(model: Path) -> None:
    plan = make(request(model))
    assert plan.to_run == OF_A_BUILD
    assert plan.hef_name == "model.hailo8l.emulated.hef"


def test_a_second_build_runs_nothing(model: Path) -> None:
    asked = request(model)
    done = finished(make(asked))
    assert make(asked, done).to_run == ()


@pytest.mark.parametrize(
    ("changed", "runs"),
    [
        ({"materials": {"net.pt": "other"}}, OF_A_BUILD),
        ({"materials": {"calibration": "other"}}, ("calibrate", "optimize", "compile", "evaluate")),
        ({"code": {"optimize": "other"}}, ("calibrate", "optimize", "compile", "evaluate")),
        ({"code": {"evaluate": "other"}}, ("evaluate",)),
        ({"identity": {"toolchain": "suite"}}, OF_A_BUILD),
    ],
)
def test_a_change_runs_what_stands_on_it(
    model: Path, changed: dict[str, Any], runs: tuple[str, ...]
) -> None:
    asked = request(model)
    done = finished(make(asked))
    plan = make(asked, done, **changed)
    # Calibration is cached when only later code changes.
    expected = tuple(name for name in runs if not (name == "calibrate" and changed.get("code")))
    assert plan.to_run == expected


def test_lost_calibration_arrays_are_made_again_only_when_needed(model: Path) -> None:
    asked = request(model)
    first = make(asked)
    done = finished(first)
    calibrate = next(stage.key for stage in first.stages if stage.name == "calibrate")
    del done[calibrate]
    assert make(asked, done).to_run == ()
    assert make(asked, done, code={"optimize": "x"}).to_run == (
        "calibrate",
        "optimize",
        "compile",
        "evaluate",
    )


def test_another_chip_shares_export_and_calibration(model: Path) -> None:
    eight_l = make(request(model))
    eight = make(collect(load_recipe(model), model.parent.parent, "hailo8"), finished(eight_l))
    assert eight.to_run == ("parse", "optimize", "compile", "evaluate")


def test_only_the_models_code_leaves_its_folder(model: Path) -> None:
    source = next(item for item in request(model).materials if item.name == "source")
    assert source.files is not None
    assert "model.py" in source.files
    assert "net.pt" not in source.files
    assert not any(name.startswith("pictures") for name in source.files)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("net.pt", "absent.pt", ":2:44: source.weights: no such file or folder: absent.pt"),
        ("model.py:build", "absent.py:build", ":2:17: source.torch: no such file"),
        ("source: pictures", "source: absent", ":4:23: calibration.source: no such file"),
        ("source: held_out", "source: absent", ":5:22: validation.source: no such file"),
        ("[cat, dog]", "absent.txt", ":6:45: postprocess.labels: no such file"),
    ],
)
def test_a_missing_file_is_told_with_its_line(model: Path, old: str, new: str, where: str) -> None:
    (model / "model.yaml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        request(model)
    assert where in caught.value.message
    assert "Looked for" in (caught.value.hint or "")


def test_an_address_is_no_file(model: Path) -> None:
    text = "schema: 1\nsource: {onnx: 'https://nets.example/a.onnx'}\n"
    text += "calibration: {source: pictures}\n"
    (model / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        request(model)
    assert "download it" in (caught.value.hint or "")


def test_a_glob_hands_over_the_folder_before_the_pattern(model: Path) -> None:
    (model / "model.yaml").write_text(
        RECIPE.replace("source: pictures", 'source: "pictures/*.png"'), encoding="utf-8"
    )
    asked = request(model)
    assert asked.parameters["calibrate"]["sources"]["path"] == "calibration/*.png"
    assert any(
        item.name == "calibration" and item.path.name == "pictures" for item in asked.materials
    )


def test_keys_say_what_differs(model: Path) -> None:
    asked = request(model)
    old = make(asked).stages[0].why
    new = make(asked, materials={"net.pt": "e"}).stages[0].why
    assert planning.explain_difference(old, new) == ["inputs.net.pt: d -> e"]


def test_what_was_kept_as_json_differs_in_nothing_but_its_values() -> None:
    new = {"mounts": [("a", "calibration-1"), ("b", "calibration-2")], "code": "0" * 64}
    kept = json.loads(json.dumps(new))
    assert planning.explain_difference(kept, new) == []
    kept["mounts"][1][0], kept["code"] = "c", "1" * 64
    assert planning.explain_difference(kept, new) == [
        f"code: {'1' * 12} -> {'0' * 12}",
        "mounts.1.0: c -> b",
    ]


def test_a_list_that_points_elsewhere_takes_those_folders_along(
    model: Path, tmp_path: Path
) -> None:
    from PIL import Image

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (4, 4)).save(elsewhere / "a.png")
    (model / "list.txt").write_text(f"{elsewhere / 'a.png'}\n", encoding="utf-8")
    (model / "model.yaml").write_text(
        RECIPE.replace("source: pictures", "source: list.txt"), encoding="utf-8"
    )
    asked = request(model)
    source = asked.parameters["calibrate"]["sources"]
    assert source["path"] == "calibration/list.txt"
    (written, handed), own = source["mounts"]
    assert written == str(elsewhere)
    assert own == (str(model), "calibration")
    assert {item.name: item.path for item in asked.materials}[handed] == elsewhere
    assert handed in asked.used_by["calibrate"]


def test_a_list_of_its_own_folder_means_the_same_on_every_machine(model: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(model / "pictures" / "a.png")
    text = RECIPE.replace("source: pictures", "source: list.txt")
    (model / "model.yaml").write_text(text, encoding="utf-8")
    (model / "list.txt").write_text("pictures/a.png\n", encoding="utf-8")
    assert "mounts" not in request(model).parameters["calibrate"]["sources"]
    (model / "list.txt").write_text(f"{model}/pictures/a.png\n", encoding="utf-8")
    source = request(model).parameters["calibrate"]["sources"]
    assert source["mounts"] == [(str(model), "calibration")]


def test_a_list_that_leads_elsewhere_by_relative_paths_does_too(model: Path) -> None:
    from PIL import Image

    (model.parent / "elsewhere").mkdir()
    Image.new("RGB", (4, 4)).save(model.parent / "elsewhere" / "a.png")
    text = RECIPE.replace("source: pictures", "source: list.txt")
    (model / "model.yaml").write_text(text, encoding="utf-8")
    (model / "list.txt").write_text("../elsewhere/a.png\n", encoding="utf-8")
    source = request(model).parameters["calibrate"]["sources"]
    assert source["mounts"] == [("../elsewhere", "calibration-1"), (".", "calibration")]


def test_a_remote_source_is_asked_for_once_and_then_found(model: Path) -> None:
    from hefsmith_worker.calibration.remote import local_place

    address = "memory://bucket/pictures"
    (model / "model.yaml").write_text(
        RECIPE.replace("source: pictures", f"source: {address}"), encoding="utf-8"
    )
    with pytest.raises(ConfigError) as caught:
        request(model)
    assert "hef calib fetch net" in (caught.value.hint or "")
    local_place(address, model.parent.parent / "calib" / "remote").mkdir(parents=True)
    assert request(model).parameters["calibrate"]["sources"]["path"] == "calibration"


def test_a_key_is_made_of_these_words_and_no_others(model: Path) -> None:
    """A word that changes makes every team's cache worthless: it must not happen by chance."""
    asked = request(model)
    plan = make(asked)
    why = {stage.name: stage.why for stage in plan.stages}
    keys = {stage.name: stage.key for stage in plan.stages}
    assert why["export"] == {
        "schema": planning.KEY_SCHEMA,
        "stage": "export",
        "code": "c",
        "toolchain": {"toolchain": "emulator"},
        "arch": None,
        "model": None,
        "parameters": asked.parameters["export"],
        "inputs": dict.fromkeys(asked.used_by["export"], "d"),
        "after": {},
    }
    assert why["parse"]["arch"] == "hailo8l"
    assert why["parse"]["model"] == asked.net_name
    assert why["parse"]["after"] == {"export": keys["export"]}
    assert set(why["optimize"]["after"]) == {"parse", "calibrate"}


def test_an_analysis_stands_on_the_stages_of_a_build_and_compiles_nothing(model: Path) -> None:
    from hefsmith_worker.contract.options import AnalyzeOptions

    asked = request(model)
    done = finished(make(asked))
    found = make(asked.analysis(AnalyzeOptions(samples=8)), done)
    assert found.to_run == ("analyze",)
    assert {stage.name for stage in found.stages} == {
        "export", "samples", "calibrate", "parse", "optimize", "analyze"
    }  # fmt: skip
    fewer = make(asked.analysis(AnalyzeOptions(samples=4)), {**done, **finished(found)})
    assert fewer.to_run == ("analyze",)


def test_a_plan_made_anew_is_the_same_until_something_is_there(model: Path) -> None:
    made = make(request(model))
    assert planning.replan(made, lambda _key: None) == made
    export = made.stages[0]
    same = CacheEntry(key=export.key, stage="export", files=(), same_as="an earlier one")
    later = planning.replan(made, {export.key: same}.get)
    assert later.stages[0].key == export.key
    assert later.stages[0].entry == same
    assert [a.key == b.key for a, b in zip(later.stages, made.stages, strict=True)][:2] == [
        True, False,
    ]  # fmt: skip


def test_a_job_alone_is_told_only_of_what_spares_all_that_reads_it(model: Path) -> None:
    made = make(request(model))
    rest = list(made.to_run)[1:]
    known = {
        "export": {"all": [], "evaluate": ["samples", "evaluate"], "samples": ["samples"]},
        "optimize": {"compile": ["evaluate"]},
    }
    assert "evaluate" in rest
    assert planning.carried_alone(made, known) == {"export": {"all": [], "samples": ["samples"]}}


def test_another_level_prepares_no_pictures_again(model: Path) -> None:
    before = finished(make(request(model)))
    recipe = model / "model.yaml"
    recipe.write_text(RECIPE + "optimization: {level: 1}\n", encoding="utf-8")
    again = make(request(model), before)
    assert again.to_run == ("optimize", "compile", "evaluate")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ('{torch: "model.py:build", weights: net.pt}', "{onnx: ../..}"),
            ":2:16: source.onnx: ../.. is a folder, and a file is needed",
        ),
        (("weights: net.pt", "weights: pictures"), "source.weights: pictures is a folder"),
        (("labels: [cat, dog]", "labels: pictures"), "postprocess.labels: pictures is a folder"),
    ],
)
def test_a_folder_in_a_files_place_is_told_with_its_line(
    model: Path, change: tuple[str, str], told: str
) -> None:
    recipe = RECIPE.replace(*change)
    (model / "model.yaml").write_text(recipe, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        request(model)
    assert told in caught.value.message


@pytest.mark.parametrize("pictures", ["../../data/pictures", "data/pictures", "{whole}"])
def test_pictures_of_annotations_are_named_as_the_recipe_names_files(
    model: Path, pictures: str
) -> None:
    data = model.parent.parent / "data"
    (data / "pictures").mkdir(parents=True)
    (data / "pictures" / "a.png").write_bytes(b"picture")
    document = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [], "annotations": []}
    (data / "all.json").write_text(json.dumps(document), encoding="utf-8")
    named = pictures.format(whole=data / "pictures")
    source = f"source: {{path: ../../data/all.json, images: {named}}}"
    text = RECIPE.replace("source: pictures", source)
    (model / "model.yaml").write_text(text, encoding="utf-8")
    asked = request(model)
    described = asked.parameters["calibrate"]["sources"]
    handed = {material.name: material.path for material in asked.materials}
    assert handed[described["images"]] == data / "pictures"
