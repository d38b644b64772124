"""The command that adds an extra fits the way in which hefsmith was installed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from orchestrator.installation import (
    EXTRA_OF,
    Installation,
    install_command,
    quoted,
    this_installation,
)

PYTHON = ".venv/bin/python"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Installation("pip", PYTHON), [PYTHON, "-m", "pip", "install", "hefsmith[emulator]"]),
        (
            Installation("pip", PYTHON, "file:///home/ana/hef%20smith", folder=True),
            [PYTHON, "-m", "pip", "install", "/home/ana/hef smith[emulator]"],
        ),
        (
            Installation("pip", PYTHON, "file:///src/hefsmith", folder=True, editable=True),
            [PYTHON, "-m", "pip", "install", "-e", "/src/hefsmith[emulator]"],
        ),
        (
            Installation("pip", PYTHON, "file:///dl/hefsmith-1-py3-none-any.whl"),
            [PYTHON, "-m", "pip", "install",
             "hefsmith[emulator] @ file:///dl/hefsmith-1-py3-none-any.whl"],
        ),
        (Installation("pipx", PYTHON), ["pipx", "install", "--force", "hefsmith[emulator]"]),
        (
            Installation("pipx", PYTHON, "file:///src/hefsmith", folder=True, editable=True),
            ["pipx", "install", "--force", "--editable", "/src/hefsmith[emulator]"],
        ),
        (
            Installation("uv-tool", PYTHON),
            ["uv", "tool", "install", "--force", "hefsmith[emulator]"],
        ),
        (
            Installation("uv-pip", PYTHON),
            ["uv", "pip", "install", "--python", PYTHON, "hefsmith[emulator]"],
        ),
    ],
)  # fmt: skip
def test_a_shell_takes_the_command_as_it_stands(found: Installation, words: list[str]) -> None:
    assert shlex.split(install_command("emulator", found)) == words


@pytest.mark.parametrize(
    ("word", "posix", "windows"),
    [
        ("hefsmith[emulator]", "'hefsmith[emulator]'", '"hefsmith[emulator]"'),
        (r"C:\Users\J Doe\python.exe", r"'C:\Users\J Doe\python.exe'",
         r'"C:\Users\J Doe\python.exe"'),
        ("-m", "-m", "-m"),
    ],
)  # fmt: skip
def test_each_shell_has_its_quotes(word: str, posix: str, windows: str) -> None:
    assert quoted(word, windows=False) == posix
    assert quoted(word, windows=True) == windows


def test_a_wheel_with_an_extra_is_a_requirement_that_pip_reads() -> None:
    found = Installation("pip", PYTHON, "file:///dl/hefsmith-1-py3-none-any.whl")
    wanted = Requirement(shlex.split(install_command("store", found))[-1])
    assert wanted.extras == {"store"}
    assert wanted.url == "file:///dl/hefsmith-1-py3-none-any.whl"


def test_the_running_one_names_an_interpreter_that_is_there() -> None:
    python = this_installation().python
    assert Path(python).exists()


def test_every_extra_that_a_hint_names_is_one_of_the_project(repository: Path) -> None:
    import tomllib

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(EXTRA_OF.values()) <= set(project["project"]["optional-dependencies"])


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Missing())
from orchestrator.cli.app import run
sys.exit(run({arguments!r}))
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("PIL", ["calib", "check", "."]),
    ],
)
def test_a_command_that_needs_an_extra_names_it_in_one_line(
    module: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module, arguments=arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert module in done.stderr
    assert f"[{EXTRA_OF[module]}]" in done.stderr


@pytest.mark.parametrize("lacks", [(), ("torch",)])
def test_without_an_engine_the_local_one_is_named_with_what_it_needs(
    lacks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator import installation
    from orchestrator.engine import failures

    monkeypatch.setattr(installation, "missing_modules", lambda: lacks)
    needs = failures._what_local_needs()
    assert needs == (f", after\n{installation.install_command('emulator')}" if lacks else "")
