"""The room ``diagnose`` as a run needs it: its findings and progress in the pipeline's words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.findings import Finding

from orchestrator.pipeline.judgement import promised

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchestrator.diagnose.finding import Diagnosis
    from orchestrator.project.settings import Settings

#: The diagnosis' severities in the pipeline's: what ends well but worse is a warning.
SEVERITY = {
    "fatal": "error", "unknown": "error", "possible": "warning", "silent": "warning",
    "warn": "warning", "info": "info",
}  # fmt: skip

#: Explanations that are shown when a stage has failed.
SHOWN = 3


#: "The CPU was used": news only for somebody who asked for a GPU. What follows from it, a
#: lower level, is told on its own.
CPU_ONLY = frozenset({"O02", "S15"})


#: "64 images were used", "the values are 0 to 1": a log alone cannot know whether more were asked
#: for, nor that the recipe means such values. A build does, and compares the two itself.
COMPARED = frozenset({"C05", "C03"})

#: Findings of a log that say what a comparison of asked and ran would say again, and why.
ALREADY_TOLD = {"D01": frozenset({"O01", "C04", "A09"})}


class _Reader:
    """Adapts :class:`orchestrator.diagnose.log_reader.VendorLog` to a run's reader."""

    def __init__(self, *, gpu_asked: bool) -> None:
        from orchestrator.diagnose.log_reader import VendorLog

        self._log = VendorLog()
        self._gpu_asked = gpu_asked

    def feed(self, line: str) -> list[object]:
        """Take one line of the vendor's output."""
        from orchestrator.diagnose.finding import Progress

        news: list[object] = []
        for one in self._log.feed(line):
            if isinstance(one, Progress):
                if one.done is not None and one.total is not None:
                    news.append((one.done, one.total, one.unit or one.step))
            elif one.severity in ("silent", "warn") and self._matters(one):
                news.append(_finding(one))
        return news

    def _matters(self, diagnosed: Diagnosis) -> bool:
        if diagnosed.id in COMPARED:
            return False
        return self._gpu_asked or diagnosed.id not in CPU_ONLY

    def ran_so_far(self) -> Mapping[str, Any]:
        """Return what is known to have run."""
        return self._log.ran().as_json()


def new_reader(settings: Settings) -> _Reader:
    """Return a reader for one run's log."""
    return _Reader(gpu_asked=settings.gpu.value == "on")


def quieter(found: Iterable[Finding], told: Collection[str]) -> list[Finding]:
    """Return downgrades with those as mere information that the log's findings told already."""
    return [
        replace(one, severity="info") if ALREADY_TOLD.get(one.code, frozenset()) & {*told} else one
        for one in found
    ]


def _finding(diagnosed: Diagnosis) -> Finding:
    fix = diagnosed.remedy
    if diagnosed.recipe:
        fix = f"{fix}\nIn the recipe:\n{diagnosed.recipe}"
    return Finding(
        code=diagnosed.id,
        severity=SEVERITY[diagnosed.severity],
        message=diagnosed.cause,
        stage=None if diagnosed.stage == "unknown" else diagnosed.stage,
        fix=fix,
    )


def explain(lines: list[str], context: Mapping[str, Any]) -> list[Finding]:
    """Return what is known about a failure, the most specific first."""
    from orchestrator.diagnose.explain import explain_failure

    named = {key: str(value) for key, value in context.items() if value is not None}
    return [_finding(one) for one in explain_failure(lines, named)[:SHOWN]]


def downgrades(
    asked: Mapping[str, Any], ran: Mapping[str, Any], settings: Settings
) -> list[Finding]:
    """Return where less was done than was asked; each is fatal under ``--strict``."""
    from orchestrator.diagnose.downgrades import downgrades as compare
    from orchestrator.diagnose.finding import Asked, Ran

    fields = {key: ran[key] for key in Ran.__dataclass_fields__ if ran.get(key) is not None}
    for key in ("skipped", "four_bit_layers", "demoted_layers", "normalization_warnings"):
        if key in fields:
            fields[key] = tuple(fields[key])
    wanted = Asked(
        level=asked.get("level"),
        images=asked.get("images"),
        gpu=True if settings.gpu.value == "on" else None,
        compression=asked.get("compression"),
        outputs_16bit=bool(asked.get("outputs_16bit")),
        algorithms=promised(asked, ran),
    )
    return [_finding(one) for one in compare(wanted, Ran(**fields))]
