"""Walks one chip from the recipe's check to a device; run in a tree whose table may have more rows.

Arguments: the chip, a tiny ONNX file. Prints what each room made of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from hefsmith_worker.contract import chips
from hefsmith_worker.script.lint import check_text


def main(name: str, network: str) -> None:
    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.connection_pool import default_pool
    from orchestrator.hef import check_compatibility, read_hef
    from orchestrator.project.checking import section_from
    from orchestrator.project.recipe import Recipe

    chip = chips.by_name()[name]
    recipe = section_from(
        {"source": {"onnx": "n.onnx"}, "calibration": {"source": "p"}, "arch": name}, Recipe
    )
    found = check_text("n = normalization([0.0],[255.0])\n", "m.alls", line=chip.line.compiler)
    version = max(chip.line.emulated_compiler, ".".join(map(str, (*chip.since, 0))))
    os.environ["HEFSMITH_EMULATED_DFC"] = version
    from hailo_sdk_client import ClientRunner

    runner = ClientRunner(hw_arch=name)
    runner.translate_onnx_model(Path(network).read_bytes(), "net")
    frames = np.zeros((8, 12, 12, 1), np.uint8)
    runner.optimize_full_precision(frames)
    runner.optimize(frames)
    hef = read_hef(runner.compile())
    spec = DeviceSpec(name="walk", kind="embedded", emulated_chip=name)
    with default_pool().connect(spec) as session:
        identity = session.identify()
    fits = check_compatibility(hef, chip=identity.chip or "", emulated_device=True)
    others = check_compatibility(hef, chip="hailo15l", emulated_device=True)
    print(
        json.dumps(
            {
                "recipe": list(recipe.arch),
                "lint": [str(one) for one in found],
                "hef": list(hef.chips),
                "device": identity.chip,
                "runs": fits.runs,
                "runs_elsewhere": others.runs,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
