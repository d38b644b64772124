"""Each wish of a build that was not met is told, and honest builds are not blamed."""

from __future__ import annotations

from typing import Any

import pytest
from hefsmith_worker.contract.findings import Finding

from orchestrator.errors import StageFailed
from orchestrator.pipeline.judgement import (
    Wishes,
    algorithms,
    asked_of,
    matmul_finding,
    nms_finding,
    precision_finding,
    promised,
    refuse,
    rows,
    scaling_findings,
)


def summary(**more: Any) -> dict[str, Any]:
    nms = {"made": None, "engine": None, "why": "the anchors are not in the graph"}
    found: dict[str, Any] = {
        "arch": "hailo8",
        "asked": {"nms": True},
        "ran": {},
        "postprocess": {"task": "auto"},
        "stages": {
            "optimize": {"result": {"nms": more.pop("nms", nms)}},
            "parse": {"result": {"head": {"task": "detection"}}},
        },
    }
    return {**found, **more}


@pytest.mark.parametrize(
    ("facts", "written", "severity"),
    [
        ({}, set(), "warning"),
        ({}, {"postprocess.nms.enabled"}, "error"),
        ({}, {"postprocess.nms.family"}, "error"),
        ({}, {"postprocess.nms.score"}, "warning"),
        (
            {"nms": {"made": "yolov8", "engine": "cpu", "why": ""}},
            {"postprocess.nms.enabled"},
            None,
        ),
        ({"asked": {"nms": False}}, {"postprocess.nms.enabled"}, None),
        ({"nms": {"made": None, "engine": None, "why": ""}}, set(), None),
        ({"postprocess": {"task": "classification"}}, set(), None),
        ({"nms": None}, {"postprocess.nms.enabled"}, None),
    ],
)
def test_an_nms_that_was_left_out(
    facts: dict[str, Any], written: set[str], severity: str | None
) -> None:
    found = nms_finding(summary(**facts), Wishes(frozenset(written)))
    assert (found.severity if found is not None else None) == severity
    if found is not None:
        assert "anchors are not in the graph" in found.message


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, True),
        ({"arch": "hailo8l"}, True),
        ({"arch": "hailo10h"}, False),
        ({"asked": {}}, False),
        ({"asked": {"net/matmul1": "a8_w8", "net/conv1": "a16_w16"}}, False),
        ({"asked": {"net/matmul1": "a16_w16_a16"}}, True),
    ],
)
def test_16_bits_for_a_matmul_of_8(facts: dict[str, Any], told: bool) -> None:
    arch = facts.get("arch", "hailo8")
    asked = facts.get("asked", {"net/matmul1": "a16_w16"})
    beside = [name for name in asked if "matmul" in name]
    # A manifest that was edited may name layers that nothing was asked for.
    table = {"asked": asked, "around_products": [*beside, "net/gone"]}
    found = matmul_finding({"arch": arch, "stages": {"optimize": {"result": {"precision": table}}}})
    assert (found is not None) is told
    assert found is None or "net/matmul1" in found.message


WARNING = {"code": "calib.noise", "severity": "warning", "message": "noise"}
NOTE = {"code": "calib.small", "severity": "info", "message": "small"}


@pytest.mark.parametrize(
    ("strict", "severities", "findings", "refused"),
    [
        (True, [], [], False),
        (True, [], [NOTE], False),
        (True, [], [WARNING], True),
        (False, [], [WARNING], False),
        (True, ["warning"], [], True),
        (False, ["warning"], [], False),
        (False, ["error"], [], True),
    ],
)
def test_what_is_refused(
    strict: bool, severities: list[str], findings: list[dict[str, str]], refused: bool
) -> None:
    downgrades = [Finding("D01", severity, "less") for severity in severities]
    if refused:
        with pytest.raises(StageFailed):
            refuse("net", strict=strict, downgrades=downgrades, findings=findings)
    else:
        refuse("net", strict=strict, downgrades=downgrades, findings=findings)


def test_algorithms_are_promised_by_name_or_by_a_level_that_ran() -> None:
    line = "post_quantization_optimization(adaround, policy=enabled)"
    assert algorithms([line, "# " + line]) == ["adaround"]
    assert algorithms([line.replace("enabled", "disabled")]) == []
    assert promised({"level": 2}, {"level_run": 2}) == ("fine-tuning",)
    assert promised({"level": 2}, {"level_run": 0}) == ()
    assert promised({"level": 1}, {"level_run": 1}) == ()


def test_rows_mark_what_is_less_than_was_asked() -> None:
    found = {
        row.name: row.differs
        for row in rows(
            summary(
                asked={"level": 2, "images": 64, "nms": True, "opset": 13},
                ran={"level_run": 0, "images_used": 64},
            )
        )
    }
    assert found["optimisation level"]
    assert found["NMS in the HEF"]
    assert not found["calibration images"]


def test_a_layer_with_another_precision_than_asked_is_told_and_counts() -> None:
    table = {
        "counts": {"a16_w16": 1, "a8_w4": 2, "a8_w8": 5},
        "asked": {"net/conv1": "a16_w16", "net/conv2": "a16_w16"},
        "otherwise": [{"layer": "net/conv2", "asked": "a16_w16", "ran": "a8_w8"}],
    }
    told = summary(stages={"optimize": {"result": {"precision": table}}})
    row = next(row for row in rows(told) if row.name == "precision of layers")
    assert row.differs
    assert (row.asked, row.ran) == (
        "2 x a16_w16",
        "1 x a16_w16, 2 x a8_w4, 5 x a8_w8; otherwise: net/conv2",
    )
    finding = precision_finding(told)
    assert finding is not None
    assert finding.severity == "warning"
    assert "net/conv2" in finding.message
    honest = summary(stages={"optimize": {"result": {"precision": {**table, "otherwise": []}}}})
    assert precision_finding(honest) is None
    assert precision_finding(summary()) is None


OWN = {"mean": [0.0], "std": [255.0]}
UNIT = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(
    ("own", "preprocessing", "code"),
    [
        (OWN, {"shared": {}}, "preprocessing.twice"),
        (OWN, {"shared": {"preset": "imagenet"}}, "preprocessing.twice"),
        (OWN, {"shared": {"mean": [0], "std": [255], "normalize": "host"}}, "preprocessing.twice"),
        (OWN, {"by_input": {"x": {"std": [127.5, 127.5, 127.5]}}}, "preprocessing.twice"),
        (OWN, {"shared": {"normalize": "none"}}, None),
        (OWN, {"shared": {"mean": [0], "std": [1]}}, None),
        (OWN, {"shared": {"color": "data", "normalize": "host"}}, None),
        (UNIT, {"shared": {"mean": [0], "std": [255]}}, None),
        (UNIT, {"shared": {}}, None),
        (UNIT, {"shared": {"normalize": "none"}}, "preprocessing.never"),
    ],
)
def test_pixels_are_scaled_once(
    own: dict[str, list[float]], preprocessing: dict[str, Any], code: str | None
) -> None:
    found = scaling_findings({"x": own}, preprocessing)
    assert [one.code for one in found] == ([] if code is None else [code])


def test_a_preset_shows_its_numbers() -> None:
    told = summary(preprocessing={"shared": {"preset": "imagenet", "color": "rgb"}})
    row = next(one for one in rows(told) if one.name == "normalisation")
    assert "123.675" in row.asked


@pytest.mark.parametrize(("kind", "opset"), [("onnx", None), ("torch", 13)])
def test_an_onnx_file_is_asked_for_no_opset(kind: str, opset: int | None) -> None:
    parameters = {
        "optimize": {"level": None, "compression": None, "outputs_16bit": False},
        "calibrate": {"count": 64},
        "export": {"source": {"kind": kind}, "opset": 13},
    }
    assert asked_of(parameters, {})["opset"] == opset
