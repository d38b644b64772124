"""What one sees first: ``hef`` alone, long lines on a narrow screen, Ctrl-C before anything ran."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orchestrator.cli.app import build_app, run
from orchestrator.cli.beginning import next_steps
from orchestrator.cli.comparing import narrowed
from orchestrator.cli.output import fitted, print_result
from orchestrator.cli.summary import next_step, shortened


@pytest.mark.parametrize(
    ("models", "built", "first"),
    [
        ([], [], "hef init"),
        ([], ["digits"], "hef init"),
        (["waste"], [], "hef up waste"),
        (["waste"], ["digits"], "hef up waste"),
        (["a", "b"], ["a"], "hef up b"),
        (["a"], ["a"], "hef report a"),
    ],
)
def test_the_next_three_things_depend_on_what_is_here(
    models: list[str], built: list[str], first: str
) -> None:
    steps = next_steps(models, built)
    assert len(steps) == 3
    assert steps[0].command == first


def test_a_pi_that_is_known_is_not_to_be_added() -> None:
    for models in ([], ["waste"]):
        said = [step.command for step in next_steps(models, ["digits"], devices=["pi5"])]
        assert "hef doctor --device pi5" in said
        assert not any("device add" in command for command in said)


def test_hef_alone_says_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([]) == 0
    told = capsys.readouterr().out
    assert "hef init" in told
    assert "hef --help" in told
    (tmp_path / "hef.yaml").write_text("nonsense: 1\n")
    assert run([]) == 0
    assert "hef config show" in capsys.readouterr().out


def test_long_lines_are_broken_between_words_below_their_beginning() -> None:
    text = "verdict  passed: " + "the model works on the device and " * 4
    lines = fitted(text.rstrip(), 60).split("\n")
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    _, more = fitted("  hef device add       add your Pi, and many more words", 50).split("\n")
    assert more.startswith(" " * 23)
    # A number and its unit stay together.
    assert fitted("times    export 3.9 s, samples 2.0 s", 33).endswith("\n         2.0 s")


def test_a_long_title_leaves_room_for_what_goes_on_below_it() -> None:
    text = f"{'long_name_' * 6} for hailo8l  EMULATED: made without Hailo's compiler"
    assert fitted(text, 80).split("\n")[1].startswith("    EMULATED: made")


def test_a_narrow_screen_gets_short_names_of_steps() -> None:
    table = [["step", "top1"], ["parsed network (SDK_NATIVE)", "50.0%"]]
    assert shortened(table, 60) == shortened(table, None) == table
    assert shortened(table, 30)[1] == ["parsed network", "50.0%"]


def test_a_narrow_screen_gets_fewer_columns_of_a_history() -> None:
    head = ["build", "finished (UTC)", "chip", "top1", "float", "SNR (dB)", "level", "pictures"]
    rows = [[*head, "HEF", "verdict"], ["now", "2026-11-29 11:12:22", "hailo8l (emulated)"]]
    rows[1] += ["99.4%", "99.2%", "38.2", "1", "1024", "38 kB", "passed"]
    assert narrowed(rows, None) == narrowed(rows, 120) == rows
    narrow = narrowed(rows, 80)
    assert "pictures" not in narrow[0]
    assert [narrow[0][-1], narrow[1][-1]] == ["verdict", "passed"]
    assert len(narrow[0]) == len(narrow[1])


def test_a_path_stays_whole_and_colours_take_no_room() -> None:
    path = "/a/" + "b" * 90
    assert path in fitted(f"folder   {path}", 40).split("\n")[1]
    coloured = "\x1b[33m" + "word " * 11 + "end\x1b[0m"
    assert fitted(coloured, 60) == coloured


def test_after_passed_the_next_step_is_named() -> None:
    real = {"model": "waste", "emulated": False}
    assert next_step(real, {"device": "pi5"}).startswith("hef bundle waste")
    assert "hef device add" in next_step(real, {"device": "embedded"})
    assert "hef toolchain import" in next_step({**real, "emulated": True}, {"device": "embedded"})
    assert next_step(real, None).startswith("hef up waste")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_the_first_moment_is_no_traceback(tmp_path: Path) -> None:
    code = (
        "import signal, os, sys;"
        "import orchestrator.__main__ as m;"
        "os.kill(os.getpid(), signal.SIGINT);"
        "import time; time.sleep(60)"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted: nothing was begun"
    assert time.monotonic() - started < 45
    assert signal.SIGINT


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(argv: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.cli.app.build_app", stop)
    assert run(["up", "waste"]) == 130
    assert "finished stages are kept" in capsys.readouterr().err
    assert run(["doctor"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_no_line_of_the_list_of_commands_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    listed = told.partition("Commands:")[2]
    assert "reproduce" in listed
    assert "..." not in listed
    assert all(len(line) <= 80 for line in told.splitlines())


def test_what_a_list_of_commands_says_of_one_is_a_whole_sentence() -> None:
    def walk(command: Any, path: str) -> Iterator[str]:
        below = getattr(command, "commands", {})
        room = 80 - 6 - max((len(name) for name in below), default=0)
        for name, one in below.items():
            said = one.get_short_help_str(1000)
            if len(said) > room or said not in (one.help or "").replace("\n", " "):
                yield f"{path} {name}: {said}"
            yield from walk(one, f"{path} {name}")

    assert list(walk(get_command(build_app()), "hef")) == []


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_screen_gets_no_order_that_a_name_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may be called as it likes; what hef itself colours stays coloured."""
    text = "folder   /a/\x1b[2J\x1b]0;mine\x07\u202eb\n\x1b[32mpassed\x1b[0m\tü"
    screen, file = Screen(), StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    print_result(text, quoted=True)
    assert screen.getvalue() == (
        "folder   /a/\\x1b[2J\\x1b]0;mine\\x07\\u202eb\n\x1b[32mpassed\x1b[0m\tü\n"
    )
    monkeypatch.setattr("sys.stdout", file)
    print_result("/a/\x1b[2Jb", quoted=True)
    assert file.getvalue() == "/a/\x1b[2Jb\n", "a program gets the path as it is"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove a folder in use")
def test_a_folder_that_was_removed_around_the_shell_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was "No such file or directory", of nothing."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert run(["doctor"]) == 2
    finally:
        os.chdir(tmp_path)
    assert "the folder that this shell is in has been removed" in capsys.readouterr().err
