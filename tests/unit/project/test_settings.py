"""Precedence: defaults < hef.yaml < environment < flags, and each value knows its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.project.projectfile import with_toolchain
from orchestrator.project.settings import resolve
from orchestrator.project.workspace import open_workspace


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    defaults = resolve(open_workspace(tmp_path), {}, {})
    assert (defaults.engine.value, defaults.engine.origin) == ("auto", "default")
    (tmp_path / "hef.yaml").write_text("engine: docker\nstrict: true\n", encoding="utf-8")
    workspace = open_workspace(tmp_path)
    filed = resolve(workspace, {}, {})
    assert filed.engine.value == "docker"
    assert filed.engine.origin == f"{tmp_path / 'hef.yaml'}:1:9"
    assert filed.strict.value is True
    environment = {"HEFSMITH_ENGINE": "local", "HEFSMITH_STRICT": "0"}
    varied = resolve(workspace, environment, {})
    assert (varied.engine.value, varied.engine.origin) == ("local", "HEFSMITH_ENGINE")
    assert varied.strict.value is False
    flagged = resolve(workspace, environment, {"engine": "ssh://me@box", "strict": None})
    assert (flagged.engine.value, flagged.engine.origin) == ("ssh://me@box", "--engine")
    assert flagged.strict.origin == "HEFSMITH_STRICT"


def test_a_wrong_value_names_who_gave_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HEFSMITH_GPU: gpu is one of auto, on, off"):
        resolve(open_workspace(tmp_path), {"HEFSMITH_GPU": "maybe"}, {})
    with pytest.raises(ConfigError, match="HEFSMITH_STRICT: strict is true or false"):
        resolve(open_workspace(tmp_path), {"HEFSMITH_STRICT": "perhaps"}, {})


def test_a_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    model = tmp_path / "models" / "net"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text("schema: 1\n", encoding="utf-8")
    assert open_workspace(model).root == tmp_path


def test_a_misspelt_model_is_answered_with_the_closest(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with pytest.raises(ConfigError) as caught:
        workspace.recipe("digitz")
    assert caught.value.hint == "Did you mean digits?"


def test_a_mistake_in_the_project_file_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "hef.yaml").write_text(
        "devices:\n  pi5: {host: pi, port: 70000}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"hef.yaml:2:25: devices.pi5.port: .*\(got 70000\)"):
        open_workspace(tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "schema: 1\ntoolchain: emulator\n"),
        ("device: pi5\n", "device: pi5\ntoolchain: emulator\n"),
        ("toolchain: auto  # ours\n# end\n", "toolchain: emulator  # ours\n# end\n"),
        ("toolchain: auto\ndevice: pi5\n", "toolchain: emulator\ndevice: pi5\n"),
        (
            "engines:\n  toolchain: {address: x}\n",
            "engines:\n  toolchain: {address: x}\ntoolchain: emulator\n",
        ),
    ],
)
def test_the_toolchain_of_a_project_is_named_and_its_comments_stay(text: str, wanted: str) -> None:
    assert with_toolchain(text, "emulator") == wanted


def test_the_bundled_model_is_there_in_an_empty_folder(tmp_path: Path) -> None:
    assert open_workspace(tmp_path).recipe("digits").recipe.postprocess.task == "classification"


def test_without_a_name_the_only_model_is_meant(tmp_path: Path) -> None:
    (tmp_path / "my net.onnx").touch()
    with pytest.raises(ConfigError, match="no model") as none:
        open_workspace(tmp_path).unnamed_model()
    assert "hef init --onnx 'my net.onnx'" in (none.value.hint or "")
    assert "hef up digits" in (none.value.hint or "")
    for number, name in enumerate(("net", "other")):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.yaml").write_text("schema: 1\n", encoding="utf-8")
        if number == 0:
            assert open_workspace(tmp_path).unnamed_model() == "net"
    with pytest.raises(ConfigError, match="which model") as caught:
        open_workspace(tmp_path).unnamed_model()
    assert "net, other" in (caught.value.hint or "")
