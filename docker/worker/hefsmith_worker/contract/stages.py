"""The stages of a build: their order, their modules, what each stands on and reads.

The code behind a stage is not listed: it is what the stage's module imports, and what that does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Iterable, Mapping, Tuple

from hefsmith_worker.contract import layout
from hefsmith_worker.contract.options import (
    AnalyzeOptions,
    CalibrationOptions,
    OptimizeOptions,
    SampleOptions,
)

#: What a plan can be for: a HEF, or what quantisation does to the network, without compiling it.
HEF, ANALYSIS = "hef", "analysis"
_BOTH = (HEF, ANALYSIS)


@dataclass(frozen=True)
class Stage:
    """One stage. ``after`` are those whose results it reads; ``by_arch`` ones run the compiler.

    ``options`` are the names of all values of a recipe that it reads, and so what of a recipe
    enters its key. ``passes`` are patterns of those of its files that later stages read: where
    they are as they were, nothing later need run again. ``goals`` are the plans that it is part of.
    """

    name: str
    after: Tuple[str, ...]
    by_arch: bool
    options: Tuple[str, ...] = ()
    passes: Tuple[str, ...] = ("*",)
    goals: Tuple[str, ...] = (HEF,)

    @property
    def module(self) -> str:
        """The module whose ``run(workspace)`` is the stage."""
        return "hefsmith_worker.stages." + self.name

    def passed_on(self, files: Iterable[Tuple[str, str]]) -> str:
        """Return a digest of those of its files (path, sha256) that later stages read."""
        read = sorted(
            [path, digest]
            for path, digest in files
            if any(fnmatchcase(path, pattern) for pattern in self.passes)
        )
        return hashlib.sha256(json.dumps(read).encode("ascii")).hexdigest()


def _names(options: type) -> Tuple[str, ...]:
    return tuple(one.name for one in fields(options))


#: Looks at a network before there is a recipe for it: a job of its own, no part of any build.
LOOK = Stage("look", (), by_arch=False)

#: In the only order in which they run.
STAGES = (
    Stage(
        "export",
        (),
        by_arch=False,
        options=("source", "inputs", "exporter", "opset", "simplify", "packages"),
        passes=(layout.ONNX, layout.ONNX + ".*", layout.TFLITE, layout.TFLITE_MAP),
        goals=_BOTH,
    ),
    # The network that was exported answers on the samples too, where it can be run.
    Stage(
        "samples",
        ("export",),
        by_arch=False,
        options=(
            "source",
            "tolerance",
            "packages",
            "sources",
            "origin",
            "labels",
            "task",
            "preprocessing",
            *_names(SampleOptions),
        ),
        passes=(layout.GOLDEN + "/*",),
        goals=_BOTH,
    ),
    Stage(
        "calibrate",
        ("export",),
        by_arch=False,
        options=(
            "sources",
            "validation",
            "script",
            "labels",
            "task",
            "preprocessing",
            *_names(CalibrationOptions),
        ),
        passes=(layout.CALIBRATION_INDEX, layout.CALIBRATION + "/*.npy"),
        goals=_BOTH,
    ),
    Stage(
        "parse",
        ("export",),
        by_arch=True,
        options=("start_nodes", "end_nodes"),
        passes=(layout.HAR_NATIVE, layout.HEAD, layout.PARSED),
        goals=_BOTH,
    ),
    Stage(
        "optimize",
        ("parse", "calibrate"),
        by_arch=True,
        options=_names(OptimizeOptions),
        passes=(layout.HAR_QUANTIZED, layout.SCRIPT),
        goals=_BOTH,
    ),
    Stage(
        "analyze",
        ("export", "samples", "parse", "optimize"),
        by_arch=True,
        options=("score", "iou", "max_boxes", *_names(AnalyzeOptions)),
        passes=(),
        goals=(ANALYSIS,),
    ),
    Stage("compile", ("optimize",), by_arch=True, passes=(layout.HAR,)),
    Stage(
        "evaluate",
        ("export", "samples", "parse", "optimize", "compile"),
        by_arch=True,
        options=("score", "iou", "max_boxes"),
        passes=(),
    ),
)

NAMES = tuple(stage.name for stage in STAGES)
BY_NAME: Mapping[str, Stage] = {stage.name: stage for stage in (*STAGES, LOOK)}
#: Stages that need torch or pictures, and nothing of the compiler's.
BEFORE_COMPILER = tuple(stage.name for stage in STAGES if not stage.by_arch)
