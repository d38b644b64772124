"""Numbers and arrays of numpy beside the weights: read, and nothing else with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages.checkpoint import load

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from pathlib import Path


def kept(tmp_path: Path, value: object) -> Any:
    path = tmp_path / "best.pth"
    torch.save({"state_dict": {"w": torch.ones(2)}, "beside": value}, path)
    found = load(path, trust_pickle=False)
    assert torch.equal(found["state_dict"]["w"], torch.ones(2))
    return found["beside"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.91), 0.91),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("cat"), "cat"),
        (np.array(["cat", "dog"]), ["cat", "dog"]),
        (np.dtype("f4"), "f4"),
    ],
)
def test_numbers_and_names_of_a_training_are_plain_values(
    value: object, plain: object, tmp_path: Path
) -> None:
    assert kept(tmp_path, value) == plain


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.zeros((0, 3)),
        np.array(3.5),
    ],
)
def test_arrays_are_tensors(array: np.ndarray[Any, Any], tmp_path: Path) -> None:
    found = kept(tmp_path, array)
    assert tuple(found.shape) == array.shape
    assert np.array_equal(found.numpy(), array)


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.zeros(2, dtype=[("a", "f4")])])
def test_arrays_of_objects_are_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        kept(tmp_path, value)
    assert caught.value.code == "export.pickle-refused"


def test_what_is_refused_is_named_without_advice_to_load_it(tmp_path: Path) -> None:
    import fractions

    with pytest.raises(StageError) as caught:
        kept(tmp_path, fractions.Fraction(1, 2))
    assert "fractions.Fraction" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "weights_only" not in caught.value.message
