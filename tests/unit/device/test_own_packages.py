"""The device in our own process runs networks with this Python's packages."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.device.base import DeviceSpec
from orchestrator.device.faults import DeviceLacks
from orchestrator.device.validation import raise_if_not_the_model
from orchestrator.installation import install_command

FAILURE = {"kind": "no-binding", "message": "No module named 'onnxruntime'"}


def runner(kind: str) -> object:
    spec = DeviceSpec(name="embedded", kind=kind, host="x")
    return SimpleNamespace(spec=spec)


def test_the_extra_that_it_lacks_is_named_word_for_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.device.validation.device_argument", lambda spec: "embedded")
    with pytest.raises(DeviceLacks) as caught:
        raise_if_not_the_model(runner("embedded"), FAILURE, "")  # type: ignore[arg-type]
    assert caught.value.code == "device.extra"
    assert "the build is finished and kept" in caught.value.message
    assert install_command("emulator") in str(caught.value.hint)


def test_a_pi_that_lacks_it_is_another_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.device.validation.device_argument", lambda spec: "pi")
    with pytest.raises(DeviceLacks) as caught:
        raise_if_not_the_model(runner("ssh"), FAILURE, "")  # type: ignore[arg-type]
    assert "hef doctor --device pi" in str(caught.value.hint)
