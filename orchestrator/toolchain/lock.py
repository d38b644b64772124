"""``hef.lock``: the toolchains that a project was built with, by digest.

A teammate with another image gets a clear difference, not another HEF.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import write_atomic
from orchestrator.reading import TEXT_LIMIT, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.toolchain.registry import ImportedToolchain
    from orchestrator.toolchain.versions import Line

NAME = "hef.lock"
SCHEMA = 1


@dataclass(frozen=True)
class Pin:
    """What a project wants for one line: an image and, for people, what is inside.

    ``image`` is its id on the engine of who pinned it, ``content`` the digest of what is in it
    (see :class:`orchestrator.engine.base.ImageInfo`; empty in old locks).
    """

    image: str
    versions: Mapping[str, str]
    name: str
    content: str = ""


def read_lock(project: Path) -> dict[Line, Pin]:
    """Return the pins of the project in folder ``project``, by line; empty without a lock.

    :raises ConfigError: the file is there and cannot be read.
    """
    path = project / NAME
    document = read_document(project)
    try:
        pins: dict[Line, Pin] = {}
        for line, pin in document.get("toolchains", {}).items():
            pins[_line(line)] = Pin(
                str(pin["image"]),
                dict(pin["versions"]),
                str(pin["name"]),
                str(pin.get("content") or ""),
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return pins


def read_document(project: Path) -> dict[str, Any]:
    """Return the lock as JSON values, empty without one; raises :class:`ConfigError`."""
    path = project / NAME
    try:
        document = read_json(path, limit=TEXT_LIMIT)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']} is not known")  # noqa: EM102, TRY301
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return dict(document)


def _damaged(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{path}: this lock cannot be read: {escape_control(str(error))}",
        hint="Restore it from version control, or write it again: hef toolchain use NAME",
        code="lock.damaged",
    )


def write_pin(project: Path, toolchain: ImportedToolchain) -> Path:
    """Pin a toolchain for its line in ``hef.lock`` and return the file."""
    line = toolchain.line
    if line is None:
        msg = f"toolchain {toolchain.name} belongs to no product line that hefsmith knows"
        raise ConfigError(msg, hint="hef toolchain list shows its versions.", code="lock.line")
    pins = read_lock(project)
    pins[line] = Pin(toolchain.image, dict(toolchain.versions), toolchain.name, toolchain.content)
    return _write(project, pins)


def remove_pins(project: Path) -> Path:
    """Take out all pins of toolchains and return the file."""
    return _write(project, {})


def _write(project: Path, pins: Mapping[Line, Pin]) -> Path:
    document: dict[str, Any] = {
        **read_document(project),
        "schema": SCHEMA,
        "toolchains": {
            str(line): {
                "content": pin.content,
                "image": pin.image,
                "name": pin.name,
                "versions": dict(sorted(pin.versions.items())),
            }
            for line, pin in sorted(pins.items())
        },
    }
    path = project / NAME
    write_atomic(path, json.dumps(document, indent=2) + "\n")
    return path


def _line(text: str) -> Line:
    if text == "3":
        return 3
    if text == "5":
        return 5
    msg = f"line {text!r}"
    raise ValueError(msg)


def difference(pin: Pin, toolchain: ImportedToolchain) -> str | None:
    """Return in one paragraph how a toolchain differs from the pin, ``None`` if it is the one."""
    if toolchain.is_image(pin.image, pin.content):
        return None
    lines = [
        f"hef.lock asks for image {short(pin.image)}, {toolchain.name} is {short(toolchain.image)}"
    ]
    names = sorted({*pin.versions, *toolchain.versions})
    changed = [
        f"  {name}: {pin.versions.get(name, 'absent')} in the lock,"
        f" {toolchain.versions.get(name, 'absent')} here"
        for name in names
        if pin.versions.get(name) != toolchain.versions.get(name)
    ]
    lines.extend(changed or ["  the versions inside are the same, the images are not"])
    return "\n".join(lines)


def short(image: str) -> str:
    """Return the first 12 digits of an image id."""
    return image.removeprefix("sha256:")[:12]
