"""What every family of attacks shares: who counts them, and a project of a stranger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


class Tally:
    """Counts the attacks of a family and those that were lost (did what they wanted)."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.tried = 0
        self.lost: list[str] = []

    def held(self, attack: str, held: bool) -> None:
        """Count one attack; ``held``: it did not get what it wanted."""
        self.tried += 1
        if not held:
            self.lost.append(attack)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Count a test's attacks; one that is lost fails it, and so does a test without any."""
    found = Tally(request.node.name)
    yield found
    print(f"{found.family}: {found.tried} tried, {len(found.lost)} lost")
    assert found.tried
    assert not found.lost, found.lost


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder as a clone of a stranger's would be: models/ and calib/."""
    root = tmp_path / "clone"
    (root / "models").mkdir(parents=True)
    (root / "calib").mkdir()
    return root
