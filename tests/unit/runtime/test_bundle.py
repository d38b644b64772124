"""Bundles run: the very files that a user gets, in a process of their own, on the stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from PIL import Image

from orchestrator.device.bundle import plan_bundle, write_bundle
from orchestrator.device.bundle_model import BundleInput, BundleModel, BundleOutput
from orchestrator.device.bundle_targets import TARGETS
from orchestrator.errors import ConfigError
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import emulated_environment

if TYPE_CHECKING:
    from pathlib import Path

LETTERBOX = {
    "size": [16, 16],
    "resize": "letterbox",
    "color": "gray",
    "mean": [0.0],
    "std": [255.0],
    "normalize": "chip",
    "pad": [0],
    "interpolation": "nearest",
}
STRETCH = {**LETTERBOX, "size": [8, 8], "resize": "stretch", "color": "rgb"}


def classifier(folder: Path, labels: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> BundleModel:
    hef = folder / "model.hailo8l.emulated.hef"
    hef.write_bytes(hefs.classifier())
    return BundleModel(
        model="net",
        arch="hailo8l",
        emulated=True,
        hef=hef,
        task="classification",
        inputs=[BundleInput(name="net/input_layer1", preprocess=STRETCH)],
        outputs=[BundleOutput(stream="net/fc1", kind="tensor")],
        labels=labels,
    )


def detector(folder: Path) -> BundleModel:
    hef = folder / "model.hailo8l.emulated.hef"
    hef.write_bytes(hefs.detector())
    return BundleModel(
        model="net",
        arch="hailo8l",
        emulated=True,
        hef=hef,
        task="detection",
        inputs=[BundleInput(name="net/input_layer1", preprocess=LETTERBOX)],
        outputs=[BundleOutput(stream=None, kind="nms")],
        labels=("lamp", "cat", "dog"),
        score=0.3,
    )


def run(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Nothing of the project but the stand-ins: the bundle must bring what it needs.
    return subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        env=emulated_environment(**env),
        timeout=120,
        check=False,
    )


def test_a_classifier_answers_as_the_network_does(tmp_path: Path) -> None:
    from hailo_emulator.execute import Executor
    from hailo_emulator.payload import read_payload

    model = classifier(tmp_path)
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(model, TARGETS["python"]), folder)
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    done = run(folder, "run.py", "picture.png", "--json", "--save", "seen.png")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    network = Executor(read_payload(model.hef))
    logits = network.run({"net/input_layer1": pixels.astype(np.float32)})["net/fc1"]
    order = np.argsort(-logits, kind="stable")
    assert [label for label, _ in answer["classes"]] == ["abcde"[number] for number in order]
    weights = np.exp(logits - logits.max())
    assert answer["classes"][0][1] == pytest.approx(float(weights.max() / weights.sum()), abs=1e-5)
    assert (folder / "seen.png").is_file()


@pytest.mark.slow
def test_boxes_come_back_in_the_pixels_of_the_picture_despite_letterbox(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["picamera2"]), folder)
    # 32 x 16: letterboxed to 16 x 8 in the middle of 16 x 16; the lit part is its left half.
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, :16] = 250
    Image.fromarray(pixels).save(folder / "picture.png")
    done = run(folder, "run.py", "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    boxes = json.loads(done.stdout)["boxes"]
    assert boxes
    assert {box["label"] for box in boxes} == {"lamp"}
    # One stride (8) around the cells' centres (4, 4) and (12, 4), cut at the picture's edge.
    assert [box["box"] for box in boxes] == [pytest.approx([0, 0, 24, 16], abs=0.5)] * 2


def test_frigate_gets_a_config_that_matches_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["frigate"]), folder)
    config = yaml.safe_load((folder / "frigate.yml").read_text())
    assert config["detectors"]["hailo"]["type"] == "hailo8l"
    assert (config["model"]["width"], config["model"]["height"]) == (16, 16)
    assert config["model"]["path"].endswith("/net.hailo8l.emulated.hef")
    assert config["model"]["labelmap_path"].endswith("/labelmap.txt")
    assert config["objects"]["track"] == ["lamp", "cat", "dog"]
    assert (folder / "labelmap.txt").read_text() == "0 lamp\n1 cat\n2 dog\n"
    assert "letterbox" in (folder / "README.md").read_text()


def test_hailo_apps_labels_begin_with_no_class(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["hailo-apps"]), folder)
    labels = json.loads((folder / "labels.json").read_text())
    assert labels["labels"] == ["unlabeled", "lamp", "cat", "dog"]
    assert labels["detection_threshold"] == 0.3
    assert "net.hailo8l.emulated.hef" in (folder / "README.md").read_text()


@pytest.mark.parametrize("target", ["frigate", "hailo-apps"])
def test_programs_for_boxes_refuse_a_classifier(tmp_path: Path, target: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_bundle(classifier(tmp_path), TARGETS[target])
    assert "--for python" in (caught.value.hint or "")


def test_every_bundle_says_emulated(tmp_path: Path) -> None:
    model = detector(tmp_path)
    color = replace(model, inputs=[BundleInput(name="net/input_layer1", preprocess=STRETCH)])
    for target in TARGETS.values():
        files = {file.name: file for file in plan_bundle(color, target)}
        assert "Emulated" in (files["README.md"].text or "")
        assert json.loads(files["hefsmith.json"].text or "")["emulated"] is True


@pytest.mark.parametrize("target", [one.name for one in TARGETS.values() if one.programs])
@pytest.mark.slow
def test_every_kind_of_bundle_runs_on_the_stand_in_device(tmp_path: Path, target: str) -> None:
    """Ultralytics runs its own: ``test_live.py`` has what that reads."""
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS[target]), folder)
    lit = np.zeros((40, 64, 3), np.uint8)
    lit[:, :32] = 250
    Image.fromarray(lit).save(folder / "picture.png")
    done = run(folder, "run.py", "picture.png", "--json", "--save", "seen.png")
    assert done.returncode == 0, done.stderr
    assert "lamp" in done.stdout
    drawn = np.asarray(Image.open(folder / "seen.png").convert("RGB")).astype(int)
    assert (abs(drawn - lit).sum(axis=-1) > 60).sum() > 40, "no box is drawn"
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder).returncode == 0


def test_a_bundle_replaces_a_bundle_but_no_other_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["frigate"]), folder)
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["python"]), folder)
    assert not (folder / "frigate.yml").exists()
    # What somebody added stays, and what somebody changed is kept beside.
    (folder / "mine.txt").write_text("mine")
    (folder / "run.py").write_text("# better")
    kept = write_bundle(plan_bundle(detector(tmp_path), TARGETS["frigate"]), folder)
    assert kept == {"run.py": "run.py.old"}
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "run.py.old").read_text() == "# better"
    assert "better" not in (folder / "run.py").read_text()
    (folder / "run.py").write_text("# better still")
    kept = write_bundle(plan_bundle(detector(tmp_path), TARGETS["frigate"]), folder)
    assert kept == {"run.py": "run.py.old2"}
    assert (folder / "run.py.old").read_text() == "# better"
    assert (folder / "run.py.old2").read_text() == "# better still"
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder).returncode == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError):
        write_bundle(plan_bundle(detector(tmp_path), TARGETS["python"]), other)
    assert (other / "thesis.txt").read_text() == "precious"


@pytest.mark.slow
def test_a_hef_of_another_build_is_refused_by_the_script(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(classifier(tmp_path), TARGETS["python"]), folder)
    facts = json.loads((folder / "hefsmith.json").read_text())
    facts["inputs"][0]["name"] = "other/input_layer1"
    (folder / "hefsmith.json").write_text(json.dumps(facts))
    Image.new("RGB", (8, 8)).save(folder / "picture.png")
    done = run(folder, "run.py", "picture.png")
    assert done.returncode != 0
    assert "another build" in done.stderr


@pytest.mark.slow
def test_what_is_missing_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(classifier(tmp_path), TARGETS["python"]), folder)
    picture = tmp_path / "text.png"
    picture.write_text("this is no picture")
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), str(picture)],
        env=emulated_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "apt" not in done.stderr
    bare = {key: value for key, value in emulated_environment().items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), str(picture)],
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("hint:  sudo apt install python3-hailort")


def test_raw_heads_become_boxes_by_the_decoder_of_the_verdict(tmp_path: Path) -> None:
    """The files of a bundle alone, in a process of their own."""
    head = {
        "family": "yolov8",
        "end_roles": ["box", "class"],
        "strides": [8],
        "anchors": None,
        "regression_length": 1,
        "size": [16, 16],
        "score": 0.5,
        "iou": 0.7,
        "max_boxes": 10,
    }
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(replace(detector(tmp_path), head=head), TARGETS["python"]), folder)
    code = """
import json, sys
import numpy as np
import hailo_model
from hailo_answers import Reader
class Placement:
    box_to_source = staticmethod(lambda box: [10 * side for side in box])
box, scores = np.zeros((2, 2, 4), np.float32), np.full((2, 2, 3), -9, np.float32)
box[0, 1] = (0.5, 0.5, 0.5, 0.25)
scores[0, 1, 2] = 3
reader = Reader(json.loads(open("hefsmith.json").read()), ["lamp", "cat", "dog"], ["a", "b"])
print([(b.label, b.top, b.left, b.bottom, b.right) for b in
       reader.head_boxes([box, scores], Placement)])
print(sorted(name for name in sys.modules if name.startswith("hefsmith_worker")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**emulated_environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    boxes, modules = done.stdout.splitlines()
    # Cell (0, 1) of stride 8: centre (4, 12) of 16 pixels, sides half a cell, below a quarter.
    assert boxes == "[('dog', 0.0, 5.0, 3.75, 10.0)]"
    assert modules == "['hefsmith_worker', 'hefsmith_worker.decoding']"
