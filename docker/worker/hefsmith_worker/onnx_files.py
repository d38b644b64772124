"""ONNX files: read, check, make static, describe, run."""

from __future__ import annotations

import contextlib
import filecmp
import shutil
import threading
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import numpy as np

from hefsmith_worker.contract import names
from hefsmith_worker.onnx_external import external_files
from hefsmith_worker.protocol import StageError

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import NetworkFacts, TensorFacts

Shapes = Mapping[str, Tuple[int, ...]]

#: Whose operators ONNX Runtime has.
_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))

#: Fixed, so that a container with fewer cores gives the same bytes.
THREADS = 2

#: What one sample may take; the largest networks of the Model Zoo take some seconds.
SAMPLE_SECONDS = 300.0

#: ONNX Runtime 1.32 computes Transpose and MatMul by a vector wrongly when it fuses them, which
#: is how some heads decode distances.
WRONG_OPTIMIZERS = ("MatmulTransposeFusion",)


def load(path: Path) -> Any:
    """Return the model of a file, with weights that lie beside it. Raises :class:`StageError`."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
        for name in located(model):
            fault = names.fault(name)
            if fault is not None:
                raise StageError(
                    "%s keeps weights in a file whose name %s: %s"
                    % (path.name, fault, names.shown(name)),
                    code="onnx.external-data",
                    fix="If you do not know who made the file, do not use it.",
                )
            if not (path.parent / name).is_file():
                raise _not_beside(path.name, name)
        onnx.load_external_data_for_model(model, str(path.parent))
    except (DecodeError, ValueError) as error:
        raise StageError(
            "%s is not an ONNX model: %s" % (path.name, _first_line(error)),
            code="onnx.unreadable",
            fix="Check that it was downloaded whole (a Git LFS pointer is a small text file).",
        )
    except OSError as error:
        raise StageError(
            "%s cannot be read: %s" % (path.name, _first_line(error)),
            code="onnx.external-data",
            fix="Weights in files beside the model must lie in the same folder.",
        )
    return model


def copy_onnx(source: Path, target: Path) -> None:
    """Copy an ONNX file, and the files beside it that hold its weights.

    Raises :class:`StageError` for weights that are not beside it, or would overwrite anything.
    """
    if not source.is_file():
        raise StageError("%s does not exist" % source.name, code="export.missing")
    shutil.copyfile(str(source), str(target))
    # Weights may lie in files beside the model.
    for name in external_files(source):
        beside = source.parent / name if names.fault(name) is None else None
        if beside is None or len(names.parts(name)) > 1 or not beside.is_file():
            raise _not_beside(source.name, name)
        _copy_new(beside, target.parent / name)


def _not_beside(model: str, name: str) -> StageError:
    return StageError(
        "%s keeps weights in %s, which is not beside it" % (model, names.shown(name)),
        code="onnx.external-data",
        fix="Put the file into the model's own folder, or save the model as one file.",
    )


@contextlib.contextmanager
def called(name: str, copy: Path) -> Iterator[None]:
    """Tell what is wrong with a copy under the name of the file that the user gave."""
    try:
        yield
    except StageError as error:
        if name == copy.name or not error.message.startswith(copy.name + " "):
            raise
        told = name + error.message[len(copy.name) :]
        raise StageError(told, code=error.code, fix=error.fix)


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


def located(message: Any) -> Iterator[str]:
    """Yield the name of every file that weights are said to lie in, wherever in the graph."""
    if message.DESCRIPTOR.name == "TensorProto":
        for entry in message.external_data:
            if entry.key == "location":
                yield entry.value
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            # One message, or many of them.
            for inner in (value,) if hasattr(value, "DESCRIPTOR") else value:
                yield from located(inner)


def checked(path: Path, shapes: Shapes) -> Any:
    """Return the model, valid, with static shapes inferred.

    ``shapes`` are those of the recipe (NCHW): they fill dimensions that the file leaves open
    and must agree with those that it states. Raises :class:`StageError`.
    """
    import onnx

    model = load(path)
    if not model.graph.node:
        raise StageError("%s has no operations in it" % path.name, code="onnx.empty")
    _refuse_custom(model)
    _set_shapes(model, shapes)
    _infer_outputs(model)
    try:
        onnx.checker.check_model(model)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StageError(
            "%s is not valid ONNX: %s" % (path.name, _first_line(error)), code="onnx.invalid"
        )
    return model


def is_custom(node: Any, own: Set[Tuple[str, str]]) -> bool:
    """Tell whether an operator is neither ONNX's nor of the model's ``own`` functions."""
    return node.domain not in _DOMAINS and (node.domain, node.op_type) not in own


def _refuse_custom(model: Any) -> None:
    """Raise for operators that are somebody's own: neither a runtime nor a compiler has them."""
    own = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        if is_custom(node, own):
            raise StageError(
                "the operator %s of %s is not one of ONNX's own" % (node.op_type, node.domain),
                code="onnx.custom-op",
                fix="Export the network with standard operators only, or end the graph before it.",
            )


def _infer_outputs(model: Any) -> None:
    """Give outputs the shapes that follow from the inputs, where a file leaves them out.

    Runtimes take such files; ONNX's own checker does not.
    """
    import onnx

    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return
    with contextlib.suppress(onnx.shape_inference.InferenceError):
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
        known = {value.name: value.type for value in inferred.graph.output}
        for value in model.graph.output:
            value.type.CopyFrom(known[value.name])


def network_inputs(graph: Any) -> List[Any]:
    """Return the graph's inputs without initializers, which old exporters list as well."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def constants_of(graph: Any) -> Dict[str, Any]:
    """Return the tensors that are written in a graph by name, those of ``Constant`` nodes too."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


def _set_shapes(model: Any, shapes: Shapes) -> None:
    known = {value.name: value for value in network_inputs(model.graph)}
    for name in shapes:
        if name not in known:
            raise StageError(
                "the network has no input %r; it has: %s" % (name, ", ".join(known)),
                code="onnx.input-name",
                fix="Use these names under inputs: in the recipe.",
            )
    for name, value in known.items():
        _set_sides(name, value.type.tensor_type.shape.dim, shapes.get(name))


def _set_sides(name: str, dims: Any, wanted: Optional[Sequence[int]]) -> None:
    """Fill in the sides that an input leaves open; refuse what cannot be, or be known."""
    if wanted is not None and len(wanted) != len(dims):
        raise StageError(
            "input %s has %d dimensions, the recipe gives %d: %s"
            % (name, len(dims), len(wanted), list(wanted)),
            code="onnx.input-shape",
        )
    for index, dim in enumerate(dims):
        fixed = dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        if wanted is not None and fixed not in (None, wanted[index]):
            raise StageError(
                "input %s is %s in the file, %s in the recipe"
                % (name, _shape_text(dims), list(wanted)),
                code="onnx.input-shape",
                fix="Export the model again with the shape that you want.",
            )
        if fixed is not None:
            continue
        if wanted is not None:
            dim.dim_value = wanted[index]
        elif index == 0 and len(dims) > 1:
            # A batch that was left open is one here; other sides cannot be guessed.
            dim.dim_value = 1
        else:
            raise StageError(
                "input %s has a dynamic shape: %s" % (name, _shape_text(dims)),
                code="onnx.dynamic",
                fix="Hailo needs fixed shapes. Write inputs: {%s: [1, C, H, W]} in the "
                "recipe, or export with fixed sizes." % name,
            )


def _shape_text(dims: Any) -> str:
    return "[%s]" % ", ".join(
        str(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or "?") for dim in dims
    )


def save(model: Any, path: Path) -> None:
    """Write the model as one file, deterministically."""
    import onnx

    try:
        path.write_bytes(model.SerializeToString(deterministic=True))
    except ValueError:
        # Over 2 GiB, protobuf's limit: the weights go into one file beside it.
        onnx.save(model, str(path), save_as_external_data=True, location=path.name + ".data")


def describe(model: Any) -> NetworkFacts:
    """Return opset, inputs, outputs (name, shape) and the count of parameters."""
    opset = max(
        (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        default=0,
    )
    return {
        "opset": opset,
        "inputs": [_value(value) for value in network_inputs(model.graph)],
        "outputs": [_value(value) for value in model.graph.output],
        "parameters": int(
            sum(
                int(np.prod(tensor.dims)) if tensor.dims else 1
                for tensor in model.graph.initializer
            )
        ),
        "producer": ("%s %s" % (model.producer_name, model.producer_version)).strip(),
    }


def _value(value: Any) -> TensorFacts:
    dims = value.type.tensor_type.shape.dim
    return {
        "name": value.name,
        "shape": [dim.dim_value if dim.HasField("dim_value") else None for dim in dims],
    }


def check_loads(path: Path) -> None:
    """Raise what ONNX Runtime says of a file that it cannot take; nothing is optimised for that."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Session:
    """Runs an ONNX model in float on the CPU."""

    def __init__(self, model: Any, outputs: Optional[Sequence[str]] = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = str(model) if isinstance(model, (str, Path)) else model
        self._session = onnxruntime.InferenceSession(
            source,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(WRONG_OPTIMIZERS),
        )
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = (
            list(outputs) if outputs else [value.name for value in self._session.get_outputs()]
        )

    def run(self, sample: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Return the outputs for one sample of named (1, ...) arrays.

        Raises :class:`StageError` for a network that is not done in :data:`SAMPLE_SECONDS`: an
        ONNX file can hold a Loop without end.
        """
        import onnxruntime

        limits = onnxruntime.RunOptions()
        late = threading.Event()

        def end() -> None:
            late.set()
            limits.terminate = True

        alarm = threading.Timer(SAMPLE_SECONDS, end)
        alarm.daemon = True
        alarm.start()
        try:
            result: List[np.ndarray] = self._session.run(self.outputs, dict(sample), limits)
        except Exception:
            if not late.is_set():
                raise
            raise StageError(
                "the network did not finish one sample within %d s" % SAMPLE_SECONDS,
                code="onnx.endless",
                fix="Does it have a Loop that never ends? Look at it in Netron.",
            )
        finally:
            alarm.cancel()
        return result


def with_outputs(model: Any, tensors: Sequence[str]) -> bytes:
    """Return the model, serialised, with inner tensors as its outputs."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for name in tensors:
        copy.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    serialised: bytes = copy.SerializeToString()
    return serialised


def tensors_of_nodes(model: Any, nodes: Sequence[str]) -> List[str]:
    """Return the first output of each named node, in order."""
    by_name = {node.name: node.output[0] for node in model.graph.node if node.name}
    produced = {output for node in model.graph.node for output in node.output}
    found = []
    for name in nodes:
        if name in by_name:
            found.append(by_name[name])
        elif name in produced:
            found.append(name)
        else:
            raise StageError(
                "the network has no node %r" % name,
                code="parse.end-node",
                fix="Names follow the exporter; hef inspect MODEL.onnx lists what was found.",
            )
    return found


def largest_difference(left: Any, right: Any) -> float:
    """Return max |left - right| / max |left| over all outputs on seeded noise."""
    noise = np.random.RandomState(0)
    sample = {
        value["name"]: noise.uniform(0, 1, [side or 1 for side in value["shape"]]).astype(
            np.float32
        )
        for value in describe(left)["inputs"]
    }
    a, b = (Session(model.SerializeToString()).run(sample) for model in (left, right))
    if len(a) != len(b):
        return float("inf")
    return max([0.0, *(apart(x, y) for x, y in zip(a, b))])


def apart(left: np.ndarray, right: np.ndarray) -> float:
    """Return max |left - right| / max |left|, which is endless where the shapes differ."""
    if left.shape != right.shape:
        return float("inf")
    if not left.size:
        return 0.0
    return float(np.max(np.abs(left - right))) / max(float(np.max(np.abs(left))), 1e-12)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    if text and text[0].rstrip().endswith(":"):
        # The line announces the others.
        return " ".join(" ".join(text).split())[:200]
    return text[0] if text else type(error).__name__
