"""Stage export: what the user has, of torch, TensorFlow or ONNX, becomes a checked ``model.onnx``.

This is the only place where a framework is imported and a checkpoint is loaded. The result is
compared with the original on real samples before anything else is built on it.
"""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from hefsmith_worker import onnx_files, onnx_forms
from hefsmith_worker.contract import names
from hefsmith_worker.contract.layout import GOLDEN, ONNX
from hefsmith_worker.golden import GoldenWriter
from hefsmith_worker.onnx_external import external_files
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import Parity, TensorFacts

#: Samples on which torch and ONNX are compared (all golden ones are stored, these decide).
PARITY_SAMPLES = 64


def run(workspace: Workspace) -> Dict[str, Any]:
    """Write ``model.onnx`` and the golden samples with the outputs of torch and ONNX."""
    wanted = workspace.plan.of("export")
    target = workspace.path(ONNX)
    shapes = {name: tuple(shape) for name, shape in wanted["inputs"].items()}
    kind = wanted["source"]["kind"]
    module = tensorflow = None
    mends: List[str] = []
    if kind == "torch":
        from hefsmith_worker.stages import torch_source

        module = torch_source.load_module(workspace)
        torch_source.export(module, shapes, wanted, target)
    elif kind in ("tflite", "keras", "saved_model"):
        from hefsmith_worker.stages import tensorflow_source

        tensorflow = tensorflow_source.prepare(workspace, wanted, target)
    else:
        _copy_onnx(workspace.plan.input(wanted["source"]["file"]), target)
        mends = _bring_into_form(workspace, target, shapes)
    model = onnx_files.checked(target, shapes)
    if wanted.get("simplify") and not tensorflow:
        model = _simplify(workspace, model, str(wanted["simplify"]))
    onnx_files.save(model, target)
    facts = onnx_files.describe(model)
    _compare_opset(workspace, int(wanted["opset"]), facts["opset"], wanted)

    golden = GoldenWriter(workspace)
    golden.prepare_inputs(facts["inputs"])
    onnx_outputs = golden.run_onnx(target)
    parity = None
    if module is not None:
        from hefsmith_worker.stages import torch_source

        torch_outputs = torch_source.run(module, facts["inputs"], golden)
        parity = _check_parity(torch_outputs, onnx_outputs, facts["outputs"], wanted, golden)
        golden.keep_graph_outputs("pytorch", torch_outputs)
    elif tensorflow:
        answers = tensorflow.run(golden, facts["outputs"])
        parity = _check_parity(answers, onnx_outputs, facts["outputs"], wanted, golden)
        golden.keep_graph_outputs("tensorflow", answers)
        tensorflow.write_map(model, golden)
    golden.keep_graph_outputs("onnx", onnx_outputs)
    golden.save_draft(facts)
    workspace.announce("onnx", target)
    workspace.announce_tree("golden", workspace.plan.work / GOLDEN)
    return {
        "opset_asked": int(wanted["opset"]),
        "opset": facts["opset"],
        "exporter": "tf2onnx" if tensorflow else wanted["exporter"] if module else "none",
        "inputs": facts["inputs"],
        "outputs": facts["outputs"],
        "parameters": facts["parameters"],
        "parity": parity,
        "samples": golden.count,
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


def _check_parity(
    torch_outputs: Sequence[np.ndarray],
    onnx_outputs: Sequence[np.ndarray],
    outputs: List[TensorFacts],
    wanted: Mapping[str, Any],
    golden: GoldenWriter,
) -> Parity:
    """Fail when the framework and ONNX differ by more than the recipe's tolerance."""
    framework = "torch" if wanted["source"]["kind"] == "torch" else "TensorFlow"
    if len(torch_outputs) != len(onnx_outputs):
        raise StageError(
            "the network gives %d outputs in %s and %d in ONNX"
            % (len(torch_outputs), framework, len(onnx_outputs)),
            code="export.parity",
        )
    worst, name = _worst(torch_outputs, onnx_outputs, outputs)
    tolerance = float(wanted["tolerance"])
    if not worst <= tolerance:
        raise StageError(
            "%s and ONNX differ: output %s by %.3g of its range, the recipe allows %.3g "
            "(%d %s samples)" % (framework, name, worst, tolerance, golden.count, golden.origin),
            code="export.parity",
            fix="Try the other exporter or opset (export: {exporter: dynamo}), look for ops "
            "that depend on training mode or on the data, or raise export.tolerance.",
        )
    return {"error": worst, "tolerance": tolerance, "samples": golden.count, "on": golden.origin}


def _worst(
    left: Sequence[np.ndarray], right: Sequence[np.ndarray], outputs: List[TensorFacts]
) -> Tuple[float, str]:
    """Return max |left - right| / max |left| over the outputs, and which output has it."""
    worst, name = 0.0, outputs[0]["name"] if outputs else "?"
    for index, (a, b) in enumerate(zip(left, right)):
        if a.shape != b.shape:
            return float("inf"), outputs[index]["name"]
        scale = max(float(np.max(np.abs(a))) if a.size else 0.0, 1e-12)
        error = float(np.max(np.abs(a - b))) / scale if a.size else 0.0
        if np.isnan(error):
            return float("inf"), outputs[index]["name"]
        if error > worst:
            worst, name = error, outputs[index]["name"]
    return worst, name
