"""``hef device check`` and ``hef toolchain check`` as users call them, on the stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def hef(home: Path, *words: str, **env: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Run a command with --json in a home of the module's own; returns code, rows, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=home,
        env={
            **os.environ, "HOME": str(home), "HEFSMITH_CACHE": str(home / "cache"),
            "HEFSMITH_DATA": str(home / "data"), "HEFSMITH_ENGINE": "local", **env,
        },
    )  # fmt: skip
    assert done.stdout, done.stderr
    rows = {row["check"]: row for row in json.loads(done.stdout)["rows"]}
    return done.returncode, rows, done.stderr


def test_a_good_device_gives_the_compiler_s_numbers_by_both_interfaces(home: Path) -> None:
    code, rows, _ = hef(home, "device", "check")
    assert code == 0, rows
    for shown in ("run by InferModel", "run by InferVStreams"):
        assert rows[shown]["state"] == "ok"
        assert "4 samples, at most 0.0" in rows[shown]["found"]
    assert "emulated" in rows["rate"]["found"]
    report = json.loads((home / "contact-report.json").read_text())
    assert report["hefsmith_contact"] == 1
    assert str(home) not in json.dumps(report)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "explain", str(home / "contact-report.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "run by InferModel" in done.stdout


@pytest.mark.parametrize(
    ("planted", "words", "fix"),
    [
        ({"HEFSMITH_EMULATED_QUIRKS": "numpy2-nbytes"}, "arrays of 0 bytes", "numpy<2"),
        ({"HEFSMITH_EMULATED_FAULT": "device_busy"}, "held by another process", "Stop that"),
        ({"HEFSMITH_EMULATED_FAULT": "timeout"}, "", ""),
        ({"HEFSMITH_EMULATED_FAULT": "unstable"}, "", ""),
    ],
    ids=["numpy 2", "shared chip", "timeout", "unstable"],
)
def test_a_device_in_trouble_is_an_error_with_a_cure(
    home: Path, planted: dict[str, str], words: str, fix: str
) -> None:
    code, rows, _ = hef(home, "device", "check", **planted)
    row = rows["run by InferModel"]
    assert row["state"] in ("error", "warning")
    assert words in row["found"]
    assert fix in row["fix"]
    assert code == (4 if row["state"] == "error" else 0)


def test_versions_that_differ_are_told(home: Path) -> None:
    code, rows, _ = hef(home, "device", "check", HEFSMITH_EMULATED_FAULT="driver_mismatch")
    assert code == 4
    assert any("driver" in row["found"] and row["state"] == "error" for row in rows.values())
    assert "compile" not in rows


def test_our_own_compiler_builds_and_caches(home: Path) -> None:
    code, rows, _ = hef(home, "toolchain", "check", "emulator")
    assert code == 0, rows
    assert rows["the same build again"]["found"] == "all stages from the cache"
    assert "optimize" in rows["build, level 0 named"]["found"]
