"""Names for nodes that have none: the vendor's parser is told where to cut by node names.

A file may name no node, or several alike. The end nodes that the analysis proposes are then
called by the tensor that they make. Here exactly these nodes get that tensor's name, so that
the answer means the same to the parser. Nothing else of the network changes.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, Optional, Sequence

import onnx


def name_nodes(model: onnx.ModelProto, labels: Sequence[str]) -> Optional[onnx.ModelProto]:
    """Return a copy in which every label is the name of one node, ``None`` if it is so already.

    ``labels`` are names of nodes or of tensors, as a report's ``end_nodes`` has them; unknown
    ones are left to the parser's own error. A node elsewhere that has a label's name already
    loses it to ``<name>_node``.
    """
    times = Counter(node.name for node in model.graph.node if node.name)
    makers: Dict[str, int] = {
        output: index
        for index, node in enumerate(model.graph.node)
        for output in node.output
        if output
    }
    wanted = [label for label in labels if times[label] != 1 and label in makers]
    if not wanted:
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.name in wanted:
            node.name += "_node"
    for label in wanted:
        copy.graph.node[makers[label]].name = label
    return copy
