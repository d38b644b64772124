"""What is sent to a device runs on Python 3.9 with nothing but the standard library."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.device.agent import PARTS
from orchestrator.device.agent_boot import agent_command, agent_payload
from orchestrator.device.agent_client import MAGIC, SLOWEST

REPOSITORY = Path(__file__).resolve().parents[3]

FOLDER = REPOSITORY / "orchestrator" / "device" / "agent"

#: Names and keywords that came after 3.9: a linter likes to put them in.
TOO_NEW = {"pairwise", "removesuffix_", "aclosing", "timeout_at", "UTC", "StrEnum", "Self"}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_python_3_9_and_imports_the_standard_library_only(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [] if node.level else [str(node.module).split(".")[0]]
            assert not {alias.name for alias in node.names} & TOO_NEW
        else:
            modules = []
        assert set(modules) <= set(sys.stdlib_module_names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
            assert not node.keywords, f"line {node.lineno}: zip(strict=) is new in 3.10"
        assert not isinstance(node, ast.Match)


@pytest.mark.parametrize("name", PARTS)
def test_unions_with_a_bar_are_in_annotations_only(name: str) -> None:
    """``X | None`` is evaluated nowhere: annotations are text by the future import."""
    text = (FOLDER / f"{name}.py").read_text()
    assert "from __future__ import annotations" in text
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("isinstance", "issubclass", "cast"):
            assert not any(isinstance(argument, ast.BinOp) for argument in node.args)


def test_the_command_line_that_starts_the_agent_is_short_enough_for_any_shell() -> None:
    assert len(agent_command("python3")) < 4096
    # About six seconds at the slowest rate that is waited for end by the keepalive.
    assert len(agent_payload()) < 4 * SLOWEST


def test_the_command_line_that_starts_the_agent_is_one_that_csh_and_fish_take() -> None:
    """csh ends a quoted word at the end of its line and replaces what follows a ``!``."""
    program, isolated, flag, code = shlex.split(agent_command("python3"))
    assert (program, isolated, flag) == ("python3", "-I", "-c")
    assert not set(code) & set("\n\\'!")


@pytest.mark.parametrize("lost", [0, 1, 500])
def test_what_lost_its_beginning_on_the_way_is_not_run(lost: int) -> None:
    """A ``read`` in ~/.bashrc takes the first bytes; a device may wait for those that lack."""
    words = [sys.executable, *shlex.split(agent_command("python3"))[1:]]
    done = subprocess.run(words, input=agent_payload()[lost:], capture_output=True, check=False)
    assert done.stdout.startswith(b"HEFSMITH-PYTHON 3.")
    assert (MAGIC in done.stdout) == (lost == 0)
    assert not done.stderr


def test_a_file_system_that_takes_nothing_is_no_question_of_rights() -> None:
    """A Pi's card that fails is mounted read-only by the kernel."""
    import errno

    from orchestrator.device.agent.files import as_refusal
    from orchestrator.device.agent_client import refusal
    from orchestrator.device.replies import Refusal

    answer = as_refusal(OSError(errno.EROFS, "Read-only file system", "/home/pi/.hefsmith")).answer
    told = refusal("pi5", Refusal(error=answer["error"], message=answer["message"]))
    assert told.message == "pi5: /home/pi/.hefsmith: Read-only file system"
    assert "overlay file system" in str(told.hint)
    assert "rights" not in str(told.hint)
    assert as_refusal(OSError(errno.EACCES, "Permission denied")).answer["error"] == "os"


@pytest.mark.parametrize(
    ("number", "words"),
    [("EEXIST", "ls -ld ~/.hefsmith"), ("ENOTDIR", "ls -ld"), ("EIO", "dmesg --human")],
)
def test_a_folder_that_is_none_and_a_disk_that_fails_are_no_question_of_rights(
    number: str, words: str
) -> None:
    """``~/.hefsmith`` may be a link to a stick that is not in."""
    import errno

    from orchestrator.device.agent.files import as_refusal
    from orchestrator.device.agent_client import refusal
    from orchestrator.device.replies import Refusal

    answer = as_refusal(OSError(getattr(errno, number), "no", "/home/pi/.hefsmith")).answer
    told = refusal("pi5", Refusal(error=answer["error"], message=answer["message"]))
    assert words in str(told.hint)


def test_the_disk_that_is_measured_is_that_of_the_releases(tmp_path: Path) -> None:
    from orchestrator.device.agent.facts import read_disk

    root = tmp_path / ".hefsmith"
    assert read_disk(tmp_path, root)["folder"] == str(tmp_path)
    assert read_disk(tmp_path, root)["free"] > 0
    root.symlink_to(tmp_path / "stick")
    assert read_disk(tmp_path, root)["refuses"] == "no_folder"
    (tmp_path / "stick").mkdir()
    assert read_disk(tmp_path, root)["refuses"] is None
    assert read_disk(tmp_path, root)["folder"] == str(root)
    root.unlink()
    root.write_text("mine")
    assert read_disk(tmp_path, root)["refuses"] == "no_folder"
    if os.geteuid() != 0:
        root.unlink()
        root.mkdir(mode=0o500)
        assert read_disk(tmp_path, root)["refuses"] == "rights"
