"""What of the emulator decides results: its code and the libraries that it stands on."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract import sources

from orchestrator import paths
from orchestrator.pipeline.closure import CodeReader
from orchestrator.pipeline.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orchestrator.pipeline.digests import DigestMemory

#: Libraries whose version can change a byte of a result.
LIBRARIES = (
    "ml-dtypes",
    "numpy",
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "pillow",
    "protobuf",
    "torch",
)

#: What TensorFlow networks are read with, and the releases that stand on the pins above. The
#: extra ``tensorflow`` names the same (tests/unit/pipeline/test_identity.py).
TENSORFLOW = {"tensorflow": "2.21.0", "keras": "3.15.1", "tf2onnx": "1.17.0"}

#: The same as pip takes them for an image; the build without CUDA exists for x86-64 only.
TENSORFLOW_PACKAGES = (
    'tensorflow-cpu==2.21.0; platform_machine == "x86_64"',
    'tensorflow==2.21.0; platform_machine != "x86_64"',
    "keras==3.15.1",
    "tf2onnx==1.17.0",
)

#: What networks of a framework are read with, where that is not among the pins.
FRAMEWORK_PACKAGES = {sources.TENSORFLOW: TENSORFLOW_PACKAGES}

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)")


def emulator_code(memory: DigestMemory) -> str:
    """Return the digest of the emulator's packages and of what they work with.

    That is the HEF room, which writes, and what both take from the worker.
    """
    packages = paths.image_context("emulator") / "packages"
    room = Path(__file__).parent.parent / "hef"
    reader = CodeReader(paths.worker_package(), memory)
    own: list[list[str]] = []
    shared: set[str] = set()
    for folder in (packages, room):
        for path in sorted(folder.rglob("*.py")):
            digest = memory.file(path)
            own.append([folder.name, path.relative_to(folder).as_posix(), digest])
            shared.update(reader.imports_of(path, digest))
    return digest_of([own, reader.digest(sorted(shared))])


def pinned_versions(requirements: str) -> dict[str, str]:
    """Return the versions that the emulator's image installs, from its requirements file."""
    found: dict[str, str] = {}
    for line in requirements.splitlines():
        if (match := _PIN.match(line.strip())) is not None:
            name = match[1].lower().replace("_", "-")
            if name in LIBRARIES:
                found[name] = match[2]
    return found


def installed_versions(libraries: Collection[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions that this environment has; a missing library is left out.

    Read from the names of the installers' own folders (``numpy-2.4.6.dist-info``): asking
    ``importlib.metadata`` parses a long file for each.
    """
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                project, _, version = name.removesuffix(".dist-info").partition("-")
                plain = re.sub(r"[-_.]+", "-", project).lower()
                # The local part (torch's "+cpu") names the build of a version, not another one.
                found.setdefault(plain, version.partition("+")[0])
    if "tensorflow-cpu" in found:
        found.setdefault("tensorflow", found["tensorflow-cpu"])
    return {name: found[name] for name in libraries if name in found}


def emulator_identity(code: str, versions: Mapping[str, str], compiler: str) -> dict[str, object]:
    """Return what goes into every key: the same for both engines when their libraries are."""
    return {
        "toolchain": "emulator",
        "compiler": compiler,
        "code": code,
        "versions": dict(sorted(versions.items())),
    }


def libraries_identity(versions: Mapping[str, str]) -> dict[str, object]:
    """Return what of its surroundings decides an export: the libraries, not the compiler."""
    return {"libraries": dict(sorted(versions.items()))}


def emulator_image_versions() -> dict[str, str]:
    """Return the versions pinned for the emulator's image."""
    requirements = paths.image_context("emulator") / "requirements.txt"
    return pinned_versions(requirements.read_text(encoding="utf-8"))
