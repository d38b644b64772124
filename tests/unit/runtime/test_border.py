"""What pybind11 enforces at the binding's border, and that our jobs hand over what it takes."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import hailo_platform as hailo
import numpy as np
import pytest
from hailo_emulator.runtime import binding, infer_model, vdevice, vstreams

from orchestrator.paths import image_context
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import scheduled

RUNTIME = image_context("emulator") / "packages" / "hailo_emulator" / "runtime"


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def configured(hef: str) -> tuple[Any, Any]:
    device = hailo.VDevice(scheduled())
    model = device.create_infer_model(hef)
    return device, model.configure()


@pytest.fixture
def hef(tmp_path: Path) -> str:
    return hefs.store(tmp_path, hefs.classifier())


def test_a_read_only_input_is_refused(hef: str) -> None:
    device, model = configured(hef)
    stream = model.create_bindings().input()
    with pytest.raises(ValueError, match=r"^array is not writeable$"):
        stream.set_buffer(read_only(np.zeros((8, 8, 3), np.uint8)))
    device.release()


def test_a_memory_mapped_sample_is_refused_even_when_made_contiguous(
    hef: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 8, 3), np.uint8))
    frames = np.load(tmp_path / "a.npy", mmap_mode="r")
    device, model = configured(hef)
    with pytest.raises(ValueError, match="not writeable"):
        model.create_bindings({"net/input_layer1": np.ascontiguousarray(frames[0])})
    device.release()


def test_infer_vstreams_refuses_read_only_frames(hef: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        opened = hailo.HEF(hef)
        params = hailo.ConfigureParams.create_from_hef(
            hef=opened, interface=hailo.HailoStreamInterface.PCIe
        )
        group = device.configure(opened, params)[0]
        ins = hailo.InputVStreamParams.make(group)
        outs = hailo.OutputVStreamParams.make(group)
        with hailo.InferVStreams(group, ins, outs) as pipeline:
            frame = np.zeros((1, 8, 8, 3), np.uint8)
            assert pipeline.infer({"net/input_layer1": frame})["net/fc1"].shape == (1, 5)
            with pytest.raises(ValueError, match="not writeable"):
                pipeline.infer({"net/input_layer1": read_only(frame)})


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda model, value: model.set_batch_size(value), 1.0),
        (lambda model, value: model.set_batch_size(value), -1),
        (lambda model, value: model.set_batch_size(value), 0x10000),
        (lambda model, value: model.input().set_format_type(value), 1),
        (lambda model, value: model.input().set_format_type(value), "UINT8"),
        (lambda model, value: model.output(value), 3),
        (lambda model, value: model.set_power_mode(value), 0),
    ],
)
def test_arguments_of_another_type_are_refused(hef: str, call: Any, value: object) -> None:
    with hailo.VDevice(scheduled()) as device:
        model = device.create_infer_model(hef)
        with pytest.raises(TypeError, match="incompatible function arguments"):
            call(model, value)


def test_numpy_integers_are_integers(hef: str) -> None:
    with hailo.VDevice(scheduled()) as device:
        device.create_infer_model(hef).set_batch_size(np.int64(2))


def test_a_list_and_a_strided_array_are_no_buffers(hef: str) -> None:
    device, model = configured(hef)
    stream = model.create_bindings().input()
    with pytest.raises(AttributeError, match="flags"):
        stream.set_buffer([1, 2, 3])
    with pytest.raises(hailo.HailoRTException, match="C_CONTIGUOUS"):
        stream.set_buffer(np.zeros((8, 8, 6), np.uint8)[..., ::2])
    device.release()


def test_members_of_parameters_have_types_and_no_others_exist(hef: str) -> None:
    params = hailo.VDevice.create_params()
    params.group_id = "SHARED"
    params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    with pytest.raises(TypeError):
        params.scheduling_algorithm = 1
    with pytest.raises(AttributeError, match="shceduling"):
        params.shceduling = True
    made = hailo.ConfigureParams.create_from_hef(hailo.HEF(hef), hailo.HailoStreamInterface.PCIe)
    made["net"].batch_size = 4
    assert made["net"].batch_size == 4


def test_each_declared_signature_is_that_of_a_guarded_call() -> None:
    """No row without its function, no guard without its row."""
    guarded = set()
    for module in (infer_model, vstreams, vdevice):
        tree = ast.parse(inspect.getsource(module))
        guarded |= set(_guarded(tree, ""))
    structures = {
        "VDeviceParams", "ConfigureNetworkGroupParams", "UserFormat", "VStreamParams",
    }  # fmt: skip
    assert guarded | structures == set(binding.SIGNATURES)


def _guarded(node: ast.AST, prefix: str) -> list[str]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            found += _guarded(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef):
            names = [getattr(item, "id", None) for item in child.decorator_list]
            if "border" in names:
                found.append(prefix + child.name)
    return found
