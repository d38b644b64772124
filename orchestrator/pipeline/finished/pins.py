"""``hef.lock``, its builds: what each was made with and of, so that any difference is told.

Beside the images that a project wants (``orchestrator.toolchain.lock``) it holds, for each build,
what compiles and what exports (image or versions, and code), and the digests of all that goes in:
weights, the network's code, calibration and validation pictures.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator import files
from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.digests import digest_of
from orchestrator.pipeline.finished.kinship import Kinship, Made, made_of, relate
from orchestrator.pipeline.plan import explain_difference, listed
from orchestrator.reading import plain_values
from orchestrator.toolchain.lock import NAME, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.plan import Plan

#: The section of the lock, beside ``toolchains``.
SECTION = "builds"


@dataclass(frozen=True)
class BuildPin:
    """What one build was locked with: identities, digests of inputs, and of what is asked.

    ``made`` is what came of it, where a build was there when it was locked.
    """

    toolchain: Mapping[str, Any]
    export: Mapping[str, Any]
    inputs: Mapping[str, str]
    recipe: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    made: Made | None = None


def name_of(model: str, arch: str, set_name: str | None = None) -> str:
    """Return what a build is called in the lock: ``model/arch``, with a parameter set before it."""
    return f"{model}/{set_name}/{arch}" if set_name else f"{model}/{arch}"


def pin_of(made: Plan, materials: Mapping[str, str], build: Build | None = None) -> BuildPin:
    """Return the pin of a plan, with what its ``build`` gave where that is one of this plan."""
    current = build is not None and build.key == made.key
    asked: dict[str, Any] = plain_values(made.request.parameters)
    return BuildPin(
        toolchain=dict(made.identities["compile"]),
        export=dict(made.identities["export"]),
        inputs=dict(sorted(materials.items())),
        recipe=digest_of(asked),
        asked=asked,
        made=made_of(build) if build is not None and current else None,
    )


def relation(project: Path, name: str, build: Build) -> Kinship | None:
    """Return how a build is related to the locked one of the same inputs; ``None``: not known."""
    pin = read_pins(project).get(name)
    made = made_of(build) if pin is not None and pin.made is not None else None
    if pin is None or pin.made is None or made is None:
        return None
    return relate(pin.made, made, same_inputs=True)


def differences(pin: BuildPin, now: BuildPin) -> list[str]:
    """Return every difference as ``what: locked -> now``."""
    parts = (
        ("toolchain", pin.toolchain, now.toolchain),
        ("export", pin.export, now.export),
        ("inputs", pin.inputs, now.inputs),
        ("recipe", pin.asked, now.asked),
    )
    return [
        f"{name}.{escape_control(line)}"
        for name, old, new in parts
        for line in explain_difference(old, new)
    ]


def read_pins(project: Path) -> dict[str, BuildPin]:
    """Return the builds that a project's lock has, by name; raises :class:`ConfigError`."""
    found = {}
    try:
        for name, pin in read_document(project).get(SECTION, {}).items():
            found[str(name)] = BuildPin(
                toolchain=dict(pin["toolchain"]),
                export=dict(pin["export"]),
                inputs={str(key): str(value) for key, value in pin["inputs"].items()},
                recipe=str(pin["recipe"]),
                asked=dict(pin["asked"]),
                made=Made.from_json(pin["made"]) if pin.get("made") else None,
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{project / NAME}: its section {SECTION} cannot be read: {error!r}"
        raise ConfigError(
            msg, hint="Write it again: hef lock --all", code="lock.damaged"
        ) from error
    return found


def write_pins(project: Path, pins: Mapping[str, BuildPin]) -> Path:
    """Put pins into a project's lock, beside what it has."""
    document = read_document(project) or {"schema": 1, "toolchains": {}}
    new = {name: asdict(pin) for name, pin in pins.items()}
    document[SECTION] = dict(sorted({**document.get(SECTION, {}), **new}.items()))
    path = project / NAME
    files.write_atomic(path, json.dumps(document, indent=2, sort_keys=True) + "\n")
    return path


def need_locked(project: Path, name: str, made: Plan, materials: Mapping[str, str]) -> None:
    """Raise :class:`ConfigError` unless a build is what the lock says, with every difference."""
    pins = read_pins(project)
    if name not in pins:
        msg = f"--locked: {project / NAME} does not have {escape_control(name)}"
        raise ConfigError(msg, hint="Lock it: hef lock", code="lock.missing")
    found = differences(pins[name], pin_of(made, materials))
    if found:
        raise ConfigError(
            "\n".join([f"--locked: {escape_control(name)} is not what is locked:", *listed(found)]),
            hint="Restore what changed, or lock what is there now: hef lock",
            code="lock.differs",
        )
