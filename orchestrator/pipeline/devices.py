"""The room ``device`` as the main job needs it: devices of a project, a build as a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec, Release
    from orchestrator.device.registry import Registry
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.project.projectfile import DeviceEntry
    from orchestrator.project.workspace import Workspace


def load_devices(workspace: Workspace) -> Registry:
    """Return the devices of ``hef.yaml`` and those that the user has added.

    A stranger's ``hef.yaml`` takes no name of the user's, and stops no service: it raises
    :class:`~orchestrator.errors.ConfigError` for one that would.
    """
    from orchestrator.device.registry import load_registry, read_user_devices
    from orchestrator.pipeline.trusting import not_trusted
    from orchestrator.project.trust import standing

    entries = workspace.file.devices
    devices = {name: _checked(name, entry, workspace) for name, entry in entries.items()}
    if entries and standing(workspace.root).stranger:
        stops = [f"devices.{name}.service: {one.service}" for name, one in entries.items()
                 if one.service is not None]  # fmt: skip
        if stops:
            raise not_trusted(workspace, stops)
        own = read_user_devices()
        devices = {name: one for name, one in devices.items() if name not in own}
    return load_registry(devices, workspace.file.groups)


def _checked(name: str, entry: DeviceEntry, workspace: Workspace) -> DeviceSpec:
    """Return a device of ``hef.yaml``; what is wrong in it is told with its line."""
    try:
        return _spec(name, entry, workspace.root)
    except ConfigError as error:
        place = workspace.document
        where = f"{place.where(('devices', name))}: " if place is not None else ""
        msg = f"{where}devices.{name}: {error.message}"
        raise ConfigError(msg, hint=error.hint) from error


def _spec(name: str, entry: DeviceEntry, root: Path) -> DeviceSpec:
    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.registry import check_service, check_user, parse_address

    address = parse_address(entry.host)
    if entry.user is not None:
        check_user(entry.user)
    if entry.service is not None:
        check_service(entry.service)
    return DeviceSpec(
        name=name,
        host=address.host,
        user=entry.user or address.user,
        port=entry.port or address.port,
        identity_file=root / Path(entry.identity).expanduser() if entry.identity else None,
        service=entry.service,
        shared=entry.shared,
        keep_releases=entry.keep_releases,
    )


def release_of(build: Build, scratch: Path) -> Release:
    """Return a build as what is shipped; small files are written to ``scratch``."""
    from hefsmith_worker.contract.layout import MANIFEST

    from orchestrator.device.release import write_release

    manifest = build.folder / MANIFEST
    return write_release(
        scratch,
        model=build.model,
        arch=build.arch,
        hef=build.hef,
        manifest=manifest if manifest.is_file() else None,
        labels=build.labels,
        preprocessing=build.preprocessing,
        decoder=build.summary.get("postprocess"),
    )
