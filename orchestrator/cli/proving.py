"""What ``validate``, ``bench``, ``report`` and ``bundle`` share: which build, which device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.device.base import Identity
    from orchestrator.device.session import SshSession
    from orchestrator.pipeline.finished.builds import Build


def find_one_build(model: str, arch: str | None, chip: str | None = None) -> Build:
    """Return the build meant: the one for ``arch``, else for the device's ``chip``, else the only.

    Raises :class:`~orchestrator.errors.ConfigError` when there is none, or several fit.
    """
    from hefsmith_worker.contract.chips import suitable_for

    from orchestrator.cli.ship import find_builds

    builds = {build.arch: build for build in find_builds(model, arch)}
    if len(builds) == 1:
        return next(iter(builds.values()))
    for wanted in suitable_for(chip) if chip is not None else ():
        if wanted in builds:
            return builds[wanted]
    chips = ", ".join(builds)
    msg = f"{escape_control(model)} is built for several chips: {chips}"
    raise ConfigError(msg, hint="Name one with --arch.", code="build.ambiguous")


def recipe_folder(model: str) -> Path | None:
    """Return the folder of a model's recipe, ``None`` when it is gone (the build stands alone)."""
    from orchestrator.project.workspace import open_workspace

    try:
        return open_workspace().recipe(model).folder
    except ConfigError:
        return None


@contextmanager
def device_for(
    model: str, arch: str | None, device: str | None
) -> Iterator[tuple[SshSession, Build, Identity]]:
    """Open the one device that is meant and choose the build for its chip.

    The embedded device shows the chip that the build is for. A service of the device is stopped
    meanwhile and started again afterwards.
    """
    from dataclasses import replace

    from orchestrator.cli.devices import ask_password, choose_device
    from orchestrator.device.services import service_stopped
    from orchestrator.pipeline.device_pool import open_pool

    spec = choose_device(device)
    if spec.about.any_chip and spec.emulated_chip is None:
        build = find_one_build(model, arch)
        spec = replace(spec, emulated_chip=build.arch)
    with open_pool().connect(spec, password=ask_password) as session:
        identity = session.identify(level="quick")
        build = find_one_build(model, arch, identity.chip)
        with service_stopped(session, spec.service):
            yield session, build, identity
