"""AdaRound, fine-tuning and clipping, each against another way to the same thing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

NORMALIZE = "n = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\n"


def data_of(rng, rows=400, depth=8):
    """Correlated rows, as the pixels of a patch are: only then rounding can be learnt."""
    base = rng.normal(0, 1, (rows, 3))
    return (base @ rng.normal(0, 1, (3, depth)) + 0.3 * rng.normal(0, 1, (rows, depth)) + 0.5)[
        np.newaxis
    ].astype(np.float32)


def test_the_covariance_form_is_the_error_on_the_data(rng):
    from hailo_emulator.adaround import error, moments

    exact = data_of(rng)
    quantized = exact + rng.normal(0, 0.1, exact.shape).astype(np.float32)
    weight, made = rng.normal(0, 1, (2, 1, 4, 8))
    found = moments(exact, quantized)
    got = error(made, weight @ found.crossed, found)[0]
    a = exact[0] - exact[0].mean(0)
    b = quantized[0] - quantized[0].mean(0)
    direct = ((a @ weight[0].T - b @ made[0].T) ** 2).mean(0)
    constant = ((a @ weight[0].T) ** 2).mean(0)
    np.testing.assert_allclose(got, direct - constant, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_learnt_rounding_is_near_the_best_of_all_roundings():
    """Over many small layers, most of what exhaustive search gains over the nearest integers."""
    from hailo_emulator.adaround import error, learn_rounding, moments

    choices = np.array(list(itertools.product((0, 1), repeat=8)))
    gained = possible = 0.0
    for seed, bits in itertools.product(range(6), (3, 4)):
        rng = np.random.default_rng(seed)
        exact = data_of(rng)
        found = moments(exact, exact)
        weight = rng.normal(0, 1, (1, 6, 8))
        limit = (1 << (bits - 1)) - 1
        scales = np.abs(weight).max(-1) / limit
        target = weight @ found.crossed
        learnt = learn_rounding(weight, scales, limit, found)
        below = np.clip(np.floor(weight / scales[..., None]), -limit, limit)
        all_of_them = np.clip(below[0][:, None] + choices, -limit, limit) * scales[0][:, None, None]
        own = np.einsum("ocd,de,oce->oc", all_of_them, found.quantized[0], all_of_them)
        best = (own - 2 * np.einsum("ocd,od->oc", all_of_them, target[0])).min(1)
        nearest = np.clip(np.rint(weight / scales[..., None]), -limit, limit)
        by_nearest = error(nearest * scales[..., None], target, found)[0]
        by_learning = error(learnt * scales[..., None], target, found)[0]
        assert (by_learning <= by_nearest + 1e-9).all()
        assert (by_learning >= best - 1e-9).all()
        gained += (by_nearest - by_learning).sum()
        possible += (by_nearest - best).sum()
    assert gained > 0.7 * possible > 0


def test_kernels_see_what_torch_multiplies(rng):
    import torch
    from hailo_emulator.adaround import grouped, rows_of
    from hailo_emulator.graph import Node

    cases = [(1, [1, 1], [1, 1, 1, 1], [1, 1]), (2, [2, 1], [0, 1, 1, 0], [1, 2]),
             (4, [1, 2], [2, 2, 0, 0], [1, 1])]  # fmt: skip
    for groups, strides, pads, dilations in cases:
        weight = rng.normal(0, 1, (8, 4 // groups, 3, 3)).astype(np.float32)
        attributes = {"group": groups, "strides": strides, "pads": pads, "dilations": dilations}
        node = Node("c", "Conv", ("x", "w"), ("y",), attributes)
        x = rng.normal(0, 1, (4, 9, 10)).astype(np.float32)
        padded = torch.nn.functional.pad(
            torch.from_numpy(x)[None], (pads[1], pads[3], pads[0], pads[2])
        )
        wanted = torch.nn.functional.conv2d(
            padded, torch.from_numpy(weight), stride=strides, dilation=dilations, groups=groups
        )[0].numpy()
        count = wanted[0].size
        places = (np.arange(count) + 0.5) / count
        rows = rows_of(node, weight.shape, x, places)
        got = np.einsum("gnd,god->gon", rows, grouped(node, weight)).reshape(8, -1)
        np.testing.assert_allclose(got, wanted.reshape(8, -1), rtol=1e-4, atol=1e-4)


@pytest.fixture
def net(models):
    b = models.Builder(seed=3)
    y = b.input("x", [1, 3, 16, 16])
    for number in range(3):
        y = b.node("Relu", [b.conv(y, 12, name=f"/c{number}")], name=f"/r{number}")
    return b.build([b.conv(y, 4, name="/head")])


@pytest.fixture
def pictures(rng):
    grid = np.linspace(0, 3, 16)
    waves = [
        np.sin(grid * f)[:, None] * np.cos(grid * g)[None] for f, g in rng.uniform(0.3, 3, (96, 2))
    ]
    colours = rng.uniform(0.2, 1, (96, 1, 1, 3))
    return ((np.stack(waves)[..., None] * colours + 1) * 127).astype(np.uint8)


def optimised(net, data, script):
    from hailo_sdk_client import ClientRunner

    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(net.SerializeToString(), "net")
    runner.load_model_script(NORMALIZE + script)
    runner.optimize(data)
    return runner


def outputs(runner, data):
    from hailo_sdk_client import InferenceContext

    found = []
    for context in (InferenceContext.SDK_FP_OPTIMIZED, InferenceContext.SDK_QUANTIZED):
        with runner.infer_context(context) as opened:
            found.append(runner.infer(opened, data))
    return found


def ratio(runner, data):
    exact, emulated = outputs(runner, data)
    return 10 * np.log10((exact**2).sum() / ((exact - emulated) ** 2).sum())


@pytest.mark.slow
def test_both_trainings_win_back_what_four_bits_cost(net, pictures):
    calibration, held_out = pictures[:64], pictures[64:]
    four = "quantization_param({*}, precision_mode=a8_w4)\n"
    results = {
        name: ratio(optimised(net, calibration, four + script), held_out)
        for name, script in {
            "plain": "model_optimization_flavor(optimization_level=0)\n",
            "adaround": "model_optimization_flavor(optimization_level=0)\n"
            "post_quantization_optimization(adaround, policy=enabled)\n",
            "finetune": "model_optimization_flavor(optimization_level=0)\n"
            "post_quantization_optimization(finetune, policy=enabled, dataset_size=64, epochs=8)\n",
        }.items()
    }
    assert results["adaround"] > results["plain"] + 3.0
    assert results["finetune"] > results["plain"] + 3.0


@pytest.mark.slow
def test_a_training_gives_the_same_bytes_again(net, pictures):
    script = (
        "model_optimization_flavor(optimization_level=2)\n"
        "post_quantization_optimization(finetune, policy=enabled, dataset_size=16, epochs=1)\n"
        "post_quantization_optimization(adaround, policy=enabled)\n"
    )
    hefs = {optimised(net, pictures[:16], script).compile() for _ in range(2)}
    assert len(hefs) == 1


def test_what_torch_computes_is_what_the_emulator_runs(models, rng):
    """Gradients are worth something only if the forward pass is the network's own."""
    import torch
    from hailo_emulator.compose import compose
    from hailo_emulator.execute import Session
    from hailo_emulator.graph import to_model
    from hailo_emulator.torch_graph import run_graph
    from hailo_emulator.translate import translate

    for name in ("classifier", "fully_convolutional"):
        network = translate(getattr(models, name)().SerializeToString(), "net")
        graph = compose(network)
        frames = [
            {key: rng.random(shape[1:]).astype(np.float32) for key, shape in graph.inputs.items()}
            for _ in range(3)
        ]
        constants = {k: torch.from_numpy(np.array(v)) for k, v in graph.constants.items()}
        stacked = {k: torch.from_numpy(np.stack([f[k] for f in frames])) for k in graph.inputs}
        got = run_graph(graph, stacked, constants, lambda _, value: value)
        session = Session(to_model(graph).SerializeToString())
        for number, frame in enumerate(frames):
            for key, wanted in zip(graph.outputs, session.run(frame), strict=True):
                np.testing.assert_allclose(got[key][number].numpy(), wanted, atol=1e-4)


@pytest.mark.slow
def test_clipping_takes_outliers_out_of_the_range(net, pictures):
    """One white picture among dark ones stretches every range; percentiles cut that off."""
    dark = (pictures // 8).copy()
    dark[0] = 255
    clip = (
        "pre_quantization_optimization(activation_clipping, layers={*}, mode=percentile, "
        "clipping_values=[0.1, 99.0])\n"
    )
    level = "model_optimization_flavor(optimization_level=0)\n"
    plain = ratio(optimised(net, dark[:64], level), dark[64:])
    clipped = ratio(optimised(net, dark[:64], level + clip), dark[64:])
    assert clipped > plain + 3.0


def test_noise_of_layers_is_told_of_the_network_that_was_quantised(models, rng):
    """Evening out channels changes inner tensors, and is no noise."""
    import onnx

    b = models.Builder(seed=5)
    x = b.input("x", [1, 3, 8, 8])
    y = b.node("Relu", [b.conv(x, 8, name="/c1")], name="/r1")
    model = b.build([b.conv(y, 4, name="/c2")])
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
    data = rng.integers(0, 256, (64, 8, 8, 3)).astype(np.uint8)
    runner = optimised(model, data, "model_optimization_flavor(optimization_level=0)\n")
    simple = runner.analyze_noise(data, data_count=16)
    assert min(simple.values()) > 25.0
    alone = runner.analyze_noise(data, data_count=16, analyze_mode="advanced")
    assert min(alone.values()) > 25.0
    facts = runner.emulated_layers(data, data_count=16)
    assert facts["net/conv1"]["clipped"] < 0.01


@pytest.mark.slow
def test_an_outlier_channel_is_seen_and_named_worst(models, rng):
    import onnx

    b = models.Builder(seed=7)
    y = b.input("x", [1, 3, 16, 16])
    for number in range(3):
        y = b.node("Relu", [b.conv(y, 12, name=f"/c{number}")], name=f"/r{number}")
    model = b.build([b.conv(y, 4, name="/head")])
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "/c1.bias":
            value[5] += 500.0
        elif tensor.name == "/c2.weight":
            value[:, 5] = 0.0
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    data = rng.integers(0, 256, (32, 16, 16, 3)).astype(np.uint8)
    runner = optimised(model, data, "model_optimization_flavor(optimization_level=0)\n")
    alone = runner.analyze_noise(data, data_count=8, analyze_mode="advanced")
    assert min(alone, key=alone.get) == "net/conv2"
    facts = runner.emulated_layers(data, data_count=8)
    assert max(facts, key=lambda name: facts[name]["channel_spread"]) == "net/conv2"
    wide = "quantization_param([conv2], precision_mode=a16_w16)\n"
    better = optimised(
        model, data, "model_optimization_flavor(optimization_level=0)\n" + wide
    ).analyze_noise(data, data_count=8, analyze_mode="advanced")
    assert better["net/conv2"] > alone["net/conv2"] + 20.0
