"""The linter names what is wrong with a script, where, and what was probably meant."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from hefsmith_worker.script.lint import check_text

from orchestrator.cli.app import run
from tests.unit.script.test_syntax import FORMS

if TYPE_CHECKING:
    from pathlib import Path

#: One line or more of each command with each of its known forms (facts of hailo.md 6.2, 6.3).
CLEAN = """\
net_6.1/normalization1 = normalization([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
change_output_activation(conv42, sigmoid)
change_output_activation(net/conv77, tanh)
nms_postprocess("../../postprocess_config/yolov8n.json", meta_arch=yolov8, engine=cpu)
model_optimization_config(calibration, batch_size=8, calibset_size=64)
model_optimization_config(globals, multiproc_policy=disabled)
model_optimization_config(checker_cfg, policy=enabled, analyze_mode=simple, dataset_size=16)
model_optimization_config(checker_cfg, batch_norm_checker=False)
model_optimization_config(negative_exponent, layers={*}, rank=0)
model_optimization_config(globals, output_encoding_vector=enabled)
model_optimization_flavor(optimization_level=2, compression_level=0, batch_size=4)
post_quantization_optimization(finetune, policy=enabled, learning_rate=0.0001, epochs=4,
    dataset_size=4000, loss_layer_names=[conv94, conv85], loss_types=[l2rel, ce],
    loss_factors=[1.0, 0.5], warmup_epochs=0)
post_quantization_optimization(bias_correction, policy=enabled)
post_quantization_optimization(adaround, policy=enabled, batch_size=8)
pre_quantization_optimization(equalization, policy=disabled)
pre_quantization_optimization(activation_clipping, layers=[conv3], mode=percentile,
    clipping_values=[0, 99.5], recollect_stats=True)
quantization_param([conv28, conv29], precision_mode=a16_w16)
quantization_param({conv*}, bias_mode=double_scale_initialization)
quantization_param(net/matmul7, force_range_in=[-5.81, 6.56], force_range_index=0)
quantization_param(conv1, max_elementwise_feed_repeat=1, weight_group_size=128)
conv = input_conversion(input_layer1, nv12_to_hailo_yuv, emulator_support=True)
rgb = input_conversion(bgr_to_rgb)
resize_input1 = resize(input_layer1, resize_shapes=[1080, 1920])
performance_param(compiler_optimization_level=max)
performance_param(fps=120, optimize_for_batch=8, optimize_for_power=True)
resources_param(max_utilization=0.9, max_compute_16bit_utilization=0.8, strategy=greedy)
allocator_param(timeout=25m, width_splitter_defuse=disabled, automatic_reshapes=disabled)
context_switch_param(mode=enabled, toposort_mode=pushdown, slotter_chances=600)
hef_param(strict_runtime_versioning=False, share_config=allowed, enable_csm_crc=disabled)
platform_param(hef_version=5)
logits_layer1 = logits_layer(net/fc1, softmax, -1, cpu)
compilation_param(conv1, number_of_subclusters=8, use_16x4_sc=disabled, hw_layer_type_list=[lcu])
buffers(concat8, slice8, 11, FULL_ROW)
argmax1_sd0, argmax1_sdc = defuse(argmax1, 2, defuse_type=SPATIAL)
context_0 = context([conv10, conv11])
context_0.place(0, [conv10, conv11])
s17 = shortcut(ew_add35, [reduce_mean1, ew_sub1])
p1 = portal(conv1, concat2)
l4 = l4_portal(conv52, [conv53_sd0, conv53_sd1])
d1 = ddr(conv31, ew_mult3)
c1 = concat([conv29_d0, conv29_d1], conv29_dc)
m1 = merge(conv21, conv22)
join(concat16, [conv67_d0, conv67_d1], join_type=SHMIFO)
b0 = bucket([conv70, conv71])
placeholder = format_conversion(const_input15, ew_add47, spatial_reshape, 13, 8, collapse=True)
ws1 = shape_splitter(SPLIT_WIDTH, conv27_ws, [conv27_sd4, conv27_sd5])
remove_node(format_conversion53)
o1 = output_layer(conv102, offdevice_layer=yolov8_nms_postprocess)
set_seed(seed=23)
"""


def test_every_known_command_form_is_clean() -> None:
    assert check_text(CLEAN) == []


@pytest.mark.parametrize("form", FORMS)
def test_what_the_parser_reads_of_the_zoo_is_no_error(form: str) -> None:
    assert [f for f in check_text(form) if f.severity == "error"] == []


@pytest.mark.parametrize(
    ("text", "code", "column", "words"),
    [
        ("normalisation1 = normalisation([0], [255])", "unknown-command", 18, "normalization?"),
        ("normalization([0, 0, 0], [255, 255, 255])", "missing-name", 1, "normalization1 = "),
        ("x = set_seed(seed=1)", "needless-name", 1, "no layer"),
        ("n = normalization([0])", "missing-argument", 1, "needs 2"),
        ("n = normalization([0, 0], [255])", "normalization-length", 27, "2 means"),
        ("n = normalization([0], [0])", "normalization-zero", 24, "zero"),
        ("n = normalization([0.485, 0.4], [0.229, 0.2])", "normalization-scale", 19, "255"),
        ("model_optimization_flavor(optimisation_level=2)", "unknown-argument", 27,
         "optimization_level?"),
        ("model_optimization_flavor(optimization_level=7)", "level", 27, "0 to 4"),
        ("model_optimization_flavor(compression_level=9)", "level", 27, "0 to 5"),
        ("model_optimization_flavor(optimization_level=high)", "wrong-kind", 27, "whole number"),
        ("model_optimization_config(calibration, calib_size=64)", "unknown-argument", 40,
         "calibset_size?"),
        ("model_optimization_config(calibraton, calibset_size=64)", "unknown-choice", 27,
         "calibration?"),
        ("quantization_param(conv1, precision_mode=a16w16)", "unknown-choice", 27, "a16_w16?"),
        ("change_output_activation(conv1, sigmoyd)", "unknown-choice", 33, "sigmoid?"),
        ("change_output_activation(conv1)", "unknown-choice", 26, "not an activation"),
        ('nms_postprocess("a.json", meta_arch=yolov8, engine=nn_core)', "nms-engine", 45,
         "engine=cpu"),
        ("nms_postprocess(engine=cpu)", "missing-argument", 1, "JSON"),
        ("nms_postprocess(a.json, meta_arch=yolov8)", "wrong-kind", 17, "quoted"),
        (("post_quantization_optimization(finetune, policy=enabled, loss_types=[l2, l2], "
         "loss_factors=[1.0])"), "loss-lengths", 1, "loss_types has 2"),
        ("performance_param(compiler_optimization_levl=max)", "unknown-argument", 19,
         "compiler_optimization_level?"),
        ("buffers(conv1", "syntax", 14, "close buffers("),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, code: str, column: int, words: str) -> None:
    found = check_text("# one line before\n" + text)
    assert [(f.code, f.line, f.column) for f in found] == [(code, 2, column)]
    assert words in f"{found[0].message} {found[0].fix}"


def test_normalising_twice_is_an_error_but_not_for_two_inputs() -> None:
    line = "{} = normalization([0], [255]{})\n"
    twice = line.format("a", "") + line.format("b", "")
    assert [(f.code, f.line) for f in check_text(twice)] == [("normalized-twice", 2)]
    mixed = line.format("a", ", input_layer1") + line.format("b", "")
    assert [f.code for f in check_text(mixed)] == ["normalized-twice"]
    apart = line.format("a", ", input_layer1") + line.format("b", ", net/input_layer2")
    assert check_text(apart) == []


def test_settings_that_differ_are_reported_and_equal_ones_are_not() -> None:
    first = "model_optimization_flavor(optimization_level=2)\n"
    assert check_text(first + first) == []
    other = check_text(first + "model_optimization_flavor(optimization_level=0)\n")
    assert [(f.code, f.line, f.severity) for f in other] == [("set-twice", 2, "warning")]
    rest = check_text(first + "model_optimization_flavor(compression_level=0)\n")
    assert rest == []


@pytest.mark.parametrize(
    ("script", "images", "codes"),
    [
        ("set_seed(1)", 1339, ["images-unused"]),
        ("set_seed(1)", 64, []),
        ("model_optimization_config(calibration, calibset_size=64)", 1339, ["images-unused"]),
        ("model_optimization_config(calibration, calibset_size=64)", 40, ["too-few-images"]),
        ("model_optimization_config(calibration, calibset_size=64)", 64, []),
    ],
)
def test_images_that_are_missing_or_unused_are_told(
    script: str, images: int, codes: list[str]
) -> None:
    assert [finding.code for finding in check_text(script, images=images)] == codes


def test_a_command_that_this_compiler_may_not_know_is_a_warning() -> None:
    (old,) = check_text("y = yuv_to_rgb()\n")
    assert (old.code, old.severity) == ("retired-command", "warning")
    assert "2.9" in old.message
    (new,) = check_text("join(concat16, [conv1, conv2])\n", line=3)
    assert (new.code, new.severity) == ("other-line", "warning")
    assert check_text("join(concat16, [conv1, conv2])\n", line=5) == []
    assert check_text("join(concat16, [conv1, conv2])\n") == []


LAYERS = ["net/input_layer1", "net/conv41", "net/conv42", "net/ew_add1", "net/output_layer1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("change_output_activation(conv42, sigmoid)", []),
        ("change_output_activation(net/conv42, sigmoid)", []),
        ("change_output_activation(sigmoid)", []),
        ("quantization_param([conv41, conv43], precision_mode=a16_w16)", ["unknown-layer"]),
        ("quantization_param(yolov8n/conv41, precision_mode=a16_w16)", ["unknown-scope"]),
        ("quantization_param({conv*}, precision_mode=a16_w16)", []),
        ("quantization_param({matmul*}, precision_mode=a16_w16)", ["empty-pattern"]),
        (("n1 = normalization([0], [255], input_layer1)\nquantization_param(n1, "
         "precision_mode=a16_w16)"), []),
        ("post_quantization_optimization(finetune, loss_layer_names=[conv41, conv99])",
         ["unknown-layer"]),
        ("buffers(sh_from_conv1, conv999, 2, FULL_ROW)", []),
        ("pre_quantization_optimization(equalization, layers=[conv99])", ["unknown-layer"]),
        # A part of a layer, which an earlier line makes.
        ("pre_quantization_optimization(equalization, layers=[conv41_d0])", []),
    ],
)  # fmt: skip
def test_layers_are_checked_against_the_parsed_network(text: str, found: list[str]) -> None:
    assert [finding.code for finding in check_text(text, layers=LAYERS)] == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quantization_param(conv99, precision_mode=a16_w16)", True),
        ("quantization_param({conv*}, precision_mode=a16_w16)", False),
        ("n1 = normalization([0], [255])\nquantization_param(n1, precision_mode=a16_w16)", False),
        ("buffers(sh_from_conv1, conv999, 2, FULL_ROW)", False),
    ],
)
def test_names_that_nothing_was_compared_with_are_told(
    text: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text(text, encoding="utf-8")
    assert run(["lint", str(script), "--json"]) == 0
    codes = [one["code"] for one in json.loads(capsys.readouterr().out)["findings"]]
    assert codes == (["lint.no-layers"] if told else [])


def test_an_unknown_layer_gets_the_nearest_name() -> None:
    (finding,) = check_text("change_output_activation(conv4l, sigmoid)", layers=LAYERS)
    assert finding.fix in ("did you mean conv41?", "did you mean conv42?")


# hef lint.


def test_the_command_prints_positions_and_leaves_with_2_on_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text("normalization([0], [255])\n", encoding="utf-8")
    assert run(["lint", str(script)]) == 2
    out = capsys.readouterr().out
    assert f"{script}:1:1: error: " in out
    assert "[missing-name]" in out
    script.write_text("n1 = normalization([0], [255])\n", encoding="utf-8")
    assert run(["lint", str(script), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "file": str(script), "ok": True, "errors": 0, "warnings": 0, "findings": [],
    }  # fmt: skip


def test_the_command_knows_the_line_of_a_chip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text("join(concat1, [conv1, conv2])\n", encoding="utf-8")
    assert run(["lint", str(script), "--arch", "hailo8l"]) == 0
    assert "[other-line]" in capsys.readouterr().out
    assert run(["lint", str(script), "--arch", "hailo10h"]) == 0
    assert "[other-line]" not in capsys.readouterr().out
    assert run(["lint", str(script), "--arch", "hailo99"]) == 2
    assert "hailo99" in capsys.readouterr().err


def test_the_command_takes_layers_from_a_har_or_an_hn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text("change_output_activation(conv9, sigmoid)\n", encoding="utf-8")
    hn = tmp_path / "net.hn"
    hn.write_text(json.dumps({"layers": {key: {} for key in LAYERS}}), encoding="utf-8")
    har = tmp_path / "net.har"
    with tarfile.open(har, "w") as archive:
        archive.add(hn, "net.native.hn")
    for network in (hn, har):
        assert run(["lint", str(script), "--layers", str(network), "--json"]) == 2
        (finding,) = json.loads(capsys.readouterr().out)["findings"]
        assert finding["code"] == "unknown-layer"
    har.write_bytes(b"no archive")
    assert run(["lint", str(script), "--layers", str(har)]) == 6
    assert run(["lint", str(tmp_path / "none.alls")]) == 2
    assert "error: " in capsys.readouterr().err
