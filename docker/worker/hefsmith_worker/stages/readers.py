"""How networks of each framework become ``model.onnx``: one row of :data:`READERS` each.

The stages export and samples ask for the reader of a source's framework, and for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from hefsmith_worker.contract import sources
from hefsmith_worker.contract.layout import ONNX

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from hefsmith_worker.contract.documents import NetworkFacts
    from hefsmith_worker.golden import GoldenWriter
    from hefsmith_worker.workspace import Workspace

#: Inputs of a network as the recipe names them, and their shapes.
Shapes = Mapping[str, Tuple[int, ...]]


class Brought(NamedTuple):
    """What a reader made: ``model.onnx`` is written, ``network`` is kept for the samples.

    ``exporter`` wrote the file, ``mends`` says in sentences what was changed in it.
    ``write_map`` gets the finished model where another file goes to the compiler: that file is
    to stay as it is, so nothing is simplified then.
    """

    exporter: str
    network: Any = None
    mends: Tuple[str, ...] = ()
    write_map: Optional[Callable[[Any], None]] = None


class Reader(NamedTuple):
    """One framework: its name for people, and that of its step in a report.

    ``bring`` writes the ONNX file. ``answer`` gives what the network itself says to the samples,
    of the one that export kept or, where that was another job, of a new one; a network that is
    ONNX already has none.
    """

    title: str
    step: str
    bring: Callable[[Workspace, Mapping[str, Any], Shapes, Path], Brought]
    answer: Optional[
        Callable[[Workspace, Mapping[str, Any], NetworkFacts, GoldenWriter], List[np.ndarray]]
    ] = None


def reader_of(source: Mapping[str, Any]) -> Reader:
    """Return the reader of a source of the plan."""
    return READERS[sources.BY_NAME[source["kind"]].framework]


def _bring_torch(
    workspace: Workspace, wanted: Mapping[str, Any], shapes: Shapes, target: Path
) -> Brought:
    from hefsmith_worker import onnx_files, onnx_tokens
    from hefsmith_worker.stages import torch_source

    module = torch_source.load_module(workspace, wanted["source"])
    torch_source.export(module, dict(shapes), wanted, target)
    model = onnx_files.load(target)
    mends = onnx_tokens.take_tokens(model, shapes)
    if mends:
        # Shapes of inner values are inferred anew.
        del model.graph.value_info[:]
        onnx_files.save(model, target)
    for text in mends:
        workspace.channel.finding("onnx.tokens", "info", text)
    return Brought(wanted["exporter"], module, tuple(mends))


def _answer_torch(
    workspace: Workspace, source: Mapping[str, Any], facts: NetworkFacts, golden: GoldenWriter
) -> List[np.ndarray]:
    import onnx

    from hefsmith_worker import onnx_tokens
    from hefsmith_worker.stages import torch_source

    exported = onnx.load(str(workspace.needed(ONNX, "export")), load_external_data=False)
    module = workspace.network
    if module is None:
        module = torch_source.load_module(workspace, source)
    return torch_source.run(module, facts["inputs"], golden, onnx_tokens.with_axis(exported))


def _bring_tensorflow(
    workspace: Workspace, wanted: Mapping[str, Any], _: Shapes, target: Path
) -> Brought:
    from hefsmith_worker.stages import tensorflow_source

    network = tensorflow_source.prepare(workspace, wanted, target)
    return Brought("tf2onnx", network, write_map=network.write_map)


def _answer_tensorflow(
    workspace: Workspace, source: Mapping[str, Any], facts: NetworkFacts, golden: GoldenWriter
) -> List[np.ndarray]:
    from hefsmith_worker.stages import tensorflow_source

    network = workspace.network or tensorflow_source.reopened(workspace, source)
    answers: List[np.ndarray] = network.run(golden, facts["outputs"])
    return answers


def _bring_onnx(
    workspace: Workspace, wanted: Mapping[str, Any], shapes: Shapes, target: Path
) -> Brought:
    """Copy the file; what was made for another runtime is turned into what the compiler takes."""
    from hefsmith_worker import onnx_files, onnx_forms

    given = workspace.plan.input(wanted["source"]["file"])
    onnx_files.copy_onnx(given, target)
    with onnx_files.called(given.name, target):
        model, changes = onnx_forms.bring_into_form(target, dict(shapes))
    if changes:
        onnx_files.save(model, target)
    for change in changes:
        workspace.channel.finding(change.code, "info", change.message)
    return Brought("none", mends=tuple(change.message for change in changes))


READERS: Dict[str, Reader] = {
    sources.TORCH: Reader("torch", "pytorch", _bring_torch, _answer_torch),
    sources.TENSORFLOW: Reader("TensorFlow", "tensorflow", _bring_tensorflow, _answer_tensorflow),
    "": Reader("ONNX", "onnx", _bring_onnx),
}
