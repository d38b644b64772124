"""Call sequences of further public programs, written anew: pools, several models, sharing.

Each function says whose it is; nothing is copied. What a program does beside the chip is left out.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import hailo_platform as hailo
import numpy as np
import pytest

from tests.unit.runtime import hefs
from tests.unit.runtime.clients.golden import (
    FRAMES,
    SCENES,
    job_rows,
    job_tensor,
    rows_of,
)
from tests.unit.runtime.clients.test_streams import configured_group
from tests.unit.runtime.runner import scheduled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Client = Callable[[str, np.ndarray], list[Any]]

UINT8, FLOAT32 = hailo.FormatType.UINT8, hailo.FormatType.FLOAT32


def kept(answer: Any) -> Any:
    """Copy what lies in a buffer that is filled again."""
    return [boxes.copy() for boxes in answer] if isinstance(answer, list) else answer.copy()


def race_of_interfaces(path: str, frames: np.ndarray) -> list[Any]:
    """A benchmark: the older interface, then a pool of bindings that are run by turns.

    The second VDevice is opened after the first was released. Without the scheduler, Python's
    default, the model is activated; outputs are float32 arrays of its own though nothing was set.
    """
    hef = hailo.HEF(path)
    (name,) = [info.name for info in hef.get_input_vstream_infos()]
    target = hailo.VDevice()
    group = configured_group(target, hef)
    ins = hailo.InputVStreamParams.make(group, format_type=UINT8)
    outs = hailo.OutputVStreamParams.make(group, format_type=FLOAT32)
    with group.activate(group.create_params()), hailo.InferVStreams(group, ins, outs) as pipeline:
        blocking = [next(iter(pipeline.infer({name: f[None]}).values()))[0] for f in frames]
    target.release()
    target = hailo.VDevice()
    model = target.create_infer_model(path)
    for output in model.outputs:
        output.set_format_type(FLOAT32)
    with model.configure() as configured:
        pool = []
        for frame in frames:
            bindings = configured.create_bindings()
            bindings.input().set_buffer(frame)
            for output_name in model.output_names:
                shape = model.output(output_name).shape
                bindings.output(output_name).set_buffer(np.empty(shape, np.float32))
            pool.append(bindings)
        configured.activate()
        try:
            configured.run([pool[0]], 10000)
            assert configured.get_async_queue_size() >= len(pool)
            jobs = []
            for bindings in pool:
                configured.wait_for_async_ready(timeout_ms=60000)
                jobs.append(configured.run_async([bindings]))
            for job in jobs:
                job.wait(60000)
        finally:
            configured.deactivate()
        found = [bindings.output().get_buffer() for bindings in pool]
    target.release()
    for one, other in zip(found, blocking, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    return found


def pose_thread(path: str, frames: np.ndarray) -> list[Any]:
    """A pose overlay: buffers bound once, refilled in place, a thread that waits for each job."""
    hef = hailo.HEF(path)
    found: list[Any] = []
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(path)
        model.set_batch_size(1)
        for name in model.output_names:
            model.output(name).set_format_type(FLOAT32)
        with model.configure() as configured:
            given = np.zeros(hef.get_input_vstream_infos()[0].shape, np.uint8)
            outputs = {
                name: np.zeros(model.output(name).shape, np.float32) for name in model.output_names
            }
            bindings = configured.create_bindings(output_buffers=outputs)
            bindings.input().set_buffer(given)

            def work() -> None:
                for frame in frames:
                    given[...] = frame
                    configured.wait_for_async_ready(timeout_ms=60000)
                    configured.run_async([bindings]).wait(60000)
                    (name,) = outputs
                    found.append(kept(bindings.output(name).get_buffer()))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join(timeout=60)
    return found


def robot(path: str, frames: np.ndarray) -> list[Any]:
    """A robot that asks for the service where its socket is, and else names one device.

    The member that it sets for that does not exist, and it goes on with a plain VDevice, which it
    activates.
    """
    params = scheduled()
    try:
        params.device_id = "0"
        device, activate = hailo.VDevice(params=params), False
    except (ImportError, TypeError, AttributeError):
        device, activate = hailo.VDevice(), True
    model = device.create_infer_model(path)
    for output in model.outputs:
        output.set_format_type(FLOAT32)
    configured = model.configure()
    ins = {name: np.empty(model.input(name).shape, np.uint8) for name in model.input_names}
    outs = {name: np.empty(model.output(name).shape, np.float32) for name in model.output_names}
    bindings = configured.create_bindings(input_buffers=ins, output_buffers=outs)
    assert activate
    configured.activate()
    found = []
    for frame in frames:
        next(iter(ins.values()))[...] = frame
        configured.run([bindings], 1000)
        found.append(kept(bindings.output().get_buffer()))
    configured.deactivate()
    device.release()
    return found


def named_device(path: str, frames: np.ndarray) -> list[Any]:
    """A board with one or more chips: parameters and identifiers together; the latter win."""
    (first, *_) = hailo.Device.scan()
    params = scheduled(group_id="shared_npu", multi_process_service=True)
    device = hailo.VDevice(device_ids=[first], params=params)
    hef = hailo.HEF(path)
    group = configured_group(device, hef)
    ins = hailo.InputVStreamParams.make(group, format_type=FLOAT32)
    outs = hailo.OutputVStreamParams.make(group, format_type=FLOAT32)
    found = []
    with hailo.InferVStreams(group, ins, outs) as pipeline, group.activate(group.create_params()):
        for frame in frames:
            answers = pipeline.infer(
                {hef.get_input_vstream_infos()[0].name: frame[None].astype(np.float32)}
            )
            found.append(answers[hef.get_output_vstream_infos()[0].name][0])
    device.release()
    return found


def gestures(path: str, frames: np.ndarray) -> list[Any]:
    """Gestures beside GStreamer's hailonet: the service, one group, a thread with two queues."""
    asked: queue.Queue[Any] = queue.Queue(maxsize=1)
    answered: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        hef = hailo.HEF(path)
        params = hailo.ConfigureParams.create_from_hef(
            hef, interface=hailo.HailoStreamInterface.PCIe
        )
        name = hef.get_input_vstream_infos()[0].name
        opened = hailo.VDevice.create_params()
        opened.group_id = "SHARED"
        opened.multi_process_service = True
        opened.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
        with hailo.VDevice(opened) as device:
            group = device.configure(hef, params)[0]
            ins = hailo.InputVStreamParams.make(group, format_type=UINT8)
            outs = hailo.OutputVStreamParams.make(group, format_type=FLOAT32)
            with hailo.InferVStreams(group, ins, outs) as pipeline, group.activate():
                while (frame := asked.get()) is not None:
                    answers = pipeline.infer({name: np.ascontiguousarray(frame[None])})
                    answered.put(next(iter(answers.values()))[0])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    found = []
    for frame in frames:
        asked.put(frame, timeout=120)
        found.append(answered.get(timeout=120))
    asked.put(None)
    thread.join(timeout=120)
    return found


def wake_word(path: str, frames: np.ndarray) -> list[Any]:
    """A wake word: no parameters at configure, streams by hand, activation without parameters."""
    with hailo.VDevice() as device:
        group = device.configure(hailo.HEF(path))[0]
        both: dict[str, Any] = {"quantized": False, "format_type": FLOAT32}
        ins = hailo.InputVStreamParams.make_from_network_group(group, **both)
        outs = hailo.OutputVStreamParams.make_from_network_group(group, **both)
        with hailo.InputVStreams(group, ins) as sending, hailo.OutputVStreams(group, outs) as got:
            send, receive = next(iter(sending)), next(iter(got))
            found = []
            with group.activate():
                for frame in frames:
                    batch = np.ascontiguousarray(np.expand_dims(frame, 0), dtype=np.float32)
                    send.send(batch)
                    found.append(receive.recv())
    return found


def cameras(path: str, frames: np.ndarray) -> list[Any]:
    """Several cameras: a thread each takes pictures, one pipeline, activation inside it."""
    hef = hailo.HEF(path)
    name = hef.get_input_vstream_infos()[0].name
    taken: queue.Queue[tuple[int, np.ndarray]] = queue.Queue()
    with hailo.VDevice(device_ids=hailo.Device.scan()) as device:
        group = configured_group(device, hef)
        ins = hailo.InputVStreamParams.make(group, quantized=True, format_type=UINT8)
        outs = hailo.OutputVStreamParams.make(group, quantized=False, format_type=FLOAT32)
        with hailo.InferVStreams(group, ins, outs) as pipeline:  # noqa: SIM117 - the program's order
            with group.activate(group.create_params()):
                threads = [
                    threading.Thread(target=taken.put, args=((number, frame),), daemon=True)
                    for number, frame in enumerate(frames)
                ]
                for thread in threads:
                    thread.start()
                found = {}
                for _ in frames:
                    number, frame = taken.get(timeout=120)
                    found[number] = next(iter(pipeline.infer({name: frame[None]}).values()))[0]
    return [found[number] for number in range(len(frames))]


CLIENTS = (
    race_of_interfaces, pose_thread, robot, named_device, gestures, wake_word, cameras,
)  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_program_reads_the_logits_that_our_job_reads(client: Client, tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.classifier())
    wanted = job_tensor(tmp_path, path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(client(path, FRAMES)), wanted)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_program_reads_the_boxes_that_our_job_reads(client: Client, tmp_path: Path) -> None:
    path = hefs.store(tmp_path, hefs.detector())
    wanted = job_rows(tmp_path, path, {"net/input_layer1": SCENES})
    for rows, expected in zip(rows_of(client(path, SCENES)), wanted, strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_a_scene_reader_takes_padded_boxes(tmp_path: Path) -> None:
    """A talking robot: pixels as float32, TensorFlow's form, (classes, 5, boxes) of a frame."""
    path = hefs.store(tmp_path, hefs.detector())
    hef = hailo.HEF(path)
    device = hailo.VDevice()
    group = configured_group(device, hef)
    ins = hailo.InputVStreamParams.make(group, format_type=FLOAT32)
    outs = hailo.OutputVStreamParams.make(group, format_type=FLOAT32)
    (info,) = hef.get_input_vstream_infos()
    found = []
    for scene in SCENES:
        given = {info.name: np.expand_dims(scene.astype(np.float32), axis=0)}
        padded = hailo.InferVStreams(group, ins, outs, tf_nms_format=True)
        with padded as pipeline, group.activate(group.create_params()):
            answers = pipeline.infer(given)
        (name,) = answers.keys()
        boxes = answers[name][0]
        classes, values, slots = boxes.shape
        assert (classes, values) == (3, 5)
        assert slots == group.get_output_vstream_infos()[0].nms_shape.max_bboxes_per_class
        found.append([columns.T[columns[4] > 0] for columns in boxes])
    device.release()
    wanted = job_rows(tmp_path, path, {"net/input_layer1": SCENES})
    for rows, expected in zip(rows_of(found), wanted, strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_a_composer_nests_two_pipelines_and_sets_formats_of_parameters(tmp_path: Path) -> None:
    """Music on the chip: two models by turns, one array instead of a dict, the service off."""
    base_path = hefs.store(tmp_path, hefs.classifier(), "base.hef")
    device = hailo.VDevice(scheduled(multi_process_service=False))
    base, token = hailo.HEF(base_path), hailo.HEF(base_path)
    first, second = configured_group(device, base), configured_group(device, token)
    base_in = hailo.InputVStreamParams.make(first, format_type=UINT8)
    base_in["net/input_layer1"].user_buffer_format.type = FLOAT32
    base_out = hailo.OutputVStreamParams.make(first, format_type=FLOAT32)
    token_in = hailo.InputVStreamParams.make(second, format_type=FLOAT32)
    token_out = hailo.OutputVStreamParams.make(second, format_type=UINT8)
    token_out["net/fc1"].user_buffer_format.type = FLOAT32
    found = []
    composing = hailo.InferVStreams(first, base_in, base_out)
    naming = hailo.InferVStreams(second, token_in, token_out)
    with composing as one, naming as other:
        for frame in FRAMES:
            given = frame[None].astype(np.float32)
            (hidden,) = one.infer(given).values()
            (again,) = other.infer(given).values()
            np.testing.assert_array_equal(hidden, again)
            found.append(hidden[0])
    with pytest.raises(TypeError):
        base_in["net/input_layer1"].user_buffer_format.type = "float32"
    device.release()
    wanted = job_tensor(tmp_path, base_path, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(np.stack(found), wanted)


class Shelf:
    """blaze_app_python, ``HailoInference``: one VDevice, models by number, a pipeline a call."""

    def __init__(self) -> None:
        self.target = hailo.VDevice(scheduled())
        self.models: list[tuple[Any, Any, Any, Any]] = []

    def load(self, path: str) -> int:
        hef = hailo.HEF(path)
        group = configured_group(self.target, hef)
        ins = hailo.InputVStreamParams.make_from_network_group(
            group, quantized=False, format_type=FLOAT32
        )
        outs = hailo.OutputVStreamParams.make_from_network_group(
            group, quantized=False, format_type=FLOAT32
        )
        self.models.append((hef, group, ins, outs))
        return len(self.models) - 1

    def infer(self, number: int, frames: np.ndarray) -> Any:
        hef, group, ins, outs = self.models[number]
        with hailo.InferVStreams(group, ins, outs) as pipeline:
            given = {hef.get_input_vstream_infos()[0].name: frames.astype(np.float32)}
            with group.activate(group.create_params()):
                return pipeline.infer(given)[hef.get_output_vstream_infos()[0].name]


def test_a_hand_tracker_keeps_its_models_on_a_shelf(tmp_path: Path) -> None:
    palms = hefs.store(tmp_path, hefs.detector(), "palms.hef")
    hands = hefs.store(tmp_path, hefs.classifier(), "hands.hef")
    shelf = Shelf()
    assert (shelf.load(palms), shelf.load(hands)) == (0, 1)
    logits = shelf.infer(1, FRAMES)
    boxes = shelf.infer(0, SCENES)
    np.testing.assert_array_equal(shelf.infer(1, FRAMES), logits)
    shelf.target.release()
    wanted = job_tensor(tmp_path, hands, {"net/input_layer1": FRAMES})
    np.testing.assert_array_equal(logits, wanted)
    rows = job_rows(tmp_path, palms, {"net/input_layer1": SCENES})
    for found, expected in zip(rows_of(boxes), rows, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_doorbell_finds_faces_and_then_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Face detection and recognition on a Hailo-10H: two models of one VDevice, kept open.

    It keeps the parameters' defaults: on a 10H they are with the scheduler.
    """
    monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", "hailo10h")
    faces = hefs.store(tmp_path, hefs.detector(arch="hailo10h"), "faces.hef")
    names = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"), "names.hef")
    device = hailo.VDevice(hailo.VDevice.create_params())
    opened = []
    for path in (faces, names):
        model = device.create_infer_model(path)
        model.input().set_format_type(UINT8)
        outputs = [info.name for info in hailo.HEF(path).get_output_vstream_infos()]
        for name in outputs:
            model.output(name).set_format_type(FLOAT32)
        opened.append((model, outputs))
    ready = []
    for model, outputs in opened:
        context = model.configure().__enter__()
        buffers = {name: np.empty(model.output(name).shape, np.float32) for name in outputs}
        ready.append((context, context.create_bindings(output_buffers=buffers), buffers))
    seen = []
    (find, found, _), (know, known, embeddings) = ready
    for scene, face in zip(SCENES, FRAMES[: len(SCENES)], strict=True):
        found.input().set_buffer(np.ascontiguousarray(scene))
        find.run([found], timeout=60000)
        seen.append(kept(found.output().get_buffer()))
        known.input().set_buffer(np.ascontiguousarray(face))
        know.run([known], timeout=60000)
        np.testing.assert_array_equal(
            known.output().get_buffer(), embeddings[next(iter(embeddings))]
        )
    last = embeddings[next(iter(embeddings))].copy()
    del find, know, ready, opened, model, context
    device.release()
    wanted = job_tensor(tmp_path, names, {"net/input_layer1": FRAMES[:3]})
    np.testing.assert_array_equal(last, wanted[-1])
    rows = job_rows(tmp_path, faces, {"net/input_layer1": SCENES})
    for got, expected in zip(rows_of(seen), rows, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
