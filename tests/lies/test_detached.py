"""Builds in the background run no more stages than others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lies.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.model("net")
    said = bench.build("net")
    assert said.code == 0, said.err
    return bench


def _change(bench: Bench, old: str, new: str) -> None:
    recipe = bench.root / "models/net/model.yaml"
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))


def test_where_a_stage_leaves_the_same_nothing_goes_on_in_the_background(bench: Bench) -> None:
    # The export reads it, and an ONNX file comes out of it as it was.
    _change(bench, "arch: [", "export: {opset: 11}\narch: [")
    said = bench.build("net", "--detach", command="up")
    assert said.code == 0, said.err
    assert said.out == ""
    assert said.ran == {"export"}
    assert bench.build("net").ran == set()


def test_what_is_left_goes_on_in_the_background_and_ends_as_it_would_here(bench: Bench) -> None:
    _change(bench, "samples: 16", "samples: 12")
    said = bench.build("net", "--detach", command="up")
    assert said.ran == {"samples"}
    attached = bench.hef("attach", said.out.strip())
    assert attached.code == 0, attached.err
    assert attached.ran == {"evaluate"}
    assert bench.build("net").ran == set()
    # Nothing is known of it: it is left alone at once.
    _change(bench, "level: 0", "level: 1")
    said = bench.build("net", "--detach", command="up")
    assert said.ran == set()
    attached = bench.hef("attach", said.out.strip())
    assert attached.ran == {"optimize", "compile", "evaluate"}
    assert bench.build("net").ran == set()
