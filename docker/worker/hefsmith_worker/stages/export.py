"""Stage export: what the user has, of torch, TensorFlow or ONNX, becomes a checked ``model.onnx``.

A checkpoint is loaded here and in the stage samples, which compares the result with the original
before anything else is built on it.
"""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from hefsmith_worker import onnx_files, onnx_forms
from hefsmith_worker.contract import names
from hefsmith_worker.contract.layout import ONNX
from hefsmith_worker.onnx_external import external_files
from hefsmith_worker.protocol import StageError
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
        _copy_onnx(workspace.plan.input(wanted["source"]["file"]), target)
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
    }


def _copy_onnx(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StageError("%s is not there" % source.name, code="export.missing")
    shutil.copyfile(str(source), str(target))
    # Weights may lie in files beside the model.
    for name in external_files(source):
        beside = source.parent / name if names.fault(name) is None else None
        if beside is None or len(names.parts(name)) > 1 or not beside.is_file():
            raise StageError(
                "%s keeps weights in %s, which is not beside it" % (source.name, names.shown(name)),
                code="onnx.external-data",
                fix="Put the file into the model's own folder, or save the model as one file.",
            )
        _copy_new(beside, target.parent / name)


def _copy_new(source: Path, target: Path) -> None:
    """Copy to a file that is made here and now: a name out of a file overwrites nothing.

    The very same file, left by an earlier run of the stage, is no fault.
    """
    try:
        with source.open("rb") as stream, target.open("xb") as copy:
            shutil.copyfileobj(stream, copy)
    except FileExistsError:
        if not target.is_symlink() and filecmp.cmp(str(source), str(target), shallow=False):
            return
        raise StageError(
            "the weights of the ONNX file are called like a file of the build: %s"
            % names.shown(target.name),
            code="onnx.external-data",
            fix="Save the model as one file: onnx.save(onnx.load(FILE), FILE).",
        )


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
