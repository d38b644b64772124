"""Call sequences of public programs, written anew: each gives what our own job gives.

Every function names its source; nothing of it is copied.
"""

from __future__ import annotations

import gc
import multiprocessing
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import hailo_platform as hailo
import numpy as np
import pytest
from hailo_platform.pyhailort.pyhailort import AsyncInferJob, FormatOrder

from orchestrator.paths import image_context
from tests.unit.runtime import hefs
from tests.unit.runtime.clients.golden import (
    FRAMES,
    SCENES,
    job_rows,
    job_tensor,
    real,
    rows_of,
)
from tests.unit.runtime.runner import emulated_environment, scheduled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FRAMEWORK_NAMES = ("UINT8", "UINT16", "FLOAT32")


class Camera:
    """picamera2, ``devices/hailo/hailo.py``: one VDevice for all models, futures, callbacks."""

    target: ClassVar[Any] = None
    users: ClassVar[int] = 0

    def __init__(self, path: str, batch: int | None = None) -> None:
        self.batch = batch
        self.hef = hailo.HEF(path)
        if Camera.target is None:
            Camera.target = hailo.VDevice(scheduled())
        Camera.users += 1
        self.model = Camera.target.create_infer_model(path)
        self.model.set_batch_size(batch or 1)
        self.model.input().set_format_type(self.hef.get_input_vstream_infos()[0].format.type)
        for output in self.model.outputs:
            output.set_format_type(hailo.FormatType.FLOAT32)
        self.configured = self.model.configure()

    def run(self, frames: np.ndarray) -> Any:
        if self.batch is None:
            frames = np.expand_dims(frames, axis=0)
        future: Future[Any] = Future()
        results: list[Any] = []

        def note(completion_info: Any, bindings: Any, last: bool) -> None:
            assert not completion_info.exception
            (name,) = bindings._output_names
            results.append(bindings.output(name).get_buffer())
            if last:
                future.set_result(results[0] if self.batch is None else results)

        for number, frame in enumerate(frames):
            buffers = {
                name: np.empty(self.model.output(name).shape, np.float32)
                for name in self.model.output_names
            }
            bindings = self.configured.create_bindings(output_buffers=buffers)
            bindings.input().set_buffer(frame)
            self.configured.wait_for_async_ready(timeout_ms=60000)
            last = number == len(frames) - 1
            self.configured.run_async([bindings], partial(note, bindings=bindings, last=last))
        return future.result(timeout=120)

    def close(self) -> None:
        del self.configured
        Camera.users -= 1
        if Camera.users == 0:
            Camera.target.release()
            Camera.target = None


def picamera2(path: str, frames: np.ndarray) -> list[Any]:
    camera = Camera(path)
    found = [camera.run(frame) for frame in frames]
    camera.close()
    again = Camera(path, batch=len(frames))
    for one, other in zip(again.run(frames), found, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    again.close()
    return found


class Engine:
    """hailo-apps, ``hailo_inference.py`` (``HailoInfer``), and its copy in Viseron."""

    def __init__(self, path: str, *, kind: str | None = None, service: bool = False) -> None:
        params = scheduled()
        if service:
            params.multi_process_service = True
        params.group_id = "SHARED"
        self.target = hailo.VDevice(params)
        self.hef = hailo.HEF(path)
        self.model = self.target.create_infer_model(path)
        self.model.set_batch_size(1)
        assert self.model.outputs[0].format.order != FormatOrder.HAILO_NMS_WITH_BYTE_MASK
        self.kinds = {
            info.name: kind or str(info.format.type).rsplit(".", maxsplit=1)[-1]
            for info in self.hef.get_output_vstream_infos()
        }
        for name, one in self.kinds.items():
            assert one in FRAMEWORK_NAMES
            self.model.output(name).set_format_type(getattr(hailo.FormatType, one))
        self.context = self.model.configure()
        self.configured = self.context.__enter__()
        self.configured.set_scheduler_priority(0)
        self.job: AsyncInferJob | None = None

    def run(self, batch: Sequence[np.ndarray], told: Callable[..., None]) -> Any:
        bindings = []
        for frame in batch:
            buffers = {
                name: np.empty(self.model.output(name).shape, getattr(np, kind.lower()))
                for name, kind in self.kinds.items()
            }
            made = self.configured.create_bindings(output_buffers=buffers)
            made.input().set_buffer(np.array(frame))
            bindings.append(made)
        self.configured.wait_for_async_ready(timeout_ms=60000)
        self.job = self.configured.run_async(bindings, partial(told, bindings_list=bindings))
        return self.job

    def answers(self, frames: np.ndarray) -> list[Any]:
        found: list[Any] = []

        def told(completion_info: Any, bindings_list: list[Any]) -> None:
            assert not completion_info.exception
            for bindings in bindings_list:
                assert len(bindings._output_names) == 1
                result = bindings.output().get_buffer()
                whole = isinstance(result, list) or result.dtype == np.float32
                found.append(result if whole else real(self.model.output(), result))

        for frame in frames:
            self.run([frame], told).wait(60000)
        return found

    def close(self) -> None:
        if self.job is not None:
            self.job.wait(60000)
        self.context.__exit__(None, None, None)


def hailo_apps(path: str, frames: np.ndarray) -> list[Any]:
    """Two engines in one process, alive at once, of which one has gone before the other works."""
    first, second = Engine(path), Engine(path, kind="FLOAT32")
    found = first.answers(frames)
    other = second.answers(frames)
    for left, right in zip(found, other, strict=True):
        for one, two in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, two)
    first.close()
    third = second.answers(frames)
    second.close()
    assert len(third) == len(found)
    return third


def frigate(path: str, frames: np.ndarray) -> list[Any]:
    """Frigate, ``detectors/plugins/hailo8l.py``: a daemon thread between two stores."""
    asked: queue.Queue[Any] = queue.Queue()
    answered: queue.Queue[Any] = queue.Queue()
    hef = hailo.HEF(path)
    target = hailo.VDevice(scheduled())
    model = target.create_infer_model(path)
    model.set_batch_size(1)

    def told(completion_info: Any, bindings_list: list[Any], numbers: list[int]) -> None:
        assert not completion_info.exception
        for number, bindings in zip(numbers, bindings_list, strict=True):
            assert len(bindings._output_names) == 1
            answered.put((number, bindings.output().get_buffer()))

    def work() -> None:
        with model.configure() as configured:
            job = None
            while (item := asked.get()) is not None:
                number, frame = item
                buffers = {
                    info.name: np.empty(
                        model.output(info.name).shape,
                        getattr(np, str(info.format.type).split(".")[1].lower()),
                    )
                    for info in hef.get_output_vstream_infos()
                }
                bindings = configured.create_bindings(output_buffers=buffers)
                bindings.input().set_buffer(np.array(frame))
                configured.wait_for_async_ready(timeout_ms=60000)
                told_one = partial(told, bindings_list=[bindings], numbers=[number])
                job = configured.run_async([bindings], told_one)
            if job is not None:
                job.wait(60000)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    found = {}
    for number, frame in enumerate(frames):
        asked.put((number, frame))
        answer = answered.get(timeout=120)
        found[answer[0]] = answer[1]
    asked.put(None)
    thread.join(timeout=120)
    assert not thread.is_alive()
    del target
    answers = [found[number] for number in range(len(frames))]
    return [one if isinstance(one, list) else real(model.output(), one) for one in answers]


def viseron_child(path: str, frames: np.ndarray, answers: Any) -> None:
    engine = Engine(path, service=True)
    answers.put((engine.hef.get_input_vstream_infos()[0].shape, engine.answers(frames)))


def viseron(path: str, frames: np.ndarray) -> list[Any]:
    """Viseron, ``components/hailo``: asks hailortcli, then works in a child with the service."""
    script = image_context("emulator") / "bin" / "hailortcli"
    told = subprocess.run(
        [sys.executable, str(script), "fw-control", "identify"],
        capture_output=True,
        text=True,
        check=False,
        env=emulated_environment(),
    )
    assert told.returncode == 0
    (line,) = [line for line in told.stdout.splitlines() if "Device Architecture" in line]
    assert "hailo8l" in line.lower()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=viseron_child, args=(path, frames, answers))
    # The child takes this process's path and imports this module by name, which is not on it.
    sys.path.append(str(Path(__file__).resolve().parents[4]))
    try:
        process.start()
    finally:
        sys.path.pop()
    shape, found = answers.get(timeout=60)
    process.join(timeout=120)
    assert tuple(shape) == frames.shape[1:]
    return list(found)


class Backend:
    """Ultralytics, ``nn/backends/hailo.py``: activation before the pipeline, an ExitStack."""

    _stack: ExitStack | None = None

    def __init__(self, path: str) -> None:
        self.hef = hailo.HEF(path)
        self.input = self.hef.get_input_vstream_infos()[0]
        with ExitStack() as stack:
            target = stack.enter_context(hailo.VDevice())
            params = hailo.ConfigureParams.create_from_hef(
                self.hef, interface=hailo.HailoStreamInterface.PCIe
            )
            group = target.configure(self.hef, params)[0]
            stack.enter_context(group.activate(group.create_params()))
            ins = hailo.InputVStreamParams.make(group, format_type=hailo.FormatType.UINT8)
            outs = hailo.OutputVStreamParams.make(group, format_type=hailo.FormatType.FLOAT32)
            self.pipeline = stack.enter_context(hailo.InferVStreams(group, ins, outs))
            self._stack = stack.pop_all()

    def __del__(self) -> None:
        if self._stack is not None:
            self._stack.close()

    def forward(self, frames: np.ndarray) -> Any:
        results = self.pipeline.infer({self.input.name: np.ascontiguousarray(frames)})
        (info,) = self.hef.get_output_vstream_infos()
        return results[info.name]


def ultralytics(path: str, frames: np.ndarray) -> list[Any]:
    backend = Backend(path)
    found = list(backend.forward(frames))
    del backend
    gc.collect()
    # The chip is free again: a second one opens in the same process.
    assert len(list(Backend(path).forward(frames[:1]))) == 1
    return found


CLIENTS = (picamera2, hailo_apps, frigate, viseron, ultralytics)


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_program_reads_the_logits_that_our_job_reads(
    client: Callable[[str, np.ndarray], list[Any]], tmp_path: Path
) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    wanted = job_tensor(tmp_path, path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(client(path, FRAMES)), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_program_reads_the_boxes_that_our_job_reads(
    client: Callable[[str, np.ndarray], list[Any]], tmp_path: Path
) -> None:
    path = hefs.store(tmp_path, hefs.detector())
    wanted = job_rows(tmp_path, path, {"net/input_layer1": SCENES})
    counts = [len(rows) for rows in wanted]
    assert 0 < counts[0] < counts[1]
    assert counts[2] == 0
    for found, expected in zip(rows_of(client(path, SCENES)), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_whisper_runs_two_models_by_turns(tmp_path: Path) -> None:
    """Hailo-Application-Code-Examples, ``hailo_whisper_pipeline.py``: an encoder and a decoder.

    Bindings are made once; the decoder's inputs are named after its network.
    """
    decoder_path = hefs.store(tmp_path, hefs.two_inputs(), "decoder.hef")
    encoder_path = hefs.store(tmp_path, hefs.classifier(), "encoder.hef")
    hef = hailo.HEF(decoder_path)
    names = hef.get_sorted_output_names()
    network = hef.get_network_group_names()[0]
    kind = hailo.FormatType.FLOAT32
    encoded, decoded = [], []
    with hailo.VDevice(scheduled(multi_process_service=True, group_id="SHARED")) as device:
        encoder = device.create_infer_model(encoder_path)
        decoder = device.create_infer_model(decoder_path)
        encoder.input().set_format_type(kind)
        encoder.output().set_format_type(kind)
        for number in (1, 2):
            decoder.input(f"{network}/input_layer{number}").set_format_type(kind)
        for name in names:
            decoder.output(name).set_format_type(kind)
        with encoder.configure() as first, decoder.configure() as second:
            begin, go_on = first.create_bindings(), second.create_bindings()
            for frame in FRAMES:
                begin.input().set_buffer(np.ascontiguousarray(frame.astype(np.float32)))
                begin.output().set_buffer(np.zeros(encoder.output().shape).astype(np.float32))
                first.run([begin], 100000000)
                encoded.append(begin.output().get_buffer())
                tokens = frame.astype(np.float32)
                for _ in range(2):
                    go_on.input(f"{network}/input_layer1").set_buffer(frame.astype(np.float32))
                    go_on.input(f"{network}/input_layer2").set_buffer(tokens)
                    for name in names:
                        shape = decoder.output(name).shape
                        go_on.output(name).set_buffer(np.zeros(shape).astype(np.float32))
                    second.run([go_on], 100000000)
                    (tokens,) = [go_on.output(name).get_buffer() for name in names]
                decoded.append(tokens)
    wanted = job_tensor(tmp_path, encoder_path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(encoded), wanted)
    both = {"net/input_layer1": FRAMES, "net/input_layer2": FRAMES}
    wanted = job_tensor(tmp_path, decoder_path, both, "net/ew_add1")
    np.testing.assert_array_equal(np.stack(decoded), wanted)
