"""A recipe's mistakes are told with file, line, column, field and the closest known key."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.project.loading import load_recipe

GOOD = """\
schema: 1
source: {torch: "model.py:build", weights: net.pt}
inputs: {image: [1, 3, 32, 32]}
calibration: {source: pictures}
"""


def write(folder: Path, text: str) -> Path:
    model = folder / "net"
    model.mkdir(exist_ok=True)
    (model / "model.yaml").write_text(text, encoding="utf-8")
    return model


def message(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_recipe(write(folder, text))
    assert caught.value.exit_code == 2
    return caught.value.message


def test_a_short_recipe_gets_the_documented_defaults(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, GOOD))
    assert loaded.name == "net"
    assert loaded.recipe.export.opset == 13
    assert loaded.recipe.arch == ("hailo8l",)
    assert loaded.recipe.calibration.count == 1024
    assert loaded.recipe.validation.samples == 64


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("weights:", "weigths:"), ":2:35: source.weigths: unknown key; did you mean weights?"),
        (("model.py:build", "model.py"), ":2:17: source.torch: must be file.py:factory"),
        (("[1, 3, 32, 32]", "[2, 3, 32, 32]"), ":3:9: inputs: image: the batch (first number)"),
        (("[1, 3, 32, 32]", "[1, 3, 0, 32]"), ":3:9: inputs: image: a shape is 2 to 4 numbers"),
        (("calibration: {source: pictures}", "strict: false"), "calibration: this key is needed"),
        (("schema: 1", "schema: 2"), ":1:9: schema: input should be 1 (got 2)"),
        (("schema: 1", "arch: hailo9"), ":1:7: arch: input should be 'hailo8'"),
        (("schema: 1", "arch: Hailo-8L"), "(got Hailo-8L); did you mean hailo8l?"),
        (("schema: 1", "postprocess: {task: clasification}"), "; did you mean classification?"),
        (
            ("schema: 1", "preprocessing: {size: 32x32}"),
            "size: expected a list ([A, B]), got 32x32",
        ),
        (
            ("schema: 1", "preprocessing: {size: [64, 0]}"),
            ":1:23: preprocessing.size: must be above",
        ),
        (("schema: 1", "preprocessing: {size: [64]}"), "size: 2 values are needed, 1 given"),
        (("schema: 1", "arch: []"), ":1:7: arch: needs at least one chip"),
        (("{source: pictures}", "pictures"), "calibration: expected a mapping (key: value), got"),
        (
            ("schema: 1", "preprocessing: 3"),
            "preprocessing: expected a mapping (key: value), got 3",
        ),
        (("schema: 1", "export: {opset: true}"), ":1:17: export.opset: needs a number, not true"),
        (("{source: pictures}", "{source: pictures, count: true}"), "count: needs a number, not"),
        (("schema: 1", "name: aux"), ":1:7: name: letters, digits, - and _ only"),
        (("schema: 1", "name: Com7"), "and no device of Windows (con, aux, nul)"),
        (("schema: 1", "strict: maybe"), ":1:9: strict: input should be a valid boolean"),
        (("schema: 1", "export: {packages: ['-r x']}"), "export.packages.0: must be names as pip"),
        (("schema: 1", "export: {packages: ['a @ https://b/c.whl']}"), "must name a release"),
        (
            ("schema: 1", "export: {tolerance: -1}"),
            "export.tolerance: input should be greater than",
        ),
    ],
)
def test_every_mistake_has_its_place(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    assert expected in message(tmp_path, GOOD.replace(*change))


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("weights:", "wieghts:").replace("{source: pictures}", "pictures")
    text += "export: {opset: 99}\n"
    lines = message(tmp_path, text).splitlines()
    assert len(lines) == 3
    # As they stand in the file, whatever finds them.
    assert [line.partition("model.yaml:")[2].split(":")[0] for line in lines] == ["2", "4", "5"]


def test_a_mistake_in_one_inputs_preprocessing_names_it(tmp_path: Path) -> None:
    text = GOOD + "preprocessing: {image: {colour: rgb}}\n"
    assert ":5:25: preprocessing.image.colour: unknown key; did you mean color?" in message(
        tmp_path, text
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "expected ',' or ']'"),
        ("a: 1\na: 2\n", ":2:1: a: this key occurs twice"),
        ("- 1\n", "expected a mapping"),
        ("? [1, 2]\n: 3\n", "a key must be plain text"),
        ("a: \x07\n", "model.yaml"),
        ("a: &x [*x]\n", "model.yaml"),
        ("a: !!python/object:os.system {}\n", "model.yaml:1:4"),
        ("", "source: this key is needed"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_told_so(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in message(tmp_path, text)


def test_yaml_means_what_people_read(tmp_path: Path) -> None:
    text = GOOD + "description: no\nexport: {tolerance: 1e-3}\n"
    recipe = load_recipe(write(tmp_path, text)).recipe
    assert recipe.description == "no"
    assert recipe.export.tolerance == 0.001


def test_bytes_that_are_no_text_are_told_with_their_place(tmp_path: Path) -> None:
    model = write(tmp_path, "")
    (model / "model.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_recipe(model)


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_recipe(tmp_path / "absent" / "model.yaml")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{}", "needs one of torch, onnx"),
        ('{torch: "m.py:f", onnx: x.onnx}', "several sources (torch, onnx)"),
        ("{onnx: x.onnx, weights: w.pt}", "weights belong to a torch source"),
    ],
)
def test_a_source_is_one_kind(tmp_path: Path, source: str, expected: str) -> None:
    text = GOOD.replace('{torch: "model.py:build", weights: net.pt}', source)
    assert expected in message(tmp_path, text)


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    text = GOOD + '"evil\\e[31m": 1\n'
    assert "\x1b" not in message(tmp_path, text)
