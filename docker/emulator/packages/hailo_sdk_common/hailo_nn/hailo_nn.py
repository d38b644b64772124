"""Emulated: the network description as an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hailo_sdk_common.hailo_nn.exceptions import HailoNNException

if TYPE_CHECKING:
    from collections.abc import Iterator


class HailoLayer:
    """One layer: its name, type, neighbours and shapes (NHWC, batch -1)."""

    def __init__(self, name: str, entry: dict[str, Any]) -> None:
        self.name = name
        self.op = entry["type"]
        self.inputs: list[str] = entry["input"]
        self.outputs: list[str] = entry["output"]
        self.input_shapes: list[list[int]] = entry["input_shapes"]
        self.output_shapes: list[list[int]] = entry["output_shapes"]
        self.original_names: list[str] = entry["original_names"]

    @property
    def name_without_scope(self) -> str:
        """``conv1`` of ``net/conv1``."""
        return self.name.split("/", 1)[-1]


class HailoNN:
    """A network: iterate over it for the layers in order."""

    def __init__(self, hn: dict[str, Any]) -> None:
        self._hn = hn
        self.name: str = hn["name"]
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

    def get_output_layers(self) -> list[HailoLayer]:
        """The output layers, in order."""
        return [layer for layer in self if layer.op == "output_layer"]

    def get_input_shapes(self) -> list[list[int]]:
        """The shapes of the inputs, NHWC with a batch of -1."""
        return [layer.output_shapes[0] for layer in self.get_input_layers()]

    def to_hn(self) -> dict[str, Any]:
        """The description as a dict."""
        return self._hn
