"""Optimisation: how many images, which level, and that both matter to the numbers."""

from __future__ import annotations

import numpy as np
import pytest

NORMALIZE = "normalization1 = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\n"


@pytest.fixture
def images(rng):
    """Structured pictures: a gradient with a bright square, all values used."""
    pictures = np.zeros((80, 16, 16, 3), np.float32)
    ramp = np.linspace(0, 160, 16)
    for number in range(len(pictures)):
        pictures[number] += ramp[:, None, None] if number % 2 else ramp[None, :, None]
        y, x = rng.integers(0, 11, 2)
        pictures[number, y : y + 5, x : x + 5, rng.integers(0, 3)] += 95
    return pictures.astype(np.uint8)


def make(models, script="", model=None, name="net", end=None):
    from hailo_sdk_client import ClientRunner

    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(
        (model or models.classifier()).SerializeToString(), name, end_node_names=end
    )
    runner.load_model_script(script)
    return runner


def run(runner, context, data):
    from hailo_sdk_client import InferenceContext

    with runner.infer_context(InferenceContext[context]) as opened:
        return runner.infer(opened, data)


def snr(exact, emulated):
    from hailo_emulator.snr import Noise

    noise = Noise()
    noise.add(exact, emulated)
    return noise.decibels


def output_snr(runner, data):
    return snr(run(runner, "SDK_FP_OPTIMIZED", data), run(runner, "SDK_QUANTIZED", data))


# -- how many images --------------------------------------------------------------------------


def test_64_images_are_used_whatever_is_given(models, images, capsys):
    make(models, NORMALIZE).optimize(images)
    assert "[info] Using dataset with 64 entries for calibration" in capsys.readouterr().out


def test_the_script_says_how_many_are_used_and_no_more_than_there_are(models, images, capsys):
    for size, used in ((70, 70), (1024, 80)):
        line = f"model_optimization_config(calibration, batch_size=4, calibset_size={size})\n"
        make(models, NORMALIZE + line).optimize(images)
        assert f"[info] Using dataset with {used} entries for calibration" in (
            capsys.readouterr().out
        )


def test_only_the_first_64_images_count(models, images):
    later = images.copy()
    later[64:] = 255 - later[64:]
    one, two = make(models, NORMALIZE), make(models, NORMALIZE)
    one.optimize(images)
    two.optimize(later)
    assert one.compile() == two.compile()


# -- levels -----------------------------------------------------------------------------------

_LOWERED = (
    "[warning] Reducing optimization level to 0 (the accuracy won't be optimized and compression "
    "won't be used) because "
)


def test_the_default_level_is_lowered_for_few_images_and_no_gpu(models, images, capsys):
    make(models, NORMALIZE).optimize(images)
    said = capsys.readouterr().out
    assert "[info] Using default optimization level of 2" in said
    assert (
        _LOWERED + "there's less data than the recommended amount (1024), and there's no "
        "available GPU"
    ) in said


def _decide(script, images, gpu):
    from hailo_emulator.levels import decide_levels
    from hailo_emulator.script import read_script

    return decide_levels(read_script(script), images, gpu=gpu)


def test_enough_images_and_no_gpu_lower_the_level_for_the_gpu_alone():
    levels = _decide("", 1024, gpu=False)
    assert levels.optimization == 0
    assert levels.lines[-1] == ("warning", _LOWERED[10:] + "there's no available GPU")


def test_few_images_with_a_gpu_lower_the_default_to_1():
    levels = _decide("", 1023, gpu=True)
    assert levels.optimization == 1
    assert levels.lines[-1] == (
        "warning",
        (
            "Reducing optimization level to 1 because there's less data than the recommended "
            "amount (1024)"
        ),
    )


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("level", [-100, 0, 1, 2, 3, 4])
def test_a_level_in_the_script_runs_as_named(level, gpu):
    script = f"model_optimization_flavor(optimization_level={level}, compression_level=2)\n"
    levels = _decide(script, 64, gpu=gpu)
    assert (levels.optimization, levels.compression, levels.lines) == (level, 2, ())


def test_lowering_the_level_switches_compression_off(models, images, capsys):
    runner = make(models, NORMALIZE + "model_optimization_flavor(compression_level=3)\n")
    runner.optimize(images)
    assert "4bit" not in capsys.readouterr().out


@pytest.mark.slow
def test_compression_puts_weights_into_four_bits_and_costs_accuracy(models, images, capsys):
    b = models.Builder()
    y = b.input("x", [1, 3, 16, 16])
    for number in range(5):
        y = b.node("Relu", [b.conv(y, 12, name=f"/c{number}")], name=f"/r{number}")
    chain = b.build([y])
    results = []
    for compression in (0, 3, 5):
        line = f"model_optimization_flavor(optimization_level=0, compression_level={compression})\n"
        runner = make(models, NORMALIZE + line, chain)
        runner.optimize(images)
        results.append(output_snr(runner, images[:8]))
    said = capsys.readouterr().out
    assert said.count("Assigning 4bit weights to layer net/conv2 with 1.30k parameters") == 2
    assert "layer net/conv1" not in said
    assert results[0] > results[1] + 1.0 > results[2] + 1.0


@pytest.mark.slow
def test_bias_correction_does_not_lower_the_snr(models, images):
    by_level = []
    for level in (-100, 0, 1):
        line = f"model_optimization_flavor(optimization_level={level})\n"
        runner = make(models, NORMALIZE + line)
        runner.optimize(images)
        by_level.append(output_snr(runner, images[:16]))
    assert by_level[0] <= by_level[1] <= by_level[2]
    assert by_level[2] > by_level[0]


def test_equalisation_helps_a_network_with_uneven_channels(models, rng, capsys):
    """One channel a hundred times larger than its neighbours ruins a shared scale."""
    b = models.Builder(seed=5)
    x = b.input("x", [1, 3, 8, 8])
    y = b.node("Relu", [b.conv(x, 8, name="/c1")], name="/r1")
    model = b.build([b.conv(y, 4, name="/c2")])
    import onnx

    factors = np.geomspace(0.05, 20, 8).astype(np.float32)
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "/c1.weight":
            value *= factors[:, None, None, None]
        elif tensor.name == "/c1.bias":
            value *= factors
        elif tensor.name == "/c2.weight":
            value /= factors[None, :, None, None]
        tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), tensor.name))
    data = rng.normal(0, 1, (64, 8, 8, 3)).astype(np.float32)
    results = []
    for policy in ("disabled", "enabled"):
        script = (
            "model_optimization_flavor(optimization_level=0)\n"
            f"pre_quantization_optimization(equalization, policy={policy})\n"
        )
        runner = make(models, script, model)
        runner.optimize(data)
        results.append(output_snr(runner, data[:16]))
    assert results[1] > results[0] + 3.0
    assert "Model Optimization Algorithm Equalization is done (1 pairs" in capsys.readouterr().out


_TUNED = "Model Optimization Algorithm Quantization-Aware Fine-Tuning is done"


@pytest.mark.parametrize(
    ("line", "said", "not_said"),
    [
        ("post_quantization_optimization(finetune, policy=enabled, dataset_size=16)",
         ["[info] Using dataset with 16 entries for finetune", _TUNED],
         ["didn't have enough data"]),
        ("model_optimization_flavor(optimization_level=2)",
         [_TUNED, "Dataset didn't have enough data for dataset_size of 1024", "Adaround skipped"],
         ["Reducing", "default optimization level"]),
        ("model_optimization_flavor(optimization_level=3)",
         ["Model Optimization Algorithm Adaround is done", "Fine-Tuning skipped"],
         ["Reducing"]),
        ("model_optimization_flavor(optimization_level=4)", ["Adaround skipped"], ["Adaround is"]),
        ("", ["Quantization-Aware Fine-Tuning skipped", "Adaround skipped"], [_TUNED]),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_training_is_told_in_the_vendors_words(models, images, capsys, line, said, not_said):
    make(models, NORMALIZE + line + "\n").optimize(images)
    out = capsys.readouterr().out
    assert [text for text in said if text not in out] == []
    assert [text for text in not_said if text in out] == []


# -- the data ---------------------------------------------------------------------------------


def test_nchw_calibration_is_refused_in_the_vendors_words(models, images):
    from hailo_model_optimization.acceleras.utils.acceleras_exceptions import BadInputsShape

    with pytest.raises(BadInputsShape) as caught:
        make(models).optimize(images.transpose(0, 3, 1, 2))
    assert str(caught.value) == (
        "Data shape (3, 16, 16) for layer net/input_layer1 doesn't match network's input shape "
        "(16, 16, 3)"
    )


def test_a_dict_needs_the_layers_own_names(models, rng):
    runner = make(models, model=models.two_inputs())
    good = {
        "net/input_layer1": rng.random((8, 8, 8, 3)).astype(np.float32),
        "net/input_layer2": rng.random((8, 4)).astype(np.float32),
    }
    with pytest.raises(KeyError, match="net/input_layer1"):
        runner.optimize({"image": good["net/input_layer1"], "extra": good["net/input_layer2"]})
    runner.optimize(good)
    assert run(runner, "SDK_QUANTIZED", good).shape == (8, 5)


def test_unusable_calibration_data_is_refused(models, tmp_path):
    from hailo_model_optimization.acceleras.utils.acceleras_exceptions import (
        AccelerasInitializationError,
    )

    for data in (np.zeros((0, 16, 16, 3)), np.full((2, 16, 16, 3), "a"), str(tmp_path)):
        with pytest.raises(AccelerasInitializationError):
            make(models).optimize(data)
    with pytest.raises(FileNotFoundError):
        make(models).optimize(str(tmp_path / "none.npy"))
    with pytest.raises(ValueError, match="not finite"):
        make(models).optimize(np.full((2, 16, 16, 3), np.nan, np.float32))


@pytest.mark.slow
def test_all_forms_of_the_same_data_give_the_same_network(models, images, tmp_path):
    np.save(tmp_path / "calib.npy", images)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(images):
        np.save(folder / f"{number:04d}.npy", frame)
    forms = [
        images,
        {"net/input_layer1": images},
        np.load(tmp_path / "calib.npy", mmap_mode="r"),
        str(tmp_path / "calib.npy"),
        folder,
        lambda: iter(images),
        lambda: ((frame, {"label": 1}) for frame in images),
    ]
    results = set()
    for form in forms:
        runner = make(models, NORMALIZE)
        runner.optimize(form)
        results.add(runner.compile())
    assert len(results) == 1


def test_a_set_scaled_on_the_host_gets_the_vendors_one_line(models, images, capsys):
    scaled = images.astype(np.float32) / images.max()
    line = (
        "[info] The calibration set seems to not be normalized, because the values range is "
        "[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]."
    )
    make(models, NORMALIZE).optimize(scaled)
    assert line in capsys.readouterr().out
    make(models, NORMALIZE).optimize(images)
    assert "seems to not be normalized" not in capsys.readouterr().out


def test_black_images_wreck_the_network(models, images):
    good, black = (make(models, NORMALIZE, end=["/fc/Gemm"]) for _ in range(2))
    good.optimize(images)
    black.optimize(np.zeros_like(images))
    assert output_snr(good, images[:16]) > 25.0
    assert output_snr(black, images[:16]) < 12.0


def test_calibrating_with_0_to_255_where_0_to_1_is_meant_wrecks_the_network(models, images):
    """Without normalization in the script the float network wants 0..1 and gets it at run time."""
    good, wrong = make(models), make(models)
    real = images.astype(np.float32) / 255
    good.optimize(real)
    wrong.optimize(images.astype(np.float32))
    assert output_snr(good, real[:16]) > 25.0
    assert output_snr(wrong, real[:16]) < 12.0


def test_normalising_twice_is_accepted_and_wrecks_the_result(models, images):
    runner = make(models, NORMALIZE, end=["/fc/Gemm"])
    runner.optimize(images.astype(np.float32) / 255)
    exact = run(runner, "SDK_FP_OPTIMIZED", images[:16])
    emulated = run(runner, "SDK_QUANTIZED", images[:16])
    assert snr(exact, emulated) < 12.0


# -- precision --------------------------------------------------------------------------------


def test_sixteen_bit_outputs_are_finer(models, images):
    results = []
    for script in ("", "quantization_param(output_layer1, precision_mode=a16_w16)\n"):
        runner = make(models, script, models.fully_convolutional(channels=3, size=16))
        runner.optimize(images.astype(np.float32) / 255)
        mask = run(runner, "SDK_QUANTIZED", images[:4].astype(np.float32) / 255)[0]
        results.append(len(np.unique(mask)))
    assert results[0] <= 256 < results[1]


def test_every_layer_in_sixteen_bits_is_nearly_exact(models, images):
    line = "quantization_param({*}, precision_mode=a16_w16)\n"
    plain, wide = make(models, NORMALIZE), make(models, NORMALIZE + line)
    for runner in (plain, wide):
        runner.optimize(images)
    assert output_snr(wide, images[:8]) > output_snr(plain, images[:8]) + 20.0


def test_a_forced_range_is_the_range_of_the_stream(models, images):
    line = "quantization_param(conv3, force_range_out=[-4.0, 4.0])\n"
    runner = make(models, line, models.fully_convolutional(channels=3, size=16))
    runner.optimize(images.astype(np.float32) / 255)
    layers = runner.get_hn_dict()["layers"]
    name = "net/conv3"
    assert name in layers
    from hailo_emulator.payload import read_payload

    stream = next(s for s in read_payload(runner.compile()).tensors if s.name == name)
    assert stream.quantization.scale == pytest.approx(8 / 255)


def test_layer_noise_names_every_layer_and_falls_with_depth(models, images):
    runner = make(models, NORMALIZE)
    runner.optimize(images)
    noise = runner.analyze_noise(images, data_count=4)
    names = [
        n
        for n, entry in runner.get_hn_dict()["layers"].items()
        if entry["type"] not in ("input_layer", "output_layer")
    ]
    assert list(noise) == names
    assert all(15.0 < value < 120.0 for value in noise.values())
    alone = runner.analyze_noise(images, data_count=4, analyze_mode="advanced")
    assert list(alone) == names
    assert max(alone.values()) > max(noise.values())


def test_the_same_inputs_give_the_same_bytes(models, images, tmp_path):
    files = []
    for number in range(2):
        runner = make(models, NORMALIZE)
        runner.optimize(images)
        hef = runner.compile()
        runner.save_har(tmp_path / f"{number}.har")
        files.append((hef, (tmp_path / f"{number}.har").read_bytes()))
    assert files[0] == files[1]


def test_an_input_stream_gets_sixteen_bits_by_name_only(models, images):
    from hailo_emulator.payload import read_payload

    bits = []
    for layers in ("{*}", "input_layer1"):
        runner = make(models, NORMALIZE + f"quantization_param({layers}, precision_mode=a16_w16)\n")
        runner.optimize(images[:8])
        bits.append(read_payload(runner.compile()).inputs[0].quantization.bits)
    assert bits == [8, 16]
