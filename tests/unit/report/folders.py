"""Golden folders for tests: written to the layout that the worker's page states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.report.comparison import Side

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STEPS = ("pytorch", "onnx", "sdk_native", "sdk_fp_optimized", "sdk_quantized", "device")


def write_golden(
    folder: Path,
    steps: dict[str, list[Any]],
    *,
    task: str = "classification",
    labels: list[int] | None = None,
    boxes: list[list[list[float]]] | None = None,
    names: list[str] | None = None,
    origin: str = "validation",
    masks: Any = None,
) -> Path:
    """Write a folder; a step is a list of arrays, or of lists with one (k, 6) array a sample."""
    count = len(next(iter(steps.values()))[0])
    first = next(iter(steps.values()))
    kinds = ["nms" if isinstance(output, list) else "tensor" for output in first]
    files: dict[str, list[str]] = {}
    for step, outputs in steps.items():
        files[step] = []
        for index, output in enumerate(outputs):
            stem = folder / "steps" / step / str(index)
            stem.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(output, list):
                offsets = np.cumsum([0] + [len(rows) for rows in output]).astype(np.int64)
                rows = np.concatenate([np.asarray(r, np.float32).reshape(-1, 6) for r in output])
                np.savez(stem.with_suffix(".npz"), boxes=rows, offsets=offsets)
                files[step].append(f"steps/{step}/{index}.npz")
            else:
                np.save(stem.with_suffix(".npy"), np.asarray(output, np.float32))
                files[step].append(f"steps/{step}/{index}.npy")
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    np.save(inputs / "0.npy", np.zeros((count, 4, 4, 1), np.uint8))
    if masks is not None:
        np.save(folder / "masks.npy", np.asarray(masks, np.uint8))
    document = {
        "schema": 1,
        "task": task,
        "origin": origin,
        "samples": [
            {
                "name": f"picture {i}",
                "sha256": "0" * 64,
                "label": None if labels is None else labels[i],
                "boxes": None if boxes is None else boxes[i],
                "mask": None if masks is None else i,
            }
            for i in range(count)
        ],
        "inputs": [{"name": "net/input_layer1", "onnx_name": "image", "file": "inputs/0.npy"}],
        "outputs": [
            {
                "index": i,
                "onnx_name": (names or [f"output{i}" for i in range(len(kinds))])[i],
                "stream": None,
                "kind": kind,
            }
            for i, kind in enumerate(kinds)
        ],
        "steps": files,
    }
    (folder / "golden.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


class Classifier:
    """A linear classifier of pictures with two colour channels that matter, as plain numpy.

    It is good enough to have an accuracy, sensitive enough to break in the ways that real
    networks break, and has no SDK in it: the faults are put in by the tests.
    """

    classes = 5
    samples = 80

    def __init__(self) -> None:
        random = np.random.default_rng(7)
        self.labels = [i % self.classes for i in range(self.samples)]
        centres = random.uniform(40, 215, (self.classes, 6, 6, 3))
        noise = random.normal(0, 20, (self.samples, 6, 6, 3))
        self.pictures = np.clip(centres[self.labels] + noise, 0, 255).astype(np.uint8)
        self.mean, self.std = 127.0, 60.0
        normal = (centres - self.mean) / self.std
        self.weights = normal.reshape(self.classes, -1).T / 10
        self.bias = -0.5 * (normal.reshape(self.classes, -1) ** 2).sum(1) / 10

    def logits(
        self,
        pictures: NDArray[Any] | None = None,
        mean: float | None = None,
        weights: NDArray[Any] | None = None,
    ) -> NDArray[np.float32]:
        """Return (N, classes); the arguments are where faults come in."""
        data = np.asarray(self.pictures if pictures is None else pictures, np.float64)
        normal = (data - (self.mean if mean is None else mean)) / self.std
        flat = normal.reshape(len(normal), -1)
        scores = flat @ (self.weights if weights is None else weights) + self.bias
        return scores.astype(np.float32)

    def quantised(self, low: float, high: float) -> NDArray[np.float32]:
        """Return logits on a grid of 256 values over a calibrated range."""
        scale = (high - low) / 255
        grid = np.clip(np.rint((self.logits() - low) / scale), 0, 255)
        return (grid * scale + low).astype(np.float32)

    def good(self) -> dict[str, list[Any]]:
        """Return the outputs of a sound build."""
        exact = self.logits()
        fine = self.quantised(float(exact.min()), float(exact.max()))
        return {
            "pytorch": [exact],
            "onnx": [exact * np.float32(1 + 1e-6)],
            "sdk_native": [exact * np.float32(1 - 1e-6)],
            "sdk_fp_optimized": [exact * np.float32(1 + 2e-6)],
            "sdk_quantized": [fine],
            "device": [fine.copy()],
        }


def boxes_of(random: np.random.Generator, count: int) -> list[NDArray[np.float32]]:
    """Return boxes of one to four objects for each sample, with scores and classes."""
    found = []
    for _ in range(count):
        objects = int(random.integers(1, 5))
        corner = random.uniform(0.0, 0.6, (objects, 2))
        size = random.uniform(0.15, 0.35, (objects, 2))
        scores = random.uniform(0.5, 0.95, (objects, 1))
        classes = random.integers(0, 3, (objects, 1))
        rows = np.hstack([corner, corner + size, scores, classes])
        found.append(rows.astype(np.float32))
    return found


def side(**more: Any) -> Side:
    """Return one side of a comparison, with nothing measured."""
    given: dict[str, Any] = {
        "title": "t", "arch": "hailo8l", "toolchain": "suite", "emulated": False,
        "outcome": "passed", "headline": "passed", "step": "device", "measures": {}, "ideal": {},
    }  # fmt: skip
    return Side(**{**given, **more})
