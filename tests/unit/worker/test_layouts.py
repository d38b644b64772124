"""Outputs of the ONNX file are brought into the layout in which the parsed network gives them."""

from __future__ import annotations

import numpy as np
import pytest
from hefsmith_worker.stages.evaluate import _laid_out, _layout


@pytest.mark.parametrize("length", [7, 5])
def test_a_row_of_columns_is_compared_in_the_chips_layout(length: int) -> None:
    plates = np.random.default_rng(0).standard_normal((4, 5, length)).astype(np.float32)
    native = plates.transpose(0, 2, 1)[:, None]
    layout = _layout(plates, native)
    assert np.array_equal(_laid_out(plates, layout).reshape(native.shape), native)


def test_tokens_stay_as_they_are() -> None:
    tokens = np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32)
    assert _layout(tokens, tokens[:, None]) == "as is"
    assert _layout(np.zeros_like(tokens), tokens[:, None] * 0) == "as is"
