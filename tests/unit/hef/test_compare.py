"""What `hef diff` finds worth telling."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.hef import NetworkSpec, StreamSpec, compare_hefs, read_hef, write_emulated_hef
from tests.fuzz.hef.seeds import networks

FAMILIES = networks()


def changes(before: NetworkSpec, after: NetworkSpec) -> dict[tuple[str, str], tuple[str, str]]:
    one, two = (
        read_hef(write_emulated_hef(network, arch="hailo8", resources={"g": b"same"}))
        for network in (before, after)
    )
    return {
        (change.where, change.what): (change.before, change.after)
        for change in compare_hefs(one, two)
        if change.what != "size"
    }


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**40))
def test_the_same_network_is_the_same_whenever_it_was_made(family: str, timestamp: int) -> None:
    one, two = (
        read_hef(write_emulated_hef(FAMILIES[family], arch="hailo8", resources={}, timestamp=time))
        for time in (0, timestamp)
    )
    assert [change for change in compare_hefs(one, two) if change.what != "size"] == []


def test_quantization_shape_and_type_are_told_by_tensor() -> None:
    before = FAMILIES["plain"]
    first = before.outputs[0]
    after = replace(before, outputs=(replace(first, scale=0.2, bits=8), before.outputs[1]))
    found = changes(before, after)
    where = "net/output net/fc1"
    assert found[where, "type"] == ("UINT16", "UINT8")
    assert "scale 0.1," in found[where, "quantization"][0]
    assert "scale 0.2," in found[where, "quantization"][1]
    assert {place for place, _ in found} == {where}


def test_chips_contexts_fps_and_nms_are_told() -> None:
    before = FAMILIES["yolov8"]
    assert before.nms is not None
    after = replace(
        before, contexts=4, predicted_fps=30.0, nms=replace(before.nms, score_threshold=0.5)
    )
    found = changes(before, after)
    assert found["net", "contexts"] == ("1", "4")
    assert found["net", "predicted FPS"] == ("90.5", "30")
    assert found["net/NMS net/yolov8_nms_postprocess", "score threshold"] == ("0.2", "0.5")
    assert ("file", "extensions") in found
    one, two = (
        read_hef(write_emulated_hef(before, arch=arch, resources={}))
        for arch in ("hailo8", "hailo8l")
    )
    chips = next(change for change in compare_hefs(one, two) if change.what == "chips")
    assert (chips.before, chips.after) == ("HAILO8", "HAILO8L, HAILO8")


def test_what_is_only_in_one_file_is_told() -> None:
    before = FAMILIES["plain"]
    extra = StreamSpec("net/new", (2, 2, 2), 1.0, 0.0)
    after = replace(before, outputs=(*before.outputs, extra))
    assert changes(before, after)["net/output net/new", "output"] == ("-", "there")
    other = replace(before, name="other")
    found = changes(before, other)
    assert found["net", "network group"] == ("there", "-")
    assert found["other", "network group"] == ("-", "there")


def test_other_payload_bytes_are_a_difference() -> None:
    one, two = (
        read_hef(write_emulated_hef(FAMILIES["plain"], arch="hailo8", resources={"g": data}))
        for data in (b"one", b"two")
    )
    assert [change.what for change in compare_hefs(one, two)] == ["external resources"]
