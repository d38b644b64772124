"""An imported toolchain as a run needs it: image, interpreter, variables, identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.toolchain.gpu import CPU_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.toolchain.gpu import Decision
    from orchestrator.toolchain.registry import ImportedToolchain
    from orchestrator.toolchain.versions import Line

#: Python of the export environment (docker/suite/export.Dockerfile); ``python`` on the image's
#: search path is the compiler's own.
EXPORT_PYTHON = "/local/hefsmith_export/bin/python"

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Description:
    """Everything the pipeline asks of a toolchain.

    ``image`` is an id, never a tag. ``env`` goes to the container on top of the engine's own.
    """

    name: str
    image: str
    python: str
    env: Mapping[str, str]
    gpus: bool
    line: Line | None
    chips: tuple[str, ...]
    versions: Mapping[str, str]
    identity: Mapping[str, Any]


def describe(toolchain: ImportedToolchain, gpu: Decision | None = None) -> Description:
    """Return how to run a toolchain.

    ``USER`` is set because the compiler reads it unguarded and fails after minutes without;
    ``HOME`` because caches and logs go there and the image's may not be writable for us.
    """
    folder = PurePosixPath(toolchain.python).parent
    search = toolchain.path or DEFAULT_PATH
    if str(folder) not in search.split(":") and folder.is_absolute():
        search = f"{folder}:{search}"
    env = {
        "USER": "hailo",
        "LOGNAME": "hailo",
        "HOME": "/tmp",  # noqa: S108 (a memory file system of the container)
        "PATH": search,
        "HAILORT_LOGGER_PATH": "NONE",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **(gpu.environment if gpu else CPU_ENVIRONMENT),
    }
    if toolchain.venv:
        env["VIRTUAL_ENV"] = toolchain.venv
    return Description(
        name=toolchain.name,
        image=toolchain.image,
        python=toolchain.python,
        env=env,
        gpus=gpu.use if gpu else False,
        line=toolchain.line,
        chips=toolchain.chips,
        versions=dict(toolchain.versions),
        identity=toolchain.identity(),
    )
