"""The emulator's algorithms against implementations that others wrote.

AdaRound against AIMET (its choices are recorded; ``tests/bench/accuracy/reference.py`` makes
them), equalisation and bias correction against PyTorch's forms of "Data-Free Quantization",
fine-tuning against PyTorch's fake quantisation, values and gradients.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.accuracy.reference import LAYERS

RECORD = Path(__file__).with_name("aimet.json")


def learnt(layer):
    from hailo_emulator.adaround import learn_rounding, moments

    data = moments(layer.rows, layer.rows)
    return learn_rounding(layer.grouped, layer.scales, layer.limit, data)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda one: one.name)
def test_rounding_is_as_good_as_what_aimet_learns(layer):
    theirs = np.array(json.loads(RECORD.read_text("utf-8"))["layers"][layer.name])
    ours = learnt(layer)
    nearest, by_aimet = layer.loss(layer.nearest), layer.loss(theirs)
    assert by_aimet < nearest  # the record belongs to these layers
    # What it wins back of the loss of the nearest integers, and the choices themselves.
    assert nearest - layer.loss(ours) >= 0.9 * (nearest - by_aimet)
    assert (ours == theirs).mean() >= 0.9


def test_the_record_is_what_aimet_says_here():
    pytest.importorskip(
        "aimet_torch", reason="aimet-torch is not installed: its choices are recorded in aimet.json"
    )
    from tests.bench.accuracy.reference import by_aimet

    layer = LAYERS[0]
    recorded = np.array(json.loads(RECORD.read_text("utf-8"))["layers"][layer.name])
    made = by_aimet(layer)
    assert (made == recorded).mean() >= 0.9
    assert layer.loss(made) == pytest.approx(layer.loss(recorded), rel=0.2)


@pytest.mark.slow
def test_fine_tuning_rounds_as_torch_does_and_lets_the_same_gradients_pass():
    import torch
    from hailo_emulator.finetune import _fake, _round_weight
    from hailo_emulator.quant import choose_quantization

    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    for bits in (4, 8):
        limit = (1 << (bits - 1)) - 1
        scales = weight.abs().amax((1, 2, 3)) / limit
        found = []
        for made in (
            lambda w, bits=bits: _round_weight(w, 0, bits),
            lambda w, scales=scales, limit=limit: torch.fake_quantize_per_channel_affine(
                w, scales, torch.zeros(6, dtype=torch.int32), 0, -limit, limit
            ),
        ):
            w = weight.clone().requires_grad_()
            value = made(w)
            (value**2).sum().backward()
            found.append((value.detach(), w.grad))
        torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=1e-5)
        # Torch lets no gradient pass at the very end of the range: one weight of each channel.
        inside = (weight / scales[:, None, None, None]).abs() < limit - 0.5
        torch.testing.assert_close(found[0][1][inside], found[1][1][inside], atol=1e-5, rtol=1e-5)

    how = choose_quantization(-0.7, 2.1)
    for values in (torch.linspace(-0.69, 2.09, 500), torch.linspace(-2.0, 4.0, 500)):
        found = []
        for made in (
            lambda x: _fake({"t": how})("t", x),
            lambda x: torch.fake_quantize_per_tensor_affine(x, how.scale, how.zero_point, 0, 255),
        ):
            x = values.clone().requires_grad_()
            value = made(x)
            (value**3).sum().backward()
            found.append((value.detach(), x.grad))
        torch.testing.assert_close(found[0][0], found[1][0], atol=how.scale * 1.01, rtol=0)
        assert (found[0][0] - found[1][0]).abs().gt(1e-5).float().mean() < 0.01
        same = (found[0][0] - found[1][0]).abs() < 1e-5
        edge = ((values - how.limits[0]).abs() < how.scale) | (
            (values - how.limits[1]).abs() < how.scale
        )
        kept = same & ~edge
        torch.testing.assert_close(found[0][1][kept], found[1][1][kept], atol=1e-4, rtol=1e-4)


def one_of(models, rng, *, factors=None):
    """Return two convolutions as ONNX and as torch has them; channels between are uneven."""
    import onnx
    import torch

    b = models.Builder(seed=5)
    x = b.input("x", [1, 3, 12, 12])
    y = b.node("Relu", [b.conv(x, 8, name="/c1")], name="/r1")
    model = b.build([b.conv(y, 4, name="/c2")])
    named = {t.name: onnx.numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    if factors is not None:
        named["/c1.weight"] *= factors[:, None, None, None]
        named["/c1.bias"] *= factors
        named["/c2.weight"] /= factors[None, :, None, None]
    for tensor in model.graph.initializer:
        value = named[tensor.name].astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    convs = []
    for name, (cin, cout) in {"/c1": (3, 8), "/c2": (8, 4)}.items():
        conv = torch.nn.Conv2d(cin, cout, named[f"{name}.weight"].shape[-1], padding="same")
        conv.weight.data = torch.from_numpy(named[f"{name}.weight"].astype(np.float32))
        conv.bias.data = torch.from_numpy(named[f"{name}.bias"].astype(np.float32))
        convs.append(conv)
    data = rng.uniform(0.2, 1.0, (32, 12, 12, 3)).astype(np.float32)
    return model, convs, data


def prepared(model, data):
    """Return the network, its graph, and the ranges that calibration sees."""
    from hailo_emulator.compose import compose
    from hailo_emulator.statistics import collect_ranges
    from hailo_emulator.translate import translate

    network = translate(model.SerializeToString(), "net")
    graph = compose(network)
    tensors = [name for port in network.inputs for name in (port.name, port.tensor)]
    tensors += [t for layer in network.layers.layers for t in layer.tensors]
    (name,) = graph.inputs
    channels_last = graph.inputs[name][-1] == 3
    frames = [{name: one if channels_last else one.transpose(2, 0, 1)} for one in data]
    return network, graph, collect_ranges(graph, tensors, frames, lambda _: None), frames


def test_biases_are_corrected_by_as_much_as_torch_corrects_them(models, rng):
    import torch

    module = pytest.importorskip("torch.ao.quantization._correct_bias")
    from hailo_emulator.correct import correct_biases
    from hailo_emulator.precision import weighted_nodes
    from hailo_emulator.quantize import QuantPlan, round_weights

    model, convs, data = one_of(models, rng)
    network, graph, ranges, _ = prepared(model, data)
    cores = [n for layer in network.layers.layers for n in weighted_nodes(network, layer)]
    plan = QuantPlan({}, {node.name: 4 for node in cores})
    corrected, count = correct_biases(network, graph, ranges, plan)
    assert count == 2
    first = next(n for n in corrected.nodes if n.name == cores[0].name)
    before = next(n for n in graph.nodes if n.name == cores[0].name)
    ours = graph.constants[before.inputs[2]] - corrected.constants[first.inputs[2]]

    class Rounded(torch.nn.Conv2d):
        """Another type than the float layer's, by which torch finds it."""

    class Net(torch.nn.Module):
        def __init__(self, conv):
            super().__init__()
            self.conv = conv

        def forward(self, x):
            return self.conv(x)

    exact = Net(convs[0])
    rounded = Net(copy.deepcopy(convs[0]))
    rounded.conv.__class__ = Rounded
    integers, scales = round_weights(convs[0].weight.detach().numpy(), 0, 4)
    rounded.conv.weight.data = torch.from_numpy(
        (integers * scales[:, None, None, None]).astype(np.float32)
    )
    was = rounded.conv.bias.detach().clone()
    pictures = torch.from_numpy(data.transpose(0, 3, 1, 2).copy())
    module.bias_correction(exact, rounded, [(pictures,)], target_modules={Rounded})
    theirs = (was - rounded.conv.orig_module.bias.detach()).numpy()
    # Torch averages over the border, too, where a kernel sees padding; ours are in steps of 1/64.
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert np.abs(ours - theirs).max() < 0.2 * np.abs(theirs).max()


def test_channels_are_evened_out_as_well_as_torch_does(models, rng):
    import torch

    module = pytest.importorskip("torch.ao.quantization._equalize")
    from hailo_emulator.correct import equalize

    factors = np.geomspace(0.25, 4, 8).astype(np.float32)
    model, convs, data = one_of(models, rng, factors=factors)
    network, graph, ranges, frames = prepared(model, data)
    made, seen, count = equalize(network, graph, ranges)
    assert count == 1
    tensor = next(layer.tensors[0] for layer in network.layers.layers if layer.nodes)

    pictures = torch.from_numpy(data.transpose(0, 3, 1, 2).copy())
    first, second = (copy.deepcopy(conv) for conv in convs)
    module.cross_layer_equalization(first, second)
    with torch.no_grad():
        plain, theirs = (
            conv(pictures).relu().amax((0, 2, 3)).numpy() for conv in (convs[0], first)
        )
        assert torch.allclose(
            second(first(pictures).relu()), convs[1](convs[0](pictures).relu()), atol=1e-3
        )
    del frames
    ours = np.maximum(np.abs(seen[tensor].low), np.abs(seen[tensor].high))
    spread = [float(np.log(one.max() / one.min())) for one in (plain, theirs, ours)]
    # Both go half of the way where weights after them grow as much as activations shrink.
    assert spread[2] < spread[0]
    assert spread[2] <= 1.15 * spread[1]
    assert made.constants is not graph.constants
