"""Completion, asked as the shells ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hefsmith_worker.contract import chips
from typer.main import get_command

from orchestrator.cli import completion
from orchestrator.cli.app import build_app


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("waste", "wheels"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.yaml").write_text("schema: 1\n")
    (tmp_path / "hef.yaml").write_text(
        "devices:\n  kitchen: {host: pi@kitchen.local}\n  shed: {host: pi@shed.local}\n"
        "engines:\n  tower: {address: ssh://ana@tower}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(line: str, folder: Path, **more: str) -> list[str]:
    """Return what bash gets for a command line whose last word is being typed."""
    words = line.split(" ")
    asked = {"_HEF_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": len(words) - 1}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, **{name: str(value) for name, value in asked.items()}, **more},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def taken(command: str, name: str) -> list[str]:
    """Return what a parameter of a command offers before anything is typed."""
    root = get_command(build_app())
    completion.teach(root)
    for one in completion.parameters(root):
        if one.command == command and one.param.name == name:
            return [offer.value for offer in one.param.shell_complete(None, "")]
    raise LookupError(command, name)


@pytest.mark.slow
def test_a_shell_gets_commands_models_and_chips(project: Path) -> None:
    assert "build" in ask("hef bui", project)
    assert ask("hef build w", project) == ["waste", "wheels"]
    assert ask("hef build waste --arch hailo10", project) == ["hailo10h"]


@pytest.mark.slow
def test_no_only_model_and_a_broken_project_file_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "hef.yaml").write_text("devices: [")
    assert ask("hef ship --device e", tmp_path) == []
    assert ask("hef validate --arch hailo8l", tmp_path) == ["hailo8l"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(project: Path) -> None:
    home = project / "bin"
    home.mkdir()
    (home / "hef").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orchestrator "$@"\n')
    (home / "hef").chmod(0o755)
    script = (
        f'PATH="{home}:$PATH"; eval "$(_HEF_COMPLETE=source_bash hef)"; complete -p hef;'
        "COMP_WORDS=(hef ship --device k); COMP_CWORD=3; _hef_completion hef;"
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["complete -o default -F _hef_completion hef", "kitchen"]


@pytest.mark.slow
def test_names_of_each_kind(project: Path) -> None:
    assert taken("ship", "device") == ["kitchen", "shed", "embedded"]
    assert taken("device trust", "name") == ["kitchen", "shed", "embedded"]
    assert taken("device add", "name") == []
    assert taken("build", "arch") == [chip.name for chip in chips.usable()]
    assert taken("build", "engine") == ["auto", "docker", "local", "tower"]
    assert taken("toolchain use", "name") == ["emulator"]
    assert taken("calib preview", "what") == ["digits", "waste", "wheels"]
    assert "frigate" in taken("bundle", "target")


def test_a_name_that_a_shell_would_run_is_not_offered() -> None:
    """A shell puts an offer into the line unquoted; a clone names its folders as it likes."""
    hostile = ["a$(touch x)", "b;c", "-x", "d e", "f\ng", "h`i`", "j&", "k'l", "~"]
    found = completion.offers(lambda: [*hostile, "net-1.5", "pi@10.0.0.2:22"], "")
    assert [one.value for one in found] == ["net-1.5", "pi@10.0.0.2:22"]


def test_lists_with_commas_go_on(project: Path) -> None:
    def offered(typed: str) -> list[str]:
        return [offer.value for offer in completion.offers(completion.devices, typed)]

    assert offered("kitchen,s") == ["kitchen,shed"]
    assert offered("kitchen,k") == []


def test_every_parameter_of_a_known_kind_offers_words() -> None:
    found = {
        one.param.name: completion.words_of(one)
        for one in completion.parameters(get_command(build_app()))
    }
    kinds = {"model", "models", "device", "arch", "engine", "toolchain", "chip"}
    assert kinds <= set(found)
    assert all(found[name] is not None for name in kinds)
