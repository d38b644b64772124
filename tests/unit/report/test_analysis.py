"""Which layers are told to be worst, what is advised, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ArtifactError
from orchestrator.report.analysis import branch_notes, read_analysis, worst_layers


def layer(name: str, **more: Any) -> dict[str, Any]:
    return {"name": f"net/{name}", "type": "conv", "inputs": [], "original_names": [],
            "weights": 1000, "macs": 50_000, **more}  # fmt: skip


def document(*layers: dict[str, Any], outputs: Any = ()) -> dict[str, Any]:
    return {"schema": 1, "samples": 8, "layers": list(layers), "outputs": list(outputs)}


def test_the_layer_that_alone_hurts_most_is_first_whatever_noise_has_grown_to() -> None:
    found = read_analysis(
        document(
            layer("conv1", alone_db=50.0, snr_db=50.0),
            layer("conv2", alone_db=12.0, snr_db=15.0),
            layer("conv3", alone_db=45.0, snr_db=10.0),
        )
    )
    assert [h.layer.short for h in worst_layers(found, "hailo8l")] == ["conv2", "conv3", "conv1"]


def test_without_that_the_layer_that_adds_noise_is_first() -> None:
    found = read_analysis(
        document(
            layer("conv1", snr_db=40.0),
            layer("conv2", snr_db=18.0, inputs=["net/conv1"]),
            layer("conv3", snr_db=17.0, inputs=["net/conv2"]),
            layer("conv4", snr_db=None),
        )
    )
    assert [h.layer.short for h in worst_layers(found, "hailo8l")] == ["conv2", "conv3", "conv1"]


def test_advice_names_the_line_and_the_cost() -> None:
    found = read_analysis(
        document(
            layer("conv1", alone_db=10.0, limits=[0.0, 100.0], bulk=2.0, channel_spread=50.0),
            layer("conv2", alone_db=50.0, weights=3000, macs=150_000),
        )
    )
    worst = worst_layers(found, "hailo8l")[0]
    by_text = {advice.text: advice for advice in worst.advice}
    wide = by_text["16 bits"]
    assert wide.line == "quantization_param([conv1], precision_mode=a16_w16)"
    assert "1.0 kB more weights (25.0% of the network)" in wide.cost
    assert "25.0% of the arithmetic gets slower" in wide.cost
    assert "layers=[conv1]" in str(by_text["clip its outliers"].line)
    assert "equalisation" in by_text
    assert "50 times the range" in worst.why


def test_lines_that_are_advised_are_lines_of_a_script() -> None:
    from hefsmith_worker.script import parse

    found = read_analysis(
        document(layer("conv1", alone_db=1.0, weight_bits=4, limits=[0, 99.0], bulk=1.0,
                       channel_spread=99.0))
    )  # fmt: skip
    lines = [a.line for a in worst_layers(found, "hailo8l")[0].advice if a.line]
    assert len(parse("\n".join(lines))) == len(lines) == 5


@pytest.mark.parametrize(("arch", "wide"), [("hailo8l", False), ("hailo10h", True)])
def test_a_product_of_tensors_is_not_widened_where_the_chip_cannot(arch: str, wide: bool) -> None:
    found = read_analysis(document(layer("matmul1", type="matmul", weights=0, alone_db=5.0)))
    texts = [advice.text for advice in worst_layers(found, arch)[0].advice]
    assert ("16 bits" in texts) == wide


def output(stream: str, role: str | None, snr: float | None) -> dict[str, Any]:
    return {"name": f"{stream}_out", "stream": stream, "onnx_name": None, "role": role,
            "snr_db": snr}  # fmt: skip


def test_a_ruined_box_branch_behind_good_scores_is_told() -> None:
    found = read_analysis(
        document(outputs=[output("net/conv8", "box", 6.0), output("net/conv9", "class", 33.0)])
    )
    assert "the box output net/conv8 is at 6.0 dB" in branch_notes(found)[0]
    even = document(outputs=[output("a", "box", 31.0), output("b", "class", 33.0)])
    assert branch_notes(read_analysis(even)) == ()
    assert branch_notes(read_analysis(document(outputs=[output("a", None, None)]))) == ()


@pytest.mark.parametrize("wrong", [None, [], {}, {"schema": 2}, {"schema": 1, "samples": "x"}])
def test_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(ArtifactError):
        read_analysis(wrong)


def test_text_of_the_compiler_is_shown_tame() -> None:
    found = read_analysis(document(layer("a\x1b[2Jb", alone_db=1.0)))
    assert "\x1b" not in worst_layers(found, "hailo8l")[0].layer.name
