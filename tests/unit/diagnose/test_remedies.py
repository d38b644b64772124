"""What a remedy proposes is tried: recipe lines by the recipe's own check, scripts by the linter,
commands are run with stand-ins that take what the programs take."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hefsmith_worker.script.lint import check_text

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.rules import fill
from orchestrator.project.loading import load_recipe
from tests.unit.diagnose.stand_ins import TAKES, write

#: What a log may have told; and nothing of it.
TOLD = {
    "end_nodes": "/m/a/Conv, /m/b/Conv", "layer": "conv1", "images_given": "1339",
    "level_asked": "2", "level_run": "0", "chip": "hailo8l", "kernel": "6.12.25+rpt-rpi-2712",
    "library": "libx.so", "module": "hailo", "arguments": "--x", "path": "/m/best.onnx",
    "element": "hailonet", "host": "pi5", "wanted": "4.23.0", "program": "hailo-ollama",
}  # fmt: skip
WITH_RECIPE = [entry for entry in load_catalogue().values() if entry.recipe]
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


#: Names of commands that a sentence speaks of, with nothing to run.
MENTIONED = {
    "hailo", "hailo optimize", "docker cp", "docker exec", "ssh -v", "hailortcli run",
    "hailortcli run2", "dmesg", "hailo optimize --model-script", "hailomz compile",
    "hailomz optimize",
    # A hard limit of this machine may be lower.
    "ulimit -n 65536",
}  # fmt: skip
#: What a shell does itself.
BUILTINS = ("export", "source", "ulimit", "set")


def quoted() -> list[tuple[str, str]]:
    """Return the id and every text in back quotes of a finding, told everything and nothing."""
    found = []
    for entry in load_catalogue().values():
        for known in ({}, TOLD):
            finding = fill(entry, known)
            told = f"{finding.remedy} {finding.cause} {finding.confirm or ''}"
            found += [(entry.id, text) for text in _QUOTED.findall(told)]
    return list(dict.fromkeys(found))


def commands() -> list[tuple[str, str]]:
    programs = {*TAKES, *BUILTINS, "sudo", "hef"}
    found = []
    for name, text in quoted():
        first = next((word for word in text.split() if not re.match(r"[A-Z_]+=\S*$", word)), "")
        if first in programs and text not in MENTIONED:
            found.append((name, text))
    return found


SHELL_COMMANDS = [one for one in commands() if not one[1].startswith("hef ")]
HEF_COMMANDS = [one for one in commands() if one[1].startswith("hef ")]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("programs")))


def test_there_are_commands_in_remedies() -> None:
    assert len(SHELL_COMMANDS) > 120
    assert len(HEF_COMMANDS) > 20


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("name", "command"), SHELL_COMMANDS)
@pytest.mark.slow
def test_a_command_of_a_remedy_runs_with_the_arguments_that_its_program_takes(
    name: str, command: str, path: str, tmp_path: Path
) -> None:
    (tmp_path / "setup_env.sh").write_text("")
    done = subprocess.run(
        [str(shutil.which("bash")), "-e", "-o", "pipefail", "-c", command],
        env={"PATH": path, "HOME": "/home/me", "USER": "me"}, cwd=tmp_path, input="",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (name, command, done.stderr)
    assert done.stderr == "", (name, command)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "command",
    ["sudo apt instal hailo-all", "chmod 600", "docker run --devices /dev/hailo0 IMAGE",
     "hailortcli fw-control reset --reset-type hard", "ssh-keygen -R", "sudo udevadm reload",
     "python3 -m venv --system-site-packages", "nosuchprogram", "lspci -d 1e60"],
)  # fmt: skip
def test_the_stand_ins_refuse_what_the_programs_refuse(
    command: str, path: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [str(shutil.which("bash")), "-c", command], env={"PATH": path, "HOME": "/", "USER": "me"},
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0


@pytest.mark.parametrize(("name", "command"), HEF_COMMANDS)
def test_a_hef_command_of_a_remedy_is_taken_by_hef(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    for word in words:
        if re.match(r"[A-Z]+(\.\w+)?$", word):
            Path(word).write_text("")
    take_apart(words)


@cache
def hef() -> Any:
    from typer.main import get_command

    from orchestrator.cli.app import build_app

    return get_command(build_app())


def take_apart(words: list[str]) -> None:
    """Let hef's own parser take ``words``; raise its usage error where it does not."""
    command = hef()
    while hasattr(command, "commands"):
        assert words, "the name of a group of commands is no command"
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_context("hef", words)


@pytest.mark.parametrize(
    "path", ["/x/$(reboot)/net.hef", "/x/`id`.hef", "/x/a;id;b.hef", "-delete"]
)
def test_what_a_log_holds_does_not_become_a_command(path: str) -> None:
    for entry in load_catalogue().values():
        for text in _QUOTED.findall(fill(entry, dict.fromkeys(TOLD, path)).remedy):
            assert path not in text, (entry.id, text)


@pytest.mark.parametrize(
    ("line", "name", "command"),
    [
        ("ssh: connect to host 10.0.0.4 port 2204: Connection refused", "H06",
         "hef device identify 10.0.0.4:2204"),
        ("ssh: connect to host fe80::1 port 2206: No route to host", "H06",
         "hef device identify '[fe80::1]:2206'"),
        ("Host key for [10.0.0.4]:2204 has changed and you have requested strict checking.", "H08",
         "ssh-keygen -R '[10.0.0.4]:2204'"),
        ("Host key for pi5.lan has changed and you have requested strict checking.", "H08",
         "ssh-keygen -R pi5.lan"),
        ("No ED25519 host key is known for [pi5]:2204 and you have requested strict checking.",
         "H09", "hef device trust pi5:2204"),
        ("me@10.0.0.4: Permission denied (publickey,password).", "H05", "ssh-copy-id me@10.0.0.4"),
        ("Received disconnect from 10.0.0.4 port 2204:2: Too many authentication failures", "H05",
         "ssh-copy-id -p 2204 10.0.0.4"),
    ],
)  # fmt: skip
def test_an_address_in_a_log_keeps_its_port_in_every_command(
    line: str, name: str, command: str
) -> None:
    (found,) = (one for one in read_log([line]).findings() if one.id == name)
    assert f"`{command}`" in found.remedy, found.remedy
