"""More call sequences of public programs: the older interface, flat boxes, clean-up by hand.

Sources: programs that call ``make_from_network_group`` or ``create_infer_model`` in public
repositories (drivers' monitors, ROS 2 nodes, face recognition, robots); nothing is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hailo_platform as hailo
import numpy as np
import pytest

from tests.unit.runtime import hefs
from tests.unit.runtime.clients import test_programs
from tests.unit.runtime.clients.golden import (
    FRAMES,
    SCENES,
    job_rows,
    job_tensor,
    real,
    rows_of,
)
from tests.unit.runtime.runner import scheduled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Client = Callable[[str, np.ndarray], list[Any]]


def configured_group(target: Any, hef: Any) -> Any:
    params = hailo.ConfigureParams.create_from_hef(hef, interface=hailo.HailoStreamInterface.PCIe)
    return target.configure(hef, params)[0]


def each_call_anew(path: str, frames: np.ndarray) -> list[Any]:
    """A ROS 2 node and a driver's monitor: a pipeline and an activation for each frame."""
    hef = hailo.HEF(path)
    target = hailo.VDevice(device_ids=hailo.Device.scan())
    group = configured_group(target, hef)
    activation = group.create_params()
    both: dict[str, Any] = {"quantized": False, "format_type": hailo.FormatType.FLOAT32}
    ins = hailo.InputVStreamParams.make_from_network_group(configured_network=group, **both)
    outs = hailo.OutputVStreamParams.make_from_network_group(configured_network=group, **both)
    name = hef.get_input_vstream_infos()[0].name
    (wanted,) = [info.name for info in hef.get_output_vstream_infos()]
    found = []
    for frame in frames:
        with hailo.InferVStreams(group, ins, outs) as pipeline, group.activate(activation):
            batch = np.expand_dims(frame.astype(np.float32), 0)
            found.append(pipeline.infer({name: batch})[wanted][0])
    target.release()
    return found


def opened_by_hand(path: str, frames: np.ndarray) -> list[Any]:
    """A detector class: activation, then the pipeline, entered by hand and kept."""
    hef = hailo.HEF(path)
    target = hailo.VDevice()
    group = configured_group(target, hef)
    ins = hailo.InputVStreamParams.make_from_network_group(
        group, quantized=False, format_type=hailo.FormatType.UINT8
    )
    outs = hailo.OutputVStreamParams.make_from_network_group(
        group, quantized=False, format_type=hailo.FormatType.FLOAT32
    )
    activated = group.activate(group.create_params())
    activated.__enter__()
    pipeline = hailo.InferVStreams(group, ins, outs)
    pipeline.__enter__()
    name = group.get_input_vstream_infos()[0].name
    found = [
        next(iter(pipeline.infer({name: np.expand_dims(frame, axis=0)}).values()))[0]
        for frame in frames
    ]
    pipeline.__exit__(None, None, None)
    activated.__exit__(None, None, None)
    target.release()
    return found


def own_buffers(path: str, frames: np.ndarray) -> list[Any]:
    """Face recognition on a 10H: bindings made once, results in the program's own arrays."""
    device = hailo.VDevice(hailo.VDevice.create_params())
    model = device.create_infer_model(path)
    model.input().set_format_type(hailo.FormatType.UINT8)
    names = [info.name for info in hailo.HEF(path).get_output_vstream_infos()]
    for name in names:
        model.output(name).set_format_type(hailo.FormatType.FLOAT32)
    context = model.configure().__enter__()
    buffers = {name: np.empty(model.output(name).shape, np.float32) for name in names}
    bindings = context.create_bindings(output_buffers=buffers)
    found = []
    for frame in frames:
        bindings.input().set_buffer(np.ascontiguousarray(frame))
        context.run([bindings], timeout=60000)
        found.append(buffers[names[0]].copy())
    del device
    return found


def without_scheduler(path: str, frames: np.ndarray) -> list[Any]:
    """A robot: no scheduler, so it activates, and it shuts down by hand."""
    params = hailo.VDevice.create_params()
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.NONE
    device = hailo.VDevice(params)
    model = device.create_infer_model(path)
    configured = model.configure()
    configured.activate()
    found = []
    for frame in frames:
        bindings = configured.create_bindings()
        bindings.input(model.input_names[0]).set_buffer(frame.copy())
        bindings.output(model.output_names[0]).set_buffer(np.empty(model.output().shape, np.uint8))
        configured.run([bindings], 1000)
        found.append(real(model.output(), bindings.output().get_buffer()))
    configured.deactivate()
    configured.shutdown()
    device.release()
    return found


def flat_boxes(flat: np.ndarray, classes: int) -> list[np.ndarray]:
    """Read a flat buffer of boxes by class: a number of boxes, and five values for each."""
    found, at = [], 0
    for _ in range(classes):
        count = int(flat[at])
        found.append(flat[at + 1 : at + 1 + 5 * count].reshape(-1, 5))
        at += 1 + 5 * count
    return found


@pytest.mark.parametrize("client", [each_call_anew, opened_by_hand, without_scheduler])
def test_a_program_reads_the_logits_that_our_job_reads(client: Client, tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    wanted = job_tensor(tmp_path, path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(client(path, FRAMES)), wanted)


@pytest.mark.parametrize("client", [each_call_anew, opened_by_hand, own_buffers])
def test_a_program_reads_the_boxes_that_our_job_reads(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = "hailo10h" if client is own_buffers else "hailo8l"
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", chip)
    path = hefs.store(tmp_path, hefs.detector(arch=chip))
    wanted = job_rows(tmp_path, path, {"net/input_layer1": SCENES})
    found = client(path, SCENES)
    if client is own_buffers:
        found = [flat_boxes(flat, classes=3) for flat in found]
    for rows, expected in zip(rows_of(found), wanted, strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("version", "chip"),
    [("4.18.0", "hailo8l"), ("4.20.0", "hailo8l"), ("5.1.1", "hailo10h"), ("5.2.0", "hailo10h")],
)
@pytest.mark.parametrize(
    "client",
    [
        test_programs.picamera2,
        test_programs.hailo_apps,
        test_programs.frigate,
        own_buffers,
    ],
)
def test_programs_of_the_newer_interface_run_on_each_version(
    client: Client, version: str, chip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", chip)
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", version)
    if client is own_buffers and version.startswith("4"):
        # Its author has a Hailo-10H; up to 4.23 Python's default is without the scheduler.
        with pytest.raises(hailo.HailoRTException, match="HAILO_STREAM_NOT_ACTIVATED"):
            client(hefs.store(tmp_path, hefs.classifier(compiler=hefs.OLD_COMPILER)), FRAMES)
        return
    compiler = hefs.OLD_COMPILER if version.startswith("4") else hefs.COMPILER
    path = hefs.store(tmp_path, hefs.classifier(arch=chip, compiler=compiler))
    wanted = job_tensor(tmp_path, path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(client(path, FRAMES)), wanted)


def test_programs_of_the_older_interface_are_refused_by_a_10h(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", "hailo10h")
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", "5.2.0")
    path = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"))
    for client in (each_call_anew, opened_by_hand, test_programs.ultralytics):
        with pytest.raises(hailo.HailoRTException, match="HAILO_NOT_IMPLEMENTED"):
            client(path, FRAMES)


def test_a_program_that_activates_beside_the_scheduler_is_refused(tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    with hailo.VDevice(scheduled()) as device:
        configured = device.create_infer_model(path).configure()
        with pytest.raises(hailo.HailoRTException, match="Invalid operation"):
            configured.activate()
