"""HAR and HEF: what is inside, that work can be resumed, and that the chip computes the same.

One driver compiles five kinds of networks, as the worker does: a classifier, a detector with
NMS, a network of two inputs, one with 16-bit outputs, one with a single input channel.
"""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

NORMALIZE = "normalization1 = normalization([0.0,0.0,0.0],[255.0,255.0,255.0])\n"


def cases(models):
    return {
        "classifier": (models.classifier(), NORMALIZE, {"net/input_layer1": (16, 16, 3)}),
        "detector": (
            models.yolov8(size=32),
            NORMALIZE
            + "".join(f"change_output_activation(conv{n}, sigmoid)\n" for n in (42, 53, 63))
            + "nms_postprocess(meta_arch=yolov8, engine=cpu, nms_scores_th=0.4)\n",
            {"net/input_layer1": (32, 32, 3)},
        ),
        "two inputs": (
            models.two_inputs(),
            "n = normalization([0,0,0],[255,255,255], input_layer1)\n",
            {"net/input_layer1": (8, 8, 3), "net/input_layer2": (4,)},
        ),
        "16-bit outputs": (
            models.fully_convolutional(channels=3),
            NORMALIZE + "quantization_param([output_layer1, output_layer2], "
            "precision_mode=a16_w16)\n",
            {"net/input_layer1": (12, 12, 3)},
        ),
        "one channel": (
            models.fully_convolutional(channels=1),
            "n = normalization([0.0],[255.0])\n",
            {"net/input_layer1": (12, 12, 1)},
        ),
    }


def drive(case, arch="hailo8l", count=12):
    """Compile a case; returns (runner, frames, HEF)."""
    from hailo_sdk_client import ClientRunner

    model, script, shapes = case
    rng = np.random.default_rng(4)
    frames = {
        name: rng.integers(0, 256, (count, *shape)).astype(np.uint8)
        for name, shape in shapes.items()
    }
    runner = ClientRunner(hw_arch=arch)
    runner.translate_onnx_model(model.SerializeToString(), "net")
    runner.load_model_script(script)
    data = frames if len(frames) > 1 else next(iter(frames.values()))
    runner.optimize_full_precision(data)
    runner.optimize(data)
    return runner, frames, runner.compile()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["classifier", "detector", "two inputs", "16-bit outputs", "one channel"]
)
def test_the_emulated_chip_computes_exactly_what_sdk_quantized_computes(models, name):
    from hailo_emulator.execute import Executor
    from hailo_emulator.payload import read_payload
    from hailo_emulator.quant import dequantize, quantize
    from hailo_sdk_client import InferenceContext

    runner, frames, hef = drive(cases(models)[name])
    with runner.infer_context(InferenceContext.SDK_QUANTIZED) as context:
        emulated = runner.infer(context, frames if len(frames) > 1 else frames["net/input_layer1"])
    emulated = emulated if isinstance(emulated, list) else [emulated]
    payload = read_payload(hef)
    chip = Executor(payload)
    for number in range(3):
        frame = {}
        for stream in payload.inputs:
            raw = frames[stream.name][number]
            integers = quantize(raw.astype(np.float32), stream.quantization)
            np.testing.assert_array_equal(integers, raw)
            frame[stream.name] = dequantize(integers, stream.quantization)
        found = chip.run(frame)
        assert list(found) == [output.name for output in payload.outputs]
        for output, values in zip(payload.outputs, emulated, strict=True):
            if output.kind == "nms":
                for index, boxes in enumerate(found[output.name]):
                    np.testing.assert_array_equal(values[number, index, :, : len(boxes)], boxes.T)
                continue
            np.testing.assert_array_equal(found[output.name], values[number])
            stream = next(s for s in payload.tensors if s.name == output.name)
            integers = quantize(found[output.name], stream.quantization)
            np.testing.assert_array_equal(
                dequantize(integers, stream.quantization), found[output.name]
            )


def test_the_hef_says_what_was_compiled_and_that_it_is_emulated(models):
    from orchestrator.hef import read_hef

    _, _, hef = drive(cases(models)["16-bit outputs"])
    read = read_hef(hef)
    group = read.group()
    assert [tensor.name for tensor in group.inputs] == ["net/input_layer1"]
    assert [tensor.name for tensor in group.outputs] == ["net/conv2", "net/conv3"]
    assert "emulated" in str(read.header).lower() or "emulated" in str(read).lower()


@pytest.mark.slow
def test_the_hef_of_a_detector_has_the_nms(models):
    from orchestrator.hef import read_hef

    _, _, hef = drive(cases(models)["detector"], count=4)
    group = read_hef(hef).group()
    text = str(group)
    assert "net/yolov8_nms_postprocess" in text


@pytest.mark.parametrize(
    ("version", "arch"), [("3.33.0", "hailo8"), ("3.33.0", "hailo8r"), ("5.2.0", "hailo10h")]
)
def test_every_line_compiles_for_its_chips(models, monkeypatch, version, arch):
    from hailo_emulator.payload import read_payload

    from orchestrator.hef import read_hef

    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    _, _, hef = drive(cases(models)["one channel"], arch, 4)
    payload = read_payload(hef)
    assert (payload.arch, payload.compiler) == (arch, version)
    assert read_hef(hef).group().inputs[0].name == "net/input_layer1"


def test_a_har_holds_the_vendors_members(models, tmp_path):
    runner, _, hef = drive(cases(models)["classifier"])
    runner.save_har(tmp_path / "net.har")
    with tarfile.open(tmp_path / "net.har") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
        assert {m.mtime for m in tar.getmembers()} == {0}
    for suffix in ("hn", "npz", "metadata.json", "nms.json", "original_model_meta.json",
                   "postprocess.onnx", "alls", "auto.alls"):  # fmt: skip
        assert f"net.{suffix}" in members
    metadata = json.loads(members["net.metadata.json"])
    assert metadata["state"] == "compiled_model"
    assert metadata["emulated"] is True
    assert json.loads(members["net.hn"])["layers"]["net/conv1"]["type"] == "conv"
    arrays = np.load(io.BytesIO(members["net.npz"]))
    assert arrays["net/conv1/kernel:0"].shape == (3, 3, 3, 8)
    assert members["net.alls"].decode() == NORMALIZE
    assert members["net.hef"] == hef


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classifier", "detector"])
def test_a_har_goes_on_where_it_was_saved(models, tmp_path, name):
    from hailo_sdk_client import ClientRunner, InferenceContext, States

    case = cases(models)[name]
    runner, frames, hef = drive(case, count=4)
    data = frames["net/input_layer1"]
    model, script, _ = case
    parsed = ClientRunner(hw_arch="hailo8l")
    parsed.translate_onnx_model(model.SerializeToString(), "net")
    parsed.save_har(tmp_path / "parsed.har")
    resumed = ClientRunner(har=tmp_path / "parsed.har")
    assert (resumed.state, resumed.hw_arch) == (States.HAILO_MODEL, "hailo8l")
    resumed.load_model_script(script)
    resumed.optimize(data)
    resumed.save_har(tmp_path / "quantized.har")
    again = ClientRunner(har=str(tmp_path / "quantized.har"))
    assert again.state is States.QUANTIZED_MODEL
    assert again.compile() == hef
    for one in (runner, again):
        with one.infer_context(InferenceContext.SDK_QUANTIZED) as context:
            result = one.infer(context, data)
        if one is runner:
            first = result
    np.testing.assert_array_equal(first, result)


def test_what_is_no_har_or_not_ours_is_said_so(tmp_path):
    from hailo_sdk_client import ClientRunner

    (tmp_path / "x.har").write_bytes(b"not a tar")
    with pytest.raises(ValueError, match="is not a HAR file"):
        ClientRunner(har=tmp_path / "x.har")
    with tarfile.open(tmp_path / "vendor.har", "w") as tar:
        info = tarfile.TarInfo("net.hn")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(ValueError, match="not made by the emulator"):
        ClientRunner(har=tmp_path / "vendor.har")
    with pytest.raises(FileNotFoundError):
        ClientRunner(har=tmp_path / "none.har")


@pytest.mark.slow
def test_the_estimate_follows_the_work_and_the_chip(models):
    from hailo_emulator.cost import estimate_cost
    from hailo_emulator.translate import translate
    from hefsmith_worker.contract.chips import Figures

    class Bits:
        def __init__(self):
            self.weight_bits, self.activation_bits = {}, {}

    def cost(width, tops, memory=1 << 30):
        from hailo_emulator.quant import Quantization

        network = translate(models.yolov8(width=width, size=128).SerializeToString(), "n")
        bits = Bits()
        bits.streams = {p.stream: Quantization(1, 0) for p in (*network.inputs, *network.outputs)}
        return estimate_cost(network, bits, Figures(tops, memory, "", "", ""))

    small, large = cost(4, 0.5), cost(8, 0.5)
    assert large.macs > 3 * small.macs
    assert large.seconds > small.seconds
    assert cost(8, 1.0).seconds < large.seconds
    split = cost(4, 0.5, small.weight_bytes // 3)
    assert split.contexts in (3, 4)
    assert split.seconds > small.seconds
