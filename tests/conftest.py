"""What every test shares: which tests run here, and where the shared HEF files are."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How quickly inputs are made says something about the machine's load, and nothing about the code.
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")

# Started in the background of a script, this process ignores Ctrl-C, and so would every program
# that it starts; the tests of Ctrl-C need one that listens.
signal.signal(signal.SIGINT, signal.default_int_handler)

ENGINE_TESTS = os.environ.get("HEFSMITH_TEST_ENGINE") == "1"
REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an engine unless it is switched on; then nothing may be skipped."""
    for item in items:
        # Twice is a failure.
        if item.get_closest_marker("second_try") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))
    if ENGINE_TESTS:
        return
    wanted, left_out = [], []
    for item in items:
        special = item.get_closest_marker("engine") or item.get_closest_marker("bench")
        (left_out if special else wanted).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = wanted


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave the checkout: programs that tests start must import what is installed."""
    os.chdir(tempfile.mkdtemp(prefix="hefsmith-tests-"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that holds these tests."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_hefs() -> Path:
    """Folder with HEF files and the vendor tool's answers (``HEFSMITH_SHARED``)."""
    root = Path(os.environ.get("HEFSMITH_SHARED", REPOSITORY.parent / "shared"))
    folder = root / "hefs"
    if not folder.is_dir():
        if ENGINE_TESTS:
            pytest.fail(f"{folder} is missing; set HEFSMITH_SHARED")
        pytest.skip(f"{folder} is missing; set HEFSMITH_SHARED")
    return folder


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own cache, data and home, never the user's."""
    for variable, name in (("HEFSMITH_CACHE", "cache"), ("HEFSMITH_DATA", "data")):
        if variable not in os.environ:
            monkeypatch.setenv(variable, str(tmp_path / name))
