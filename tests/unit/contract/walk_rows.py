"""Walks a preset, a head family with an NMS of its own, and a command through the rooms.

Run in a tree whose tables have these rows more. Arguments: a folder with ``net.onnx``, a network
of two convolutions that are a head, and ``model.yaml``. Prints what each room made of them as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hefsmith_worker.contract.options import OptimizeOptions
from hefsmith_worker.pictures import Preprocess
from hefsmith_worker.script.generate import generate
from hefsmith_worker.script.lint import check_text
from hefsmith_worker.script.request import script_request

HEAD = {
    "task": "detection", "family": "yolo99", "end_nodes": ["/c64", "/c3"],
    "end_roles": ["box", "class"], "end_shapes": [[1, 64, 4, 4], [1, 3, 4, 4]], "classes": 3,
    "strides": [8], "regression_length": 16, "anchors": None, "confidence": 0.9, "reasons": [],
}  # fmt: skip


def codes(text: str, line: int | None = None) -> list[str]:
    return [one.code for one in check_text(text, line=line)]


def main(folder: Path) -> None:
    from hailo_emulator.script import read_script
    from hailo_sdk_client import ClientRunner, InferenceContext

    from orchestrator.hef import read_hef
    from orchestrator.project.loading import load_recipe
    from orchestrator.report.heads import _is_decodable

    recipe = load_recipe(folder).recipe
    section: Any = recipe.preprocessing
    prepared = Preprocess.from_dict(section.plain(skip_none=True))
    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(
        (folder / "net.onnx").read_bytes(), "net", end_node_names=HEAD["end_nodes"]
    )
    script = generate(
        script_request(
            hn=runner.get_hn_dict(), inputs={"x": "net/input_layer1"}, end_nodes=["/c64", "/c3"],
            head=HEAD, preprocess={"x": prepared.to_dict()}, images=8,
            options=OptimizeOptions.read({"level": 0, "nms": recipe.postprocess.nms.plain()}),
            arch="hailo8l",
        )
    )  # fmt: skip
    (folder / "model.alls").write_text(script.text, encoding="utf-8")
    for name, text in script.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    runner.load_model_script(folder / "model.alls")
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    runner.optimize_full_precision(frames)
    runner.optimize(frames)
    hef = read_hef(runner.compile())
    with runner.infer_context(InferenceContext.SDK_QUANTIZED) as context:
        boxes = np.asarray(runner.infer(context, frames))
    print(
        json.dumps(
            {
                "preset": [prepared.preset, list(prepared.mean), prepared.pad[0]],
                "family in recipe": recipe.postprocess.nms.family,
                "nms in script": [line for line in script.text.splitlines() if "nms_post" in line],
                "lint of script": codes(script.text),
                "judged": _is_decodable(HEAD),
                "hef": [op.kind for group in hef.network_groups for op in group.nms_ops],
                "boxes": list(boxes.shape),
                "command": codes("s = sharpen(conv1, 3)\n"),
                "command misspelt": codes("s = sharpn(conv1, 3)\n"),
                "command on 3.x": codes("s = sharpen(conv1, 3)\n", 3),
                "command emulated": list(read_script("s = sharpen(conv1, 3)\n").without_effect),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
