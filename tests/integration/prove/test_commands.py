"""``hef bench``, ``report`` and ``bundle`` as users call them, over SSH to the embedded device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.paths import image_context
from tests.integration.prove.colours import add_model, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def hef(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "HEFSMITH_CACHE": str(folder / "cache"),
            "HEFSMITH_DATA": str(folder / "data"),
            **env,
        },
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("commands")
    write_project(root)
    add_model(root, "sound")
    built = hef(root, "build", "sound", "--engine", "local")
    assert built.returncode == 0, built.stderr
    yield root


def test_bench_measures_over_ssh_and_writes_json_and_csv(project: Path) -> None:
    argv = ["bench", "sound", "--seconds", "1", "--warmup", "0", "--batch", "1,4"]
    done = hef(project, *argv, "--csv", "bench.csv", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["emulated"] is True
    assert found["of_predicted"] is None
    assert found["hw_only_fps"] > 0
    assert found["streaming_fps"] > 0
    assert found["hw_latency_ms"] > 0
    assert found["latency"]["p99_ms"] >= found["latency"]["p50_ms"] > 0
    assert [rate["batch"] for rate in found["rates"]] == [1, 4]
    assert "no chip is measured" in done.stderr
    lines = (project / "bench.csv").read_text().splitlines()
    assert len(lines) > 8
    assert all(line.startswith("embedded,") and line.endswith(",true") for line in lines[1:])


def test_a_busy_device_is_refused_with_status_4(project: Path) -> None:
    done = hef(project, "bench", "sound", HEFSMITH_EMULATED_FAULT="device_busy")
    assert done.returncode == 4
    assert "the chip is held by" in done.stderr
    assert "service:" in done.stderr


def test_report_is_written_beside_the_hef(project: Path) -> None:
    done = hef(project, "report", "sound", "--json")
    assert done.returncode == 0, done.stderr
    page = Path(json.loads(done.stdout)["report"])
    assert page.is_file()
    assert "Emulated." in page.read_text(encoding="utf-8")


def test_a_bundle_runs_where_there_is_nothing_but_hailort(project: Path) -> None:
    done = hef(project, "bundle", "sound", "--for", "picamera2", "--output", "bundle")
    assert done.returncode == 0, done.stderr
    assert "no Hailo chip can run it" in done.stderr
    picture = project / "calib" / "colours" / "validation" / "cyan" / "validation03.png"
    emulator = image_context("emulator")
    # The HEF reader is the one part of the stand-ins that lies outside their folder.
    modules = [str(emulator / "packages"), str(Path(__file__).parents[3])]
    ran = subprocess.run(
        [sys.executable, "run.py", str(picture), "--json"],
        cwd=project / "bundle",
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(modules),
            "HAILORT_LOGGER_PATH": "NONE",
        },
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["classes"][0][0] == "cyan"


def test_a_bundle_for_frigate_is_refused_for_a_classifier(project: Path) -> None:
    done = hef(project, "bundle", "sound", "--for", "frigate")
    assert done.returncode == 2
    assert "--for python" in done.stderr


def test_mistakes_on_the_command_line_are_usage_errors(project: Path) -> None:
    for argv in (
        ["validate", "sound", "--api", "telepathy"],
        ["bench", "sound", "--batch", "0"],
        ["bench", "sound", "--frame", "big"],
        ["bundle", "sound", "--for", "toaster"],
        ["report", "unknown"],
    ):
        done = hef(project, *argv)
        assert done.returncode == 2, (argv, done.stderr)
        assert "Traceback" not in done.stderr
