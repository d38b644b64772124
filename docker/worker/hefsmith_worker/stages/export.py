"""Stage export: what the user has, of torch, TensorFlow or ONNX, becomes a checked ``model.onnx``.

A checkpoint is loaded here and in the stage samples, which compares the result with the original
before anything else is built on it.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from hefsmith_worker import onnx_files, onnx_tokens
from hefsmith_worker.contract.layout import ONNX
from hefsmith_worker.contract.options import KNOWN_OPSETS, unknown_opset
from hefsmith_worker.graph.scaling import input_scaling
from hefsmith_worker.stages.readers import reader_of
from hefsmith_worker.workspace import Workspace


def run(workspace: Workspace) -> Dict[str, object]:
    """Write ``model.onnx``; the network itself is kept for the stage samples."""
    wanted = workspace.plan.of("export")
    target = workspace.path(ONNX)
    shapes = {name: tuple(shape) for name, shape in wanted["inputs"].items()}
    brought = reader_of(wanted["source"]).bring(workspace, wanted, shapes, target)
    workspace.network = brought.network
    model = onnx_files.load(target)
    onnx_tokens.refuse_others(model)
    with onnx_files.called(_given(wanted["source"]) or target.name, target):
        model = onnx_files.checked(target, onnx_tokens.as_built(model, shapes))
    if wanted.get("simplify") and brought.write_map is None:
        model = _simplify(workspace, model, str(wanted["simplify"]))
    onnx_files.save(model, target)
    facts = onnx_files.describe(model)
    _compare_opset(workspace, int(wanted["opset"]), facts["opset"], wanted)
    if brought.write_map is not None:
        brought.write_map(model)
    workspace.announce("onnx", target)
    weights = target.with_name(target.name + ".data")
    if weights.exists():
        workspace.announce("onnx", weights)
    return {
        "opset_asked": int(wanted["opset"]),
        "opset": facts["opset"],
        "exporter": brought.exporter,
        "inputs": facts["inputs"],
        "outputs": facts["outputs"],
        "parameters": facts["parameters"],
        "mends": list(brought.mends),
        "input_scaling": input_scaling(model),
    }


def _given(source: Mapping[str, Any]) -> str:
    """Return the name of the user's own ONNX file, which the export only copies."""
    return str(source.get("file") or "") if source.get("kind") == "onnx" else ""


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
