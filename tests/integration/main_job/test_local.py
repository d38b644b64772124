"""The main job on a machine that has nothing: local engine, embedded device, emulator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project


@pytest.fixture
def first(built: Project) -> dict[str, Any]:
    return dict(json.loads((built.root / "first.json").read_text(encoding="utf-8")))


def measures(outcome: dict[str, Any], step: str) -> dict[str, float]:
    steps = {item["step"]: item["measures"] for item in outcome["proof"]["verdict"]["steps"]}
    return dict(steps[step])


def test_the_model_is_built_shipped_and_proven(first: dict[str, Any]) -> None:
    assert first["proof"]["passed"]
    assert first["emulated"]
    assert first["hef"].endswith("model.hailo8l.emulated.hef")
    assert "emulated" in first["proof"]["headline"]


def test_accuracy_is_what_was_promised(first: dict[str, Any]) -> None:
    floating = measures(first, "pytorch")["top1"]
    quantised = measures(first, "sdk_quantized")["top1"]
    assert floating >= 0.97
    assert abs(floating - quantised) <= 0.015


def test_the_device_answers_as_the_quantised_emulator(built: Project) -> None:
    steps = built.root / "artifacts/digits/hailo8l/golden/steps"
    assert (steps / "device/0.npy").read_bytes()[-400:] == (
        steps / "sdk_quantized/0.npy"
    ).read_bytes()[-400:]


def test_what_was_asked_and_what_ran_stand_side_by_side(first: dict[str, Any]) -> None:
    assert first["asked"]["level"] == first["ran"]["level_run"] == 1
    assert first["asked"]["images"] == first["ran"]["images_used"] == 1024


def test_the_local_engine_says_that_it_has_no_box(built: Project) -> None:
    assert "box" in (built.root / "first.err").read_text(encoding="utf-8")


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_a_second_run_starts_nothing_and_is_quick(built: Project) -> None:
    began = time.monotonic()
    done = built.hef("up", "digits", "--engine", "local", "--json")
    took = time.monotonic() - began
    assert done.returncode == 0
    outcome = json.loads(done.stdout)
    assert outcome["proof"]["remembered"]
    assert "stage" not in done.stderr.replace("cached", "")
    assert took < 3, took


def test_a_build_survives_its_cache(built: Project, tmp_path: Path) -> None:
    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    shutil.rmtree(copy.root / "cache")
    done = copy.hef("build", "digits", "--engine", "local", "--json")
    assert done.returncode == 0
    assert "export: export" not in done.stderr


def test_lost_artifacts_come_back_from_the_cache(built: Project, tmp_path: Path) -> None:
    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    before = copy.digests()
    shutil.rmtree(copy.root / "artifacts")
    done = copy.hef("build", "digits", "--engine", "local")
    assert done.returncode == 0, done.stderr
    assert "export: export" not in done.stderr
    assert copy.digests() == before


def test_a_damaged_cache_entry_is_built_again_with_a_warning(
    built: Project, tmp_path: Path
) -> None:
    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    shutil.rmtree(copy.root / "artifacts")
    hef = next((copy.root / "cache" / "stages").rglob("*.hef"))
    content = bytearray(hef.read_bytes())
    content[100] ^= 1
    hef.write_bytes(bytes(content))
    done = copy.hef("build", "digits", "--engine", "local")
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stderr
    assert copy.digests() == built.digests()


def test_a_verdict_below_the_thresholds_is_exit_5(built: Project, tmp_path: Path) -> None:
    copy = copy_with_recipe(built, tmp_path, "agreement: 0.97", "agreement: 1.0")
    done = copy.hef("up", "digits", "--engine", "local")
    assert done.returncode == 5, done.stderr
    assert "verdict" in done.stdout
    assert "failed" in done.stdout


def copy_with_recipe(built: Project, tmp_path: Path, old: str, new: str) -> Project:
    from orchestrator.paths import bundled_model

    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    shutil.copytree(bundled_model("digits"), copy.root / "models" / "digits")
    recipe = copy.root / "models" / "digits" / "model.yaml"
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), encoding="utf-8")
    return copy


def test_a_failed_build_leaves_the_last_good_one(built: Project, tmp_path: Path) -> None:
    copy = copy_with_recipe(built, tmp_path, "weights: digits.pt", "weights: other.pt")
    (copy.root / "models" / "digits" / "other.pt").write_bytes(b"no weights")
    before = copy.digests()
    done = copy.hef("up", "digits", "--engine", "local")
    assert done.returncode == 1, done.stderr
    assert "stage export" in done.stderr
    assert "other.pt" in done.stderr
    assert "failed.log" in done.stderr
    assert copy.digests() == before
    leftovers = [
        path.name
        for path in (copy.root / "artifacts/digits").iterdir()
        if path.name != ".analysis"  # another test's, of the project that is shared
    ]
    # The lock file stays: whoever waits for it must not be left with another one than the next.
    assert sorted(leftovers) == [".hailo8l.lock", "hailo8l", "hailo8l.failed.log"]


def test_a_pickle_is_refused_where_there_is_no_box(built: Project, tmp_path: Path) -> None:
    copy = copy_with_recipe(
        built, tmp_path, "weights: digits.pt", "weights: digits.pt\n  trust_pickle: true"
    )
    done = copy.hef("up", "digits", "--engine", "local")
    assert done.returncode == 3, done.stderr
    assert "trust_pickle" in done.stderr


def test_less_than_asked_is_fatal_under_strict(built: Project, tmp_path: Path) -> None:
    copy = copy_with_recipe(built, tmp_path, "level: 1", "level: auto")
    done = copy.hef("up", "digits", "--engine", "local")
    assert done.returncode == 0, done.stderr
    ran = copy.build()
    assert ran["asked"]["level"] is None
    assert (ran["ran"]["level_asked"], ran["ran"]["level_run"]) == (2, 0)
    assert any(finding["severity"] == "warning" for finding in ran["findings"])
    strict = copy.hef("up", "digits", "--engine", "local", "--strict", "--fresh")
    assert strict.returncode == 1, strict.stdout
    assert "less was done than was asked" in strict.stderr


def test_a_named_level_runs_as_named_and_its_hours_are_foreseen(
    built: Project, tmp_path: Path
) -> None:
    copy = copy_with_recipe(built, tmp_path, "level: 1", "level: 2")
    planned = copy.hef("build", "digits", "--engine", "local", "--dry-run")
    assert "trains as named" in planned.stdout, planned.stderr
    assert "level: auto" in planned.stdout
    done = copy.hef("build", "digits", "--engine", "local", "--strict")
    assert done.returncode == 0, done.stderr
    assert "trains as named" in done.stdout + done.stderr
    ran = copy.build()
    assert ran["asked"]["level"] == ran["ran"]["level_run"] == 2
    assert not {finding["code"] for finding in ran["findings"]} & {"D01", "D06", "O01", "C04"}


@pytest.fixture
def copied(built: Project, tmp_path: Path) -> Project:
    """A copy of the project in which ``hef up`` has run, with that one's cache."""
    shutil.copytree(built.root, tmp_path / "copy")
    return Project(tmp_path / "copy")


def test_variants_are_judged_and_leave_the_build_alone(copied: Project) -> None:
    before = copied.build()
    done = copied.hef("tune", "digits", "--engine", "local", "--try", "level=0,auto", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["variants"]] == ["as it is", "level 0", "level auto"]
    own, lowest, highest = found["variants"]
    assert [one["ran"]["level_run"] for one in found["variants"]] == [1, 0, 0]
    assert highest["same_hef_as"] == "level 0"
    assert own["hef"]["sha256"] != lowest["hef"]["sha256"]
    assert all(one["passed"] and one["fps"] is None for one in found["variants"])
    assert lowest["measures"]["snr_db"] < own["measures"]["snr_db"]
    assert found["emulated"]
    assert found["keep"] == "as it is"
    assert copied.build() == before
    assert all((Path(one["folder"]) / "report.html").is_file() for one in found["variants"])


def test_a_variant_on_a_device_is_judged_and_timed_there(copied: Project) -> None:
    done = copied.hef("tune", "digits", "--try", "level=1", "--device", "embedded", "--json")
    assert done.returncode == 0, done.stderr
    own, same = json.loads(done.stdout)["variants"]
    assert own["fps"] > 0
    assert "on the device" in own["headline"]
    assert same["same_hef_as"] == "as it is"


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.parametrize("stage", ["export", "optimize"])
def test_an_interrupt_ends_quickly_and_leaves_nothing(
    built: Project, tmp_path: Path, stage: str
) -> None:
    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    before = copy.digests()
    process = copy.start("up", "digits", "--engine", "local", "--fresh")
    assert process.stderr is not None
    for line in process.stderr:
        if f"{stage}:" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert copy.digests() == before
    folders = [path.name for path in (copy.root / "artifacts/digits").iterdir() if path.is_dir()]
    assert set(folders) - {".analysis"} == {"hailo8l"}
    assert not workers_in(copy.root)


def workers_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "hefsmith_worker" in command and os.fspath(folder) in command:
            found.append(command)
    return found


def test_the_manifest_names_every_artifact_and_its_materials(built: Project) -> None:
    manifest = json.loads(
        (built.root / "artifacts/digits/hailo8l/manifest.json").read_text(encoding="utf-8")
    )
    assert manifest["_type"] == "https://in-toto.io/Statement/v1"
    subjects = {entry["name"]: entry["digest"]["sha256"] for entry in manifest["subject"]}
    digests = built.digests()
    assert digests.items() <= subjects.items()
    materials = {
        entry["name"] for entry in manifest["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert {"digits.pt", "source", "calibration", "validation"} <= materials
