"""One rule says which device a command is for, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.device.base import DeviceSpec
from orchestrator.device.registry import Registry, save_user_device
from orchestrator.errors import ConfigError
from orchestrator.pipeline.device_choice import choose, device_choice
from orchestrator.project.settings import Setting, resolve
from orchestrator.project.workspace import open_workspace

PI5 = DeviceSpec(name="pi5", host="10.0.0.5")
SHED = DeviceSpec(name="shed", host="10.0.0.6")
UNSET = Setting("device", None, "default")


def known(*specs: DeviceSpec) -> Registry:
    return Registry(devices={one.name: one for one in specs}, groups={})


@pytest.mark.parametrize(
    ("devices", "asked", "setting", "meant", "why"),
    [
        ((PI5, SHED), ["shed"], Setting("device", "pi5", "hef.yaml:2:9"), "shed", "named"),
        ((PI5, SHED), [], Setting("device", "pi5", "hef.yaml:2:9"), "pi5", "by hef.yaml:2:9"),
        ((PI5,), [], Setting("device", "embedded", "HEFSMITH_DEVICE"), "embedded",
         "by HEFSMITH_DEVICE"),
        ((PI5,), [], UNSET, "pi5", "the only one that is known"),
        ((), [], UNSET, "embedded", "no Pi is known; hef device add makes one known"),
    ],
)  # fmt: skip
def test_the_nearest_word_counts(
    devices: tuple[DeviceSpec, ...], asked: list[str], setting: Setting, meant: str, why: str
) -> None:
    registry = known(*devices)
    choice = choose(registry, asked, setting, registry.devices)
    assert choice.only.name == meant
    assert choice.why == why
    assert str(choice) == f"device: {meant} ({why})"


def test_several_are_not_guessed_among() -> None:
    registry = known(PI5, SHED)
    with pytest.raises(ConfigError, match="several devices are known: pi5, shed") as told:
        choose(registry, [], UNSET, registry.devices)
    assert "--device embedded" in str(told.value.hint)
    both = choose(registry, ["all"], UNSET, registry.devices)
    with pytest.raises(ConfigError, match="one device at a time; this names pi5, shed"):
        _ = both.only


def test_what_the_command_line_says_is_not_told_again() -> None:
    registry = known(PI5)
    flag = Setting("device", "pi5", "--device")
    assert choose(registry, [], flag, registry.devices).named
    assert choose(registry, ["pi5"], UNSET, registry.devices).named
    assert not choose(registry, [], UNSET, registry.devices).named


def test_a_strangers_project_sends_nothing_to_its_own_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hef.yaml").write_text("devices:\n  theirs: {host: evil.example}\n")
    workspace = open_workspace()
    settings = resolve(workspace, {}, {})
    assert device_choice(workspace, settings).only.name == "theirs"
    monkeypatch.setattr(
        "orchestrator.project.trust.standing", lambda folder: _Foreign(stranger=True)
    )
    assert device_choice(workspace, settings).only.name == "embedded"
    save_user_device(replace(PI5, name="mine"))
    assert device_choice(workspace, settings).only.name == "mine"


class _Foreign:
    def __init__(self, *, stranger: bool) -> None:
        self.stranger = stranger


def test_every_command_goes_by_it() -> None:
    """No other place decides: the embedded device and the registry's only one are chosen here."""
    root = Path(str(choose.__code__.co_filename)).parents[1]
    texts = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("cli", "pipeline")
        for path in (root / folder).rglob("*.py")
    }
    deciding = {
        name for name, text in texts.items() if "import EMBEDDED" in text or "(EMBEDDED,)" in text
    }
    assert deciding == {"pipeline/device_choice.py"}
