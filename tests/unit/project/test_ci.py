"""The workflows that hef init --ci writes: their commands exist, and nothing runs unasked."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from orchestrator.cli.app import build_app, run
from orchestrator.project.ci import PLACES


@pytest.fixture(params=sorted(PLACES))
def workflow(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path]:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--ci", request.param]) == 0
    return request.param, tmp_path / PLACES[request.param]


def commands(text: str) -> list[list[str]]:
    found = []
    for line in re.findall(r"(?:run: |- |^ +)(hef [^\n]*)", text, re.MULTILINE):
        found.append(shlex.split(line.partition(" >")[0])[1:])
    return found


def test_every_command_in_it_is_one_of_ours(workflow: tuple[str, Path]) -> None:
    found = commands(workflow[1].read_text())
    assert {words[0] for words in found} == {"up", "build", "report"}
    for words in found:
        group: Any = typer.main.get_command(build_app(words))
        command = group.commands[words[0]]
        # Raises for an option that is not there.
        command.make_context(words[0], list(words[1:]), resilient_parsing=False)


def test_it_is_yaml_and_keeps_what_people_look_for(workflow: tuple[str, Path]) -> None:
    service, path = workflow
    document = yaml.safe_load(path.read_text())
    if service == "github":
        jobs = document["jobs"]
        assert set(jobs) == {"emulator", "suite"}
        assert jobs["suite"]["runs-on"] == ["self-hosted", "hailo"]
        assert "pull_request" in jobs["suite"]["if"], "no stranger's code on one's own machine"
        paths = [step.get("with", {}).get("path") for step in jobs["emulator"]["steps"]]
        assert any("report.html" in str(one) for one in paths)
    else:
        assert document["hefsmith:suite"]["tags"] == ["hailo"]
        assert "artifacts/**/report.html" in document["hefsmith:emulator"]["artifacts"]["paths"]
        assert "merge_request_event" in document["hefsmith:suite"]["rules"][0]["if"]
        never = [one for one in document["hefsmith:emulator"]["rules"] if one.get("when")]
        assert never == [{"if": "$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS", "when": "never"}]


def test_a_workflow_that_is_there_is_kept(
    workflow: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    service, path = workflow
    path.write_text("mine")
    assert run(["init", "--ci", service]) == 2
    assert path.read_text() == "mine"
    capsys.readouterr()
    assert run(["init", "--ci", service, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workflow"] == str(path)
    assert path.read_text() != "mine"


def test_a_service_that_is_not_known_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--ci", "jenkins"]) == 2
    assert "github, gitlab" in capsys.readouterr().err


#: What a stranger cannot choose: numbers, tokens and folders of the service itself.
HARMLESS = {
    "github.event.pull_request.number", "github.ref", "github.run_id", "github.token",
    "github.workspace",
}  # fmt: skip
OWN_VARIABLES = {
    "CI_API_V4_URL", "CI_MERGE_REQUEST_IID", "CI_PROJECT_DIR", "CI_PROJECT_ID",
    "HEFSMITH_COMMENT_TOKEN", "GITHUB_STEP_SUMMARY",
}  # fmt: skip


def test_no_name_of_a_branch_title_or_model_gets_into_a_shell_line(
    workflow: tuple[str, Path],
) -> None:
    text = workflow[1].read_text()
    assert set(re.findall(r"\$\{\{\s*(.*?)\s*\}\}", text)) <= HARMLESS
    scripts = [line for line in text.splitlines() if "$" in line and "if:" not in line]
    used = {name for line in scripts for name in re.findall(r"\$([A-Z_][A-Z0-9_]*)", line)}
    assert used <= OWN_VARIABLES
    assert "eval" not in text
    assert "pull_request_target" not in text, "a stranger's code with the project's own token"
    for words in commands(text):
        assert "--all" in words, "models are found by hef, not named in a shell"


def test_code_of_the_project_runs_where_the_machine_is_thrown_away_alone(
    workflow: tuple[str, Path],
) -> None:
    # A checkout has a remote: without the word of trust a factory would be refused there.
    document = yaml.safe_load(workflow[1].read_text())
    jobs = document.get("jobs", document)
    for name, job in jobs.items():
        settings = {**job.get("env", {}), **job.get("variables", {})}
        on_own_machine = "suite" in name
        assert ("HEFSMITH_TRUST" in settings) != on_own_machine, name
