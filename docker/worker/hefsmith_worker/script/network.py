"""The parsed network (HN) as the script needs it: layers by name, and which one an output is.

Layers are called ``<net>/conv41``; each keeps the ONNX nodes that it came from in
``original_names``. Both are the SDK's choice and change with any change of the graph, which is
why no script of another network may be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.network import shape_of


@dataclass(frozen=True)
class Layer:
    """One layer: full and short name, type, ONNX nodes, NHWC output shape, neighbours."""

    name: str
    kind: str
    originals: Tuple[str, ...] = ()
    shape: Tuple[int, ...] = ()
    sources: Tuple[str, ...] = ()
    activation: str = "linear"

    @property
    def short(self) -> str:
        """The name without the network's scope, as model scripts usually have it."""
        return self.name.rsplit("/", 1)[-1]


class Network:
    """The layers of an HN, as :meth:`ClientRunner.get_hn_dict` gives it."""

    def __init__(self, layers: Sequence[Layer], order: Sequence[str] = ()) -> None:
        self.layers: Dict[str, Layer] = {layer.name: layer for layer in layers}
        self._order = {name: index for index, name in enumerate(order)}

    @classmethod
    def from_hn(cls, hn: Mapping[str, Any]) -> Network:
        """Read an HN; keys that an SDK version leaves out are taken as empty."""
        layers = [_layer(name, entry) for name, entry in hn.get("layers", {}).items()]
        order = (hn.get("net_params") or {}).get("output_layers_order") or []
        return cls(layers, [str(name) for name in order])

    def names(self) -> List[str]:
        """Return the short names of all layers."""
        return [layer.short for layer in self.layers.values()]

    def find(self, name: str) -> Optional[Layer]:
        """Return a layer by full or short name."""
        if name in self.layers:
            return self.layers[name]
        return next((layer for layer in self.layers.values() if layer.short == name), None)

    def inputs(self) -> List[Layer]:
        """Return the input layers."""
        return [layer for layer in self.layers.values() if layer.kind == "input_layer"]

    def outputs(self) -> List[Layer]:
        """Return the output layers in the network's order."""
        found = [layer for layer in self.layers.values() if layer.kind == "output_layer"]
        return sorted(found, key=self._rank)

    def producers(self) -> List[Layer]:
        """Return, for each output in order, the layer that computes it."""
        outputs = self.outputs()
        if not outputs:
            used = {source for layer in self.layers.values() for source in layer.sources}
            return [layer for layer in self.layers.values() if layer.name not in used]
        found = []
        for output in outputs:
            source = next((name for name in output.sources if name in self.layers), output.name)
            found.append(self.layers[source])
        return found

    def for_end_nodes(self, end_nodes: Sequence[str]) -> Optional[List[Layer]]:
        """Return the computing layer of each end node, or ``None`` when they cannot be told.

        The nodes that a layer came from decide. Where an SDK kept none of them, the order of
        the outputs does, which is the order of the end nodes.
        """
        producers = self.producers()
        by_origin = {origin: layer for layer in producers for origin in layer.originals}
        found = [by_origin.get(node) for node in end_nodes]
        if all(layer is not None for layer in found):
            return [layer for layer in found if layer is not None]
        if any(layer is not None for layer in found) or len(producers) != len(end_nodes):
            return None
        return producers

    def _rank(self, layer: Layer) -> int:
        names = (layer.name, *layer.sources)
        return min(self._order.get(name, len(self._order)) for name in names)


def _layer(name: str, entry: Mapping[str, Any]) -> Layer:
    params = entry.get("params") or {}
    return Layer(
        name,
        str(entry.get("type", "")),
        tuple(str(origin) for origin in entry.get("original_names") or []),
        shape_of(entry),
        tuple(str(source) for source in entry.get("input") or []),
        # Scripts of others read it beside the params; which of the two an SDK has is not public.
        str(params.get("activation") or entry.get("activation") or "linear"),
    )
