"""A device that is a subprocess here: jobs run with the stand-ins on PYTHONPATH."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.device.base import JobResult, is_done
from orchestrator.paths import image_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def emulated_environment(**more: str) -> dict[str, str]:
    """Return the environment of an emulated device: stand-ins on PATH and PYTHONPATH."""
    emulator = image_context("emulator")
    import orchestrator

    ours = str(Path(orchestrator.__file__).parent.parent)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    base = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
    return {
        **base,
        "PATH": os.pathsep.join([str(emulator / "bin"), path]),
        "PYTHONPATH": os.pathsep.join([str(emulator / "packages"), ours]),
        "HAILORT_LOGGER_PATH": "NONE",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


class LocalRunner:
    """Runs jobs as ``Session.run_job`` does, without a connection, in a process of its own."""

    def __init__(self, **environment: str) -> None:
        self.settings = {"HAILORT_LOGGER_PATH": "NONE", **environment}
        self.environment = emulated_environment(**environment)
        self.requests: list[Mapping[str, object]] = []

    def run_job(
        self,
        script: Path,
        *,
        files: Mapping[str, Path] | None = None,
        request: Mapping[str, object] | None = None,
        fetch: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        on_event: Callable[[Mapping[str, object]], None] | None = None,
    ) -> JobResult:
        self.requests.append(dict(request or {}))
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            for name, path in (files or {}).items():
                shutil.copyfile(path, Path(folder) / name)
            shutil.copyfile(script, Path(folder) / "job.py")
            code, out, log = self._execute(folder, json.dumps(request or {}), timeout, env or {})
            events = []
            for line in out.splitlines():
                try:
                    events.append(json.loads(line))
                except ValueError:
                    log += line + "\n"
            for event in events:
                if on_event is not None:
                    on_event(event)
            found = {}
            if is_done(events):
                for name, path in (fetch or {}).items():
                    shutil.copyfile(Path(folder) / name, path)
                    found[name] = path
        seconds = time.monotonic() - start
        return JobResult(code=code, events=tuple(events), log=log, files=found, seconds=seconds)

    def _execute(
        self, folder: str, stdin: str, timeout: float, env: Mapping[str, str]
    ) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "job.py"],
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**self.environment, **env},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


class QuickRunner(LocalRunner):
    """Runs the same files in this process: no second start of Python and ONNX Runtime."""

    def _execute(
        self, folder: str, stdin: str, timeout: float, env: Mapping[str, str]
    ) -> tuple[int, str, str]:
        before, here, real = dict(os.environ), Path.cwd(), sys.stdin
        out, err = io.StringIO(), io.StringIO()
        code = 0
        os.environ.update({**self.settings, **env})
        sys.stdin = io.StringIO(stdin)
        os.chdir(folder)
        # As for a script that is started: what came along lies beside it.
        sys.path.insert(0, folder)
        beside = [path.stem for path in Path(folder).glob("*.py")]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                runpy.run_path("job.py", run_name="__main__")
        except SystemExit as leave:
            code = int(leave.code or 0)
        finally:
            sys.path.remove(folder)
            for name in beside:
                sys.modules.pop(name, None)
            os.chdir(here)
            sys.stdin = real
            os.environ.clear()
            os.environ.update(before)
        return code, out.getvalue(), err.getvalue()


def scheduled(**members: object) -> Any:
    """Return a VDevice's parameters with the scheduler, which Python leaves off up to 4.23."""
    import hailo_platform as hailo

    params = hailo.VDevice.create_params()
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    for name, value in members.items():
        setattr(params, name, value)
    return params
