"""The contact test: what a compiler really has and does, asked inside its own container.

A program on its own (``python -c TEXT SURFACE CHIP``): it reads nothing but numpy, onnx and the
SDK, writes below a temporary folder, and prints a line for each answer as soon as it is there, so
that a probe which hangs or dies leaves the answers before it. ``SURFACE`` is JSON, the rows of
``contract/surface.py``. What it asks is what public sources leave open.
"""

import inspect
import json
import os
import re
import sys
import tempfile
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

Answer = Tuple[str, str]

MARK = "HEFSMITH-CONTACT "

YES, NO, FAILED = "yes", "no", "failed"

NET = "probe"

#: Seconds that one question may take; the whole compile of a few layers takes a tenth of it.
LIMIT = float(os.environ.get("HEFSMITH_CONTACT_LIMIT", "240"))


def tell(check: str, state: str, text: str, seconds: float = 0.0) -> None:
    """Print one answer."""
    answer = {"check": check, "state": state, "text": text[:500], "seconds": round(seconds, 2)}
    sys.stdout.write("\n" + MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()


def give_up(check: str) -> None:
    """End a question that hangs, and all with it: what is in the compiler's hands is not asked."""
    tell(check, FAILED, "no end after %d seconds" % LIMIT, LIMIT)
    os._exit(3)


def look_up(surface: List[Dict[str, Any]], module: Any) -> None:
    """Compare what is used with what is there: a name, and each keyword that it must take."""
    for use in surface:
        name = use["name"]
        check = "surface:" + name
        thing = module
        try:
            for part in name.split("."):
                thing = getattr(thing, part)
        except AttributeError:
            tell(check, NO, "%s.%s does not exist" % (module.__name__, name))
            continue
        wrong = misfits(thing, use["keywords"], int(use.get("positional", 0)))
        if wrong:
            tell(check, NO, "%s %s" % (name, ", ".join(wrong)))
        else:
            tell(check, YES, "")


def misfits(thing: Any, keywords: List[str], positional: int) -> List[str]:
    """Return why a callable does not take a call, as far as it lets one look."""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    wrong = []
    kinds = [one.kind for one in parameters]
    known = [one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY]
    missing = [word for word in keywords if word not in known]
    if missing and inspect.Parameter.VAR_KEYWORD not in kinds:
        wrong.append("takes no %s" % ", ".join(missing))
    by_place = [
        one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if len(by_place) < positional and inspect.Parameter.VAR_POSITIONAL not in kinds:
        wrong.append("takes %d arguments by place, not %d" % (len(by_place), positional))
    given = {one.name for one in by_place[:positional]} | set(keywords)
    needed = [
        one.name
        for one in parameters
        if one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        and one.name not in given
    ]
    if needed:
        wrong.append("needs %s" % ", ".join(needed))
    return wrong


class Probe:
    """Small networks through the SDK, an answer for each thing that is open."""

    def __init__(self, chip: str, folder: str) -> None:
        self.chip, self.folder = chip, folder
        self.runner: Any = None
        self.hn: Dict[str, Any] = {}
        self.home = home_entries()

    def ask(self, check: str, question: Callable[[], Answer]) -> bool:
        """Run one question; whatever it ends in is an answer. Returns whether it went well."""
        started = time.time()
        watch = threading.Timer(LIMIT, give_up, (check,))
        watch.daemon = True
        watch.start()
        try:
            state, text = question()
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = "%s: %s (%s:%d)" % (
                type(error).__name__,
                str(error).strip().split("\n")[0],
                os.path.basename(last.filename),
                last.lineno or 0,
            )
            state = FAILED
        watch.cancel()
        tell(check, state, text, time.time() - started)
        return state != FAILED

    def run(self) -> None:
        """Ask everything; what a failed step is needed for is left out."""
        if not self.ask("parse", self.parse):
            return
        self.ask("hn-json", self.hn_json)
        self.ask("activation", self.activation)
        self.ask("names", self.names)
        self.ask("simplified-names", self.simplified_names)
        self.ask("vector-input", self.vector_input)
        if not self.ask("optimize", self.optimize):
            return
        self.ask("infer", self.infer)
        if self.ask("compile", self.compile):
            self.ask("home", self.home_folder)
            self.ask("compiled-inference", self.compiled_inference)
        self.ask("level-1", self.level_one)
        self.ask("logits", self.logits)
        self.ask("nms-ssd", lambda: self.nms("ssd"))
        self.ask("nms-yolov8", lambda: self.nms("yolov8"))
        if self.chip.startswith(NEWER_CHIPS):
            self.ask("nms-yolov6", lambda: self.nms("yolov6"))

    def parse(self) -> Answer:
        """Parse the network of pictures."""
        path = os.path.join(self.folder, "probe.onnx")
        save(picture_network(), path)
        self.runner = new_runner(self.chip)
        self.runner.translate_onnx_model(path, NET, net_input_shapes={"image": [1, 3, 32, 32]})
        self.hn = self.runner.get_hn_dict()
        self.runner.save_har(os.path.join(self.folder, "native.har"))
        return YES, "%d layers" % len(self.hn["layers"])

    def hn_json(self) -> Answer:
        """See whether JSON knows what the HN holds."""
        try:
            json.dumps(self.hn)
        except TypeError as error:
            return NO, str(error)
        return YES, ""

    def activation(self) -> Answer:
        """See where a layer's activation stands."""
        places = set()
        for layer in self.hn["layers"].values():
            if layer.get("type") == "conv":
                inner = (layer.get("params") or {}).get("activation")
                places.add(
                    "params"
                    if inner is not None
                    else "layer"
                    if layer.get("activation") is not None
                    else "nowhere"
                )
        return YES, ", ".join(sorted(places))

    def names(self) -> Answer:
        """See whether layers tell the ONNX nodes that they come from."""
        return named(self.hn, ("conv_a", "conv_b"))

    def simplified_names(self) -> Answer:
        """See whether that is so, too, where the parser simplifies the graph before it reads it."""
        path = os.path.join(self.folder, "computed.onnx")
        save(computed_shape_network(), path)
        runner = new_runner(self.chip)
        try:
            runner.translate_onnx_model(path, "computed", net_input_shapes={"image": [1, 3, 8, 8]})
        except Exception as error:
            return NO, "a computed shape is refused, %s" % in_a_line(error)
        return named(runner.get_hn_dict(), ("conv_a", "fc"))

    def home_folder(self) -> Answer:
        """See whether anything was written to the home folder, and whether the root takes files."""
        made = sorted(home_entries() - self.home)[:5]
        root = "writable"
        if sys.platform != "win32" and os.statvfs("/").f_flag & os.ST_RDONLY:
            root = "read-only"
        return YES, "root %s; written to the home folder: %s" % (root, ", ".join(made) or "nothing")

    def vector_input(self) -> Answer:
        """See what shape an input (1, F) gets."""
        path = os.path.join(self.folder, "vector.onnx")
        save(vector_network(), path)
        runner = new_runner(self.chip)
        runner.translate_onnx_model(path, "vector", net_input_shapes={"data": [1, 16]})
        layers = runner.get_hn_dict()["layers"].values()
        shapes = [
            layer.get("output_shapes") or layer.get("input_shapes")
            for layer in layers
            if layer.get("type") == "input_layer"
        ]
        return YES, str([[int(side) for side in shape] for shape in shapes[0]] if shapes else None)

    def quantised(self, script: str) -> Any:
        """Return a runner with the probe quantised by a script."""
        runner = new_runner(self.chip, os.path.join(self.folder, "native.har"))
        path = os.path.join(self.folder, "probe.alls")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(script)
        runner.load_model_script(path)
        pictures = samples()
        runner.optimize_full_precision(pictures)
        runner.optimize(pictures)
        return runner

    def optimize(self) -> Answer:
        """Quantise at level 0."""
        self.runner = self.quantised(
            "model_optimization_flavor(optimization_level=0, compression_level=0)\n"
            "model_optimization_config(calibration, batch_size=4, calibset_size=8)\n"
        )
        self.runner.save_har(os.path.join(self.folder, "quantized.har"))
        return YES, "level 0, 8 pictures"

    def infer(self) -> Answer:
        """Run all three contexts."""
        return YES, self.numbers(self.runner, ("SDK_NATIVE", "SDK_FP_OPTIMIZED", "SDK_QUANTIZED"))

    def numbers(self, runner: Any, contexts: Tuple[str, ...]) -> str:
        """Return the shapes of the outputs in some contexts."""
        from hailo_sdk_client import InferenceContext

        shapes = []
        for name in contexts:
            with runner.infer_context(getattr(InferenceContext, name)) as context:
                outputs = runner.infer(context, samples())
            if isinstance(outputs, dict):
                outputs = list(outputs.values())
            if not isinstance(outputs, (list, tuple)):
                outputs = [outputs]
            shapes.append(str([list(one.shape) for one in outputs]))
        return ", ".join(sorted(set(shapes)))

    def compile(self) -> Answer:
        """Compile, and keep the state."""
        hef = self.runner.compile()
        self.runner.save_har(os.path.join(self.folder, "compiled.har"))
        return YES, "%d bytes" % len(hef)

    def compiled_inference(self) -> Answer:
        """See whether a compiled network that was loaded anew still runs."""
        runner = new_runner(self.chip, os.path.join(self.folder, "compiled.har"))
        try:
            shapes = self.numbers(runner, ("SDK_NATIVE", "SDK_FP_OPTIMIZED"))
        except Exception as error:
            return NO, in_a_line(error)
        return YES, shapes

    def level_one(self) -> Answer:
        """See whether bias correction runs."""
        try:
            self.quantised(
                "model_optimization_flavor(optimization_level=1, compression_level=0)\n"
                "model_optimization_config(calibration, batch_size=4, calibset_size=8)\n"
            )
        except Exception as error:
            if not re.search("bias[ _]correction", traceback.format_exc().lower()):
                raise
            return NO, in_a_line(error)
        return YES, "bias correction ran"

    def logits(self) -> Answer:
        """See whether three arguments are enough."""
        layer = next(
            name for name, one in self.hn["layers"].items() if one.get("type") == "dense"
        ).split("/")[-1]
        try:
            self.quantised(
                "model_optimization_flavor(optimization_level=0, compression_level=0)\n"
                "model_optimization_config(calibration, batch_size=4, calibset_size=8)\n"
                "logits1 = logits_layer(%s, softmax, 1)\n" % layer
            )
        except Exception as error:
            return NO, in_a_line(error)
        return YES, "three arguments"

    def nms(self, meta_arch: str) -> Answer:
        """See whether the one form of an NMS is taken that no public script shows."""
        path = os.path.join(self.folder, meta_arch + ".onnx")
        model, ends = detector(*HEADS[meta_arch])
        save(model, path)
        runner = new_runner(self.chip)
        runner.translate_onnx_model(
            path, meta_arch, end_node_names=ends, net_input_shapes={"image": [1, 3, 64, 64]}
        )
        layers = runner.get_hn_dict()["layers"]
        heads = [
            str(one["input"][0]).split("/")[-1]
            for one in layers.values()
            if one.get("type") == "output_layer"
        ]
        with open(os.path.join(self.folder, "nms_config.json"), "w", encoding="utf-8") as stream:
            json.dump(nms_document(meta_arch, heads), stream)
        script = os.path.join(self.folder, "nms.alls")
        with open(script, "w", encoding="utf-8") as stream:
            stream.write(
                "model_optimization_flavor(optimization_level=0, compression_level=0)\n"
                "model_optimization_config(calibration, batch_size=4, calibset_size=8)\n"
                'nms_postprocess("nms_config.json", meta_arch=%s, engine=%s)\n'
                % (meta_arch, "nn_core" if meta_arch == "yolov6" else "cpu")
            )
        try:
            runner.load_model_script(script)
            runner.optimize_full_precision(samples(64))
            runner.optimize(samples(64))
        except Exception as error:
            if not re.search("nms|postprocess", traceback.format_exc().lower()):
                raise
            return NO, in_a_line(error)
        return YES, ""


def new_runner(chip: str, har: Optional[str] = None) -> Any:
    """Return the SDK's runner."""
    from hailo_sdk_client import ClientRunner

    return ClientRunner(hw_arch=chip) if har is None else ClientRunner(hw_arch=chip, har=har)


def in_a_line(error: BaseException) -> str:
    """Return an error's class and the first line of what it says."""
    return "%s: %s" % (type(error).__name__, str(error).strip().split("\n")[0])


def home_entries() -> Set[str]:
    """Return the names in the home folder; none where it cannot be read."""
    try:
        return set(os.listdir(os.path.expanduser("~")))
    except OSError:
        return set()


def named(hn: Dict[str, Any], wanted: Tuple[str, ...]) -> Answer:
    """Say whether the layers tell the ONNX nodes that they come from."""
    told = {
        str(name).split("/")[-1]
        for layer in hn["layers"].values()
        for name in layer.get("original_names") or []
    }
    lost = [name for name in wanted if name not in told]
    return (NO, "the HN does not name %s" % ", ".join(lost)) if lost else (YES, "")


def samples(side: int = 32) -> Any:
    """Return eight pictures (N, H, W, C)."""
    import numpy as np

    return np.random.RandomState(7).randint(0, 256, (8, side, side, 3)).astype(np.float32)


def weights(*shape: int) -> Any:
    """Return numbers of a plain distribution, the same at every run."""
    import numpy as np

    scale = 1.0 / float(np.prod(shape[1:])) ** 0.5
    return np.random.RandomState(sum(shape)).normal(0, scale, shape).astype(np.float32)


def save(model: Any, path: str) -> None:
    """Write a network as ONNX."""
    import onnx

    onnx.save(model, path)


def picture_network() -> Any:
    """Convolution, depthwise, pool, a head with two outputs: one dense, one a map."""
    from onnx import helper, numpy_helper

    tensors: List[Any] = []
    nodes: List[Any] = []

    def conv(name: str, source: str, shape: Tuple[int, ...], **attributes: Any) -> str:
        tensors.append(numpy_helper.from_array(weights(*shape), name + ".weight"))
        tensors.append(numpy_helper.from_array(weights(shape[0], 1)[:, 0] * 0, name + ".bias"))
        nodes.append(
            helper.make_node(
                "Conv",
                [source, name + ".weight", name + ".bias"],
                [name],
                name=name,
                kernel_shape=list(shape[2:]),
                **attributes,
            )
        )
        nodes.append(helper.make_node("Relu", [name], [name + "_relu"], name=name + "_relu"))
        return name + "_relu"

    one = conv("conv_a", "image", (8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    two = conv("depthwise", one, (8, 1, 3, 3), group=8, pads=[1, 1, 1, 1])
    nodes.append(
        helper.make_node(
            "MaxPool", [two], ["pool"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        )
    )
    three = conv("conv_b", "pool", (16, 8, 1, 1))
    tensors.append(numpy_helper.from_array(weights(4, 16, 1, 1), "map.weight"))
    nodes.append(
        helper.make_node("Conv", [three, "map.weight"], ["map"], name="map", kernel_shape=[1, 1])
    )
    nodes.append(helper.make_node("GlobalAveragePool", [three], ["mean"], name="mean"))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"], name="flat", axis=1))
    tensors.append(numpy_helper.from_array(weights(5, 16), "fc.weight"))
    tensors.append(numpy_helper.from_array(weights(5, 1)[:, 0] * 0, "fc.bias"))
    nodes.append(
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], name="fc", transB=1)
    )
    return graph(
        nodes, tensors, ("image", [1, 3, 32, 32]), [("scores", [1, 5]), ("map", [1, 4, 8, 8])]
    )


def computed_shape_network() -> Any:
    """Features whose shape is computed in the graph, as older exporters write it."""
    import numpy as np
    from onnx import helper, numpy_helper

    tensors = [
        numpy_helper.from_array(weights(4, 3, 1, 1), "conv_a.weight"),
        numpy_helper.from_array(weights(5, 4), "fc.weight"),
        numpy_helper.from_array(np.array([0], np.int64), "first"),
        numpy_helper.from_array(np.array([-1], np.int64), "rest"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "conv_a.weight"], ["a"], "conv_a", kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["a"], ["mean"], "mean"),
        helper.make_node("Shape", ["mean"], ["sides"], "sides"),
        helper.make_node("Gather", ["sides", "first"], ["count"], "count"),
        helper.make_node("Concat", ["count", "rest"], ["shape"], "shape", axis=0),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "fc.weight"], ["scores"], "fc", transB=1),
    ]
    return graph(nodes, tensors, ("image", [1, 3, 8, 8]), [("scores", [1, 5])])


#: Chips of the 5.x line, on which nobody has shown an NMS of yolov6.
NEWER_CHIPS = ("hailo10", "hailo12", "hailo15")

#: Numbers of a head's box and class features: two anchors; eight bins; one box.
HEADS = {"ssd": (8, 6), "yolov8": (32, 3), "yolov6": (4, 3)}

STRIDES = (8, 16, 32)


def detector(boxes: int, classes: int) -> Tuple[Any, List[str]]:
    """Three scales, each with a convolution for boxes and one for classes, and their names."""
    from onnx import helper, numpy_helper

    tensors: List[Any] = []
    nodes: List[Any] = []
    results: List[Tuple[str, List[int]]] = []

    def conv(name: str, source: str, out: int, into: int, side: int) -> None:
        tensors.append(numpy_helper.from_array(weights(out, into, side, side), name + ".weight"))
        nodes.append(
            helper.make_node(
                "Conv", [source, name + ".weight"], [name], name,
                kernel_shape=[side, side], strides=[1 if side == 1 else 2] * 2,
                pads=[side // 2] * 4,
            )
        )  # fmt: skip

    source, features = "image", 3
    for stride in (2, 4, *STRIDES):
        name = "down_%d" % stride
        conv(name, source, 8, features, 3)
        nodes.append(helper.make_node("Relu", [name], [name + "_relu"], name + "_relu"))
        source, features = name + "_relu", 8
        if stride in STRIDES:
            for role, count in (("boxes", boxes), ("classes", classes)):
                end = "%s_%d" % (role, stride)
                conv(end, source, count, 8, 1)
                results.append((end, [1, count, 64 // stride, 64 // stride]))
    ends = [name for name, _ in results]
    return graph(nodes, tensors, ("image", [1, 3, 64, 64]), results), ends


def nms_document(meta_arch: str, heads: List[str]) -> Dict[str, Any]:
    """Return the JSON of an NMS; ``heads`` are the layers of boxes and classes by scale."""
    document: Dict[str, Any] = {
        "nms_scores_th": 0.3, "nms_iou_th": 0.7, "image_dims": [64, 64],
        "max_proposals_per_class": 10, "classes": 3,
        "background_removal": False, "background_removal_index": 0, "bbox_decoders": [],
    }  # fmt: skip
    if meta_arch == "ssd":
        document.update(centers_scale_factor=10, bbox_dimensions_scale_factor=5)
    if meta_arch == "yolov8":
        document.update(regression_length=HEADS["yolov8"][0] // 4)
    for index, stride in enumerate(STRIDES):
        decoder: Dict[str, Any] = {"name": "bbox_decoder%d" % stride}
        if meta_arch == "ssd":
            decoder.update(w=[0.1, 0.2], h=[0.2, 0.1])
        else:
            decoder.update(stride=stride)
        # The chip's core finds the layers of yolov6 by itself.
        boxes, classes = heads[2 * index : 2 * index + 2] if meta_arch != "yolov6" else ("", "")
        decoder.update(reg_layer=boxes, cls_layer=classes)
        document["bbox_decoders"].append(decoder)
    return document


def vector_network() -> Any:
    """One dense layer on sixteen numbers."""
    from onnx import helper, numpy_helper

    tensors = [
        numpy_helper.from_array(weights(4, 16), "fc.weight"),
        numpy_helper.from_array(weights(4, 1)[:, 0] * 0, "fc.bias"),
    ]
    nodes = [
        helper.make_node("Gemm", ["data", "fc.weight", "fc.bias"], ["out"], name="fc", transB=1)
    ]
    return graph(nodes, tensors, ("data", [1, 16]), [("out", [1, 4])])


def graph(
    nodes: List[Any],
    tensors: List[Any],
    source: Tuple[str, List[int]],
    results: List[Tuple[str, List[int]]],
) -> Any:
    """Return a network in the old opset that every compiler reads."""
    from onnx import TensorProto, helper

    def value(name: str, shape: List[int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    made = helper.make_graph(
        nodes, NET, [value(*source)], [value(*one) for one in results], initializer=tensors
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 7
    return model


def main() -> int:
    """Ask everything."""
    surface, chip = json.loads(sys.argv[1]), sys.argv[2]
    os.environ.setdefault("USER", "hailo")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    started = time.time()
    try:
        import hailo_sdk_client
    except Exception as error:
        tell("import", FAILED, "%s: %s" % (type(error).__name__, error), time.time() - started)
        return 1
    tell("import", YES, str(getattr(hailo_sdk_client, "__version__", "")), time.time() - started)
    look_up(surface, hailo_sdk_client)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Probe(chip, folder).run()
        os.chdir("/")
    tell("done", YES, "", time.time() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
