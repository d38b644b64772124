"""A picture that is divided by 255 in the program and in the network is found in a post's code."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log
from tests import corpus

PART = "examined_fifteen_two"
NEAR = [case for case in corpus.load(PART) if "-near-" in case.name]


def told(text: str) -> set[str]:
    return {one.id for one in read_log(text.split("\n")).findings()}


@pytest.mark.parametrize("case", NEAR, ids=lambda case: case.name)
def test_pictures_that_are_scaled_once_are_no_fault(case: corpus.Case) -> None:
    assert told(case.log) & {"A03", "A1150"} == set()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (["x = img / 255", "out = pipe.infer({name: x})"], "A1150"),
        (["x /= 255.0", "bindings.input().set_buffer(x)"], "A1150"),
        (["x = img / 255", "many.append(x)", "calib_set = np.stack(many)"], "A03"),
        (["def prepare(p):", "    return p / 255", "np.save('calib.npy', prepare(p))"], "A03"),
    ],
)
def test_it_is_followed_to_where_it_is_handed_over(code: list[str], cause: str) -> None:
    script = "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])"
    assert told("\n".join([*code, script])) == {cause}
    assert told("\n".join([script, *code])) == {cause}
    # Without the one or the other nothing is wrong.
    assert told("\n".join(code)) == set()
    unscaled = [line.replace("/= 255.0", "= y").replace(" / 255", "") for line in code]
    assert told("\n".join([*unscaled, script])) == set()
