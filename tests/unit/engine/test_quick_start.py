"""A command loads what it needs and no more: that, not the machine, decides how quick it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hefsmith_worker.contract.layout import MANIFEST, SUMMARY

from orchestrator.cli import app as application
from orchestrator.cli.up import make_session

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 8, 8]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures}
"""

#: What a build that is up to date must find out without.
NEEDLESS = {
    "PIL", "asyncio", "asyncssh", "concurrent.futures", "cryptography", "docker", "filelock",
    "fsspec", "google", "hefsmith_worker.calibration", "hefsmith_worker.contract.events",
    "hefsmith_worker.graph",
    "hefsmith_worker.stages", "http.client", "jinja2", "logging", "multiprocessing",
    "numpy", "onnx", "onnxruntime", "paramiko", "plotly", "pydantic", "requests", "rich", "ssl",
    "torch", "unittest", "urllib3", "xxhash", "yaml",
}  # fmt: skip


def run_and_list(*arguments: str, folder: Path) -> tuple[str, set[str]]:
    """Run ``hef`` and return its standard error and the modules that it has loaded."""
    code = (
        "import sys; from orchestrator.cli.app import run; code = run(sys.argv[1:]);"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=folder, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, modules = done.stderr.rpartition("MODULES ")
    return said, set(modules.split())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one model whose build is there as the plan wants it."""
    folder = tmp_path / "models" / "net"
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE)
    (folder / "net.onnx").write_bytes(b"a network")
    for number in range(3):
        (folder / "pictures" / f"{number}.png").write_bytes(bytes([number]))
    monkeypatch.chdir(tmp_path)
    with make_session({"engine": "local"}) as session:
        loaded = session.recipe("net")
        plan, _, _ = session.plan(session.request(loaded, "hailo8l"))
        final = session.final_folder("net", "hailo8l")
    final.mkdir(parents=True)
    summary = {
        "model": "net", "arch": "hailo8l", "key": plan.key, "toolchain": plan.toolchain,
        "emulated": plan.emulated, "hef": plan.hef_name, "files": [], "stages": {}, "asked": {},
        "ran": {}, "findings": [],
    }  # fmt: skip
    (final / SUMMARY).write_text(json.dumps(summary))
    (final / MANIFEST).write_text(json.dumps({"subject": []}))
    return tmp_path


@pytest.mark.slow
def test_a_build_that_is_up_to_date_asks_nobody_and_loads_little(project: Path) -> None:
    command = ("build", "net", "--arch", "hailo8l", "--engine", "local")
    said, modules = run_and_list(*command, folder=project)
    assert said.count(": cached") == 7
    assert modules & NEEDLESS == set()
    assert len(modules) < 420
    # With Docker as the engine it is not asked either: there is none at this address.
    elsewhere = "unix:///nowhere/docker.sock"
    said, modules = run_and_list(*command[:-1], elsewhere, folder=project)
    assert said.count(": cached") == 7
    assert modules & NEEDLESS == set()


def test_an_input_that_changes_is_noticed(project: Path) -> None:
    with make_session({"engine": "local"}) as session:
        loaded = session.recipe("net")

        def to_run() -> tuple[str, ...]:
            plan, _, _ = session.plan(session.request(loaded, "hailo8l"))
            built = json.loads((session.final_folder("net", "hailo8l") / SUMMARY).read_text())
            return plan.to_run if plan.key != built["key"] else ()

        assert to_run() == ()
        (project / "models" / "net" / "pictures" / "1.png").write_bytes(b"\7")
        assert "calibrate" in to_run()


def test_a_named_command_loads_its_own_module_only(tmp_path: Path) -> None:
    _, modules = run_and_list("ps", folder=tmp_path)
    assert "orchestrator.cli.engine" in modules
    assert "orchestrator.cli.up" not in modules
    assert "pydantic" not in modules


def test_every_command_is_found_by_its_name_alone() -> None:
    for name in application.names_in(application.build_app()):
        app = application.build_app([name, "--help"])
        assert name in application.names_in(app)
        modules = {one.callback.__module__ for one in app.registered_commands if one.callback}
        assert len(modules) <= 1, f"{name} is looked for in {sorted(modules)}: add it to ELSEWHERE"


def test_the_package_itself_loads_nothing_and_its_way_in_little(tmp_path: Path) -> None:
    code = (
        "import sys, orchestrator; print(*sys.modules); orchestrator.Project; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    first, second = (set(line.split()) for line in done.stdout.splitlines())
    assert {name for name in first if name.startswith("orchestrator")} == {"orchestrator"}
    assert second & NEEDLESS == set()
    assert "orchestrator.pipeline.matrix.runner" not in second
