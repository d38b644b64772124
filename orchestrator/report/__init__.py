"""Does the model still do its job after each step? Metrics, verdict, report page.

    from orchestrator.report import load_golden, decide, VerdictThresholds

    verdict = decide(load_golden(folder), VerdictThresholds.for_task("classification"))
    print(verdict.headline)

Importing this package is cheap; numpy is loaded by the first call that computes.
"""

from __future__ import annotations

from orchestrator.report.golden import Detections, Golden, GoldenError, load_golden
from orchestrator.report.heads import Head, read_head
from orchestrator.report.model import (
    STEPS,
    Cause,
    Check,
    Fault,
    OutputAgreement,
    StepReport,
    Verdict,
    VerdictThresholds,
)
from orchestrator.report.verdict import decide

__all__ = [
    "STEPS",
    "Cause",
    "Check",
    "Detections",
    "Fault",
    "Golden",
    "GoldenError",
    "Head",
    "OutputAgreement",
    "StepReport",
    "Verdict",
    "VerdictThresholds",
    "decide",
    "load_golden",
    "read_head",
]
