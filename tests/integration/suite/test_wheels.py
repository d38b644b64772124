"""A small image from the user's own wheels, built without any index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.integration.suite import fake_suite

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def make_wheel(folder: Path, name: str, version: str, module: str, text: str, tag: str) -> None:
    """Write a wheel with one module; small, but one that pip installs."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": text,
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        ),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)


def test_wheels_become_a_toolchain_that_runs_as_anyone(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(
        wheels, "hailo_dataflow_compiler", "3.32.0", "hailo_sdk_client",
        '__version__ = "3.32.0"\n', "py3-none-linux_x86_64",
    )  # fmt: skip
    make_wheel(wheels, "hailo_model_zoo", "2.16.0", "hailo_model_zoo", "", "py3-none-any")
    # As people have them: HailoRT for another Python, and for the Pi.
    for tag in ("cp38-cp38-linux_x86_64", "cp311-cp311-linux_aarch64"):
        make_wheel(wheels, "hailort", "4.22.0", "hailo_platform", "", tag)
    base = os.environ.get("HEFSMITH_BASE_IMAGE", "debian:bookworm-20250520-slim")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "toolchain", "import", "--no-check",
         "--wheels", str(wheels),
         "--json"],
        capture_output=True,
        text=True,
        timeout=500,
        env={
            **os.environ,
            "HEFSMITH_DATA": str(tmp_path / "data"),
            "HEFSMITH_BASE_IMAGE": base,
            "HEFSMITH_OFFLINE": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    try:
        assert row["kind"] == "wheels"
        assert (row["versions"]["dfc"], row["versions"]["model_zoo"]) == ("3.32.0", "2.16.0")
        assert row["python"] == "/local/workspace/hailo_virtualenv/bin/python"
        said = fake_suite.docker(
            "run", "--rm", "--network", "none", "--user", "4321:4321", row["image"],
            row["python"], "-c", "import hailo_sdk_client as sdk; print(sdk.__version__)",
        )  # fmt: skip
        assert said == "3.32.0"
    finally:
        fake_suite.docker("rmi", "-f", row["image"])


def test_a_compiler_for_another_python_is_told_in_words(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(
        wheels, "hailo_dataflow_compiler", "3.28.0", "hailo_sdk_client", "",
        "cp38-cp38-linux_x86_64",
    )  # fmt: skip
    base = os.environ.get("HEFSMITH_BASE_IMAGE", "debian:bookworm-20250520-slim")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "toolchain", "import", "--no-check",
         "--wheels", str(wheels)],
        capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, "HEFSMITH_DATA": str(tmp_path / "data"), "HEFSMITH_BASE_IMAGE": base,
             "HEFSMITH_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "is for another Python than this image's" in done.stderr
    assert "HEFSMITH_BASE_IMAGE" in done.stderr
