"""HEF files and releases for tests."""

from __future__ import annotations

import random
from pathlib import Path

from orchestrator.device.base import Release
from orchestrator.device.session import SshSession
from orchestrator.hef import NetworkSpec, StreamSpec, write_emulated_hef


def make_hef(path: Path, *, arch: str = "hailo8l", size: int = 200_000, seed: int = 0) -> Path:
    """Write an emulated HEF of about ``size`` bytes; ``seed`` decides its content."""
    network = NetworkSpec(
        name="net",
        inputs=(StreamSpec("net/input_layer1", (8, 8, 3), scale=1.0, zero_point=0.0),),
        outputs=(StreamSpec("net/fc1", (1, 1, 10), scale=0.1, zero_point=3.0, order="NC"),),
    )
    payload = random.Random(seed).randbytes(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write_emulated_hef(network, arch=arch, resources={"payload": payload}))
    return path


def make_release(
    folder: Path, *, model: str = "net", arch: str = "hailo8l", size: int = 200_000, seed: int = 0
) -> Release:
    """Return a release with an emulated HEF and labels."""
    hef = make_hef(folder / f"{model}-{seed}.{arch}.emulated.hef", arch=arch, size=size, seed=seed)
    labels = folder / "labels.txt"
    labels.write_text("cat\ndog\n")
    name = f"{model}.{arch}.emulated.hef"
    return Release(model=model, arch=arch, hef=name, files={name: hef, "labels.txt": labels})


def cut(session: SshSession) -> None:
    """Cut a session's connection without a word; any thread may."""
    session._thread.loop.call_soon_threadsafe(session.conn.abort)
