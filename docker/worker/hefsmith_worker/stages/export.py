"""Stage export: what the user has, of torch, TensorFlow or ONNX, becomes a checked ``model.onnx``.

A checkpoint is loaded here and in the stage samples, which compares the result with the original
before anything else is built on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from hefsmith_worker import onnx_files, onnx_forms
from hefsmith_worker.contract.layout import ONNX
from hefsmith_worker.contract.options import KNOWN_OPSETS, unknown_opset
from hefsmith_worker.graph.scaling import input_scaling
from hefsmith_worker.workspace import Workspace

#: Kinds of source that TensorFlow reads.
TENSORFLOW = ("tflite", "keras", "saved_model")


def run(workspace: Workspace) -> Dict[str, object]:
    """Write ``model.onnx``; the network itself is kept for the stage samples."""
    wanted = workspace.plan.of("export")
    target = workspace.path(ONNX)
    shapes = {name: tuple(shape) for name, shape in wanted["inputs"].items()}
    kind = wanted["source"]["kind"]
    module = tensorflow = None
    mends: List[str] = []
    if kind == "torch":
        from hefsmith_worker.stages import torch_source

        workspace.network = module = torch_source.load_module(workspace, wanted["source"])
        torch_source.export(module, shapes, wanted, target)
    elif kind in TENSORFLOW:
        from hefsmith_worker.stages import tensorflow_source

        workspace.network = tensorflow = tensorflow_source.prepare(workspace, wanted, target)
    else:
        onnx_files.copy_onnx(workspace.plan.input(wanted["source"]["file"]), target)
        mends = _bring_into_form(workspace, target, shapes)
    model = onnx_files.checked(target, shapes)
    if wanted.get("simplify") and not tensorflow:
        model = _simplify(workspace, model, str(wanted["simplify"]))
    onnx_files.save(model, target)
    facts = onnx_files.describe(model)
    _compare_opset(workspace, int(wanted["opset"]), facts["opset"], wanted)
    if tensorflow:
        tensorflow.write_map(model)
    workspace.announce("onnx", target)
    weights = target.with_name(target.name + ".data")
    if weights.exists():
        workspace.announce("onnx", weights)
    return {
        "opset_asked": int(wanted["opset"]),
        "opset": facts["opset"],
        "exporter": "tf2onnx" if tensorflow else wanted["exporter"] if module else "none",
        "inputs": facts["inputs"],
        "outputs": facts["outputs"],
        "parameters": facts["parameters"],
        "mends": mends,
        "input_scaling": input_scaling(model),
    }


def _bring_into_form(
    workspace: Workspace, target: Path, shapes: Dict[str, Tuple[int, ...]]
) -> List[str]:
    """Turn a file that was made for another runtime into what the compiler takes.

    Returns what was changed, in sentences, which are told as well.
    """
    model, changes = onnx_forms.bring_into_form(target, shapes)
    if not changes:
        return []
    onnx_files.save(model, target)
    for change in changes:
        workspace.channel.finding(change.code, "info", change.message)
    return [change.message for change in changes]


def _simplify(workspace: Workspace, model: Any, tool: str) -> Any:
    """Simplify, and go back to the raw graph when the numbers change."""
    try:
        if tool == "onnxslim":
            import onnxslim

            simple = onnxslim.slim(model)
        else:
            import onnxsim

            simple, _ = onnxsim.simplify(model)
    except ImportError:
        workspace.channel.finding(
            "export.simplifier-missing",
            "warning",
            "%s is not installed where the export runs; the raw graph is used" % tool,
            asked=tool,
            got="raw graph",
        )
        return model
    difference = onnx_files.largest_difference(model, simple)
    if difference > 1e-3:
        workspace.channel.finding(
            "export.simplifier-damage",
            "warning",
            "%s changed the outputs by %.3g of their range; the raw graph is used"
            % (tool, difference),
            asked=tool,
            got="raw graph",
        )
        return model
    return simple


def _compare_opset(workspace: Workspace, asked: int, got: int, wanted: Mapping[str, Any]) -> None:
    if wanted["source"]["kind"] == "torch" and asked != got:
        workspace.channel.finding(
            "export.opset",
            "warning",
            "opset %d was asked, the %s exporter wrote %d" % (asked, wanted["exporter"], got),
            asked=asked,
            got=got,
            fix="export: {exporter: legacy, opset: %d}" % asked,
        )
    elif not KNOWN_OPSETS[0] <= got <= KNOWN_OPSETS[1]:
        message, fix = unknown_opset(got)
        workspace.channel.finding("onnx.opset", "warning", message, fix=fix)
