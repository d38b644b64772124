"""Which device a command is for: one rule for all commands, which says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.registry import Registry
    from orchestrator.project.settings import Setting, Settings
    from orchestrator.project.workspace import Workspace


@dataclass(frozen=True)
class DeviceChoice:
    """The devices that are meant, and why; ``named`` tells that the command line says so itself."""

    specs: tuple[DeviceSpec, ...]
    why: str
    named: bool = False

    @property
    def only(self) -> DeviceSpec:
        """The one device. Raises :class:`ConfigError` where more or none are meant."""
        if len(self.specs) != 1:
            names = ", ".join(spec.name for spec in self.specs) or "none"
            msg = f"one device at a time; this names {names}"
            raise ConfigError(
                msg, hint="Name one with --device. Several are shipped to by: hef ship MODEL"
            )
        return self.specs[0]

    def __str__(self) -> str:
        """Return the line that commands show."""
        return f"device: {', '.join(spec.name for spec in self.specs)} ({self.why})"


def choose(
    registry: Registry, asked: Sequence[str], setting: Setting, own: Collection[str]
) -> DeviceChoice:
    """Return the devices named, else those of the setting, else the only one, else the embedded.

    Only a device of ``own`` is taken without being named: one of a stranger's project is not.
    """
    from orchestrator.device.base import EMBEDDED

    if asked:
        return DeviceChoice(registry.resolve(asked), "named", named=True)
    if setting.value is not None:
        named = setting.origin.startswith("--")
        return DeviceChoice(registry.resolve([str(setting.value)]), f"by {setting.origin}", named)
    candidates = [spec for name, spec in sorted(registry.devices.items()) if name in own]
    if len(candidates) > 1:
        known = ", ".join(spec.name for spec in candidates)
        msg = f"several devices are known: {known}"
        hint = (
            "Name one or more: --device NAME,NAME or --device all; without a Pi: --device embedded"
        )
        raise ConfigError(msg, hint=hint, code="device.several")
    if candidates:
        return DeviceChoice(tuple(candidates), "the only one that is known")
    return DeviceChoice((EMBEDDED,), "no Pi is known; hef device add makes one known")


def device_choice(
    workspace: Workspace, settings: Settings, asked: Sequence[str] = ()
) -> DeviceChoice:
    """Return the choice in a project, with the devices of its ``hef.yaml`` and the user's."""
    from orchestrator.device.registry import read_user_devices
    from orchestrator.pipeline.devices import load_devices
    from orchestrator.project.trust import standing

    registry = load_devices(workspace)
    own: Collection[str] = registry.devices
    if workspace.file.devices and standing(workspace.root).stranger:
        own = read_user_devices()
    return choose(registry, asked, settings.device, own)
