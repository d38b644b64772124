"""Records in a clone: its lock, its builds' manifests, its history; and what a metric leaves."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hefsmith_worker.contract import layout

from orchestrator.errors import ConfigError
from orchestrator.pipeline import background
from orchestrator.pipeline.finished.builds import read_build
from orchestrator.pipeline.metric import load_metric

from .conftest import Tally

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)

from ..chaos.builds import Place
from ..chaos.speech import twisted
from ..unit.cli.bounded import run_bounded

RAW = "\x1b\x07\u202e\x00"


def huge(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(20 << 30)


WAYS: dict[str, Callable[[Path], object]] = {
    "nested": lambda file: file.write_text("[" * 200_000),
    "nested objects": lambda file: file.write_text('{"schema":1,"a":' * 60_000),
    "a pipe": os.mkfifo,
    "without end": lambda file: file.symlink_to("/dev/zero"),
    "20 GB": huge,
    "a folder": lambda file: file.mkdir(),
    "bytes": lambda file: file.write_bytes(b"\xff\xfe\x00" * 100),
    "nothing": lambda file: file.write_bytes(b""),
    "a number": lambda file: file.write_text("9" * 200_000),
    "words": lambda file: file.write_text('{"schema": "\\u001b[2J\\u202e"}'),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place.make(tmp_path_factory.mktemp("records") / "project")
    assert place.hef().code == 0
    assert place.hef("lock", "one").code == 0
    return place.root


@pytest.fixture
def clone(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clone"
    shutil.copytree(built, root, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(root)
    for name, value in Place(root).environ().items():
        monkeypatch.setenv(name, value)
    return root


@pytest.mark.parametrize(
    ("record", "argv", "ways"),
    [
        ("hef.lock", ["lock", "one", "--check"], [*WAYS]),
        ("artifacts/one/hailo8l/manifest.json", ["history", "one"], ["20 GB", "a pipe"]),
        ("artifacts/one/hailo8l/build.json", ["history", "one"], ["nested"]),
    ],
)
def test_a_record_of_any_kind_is_told(
    clone: Path, tally: Tally, record: str, argv: list[str], ways: list[str]
) -> None:
    file = clone / record
    honest = json.loads(file.read_text())
    chance = random.Random(3)
    spoilers = {name: WAYS[name] for name in ways}
    text = json.dumps(twisted(honest, chance))
    spoilers["another value"] = lambda file: file.write_text(text)
    for name, spoil in spoilers.items():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        spoil(file)
        ended = run_bounded(argv)
        plain = not any(char in ended.out + ended.err for char in RAW)
        held = ended.code in range(7) and "Traceback" not in ended.err and plain
        tally.held(f"{name}: {ended.code} {ended.err[-300:]}", held and ended.megabytes < 1500)


LEAVES = {
    "a pipe": "os.mkfifo(place)",
    "a link": "os.symlink('/etc/passwd', place)",
    "a link without end": "os.symlink('/dev/zero', place)",
    "nested": "open(place, 'w').write('[' * 200000)",
    "a folder": "os.mkdir(place)",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", LEAVES)
def test_what_a_metric_leaves_in_the_place_of_its_answer_is_told(way: str, tmp_path: Path) -> None:
    # The program finds its request in the folder that is its first argument.
    (tmp_path / "metric.py").write_text(
        "import os, sys\nplace = os.path.join(sys.argv[1], 'answer.json')\n"
        f"{LEAVES[way]}\nos._exit(0)\n"
    )
    with pytest.raises(ConfigError, match=r"metric\.py ended with status 0"):
        load_metric("metric.py:score", tmp_path)([], [], [])


def test_a_link_beside_a_recipe_is_not_written_through(tmp_path: Path) -> None:
    pytest.importorskip("ruamel.yaml")
    from orchestrator.project.amend import amend

    recipe = tmp_path / "model.yaml"
    recipe.write_text(
        "schema: 1\nsource: {onnx: net.onnx}\ninputs: {x: [1, 3, 8, 8]}\n"
        "calibration: {source: pictures}\n"
    )
    (tmp_path / "net.onnx").write_bytes(b"x")
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    for name in ("model.yaml.partial", "model.yaml.part", ".model.yaml.part", "model.yaml.tmp"):
        (tmp_path / name).symlink_to(canary)
    amend(recipe, {"optimization.level": 1})
    assert canary.read_text() == "untouched"
    assert "level: 1" in recipe.read_text()
    assert recipe.stat().st_mode & 0o777 == canary.stat().st_mode & 0o777


#: What reads its own words, or those of a program that we started and that runs our code.
OUR_OWN = {
    "installation.py", "launch.py", "image_store.py", "engine.py", "toolchain_check.py",
    "catalogue.py", "metric_program.py", "agent_boot.py",
}  # fmt: skip


def test_json_of_others_is_read_by_what_bounds_it(repository: Path) -> None:
    found = []
    for file in (repository / "orchestrator").rglob("*.py"):
        if file.name in OUR_OWN or {"agent", "jobs"} & set(file.parts):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"json\.loads?\((?!json\.dumps)", line) and "plain = " not in line:
                found.append(f"{file.name}:{number}")
    assert found == [], "write orchestrator.reading.parse_json: JSON may be nested without end"


# --- builds that came with a clone, and plans that a job can reach --------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"hef": "SECRET"}, {"hef": "../../../../secret"}, {"hef": "golden/../../../x"},
        {"model": "../../evil"}, {"model": "a/b"}, {"model": "\x1b[2J"}, {"arch": "../.."},
        {"arch": "/tmp"}, {"hef": 7}, {"hef": None}, {"model": ["a"]},
        {"files": [{"path": "../../../../secret", "sha256": "0", "role": "hef", "bytes": 1}]},
        {"files": [{"path": "/etc/passwd", "sha256": "0", "role": "onnx", "bytes": 1}]},
        {"files": [{"path": ["x"], "sha256": "0", "role": "onnx", "bytes": 1}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_build_that_names_other_files_is_none(
    clone: Path, tmp_path: Path, tally: Tally, change: dict[str, object]
) -> None:
    """What a build calls its HEF is shipped and bundled, what it calls itself names folders."""
    (tmp_path / "secret").write_text("PRIVATE")
    folder = clone / "artifacts/one/hailo8l"
    honest = json.loads((folder / "build.json").read_text())
    assert read_build(folder) is not None
    text = json.dumps({**honest, **change}).replace("SECRET", str(tmp_path / "secret"))
    (folder / "build.json").write_text(text)
    tally.held(str(change), read_build(folder) is None)


def test_a_plan_that_its_job_has_changed_is_not_followed(tmp_path: Path, tally: Tally) -> None:
    """The job of a build in the background may write to the folder that its plan lies in."""
    content = json.dumps({"final": "artifacts/one/hailo8l"}).encode()
    notes = {background.WRITTEN: hashlib.sha256(content).hexdigest()}
    record: Any = SimpleNamespace(work=tmp_path, notes=notes, started=0.0)
    place = tmp_path / layout.HOST_PLAN
    place.write_bytes(content)
    context: Any = SimpleNamespace(cache=None)
    with pytest.raises(KeyError, match="request"):  # it is read on
        background.finish(record, Any, context)
    for changed in (
        json.dumps({"final": str(Path.home())}).encode(), content + b" ", b"{}", b"[" * 10_000,
    ):  # fmt: skip
        place.write_bytes(changed)
        with pytest.raises(ConfigError) as caught:
            background.finish(record, Any, context)
        tally.held(repr(changed[:30]), "plan" in str(caught.value))
    place.write_bytes(content)
    record.notes = {}
    with pytest.raises(ConfigError):
        background.finish(record, Any, context)
    tally.held("no word of it", True)
