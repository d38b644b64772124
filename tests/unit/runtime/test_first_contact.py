"""Jobs and bundles on what real installations differ in: versions, old wheels, crashes at exit."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from orchestrator.device.agent.facts import BINDING
from orchestrator.device.base import Identity, is_done
from orchestrator.device.benchmark import BenchOptions, run_benchmark
from orchestrator.device.bundle import plan_bundle, write_bundle
from orchestrator.device.bundle_targets import TARGETS
from orchestrator.device.faults import DeviceLacks
from orchestrator.device.validation import DeviceRun, GoldenInput, GoldenOutput, run_golden
from orchestrator.diagnose.doctor import checks_device
from tests.unit.runtime import hefs, test_bundle
from tests.unit.runtime.runner import LocalRunner, QuickRunner, emulated_environment

if TYPE_CHECKING:
    from pathlib import Path

#: Environment of a device; what it may not change is the answer.
DEVICES = {
    "4.17": {"HEFSMITH_EMULATED_HAILORT": "4.17.1"},
    "4.18": {"HEFSMITH_EMULATED_HAILORT": "4.18.0"},
    "4.20": {"HEFSMITH_EMULATED_HAILORT": "4.20.0"},
    "by-score": {"HEFSMITH_EMULATED_QUIRKS": "nms-by-score"},
    "unknown": {"HEFSMITH_EMULATED_QUIRKS": "version-unknown"},
}


def detect(folder: Path, runner: LocalRunner) -> tuple[DeviceRun, list[list[float]]]:
    samples = np.zeros((2, 16, 16, 1), np.uint8)
    samples[0, :8, :8] = 240
    samples[1, :8, :8], samples[1, 8:, 8:] = 240, 130
    np.save(folder / "pictures.npy", samples)
    hef = folder / "model.emulated.hef"
    hef.write_bytes(hefs.detector(compiler=hefs.OLD_COMPILER))
    output = GoldenOutput(stream=None, kind="nms", file=folder / "boxes.npz")
    given = GoldenInput(stream="net/input_layer1", file=folder / "pictures.npy")
    done = run_golden(runner, hef, [given], [output])
    if not done.complete:
        return done, []
    with np.load(output.file) as archive:
        return done, sorted(archive["boxes"].tolist())


@pytest.mark.parametrize("name", DEVICES)
def test_each_device_gives_the_same_boxes(name: str, tmp_path: Path) -> None:
    _, expected = detect(tmp_path, QuickRunner())
    done, found = detect(tmp_path, QuickRunner(**DEVICES[name]))
    assert done.complete, done.trouble
    assert done.api == ("vstreams" if name == "4.17" else "infer_model")
    assert len(expected) == 5
    assert found == expected


@pytest.mark.parametrize("name", DEVICES)
def test_each_device_can_be_measured(name: str, tmp_path: Path) -> None:
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.detector(compiler=hefs.OLD_COMPILER))
    options = BenchOptions(seconds=0.02, warmup=0.0, cli=name == "unknown", image=None)
    runner = QuickRunner(**DEVICES[name])
    assert run_benchmark(runner, hef, device="pi5", options=options).rates[0].fps > 0


@pytest.mark.slow
def test_results_count_when_the_process_crashes_at_exit(tmp_path: Path) -> None:
    runner = LocalRunner(HEFSMITH_EMULATED_QUIRKS="crash-at-exit")
    done, found = detect(tmp_path, runner)
    assert done.complete
    assert len(found) == 5


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["hello", "done"], True),
        (["hello"], False),
        (["failed"], False),
        (["done", "failed"], False),
        ([], False),
    ],
)
def test_a_job_is_done_when_it_says_so_last(names: list[str], wanted: bool) -> None:
    assert is_done([{"event": name} for name in names]) is wanted


@pytest.mark.slow
def test_an_old_wheel_beside_numpy_2_is_named(tmp_path: Path) -> None:
    runner = LocalRunner(HEFSMITH_EMULATED_QUIRKS="numpy2-nbytes")
    with pytest.raises(DeviceLacks, match="built for numpy 1") as caught:
        detect(tmp_path, runner)
    assert "numpy<2" in (caught.value.hint or "")


@pytest.mark.slow
@pytest.mark.parametrize(("content", "wanted"), [(b"..NumpyVersion..", True), (b"..", False)])
def test_the_binding_is_asked_which_numpy_it_reads(
    content: bytes, wanted: bool, tmp_path: Path
) -> None:
    package = tmp_path / "hailo_platform"
    (package / "pyhailort").mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '4.23.0'\n", encoding="utf-8")
    (package / "pyhailort" / "_pyhailort.cpython-311.so").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", BINDING],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["numpy2"] is wanted


@pytest.mark.parametrize(
    ("numpy", "reads", "status"),
    [("2.1.3", False, "error"), ("2.1.3", True, "ok"), ("1.26.4", False, "ok")],
)
def test_doctor_tells_of_an_old_wheel(numpy: str, reads: bool, status: str) -> None:
    identity = Identity(
        chip="hailo8l", numpy_version=numpy, binding_version="4.23.0", binding_numpy2=reads
    )

    @dataclasses.dataclass
    class Facts:
        identity: Identity

    found = checks_device._numpy(Facts(identity))  # type: ignore[arg-type]
    assert found is not None
    assert found.severity == status


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.slow
def test_a_bundle_answers_the_same_on_each_device(name: str, tmp_path: Path) -> None:
    model = test_bundle.detector(tmp_path)
    model.hef.write_bytes(hefs.detector(compiler=hefs.OLD_COMPILER))
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(model, TARGETS["python"]), folder)
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8, :8], pixels[8:, 8:] = 240, 130
    Image.fromarray(pixels).save(folder / "picture.png")
    answers = []
    for environment in ({}, DEVICES[name]):
        done = subprocess.run(
            [sys.executable, "run.py", "picture.png", "--json"],
            cwd=folder,
            env=emulated_environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout)["boxes"])
    assert len(answers[0]) == 3
    assert answers[0] == answers[1]


@pytest.mark.parametrize("chip", ["hailo8l", "hailo10h"])
@pytest.mark.slow
def test_programs_share_a_chip_in_one_group_and_only_there(chip: str, tmp_path: Path) -> None:
    """The lock is held by another process of the group; without the group nobody gets in."""
    import subprocess
    import sys

    from tests.unit.runtime.runner import emulated_environment

    node = tmp_path / "node"
    node.touch()
    hold = (
        "import sys, hailo_platform as h\n"
        "p = h.VDevice.create_params()\n"
        "p.scheduling_algorithm = h.HailoSchedulingAlgorithm.ROUND_ROBIN\n"
        "p.multi_process_service = sys.argv[2] == 'hailo8l'\n"
        "p.group_id = sys.argv[1]\n"
        "d = h.VDevice(p)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    env = emulated_environment(HEFSMITH_EMULATED_NODE=str(node), HEFSMITH_EMULATED_CHIP=chip)
    for group, shared in (("SHARED", True), ("UNIQUE", False)):
        with subprocess.Popen(
            [sys.executable, "-c", hold, group, chip],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
        ) as holder:  # fmt: skip
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            code = (
                "import sys; sys.path.insert(0, sys.argv[1])\n"
                "sys.path.insert(0, sys.argv[1] + '/bundle')\n"
                "import hailo_platform, infer, bench, contact, hailo_model\n"
                "for job in (infer, bench, contact, hailo_model):\n"
                "    job.open_chip(hailo_platform).release()\n"
            )
            jobs = str(_jobs())
            for given, works in (({"HEFSMITH_SHARED_GROUP": "SHARED"}, shared), ({}, False)):
                done = subprocess.run(
                    [sys.executable, "-c", code, jobs],
                    env={**env, **given}, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert (done.returncode == 0) is works, (group, given, done.stderr)
            holder.communicate("", timeout=120)


def _jobs() -> Path:
    from orchestrator.device.validation import job_script

    return job_script("infer").parent
