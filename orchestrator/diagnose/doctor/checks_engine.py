"""Checks of the engine and of the toolchains. Pure: facts in, findings out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.doctor.checks import Check, error, info, ok, warning
from orchestrator.engine import products
from orchestrator.engine.sandbox import HOW_TO_GET_ONE

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.diagnose.doctor.facts import EngineFacts, ToolchainFacts

GIB = 1024**3

#: Oldest engine that is tested, as the API version that it speaks.
OLDEST_API = (1, 41)


def check_reached(facts: EngineFacts) -> Finding | None:
    """The engine must answer, or the local one must do."""
    where = f"{facts.address} ({facts.origin})"
    if facts.reached and facts.info is not None:
        if facts.info.sandbox:
            return ok(f"local engine, for the emulator only; {facts.info.sandbox} boxes its jobs")
        if not facts.info.boxed:
            return info(
                "local engine",
                "jobs run without a box: they can do what you can. For the emulator only",
                "For other people's models use Docker: --engine docker\n"
                f"or give the local engine a box. {HOW_TO_GET_ONE}",
            )
        return ok(f"{facts.info.product} {facts.info.version} answers at the address {where}")
    if facts.host_lacks_emulator:
        return error(facts.problem, "nothing can be built without an engine", facts.hint)
    why = "the emulator still runs without Docker, but without a box; the vendor's suite cannot"
    if facts.host_has_box:
        why = "the emulator still runs without it, in bubblewrap's box; the vendor's suite cannot"
    return warning(facts.problem, why, facts.hint)


def check_version(facts: EngineFacts) -> Finding | None:
    """Docker 20.10 or newer."""
    if facts.info is None or not facts.info.api:
        return None
    match = re.match(r"(\d+)\.(\d+)", facts.info.api)
    if match and (int(match[1]), int(match[2])) < OLDEST_API:
        return warning(
            f"Docker {facts.info.version} (API {facts.info.api})",
            "hef is tested with Docker 20.10 and newer",
            "Update Docker.",
        )
    return ok(f"API {facts.info.api}")


def check_engine_memory(facts: EngineFacts) -> Finding | None:
    """The engine's machine has its own memory on Windows and macOS."""
    info_ = facts.info
    if info_ is None or info_.memory is None or not info_.boxed:
        return None
    from orchestrator.engine.endings import memory_hint

    said = f"{info_.memory / GIB:.1f} GiB in the engine's machine"
    if info_.memory < 3 * GIB:
        return error(said, "even the emulator needs about 2 GiB", memory_hint(info_))
    if info_.memory < 9.5 * GIB:
        return warning(
            said,
            "the vendor's compiler needs 10 GiB at least (16 with swap advised) and is killed "
            "without a message when there is less; the emulator is fine",
            memory_hint(info_),
        )
    return ok(said)


def check_engine_disk(facts: EngineFacts) -> Finding | None:
    """Room for images in the engine's data root."""
    if facts.free is None or facts.info is None:
        return None
    said = f"{facts.free / GIB:.0f} GiB free in {facts.info.data_root}"
    clean = "docker system df, then docker builder prune; delete suite archives after loading"
    if facts.free < 4 * GIB:
        return error(said, "the emulator's image takes about 3 GiB while it is built", clean)
    if facts.free < 60 * GIB:
        return warning(
            said,
            "the vendor's suite is an archive of about 9 GB and an image of 18 to 35 GB; 60 GB "
            "is the least, 100 GB is good. The emulator is fine",
            clean,
        )
    return ok(said)


def check_limits(facts: EngineFacts) -> Finding | None:
    """Limits that the engine's kernel cannot set."""
    if facts.info is None or not facts.info.lacks:
        return None
    lacks = ", ".join(facts.info.lacks)
    return warning(
        f"the engine cannot limit: {lacks}",
        "a job that takes too much takes it from the whole machine",
        "Rootless: delegate the control groups to the user (systemd: "
        "Delegate=cpu cpuset io memory pids for user@.service). Else mount cgroup v2.",
    )


def check_clock(facts: EngineFacts) -> Finding | None:
    """A virtual machine's clock stays behind after sleep."""
    if facts.skew is None or not facts.reached:
        return None
    if abs(facts.skew) > 30:
        fix = None if facts.info is None else products.find(facts.info.product).clock
        return warning(
            f"the engine's clock is {facts.skew:+.0f} s off this machine's",
            "time stamps in logs and manifests are wrong, and certificates may not be valid",
            fix or "Set the time there (NTP).",
        )
    return ok(f"clocks agree (within {abs(facts.skew):.1f} s)")


def check_architecture(facts: EngineFacts) -> Finding | None:
    """The vendor's suite is for x86-64."""
    if facts.info is None or not facts.info.boxed or not facts.info.architecture:
        return None
    if facts.info.architecture == "amd64":
        return ok("engine on amd64")
    return warning(
        f"engine on {facts.info.architecture}",
        "the vendor's suite is for amd64 and runs under QEMU, many times slower, if at all",
        "Use a remote engine: --engine ssh://user@x86-box. The emulator runs natively.",
    )


def check_rootless(facts: EngineFacts) -> Finding | None:
    """How the engine maps users decides how files travel."""
    if facts.info is None:
        return None
    if facts.info.userns:
        return info(
            "the engine maps users (userns-remap)",
            "results would belong to another user, so hef copies files instead of sharing folders",
        )
    if facts.info.rootless:
        return ok("rootless engine: root inside is you outside")
    return None


def check_gpu_runtime(facts: EngineFacts) -> Finding | None:
    """The NVIDIA toolkit shows as a runtime of the engine."""
    if facts.info is None or not facts.info.boxed:
        return None
    if "nvidia" in facts.info.runtimes:
        return ok("NVIDIA container runtime")
    return info(
        "the engine has no NVIDIA runtime",
        "--gpu needs it; without a GPU nothing is missing",
        "Install the NVIDIA Container Toolkit, then: "
        "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
    )


def check_speed(facts: EngineFacts) -> Finding | None:
    """An engine that is slow to answer makes everything slow."""
    if facts.seconds is None or not facts.reached or facts.seconds < 2.0:
        return None
    return warning(
        f"the engine takes {facts.seconds:.1f} s for an answer",
        "each step of a build asks it several times",
        "See its load and, for ssh:// engines, the connection.",
    )


def check_suites(facts: ToolchainFacts) -> Finding | None:
    """Which suites were imported."""
    if not facts.suites:
        return info(
            "no suite of the vendor was imported",
            "models are compiled by the emulator: its HEF files do not run on a chip",
            "Get the AI Software Suite from the vendor, then: hef toolchain import ARCHIVE",
        )
    return ok("; ".join(f"{name} ({versions})" for name, versions, _ in facts.suites))


def check_lock(facts: ToolchainFacts) -> Finding | None:
    """The project's lock must name what is there."""
    if facts.missing:
        return error(
            f"the lock names {', '.join(facts.missing)}, which is not imported here",
            "builds of this project refuse another toolchain",
            "hef toolchain import ARCHIVE, or hef toolchain use another",
        )
    if facts.differs:
        return error(
            "; ".join(facts.differs),
            "the image is not the one that the project was locked to",
            "Import the right one, or accept this one: hef toolchain use NAME",
        )
    if facts.locked:
        return ok(f"locked: {', '.join(facts.locked)}")
    return None


ENGINE_CHECKS: tuple[Check[EngineFacts], ...] = (
    Check("engine.reached", "engine", "engine", check_reached),
    Check("engine.version", "engine", "version", check_version),
    Check("engine.architecture", "engine", "processor", check_architecture),
    Check("engine.memory", "engine", "memory", check_engine_memory),
    Check("engine.disk", "engine", "disk", check_engine_disk),
    Check("engine.limits", "engine", "limits", check_limits),
    Check("engine.users", "engine", "users", check_rootless),
    Check("engine.clock", "engine", "clock", check_clock),
    Check("engine.gpu", "engine", "GPU", check_gpu_runtime),
    Check("engine.speed", "engine", "speed", check_speed),
)

TOOLCHAIN_CHECKS: tuple[Check[ToolchainFacts], ...] = (
    Check("toolchain.suites", "toolchain", "suites", check_suites),
    Check("toolchain.lock", "toolchain", "lock", check_lock),
)
