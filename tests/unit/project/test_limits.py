"""Files that would hang a reader, fill the memory, or end in a traceback: told in time."""

from __future__ import annotations

import json
import os
import socket
import time
import tracemalloc
from pathlib import Path

import pytest

from orchestrator.cli.output import print_error
from orchestrator.errors import ConfigError, HefsmithError, shorten
from orchestrator.project.loading import load_recipe
from orchestrator.project.yaml_source import parse_yaml, read_yaml
from orchestrator.project.zoo import load_zoo_yaml

MULTIPLIED = "".join(
    name + ": ['" + "', '".join(["${" + inner + "}"] * 10) + "']\n"
    for name, inner in zip("abcdefghij", "bcdefghijk", strict=True)
)
MULTIPLIED += "k: x\n"

pytestmark = pytest.mark.timeout(60)

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(10))}}}\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, ":5:5: more than 50000 values"),
        (MERGES, "more than 50000 values"),
        ("a: &a [*a]\n", ":1:8: a value that contains itself"),
        ("a: &a {<<: *a}\n", "a value that contains itself"),
        ("a: " + "[" * 100_000, "nested deeper than|a line of"),
        ("a: " + "[" * 10_000, "nested deeper than 50"),
        ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 300)), "nested deeper than 50"),
        ("- " * 10_000, "nested deeper than 50"),
        ("? " * 10_000, "nested deeper than 50"),
        ("a: " + "x" * 100_000, ":1:65537: a line of 100003 characters"),
        ("a: 1" + "0" * 5000, ":1:4: a value of 5001 characters that is not text"),
        ("a: 1" + ":1" * 20_000, "that is not text"),
        ("a: .inf\n", ":1:4: .inf: a number must be finite"),
        ("a: -.inf\n", "a number must be finite"),
        ("a: .nan\n", "a number must be finite"),
        ("b: 1\na: [1, 1.0e+999]\n", ":2:8: 1.0e\\+999: a number must be finite"),
        ('a: "\\ud800"\n', ":1:4: text with an invisible character: U\\+D800"),
        ('a: "\\x1b[2J"\n', "U\\+001B"),
        ('a: "x\\u202ey"\n', "U\\+202E"),
        ('"\\x00": 1\n', ":1:1: text with an invisible character: U\\+0000"),
        ("a: 1\nb: \x07\n", ":2:4: a character that YAML does not allow: U\\+0007"),
        ('a: "\\U00110000"\n', ":1:"),
        ("a: !!bool perhaps\n", ":1:4: perhaps is not of type bool"),
        ("a: !!int x\n", ":1:4: x is not of type int"),
        ("a: !!timestamp x\n", ":1:4: x is not of type timestamp"),
        ("a: 2024-99-99\n", ":1:4: 2024-99-99 is not of type timestamp"),
        ("a: !<tag:x,2000:\x7f> 1\n", "config|does not allow|tag|expected"),
        ("a: !" + "t" * 5000 + " 1\n", "tags mean nothing here"),
        ("k" * 900 + ": 1\n" + "k" * 900 + ": 2\n", "this key occurs twice"),
        ("a: 1\n---\nb: 2\n", ":2:1: "),
        ("x" * (600 << 10), "larger than 512 KB"),
    ],
)
def test_a_recipe_that_is_none_is_told_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(text, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(ConfigError, match=said) as told:
        load_recipe(path)
    assert time.monotonic() - began < 20
    assert len(told.value.message) < 500
    assert all(line.isprintable() for line in told.value.message.splitlines())


@pytest.mark.slow
def test_a_file_as_long_as_it_may_be_is_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "hef.yaml"
    path.write_text("a:\n" + "".join(f"  - label {n}\n" for n in range(20_000)))
    began = time.monotonic()
    assert len(read_yaml(path).value["a"]) == 20_000
    assert time.monotonic() - began < 40


def test_aliases_that_people_write_still_work() -> None:
    text = "base: &base {a: 1, b: [x, y]}\nother: {<<: *base, a: 2}\nthird: *base\n"
    assert parse_yaml(text)["other"] == {"a": 2, "b": ["x", "y"]}


def test_text_with_a_byte_order_mark_is_text(tmp_path: Path) -> None:
    path = tmp_path / "hef.yaml"
    path.write_bytes(b"\xef\xbb\xbfschema: 1\n")
    assert read_yaml(path).value == {"schema": 1}


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize("kind", ["fifo", "zero", "socket", "proc", "folder", "loop", "kmsg"])
def test_what_is_no_regular_file_is_no_recipe(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        targets = {"zero": "/dev/zero", "proc": "/proc/self/maps", "loop": str(path)}
        path.symlink_to(targets.get(kind, "/proc/kmsg"))
    with pytest.raises(ConfigError) as told:
        load_recipe(tmp_path)
    assert "model.yaml" in told.value.message


@pytest.mark.parametrize(
    "text",
    [
        MULTIPLIED,
        "a: {x: '${a}', y: '${a}', z: '${a}'}\n",
        LAUGHS,
    ],
)
def test_a_zoo_file_that_refers_to_itself_ends(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="more than"):
        load_zoo_yaml(path)


def test_zoo_bases_that_multiply_end(tmp_path: Path) -> None:
    for number in range(12):
        bases = "".join(f"- base{number + 1}.yaml\n" for _ in range(10))
        (tmp_path / f"base{number}.yaml").write_text(f"base:\n{bases}x: 1\n")
    with pytest.raises(ConfigError, match="bases"):
        load_zoo_yaml(tmp_path / "base0.yaml")


def test_many_mistakes_fit_a_screen(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("".join(f"key{n}: {'x' * 5000}\n" for n in range(90)))
    with pytest.raises(HefsmithError) as told:
        load_recipe(path)
    lines = told.value.message.splitlines()
    assert len(lines) <= 42
    assert all(len(line) < 600 for line in lines)


def test_a_refused_file_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(LAUGHS)
    tracemalloc.start()
    with pytest.raises(ConfigError):
        read_yaml(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_what_is_shown_is_one_line() -> None:
    assert shorten("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert shorten("x" * 1_000_000, 10) == "xxxxxxx..."


@pytest.mark.slow
def test_a_message_never_fills_more_than_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ConfigError("\n".join(["\x1b[2J" + "x" * 10_000] * 1000)), as_json=False)
    told = capsys.readouterr().err
    assert len(told.splitlines()) < 65
    assert all(len(line) < 2100 and line.isprintable() for line in told.splitlines())


def test_json_may_escape_what_lies_past_its_four_digits(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(
        json.dumps({"path \U0001f9b4": ["bone \U0001f9b4", "\u00e9"]}), encoding="ascii"
    )
    assert read_yaml(path).value == {"path \U0001f9b4": ["bone \U0001f9b4", "\u00e9"]}
