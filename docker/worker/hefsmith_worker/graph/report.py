"""The answer of the analysis, as the recipe, the script and the command line use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from hefsmith_worker.graph.decoding import Decoding


@dataclass(frozen=True)
class HeadReport:
    """What a network ends in.

    ``end_nodes`` are names of nodes (the first output's name where a node has none), in the
    order in which the outputs are proposed: by scale, finest first. A layer that holds boxes,
    objectness and classes together has the role ``box``. ``end_shapes`` are NCHW. ``classes``
    is the number of class channels per box (with a background class where the head has one).
    ``regression_length`` is the number of bins per side, ``None`` without distributions.
    ``anchors`` are (width, height) in pixels per scale. ``confidence`` is 0..1. ``nameless``
    are those of the end nodes that have no name of their own: what stands for them is the name
    of their tensor, and :func:`~hefsmith_worker.graph.naming.name_nodes` makes it their name.
    ``layers`` are kinds of layers in the graph that settings are known for.
    """

    task: str = "other"
    family: str = "other"
    end_nodes: Tuple[str, ...] = ()
    end_roles: Tuple[str, ...] = ()
    end_shapes: Tuple[Tuple[int, ...], ...] = ()
    classes: Optional[int] = None
    strides: Tuple[int, ...] = ()
    regression_length: Optional[int] = None
    anchors: Optional[List[List[List[float]]]] = None
    confidence: float = 0.0
    reasons: Tuple[str, ...] = ()
    decoding: Optional[Decoding] = None
    nameless: Tuple[str, ...] = ()
    layers: Tuple[str, ...] = ()

    def to_dict(self) -> Dict[str, object]:
        """Return the report as JSON can hold it; the keys are a contract."""
        return {
            "task": self.task,
            "family": self.family,
            "end_nodes": list(self.end_nodes),
            "end_roles": list(self.end_roles),
            "end_shapes": [list(shape) for shape in self.end_shapes],
            "classes": self.classes,
            "strides": list(self.strides),
            "regression_length": self.regression_length,
            "anchors": self.anchors,
            "confidence": round(self.confidence, 2),
            "reasons": list(self.reasons),
            "decoding": None if self.decoding is None else self.decoding.to_dict(),
            "nameless": list(self.nameless),
            "layers": list(self.layers),
        }
