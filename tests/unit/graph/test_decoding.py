"""What the report says of a head's decoding, and of end nodes that have no name."""

from __future__ import annotations

import onnx
import pytest
from hefsmith_worker.graph import analyse, name_nodes
from hefsmith_worker.graph.heads import strides_of
from hefsmith_worker.script.nms import meta_arch_of

from tests.unit.graph.test_analysis import export, network


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("distributions", {"widths": "distribution", "offset": 0.5, "order": "xy"}),
        ("plain distances", {"widths": "linear", "offset": 0.5, "scores": "sigmoid"}),
        ("anchors", {"widths": "sigmoid", "scaled": False}),
        ("anchors, learned factors", {"widths": "sigmoid", "scaled": True}),
        ("anchors, exponentials", {"widths": "exponential"}),
        ("objectness, decoded", {"widths": "exponential", "offset": 0.0}),
        ("single shot", {"scores": "softmax"}),
        ("single shot, decoded", {"center_factor": 10.0, "size_factor": 5.0}),
    ],
)
def test_the_decoding_is_read_off_the_graph(name: str, wanted: dict[str, object]) -> None:
    decoding = analyse(network(name)).decoding
    assert decoding is not None
    found = decoding.to_dict()
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "meta_arch", "why"),
    [
        ("distributions", "yolov8", ""),
        ("anchors", "yolov5", ""),
        ("objectness, decoded", "yolox", ""),
        ("anchors, learned factors", None, "learned factors"),
        ("anchors, exponentials", None, "exponential"),
        ("single shot", None, "softmax"),
        ("dense", None, "share a layer"),
    ],
)
def test_an_nms_is_named_only_where_the_sdk_decodes_alike(
    name: str, meta_arch: str | None, why: str
) -> None:
    found, reason = meta_arch_of(analyse(network(name)).to_dict())
    assert found == meta_arch
    assert why in reason


def _nameless(model: onnx.ModelProto, name: str = "") -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = name
    return copy


@pytest.mark.parametrize("name", ["", "the same for all"])
def test_end_nodes_without_a_name_of_their_own_get_one_and_nothing_else_changes(name: str) -> None:
    model = _nameless(network("distributions"), name)
    report = analyse(model)
    assert report.task == "detection"
    assert report.nameless == report.end_nodes
    named = name_nodes(model, report.end_nodes)
    assert named is not None
    by_name = {node.name: node for node in named.graph.node if node.name != name}
    assert [by_name[end].output[0] for end in report.end_nodes] == list(report.end_nodes)
    assert len(by_name) == len(report.end_nodes)
    assert _nameless(named) == _nameless(model)
    assert name_nodes(named, report.end_nodes) is None
    assert analyse(named).nameless == ()


def test_four_classes_beside_sixty_four_numbers_are_the_classes_where_nothing_decodes() -> None:
    from tests.unit.graph.networks import Decoupled

    report = analyse(export(Decoupled(4, decode="none"), (96, 160)))
    assert (report.classes, report.regression_length) == (4, 16)
    assert report.end_roles == ("box", "class") * 3


def test_maps_that_end_at_three_anchors_per_cell_are_found_without_their_decoding() -> None:
    from torch import nn

    from tests.unit.graph.networks import Body

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Body()
            self.heads = nn.ModuleList(nn.Conv2d(16, 3 * 85, 1) for _ in range(3))

        def forward(self, x):  # type: ignore[no-untyped-def]
            return tuple(h(m) for h, m in zip(self.heads, self.body(x), strict=True))

    report = analyse(export(Cut(), (96, 160)))
    assert (report.task, report.classes, report.strides) == ("detection", 80, (8, 16, 32))


@pytest.mark.parametrize(
    ("size", "cells", "priors", "wanted"),
    [
        (160, [20, 10, 5, 3, 2], False, (8, 16, 32, 64, 128)),
        (300, [38, 19, 10, 5, 3, 1], True, (8, 16, 32, 64, 100, 300)),
        (640, [80, 40, 20], False, (8, 16, 32)),
        (256, [32, 16, 8, 4, 2], False, (8, 16, 32, 64, 128)),
    ],
)
def test_a_pyramid_doubles_its_strides_and_prior_boxes_are_spread_evenly(
    size: int, cells: list[int], priors: bool, wanted: tuple[int, ...]
) -> None:
    assert strides_of(size, cells, priors=priors) == wanted
