"""What the readers of logs report: progress, findings, and what really ran.

Plain frozen dataclasses with a JSON shape of their own, so that manifest, summary, report and
``hef explain --json`` all say the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: ``unknown``: it failed and the list does not know why. ``silent``: the run ends well and the
#: result is worse or wrong. ``possible``: this would explain it, and other causes would, too.
#: ``info``: harmless, but it frightens people.
Severity = Literal["fatal", "unknown", "silent", "possible", "warn", "info"]

#: Who has to act: the machine's owner, the author of the model, of the recipe, or the vendor;
#: of a failure that nothing explains nobody can say.
Fault = Literal["machine", "model", "recipe", "vendor", "unknown"]

Outcome = Literal["ok", "failed", "unknown"]

SEVERITIES: tuple[Severity, ...] = ("fatal", "unknown", "possible", "silent", "warn", "info")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run of the vendor's tools is.

    ``done`` of ``total`` steps (images, epochs, iterations...), either may be unknown;
    ``eta_s`` is the time left of this step in seconds as the tool itself estimates it, or
    from the pace seen so far.
    """

    stage: str
    step: str
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that a log shows, with its cause and what to do about it.

    ``line`` is 1-based and ``text`` the cleaned line that showed it; both are ``None`` for what
    was computed from the whole run. ``recipe`` holds exact lines for ``model.yaml``, where that
    is the fix. ``recovered`` is true when the run went on and ended well after it. ``confirm``
    says what would make a possible cause certain.
    """

    id: str
    stage: str
    severity: Severity
    fault: Fault
    cause: str
    remedy: str
    line: int | None = None
    text: str | None = None
    recipe: str | None = None
    sources: tuple[str, ...] = ()
    umbrella: bool = False
    recovered: bool = False
    file: str | None = None
    confirm: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the JSON shape: ``id``, ``severity``, ``line``, ``cause``, ``remedy`` first."""
        return {
            "id": self.id,
            "severity": self.severity,
            "line": self.line,
            "cause": self.cause,
            "remedy": self.remedy,
            "text": self.text,
            "stage": self.stage,
            "fault": self.fault,
            "recipe": self.recipe,
            "sources": list(self.sources),
            "umbrella": self.umbrella,
            "recovered": self.recovered,
            "file": self.file,
            "confirm": self.confirm,
        }


@dataclass(frozen=True, slots=True)
class Ran:
    """What the vendor's tools really did, as far as the log tells; ``None`` is "not said".

    ``snr`` maps output layers to decibels, ``versions`` maps ``dfc``, ``hailort``,
    ``model_zoo``, ``firmware``, ``driver``, ``suite``, ``python``, ``tensorflow`` to what was
    printed. ``contexts`` is the number of contexts of the network that was compiled last.
    """

    outcome: Outcome = "unknown"
    level_asked: int | None = None
    level_run: int | None = None
    images_given: int | None = None
    images_used: int | None = None
    images_finetune: int | None = None
    gpu: bool | None = None
    contexts: int | None = None
    snr: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    four_bit_layers: tuple[str, ...] = ()
    demoted_layers: tuple[str, ...] = ()
    normalization_warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    arch: str | None = None
    hef: str | None = None
    stage: str | None = None
    #: The last step that was begun, how far it got, and whether it was finished.
    step: str | None = None
    step_done: bool | None = None
    #: It was ended from the keyboard.
    stopped: bool = False

    def as_json(self) -> dict[str, object]:
        """Return the JSON shape of ``hef explain --json`` under ``ran``."""
        return {
            "level_asked": self.level_asked,
            "level_run": self.level_run,
            "images_given": self.images_given,
            "images_used": self.images_used,
            "gpu": self.gpu,
            "contexts": self.contexts,
            "snr": dict(self.snr),
            "outcome": self.outcome,
            "versions": dict(self.versions),
            "images_finetune": self.images_finetune,
            "skipped": list(self.skipped),
            "four_bit_layers": list(self.four_bit_layers),
            "demoted_layers": list(self.demoted_layers),
            "normalization_warnings": list(self.normalization_warnings),
            "arch": self.arch,
            "hef": self.hef,
            "stage": self.stage,
            "step": self.step,
            "step_done": self.step_done,
            "stopped": self.stopped,
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What the recipe and the command asked for; ``None`` is "nothing was asked".

    ``gpu`` is true only when the user said ``--gpu on``: with ``auto`` a run on the CPU is no
    broken promise.
    """

    level: int | None = None
    images: int | None = None
    gpu: bool | None = None
    compression: int | None = None
    outputs_16bit: bool = False
    algorithms: tuple[str, ...] = ()
