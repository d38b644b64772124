"""Two builds by name, read from disk for :mod:`orchestrator.report.comparison`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.layout import SCRIPT, SUMMARY

from orchestrator.errors import ArtifactError, ConfigError, escape_control
from orchestrator.pipeline.finished.builds import Build, find_build, read_build
from orchestrator.pipeline.finished.history import past_builds
from orchestrator.reading import read_json, read_text
from orchestrator.report.comparison import Comparison, SampleScore, Side, compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchestrator.report.golden import Golden
    from orchestrator.report.html import Picture

#: What a search leaves in its folder: the points, and where the kept one stands.
TUNED = "tune.json"
_NAMED = re.compile(
    r"^(?P<model>[^~@/]+)(?:/(?P<arch>[^~@/]+))?(?:~(?P<back>\d+)|@(?P<word>\w+))?$"
)
HOW = (
    "Say a model (digits), a chip's (digits/hailo8l), an earlier one (digits~1 is the build before "
    "the last), what hef tune kept (digits@tune), or a folder with build.json."
)


def find_side(artifacts: Path, text: str, arch: str | None = None) -> tuple[str, Build]:
    """Return the build that ``text`` names, with a title.

    Raises :class:`ConfigError` where it names none, or several.
    """
    shown = escape_control(text)
    folder = Path(text)
    if folder.is_dir() and not (artifacts / text).is_dir():
        return _from_folder(folder, shown)
    if folder.is_dir() and ((folder / SUMMARY).is_file() or (folder / TUNED).is_file()):
        return _from_folder(folder, shown)
    found = _NAMED.match(text)
    if found is None or found["model"].startswith("."):
        msg = f"--compare: {shown} names no build"
        raise ConfigError(msg, hint=HOW, code="compare.name")
    model, chip = found["model"], found["arch"] or arch
    if found["word"] is not None:
        if found["word"] != "tune":
            msg = f"--compare: after @ comes tune, not {escape_control(found['word'])}"
            raise ConfigError(msg, hint=HOW, code="compare.name")
        return _tuned(artifacts, model, chip, shown)
    back = int(found["back"] or 0)
    if not back:
        return shown, find_build(artifacts, model, chip)
    chip = chip or find_build(artifacts, model).arch
    past = past_builds(artifacts, model, chip)
    if back > len(past):
        name = escape_control(model)
        msg = (
            f"--compare: {shown}: only {counted(len(past), 'earlier build')} of {model} "
            f"for {chip} kept"
        )
        hint = f"See them: hef history {name}"
        if not past:
            msg = f"--compare: {shown}: {name} was built once for {chip}: nothing came before it"
            hint = f"Change the recipe, and build it again: hef build {name}"
        raise ConfigError(msg, hint=hint, code="compare.past")
    return shown, past[back - 1]


def _from_folder(folder: Path, shown: str) -> tuple[str, Build]:
    if (folder / TUNED).is_file():
        return shown, _kept(folder, shown)
    build = read_build(folder)
    if build is None:
        msg = f"--compare: {shown} has no build ({SUMMARY})"
        raise ConfigError(msg, hint=HOW, code="compare.name")
    parts = folder.resolve().parts
    if len(parts) > 2 and parts[-3] == ".tune":
        return f"{build.model} {folder.name}", build
    return shown, build


def _tuned(artifacts: Path, model: str, chip: str | None, shown: str) -> tuple[str, Build]:
    place = artifacts / model / ".tune"
    folders = [one for one in sorted(place.glob("*")) if (one / TUNED).is_file()]
    if chip is not None:
        folders = [one for one in folders if one.name == chip]
    if len(folders) != 1:
        what = "several searches" if folders else "no search"
        msg = f"--compare: {shown}: {what} of {escape_control(model)} in {place}"
        hint = "Name the chip: MODEL/CHIP@tune" if folders else f"Run: hef tune {model}"
        raise ConfigError(msg, hint=hint, code="compare.tune")
    return shown, _kept(folders[0], shown)


def _kept(folder: Path, shown: str) -> Build:
    """Return the build of the point that a search kept."""
    try:
        document = read_json(folder / TUNED)
        keep = document["keep"]
        place = next(one["folder"] for one in document["compiled"] if one["name"] == keep)
        # By its name: the project may have moved since.
        build = read_build(folder / Path(str(place)).name)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        build = None
    if build is None:
        msg = f"--compare: {shown}: that search kept nothing, or its builds are gone"
        raise ConfigError(msg, hint="Run hef tune again.", code="compare.tune")
    return build


def side_of(title: str, build: Build, recipe_folder: Path | None) -> Side:
    """Return all that is compared of a build, judged anew where its samples are there."""
    from orchestrator.pipeline import judgement
    from orchestrator.pipeline.validation import head_of, judge_build
    from orchestrator.report import load_golden
    from orchestrator.report.verdict import sample_scores

    summary = build.summary
    common: dict[str, Any] = {
        "title": title,
        "arch": build.arch,
        "toolchain": escape_control(str(summary.get("toolchain", ""))),
        "emulated": build.emulated,
        "layers": _layers(build),
        "settings": [
            (escape_control(row.name), escape_control(row.asked), escape_control(row.ran))
            for row in judgement.rows(summary)
        ],
        "script": _lines(build),
        "hef_bytes": build.hef_bytes,
    }
    try:
        golden = load_golden(build.golden)
    except ArtifactError:
        return Side(
            outcome=None, headline="not judged: its samples are not kept", step="",
            measures={}, ideal={}, **common,
        )  # fmt: skip
    verdict = judge_build(build, golden, recipe_folder=recipe_folder, keep_trouble=True)
    last = verdict.steps[-1] if verdict.steps else None
    return Side(
        outcome=verdict.outcome,
        headline=verdict.headline,
        step=last.step if last is not None else "",
        measures=dict(last.measures) if last is not None else {},
        ideal=dict(verdict.steps[0].measures) if verdict.steps else {},
        outputs=[
            (escape_control(row.output), row.cosine, 120.0 if row.exact else row.snr_db)
            for row in (last.outputs if last is not None else ())
        ],
        samples=[
            SampleScore(
                name=escape_control(one.name),
                digest=golden.samples[one.index].sha256,
                index=one.index,
                score=one.score,
                note=one.note,
            )
            for one in sample_scores(golden, head_of(build, golden))
        ],
        hits=_hits(golden),
        **common,
    )


def _hits(golden: Golden) -> dict[str, dict[str, bool]]:
    """Return by measure which samples of a classifier count at the last step."""
    from orchestrator.report import metrics
    from orchestrator.report.golden import Detections

    if golden.task != "classification" or not golden.outputs or not golden.order:
        return {}
    good, mine = golden.load(golden.order[0], 0), golden.load(golden.order[-1], 0)
    if isinstance(good, Detections) or isinstance(mine, Detections) or good.size != mine.size:
        return {}
    samples = golden.samples
    found = metrics.sample_hits(good, mine, [sample.label for sample in samples])
    return {
        name: {samples[index].sha256 + samples[index].name: hit for index, hit in hits.items()}
        for name, hits in found.items()
    }


def _lines(build: Build) -> list[str]:
    try:
        return read_text(build.folder / SCRIPT).splitlines()
    except (OSError, ValueError):
        return []


def _layers(build: Build) -> dict[str, tuple[float | None, str]]:
    """Return layers by name: noise where ``hef analyze`` told it, bits where they are known."""
    from orchestrator.pipeline.analyses import analysis_beside

    analysis = analysis_beside(build)
    if analysis is not None:
        return {one.short: (one.alone_db, one.precision) for one in analysis.layers}
    stages: Mapping[str, Any] = build.summary.get("stages") or {}
    result = (stages.get("optimize") or {}).get("result") or {}
    layers = (result.get("precision") or {}).get("layers") or {}
    return {escape_control(str(name)): (None, str(mode)) for name, mode in layers.items()}


def compare_builds(
    first: tuple[str, Build], second: tuple[str, Build], recipes: tuple[Path | None, Path | None]
) -> tuple[Comparison, dict[str, tuple[Picture | None, Picture | None]]]:
    """Return what differs between two builds, and pictures of the samples to show."""
    from orchestrator.pipeline.finished.reporting import views_of
    from orchestrator.report import load_golden

    sides = [
        side_of(title, build, recipe)
        for (title, build), recipe in zip((first, second), recipes, strict=True)
    ]
    found = compare(sides[0], sides[1])
    shown: list[dict[str, Picture]] = []
    for (_, build), side in zip((first, second), (0, 1), strict=True):
        rows = [
            (row.name, index)
            for row in found.samples
            if (index := (row.a_index, row.b_index)[side]) is not None
        ]
        try:
            views = views_of(build, load_golden(build.golden), [index for _, index in rows])
        except ArtifactError:
            views = []
        shown.append({name: view for (name, _), view in zip(rows, views, strict=False)})
    names = [row.name for row in found.samples]
    return found, {name: (shown[0].get(name), shown[1].get(name)) for name in names}
