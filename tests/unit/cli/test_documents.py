"""Every command and option that the documents name is one that the program has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orchestrator.cli.app import build_app

ROOT = Path(__file__).parents[3]
DOCUMENTS = (
    *("README.md", "README.pt-BR.md", "CONTRIBUTING.md", "SECURITY.md"),
    *sorted(one.relative_to(ROOT).as_posix() for one in (ROOT / "docs").rglob("*.md")),
)


def lines_with_commands(text: str) -> list[str]:
    """Return what stands in code: lines of blocks, and words between backticks."""
    blocks = re.findall(r"```(?:sh|powershell)?\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line for block in blocks for line in block.splitlines()] + inline
    return [line.partition("  #")[0].strip() for line in lines if re.match(r"\s*hef( |$)", line)]


def check(words: list[str], command: Any) -> str | None:
    """Return what is wrong with a command line, ``None`` when it could be run."""
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    known = {text for param in command.params for text in (*param.opts, *param.secondary_opts)}
    for word in words:
        if word == "--":
            break
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known | {"--help"}:
            return f"no option {word}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_of_the_documents_exist(repository: Path, document: str) -> None:
    lines = lines_with_commands((repository / document).read_text(encoding="utf-8"))
    assert document not in ("README.md", "docs/devices.md") or len(lines) > 8
    root = get_command(build_app())
    wrong = []
    for line in lines:
        # A cell of a table may show what can be left out: `hef doctor [--device NAME]`.
        plain = line.replace("[", "").replace("]", "")
        problem = check(shlex.split(plain)[1:], root)
        if problem is not None:
            wrong.append(f"{line}: {problem}")
    assert not wrong


@pytest.mark.parametrize("line", ["hef shp digits", "hef ship digits --devices pi5"])
def test_the_check_finds_what_is_wrong(line: str) -> None:
    assert check(shlex.split(line)[1:], get_command(build_app())) is not None


def test_links_between_the_documents_lead_somewhere(repository: Path) -> None:
    for document in DOCUMENTS:
        path = repository / document
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            # docs/reference is made with the site, whose build checks the links into it.
            made = "reference/" in target
            assert made or (path.parent / target).exists(), (document, target)
