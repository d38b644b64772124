"""``hef.yaml``: what holds for all models of a project."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from orchestrator.project.recipe import MODEL_NAME, Section


class DeviceEntry(Section):
    """A device by its own name. ``host`` may be an alias of ``~/.ssh/config``."""

    host: str
    user: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    identity: str | None = Field(None, description="private key file")
    service: str | None = Field(None, description="systemd unit to stop around validation")
    keep_releases: Annotated[int, Field(ge=1)] = 5


class EngineEntry(Section):
    """A Docker engine by its own name: ``ssh://user@host``, ``unix://...``, ``context:NAME``."""

    address: str


class Limits(Section):
    """What a container may use; absent means the engine room's defaults."""

    memory: str | None = Field(None, description="such as 12g")
    cpus: Annotated[float, Field(gt=0)] | None = None


class ProjectFile(Section):
    """The content of ``hef.yaml``; every key may be left out."""

    schema_: Literal[1] = Field(1, alias="schema")
    engine: str = "auto"
    toolchain: str = "auto"
    device: str | None = None
    devices: dict[str, DeviceEntry] = Field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    engines: dict[str, EngineEntry] = Field(default_factory=dict)
    models: str = "models"
    artifacts: str = "artifacts"
    cache: str | None = None
    gpu: Literal["auto", "on", "off"] = "auto"
    strict: bool = False
    limits: Limits = Limits()

    @field_validator("devices", "engines", "groups")
    @classmethod
    def _names(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            if not MODEL_NAME.match(name):
                msg = f"{name!r}: letters, digits, - and _ only, starting with a letter"
                raise ValueError(msg)
        return value
