"""The code that runs on a Pi, on a Pi's architecture: an aarch64 Debian under qemu.

Everything there is arm64 but the kernel: sshd, Python, numpy, ONNX Runtime, the agent.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.ship import rollback, ship

from .pi import Pi
from .pi_image import DOCKER, pi_image
from .releases import make_release
from .tiny_model import write_int8_model

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

#: onnxruntime reads the host's /proc/cpuinfo under qemu and crashes without the Pi's own.
CPUINFO = (
    "".join(
        f"processor\t: {number}\nBogoMIPS\t: 108.00\n"
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm"
        " lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\n"
        "CPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
        for number in range(4)
    )
    + "Revision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
)

#: Runs on the device; numpy and ONNX Runtime only, as a job on a Pi would.
JOB = """
import json, platform, sys
import numpy as np
import onnxruntime as ort
request = json.load(sys.stdin)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
images = np.load("images.npy")
outputs = np.stack([session.run(None, {"image": image[None]})[0][0] for image in images])
np.save("outputs.npy", outputs)
print(json.dumps({"event": "ran", "machine": platform.machine(), "count": len(outputs)}))
"""


@pytest.fixture(scope="module")
def arm_pi(login_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pi]:
    _enable_qemu()
    cpuinfo = tmp_path_factory.mktemp("arm") / "cpuinfo"
    cpuinfo.write_text(CPUINFO)
    pi = Pi.start(
        pi_image("arm64"), login_key, env={"QEMU_CPU": "cortex-a76"}, name="arm",
        options=("--platform", "linux/arm64", "-v", f"{cpuinfo}:/proc/cpuinfo:ro"),
    )  # fmt: skip
    yield pi
    pi.remove()


def test_ship_rollback_and_a_job_run_on_arm64_and_int8_outputs_equal_ours(
    arm_pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    arm_pi.trust()
    model = write_int8_model(tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 24, 24), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    script = tmp_path / "job.py"
    script.write_text(JOB)

    with pool.connect(arm_pi.spec) as session:
        identity = session.identify()
        assert identity.machine == "aarch64"
        assert identity.board_model == "Raspberry Pi 5 Model B Rev 1.0"
        assert identity.chip == "hailo8l"
        assert identity.emulated

        first = ship(session, make_release(tmp_path / "1", size=1_000_000, seed=1))
        second = ship(session, make_release(tmp_path / "2", size=1_000_000, seed=2))
        assert arm_pi.current() == second.release
        rollback(session, "net")
        assert arm_pi.current() == first.release

        result = session.run_job(
            script,
            files={"model.onnx": model, "images.npy": tmp_path / "images.npy"},
            fetch={"outputs.npy": tmp_path / "there.npy"},
        )
    assert result, result.log
    assert result.events[0]["machine"] == "aarch64"

    import onnxruntime

    options = onnxruntime.SessionOptions()
    # On a processor of this kind without VNNI its 8-bit products would saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    here = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    ours = np.stack([here.run(None, {"image": image[None]})[0][0] for image in images])
    theirs = np.load(tmp_path / "there.npy")
    assert ours.dtype == theirs.dtype == np.uint8
    assert len(np.unique(ours)) > 10  # a network that says something
    np.testing.assert_array_equal(ours, theirs)


def _enable_qemu() -> None:
    """Let the kernel run arm64 programs; the flags need no qemu inside the container."""
    handler = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    if not handler.exists():
        subprocess.run(
            ["mount", "-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc"],
            capture_output=True,
        )
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], capture_output=True)
    assert handler.exists(), "install qemu-user-static and binfmt-support"
    assert subprocess.run([DOCKER, "version"], capture_output=True).returncode == 0
