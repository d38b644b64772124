"""Walks a kind of network through the rooms: found by its name, described, read, exported.

Run in a tree whose tables have the kind ``onnx_text``. Argument: the folder of a model that starts
from ``net.onnxtxt``. Prints what each room made of it as JSON.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import onnx
from hefsmith_worker import job, protocol
from hefsmith_worker.events import Channel

from orchestrator.errors import ConfigError
from orchestrator.pipeline.inputs import collect
from orchestrator.project.loading import load_recipe
from orchestrator.project.schemas import schema_of
from orchestrator.project.survey.folder import look_around


def main(folder: Path) -> None:
    found = look_around(folder).networks
    request = collect(load_recipe(folder), folder, "hailo8l")
    inputs, work = folder / "inputs", folder / "work"
    for place in (inputs, work):
        place.mkdir()
    for material in request.materials:
        shutil.copy(material.path, inputs / material.name)
    document = {
        "schema": 1, "model": "net", "arch": "hailo8l", "net_name": "net", "hef_name": "net.hef",
        "parameters": request.parameters, "stages": ["export", "samples"],
    }  # fmt: skip
    stream = io.BytesIO()
    code = job.run(Channel(stream), protocol.Plan(document, inputs, work))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    results = {e["stage"]: e["result"] for e in events if e["event"] == "stage_finished"}
    (folder / "net.onnxtxt").rename(folder / "net.txt")
    recipe = folder / "model.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("onnxtxt", "txt"), "utf-8")
    try:
        refused = str(collect(load_recipe(folder), folder, "hailo8l"))
    except ConfigError as error:
        refused = str(error)
    print(
        json.dumps(
            {
                "found": [[one.kind, one.words] for one in found],
                "export": request.parameters["export"]["source"],
                "used by": request.used_by["export"],
                "exit": code,
                "exporter": results["export"]["exporter"],
                "parity": results["samples"]["parity"],
                "nodes": len(onnx.load(str(work / "model.onnx")).graph.node) > 0,
                "refused": refused.partition(": ")[2],
                "schema": "onnx_text" in json.dumps(schema_of("model")),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
