"""The stages of a build: their order, what each stands on, and whose code decides its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Files of the worker that take part in every stage.
CORE_CODE = (
    "__init__.py",
    "contract/options.py",
    "job.py",
    "protocol.py",
    "workspace.py",
    "events.py",
)


@dataclass(frozen=True)
class Stage:
    """One stage. ``code`` lists files and folders of the worker package, besides the core."""

    name: str
    after: tuple[str, ...]
    code: tuple[str, ...]
    by_arch: bool
    title: str


STAGES = (
    Stage(
        "export",
        (),
        (
            "stages/export.py",
            "stages/torch_source.py",
            "stages/checkpoint.py",
            "stages/torchvision_ops.py",
            "onnx_files.py",
            "onnx_forms.py",
            "onnx_external.py",
            "golden.py",
            "pictures",
            "contract/presets.py",
            "calibration",
        ),
        False,
        "export to ONNX",
    ),
    Stage(
        "calibrate",
        ("export",),
        (
            "stages/calibrate.py",
            "onnx_files.py",
            "golden.py",
            "pictures",
            "contract/presets.py",
            "calibration",
        ),
        False,
        "prepare calibration",
    ),
    Stage(
        "parse",
        ("export",),
        (
            "stages/parse.py",
            "onnx_files.py",
            "network.py",
            "contract/families.py",
            "tflite_convert.py",
            "tflite_file.py",
            "graph",
        ),
        True,
        "parse the network",
    ),
    Stage(
        "optimize",
        ("parse", "calibrate"),
        ("stages/optimize.py", "script", "contract/commands.py", "contract/families.py"),
        True,
        "quantise",
    ),
    Stage("compile", ("optimize",), ("stages/compile.py",), True, "compile"),
    Stage(
        "evaluate",
        ("compile", "export"),
        (
            "stages/evaluate.py",
            "decoding.py",
            "onnx_files.py",
            "golden.py",
            "pictures",
            "contract/presets.py",
        ),
        True,
        "evaluate each step",
    ),
)

NAMES = tuple(stage.name for stage in STAGES)
BY_NAME: Mapping[str, Stage] = {stage.name: stage for stage in STAGES}


def code_files(worker: Path, stage: Stage) -> list[Path]:
    """Return the worker's files whose content decides a stage's result, sorted."""
    found: set[Path] = set()
    for entry in (*CORE_CODE, *stage.code):
        path = worker / entry
        found.update(path.rglob("*.py") if path.is_dir() else [path])
    return sorted(path for path in found if path.is_file())
