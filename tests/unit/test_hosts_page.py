"""The table of what differs between systems: its pointers lead somewhere, its facts are kept."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.diagnose.doctor.checks_host import check_case
from tests.unit.diagnose.test_doctor import LINUX, MAC, WINDOWS

COLUMNS = ("Windows", "WSL 2", "macOS, Intel", "macOS, Apple silicon")


@dataclass(frozen=True)
class Row:
    what: str
    systems: tuple[str, ...]
    decided: str
    tested: str


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of the table of differences."""
    lines = iter(text.splitlines())
    heading = next(line for line in lines if line.startswith("| what |"))
    assert tuple(one.strip() for one in heading.split("|")[2:6]) == COLUMNS
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        cells = [one.strip() for one in line.strip("|").split("|")]
        yield Row(cells[0], tuple(cells[1:5]), cells[5].strip("`"), cells[6].strip("`"))


def named(repository: Path, pointer: str) -> bool:
    """Tell whether ``file:name`` is a function or a class of that file."""
    file, _, name = pointer.partition(":")
    path = repository / file
    if not path.is_file():
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == name for node in body)


@pytest.fixture
def table(repository: Path) -> tuple[Row, ...]:
    return tuple(rows((repository / "docs/hosts.md").read_text(encoding="utf-8")))


def test_every_row_leads_to_its_function_and_its_test(
    table: tuple[Row, ...], repository: Path
) -> None:
    assert len(table) > 30
    assert not [row.what for row in table if not all(row.systems)]
    lost = [
        pointer
        for row in table
        for pointer in (row.decided, row.tested)
        if not named(repository, pointer)
    ]
    assert lost == []
    assert all(Path(row.tested.partition(":")[0]).parts[0] == "tests" for row in table)
    assert not named(repository, "orchestrator/files.py:no_such"), "the check can fail"


#: Where code asks which system it is on. A new place is a new row.
ASKS = re.compile(
    r"os\.name ==|os\.name !=|sys\.platform (?:==|!=)|platform\.system\(\) ==|"
    r"\.system == \"|hasattr\((?:os|signal|socket), "
)

#: Files that ask, and the words of a row that says so.
ASKING = {
    "orchestrator/__main__.py": "Ctrl-C",
    "orchestrator/cli/app.py": "Ctrl-C",
    "orchestrator/cli/summary.py": "characters of a console",
    "orchestrator/device/agent/agent.py": "how a job is stopped",
    "orchestrator/device/agent/store.py": "link to the current release",
    "orchestrator/device/agent/files.py": "link to the current release",
    "orchestrator/device/agent/facts.py": "programs of the device",
    "orchestrator/device/agent/work.py": "programs of the device",
    "orchestrator/device/embedded.py": "programs of the device",
    "orchestrator/diagnose/doctor/checks_host.py": "AVX",
    "orchestrator/engine/choose.py": "who listens",
    "orchestrator/engine/client.py": "engine's socket",
    "orchestrator/engine/launch.py": "owner of results",
    "orchestrator/engine/local.py": "user and host",
    "orchestrator/engine/local_job.py": "how a job is started",
    "orchestrator/engine/owner.py": "user and host",
    "orchestrator/engine/process.py": "how a job is stopped",
    "orchestrator/engine/process_watch.py": "whether a process lives",
    # Slower, with the same result.
    "orchestrator/engine/results.py": "-",
    "orchestrator/engine/sandbox.py": "limits of a metric",
    "orchestrator/engine/starting.py": "words when no engine",
    "orchestrator/files.py": "files that are open",
    "orchestrator/installation.py": "how commands are quoted",
    "orchestrator/pipeline/start/code.py": "how commands are quoted",
    "orchestrator/pipeline/metric_program.py": "limits of a metric",
    "orchestrator/pipeline/sharing/objects.py": "drive letters",
    "orchestrator/pipeline/matrix/capacity.py": "memory for builds side by side",
    "orchestrator/processes.py": "whether a process lives",
    "orchestrator/project/trust.py": "mark of a downloaded file",
    "docker/worker/hefsmith_worker/calibration/pool.py": "-",
    # Asks inside a container, whose system is Linux.
    "docker/worker/hefsmith_worker/contact.py": "-",
    "docker/worker/hefsmith_worker/guard.py": "folders that the engine sees",
    "docker/worker/hefsmith_worker/supervisor.py": "how a job is stopped",
}


def test_code_that_asks_for_the_system_has_a_row(table: tuple[Row, ...], repository: Path) -> None:
    found = {
        path.relative_to(repository).as_posix()
        for room in ("orchestrator", "docker/worker")
        for path in (repository / room).rglob("*.py")
        if "/jobs/" not in path.as_posix() and ASKS.search(path.read_text(encoding="utf-8"))
    }
    assert found - ASKING.keys() == set(), "say in docs/hosts.md what differs there"
    assert ASKING.keys() - found == set(), "asks no more"
    said = [row.what for row in table]
    assert not [
        word for word in ASKING.values() if word != "-" and not any(word in one for one in said)
    ]


def test_names_that_differ_in_case_are_noticed_where_they_are_one() -> None:
    from dataclasses import replace

    for facts in (WINDOWS, MAC):
        finding = check_case(replace(facts, case_sensitive=False))
        assert finding is not None
        assert "ignore upper and lower case" in finding.message
    assert check_case(replace(LINUX, case_sensitive=True)) is None
    assert check_case(replace(LINUX, case_sensitive=None)) is None, "what is not known is not said"


@pytest.mark.parametrize("system", ["macos.MacOS", "unix.Unix"])
def test_places_of_a_user_are_those_of_the_system(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What platformdirs knows of a system is taken, unless a variable says otherwise."""
    import platformdirs

    from orchestrator import paths

    module, _, name = system.partition(".")
    there = getattr(importlib.import_module(f"platformdirs.{module}"), name)
    monkeypatch.setattr(platformdirs, "PlatformDirs", there)
    for variable in ("HEFSMITH_CACHE", "HEFSMITH_DATA"):
        monkeypatch.delenv(variable, raising=False)
    assert str(paths.user_cache()) == there("hefsmith", appauthor=False).user_cache_dir
    assert str(paths.user_data()) == there("hefsmith", appauthor=False).user_data_dir
    monkeypatch.setenv("HEFSMITH_CACHE", "elsewhere")
    assert paths.user_cache() == Path("elsewhere")


def test_a_download_is_known_by_the_mark_of_its_system(tmp_path: Path) -> None:
    """NTFS opens a stream by ``name:stream``; other systems take that for a file's name."""
    from orchestrator.project.trust import downloaded

    code = tmp_path / "net.py"
    code.write_text("x = 1\n")
    assert not any(downloaded(code, system) for system in ("win32", "darwin", "linux"))
    (tmp_path / "net.py:Zone.Identifier").write_text("[ZoneTransfer]\r\nZoneId=3\r\n")
    assert downloaded(code, "win32")
    assert not downloaded(code, "linux")


HIDE = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name == "resource":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
sys.modules.pop("resource", None)
sys.platform = "win32"
from orchestrator.pipeline import metric_program
metric_program.limit()
print("ran")
"""


def test_a_metric_runs_where_there_are_no_limits() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ran\n", done.stderr


def test_a_system_that_hides_its_memory_is_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.pipeline.matrix import capacity

    facts = tmp_path / "meminfo"
    facts.write_text("MemTotal: 9 kB\nMemAvailable: 4000 kB\n")
    assert capacity.free_memory(facts) == int(4000 * 1024 * capacity.SHARE)
    monkeypatch.setattr("sys.platform", "win32")
    assert capacity.free_memory(tmp_path / "none") is None
