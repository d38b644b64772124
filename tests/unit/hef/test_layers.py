"""Layers and contexts: what HailoRT makes of them, and which status it refuses them with."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.hef import HefError, NetworkGroup, examine_hef, read_hef
from orchestrator.hef.schema import message_class
from orchestrator.hef.vendor import vendor_text
from tests.unit.hef.building import (
    add_layer,
    field,
    fill_info,
    hef_message,
    legacy,
    operation,
    pack,
    with_operation,
)


def group_of(message: Any, version: int = 2) -> NetworkGroup:
    return read_hef(pack(message.SerializeToString(), version)).network_groups[0]


def status_of(proto: bytes, version: int = 2) -> int | None:
    examination = examine_hef(pack(proto, version))
    assert examination.vendor_status != 0, "HailoRT would open it"
    return examination.vendor_status


def refused(message: Any) -> int | None:
    return status_of(message.SerializeToString())


@pytest.mark.parametrize(
    ("order", "on_chip", "host"),
    [
        (0, "NHWC", "NHWC"),
        (1, "NHCW", "NHWC"),
        (2, "NC", "NC"),
        (3, "FCR", "FCR"),
        (4, "BAYER RGB", "BAYER RGB"),
        (5, "NHW", "NHW"),
        (7, "F8CR", "F8CR"),
        (8, "RGB 888", "NHWC"),
        (11, "YUY2", "YUY2"),
        (13, "NHWC", "NHWC"),
        (14, "YYUV", "NV12"),
        (15, "YYVU", "NV21"),
        (16, "YYYYUV", "I420"),
    ],
)
def test_formats_have_an_order_on_the_chip_and_one_for_programs(
    order: int, on_chip: str, host: str
) -> None:
    message, group = legacy()
    group.contexts[0].metadata.layers[0].info.base.format = order
    found = group_of(message)
    assert (found.streams[0].order, found.inputs[0].order) == (on_chip, host)


@pytest.mark.parametrize("order", [9, 10, 12, 17, 255, 2**32 - 1])
def test_other_formats_are_status_8(order: int) -> None:
    message, group = legacy()
    group.contexts[0].metadata.layers[1].info.base.format = order
    assert refused(message) == 8


@pytest.mark.parametrize("size", [0, 3, 4, 8])
def test_numbers_of_other_sizes_are_status_2(size: int) -> None:
    message, group = legacy()
    group.contexts[0].metadata.layers[1].info.base.data_bytes = size
    assert refused(message) == 2


def test_a_transposed_layer_swaps_height_and_width_but_a_vector_does_not() -> None:
    message, group = legacy()
    info = group.contexts[0].metadata.layers[1].info
    info.base.height, info.base.width, info.transposed = 2, 6, True
    tensor = group_of(message).outputs[0]
    assert tensor.shape == (6, 2, 8)
    info.base.format = 2
    assert group_of(message).outputs[0].shape == (2, 6, 8)
    info.transposed = False
    group.metadata.transposed = True
    assert group_of(message).inputs[0].shape == (8, 8, 3)
    assert group_of(message).transposed


def test_streams_show_the_padded_shape_unless_the_core_pads_itself() -> None:
    message, group = legacy()
    base = group.contexts[0].metadata.layers[1].info.base
    base.padded_width = 8
    base.buffers_per_frame = base.height
    stream = group_of(message).streams[1]
    assert stream.hw_shape == (4, 8, 8)
    assert stream.hw_frame_size == 256
    # without optional extension 11 HailoRT lets the core add the padding
    del message.optional_extensions[:]
    assert group_of(message).streams[1].hw_shape == (4, 4, 8)
    base.buffers_per_frame = 3
    assert group_of(message).streams[1].hw_shape == (4, 8, 8)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("bytes_per_buffer", 65536, 26),
        ("buffers_per_frame", 65536, 26),
        ("sys_index", 256, 26),
        ("engine", 256, 26),
        ("host_argmax", True, 92),
    ],
)
def test_values_that_do_not_fit_the_chip_are_refused(name: str, value: int, status: int) -> None:
    message, group = legacy()
    setattr(group.contexts[0].metadata.layers[1].info.base, name, value)
    assert refused(message) == status


def test_the_first_of_two_faults_gives_the_status() -> None:
    message, group = legacy()
    base = group.contexts[0].metadata.layers[0].info.base
    base.data_bytes, base.sys_index = 7, 300
    assert refused(message) == 2
    base.host_argmax = True
    assert refused(message) == 92
    base.format = 99
    assert refused(message) == 8


def test_a_name_of_127_bytes_is_read_and_one_of_128_is_status_8() -> None:
    message, group = legacy()
    info = group.contexts[0].metadata.layers[0].info
    info.name = "n" * 127
    assert group_of(message).inputs[0].name == "n" * 127
    info.name = "\u00e9" * 64
    assert refused(message) == 8


def test_a_name_may_not_appear_twice() -> None:
    message, group = legacy()
    add_layer(group.contexts[0], "net/in", (1, 1, 1), output=True)
    assert refused(message) == 26


def test_a_layer_without_buffer_index_crashes_hailort_and_is_an_error_here() -> None:
    message, group = legacy()
    del group.contexts[0].metadata.layers[0].info.base.buffer_indices[:]
    with pytest.raises(HefError, match="buffer") as caught:
        group_of(message)
    assert (caught.value.code, caught.value.status) == ("hef.crashes-hailort", None)
    examination = examine_hef(pack(message.SerializeToString()))
    assert examination.vendor_status is None
    assert examination.vendor_exit is None


def mux(context: Any, *names: str) -> Any:
    layer = context.metadata.layers.add(direction=1, type=1)
    layer.switch.SetInParent()
    fill_mux(layer.mux, "net/mux", *names)
    return layer.mux


def fill_mux(found: Any, name: str, *names: str) -> None:
    plain = message_class("LayerInfo")()
    fill_info(plain, name, (4, 4, 16))
    found.name = name
    found.base.CopyFrom(plain.base)
    found.data.count = len(names)
    for part in names:
        fill_info(found.predecessors.add().info, part, (4, 4, 8))


def with_mux(*names: str) -> tuple[Any, Any]:
    message, group = legacy()
    found = mux(group.contexts[0], *names)
    group.sorted_outputs.extend(names)
    return message, found


def test_a_mux_is_one_stream_and_as_many_tensors_as_it_joins() -> None:
    message, _ = with_mux("net/b", "net/a")
    group = group_of(message)
    assert [stream.name for stream in group.streams] == ["net/in", "net/out", "net/mux"]
    assert group.streams[2].members == ("net/b", "net/a")
    assert [tensor.name for tensor in group.outputs] == ["net/out", "net/b", "net/a"]


def test_a_mux_inside_a_mux_is_taken_apart_too() -> None:
    message, outer = with_mux("net/b")
    fill_mux(outer.predecessors.add().mux, "net/inner", "net/c")
    outer.data.count = 2
    message.groups[0].sorted_outputs.append("net/c")
    group = group_of(message)
    assert [tensor.name for tensor in group.outputs] == ["net/out", "net/b", "net/c"]


def test_a_mux_that_promises_more_layers_than_it_has_is_an_error() -> None:
    message, found = with_mux("net/b")
    found.data.count = 2
    assert refused(message) is None
    found.data.count = 1
    found.predecessors[0].planes.SetInParent()
    assert refused(message) == 8


@pytest.mark.parametrize(("number", "order"), [(0, "NV12"), (1, "NV21"), (2, "I420")])
def test_picture_planes_are_one_tensor_and_several_streams(number: int, order: str) -> None:
    message, group = legacy()
    layer = group.contexts[0].metadata.layers.add(type=2)
    planes = layer.planes
    planes.name, planes.format = "net/picture", number
    planes.height, planes.width, planes.features = 8, 8, 3
    for name in ("net/y", "net/uv"):
        fill_info(planes.planes.add().info, name, (4, 8, 1), order=0)
    found = group_of(message)
    assert [tensor.order for tensor in found.inputs] == ["NHWC", order]
    assert found.inputs[1].frame_size == 192
    assert [stream.name for stream in found.streams] == ["net/in", "net/y", "net/uv", "net/out"]
    planes.planes[1].info.base.data_bytes = 2
    assert refused(message) == 26
    planes.format = 3
    assert refused(message) == 26
    planes.format = number
    del planes.planes[:]
    assert refused(message) is None


def on_chip_nms(message: Any, *, defused: bool = False) -> Any:
    context = message.groups[0].contexts[0]
    layer = add_layer(context, "net/nms", (0, 0, 0), output=True, order=6, data_bytes=2)
    info = layer.info.base.additional.nms
    info.classes, info.max_output, info.bbox_size, info.division_factor = 4, 10, 10, 2
    info.is_defused = defused
    message.groups[0].sorted_outputs.append("net/nms")
    return info


def test_on_chip_nms_counts_boxes_times_the_division_factor() -> None:
    message, _ = legacy()
    on_chip_nms(message)
    group = group_of(message)
    tensor = group.outputs[1]
    assert tensor.nms_shape is not None
    assert tensor.nms_shape.max_bboxes_per_class == 20
    assert tensor.nms_shape.max_bboxes_total == 80
    assert (tensor.order, tensor.type, tensor.shape) == ("HAILO NMS BY CLASS", "FLOAT32", None)
    assert tensor.frame_size == 4 * (1 + 5 * 20) * 4
    assert group.streams[2].hw_frame_size == 2 * 4 * (2 + 10 * 10) + 10


@pytest.mark.parametrize(
    ("arch", "burst", "good"), [(1, 1, True), (1, 2, False), (103, 3, True), (103, 1, False)]
)
def test_nms_bursts_belong_to_a_generation_of_chips(arch: int, burst: int, good: bool) -> None:
    message, _ = legacy(arch=arch, extensions=(19, 26))
    info = on_chip_nms(message)
    info.burst_type, info.burst_size = burst, 12
    if good:
        assert group_of(message).streams[2].hw_frame_size == 2 * 4 * (2 + 10 * 12) + 120
    else:
        assert refused(message) == 26


def test_nms_limits_have_hailorts_status() -> None:
    message, _ = legacy()
    info = on_chip_nms(message)
    info.defuse.class_group = 9
    assert refused(message) == 26
    info.defuse.class_group = 0
    info.burst_type = 1  # without the burst extension
    assert refused(message) == 26
    info.burst_type = 0
    message.header.hw_arch = 102  # PAPRIKA_B0 has no on-chip NMS that HailoRT knows
    assert refused(message) == 8


def test_parts_of_one_nms_become_one_output_again() -> None:
    message, group = legacy()
    part = on_chip_nms(message, defused=True)
    part.defuse.original_name = "net/whole"
    fused = group.fused.layers.add()
    fill_info(fused.layer, "net/whole", (0, 0, 0), order=6, data_bytes=2)
    fused.nms.CopyFrom(part)
    fused.nms.classes, fused.nms.is_defused = 8, False
    group.fused.has_fused = True
    group.fused.sorted_outputs.extend(["net/whole", "net/out"])
    tensors = group_of(message).outputs
    assert [tensor.name for tensor in tensors] == ["net/whole", "net/out"]
    assert tensors[0].nms_shape is not None
    assert tensors[0].nms_shape.number_of_classes == 8
    part.defuse.original_name = "net/other"
    assert refused(message) == 61


def test_scales_per_feature_must_fit_the_features() -> None:
    message, group = legacy(extensions=(25, 26))
    numeric = group.contexts[0].metadata.layers[1].info.numeric
    numeric.scales.extend([0.5] * 7 + [0.25])
    numeric.zero_points.extend(range(8))
    found = group_of(message).outputs[0].quantization
    assert found.per_feature
    assert found.scales[-1] == 0.25
    numeric.scales.append(1.0)
    assert refused(message) == 26


def test_an_input_may_not_have_different_scales() -> None:
    message, group = legacy(extensions=(25, 26))
    numeric = group.contexts[0].metadata.layers[0].info.numeric
    numeric.scales.extend([0.5, 0.5, 0.5])
    assert group_of(message).inputs[0].quantization.scale == 0.5
    numeric.scales[2] = 0.25
    assert refused(message) == 26


def test_networks_of_a_group_are_listed_each_by_itself() -> None:
    message, group = legacy(optional=(8, 11))
    group.networks.extend(["a", "b"])
    second = add_layer(group.contexts[0], "net/in2", (2, 2, 2))
    second.network_index = 1
    out = add_layer(group.contexts[0], "net/out2", (2, 2, 2), output=True)
    out.network_index = 1
    group.sorted_outputs.append("net/out2")
    found = group_of(message)
    assert found.networks == ("net/a", "net/b")
    assert [view.inputs[0].name for view in found.views] == ["net/in", "net/in2"]
    assert [tensor.name for tensor in found.inputs] == ["net/in", "net/in2"]
    text = vendor_text(read_hef(pack(message.SerializeToString())), parse_streams=True)
    assert text.count("Network name: net/") == 2
    assert text.count("Input  net/in ") == 2  # a stream and a tensor
    second.network_index = 2
    assert refused(message) == 2


def test_a_network_without_layers_is_status_61_when_it_is_listed() -> None:
    message, group = legacy(optional=(8, 11))
    group.networks.extend(["a", "b"])
    examination = examine_hef(pack(message.SerializeToString()))
    assert (examination.vendor_status, examination.vendor_exit) == (0, 61)


def inner(context: Any, connection: int, *, output: bool = False, index: int = 0) -> Any:
    layer = add_layer(context, f"net/inner{connection}{output}", (2, 2, 2), output=output)
    layer.switch.connection = connection
    layer.switch.connected.add(index=index, sys_index=0)
    return layer


@pytest.mark.parametrize("connection", [1, 2, 3])
def test_layers_between_contexts_are_counted_and_not_shown(connection: int) -> None:
    message, group = legacy()
    for output in (False, True):
        inner(group.contexts[0], connection, output=output)
    found = group_of(message)
    assert len(found.streams) == 2
    context = found.contexts[0]
    counts = (context.inter_context_layers, context.ddr_layers, context.cache_layers)
    assert counts[connection - 1] == 2
    assert sum(counts) == 2


@pytest.mark.parametrize(
    ("connection", "change"),
    [
        (1, lambda layer: layer.switch.ClearField("connected")),
        (2, lambda layer: layer.switch.connected.add()),
        (2, lambda layer: setattr(layer.switch.connected[0], "index", 5)),
        (2, lambda layer: setattr(layer.switch.connected[0], "sys_index", 5)),
        (2, lambda layer: setattr(layer.switch, "buffers", 70_000)),
        (2, lambda layer: setattr(layer.info.base, "bytes_per_buffer", 8)),
        (1, lambda layer: setattr(layer.switch.connected[0], "engine", 300)),
        (3, lambda layer: setattr(layer.switch, "cache_id", -1)),
        (1, lambda layer: setattr(layer, "type", 1)),
        (4, lambda layer: None),
    ],
)
def test_wrong_layers_between_contexts_are_status_26(connection: int, change: Any) -> None:
    message, group = legacy()
    inner(group.contexts[0], connection)
    change(inner(group.contexts[0], connection, output=True))
    assert refused(message) == 26


def test_memory_layers_need_a_partner() -> None:
    message, group = legacy()
    inner(group.contexts[0], 2, output=True)
    assert refused(message) == 26


ACTIONS = [
    (5, field(1, 256), 26),
    (5, field(11, field(1, 256) + field(3, 1)), 26),
    (5, field(11, field(1, 256)), 0),
    (6, field(1, 256), 26),
    (7, field(1, 256), 26),
    (8, field(3, 65536), 26),
    (9, b"", 0),
    (10, field(1, 300), 26),
    (11, field(1, 300), 26),
    (12, b"", 26),
    (12, field(2, field(1, 999)), 26),
    (12, field(2, field(1, 1000)), 0),
    (12, field(3, b""), 0),
    (13, b"", 26),
    (13, field(3, 1) + field(4, 1), 0),
    (13, field(3, 1) + field(4, 1) + field(5, 256), 26),
    (14, field(1, 6), 26),
    (14, field(1, 2**32), 26),
    (14, field(2, 2), 26),
    (14, field(3, b"12345"), 26),
    (14, field(1, 8) + field(3, b"1234"), 0),
    (15, field(2, 256), 26),
    (17, field(1, 256), 26),
    (18, b"", 0),
    (2, b"", 8),
    (4, b"", 8),
    (19, b"", 8),
]


@pytest.mark.parametrize(("number", "body", "status"), ACTIONS)
def test_every_configuration_action_is_judged_like_hailort_does(
    number: int, body: bytes, status: int
) -> None:
    message, _ = legacy()
    proto = with_operation(message, operation(field(number, body)))
    assert examine_hef(pack(proto)).vendor_status == status
    # without verification actions are only counted
    assert read_hef(pack(proto), verify=False).network_groups[0].contexts[0].actions == 1


@pytest.mark.parametrize(
    ("trigger", "status"),
    [
        (b"", 26),
        (field(2, field(1, 3)), 0),
        (field(2, field(1, 256)), 26),
        (field(3, b""), 0),
        (field(4, field(1, 256)), 26),
        (field(5, b""), 7),
        (field(6, field(6, 256)), 26),
        (field(7, field(1, 255)), 0),
        (field(8, b""), 26),
    ],
)
def test_every_trigger_is_judged_like_hailort_does(trigger: bytes, status: int) -> None:
    proto = with_operation(legacy()[0], operation(trigger=trigger))
    assert examine_hef(pack(proto)).vendor_status == status


def test_weights_in_the_metadata_belong_to_version_0_only() -> None:
    pointer, inline = field(16, field(1, 4) + field(2, 8)), field(3, field(1, b"data"))
    for version in (0, 1, 2, 3):
        for action, at_home in ((inline, version == 0), (pointer, version > 0)):
            proto = with_operation(legacy()[0], operation(action, action))
            examination = examine_hef(pack(proto, version))
            assert examination.vendor_status == (0 if at_home else 26)
    too_far = field(16, field(3, 256))
    assert status_of(with_operation(legacy()[0], operation(too_far))) == 26


def test_the_last_member_of_a_oneof_counts() -> None:
    body = field(10, field(1, 300)) + field(9, b"")
    proto = with_operation(legacy()[0], operation(body))
    assert examine_hef(pack(proto)).vendor_status == 0


def test_no_context_crashes_hailort_and_no_group_is_fine() -> None:
    message, group = legacy()
    del group.contexts[:]
    with pytest.raises(HefError, match="no contexts") as caught:
        group_of(message)
    assert caught.value.status is None
    empty = read_hef(pack(hef_message().SerializeToString()))
    assert empty.network_groups == ()
    assert vendor_text(empty) == "HEF Compatible for: HAILO8\n"


def test_what_is_wrong_in_a_file_is_told_in_words_and_not_at_length() -> None:
    message, _ = legacy("x" * 5000)
    (problem,) = examine_hef(pack(message.SerializeToString())).problems
    assert len(problem.message) < 300
    message, _ = legacy(arch=3)
    (problem,) = examine_hef(pack(message.SerializeToString())).problems
    assert problem.message.endswith("no partial core ops, which a file for HAILO8L needs")
