"""The recipe of a finding has the nodes that the parser proposed for it, and all of them."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

PLEASE = "Please try to parse the model again, using these end node names: "
FAILED = (
    "UnsupportedShuffleLayerError in op /model.22/dfl/Reshape: "
    "Failed to determine type of layer to create in node /model.22/dfl/Reshape"
)
CONVS = "/model.22/cv2.0/cv2.0.2/Conv, /model.22/cv3.0/cv3.0.2/Conv"
RETRIED = "[info] According to recommendations, retrying parsing with end node names: "


@pytest.mark.parametrize(
    "lines",
    [
        [FAILED, PLEASE + CONVS],
        # A try with the first proposal failed, too.
        [PLEASE + "/model.22/Concat_3", FAILED, PLEASE + CONVS],
        [RETRIED + "['/model.22/Concat_3'].", FAILED, PLEASE + CONVS],
        [FAILED, PLEASE + "/model.22/Concat_3", "", FAILED, PLEASE + CONVS],
        # It stands above the failure, as the command prints it.
        [f"Parsing failed with recommendations for end node names: [{CONVS}]", FAILED],
        # A terminal wrapped it.
        [FAILED, *(PLEASE + CONVS).replace("Conv, ", "Conv,\n").split("\n")],
    ],
)
def test_the_proposal_of_the_last_try_is_taken(lines: list[str]) -> None:
    found = {one.id: one.recipe for one in read_log(lines).findings()}
    assert f"end_nodes: [{CONVS}]" in (found["P01"] or "")


def test_what_stands_below_a_whole_proposal_is_none_of_it() -> None:
    found = {
        one.id: one.recipe for one in read_log([FAILED, PLEASE + CONVS, "/model.9/x"]).findings()
    }
    assert f"end_nodes: [{CONVS}]" in (found["P01"] or "")


def test_a_proposal_goes_on_with_names_of_nodes_only() -> None:
    lines = [FAILED, PLEASE + "/a/Conv,", "Any idea what to do?"]
    found = {one.id: one.recipe for one in read_log(lines).findings()}
    assert "end_nodes: [/a/Conv]" in (found["P01"] or "")
