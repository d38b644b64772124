"""The recipe of CONTRIBUTING for a kind of device, walked with one more of each of its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.cli.completion import devices
from orchestrator.device import base
from orchestrator.device.base import KINDS, DeviceKind, DeviceSpec
from orchestrator.device.connection_pool import WAYS, ConnectionPool
from orchestrator.device.registry import load_registry, save_user_device
from orchestrator.errors import ConfigError
from tests.unit.device.test_commands import write_build

TWIN = DeviceSpec(name="twin", kind="twin", emulated_chip="hailo8")


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> None:
    row = DeviceKind(place="beside us", routed=False, own_python=True, lasting=False)
    monkeypatch.setitem(base.KINDS, "twin", row)  # type: ignore[arg-type]
    monkeypatch.setitem(base.BUILT_IN, "twin", TWIN)
    monkeypatch.setitem(WAYS, "twin", ConnectionPool.to_own_server)  # type: ignore[arg-type]


def test_a_new_kind_of_device_is_a_row_and_the_way_to_it(
    twin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arch in ("hailo8l", "hailo8"):
        write_build(tmp_path, arch)
    (tmp_path / "hef.yaml").write_text("schema: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # It shows a chip of its own, so that chip's build is taken.
    assert run(["ship", "net", "--device", "twin", "--json"]) == 0
    said = capsys.readouterr()
    (document,) = json.loads(said.out)
    assert "net.hailo8.emulated.hef" in {file["name"] for file in document["result"]["files"]}
    assert "twin device lives as long as this command" in said.err
    assert run(["device", "trust", "twin"]) == 0
    assert "twin" in devices()
    with pytest.raises(ConfigError, match="cannot be a device's name"):
        save_user_device(DeviceSpec(name="twin", host="x"))


def test_what_nobody_added_is_resolved_and_has_no_hops(twin: None) -> None:
    assert load_registry({}, {}).resolve(["twin"]) == (TWIN,)
    assert TWIN.address == "beside us"
    with ConnectionPool() as pool:
        assert pool.hops(TWIN) == ()


def test_there_is_a_way_to_each_kind() -> None:
    assert set(WAYS) == set(KINDS)
