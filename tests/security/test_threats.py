"""SECURITY.md against the code: all that it names is there, and says the same."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from orchestrator.threats import THREATS, Threat, page

SOURCES = [one.source for one in THREATS]


@pytest.mark.parametrize("threat", THREATS, ids=SOURCES)
def test_what_enforces_a_row_is_there(threat: Threat) -> None:
    for name in threat.enforced:
        module, _, path = name.partition(":")
        found: object = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        assert callable(found), name


@pytest.mark.parametrize("threat", THREATS, ids=SOURCES)
def test_what_attacks_a_row_is_there(threat: Threat, repository: Path) -> None:
    assert threat.tests
    for name in threat.tests:
        file, _, function = name.partition("::")
        tree = ast.parse((repository / file).read_text(encoding="utf-8"))
        assert function in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, name


def test_each_row_of_the_page_names_what_enforces_and_what_attacks_it(repository: Path) -> None:
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    rows = text.partition("<!-- threats: start -->")[2].partition("<!-- threats: end")[0]
    sections = [one for one in rows.split("### ") if one.strip()]
    assert len(sections) == len(THREATS)
    for section, threat in zip(sections, THREATS, strict=True):
        for name in (*threat.enforced, *(one.partition("::")[2] for one in threat.tests)):
            assert f"`{name}`" in section, (threat.source, name)


def test_the_page_shows_the_table(repository: Path) -> None:
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m orchestrator.threats"
    assert all(one.enforced[0] in text for one in THREATS)
