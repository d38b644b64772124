"""Whether a GPU is used, decided before a run and told in words.

A GPU that is there is not yet one that works: the suite's image refuses current drivers, the
optimiser refuses a card that drives a display, and without a GPU it lowers its level and says
so in one line. So a probe runs TensorFlow inside the container first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping

Wish = Literal["auto", "on", "off"]

#: An empty list keeps TensorFlow from looking for cards at all, which saves seconds and lines.
CPU_ENVIRONMENT: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Probe:
    """What TensorFlow saw inside the container."""

    usable: bool
    why: str
    name: str | None = None


@dataclass(frozen=True)
class Decision:
    """Whether the container gets the GPUs, with which variables, and why."""

    use: bool
    environment: Mapping[str, str]
    why: str


class GpuError(EngineError):
    """A GPU was asked for and cannot be used."""

    default_code = "engine.gpu"


#: Naming the card skips the optimiser's own choice, which takes none that has more than 5 % of
#: its memory in use. The image's demand for drivers of 2021 is switched off.
GPU_ENVIRONMENT: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_DISABLE_REQUIRE": "1"}

NO_RUNTIME = "this engine has no NVIDIA runtime"


def needs_probe(wish: Wish, runtimes: tuple[str, ...], usable: bool | None, why: str) -> bool:
    """Tell whether what was found at import counts no more: a runtime came, or ``on`` is meant."""
    if not worth_trying(wish, runtimes) or usable:
        return False
    return usable is None or wish == "on" or why == NO_RUNTIME


def worth_trying(wish: Wish, runtimes: tuple[str, ...]) -> bool:
    """Tell whether to probe: always when asked for, else where the engine has the runtime."""
    if wish == "off":
        return False
    return wish == "on" or any("nvidia" in one for one in runtimes)


def understand(answer: Mapping[str, Any] | None, said: str) -> Probe:
    """Return what a probe's answer means; ``said`` is what the engine printed without one."""
    if answer is None:
        words = said.strip().splitlines()
        return Probe(False, escape_control(words[-1][:200]) if words else "the probe did not start")
    gpus = [str(one) for one in answer.get("gpus") or ()]
    cards = [str(one).strip() for one in answer.get("cards") or () if str(one).strip()]
    name = escape_control(cards[0].split(" (UUID", 1)[0]) if cards else None
    if gpus:
        return Probe(True, "TensorFlow in the container sees it", name or gpus[0])
    if not answer.get("tensorflow"):
        return Probe(False, escape_control(str(answer.get("why") or "no TensorFlow")), name)
    if name:
        why = "the container has the card, but TensorFlow cannot use it (driver or CUDA libraries)"
        return Probe(False, why, name)
    return Probe(False, "TensorFlow in the container sees no GPU")


def decide(wish: Wish, runtimes: tuple[str, ...], probe: Probe | None) -> Decision:
    """Return whether a run uses the GPU.

    :raises GpuError: ``on`` was asked for and the probe says no.
    """
    if wish == "off":
        return Decision(False, CPU_ENVIRONMENT, "switched off")
    if not worth_trying(wish, runtimes):
        return Decision(False, CPU_ENVIRONMENT, NO_RUNTIME)
    if probe is not None and probe.usable:
        return Decision(True, GPU_ENVIRONMENT, f"{probe.name or 'GPU'}: {probe.why}")
    why = probe.why if probe is not None else "it was not probed"
    if wish == "on":
        msg = f"a GPU was asked for and cannot be used: {why}"
        raise GpuError(
            msg,
            hint="Install the NVIDIA Container Toolkit and a current driver (hef doctor says what\n"
            "is missing), or leave out --gpu on; the optimisation level may then drop.",
        )
    return Decision(False, CPU_ENVIRONMENT, why)
