"""An export has the same bytes whatever the processor can: batch norms are folded on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hefsmith_worker.contract import stages

#: Exports a network with batch norms as the stage does, and prints a digest of it.
EXPORT = """
import hashlib, pathlib, sys, numpy, torch
from hefsmith_worker.stages.torch_source import export
layers = []
for inside, outside in ((3, 32), (32, 32), (32, 24)):
    layers += [torch.nn.Conv2d(inside, outside, 3, bias=False), torch.nn.BatchNorm2d(outside)]
layers += [torch.nn.ReLU(), torch.nn.ConvTranspose2d(24, 16, 2, 2), torch.nn.BatchNorm2d(16)]
random = numpy.random.default_rng(1)  # torch's own numbers depend on the processor
network = torch.nn.Sequential(*layers).eval()
for name, value in network.state_dict().items():
    if value.is_floating_point():
        found = random.normal(size=tuple(value.shape)).astype("float32")
        value.copy_(torch.from_numpy(abs(found) + 0.01 if name.endswith("var") else found))
target = pathlib.Path(sys.argv[1])
export(network, {"image": (1, 3, 32, 32)}, {"exporter": "legacy", "opset": 13}, target)
print(torch.backends.cpu.get_cpu_capability(), hashlib.sha256(target.read_bytes()).hexdigest())
"""


def exported(folder: Path, capability: str, threads: int) -> tuple[str, str]:
    """Return what torch used of the processor, and a digest of the file."""
    worker = Path(stages.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(folder / "net.onnx")],
        env={
            **os.environ,
            "ATEN_CPU_CAPABILITY": capability,
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(worker),
        },
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used, digest = done.stdout.split()[-2:]
    return used, digest


@pytest.mark.slow
def test_an_export_has_the_same_bytes_whatever_the_processor_can(tmp_path: Path) -> None:
    plain, wide = exported(tmp_path, "default", 1), exported(tmp_path, "avx2", 2)
    assert plain[0] == "DEFAULT"
    assert plain[1] == wide[1]
