"""Stage parse: ONNX or TFLite becomes the SDK's network, cut where the recipe or analysis says.

The vendor's parser is never asked a question and its proposal is never taken on trust: end
nodes come from the recipe or from the graph's own shape.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

import onnx

from hefsmith_worker import network, onnx_files
from hefsmith_worker.contract.families import proposed_cut
from hefsmith_worker.contract.layout import (
    HAR_NATIVE,
    HEAD,
    ONNX,
    ONNX_NAMED,
    PARSED,
    TAIL,
    TFLITE,
    TFLITE_MAP,
)
from hefsmith_worker.graph import GraphError, analyse, cut_tail, name_nodes
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import TensorFacts, TfliteMap


def run(workspace: Workspace) -> Dict[str, object]:
    """Write the native HAR, ``head.json`` and ``parsed.json``."""
    wanted = workspace.plan.of("parse")
    path = workspace.needed(ONNX, "export")
    model = onnx.load(str(path))
    facts = onnx_files.describe(model)
    head = analyse(model).to_dict()
    workspace.write_json(HEAD, head)
    inputs = facts["inputs"]
    graph_outputs = [value["name"] for value in facts["outputs"]]
    names = _tflite_names(workspace)
    if names is None:
        end_nodes = list(wanted["end_nodes"]) or proposed_cut(head)
        # Asked here, so that a misspelt node is our clear error and not the SDK's.
        end_tensors = onnx_files.tensors_of_nodes(model, end_nodes) if end_nodes else graph_outputs
        start_nodes = list(wanted["start_nodes"]) or [value["name"] for value in inputs]
        sources = [value["name"] for value in inputs]
        _translate_onnx(workspace, model, path, inputs, start_nodes, end_nodes)
    else:
        end_tensors = _tflite_ends(workspace, names, model, wanted["end_nodes"], head)
        end_nodes = _nodes_of(model, end_tensors) if end_tensors else []
        end_tensors = end_tensors or graph_outputs
        originals = {entry["onnx"]: entry["tflite"] for entry in names["inputs"]}
        sources = [originals[value["name"]] for value in inputs]
        start_nodes = list(wanted["start_nodes"])
        _translate_tflite(workspace, names, inputs, start_nodes, end_tensors if end_nodes else [])
    runner = workspace.runner(HAR_NATIVE, "parse")
    hn = network.plain_hn(runner.get_hn_dict())
    layers = network.input_layers(hn, sources)
    outputs = network.output_layers(hn)
    cut = end_tensors != graph_outputs
    if cut:
        _save_tail(workspace, model, end_nodes)
    workspace.write_json(
        PARSED,
        {
            "hn": hn,
            "inputs": {value["name"]: layers[source] for value, source in zip(inputs, sources)},
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


def _translate_onnx(
    workspace: Workspace,
    model: Any,
    path: Path,
    inputs: List[TensorFacts],
    start_nodes: List[str],
    end_nodes: List[str],
) -> None:
    options: Dict[str, object] = {
        "start_node_names": start_nodes,
        "net_input_shapes": {value["name"]: value["shape"] for value in inputs},
    }
    if end_nodes:
        options["end_node_names"] = end_nodes
    runner = workspace.new_runner()
    named = name_nodes(model, [*start_nodes, *end_nodes])
    if named is None:
        runner.translate_onnx_model(str(path), workspace.plan.net_name, **options)
        return
    # Only the parser sees this copy; its nodes have the names that the cut is told in.
    copy = workspace.path(ONNX_NAMED)
    try:
        onnx_files.save(named, copy)
        runner.translate_onnx_model(str(copy), workspace.plan.net_name, **options)
    finally:
        shutil.rmtree(str(copy.parent), ignore_errors=True)


def _translate_tflite(
    workspace: Workspace,
    names: TfliteMap,
    inputs: List[TensorFacts],
    start_nodes: List[str],
    ends: List[str],
) -> None:
    """Give the TFLite file to the SDK's own TensorFlow translator, in that file's names.

    Only what differs from the file itself is said: a cut, and sides that it leaves open.
    """
    options: Dict[str, object] = {}
    if start_nodes:
        options["start_node_names"] = start_nodes
    if ends:
        back = {onnx: tflite for tflite, onnx in names["tensors"].items()}
        options["end_node_names"] = [back[name] for name in ends]
    if any(min(entry["shape"][1:], default=1) < 1 for entry in names["inputs"]):
        shapes = {value["name"]: value["shape"] for value in inputs}
        options["tensor_shapes"] = {
            entry["tflite"]: _nhwc(shapes[entry["onnx"]]) for entry in names["inputs"]
        }
    runner = workspace.new_runner()
    tflite = workspace.needed(TFLITE, "export")
    runner.translate_tf_model(str(tflite), workspace.plan.net_name, **options)


def _nhwc(shape: List[Optional[int]]) -> List[Optional[int]]:
    return [shape[0], shape[2], shape[3], shape[1]] if len(shape) == 4 else list(shape)


def _tflite_names(workspace: Workspace) -> Optional[TfliteMap]:
    """Return which tensor of the TFLite file is which of the ONNX file; ``None`` for others."""
    if not (workspace.plan.work / TFLITE_MAP).exists():
        return None
    found: TfliteMap = workspace.read_json(TFLITE_MAP, "export")
    return found


def _tflite_ends(
    workspace: Workspace,
    names: TfliteMap,
    model: Any,
    asked: Sequence[str],
    head: Mapping[str, Any],
) -> List[str]:
    """Return the ONNX tensors to cut at; empty for the network's own outputs.

    The recipe names tensors of the TFLite file. A cut that the analysis proposes needs its
    counterpart there: an activation may be part of the operation before it.
    """
    tensors = names["tensors"]
    if asked:
        unknown = [name for name in asked if name not in tensors]
        if unknown:
            raise StageError(
                "the TFLite file has no tensor %r that the network can be cut at" % unknown[0],
                code="parse.end-node",
                fix="Cuts of a TFLite network are named by its own tensors, such as %s."
                % ", ".join(sorted(tensors)[:3]),
            )
        return [tensors[name] for name in asked]
    proposed = onnx_files.tensors_of_nodes(model, proposed_cut(head))
    known = set(tensors.values())
    lost = [name for name in proposed if name not in known]
    if lost:
        workspace.channel.finding(
            "parse.tflite-cut",
            "warning",
            "the head was found, but the TFLite file has no tensor like %s: the network is not "
            "cut there" % lost[0],
            fix="Name the tensors in the recipe: parser: {end_nodes: [...]}.",
        )
        return []
    return proposed


def _nodes_of(model: Any, tensors: Sequence[str]) -> List[str]:
    """Return the names of the nodes that make the tensors."""
    makers = {output: node.name or output for node in model.graph.node for output in node.output}
    return [makers.get(name, name) for name in tensors]


def _save_tail(workspace: Workspace, model: Any, end_nodes: List[str]) -> None:
    """Keep what is cut off as a small network that can run on the CPU afterwards."""
    outputs = [value.name for value in model.graph.output]
    lost = [name for name in outputs if not _follows(model, end_nodes, name)]
    if lost:
        # Whoever wants one head of several, or features, cuts so: nothing is wrong with that.
        workspace.channel.finding(
            "parse.tail",
            "info",
            "%s cannot be computed from the end nodes: not in the HEF" % ", ".join(lost),
            fix="Add a node before each to parser.end_nodes, if it is wanted.",
        )
    tail = cut_tail(model, end_nodes, outputs=[name for name in outputs if name not in lost])
    if tail is not None:
        path = workspace.path(TAIL)
        onnx_files.save(tail, path)
        workspace.announce("tail", path)


def _follows(model: Any, end_nodes: List[str], output: str) -> bool:
    """Tell whether an output of the network can be computed from the end nodes."""
    try:
        cut_tail(model, end_nodes, outputs=[output])
    except GraphError:
        return False
    return True


def _version() -> str:
    import hailo_sdk_client

    return str(getattr(hailo_sdk_client, "__version__", "unknown"))
