"""Network groups, partial core ops, and the ops that run on the host."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.hef import HefError, NetworkGroup, examine_hef, read_hef
from orchestrator.hef.vendor import vendor_text
from tests.unit.hef.building import add_layer, add_nms, legacy, net_flow, pack


def group_of(message: Any) -> NetworkGroup:
    return read_hef(pack(message.SerializeToString())).network_groups[0]


def text_of(message: Any) -> str:
    return vendor_text(read_hef(pack(message.SerializeToString())))


def refused(message: Any) -> int | None:
    examination = examine_hef(pack(message.SerializeToString()))
    assert examination.vendor_status != 0, "HailoRT would open it"
    return examination.vendor_status


def partial(core: Any, bitmap: int, name: str, contexts: int = 1) -> Any:
    part = core.partials.add()
    part.layout.bitmap = bitmap
    part.core_op.metadata.name = "net"
    for _ in range(contexts):
        part.core_op.contexts.add()
    add_layer(part.core_op.contexts[0], "net/in", (8, 8, 3), pad=0)
    add_layer(part.core_op.contexts[-1], name, (4, 4, 8), output=True, pad=1)
    return part.core_op


def multi_layout() -> tuple[Any, Any, Any]:
    message, group, core = net_flow(arch=3)
    del core.contexts[:]
    core.ClearField("metadata")
    group.sorted_outputs.append("net/out")
    return message, group, core


def test_the_variant_with_the_lowest_layout_is_shown() -> None:
    message, _, core = multi_layout()
    partial(core, 5, "net/late")
    partial(core, 2, "net/out", contexts=3)
    group = group_of(message)
    assert [tensor.name for tensor in group.outputs] == ["net/out"]
    # whether there are several contexts is asked of the first variant, their count of the shown
    assert (group.multi_context, group.declared_contexts, len(group.contexts)) == (False, 1, 3)
    assert "Single Context" in text_of(message)


def test_a_file_for_8l_without_variants_is_an_error_where_hailort_crashes() -> None:
    message, _, _ = multi_layout()
    assert refused(message) is None


def test_variants_under_another_chip_are_an_error_where_hailort_crashes() -> None:
    message, group, core = multi_layout()
    partial(core, 1, "net/out")
    group.partials.add().group.metadata.name = "net"
    message.header.hw_arch = 1
    assert refused(message) is None


def test_legacy_variants_bring_names_and_order_of_outputs() -> None:
    message, group = legacy(arch=3)
    copy, _ = legacy()
    part = group.partials.add()
    part.layout.bitmap = 1
    part.group.CopyFrom(copy.groups[0])
    part.group.metadata.name = "other"
    group.ClearField("contexts")
    group.ClearField("sorted_outputs")
    assert group_of(message).name == "other"
    assert group_of(message).networks == ("other/other",)


def test_a_net_flow_group_without_core_op_is_an_error_where_hailort_crashes() -> None:
    message, group, _ = net_flow()
    del group.ops[:]
    assert refused(message) is None


def test_a_core_op_of_another_name_is_an_error_where_hailort_crashes() -> None:
    message, _, core = net_flow(("net/a", (4, 4, 8)))
    core.metadata.name = "other"
    assert refused(message) is None


def test_groups_are_listed_by_name_and_two_of_one_name_are_refused() -> None:
    message, _ = legacy("b")
    other, _ = legacy("a")
    message.groups.add().CopyFrom(other.groups[0])
    assert [group.name for group in read_hef(pack(message.SerializeToString())).network_groups] == [
        "a",
        "b",
    ]
    message.groups.add().CopyFrom(other.groups[0])
    assert refused(message) == 6


def test_a_group_name_of_128_bytes_is_status_8_only_when_it_is_listed() -> None:
    message, group = legacy()
    group.metadata.name = "n" * 128
    examination = examine_hef(pack(message.SerializeToString()))
    assert (examination.vendor_status, examination.vendor_exit) == (0, 8)


def test_outputs_follow_the_stated_order() -> None:
    message, group = legacy()
    add_layer(group.contexts[0], "net/b", (1, 1, 1), output=True)
    group.sorted_outputs.insert(0, "net/b")
    assert [tensor.name for tensor in group_of(message).outputs] == ["net/b", "net/out"]
    del group.sorted_outputs[0]
    examination = examine_hef(pack(message.SerializeToString()))
    assert (examination.vendor_status, examination.vendor_exit) == (0, 8)
    with pytest.raises(HefError) as caught:
        group_of(message)
    assert caught.value.status == 8


def test_one_output_needs_no_place_in_the_order_but_the_order_must_be_there() -> None:
    message, group = legacy()
    group.sorted_outputs[0] = "something else"
    assert group_of(message).outputs[0].name == "net/out"
    del group.sorted_outputs[:]
    assert refused(message) == 26
    group.contexts[0].metadata.sorted_outputs.append("net/out")
    assert group_of(message).outputs[0].name == "net/out"


def test_extension_26_is_needed_and_unknown_ones_are_refused() -> None:
    for extensions, optional, status in (
        ((), (), 92),
        ((26, 7), (), 92),
        ((26, 8), (), 92),
        ((26, 36), (), 92),
        ((26, 35), (), 0),
        ((26,), (999,), 0),
    ):
        message, _ = legacy(extensions=extensions, optional=optional)
        examination = examine_hef(pack(message.SerializeToString()))
        assert examination.vendor_status == status, extensions
    message, _ = legacy()
    message.header.version = 0
    assert refused(message) == 92


BOXES = (("net/reg", (4, 4, 16)), ("net/cls", (4, 4, 5)))


def yolov8(**more: Any) -> tuple[Any, Any]:
    message, group, _ = net_flow(*BOXES, **more)
    nms = add_nms(group, "yolov8_nms_op", (1, 2))
    family = nms.yolov8_nms_op
    family.height, family.width, family.regression_length = 32.0, 64.0, 16
    family.decoders.add(stride=8, reg=1, cls=2)
    return message, nms


def test_an_nms_op_replaces_the_layers_that_it_takes() -> None:
    message, _ = yolov8()
    group = group_of(message)
    (tensor,) = group.outputs
    (op,) = group.nms_ops
    assert (tensor.name, tensor.frame_size) == ("net/nms", 5 * (1 + 5 * 10) * 4)
    assert op.inputs == ("net/reg", "net/cls")
    assert dict(op.decoders[0].inputs) == {"reg": "net/reg", "cls": "net/cls"}
    assert (op.image, op.extra["regression_length"]) == ((32.0, 64.0), 16)
    assert [stream.name for stream in group.streams] == ["net/in", "net/reg", "net/cls"]


def test_background_removal_takes_a_class_from_the_output_only() -> None:
    message, nms = yolov8()
    nms.background_removal, nms.background_index = True, 2
    text = text_of(message)
    assert "number of classes: 4," in text
    assert "    Classes: 5\n" in text
    assert "    Background removal index: 2\n" in text


def test_boxes_without_suppression_are_a_tensor() -> None:
    message, nms = yolov8()
    nms.box_decoding_only = True
    tensor = group_of(message).outputs[0]
    assert (tensor.shape, tensor.order, tensor.nms_shape) == ((1, 16, 9), "NHWC", None)
    assert "Name: YOLOv8Bbox-Only-Post-Process\n" in text_of(message)


def yolov5(family: str = "yolo_nms_op") -> tuple[Any, Any]:
    message, group, _ = net_flow(("net/a", (4, 4, 30)), ("net/proto", (8, 8, 4)))
    nms = add_nms(group, family, (1, 2) if family == "yolo_seg_op" else (1,))
    inner = getattr(nms, family)
    inner.height, inner.width = 32.0, 32.0
    inner.decoders.add(h=[10, 20, 30], w=[11, 21, 31], stride=8, pad=1)
    return message, nms


def test_yolov5_has_anchors_by_layer() -> None:
    message, nms = yolov5()
    (op,) = group_of(message).nms_ops
    assert op.decoders[0].anchors == ((10, 11), (20, 21), (30, 31))
    assert group_of(message).outputs[1].name == "net/proto"
    nms.box_decoding_only = True
    assert group_of(message).outputs[0].shape == (1, 3 * 16, 10)
    nms.yolo_nms_op.decoders[0].h.append(1)
    assert refused(message) == 26


def test_segmentation_has_room_for_masks() -> None:
    message, nms = yolov5("yolo_seg_op")
    nms.yolo_seg_op.proto.layer = "net/proto"
    nms.yolo_seg_op.mask_threshold = 0.456
    (tensor,) = group_of(message).outputs
    assert tensor.frame_size == 2 + 50 * 46 + 32 * 32 * 4
    assert "Max bboxes total: 50\n" in text_of(message)
    assert "Mask threshold: 0.46\n" in text_of(message)
    nms.box_decoding_only = True
    assert refused(message) == 2
    nms.box_decoding_only = False
    nms.yolo_seg_op.proto.layer = "net/other"
    assert refused(message) == 26


@pytest.mark.parametrize(
    ("family", "change", "status"),
    [
        ("yolov8_nms_op", lambda group, nms: group.pad_edges.pop(), 26),
        ("yolov8_nms_op", lambda group, nms: setattr(group.pad_edges[0], "src", 9), 26),
        ("yolov8_nms_op", lambda group, nms: setattr(_box(nms), "reg", 9), None),
        ("yolov8_nms_op", lambda group, nms: group.ops[1].ClearField("output_pads"), None),
        ("yolov8_nms_op", lambda group, nms: setattr(_base(group, 1), "features", 15), 2),
        ("yolov8_nms_op", lambda group, nms: setattr(_base(group, 2), "height", 5), 2),
        ("yolov8_nms_op", lambda group, nms: setattr(_base(group, 2), "data_bytes", 2), 2),
        ("yolov8_nms_op", lambda group, nms: setattr(_base(group, 2), "format", 0), 2),
        ("yolov8_nms_op", lambda group, nms: nms.ClearField("yolov8_nms_op"), 8),
        ("yolov8_nms_op", lambda group, nms: group.ops[1].ClearField("nms"), 8),
        ("ssd_nms_op", lambda group, nms: setattr(nms, "box_decoding_only", True), 2),
        ("ssd_nms_op", lambda group, nms: setattr(_base(group, 2), "width", 5), 2),
        ("ssd_nms_op", lambda group, nms: _box(nms).h.append(1.0), None),
        ("ssd_nms_op", lambda group, nms: _nan_anchor(nms), 2),
        ("yolox_nms_op", lambda group, nms: setattr(nms, "box_decoding_only", True), 2),
        ("yolox_nms_op", lambda group, nms: setattr(_base(group, 3), "height", 5), 2),
    ],
)
def test_ops_that_do_not_fit_together_have_hailorts_status(
    family: str, change: Any, status: int | None
) -> None:
    message, group, _ = net_flow(*BOXES, ("net/obj", (4, 4, 1)))
    pads = (1, 2, 3) if family == "yolox_nms_op" else (1, 2)
    nms = add_nms(group, family, pads)
    box = getattr(nms, family).decoders.add(reg=1, cls=2)
    if family == "yolox_nms_op":
        box.obj = 3
    assert group_of(message).nms_ops[0].kind == family
    change(group, nms)
    assert refused(message) == status


def _box(nms: Any) -> Any:
    return getattr(nms, nms.WhichOneof("family")).decoders[0]


def _base(group: Any, layer: int) -> Any:
    return group.ops[0].core_op.contexts[0].metadata.layers[layer].info.base


def _nan_anchor(nms: Any) -> None:
    _box(nms).h.append(float("nan"))
    _box(nms).w.append(1.0)


def test_softmax_and_argmax_run_on_the_host() -> None:
    for kind, number, text in (
        ("softmax", 1, "Output net/logits FLOAT32, NHWC(4x4x16)"),
        ("argmax", 0, "Output net/logits UINT8, NHW(4x4)"),
    ):
        message, group, _ = net_flow(BOXES[0])
        op = group.ops.add(name=kind)
        op.input_pads.add(index=50)
        op.output_pads.add(index=51, name="net/logits")
        group.pad_edges.add(src=1, dst=50)
        op.logits.type = number
        group.sorted_outputs[0] = "net/logits"
        found = group_of(message)
        assert [item.kind for item in found.logits_ops] == [kind]
        assert text in text_of(message)
        assert f"{kind.upper()} Op\n" in text_of(message)
        op.input_pads.add(index=60)
        assert refused(message) == 26
        del op.input_pads[1:]
        op.logits.type = 2
        assert refused(message) == 8


def test_only_the_last_op_is_described() -> None:
    message, _ = yolov8()
    group = message.groups[0]
    second = group.ops.add()
    second.CopyFrom(group.ops[1])
    second.output_pads[0].name = "net/second"
    second.nms.score_threshold = 0.9
    group.sorted_outputs.append("net/second")
    text = text_of(message)
    assert text.count("Operation:") == 1
    assert "Score threshold: 0.900" in text
    assert len(group_of(message).nms_ops) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("nan"), "nan"), (float("inf"), "inf"), (1e300, "inf"), (-0.0, "-0.000")],
)
def test_odd_thresholds_are_printed_as_hailort_prints_them(value: float, shown: str) -> None:
    message, nms = yolov8()
    nms.score_threshold = value
    assert f"Score threshold: {shown}\n" in text_of(message)


def test_odd_image_sizes_are_printed_as_on_x86() -> None:
    message, nms = yolov8()
    nms.yolov8_nms_op.height, nms.yolov8_nms_op.width = float("nan"), 640.9
    assert "Image height: -2147483648\n" in text_of(message)
    assert "Image width: 640\n" in text_of(message)
