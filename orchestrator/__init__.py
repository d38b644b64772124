"""hefsmith: from a trained PyTorch or ONNX model to a HEF proven on a Raspberry Pi.

``from orchestrator import Project`` is the way in for Python, see :mod:`orchestrator.api`.
"""

from __future__ import annotations

# Not from typing: until our handler of Ctrl-C is there, each import is a time without one.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.api import (
        BuildResult,
        CellResult,
        Event,
        HefsmithError,
        MatrixResult,
        Options,
        PlanResult,
        Project,
        StageOutcome,
    )

__version__ = "0.1.0"

__all__ = [
    "BuildResult",
    "CellResult",
    "Event",
    "HefsmithError",
    "MatrixResult",
    "Options",
    "PlanResult",
    "Project",
    "StageOutcome",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: the command line imports this package before all else.
    if name in __all__:
        from orchestrator import api

        return getattr(api, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
