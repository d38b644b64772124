"""The emulator teaches the right lesson: a trained network loses by what real ones lose by.

A small depthwise classifier of drawn, tinted pictures is quantised with good and bad calibration
pictures, in 4, 8 and 16 bits, and at two levels. Figures are decibels of its outputs, and accuracy.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

from tests.bench.accuracy.networks import depthwise, draw  # noqa: E402

#: Little blue and green: then it matters which channel is which.
TINT = np.array([1.0, 0.2, 0.04])
EIGHT = (
    "n = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\n"
    "model_optimization_config(calibration, calibset_size=256)\n"
    "model_optimization_flavor(optimization_level={level})\n"
)
FOUR = "quantization_param({*}, precision_mode=a8_w4)\n"
WIDE = "quantization_param({*}, precision_mode=a16_w16)\n"


def tinted(start: int, count: int) -> tuple[Any, Any]:
    drawn = [draw(number) for number in range(start, start + count)]
    pixels = np.stack([(one.pixels * TINT).astype(np.uint8) for one in drawn])
    return pixels, np.array([one.label for one in drawn])


@dataclass(frozen=True)
class Figures:
    """What a quantised network is worth: share of right answers, and decibels."""

    exact: float
    right: float
    snr_db: float


class Trained:
    """The network, its pictures, and what was measured so far."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        network = depthwise(torch)
        pixels, labels = tinted(0, 1000)
        x = torch.tensor(pixels).permute(0, 3, 1, 2) / 255.0
        y = torch.tensor(labels)
        optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=150)
        for _ in range(150):
            chosen = torch.randint(0, 1000, (48,))
            loss = torch.nn.functional.cross_entropy(network(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(), torch.zeros(1, 3, 32, 32), file, opset_version=13,
                input_names=["image"], dynamo=False,
            )  # fmt: skip
        self.onnx = file.getvalue()
        self.good, _ = tinted(20_000, 256)
        self.held, self.labels = tinted(50_000, 240)

    def measure(self, pictures: Any, script: str = "", level: int = 0) -> Figures:
        from hailo_sdk_client import ClientRunner, InferenceContext

        runner = ClientRunner(hw_arch="hailo8l")
        runner.translate_onnx_model(self.onnx, "net")
        runner.load_model_script(EIGHT.format(level=level) + script)
        runner.optimize(pictures)
        found = []
        for context in (InferenceContext.SDK_FP_OPTIMIZED, InferenceContext.SDK_QUANTIZED):
            with runner.infer_context(context) as opened:
                made = np.asarray(runner.infer(opened, self.held))
            found.append(made.reshape(len(self.held), -1))
        exact, quantised = found
        noise = ((exact - quantised) ** 2).sum()
        return Figures(
            float((exact.argmax(1) == self.labels).mean()),
            float((quantised.argmax(1) == self.labels).mean()),
            float(10 * np.log10((exact**2).sum() / noise)),
        )


@pytest.fixture(scope="module")
def net() -> Trained:
    return Trained()


@pytest.fixture(scope="module")
def plain(net: Trained) -> Figures:
    return net.measure(net.good)


def test_the_network_has_something_to_lose(plain: Figures) -> None:
    assert plain.exact > 0.8
    assert plain.right > plain.exact - 0.03
    assert 20.0 < plain.snr_db < 45.0


def test_too_few_pictures_cost_decibels(net: Trained, plain: Figures) -> None:
    assert net.measure(net.good[:2]).snr_db < plain.snr_db - 6.0


def test_pictures_of_another_kind_cost_decibels_and_answers(net: Trained, plain: Figures) -> None:
    noise = np.random.default_rng(0).integers(0, 256, net.good.shape).astype(np.uint8)
    assert net.measure(noise).snr_db < plain.snr_db - 5.0
    dark = net.measure((net.good // 12).astype(np.uint8))
    assert dark.snr_db < 5.0
    assert dark.right < 0.5


def test_swapped_colours_in_calibration_cost_decibels(net: Trained, plain: Figures) -> None:
    assert net.measure(net.good[..., ::-1].copy()).snr_db < plain.snr_db - 3.0


def test_bits_and_levels_are_a_ladder(net: Trained, plain: Figures) -> None:
    four = net.measure(net.good, FOUR)
    corrected = net.measure(net.good, FOUR, level=1)
    wide = net.measure(net.good, WIDE)
    assert four.snr_db < plain.snr_db - 10.0
    assert four.right < plain.right - 0.03
    assert corrected.snr_db > four.snr_db + 1.0
    assert wide.snr_db > plain.snr_db + 6.0


def test_an_outlier_costs_and_sixteen_bits_of_one_layer_win_it_back(
    net: Trained, plain: Figures
) -> None:
    import onnx

    hurt = Trained.__new__(Trained)
    hurt.__dict__.update(net.__dict__)
    model = onnx.load_from_string(net.onnx)
    # A channel of the second pointwise layer that hardly anything reads gets a large constant.
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    values = {one.name: one for one in model.graph.initializer}
    wide, reader = convs[4], convs[5]
    bias = onnx.numpy_helper.to_array(values[wide.input[2]]).copy()
    weight = onnx.numpy_helper.to_array(values[wide.input[1]]).copy()
    kernel = onnx.numpy_helper.to_array(values[reader.input[1]]).copy()
    offset = onnx.numpy_helper.to_array(values[reader.input[2]]).copy()
    bias[0], weight[0] = 3000.0, 0.0
    kernel[0], offset[0] = 0.0, 0.0  # depthwise: the channel ends there
    for name, value in (
        (wide.input[2], bias), (wide.input[1], weight), (reader.input[1], kernel),
        (reader.input[2], offset),
    ):  # fmt: skip
        values[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
    hurt.onnx = model.SerializeToString()
    lost = hurt.measure(net.good)
    won = hurt.measure(net.good, "quantization_param([conv3], precision_mode=a16_w16)\n")
    assert lost.snr_db < plain.snr_db - 6.0
    assert won.snr_db > lost.snr_db + 5.0
