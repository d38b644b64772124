"""Packages that a network's own code needs beside torch: a thin image, or this Python's own.

Only the export runs with them. In an image they are added on top and change nothing of what is
there; the local engine has no image, so the user installs them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.engine import context as contexts
from orchestrator.engine import images
from orchestrator.engine.base import ImageBuildError, ImageInfo, ImageMissingError, Report, ignore
from orchestrator.engine.box import LABEL
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.engine.client import Connection

#: Repository of images with added packages; the tag is the digest of what was asked for.
EXPORT = "hefsmith-export"

FILES = ("add-packages.sh", "packages.Dockerfile")


def add(
    connection: Connection,
    image: str,
    packages: Sequence[str],
    *,
    python: str,
    report: Report = ignore,
) -> ImageInfo:
    """Return ``image`` with ``packages`` on top; built if the engine does not have it yet.

    ``packages`` are requirements as pip takes them. Raises :class:`ImageBuildError` with what
    pip said.
    """
    base = images.find(connection, image)
    if base is None:
        msg = f"the engine has no image {escape_control(image)}"
        raise ImageMissingError(msg)
    folder = paths.image_context("emulator")
    files = contexts.read_files(folder, FILES, "docker/emulator")
    listed = "".join(f"{one}\n" for one in sorted(packages))
    files["packages.txt"] = contexts.Blob(listed.encode())
    files["Dockerfile"] = contexts.Blob(files["docker/emulator/packages.Dockerfile"].data)
    # Not part of the build: they make the tag tell bases and Pythons apart.
    files["base"] = contexts.Blob(f"{base.id}\n{python}\n".encode())
    tag = f"{EXPORT}:{contexts.Context(files).digest[:16]}"
    found = images.find(connection, tag)
    if found is not None:
        return found
    files |= images.pip_settings().files()
    if os.environ.get("HEFSMITH_OFFLINE"):
        files[f"{contexts.WHEELS}/offline"] = contexts.Blob(b"")
    wheels = contexts.wheel_entries(extra_wheels(folder), folder)
    try:
        return images.build(
            connection,
            contexts.Context(files, wheels),
            tag=tag,
            arguments={"BASE": base.tags[0] if base.tags else base.id, "PYTHON": python},
            labels={f"{LABEL}.base": base.id},
            report=report,
        )
    except ImageBuildError as error:
        msg = f"installing {escape_control(', '.join(packages))} for the export failed: {error}"
        raise ImageBuildError(
            msg,
            hint="export.packages of the recipe takes only packages that have wheels\n"
            "and accept the versions in the image.\n" + (error.hint or ""),
        ) from error


def extra_wheels(folder: Path) -> tuple[Path, ...]:
    """Return the wheels that the base image does not have already: the pinned ones are in it."""
    pins = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    there = {_plain(line.partition("==")[0]) for line in pins if "==" in line}
    return tuple(
        one
        for one in images.emulator_wheels(folder)
        if _plain(one.name.partition("-")[0]) not in there
    )


def _plain(project: str) -> str:
    return project.strip().lower().replace("_", "-").replace(".", "-")


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Return which of the requirements this Python does not meet; imports none of them."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    unmet = []
    for one in packages:
        requirement = Requirement(one)
        try:
            here = version(requirement.name)
        except PackageNotFoundError:
            unmet.append(one)
            continue
        if not requirement.specifier.contains(here, prereleases=True):
            unmet.append(f"{one} (installed: {here})")
    return tuple(unmet)
