"""Images: built from what is installed, once; asked for by name, never pulled."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.engine import images
from orchestrator.engine.base import ImageBuildError, Input, Job, Progress
from orchestrator.engine.context import Blob, Context
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.local import LocalEngine

from .conftest import BASE, docker, exists


@pytest.fixture(scope="module")
def emulator() -> str:
    from orchestrator.engine.address import Address

    engine = DockerEngine(Address("docker", "unix:///var/run/docker.sock", "test"))
    found = engine.ensure_image("emulator")
    engine.close()
    return found.id


def test_an_unchanged_tree_builds_nothing(engine: DockerEngine, emulator: str) -> None:
    news: list[Progress | str] = []
    started = time.monotonic()
    again = engine.ensure_image("emulator", report=news.append)
    assert news == []
    assert again.id == emulator
    assert time.monotonic() - started < 5
    local = LocalEngine().ensure_image("emulator")
    label = "org.hefsmith.emulator"
    assert again.labels[label] == local.labels[label], "one identity in both engines"


def test_both_engines_have_the_same_versions(
    engine: DockerEngine, emulator: str, tmp_path: Path
) -> None:
    code = (
        "import json; from importlib.metadata import version\n"
        "names = 'ml-dtypes numpy onnx onnx-ir onnxruntime onnxscript pillow protobuf xxhash'\n"
        "print(json.dumps({n: version(n) for n in names.split()}))"
    )
    box = engine.capture(emulator, ("python", "-c", code))
    here = LocalEngine().capture("local", ("python", "-c", code))
    assert json.loads(box.stdout) == json.loads(here.stdout), box.stderr


def test_the_emulator_answers_to_the_vendors_names_in_the_box(
    engine: DockerEngine, emulator: str
) -> None:
    code = (
        "import hailo_sdk_client, hailo_platform, hefsmith_worker, orchestrator.hef\n"
        "import shutil; print(shutil.which('hailo'), shutil.which('hailortcli'))"
    )
    done = engine.capture(emulator, ("python", "-c", code), timeout=200)
    assert done.exit_code == 0, done.stderr
    assert "None" not in done.stdout


def test_a_build_reports_its_steps_and_explains_a_failure(engine: DockerEngine) -> None:
    # New in each run, or the builder shows a layer that it has and no output.
    said = f"output {time.time_ns()}"
    dockerfile = f"FROM {BASE}\nRUN echo {said}\nRUN echo the reason; exit 7\n"
    context = Context({"Dockerfile": Blob(dockerfile.encode())})
    news: list[Progress | str] = []
    with pytest.raises(ImageBuildError) as error:
        images.build(engine.connection, context, tag="hefsmith-test:broken", report=news.append)
    assert "the reason" in error.value.message
    assert "returned a non-zero code: 7" in error.value.message
    steps = [one for one in news if isinstance(one, Progress) and one.unit == "steps"]
    # FROM, our label on the stage, and two RUNs.
    assert [one.done for one in steps] == [0, 1, 2, 3]
    assert steps[-1].total is not None
    assert steps[-1].total >= 3
    assert said in news
    assert engine.find_image("hefsmith-test:broken") is None


def test_a_base_that_cannot_be_had_is_explained(engine: DockerEngine) -> None:
    context = Context({"Dockerfile": Blob(b"FROM hefsmith-no-such-base:1\n")})
    with pytest.raises(ImageBuildError) as error:
        images.build(engine.connection, context, tag="hefsmith-test:broken")
    assert "HEFSMITH_BASE_IMAGE" in (error.value.hint or "")


def test_the_shown_command_runs_the_same_box(
    engine: DockerEngine, image: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("input")
    work = tmp_path / "work"
    work.mkdir()
    code = "import os; print(open('/hefsmith/in/a').read(), os.listdir('/sys/class/net'))"
    job = Job("shown", image, ("python3", "-c", code), work, (Input("a", tmp_path / "a"),))
    [line] = engine.commands(job)
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    assert done.stdout == "input ['lo']\n"
    words = engine.shell(
        image,
        ("python3", "-c", code.replace("/in/a", "/in/model/a")),
        tmp_path,
        terminal=False,
    )
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "input ['lo']\n"
    assert not exists("hefsmith-shown-BUILD")
    assert docker("image", "inspect", "--format", "{{.Id}}", image) == image
