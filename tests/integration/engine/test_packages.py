"""A network's own packages: on top of the image that exports, and nothing else is touched."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import ImageBuildError, Progress
from orchestrator.engine.docker import DockerEngine

from .conftest import docker

pytestmark = pytest.mark.engine


def make_wheel(folder: Path, name: str, requires: str = "") -> None:
    """Write a pure wheel of one module with one constant."""
    described = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    if requires:
        described += f"Requires-Dist: {requires}\n"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "COLOUR = 'green'\n")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", described)
        wheel.writestr(
            f"{name}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture(scope="module")
def emulator() -> str:
    engine = DockerEngine(Address("docker", "unix:///var/run/docker.sock", "test"))
    try:
        return engine.ensure_image("emulator").id
    finally:
        engine.close()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEFSMITH_WHEELS", str(tmp_path))
    monkeypatch.setenv("HEFSMITH_OFFLINE", "1")
    return tmp_path


def test_a_package_is_there_and_what_was_there_is_unchanged(
    engine: DockerEngine, emulator: str, wheels: Path
) -> None:
    make_wheel(wheels, "hefsmith_test_paint")
    wanted = ("hefsmith_test_paint==1.0",)
    made = engine.add_packages(emulator, wanted, python="python")
    try:
        code = "import hefsmith_test_paint as p, numpy, torch; print(p.COLOUR, numpy.__version__)"
        inside = engine.capture(made.id, ("python", "-c", code))
        assert inside.stdout.split()[0] == "green", inside.stderr
        numpy = "import numpy; print(numpy.__version__)"
        before = engine.capture(emulator, ("python", "-c", numpy))
        assert inside.stdout.split()[1] == before.stdout.strip()
        news: list[Progress | str] = []
        assert engine.add_packages(emulator, wanted, python="python", report=news.append) == made
        assert news == [], "the same wish builds nothing"
        listing = engine.capture(made.id, ("sh", "-c", "ls /build /layer"))
        assert listing.exit_code != 0, "wheels and pip's settings stay behind"
    finally:
        docker("rmi", "-f", made.id)


def test_a_package_that_wants_another_numpy_is_refused_with_pips_words(
    engine: DockerEngine, emulator: str, wheels: Path
) -> None:
    make_wheel(wheels, "hefsmith_test_ancient", requires="numpy<1.20")
    with pytest.raises(ImageBuildError) as caught:
        engine.add_packages(emulator, ("hefsmith_test_ancient",), python="python")
    assert "numpy<1.20" in str(caught.value)
    assert "export.packages" in (caught.value.hint or "")
