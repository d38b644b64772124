"""Stage parse: ONNX becomes the SDK's network, cut where the recipe or our analysis says.

The vendor's parser is never asked a question and its proposal is never taken on trust: end
nodes come from the recipe or from the graph's own shape.
"""

from __future__ import annotations

from typing import Any, Dict, List

import onnx

from hefsmith_worker import network, onnx_files
from hefsmith_worker.graph import analyse, cut_tail
from hefsmith_worker.workspace import HAR_NATIVE, HEAD, ONNX, PARSED, TAIL, Workspace

#: Below this the analysis is shown but the graph is not cut by it.
SURE = 0.5


def run(workspace: Workspace) -> Dict[str, Any]:
    """Write the native HAR, ``head.json`` and ``parsed.json``."""
    wanted = workspace.plan.of("parse")
    path = workspace.needed(ONNX, "export")
    model = onnx.load(str(path))
    facts = onnx_files.describe(model)
    head = analyse(model).to_dict()
    workspace.write_json(HEAD, head)
    end_nodes = list(wanted["end_nodes"]) or _proposed(head)
    start_nodes = list(wanted["start_nodes"]) or [value["name"] for value in facts["inputs"]]
    # Asked here, so that a misspelt node is our clear error and not the SDK's.
    end_tensors = (
        onnx_files.tensors_of_nodes(model, end_nodes)
        if end_nodes
        else [value["name"] for value in facts["outputs"]]
    )
    runner = workspace.new_runner()
    options: Dict[str, Any] = {
        "start_node_names": start_nodes,
        "net_input_shapes": {value["name"]: value["shape"] for value in facts["inputs"]},
    }
    if end_nodes:
        options["end_node_names"] = end_nodes
    runner.translate_onnx_model(str(path), workspace.plan.net_name, **options)
    hn = runner.get_hn_dict()
    inputs = network.input_layers(hn, [value["name"] for value in facts["inputs"]])
    outputs = network.output_layers(hn)
    cut = end_tensors != [value["name"] for value in facts["outputs"]]
    if cut:
        _save_tail(workspace, model, end_nodes)
    workspace.write_json(
        PARSED,
        {
            "hn": hn,
            "inputs": inputs,
            "outputs": outputs,
            "end_nodes": end_nodes,
            "end_tensors": end_tensors,
            "cut": cut,
        },
    )
    workspace.announce("har-native", workspace.save_har(HAR_NATIVE))
    workspace.announce("head", workspace.plan.work / HEAD)
    workspace.announce("parsed", workspace.plan.work / PARSED)
    return {
        "end_nodes": end_nodes,
        "start_nodes": start_nodes,
        "cut": cut,
        "head": {key: head[key] for key in ("task", "family", "classes", "confidence")},
        "layers": len(hn["layers"]),
        "sdk": _version(),
    }


def _save_tail(workspace: Workspace, model: Any, end_nodes: List[str]) -> None:
    """Keep what is cut off as a small network that can run on the CPU afterwards."""
    tail = cut_tail(model, end_nodes)
    if tail is not None:
        path = workspace.path(TAIL)
        onnx_files.save(tail, path)
        workspace.announce("tail", path)


def _proposed(head: Dict[str, Any]) -> List[str]:
    """Return the end nodes that the analysis proposes, when it is sure of the head."""
    if head["task"] in ("classification", "other") or head["confidence"] < SURE:
        return []
    return list(head["end_nodes"])


def _version() -> str:
    import hailo_sdk_client

    return str(getattr(hailo_sdk_client, "__version__", "unknown"))
