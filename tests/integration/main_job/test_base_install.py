"""The base installation with Docker: what the extras bring is not there, and is not missed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Project
from .first_hour import WAYS, photographs, trained

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

#: Runs at the start of every Python of the command's own environment.
HIDE = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

# Not there, as an absent package is: who looks before it imports finds nothing.
def found(name, path=None, target=None):
    hide = name.partition(".")[0] in {hidden!r}
    return None if hide else find_spec(name, path, target)

PathFinder.find_spec = found
"""


@pytest.fixture
def hidden(tmp_path: Path) -> str:
    from orchestrator.installation import EXTRA_OF

    place = tmp_path / "hidden"
    place.mkdir()
    (place / "sitecustomize.py").write_text(HIDE.format(hidden=set(EXTRA_OF)))
    return str(place)


def left_containers() -> list[str]:
    """Return the device's containers whose command has ended; other tests may have some too."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--filter", "name=hefsmith-program-",
         "--format", '{{.Names}} {{.Label "org.hefsmith.process"}}'],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [row.split() for row in listed.splitlines()]
    return [name for name, owner in rows if not Path("/proc", owner.partition("-")[0]).exists()]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["onnx", "weights"])
def test_the_journey_needs_no_extra_where_docker_is(
    kind: str, hidden: str, tmp_path: Path, new_project: Callable[[str], Project]
) -> None:
    project = new_project("maker")
    photos = photographs(tmp_path / "photos", train=12, val=6)
    network = trained(photos, WAYS[0], epochs=6)
    shutil.copytree(photos, project.root / "photos")
    if kind == "onnx":
        zeros = (torch.zeros(1, 3, 48, 48),)
        path = str(project.root / "waste.onnx")
        torch.onnx.export(network, zeros, path, dynamo=False, input_names=["image"])
    else:
        from .first_hour import MODEL

        torch.save(network.state_dict(), project.root / "waste.pt")
        (project.root / "net.py").write_text(MODEL)
    more = ("--size", "3,48,48") if kind == "weights" else ()
    done = project.hef("init", "--json", "--engine", "docker", *more, PYTHONPATH=hidden)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert any("labelled pictures are right" in one for one in found["found"])
    done = project.hef("up", "waste", "--engine", "docker", PYTHONPATH=hidden)
    # The embedded device runs in the container; whether so short a training passes is its matter.
    assert done.returncode in (0, 5), done.stderr
    assert "verdict" in done.stdout
    assert "device   embedded: release" in done.stdout
    assert "Traceback" not in done.stderr
    for words in (("validate",), ("ship",), ("report",)):
        done = project.hef(*words, "waste", HEFSMITH_ENGINE="docker", PYTHONPATH=hidden)
        assert done.returncode in (0, 5), (words, done.stderr)
        assert "Traceback" not in done.stderr
    assert left_containers() == [], "a container of the device is left"
    assert (project.root / "artifacts/waste/hailo8l/model.hailo8l.emulated.hef").is_file()
    done = project.hef("inspect", str(project.root / "artifacts/waste/hailo8l"), PYTHONPATH=hidden)
    assert done.returncode == 0, done.stderr
    assert "predicted FPS" not in done.stdout
