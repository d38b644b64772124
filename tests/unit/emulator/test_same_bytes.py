"""Another processor's last bits do not get into a HEF.

Nothing here can switch ONNX Runtime to another instruction set. What such a switch does is done
by hand: each value that it computes is off by some units in its last place.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pytest

from tests.unit.emulator.test_optimize import NORMALIZE

pytestmark = pytest.mark.slow

SEEDS = range(6)
#: Units in the last place by which sums come out otherwise.
UNITS = 3


@pytest.fixture
def other_processor(monkeypatch):
    """Let ONNX Runtime compute like another processor, numbered by ``seed``; 0 is this one."""
    from hailo_emulator import execute

    known = execute.Session.run, execute.Session.run_raw

    def become(seed: int) -> None:
        if not seed:
            monkeypatch.setattr(execute.Session, "run", known[0])
            monkeypatch.setattr(execute.Session, "run_raw", known[1])
            return
        random = np.random.default_rng(seed)

        def off(value):
            value = np.asarray(value)
            if value.dtype != np.float32:
                return value
            units = random.integers(-UNITS, UNITS + 1, value.shape)
            return (value + units * np.spacing(value)).astype(np.float32)

        for name, real in zip(("run", "run_raw"), known, strict=True):
            monkeypatch.setattr(
                execute.Session,
                name,
                lambda self, frame, real=real: [off(value) for value in real(self, frame)],
            )

    return become


def _digest(model: bytes, pictures, script: str) -> str:
    from hailo_sdk_client import ClientRunner

    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(model, "net")
    runner.load_model_script(script)
    runner.optimize(pictures)
    return hashlib.sha256(runner.compile()).hexdigest()


def _pictures(shape):
    random = np.random.default_rng(4)
    flat = random.integers(0, 256, (64, *shape))
    flat[:, : shape[0] // 2] //= 3
    return flat.astype(np.uint8)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("network", ["classifier", "two_convolutions", "yolov8"])
def test_last_bits_do_not_get_into_the_hef(models, other_processor, network, level):
    made = {
        "classifier": models.classifier,
        "two_convolutions": partial(models.fully_convolutional, channels=3),
        "yolov8": models.yolov8,
    }[network]()
    dims = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    pictures = _pictures((dims[2], dims[3], dims[1]))
    script = NORMALIZE + (
        f"model_optimization_flavor(optimization_level={level}, compression_level=0)\n"
    )
    digests = set()
    for seed in SEEDS:
        other_processor(seed)
        digests.add(_digest(made.SerializeToString(), pictures, script))
    assert len(digests) == 1


def test_ranges_are_held_to_a_fraction_of_a_step():
    from hailo_emulator.steady import steady_limits

    random = np.random.default_rng(1)
    for low, high in random.normal(0, 50, (200, 2)):
        first, last = sorted((low, high))
        width = max(last, 0.0) - min(first, 0.0)
        for exact, steady in zip((first, last), steady_limits(first, last), strict=True):
            assert abs(exact - steady) <= width / 255 / 4
    assert steady_limits(0.0, 255.0) == (0.0, 255.0)
    assert steady_limits(0.0, 1.0) == steady_limits(0.0, float(np.nextafter(np.float32(1), 0)))
    assert steady_limits(0.0, 0.0) == (0.0, 0.0)


def test_factors_are_quarters_of_an_octave_by_exact_arithmetic():
    from hailo_emulator.steady import steady_factors

    factors = np.asarray([1.0, 2.0, 0.125, 8.0, 1.19, 0.6])
    assert steady_factors(factors).tolist()[:4] == factors[:4].tolist()
    assert np.abs(np.log2(steady_factors(factors) / factors)).max() <= 0.126
