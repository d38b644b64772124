"""What a bundle is made of: the build as the programs that will run it need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class BundleInput:
    """One input of the network and how its pictures are prepared (``Preprocess.to_dict``)."""

    name: str
    preprocess: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BundleOutput:
    """One output; ``stream`` is ``None`` where only the HEF knows its name."""

    stream: str | None
    kind: Literal["tensor", "nms"]


@dataclass(frozen=True, kw_only=True)
class BundleModel:
    """What a bundle is made of."""

    model: str
    arch: str
    emulated: bool
    hef: Path
    task: str
    inputs: Sequence[BundleInput]
    outputs: Sequence[BundleOutput]
    labels: Sequence[str]
    score: float = 0.25
    probabilities: bool = False
    """Whether the first output of a classifier is probabilities, by the float model's answers."""
    head: Mapping[str, Any] | None = None
    """How to make boxes of raw outputs (``orchestrator.report.Head``), where the HEF gives those.
    """

    @property
    def hef_name(self) -> str:
        """Name of the HEF in the bundle: model, chip, and emulated when it is."""
        return f"{self.model}.{self.arch}{'.emulated' if self.emulated else ''}.hef"

    @property
    def has_boxes(self) -> bool:
        """True when the HEF gives boxes itself."""
        return any(output.kind == "nms" for output in self.outputs)
