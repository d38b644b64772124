"""Ask for the parser's judgement of an ONNX file, and nothing else: ``python -m`` this module.

``hef inspect`` and ``hef lint`` say with it what a build would come to: the file is brought into
the form that the export gives it, folded and cut as the parser does, and judged by the same rules.
A request is a JSON document on standard input: ``file``, ``shapes`` (by input), ``start_nodes``
and ``end_nodes``. The answer is one on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hailo_sdk_client.model_translator.exceptions import MisspellNodeError, UnsupportedModelError

from hailo_emulator.cut import cut_graph
from hailo_emulator.importer import import_graph
from hailo_emulator.recommend import (
    learned_before,
    place_of,
    recommend_end_nodes,
    recommend_start_nodes,
)
from hailo_emulator.support import judge_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def judge_file(
    file: Path,
    shapes: Mapping[str, Sequence[int]],
    start_nodes: Sequence[str],
    end_nodes: Sequence[str],
) -> dict[str, object]:
    """Return the problems of a network, each with its place, and where it can be cut.

    ``refused`` is what stands against the whole file, where something does.
    """
    from hefsmith_worker.onnx_forms import ENDS_EARLIER, bring_into_form
    from hefsmith_worker.onnx_tokens import as_built
    from hefsmith_worker.protocol import StageError

    try:
        given = {name: tuple(shape) for name, shape in shapes.items()}
        model, changes = bring_into_form(file, given)
        graph = import_graph(model, input_shapes=as_built(model, given) or None)
        graph, _ = cut_graph(graph, start_nodes or None, end_nodes or None)
    except (StageError, UnsupportedModelError, MisspellNodeError) as error:
        return {
            "refused": str(error),
            "problems": [],
            "start_nodes": [],
            "end_nodes": [],
            "learned": [0, 0],
            "mends": [],
        }
    judgement = judge_graph(graph)
    nodes = {node.name: node for node in graph.nodes}
    starts = recommend_start_nodes(graph, judgement)
    ends = recommend_end_nodes(graph, judgement) if judgement.problems else []
    return {
        "refused": None,
        "problems": [
            {
                "kind": problem.kind,
                "node": problem.node,
                "op": nodes[problem.node].op,
                "reason": problem.reason,
                "place": place_of(graph, nodes[problem.node]),
            }
            for problem in judgement.problems
        ],
        "start_nodes": starts,
        "end_nodes": ends,
        "learned": learned_before(graph, ends),
        "mends": [change.message for change in changes if change.code == ENDS_EARLIER],
    }


#: Bytes of address space: a file may load the weights beside it as often as it likes.
MEMORY = 6 << 30


def limit_memory() -> None:
    """Keep this process within bounds, where the system has them."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))


def main() -> int:
    """Answer one request."""
    limit_memory()
    asked = json.load(sys.stdin)
    answer = judge_file(
        Path(asked["file"]), asked["shapes"], asked["start_nodes"], asked["end_nodes"]
    )
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
