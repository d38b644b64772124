"""``hef build`` told to stop at every stage: gone in time, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import docker

STAGES = ("export", "samples", "calibrate", "parse", "optimize", "compile", "evaluate")
COMMAND = [sys.executable, "-m", "orchestrator", "build", "digits", "--engine", "docker"]


def builds_on_the_engine(folder: Path) -> list[str]:
    """Return the containers whose build folder is in ``folder``."""
    listed = docker("ps", "-aq", "--filter", "label=org.hefsmith.build").split()
    return [one for one in listed if str(folder) in docker("inspect", one)]


def stop_at(
    stage: str, signals: tuple[int, ...], folder: Path, *options: str
) -> tuple[set[str], float]:
    """Start a build, send ``signals`` when ``stage`` begins; return what had been cached."""
    process = subprocess.Popen(
        [*COMMAND, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HEFSMITH_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert process.stderr is not None
    cached = set()
    for line in process.stderr:
        if found := re.search(rf"\] ({'|'.join(STAGES)}): (.*)", line):
            name, said = found.groups()
            if said == "cached":
                cached.add(name)
            elif name == stage:
                break
    else:
        pytest.fail(f"the build never came to {stage}")
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    _, said = process.communicate(timeout=60)
    took = time.monotonic() - began
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert took < 10, f"{stage}: {took:.1f} s"
    assert builds_on_the_engine(folder) == []
    return cached, took


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.timeout(600)
def test_a_build_that_is_terminated_at_any_stage_goes_on_from_there(tmp_path: Path) -> None:
    final = tmp_path / "artifacts" / "digits" / "hailo8l"
    for number, stage in enumerate(STAGES):
        cached, took = stop_at(stage, (signal.SIGTERM,), tmp_path)
        print(f"{stage}: stopped in {took:.1f} s, cached {sorted(cached)}")
        # What had been done when the build before was stopped. Calibration is made for the
        # quantiser alone, and not asked for once that is done.
        needed = set(STAGES[: max(number - 1, 0)])
        needed -= {"calibrate"} if "optimize" in needed else set()
        assert needed <= cached, f"lost before {stage}: {needed - cached}"
        assert not final.exists(), "half a build must not look like one"
        assert [one.name for one in final.parent.iterdir() if "building" in one.name] == []
    done = subprocess.run(
        [*COMMAND, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "HEFSMITH_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert json.loads(done.stdout)["stages"]["compile"]["cached"]
    good = (final / "build.json").read_bytes()
    # The last good build stays as it is while another one is broken off, however impatiently.
    impatient = (signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    stop_at("export", impatient, tmp_path, "--fresh")
    assert (final / "build.json").read_bytes() == good
