"""The pages: the site builds with all its links, and the Portuguese ones keep in step."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.app import build_app, names_in
from tests.unit.test_house import REPOSITORY

DOCS = REPOSITORY / "docs"

#: Pages that exist twice; the English one is the measure.
TRANSLATED = {
    "index": (DOCS / "index.md", DOCS / "pt-BR" / "index.md"),
    "tutorial": (DOCS / "tutorial.md", DOCS / "pt-BR" / "tutorial.md"),
    "readme": (REPOSITORY / "README.md", REPOSITORY / "README.pt-BR.md"),
}


def blocks(page: Path, *kinds: str) -> list[str]:
    """Return the code blocks of a page, of some kinds or of all."""
    found = re.findall(
        r"^```(\w*)[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [text for kind, text in found if not kinds or kind in kinds]


@pytest.mark.slow
def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "tutorial/index.html", "reference/cli/index.html"} <= pages
    text = (tmp_path / "site/reference/cli/index.html").read_text()
    assert "hef deploy" in text
    keys = (tmp_path / "site/reference/fields/index.html").read_text()
    assert "preprocessing.normalize" in keys
    assert "devices.NAME.host" in keys
    assert "ultralytics-classify" in keys
    found = (tmp_path / "site/reference/findings/index.html").read_text()
    assert "calib.normalised-twice" in found
    failures = (tmp_path / "site/reference/failures/index.html").read_text()
    assert "K01" in failures
    assert "{layer" not in failures


@pytest.mark.parametrize("name", TRANSLATED)
def test_translations_have_the_same_parts_and_commands(name: str) -> None:
    english, other = (page.read_text("utf-8") for page in TRANSLATED[name])
    assert blocks(TRANSLATED[name][0]) == blocks(TRANSLATED[name][1])
    parts = [re.findall(r"^(#+ (?:\d\.)?)", text, re.MULTILINE) for text in (english, other)]
    assert parts[0] == parts[1]
    # What stands between backticks is typed or read on the screen: it is the same in both.
    commands = [set(re.findall(r"`(hef [^`]+)`", text)) for text in (english, other)]
    assert commands[0] == commands[1]
    # The same pages are linked, from one folder further down.
    links = [
        {path.rpartition("/")[2] for path in re.findall(r"\]\(([^):]+\.md)", text)}
        for text in (english, other)
    ]
    assert {*links[0]} - {"README.pt-BR.md"} <= links[1]
    rows = [re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE) for text in (english, other)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "page",
    [*sorted(REPOSITORY.glob("README*.md")), *sorted(DOCS.rglob("*.md"))],
    ids=lambda page: page.name,
)
def test_pages_name_commands_that_there_are(page: Path) -> None:
    known = names_in(build_app())
    words = set(re.findall(r"^(?:\w+=\S+ )?hef ([a-z]+)", "\n".join(blocks(page)), re.MULTILINE))
    words |= set(re.findall(r"`hef ([a-z]+)[ `]", page.read_text("utf-8")))
    assert words <= known, words - known
