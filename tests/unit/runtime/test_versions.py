"""What differs between versions of HailoRT, and what no version decides."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import hailo_platform as hailo
import numpy as np
import pytest
from hailo_emulator.runtime import boxes as forms

from tests.unit.runtime import hefs
from tests.unit.runtime.runner import emulated_environment, scheduled

if TYPE_CHECKING:
    from pathlib import Path

#: Public names by version, as ``__all__`` of the vendor's package has them.
COUNTS = {
    "4.17.0": 35, "4.18.0": 36, "4.19.0": 36, "4.20.0": 37, "4.23.0": 37, "5.0.0": 37,
    "5.1.0": 31, "5.2.0": 30,
}  # fmt: skip


def play(monkeypatch: pytest.MonkeyPatch, version: str, chip: str | None = None) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", version)
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", chip or ("hailo8l", "hailo10h")[version[0] == "5"])


def detect(path: str, dtype: Any = np.float32, order: Any = None, tf_format: bool = False) -> Any:
    frame = np.zeros((16, 16, 1), np.uint8)
    frame[:8, :8], frame[8:, 8:] = 240, 130
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(path)
        if order is not None:
            model.output().set_format_order(order)
        with model.configure() as configured:
            bindings = configured.create_bindings()
            bindings.input().set_buffer(frame)
            bindings.output().set_buffer(np.zeros(model.output().shape, dtype))
            configured.run([bindings], 10000)
            return bindings.output().get_buffer(tf_format)


@pytest.fixture
def boxes(tmp_path: Path) -> str:
    return hefs.store(tmp_path, hefs.detector(compiler=hefs.OLD_COMPILER))


@pytest.mark.parametrize("version", COUNTS)
def test_each_public_name_of_a_version_can_be_imported(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, version)
    names = hailo.__all__
    assert len(names) == COUNTS[version]
    for name in names:
        assert getattr(hailo, name) is not None
    assert hailo.__version__ == version


def test_names_of_another_line_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "5.2.0")
    assert not hasattr(hailo, "PcieDevice")
    with pytest.raises(hailo.HailoRTException, match=r"error: 7 \(HAILO_NOT_IMPLEMENTED\)"):
        hailo.HailoSession.connect(1234)
    play(monkeypatch, "4.23.0")
    assert not hasattr(hailo, "HailoSession")
    with pytest.raises(hailo.HailoRTException, match="HAILO_NOT_IMPLEMENTED"):
        hailo.EthernetDevice("10.0.0.1")
    assert hailo.PcieDevice().control.get_throttling_state() is True


def test_4_17_has_no_infer_model(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "4.17.0")
    assert not hasattr(hailo.VDevice, "create_infer_model")
    with hailo.VDevice() as device, pytest.raises(AttributeError, match="create_infer_model"):
        device.create_infer_model("x.hef")


def test_4_18_wraps_boxes_in_a_list_of_one_frame(
    boxes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = detect(boxes)
    play(monkeypatch, "4.18.0")
    wrapped = detect(boxes)
    assert (len(plain), len(wrapped)) == (3, 1)
    for new, old in zip(plain, wrapped[0], strict=True):
        np.testing.assert_array_equal(new, old)
    assert detect(boxes, tf_format=True).shape == (3, 5, 10)


def test_boxes_by_score_are_the_boxes_by_class(boxes: str) -> None:
    plain = detect(boxes)
    order = hailo.FormatOrder.HAILO_NMS_BY_SCORE
    found = detect(boxes, np.uint8, order)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    rows = {(one.y_min, one.x_min, one.y_max, one.x_max, one.score) for one in found}
    assert rows == {tuple(map(float, row)) for rows in plain for row in rows}
    assert forms.RECORD.itemsize == 22
    with pytest.raises(hailo.HailoRTException, match="Buffer must be of type uint8"):
        detect(boxes, np.float32, order)


def test_4_20_knows_no_boxes_by_score(boxes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "4.20.0")
    with pytest.raises(hailo.HailoRTException, match="HAILO_NMS_BY_SCORE is not supported"):
        detect(boxes, np.uint8, hailo.FormatOrder.HAILO_NMS_BY_SCORE)


def test_an_old_wheel_sees_no_bytes_with_numpy_2(
    boxes: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_QUIRKS", "numpy2-nbytes")
    with pytest.raises(hailo.HailoRTException):
        detect(boxes)
    assert "Input buffer size 0 is different than expected 256" in capfd.readouterr().err


def test_the_process_dies_at_exit_after_its_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import hailo_platform; print(hailo_platform.__version__)"],
        env=emulated_environment(HEFSMITH_EMULATED_QUIRKS="crash-at-exit,version-unknown"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-11, "unknown\n")


def test_vdevices_of_one_group_share_the_chip(boxes: str) -> None:
    params = hailo.VDevice.create_params()
    params.group_id = "SHARED"
    with hailo.VDevice(params) as first, hailo.VDevice(params) as second:
        first.release()
        assert second.create_infer_model(boxes).configure() is not None
        with pytest.raises(hailo.HailoRTException, match=r"error: 74"):
            hailo.VDevice()
    with hailo.VDevice():
        pass


def test_python_leaves_the_scheduler_off_before_5_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """C++'s default is with it; a model that nobody activates then answers status 72."""
    algorithms = hailo.HailoSchedulingAlgorithm
    for version, wanted in (("4.17.0", "NONE"), ("4.23.0", "NONE"), ("5.2.0", "ROUND_ROBIN")):
        play(monkeypatch, version)
        assert hailo.VDevice.create_params().scheduling_algorithm is algorithms[wanted]
    play(monkeypatch, "4.23.0")
    params = hailo.VDevice.create_params()
    params.group_id, params.multi_process_service = "SHARED", True
    with pytest.raises(hailo.HailoRTException, match="Invalid argument"):
        hailo.VDevice(params)


def test_4_17_ties_the_service_to_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "4.17.0")
    params = hailo.VDevice.create_params()
    assert params.multi_process_service is False
    with pytest.raises(AttributeError, match="can't set"):
        params.multi_process_service = True
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    assert params.multi_process_service is True


@pytest.mark.slow
def test_processes_share_the_chip_by_the_service(emulated_device: Path) -> None:
    code = (
        "import hailo_platform as h; p = h.VDevice.create_params(); p.group_id = 'SHARED'\n"
        "p.scheduling_algorithm = h.HailoSchedulingAlgorithm.ROUND_ROBIN\n"
        "p.multi_process_service = {service}\nh.VDevice(p); print('open')"
    )
    params = scheduled(group_id="SHARED", multi_process_service=True)
    environment = emulated_environment(HEFSMITH_EMULATED_NODE=str(emulated_device))
    with hailo.VDevice(params):
        for service, code_wanted in ((True, 0), (False, 1)):
            done = subprocess.run(
                [sys.executable, "-c", code.format(service=service)],
                env=environment,
                capture_output=True,
                check=False,
            )
            assert done.returncode == code_wanted, done.stderr


@pytest.mark.slow
def test_a_hailo_10h_refuses_the_service_and_shares_by_the_group(
    emulated_device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", "hailo10h")
    monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", "5.2.0")
    params = hailo.VDevice.create_params()
    params.group_id, params.multi_process_service = "SHARED", True
    with pytest.raises(hailo.HailoRTException, match="Invalid operation"):
        hailo.VDevice(params)
    params.multi_process_service = False
    code = (
        "import hailo_platform as h; p = h.VDevice.create_params(); p.group_id = sys.argv[1]\n"
        "h.VDevice(p); print('open')"
    )
    environment = emulated_environment(
        HEFSMITH_EMULATED_NODE=str(emulated_device),
        HEFSMITH_EMULATED_CHIP="hailo10h",
        HEFSMITH_EMULATED_HAILORT="5.2.0",
    )
    with hailo.VDevice(params):
        for group, words in (("SHARED", ""), ("UNIQUE", "HAILO_DEVICE_IN_USE")):
            done = subprocess.run(
                [sys.executable, "-c", "import sys; " + code, group],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode == 0) is (not words), done.stderr
            assert words in done.stderr


def test_streaming_by_hand_gives_what_inference_gives(tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.two_inputs())
    opened = hailo.HEF(path)
    random = np.random.default_rng(3)
    frames = random.integers(0, 256, (2, 4, 8, 8, 3)).astype(np.uint8)
    with hailo.VDevice(scheduled()) as device:
        group = device.configure(opened)[0]
        ins = hailo.InputVStreamParams.make(group)
        outs = hailo.OutputVStreamParams.make(group, timeout_ms=200)
        with hailo.InputVStreams(group, ins) as sending, hailo.OutputVStreams(group, outs) as got:
            for stream, data in zip(sending, frames, strict=True):
                stream.send(data)
            found = [got.get().recv() for _ in range(4)]
            with pytest.raises(Exception, match="timeout"):
                got.get().recv()
    half = frames.astype(np.float32).mean(axis=0)
    assert np.abs(np.stack(found) - half).max() <= 0.5
