"""What our own infer job answers, for clients of the stand-in to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.device.validation import GoldenInput, GoldenOutput, run_golden
from tests.unit.runtime.runner import QuickRunner

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Four pictures for the classifier and for both inputs of ``two_inputs``.
FRAMES = np.random.default_rng(5).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
#: Three for the detector: one bright corner, two of them, none.
SCENES = np.zeros((3, 16, 16, 1), np.uint8)
SCENES[0, :8, :8] = 240
SCENES[1, :8, :8], SCENES[1, 8:, 8:] = 240, 130


def real(output: Any, integers: np.ndarray) -> np.ndarray:
    """Return the real values of a stream's integers, by its first scale."""
    quant = output.quant_infos[0]
    return (integers.astype(np.float32) - quant.qp_zp) * np.float32(quant.qp_scale)


def job_tensor(
    folder: Path, hef: str, given: dict[str, np.ndarray], stream: str = "net/fc1"
) -> np.ndarray:
    """Return one output of a HEF, as the job gives it: float32 with the batch first."""
    output = GoldenOutput(stream=stream, kind="tensor", file=folder / "job.npy")
    assert run_golden(QuickRunner(), folder / hef, _store(folder, given), [output]).complete
    return np.asarray(np.load(output.file))


def job_rows(folder: Path, hef: str, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return the boxes of each frame: (n, 6) of y, x, y, x, score and class."""
    output = GoldenOutput(stream=None, kind="nms", file=folder / "job.npz")
    assert run_golden(QuickRunner(), folder / hef, _store(folder, given), [output]).complete
    with np.load(output.file) as found:
        return np.split(found["boxes"], found["offsets"][1:-1])


def rows_of(frames: Iterable[Iterable[np.ndarray]]) -> list[np.ndarray]:
    """Return a client's boxes by class in the shape of :func:`job_rows`."""
    found = []
    for classes in frames:
        rows = [
            np.column_stack((boxes, np.full(len(boxes), number)))
            for number, boxes in enumerate(np.asarray(boxes).reshape(-1, 5) for boxes in classes)
        ]
        found.append(np.concatenate(rows).astype(np.float32))
    return found


def _store(folder: Path, given: dict[str, np.ndarray]) -> list[GoldenInput]:
    inputs = []
    for number, (stream, frames) in enumerate(given.items()):
        np.save(folder / f"given{number}.npy", frames)
        inputs.append(GoldenInput(stream=stream, file=folder / f"given{number}.npy"))
    return inputs
