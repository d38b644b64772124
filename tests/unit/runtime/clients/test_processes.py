"""Call sequences of public programs that send in one process and receive in another.

Written anew after the vendor's older multi-process example and programs that began with it; the
binding's fork handlers let them. Nothing is copied.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import queue
import sys
import time
from typing import TYPE_CHECKING, Any

import hailo_platform as hailo
import numpy as np
import pytest

from tests.unit.runtime import hefs
from tests.unit.runtime.clients.golden import FRAMES, SCENES, job_rows, job_tensor, rows_of
from tests.unit.runtime.clients.test_streams import configured_group
from tests.unit.runtime.runner import scheduled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")

FLOAT32 = hailo.FormatType.FLOAT32
#: Seconds that a process may take on a busy machine; its streams wait as long.
LIMIT = 120
PATIENT = {"timeout_ms": LIMIT * 1000}


def process(target: Callable[..., None], *args: Any) -> Any:
    made = multiprocessing.get_context("fork").Process(
        target=watched, args=(target, *args), daemon=True
    )
    made.start()
    return made


def watched(target: Callable[..., None], *args: Any) -> None:
    """Do it, and say where it hangs when it does."""
    faulthandler.dump_traceback_later(LIMIT, exit=True, file=sys.__stderr__)
    target(*args)
    faulthandler.cancel_dump_traceback_later()


def next_of(answers: Any, running: list[Any]) -> Any:
    """Return the next answer; fail as soon as none can come since a process has failed."""
    end = time.monotonic() + 2 * LIMIT
    while True:
        try:
            return answers.get(timeout=1)
        except queue.Empty:
            codes = [one.exitcode for one in running]
            assert not any(codes), f"a process has failed: {codes}"
            assert time.monotonic() < end, f"no answer in {2 * LIMIT} s: {codes}"


def send(group: Any, frames: dict[str, np.ndarray], params: Any) -> None:
    group.wait_for_activation(**PATIENT)
    with hailo.InputVStreams(group, params) as streams:
        buffers = {stream: np.ndarray([1, *stream.shape], stream.dtype) for stream in streams}
        for number in range(len(next(iter(frames.values())))):
            for stream, buffer in buffers.items():
                buffer[...] = frames[stream.name][number]
                stream.send(buffer)
        for stream in streams:
            stream.flush()


def receive(group: Any, params: Any, count: int, answers: Any) -> None:
    group.wait_for_activation(**PATIENT)
    with hailo.OutputVStreams(group, params) as streams:
        for _ in range(count):
            for stream in streams:
                answers.put((stream.name, stream.recv()))


def tutorial_of_processes(path: str, frames: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """The vendor's example: a sender, a receiver for each group of outputs, then activation."""
    count = len(next(iter(frames.values())))
    answers = multiprocessing.get_context("fork").Queue()
    hef = hailo.HEF(path)
    with hailo.VDevice() as device:
        group = configured_group(device, hef)
        sent = hailo.InputVStreamParams.make(group, **PATIENT)
        groups = hailo.OutputVStreamParams.make_groups(group, format_type=FLOAT32, **PATIENT)
        running = [process(send, group, frames, sent)]
        running += [process(receive, group, params, count, answers) for params in groups]
        with group.activate(group.create_params()):
            found = collected(answers, running, count * len(hef.get_output_vstream_infos()))
            for one in running:
                one.join(timeout=LIMIT)
                assert one.exitcode == 0
    return found


def scheduler_example(path: str, frames: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """Hailo-Application-Code-Examples, with the scheduler: the receiver is started first."""
    count = len(next(iter(frames.values())))
    answers = multiprocessing.get_context("fork").Queue()
    hef = hailo.HEF(path)
    both: dict[str, Any] = {"quantized": False, "format_type": FLOAT32, **PATIENT}
    with hailo.VDevice(scheduled(group_id="SHARED")) as device:
        group = configured_group(device, hef)
        ins = hailo.InputVStreamParams.make_from_network_group(group, **both)
        outs = hailo.OutputVStreamParams.make_from_network_group(group, **both)
        running = [
            process(receive, group, outs, count, answers), process(send, group, frames, ins),
        ]  # fmt: skip
        found = collected(answers, running, count * len(hef.get_output_vstream_infos()))
        for one in running:
            one.join(timeout=LIMIT)
            assert one.exitcode == 0
    return found


def collected(answers: Any, running: list[Any], count: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for _ in range(count):
        name, answer = next_of(answers, running)
        found.setdefault(name, []).append(answer)
    return found


CLIENTS = (tutorial_of_processes, scheduler_example)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_processes_read_what_our_job_reads(client: Callable[..., Any], tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.two_inputs())
    given = {"net/input_layer1": FRAMES, "net/input_layer2": FRAMES[::-1].copy()}
    found = client(path, given)
    for name, rows in found.items():
        wanted = job_tensor(tmp_path, path, given, name)
        np.testing.assert_array_equal(np.stack(rows), wanted)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_processes_read_the_boxes_that_our_job_reads(
    client: Callable[..., Any], tmp_path: Path
) -> None:
    path = hefs.store(tmp_path, hefs.detector())
    (found,) = client(path, {"net/input_layer1": SCENES}).values()
    wanted = job_rows(tmp_path, path, {"net/input_layer1": SCENES})
    for rows, expected in zip(rows_of(found), wanted, strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-6)


def relay(group: Any, params: Any, count: int, store: Any) -> None:
    with hailo.OutputVStreams(group, params) as streams:
        for _ in range(count):
            for stream in streams:
                store.put(stream.recv())


def feed(group: Any, params: Any, count: int, store: Any) -> None:
    with hailo.InputVStreams(group, params) as streams:
        for _ in range(count):
            first = store.get(timeout=LIMIT)
            for stream in streams:
                stream.send(np.ascontiguousarray(first[None]))


@pytest.mark.slow
def test_a_car_hands_one_models_result_to_another(tmp_path: Path) -> None:
    """Hailo-Application-Code-Examples' PETR: backbone, a store, transformer; a process for each."""
    context = multiprocessing.get_context("fork")
    back_path = hefs.store(tmp_path, hefs.classifier(), "backbone.hef")
    head_path = hefs.store(tmp_path, hefs.classifier(), "transformer.hef")
    middle, answers = context.Queue(), context.Queue()
    frames = {"net/input_layer1": FRAMES}
    with hailo.VDevice(scheduled()) as device:
        kinds: dict[str, Any] = {"format_type": FLOAT32, **PATIENT}
        back = configured_group(device, hailo.HEF(back_path))
        head = configured_group(device, hailo.HEF(head_path))
        ins = hailo.InputVStreamParams.make_from_network_group(back, **kinds)
        outs = hailo.OutputVStreamParams.make_from_network_group(back, **kinds)
        more = hailo.InputVStreamParams.make_from_network_group(head, **kinds)
        last = hailo.OutputVStreamParams.make_from_network_group(head, **kinds)
        running = [
            process(send, back, frames, ins),
            process(relay, back, outs, len(FRAMES), middle),
        ]
        logits = [next_of(middle, running) for _ in FRAMES]
        for frame in FRAMES[::-1]:
            middle.put(frame.astype(np.float32))
        running += [
            process(feed, head, more, len(FRAMES), middle),
            process(receive, head, last, len(FRAMES), answers),
        ]
        found = [next_of(answers, running)[1] for _ in FRAMES]
        for one in running:
            one.join(timeout=LIMIT)
            assert one.exitcode == 0
    wanted = job_tensor(tmp_path, back_path, frames)
    np.testing.assert_array_equal(np.stack(logits), wanted)
    np.testing.assert_array_equal(np.stack(found), wanted[::-1])


def test_a_receiver_of_a_silent_sender_and_a_sender_without_receiver_time_out(
    tmp_path: Path,
) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    with hailo.VDevice(scheduled()) as device:
        group = configured_group(device, hailo.HEF(path))
        ins = hailo.InputVStreamParams.make(group, timeout_ms=50)
        outs = hailo.OutputVStreamParams.make(group, timeout_ms=50)
        with hailo.InputVStreams(group, ins) as sending, hailo.OutputVStreams(group, outs) as got:
            with pytest.raises(hailo.HailoRTException, match="timeout"):
                got.get().recv()
            with pytest.raises(hailo.HailoRTException, match="timeout"):
                for _ in range(100):
                    sending.get().send(FRAMES[:1])
