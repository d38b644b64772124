"""Model scripts: what is refused and where, and what each command does to the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hefsmith_worker.contract.commands import COMMANDS

from tests.unit.script.test_lint import CLEAN


def read(text, **options):
    from hailo_emulator.script import read_script

    return read_script(text, **options)


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ("normalization([0,0,0],[255,255,255])\n", ">!<normalization([0,0,0],[255,255,255])"),
        ("a = normalization([0],[255])\nnormalise(x)\n", ">!<normalise(x)"),
        ("x = normalization([0],)\n", "x = normalization([0],>!<)"),
        ("a = normalization([0],[0])\n", "a = normalization([0],>!<[0])"),
        ("a = normalization([0,0],[255])\n", "a = normalization([0,0],>!<[255])"),
        ("resize(input_layer1, resize_shapes=[4,4])\n", ">!<resize("),
        ("input_conversion(input_layer1, bgr_to_rgb)\n", ">!<input_conversion("),
        ("c = input_conversion(input_layer1, cmyk)\n", "input_layer1, >!<cmyk)"),
        ("model_optimization_flavor(optimization_level=9)\n", "flavor(>!<optimization_level=9)"),
        ("model_optimization_flavor(level=2)\n", "flavor(>!<level=2)"),
        ("model_optimization_config(calibration, calibset_size=many)\n", ">!<calibset_size=many"),
        ("quantization_param(conv1, precision_mode=a7_w7)\n", ">!<precision_mode=a7_w7"),
        ("quantization_param(3, precision_mode=a8_w4)\n", "(>!<3, precision_mode"),
    ],
)
def test_what_is_wrong_is_pointed_at_as_the_vendor_points(text, spot):
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendScriptParserException

    with pytest.raises(BackendScriptParserException) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("Parsing failed at:\n")
    assert spot in message


def test_placement_commands_are_recorded_and_do_nothing():
    text = (
        "performance_param(compiler_optimization_level=max)\n"
        "resources_param(max_control_utilization=0.6, strategy=greedy)\n"
        "allocator_param(timeout=25m)\n"
        "context_0.place(cluster_0, [conv1, conv2])\n"
        "shortcut1 = shortcut(conv1, conv2)\n"
        "platform_param(hef_version=3)\n"
        "model_optimization_config(globals, multiproc_policy=disabled)\n"
    )
    options = read(text)
    assert [line.split("(")[0] for line in options.without_effect] == [
        "performance_param", "resources_param", "allocator_param", "context_0.place",
        "shortcut1 = shortcut", "platform_param", "model_optimization_config",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_is_obeyed_or_recorded_or_said_to_be_missing(name):
    """No command is taken in silence when it would change what the network computes."""
    from hailo_emulator.script import _Reader

    spec = COMMANDS[name]
    known = hasattr(_Reader, f"_{name}")
    if spec.effect == "how it is quantised":
        assert known
    elif spec.effect == "what the network computes" and not known:
        assert spec.retired or spec.seen is None
        with pytest.raises(NotImplementedError, match=name):
            read({"resize_input": "r = resize_input([4,4])\n"}.get(name, f"a = {name}()\n"))


@pytest.mark.parametrize("line", CLEAN.replace(",\n   ", ",").splitlines())
def test_the_emulator_takes_what_the_linter_takes(line):
    read(line + "\n")


@pytest.mark.parametrize(
    ("line", "bits"),
    [
        ("precision_mode=a16_w8_a16", (16, 8)),
        ("precision_mode=a16_w4", (16, 4)),
        ("precision_mode=a8_w8_a16", (16, 8)),
        ("precision_mode=a16_w16_a8", (8, 16)),
    ],
)
def test_a_precision_names_activations_weights_and_what_goes_out(line, bits):
    (precision,) = read(f"quantization_param({{ew_add*}}, {line})\n").precisions
    assert (precision.activation_bits, precision.weight_bits) == bits


def _native(models, network, frame, name="net/input_layer1"):
    from hailo_emulator.compose import compose
    from hailo_emulator.execute import Session
    from hailo_emulator.graph import to_model

    session = Session(to_model(compose(network)).SerializeToString())
    return session.run({name: frame})[0]


def _apply(models, script, model=None):
    from hailo_emulator.modify import apply_options
    from hailo_emulator.translate import translate

    network = translate((model or _plain(models)).SerializeToString(), "net")
    return network, apply_options(network, read(script))


def _plain(models):
    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    return b.build([b.conv(x, 4, name="/c")])


def test_normalization_is_minus_mean_over_std_per_channel(models, rng):
    script = "n = normalization([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])\n"
    before, after = _apply(models, script)
    frame = rng.integers(0, 256, (8, 8, 3)).astype(np.float32)
    scaled = (frame - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(
        _native(models, after, frame), _native(models, before, scaled), atol=1e-4
    )


def test_bgr_conversion_comes_before_the_normalization(models, rng):
    script = (
        "n = normalization([1.0, 2.0, 3.0], [2.0, 4.0, 8.0])\n"
        "c = input_conversion(input_layer1, bgr_to_rgb)\n"
    )
    before, after = _apply(models, script)
    frame = rng.integers(0, 256, (8, 8, 3)).astype(np.float32)
    scaled = (frame[..., ::-1] - [1, 2, 3]) / [2, 4, 8]
    np.testing.assert_allclose(
        _native(models, after, frame), _native(models, before, scaled), atol=1e-3
    )


def test_resize_takes_a_larger_picture(models, rng):
    before, after = _apply(models, "r = resize(input_layer1, resize_shapes=[16, 24])\n")
    from hailo_emulator.compose import input_shape

    assert input_shape(after, after.inputs[0]) == (16, 24, 3)
    flat = np.full((16, 24, 3), 0.5, np.float32)
    np.testing.assert_allclose(
        _native(models, after, flat), _native(models, before, np.full((8, 8, 3), 0.5)), atol=1e-4
    )


def test_yuy2_and_nv12_pictures_are_unpacked(models):
    """A picture of one colour: Y, U, V known, so RGB is known."""
    y, u, v = 120.0, 90.0, 160.0
    red = 1.164 * (y - 16) + 1.596 * (v - 128)
    green = 1.164 * (y - 16) - 0.392 * (u - 128) - 0.813 * (v - 128)
    blue = 1.164 * (y - 16) + 2.017 * (u - 128)
    want = np.broadcast_to(np.float32([red, green, blue]), (8, 8, 3))
    yuy2 = np.full((8, 8, 2), y, np.float32)
    yuy2[:, 0::2, 1], yuy2[:, 1::2, 1] = u, v
    nv12 = np.full((12, 8), y, np.float32)
    nv12[8:, 0::2], nv12[8:, 1::2] = u, v
    before, _ = _apply(models, "")
    cases = {"yuy2_to_hailo_yuv": yuy2, "nv12_to_hailo_yuv": nv12.reshape(4, 8, 3)}
    for kind, frame in cases.items():
        script = (
            "rgb = input_conversion(input_layer1, yuv_to_rgb)\n"
            f"yuv = input_conversion(input_layer1, {kind}, emulator_support=True)\n"
        )
        _, after = _apply(models, script)
        np.testing.assert_allclose(
            _native(models, after, frame), _native(models, before, want), atol=1e-2
        )


def test_a_colour_conversion_without_a_layer_stands_before_what_was_there(models, rng):
    """As camera scripts of the zoo have it: the layer that unpacks comes last and runs first."""
    script = (
        "n = normalization([1.0, 2.0, 3.0], [2.0, 4.0, 8.0])\n"
        "big = resize(resize_shapes=[16, 16])\n"
        "bgr = input_conversion(bgr_to_rgb)\n"
        "yuv = input_conversion(yuv_to_rgb)\n"
        "packed = input_conversion(input_layer1, nv12_to_hailo_yuv, emulator_support=True)\n"
    )
    _, after = _apply(models, script)
    (steps,) = after.conversions.values()
    assert [step.name for step in steps] == ["packed", "yuv", "bgr", "big", "n"]


def test_one_line_converts_each_of_two_inputs(models):
    script = "a, b = normalization([1], [4])\n"
    _, after = _apply(models, script, models.two_inputs())
    assert {name: [s.name for s in steps] for name, steps in after.conversions.items()} == {
        "net/input_layer1": ["a"], "net/input_layer2": ["b"],
    }  # fmt: skip


def test_a_forced_range_is_that_of_the_input_it_numbers(models):
    from hailo_emulator.precision import _forced_ranges
    from hailo_emulator.translate import translate

    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    left, right = b.conv(x, 4, name="/a"), b.conv(x, 4, name="/b")
    network = translate(b.build([b.node("Add", [left, right], name="/s")]).SerializeToString(), "n")
    line = "quantization_param(ew_add1, force_range_in=[-2.0, 3.0], force_range_index={})\n"
    forced = [list(_forced_ranges(network, read(line.format(index)))) for index in (0, 1)]
    assert forced == [["n/conv1"], ["n/conv2"]]


def test_rgbx_pictures_lose_their_fourth_channel(models, rng):
    script = "x = input_conversion(input_layer1, tf_rgbx_to_hailo_rgb)\n"
    before, after = _apply(models, script)
    frame = rng.random((8, 8, 4)).astype(np.float32)
    np.testing.assert_allclose(
        _native(models, after, frame), _native(models, before, frame[..., :3]), atol=1e-5
    )


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("sigmoid", lambda v: 1 / (1 + np.exp(-v))),
        ("relu", lambda v: np.maximum(v, 0)),
        ("relu6", lambda v: np.clip(v, 0, 6)),
        ("silu", lambda v: v / (1 + np.exp(-v))),
        ("tanh", np.tanh),
        ("linear", lambda v: v),
        ("hardswish", lambda v: v * np.clip(v / 6 + 0.5, 0, 1)),
    ],
)
def test_an_output_gets_another_activation(models, rng, activation, function):
    before, after = _apply(models, f"change_output_activation(conv1, {activation})\n")
    frame = rng.normal(0, 2, (8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(
        _native(models, after, frame), function(_native(models, before, frame)), atol=1e-5
    )
    assert after.layers.find("conv1").activation == activation


def test_an_activation_that_is_there_is_replaced(models, rng):
    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    plain = b.conv(x, 4, name="/c")
    model = b.build([b.silu(plain, name="/act")])
    _, after = _apply(models, "change_output_activation(sigmoid)\n", model)
    _, bare = _apply(models, "change_output_activation(linear)\n", model)
    frame = rng.normal(0, 1, (8, 8, 3)).astype(np.float32)
    logits = _native(models, bare, frame)
    np.testing.assert_allclose(_native(models, after, frame), 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_a_softmax_logits_layer_is_an_output_of_its_own(models, rng):
    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    y = b.node("GlobalAveragePool", [b.conv(x, 6, name="/c")], name="/p")
    y = b.node("Flatten", [y], name="/f")
    model = b.build([b.dense(y, 6, 5, name="/fc")])
    before, after = _apply(models, "s = logits_layer(fc1, softmax, 1)\n", model)
    _, largest = _apply(models, "s = logits_layer(fc1, argmax, 1)\n", model)
    frame = rng.normal(0, 3, (8, 8, 3)).astype(np.float32)
    logits = _native(models, before, frame)
    want = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(_native(models, after, frame), want, atol=1e-5)
    assert after.outputs[0].stream == "net/s"
    assert _native(models, largest, frame).tolist() == [float(logits.argmax())]


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ("change_output_activation(conv70, sigmoid)\n", "hn",
         "The layer named conv70 doesn't exist in the HN"),
        ("change_output_activation(other/conv1, sigmoid)\n", "hn",
         "The layer named other/conv1 doesn't exist in the HN"),
        ("quantization_param(conv9, precision_mode=a16_w16)\n", "hn",
         "The layer named conv9 doesn't exist in the HN"),
        ("n = normalization([1,2],[3,4])\n", "script", "has 2 values"),
        ("n = normalization([1,2,3],[3,4,5], conv1)\n", "script",
         "expected input_layer but found conv layer"),
        ("change_output_activation(input_layer1, relu)\n", "script",
         "expected an output layer but found input_layer"),
        ("change_output_activation(conv1, wobble)\n", "script", "wobble is not an activation"),
        ("conv1 = normalization([1,2,3],[3,4,5])\n", "script", "conv1 is already used"),
    ],
)  # fmt: skip
def test_a_script_that_does_not_fit_the_network_is_refused(models, script, kind, text):
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import (
        AllocatorScriptParserException,
    )
    from hailo_sdk_common.hailo_nn.exceptions import HailoNNException

    with pytest.raises(
        {"hn": HailoNNException, "script": AllocatorScriptParserException}[kind]
    ) as caught:
        _apply(models, script)
    assert text in str(caught.value)


def test_a_network_of_two_inputs_needs_to_be_told_which(models):
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import (
        AllocatorScriptParserException,
    )

    with pytest.raises(AllocatorScriptParserException, match="ambiguous"):
        _apply(models, "n = normalization([0,0,0],[255,255,255])\n", models.two_inputs())
    _, after = _apply(
        models, "n = normalization([0,0,0],[255,255,255], pair/input_layer1)\n".replace(
            "pair", "net"), models.two_inputs(),
    )  # fmt: skip
    assert list(after.conversions) == ["net/input_layer1"]
