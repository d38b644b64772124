"""Stage optimize: the model script is written, and the network is quantised on the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from hefsmith_worker.contract.layout import (
    CALIBRATION_INDEX,
    GOLDEN_DRAFT,
    HAR_NATIVE,
    HAR_QUANTIZED,
    HEAD,
    PARSED,
    SCRIPT,
)
from hefsmith_worker.contract.options import NmsOptions, OptimizeOptions
from hefsmith_worker.script import GeneratedScript, generate
from hefsmith_worker.script.request import script_request
from hefsmith_worker.workspace import Workspace


def run(workspace: Workspace) -> Dict[str, Any]:
    """Write ``model.alls`` with its files, and the quantised HAR."""
    runner = workspace.runner(HAR_NATIVE, "parse")
    parsed = workspace.read_json(PARSED, "parse")
    generated = _generate(workspace, parsed)
    script = _write_script(workspace, generated)
    runner.load_model_script(str(script))
    calibration = _calibration(workspace, parsed)
    runner.optimize_full_precision(calibration)
    runner.optimize(calibration)
    workspace.announce("har-quantized", workspace.save_har(HAR_QUANTIZED))
    index = workspace.read_json(CALIBRATION_INDEX, "calibrate")
    options = OptimizeOptions.read(workspace.plan.of("optimize"))
    return {
        "level_asked": options.level,
        "compression_asked": options.compression,
        "images_given": index["used"],
        "images_asked": index["asked"],
        "nms": dict(generated.nms),
    }


def _generate(workspace: Workspace, parsed: Dict[str, Any]) -> GeneratedScript:
    options = OptimizeOptions.read(workspace.plan.of("optimize"))
    draft = workspace.read_json(GOLDEN_DRAFT, "export")
    index = workspace.read_json(CALIBRATION_INDEX, "calibrate")
    request = script_request(
        hn=parsed["hn"],
        inputs=parsed["inputs"],
        end_nodes=parsed["end_nodes"],
        head=workspace.read_json(HEAD, "parse"),
        preprocess={entry["onnx_name"]: entry["preprocess"] for entry in draft["inputs"]},
        images=int(index["used"]),
        options=options,
        nms_config=_own_config(workspace, options.nms),
    )
    return generate(request)


def _write_script(workspace: Workspace, generated: GeneratedScript) -> Path:
    script = workspace.path(SCRIPT)
    script.write_bytes(generated.text.encode("utf-8"))
    workspace.announce("script", script)
    for name, text in sorted(generated.files.items()):
        path = workspace.path(name)
        path.write_bytes(text.encode("utf-8"))
        workspace.announce("script-file", path)
    return script


def _own_config(workspace: Workspace, nms: NmsOptions) -> Optional[str]:
    if nms.config is None:
        return None
    return workspace.plan.input(nms.config).read_text(encoding="utf-8")


def _calibration(workspace: Workspace, parsed: Dict[str, Any]) -> Any:
    """Return memory maps, never copies: an array, or a mapping by the network's own layers."""
    arrays = {
        parsed["inputs"][name]: np.load(str(path), mmap_mode="r")
        for name, path in workspace.calibration_arrays().items()
    }
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
