"""Layers on which the emulator's AdaRound is held against AIMET's, the paper's authors' own.

``python -m tests.bench.accuracy.reference`` runs ``aimet-torch`` on them (some minutes; it is no
dependency of the project: install it beside torch in an environment of its own) and writes what
it chose to ``tests/unit/emulator/aimet.json``. A test compares with that everywhere.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITERATIONS = 10000
ROOT = Path(__file__).resolve().parents[3]
RECORD = ROOT / "tests" / "unit" / "emulator" / "aimet.json"
#: Symmetric, a scale per channel. (AIMET has no "strict" form, so that one integer more is there.)
CONFIG = {
    "defaults": {
        "ops": {},
        "params": {"is_quantized": "True", "is_symmetric": "True"},
        "strict_symmetric": "False",
        "per_channel_quantization": "True",
    },
    "params": {"bias": {"is_quantized": "False"}},
    "op_type": {},
    "supergroups": [],
    "model_input": {},
    "model_output": {},
}


@dataclass(frozen=True)
class Layer:
    """A convolution without a bias or padding, and pictures that go into it."""

    name: str
    inputs: int
    outputs: int
    kernel: int = 1
    groups: int = 1
    bits: int = 4
    seed: int = 0

    @property
    def weight(self) -> NDArray[np.float32]:
        """(O, I / groups, K, K), on a lattice: the same on every machine.

        The greatest of each output is positive, so that AIMET's one integer more below zero is
        of no use, and its scales are those of the chip.
        """
        shape = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        random = np.random.default_rng(self.seed)
        made = random.integers(-400, 401, shape)
        made[:, 0, 0, 0] = 405
        return (made / 256).astype(np.float32)

    @property
    def pictures(self) -> NDArray[np.float32]:
        """(N, I, H, W), correlated among channels and neighbours; each has its negative.

        Their mean is zero, so that nothing is left for the bias to take up.
        """
        random = np.random.default_rng(self.seed + 100)
        side = 3 + self.kernel
        base = random.integers(-64, 65, (64, 3, side, side))
        mixed = np.einsum("ic,nchw->nihw", random.integers(-3, 4, (self.inputs, 3)), base)
        mixed = mixed + np.roll(mixed, 1, 2) + np.roll(mixed, 1, 3)
        made = mixed + random.integers(-64, 65, mixed.shape)
        return (np.concatenate([made, -made]) / 256).astype(np.float32)

    @property
    def rows(self) -> NDArray[np.float32]:
        """What the kernel sees: (G, rows, D)."""
        sides = (self.kernel, self.kernel)
        windows = np.lib.stride_tricks.sliding_window_view(self.pictures, sides, axis=(2, 3))
        count, _, high, wide = windows.shape[:4]
        grouped = windows.reshape(count, self.groups, self.inputs // self.groups, high, wide, -1)
        moved = grouped.transpose(1, 0, 3, 4, 2, 5)
        return np.ascontiguousarray(moved).reshape(self.groups, count * high * wide, -1)

    @property
    def grouped(self) -> NDArray[np.float64]:
        """The weight as (G, O / G, D)."""
        return self.weight.astype(np.float64).reshape(self.groups, self.outputs // self.groups, -1)

    @property
    def limit(self) -> int:
        """The greatest integer of a weight."""
        return int((1 << (self.bits - 1)) - 1)

    @property
    def scales(self) -> NDArray[np.float64]:
        """(G, O / G)."""
        return np.asarray(np.abs(self.grouped).max(-1) / self.limit)

    def loss(self, integers: NDArray[Any]) -> float:
        """Mean square error of the outputs with integers (G, O / G, D) in place of the weights."""
        away = integers * self.scales[..., np.newaxis] - self.grouped
        return float((np.einsum("gnd,god->gno", self.rows.astype(np.float64), away) ** 2).mean())

    @property
    def nearest(self) -> NDArray[np.float64]:
        """The integers of rounding to the nearest."""
        return np.rint(self.grouped / self.scales[..., np.newaxis])


LAYERS = (
    Layer("1 x 1, 16 to 12", 16, 12),
    Layer("1 x 1, 16 to 12, 8 bits", 16, 12, bits=8, seed=1),
    Layer("3 x 3, 6 to 8", 6, 8, kernel=3, seed=2),
    Layer("3 x 3, depthwise, 8", 8, 8, kernel=3, groups=8, seed=3),
)


def by_aimet(layer: Layer) -> NDArray[np.int64]:
    """Return the integers that AIMET's AdaRound chooses, (G, O / G, D)."""
    import torch
    from aimet_torch.adaround.adaround_weight import (  # type: ignore[import-not-found]
        Adaround,
        AdaroundParameters,
    )
    from aimet_torch.common.defs import QuantScheme  # type: ignore[import-not-found]

    torch.manual_seed(0)
    torch.set_num_threads(1)
    conv = torch.nn.Conv2d(
        layer.inputs, layer.outputs, layer.kernel, groups=layer.groups, bias=False
    )
    conv.weight.data = torch.from_numpy(layer.weight)
    model = torch.nn.Sequential(conv).eval()
    batches = list(torch.from_numpy(layer.pictures).split(32))
    wanted = AdaroundParameters(
        data_loader=batches,
        num_batches=len(batches),
        default_num_iterations=ITERATIONS,
        forward_fn=lambda module, batch: module(batch),
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls what torch wants to be rid of
        config = Path(folder, "config.json")
        config.write_text(json.dumps(CONFIG), encoding="utf-8")
        made = Adaround.apply_adaround(
            model, batches[0], wanted, path=folder, filename_prefix="rounded",
            default_param_bw=layer.bits, default_quant_scheme=QuantScheme.post_training_tf,
            default_config_file=str(config),
        )  # fmt: skip
        text = Path(folder, "rounded.encodings").read_text(encoding="utf-8")
    told = [row["scale"] for row in json.loads(text)["param_encodings"]["0.weight"]]
    assert np.allclose(np.reshape(told, layer.scales.shape), layer.scales, rtol=1e-5)
    weight = made[0].weight.detach().numpy().astype(np.float64).reshape(layer.grouped.shape)
    return np.rint(weight / layer.scales[..., np.newaxis]).astype(np.int64)


def record() -> None:
    """Run AIMET on every layer and write what it chose."""
    from importlib.metadata import version

    found = {
        "package": f"aimet-torch {version('aimet-torch')}, torch {version('torch')}",
        "iterations": ITERATIONS,
        "layers": {one.name: by_aimet(one).tolist() for one in LAYERS},
    }
    RECORD.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
    sys.stdout.write(f"{RECORD}\n")
