"""What a stage is said to read is what it reads: of the recipe, and of the stages before it.

Each stage runs in a folder that holds what those pass on and nothing else, asked only what its
row in the table names. So nothing that it reads can be missing from its key.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker import job, protocol
from hefsmith_worker.contract.stages import BY_NAME, STAGES, Stage
from hefsmith_worker.events import Channel

from tests.unit.emulator.test_quirks import Job, make

#: What the environment of a stage is made of; a stage does not ask for it.
OF_THE_ENVIRONMENT = {"packages"}

TORCH = """\
schema: 1
source: {torch: "net.py:build"}
inputs: {image: [1, 1, 12, 12]}
preprocessing: {size: [12, 12], color: gray, mean: [0], std: [255]}
calibration: {source: images.npy, count: 16}
validation: {samples: 4}
"""
FACTORY = """\
import torch
def build():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                               torch.nn.Linear(400, 3))
"""


class Recording(dict[str, Any]):
    """Options that note what is asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def items(self) -> Any:  # a group that is read as a whole
        self.asked.update(self)
        return super().items()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


class Alone:
    """Runs each stage by itself; keeps what it left, and what it asked for."""

    def __init__(self, made: Job) -> None:
        self.made = made
        self.left: dict[str, dict[str, Path]] = {}
        self.asked: dict[str, set[str]] = {}
        for stage in STAGES:
            self._run(stage)

    def _run(self, stage: Stage) -> None:
        work = self.made.work.with_name(f"work-{stage.name}")
        work.mkdir()
        for earlier in stage.after:
            for name, path in self.left[earlier].items():
                if BY_NAME[earlier].passed_on([(name, "x")]) == BY_NAME[earlier].passed_on([]):
                    continue
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, work / name)
        document = {**self.made.document, "stages": [stage.name]}
        plan = protocol.Plan(document, self.made.inputs, work)
        options = Recording(plan.parameters[stage.name])
        assert set(options) == set(stage.options)
        plan.parameters = {stage.name: options}
        stream = io.BytesIO()
        code = job.run(Channel(stream), plan)
        events = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert code == 0, [e.get("traceback") for e in events if e["event"] == "stage_failed"]
        files = [e["path"] for e in events if e["event"] == "artifact"]
        self.left[stage.name] = {name: work / name for name in files}
        self.asked[stage.name] = options.asked


def torch_job(models: Any, folder: Path) -> Job:
    del models
    import numpy as np

    from orchestrator.pipeline.inputs import collect
    from orchestrator.project.loading import load_recipe

    model = folder / "net"
    model.mkdir()
    (model / "model.yaml").write_text(TORCH, encoding="utf-8")
    (model / "net.py").write_text(FACTORY, encoding="utf-8")
    pictures = np.random.default_rng(3).integers(0, 256, (16, 12, 12, 1), dtype=np.uint8)
    np.save(model / "images.npy", pictures)
    request = collect(load_recipe(model), model, "hailo8l")
    made = Job.__new__(Job)
    made.inputs, made.work = folder / "inputs", folder / "work"
    made.inputs.mkdir()
    for material in request.materials:
        target = made.inputs / material.name
        if material.files is None:
            shutil.copy(material.path, target)
        for name in material.files or ():
            target.mkdir(exist_ok=True)
            shutil.copy(material.path / name, target / name)
    made.document = {
        "schema": 1, "model": "net", "arch": "hailo8l", "net_name": "net", "hef_name": "net.hef",
        "parameters": request.parameters,
    }  # fmt: skip
    return made


@pytest.mark.slow
def test_each_stage_reads_what_the_table_says_and_nothing_else(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    asked: dict[str, set[str]] = {stage.name: set() for stage in STAGES}
    runs = []
    for kind in ("detector", "two inputs", "torch"):
        folder = tmp_path / kind
        folder.mkdir()
        made = torch_job(models, folder) if kind == "torch" else make(models, folder, kind)
        alone = Alone(made)
        runs.append(alone)
        for name, found in alone.asked.items():
            assert found <= set(BY_NAME[name].options), (kind, name)
            asked[name] |= found
    # What no stage asks for in any of them must not be in its key.
    for stage in STAGES:
        assert asked[stage.name] == set(stage.options) - OF_THE_ENVIRONMENT, stage.name
    # One process that runs them all comes to the same.
    together = runs[0].made
    together.run(*(stage.name for stage in STAGES))
    for stage in STAGES:
        for name, path in runs[0].left[stage.name].items():
            if not name.startswith("golden/"):
                assert path.read_bytes() == (together.work / name).read_bytes(), name


@pytest.mark.slow
def test_a_job_leaves_out_what_the_host_has_already(models: Any, tmp_path: Path) -> None:
    made = make(models, tmp_path, "classifier")
    stages = [stage.name for stage in STAGES]
    made.run(*stages)
    files = [(e["path"], e["sha256"]) for e in made.events if e["event"] == "artifact"]
    passed = BY_NAME["export"].passed_on(f for f in files if f[0] == "model.onnx")

    def ran(**known: list[str]) -> list[str]:
        digests = {name: {passed: left} for name, left in known.items()}
        made.document["known"] = digests
        made.run(*stages)
        return [e["stage"] for e in made.events if e["event"] == "stage_finished"]

    assert ran(export=[]) == ["export"]
    # The samples are still to be made; evaluating needs what is not here.
    assert ran(export=["samples", "evaluate"]) == ["export", "samples"]
    made.document["known"] = {"export": {"0" * 64: []}}
    made.run(*stages)
    assert [e["stage"] for e in made.events if e["event"] == "stage_finished"] == stages
