"""Where a first recipe ends the network, so that the compiler takes what is before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.families import proposed_cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def unasked(ends: Sequence[str], head: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the end nodes that a recipe has to name: none where a build finds its own.

    A build cuts a head that it is sure of. One that it is not sure of is cut nowhere, and what
    the compiler refuses behind it, such as an NMS in the graph, would end the first build.
    """
    return () if proposed_cut(head) else tuple(ends)


def ends_for(path: Path, shapes: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Return the end nodes of an ONNX file with which the parser takes it, as few as do.

    Empty where it is taken whole, where no cut behind the last learned layer helps, and where the
    packages to tell are not there.
    """
    from orchestrator.inspect.compiler import judge

    judged = judge(path, shapes=shapes)
    if judged is None or judged.refused or not judged.problems or not judged.end_nodes:
        return ()
    if any(problem.place != "after" for problem in judged.problems):
        return ()
    ends = judged.end_nodes
    again = judge(path, shapes=shapes, end_nodes=ends)
    return ends if again is not None and not again.refused and not again.problems else ()
