"""Emulated HEFs: what is written is read back, and nobody can take it for compiled."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.hef import (
    DecoderSpec,
    HefCorruptError,
    NetworkSpec,
    NmsSpec,
    ResourceNotFoundError,
    StreamSpec,
    examine_hef,
    read_hef,
    read_resource,
    write_emulated_hef,
)
from orchestrator.hef.vendor import vendor_text
from tests.fuzz.hef.seeds import networks

if TYPE_CHECKING:
    from pathlib import Path

ARCHS = ("hailo8", "hailo8r", "hailo8l", "hailo10h", "hailo15h", "hailo15m", "hailo15l")


def write(network: NetworkSpec, arch: str = "hailo8l", **more: Any) -> bytes:
    return write_emulated_hef(network, arch=arch, resources={"graph": b"payload"}, **more)


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20
)
sides = st.integers(1, 300)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def streams(draw: st.DrawFn, name: str, *, output: bool) -> StreamSpec:
    vector = draw(st.booleans())
    shape = (1, 1, draw(sides)) if vector else (draw(sides), draw(sides), draw(st.integers(1, 40)))
    per_feature = output and draw(st.booleans())
    values = st.lists(
        st.floats(allow_nan=False, allow_infinity=False), min_size=shape[2], max_size=shape[2]
    )
    return StreamSpec(
        name,
        shape,
        draw(numbers),
        draw(numbers),
        bits=draw(st.sampled_from([8, 16])),
        order="NC" if vector else "NHWC",
        limits=draw(st.none() | st.tuples(numbers, numbers)),
        scales=tuple(draw(values)) if per_feature else (),
        zero_points=tuple(draw(values)) if per_feature else (),
        original_names=tuple(draw(st.lists(names, max_size=3))),
    )


@st.composite
def network_specs(draw: st.DrawFn) -> NetworkSpec:
    labels = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(labels) - 1))
    return NetworkSpec(
        draw(names),
        tuple(draw(streams(label, output=False)) for label in labels[:cut]),
        tuple(draw(streams(label, output=True)) for label in labels[cut:]),
        contexts=draw(st.integers(1, 5)),
        predicted_fps=draw(st.floats(0, 1e6)),
        operations=draw(st.integers(0, 2**63)),
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(network_specs(), st.sampled_from(ARCHS), st.dictionaries(names, st.binary(max_size=200)))
def test_what_is_written_is_read_back(
    network: NetworkSpec, arch: str, resources: dict[str, bytes]
) -> None:
    data = write_emulated_hef(network, arch=arch, resources=resources, timestamp=77)
    hef = read_hef(data)
    group = hef.group()
    assert (group.name, len(group.contexts)) == (network.name, network.contexts)
    assert (group.predicted_fps or 0.0) == network.predicted_fps
    assert (group.operations or 0) == network.operations
    assert hef.timestamp == 77
    for specs, tensors in ((network.inputs, group.inputs), (network.outputs, group.outputs)):
        for spec, tensor in zip(specs, tensors, strict=True):
            _require_same(spec, tensor)
    for name, content in resources.items():
        assert read_resource(data, name) == content
    assert data == write_emulated_hef(network, arch=arch, resources=resources, timestamp=77)


def _require_same(spec: StreamSpec, tensor: Any) -> None:
    assert (tensor.name, tensor.shape, tensor.order) == (spec.name, spec.shape, spec.order)
    assert tensor.type == f"UINT{spec.bits}"
    assert tensor.frame_size == spec.shape[0] * spec.shape[1] * spec.shape[2] * spec.bits // 8
    assert tensor.original_names == spec.original_names
    found = tensor.quantization
    if spec.limits is not None:
        assert found.limits == spec.limits
    if len(spec.scales) > 1:
        assert (found.scales, found.zero_points) == (spec.scales, spec.zero_points)
    elif not spec.scales:
        assert (found.scale, found.zero_point) == (spec.scale, spec.zero_point)


@pytest.mark.parametrize("family", sorted(networks()))
@pytest.mark.parametrize("arch", ARCHS)
def test_every_family_is_accepted_as_hailort_accepts_it(family: str, arch: str) -> None:
    network = networks()[family]
    examination = examine_hef(write(network, arch))
    assert not examination.problems
    assert (examination.vendor_status, examination.vendor_exit) == (0, 0)
    assert examination.hef is not None
    assert vendor_text(examination.hef, parse_streams=True)
    group = examination.hef.group()
    if network.nms is None:
        assert not group.nms_ops
        return
    (op,) = group.nms_ops
    assert op.output == network.nms.output
    assert op.classes == network.nms.classes
    assert (op.score_threshold, op.iou_threshold) == (0.2, 0.7)
    for spec, decoder in zip(network.nms.decoders, op.decoders, strict=False):
        assert tuple(decoder.inputs.values()) == spec.streams
        assert decoder.anchors == spec.anchors
    for key, value in network.nms.extra.items():
        assert op.extra[key] == value


def test_an_emulated_file_says_so_everywhere() -> None:
    hef = read_hef(write(networks()["plain"], emulated_compiler="3.33.0"))
    assert hef.emulated
    assert hef.compiler.startswith("emulated 3.33.0")
    assert hef.compiler_version is None
    assert hef.sdk_version == (0, 0, 0)
    assert "Compiler Version" not in vendor_text(hef)
    assert not re.match(r"\d", hef.compiler)


def test_the_header_is_version_3_with_both_hashes_and_padding_to_a_page() -> None:
    data = write(networks()["plain"])
    magic, version, proto, whole, ccws, padding, extra, proto_hash = struct.unpack_from(
        ">4sIIQQIQQ", data
    )
    assert (magic, version) == (b"\x01HEF", 3)
    assert (56 + proto + padding) % 4096 == 0
    assert ccws == padding
    assert len(data) == 56 + proto + padding + extra
    assert whole == xxhash.xxh3_64_intdigest(data[56:])
    assert proto_hash == xxhash.xxh3_64_intdigest(data[56 : 56 + proto])


def test_resources_are_found_in_files_and_bytes_and_damage_is_told(tmp_path: Path) -> None:
    data = write_emulated_hef(
        networks()["plain"], arch="hailo8", resources={"a": b"A" * 100, "b": b"", "c": b"C"}
    )
    path = tmp_path / "x.emulated.hef"
    path.write_bytes(data)
    assert read_resource(path, "a") == read_resource(data, "a") == b"A" * 100
    assert read_resource(data, "b") == b""
    with pytest.raises(ResourceNotFoundError, match="a, b, c"):
        read_resource(data, "d")
    hurt = data.replace(b"A" * 100, b"A" * 99 + b"B")
    with pytest.raises(ResourceNotFoundError, match="damaged"):
        read_resource(hurt, "a")
    assert read_resource(hurt, "c") == b"C"
    with pytest.raises(ResourceNotFoundError, match="missing"):
        read_resource(data[:-1], "c")
    failed = {check.name: check.ok for check in examine_hef(hurt).checks}
    assert failed["xxh3_64"] is False
    assert failed["resource:a"] is False
    assert failed["resource:c"] is True
    with pytest.raises(HefCorruptError):
        read_hef(hurt)


PLAIN = networks()["plain"]
BOXES = networks()["yolov8"]
assert BOXES.nms is not None


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (replace(PLAIN, inputs=()), "at least one input"),
        (replace(PLAIN, outputs=PLAIN.outputs[:1] * 2), "same name"),
        (replace(PLAIN, contexts=0), "context"),
        (replace(PLAIN, name="x" * 128), "127 bytes"),
        (replace(PLAIN, inputs=(replace(PLAIN.inputs[0], bits=4),)), "8 or 16"),
        (replace(PLAIN, inputs=(replace(PLAIN.inputs[0], order="NCHW"),)), "NHWC or NC"),
        (replace(PLAIN, inputs=(replace(PLAIN.inputs[0], shape=(0, 1, 1)),)), "shape"),
        (replace(PLAIN, inputs=(replace(PLAIN.inputs[0], order="NC"),)), "vector"),
        (replace(PLAIN, outputs=(replace(PLAIN.outputs[1], scales=(1.0,)),)), "per feature"),
        (replace(BOXES, nms=replace(BOXES.nms, family="yolov99")), "family"),
        (replace(BOXES, nms=replace(BOXES.nms, decoders=())), "decoder"),
        (replace(BOXES, nms=replace(BOXES.nms, output=BOXES.outputs[0].name)), "output"),
        (replace(BOXES, nms=replace(BOXES.nms, decoders=(DecoderSpec(reg="no"),))), "no output"),
    ],
)
def test_a_network_that_no_chip_could_have_is_not_written(
    network: NetworkSpec, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        write(network)


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="hailo8l"):
        write(PLAIN, "hailo9")


def test_the_nms_output_takes_the_place_of_the_first_layer_it_consumes() -> None:
    first, second, third = (StreamSpec(f"net/{i}", (4, 4, 8), 1.0, 0.0) for i in "abc")
    nms = NmsSpec(
        "yolov8",
        "net/nms",
        0.2,
        0.7,
        9,
        8,
        (32, 32),
        (DecoderSpec(8, reg=second.name, cls=third.name),),
    )
    network = replace(PLAIN, outputs=(first, second, third), nms=nms)
    outputs = read_hef(write(network)).group().outputs
    assert [tensor.name for tensor in outputs] == ["net/a", "net/nms"]
