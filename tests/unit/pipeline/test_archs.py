"""Which chip a build is for: what is asked, what the device has, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.device.base import DeviceSpec
from orchestrator.errors import ConfigError
from orchestrator.pipeline.archs import pick_archs
from orchestrator.pipeline.proof import Prover
from orchestrator.project.loading import LoadedRecipe, load_recipe

RECIPE = """\
schema: 1
source: {onnx: n.onnx}
calibration: {source: pictures}
arch: [hailo8l, hailo8]
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.yaml").write_text(RECIPE, encoding="utf-8")
    return load_recipe(tmp_path / "net")


@dataclass
class BuildSession:
    """What a prover needs of a session; it remembers what it was told."""

    hailort: str | None = None
    said: list[str] = field(default_factory=list)

    @property
    def observer(self) -> Any:
        return SimpleNamespace(note=self.said.append)


def prover(chip: str | None, session: BuildSession, kind: str = "ssh") -> Prover:
    """Return a prover whose device has ``chip`` and HailoRT 4.20.0."""
    made = Prover(session)  # type: ignore[arg-type]
    identity = SimpleNamespace(chip=chip, hailort="4.20.0")
    made._spec = DeviceSpec(name="pi5", kind=kind)
    made.session = lambda arch=None: SimpleNamespace(  # type: ignore[method-assign, assignment]
        identify=lambda: identity
    )
    return made


def test_chips_are_taken_by_any_of_their_names_and_once(loaded: LoadedRecipe) -> None:
    assert pick_archs(loaded, None) == ("hailo8l", "hailo8")
    assert pick_archs(loaded, ["HAILO8L", "hailo-8l", "mars"]) == ("hailo8l", "hailo12l")
    with pytest.raises(ConfigError, match="no chip 'tpu'"):
        pick_archs(loaded, ["tpu"])


def test_the_device_says_chip_and_runtime(loaded: LoadedRecipe) -> None:
    session = BuildSession()
    assert prover("hailo8", session).archs(loaded, None) == ("hailo8",)
    assert session.hailort == "4.20.0"


def test_a_chip_that_was_asked_for_still_lets_the_runtime_choose(loaded: LoadedRecipe) -> None:
    session = BuildSession()
    assert prover("hailo8l", session).archs(loaded, ["hailo8l"]) == ("hailo8l",)
    assert session.hailort == "4.20.0"
    assert session.said == []


def test_a_hef_that_the_device_would_refuse_is_not_built(loaded: LoadedRecipe) -> None:
    with pytest.raises(ConfigError, match="pi5 has a hailo8l") as caught:
        prover("hailo8l", BuildSession()).archs(loaded, ["hailo8"])
    assert "hef build --arch hailo8" in str(caught.value.hint)


def test_a_hef_for_the_smaller_sister_is_built_with_a_note(loaded: LoadedRecipe) -> None:
    session = BuildSession()
    assert prover("hailo8", session).archs(loaded, ["hailo8l"]) == ("hailo8l",)
    assert "slower" in session.said[0]


def test_a_device_has_one_chip(loaded: LoadedRecipe) -> None:
    with pytest.raises(ConfigError, match="names 2 chips"):
        prover("hailo8", BuildSession()).archs(loaded, ["hailo8", "hailo8l"])
    # Without --arch the recipe's list is no order: the first is meant.
    assert prover(None, BuildSession(), kind="embedded").archs(loaded, None) == ("hailo8l",)
