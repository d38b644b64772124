"""Several builds as one command, on an engine of trivial stages."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Event, Project
from orchestrator.cli.app import run
from orchestrator.errors import ConfigError

from . import conftest

pytestmark = pytest.mark.slow

FOUR = {("one", "hailo8l"), ("one", "hailo8"), ("two", "hailo8l"), ("two", "hailo8")}


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def statuses(found: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


def write(project: conftest.Project, matrix: str) -> None:
    (project.root / "hef.yaml").write_text(f"schema: 1\n{matrix}")


def test_all_builds_every_model_for_each_of_its_chips_and_shared_stages_once(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "build", "--all", "--jobs", "4")
    assert {(cell["model"], cell["arch"]) for cell in found["cells"]} == FOUR
    assert statuses(found) == {"built": 4}
    ran = Counter(line.split()[0] + " " + line.split()[1] for line in project.runs)
    assert ran["export one"] == ran["export two"] == 1
    assert ran["calibrate one"] == ran["calibrate two"] == 1
    assert ran["compile one"] == ran["compile two"] == 2
    assert statuses(document(capsys, "build", "--all")) == {"cached": 4}
    assert (project.root / "artifacts/one/hailo8/build.json").is_file()


def test_several_names_and_chips_are_a_matrix_too(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "build", "one", "two", "--arch", "hailo8l,hailo8r")
    assert [(cell["model"], cell["arch"]) for cell in found["cells"]] == [
        ("one", "hailo8l"), ("one", "hailo8r"), ("two", "hailo8l"), ("two", "hailo8r"),
    ]  # fmt: skip
    single = document(capsys, "build", "one", "--arch", "hailo8l")
    assert single["model"] == "one"
    assert found["cells"][0]["result"]["artifacts"] == single["artifacts"]


def test_parameter_sets_of_the_project_have_folders_of_their_own(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        project,
        "matrix:\n  models: one\n  arch: hailo8l\n  sets:\n    plain: {}\n"
        "    few: {calibration: {count: 2}}\n    level0: {optimization.level: 0}\n",
    )
    found = document(capsys, "build", "--all")
    assert [cell["set"] for cell in found["cells"]] == ["plain", "few", "level0"]
    folders = {Path(cell["result"]["folder"]).relative_to(project.root) for cell in found["cells"]}
    assert Path("artifacts/one/sets/few/hailo8l") in folders
    assert len({cell["result"]["hef"] for cell in found["cells"]}) == 3
    assert Counter(line.split()[0] for line in project.runs)["export"] == 1
    one = document(capsys, "build", "one", "--arch", "hailo8l", "--set", "few")
    assert one["asked_and_ran"]
    assert run(["build", "one", "--set", "fwe"]) == 2
    assert "plain, few, level0" in capsys.readouterr().err


def test_a_set_that_no_recipe_can_have_fails_its_cells_only(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        project,
        "matrix:\n  models: [one]\n  sets:\n    wrong: {optimization.levle: 2}\n    right: {}\n",
    )
    found = document(capsys, "build", "--all", code=2)
    assert statuses(found) == {"built": 2, "failed": 2}
    (error,) = {cell["error"]["message"] for cell in found["cells"] if cell["error"]}
    assert "levle" in error


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (
            "  sets: {Fast: {}, fast: {}}\n",
            "hef.yaml:3:9: matrix.sets: 'Fast' and 'fast' would share",
        ),
        ("  arch: [hailo8l, hailo9]\n", "hef.yaml:3:9: matrix.arch: no chip 'hailo9'"),
    ],
)
def test_a_matrix_that_cannot_be_is_told_with_its_line(
    project: conftest.Project, capsys: pytest.CaptureFixture[str], matrix: str, said: str
) -> None:
    write(project, f"matrix:\n{matrix}")
    assert run(["build", "--all"]) == 2
    assert said in capsys.readouterr().err


def test_a_chip_that_is_none_is_one_mistake_and_not_one_of_each_model(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", "--all", "--arch", "hailo9"]) == 2
    said = capsys.readouterr()
    assert said.err.count("no chip 'hailo9'") == 1
    assert said.out == ""


def test_a_failed_cell_costs_the_others_nothing(
    project: conftest.Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIVIAL_FAIL", "compile:hailo8")
    found = document(capsys, "build", "--all", "--jobs", "2", code=1)
    assert statuses(found) == {"built": 2, "failed": 2}
    assert {c["arch"] for c in found["cells"] if c["status"] == "failed"} == {"hailo8"}
    monkeypatch.delenv("TRIVIAL_FAIL")
    assert statuses(document(capsys, "build", "--all")) == {"built": 2, "cached": 2}


def test_the_table_for_a_change_tells_of_what_was_not_built(
    project: conftest.Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_FAIL", "compile")
    assert run(["build", "--all"]) == 1
    capsys.readouterr()
    assert run(["report", "--all", "--format", "md"]) == 0
    said = capsys.readouterr().out
    for model, arch in FOUR:
        assert f"| {model} {arch} | not built | - | - |" in said
    assert run(["report", "--all", "--format", "md", "--arch", "hailo8"]) == 0
    assert "hailo8l" not in capsys.readouterr().out


def test_cells_that_need_the_stage_that_failed_are_told_so_and_do_not_try(
    project: conftest.Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIVIAL_FAIL", "export")
    found = document(capsys, "build", "one", "--arch", "hailo8l,hailo8,hailo8r", code=1)
    assert statuses(found) == {"failed": 3}
    assert len([line for line in project.runs if line.startswith("export")]) == 1
    said = [cell["error"]["message"] for cell in found["cells"]]
    assert sum("needs the stage export that failed for one hailo8l" in one for one in said) == 2


def test_a_recipe_that_is_wrong_is_a_failed_cell_of_all_and_an_error_by_name(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "models/two/model.yaml").write_text("schema: 1\nsorce: {}\n")
    found = document(capsys, "build", "--all", code=2)
    assert statuses(found) == {"built": 2, "failed": 1}
    assert run(["build", "one", "two"]) == 2
    assert "sorce" in capsys.readouterr().err


def test_plain_lines_tell_which_build_and_how_far(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", "--all"]) == 0
    said = capsys.readouterr()
    assert re.search(r"\] one hailo8l: built in \d", said.err)
    assert "4 of 4 done" in said.err
    assert "4 builds: 4 built" in said.out
    assert "\x1b" not in said.out + said.err


def test_ctrl_c_stops_what_runs_and_the_next_command_goes_on(project: conftest.Project) -> None:
    process = project.start("build", "--all", "--json", "--jobs", "2", TRIVIAL_SECONDS="0.4")
    assert process.stderr is not None
    for line in process.stderr:
        if "calibrate: done" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    found = json.loads(out)
    assert found["counts"]["stopped"] == 4
    assert "Traceback" not in err
    first = Counter(line.split()[0] for line in project.runs)
    done = project.hef("build", "--all", "--json")
    assert done.returncode == 0, done.stderr
    assert Counter(line.split()[0] for line in project.runs)["export"] == max(first["export"], 2)
    assert not list((project.root / "artifacts/one").glob(".*.building-*"))


def test_eight_processes_on_one_recipe_make_each_stage_once(project: conftest.Project) -> None:
    words = ("build", "one", "--arch", "hailo8l,hailo8,hailo8r", "--jobs", "3", "--json")
    processes = [project.start(*words, TRIVIAL_SECONDS="0.1") for _ in range(8)]
    outcomes = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outcomes
    ran = Counter(line.replace(" one", "") for line in project.runs)
    stages = Counter(line.split()[0] for line in project.runs)
    assert set(ran.values()) == {1}, ran
    assert stages["export"] == 1
    assert stages["compile"] == 3


def test_python_gets_typed_results_and_events_of_every_cell(project: conftest.Project) -> None:
    events: list[Event] = []
    threads = set()

    def hear(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    with Project(".", on_event=hear) as opened:
        assert opened.models == ("one", "two")
        assert opened.archs("one") == ("hailo8l", "hailo8")
        planned = opened.plan("one", "hailo8l")
        assert planned.stages["export"] == "run"
        built = opened.build("one", arch="hailo8l")
        assert built.hef.is_file()
        assert built.cached is False
        assert built.digests["model.onnx"]
        assert opened.build("one", arch="hailo8l").cached
        with pytest.raises(ConfigError, match="several chips"):
            opened.build("one")
        many = opened.build_all(archs=["hailo8l"])
    assert [cell.status for cell in many.cells] == ["cached", "built"]
    assert many.ok
    assert {event.model for event in events if event.kind == "finished"} == {"one", "two"}
    assert any(event.kind == "cached" and event.stage == "compile" for event in events)


def test_a_callback_that_raises_costs_no_build(project: conftest.Project) -> None:
    def hear(event: Event) -> None:
        raise RuntimeError("mine")

    with Project(on_event=hear) as opened, pytest.warns(RuntimeWarning, match="mine"):
        assert opened.build("one", "hailo8l").hef.is_file()


def test_fresh_makes_each_stage_once_more_and_no_more(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        project,
        "matrix:\n  models: one\n  sets: {plain: {}, same: {}, few: {calibration.count: 2}}\n",
    )
    document(capsys, "build", "--all", "--jobs", "3")
    # By stage only: which of the cells makes one that they share is not said.
    once = Counter(line.split()[0] for line in project.runs)
    # Two sets that differ, for two chips; a set that is another's twin makes nothing.
    assert once == {
        "export": 1, "samples": 1, "calibrate": 2, "parse": 2,
        "optimize": 4, "compile": 4, "evaluate": 4,
    }  # fmt: skip
    first = document(capsys, "build", "--all", "--jobs", "3", "--fresh")
    twice = Counter(line.split()[0] for line in project.runs)
    assert twice == {stage: count * 2 for stage, count in once.items()}
    assert twice["export"] == 2
    assert first["exit_code"] == 0
