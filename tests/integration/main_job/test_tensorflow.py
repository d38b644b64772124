"""Networks of TensorFlow from their file to a verdict, and what refuses to go that way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

DIGITS = Path(__file__).parents[3] / "models" / "digits"


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network as TensorFlow has it, with the trained weights."""
    folder = tmp_path_factory.mktemp("networks")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("keras_digits.py")),
         str(DIGITS / "digits.pt"), str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def place(project: Project, networks: Path, kind: str, name: str) -> None:
    """Write the digits' recipe with a source of TensorFlow."""
    folder = project.root / "models" / "digits"
    folder.mkdir(parents=True)
    for file in ("labels.txt", "data.py"):
        shutil.copy(DIGITS / file, folder / file)
    copy = shutil.copytree if (networks / name).is_dir() else shutil.copy
    copy(networks / name, folder / name)
    recipe = (DIGITS / "model.yaml").read_text(encoding="utf-8")
    recipe = re.sub(r"source:\n(  .*\n)+", f"source: {{{kind}: {name}}}\n", recipe)
    recipe = re.sub(r"inputs:\n(  .*\n)+", "", recipe)
    (folder / "model.yaml").write_text(recipe, encoding="utf-8")


def test_a_tflite_file_is_built_shipped_and_proven(
    networks: Path, new_project: Callable[[str], Project]
) -> None:
    project = new_project("tflite")
    place(project, networks, "tflite", "digits.tflite")
    done = project.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["proof"]["passed"]
    steps = {one["step"]: one["measures"] for one in outcome["proof"]["verdict"]["steps"]}
    assert list(steps)[:2] == ["tensorflow", "onnx"]
    assert "pytorch" not in steps
    assert steps["tensorflow"]["top1"] >= 0.97
    assert steps["sdk_native"]["cosine"] > 0.99999
    assert abs(steps["device"]["top1"] - steps["tensorflow"]["top1"]) <= 0.015
    files = {file["path"] for file in project.build()["files"]}
    assert "model.tflite" in files


@pytest.mark.parametrize(
    ("kind", "name"), [("keras", "digits.keras"), ("saved_model", "digits_saved")]
)
def test_other_forms_become_tflite_and_give_the_same_network(
    networks: Path, new_project: Callable[[str], Project], kind: str, name: str
) -> None:
    project = new_project(kind)
    place(project, networks, kind, name)
    recipe = project.root / "models/digits/model.yaml"
    text = recipe.read_text(encoding="utf-8").replace("count: 1024", "count: 64")
    recipe.write_text(text.replace("samples: 360", "samples: 16"), encoding="utf-8")
    done = project.hef("build", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    folder = project.root / "artifacts/digits/hailo8l"
    steps = json.loads((folder / "golden/golden.json").read_text(encoding="utf-8"))["steps"]
    assert "tensorflow" in steps
    assert (folder / "model.tflite").read_bytes()[4:8] == b"TFL3"


def test_a_quantised_file_is_refused_before_anything_starts(
    networks: Path, new_project: Callable[[str], Project]
) -> None:
    project = new_project("int8")
    place(project, networks, "tflite", "digits_int8.tflite")
    done = project.hef("build", "digits", "--engine", "local")
    assert done.returncode == 2
    assert "quantised already" in done.stderr
    assert "model.yaml:3:" in done.stderr, done.stderr
    assert "converter.optimizations" in done.stderr


TRANSLATOR = r"""
import hashlib, json, sys
from hailo_sdk_client import ClientRunner
from hailo_emulator.importer_tflite import read_tflite
from pathlib import Path
folder = sys.argv[1]
found = {}

def attempt(name, file="digits.tflite", **options):
    runner = ClientRunner(hw_arch="hailo8l")
    try:
        hn, _ = runner.translate_tf_model(folder + "/" + file, "net", **options)
    except Exception as error:
        found[name] = type(error).__name__
        return
    outputs = [l for l in hn["layers"].values() if l["type"] == "output_layer"]
    found[name] = [l["original_names"] for l in outputs]

source = Path(folder, "digits.tflite")
attempt("whole")
inner = [n.name for n in read_tflite(source).graph.node if n.op_type == "Conv"][1]
attempt("cut", end_node_names=[inner])
attempt("misspelt", end_node_names=["no_such_tensor"])
attempt("quantised", "digits_int8.tflite")
attempt("keras", "digits.keras")
attempt("unknown option", net_input_shapes=[1, 1, 32, 32])
attempt("wrong rank", tensor_shapes=[32, 32])
attempt("shape", tensor_shapes=[1, 32, 32, 1])
same = {
    hashlib.sha256(read_tflite(source).SerializeToString(deterministic=True)).hexdigest()
    for _ in range(3)
}
print("\n" + json.dumps([found, inner, len(same)]))
"""


def test_the_stand_in_translator_is_as_strict_as_it_must_be(networks: Path) -> None:
    packages = Path(__file__).parents[3] / "docker/emulator/packages"
    done = subprocess.run(
        [sys.executable, "-c", TRANSLATOR, str(networks)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(packages)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found, inner, kinds = json.loads(done.stdout.splitlines()[-1])
    assert len(found["whole"]) == 1
    assert found["cut"] == [[inner]]
    assert found["misspelt"] == "MisspellNodeError"
    assert found["quantised"] == found["keras"] == "UnsupportedModelError"
    assert found["unknown option"] == "TypeError"
    assert found["wrong rank"] == "UnsupportedModelError"
    assert found["shape"] == found["whole"]
    assert kinds == 1


def test_init_writes_a_recipe_from_what_the_file_tells(
    networks: Path, new_project: Callable[[str], Project]
) -> None:
    project = new_project("init")
    done = project.hef("init", "scans", "--tflite", str(networks / "digits.tflite"), "--calib", ".")
    assert done.returncode == 0, done.stderr
    recipe = (project.root / "models/scans/model.yaml").read_text(encoding="utf-8")
    assert "image: [1, 1, 32, 32]" in recipe
    assert "color: gray" in recipe
    for kind, name in (("keras", "digits.keras"), ("saved-model", "digits_saved")):
        done = project.hef(
            "init", f"n{len(kind)}", f"--{kind}", str(networks / name), "--engine", "local"
        )
        assert done.returncode == 0, done.stderr
        # Only TensorFlow reads these: the look does, and no size is guessed.
        recipe = (project.root / f"models/n{len(kind)}/model.yaml").read_text(encoding="utf-8")
        assert "image: [1, 1, 32, 32]" in recipe
        assert "color: gray" in recipe
