"""The worker passes whichever way the vendor's compiler acts where public sources leave it open.

All stages run on the emulator, in this process, for three networks; each quirk by itself.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hailo_emulator.quirks import QUIRKS, VARIABLE, quirk

from orchestrator.pipeline.inputs import collect
from orchestrator.project.loading import load_recipe
from tests.unit.graph.test_analysis import network

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("export", "samples", "calibrate", "parse", "optimize", "compile", "evaluate")

TWO_INPUTS = """\
source: {onnx: net.onnx}
preprocessing:
  image: {mean: 0, std: 255}
  extra: {normalize: host, mean: 0, std: 1}
calibration: {source: {image: images.npy, extra: extra.npy}, count: 16}
optimization: {level: %s}
validation: {samples: 4}
"""
DETECTOR = """\
source: {onnx: net.onnx}
preprocessing: {mean: 0, std: 255}
calibration: {source: images.npy, count: 16}
optimization: {level: %s}
postprocess: {task: detection}
validation: {samples: 4}
"""
CLASSIFIER = """\
source: {onnx: net.onnx}
preprocessing: {mean: 0, std: 255}
calibration: {source: images.npy, count: 16}
optimization: {level: %s}
postprocess: {task: classification, softmax: true}
validation: {samples: 4}
"""


class Job:
    """One recipe with its inputs and work folder; ``run`` runs stages and keeps the events."""

    def __init__(self, folder: Path, model: onnx.ModelProto, recipe: str, arch: str) -> None:
        folder.mkdir()
        onnx.save(model, folder / "net.onnx")
        random = np.random.default_rng(7)
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        pictures = random.integers(0, 256, (16, *shape[2:], shape[1]), dtype=np.uint8)
        np.save(folder / "images.npy", pictures)
        np.save(folder / "extra.npy", random.normal(0, 1, (16, 4)).astype(np.float32))
        (folder / "model.yaml").write_text(recipe, encoding="utf-8")
        request = collect(load_recipe(folder), folder, arch)  # type: ignore[arg-type]
        self.inputs, self.work = folder / "inputs", folder / "work"
        self.inputs.mkdir()
        self.work.mkdir()
        for material in request.materials:
            shutil.copy(material.path, self.inputs / material.name)
        self.document: dict[str, Any] = {
            "schema": 1, "model": "net", "arch": arch, "net_name": "net", "hef_name": "net.hef",
            "parameters": request.parameters,
        }  # fmt: skip
        self.events: list[dict[str, Any]] = []

    def run(self, *stages: str) -> None:
        from hefsmith_worker import job, protocol
        from hefsmith_worker.events import Channel

        stream = io.BytesIO()
        plan = protocol.Plan({**self.document, "stages": list(stages)}, self.inputs, self.work)
        code = job.run(Channel(stream), plan)
        self.events = [json.loads(line) for line in stream.getvalue().splitlines()]
        failed = [e.get("traceback") for e in self.events if e["event"] == "stage_failed"]
        assert code == 0, failed

    @property
    def findings(self) -> set[str]:
        return {e["code"] for e in self.events if e["event"] == "finding"}

    def step(self, name: str, index: int = 0) -> Any:
        golden = json.loads((self.work / "golden" / "golden.json").read_text(encoding="utf-8"))
        return np.load(self.work / "golden" / golden["steps"][name][index])


def make(models: Any, folder: Path, kind: str, *, level: int = 1, arch: str = "hailo8l") -> Job:
    if kind == "two inputs":
        return Job(folder / "j", models.two_inputs(), TWO_INPUTS % level, arch)
    if kind == "detector":
        return Job(folder / "j", network("wider distributions"), DETECTOR % level, arch)
    b = models.Builder()
    x = b.input("x", [1, 3, 16, 16])
    y = b.node("Relu", [b.conv(x, 6, name="/c")], name="/r")
    y = b.node("Flatten", [b.node("GlobalAveragePool", [y], name="/p")], name="/f")
    return Job(folder / "j", b.build([b.dense(y, 6, 5, name="/fc")]), CLASSIFIER % level, arch)


#: What the user is told under a quirk, by network.
TOLD = {
    ("bias-correction-fails", "classifier"): {"optimize.bias-correction"},
    ("strict-nms", "detector"): {"optimize.nms-refused"},
}


#: Quirks that matter to one network and not to the others.
MORE = {
    "two inputs": ("numpy-hn", "flat-inputs", "flat-rows", "compiled-not-inferred"),
    "detector": ("", "strict-nms"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [("classifier", name) for name in ("", *QUIRKS)]
    + [(kind, name) for kind, names in MORE.items() for name in names],
)
def test_a_build_passes_under_every_quirk(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.setenv(VARIABLE, name)
    monkeypatch.setenv("HOME", str(tmp_path))
    job = make(models, tmp_path, kind)
    job.run(*ALL)
    own = {code for code in job.findings if code.startswith("optimize.")}
    assert own == TOLD.get((name, kind), set())
    script = (job.work / "model.alls").read_text(encoding="utf-8")
    assert ("nms_postprocess" in script) == (kind == "detector" and name != "strict-nms")
    if name in ("", "compiled-not-inferred") and kind != "detector":
        job.run("evaluate")  # what came from the cache is loaded anew
    if kind != "detector":
        np.testing.assert_allclose(job.step("sdk_native"), job.step("onnx"), atol=1e-4)


@pytest.mark.slow
def test_a_failed_bias_correction_ends_in_level_0_and_says_so(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "bias-correction-fails")
    job = make(models, tmp_path, "classifier")
    job.run(*ALL)
    (finding,) = [e for e in job.events if e.get("code") == "optimize.bias-correction"]
    assert (finding["asked"], finding["got"], finding["severity"]) == (1, 0, "warning")
    script = (job.work / "model.alls").read_text(encoding="utf-8")
    assert "optimization_level=0" in script
    announced = [e for e in job.events if e["event"] == "artifact" and e["role"] == "script"]
    assert len(announced) == 1


@pytest.mark.slow
def test_a_home_folder_that_takes_nothing_does_not_end_a_build(models: Any, tmp_path: Path) -> None:
    """The SDK may write there: a job without a home of its own gets one among its logs."""
    job = make(models, tmp_path, "classifier", level=0)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({**job.document, "stages": ALL}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "hefsmith_worker.job", plan, job.inputs, job.work],
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/proc/none",
            VARIABLE: "no-home",
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (job.work / "logs" / ".hailo").is_dir()


def test_a_failure_that_nobody_expects_is_the_users_to_know(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "bias-correction-fails")
    job = make(models, tmp_path, "classifier", level=2)
    with pytest.raises(AssertionError, match="bias_correction"):
        job.run(*ALL)


@pytest.mark.slow
def test_a_training_that_diverges_is_seen_in_the_numbers(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = []
    for name in ("", "diverging-training"):
        monkeypatch.setenv(VARIABLE, name)
        folder = tmp_path / (name or "plain")
        folder.mkdir()
        job = make(models, folder, "two inputs", level=2)
        job.run(*ALL)
        errors.append(float(np.abs(job.step("sdk_quantized") - job.step("onnx")).mean()))
    assert errors[1] > 2 * errors[0]


def test_a_quirk_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "numpy-hn, nonsense")
    with pytest.raises(RuntimeError, match="nonsense"):
        quirk("numpy-hn")
    monkeypatch.setenv(VARIABLE, " numpy-hn ,")
    assert quirk("numpy-hn")
    assert not quirk("other-order")


class TestAnswers:
    """What the contact test was told, and what the worker then does not try again."""

    @pytest.mark.slow
    def test_bias_correction_is_not_tried_where_it_is_known_to_fail(
        self, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, "bias-correction-fails")
        calls = count(monkeypatch, "optimize")
        job = make(models, tmp_path, "classifier")
        job.document["answers"] = {"level-1": "no AttributeError: KerasTensor"}
        job.run(*ALL)
        assert calls == ["optimize"]
        (finding,) = [e for e in job.events if e.get("code") == "optimize.bias-correction"]
        assert "KerasTensor" in finding["message"]
        assert (finding["asked"], finding["got"]) == (1, 0)
        assert "optimization_level=0" in (job.work / "model.alls").read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_an_nms_that_was_refused_is_not_tried(
        self, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, "strict-nms")
        calls = count(monkeypatch, "load_model_script")
        job = make(models, tmp_path, "detector")
        job.document["answers"] = {"nms-yolov8": "no NMSConfigPostprocessException: bins"}
        job.run(*ALL)
        assert calls == ["load_model_script"]
        assert "optimize.nms-refused" in job.findings
        assert "nms_postprocess" not in (job.work / "model.alls").read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_a_compiled_network_that_infers_nothing_is_not_asked(
        self, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, "compiled-not-inferred")
        job = make(models, tmp_path, "classifier")
        job.document["answers"] = {"compiled-inference": "no InvalidStateException: compiled"}
        job.run(*ALL)
        calls = count(monkeypatch, "infer")
        job.run("evaluate")
        assert calls == ["infer"] * 3

    @pytest.mark.slow
    @pytest.mark.parametrize("answer", ["yes", "failed no end after 240 seconds", ""])
    def test_any_other_answer_leaves_the_usual_form(
        self, models: Any, tmp_path: Path, answer: str
    ) -> None:
        job = make(models, tmp_path, "classifier")
        job.document["answers"] = {"level-1": answer}
        job.run(*ALL)
        assert "optimization_level=1" in (job.work / "model.alls").read_text(encoding="utf-8")
        assert "optimize.bias-correction" not in job.findings


def count(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Return a list that grows by one word at each call of a method of the SDK."""
    from hailo_sdk_client import ClientRunner

    calls: list[str] = []
    method = getattr(ClientRunner, name)

    def counted(self: Any, *words: Any, **options: Any) -> Any:
        calls.append(name)
        return method(self, *words, **options)

    monkeypatch.setattr(ClientRunner, name, counted)
    return calls
