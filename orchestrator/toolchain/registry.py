"""The toolchains that this user has imported: one small JSON file each.

A name or tag of an image proves nothing (``:1``, ``:latest``, and archive names that do not
tell the compiler), so a record holds the image's id and what was read inside it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from hefsmith_worker.contract import chips

from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import write_atomic
from orchestrator.paths import user_data
from orchestrator.reading import read_json
from orchestrator.toolchain.versions import Line, Version, line_of_compiler, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1


@dataclass(frozen=True)
class GpuState:
    """What a probe inside the container said. ``usable`` is ``None`` when nothing was tried."""

    usable: bool | None = None
    why: str = "not tried"
    name: str | None = None


@dataclass(frozen=True)
class ImportedToolchain:
    """An imported compiler.

    ``image`` is the image's id (``sha256:...``) on its engine, ``content`` the digest of what is
    in it, the same on every engine (empty in old records). ``versions`` maps ``dfc``,
    ``model_zoo``, ``hailort``, ``python``, ``torch``, ``tensorflow``, ``numpy``, ``onnx`` to what
    was read inside, ``python`` is the interpreter that has the SDK, ``size`` bytes on the engine.
    """

    name: str
    kind: Literal["suite", "wheels"]
    engine: str
    image: str
    python: str
    versions: Mapping[str, str]
    tags: tuple[str, ...] = ()
    size: int = 0
    zoo: str | None = None
    venv: str | None = None
    path: str | None = None
    export_image: str | None = None
    user: str = ""
    source: str = ""
    imported: str = ""
    content: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    """What ``hef toolchain check`` found: its checks and their states; empty before."""
    gpu: GpuState = field(default_factory=GpuState)

    def is_image(self, image: str, content: str) -> bool:
        """Tell whether this is an image, though engines may name the same one differently."""
        return self.image == image or bool(content and self.content == content)

    @property
    def dfc(self) -> Version:
        """The compiler's version."""
        version = parse_version(self.versions.get("dfc"))
        if version is None:
            msg = f"the record of toolchain {self.name} has no compiler version"
            raise ConfigError(msg, hint="Import it again.", code="toolchain.record")
        return version

    @property
    def line(self) -> Line | None:
        """The product line, 3 or 5."""
        return line_of_compiler(self.dfc)

    @property
    def chips(self) -> tuple[str, ...]:
        """Chips that it can compile for."""
        known = chips.of_line(self.dfc.major)
        return tuple(chip.name for chip in known if chip.since <= (self.dfc.major, self.dfc.minor))

    def identity(self) -> dict[str, object]:
        """Return what decides whether two builds come from the same toolchain (for cache keys)."""
        return {
            "kind": "suite",
            "image": self.content or self.image,
            "versions": dict(sorted(self.versions.items())),
        }


def folder() -> Path:
    """Return the folder with the records."""
    return user_data() / "toolchains"


def load_all() -> tuple[ImportedToolchain, ...]:
    """Return every record, newest compiler first. A damaged one is an error that names the file."""
    found = [_load(path) for path in sorted(folder().glob("*.json"))]
    return tuple(sorted(found, key=lambda one: (one.dfc, one.name), reverse=True))


def find(name: str) -> ImportedToolchain:
    """Return a toolchain by name, or by the beginning of its image id.

    :raises ConfigError: there is none, or several begin so.
    """
    known = load_all()
    exact = [one for one in known if one.name == name]
    digest = name.removeprefix("sha256:")
    alike = exact or [
        one
        for one in known
        if len(digest) >= 6 and one.image.removeprefix("sha256:").startswith(digest)
    ]
    if len(alike) == 1:
        return alike[0]
    names = ", ".join(one.name for one in known) or "none"
    said = "is not clear" if alike else "is not imported"
    msg = f"toolchain {escape_control(name)!r} {said}"
    raise ConfigError(
        msg,
        hint=f"Imported: {names}. Add one with: hef toolchain import FILE",
        code="toolchain.missing",
    )


def save(toolchain: ImportedToolchain) -> ImportedToolchain:
    """Write a record and return it, renamed when the name stands for another image already."""
    folder().mkdir(parents=True, exist_ok=True)
    name = _safe(toolchain.name)
    for one in load_all():
        if one.is_image(toolchain.image, toolchain.content) and one.engine == toolchain.engine:
            # Imported before, maybe into another image store: keep its name, renew its facts.
            name = one.name
            break
        if one.name == name:
            name = f"{name}-{toolchain.image.removeprefix('sha256:')[:8]}"
    named = replace(toolchain, name=name)
    document = {"schema": SCHEMA, **asdict(named), "versions": dict(named.versions)}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    write_atomic(folder() / f"{name}.json", text, private=True)
    return named


def remove(toolchain: ImportedToolchain) -> None:
    """Forget a toolchain; the image stays on the engine."""
    (folder() / f"{toolchain.name}.json").unlink(missing_ok=True)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "suite"


def _load(path: Path) -> ImportedToolchain:
    try:
        document = read_json(path)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}")  # noqa: EM102, TRY301
        known = {
            key: value
            for key, value in document.items()
            if key in ImportedToolchain.__dataclass_fields__
        }
        known["tags"] = tuple(known.get("tags") or ())
        known["gpu"] = GpuState(**(known.get("gpu") or {}))
        toolchain = ImportedToolchain(**known)
        toolchain.dfc  # noqa: B018 (a record without a version is damaged)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path}: this record of a toolchain cannot be read: {error}"
        raise ConfigError(
            msg, hint="Delete the file and import the toolchain again.", code="toolchain.record"
        ) from error
    return toolchain
