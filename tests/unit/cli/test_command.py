"""The command itself: quick to start, one message for a mistake, the exit codes of the design."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import app as application

pytestmark = pytest.mark.slow

#: What `hef --help` must not load: each costs more than the whole of it.
HEAVY = (
    "asyncio",
    "asyncssh",
    "docker",
    "google.protobuf",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "pydantic",
    "rich",
    "torch",
    "yaml",
)


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    code = (
        "import sys; from orchestrator.cli.app import run; code = run(sys.argv[1:]);"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={**os.environ, "HEFSMITH_CACHE": str(folder / "cache")},
    )
    assert "MODULES" in done.stderr, done.stderr
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    modules = loaded_by("--help", folder=tmp_path)
    assert not modules.intersection(HEAVY)


def test_help_of_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for path in commands():
        assert application.run([*path, "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "Example: hef " in text or "Commands:" in text, " ".join(path)


def commands() -> list[list[str]]:
    """Every command and group, from the help pages themselves."""
    found: list[list[str]] = []
    pending: list[list[str]] = [[]]
    while pending:
        path = pending.pop()
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *path, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        if path:
            found.append(path)
        if "\nCommands:\n" in done.stdout:
            listed = done.stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
            for line in listed.splitlines():
                if line.startswith("  ") and line[2:3].strip():
                    pending.append([*path, line.split()[0]])
    return found


def hef(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={**os.environ, "HEFSMITH_CACHE": str(folder / "cache"), **environ},
    )


def test_an_unknown_model_is_one_message_and_exit_2(tmp_path: Path) -> None:
    done = hef("up", "digitz", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "error: no model 'digitz'" in done.stderr
    assert "Did you mean digits?" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_a_json_document_when_asked(tmp_path: Path) -> None:
    done = hef("up", "digitz", "--json", folder=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "recipe.missing"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in hef("--debug", "up", "digitz", folder=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "digits", "--arch", "hailo9"), "no chip 'hailo9'"),
        (("up", "digits", "--engine", "local", "--memory", "much"), "is not a size"),
        (("build", "digits", "--toolchain", "nosuch"), "nosuch"),
        (("up", "--gpu", "maybe"), "gpu is one of auto, on, off"),
        (("nonsense",), "No such command"),
        (("up", "--nonsense"), "No such option"),
    ],
)
def test_wrong_usage_is_exit_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    model = tmp_path / "models" / "digits"
    model.mkdir(parents=True)
    done = hef(*arguments, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_engine_that_is_not_there_is_exit_3(tmp_path: Path) -> None:
    done = hef("up", "digits", "--engine", f"unix://{tmp_path}/absent.sock", folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


def test_settings_show_their_origin(tmp_path: Path) -> None:
    (tmp_path / "hef.yaml").write_text("engine: local\n", encoding="utf-8")
    done = hef("config", "show", "--json", folder=tmp_path, HEFSMITH_GPU="off")
    settings = json.loads(done.stdout)["settings"]
    assert settings["engine"]["value"] == "local"
    assert settings["engine"]["origin"].endswith("hef.yaml:1:9")
    assert settings["gpu"] == {"value": "off", "origin": "HEFSMITH_GPU"}


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m orchestrator --help | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "Traceback" not in done.stderr


def test_what_the_system_refuses_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").write_text("in the way")
    (tmp_path / "hef.yaml").write_text("strict: false\n")
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    command = ["init", "net", "--torch", "net.py:build", "--weights", "net.safetensors", "--no-run"]
    (tmp_path / "net.py").write_text("def build(): ...\n")
    assert application.run(command) == 2
    told = capsys.readouterr().err
    assert "models" in told
    assert "A file stands where a folder is needed." in told
    monkeypatch.setenv("HEFSMITH_DEBUG", "")  # --debug sets it, and it must not stay
    with pytest.raises(NotADirectoryError):
        application.run(["--debug", *command])


def test_a_new_command_is_a_module_and_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe of CONTRIBUTING: ``register(app)`` in a module, its name in COMMAND_MODULES."""
    from types import ModuleType

    import typer

    from orchestrator.cli import app as application

    module = ModuleType("orchestrator.cli.polish")

    def register(app: typer.Typer) -> None:
        @app.command(epilog="Example: hef polish net")
        def polish(model: str) -> None:
            """Polish a model."""
            typer.echo(f"polished {model}")

    module.register = register  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "orchestrator.cli.polish", module)
    monkeypatch.setattr(application, "COMMAND_MODULES", (*application.COMMAND_MODULES, "polish"))
    assert application.run(["polish", "net"]) == 0
    assert application.run(["--help"]) == 0
    assert application.run(["polish", "--help"]) == 0
    said = capsys.readouterr().out
    assert "polished net" in said
    assert "Polish a model." in said
    assert "Example: hef polish net" in said


def test_every_command_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    from orchestrator.cli import app as application

    names = sorted(application.names_in(application.build_app()))
    assert len(names) > 25
    without = []
    for name in names:
        assert application.run([name, "--help"]) == 0
        said = capsys.readouterr().out
        if "Example" not in said and "Commands:" not in said:
            without.append(name)
    assert without == []
