"""What a remedy proposes is tried: recipe lines by the recipe's own check, scripts by the linter,
commands by a shell's grammar."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hefsmith_worker.script.lint import check_text

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.rules import fill
from orchestrator.project.loading import load_recipe

#: What a log may have told; and nothing of it.
TOLD = {
    "end_nodes": "/m/a/Conv, /m/b/Conv", "layer": "conv1", "images_given": "1339",
    "level_asked": "2", "level_run": "0", "chip": "hailo8l", "kernel": "6.12.25+rpt-rpi-2712",
    "library": "libx.so", "module": "hailo", "arguments": "--x", "path": "/m/best.onnx",
    "element": "hailonet", "host": "pi5", "wanted": "4.23.0", "program": "hailo-ollama",
}  # fmt: skip
WITH_RECIPE = [entry for entry in load_catalogue().values() if entry.recipe]
#: Programs whose lines in back quotes are commands.
PROGRAMS = (
    "sudo|apt|apt-get|apt-cache|apt-file|hef|docker|podman|pip|python3?|lspci|lsmod|dmesg|ls|cat"
    "|hailortcli|hailo|systemctl|dkms|modprobe|v4l2-ctl|rpicam-hello|gst-inspect-1\\.0|free|grep|df"
    "|ssh|ssh-copy-id|ssh-keygen|chmod|dpkg|which|mokutil|tail|rm|ss|getent|export|usermod|newgrp"
    "|CFLAGS=\\S*|fuser|vcgencmd|id|pkg-config|ip"
)
_QUOTED = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize("known", [{}, TOLD], ids=["nothing told", "all told"])
@pytest.mark.parametrize("entry", WITH_RECIPE, ids=lambda entry: entry.id)
def test_recipe_lines_pass_the_recipes_own_check(
    entry: object, known: dict[str, str], tmp_path: Path
) -> None:
    text = str(fill(entry, known).recipe)  # type: ignore[arg-type]
    # Words in angle brackets are for people to fill in.
    lines = yaml.safe_load(re.sub(r"<[^>\n]*>", "NODE", text))
    recipe: dict[str, object] = {
        "schema": 1, "source": {"onnx": "net.onnx"}, "arch": "hailo8l",
        "calibration": {"source": "images"},
    }  # fmt: skip
    for key, value in lines.items():
        old = recipe.get(key)
        if key == "source":
            recipe[key] = {"torch": "net.py:build", "weights": "net.pt", **value}
            recipe["inputs"] = {"images": [1, 3, 640, 640]}
        elif isinstance(value, dict) and isinstance(old, dict):
            recipe[key] = {**old, **value}
        else:
            recipe[key] = value
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.yaml").write_text(yaml.safe_dump(recipe))
    load_recipe(folder)


@pytest.mark.parametrize("entry", WITH_RECIPE, ids=lambda entry: entry.id)
def test_script_lines_pass_the_linter(entry: object) -> None:
    for known in ({}, TOLD):
        text = re.sub(r"<[^>\n]*>", "conv1", str(fill(entry, known).recipe))  # type: ignore[arg-type]
        script = (yaml.safe_load(text).get("optimization") or {}).get("script") or []
        found = check_text("\n".join(script), "x.alls", layers=None, images=None)
        assert [one.message for one in found if one.severity == "error"] == [], script


def commands() -> list[tuple[str, str]]:
    found = []
    for entry in load_catalogue().values():
        for known in ({}, TOLD):
            finding = fill(entry, known)
            for quoted in _QUOTED.findall(f"{finding.remedy} {finding.cause}"):
                if re.match(rf"(?:{PROGRAMS})(?:\s|$)", quoted):
                    found.append((entry.id, quoted))
    return list(dict.fromkeys(found))


def test_there_are_commands_in_remedies() -> None:
    assert len(commands()) > 80


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("name", "command"), commands())
def test_a_command_of_a_remedy_is_one_that_a_shell_takes(name: str, command: str) -> None:
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, (name, command, done.stderr)
    assert "{" not in re.sub(r"'[^']*'|\$\{[^}]*\}", "", command), (name, command)


def test_hef_commands_of_remedies_exist() -> None:
    from typer.main import get_command

    from orchestrator.cli.app import build_app

    known = get_command(build_app()).commands  # type: ignore[attr-defined]
    for name, command in commands():
        words = command.split()
        if words[0] == "hef":
            assert words[1] in known, (name, command)
