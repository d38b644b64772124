"""The hailo_platform stand-in: order of calls, checks and exceptions of the vendor's binding."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import hailo_platform as hailo
import numpy as np
import pytest
from hailo_platform.pyhailort import pyhailort

from tests.unit.runtime import hefs
from tests.unit.runtime.runner import emulated_environment, scheduled

FRAME = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)


@pytest.fixture
def hef(tmp_path: Path) -> str:
    return hefs.store(tmp_path, hefs.classifier())


@pytest.fixture
def boxes(tmp_path: Path) -> str:
    return hefs.store(tmp_path, hefs.detector(), "boxes.emulated.hef")


def infer(path: str, frame: np.ndarray, kind: Any = hailo.FormatType.FLOAT32) -> np.ndarray:
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(path)
        model.output().set_format_type(kind)
        dtype = str(kind).rpartition(".")[2].lower()
        with model.configure() as configured:
            bindings = configured.create_bindings()
            bindings.input().set_buffer(frame)
            bindings.output().set_buffer(np.empty(model.output().shape, dtype))
            configured.run([bindings], 1000)
            return bindings.output().get_buffer()


# --- HEF -------------------------------------------------------------------------------------


def test_hef_tells_its_streams(hef: str) -> None:
    found = hailo.HEF(hef)
    info = found.get_input_vstream_infos()[0]
    assert (info.name, info.shape, str(info.format.type)) == (
        "net/input_layer1",
        (8, 8, 3),
        "FormatType.UINT8",
    )
    output = found.get_output_vstream_infos()[0]
    assert (output.shape, str(output.format.order)) == ((5,), "FormatOrder.NC")
    assert (output.quant_info.qp_scale, output.quant_info.qp_zp) == (0.5, 128.0)
    assert found.get_network_group_names() == ["net"]
    assert found.get_networks_names() == ["net/net"]
    assert found.get_sorted_output_names() == ["net/fc1"]
    assert found.bottleneck_fps() == 100.0
    assert found.get_vstream_name_from_original_name("logits") == "net/fc1"
    assert hailo.HEF(Path(hef).read_bytes()).path is None


def test_nms_stream_has_its_own_shapes(boxes: str) -> None:
    info = hailo.HEF(boxes).get_output_vstream_infos()[0]
    assert info.shape == (3, 5, 10)
    assert (info.nms_shape.number_of_classes, info.nms_shape.max_bboxes_per_class) == (3, 10)
    with hailo.VDevice(scheduled()) as device:
        assert device.create_infer_model(boxes).output().shape == (3 * (1 + 5 * 10),)
    plain = hailo.HEF(boxes).get_input_vstream_infos()[0]
    with pytest.raises(RuntimeError, match="only on nms order"):
        _ = plain.nms_shape


@pytest.mark.parametrize("source", [None, 7, ["a"]])
def test_hef_takes_paths_and_bytes_only(source: object) -> None:
    with pytest.raises(ValueError, match=r"file path \(str\) or a buffer \(bytes\)"):
        hailo.HEF(source)


def test_damaged_files_have_the_status_of_the_version(
    tmp_path: Path, hef: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut.hef"
    cut.write_bytes(Path(hef).read_bytes()[:-100])
    with pytest.raises(pyhailort.HailoRTException, match=r"error: 91 \(HAILO_HEF_FILE_CORRUPTED\)"):
        hailo.HEF(str(cut))
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", "4.20.0")
    with pytest.raises(pyhailort.HailoRTInvalidHEFException, match=r"Invalid HEF\. See hailort"):
        hailo.HEF(str(cut))


# --- InferModel ------------------------------------------------------------------------------


def test_integers_and_floats_are_the_same_answer(hef: str) -> None:
    floats = infer(hef, FRAME)
    integers = infer(hef, FRAME, hailo.FormatType.UINT8)
    assert integers.dtype == np.uint8
    np.testing.assert_array_equal(floats, (integers.astype(np.float32) - 128) * np.float32(0.5))


def test_boxes_in_both_forms(boxes: str) -> None:
    frame = np.zeros((16, 16, 1), np.uint8)
    frame[:8, :8] = 200
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(boxes)
        with model.configure() as configured:
            bindings = configured.create_bindings(
                {"net/input_layer1": frame},
                {
                    name: np.empty(model.output(name).shape, np.float32)
                    for name in model.output_names
                },
            )
            configured.run([bindings], 1000)
            by_class = bindings.output().get_buffer()
            padded = bindings.output().get_buffer(tf_format=True)
            raw = bindings.output().get_buffer(None)
    assert [rows.shape for rows in by_class] == [(1, 5), (0, 5), (0, 5)]
    assert padded.shape == (3, 5, 10)
    np.testing.assert_array_equal(padded[0, :, 0], by_class[0][0])
    assert not padded[0, :, 1:].any()
    assert raw[0] == 1.0


def test_thresholds_can_be_changed_before_configuring(boxes: str) -> None:
    frame = np.full((16, 16, 1), 200, np.uint8)

    def count(change: Any) -> int:
        with hailo.VDevice(scheduled()) as device:
            model = device.create_infer_model(boxes)
            change(model.output())
            with model.configure() as configured:
                buffers = {"net/yolov8_nms_postprocess": np.empty(model.output().shape, np.float32)}
                bindings = configured.create_bindings({"net/input_layer1": frame}, buffers)
                configured.run([bindings], 1000)
                return len(bindings.output().get_buffer()[0])

    assert count(lambda output: None) == 4
    assert count(lambda output: output.set_nms_score_threshold(0.9)) == 0
    assert count(lambda output: output.set_nms_max_proposals_per_class(2)) == 2
    assert count(lambda output: output.set_nms_iou_threshold(0.05)) < 4


def test_nms_thresholds_without_nms_fail_when_configured(hef: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(hef)
        model.output().set_nms_score_threshold(0.5)
        with pytest.raises(pyhailort.HailoRTInvalidOperationException):
            model.configure()


def test_boxes_come_as_floats_only(boxes: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(boxes)
        model.output().set_format_type(hailo.FormatType.UINT8)
        with pytest.raises(pyhailort.HailoRTInvalidArgumentException):
            model.configure()


def test_asynchronous_runs_call_back_with_a_keyword(hef: str) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def callback(completion_info: Any, number: int) -> None:
        seen.append((number, completion_info.exception))
        if len(seen) == 3:
            done.set()

    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(hef)
        with model.configure() as configured:
            jobs = []
            for number in range(3):
                bindings = configured.create_bindings()
                bindings.input().set_buffer(FRAME)
                bindings.output().set_buffer(np.empty((5,), np.uint8))
                configured.wait_for_async_ready(timeout_ms=60000)
                jobs.append(configured.run_async([bindings], partial(callback, number=number)))
            jobs[-1].wait(60000)
            assert done.wait(60)
    assert sorted(number for number, _ in seen) == [0, 1, 2]
    assert all(error is None for _, error in seen)


def test_a_buffer_of_another_size_is_refused_with_both_sizes(
    hef: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(pyhailort.HailoRTInvalidOperationException):
        infer(hef, FRAME.astype(np.float32))
    text = "Input buffer size 768 is different than expected 192 for input 'net/input_layer1'"
    assert text in capsys.readouterr().err


def test_missing_and_strided_buffers_are_refused(hef: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(hef)
        with model.configure() as configured:
            bindings = configured.create_bindings()
            with pytest.raises(pyhailort.HailoRTNotFoundException):
                configured.run([bindings], 1000)
            with pytest.raises(pyhailort.HailoRTException, match="C_CONTIGUOUS"):
                bindings.input().set_buffer(FRAME.transpose(1, 0, 2))
            with pytest.raises(pyhailort.HailoRTNotFoundException):
                bindings.input("net/nothing")
            with pytest.raises(pyhailort.HailoRTInvalidOperationException):
                configured.activate()  # the scheduler does that


def test_without_the_scheduler_a_model_must_be_activated(hef: str) -> None:
    with hailo.VDevice(device_ids=hailo.Device.scan()) as device:
        model = device.create_infer_model(hef)
        with model.configure() as configured:
            bindings = configured.create_bindings()
            bindings.input().set_buffer(FRAME)
            bindings.output().set_buffer(np.empty((5,), np.uint8))
            with pytest.raises(hailo.HailoRTException, match="HAILO_STREAM_NOT_ACTIVATED"):
                configured.run([bindings], 1000)
            configured.activate()
            configured.run([bindings], 1000)


def test_several_inputs_need_names(tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.two_inputs())
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(path)
        assert model.input_names == ["net/input_layer1", "net/input_layer2"]
        with pytest.raises(pyhailort.HailoRTInvalidOperationException):
            model.input()


def test_an_unanswering_chip_is_a_timeout(hef: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_FAULT", "timeout")
    with pytest.raises(pyhailort.HailoRTTimeout, match="a timeout had occurred"):
        infer(hef, FRAME)


# --- the older interface ---------------------------------------------------------------------


def older(path: str, data: Any, *, ids: list[str] | None = None, activate: bool = True) -> Any:
    found = hailo.HEF(path)
    with hailo.VDevice(None if ids else scheduled(), device_ids=ids) as device:
        params = hailo.ConfigureParams.create_from_hef(
            found, interface=hailo.HailoStreamInterface.PCIe
        )
        group = device.configure(found, params)[0]
        inputs = hailo.InputVStreamParams.make(group, format_type=hailo.FormatType.UINT8)
        outputs = hailo.OutputVStreamParams.make(group, format_type=hailo.FormatType.FLOAT32)
        with hailo.InferVStreams(group, inputs, outputs) as pipeline:
            if not activate:
                return pipeline.infer(data)
            with group.activate(group.create_params()):
                return pipeline.infer(data)


def test_the_older_interface_gives_the_same_answer(hef: str) -> None:
    batch = np.stack([FRAME, 255 - FRAME])
    found = older(hef, {"net/input_layer1": batch})["net/fc1"]
    assert found.shape == (2, 5)
    np.testing.assert_array_equal(found[0], infer(hef, FRAME))
    np.testing.assert_array_equal(older(hef, batch)["net/fc1"], found)


def test_older_boxes_are_a_list_by_frame_and_class(boxes: str) -> None:
    batch = np.zeros((2, 16, 16, 1), np.uint8)
    batch[1, :8, :8] = 200
    found = older(boxes, batch)["net/yolov8_nms_postprocess"]
    assert [len(rows) for rows in found[0]] == [0, 0, 0]
    assert [len(rows) for rows in found[1]] == [1, 0, 0]


def test_the_older_interface_must_be_activated_without_the_scheduler(hef: str) -> None:
    ids = hailo.Device.scan()
    batch = FRAME[None]
    with pytest.raises(pyhailort.HailoRTNetworkGroupNotActivatedException):
        older(hef, batch, ids=ids, activate=False)
    assert older(hef, batch, ids=ids)["net/fc1"].shape == (1, 5)


def test_float_pixels_are_cut_to_integers_with_one_warning_only(
    hef: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trap that users fall into: 0..1 floats given to a uint8 input are all zero."""
    found = older(hef, FRAME[None].astype(np.float32) / 255)["net/fc1"]
    np.testing.assert_array_equal(found[0], infer(hef, np.zeros_like(FRAME)))
    warning = "Given input data dtype (float32) is different than inferred dtype (uint8)"
    assert warning in capsys.readouterr().err


def test_hailo10h_answers_not_implemented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", "hailo10h")
    path = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"))
    assert infer(path, FRAME).shape == (5,)
    text = r"libhailort failed with error: 7 \(HAILO_NOT_IMPLEMENTED\)"
    with pytest.raises(pyhailort.HailoRTException, match=text):
        older(path, FRAME[None])
    assert "use InferModel instead" in capsys.readouterr().err


# --- the device ------------------------------------------------------------------------------


def test_one_process_at_a_time(hef: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with hailo.VDevice():
        with pytest.raises(hailo.HailoRTException, match="HAILO_OUT_OF_PHYSICAL_DEVICES"):
            hailo.VDevice()
        with pytest.raises(hailo.HailoRTException, match=r"73 \(HAILO_DEVICE_IN_USE\)"):
            hailo.VDevice(device_ids=hailo.Device.scan())
        # Control calls go on: identify works while another process infers.
        with hailo.Device() as device:
            board = device.control.identify()
            assert str(board.device_architecture) == "DeviceArchitectureTypes.HAILO8L"
            assert board.serial_number == "EMULATED"
    with hailo.VDevice():
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_a_device_belongs_to_the_process_that_made_it(hef: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        receive, send = multiprocessing.get_context("fork").Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            try:
                device.create_infer_model(hef)
            except hailo.HailoRTException as error:
                send.send(str(error))
            os._exit(0)
        os.waitpid(pid, 0)
        assert receive.recv() == (
            "InferModel can be created only from the process VDevice was created in."
        )


def test_the_small_chips_hef_runs_on_the_big_one_but_not_the_other_way(
    tmp_path: Path, hef: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = hefs.store(tmp_path, hefs.classifier(arch="hailo8"), "big.hef")
    with pytest.raises(pyhailort.HailoRTHEFNotCompatibleWithDevice):
        infer(big, FRAME)
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", "4.20.0")
    with pytest.raises(pyhailort.HailoRTInvalidHEFException):
        infer(big, FRAME)
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", "hailo8")
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", "4.23.0")
    assert infer(hef, FRAME).shape == (5,)


def test_a_real_hef_does_not_run_here(shared_hefs: Path) -> None:
    path = str(shared_hefs / "real" / "face_rec_api__arcface_mobilefacenet.hef")
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(path)
        with pytest.raises(pyhailort.HailoRTException):
            model.configure()


def test_logs_go_to_the_folder_that_is_named(
    tmp_path: Path, hef: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_FAULT", "page_size")
    with pytest.raises(hailo.HailoRTException, match=r"8 \(HAILO_INTERNAL_FAILURE\)"):
        infer(hef, FRAME)
    assert "max_desc_page_size given 16384" in (tmp_path / "hailort.log").read_text()
    monkeypatch.setenv("HAILORT_LOGGER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(hailo.HailoRTException):
        infer(hef, FRAME)
    assert "Cannot create log file hailort.log!" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("binding_mismatch", "_pyhailort version (4.22.0) does not match pyhailort version"),
        ("library_missing", "ImportError: libhailort.so.4.23.0: cannot open shared object file"),
    ],
)
def test_faults_of_importing(fault: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import hailo_platform"],
        capture_output=True,
        text=True,
        env=emulated_environment(HEFSMITH_EMULATED_FAULT=fault),
        check=False,
    )
    assert done.returncode != 0
    assert text in done.stderr


def test_what_picamera2_does_works(boxes: str) -> None:
    """The calls of Picamera2's Hailo class, in its order: no context managers, a callback."""
    params = hailo.VDevice.create_params()
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    target = hailo.VDevice(params)
    model = target.create_infer_model(boxes)
    model.set_batch_size(1)
    model.input().set_format_type(hailo.HEF(boxes).get_input_vstream_infos()[0].format.type)
    for output in model.outputs:
        output.set_format_type(hailo.FormatType.FLOAT32)
    configured = model.configure()
    buffers = {name: np.empty(model.output(name).shape, np.float32) for name in model.output_names}
    bindings = configured.create_bindings(output_buffers=buffers)
    bindings.input().set_buffer(np.full((16, 16, 1), 200, np.uint8))
    configured.wait_for_async_ready(timeout_ms=60000)
    found: list[Any] = []
    ready = threading.Event()

    def callback(completion_info: Any, bindings: Any) -> None:
        found.append({name: bindings.output(name).get_buffer() for name in bindings._output_names})
        ready.set()

    configured.run_async([bindings], partial(callback, bindings=bindings))
    assert ready.wait(60)
    del configured
    target.release()
    assert len(found[0]["net/yolov8_nms_postprocess"][0]) == 4
