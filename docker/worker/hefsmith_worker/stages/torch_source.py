"""Load a torch network from the user's file and checkpoint, run it, and export it.

A checkpoint is a program: unpickling runs code. It is loaded with ``weights_only`` first; one
that needs more is refused unless the recipe says ``trust_pickle``, and the box around this
process has no network either way.
"""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from hefsmith_worker.golden import GoldenWriter
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

#: Where training tools keep the weights inside a checkpoint, tried in this order.
STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "ema_state_dict",
    "ema",
    "model",
    "net",
    "weights",
)

#: Prefixes that wrappers put before every name (data parallel, compile, Lightning).
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


def load_module(workspace: Workspace) -> Any:
    """Return the network with its weights, in evaluation mode, on the CPU."""
    import torch

    torch.manual_seed(workspace.plan.seed)
    source = workspace.plan.of("export")["source"]
    checkpoint = None
    if source.get("weights"):
        checkpoint = _load_checkpoint(
            workspace.plan.input(source["weights"]), bool(source.get("trust_pickle"))
        )
    if source.get("file"):
        module = _call_factory(workspace, source)
        if checkpoint is not None:
            _fit(module, checkpoint, source["weights"])
    else:
        module = _whole_module(checkpoint, source.get("weights") or "weights")
    return module.float().eval()


def _load_checkpoint(path: Path, trust_pickle: bool) -> Any:
    import torch

    if not path.is_file():
        raise StageError("the weights %s are not there" % path.name, code="export.weights-missing")
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        refused = error
    if _is_torchscript(path):
        return torch.jit.load(str(path), map_location="cpu")
    if (
        not isinstance(refused, pickle.UnpicklingError)
        or "weights_only" not in str(refused).lower()
    ):
        raise StageError(
            "%s is not a checkpoint that torch can read: %s" % (path.name, _first_line(refused)),
            code="export.weights-unreadable",
            fix="Save it again with torch.save(model.state_dict(), %r)." % path.name,
        )
    if not trust_pickle:
        raise StageError(
            "%s holds more than weights, and loading it would run the code inside: %s"
            % (path.name, _first_line(refused)),
            code="export.pickle-refused",
            fix="Save only the weights: torch.save(model.state_dict(), ...). If you trust the "
            "file, write source: {trust_pickle: true} in the recipe (Docker engine only).",
        )
    try:
        return torch.load(str(path), map_location="cpu", weights_only=False)
    except Exception as error:
        raise StageError(
            "%s cannot be unpickled: %s: %s"
            % (path.name, type(error).__name__, _first_line(error)),
            code="export.weights-unreadable",
            fix="The classes it was made of must be importable where the export runs.",
        )


def _is_torchscript(path: Path) -> bool:
    import zipfile

    if not zipfile.is_zipfile(str(path)):
        return False
    with zipfile.ZipFile(str(path)) as archive:
        return any(
            name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist()
        )


def _call_factory(workspace: Workspace, source: Dict[str, Any]) -> Any:
    import torch

    file = workspace.plan.input(source["file"])
    if not file.is_file():
        raise StageError("%s is not there" % source["file"], code="export.factory-missing")
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, str(file))
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = code
    where = "%s:%s" % (file.name, source["factory"])
    try:
        spec.loader.exec_module(code)
    except Exception as error:
        raise StageError(
            "%s cannot be imported: %s" % (file.name, _user_error(error, file)),
            code="export.factory-import",
        )
    factory = getattr(code, source["factory"], None)
    if not callable(factory):
        names = sorted(
            name
            for name, value in vars(code).items()
            if callable(value) and not name.startswith("_")
        )
        raise StageError(
            "%s has no function %s" % (file.name, source["factory"]),
            code="export.factory-missing",
            fix="It has: %s" % (", ".join(names) or "nothing that can be called"),
        )
    try:
        module = factory(**source.get("kwargs", {}))
    except Exception as error:
        raise StageError(
            "%s raised %s" % (where, _user_error(error, file)), code="export.factory-raised"
        )
    if not isinstance(module, torch.nn.Module):
        raise StageError(
            "%s returned %s, not a torch.nn.Module" % (where, type(module).__name__),
            code="export.factory-type",
        )
    return module


def _user_error(error: BaseException, file: Path) -> str:
    """Return an error of the user's code with the line of the user's file where it arose."""
    trace = error.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    where = " (%s:%d)" % (file.name, line) if line else ""
    return "%s: %s%s" % (type(error).__name__, _first_line(error), where)


def _state_of(checkpoint: Any) -> Tuple[Dict[str, Any], str]:
    """Find the mapping of names to tensors inside whatever a training tool has saved."""
    import torch

    if isinstance(checkpoint, torch.nn.Module):
        return dict(checkpoint.state_dict()), "module"
    if isinstance(checkpoint, dict):
        if checkpoint and all(torch.is_tensor(value) for value in checkpoint.values()):
            return checkpoint, "state_dict"
        for key in STATE_KEYS:
            inner = checkpoint.get(key)
            if isinstance(inner, torch.nn.Module):
                return dict(inner.state_dict()), key
            if isinstance(inner, dict) and any(torch.is_tensor(v) for v in inner.values()):
                return {name: v for name, v in inner.items() if torch.is_tensor(v)}, key
        tensors = {name: v for name, v in checkpoint.items() if torch.is_tensor(v)}
        if tensors:
            return tensors, "state_dict"
        raise StageError(
            "the checkpoint has no weights under any known key; it has: %s"
            % ", ".join(map(str, list(checkpoint)[:12])),
            code="export.weights-shape",
        )
    raise StageError(
        "the checkpoint is a %s, not weights" % type(checkpoint).__name__,
        code="export.weights-shape",
    )


def _fit(module: Any, checkpoint: Any, name: str) -> None:
    """Load the weights into the network; every name and shape must match."""
    state, _ = _state_of(checkpoint)
    own = module.state_dict()
    for prefix in PREFIXES:
        if (
            state
            and all(key.startswith(prefix) for key in state)
            and not any(key in own for key in state)
        ):
            state = {key[len(prefix) :]: value for key, value in state.items()}
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
        raise StageError(
            "the weights %s do not fit the network: %s" % (name, "; ".join(parts)),
            code="export.weights-fit",
            fix="Check that the factory and its kwargs build the network that was trained.",
        )
    module.load_state_dict(state, strict=False)


def _whole_module(checkpoint: Any, name: str) -> Any:
    """Return the network that a trusted pickle or a TorchScript file holds whole."""
    import torch

    if isinstance(checkpoint, torch.nn.Module):
        return checkpoint
    if isinstance(checkpoint, dict):
        for key in ("ema", "model", "net"):
            if isinstance(checkpoint.get(key), torch.nn.Module):
                return checkpoint[key]
    raise StageError(
        "%s holds weights but no network" % name,
        code="export.no-network",
        fix='Name the function that builds it: source: {torch: "model.py:build", weights: %s}'
        % name,
    )


def export(
    module: Any, shapes: Dict[str, Tuple[int, ...]], wanted: Dict[str, Any], target: Path
) -> None:
    """Export the network to ONNX with the exporter and opset that the recipe asks for."""
    import torch

    arguments = tuple(torch.zeros(shape) for shape in shapes.values())
    _check_arity(module, len(arguments))
    try:
        with torch.no_grad():
            module(*arguments)
    except Exception as error:
        raise StageError(
            "the network does not take inputs of shape %s: %s: %s"
            % (
                ", ".join("%s %s" % (name, list(shape)) for name, shape in shapes.items()),
                type(error).__name__,
                _first_line(error),
            ),
            code="export.shape",
            fix="Check inputs: in the recipe; shapes are (1, C, H, W).",
        )
    dynamo = wanted["exporter"] == "dynamo"
    options: Dict[str, Any] = {
        "input_names": list(shapes),
        "opset_version": int(wanted["opset"]),
        "dynamo": dynamo,
    }
    if dynamo:
        options.update(external_data=False, verbose=False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporters warn about themselves (deprecations); findings come from us.
            warnings.simplefilter("ignore")
            torch.onnx.export(module, arguments, str(target), **options)
    except Exception as error:
        raise StageError(
            "the %s exporter failed: %s: %s"
            % (wanted["exporter"], type(error).__name__, _first_line(error)),
            code="export.exporter",
            fix="Try export: {exporter: %s}." % ("legacy" if dynamo else "dynamo, opset: 18"),
        )


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
            "the network takes %d inputs (%s), the recipe gives %d"
            % (len(needed), ", ".join(p.name for p in needed), given),
            code="export.inputs",
        )


def run(module: Any, inputs: List[Dict[str, Any]], golden: GoldenWriter) -> List[np.ndarray]:
    """Return the network's outputs on the golden samples, one (N, ...) array per output."""
    import torch

    collected: List[List[np.ndarray]] = []
    with torch.no_grad():
        for sample in golden.float_samples([entry["name"] for entry in inputs]):
            arguments = [torch.from_numpy(sample[entry["name"]]) for entry in inputs]
            outputs = _flatten(module(*arguments))
            if not collected:
                collected = [[] for _ in outputs]
            for store, output in zip(collected, outputs):
                store.append(output.detach().float().numpy())
    return [np.concatenate(store) for store in collected]


def _flatten(value: Any) -> List[Any]:
    """Return the tensors of a nested result in the order in which the exporters see them."""
    import torch

    if torch.is_tensor(value):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _flatten(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _flatten(item)]
    return []


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
