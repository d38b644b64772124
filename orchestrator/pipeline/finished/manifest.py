"""The manifest of a build: an in-toto statement with a SLSA provenance predicate.

Subjects are the artifacts, materials what they were made of; what was asked and what ran
stand side by side. See in-toto.io/Statement/v1 and slsa.dev/provenance/v1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.plan import Plan

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"

#: What kind of build this is, as the specification asks for; ours, versioned.
BUILD_TYPE = "urn:hefsmith:build:v1"

#: Roles that are subjects; the rest are means to them.
SUBJECT_ROLES = ("onnx", "tflite", "har", "hef", "script", "script-file", "tail", "golden")


def statement(
    plan: Plan,
    entries: Sequence[CacheEntry],
    *,
    materials: Mapping[str, str],
    ran: Mapping[str, Any],
    environment: Mapping[str, Any],
    engine: Mapping[str, Any],
    started: float,
    finished: float,
    version: str,
) -> dict[str, object]:
    """Return the manifest; times are seconds since the epoch."""
    files = {
        file.path: file for entry in entries for file in entry.files if file.role in SUBJECT_ROLES
    }
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": path, "digest": {"sha256": files[path].sha256}} for path in sorted(files)
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "model": plan.request.model,
                    "arch": plan.request.arch,
                    "asked": plan.request.parameters,
                },
                "internalParameters": {
                    "toolchain": plan.toolchain,
                    "emulated": plan.emulated,
                    "identity": {name: dict(value) for name, value in plan.identities.items()},
                    "keys": {stage.name: stage.key for stage in plan.stages},
                },
                "resolvedDependencies": [
                    {"name": name, "digest": {"sha256": digest}}
                    for name, digest in sorted(materials.items())
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:hefsmith", "version": {"hefsmith": version}},
                "metadata": {
                    "invocationId": plan.key,
                    "startedOn": _time(started),
                    "finishedOn": _time(finished),
                },
                "byproducts": [
                    {
                        "name": "ran",
                        "annotations": {
                            "ran": dict(ran),
                            "stages": {entry.stage: dict(entry.result) for entry in entries},
                            "findings": [
                                dict(finding) for entry in entries for finding in entry.findings
                            ],
                            "environment": dict(environment),
                            "engine": dict(engine),
                        },
                    }
                ],
            },
        },
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
