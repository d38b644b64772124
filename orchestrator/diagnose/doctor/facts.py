"""What the doctor knows of this machine and its engine: facts first, opinions elsewhere.

Collecting never fails: what cannot be found out is ``None``. The dataclasses hold plain values
(bytes, seconds, strings), so that facts recorded on one system test the checks on another.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import HefsmithError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.engine.base import EngineInfo

#: Variables whose values the checks look at.
WATCHED = ("MSYSTEM", "DOCKER_HOST", "DOCKER_CONTEXT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU of this machine; memory in bytes."""

    name: str
    driver: str
    memory: int
    used: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """This machine. ``wsl`` is 0 where there is none; ``plugins`` maps name to version."""

    system: str
    release: str
    machine: str
    python: tuple[int, int, int]
    wsl: Literal[0, 1, 2] = 0
    cpu_flags: frozenset[str] | None = None
    memory: int | None = None
    swap: int | None = None
    environ: Mapping[str, str] | None = None
    folder: str = ""
    file_system: str | None = None
    case_sensitive: bool | None = None
    free: int | None = None
    docker_cli: str | None = None
    snap_docker: bool = False
    plugins: Mapping[str, str] | None = None
    gpus: tuple[Gpu, ...] = ()
    emulator_lacks: tuple[str, ...] = ()
    long_paths: bool | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine that a build would use. ``skew`` is its clock minus ours, in seconds."""

    address: str
    origin: str
    far: bool
    reached: bool
    problem: str = ""
    hint: str = ""
    info: EngineInfo | None = None
    skew: float | None = None
    free: int | None = None
    seconds: float | None = None
    host_lacks_emulator: bool = False
    host_has_box: bool = False


@dataclass(frozen=True, slots=True)
class ToolchainFacts:
    """The vendor's suites that were imported. Each is (name, versions, GPU usable or unknown)."""

    suites: tuple[tuple[str, str, bool | None], ...] = ()
    locked: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def run(command: Sequence[str], seconds: float = 10.0) -> str | None:
    """Return what a program prints, ``None`` if it is not there, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def read(path: str) -> str:
    """Return the text of a small file, empty if there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def collect_host() -> HostFacts:
    """Return the facts of this machine; takes well under a second."""
    from orchestrator.installation import missing_modules

    system = platform.system()
    meminfo = read("/proc/meminfo")
    here = Path.cwd()
    docker = shutil.which("docker")
    return HostFacts(
        system=system,
        release=platform.release(),
        machine=platform.machine(),
        python=sys.version_info[:3],
        wsl=wsl_version(read("/proc/version")),
        cpu_flags=_cpu_flags(system),
        memory=meminfo_bytes(meminfo, "MemTotal") or _other_memory(system),
        swap=meminfo_bytes(meminfo, "SwapTotal"),
        environ={name: os.environ[name] for name in WATCHED if name in os.environ},
        folder=str(here),
        file_system=file_system(read("/proc/mounts"), str(here)),
        case_sensitive=_case_sensitive(here),
        free=_free(here),
        docker_cli=docker,
        snap_docker=docker is not None and "/snap/" in str(Path(docker).resolve()),
        plugins=_plugins(docker),
        gpus=read_gpus(
            run(
                [
                    "nvidia-smi",
                    "--query-gpu=name,driver_version,memory.total,memory.used",
                    "--format=csv,noheader,nounits",
                ]
            )
            or ""
        ),
        emulator_lacks=missing_modules(),
        long_paths=_long_paths(system),
    )


def wsl_version(version: str) -> Literal[0, 1, 2]:
    """Return the WSL generation that ``/proc/version`` shows, 0 for a plain kernel."""
    lowered = version.lower()
    if "microsoft" not in lowered:
        return 0
    # The first generation has no kernel of its own and says Microsoft with a capital.
    return 2 if "wsl2" in lowered or "microsoft-standard" in lowered else 1


def meminfo_bytes(text: str, name: str) -> int | None:
    """Return a line of ``/proc/meminfo`` in bytes."""
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def file_system(mounts: str, folder: str) -> str | None:
    """Return the type of the file system that holds ``folder``, as ``/proc/mounts`` has it."""
    best: tuple[str, str | None] = ("", None)
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").rstrip("/") or "/"
        inside = folder == place or folder.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best[0]):
            best = (place, fields[2])
    return best[1]


def read_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs in the CSV of ``nvidia-smi``; sizes there are MiB."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and fields[2].isdigit() and fields[3].isdigit():
            total, used = int(fields[2]) * 1024**2, int(fields[3]) * 1024**2
            found.append(Gpu(fields[0], fields[1], total, used))
    return tuple(found)


def _cpu_flags(system: str) -> frozenset[str] | None:
    if system == "Linux":
        match = re.search(r"^(?:flags|Features)\s*:(.*)$", read("/proc/cpuinfo"), re.MULTILINE)
        return frozenset(match[1].split()) if match else None
    if system == "Darwin":
        text = run(["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"])
        return frozenset(text.lower().replace("avx1.0", "avx").split()) if text else None
    return None


def _other_memory(system: str) -> int | None:
    if system == "Darwin":
        text = run(["sysctl", "-n", "hw.memsize"])
        return int(text) if text and text.strip().isdigit() else None
    return None


def _free_for_images(info: EngineInfo) -> int | None:
    """Return free bytes where a near engine keeps images, ``None`` if nobody can tell."""
    from orchestrator.engine.image_store import lies_apart

    root = Path(info.data_root) if info.data_root else None
    if root is None or (info.containerd_store and lies_apart(root)):
        return None
    return _free(root)


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _case_sensitive(folder: Path) -> bool | None:
    """Return whether names that differ in case are two files, from what already exists."""
    try:
        for one in folder.iterdir():
            other = one.with_name(one.name.swapcase())
            if other.name != one.name:
                return not other.exists() or not other.samefile(one)
    except OSError:
        return None
    return None


def _plugins(docker: str | None) -> dict[str, str]:
    found = {}
    if docker is not None:
        for name in ("buildx", "compose"):
            text = run([docker, name, "version"])
            match = re.search(r"v?(\d+\.\d+[\w.+-]*)", text or "")
            if match:
                found[name] = match[1]
    classic = (
        run(["docker-compose", "version", "--short"]) if shutil.which("docker-compose") else None
    )
    if classic:
        found["docker-compose"] = classic.strip()
    return found


def _long_paths(system: str) -> bool | None:
    if system != "Windows":
        return None
    text = run(
        [
            "reg",
            "query",
            r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem",
            "/v",
            "LongPathsEnabled",
        ]
    )
    return None if text is None else "0x1" in text


def collect_engine(asked: str | None, named: Mapping[str, str] | None = None) -> EngineFacts:
    """Return the facts of the engine that ``asked`` means; an engine that is away is a fact."""
    from orchestrator.engine.choose import find_address, open_engine
    from orchestrator.engine.sandbox import boxed_program
    from orchestrator.installation import missing_modules

    lacking = bool(missing_modules())
    try:
        address = find_address(asked, named)
    except HefsmithError as error:
        return EngineFacts(asked or "", "--engine", False, False, error.message, error.hint or "")
    engine = open_engine(address)
    if address.kind == "local":
        return EngineFacts("local", address.origin, False, True, info=engine.info())
    started = time.monotonic()
    try:
        info = engine.info()
        asked_at = time.monotonic()
        clock = engine.clock() or ""
        seconds = time.monotonic() - asked_at
        return EngineFacts(
            address.url,
            address.origin,
            address.far,
            True,
            info=info,
            skew=clock_skew(clock, time.time()),
            free=_free_for_images(info) if not address.far else None,
            seconds=seconds,
            host_lacks_emulator=lacking,
        )
    except HefsmithError as error:
        return EngineFacts(
            address.url,
            address.origin,
            address.far,
            False,
            error.message,
            error.hint or "",
            seconds=time.monotonic() - started,
            host_lacks_emulator=lacking,
            host_has_box=boxed_program() is not None,
        )
    finally:
        engine.close()


def clock_skew(engine_time: str, now: float) -> float | None:
    """Return how far an engine's clock (RFC 3339) is ahead of ours, in seconds."""
    from datetime import datetime

    # Engines give nanoseconds, Python takes up to microseconds.
    text = re.sub(r"(\.\d{6})\d+", r"\1", engine_time).replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(text).timestamp() - now
    except ValueError:
        return None


def collect_toolchains(project: Path) -> ToolchainFacts:
    """Return what was imported of the vendor's suites, and what the project's lock says."""
    from orchestrator.toolchain import lock, registry

    known = registry.load_all()
    suites = tuple(
        (one.name, ", ".join(f"{k} {v}" for k, v in sorted(one.versions.items())), one.gpu.usable)
        for one in known
    )
    differs, missing, locked = [], [], []
    try:
        pins = lock.read_lock(project)
    except HefsmithError:
        pins = {}
    for line, pin in pins.items():
        locked.append(f"{line}: {pin.name}")
        there = [one for one in known if one.name == pin.name]
        if not there:
            missing.append(pin.name)
        elif (what := lock.difference(pin, there[0])) is not None:
            differs.append(f"{pin.name}: {what}")
    return ToolchainFacts(suites, tuple(locked), tuple(differs), tuple(missing))
