"""The jobs that are sent to a Pi, run for real in a process of their own."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import numpy as np
import pytest

from orchestrator.device.base import DeviceSpec, Holder, Identity
from orchestrator.device.benchmark import BenchOptions, run_benchmark
from orchestrator.device.faults import DeviceBusy, DeviceLacks
from orchestrator.device.validation import (
    DeviceRun,
    GoldenInput,
    GoldenOutput,
    beside_jobs,
    job_script,
    run_golden,
)
from orchestrator.errors import ArtifactError
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import LocalRunner, QuickRunner, scheduled

COUNT = 6


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    path = tmp_path / "pictures.npy"
    np.save(path, random.integers(0, 256, (COUNT, 8, 8, 3)).astype(np.uint8))
    return path


def run(
    folder: Path, content: bytes, pictures: Path, runner: LocalRunner | None = None, **more: object
) -> tuple[DeviceRun, np.ndarray]:
    hef = folder / "model.emulated.hef"
    hef.write_bytes(content)
    output = GoldenOutput(stream="net/fc1", kind="tensor", file=folder / "out" / "0.npy")
    done = run_golden(
        runner or QuickRunner(),
        hef,
        [GoldenInput(stream="net/input_layer1", file=pictures)],
        [output],
        **more,  # type: ignore[arg-type]
    )
    return done, np.load(output.file) if output.file.exists() else np.zeros(0)


def expected(content: bytes, pictures: Path) -> np.ndarray:
    """Return what the payload computes, without any runtime between."""
    from hailo_emulator.execute import Executor
    from hailo_emulator.payload import read_payload

    network = Executor(read_payload(content))
    frames = np.load(pictures).astype(np.float32)
    return np.stack([network.run({"net/input_layer1": frame})["net/fc1"] for frame in frames])


def test_outputs_of_the_device_are_those_of_the_payload(tmp_path: Path, pictures: Path) -> None:
    content = hefs.classifier()
    done, found = run(tmp_path, content, pictures, LocalRunner())
    assert done.complete
    assert done.emulated
    assert done.samples == COUNT
    assert (done.repeats, done.different) == (5, 0)
    np.testing.assert_array_equal(found, expected(content, pictures))
    assert len(np.unique(found)) > 5


@pytest.mark.parametrize("api", ["infer_model", "vstreams"])
@pytest.mark.parametrize("output_format", ["float32", "native"])
@pytest.mark.parametrize("bits", [8, 16])
def test_both_interfaces_and_both_formats_agree(
    tmp_path: Path, pictures: Path, api: str, output_format: str, bits: int
) -> None:
    content = hefs.classifier(bits=bits)
    done, found = run(tmp_path, content, pictures, api=api, output_format=output_format)
    assert done.api == api
    np.testing.assert_array_equal(found, expected(content, pictures))


def test_float_inputs_are_quantised_by_the_runtime(tmp_path: Path, pictures: Path) -> None:
    content = hefs.classifier()
    floats = tmp_path / "floats.npy"
    np.save(floats, np.load(pictures).astype(np.float32))
    _, found = run(tmp_path, content, floats)
    np.testing.assert_array_equal(found, expected(content, pictures))


def test_several_inputs_go_to_their_own_streams(tmp_path: Path, pictures: Path) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((COUNT, 8, 8, 3), np.uint8))
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.two_inputs())
    output = GoldenOutput(stream="net/ew_add1", kind="tensor", file=tmp_path / "sum.npy")
    inputs = [
        GoldenInput(stream="net/input_layer2", file=pictures),
        GoldenInput(stream="net/input_layer1", file=other),
    ]
    run_golden(QuickRunner(), hef, inputs, [output])
    half = np.load(pictures).astype(np.float32) / 2
    assert np.abs(np.load(output.file) - half).max() <= 0.5


def test_boxes_come_back_as_rows_with_offsets(tmp_path: Path) -> None:
    samples = np.zeros((3, 16, 16, 1), np.uint8)
    samples[0, :8, :8] = 240
    samples[1, :8, :8], samples[1, 8:, 8:] = 240, 130
    path = tmp_path / "pictures.npy"
    np.save(path, samples)
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.detector())
    for api in ("infer_model", "vstreams"):
        output = GoldenOutput(stream=None, kind="nms", file=tmp_path / f"{api}.npz")
        given = GoldenInput(stream="net/input_layer1", file=path)
        done = run_golden(QuickRunner(), hef, [given], [output], api=api)  # type: ignore[arg-type]
        assert done.complete
        with np.load(output.file) as archive:
            boxes, offsets = archive["boxes"], archive["offsets"]
        counts = np.diff(offsets).tolist()
        assert counts[2] == 0
        assert counts[0] >= 1
        assert counts[1] > counts[0]
        assert boxes.shape[1] == 6
        assert boxes[0, 5] == 0
        assert boxes[0, 4] == pytest.approx(240 / 255, abs=0.01)
        assert boxes[:, :4].min() >= -0.01
        assert boxes[:, :4].max() <= 1.01


def test_a_device_that_answers_differently_each_time_is_told(
    tmp_path: Path, pictures: Path
) -> None:
    runner = QuickRunner(HEFSMITH_EMULATED_FAULT="unstable")
    done, _ = run(tmp_path, hefs.classifier(), pictures, runner)
    assert done.complete
    assert done.different == 5
    assert "5 of 5" in done.trouble["unstable"]


@pytest.mark.slow
def test_a_busy_chip_is_refused_with_the_holders_name(
    tmp_path: Path, pictures: Path, emulated_device: Path
) -> None:
    import hailo_platform

    runner = LocalRunner(HEFSMITH_EMULATED_NODE=str(emulated_device))
    with hailo_platform.VDevice():
        with pytest.raises(DeviceBusy, match=r"held by \S*py\S* \(\d+\)"):
            run(tmp_path, hefs.classifier(), pictures, runner)
        hef = tmp_path / "model.emulated.hef"
        with pytest.raises(DeviceBusy, match=r"held by \S*py\S* \(\d+\)"):
            run_benchmark(runner, hef, device="pi5")


class AskedRunner(QuickRunner):
    """A session that can also be asked what the device is."""

    def __init__(self, identity: Identity, **environment: str) -> None:
        super().__init__(**environment)
        self.spec = DeviceSpec(name="pi5", host="10.0.0.5")
        self._identity = identity

    def identify(self, *, level: str = "full", refresh: bool = False) -> Identity:
        assert (level, refresh) == ("full", True)
        return self._identity


@pytest.mark.slow
def test_a_shared_chip_is_measured_beside_another_program(
    tmp_path: Path, emulated_device: Path
) -> None:
    import hailo_platform

    params = scheduled(group_id="SHARED", multi_process_service=True)
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.classifier())
    options = BenchOptions(seconds=0.1, warmup=0)
    runner = LocalRunner(
        HEFSMITH_EMULATED_NODE=str(emulated_device), HEFSMITH_SHARED_GROUP="SHARED"
    )
    with hailo_platform.VDevice(params):
        result = run_benchmark(runner, hef, device="pi5", options=options)
    assert result.rates
    assert result.hw_only_fps is None  # hailortcli would want the chip for itself


def test_a_holder_that_only_root_can_see_is_asked_for(tmp_path: Path, pictures: Path) -> None:
    holder = Holder(pid=77, command="frigate", user="root")
    known = AskedRunner(
        Identity(chip="hailo8l", holders=(holder,)), HEFSMITH_EMULATED_FAULT="device_busy"
    )
    with pytest.raises(DeviceBusy, match=r"^pi5: the chip is held by frigate \(77\)"):
        run(tmp_path, hefs.classifier(), pictures, known)


def test_no_chip_at_all_is_not_taken_for_a_busy_one(tmp_path: Path, pictures: Path) -> None:
    """HailoRT's status is 74 for both."""
    none = AskedRunner(
        Identity(chip=None, notes=("hailortcli found no chip",)),
        HEFSMITH_EMULATED_FAULT="device_busy",
    )
    with pytest.raises(DeviceLacks, match="pi5: no Hailo chip answers there: hailortcli found"):
        run(tmp_path, hefs.classifier(), pictures, none)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("driver_mismatch", "is different from library version"),
        ("no_driver", "ot enough free devices|driver class"),
        ("library_missing", "libhailort.so"),
        ("binding_mismatch", "does not match pyhailort version"),
    ],
)
@pytest.mark.slow
def test_faults_of_the_installation_are_the_devices_matter(
    tmp_path: Path, pictures: Path, fault: str, text: str
) -> None:
    runner = LocalRunner(HEFSMITH_EMULATED_FAULT=fault, HEFSMITH_EMULATED_HAILORT="4.20.0")
    with pytest.raises(DeviceLacks, match=text):
        run(tmp_path, hefs.classifier(), pictures, runner)


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("timeout", "timeout", "HAILO_TIMEOUT"),
        ("wrong_chip", "wrong-chip", "Device arch: HAILO8L"),
        ("page_size", "runtime", "max_desc_page_size given 16384"),
    ],
)
def test_faults_of_a_run_are_told_for_the_verdict(
    tmp_path: Path, pictures: Path, fault: str, kind: str, text: str
) -> None:
    runner = QuickRunner(HEFSMITH_EMULATED_FAULT=fault)
    done, _ = run(tmp_path, hefs.classifier(), pictures, runner)
    assert not done.complete
    assert text in done.trouble[kind]


def test_a_hef_of_another_chip_is_told(tmp_path: Path, pictures: Path) -> None:
    done, _ = run(tmp_path, hefs.classifier(arch="hailo8"), pictures)
    assert "Device arch: HAILO8L, HEF arch: HAILO8" in done.trouble["wrong-chip"]


def test_hailo10h_has_no_older_interface(tmp_path: Path, pictures: Path) -> None:
    runner = QuickRunner(HEFSMITH_EMULATED_CHIP="hailo10h")
    content = hefs.classifier(arch="hailo10h")
    done, found = run(tmp_path, content, pictures, runner)
    np.testing.assert_array_equal(found, expected(content, pictures))
    done, _ = run(tmp_path, content, pictures, runner, api="vstreams")
    assert "use InferModel" in done.trouble["api"]


@pytest.mark.slow
def test_benchmark_measures_and_says_emulated(tmp_path: Path, pictures: Path) -> None:
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.classifier())
    options = BenchOptions(seconds=0.2, warmup=0, batches=(1, 4), cli=False)
    result = run_benchmark(QuickRunner(), hef, device="pi5", options=options, predicted_fps=9.0)
    assert result.emulated
    assert result.of_predicted is None
    assert result.latency is not None
    assert 0 < result.latency.p50_ms <= result.latency.p95_ms <= result.latency.p99_ms
    assert [rate.batch for rate in result.rates] == [1, 4]
    assert all(rate.fps > 0 for rate in result.rates)
    assert result.end_to_end_fps
    assert result.watts is None
    assert result.power_problem
    assert any("no chip was measured" in note for note in result.notes)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["of_predicted"] is None
    lines = result.to_csv().splitlines()
    assert lines[0] == "device,measure,batch,value,unit,emulated"
    assert all(line.endswith(",true") for line in lines[1:])


@pytest.mark.slow
def test_benchmark_by_the_older_interface(tmp_path: Path) -> None:
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.classifier())
    options = BenchOptions(seconds=0.1, warmup=0, cli=False, api="vstreams")
    result = run_benchmark(QuickRunner(), hef, device="pi5", options=options)
    assert result.api == "vstreams"


def test_benchmark_of_a_hef_for_another_chip_is_an_artifact_error(tmp_path: Path) -> None:
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.classifier(arch="hailo8"))
    with pytest.raises(ArtifactError, match="Device arch: HAILO8L"):
        run_benchmark(QuickRunner(), hef, device="pi5", options=BenchOptions(cli=False))


@pytest.mark.parametrize("name", ["infer", "bench", "contact", "hailo_chip.py", "job_report.py"])
def test_jobs_are_for_python_3_9_and_need_only_what_goes_along(name: str) -> None:
    path = beside_jobs().get(name) or job_script(name)  # type: ignore[arg-type]
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        node.module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    allowed = {
        "__future__",
        *(Path(one).stem for one in beside_jobs()),
        "pathlib",
        "hailo_platform",
        "json",
        "numpy",
        "os",
        "platform",
        "re",
        "shutil",
        "subprocess",
        "sys",
        "time",
        "typing",
    }
    assert imported <= allowed


@pytest.mark.slow
def test_what_holds_the_board_back_is_told(tmp_path: Path) -> None:
    """``vcgencmd`` of a Pi that is throttled now and had under-voltage before the run."""
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "vcgencmd"
    script.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "  get_throttled) echo throttled=0x50004 ;;\n"
        '  measure_temp) echo "temp=81.2\'C" ;;\n'
        "esac\n"
    )
    script.chmod(0o755)
    hef = tmp_path / "model.emulated.hef"
    hef.write_bytes(hefs.classifier())
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    options = BenchOptions(seconds=0.1, warmup=0, cli=False, image=None)
    result = run_benchmark(QuickRunner(PATH=path), hef, device="pi5", options=options)
    assert result.board_c_after == 81.2
    # Under-voltage since boot, before the run began, is not this run's.
    assert result.throttled == ("throttled",)
    assert any("held back during the run: throttled" in note for note in result.notes)
