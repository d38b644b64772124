"""TensorFlow networks: one ``model.tflite`` for the SDK, and an ONNX of it to look at.

The SDK's own TensorFlow translator takes TFLite, so Keras models and SavedModels are converted
to it first. The ONNX file shows the same network to the graph analysis and is one of the steps
that are compared; what the chip gets comes from the TFLite file alone.

Needs TensorFlow and tf2onnx (the extra ``tensorflow``); nothing else of the worker does.
"""

from __future__ import annotations

import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from hefsmith_worker import onnx_files
from hefsmith_worker.contract.layout import TFLITE, TFLITE_MAP
from hefsmith_worker.contract.names import shown
from hefsmith_worker.golden import GoldenWriter, joined, to_nchw, to_nhwc
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages.tensorflow_code import code_in_keras, code_in_saved_model
from hefsmith_worker.tflite_convert import quieten, to_onnx
from hefsmith_worker.tflite_file import TfliteError, TfliteNetwork, plain_name, read_network
from hefsmith_worker.workspace import Workspace

INSTALL = 'pip install "hefsmith[tensorflow]"'

#: Outputs of the ONNX file that are looked at together, so that memory stays small.
GROUP = 32


class TensorFlowSource:
    """The user's network: its TFLite file, and how to run what the user gave."""

    def __init__(
        self, workspace: Workspace, tflite: Path, network: TfliteNetwork, original: Any
    ) -> None:
        self._workspace = workspace
        self._tflite = tflite
        self._network = network
        self._original = original
        self.names = {tensor.name: plain_name(tensor.name) for tensor in network.inputs}
        if len(set(self.names.values())) < len(self.names):
            self.names = {tensor.name: tensor.name for tensor in network.inputs}

    def run(self, golden: GoldenWriter, outputs: Sequence[Mapping[str, Any]]) -> List[np.ndarray]:
        """Return the answers of TensorFlow on the golden samples, laid out as the ONNX outputs.

        A Keras model or SavedModel is run itself, and the TFLite file must answer the same.
        """
        lite = self._collect(_interpret(self._tflite, self._network, self.names), golden)
        if self._original is None:
            return [_as_onnx(array, entry) for array, entry in zip(lite, outputs)]
        answers = self._collect(self._original, golden)
        matched = []
        for index, array in enumerate(lite):
            errors = [onnx_files.apart(array, answer) for answer in answers]
            best = int(np.argmin(errors))
            if not errors[best] <= 1e-3:
                raise StageError(
                    "the TFLite file differs from the network that it was made of: output %d by "
                    "%.3g of its range" % (index, errors[best]),
                    code="export.tflite-parity",
                    fix="Convert it yourself with tf.lite.TFLiteConverter, and name the file: "
                    "source: {tflite: model.tflite}.",
                )
            matched.append(answers[best])
        return [_as_onnx(array, entry) for array, entry in zip(matched, outputs)]

    def _collect(self, network: Any, golden: GoldenWriter) -> List[np.ndarray]:
        answers = joined(
            network({name: _as_tflite(array) for name, array in sample.items()})
            for sample in golden.float_samples(list(self.names.values()))
        )
        return [np.asarray(answer, np.float32) for answer in answers]

    def write_map(self, model: Any) -> None:
        """Write which tensor of the TFLite file is which of the ONNX file.

        Names alone do not tell: a TFLite operation has its activation inside, the ONNX node of
        the same name has not. So the same noise goes through both, and values decide.
        """
        random = np.random.default_rng(0)
        sample = {
            value["name"]: random.standard_normal(
                [side or 1 for side in value["shape"]], dtype=np.float32
            )
            for value in onnx_files.describe(model)["inputs"]
        }
        lite = list(_all_tensors(self._tflite, self._network, self.names, sample))
        prints = {name: _fingerprint(array) for name, array in lite}
        tensors = {}
        for name, onnx_print in _onnx_tensors(model, sample):
            for candidate, own in prints.items():
                better = candidate not in tensors or name == candidate
                if (
                    better
                    and own[0] == onnx_print[0]
                    and np.allclose(own[1:], onnx_print[1:], rtol=1e-3, atol=1e-6)
                ):
                    tensors[candidate] = name
        ends = [value.name for value in model.graph.output]
        tensors.update(zip((tensor.name for tensor in self._network.outputs), ends))
        inputs = [
            {"tflite": one.name, "onnx": self.names[one.name], "shape": list(one.shape)}
            for one in self._network.inputs
        ]
        outputs = [tensor.name for tensor in self._network.outputs]
        document = {"inputs": inputs, "outputs": outputs, "tensors": tensors}
        self._workspace.announce("tflite-map", self._workspace.write_json(TFLITE_MAP, document))


def prepare(workspace: Workspace, wanted: Mapping[str, Any], target: Path) -> TensorFlowSource:
    """Write ``model.tflite`` and ``model.onnx``; return the source for comparing them."""
    tensorflow = _libraries()
    source = wanted["source"]
    given = workspace.plan.input(source["file"])
    tflite = workspace.path(TFLITE)
    original = None
    if source["kind"] == "tflite":
        shutil.copyfile(str(given), str(tflite))
    else:
        converter, original = _opened(tensorflow, given, source)
        try:
            with _quiet():
                tflite.write_bytes(converter.convert())
        except Exception as error:
            raise StageError(
                "%s cannot be converted to TFLite: %s" % (given.name, _first_line(error)),
                code="export.tflite-convert",
                fix="Hailo takes TensorFlow networks as TFLite. Take out what has no TFLite "
                "operation, or export to ONNX yourself.",
            )
    network = checked_network(tflite, given.name)
    found = TensorFlowSource(workspace, tflite, network, original)
    _write_onnx(tflite, network, found.names, int(wanted["opset"]), target)
    workspace.announce("tflite", tflite)
    return found


def reopened(workspace: Workspace, source: Mapping[str, Any]) -> TensorFlowSource:
    """Return the source for comparing, where an earlier job has written its TFLite file."""
    tensorflow = _libraries()
    tflite = workspace.needed(TFLITE, "export")
    given = workspace.plan.input(source["file"])
    original = None
    if source["kind"] != "tflite":
        _, original = _opened(tensorflow, given, source)
    return TensorFlowSource(workspace, tflite, checked_network(tflite, given.name), original)


def _opened(tensorflow: Any, given: Path, source: Mapping[str, Any]) -> Tuple[Any, Any]:
    """Return a converter to TFLite, and a function that runs the network itself."""
    trusted = bool(source.get("trust_pickle"))
    if not trusted:
        _refuse_code(given, source["kind"])
    return (_keras if source["kind"] == "keras" else _saved_model)(tensorflow, given, trusted)


def checked_network(path: Path, shown: str) -> TfliteNetwork:
    """Return the facts of a TFLite file; a quantised one is refused."""
    try:
        network = read_network(path)
    except TfliteError as error:
        raise StageError(str(error), code="export.tflite-unreadable")
    if network.quantised:
        raise StageError(
            "%s is quantised already (%d tensors, the first is %s): Hailo's compiler quantises "
            "the network itself, and needs it in floating point"
            % (shown, len(network.quantised), network.quantised[0]),
            code="export.tflite-quantised",
            fix="Convert it again without converter.optimizations, or with float16 only.",
        )
    return network


def _libraries() -> Any:
    """Return TensorFlow, or tell how to get it and what else is needed."""
    quieten()
    try:
        with _quiet():
            import tensorflow as tf
            import tf2onnx  # noqa: F401
    except ImportError as error:
        raise StageError(
            "a TensorFlow source needs TensorFlow and tf2onnx where the export runs (%s)" % error,
            code="export.tensorflow-missing",
            fix="%s, or use the Docker engine, which builds an image with them." % INSTALL,
        )
    return tf


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings about themselves (deprecations) to themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refuse_code(path: Path, kind: str) -> None:
    """Raise :class:`StageError` for a file that carries code; nothing of it is loaded."""
    look = code_in_keras if kind == "keras" else code_in_saved_model
    try:
        found = look(path)
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            "%s cannot be read as a network of %s: %s"
            % (path.name, "Keras" if kind == "keras" else "TensorFlow", _first_line(error)),
            code="export.%s-unreadable" % ("keras" if kind == "keras" else "saved-model"),
        )
    if found:
        raise StageError(
            "%s holds code, and loading it would run that: %s" % (path.name, shown(found)),
            code="export.keras-code" if kind == "keras" else "export.saved-model-code",
            fix="Save the network without it: Lambda layers as layers of Keras, layers of your "
            "own as a SavedModel, with model.export(folder). If you trust it, write source: "
            "{trust_pickle: true} (Docker engine only).",
        )


def _keras(tensorflow: Any, path: Path, trusted: bool) -> Tuple[Any, Any]:
    """Return a converter for a Keras file, and a function that runs the model."""
    options = {} if not trusted else {"safe_mode": False}
    try:
        with _quiet():
            model = tensorflow.keras.models.load_model(str(path), compile=False, **options)
    except Exception as error:
        unsafe = "unsafe" in str(error).lower() or "lambda" in str(error).lower()
        raise StageError(
            "%s cannot be loaded by Keras %s: %s"
            % (path.name, tensorflow.keras.__version__, _first_line(error)),
            code="export.keras-unreadable",
            fix="It holds Python code (a Lambda layer). If you trust it, write source: "
            "{trust_pickle: true} (Docker engine only)."
            if unsafe
            else "Layers of your own are not in the file: write a SavedModel with "
            "model.export(folder), and use source: {saved_model: folder}.",
        )
    names = [plain_name(str(value.name)) for value in model.inputs]
    # As a graph: layer by layer from Python it takes many times as long.
    call = tensorflow.function(lambda values: model(values, training=False))

    def run(sample: Dict[str, np.ndarray]) -> List[np.ndarray]:
        arrays = [tensorflow.constant(array) for array in _in_order(sample, names)]
        answers = call(arrays[0] if len(arrays) == 1 else arrays)
        return [np.asarray(one) for one in tensorflow.nest.flatten(answers)]

    with _quiet():
        return tensorflow.lite.TFLiteConverter.from_keras_model(model), run


def _saved_model(tensorflow: Any, path: Path, trusted: bool) -> Tuple[Any, Any]:  # noqa: ARG001
    """Return a converter for a SavedModel's folder, and a function that runs it."""
    try:
        with _quiet():
            loaded = tensorflow.saved_model.load(str(path))
            signatures = dict(loaded.signatures)
    except Exception as error:
        raise StageError(
            "%s cannot be loaded as a SavedModel: %s" % (path.name, _first_line(error)),
            code="export.saved-model-unreadable",
        )
    if "serving_default" not in signatures and len(signatures) != 1:
        raise StageError(
            "%s has no signature serving_default; it has: %s"
            % (path.name, ", ".join(sorted(signatures)) or "none"),
            code="export.saved-model-signature",
            fix="Save it with one: tf.saved_model.save(model, folder, signatures=...).",
        )
    key = "serving_default" if "serving_default" in signatures else next(iter(signatures))
    signature = signatures[key]
    names = list(signature.structured_input_signature[1])

    def run(sample: Dict[str, np.ndarray]) -> List[np.ndarray]:
        arrays = _in_order(sample, names)
        answers = signature(
            **{name: tensorflow.constant(array) for name, array in zip(names, arrays)}
        )
        # The function belongs to what was loaded, which must live as long.
        assert loaded is not None
        return [np.asarray(one) for one in answers.values()]

    with _quiet():
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(
            str(path), signature_keys=[key]
        )
    return converter, run


def _in_order(sample: Mapping[str, np.ndarray], names: Sequence[str]) -> List[np.ndarray]:
    """Return a sample's arrays in the order of ``names``, or as they come when names differ."""
    if set(names) == set(sample):
        return [sample[name] for name in names]
    return list(sample.values())


def _write_onnx(
    tflite: Path, network: TfliteNetwork, names: Mapping[str, str], opset: int, target: Path
) -> None:
    import onnx

    try:
        model = to_onnx(tflite, network, opset=opset)
    except Exception as error:
        raise StageError(
            "tf2onnx cannot read %s: %s" % (tflite.name, _first_line(error)),
            code="export.tf2onnx",
        )
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in names:
                node.input[index] = names[name]
    for value in model.graph.input:
        value.name = names.get(value.name, value.name)
    onnx.save(model, str(target))


def _interpreter(path: Path, *, every_tensor: bool = False) -> Any:
    import tensorflow as tf

    options: Dict[str, object] = {"num_threads": onnx_files.THREADS}
    if every_tensor:
        kinds = tf.lite.experimental.OpResolverType
        # A delegate keeps what lies between its operations to itself.
        options.update(
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    with _quiet():
        return tf.lite.Interpreter(str(path), **options)


def _feed(interpreter: Any, network: TfliteNetwork, names: Mapping[str, str], sample: Any) -> None:
    """Give the interpreter one sample (by plain name, NHWC) and run it."""
    places = {entry["name"]: entry for entry in interpreter.get_input_details()}
    arrays = {tensor.name: sample[names[tensor.name]] for tensor in network.inputs}
    for name, array in arrays.items():
        if tuple(places[name]["shape"]) != array.shape:
            interpreter.resize_tensor_input(places[name]["index"], array.shape)
    interpreter.allocate_tensors()
    for name, array in arrays.items():
        interpreter.set_tensor(places[name]["index"], array.astype(places[name]["dtype"]))
    interpreter.invoke()


def _interpret(path: Path, network: TfliteNetwork, names: Mapping[str, str]) -> Any:
    interpreter = _interpreter(path)

    def run(sample: Dict[str, np.ndarray]) -> List[np.ndarray]:
        _feed(interpreter, network, names, sample)
        found = {entry["name"]: entry["index"] for entry in interpreter.get_output_details()}
        return [interpreter.get_tensor(found[tensor.name]) for tensor in network.outputs]

    return run


def _all_tensors(
    path: Path, network: TfliteNetwork, names: Mapping[str, str], sample: Mapping[str, np.ndarray]
) -> Iterator[Tuple[str, np.ndarray]]:
    """Yield every float tensor with a batch of one that the interpreter can show."""
    interpreter = _interpreter(path, every_tensor=True)
    laid_out = {name: _as_tflite(array) for name, array in sample.items()}
    _feed(interpreter, network, names, laid_out)
    inputs = {tensor.name for tensor in network.inputs}
    for entry in interpreter.get_tensor_details():
        shape = entry["shape"]
        if entry["dtype"] != np.float32 or len(shape) < 2 or shape[0] != 1:
            continue
        if not entry["name"] or entry["name"] in inputs:
            continue
        try:
            yield entry["name"], interpreter.get_tensor(entry["index"])
        except ValueError:  # a scratch tensor of some operation
            continue


def _onnx_tensors(
    model: Any, sample: Mapping[str, np.ndarray]
) -> Iterator[Tuple[str, Tuple[float, ...]]]:
    """Yield every float tensor of the ONNX file with its fingerprint, a few at a time."""
    known = {value.name: value for value in [*model.graph.value_info, *model.graph.output]}
    names = [
        name
        for node in model.graph.node
        for name in node.output
        if name in known and known[name].type.tensor_type.elem_type == 1
    ]
    for start in range(0, len(names), GROUP):
        group = names[start : start + GROUP]
        session = onnx_files.Session(onnx_files.with_outputs(model, group), group)
        for name, array in zip(group, session.run(sample)):
            yield name, _fingerprint(array)


def _fingerprint(array: np.ndarray) -> Tuple[float, ...]:
    """Return what does not depend on the layout: size, mean, deviation, extremes."""
    values = np.asarray(array, np.float64)
    if not values.size:
        return (0.0, 0.0, 0.0, 0.0, 0.0)
    return (
        float(values.size),
        float(values.mean()),
        float(values.std()),
        float(values.min()),
        float(values.max()),
    )


def _as_tflite(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(to_nhwc(array))


def _as_onnx(array: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    return to_nchw(array) if len(entry["shape"]) == 4 else array


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
