"""Optimising 1024 images of 224x224 against ONNX Runtime's own quantiser, and its memory.

Both quantise the same network on the same memory-mapped file, each in a process of its own, so
that the peak of memory is that of the work alone. Each runs once to warm the file cache and is
then measured; ratios only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.bench

IMAGES = 1024
SIZE = 224

_OURS = """
import json, os, resource, sys, time
import numpy as np
os.environ["HEFSMITH_EMULATED_DFC"] = "3.33.0"
model, calib, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
from hailo_sdk_client import ClientRunner
data = np.load(calib, mmap_mode="r")[:count]
runner = ClientRunner(hw_arch="hailo8l")
runner.translate_onnx_model(model, "net")
runner.load_model_script(
    "n = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\\n"
    f"model_optimization_config(calibration, batch_size=8, calibset_size={count})\\n"
)
started = time.perf_counter()
runner.optimize(data)
seconds = time.perf_counter() - started
anonymous = next(
    int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")
)
print(json.dumps({"seconds": seconds, "anonymous": anonymous * 1024}))
"""

_THEIRS = """
import json, sys, time
import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
model, calib, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = np.load(calib, mmap_mode="r")

class Reader(CalibrationDataReader):
    def __init__(self):
        self.index = 0

    def get_next(self):
        if self.index == count:
            return None
        frame = data[self.index].astype(np.float32) / 255
        self.index += 1
        return {"image": np.ascontiguousarray(frame.transpose(2, 0, 1))[None]}

started = time.perf_counter()
quantize_static(model, model + ".int8", Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
print(json.dumps({"seconds": time.perf_counter() - started}))
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thin depthwise network like the bundled one, and 1024 pictures."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(2)
    nodes, constants = [], []
    tensor, features = "image", 3

    def conv(out: int, kernel: int, stride: int, group: int) -> None:
        nonlocal tensor, features
        name = f"c{len(nodes)}"
        weight = rng.normal(0, 1.4 / np.sqrt(features // group * kernel**2),
                            (out, features // group, kernel, kernel))  # fmt: skip
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.w"))
        constants.append(numpy_helper.from_array(np.zeros(out, np.float32), f"{name}.b"))
        nodes.append(helper.make_node(
            "Conv", [tensor, f"{name}.w", f"{name}.b"], [name], name=name, group=group,
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[kernel // 2] * 4,
        ))  # fmt: skip
        nodes.append(helper.make_node("Relu", [name], [f"{name}.r"], name=f"{name}.r"))
        tensor, features = f"{name}.r", out

    conv(12, 3, 2, 1)
    for out, stride in ((24, 1), (48, 2), (48, 1), (96, 2), (96, 1), (128, 2)):
        conv(features, 3, stride, features)
        conv(out, 1, 1, 1)
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"], name="pooled"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], name="flat"))
    constants.append(
        numpy_helper.from_array(rng.normal(0, 0.1, (10, features)).astype(np.float32), "fc.w")
    )
    nodes.append(helper.make_node("Gemm", ["flat", "fc.w"], ["out"], name="fc", transB=1))
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 10])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    save(model, str(folder / "net.onnx"))
    pictures = np.lib.format.open_memmap(
        folder / "calib.npy", "w+", np.uint8, (IMAGES, SIZE, SIZE, 3)
    )
    for index in range(IMAGES):
        pictures[index] = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    pictures.flush()
    return folder


def measure(repository: Path, code: str, folder: Path, count: int) -> dict[str, float]:
    paths = ["docker/emulator/packages", "docker/worker", ""]
    env = dict(os.environ, PYTHONPATH=":".join(str(repository / path) for path in paths))
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "net.onnx"), str(folder / "calib.npy"),
         str(count)],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_optimize_takes_at_most_1_3_times_what_onnx_runtimes_quantiser_takes(
    repository: Path, workplace: Path
) -> None:
    ours, theirs = [], []
    for count in (16, IMAGES, IMAGES):  # the first only warms up
        ours.append(measure(repository, _OURS, workplace, count)["seconds"])
        theirs.append(measure(repository, _THEIRS, workplace, count)["seconds"])
    ratio = min(ours[1:]) / min(theirs[1:])
    print(f"optimize / quantize_static on {IMAGES} images: {ratio:.2f}")
    assert ratio <= 1.3


def test_memory_does_not_grow_with_the_number_of_images(repository: Path, workplace: Path) -> None:
    many = measure(repository, _OURS, workplace, IMAGES)
    few = measure(repository, _OURS, workplace, 64)
    grown = many["anonymous"] - few["anonymous"]
    whole = IMAGES * SIZE * SIZE * 3 * 4
    print(
        f"64 -> {IMAGES} images: {grown / 2**20:.0f} MiB more; all as float32 is "
        f"{whole / 2**20:.0f} MiB"
    )
    assert grown < 32 * 2**20
