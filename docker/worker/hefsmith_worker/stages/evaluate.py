"""Stage evaluate: the golden samples through ONNX at the cut and the SDK's three contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import onnx

from hefsmith_worker import decoding, logits, onnx_files
from hefsmith_worker.contract.answers import COMPILED_INFERENCE
from hefsmith_worker.contract.layout import (
    GOLDEN,
    GOLDEN_DRAFT,
    GOLDEN_INDEX,
    HAR,
    HAR_QUANTIZED,
    HEAD,
    ONNX,
    PARSED,
    SCRIPT,
)
from hefsmith_worker.golden import (
    joined,
    save_detections,
    save_step,
    to_nchw,
    to_nhwc,
)
from hefsmith_worker.network import as_data, as_input
from hefsmith_worker.pictures import Preprocess, normalise
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import (
        Draft,
        GoldenOutput,
        GoldenSteps,
        Parsed,
        SampleDocument,
    )

#: Samples that one call of the SDK's ``infer`` gets.
BATCH = 32

#: First steps: what the network was trained in, where the export could run it.
FRAMEWORKS = ("pytorch", "tensorflow")


def run(workspace: Workspace) -> Dict[str, object]:
    """Write the outputs of every step and ``golden/golden.json``."""
    quantized = workspace.plan.work / HAR_QUANTIZED
    if workspace.plan.refuses(COMPILED_INFERENCE) and quantized.exists():
        # Loaded anew, a compiled network of this compiler infers nothing; one at hand does.
        runner = workspace.runner(HAR_QUANTIZED, "optimize")
    else:
        runner = workspace.runner(HAR, "compile")
    return measure(workspace, runner, workspace.plan.of("evaluate"))


def measure(
    workspace: Workspace, runner: Any, nms: Mapping[str, Any], samples: Optional[int] = None
) -> Dict[str, object]:
    """Run the golden samples at every step and write what came out.

    ``nms`` has the recipe's ``score``, ``iou`` and ``max_boxes``; ``samples`` takes that many of
    them, spread evenly; pictures then have no place in the index.
    """
    from hailo_sdk_client import InferenceContext

    draft: Draft = workspace.read_json(GOLDEN_DRAFT, "samples")
    parsed: Parsed = workspace.read_json(PARSED, "parse")
    chosen = _chosen(len(draft["samples"]), samples)
    if chosen is not None:
        draft = draft.copy()
        draft["samples"] = [draft["samples"][index] for index in chosen]
    raw = raw_inputs(workspace, draft, parsed, chosen)
    floats = _float_inputs(raw, draft, parsed)
    steps: Dict[str, List[np.ndarray]] = {"onnx": _onnx_at_cut(workspace, draft, parsed, floats)}
    # The parsed network is the one before the script: it takes what torch took.
    contexts = (
        ("sdk_native", InferenceContext.SDK_NATIVE, floats),
        ("sdk_fp_optimized", InferenceContext.SDK_FP_OPTIMIZED, raw),
        ("sdk_quantized", InferenceContext.SDK_QUANTIZED, raw),
    )
    steps.update(_in_contexts(workspace, parsed, runner, contexts))
    _align(workspace, draft, parsed, steps, chosen)
    decoder = decoding.from_script(workspace, draft, nms)
    written = _write_steps(workspace, parsed, steps, decoder)
    index = _index(workspace, draft, parsed, written, whole=chosen is None)
    workspace.write_json(GOLDEN_INDEX, index)
    workspace.announce_tree(GOLDEN, workspace.plan.work / GOLDEN)
    return {"samples": len(draft["samples"]), "steps": list(written["steps"])}


def _in_contexts(
    workspace: Workspace,
    parsed: Parsed,
    runner: Any,
    contexts: Sequence[Tuple[str, Any, Dict[str, np.ndarray]]],
) -> Dict[str, List[np.ndarray]]:
    """Run each of (step, context of the SDK, inputs); return the outputs of each step."""
    first, steps = runner, {}
    for step, context, inputs in contexts:
        shaped = {name: as_input(data, parsed["hn"], name) for name, data in inputs.items()}
        try:
            steps[step] = _infer(runner, context, shaped, workspace, step)
        except Exception:
            quantized = workspace.plan.work / HAR_QUANTIZED
            if runner is not first or not quantized.exists():
                raise
            # A compiled network that was loaded anew may be good for nothing but the chip.
            runner = workspace.reload(HAR_QUANTIZED, "optimize")
            steps[step] = _infer(runner, context, shaped, workspace, step)
    return steps


def _align(
    workspace: Workspace,
    draft: Draft,
    parsed: Parsed,
    steps: Dict[str, List[np.ndarray]],
    chosen: Optional[List[int]],
) -> None:
    """Bring what ran outside the SDK into its layouts, and all steps behind the same softmax.

    The framework's answers to the ``chosen`` samples are added to ``steps``, where they exist.
    """
    layouts = [
        _layout(raw_output, native)
        for raw_output, native in zip(steps["onnx"], steps["sdk_native"])
    ]
    steps["onnx"] = [_laid_out(*pair) for pair in zip(steps["onnx"], layouts)]
    for framework in FRAMEWORKS:
        if parsed["cut"] or framework not in draft["graph"]["files"]:
            continue
        # The cut is at the graph's own outputs: the framework's answers belong to the same list.
        folder = workspace.plan.work / GOLDEN
        outputs = [np.load(str(folder / name)) for name in draft["graph"]["files"][framework]]
        if chosen is not None:
            outputs = [output[chosen] for output in outputs]
        steps[framework] = [_laid_out(*pair) for pair in zip(outputs, layouts)]
    script = workspace.needed(SCRIPT, "optimize").read_text(encoding="utf-8")
    layers = [str(entry["stream"]) for entry in parsed["outputs"]]
    softmax = logits.with_softmax(script)
    for step in (*FRAMEWORKS, "onnx", "sdk_native") if softmax else ():
        if step in steps:
            steps[step] = logits.as_after(steps[step], layers, softmax)


def _index(
    workspace: Workspace, draft: Draft, parsed: Parsed, written: GoldenSteps, *, whole: bool
) -> Dict[str, object]:
    """Return ``golden.json``; inputs have their pictures there only where all are ``whole``."""
    head = workspace.read_json(HEAD, "parse")
    return {
        "schema": 1,
        "task": draft.get("task") or str(head["task"]),
        "origin": draft["origin"],
        "samples": _samples(draft, head),
        "inputs": [
            {
                "name": parsed["inputs"][entry["onnx_name"]],
                "onnx_name": entry["onnx_name"],
                "file": entry["file"],
                "preprocess": entry["preprocess"],
            }
            for entry in (draft["inputs"] if whole else ())
        ],
        "outputs": written["outputs"],
        "steps": written["steps"],
        "graph": draft["graph"],
    }


def _samples(draft: Draft, head: Mapping[str, Any]) -> List[SampleDocument]:
    """Return the samples, with the labels that count for the network that was found.

    Where the recipe names neither task nor labels, folders are classes only if the network has
    as many of them: other folders may mean anything.
    """
    task = draft.get("task") or head["task"]
    sure = bool(draft.get("task")) or draft["named"]
    if task == "classification" and (sure or draft["folders"] == head.get("classes")):
        return list(draft["samples"])
    unlabelled: List[SampleDocument] = []
    for sample in draft["samples"]:
        copy = sample.copy()
        copy["label"] = None
        unlabelled.append(copy)
    return unlabelled


def _chosen(total: int, wanted: Optional[int]) -> Optional[List[int]]:
    """Return which samples are taken, ``None`` for all of them."""
    if wanted is None or wanted >= total:
        return None
    return [int(at) for at in np.linspace(0, total - 1, max(1, wanted)).round()]


def raw_inputs(
    workspace: Workspace, draft: Draft, parsed: Parsed, chosen: Optional[List[int]] = None
) -> Dict[str, np.ndarray]:
    """Return what the device gets, by the network's input layers (memory maps if all is taken)."""
    folder = workspace.plan.work / GOLDEN
    found = {
        parsed["inputs"][entry["onnx_name"]]: np.load(str(folder / entry["file"]), mmap_mode="r")
        for entry in draft["inputs"]
    }
    if chosen is None:
        return found
    return {name: array[chosen] for name, array in found.items()}


def _float_inputs(
    raw: Dict[str, np.ndarray], draft: Draft, parsed: Parsed
) -> Dict[str, np.ndarray]:
    """Return normalised float32 NHWC inputs, as the network was trained on."""
    floats = {}
    for entry in draft["inputs"]:
        name = parsed["inputs"][entry["onnx_name"]]
        preprocess = Preprocess.from_dict(entry["preprocess"])
        on_host = preprocess.normalize == "host"
        floats[name] = np.asarray(raw[name]) if on_host else normalise(raw[name], preprocess)
    return floats


def _onnx_at_cut(
    workspace: Workspace,
    draft: Draft,
    parsed: Parsed,
    floats: Dict[str, np.ndarray],
) -> List[np.ndarray]:
    """Return the ONNX model's tensors where the network is cut, one per output."""
    model = onnx.load(str(workspace.needed(ONNX, "export")))
    session = onnx_files.Session(
        onnx_files.with_outputs(model, parsed["end_tensors"]), parsed["end_tensors"]
    )
    inputs = {
        entry["onnx_name"]: floats[parsed["inputs"][entry["onnx_name"]]]
        for entry in draft["inputs"]
    }
    return joined(
        session.run({name: to_nchw(array[index : index + 1]) for name, array in inputs.items()})
        for index in range(len(draft["samples"]))
    )


def _layout(onnx_output: np.ndarray, native: np.ndarray) -> str:
    """Tell whether a tensor of the ONNX file is NCHW (as most are) or ends in NHWC already.

    The parsed network's answer decides: it is NHWC, and equals the right one of the two. A row
    of columns (N, C, L), such as the characters that a reader of plates gives, is NCHW as well.
    """
    if onnx_output.ndim == 3 and onnx_output.size == native.size:
        same = native.reshape(len(native), -1)
        errors = {
            name: float(np.abs(_laid_out(onnx_output, name).reshape(same.shape) - same).mean())
            for name in ("as is", "ncl")
        }
        return "ncl" if errors["ncl"] < errors["as is"] else "as is"
    if onnx_output.ndim != 4:
        return "as is"
    fits = {
        "nchw": to_nhwc(onnx_output).shape == native.shape,
        "as is": onnx_output.shape == native.shape,
    }
    if fits["nchw"] and fits["as is"]:
        errors = {
            name: float(np.abs(_laid_out(onnx_output, name) - native).mean()) for name in fits
        }
        return "nchw" if errors["nchw"] <= errors["as is"] else "as is"
    return "as is" if fits["as is"] else "nchw"


def _laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    if layout == "ncl":
        return np.ascontiguousarray(array.transpose(0, 2, 1))
    return to_nhwc(array) if layout == "nchw" else array


def _infer(
    runner: Any,
    context: Any,
    inputs: Dict[str, np.ndarray],
    workspace: Workspace,
    step: str,
) -> List[np.ndarray]:
    """Return the outputs of one context in the network's order."""
    total = len(next(iter(inputs.values())))
    answers = []
    with runner.infer_context(context) as opened:
        for start in range(0, total, BATCH):
            batch = {
                name: np.asarray(array[start : start + BATCH]) for name, array in inputs.items()
            }
            outputs = _as_list(runner.infer(opened, as_data(batch)))
            answers.append([np.asarray(output) for output in outputs])
            workspace.channel.progress(min(start + BATCH, total), total, step)
    return joined(answers)


def _as_list(outputs: Any) -> List[Any]:
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _write_steps(
    workspace: Workspace,
    parsed: Parsed,
    steps: Dict[str, List[np.ndarray]],
    decoder: "Callable[[Sequence[np.ndarray]], List[np.ndarray]] | None",
) -> GoldenSteps:
    """Store every step; with NMS in the HEF, raw tensors are decoded so that boxes compare."""
    files: Dict[str, List[str]] = {}
    if decoder is None:
        reference = steps["onnx"]
        for step, outputs in steps.items():
            aligned = [_like(output, reference[i]) for i, output in enumerate(outputs)]
            files[step] = save_step(workspace, step, aligned)
        entries: List[GoldenOutput] = [
            {
                "index": index,
                "onnx_name": parsed["end_tensors"][index],
                "stream": parsed["outputs"][index]["stream"],
                "kind": "tensor",
            }
            for index in range(len(reference))
        ]
        return {"outputs": entries, "steps": files}
    for step, outputs in steps.items():
        detections = (
            decoder(outputs)
            if len(outputs) == len(parsed["end_tensors"])
            and step in (*FRAMEWORKS, "onnx", "sdk_native")
            else decoding.from_sdk(outputs[0])
        )
        files[step] = [save_detections(workspace, step, 0, detections)]
    return {
        "outputs": [{"index": 0, "onnx_name": None, "stream": None, "kind": "nms"}],
        "steps": files,
    }


def _like(output: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the output in the reference's shape: (N, 1, 1, C) and (N, C) are the same thing."""
    return output.reshape(reference.shape) if output.size == reference.size else output
