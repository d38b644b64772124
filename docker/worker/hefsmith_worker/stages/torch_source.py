"""Make a torch network from the user's file and checkpoint, run it, and export it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from hefsmith_worker import onnx_files
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import INFO
from hefsmith_worker.contract.options import KNOWN_OPSETS
from hefsmith_worker.golden import GoldenWriter, joined
from hefsmith_worker.onnx_tokens import as_tokens
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import (
    absent,
    checkpoint,
    spared,
    steady_norm,
    torchvision_ops,
    user_code,
)
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import TensorFacts

#: What the dynamo exporter notes of the code behind a node ends with this.
TRACE = ".stack_trace"


def load_module(workspace: Workspace, source: Mapping[str, Any]) -> Any:
    """Return the network with its weights, in evaluation mode, on the CPU."""
    import torch

    torch.manual_seed(workspace.plan.seed)
    if hasattr(torch.backends, "mha"):
        # In evaluation encoders take a path of one operator that ONNX does not have.
        torch.backends.mha.set_fastpath_enabled(False)
    code = module = None
    if source.get("file"):
        code, module = _made(workspace, source)
    if source.get("weights"):
        path = workspace.plan.input(source["weights"])
        loaded = checkpoint.load(
            path, bool(source.get("trust_pickle")), code, boxed=workspace.boxed
        )
        if module is None:
            module = checkpoint.network_in(loaded, source["weights"])
        else:
            _fit(module, loaded, source["weights"])
    if module is None:
        msg = "the source names neither code nor weights"
        raise StageError(msg, code="export.no-network")
    return _ready_for_export(module.float().eval())


def _ready_for_export(module: Any) -> Any:
    """Put a network of Ultralytics into the form that its own exporter gives it.

    Layers are fused and the head returns its predictions alone. Other networks stay as they are.
    """
    if not type(module).__module__.startswith("ultralytics."):
        return module
    module = module.fuse(verbose=False)
    for layer in module.modules():
        if type(layer).__module__.startswith("ultralytics.") and hasattr(layer, "export"):
            layer.export = True
            layer.format = "onnx"
            layer.dynamic = False
    return module


def _made(workspace: Workspace, source: Mapping[str, Any]) -> Tuple[Any, Any]:
    """Return the user's code as a module, and the network that it makes."""
    with spared.downloads(bool(source.get("weights"))) as imported:
        code = _import_code(workspace, source)
        imported()
        return code, _call_factory(workspace, code, source)


def _import_code(workspace: Workspace, source: Mapping[str, Any]) -> Any:
    """Return the user's file as a module; its folder is importable from then on."""
    file = workspace.plan.input(source["file"])
    if not file.is_file():
        raise StageError("%s does not exist" % source["file"], code="export.factory-missing")
    module = str(source.get("module") or "")
    if not (file.parent / (module.partition(".")[0] + ".py")).is_file():
        # model/model.py would be found in place of the folder model.
        sys.path.insert(0, str(file.parent))
    if module:
        # Code in packages is imported from above them, as its owner does it.
        sys.path.insert(0, str(file.parents[module.count(".")]))

    def execute() -> Any:
        if module:
            return importlib.import_module(module)
        spec = importlib.util.spec_from_file_location(file.stem, str(file))
        assert spec is not None
        assert spec.loader is not None
        code = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = code
        spec.loader.exec_module(code)
        return code

    try:
        return _of_user(workspace, execute, file, module)
    except (Exception, SystemExit) as error:
        raise StageError(
            "%s cannot be imported: %s" % (file.name, user_code.told(error, file)),
            code="export.factory-import",
            fix=user_code.step_after(error, file),
        )


def _of_user(workspace: Workspace, run: Callable[[], Any], file: Path, module: str) -> Any:
    """Run code of the user's in the folder that it is imported from, as its owner runs it."""
    folder = file.parents[module.count(".")]
    with user_code.at_home(folder):
        made, without = absent.standing_in(lambda: torchvision_ops.retrying(run), folder)
    if without:
        workspace.channel.finding(
            "export.package-absent",
            INFO,
            "the code imports packages that are not here (%s): the export would end where the "
            "network needed one" % ", ".join(without),
        )
    return made


def _call_factory(workspace: Workspace, code: Any, source: Mapping[str, Any]) -> Any:
    import torch

    file = Path(str(code.__file__))
    where = "%s:%s" % (file.name, source["factory"])
    factory = getattr(code, source["factory"], None)
    if isinstance(factory, torch.nn.Module):
        if source.get("kwargs"):
            raise StageError(
                "%s is a network already, and takes no kwargs" % where, code="export.factory-type"
            )
        return factory
    if not callable(factory):
        names = sorted(
            name
            for name, value in vars(code).items()
            if callable(value) and getattr(value, "__module__", None) == code.__name__
        )
        raise StageError(
            "%s has no function %s" % (file.name, source["factory"]),
            code="export.factory-missing",
            fix="It has: %s" % (", ".join(names) or "nothing that can be called"),
        )

    def make() -> Any:
        return absent.real(factory(**source.get("kwargs", {})))

    try:
        module = _of_user(workspace, make, file, code.__name__)
    except (Exception, SystemExit) as error:
        missing = absent.missed(error)
        raise StageError(
            "%s raised %s" % (where, user_code.told(missing or error, file)),
            code="export.factory-import" if missing else "export.factory-raised",
            fix=user_code.arguments_of(factory, source.get("kwargs", {}), error)
            or user_code.step_after(missing or error, file)
            or user_code.made_elsewhere(factory, file),
        )
    if not isinstance(module, torch.nn.Module):
        raise StageError(
            "%s returned %s, not a torch.nn.Module" % (where, type(module).__name__),
            code="export.factory-type",
        )
    return module


def shapes_of(workspace: Workspace, source: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Return the shapes of a network's parameters and buffers, without any weights."""
    _, module = _made(workspace, source)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def weight_shapes(
    workspace: Workspace, source: Mapping[str, Any], own: Mapping[str, Any]
) -> Dict[str, Tuple[int, ...]]:
    """Return the shapes of the weights, by the names that a network's ``own`` tensors have."""
    path = workspace.plan.input(source["weights"])
    code = _import_code(workspace, source)
    loaded = checkpoint.load(path, bool(source.get("trust_pickle")), code, boxed=workspace.boxed)
    return {key: tuple(value.shape) for key, value in _named_as(own, loaded).items()}


def _named_as(own: Mapping[str, Any], loaded: Any) -> Dict[str, Any]:
    """Return the tensors of a checkpoint without the prefixes that wrappers gave them all."""
    given = checkpoint.state_of(loaded)
    if isinstance(loaded, dict) and not any(key in own for key in given):
        # Of several networks in one file, as of a generator and its critic, it is the one asked.
        others = [state for _, state in checkpoint.named_states(loaded, _is_tensor)]
        given = next((one for one in others if own.keys() <= one.keys()), given)
    state = {key: value for key, value in given.items() if key not in checkpoint.WRAPPERS_OWN}
    plain = dict(given) if any(key in own for key in given) else dict(state)
    # Under whatever name: a network of Lightning calls it model, net, encoder or as it likes.
    while state and not any(key in own for key in state):
        roots = {key.partition(".")[0] for key in state}
        if len(roots) != 1 or not all("." in key for key in state):
            return plain
        (root,) = roots
        state = {key[len(root) + 1 :]: value for key, value in state.items()}
    return dict(state)


def _is_tensor(value: Any) -> bool:
    import torch

    return bool(torch.is_tensor(value))


def _fit(module: Any, loaded: Any, name: str) -> None:
    """Load the weights into the network; every name and shape must match."""
    own = module.state_dict()
    state = _named_as(own, loaded)
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        "%s is %s in the weights, %s in the network"
        % (key, list(state[key].shape), list(own[key].shape))
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    # Counters of batch normalisation do not take part in inference.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    extra = [key for key in extra if not key.endswith("num_batches_tracked")]
    if missing or extra or shapes:
        parts = []
        if shapes:
            parts.append("; ".join(shapes[:3]))
        if missing:
            parts.append("%d missing (%s)" % (len(missing), ", ".join(missing[:3])))
        if extra:
            parts.append("%d unknown to the network (%s)" % (len(extra), ", ".join(extra[:3])))
        told = "the weights %s do not fit the network: %s" % (name, "; ".join(parts))
        package = absent.held_by(module)
        if package:
            raise StageError(
                "%s. A part of the network is of %s, which is not here" % (told, package),
                code="export.part-absent",
                fix=user_code.line_for(package) + ".",
            )
        raise StageError(
            told,
            code="export.weights-fit",
            fix="Check that the factory and its kwargs build the network that was trained.",
        )
    module.load_state_dict(state, strict=False)


def export(
    module: Any, shapes: Dict[str, Tuple[int, ...]], wanted: Mapping[str, Any], target: Path
) -> None:
    """Export the network to ONNX with the exporter and opset that the recipe asks for."""
    import torch

    arguments = tuple(torch.zeros(shape) for shape in shapes.values())
    _check_arity(module, len(arguments))
    try:
        with torch.no_grad():
            module(*arguments)
    except Exception as error:
        missing = absent.missed(error)
        if missing is not None:
            raise StageError(
                "the network needs %s to answer, and it is not here" % missing.name,
                code="export.factory-import",
                fix=user_code.line_for(str(missing.name)) + ".",
            )
        raise StageError(
            "the network does not take inputs of shape %s: %s: %s"
            % (
                ", ".join("%s %s" % (name, list(shape)) for name, shape in shapes.items()),
                type(error).__name__,
                checkpoint.first_line(error),
            ),
            code="export.shape",
            fix="Check inputs: in the recipe; shapes are (1, C, H, W).",
        )
    dynamo = wanted["exporter"] == "dynamo"
    options: Dict[str, object] = {
        "input_names": list(shapes),
        "opset_version": int(wanted["opset"]),
        "dynamo": dynamo,
    }
    if dynamo:
        options.update(external_data=False, verbose=False)
    try:
        with warnings.catch_warnings(), torch.no_grad(), steady_norm.steady(module, arguments):
            # The exporters warn about themselves (deprecations); findings come from us.
            warnings.simplefilter("ignore")
            torch.onnx.export(module, arguments, str(target), **options)
    except Exception as error:
        raise StageError(
            "the %s exporter failed: %s: %s"
            % (wanted["exporter"], type(error).__name__, checkpoint.first_line(error)),
            code="export.exporter",
            fix="Try export: {%s}." % _other_export(str(error), dynamo),
        )
    if dynamo:
        _drop_traces(target)
    _check_sound(target, wanted["exporter"])


def _check_sound(target: Path, exporter: str) -> None:
    """Refuse what ONNX Runtime cannot load: exporters write some networks in ways that are none."""
    try:
        onnx_files.check_loads(target)
    except Exception as error:
        raise StageError(
            "the %s exporter wrote a file that is not valid ONNX: %s"
            % (exporter, checkpoint.first_line(error)),
            code="export.exporter",
            fix="Try export: {%s}." % _other_export("", exporter == "dynamo"),
        )


def _other_export(said: str, dynamo: bool) -> str:
    """Return what to export with instead; the exporter may name the opset that it needs."""
    if dynamo:
        return "exporter: legacy"
    later = re.search(r"added in version (\d+)", said)
    known = later is not None and int(later.group(1)) <= KNOWN_OPSETS[1]
    return "opset: %s" % later.group(1) if later and known else "exporter: dynamo, opset: 18"


def _drop_traces(target: Path) -> None:
    """Take out where in the code each node came from, which the dynamo exporter notes.

    Those are folders of this machine: the same network would give other bytes on every one.
    """
    import onnx

    model = onnx.load(str(target))
    pending = [model.graph, *model.functions]
    while pending:
        for node in pending.pop().node:
            kept = [entry for entry in node.metadata_props if not entry.key.endswith(TRACE)]
            del node.metadata_props[:]
            node.metadata_props.extend(kept)
            for attribute in node.attribute:
                pending.extend([attribute.g, *attribute.graphs])
    onnx.save(model, str(target))


def _check_arity(module: Any, given: int) -> None:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in plain if p.default is p.empty]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return
    if not len(needed) <= given <= len(plain):
        raise StageError(
            "the network takes %s (%s), the recipe gives %d"
            % (counted(len(needed), "input"), ", ".join(p.name for p in needed), given),
            code="export.inputs",
            fix="Name each in the recipe, in order: inputs: {%s}. An argument that is not a "
            "tensor needs a default in forward." % shapes_to_fill([p.name for p in needed]),
        )


def shapes_to_fill(names: Sequence[str]) -> str:
    """Return ``inputs:`` of a recipe for the arguments of ``forward``, with open sides."""
    return ", ".join("%s: [1, C, H, W]" % name for name in names)


def run(
    module: Any, inputs: List[TensorFacts], golden: GoldenWriter, tokens: Sequence[str] = ()
) -> List[np.ndarray]:
    """Return the network's outputs on the golden samples, one (N, ...) array per output.

    ``tokens`` are the inputs that the network takes as (1, L, C), and the build as (1, C, 1, L).
    """
    names = [entry["name"] for entry in inputs]
    return joined(
        answers(
            module, [as_tokens(sample[name]) if name in tokens else sample[name] for name in names]
        )
        for sample in golden.float_samples(names)
    )


def answers(module: Any, arrays: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Return the network's outputs, in the order in which the exporters see them."""
    import torch

    # numpy keeps whatever stride a side of 1 has, and torch takes a gray picture that was turned
    # for one with its channels last: its answers are then laid out so, and `view` fails on them.
    plain = [
        torch.from_numpy(array).clone(memory_format=torch.contiguous_format) for array in arrays
    ]
    with torch.no_grad():
        outputs = flatten(module(*plain))
    return [output.detach().float().numpy() for output in outputs]


def flatten(value: Any) -> List[Any]:
    """Return the tensors of a nested result in the order in which the exporters see them."""
    import torch

    if torch.is_tensor(value):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in flatten(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in flatten(item)]
    return []
