"""The module for Python programs: its names, its types, and what it says to wrong values."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import orchestrator
from orchestrator import Event, Project, api, processes
from orchestrator.errors import ConfigError

from . import conftest

pytestmark = pytest.mark.slow

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


@pytest.mark.timeout(180)
@pytest.mark.parametrize("jobs", [0, -3])
def test_less_than_one_build_at_a_time_is_refused(project: conftest.Project, jobs: int) -> None:
    with Project() as opened, pytest.raises(ConfigError, match=f"jobs={jobs}"):
        opened.build_all(jobs=jobs)
    assert project.runs == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"model": 3}, "model is a name, not 3"),
        ({"model": "one", "arch": ["hailo8"]}, "arch is a name, not \\['hailo8'\\]"),
    ],
)
def test_what_is_no_name_is_said(project: conftest.Project, words: Any, said: str) -> None:
    with Project() as opened, pytest.raises(TypeError, match=said):
        opened.build(**words)


def test_one_name_stands_for_a_list_of_one(project: conftest.Project) -> None:
    with Project() as opened:
        cells = opened.cells("one", "hailo8")
        assert [cell.name for cell in cells] == ["one hailo8"]
        assert [cell.name for cell in opened.cells(["one"], "hailo8l,hailo8")] == [
            "one hailo8l", "one hailo8",
        ]  # fmt: skip
        with pytest.raises(TypeError, match="each of models is a name, not None"):
            opened.cells([None])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="jobs is a whole number"):
            opened.run_cells(cells, jobs=1.5)  # type: ignore[arg-type]


def test_a_project_is_a_folder_that_is_there(project: conftest.Project) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        Project(project.root / "typo")
    with pytest.raises(TypeError, match="on_event is a function"):
        Project(on_event=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="say engine there"):
        Project(options=api.Options(), engine="local")


def test_options_are_the_same_by_name_and_as_one() -> None:
    named, one = get_type_hints(api.OptionWords), get_type_hints(api.Options)
    assert named == {field.name: one[field.name] for field in fields(api.Options)}


def test_a_loop_that_runs_already_is_no_obstacle(project: conftest.Project) -> None:
    # As in a notebook: builds are called from a running loop, and from its threads at once.
    async def use() -> list[bool]:
        with Project() as opened:
            opened.build("one", arch="hailo8l")
            calls = (asyncio.to_thread(opened.build, "two", arch) for arch in ("hailo8", "hailo8l"))
            return [built.hef.is_file() for built in await asyncio.gather(*calls)]

    assert asyncio.run(use()) == [True, True]


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
