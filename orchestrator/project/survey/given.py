"""What somebody has said of a network before there is a recipe for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.project.survey.folder import NetworkFile
    from orchestrator.project.survey.pictures import Shown


@dataclass(frozen=True)
class Given:
    """What the command line says of the network; ``None`` where it is to be found out.

    ``inputs`` are those that an ONNX or TFLite file declares, as the build gives them; a side that
    it leaves open is 0.
    """

    network: NetworkFile
    name: str
    torch: str | None = None
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, ...] | None = None
    calibration: Shown | None = None
    arch: str | None = None
    measure: bool = True
