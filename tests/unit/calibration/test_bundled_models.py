"""The models that come with the project: what is committed is what the recipes promise."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hefsmith_worker.calibration import InputSpec, load_samples, read_sources
from hefsmith_worker.calibration.fingerprints import duplicates, thumbnail
from hefsmith_worker.pictures import Preprocess, normalise
from PIL import Image

from orchestrator.project.loading import load_recipe


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def accuracy(folder: Path, name: str, pictures: Path, preprocess: Preprocess) -> float:
    labels = (folder / "labels.txt").read_text().split("\n")[:-1]
    sources = read_sources(str(pictures))
    samples = load_samples(
        [InputSpec("image", preprocess)], sources, None, 0, labels, "classification"
    )
    network = module(folder / "model.py").build()
    network.load_state_dict(torch.load(folder / f"{name}.pt", weights_only=True))
    network.eval()
    batch = normalise(samples.arrays["image"], preprocess).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        votes = network(torch.from_numpy(batch)).argmax(1).numpy()
    return float(np.mean(votes == np.array(samples.labels)))


def preprocess_of(folder: Path) -> Preprocess:
    given: Any = load_recipe(folder).recipe.preprocessing
    return Preprocess.from_dict(given.plain(skip_none=True))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("project") / "calib" / "digits"
    data = module(repository / "models" / "digits" / "data.py")
    data.prepare(folder)
    data.prepare(folder)
    return folder


@pytest.mark.slow
def test_all_1797_digits_are_in_two_parts_without_a_common_one(digits: Path) -> None:
    parts = [sorted((digits / part).rglob("*.png")) for part in ("calibration", "validation")]

    assert [len(part) for part in parts] == [1433, 364]
    contents = [{path.read_bytes() for path in part} for part in parts]
    assert not contents[0] & contents[1]
    assert [path.name for path in digits.parent.iterdir()] == ["digits"]


@pytest.mark.slow
def test_the_digits_are_made_by_the_standard_library(tmp_path: Path, repository: Path) -> None:
    """The base installation and an engine suffice for `hef up digits`."""
    script = repository / "models" / "digits" / "data.py"
    words = [sys.executable, "-I", "-S", str(script), str(tmp_path / "made")]
    subprocess.run(words, check=True)
    with Image.open(next((tmp_path / "made").rglob("0000.png"))) as first:
        assert (first.mode, first.size) == ("L", (8, 8))
        assert first.tobytes()[:4] == bytes([0, 0, 80, 207])


@pytest.mark.slow
def test_eight_by_eight_scans_are_not_taken_for_duplicates(digits: Path) -> None:
    scans = sorted((digits / "calibration").rglob("*.png"))[::5]

    prints = [thumbnail(Image.open(scan).resize((32, 32))) for scan in scans]

    assert duplicates(prints) == [-1] * len(scans)


@pytest.mark.slow
def test_digits_are_read_right_by_the_float_model(digits: Path, repository: Path) -> None:
    folder = repository / "models" / "digits"

    assert (folder / "digits.pt").stat().st_size < 200_000
    assert accuracy(folder, "digits", digits / "validation", preprocess_of(folder)) >= 0.97


@pytest.mark.slow
def test_shapes_are_read_right_and_faults_of_preparation_show(
    tmp_path: Path, repository: Path
) -> None:
    folder = repository / "tests" / "models" / "shapes"
    module(folder / "draw.py").prepare(tmp_path / "shapes", calibration=10, validation=100)
    preprocess = preprocess_of(folder)
    held_out = tmp_path / "shapes" / "validation"

    def with_(**changes: Any) -> float:
        data = {**preprocess.to_dict(), "preset": None, **changes}
        return accuracy(folder, "shapes", held_out, Preprocess.from_dict(data))

    assert (folder / "shapes.pt").stat().st_size < 300_000
    assert with_() >= 0.97
    assert with_(color="bgr") < 0.6
    assert with_(mean=[0.0], std=[65025.0]) < 0.5  # divided twice
    assert with_(normalize="none") < 0.9
