"""What an engine says of itself, read into the facts that we decide by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from orchestrator.engine.base import EngineInfo
from orchestrator.engine.products import recognise

if TYPE_CHECKING:
    from orchestrator.engine.address import Address


def read_info(info: Any, version: Any, address: Address, podman: Any = None) -> EngineInfo:
    """Return the facts of ``docker info`` and ``docker version`` that we decide by (JSON in).

    ``podman`` is ``podman info``, if it is one.
    """
    host = (podman or {}).get("host") or {}
    security = [str(option) for option in info.get("SecurityOptions") or []]
    rootless = any("name=rootless" in option for option in security)
    rootless = rootless or bool((host.get("security") or {}).get("rootless"))
    parts = " ".join(str(part.get("Name", "")) for part in version.get("Components") or [])
    system = str(info.get("OperatingSystem") or "")
    name = str(info.get("Name") or "")
    lacks = tuple(
        limit
        for limit, key in (
            ("memory", "MemoryLimit"),
            ("swap", "SwapLimit"),
            ("cpus", "CpuCfsQuota"),
            ("pids", "PidsLimit"),
        )
        if info.get(key) is False or (limit in _CONTROLLERS and _withheld(limit, host, rootless))
    )
    return EngineInfo(
        kind="docker",
        name=name,
        address=address.url,
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        api=version.get("ApiVersion"),
        os=system,
        architecture=normal_architecture(str(info.get("Architecture") or "")),
        cpus=info.get("NCPU"),
        memory=info.get("MemTotal"),
        rootless=rootless,
        userns=any("name=userns" in option for option in security),
        product=recognise(system, name, parts, address.url),
        data_root=info.get("DockerRootDir"),
        runtimes=tuple(sorted(cast("dict[str, object]", info.get("Runtimes") or {}))),
        lacks=lacks,
        wsl="microsoft" in str(info.get("KernelVersion") or "").lower(),
        containerd_store=["driver-type", "io.containerd.snapshotter.v1"]
        in (info.get("DriverStatus") or []),
    )


#: Control group that a limit needs, for engines that name those that they have.
_CONTROLLERS = {"memory": "memory", "swap": "memory", "cpus": "cpu", "pids": "pids"}


def _withheld(limit: str, host: Any, rootless: bool) -> bool:
    """Tell whether a rootless Podman was not given the control group of a limit."""
    given = host.get("cgroupControllers")
    return bool(host) and rootless and _CONTROLLERS[limit] not in (given or [])


def normal_architecture(name: str) -> str:
    """Return the OCI name of a processor architecture (``amd64``, ``arm64``)."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)
