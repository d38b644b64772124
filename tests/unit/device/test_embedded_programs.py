"""The programs of the device in our own process, also where scripts are no programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.device.agent.work import Job
from orchestrator.device.embedded import launchers


def test_elsewhere_python3_is_the_interpreter_that_runs_us() -> None:
    made = launchers("/opt/my python/bin/python", Path("/tools"), windows=False)
    assert made == {"python3": "#!/bin/sh\nexec '/opt/my python/bin/python' \"$@\"\n"}


def test_windows_gets_a_batch_file_for_each_tool() -> None:
    made = launchers(r"C:\100% me\python.exe", Path("tools"), windows=True)
    assert sorted(made) == ["hailo.cmd", "hailortcli.cmd", "python3.cmd"]
    script = Path("tools/hailortcli")
    assert made["hailortcli.cmd"] == f'@"C:\\100%% me\\python.exe" "{script}" %*\r\n'
    assert made["python3.cmd"] == '@"C:\\100%% me\\python.exe" %*\r\n'


def test_a_job_is_started_by_the_file_that_its_program_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CreateProcess finds ``python3.exe`` by ``python3``, and no ``python3.cmd``."""
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "python3"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    started: list[list[str]] = []
    real = subprocess.Popen

    def popen(words: list[str], **named: Any) -> Any:
        started.append(words)
        return real(words, **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    job = Job(tmp_path / "job")
    (job.folder / "say.py").write_text("print('hello')")
    link: Any = SimpleNamespace(
        gone=SimpleNamespace(is_set=lambda: False),
        send_json=lambda *_: None,
    )
    answer = job.run(
        link,
        python=["python3"],
        script="say.py",
        request={},
        env={"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        timeout=30,
    )
    assert answer["code"] == 0
    assert started[0][0] == str(program)
