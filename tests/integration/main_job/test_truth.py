"""Planted lies: what is not what was asked, or no longer what was built, is told every time.

Each lie has an honest control beside it, which nobody may blame.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project

BUILD = ("build", "digits", "--engine", "local")
UP = ("up", "digits", "--engine", "local")
FOLDER = Path("artifacts/digits/hailo8l")


@pytest.fixture
def own(built: Project, tmp_path: Path) -> Project:
    """The built project with a copy of the recipe of its own, built once more."""
    from orchestrator.paths import bundled_model

    shutil.copytree(built.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    shutil.copytree(bundled_model("digits"), project.root / "models" / "digits")
    done = project.hef(*UP)
    assert done.returncode == 0, done.stderr
    return project


def change(project: Project, old: str, new: str) -> None:
    recipe = project.root / "models/digits/model.yaml"
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), encoding="utf-8")


def ran(stderr: str) -> set[str]:
    """Return the stages that ran, by what the run said."""
    names = ("export", "samples", "calibrate", "parse", "optimize", "compile", "evaluate")
    return {name for name in names if f"{name}: done in" in stderr}


# --- strict, for every way in which a build is obtained -------------------------------------------


def test_strict_counts_for_a_build_that_is_there_in_the_cache_or_pulled(
    own: Project, tmp_path: Path
) -> None:
    control = own.hef(*BUILD, "--strict")
    assert control.returncode == 0, control.stderr
    change(own, "level: 1", "level: auto")
    assert own.hef(*BUILD).returncode == 0
    ways: dict[str, Any] = {"there": lambda: None, "cached": lambda: lose_artifacts(own)}
    for way, prepare in ways.items():
        prepare()
        for command in ("build", "up"):
            done = own.hef(command, "digits", "--engine", "local", "--strict")
            assert done.returncode == 1, (way, command, done.stdout)
            assert "less was done than was asked" in done.stderr
    store = tmp_path / "store"
    assert own.hef(*BUILD).returncode == 0
    pushed = own.hef("cache", "push", "--to", str(store), "--engine", "local")
    assert pushed.returncode == 0, pushed.stderr
    shutil.rmtree(own.root / "cache")
    lose_artifacts(own)
    pulled = own.hef("cache", "pull", "--from", str(store), "--engine", "local")
    assert pulled.returncode == 0, pulled.stderr
    done = own.hef(*BUILD, "--strict")
    assert done.returncode == 1, done.stdout
    assert ran(done.stderr) == set()
    change(own, "schema: 1", "schema: 1\nstrict: true")
    assert own.hef(*BUILD).returncode == 1


def lose_artifacts(project: Project) -> None:
    shutil.rmtree(project.root / "artifacts")


def test_an_nms_that_is_asked_for_by_name_and_cannot_be_had_is_an_error(own: Project) -> None:
    old = "postprocess: {task: classification, labels: labels.txt}"
    change(own, old, old[:-1] + ", nms: {enabled: true}}")
    for _ in range(2):
        done = own.hef(*BUILD)
        assert done.returncode == 1, done.stdout
        assert "no NMS is in the HEF" in done.stderr
        assert "enabled: false" in done.stderr
    change(own, "enabled: true", "enabled: false")
    assert own.hef(*BUILD, "--strict").returncode == 0


# --- what was built is still what was built -------------------------------------------------------


def flip(path: Path, *, keep_times: bool = True) -> None:
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    if keep_times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "name", ["model.hailo8l.emulated.hef", "model.onnx", "golden/golden.json", "model.alls"]
)
def test_a_flipped_bit_is_found_and_healed_before_anything_is_done_with_it(
    own: Project, name: str
) -> None:
    path = own.root / FOLDER / name
    sound = path.read_bytes()
    flip(path)
    for command in (BUILD, ("ship", "digits", "--device", "embedded"), ("report", "digits")):
        flip(path) if path.read_bytes() == sound else None
        done = own.hef(*command)
        assert done.returncode == 0, (command, done.stderr)
        told = [line for line in done.stderr.splitlines() if "was damaged" in line]
        assert len(told) == 1, (command, done.stderr)
        assert path.read_bytes() == sound
    control = own.hef("ship", "digits", "--device", "embedded")
    assert "damaged" not in control.stderr


def test_a_damaged_build_without_a_cache_is_not_shipped(own: Project) -> None:
    flip(own.root / FOLDER / "model.hailo8l.emulated.hef")
    shutil.rmtree(own.root / "cache" / "stages")
    for command in (
        ("ship", "digits", "--device", "embedded"),
        ("validate", "digits", "--device", "embedded"),
        ("report", "digits"),
        ("bundle", "digits", "--for", "python"),
    ):
        done = own.hef(*command)
        assert done.returncode == 6, (command, done.stdout, done.stderr)
        assert "not as it was built" in done.stderr
    # Building again is the cure.
    assert own.hef(*BUILD).returncode == 0
    assert own.hef("report", "digits").returncode == 0


def test_validation_leaves_every_subject_of_the_manifest_alone(own: Project) -> None:
    import hashlib

    done = own.hef("validate", "digits", "--device", "embedded")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((own.root / FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["subject"]) > 5
    for subject in manifest["subject"]:
        content = (own.root / FOLDER / subject["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == subject["digest"]["sha256"], subject["name"]


# --- inputs are known by content ------------------------------------------------------------------


def test_a_picture_that_is_replaced_with_the_same_size_and_time_is_noticed(own: Project) -> None:
    picture = min((own.root / "calib/digits/calibration").rglob("*.png"))
    other = next(
        path
        for path in sorted((own.root / "calib/digits/calibration").rglob("*.png"))
        if path.stat().st_size == picture.stat().st_size
        and path.read_bytes() != picture.read_bytes()
    )
    status = picture.stat()
    with picture.open("r+b") as stream:
        stream.write(other.read_bytes())
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = own.hef(*BUILD)
    assert done.returncode == 0, done.stderr
    assert "calibrate" in ran(done.stderr)
    control = own.hef(*BUILD)
    assert ran(control.stderr) == set()


# --- labels are used wherever they are ------------------------------------------------------------


@pytest.mark.parametrize("where", ["validation", "calibration"])
def test_a_recipe_that_names_no_task_is_judged_by_the_labels_of_its_folders(
    own: Project, where: str
) -> None:
    change(own, "postprocess: {task: classification, labels: labels.txt}", "")
    if where == "calibration":
        change(own, "  source: calib/digits/validation\n", "")
    done = own.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)["proof"]["verdict"]
    assert verdict["task"] == "classification"
    assert verdict["basis"] == "labels"
    assert verdict["accuracy"]["value"] > 0.95
    assert len(verdict["classes"]) == len(verdict["confusion"]["classes"]) == 10


def test_folders_that_are_no_classes_are_no_labels(own: Project) -> None:
    change(own, "postprocess: {task: classification, labels: labels.txt}", "")
    shutil.rmtree(own.root / "calib/digits/validation/9")
    done = own.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout)["proof"]
    assert proof["verdict"]["labelled"] is False
    assert "agrees with your float model" in proof["headline"]
    assert "not tested" in proof["headline"]


# --- what a build is made of ----------------------------------------------------------------------


def test_words_that_no_stage_reads_run_no_stage(own: Project) -> None:
    recipe = own.root / "models/digits/model.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    (own.root / "models/digits/notes.txt").write_text("unrelated", encoding="utf-8")
    (own.root / "models/digits/unused.py").write_text("import torch", encoding="utf-8")
    done = own.hef(*BUILD)
    assert done.returncode == 0, done.stderr
    assert ran(done.stderr) == set()
    change(own, "agreement: 0.97", "agreement: 1.0")
    done = own.hef(*UP)
    assert ran(done.stderr) == set()
    assert done.returncode == 5, "the new threshold counts although nothing was built"
    assert own.build()["thresholds"]["agreement"] == 1.0
    change(own, "agreement: 1.0", "agreement: 0.5")
    done = own.hef(*UP)
    assert (done.returncode, ran(done.stderr)) == (0, set())


def test_a_factory_in_the_projects_root_is_cached(built: Project, tmp_path: Path) -> None:
    from orchestrator.paths import bundled_model

    project = Project(tmp_path / "root")
    shutil.copytree(built.root / "calib", project.root / "calib")
    folder = project.root / "models" / "digits"
    folder.mkdir(parents=True)
    bundled = bundled_model("digits")
    for name in ("digits.pt", "labels.txt"):
        shutil.copy(bundled / name, folder)
    shutil.copy(bundled / "model.py", project.root / "mynet.py")
    text = (
        (bundled / "model.yaml").read_text(encoding="utf-8").replace("model.py", "../../mynet.py")
    )
    text = text.replace('data: "data.py:prepare"\n', "")
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    first = project.hef(*BUILD)
    assert first.returncode == 0, first.stderr
    assert len(ran(first.stderr)) == 7
    second = project.hef(*BUILD)
    assert ran(second.stderr) == set(), second.stderr
    (project.root / "mynet.py").write_text(
        (project.root / "mynet.py").read_text(encoding="utf-8") + "\nOTHER = 1\n", encoding="utf-8"
    )
    assert "export" in ran(project.hef(*BUILD).stderr)


# --- verdicts of real builds ----------------------------------------------------------------------


def other_weights(project: Project, *, scale: float) -> None:
    """Put weights in place that were never trained, or that are all ``scale`` = 0."""
    import torch

    path = project.root / "models/digits/digits.pt"
    random = torch.Generator().manual_seed(0)
    state = torch.load(path, weights_only=True)
    for name, values in state.items():
        if values.is_floating_point() and "running" not in name:
            state[name] = torch.randn(values.shape, generator=random) * scale
    torch.save(state, path)


TASK = "postprocess: {task: classification, labels: labels.txt}"


@pytest.mark.parametrize(
    ("scale", "task", "outcome", "says"),
    [
        (0.1, TASK, "failed", "the float model itself is right on"),
        (0.0, TASK, "failed", "the float model itself is right on"),
        (0.0, "postprocess: {task: other}", "unproven", "answers the same for each"),
        (None, "postprocess: {task: other}", "passed", "was not tested"),
        (None, TASK, "passed", "the model works on the device"),
    ],
)
def test_a_verdict_says_what_it_rests_on(
    own: Project, scale: float | None, task: str, outcome: str, says: str
) -> None:
    change(own, TASK, task)
    if task != TASK:
        change(own, "top1_drop: 1.5, agreement: 0.97, ", "")
    if scale is not None:
        other_weights(own, scale=scale)
    done = own.hef("up", "digits", "--engine", "local", "--json")
    proof = json.loads(done.stdout)["proof"]
    assert (proof["verdict"]["outcome"], says in proof["headline"]) == (outcome, True), proof[
        "headline"
    ]
    assert done.returncode == (0 if outcome == "passed" else 5)
    if proof["verdict"]["fault"] is not None:
        steps = {step["step"] for step in proof["verdict"]["steps"]}
        assert proof["verdict"]["fault"]["step"] in steps
