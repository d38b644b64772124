"""Variants of a recipe, built and judged one after the other, and the one to keep.

The compiler's optimisation is no ladder: a higher level on few pictures can be worse than a lower
one, and nothing but building tells. Stages that variants share come from the cache.
"""

from __future__ import annotations

import difflib
import itertools
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.errors import ConfigError, ExitCode, HefsmithError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.device.benchmark import BenchResult
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch, Recipe
    from orchestrator.report.model import Verdict

#: Short names of the keys that are tried most.
SHORT = {
    "level": "optimization.level",
    "compression": "optimization.compression",
    "outputs_16bit": "optimization.outputs_16bit",
    "count": "calibration.count",
}

#: Levels that need neither a GPU nor hours: a named one is not lowered, the default one is.
LEVELS = (0, 1, "auto")

AS_IT_IS = "as it is"

#: Measures by which variants are compared, the first that all of them have; the last is a loss.
DECISIVE = ("metric", "top1", "map50", "label_iou", "f1", "mean_iou", "agreement", "cosine")
POINTS = "keypoint_distance"

#: Differences that say nothing: of a cosine, of overlaps and boxes (fractions), of a
#: signal-to-noise ratio (decibels). Of classes it is one sample.
COSINE_GRAIN = 0.0005
BOX_GRAIN = 0.005
SNR_GRAIN = 1.0
#: Of equals on a device those are kept whose rate is at least this share of the fastest's.
RATE_SHARE = 0.95


class Workers(Protocol):
    """Other machines that make variants; what they have made comes from the store."""

    #: How many they make side by side.
    slots: int

    def make(
        self,
        loaded: LoadedRecipe,
        arch: Arch,
        tries: Sequence[tuple[Variant, AnalyzeOptions | None]],
    ) -> None:
        """Make what is not made yet; what goes wrong is told by :meth:`need`."""

    def need(
        self, loaded: LoadedRecipe, arch: Arch, variant: Variant, options: AnalyzeOptions | None
    ) -> None:
        """Have one variant in the store; raises what a build of it raised."""


@dataclass(frozen=True)
class Variant:
    """A recipe with other values at some keys, such as ``optimization.level``."""

    name: str
    changes: Mapping[str, object]

    def with_change(self, key: str, value: object) -> Variant:
        """Return a variant with one more change."""
        words = _words(key, value)
        name = words if self.name == AS_IT_IS else f"{self.name}, {words}"
        return Variant(name, {**self.changes, key: value})

    @property
    def lines(self) -> Mapping[str, Any]:
        """What to write into the recipe."""
        found: dict[str, object] = {}
        for key, value in self.changes.items():
            _put(found, key, value)
        return found


@dataclass(frozen=True)
class Trial:
    """What became of a variant: a build and its verdict, or why there is none.

    ``fps`` is the chip's rate on the device, ``latency_ms`` and ``watts`` what it told of those;
    ``seconds`` is the time that it took here.
    """

    variant: Variant
    seconds: float
    build: Build | None = None
    verdict: Verdict | None = None
    fps: float | None = None
    error: str | None = None
    latency_ms: float | None = None
    watts: float | None = None

    @property
    def measures(self) -> Mapping[str, float]:
        """Measures of the last step, empty for a failed build."""
        steps = self.verdict.steps if self.verdict is not None else ()
        return steps[-1].measures if steps else {}

    @property
    def passed(self) -> bool:
        """Whether the verdict is within the recipe's thresholds."""
        return self.verdict is not None and self.verdict.passed


# --- which variants -----------------------------------------------------------------------------


def usual_variants(recipe: Recipe) -> tuple[Variant, ...]:
    """Return what is tried when nothing is asked for: the recipe, then the other levels."""
    own = Variant(AS_IT_IS, {})
    asked = recipe.optimization
    found = [own]
    mine = "auto" if asked.level is None else asked.level
    found += [own.with_change(SHORT["level"], level) for level in LEVELS if level != mine]
    if asked.compression:
        found.append(own.with_change(SHORT["compression"], 0))
    return tuple(found)


def wider_outputs(best: Variant, recipe: Recipe) -> Variant | None:
    """Return the best variant with outputs of 16 bits, ``None`` where it has them."""
    key = SHORT["outputs_16bit"]
    if recipe.optimization.outputs_16bit or key in best.changes:
        return None
    return best.with_change(key, True)


def asked_variants(tries: Sequence[str], option: str = "--try") -> tuple[Variant, ...]:
    """Return every combination of ``KEY=VALUE,VALUE``, the recipe as it is first.

    Keys are short names or dotted keys of the recipe, values are YAML; errors name ``option``.
    Raises :class:`ConfigError` for what is neither.
    """
    import yaml

    from orchestrator.project.yaml_source import parse_yaml

    axes: dict[str, list[object]] = {}
    for text in tries:
        key, equals, written = text.partition("=")
        try:
            values = parse_yaml(f"[{written}]") if equals and key.strip() else []
        except yaml.YAMLError:
            values = []
        if not values:
            msg = f"{option}: {escape_control(text)!r} is not KEY=VALUE,VALUE"
            raise ConfigError(msg, hint=f"For example: {option} level=0,1,2 {option} count=64,1024")
        axes.setdefault(_full_key(key.strip(), option), []).extend(values)
    found = [Variant(AS_IT_IS, {})]
    for values in itertools.product(*axes.values()):
        variant = found[0]
        for key, value in zip(axes, values, strict=True):
            variant = variant.with_change(key, value)
        found.append(variant)
    return tuple(found)


def _full_key(written: str, option: str) -> str:
    from orchestrator.project.recipe import Recipe

    key = SHORT.get(written, written)
    if key.partition(".")[0] not in Recipe.__dataclass_fields__:
        close = difflib.get_close_matches(written, SHORT, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Short names: {', '.join(SHORT)}."
        msg = f"{option}: a recipe has no key {escape_control(written)!r}"
        raise ConfigError(msg, hint=f"{hint} Other keys are dotted: optimization.level.")
    return key


def applied(loaded: LoadedRecipe, variant: Variant) -> LoadedRecipe:
    """Return the recipe as the variant has it; raises :class:`ConfigError` for wrong values."""
    if not variant.changes:
        return loaded
    from orchestrator.project.checking import Mistake, section_from
    from orchestrator.project.recipe import Recipe

    values = deepcopy(dict(loaded.document.value))
    for key, value in variant.changes.items():
        _put(values, key, value)
    try:
        recipe = section_from(values, Recipe)
    except Mistake as mistake:
        msg = f"{escape_control(variant.name)}: {mistake}"
        raise ConfigError(msg, code="tune.value") from None
    return replace(loaded, recipe=recipe, document=replace(loaded.document, value=values))


def _put(values: dict[str, object], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for part in parents:
        below = values.get(part)
        values[part] = below = dict(below) if isinstance(below, dict) else {}
        values = below
    values[last] = value


def _words(key: str, value: object) -> str:
    short = next((name for name, full in SHORT.items() if full == key), key)
    if short == "outputs_16bit" and value is True:
        return "16-bit outputs"
    return f"{short} {value}"


# --- trying them --------------------------------------------------------------------------------


class TrialRunner:
    """Builds variants of one model for one chip and judges them, on a device if there is one."""

    def __init__(
        self,
        session: BuildSession,
        loaded: LoadedRecipe,
        arch: Arch,
        folder: Path,
        device: Any = None,
        workers: Workers | None = None,
    ) -> None:
        self._workers = workers
        self._session = session
        self._loaded = loaded
        self._arch = arch
        self._folder = folder
        self._device = device

    def check(self, variants: Sequence[Variant]) -> None:
        """Raise :class:`ConfigError` for values that no recipe may have, before anything runs."""
        for variant in variants:
            applied(self._loaded, variant)

    def try_all(self, variants: Sequence[Variant]) -> Iterator[Trial]:
        """Try the variants in turn; one that cannot be built is a trial with its error."""
        if self._workers is not None:
            tries = [(variant, None) for variant in variants]
            self._workers.make(self._loaded, self._arch, tries)
        for number, variant in enumerate(variants, 1):
            self._session.observer.note(f"variant {number} of {len(variants)}: {variant.name}")
            yield self.try_one(variant)

    def try_one(self, variant: Variant) -> Trial:
        """Build one variant and judge it. Raises what is not the variant's own fault."""
        began = time.monotonic()
        folder = self._folder / _file_name(variant)
        try:
            if self._workers is not None:
                self._workers.need(self._loaded, self._arch, variant, None)
            build, _ = self._session.build(applied(self._loaded, variant), self._arch, folder)
            verdict, told = self._judge(build)
        except HefsmithError as error:
            if error.exit_code not in (ExitCode.STAGE_FAILED, ExitCode.USAGE):
                raise
            first = error.message.splitlines()[0]
            return Trial(variant, time.monotonic() - began, error=first)
        seconds = time.monotonic() - began
        if told is None:
            return Trial(variant, seconds, build, verdict)
        rate = told.hw_only_fps or next((one.fps for one in told.rates), None)
        latency = told.hw_latency_ms or (told.latency.p50_ms if told.latency else None)
        return Trial(variant, seconds, build, verdict, rate, None, latency, told.watts)

    def _judge(self, build: Build) -> tuple[Verdict, BenchResult | None]:
        from orchestrator.pipeline.finished.reporting import write_report
        from orchestrator.pipeline.validation import judge_build, validate_build

        told = None
        if self._device is None:
            verdict = judge_build(build, recipe_folder=self._loaded.folder)
        else:
            verdict = validate_build(self._device, build, recipe_folder=self._loaded.folder)
            told = _measured(self._device, build)
        write_report(build, verdict, recipe_folder=self._loaded.folder)
        return verdict, told


def _measured(device: Any, build: Build) -> BenchResult:
    from orchestrator.device.benchmark import BenchOptions, run_benchmark

    options = BenchOptions(seconds=1.0, warmup=0.3, batches=(1,), image=None)
    return run_benchmark(device, build.hef, device=device.spec.name, options=options)


def _file_name(variant: Variant) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in variant.name)
    return "-".join(part for part in kept.split("-") if part)[:80]


# --- which one to keep --------------------------------------------------------------------------


@dataclass(frozen=True)
class BestTrial:
    """The variant to keep, by which measure, and by how much it leads the recipe as it is."""

    trial: Trial
    measure: str
    lead: float | None


def choose(trials: Sequence[Trial]) -> BestTrial | None:
    """Return the variant to keep, ``None`` when none could be built.

    Passing comes first, then the task's measure. What differs by less than one sample (or by
    rounding) is equal; then the rate where a device told all of them, then the signal-to-noise
    ratio by whole decibels, then the order.
    A variant that costs more than the recipe as it is must be better by the task's measure.
    """
    built = [trial for trial in trials if trial.verdict is not None and trial.measures]
    fit = [trial for trial in built if trial.passed] or built
    if not fit:
        return None
    measure = decisive(built)
    best = max(_score(trial, measure) for trial in fit)
    tied = [one for one in fit if best - _score(one, measure) < _grain(one, measure)]
    own = next((trial for trial in built if trial.variant.name == AS_IT_IS), None)
    if own in tied:
        tied = [one for one in tied if not _costlier(one, own)]
    rates = [one.fps or 0.0 for one in tied]
    if all(rates):
        tied = [one for one in tied if (one.fps or 0.0) >= RATE_SHARE * max(rates)]
    clearest = max(_clearness(trial) for trial in tied)
    kept = next(one for one in tied if clearest - _clearness(one) < SNR_GRAIN)
    lead = None if own is None else _score(kept, measure) - _score(own, measure)
    return BestTrial(kept, measure, lead)


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that no other beats in both accuracy and rate, the fastest first.

    Empty unless a device told the rate of all that were built.
    """
    built = [trial for trial in trials if trial.verdict is not None and trial.measures]
    if not built or not all(trial.fps for trial in built):
        return []
    measure = decisive(built)
    found: list[Trial] = []
    for one in sorted(built, key=lambda trial: (-(trial.fps or 0.0), -_score(trial, measure))):
        if not found or _score(one, measure) > _score(found[-1], measure):
            found.append(one)
    return found


def _costlier(trial: Trial, own: Trial | None) -> bool:
    """Tell whether a variant asks more of the compiler or the chip than the recipe as it is."""
    if own is None or trial.build is None or own.build is None:
        return False
    return any(a > b for a, b in zip(_cost(trial.build), _cost(own.build), strict=True))


def _cost(build: Build) -> tuple[int, bool]:
    """Return the level that ran, and whether outputs have 16 bits."""
    asked, ran = build.summary.get("asked") or {}, build.summary.get("ran") or {}
    return int(ran.get("level_run") or 0), bool(asked.get("outputs_16bit"))


def decisive(trials: Sequence[Trial]) -> str:
    """Return the measure that decides between trials: the task's own where all have it."""
    if all(POINTS in trial.measures for trial in trials):
        return POINTS
    return next(
        (name for name in DECISIVE if all(name in trial.measures for trial in trials)), "cosine"
    )


def _score(trial: Trial, measure: str) -> float:
    value = trial.measures.get(measure, -1.0)
    return -value if measure == POINTS else value


def _grain(trial: Trial, measure: str) -> float:
    if measure in ("cosine", POINTS):
        return COSINE_GRAIN
    if measure in ("top1", "agreement"):
        assert trial.verdict is not None
        return 1.0 / max(trial.verdict.samples, 1) + 1e-9
    return BOX_GRAIN if measure != "metric" else 1e-9


def _clearness(trial: Trial) -> float:
    """Signal-to-noise ratio; outputs that equal the float model's have no noise."""
    return min(trial.measures.get("snr_db", 200.0), 200.0)
