"""More rows: what answers mean, several inputs, and ways to a verdict beside ``hef up``."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from tests.lies import networks
from tests.lies.bench import Bench, flip, replace_quietly
from tests.lies.liars import Given, judged, outcome
from tests.lies.networks import Builder, f32

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

#: Rows of a last layer by which a picture is dark, or bright (see ``networks.brightness``).
DARK, BRIGHT = (0.0, 8.0), (8.0, 0.0)


def _classifier(*rows: tuple[float, float], end: str = "", bias: float = 0.0) -> onnx.ModelProto:
    builder = Builder()
    builder.add("Conv", f32([[[[1.0]]], [[[-1.0]]]]), f32([0, 1]), kernel_shape=[1, 1])
    builder.add("Relu")
    builder.add("GlobalAveragePool")
    builder.add("Flatten", axis=1)
    builder.add("Gemm", f32(rows), f32([bias] * len(rows)), transB=1)
    if end:
        builder.add(end)
    return builder.model([1, len(rows)])


# --- what a classifier's answers mean -------------------------------------------------------------

TASK = "task: classification"
SOFTMAX = {TASK: f"{TASK}, softmax: true"}
#: By lie: (network, changes of the recipe) of the lie, and of its honest twin.
ANSWERS: dict[str, tuple[tuple[Any, dict[str, str]], tuple[Any, dict[str, str]]]] = {
    "a background class that no label names": (
        (partial(_classifier, (0.0, 0.0), DARK, BRIGHT), {}),
        (
            partial(_classifier, (0.0, 0.0), DARK, BRIGHT),
            {TASK: f"{TASK}, labels: [background, dark, light]"},
        ),
    ),
    "one probability, of the first class": (
        (partial(_classifier, DARK, end="Sigmoid", bias=-4.0), {}),
        (partial(_classifier, BRIGHT, end="Sigmoid", bias=-4.0), {}),
    ),
    "one logit, of the first class": (
        (partial(_classifier, DARK, bias=-4.0), {}),
        (partial(_classifier, BRIGHT, bias=-4.0), {}),
    ),
    "one number, and one label": (
        (
            partial(_classifier, BRIGHT, end="Sigmoid", bias=-4.0),
            {TASK: f"{TASK}, labels: [light]"},
        ),
        (
            partial(_classifier, BRIGHT, end="Sigmoid", bias=-4.0),
            {TASK: f"{TASK}, labels: [dark, light]"},
        ),
    ),
    "a softmax of one number": (
        (partial(_classifier, BRIGHT, bias=-4.0), SOFTMAX),
        (partial(_classifier, DARK, BRIGHT), SOFTMAX),
    ),
    "a softmax of probabilities": (
        (partial(_classifier, DARK, BRIGHT, end="Sigmoid"), SOFTMAX),
        (partial(_classifier, DARK, BRIGHT, end="Softmax"), SOFTMAX),
    ),
}


def _answer(lie: str, bench: Bench, planted: bool) -> str | None:
    network, changes = ANSWERS[lie][0 if planted else 1]
    name = f"answers-{list(ANSWERS).index(lie)}-{'lie' if planted else 'honest'}"
    bench.model(name, network, changes=changes)
    return judged(bench, name)


# --- tokens ---------------------------------------------------------------------------------------


def _encoder(*, scale: float = 1.0) -> onnx.ModelProto:
    """A linear layer over tokens (1, 6, 8), and their sum; ``scale`` 0 says the same to all."""
    random = np.random.default_rng(5)
    builder = Builder()
    builder.tensor = "tokens"
    builder.add("MatMul", f32(random.normal(0, 1, (8, 8)) * scale))
    builder.add("Add", f32(random.normal(0, 1, 8)))
    builder.add("Relu")
    builder.add("MatMul", f32(random.normal(0, 1, (8, 4))))
    return builder.of({"tokens": [1, 6, 8]}, {builder.tensor: [1, 6, 4]})


DATA = {
    "image: [1, 1, 16, 16]": "tokens: [1, 6, 8]",
    "color: gray, mean: [0], std: [255]": "color: data, normalize: host",
    "../../pictures/calibration": "array.npy",
    "../../pictures/validation": "other.npy",
    TASK: "task: other",
}


def _tokens(lie: str, bench: Bench, planted: bool) -> str | None:
    name = f"tokens-{lie}-{planted}".replace(" ", "-")
    same = planted and lie == "one answer for all"
    folder = bench.model(name, partial(_encoder, scale=0.0 if same else 1.0), changes=DATA)
    values = np.random.default_rng(3).normal(0, 1, (80, 6, 8)).astype(np.float32)
    if planted and not same:
        values = values.transpose(0, 2, 1)
    np.save(folder / "array.npy", values[:64])
    np.save(folder / "other.npy", values[64:])
    return judged(bench, name)


# --- several inputs -------------------------------------------------------------------------------


def _pair(*, blind: bool = False) -> onnx.ModelProto:
    """Two pictures side by side, five numbers; ``blind`` looks at neither."""
    random = np.random.default_rng(9)
    builder = Builder()
    sides = []
    for name, factor in (("left", 1.0), ("right", -1.0)):
        builder.tensor = name
        kernel = f32(random.normal(0, 0.5, (4, 1, 3, 3)) * factor)
        builder.add("Conv", kernel, f32(np.zeros(4)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        builder.add("Relu")
        sides.append(builder.add("GlobalAveragePool"))
    builder.tensor = sides[0]
    builder.add("Concat", sides[1], axis=1)
    builder.add("Flatten", axis=1)
    weights = random.normal(0, 4, (5, 8)) * (not blind)
    builder.add("Gemm", f32(weights), f32(random.normal(0, 1, 5)), transB=1)
    shape = [1, 1, 16, 16]
    return builder.of({"left": shape, "right": shape}, {builder.tensor: [1, 5]})


PAIR = {
    "image: [1, 1, 16, 16]": "left: [1, 1, 16, 16], right: [1, 1, 16, 16]",
    "../../pictures/calibration": "{left: left.npy, right: right.npy}",
    "../../pictures/validation": "{left: left-val.npy, right: right-val.npy}",
    TASK: "task: other",
}


def _two(name: str, bench: Bench, *, blind: bool = False, less: int = 0) -> Path:
    """Write a network of two inputs; the right's array has ``less`` rows."""
    folder = bench.model(name, partial(_pair, blind=blind), changes=PAIR)
    random = np.random.default_rng(6)
    for side in ("left", "right"):
        pixels = random.integers(0, 256, (80, 16, 16, 1)).astype(np.uint8)
        pixels[side == "right" :: 2] //= 4
        np.save(folder / f"{side}.npy", pixels[: 64 - (less if side == "right" else 0)])
        np.save(folder / f"{side}-val.npy", pixels[64:])
    return folder


def _inputs(lie: str, bench: Bench, planted: bool) -> str | None:
    if lie == "one answer for all":
        name = f"pair-{planted}"
        _two(name, bench, blind=planted)
        return judged(bench, name)
    if lie == "rows of one that others lack":
        name = f"pair-less-{planted}"
        _two(name, bench, less=7 if planted else 0)
        said = bench.build(name)
        marks = ("error: ", "warning: ")
        told = [x for x in said.err.splitlines() if any(m in x for m in marks)]
        return next((x for x in told if "calib.count" not in x and "O01" not in x), None)
    if lie == "another content under the second's name, size and time":
        folder = _two("pair-stale", bench)
        bench.once("pair-stale", "build", "pair-stale")
        path = folder / "right.npy"
        before = path.read_bytes()
        if planted:
            flip(path)
        else:
            replace_quietly(path, before)
        said = bench.build("pair-stale")
        replace_quietly(path, before)
        bench.build("pair-stale")
        return ", ".join(sorted(said.ran)) or None
    return _device_of_a_pair(lie, bench, planted)


def _device_of_a_pair(lie: str, bench: Bench, planted: bool) -> str | None:
    from orchestrator.device import validation

    _two("pair-False", bench)
    bench.once("pair-False", "build", "pair-False")
    words = ("validate", "pair-False", "--device", "embedded", "--json")
    if not planted:
        return outcome(bench.once("pair-False honest", *words))
    real = validation.run_golden
    scratch = bench.root / "none.npy"

    def run_golden(runner: Any, hef: Any, inputs: Any, outputs: Any, **options: Any) -> Any:
        first, second = inputs
        np.save(scratch, np.zeros_like(np.load(second.file)))
        files = (second.file, first.file) if "exchanged" in lie else (first.file, scratch)
        given = [
            validation.GoldenInput(stream=one.stream, file=file)
            for one, file in zip(inputs, files, strict=True)
        ]
        return real(runner, hef, given, outputs, **options)

    with mock.patch.object(validation, "run_golden", run_golden):
        return outcome(bench.hef(*words))


# --- other ways to a verdict ----------------------------------------------------------------------


def _way(way: str, bench: Bench, planted: bool) -> str | None:
    """A network that is right on none of the labels fails however its verdict is had."""
    name = f"way-{planted}"
    bench.model(name, partial(networks.brightness, swapped=planted))
    if way == "in the background":
        bench.lose(name)
        started = bench.build(name, "--detach", "--fresh", command="up")
        attached = bench.hef("attach", started.out.strip())
        assert attached.code == 0, attached.err
        assert f"not proven on a device yet: hef up {name}" in attached.err
        found = bench.hef("report", name, "--json").document
        return None if found["outcome"] == "passed" else str(found["outcome"])
    bench.once(name, "up", name, "--json")
    if way == "remembered":
        return outcome(bench.hef("up", name, "--json"))
    if way == "from the cache":
        bench.lose(name)
        return outcome(bench.hef("up", name, "--json"))
    store, other = bench.root / "store-of-ways", bench.root / f"cache-of-ways-{planted}-{way[-6:]}"
    pushed = bench.hef("cache", "push", name, "--to", str(store))
    assert pushed.code == 0, pushed.err
    bench.lose(name)
    pulled = bench.hef("cache", "pull", name, "--from", str(store), cache=other)
    assert pulled.code == 0, pulled.err
    if way == "pulled, then up":
        return outcome(bench.hef("up", name, "--json", cache=other))
    assert bench.hef("build", name, cache=other).ran == set()
    found = bench.hef("report", name, "--json", cache=other).document
    return None if found["outcome"] == "passed" else str(found["outcome"])


WAYS = (
    "in the background",
    "remembered",
    "from the cache",
    "pulled, then up",
    "pulled, then report",
)


# --- networks of TensorFlow -----------------------------------------------------------------------

KERAS = """
import sys
import numpy as np, tensorflow as tf, keras
folder = sys.argv[1]
networks = {"right": [[0, 8], [8, 0]], "wrong": [[8, 0], [0, 8]], "same": [[0, 0], [0, 0]]}
for name, rows in networks.items():
    image = keras.layers.Input((16, 16, 1), name="image")
    conv = keras.layers.Conv2D(2, 1, activation="relu")
    last = keras.layers.Dense(2)
    model = keras.Model(image, last(keras.layers.GlobalAveragePooling2D()(conv(image))))
    conv.set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 1.0])])
    last.set_weights([np.array(rows, float).T, np.array([0.0, 0.0])])
    model.save(f"{folder}/{name}.keras")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    open(f"{folder}/{name}.tflite", "wb").write(converter.convert())
"""


def _tensorflow(kind: str, lie: str, bench: Bench, planted: bool) -> str | None:
    folder = bench.root / "keras"
    if not folder.exists():
        folder.mkdir()
        made = subprocess.run(
            [sys.executable, "-c", KERAS, str(folder)], capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr[-2000:]
    network = lie if planted else "right"
    name = f"{kind}-{network}"
    changes = {"onnx: net.onnx": f"{kind}: ../../keras/{network}.{kind}"}
    bench.model(name, changes=changes)
    return judged(bench, name)


def _rows() -> Iterator[Given]:
    for lie in ANSWERS:
        yield "verdict", f"classifier: {lie}", partial(_answer, lie)
    for lie in ("one answer for all", "arrays turned round"):
        yield "verdict", f"tokens: {lie}", partial(_tokens, lie)
    for lie in (
        "one answer for all",
        "rows of one that others lack",
        "another content under the second's name, size and time",
        "a device with its inputs exchanged",
        "a device that is blind to the second",
    ):
        yield "inputs", f"two inputs: {lie}", partial(_inputs, lie)
    for way in WAYS:
        yield "verdict", f"right on none of the labels, {way}", partial(_way, way)
    for kind, lie in (("tflite", "wrong"), ("keras", "wrong")):
        yield "tensorflow", f"{kind}: a network that is {lie}", partial(_tensorflow, kind, lie)


GIVEN: tuple[Given, ...] = tuple(_rows())
