"""The module for Python programs: its names, its types, and what it says to wrong values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import orchestrator
from orchestrator import Event, Project, api, processes
from orchestrator.errors import ConfigError

from . import conftest

PROGRAM = """
from orchestrator import BuildResult, CellResult, Event, MatrixResult, PlanResult, Project


def hear(event: Event) -> None:
    print(event.kind, event.stage)


def made(model: str) -> int:
    with Project(".", on_event=hear) as project:
        plan: PlanResult = project.plan(model)
        built: BuildResult = project.build(model, arch="hailo8l")
        many: MatrixResult = project.build_all(jobs=2)
        cell: CellResult = many.cells[0]
        print(plan.stages, built.hef.name, cell.status)
        return many.exit_code
"""


def test_every_stable_name_comes_from_the_package() -> None:
    for name in api.__all__:
        assert getattr(orchestrator, name) is getattr(api, name)
        assert name in orchestrator.__all__
    package = Path(str(orchestrator.__file__)).parent
    assert (package / "py.typed").is_file(), "a user's type checker would not look into it"


def test_a_users_program_passes_the_strict_type_checker(tmp_path: Path) -> None:
    checker = pytest.importorskip("mypy.api")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\n", encoding="utf-8")
    words = ["--strict", "--config-file", str(tmp_path / "mypy.ini")]
    out, err, code = checker.run([*words, str(tmp_path / "program.py")])
    assert code == 0, out + err


@pytest.mark.timeout(60)
@pytest.mark.parametrize("jobs", [0, -3])
def test_less_than_one_build_at_a_time_is_refused(project: conftest.Project, jobs: int) -> None:
    with Project() as opened, pytest.raises(ConfigError, match=f"jobs={jobs}"):
        opened.build_all(jobs=jobs)
    assert project.runs == []


def test_an_empty_name_is_not_the_only_model(project: conftest.Project) -> None:
    with Project() as opened, pytest.raises(ConfigError):
        opened.build("", arch="hailo8l")


def _left_by_a_killed_build(project: conftest.Project) -> Path:
    mine = processes.this_process()
    dead = replace(mine, start=f"{mine.start}1")
    folder = project.root / "artifacts/one" / f".hailo8l.building-{dead}.a1b2c3"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.usefixtures("project")
def test_what_a_killed_build_left_goes_with_the_next_command(project: conftest.Project) -> None:
    with Project() as opened:
        opened.build("one", arch="hailo8l")
        left = _left_by_a_killed_build(project)
        opened.build("one", arch="hailo8l")
    assert not left.exists(), "although the build was up to date"


def test_what_was_left_while_a_build_ran_goes_at_its_end(project: conftest.Project) -> None:
    left: list[Path] = []

    def killed_beside(event: Event) -> None:
        if event.stage == "evaluate" and not left:
            left.append(_left_by_a_killed_build(project))

    with Project(on_event=killed_beside) as opened:
        opened.build("one", arch="hailo8l")
    assert left
    assert not left[0].exists()
