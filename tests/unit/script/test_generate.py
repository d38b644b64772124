"""The script is written from the parsed network's own layers, and the user's lines win."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hefsmith_worker.contract.options import OptimizeOptions
from hefsmith_worker.protocol import StageError
from hefsmith_worker.script import parse
from hefsmith_worker.script.generate import generate
from hefsmith_worker.script.lint import check_text
from hefsmith_worker.script.request import script_request

STRIDES = (8, 16, 32)
CELLS = {8: (40, 48), 16: (20, 24), 32: (10, 12)}


def layer(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {f"net/{name}": {"type": kind, "input": [], "output": [], **more}}


def network(ends: list[tuple[str, str, int, int]], originals: bool = True) -> dict[str, Any]:
    """An HN with an input and, per end, a convolution and its output layer."""
    layers = layer("input_layer1", "input_layer", output_shapes=[[-1, 320, 384, 3]])
    for place, (node, conv, channels, stride) in enumerate(ends, 1):
        shape = [[-1, *CELLS[stride], channels]]
        names = [node] if originals else []
        layers |= layer(conv, "conv", output_shapes=shape, original_names=names)
        layers |= layer(
            f"output_layer{place}", "output_layer", input=[f"net/{conv}"], output_shapes=shape
        )
    return {"name": "net", "layers": layers}


def detector(
    roles: tuple[tuple[str, int], ...], **report: Any
) -> tuple[list[tuple[str, str, int, int]], dict[str, Any]]:
    """Ends of a detector and the report on its head."""
    ends = [
        (f"/head/{role}.{stride}", f"conv{10 * i + k}", channels, stride)
        for i, stride in enumerate(STRIDES, 4)
        for k, (role, channels) in enumerate(roles, 1)
    ]
    head = {
        "task": "detection",
        "family": "yolov8",
        "end_nodes": [node for node, *_ in ends],
        "end_roles": [role for _ in STRIDES for role, _ in roles],
        "end_shapes": [[1, channels, *CELLS[stride]] for _, _, channels, stride in ends],
        "classes": 7,
        "strides": list(STRIDES),
        "regression_length": None,
        "anchors": None,
        "confidence": 0.9,
        "reasons": [],
        **report,
    }
    return ends, head


V8 = detector((("box", 64), ("class", 7)), regression_length=16)
V5 = detector(
    (("box", 36),),
    family="yolov5",
    anchors=[[[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]]] * 3,
)
YOLOX = detector((("box", 4), ("objectness", 1), ("class", 7)), family="yolox")
V26 = detector((("box", 4), ("class", 7)), family="yolov26")


def made(kind: Any = V8, **more: Any) -> Any:
    ends, head = kind
    parts: dict[str, Any] = {
        "hn": network(ends, more.pop("originals", True)),
        "inputs": {"images": "net/input_layer1"},
        "end_nodes": head["end_nodes"],
        "head": head,
        "preprocess": {"images": {"mean": (0.0,), "std": (255.0,), "normalize": "chip"}},
        "images": 300,
        "nms_config": more.pop("nms_config", None),
    }
    wanted = {"level": None, "compression": 0, "batch_size": 8, "nms": {}, "script": []}
    wanted.update(
        {
            key: more.pop(key)
            for key in list(more)
            if key in (*wanted, "softmax", "outputs_16bit", "task")
        }
    )
    parts.update(more)
    return generate(script_request(**parts, options=OptimizeOptions.read(wanted)))


def commands(script: Any) -> list[str]:
    return [command.render() for command in parse(script.text)]


def test_a_yolov8_script_normalises_activates_and_suppresses() -> None:
    script = made(level=1)
    assert commands(script) == [
        "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])",
        "change_output_activation(conv42, sigmoid)",
        "change_output_activation(conv52, sigmoid)",
        "change_output_activation(conv62, sigmoid)",
        'nms_postprocess("nms_config.json", meta_arch=yolov8, engine=cpu)',
        "model_optimization_config(calibration, batch_size=8, calibset_size=300)",
        "model_optimization_flavor(optimization_level=1, compression_level=0)",
    ]
    document = json.loads(script.files["nms_config.json"])
    assert document["bbox_decoders"][0] == {
        "name": "bbox_decoder41", "stride": 8, "reg_layer": "conv41", "cls_layer": "conv42",
    }  # fmt: skip
    assert [decoder["stride"] for decoder in document.pop("bbox_decoders")] == [8, 16, 32]
    assert document == {
        "nms_scores_th": 0.2, "nms_iou_th": 0.7, "image_dims": [320, 384],
        "max_proposals_per_class": 100, "classes": 7, "regression_length": 16,
        "background_removal": False, "background_removal_index": 0,
    }  # fmt: skip


def test_what_is_written_passes_the_linter_with_the_networks_layers() -> None:
    for kind in (V8, V5, YOLOX, V26):
        script = made(kind, level=2)
        found = check_text(script.text, layers=list(network(kind[0])["layers"]), images=300)
        assert found == [], script.text


def test_a_yolov5_json_has_anchors_and_every_output_a_sigmoid() -> None:
    script = made(V5, nms={"iou": 0.6, "max_boxes": 80})
    text = commands(script)
    assert text.count("change_output_activation(conv41, sigmoid)") == 1
    assert 'nms_postprocess("nms_config.json", meta_arch=yolov5, engine=cpu)' in text
    decoder = json.loads(script.files["nms_config.json"])["bbox_decoders"][2]
    assert decoder == {
        "name": "bbox_decoder61", "w": [10, 16, 33], "h": [13, 30, 23], "stride": 32,
        "encoded_layer": "conv61",
    }  # fmt: skip


def test_a_yolox_json_names_objectness_layers() -> None:
    script = made(YOLOX)
    document = json.loads(script.files["nms_config.json"])
    assert document["number_of_detection_heads"] == 3
    assert document["bbox_decoders"][1] == {
        "name": "bbox_decoder51", "stride": 16, "reg_layer": "conv51",
        "objectness_layer": "conv52", "cls_layer": "conv53",
    }  # fmt: skip
    assert sum("sigmoid" in line for line in commands(script)) == 6


def test_no_nms_is_written_where_the_sdk_has_none_and_the_script_says_so() -> None:
    script = made(V26)
    assert script.files == {}
    assert "nms_postprocess" not in "".join(commands(script))
    assert any("no NMS" in note and "yolov26" in note for note in script.notes)
    assert "sigmoid" not in "".join(commands(script))
    assert made(V8, nms={"enabled": False}).files == {}
    other_cut = made(V8, end_nodes=["/somewhere"])
    assert other_cut.files == {}


def test_the_nms_core_is_used_only_where_it_can_run_the_head() -> None:
    cpu = made(V8, nms={"engine": "nn_core"})
    assert "engine=cpu" in cpu.text
    assert any("cannot run yolov8" in note for note in cpu.notes)
    assert "engine=nn_core" in made(V5, nms={"engine": "nn_core"}).text


def test_layers_are_found_by_order_where_the_sdk_keeps_no_original_names() -> None:
    assert made(V8, originals=False).files == made(V8).files


def test_a_wrong_number_of_classes_is_refused() -> None:
    with pytest.raises(StageError, match="80, but the network's head has 7"):
        made(V8, nms={"classes": 80})


def test_normalisation_gets_a_free_name_and_fits_the_channels() -> None:
    hn = network(V8[0])
    hn["layers"] |= layer("normalization1", "normalization")
    preprocess = {"images": {"mean": (123.7, 116.3, 103.5), "std": (58.4,), "normalize": "chip"}}
    line = commands(made(hn=hn, preprocess=preprocess))[0]
    assert line == "normalization2 = normalization([123.7, 116.3, 103.5], [58.4, 58.4, 58.4])"
    with pytest.raises(StageError, match=r"2 values, but input .* has 3 channels"):
        made(preprocess={"images": {"mean": (1.0, 2.0), "std": (1.0,), "normalize": "chip"}})
    for untouched in (
        {"normalize": "host", "mean": (0,), "std": (255,)},
        {"normalize": "chip", "mean": (0,), "std": (1,)},
    ):
        assert "normalization" not in made(preprocess={"images": untouched}).text


def test_every_input_is_normalised_by_its_own_layer() -> None:
    hn = network(V8[0])
    hn["layers"] |= layer("input_layer2", "input_layer", output_shapes=[[-1, 8, 8, 1]])
    script = made(
        hn=hn,
        inputs={"images": "net/input_layer1", "depth": "net/input_layer2"},
        preprocess={
            "images": {"mean": (0,), "std": (255,), "normalize": "chip"},
            "depth": {"mean": (7,), "std": (2,), "normalize": "chip"},
        },
    )
    assert commands(script)[:2] == [
        "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0], input_layer1)",
        "normalization2 = normalization([7.0], [2.0], input_layer2)",
    ]


def test_level_2_with_few_images_asks_for_its_fine_tune() -> None:
    few = "post_quantization_optimization(finetune, policy=enabled, dataset_size=300)"
    assert few in commands(made(level=2))
    assert "finetune" not in made(level=2, images=2048).text
    assert "finetune" not in made(level=0).text
    assert "optimization_level" not in made(level=None).text
    assert "batch_size=5, calibset_size=5" in made(images=5).text


# The user's own lines.


def test_the_users_lines_come_last_word_for_word_and_replace_ours() -> None:
    line = "model_optimization_config(calibration,  calibset_size=128)  # enough"
    script = made(script=[line, "allocator_param(timeout=5h)"])
    assert line in script.text
    assert script.text.rstrip().endswith("allocator_param(timeout=5h)")
    assert "model_optimization_config(calibration, batch_size=8)" in commands(script)
    assert any("optimization.script replaces" in note for note in script.notes)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("model_optimization_flavor(optimization_level=0)", "optimization.level"),
        ("n = normalization([0, 0, 0], [1, 1, 2])", "preprocessing"),
        ("change_output_activation(conv42, tanh)", "the NMS of the recipe"),
    ],
)
def test_a_contradiction_shows_both_lines(line: str, source: str) -> None:
    with pytest.raises(StageError) as caught:
        made(level=2, script=["set_seed(1)", line])
    message = caught.value.message
    assert source in message
    assert f"optimization.script:2: {parse(line).commands[0].render()}" in message
    assert message.count("\n") == 2


def test_the_same_said_twice_is_no_contradiction() -> None:
    same = made(
        level=2,
        script=["my = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])",
                "model_optimization_flavor(optimization_level=2)"],
    )  # fmt: skip
    assert sum("normalization(" in line for line in commands(same)) == 1
    assert sum("optimization_level=2" in line for line in commands(same)) == 1


def test_more_images_than_there_are_is_a_contradiction() -> None:
    with pytest.raises(StageError, match="asks for 1024 calibration images, there are 300"):
        made(script=["model_optimization_config(calibration, calibset_size=1024)"])


def test_an_activation_for_all_outputs_is_refused_where_it_would_break_boxes() -> None:
    with pytest.raises(StageError, match="the boxes of this head too"):
        made(V8, script=["change_output_activation(sigmoid)"])
    made(V5, script=["change_output_activation(sigmoid)"])


def test_a_line_that_cannot_be_read_is_shown_with_a_pointer() -> None:
    with pytest.raises(StageError) as caught:
        made(script=["set_seed(1)", "allocator_param(timeout=5h"])
    assert "optimization.script:2:27" in caught.value.message
    assert caught.value.message.endswith("\n  " + " " * 26 + "^")


def test_the_users_own_nms_json_lies_beside_the_script_with_the_recipes_classes() -> None:
    config = json.dumps({"classes": 80, "bbox_decoders": [{"reg_layer": "conv1"}]})
    line = 'nms_postprocess("../../postprocess_config/x.json", meta_arch=yolov8, engine=cpu)'
    script = made(V8, script=[line], nms={"classes": 7}, nms_config=config)
    assert json.loads(script.files["x.json"])["classes"] == 7
    assert 'nms_postprocess("x.json", meta_arch=yolov8, engine=cpu)' in commands(script)
    with pytest.raises(StageError, match="which the recipe does not give"):
        made(V8, script=[line])


def test_a_json_without_a_line_takes_the_heads_meta_architecture() -> None:
    config = json.dumps({"classes": 7, "bbox_decoders": [{"reg_layer": "conv1"}]})
    script = made(V8, nms_config=config)
    assert json.loads(script.files["nms_config.json"])["bbox_decoders"][0]["reg_layer"] == "conv1"
    with pytest.raises(StageError, match="not JSON"):
        made(V8, nms_config="{")


@pytest.mark.parametrize("place", ["params", "layer", "both"])
def test_an_activation_is_found_where_either_sdk_has_it(place: str) -> None:
    """A head that ends in a sigmoid already gets no second one, wherever the HN says so."""
    from hefsmith_worker.script.network import Network

    entry: dict[str, Any] = {"type": "conv", "params": {}}
    if place in ("params", "both"):
        entry["params"]["activation"] = "sigmoid"
    if place in ("layer", "both"):
        entry["activation"] = "sigmoid"
    layer = Network.from_hn({"layers": {"net/conv1": entry}}).find("conv1")
    assert layer is not None
    assert layer.activation == "sigmoid"


def test_a_softmax_layer_names_all_four_arguments() -> None:
    """As every public script does; whether three are enough is not known."""
    ends, head = V8
    plain = {**head, "task": "classification", "end_nodes": [], "end_roles": []}
    script = made((ends, plain), softmax=True, task="classification")
    assert any("logits_layer(" in line for line in commands(script))
    assert all(
        line.endswith(", softmax, -1, cpu)") for line in commands(script) if "logits_layer(" in line
    )


def test_an_nms_that_is_left_out_has_its_true_reason() -> None:
    assert made(V8).nms["made"] == "yolov8"
    ends, head = V5
    script = made((ends, {**head, "anchors": []}), end_nodes=[])
    assert script.nms["made"] is None
    assert "anchors are not in the graph" in str(script.nms["why"])
    assert made(V8, nms={"enabled": False}).nms["why"] == "postprocess.nms.enabled is false"


def test_a_head_that_is_too_unsure_to_cut_at_is_the_reason() -> None:
    ends, head = V8
    unsure = {**head, "confidence": 0.39}
    why = str(made((ends, unsure), end_nodes=[]).nms["why"])
    assert "39 %" in why
    assert "parser.end_nodes" in why
    assert made((ends, unsure)).nms["made"] == "yolov8"


@pytest.mark.parametrize(
    ("kind", "arch", "doubt"),
    [
        (V8, "hailo8l", ""),
        (detector((("box", 68), ("class", 7)), regression_length=17), "hailo8l", "17 bins"),
        (
            detector((("box", 4), ("class", 7)), family="yolov6", decoding={"widths": "linear"}),
            "hailo8l",
            "",
        ),
        (
            detector((("box", 4), ("class", 7)), family="yolov6", decoding={"widths": "linear"}),
            "hailo10h",
            "yolov6 on hailo10h",
        ),
    ],
)
def test_an_nms_that_no_public_script_shows_is_in_doubt(kind: Any, arch: str, doubt: str) -> None:
    script = made(kind, arch=arch)
    assert script.doubt == doubt or (doubt and doubt in script.doubt)
    assert any("nms_postprocess(" in line for line in commands(script))
    own = made(kind, arch=arch, script=['nms_postprocess("a.json")'], nms_config="{}")
    assert own.doubt == ""
