"""Emulated: the network description as an object."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hailo_sdk_common.hailo_nn.exceptions import HailoNNException
from hailo_sdk_common.hailo_nn.hn_definitions import LayerType

if TYPE_CHECKING:
    from collections.abc import Iterator


class HailoLayer:
    """One layer: its name, type, neighbours and shapes (NHWC, batch -1)."""

    def __init__(self, name: str, entry: dict[str, Any]) -> None:
        self.name = name
        self.op = LayerType(entry["type"])
        self.inputs: list[str] = entry["input"]
        self.outputs: list[str] = entry["output"]
        self.input_shapes: list[list[int]] = entry["input_shapes"]
        self.output_shapes: list[list[int]] = entry["output_shapes"]
        self.original_names: list[str] = entry["original_names"]

    @property
    def scope(self) -> str:
        """``net`` of ``net/conv1``."""
        return self.name.rsplit("/", 1)[0] if "/" in self.name else ""

    @property
    def input_shape(self) -> list[int]:
        """The shape of the first input."""
        return self.input_shapes[0]

    @property
    def output_shape(self) -> list[int]:
        """The shape of the first output."""
        return self.output_shapes[0]

    @property
    def name_without_scope(self) -> str:
        """``conv1`` of ``net/conv1``."""
        return self.name.split("/", 1)[-1]


class HailoNN:
    """A network: iterate over it for the layers in order."""

    def __init__(self, hn: dict[str, Any]) -> None:
        self._hn = hn
        self.name: str = hn["name"]
        self.net_params = SimpleNamespace(**hn["net_params"])
        self._layers = {name: HailoLayer(name, entry) for name, entry in hn["layers"].items()}

    def __iter__(self) -> Iterator[HailoLayer]:
        return iter(self._layers.values())

    def get_layer_by_name(self, name: str) -> HailoLayer:
        """Return a layer by its name, with or without scope. Raises ``HailoNNException``."""
        found = self._layers.get(name) or self._layers.get(f"{self.name}/{name}")
        if found is None:
            msg = f"The layer named {name} doesn't exist in the HN"
            raise HailoNNException(msg)
        return found

    def get_input_layers(self) -> list[HailoLayer]:
        """The input layers, in order."""
        return [layer for layer in self if layer.op == "input_layer"]

    def get_output_layers(self, remove_non_neural_core_layers: bool = True) -> list[HailoLayer]:
        """The output layers, in order; on request the post-process that reads them instead."""
        found = [layer for layer in self if layer.op == "output_layer"]
        last = [layer for layer in self if layer.op == "postprocess"]
        return found if remove_non_neural_core_layers or not last else last

    def get_real_output_layers(self) -> list[HailoLayer]:
        """The layers that feed the outputs, in order."""
        return [self._layers[layer.inputs[0]] for layer in self.get_output_layers()]

    def get_input_shapes(self, ignore_conversion: bool = True) -> list[list[int]]:
        """The shapes of the inputs, NHWC with a batch of -1."""
        del ignore_conversion  # what is described here has no conversions among its layers
        return [layer.output_shapes[0] for layer in self.get_input_layers()]

    def predecessors(self, layer: HailoLayer) -> Iterator[HailoLayer]:
        """The layers that a layer reads."""
        return (self._layers[name] for name in layer.inputs)

    def successors(self, layer: HailoLayer) -> Iterator[HailoLayer]:
        """The layers that read a layer."""
        return (self._layers[name] for name in layer.outputs)

    def is_transposed(self) -> bool:
        """Whether height and width are exchanged on the chip."""
        return bool(self.net_params.transposed_net)

    def to_hn(self, network_name: str | None = None) -> dict[str, Any]:
        """The description as a dict, on request under another name."""
        return self._hn if network_name is None else {**self._hn, "name": network_name}
