"""An engine whose stages write small files: what a matrix costs beside the work itself.

As a program it is ``hef`` with that engine: ``python trivial.py build --all``, or a worker of
Dask: ``python trivial.py worker ADDRESS``. The environment
variables TRIVIAL_SECONDS (of each stage), TRIVIAL_FAIL (``stage`` or ``stage:arch``) and
TRIVIAL_RUNS (a file that gets a line for each stage that runs) steer it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from hefsmith_worker.contract import layout
from hefsmith_worker.contract.events import (
    Artifact,
    Done,
    Event,
    Hello,
    Message,
    StageFailed,
    StageFinished,
    StageStarted,
)
from hefsmith_worker.contract.stages import BY_NAME

from orchestrator.engine.base import Ending, EndKind, EngineInfo

RECIPE = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 8, 8]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures}
arch: [hailo8l, hailo8]
"""


def make_model(project: Path, name: str, recipe: str = RECIPE) -> None:
    folder = project / "models" / name
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.yaml").write_text(recipe)
    (folder / "net.onnx").write_bytes(b"a network " + name.encode())
    for number in range(3):
        (folder / "pictures" / f"{number}.png").write_bytes(bytes([number]) + name.encode())


class TrivialRunning:
    """A job that is done by the thread that reads its lines."""

    def __init__(self, job: Any) -> None:
        self.record = SimpleNamespace(id="trivial")
        self._job = job
        self._stopped = threading.Event()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is left."""

    def release(self) -> None:
        """It begins when its lines are read."""

    def stop(self) -> Ending:
        self._stopped.set()
        return Ending(EndKind.INTERRUPTED, 130, "stopped on request")

    def sync(self) -> None:
        """Files are where they belong."""

    def wait(self, *, told: bool = False) -> Ending:
        if self._stopped.is_set():
            return Ending(EndKind.INTERRUPTED, 130, "stopped on request")
        return Ending(EndKind.FAILED, 1, "") if self._failed else Ending(EndKind.OK, 0, "")

    def lines(self) -> Iterator[str]:
        plan = json.loads((self._job.work / "plan.json").read_text())
        seconds = float(os.environ.get("TRIVIAL_SECONDS", "0"))
        yield line(Hello(1, platform.python_version(), "x86_64", os.getpid(), sys.executable))
        for stage in plan["stages"]:
            yield line(StageStarted(), stage)
            if (runs := os.environ.get("TRIVIAL_RUNS")) is not None:
                with open(runs, "a") as log:
                    log.write(f"{stage} {plan['model']} {plan['arch']}\n")
            if self._stopped.wait(seconds):
                return
            if os.environ.get("TRIVIAL_FAIL") in (stage, f"{stage}:{plan['arch']}"):
                self._failed = True
                yield line(StageFailed("ValueError", "it was told to", None, None, ""), stage)
                return
            files = files_of(stage, plan)
            for role, name in files:
                yield line(self._write(role, name, stage, plan), stage)
            yield line(StageFinished(seconds, {}, len(files)), stage)
        yield line(Done(0.0))

    def _write(self, role: str, name: str, stage: str, plan: dict[str, Any]) -> Artifact:
        by_arch = stage not in ("export", "samples", "calibrate")
        told = [name, stage, plan["parameters"].get(stage), plan["arch"] if by_arch else None]
        # As with every compiler, other inputs give another result.
        read = [self._job.work / PASSED_ON[earlier] for earlier in BY_NAME[stage].after]
        told.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in read])
        content = json.dumps([*told, plan["net_name"]], sort_keys=True).encode() * 20
        content = _GOES_IN.get(Path(name).suffix, lambda told: told)(content)
        path = self._job.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Artifact(role, name, hashlib.sha256(content).hexdigest(), len(content))


def files_of(stage: str, plan: dict[str, Any]) -> list[tuple[str, str]]:
    role = {"export": "onnx", "compile": "har"}.get(stage, "means")
    hef = [("hef", plan["hef_name"])] if stage == "compile" else []
    return [(role, PASSED_ON[stage]), *hef]


def _onnx(told: bytes) -> bytes:
    """Return an ONNX file with one operator that has ``told`` in its description."""

    def field(number: int, content: bytes) -> bytes:
        size, head = len(content), bytes([number << 3 | 2])
        return head + bytes([size & 0x7F | 0x80, size >> 7]) + content

    sides = [field(1, name) for name in (b"x", b"y")]
    node = field(1, b"x") + field(2, b"y") + field(4, b"Relu")
    graph = field(1, node) + field(2, b"g") + field(11, sides[0]) + field(12, sides[1])
    return b"\x08\x08" + field(6, told) + field(7, graph)


def _har(told: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in (("net.hn", b'{"layers": {"a": {"type": "conv"}}}'), ("told", told)):
            head = tarfile.TarInfo(name)
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    return stream.getvalue()


def _npy(told: bytes) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(told, np.uint8))
    return stream.getvalue()


def _hef(told: bytes) -> bytes:
    from orchestrator.hef import NetworkSpec, StreamSpec, write_emulated_hef

    network = NetworkSpec(
        name="net",
        inputs=(StreamSpec("net/input_layer1", (8, 8, 1), scale=1.0, zero_point=0.0),),
        outputs=(StreamSpec("net/fc1", (1, 1, 10), scale=0.1, zero_point=3.0, order="NC"),),
    )
    return write_emulated_hef(network, arch="hailo8l", resources={"told": told}, timestamp=1)


#: The file of each stage that those after it read: where it is as it was, they need not run.
PASSED_ON = {
    "export": layout.ONNX,
    "samples": f"{layout.GOLDEN}/told.bin",
    "calibrate": f"{layout.CALIBRATION}/told.npy",
    "parse": layout.HAR_NATIVE,
    "optimize": layout.SCRIPT,
    "compile": layout.HAR,
    "evaluate": "evaluate.bin",
    "analyze": "analyze.bin",
}

#: Files that a store looks into are what they are called.
_GOES_IN = {".onnx": _onnx, ".har": _har, ".hef": _hef, ".npy": _npy}


def line(event: Event, stage: str | None = None) -> str:
    return Message(event, stage, time.time()).to_line().decode().rstrip("\n")


class TrivialEngine:
    """Starts such jobs, and counts them."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def info(self) -> EngineInfo:
        return EngineInfo("local", "trivial", "local", "1", boxed=False)

    def ready_image(self, name: str) -> None:
        """None: then nothing is started before it must."""

    def ensure_image(self, name: str, *, report: Any = None) -> Any:
        return SimpleNamespace(id="trivial")

    def start(self, job: Any, *, held: bool = False, **options: Any) -> TrivialRunning:
        self.jobs.append(job)
        return TrivialRunning(job)

    def commands(self, job: Any) -> tuple[str, ...]:
        return (f"make {job.name}",)

    def close(self) -> None:
        """Nothing is open."""


def install() -> None:
    """Let every session of this process use such an engine."""
    from orchestrator.pipeline import targets

    targets.open_engine = lambda *_, **__: TrivialEngine()  # type: ignore[assignment]


if __name__ == "__main__":
    from orchestrator.cli.app import run

    install()
    if sys.argv[1] == "worker":
        from distributed.cli.dask_worker import main

        sys.exit(main(sys.argv[2:]))
    sys.exit(run(sys.argv[1:]))
