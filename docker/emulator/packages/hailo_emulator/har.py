"""HAR files: a tar of the network and everything needed to go on with it (hailo.md 3.3).

``<net>.hn``, ``<net>.npz``, ``<net>.metadata.json``, ``<net>.nms.json``,
``<net>.original_model_meta.json``, ``<net>.postprocess.onnx``, ``<net>.alls`` and, when
compiled, ``<net>.auto.alls`` are the vendor's members. ``<net>.emulator.json``,
``<net>.native.onnx`` and ``<net>.quantized.onnx`` are the emulator's own.
Times and owners are fixed, so the same network gives the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_har(path: Path, members: Mapping[str, bytes]) -> None:
    """Write the tar under a temporary name and rename it, so that no half file is left."""
    partial = path.with_name(path.name + ".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    partial.replace(path)


def read_har(path: Path) -> dict[str, bytes]:
    """Return the members of a HAR. Raises ``ValueError`` for what is no tar of files."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = {}
            for entry in tar.getmembers():
                file = tar.extractfile(entry)
                if file is not None:
                    members[entry.name] = file.read()
            return members
    except tarfile.TarError as error:
        msg = f"{path} is not a HAR file: {error}"
        raise ValueError(msg) from error
