"""Archives of arrays: which of several is the input's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hefsmith_worker.calibration.model import CalibrationError

from tests.unit.calibration.test_sources import names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("others", [("y",), ("y", "ids"), ("x_val", "x_test", "y_train")])
def test_an_npz_with_labels_beside_gives_the_only_array_of_the_inputs_shape(
    others: tuple[str, ...], tmp_path: Path
) -> None:
    beside = {
        name: np.zeros((5, 8, 8, 3) if name.startswith("x") else 5, np.uint8) for name in others
    }
    np.savez(tmp_path / "set.npz", X=np.zeros((5, 8, 8, 3), np.uint8), **beside)

    assert names(tmp_path / "set.npz", tmp_path)[0] == "set.npz:X[0]"


def test_an_npz_in_which_nothing_fits_is_refused_by_its_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", a=np.zeros((5, 3)), b=np.zeros(5))

    with pytest.raises(CalibrationError, match=r"holds a, b; none is named like the input image$"):
        names(tmp_path / "set.npz", tmp_path)
