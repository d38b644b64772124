"""What a script's softmax changes of the steps before it."""

from __future__ import annotations

import numpy as np
from hefsmith_worker.logits import as_after, with_softmax

SCRIPT = """
# logits_layer0 = logits_layer(fc0, softmax, -1, cpu)
logits_layer1 = logits_layer(net/fc1, softmax, -1, cpu)
logits_layer2 = logits_layer(fc2, argmax, -1, cpu)
"""


def test_only_the_outputs_that_a_script_names_get_its_softmax() -> None:
    assert with_softmax(SCRIPT) == {"fc1"}
    logits = np.array([[1000.0, 999.0], [-5.0, -5.0]], np.float32)
    first, second = as_after([logits, logits], ["net/fc1", "net/fc2"], with_softmax(SCRIPT))
    np.testing.assert_allclose(first, [[0.7310586, 0.26894143], [0.5, 0.5]], rtol=1e-6)
    assert second is logits
    # Where outputs and layers do not match (an NMS took them), nothing is known.
    assert as_after([logits], ["net/fc1", "net/fc2"], frozenset(["fc1"]))[0] is logits
