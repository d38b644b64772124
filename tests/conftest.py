"""What every test shares: which tests run here, and where the shared HEF files are."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How quickly inputs are made says something about the machine's load, and nothing about the code.
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")

# Started in the background of a script, this process ignores Ctrl-C, and so would every program
# that it starts; the tests of Ctrl-C need one that listens.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Messages are tested in English, whatever the machine speaks.
os.environ["HEFSMITH_LANG"] = "en"

# Without it each program that a test starts would compile everything that it imports.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False

# Small networks: threads that wait for each other cost more than they give, most of all where
# several processes test on the same cores. What is the same whatever their number has its test.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Training asks for two all the same: on a busy machine they would burn the time of one that is
# not let run, waiting for it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ENGINE_TESTS = os.environ.get("HEFSMITH_TEST_ENGINE") == "1"
REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an engine unless it is switched on; then nothing may be skipped."""
    for item in items:
        # Twice is a failure. What is measured, the machine decides too, however turns are taken.
        if item.get_closest_marker("second_try") or item.get_closest_marker("bench"):
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


#: What shares an engine's images and its imported suite: tests in these folders, in one process.
SHARED = ("tests/integration/engine/", "tests/integration/suite/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each file to one process, as ``loadfile`` does, and all that shares an engine to one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "engine" if nodeid.startswith(SHARED) else nodeid.partition("::")[0]

    # Else the files with few tests come last, and those are the long ones.
    config.option.loadscopereorder = False
    return ByFile(config, log)


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until no other process runs a test, or only until none runs that must be alone."""
    import fcntl  # not on Windows, where the tests run in one process

    with (folder / "gate").open("w") as gate, (folder / "running").open("w") as running:
        # Whoever waits holds the gate, so that others cannot pass for ever.
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Let benchmarks run alone where the tests run in several processes."""
    del nextitem
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = Path(tempfile.gettempdir(), f"hefsmith-turns-{os.environ['PYTEST_XDIST_TESTRUNUID']}")
    folder.mkdir(exist_ok=True)
    with turn(folder, alone=item.get_closest_marker("bench") is not None):
        return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave the checkout: programs that tests start must import what is installed."""
    # What collecting made stays to the end: looking through all of it again and again was an
    # eighth of the time of the tests.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
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


_TESTS = itertools.count()


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own cache and data, never the user's; made when something is put there.

    Most tests of thousands keep nothing: a folder for each would cost more than they do.
    """
    monkeypatch.setenv("HEFSMITH_LANG", "en")
    own = tmp_path_factory.getbasetemp() / "own" / str(next(_TESTS))
    for variable, name in (("HEFSMITH_CACHE", "cache"), ("HEFSMITH_DATA", "data")):
        if variable not in os.environ:
            monkeypatch.setenv(variable, str(own / name))
