"""Packages of a network with the local engine: this Python has them, or says which it lacks."""

from __future__ import annotations

import os

import pytest

from orchestrator.engine.base import EngineUnavailableError
from orchestrator.engine.local import LocalEngine
from orchestrator.engine.packages import missing


def test_what_is_installed_is_not_missing() -> None:
    assert missing(("numpy", "pydantic>=2", "PyYAML")) == ()


def test_what_is_absent_or_too_old_is_named() -> None:
    assert missing(("hefsmith-no-such-package==1.0",)) == ("hefsmith-no-such-package==1.0",)
    (unmet,) = missing(("numpy>=999",))
    assert unmet.startswith("numpy>=999 (installed: ")


def test_the_local_engine_says_what_to_install() -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        LocalEngine().add_packages("local", ("hefsmith-no-such-package>=2",), python="python")
    from orchestrator.installation import pip_command

    # Word for word for this environment, whose Python may not be the one that `pip` is of.
    first, other = (caught.value.hint or "").splitlines()
    assert first == pip_command(["hefsmith-no-such-package>=2"])
    assert other == "or use Docker: --engine docker"


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("pip", "bin/python -m pip install timm 'av>=13'"),
        ("pipx", "pipx inject hefsmith timm 'av>=13'"),
        ("uv-pip", "uv pip install --python bin/python timm 'av>=13'"),
        ("uv-tool", "uv pip install --python bin/python timm 'av>=13'"),
    ],
)
def test_packages_are_added_by_what_manages_the_environment(manager: str, command: str) -> None:
    from orchestrator.installation import Installation, pip_command

    if os.name == "nt":
        command = command.replace("'", '"').replace('"av>=13"', "av>=13")
    assert pip_command(["timm", "av>=13"], Installation(manager, "bin/python")) == command
