"""A script that no compiler reads is refused before anything runs."""

from __future__ import annotations

import pytest

from orchestrator.errors import ConfigError
from orchestrator.pipeline.linting import refuse_script


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("quantisation_param(conv1, precision_mode=a16_w16)", "did you mean quantization_param"),
        ("model_optimization_flavor(optimization_level=4, compression_level=9)", "level 9"),
        ("quantization_param(conv1, precision_mode=a16_w16", "line 2"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(line: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        refuse_script("net", ["# mine", line])
    assert "line 2" in caught.value.message
    assert "hef lint net" in str(caught.value.hint)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["# nothing"],
        ["normalization1 = normalization([0.0], [255.0])"],
        # It may be of a compiler that is newer than the table.
        ["brand_new_thing(conv1)"],
    ],
)
def test_what_may_be_read_is_left_to_the_compiler(lines: list[str]) -> None:
    refuse_script("net", lines)
