"""How a job ended, told apart from what the engine and the last lines say. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engine import products
from orchestrator.engine.base import GIB, Ending, EndKind, EngineInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Statuses that stand for signals: 128 + n.
SIGINT, SIGILL, SIGABRT, SIGKILL, SIGTERM = 130, 132, 134, 137, 143

#: In one breath: healthy logs of TensorFlow name AVX, and much else is "not supported".
_NO_AVX = re.compile(
    r"avx\b[^.;]{0,60}?(?:not support|aren't available)|\bnot support[^.;\n]{0,30}?avx"
)

#: A disk with less than this left is full, in bytes.
FULL_BELOW = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a job is over.

    ``exit_code`` is ``None`` when the engine is not there to be asked. ``asked`` says that we
    stopped it; ``restarted`` that the engine was gone and came back in the meantime. ``tail``
    are the last lines. ``free`` are the bytes left where the results go.
    """

    exit_code: int | None
    oom_killed: bool = False
    asked: bool = False
    restarted: bool = False
    tail: Sequence[str] = ()
    memory_limit: int | None = None
    free: int | None = None


def tell_ending(evidence: Evidence, info: EngineInfo) -> Ending:
    """Return the ending that ``evidence`` shows."""
    code = evidence.exit_code
    if code is None:
        return _lost(evidence, info)
    if code == 0:
        return Ending(EndKind.OK, 0, "finished")
    if evidence.asked:
        return Ending(EndKind.INTERRUPTED, SIGINT, "stopped on request")
    if evidence.oom_killed:
        return _out_of_memory(evidence, info)
    if evidence.restarted and code in {SIGKILL, SIGTERM, 255}:
        return _lost(evidence, info)
    text = "\n".join(evidence.tail)
    if platform := _platform(code, text, info):
        return platform
    if _disk_full(evidence, text):
        return Ending(
            EndKind.DISK_FULL,
            code,
            "the disk is full",
            "Free space in the build folder's file system and where the engine keeps its data\n"
            "(docker system df, docker builder prune), then run the same command again.",
        )
    if code == SIGKILL:
        return Ending(
            EndKind.KILLED,
            code,
            "killed (SIGKILL), and not by us",
            f"Somebody killed it, or it ran out of memory{_of(evidence.memory_limit)}, which not\n"
            "every engine tells: see `dmesg | tail` there.\n" + memory_hint(info),
        )
    if code in {SIGTERM, SIGINT}:
        return Ending(
            EndKind.KILLED,
            code,
            "stopped from outside (docker stop, or the engine shut down)",
            "Run the same command again: finished stages are not repeated.",
        )
    return Ending(EndKind.FAILED, code, f"left with status {code}")


def _lost(evidence: Evidence, info: EngineInfo) -> Ending:
    how = "was restarted" if evidence.restarted else "went away"
    return Ending(
        EndKind.ENGINE_LOST,
        evidence.exit_code,
        f"the engine at {info.address} {how} while the job ran",
        "See whether it runs (docker info), then run the same command again: finished stages\n"
        "are not repeated. A build that must outlive this terminal: --detach.",
    )


def _out_of_memory(evidence: Evidence, info: EngineInfo) -> Ending:
    return Ending(
        EndKind.OOM,
        evidence.exit_code,
        f"out of memory: killed at the limit{_of(evidence.memory_limit)}",
        memory_hint(info),
    )


def _of(limit: int | None) -> str:
    return f" of {limit / GIB:.1f} GiB" if limit else ""


def memory_hint(info: EngineInfo) -> str:
    """Return where memory is raised for this engine, with the exact command or setting."""
    has = f" (the engine has {info.memory / GIB:.1f} GiB)" if info.memory else ""
    first = f"Raise the limit with --memory 16g{has}, or use smaller calibration or batch."
    more = products.find(info.product).memory
    if more is None and "microsoft" in info.os.lower():
        more = "WSL 2: memory=16GB under [wsl2] in %UserProfile%\\.wslconfig; wsl --shutdown"
    return f"{first}\n{more}" if more else first


def _platform(code: int, text: str, info: EngineInfo) -> Ending | None:
    lowered = text.lower()
    if "exec format error" in lowered:
        return Ending(
            EndKind.PLATFORM,
            code,
            f"the image is for another processor than the engine's ({info.architecture})",
            "Use an engine of the image's kind (--engine ssh://user@x86-box), or install QEMU's\n"
            "emulation for it in the engine (slow; Docker Desktop has it).",
        )
    no_avx = _NO_AVX.search(lowered) is not None
    qemu = "qemu: uncaught target signal" in lowered
    if code == SIGILL or "illegal instruction" in lowered or no_avx or qemu:
        return Ending(
            EndKind.PLATFORM,
            code,
            "the processor, or what emulates it, lacks instructions that a library needs (AVX)",
            "See `grep -c avx /proc/cpuinfo` in the engine. In a VM choose the host's CPU model;\n"
            "on Apple silicon use Docker Desktop with QEMU (not Rosetta), or better a remote\n"
            "x86 engine: --engine ssh://user@box",
        )
    return None


def _disk_full(evidence: Evidence, text: str) -> bool:
    lowered = text.lower()
    said = "no space left on device" in lowered or "[errno 28]" in lowered
    return said or (evidence.free is not None and evidence.free < FULL_BELOW)
