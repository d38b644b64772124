"""Whose code decides a stage's result: what is found in the sources, and what a run imports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.contract.layout import ONNX, PLAN
from hefsmith_worker.contract.stages import BY_NAME, NAMES, STAGES, Stage
from PIL import Image

import orchestrator
from orchestrator import paths
from orchestrator.pipeline import plan as planning
from orchestrator.pipeline.closure import CodeReader
from orchestrator.pipeline.digests import DigestMemory
from orchestrator.pipeline.identity import emulator_code
from orchestrator.pipeline.inputs import collect
from orchestrator.project.loading import load_recipe

RECIPE = """\
schema: 1
source: {onnx: n.onnx}
preprocessing: {color: gray, mean: [0], std: [255]}
calibration: {source: pictures, count: 8}
validation: {samples: 4}
"""

#: What carries a job out and takes no part in what it computes.
PLUMBING = {"job.py", "events.py", "contract/events.py", "supervisor.py"}

#: Runs one stage as a job and prints the worker's files that were imported for it.
RUN = """
import sys
from hefsmith_worker import job
code = job.main(sys.argv[1:])
print("FILES", *(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "hefsmith_worker"
                 and getattr(m, "__file__", None)), file=sys.stderr)
sys.exit(code)
"""


def reader(tmp_path: Path, worker: Path | None = None) -> CodeReader:
    return CodeReader(worker or paths.worker_package(), DigestMemory(tmp_path / "digests.json"))


@pytest.fixture
def work(models: Any, tmp_path: Path) -> tuple[Path, Path, planning.Plan]:
    """A work folder, the inputs, and the plan of a tiny network."""
    folder = tmp_path / "models" / "net"
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    network = models.fully_convolutional(channels=1)
    (folder / "n.onnx").write_bytes(network.SerializeToString())
    random = np.random.default_rng(0)
    for number in range(16):
        pixels = random.integers(0, 256, (12, 12)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    request = collect(load_recipe(folder), tmp_path, "hailo8l")
    plan = planning.plan_everything(
        request,
        toolchain="emulator",
        emulated=True,
        identities={name: {} for name in NAMES},
        code=dict.fromkeys(NAMES, ""),
    )
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for material in request.materials:
        (inputs / material.name).symlink_to(material.path)
    (tmp_path / "work").mkdir()
    return tmp_path / "work", inputs, plan


@pytest.mark.slow
def test_a_run_of_each_stage_imports_what_was_found_and_nothing_else(
    work: tuple[Path, Path, planning.Plan], tmp_path: Path
) -> None:
    folder, inputs, plan = work
    worker, found = paths.worker_package(), reader(tmp_path)
    emulator = paths.image_context("emulator") / "packages"
    roots = (emulator, worker.parent, Path(orchestrator.__file__).parents[1])
    # The emulator shares code with the worker; that is in its own digest.
    emulators = set(found.closure(_taken_by(emulator, found, tmp_path)))
    for stage in STAGES:
        (folder / PLAN).write_text(json.dumps(plan.worker_document([stage.name])), "utf-8")
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(folder / PLAN), str(inputs), str(folder)],
            env={**os.environ, "PYTHONPATH": ":".join(map(str, roots))},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        names = next(x for x in done.stderr.splitlines() if x.startswith("FILES")).split()[1:]
        imported = {Path(name).relative_to(worker).as_posix() for name in names}
        behind = set(found.closure([stage.module]))
        assert imported - behind - PLUMBING - emulators == set(), stage.name
        assert BY_NAME[stage.name].module.replace(".", "/") + ".py" in {
            f"hefsmith_worker/{name}" for name in imported
        }


def _taken_by(packages: Path, found: CodeReader, tmp_path: Path) -> list[str]:
    memory = DigestMemory(tmp_path / "digests.json")
    room = Path(orchestrator.__file__).parent / "hef"
    files = [*packages.rglob("*.py"), *room.rglob("*.py")]
    return sorted({name for path in files for name in found.imports_of(path, memory.file(path))})


@pytest.mark.parametrize("stage", NAMES)
def test_what_only_shows_a_run_takes_no_part_in_results(stage: str, tmp_path: Path) -> None:
    files = set(reader(tmp_path).closure([BY_NAME[stage].module]))
    assert not files & {"events.py", "contract/events.py", "supervisor.py", "job.py", "guard.py"}
    # Which NMS a script may ask for depends on the chip's line; nothing else does.
    assert ("contract/chips.py" in files) == (stage == "optimize")


def test_the_compiler_reads_neither_pictures_nor_graphs(tmp_path: Path) -> None:
    for stage in ("optimize", "compile"):
        files = reader(tmp_path).closure([BY_NAME[stage].module])
        parts = {name.split("/")[0] for name in files}
        assert not parts & {"calibration", "graph", "pictures", "golden.py"}, stage


MEASURE = """\
from hefsmith_worker.contract.layout import ONNX
def run(workspace):
    size = workspace.needed(ONNX, "export").stat().st_size
    workspace.announce("size", workspace.write_json("size.json", size))
    return {"bytes": size}
"""


@pytest.mark.slow
def test_a_new_stage_is_one_row_and_its_module(
    work: tuple[Path, Path, planning.Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, inputs, plan = work
    worker = tmp_path / "tree" / "hefsmith_worker"
    shutil.copytree(paths.worker_package(), worker, ignore=shutil.ignore_patterns("__pycache__"))
    table = worker / "contract" / "stages.py"
    row = '    Stage("measure", ("export",), by_arch=False),\n)\n\nNAMES'
    table.write_text(table.read_text("utf-8").replace(")\n\nNAMES", row), "utf-8")
    (worker / "stages" / "measure.py").write_text(MEASURE, encoding="utf-8")

    added = (*STAGES, Stage("measure", ("export",), by_arch=False))
    monkeypatch.setattr("hefsmith_worker.contract.stages.STAGES", added)
    code = planning.code_digests(worker, DigestMemory(tmp_path / "d.json"))
    made = planning.make_plan(
        plan.request,
        toolchain="emulator",
        emulated=True,
        identities={stage.name: {} for stage in added},
        materials={material.name: "d" for material in plan.request.materials},
        code=code,
        find=lambda _: None,
    )
    assert made.to_run[-1] == "measure"
    assert set(made.stages[-1].why["after"]) == {"export"}
    assert "contract/layout.py" in reader(tmp_path, worker).closure([added[-1].module])

    (folder / ONNX).write_bytes(b"a network")
    (folder / PLAN).write_text(json.dumps(made.worker_document(["measure"])), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "hefsmith_worker.job", folder / PLAN, inputs, folder],
        env={**os.environ, "PYTHONPATH": str(worker.parent)},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"result": {"bytes": 9}' in done.stdout
    assert '"path": "size.json"' in done.stdout


def package(tmp_path: Path, **files: str) -> Path:
    worker = tmp_path / "hefsmith_worker"
    for name, text in {"__init__": "", "stages/__init__": "", **files}.items():
        path = worker / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return worker


def closure(worker: Path, tmp_path: Path) -> set[str]:
    found = reader(tmp_path, worker).closure(["hefsmith_worker.stages.one"])
    return set(found) - {"__init__.py", "stages/__init__.py", "stages/one.py"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import hefsmith_worker.a", {"a.py"}),
        ("from hefsmith_worker import a", {"a.py"}),
        ("from hefsmith_worker.a import thing", {"a.py"}),
        ("def f():\n    from hefsmith_worker.a import thing", {"a.py"}),
        ("from hefsmith_worker.room.b import thing", {"room/__init__.py", "room/b.py", "a.py"}),
        ("from hefsmith_worker import room", {"room/__init__.py", "a.py"}),
        ("run('-m', 'hefsmith_worker.a')", {"a.py"}),
        ("if TYPE_CHECKING:\n    import hefsmith_worker.a\nelse:\n    import os", set()),
        ("if not TYPE_CHECKING:\n    import hefsmith_worker.a", {"a.py"}),
        ("import os, numpy.a", set()),
    ],
)
def test_imports_are_found_wherever_they_stand(
    tmp_path: Path, source: str, expected: set[str]
) -> None:
    worker = package(
        tmp_path,
        **{"stages/one": source, "a": "x = 1", "room/__init__": "import hefsmith_worker.a",
           "room/b": "", "c": ""},
    )  # fmt: skip
    assert closure(worker, tmp_path) == expected


def test_a_change_counts_for_the_stages_whose_modules_import_it(tmp_path: Path) -> None:
    worker = package(tmp_path, **{"stages/one": "import hefsmith_worker.a", "a": "x = 1"})
    before = reader(tmp_path, worker).digest(["hefsmith_worker.stages.one"])
    (worker / "b.py").write_text("", encoding="utf-8")
    assert reader(tmp_path, worker).digest(["hefsmith_worker.stages.one"]) == before
    (worker / "a.py").write_text("import hefsmith_worker.b  # ...", encoding="utf-8")
    after = reader(tmp_path, worker).digest(["hefsmith_worker.stages.one"])
    assert after != before
    (worker / "b.py").write_text("y = 2", encoding="utf-8")
    assert reader(tmp_path, worker).digest(["hefsmith_worker.stages.one"]) not in (before, after)


def test_imports_are_read_once_for_the_same_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = DigestMemory(tmp_path / "digests.json")
    first = planning.code_digests(paths.worker_package(), memory)
    known = emulator_code(memory)
    memory.save()
    monkeypatch.setattr("orchestrator.pipeline.closure._imports", lambda _: pytest.fail("parsed"))
    # This process needs no memory of it, and the next one finds it there.
    other = DigestMemory(tmp_path / "other.json")
    assert planning.code_digests(paths.worker_package(), other) == first
    monkeypatch.setattr("orchestrator.pipeline.closure._FOUND", {})
    again = DigestMemory(tmp_path / "digests.json")
    assert planning.code_digests(paths.worker_package(), again) == first
    assert emulator_code(again) == known
