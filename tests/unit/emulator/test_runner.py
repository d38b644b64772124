"""The runner: states, order of calls, arguments, lines, and what the vendor says to mistakes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

NORMALIZE = "normalization1 = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\n"


@pytest.fixture
def runner(models):
    from hailo_sdk_client import ClientRunner

    made = ClientRunner(hw_arch="hailo8l")
    made.translate_onnx_model(models.classifier().SerializeToString(), "net")
    return made


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (70, 16, 16, 3)).astype(np.uint8)


def test_states_follow_the_documented_order(runner, images):
    from hailo_sdk_client import ClientRunner, States

    assert ClientRunner(hw_arch="hailo8").state is States.UNINITIALIZED
    assert runner.state is States.HAILO_MODEL
    runner.load_model_script(NORMALIZE)
    runner.optimize_full_precision(images)
    assert runner.state is States.FP_OPTIMIZED_MODEL
    runner.optimize(images)
    assert runner.state is States.QUANTIZED_MODEL
    hef = runner.compile()
    assert runner.state is States.COMPILED_MODEL
    assert runner.hef == hef


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.optimize(np.zeros((1, 16, 16, 3))),
        lambda r: r.optimize_full_precision(),
        lambda r: r.compile(),
        lambda r: r.save_har("x.har"),
        lambda r: r.get_hn_dict(),
        lambda r: r.get_params(),
        lambda r: r.load_model_script(NORMALIZE),
        lambda r: r.analyze_noise(np.zeros((1, 16, 16, 3))),
    ],
)
def test_every_call_before_translation_is_out_of_order(call):
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.runner.exceptions import InvalidStateException

    with pytest.raises(InvalidStateException, match="not available under the state: uninitialized"):
        call(ClientRunner(hw_arch="hailo8l"))


def test_compiling_before_optimising_and_optimising_twice_are_out_of_order(runner, images):
    from hailo_sdk_client.runner.exceptions import InvalidStateException
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendRuntimeException

    with pytest.raises(BackendRuntimeException, match="Did you forget to quantize"):
        runner.compile()
    runner.optimize(images)
    with pytest.raises(InvalidStateException, match="execution of optimize"):
        runner.optimize(images)


@pytest.mark.parametrize("context", ["SDK_FP_OPTIMIZED", "SDK_QUANTIZED"])
def test_a_context_needs_its_state(runner, context):
    from hailo_sdk_client import InferenceContext
    from hailo_sdk_client.runner.exceptions import InvalidStateException

    with (
        pytest.raises(InvalidStateException),
        runner.infer_context(InferenceContext[context]),
    ):
        pass


def test_hardware_and_bit_exact_contexts_are_said_to_be_absent(runner, images):
    from hailo_sdk_client import InferenceContext

    runner.optimize(images)
    for name in ("SDK_HAILO_HW", "SDK_BIT_EXACT"):
        with (
            pytest.raises(NotImplementedError, match=f"{name} is not emulated"),
            runner.infer_context(InferenceContext[name]),
        ):
            pass


def test_infer_needs_the_open_context(runner, images):
    from hailo_sdk_client import InferenceContext
    from hailo_sdk_client.runner.exceptions import InvalidStateException

    with runner.infer_context(InferenceContext.SDK_NATIVE) as context:
        assert runner.infer(context, images[:3], batch_size=8).shape == (3, 10)
    with pytest.raises(InvalidStateException):
        runner.infer(context, images[:3])


def test_three_contexts_are_three_computations(runner, images):
    from hailo_sdk_client import InferenceContext

    runner.load_model_script(NORMALIZE)
    runner.optimize(images)
    results = []
    for context, data in (
        (InferenceContext.SDK_NATIVE, images[:4].astype(np.float32) / 255),
        (InferenceContext.SDK_FP_OPTIMIZED, images[:4]),
        (InferenceContext.SDK_QUANTIZED, images[:4]),
    ):
        with runner.infer_context(context) as opened:
            results.append(runner.infer(opened, data))
    native, optimized, quantized = results
    np.testing.assert_allclose(native, optimized, atol=1e-5)
    assert 0 < np.abs(quantized - optimized).max() < 0.05
    with runner.infer_context(InferenceContext.SDK_NATIVE) as opened:
        unscaled = runner.infer(opened, images[:4])
    assert np.abs(unscaled - optimized).max() > 0.1, "SDK_NATIVE must not apply the script"


@pytest.mark.parametrize(
    ("keyword", "call"),
    [
        ("resize", lambda r, d: r.translate_onnx_model(b"", "n", resize=1)),
        ("calibration", lambda r, d: r.optimize(calibration=d)),
        ("level", lambda r, d: r.optimize(d, level=2)),
        ("name", lambda r, d: r.save_har("x", name="y")),
        ("arch", lambda r, d: type(r)(arch="hailo8")),
        ("path", lambda r, d: r.load_model_script(path="x")),
        ("output", lambda r, d: r.compile(output="x")),
    ],
)
def test_an_argument_that_the_vendor_does_not_have_is_an_error(runner, images, keyword, call):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}'"):
        call(runner, images)


def test_wrong_types_are_refused(runner, images):
    from hailo_sdk_client.runner.exceptions import InvalidArgumentsException

    for call in (
        lambda: runner.translate_onnx_model(b"", "a b"),
        lambda: runner.translate_onnx_model(b"", "n", end_node_names="one"),
        lambda: runner.optimize(images, data_type="arrays"),
        lambda: runner.optimize(None),
        lambda: runner.infer_context("SDK_NATIVE").__enter__(),
        lambda: type(runner)(hw_arch=8),
    ):
        with pytest.raises(InvalidArgumentsException):
            call()


@pytest.mark.parametrize(
    ("version", "known", "other", "points_to"),
    [
        ("3.33.0", ("hailo8", "hailo8l", "hailo8r"), "hailo10h", "5.x"),
        ("5.2.0", ("hailo10h", "hailo15h", "hailo15m", "hailo15l", "hailo12l"), "hailo8l", "3.x"),
    ],
)
def test_each_line_knows_its_chips_and_points_to_the_other(
    monkeypatch, version, known, other, points_to
):
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.runner.exceptions import InvalidArgumentsException

    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    for arch in known:
        assert ClientRunner(hw_arch=arch).hw_arch == arch
    with pytest.raises(InvalidArgumentsException, match=f"{other} .*{points_to}"):
        ClientRunner(hw_arch=other)
    with pytest.raises(InvalidArgumentsException, match="Supported architectures"):
        ClientRunner(hw_arch="hailo9")


@pytest.mark.parametrize("version", ["4.23.0", "3", "abc", "3.33"])
def test_a_version_of_neither_line_is_refused(monkeypatch, version):
    from hailo_emulator.line import toolchain_version

    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    with pytest.raises(RuntimeError, match="HEFSMITH_EMULATED_DFC"):
        toolchain_version()


def test_the_import_is_light_and_tells_the_version(repository):
    code = (
        "import sys, hailo_sdk_client as s, hailo_sdk_common as c\n"
        "heavy = [m for m in ('torch', 'onnx', 'onnxruntime', 'tensorflow') if m in sys.modules]\n"
        "print(s.__version__, c.__version__, s.__emulated__, heavy)"
    )
    env = {
        "PYTHONPATH": f"{repository}/docker/emulator/packages:{repository}/docker/worker",
        "HEFSMITH_EMULATED_DFC": "5.2.0",
        "PATH": "/usr/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "5.2.0 5.2.0 True []"


def test_a_script_can_be_a_path_and_be_appended_to(runner, tmp_path, capsys):
    path = tmp_path / "a.alls"
    path.write_text(NORMALIZE)
    runner.load_model_script(path)
    runner.load_model_script("performance_param(compiler_optimization_level=max)\n", append=True)
    assert runner.model_script.splitlines() == [
        NORMALIZE.strip(),
        "performance_param(compiler_optimization_level=max)",
    ]
    said = capsys.readouterr().out
    assert f"[info] Loading model script commands to net from {path}" in said
    assert "No effect in the emulator: performance_param(" in said
    runner.load_model_script(NORMALIZE)
    assert runner.model_script == NORMALIZE


def test_a_script_loaded_after_optimising_changes_nothing_in_silence(runner, images):
    from hailo_sdk_client import InferenceContext

    runner.optimize(images)
    with runner.infer_context(InferenceContext.SDK_QUANTIZED) as context:
        before = runner.infer(context, images[:2])
    runner.load_model_script(NORMALIZE)
    with runner.infer_context(InferenceContext.SDK_QUANTIZED) as context:
        np.testing.assert_array_equal(runner.infer(context, images[:2]), before)


def test_hn_objects_can_be_asked_for_layers(runner):
    from hailo_sdk_common.hailo_nn.exceptions import HailoNNException

    network = runner.get_hn_model()
    assert [layer.name for layer in network.get_input_layers()] == ["net/input_layer1"]
    assert network.get_input_shapes() == [[-1, 16, 16, 3]]
    assert network.get_layer_by_name("conv1").original_names[0] == "/c1/Conv"
    with pytest.raises(HailoNNException, match="The layer named conv70 doesn't exist in the HN"):
        network.get_layer_by_name("conv70")


def test_params_are_in_the_vendors_layout(runner):
    params = runner.get_params()
    assert params["net/conv1/kernel:0"].shape == (3, 3, 3, 8)
    assert params["net/fc1/kernel:0"].shape == (16, 10)
    assert params["net/conv1/bias:0"].shape == (8,)
