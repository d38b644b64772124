"""Whatever is in a golden folder, reading it ends in a verdict or in one kind of error."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.report import GoldenError, decide, load_golden
from tests.unit.report.folders import Classifier, boxes_of, write_golden

if TYPE_CHECKING:
    from pathlib import Path

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**30),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, Any]]]:
    net = Classifier()
    good = boxes_of(np.random.default_rng(0), 6)
    truth = [[[*row[:4], row[5]] for row in rows.tolist()] for rows in good]
    made = [
        write_golden(tmp_path_factory.mktemp("c"), net.good(), labels=net.labels),
        write_golden(
            tmp_path_factory.mktemp("d"),
            {"onnx": [good], "device": [good]},
            task="detection",
            boxes=truth,
        ),
    ]
    return [(folder, json.loads((folder / "golden.json").read_text())) for folder in made]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a document."""
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value[:2])
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_value_may_be_anything(
    folders: list[tuple[Path, dict[str, Any]]], data: st.DataObject
) -> None:
    folder, sound = folders[data.draw(st.integers(0, 1))]
    document = copy.deepcopy(sound)
    way = data.draw(st.sampled_from(places(sound)))
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[way[-1]] = data.draw(JUNK)
    else:
        del holder[way[-1]]
    (folder / "golden.json").write_text(json.dumps(document), encoding="utf-8")
    try:
        decide(load_golden(folder)).to_json()
    except GoldenError as error:
        assert "\n" not in error.message
    finally:
        (folder / "golden.json").write_text(json.dumps(sound), encoding="utf-8")


@pytest.mark.parametrize("label", [-1, 2**63, 2**70])
def test_labels_that_no_class_has_are_refused(
    folders: list[tuple[Path, dict[str, Any]]], label: int
) -> None:
    folder, sound = folders[0]
    document = copy.deepcopy(sound)
    document["samples"][0]["label"] = label
    try:
        (folder / "golden.json").write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(GoldenError, match="label"):
            load_golden(folder)
    finally:
        (folder / "golden.json").write_text(json.dumps(sound), encoding="utf-8")
