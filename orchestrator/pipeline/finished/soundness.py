"""Are the files of a finished build still what was made? Damaged ones are put back.

A file is read once for each version of it that the file system knows; after that a look at its
times is enough. What a build consists of stands twice, in ``build.json`` and in the manifest, so
that neither can be damaged without the other telling.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hefsmith_worker.contract.layout import MANIFEST

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.pipeline.cache import place
from orchestrator.pipeline.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.finished.builds import Build


def check(build: Build, memory: DigestMemory) -> list[str]:
    """Return the names of a build's files that are missing or not as they were made."""
    damaged = []
    said: dict[str, str] = {}
    for entry in build.summary["files"]:
        path = str(entry["path"])
        said[path] = str(entry["sha256"])
        try:
            sound = memory.file(build.folder / path) == said[path]
        except OSError:
            sound = False
        if not sound:
            damaged.append(path)
    if not (_manifest_agrees(build, said) and _is_own_manifest(build, memory)):
        damaged.append(MANIFEST)
    return damaged


def _is_own_manifest(build: Build, memory: DigestMemory) -> bool:
    """Tell whether the manifest is the one that was written with the build, to the last bit."""
    told = build.summary.get("manifest_sha256")
    try:
        return told is None or memory.file(build.folder / MANIFEST) == told
    except OSError:
        return False


def _manifest_agrees(build: Build, said: dict[str, str]) -> bool:
    try:
        subjects = build.manifest()["subject"]
        told = {entry["name"]: entry["digest"]["sha256"] for entry in subjects}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(said.get(name) == digest for name, digest in told.items() if name in said)


def heal(build: Build, damaged: Sequence[str], cache: StageCache, memory: DigestMemory) -> bool:
    """Put damaged files back from the cache; ``False`` when it does not have them all, sound."""
    keys = [digest_of(why) for why in (build.summary.get("why") or {}).values()]
    entries = [entry for key in keys if (entry := cache.find(key)) is not None]
    wanted = {str(entry["path"]): str(entry["sha256"]) for entry in build.summary["files"]}
    kept = [(file, cache.file(entry, file)) for entry in entries for file in entry.files]
    found = {}
    for file, source in kept:
        if file.path in damaged and file.sha256 == wanted.get(file.path):
            with contextlib.suppress(OSError):
                if memory.reading().file(source) == file.sha256:
                    found[file.path] = source
    if len(found) != len(damaged):
        return False
    try:
        for name, source in found.items():
            place(source, build.folder / name, link=False)
    except OSError:
        return False
    return not check(build, memory)


def require(
    build: Build, cache: StageCache, memory: DigestMemory, note: Callable[[str], None]
) -> Build:
    """Return the build, its files checked and healed where need be.

    Raises :class:`~orchestrator.errors.ArtifactError` for one that is damaged for good: it must
    be neither shipped nor judged.
    """
    damaged = check(build, memory)
    if damaged:
        text = escape_control(", ".join(damaged[:3]))
        if not heal(build, damaged, cache, memory):
            msg = f"{build.folder}: {text} is not as it was built"
            hint = f"Build it again: hef build {build.model} --arch {build.arch}"
            raise ArtifactError(msg, hint=hint, code="build.damaged")
        note(f"warning: {build.folder}: {text} was damaged; put back from the cache")
    memory.save()
    return build
