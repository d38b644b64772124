"""Emulated: the logger that the vendor's own programs ask for."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path

#: Where the vendor's programs put logs of their own.
DFC_FOLDER_PATH = str(Path.home() / ".hailo" / "dataflow_compiler")
DEPRECATION_WARNING = logging.WARNING - 1


class DeprecationVersion(Enum):
    """When something goes."""

    FUTURE = "future"


class HailoLogger(logging.Logger):
    """A logger that can say that something is going to go."""

    def deprecation_warning(self, message: str, version: DeprecationVersion) -> None:
        """Log that something goes with ``version``."""
        self.log(DEPRECATION_WARNING, "%s (%s)", message, version.value)


def create_custom_logger(
    log_path: str, fmt: str | None = None, console: bool = False, **_options: object
) -> HailoLogger:
    """Return a logger of this name; no file is written."""
    made = HailoLogger(Path(log_path).stem, logging.DEBUG)
    if console:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(fmt or "[%(levelname)s] %(message)s"))
        made.addHandler(handler)
    return made
