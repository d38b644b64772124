"""What a screen proposes as the next command is there, and runs as it is printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.journey import proposals


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32",
    reason="hints are quoted for PowerShell there; these are split as a POSIX shell does",
)
@pytest.mark.timeout(600)
def test_proposed_commands_run_as_printed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.journey import situations

    short = situations.situations(situations.Makers(tmp_path / "makers"), long=False)
    done = proposals.walk(short, tmp_path)
    assert [(one.situation, one.command, one.wrong) for one in done if one.wrong] == []
    typed = {one.command for one in done if one.step is not None and one.after}
    # They were really found, the quoted one and that of a file too.
    assert {"hef init", "hef doctor", "hef init --weights 'waste net.pt'"} <= typed
    assert {"hef up digits", "hef init --weights whole.pt"} <= {one.command for one in done}
    assert len(done) > 15


@pytest.mark.parametrize(
    ("screen", "commands"),
    [
        ("next: hef up waste\n", ["hef up waste"]),
        ("hint:  Make one with: hef build waste\n", ["hef build waste"]),
        ("       or for that one: hef init --onnx 'a b.onnx'\n", ["hef init --onnx 'a b.onnx'"]),
        ("  fix: hef doctor (what is missing), or hef up --gpu off.\n",
         ["hef doctor", "hef up --gpu off"]),
        ("hef is what it is, and hefsmith too; hef needs Python\n", []),
        ("/usr/bin/hef up\n", []),
        ("no Pi is known; hef device add makes one known\n", []),
        ("--force replaces it; hef up waste builds it\n", ["hef up waste"]),
    ],
)  # fmt: skip
def test_commands_are_read_from_sentences(screen: str, commands: list[str]) -> None:
    assert proposals.commands_in(screen) == commands


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("hef device add pi USER@HOST", ""),
        ("hef up waste --device pi --json", ""),
        ("hef up --help", ""),
        ("hef up waste --devise pi", "devise"),
        ("hef nothing", "nothing"),
        ("hef device nothing", "nothing"),
        ("hef bundle a b c", "unexpected"),
    ],
)
def test_words_are_checked_without_running_anything(command: str, wrong: str) -> None:
    found = proposals.parse(command)
    assert (wrong in found and bool(found)) if wrong else found == ""
