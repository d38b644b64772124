"""What decides a result is named once: pins in the code, the extra, and what images install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from orchestrator.pipeline import identity, targets


def pins(requirements: list[str]) -> dict[str, str]:
    found = (re.match(r"([a-z0-9-]+)==([0-9.]+)", one) for one in requirements)
    return {match[1]: match[2] for match in found if match}


def test_the_extra_and_the_images_have_the_same_tensorflow(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = pins(project["optional-dependencies"]["tensorflow"])
    image = pins(list(identity.TENSORFLOW_PACKAGES))
    assert extra == image
    assert extra["tensorflow-cpu"] == extra.pop("tensorflow")
    assert {"tensorflow": extra.pop("tensorflow-cpu"), **extra} == identity.TENSORFLOW


def test_a_tensorflow_build_has_its_versions_in_every_key() -> None:
    plain = targets._image_versions(tensorflow=False)
    assert "tensorflow" not in plain
    assert targets._image_versions(tensorflow=True) == {**plain, **identity.TENSORFLOW}


def test_the_build_without_cuda_counts_as_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorflow_cpu-2.21.0", "tf2onnx-1.17.0", "numpy-2.4.6", "torch-2.13.0+cpu"):
        (tmp_path / f"{name}.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    found = identity.installed_versions(("numpy", "torch", *identity.TENSORFLOW))
    assert found == {
        "numpy": "2.4.6", "torch": "2.13.0", "tensorflow": "2.21.0", "tf2onnx": "1.17.0",
    }  # fmt: skip


def test_the_local_engine_says_how_to_get_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.engine.base import EngineUnavailableError

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EngineUnavailableError, match="tensorflow and tf2onnx") as caught:
        targets._need_tensorflow()
    assert "[tensorflow]" in str(caught.value.hint)
