"""The parser reads every form that model scripts have, and points at what it cannot read."""

from __future__ import annotations

import pytest
from hefsmith_worker.script import Command, Glob, Name, ScriptSyntaxError, parse
from hypothesis import given
from hypothesis import strategies as st

FORMS = {
    "normalization1 = normalization([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])": Command(
        "normalization",
        ("normalization1",),
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ),
    "net_6.1/n1 = normalization([0, 0, 0], [255, 255, 255], net_6.1/input_layer1)": Command(
        "normalization",
        ("net_6.1/n1",),
        ((0, 0, 0), (255, 255, 255), Name("net_6.1/input_layer1")),
    ),
    "change_output_activation(sigmoid)": Command(
        "change_output_activation", (), (Name("sigmoid"),)
    ),
    'nms_postprocess("../../c.json", meta_arch=yolov8, engine=cpu, classes=3)': Command(
        "nms_postprocess",
        (),
        ("../../c.json",),
        {"meta_arch": Name("yolov8"), "engine": Name("cpu"), "classes": 3},
    ),
    "model_optimization_config(negative_exponent, layers={*}, rank=0)": Command(
        "model_optimization_config",
        (),
        (Name("negative_exponent"),),
        {"layers": Glob("*"), "rank": 0},
    ),
    "quantization_param({conv_feature_splitter[0-9]*_[2-3]}, precision_mode=a8_w8)": Command(
        "quantization_param",
        (),
        (Glob("conv_feature_splitter[0-9]*_[2-3]"),),
        {"precision_mode": Name("a8_w8")},
    ),
    "quantization_param([net/matmul7], force_range_in=[-5.81, 6.56], force_range_index=0)": Command(
        "quantization_param",
        (),
        ((Name("net/matmul7"),),),
        {"force_range_in": (-5.81, 6.56), "force_range_index": 0},
    ),
    "post_quantization_optimization(finetune, policy=enabled, learning_rate=1e-5)": Command(
        "post_quantization_optimization",
        (),
        (Name("finetune"),),
        {"policy": Name("enabled"), "learning_rate": 1e-5},
    ),
    "allocator_param(timeout=25m)": Command("allocator_param", (), (), {"timeout": Name("25m")}),
    "performance_param(fps=null)": Command("performance_param", (), (), {"fps": None}),
    "conv1_d0, conv1_d1, conv1_dc = defuse(conv1, 2, defuse_type=SPATIAL)": Command(
        "defuse",
        ("conv1_d0", "conv1_d1", "conv1_dc"),
        (Name("conv1"), 2),
        {"defuse_type": Name("SPATIAL")},
    ),
    "{} = defuse_block(matmul36, defuse_count=4)": Command(
        "defuse_block", ("{}",), (Name("matmul36"),), {"defuse_count": 4}
    ),
    "context_0.place(0, [conv10, maxpool2])": Command(
        "place", (), (0, (Name("conv10"), Name("maxpool2"))), owner="context_0"
    ),
    "sh_a_to_c_d0-3_20 = shortcut(a, [c_d0, c_d3])": Command(
        "shortcut", ("sh_a_to_c_d0-3_20",), (Name("a"), (Name("c_d0"), Name("c_d3")))
    ),
    "buffers(concat13, conv40_ws, 6, 6, FULL_ROW)": Command(
        "buffers", (), (Name("concat13"), Name("conv40_ws"), 6, 6, Name("FULL_ROW"))
    ),
    "yuv_to_rgb1 = yuv_to_rgb()": Command("yuv_to_rgb", ("yuv_to_rgb1",)),
    "logits_layer1 = logits_layer(net/fc1, softmax, -1, cpu)": Command(
        "logits_layer", ("logits_layer1",), (Name("net/fc1"), Name("softmax"), -1, Name("cpu"))
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_reads_a_form_with_typed_values_and_writes_it_back(text: str) -> None:
    assert parse(text).commands == (FORMS[text],)
    assert parse(parse(text).render()).commands == (FORMS[text],)


def test_a_command_goes_on_over_lines_inside_its_brackets_with_comments_between() -> None:
    script = parse(
        "# head\r\n\r\n"
        "post_quantization_optimization(finetune,  # why\r\n"
        "    loss_layer_names = [conv57,\r\n   conv69 , conv81],\r\n"
        "    loss_types=[l2rel, ce, l2rel])\r\n"
        "set_seed(seed=23)"
    )
    first, second = script
    assert first.keyword["loss_layer_names"] == ("conv57", "conv69", "conv81")
    assert (first.line, first.column, first.span.end_line, second.line) == (3, 1, 6, 7)
    assert script.named("set_seed") == (second,)


def test_a_quoted_word_is_text_and_a_bare_word_is_a_name() -> None:
    (command,) = parse("""f("conv1", 'a "b"', conv1, $HMZ_DATA/x.json, "a#b")""")
    kinds = [type(value) for value in command.positional]
    assert kinds == [str, str, Name, Name, str]
    assert command.positional[4] == "a#b"
    assert parse(command.render()).commands == (command,)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("normalization1 = normalization([0, 0, 0], [255)", 1, 47, "close the list"),
        ("\n  f(a", 2, 6, "close f("),
        ("f(a) g(b)", 1, 6, "one command to a line"),
        ("f(a=1, b)", 1, 8, "cannot follow"),
        ("f(a=1, a=2)", 1, 8, "given twice"),
        ("f(a,)", 1, 5, "an argument is missing"),
        ("f(,a)", 1, 3, "expected a value, found ,"),
        ("nms_postprocess(\u201cx.json\u201d)", 1, 17, "typographic quotation mark"),
        ('f("x.json)', 1, 3, "no closing quotation mark"),
        ("f({conv*)", 1, 3, "no closing }"),
        ("a, b c(1)", 1, 6, "expected '='"),
        ("model_optimization_flavor", 1, 26, "expected '('"),
        ("a = ", 1, 5, "expected a command"),
        ("f(a; b)", 1, 4, "unexpected character ';'"),
        ("x = 3(a)", 1, 5, "not the name of a command"),
        ("f(" + "[" * 2000, 1, 23, "too many lists"),
    ],
)
def test_an_error_says_line_and_column(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        parse(text, "my.alls")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in caught.value.message
    assert str(caught.value).startswith(f"my.alls:{line}:{column}: ")


def test_an_error_inside_a_long_command_points_at_its_own_line() -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        parse("f(a,\n  b,\n  ;\n)")
    assert (caught.value.line, caught.value.column, caught.value.source) == (3, 3, "  ;")


@given(st.text(alphabet="ab1._-/=,()[]{}\"'# \n*", max_size=60))
def test_any_text_is_a_script_or_a_syntax_error(text: str) -> None:
    try:
        script = parse(text)
    except ScriptSyntaxError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.column >= 1
    else:
        assert parse(script.render()).commands == script.commands


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a(b)\rc(d", 2, 4, "end of the script"),
        ("a(b)\r\nc(d e)", 2, 5, "found e"),
        ("x\u00a0= normalization([1],[1])", 1, 2, "no-break space"),
        ("normalization1 = normalization\uff08[1],[1])", 1, 31, "plain '('"),
        ("resources_param(fps=1e999)", 1, 21, "too large"),
        ("resources_param(fps=" + "9" * 5000 + ")", 1, 21, "too large"),
        ("a = b = c(d)", 1, 7, "found ="),
    ],
)
def test_what_editors_and_web_pages_leave_behind_is_named(
    text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in caught.value.message


def test_lines_may_end_in_any_of_the_three_ways() -> None:
    assert [c.line for c in parse("a(b)\rc(d)\r\ne(f)\ng(h)\r")] == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(40))
def test_no_text_makes_the_checks_stumble(seed: int) -> None:
    import random

    from hefsmith_worker.script.lint import check_text

    chance = random.Random(seed)
    pieces = ["normalization1 = normalization([0,0],[255,255])\n", "(", ")", "[", "]", ",", "=",
              "{*}", "{", "}", "\r", "\n", "\t", "#", '"', "'", "\ufeff", "\x00", "\ud800", "1e999",
              "nms_postprocess(\"a.json\", meta_arch=yolov8)\n", "net/conv1", "*", "9" * 5000,
              "quantization_param([conv1, {a*}], precision_mode=a16_w16)\n"]  # fmt: skip
    text = "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 30)))
    for finding in check_text(text, layers=["net/conv1"], images=10):
        assert finding.line >= 1
        assert finding.column >= 1
