"""What a container needs besides the device request to use an NVIDIA GPU; pure.

The suite's image asks for drivers of 2021 (``NVIDIA_DISABLE_REQUIRE`` ends that). In WSL 2 the
driver's libraries are Windows' own: they lie in ``/usr/lib/wsl`` of the distribution, and the
linker must look there first.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.engine import products

if TYPE_CHECKING:
    from orchestrator.engine.base import EngineInfo

WSL = PurePosixPath("/usr/lib/wsl")


def wsl_folder(info: EngineInfo) -> str | None:
    """Return the folder to mount, ``None`` where there is none to be seen.

    An engine that runs in a WSL distribution has it beside itself. Docker Desktop's machine has
    it under the same name only for its own use, and brings the libraries into containers.
    """
    return str(WSL) if info.wsl and products.find(info.product).wsl_libraries else None


def variables(info: EngineInfo, library_path: str | None) -> dict[str, str]:
    """Return the variables; ``library_path`` is the ``LD_LIBRARY_PATH`` that already exists."""
    found = {"NVIDIA_DISABLE_REQUIRE": "1"}
    if info.wsl:
        found["LD_LIBRARY_PATH"] = ":".join(filter(None, (str(WSL / "lib"), library_path)))
    return found
