"""Batch normalisation is folded into weights by arithmetic that every processor does alike."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")


#: Exports a network as the tests below do; its arguments: where modules are, and where to write.
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
import test_fixed_folding
from hefsmith_worker.stages import torch_source
shape, wanted = {"image": (1, 3, 8, 8)}, {"exporter": "legacy", "opset": 13}
torch_source.export(test_fixed_folding._network(), shape, wanted, Path(sys.argv[3]))
"""
#: What the library of vector mathematics that torch uses calls the same.
MKL = {"default": "COMPATIBLE", "avx2": "AVX2", "avx512": "AVX512"}
WHERE = (Path(__file__).parent, Path(__file__).resolve().parents[3] / "docker" / "worker")


def _network() -> torch.nn.Module:
    """The numbers are numpy's: torch draws others with other instruction sets."""
    random = np.random.default_rng(3)
    conv, norm = torch.nn.Conv2d(3, 64, 3, bias=False), torch.nn.BatchNorm2d(64)
    for value in (conv.weight, norm.running_mean, norm.bias):
        value.data = torch.from_numpy(random.normal(0, 2, value.shape).astype(np.float32))
    for value in (norm.running_var, norm.weight):
        value.data = torch.from_numpy(random.uniform(0.01, 3, value.shape).astype(np.float32))
    return torch.nn.Sequential(conv, norm, torch.nn.ReLU()).eval()


def test_what_is_folded_is_what_single_operations_give(tmp_path):
    """Root and quotient in float64, then one product: IEEE 754 rounds each, on any processor."""
    from hefsmith_worker.stages import torch_source

    network, target = _network(), tmp_path / "net.onnx"
    torch_source.export(
        network, {"image": (1, 3, 8, 8)}, {"exporter": "legacy", "opset": 13}, target
    )
    made = {
        one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(target).graph.initializer
    }
    weight = next(value for value in made.values() if value.ndim == 4)
    bias = next(value for value in made.values() if value.ndim == 1)
    conv, norm = network[0], network[1]
    kernel, gamma, beta, mean, variance = (
        one.detach().numpy()
        for one in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    factor = (gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + norm.eps)).astype(
        np.float32
    )
    shift = (beta - mean.astype(np.float64) * factor).astype(np.float32)
    assert weight.tobytes() == (kernel * factor[:, None, None, None]).tobytes()
    assert bias.tobytes() == shift.tobytes()


@pytest.mark.parametrize("exporter", [{"exporter": "legacy", "opset": 13}])
def test_the_network_is_afterwards_what_it_was(tmp_path, exporter):
    from hefsmith_worker.stages import torch_source

    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch_source.export(network, {"image": (1, 3, 8, 8)}, exporter, tmp_path / "net.onnx")
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_vector_width_does_not_change_what_is_exported(tmp_path):
    """The same export in processes that compute with other instruction sets."""
    digests = set()
    for width in ("default", "avx2", "avx512"):
        target = tmp_path / f"{width}.onnx"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, WHERE), str(target)],
            env={**os.environ, "ATEN_CPU_CAPABILITY": width, "MKL_CBWR": MKL[width]},
            check=True,
        )
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_normalisation_of_its_own_kind_keeps_its_numbers(tmp_path):
    from hefsmith_worker.stages import torch_source

    class Odd(torch.nn.BatchNorm2d):
        def forward(self, image):
            return super().forward(image) + self.running_var.sum()

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), Odd(16)).eval()
    network[1].running_var.uniform_(0.1, 5)
    target = tmp_path / "net.onnx"
    torch_source.export(
        network, {"image": (1, 3, 8, 8)}, {"exporter": "legacy", "opset": 13}, target
    )
    from hefsmith_worker.onnx_files import Session

    image = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    model = onnx.load(target)
    session = Session(model.SerializeToString(), [model.graph.output[0].name])
    (answer,) = session.run({"image": image})
    with torch.no_grad():
        wanted = network(torch.from_numpy(image)).numpy()
    assert np.allclose(answer, wanted, rtol=1e-4, atol=1e-3)
