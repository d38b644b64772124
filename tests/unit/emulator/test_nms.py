"""NMS: decoding checked box by box against the papers' formulas, and every refusal."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

NAMES = {"yolov8": ("reg", "cls"), "yolov6": ("reg", "cls"), "yolox": ("reg", "cls", "obj")}


def config(arch, decoders, **changes):
    from hailo_emulator.nms.config import NmsConfig

    values = {
        "output": f"n/{arch}_nms_postprocess", "meta_arch": arch, "engine": "cpu",
        "score_threshold": 0.3, "iou_threshold": 0.5, "classes": 2,
        "max_proposals_per_class": 10, "image_dims": (32, 64), "decoders": tuple(decoders),
    }  # fmt: skip
    return NmsConfig(**{**values, **changes})


def decoder(**values):
    from hailo_emulator.nms.config import Decoder

    return Decoder("d", **values)


def detect(cfg, tensors, **options):
    from hailo_emulator.nms.suppress import detect as run

    return run(cfg, tensors, **options)


def test_yolov8_boxes_are_distances_from_the_cells_centre():
    reg = np.full((4, 8, 64), -20.0, np.float32)
    cls = np.zeros((4, 8, 2), np.float32)
    # Cell (1, 5): left 2, top 1, right 3, bottom 0.5 (half of bins 0 and 1), class 1.
    for side, bins in enumerate(([2], [1], [3], [0, 1])):
        for index in bins:
            reg[1, 5, side * 16 + index] = 20.0
    cls[1, 5, 1] = 0.9
    found = detect(config("yolov8", [decoder(stride=8, reg="r", cls="c")]), {"r": reg, "c": cls})
    assert len(found[0]) == 0
    want = [(1.5 - 1) * 8 / 32, (5.5 - 2) * 8 / 64, (1.5 + 0.5) * 8 / 32, (5.5 + 3) * 8 / 64, 0.9]
    want[3] = min(want[3], 1.0)
    np.testing.assert_allclose(found[1], [want], atol=1e-5)


def test_yolov6_boxes_are_plain_distances():
    reg = np.zeros((4, 8, 4), np.float32)
    cls = np.zeros((4, 8, 2), np.float32)
    reg[2, 3], cls[2, 3, 0] = (0.5, 1.0, 1.5, 0.25), 0.8
    found = detect(config("yolov6", [decoder(stride=8, reg="r", cls="c")]), {"r": reg, "c": cls})
    want = [1.5 * 8 / 32, 3.0 * 8 / 64, 2.75 * 8 / 32, 5.0 * 8 / 64, 0.8]
    np.testing.assert_allclose(found[0], [want], atol=1e-5)


def test_yolox_scores_are_objectness_times_class():
    reg = np.zeros((4, 8, 4), np.float32)
    cls = np.zeros((4, 8, 2), np.float32)
    obj = np.zeros((4, 8, 1), np.float32)
    reg[1, 2] = (0.25, 0.5, math.log(2.0), math.log(1.0))
    cls[1, 2, 0], obj[1, 2, 0] = 0.8, 0.5
    cfg = config("yolox", [decoder(stride=8, reg="r", cls="c", obj="o")])
    found = detect(cfg, {"r": reg, "c": cls, "o": obj})
    y, x, h, w = 1.5 * 8 / 32, 2.25 * 8 / 64, 8 / 32, 2 * 8 / 64
    np.testing.assert_allclose(
        found[0], [[y - h / 2, x - w / 2, y + h / 2, x + w / 2, 0.4]], atol=1e-5
    )


def test_yolov5_boxes_come_from_anchors():
    encoded = np.zeros((4, 8, 2 * 7), np.float32)
    encoded[3, 1, 7:14] = (0.5, 0.6, 0.4, 0.5, 0.9, 0.1, 0.7)  # second anchor
    cfg = config("yolov5", [decoder(stride=8, encoded="e", w=(4.0, 10.0), h=(4.0, 13.0))])
    found = detect(cfg, {"e": encoded})
    y, x = (0.6 * 2 - 0.5 + 3) * 8 / 32, (0.5 * 2 - 0.5 + 1) * 8 / 64
    h, w = (0.5 * 2) ** 2 * 13 / 32, (0.4 * 2) ** 2 * 10 / 64
    np.testing.assert_allclose(
        found[1], [[y - h / 2, x - w / 2, min(1, y + h / 2), x + w / 2, 0.63]], atol=1e-5
    )


def test_ssd_boxes_are_offsets_in_the_order_y_x_h_w_and_background_is_removed():
    reg = np.zeros((2, 2, 4), np.float32)
    cls = np.zeros((2, 2, 3), np.float32)
    reg[0, 1], cls[0, 1] = (1.0, 2.0, 5 * math.log(2), 0.0), (0.95, 0.1, 0.6)
    cfg = config(
        "ssd", [decoder(reg="r", cls="c", w=(0.2,), h=(0.3,))], background_removal=True,
        background_removal_index=0,
    )  # fmt: skip
    found = detect(cfg, {"r": reg, "c": cls})
    y, x, h, w = 0.1 * 0.3 + 0.25, 0.2 * 0.2 + 0.75, 0.6, 0.2
    np.testing.assert_allclose(
        found[1], [[max(0, y - h / 2), x - w / 2, y + h / 2, x + w / 2, 0.6]], atol=1e-5
    )
    assert len(found) == 2
    assert len(found[0]) == 0


def _naive(boxes, scores, least, overlap, most):
    order = sorted((i for i in range(len(boxes)) if scores[i] >= least), key=lambda i: -scores[i])
    kept = []
    for i in order:
        for j in kept:
            top, left = np.maximum(boxes[i][:2], boxes[j][:2])
            bottom, right = np.minimum(boxes[i][2:], boxes[j][2:])
            inside = max(0, bottom - top) * max(0, right - left)
            areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j]))
            if inside / (areas - inside) >= overlap:
                break
        else:
            kept.append(i)
    return kept[:most]


def test_suppression_equals_the_plain_algorithm_on_random_boxes(rng):
    reg = rng.uniform(0.2, 3.0, (16, 16, 4)).astype(np.float32)
    cls = rng.uniform(0, 1, (16, 16, 2)).astype(np.float32)
    cfg = config("yolov6", [decoder(stride=4, reg="r", cls="c")], image_dims=(64, 64),
                 max_proposals_per_class=12)  # fmt: skip
    found = detect(cfg, {"r": reg, "c": cls})
    rows, columns = np.mgrid[0:16, 0:16]
    boxes = np.stack(
        [rows + 0.5 - reg[..., 1], columns + 0.5 - reg[..., 0],
         rows + 0.5 + reg[..., 3], columns + 0.5 + reg[..., 2]], -1
    ).reshape(-1, 4).clip(0, 16) / 16  # fmt: skip
    for number in range(2):
        scores = cls[..., number].reshape(-1)
        kept = _naive(boxes, scores, 0.3, 0.5, 12)
        np.testing.assert_allclose(found[number][:, :4], boxes[kept], atol=1e-5)
        np.testing.assert_allclose(found[number][:, 4], scores[kept])


def test_thresholds_can_be_replaced_at_run_time(rng):
    reg = rng.uniform(0.2, 1.0, (8, 8, 4)).astype(np.float32)
    cls = rng.uniform(0, 1, (8, 8, 2)).astype(np.float32)
    cfg = config("yolov6", [decoder(stride=8, reg="r", cls="c")], image_dims=(64, 64))
    tensors = {"r": reg, "c": cls}
    assert len(detect(cfg, tensors)[0]) == 10
    assert len(detect(cfg, tensors, max_proposals_per_class=3)[0]) == 3
    assert (detect(cfg, tensors, score_threshold=0.95)[0][:, 4] >= 0.95).all()
    assert len(detect(cfg, tensors, iou_threshold=1.1, max_proposals_per_class=999)[0]) == int(
        (cls[..., 0] >= 0.3).sum()
    )


def test_a_head_of_another_size_fails_at_run_time_in_the_runtimes_words():
    cfg = config("yolov8", [decoder(stride=8, reg="r", cls="n/conv54")], classes=1)
    tensors = {
        "r": np.zeros((80, 80, 64), np.float32),
        "n/conv54": np.zeros((80, 80, 80), np.float32),
    }
    with pytest.raises(ValueError, match="cls conv54 buffer_size should be 6400, but is 512000"):
        detect(cfg, tensors)


# -- configuration ----------------------------------------------------------------------------


def yolov8_json(**changes):
    document = {
        "nms_scores_th": 0.25, "nms_iou_th": 0.6, "image_dims": [64, 64],
        "max_proposals_per_class": 50, "classes": 3, "regression_length": 16,
        "background_removal": False, "background_removal_index": 0,
        "bbox_decoders": [
            {"name": f"bbox_decoder{a}", "stride": s, "reg_layer": f"conv{a}",
             "cls_layer": f"yolov8n/conv{b}"}
            for s, a, b in ((8, 41, 42), (16, 52, 53), (32, 62, 63))
        ],
    }  # fmt: skip
    return {**document, **changes}


def resolve(network, line, tmp_path, document=None):
    from hailo_emulator.modify import apply_options
    from hailo_emulator.script import read_script

    if document is not None:
        (tmp_path / "nms.json").write_text(json.dumps(document))
    return apply_options(network, read_script(line + "\n", folder=tmp_path)).nms


@pytest.fixture(scope="module")
def _cache():
    return {}


@pytest.fixture
def yolo(models, _cache):
    from hailo_emulator.translate import translate

    if "yolo" not in _cache:
        _cache["yolo"] = translate(models.yolov8().SerializeToString(), "yolov8n")
    return _cache["yolo"]


def test_the_json_is_read_relative_to_the_script(yolo, tmp_path):
    found = resolve(yolo, 'nms_postprocess("nms.json", meta_arch=yolov8)', tmp_path, yolov8_json())
    assert (found.score_threshold, found.iou_threshold) == (0.25, 0.6)
    assert found.output == "yolov8n/yolov8_nms_postprocess"
    assert found.decoders[1].cls == "yolov8n/conv53"
    assert found.max_proposals_per_class == 50


def test_without_json_the_heads_are_found_by_their_shape(yolo, tmp_path):
    found = resolve(yolo, "nms_postprocess(meta_arch=yolov8, engine=cpu)", tmp_path)
    assert [(d.stride, d.reg[8:], d.cls[8:]) for d in found.decoders] == [
        (8, "conv41", "conv42"), (16, "conv52", "conv53"), (32, "conv62", "conv63"),
    ]  # fmt: skip
    assert (found.classes, found.image_dims) == (3, (64, 64))


def test_keywords_replace_the_json(yolo, tmp_path):
    line = 'nms_postprocess("nms.json", meta_arch=yolov8, engine=cpu, classes=7, nms_iou_th=0.4)'
    found = resolve(yolo, line, tmp_path, yolov8_json())
    assert (found.classes, found.iou_threshold) == (7, 0.4)


def _raises(kind):
    from hailo_sdk_client.sdk_backend import sdk_backend_exceptions as backend
    from hailo_sdk_client.tools.core_postprocess.nms_postprocess import (
        NMSConfigPostprocessException,
    )
    from hailo_sdk_common.hailo_nn.exceptions import HailoNNException

    return {
        "chip": backend.UnsupportedMetaArchError, "value": ValueError, "key": KeyError,
        "hn": HailoNNException, "config": NMSConfigPostprocessException,
        "file": backend.AllocatorScriptParserException, "absent": NotImplementedError,
    }[kind]  # fmt: skip


_JSON = 'nms_postprocess("nms.json", meta_arch=yolov8)'


@pytest.mark.parametrize(
    ("line", "change", "kind", "text"),
    [
        ("nms_postprocess(meta_arch=yolov8, engine=nn_core)", None, "chip",
         "The specified meta architecture yolov8 cannot be run on chip"),
        ("nms_postprocess(meta_arch=yolox, engine=nn_core)", None, "chip",
         "The specified meta architecture yolox cannot be run on chip"),
        ("nms_postprocess(meta_arch=yolov99)", None, "value",
         "'yolov99' is not a valid NMSMetaArchitectures"),
        ("nms_postprocess(meta_arch=centernet)", None, "absent", "is not emulated"),
        (_JSON, {"bbox_decoders": None}, "key", "'bbox_decoders'"),
        (_JSON, {"bbox_decoders": [{"stride": 8, "reg_layer": "conv70", "cls_layer": "conv42"}]},
         "hn", "The layer named conv70 doesn't exist in the HN"),
        (_JSON, {"bbox_decoders": [{"stride": 8, "reg_layer": "conv40", "cls_layer": "conv42"}]},
         "config", "The layer yolov8n/conv40 doesn't have one output layer"),
        ("nms_postprocess(meta_arch=yolov6)", None, "hn",
         "The layer named  doesn't exist in the HN"),
        ("nms_postprocess(meta_arch=yolov5)", None, "config", "do not look like the heads"),
        ('nms_postprocess("none.json", meta_arch=yolov8)', None, "file",
         "Post-process config file isn't found in "),
        ("nms_postprocess(engine=cpu)", None, "config", "configuration file or a meta_arch"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_fails_as_the_vendors_does(
    yolo, tmp_path, line, change, kind, text
):
    document = yolov8_json(**(change or {}))
    if change == {"bbox_decoders": None}:
        del document["bbox_decoders"]
    with pytest.raises(_raises(kind)) as caught:
        resolve(yolo, line, tmp_path, document)
    assert text in str(caught.value)


def heads(models, per_scale, *, size=64, strides=(8, 16, 32), sigmoid=()):
    """A net with one convolution per head: ``per_scale`` maps a name to its features."""
    b = models.Builder()
    x = b.input("images", [1, 3, size, size])
    y = b.cbs(x, 6, stride=2, name="/s2")
    y = b.cbs(y, 6, stride=2, name="/s4")
    outputs = []
    for number, stride in enumerate(strides):
        y = b.cbs(y, 6, stride=2, name=f"/s{stride}")
        for name, features in per_scale.items():
            count = features[number] if isinstance(features, (list, tuple)) else features
            head = b.conv(y, count, 1, name=f"/{name}.{number}")
            outputs.append(
                b.node("Sigmoid", [head], name=f"/{name}.{number}/Sigmoid")
                if name in sigmoid else head
            )  # fmt: skip
    return b.build(outputs)


_FAMILIES = {
    "yolov5": {"per_scale": {"m": 3 * 7}, "sigmoid": ("m",)},
    "yolov6": {"per_scale": {"reg": 4, "cls": 2}, "sigmoid": ("cls",)},
    "yolov8": {"per_scale": {"reg": 64, "cls": 2}, "sigmoid": ("cls",)},
    "yolox": {"per_scale": {"cls": 2, "reg": 4, "obj": 1}, "sigmoid": ("cls", "obj")},
    "ssd": {"per_scale": {"reg": (12, 24, 24), "cls": (9, 18, 18)}, "sigmoid": ("cls",)},
}


@pytest.mark.parametrize("arch", sorted(_FAMILIES))
def test_every_family_detects_in_the_sdk_and_on_the_emulated_chip_alike(models, rng, arch):
    from hailo_emulator.execute import Executor
    from hailo_emulator.payload import read_payload
    from hailo_sdk_client import ClientRunner, InferenceContext

    runner = ClientRunner(hw_arch="hailo8l")
    model = heads(models, **_FAMILIES[arch])
    runner.translate_onnx_model(model.SerializeToString(), "det")
    runner.load_model_script(
        "normalization1 = normalization([0,0,0],[255,255,255])\n"
        f"nms_postprocess(meta_arch={arch}, engine=cpu, nms_scores_th=0.25)\n"
    )
    images = rng.integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    runner.optimize(images)
    shapes = []
    for context in (InferenceContext.SDK_FP_OPTIMIZED, InferenceContext.SDK_QUANTIZED):
        with runner.infer_context(context) as opened:
            shapes.append(runner.infer(opened, images[:2]))
    assert shapes[1].shape[:3] == (2, 2, 5)
    assert (shapes[1][:, :, 4] >= 0.25).sum() > 0
    assert not np.array_equal(shapes[0], shapes[1])
    payload = read_payload(runner.compile())
    found = Executor(payload).run({"det/input_layer1": images[0].astype(np.float32)})
    (boxes,) = found.values()
    assert list(found) == [f"det/{arch}_nms_postprocess"]
    for number, one in enumerate(boxes):
        np.testing.assert_array_equal(shapes[1][0, number, :, : len(one)], one.T)
        assert not shapes[1][0, number, :, len(one) :].any()


def test_a_score_threshold_of_the_context_replaces_the_scripts(models, rng):
    from hailo_sdk_client import ClientRunner, InferenceContext

    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(heads(models, **_FAMILIES["yolov6"]).SerializeToString(), "det")
    runner.load_model_script("nms_postprocess(meta_arch=yolov6)\n")
    runner.optimize_full_precision()
    frame = rng.random((1, 64, 64, 3)).astype(np.float32)
    counts = []
    for threshold in (0.01, 0.9):
        with runner.infer_context(
            InferenceContext.SDK_FP_OPTIMIZED, nms_score_threshold=threshold
        ) as opened:
            counts.append(int((runner.infer(opened, frame)[:, :, 4] > 0).sum()))
    assert counts[0] > counts[1]


def test_the_network_description_shows_the_postprocess(yolo, tmp_path):
    from hailo_emulator.hn import make_hn
    from hailo_emulator.modify import apply_options
    from hailo_emulator.script import read_script

    network = apply_options(yolo, read_script("nms_postprocess(meta_arch=yolov8)\n"))
    layers = make_hn(network)["layers"]
    entry = layers["yolov8n/yolov8_nms_postprocess"]
    assert entry["input"][:2] == ["yolov8n/conv41", "yolov8n/conv42"]
    assert entry["output_shapes"] == [[-1, 3, 5, 100]]
    assert sum(layer["type"] == "output_layer" for layer in layers.values()) == 6
