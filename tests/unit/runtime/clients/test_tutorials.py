"""Call sequences of the vendor's tutorials HRT_0 to HRT_4 of 4.23.0, written anew.

Each takes frames and gives logits, and all give what our own job gives.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import hailo_platform as hailo
import numpy as np
import pytest

from tests.unit.runtime import hefs
from tests.unit.runtime.clients.golden import FRAMES, job_tensor, real

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def shared() -> Any:
    params = hailo.VDevice.create_params()
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    params.group_id = "SHARED"
    return params


def tutorial_0(path: str) -> np.ndarray:
    """HRT_0: one model, bindings made once, synchronous and then asynchronous."""
    rows = []
    with hailo.VDevice(shared()) as device:
        model = device.create_infer_model(path)
        with model.configure() as configured:
            bindings = configured.create_bindings()
            for frame in FRAMES:
                bindings.input().set_buffer(frame.copy())
                bindings.output().set_buffer(np.empty(model.output().shape, np.uint8))
                configured.run([bindings], 1000)
                once = bindings.output().get_buffer().copy()
                configured.run_async([bindings]).wait(60000)
                np.testing.assert_array_equal(once, bindings.output().get_buffer())
                rows.append(real(model.output(), once))
    return np.stack(rows)


def tutorial_1(path: str) -> np.ndarray:
    """HRT_1: two threads with a VDevice each of one group, float formats, callbacks."""
    answers: list[dict[int, np.ndarray]] = [{}, {}]

    def note(number: int, index: int, completion_info: Any, bindings: Any) -> None:
        assert completion_info.exception is None
        answers[number][index] = bindings.output().get_buffer()

    def work(number: int) -> None:
        with hailo.VDevice(shared()) as device:
            model = device.create_infer_model(path)
            model.set_batch_size(2)
            model.input("net/input_layer1").set_format_type(hailo.FormatType.FLOAT32)
            model.output().set_format_type(hailo.FormatType.FLOAT32)
            with model.configure() as configured:
                for index, frame in enumerate(FRAMES):
                    bindings = configured.create_bindings()
                    bindings.input().set_buffer(frame.astype(np.float32))
                    bindings.output().set_buffer(np.empty(model.output().shape, np.float32))
                    configured.wait_for_async_ready(timeout_ms=60000)
                    told = partial(note, number, index, bindings=bindings)
                    job = configured.run_async([bindings], told)
                job.wait(60000)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = (np.stack([one[i] for i in range(len(FRAMES))]) for one in answers)
    np.testing.assert_array_equal(first, second)
    return first


def tutorial_2(path: str) -> np.ndarray:
    """HRT_2: InferVStreams, then streaming by hand, without a context for the device."""
    target = hailo.VDevice()
    hef = hailo.HEF(path)
    params = hailo.ConfigureParams.create_from_hef(
        hef=hef, interface=hailo.HailoStreamInterface.PCIe
    )
    group = target.configure(hef, params)[0]
    activation = group.create_params()
    ins = hailo.InputVStreamParams.make(group, format_type=hailo.FormatType.FLOAT32)
    outs = hailo.OutputVStreamParams.make(group, format_type=hailo.FormatType.FLOAT32)
    (name,) = [info.name for info in hef.get_input_vstream_infos()]
    (wanted,) = [info.name for info in hef.get_output_vstream_infos()]
    with hailo.InferVStreams(group, ins, outs) as pipeline, group.activate(activation):
        whole = pipeline.infer({name: FRAMES.astype(np.float32)})[wanted]
    streamed = []

    def receive(made: Any) -> None:
        group.wait_for_activation(1000)
        with hailo.OutputVStreams(group, made) as streams:
            streamed.extend(stream.recv() for _ in FRAMES for stream in streams)

    (made,) = hailo.OutputVStreamParams.make_groups(group, format_type=hailo.FormatType.FLOAT32)
    receiver = threading.Thread(target=receive, args=(made,))
    receiver.start()
    with (
        hailo.InputVStreams(group, hailo.InputVStreamParams.make(group)) as streams,
        group.activate(activation),
    ):
        for frame in FRAMES:
            for stream in streams:
                stream.send(frame[None])
        receiver.join()
    target.release()
    np.testing.assert_array_equal(np.stack(streamed), whole)
    return np.asarray(whole)


def tutorial_3(path: str) -> np.ndarray:
    """HRT_3: the service, a group, a batch size set at the configuration's member."""
    params = shared()
    params.multi_process_service = True
    hef = hailo.HEF(path)
    with hailo.VDevice(params) as target:
        configuring = hailo.ConfigureParams.create_from_hef(
            hef=hef, interface=hailo.HailoStreamInterface.PCIe
        )
        configuring[hef.get_network_group_names()[0]].batch_size = 2
        group = target.configure(hef, configuring)[0]
        ins = hailo.InputVStreamParams.make(group, format_type=hailo.FormatType.FLOAT32)
        outs = hailo.OutputVStreamParams.make(group, format_type=hailo.FormatType.UINT8)
        data = {hef.get_input_vstream_infos()[0].name: FRAMES.astype(np.float32)}
        with hailo.InferVStreams(group, ins, outs) as pipeline:
            (integers,) = pipeline.infer(data).values()
        quant = hef.get_output_vstream_infos()[0].quant_info
        return (integers.astype(np.float32) - quant.qp_zp) * np.float32(quant.qp_scale)


@pytest.mark.parametrize("client", [tutorial_0, tutorial_1, tutorial_2, tutorial_3])
def test_a_tutorial_gives_what_our_job_gives(
    client: Callable[[str], np.ndarray], tmp_path: Path
) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    wanted = job_tensor(tmp_path, path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(client(path), wanted)


def test_tutorial_4_measures_power_where_there_is_a_sensor() -> None:
    """HRT_4: a module for the Pi has none, and every call says so."""
    target = hailo.Device()
    index = hailo.MeasurementBufferIndex.MEASUREMENT_BUFFER_INDEX_0
    calls: list[Callable[[], object]] = [
        target.control.power_measurement,
        partial(target.control.set_power_measurement, buffer_index=index),
        target.control.start_power_measurement,
        partial(target.control.get_power_measurement, buffer_index=index, should_clear=True),
        target.control.stop_power_measurement,
    ]
    for call in calls:
        with pytest.raises(hailo.HailoRTException, match="unsupported opcode"):
            call()
    target.release()
