"""What the stage takes from an SDK whose answers nobody has described."""

from __future__ import annotations

import numpy as np
import pytest
from hefsmith_worker.stages.analyze import decibels, macs, weight_facts


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"net/conv1": 30.5}, {"net/conv1": 30.5}),
        ({"net/conv1": np.float32(2.0)}, {"net/conv1": 2.0}),
        ({"net/conv1": [10.0, 20.0]}, {"net/conv1": 15.0}),
        ({"net/conv1": {"snr": 7}}, {"net/conv1": 7.0}),
        ({"net/conv1": {"other": 7}, "net/conv2": None, "net/conv3": "a"}, {}),
        ({"net/conv1": float("nan")}, {}),
        (None, {}),
        ([1.0], {}),
    ],
)
def test_decibels_are_read_from_whatever_holds_them(told, expected):
    assert decibels(told) == expected


def test_channels_without_weight_are_counted():
    kernel = np.ones((3, 3, 4, 6), np.float32)
    kernel[..., 2] = 0
    kernel[..., 5] = 32
    facts = weight_facts({"net/conv1/kernel:0": kernel, "net/conv1/bias:0": np.zeros(6)})
    assert facts["net/conv1"]["empty_channels"] == 1
    assert facts["net/conv1"]["channels"] == 6
    assert facts["net/conv1"]["weights"] == 216
    assert facts["net/conv1"]["weight_spread"] == 32.0


def test_arithmetic_follows_from_kernel_and_output():
    entry = {"type": "conv", "params": {"kernel_shape": [3, 3, 8, 16]},
             "output_shapes": [[-1, 10, 20, 16]]}  # fmt: skip
    assert macs(entry) == 3 * 3 * 8 * 16 * 200
    assert macs({"type": "maxpool", "params": {"kernel_shape": [1, 2, 2, 1]}}) is None
