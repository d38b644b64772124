"""The precision of each layer: what a script asks for, and what the network says it has."""

from __future__ import annotations

from typing import Any

import pytest
from hefsmith_worker.script.precision import precision_table

LAYERS = ("net/input_layer1", "net/conv1", "net/conv2", "net/fc1", "net/output_layer1")


def hn(**modes: str) -> dict[str, Any]:
    given = {f"net/{name}": {"precision_mode": mode} for name, mode in modes.items()}
    return {"layers": {name: {"quantization_params": given.get(name, {})} for name in LAYERS}}


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ("quantization_param(conv1, precision_mode=a16_w16)", {"net/conv1": "a16_w16"}),
        (
            "quantization_param([conv1, net/fc1], precision_mode=a8_w4)",
            {"net/conv1": "a8_w4", "net/fc1": "a8_w4"},
        ),
        (
            "quantization_param({*conv*}, precision_mode=a16_w16)",
            {"net/conv1": "a16_w16", "net/conv2": "a16_w16"},
        ),
        (
            (
                "quantization_param(conv1, precision_mode=a16_w16)\n"
                "quantization_param(conv1, precision_mode=a8_w8)"
            ),
            {"net/conv1": "a8_w8"},
        ),
        ("quantization_param(conv1, force_range_out=[0, 1])", {}),
        ("# quantization_param(conv1, precision_mode=a16_w16)", {}),
        ("quantization_param(other, precision_mode=a16_w16)", {}),
    ],
)
def test_what_a_script_asks_for_by_layer(script: str, asked: dict[str, str]) -> None:
    assert precision_table(script, hn())["asked"] == asked


def test_what_is_otherwise_is_told_and_what_nobody_knows_is_not() -> None:
    script = "quantization_param({*conv*}, precision_mode=a16_w16)"
    found = precision_table(script, hn(conv1="a16_w16", conv2="a8_w8", fc1="a8_w8"))
    assert found["counts"] == {"a16_w16": 1, "a8_w8": 2}
    assert found["layers"] == {"net/conv1": "a16_w16"}
    assert found["otherwise"] == [{"layer": "net/conv2", "asked": "a16_w16", "ran": "a8_w8"}]
    assert precision_table(script, hn())["otherwise"] == []
    assert precision_table(script, {}) == {
        "counts": {}, "asked": {}, "layers": {}, "otherwise": [], "around_products": [],
    }  # fmt: skip
