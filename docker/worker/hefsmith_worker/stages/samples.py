"""Stage samples: golden samples, and what the user's network and ``model.onnx`` answer on them.

The ONNX file is compared with the original here, before anything else is built on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
import onnx

from hefsmith_worker import onnx_files
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.layout import GOLDEN, ONNX
from hefsmith_worker.golden import GoldenWriter
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages.readers import reader_of
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import Parity, TensorFacts


def run(workspace: Workspace) -> Dict[str, object]:
    """Write the golden samples with the outputs of the original and of ONNX."""
    wanted = workspace.plan.of("samples")
    path = workspace.needed(ONNX, "export")
    facts = onnx_files.describe(onnx.load(str(path), load_external_data=False))
    golden = GoldenWriter(workspace)
    golden.prepare_inputs(facts["inputs"])
    onnx_outputs = golden.run_onnx(path)
    parity = None
    reader = reader_of(wanted["source"])
    if reader.answer is not None:
        answers = reader.answer(workspace, wanted["source"], facts, golden)
        parity = _check_parity(answers, onnx_outputs, facts["outputs"], wanted, golden)
        golden.keep_graph_outputs(reader.step, answers)
    golden.keep_graph_outputs("onnx", onnx_outputs)
    golden.save_draft(facts)
    # Nobody needs it any more, and it may be large.
    workspace.network = None
    workspace.announce_tree("golden", workspace.plan.work / GOLDEN)
    return {"parity": parity, "samples": golden.count}


def _check_parity(
    torch_outputs: Sequence[np.ndarray],
    onnx_outputs: Sequence[np.ndarray],
    outputs: List[TensorFacts],
    wanted: Mapping[str, Any],
    golden: GoldenWriter,
) -> Parity:
    """Fail when the framework and ONNX differ by more than the recipe's tolerance."""
    framework = reader_of(wanted["source"]).title
    if len(torch_outputs) != len(onnx_outputs):
        raise StageError(
            "the network gives %s in %s and %d in ONNX"
            % (counted(len(torch_outputs), "output"), framework, len(onnx_outputs)),
            code="export.parity",
        )
    _refuse_endless(torch_outputs, outputs, framework, golden)
    worst, name = _worst(torch_outputs, onnx_outputs, outputs)
    tolerance = float(wanted["tolerance"])
    if not worst <= tolerance:
        raise StageError(
            "%s and ONNX differ: output %s by %.3g of its range, the recipe allows %.3g "
            "(%s of the %s set)"
            % (framework, name, worst, tolerance, counted(golden.count, "sample"), golden.origin),
            code="export.parity",
            fix="Try the other exporter or opset (export: {exporter: dynamo}), look for ops "
            "that depend on training mode or on the data, or raise export.tolerance.",
        )
    return {"error": worst, "tolerance": tolerance, "samples": golden.count, "on": golden.origin}


def _refuse_endless(
    answers: Sequence[np.ndarray],
    outputs: List[TensorFacts],
    framework: str,
    golden: GoldenWriter,
) -> None:
    """Raise where the network itself answers with no numbers: its export is not at fault."""
    for values, entry in zip(answers, outputs):
        rows = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if not rows.all():
            raise StageError(
                "the network itself answers with NaN or infinity in %s: output %s, on %d of %s "
                "of the %s set"
                % (
                    framework,
                    entry["name"],
                    int((~rows).sum()),
                    counted(golden.count, "sample"),
                    golden.origin,
                ),
                code="export.not-finite",
                fix="Look for log(0), a division by 0 or a root of what is below 0 in forward, and "
                "for NaN in the weights.",
            )


def _worst(
    left: Sequence[np.ndarray], right: Sequence[np.ndarray], outputs: List[TensorFacts]
) -> Tuple[float, str]:
    """Return max |left - right| / max |left| over the outputs, and which output has it."""
    worst, name = 0.0, outputs[0]["name"] if outputs else "?"
    for index, (a, b) in enumerate(zip(left, right)):
        error = onnx_files.apart(a, b)
        if not np.isfinite(error):
            return float("inf"), outputs[index]["name"]
        if error > worst:
            worst, name = error, outputs[index]["name"]
    return worst, name
