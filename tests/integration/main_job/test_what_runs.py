"""After a change exactly the stages run that read what was changed, in the README's own layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hefsmith_worker.contract.stages import HEF, STAGES
from PIL import Image

from .conftest import Project

#: The stages of a build; an analysis has others.
NAMES = tuple(stage.name for stage in STAGES if HEF in stage.goals)

FACTORY = """\
import torch

def build(width: int = 4):
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(width, 2))
"""
RECIPE = """\
schema: 1
source: {torch: "mynet.py:build", weights: weights/net.pt}
inputs: {image: [1, 1, 12, 12]}
preprocessing: {color: gray, mean: [0], std: [255]}
calibration: {source: pictures, count: 16}
validation: {source: held_out, samples: 8, thresholds: {cosine: 0.5}}
postprocess: {task: classification, labels: [cat, dog]}
optimization: {level: 0, script: []}
"""
BUILD = ("build", "mynet", "--engine", "local", "--arch", "hailo8l")


def make_project(root: Path) -> None:
    import torch

    (root / "mynet.py").write_text(FACTORY, encoding="utf-8")
    (root / "models/mynet").mkdir(parents=True)
    (root / "models/mynet/model.yaml").write_text(RECIPE, encoding="utf-8")
    save_weights(root, torch.Generator().manual_seed(0))
    random = np.random.default_rng(5)
    for folder, count in (("pictures", 16), ("held_out", 8)):
        for number in range(count):
            name = ("cat", "dog")[number % 2]
            (root / folder / name).mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (12, 12)).astype(np.uint8)
            Image.fromarray(pixels).save(root / folder / name / f"{number}.png")


def save_weights(root: Path, random: object) -> None:
    import torch

    (root / "weights").mkdir(exist_ok=True)
    shapes = {"0.weight": (4, 1, 3, 3), "0.bias": (4,), "4.weight": (2, 4), "4.bias": (2,)}
    state = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}  # type: ignore[call-overload]
    torch.save(state, root / "weights/net.pt")


@pytest.fixture(scope="module")
def mynet(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("mynet")
    make_project(root)
    return Project(root)


def build(project: Project, *options: str) -> set[str]:
    """Build, and return the stages that ran."""
    done = project.hef(*BUILD, *options)
    assert done.returncode == 0, done.stderr
    return {name for name in NAMES if f"{name}: done in" in done.stderr}


def edit(project: Project, old: str, new: str, file: str = "models/mynet/model.yaml") -> None:
    path = project.root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_only_what_reads_a_change_runs(mynet: Project) -> None:
    project, root = mynet, mynet.root
    assert build(project) == set(NAMES)
    assert build(project) == set()

    # What no stage reads.
    edit(project, "schema: 1", "# a comment\nschema: 1")
    assert build(project) == set()
    edit(project, "cosine: 0.5", "cosine: 0.6")
    assert build(project) == set()
    assert project.build(model="mynet")["thresholds"]["cosine"] == 0.6
    (root / "notes.txt").write_text("unrelated", encoding="utf-8")
    (root / "train.py").write_text("print('unrelated')\n", encoding="utf-8")
    shutil.copytree(root / "artifacts", root / "results")
    (root / "experiments").mkdir()
    for number in range(2500):  # more than a factory's code can be
        (root / "experiments" / f"{number}.json").write_text("{}", encoding="utf-8")
    assert build(project) == set()

    # More samples need no other network.
    edit(project, "samples: 8", "samples: 6")
    assert build(project) == {"samples", "evaluate"}
    assert project.build(model="mynet")["stages"]["samples"]["result"]["samples"] == 6
    # Names of labels are read where pictures get theirs; the network stays.
    edit(project, "[cat, dog]", "[dog, cat]")
    assert build(project) <= {"samples", "calibrate", "evaluate"}


def test_a_stage_that_leaves_the_same_spares_those_after_it(mynet: Project, tmp_path: Path) -> None:
    project, root = mynet, mynet.root
    build(project)
    before = project.digests(model="mynet")
    edit(project, "import torch\n", "import torch  # the same network\n", file="mynet.py")
    assert build(project) == {"export", "samples"}
    assert project.digests(model="mynet") == before
    assert build(project) == set()
    # The build outlives its cache.
    kept = tmp_path / "stages"
    shutil.move(root / "cache/stages", kept)
    assert build(project) == set()
    shutil.move(kept, root / "cache/stages")

    # It travels: another machine has nothing to run either.
    store = tmp_path / "store"
    pushed = project.hef("cache", "push", "--to", str(store), "--engine", "local")
    assert pushed.returncode == 0, pushed.stderr
    shutil.copytree(root, tmp_path / "other", ignore=shutil.ignore_patterns("cache", "artifacts"))
    other = Project(tmp_path / "other")
    pulled = other.hef("cache", "pull", "--from", str(store), "--engine", "local")
    assert pulled.returncode == 0, pulled.stderr
    assert build(other) == set()
    assert other.digests(model="mynet") == before

    # A line of the script that changes nothing of the network.
    edit(project, "script: []", 'script: ["# nothing"]')
    assert build(project) <= {"calibrate", "optimize", "compile", "evaluate"}

    # Other weights are another network.
    import torch

    save_weights(root, torch.Generator().manual_seed(9))
    assert build(project) == set(NAMES)
    assert project.digests(model="mynet") != before


def test_everything_runs_when_it_is_asked_for(mynet: Project) -> None:
    build(mynet)
    assert build(mynet, "--fresh") == set(NAMES)
    assert build(mynet) == set()
