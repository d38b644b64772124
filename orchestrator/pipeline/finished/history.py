"""Builds that were replaced: what is small of them stays, to compare with and to see a trend.

A build that another one replaces leaves its summary, manifest, script, verdict and (up to a size)
golden samples in ``artifacts/MODEL/.history/CHIP/``; HEF, HAR and ONNX file go.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import (
    ANALYSIS,
    GOLDEN,
    HEAD,
    MANIFEST,
    PROOF,
    SCRIPT,
    SUMMARY,
    VERDICT,
)

from orchestrator import files
from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.finished.builds import builds_in, read_build
from orchestrator.reading import RECORD_LIMIT, read_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build

FOLDER = ".history"
#: Builds that are remembered for a chip, and how large the samples of one may be.
KEPT, GOLDEN_BYTES = 30, 64 << 20
_SMALL = (SUMMARY, MANIFEST, SCRIPT, VERDICT, HEAD, PROOF)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One build of the past, or the one that stands (``back`` = 0); ``measures`` of its last step.

    ``ideal`` are the float network's. ``sound`` is false where its manifest is not the one that
    the build was finished with. ``outcome`` is ``None`` where nobody judged it.
    """

    back: int
    arch: str
    made: float
    key: str
    toolchain: str
    emulated: bool
    outcome: str | None
    step: str | None
    measures: Mapping[str, float]
    ideal: Mapping[str, float]
    level: int | None
    images: int | None
    hef_bytes: int | None
    sound: bool
    folder: str

    def to_json(self) -> dict[str, object]:
        """Return plain values, the time as UTC text, too."""
        moment = dt.datetime.fromtimestamp(self.made, dt.UTC)
        return {**asdict(self), "made_utc": moment.isoformat(timespec="seconds")}


def retire(old: Path, final: Path) -> None:
    """Take what is worth keeping from a build that was replaced, and remove the rest.

    ``old`` is the folder that it has now, ``final`` the one that it stood in. A build of the same
    key, one that stands in a folder of a search or an analysis, and a damaged one leave nothing.
    """
    build, now = read_build(old), read_build(final)
    within_search = any(part.startswith(".") for part in final.parent.parts[-2:])
    if (
        build is not None
        and not within_search
        and build.summary.get("goal") == "hef"
        and (now is None or now.key != build.key)
    ):
        with contextlib.suppress(OSError, ValueError):
            _keep(build, final)
    files.remove_tree(old)


def _keep(build: Build, final: Path) -> None:
    place = final.parent / FOLDER / final.name
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(_made(build)))
    target = place / f"{stamp}-{build.key[:8]}"
    if target.exists():
        return
    draft = place / files.marked_name(f".{target.name}.partial")
    draft.mkdir(parents=True)
    for name in _SMALL:
        with contextlib.suppress(FileNotFoundError):
            (build.folder / name).rename(draft / name)
    from orchestrator.pipeline.analyses import FOLDER as ANALYSES
    from orchestrator.pipeline.analyses import analysis_beside

    if analysis_beside(build, final.parent) is not None:
        shutil.copyfile(final.parent / ANALYSES / final.name / ANALYSIS, draft / ANALYSIS)
    golden = build.folder / GOLDEN
    if golden.is_dir() and _size(golden) <= GOLDEN_BYTES:
        golden.rename(draft / GOLDEN)
    draft.rename(target)
    kept = [one for one in place.iterdir() if one.is_dir() and not one.name.startswith(".")]
    for folder in sorted(kept)[:-KEPT]:
        files.remove_tree(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def past_builds(artifacts: Path, model: str, arch: str) -> list[Build]:
    """Return the builds of a model for a chip that were replaced, the latest first."""
    return builds_in(artifacts / model / FOLDER / arch)[::-1]


def history_of(artifacts: Path, model: str, arch: str | None = None) -> list[Entry]:
    """Return every build of a model that is known, the oldest first, chip by chip.

    Raises :class:`ConfigError` where there is none.
    """
    folder = artifacts / model
    chips = {one.name for one in (folder / FOLDER).glob("*") if one.is_dir()}
    standing = {build.arch: build for build in builds_in(folder)}
    entries: list[Entry] = []
    for chip in sorted(chips | set(standing)):
        if arch not in (None, chip):
            continue
        past = past_builds(artifacts, model, chip)
        now = standing.get(chip)
        rows = [entry_of(build, back) for back, build in enumerate(past, 1)][::-1]
        entries += rows + ([entry_of(now, 0)] if now is not None else [])
    if not entries:
        shown = escape_control(model) + (f" for {escape_control(arch)}" if arch else "")
        msg = f"no build of {shown} is known in {artifacts}"
        raise ConfigError(
            msg, hint=f"Make one with: hef build {escape_control(model)}", code="build.missing"
        )
    return entries


def entry_of(build: Build, back: int, judged: Mapping[str, Any] | None = None) -> Entry:
    """Return what is told of a build; ``judged`` is a verdict that could not be kept beside it."""
    steps, outcome = _steps(build) if judged is None else _steps_of(judged)
    last, first = (steps[-1], steps[0]) if steps else ({}, {})
    ran = build.summary.get("ran") or {}
    return Entry(
        back=back,
        arch=build.arch,
        made=_made(build),
        key=build.key,
        toolchain=str(build.summary.get("toolchain", "")),
        emulated=build.emulated,
        outcome=outcome,
        step=str(last["step"]) if "step" in last else None,
        measures=_numbers(last.get("measures")),
        ideal=_numbers(first.get("measures")),
        level=_whole(ran.get("level_run")),
        images=_whole(ran.get("images_used")),
        hef_bytes=build.hef_bytes,
        sound=_is_sound(build),
        folder=str(build.folder),
    )


def _steps(build: Build) -> tuple[Sequence[Mapping[str, object]], str | None]:
    try:
        return _steps_of(read_json(build.folder / VERDICT))
    except (OSError, ValueError, KeyError, TypeError):
        return [], None


def _steps_of(document: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, object]], str]:
    return [dict(one) for one in document["steps"]], str(document["outcome"])


def _numbers(found: object) -> dict[str, float]:
    if not isinstance(found, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_sound(build: Build) -> bool:
    try:
        content = read_regular(build.folder / MANIFEST, limit=RECORD_LIMIT)
        return hashlib.sha256(content).hexdigest() == build.summary.get("manifest_sha256")
    except OSError:
        return False


def _made(build: Build) -> float:
    """Return when a build was finished: by its manifest, else by its file."""
    try:
        text = build.manifest()["predicate"]["runDetails"]["metadata"]["finishedOn"]
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except (OSError, ValueError, KeyError, TypeError):
        return (build.folder / SUMMARY).stat().st_mtime
