"""Search for the settings that keep most accuracy, with few compiles.

Points are quantised and judged on a part of the held-out samples, the promising ones on all of
them, and only the best are compiled: parse, calibration and every quantised network come from the
cache. optuna picks the points and says which to drop early; its journal lets a search go on.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.options import AnalyzeOptions

from orchestrator.errors import ExitCode, HefsmithError, Interrupted
from orchestrator.pipeline.tune import tuning
from orchestrator.pipeline.tune.candidates import Choice, Cost, cost_of, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.tune.candidates import Space
    from orchestrator.pipeline.tune.tuning import Variant
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch
    from orchestrator.report.analysis import Analysis
    from orchestrator.report.model import Verdict

#: The first look takes this share of the samples, and no fewer than so many.
FIRST_SHARE, FIRST_LEAST = 0.25, 16
#: How much a decibel counts beside the task's measure: only between equals.
GRAIN_OF_NOISE = 1e-4
#: Nothing is left to win: within this of the float network, by the task's measure.
CLOSE = 1e-9
#: Points that the library proposed again; then the space is taken for searched.
REPEATS = 25
JOURNAL = "search.log"
#: Measures that compare with labels, and not with what the same float network answers.
ABSOLUTE = ("metric", "top1", "map50", "label_iou")

#: Measures whose best value nobody knows before the float network was measured.
_NO_IDEAL = ("metric", "map50", "label_iou")


@dataclass(frozen=True)
class Point:
    """One point that was tried: what it is, what it measured on how many samples, what it costs.

    ``value`` orders points of the same number of samples, more is better.
    """

    choice: Choice
    variant: Variant
    cost: Cost
    measures: Mapping[str, float]
    samples: int
    seconds: float
    value: float = float("-inf")
    dropped: bool = False
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "name": self.variant.name,
            "choice": self.choice.to_json(),
            "changes": dict(self.variant.changes),
            "measures": dict(self.measures),
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
            "weight_bytes": self.cost.weight_bytes,
            "arithmetic": round(self.cost.arithmetic, 4),
            "dropped": self.dropped,
            "error": self.error,
        }


@dataclass(frozen=True)
class Budget:
    """How long a search goes on."""

    trials: int
    minutes: float | None = None
    compiles: int = 3


@dataclass
class Found:
    """What a search has found so far; ``measure`` decides, ``ideal`` is the float network's."""

    points: list[Point] = field(default_factory=list)
    measure: str = "cosine"
    ideal: float | None = None
    stopped: str = ""

    @property
    def whole(self) -> list[Point]:
        """The points that were judged on all samples."""
        return [one for one in self.points if one.error is None and not one.dropped]

    @property
    def best(self) -> Point | None:
        """The best of them; of equals the cheapest."""
        whole = self.whole
        if not whole:
            return None
        top = max(one.value for one in whole)
        return min(
            (one for one in whole if top - one.value <= 2 * GRAIN_OF_NOISE),
            key=lambda one: (one.cost.arithmetic, one.cost.weight_bytes),
        )


def front_of(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats in both value and cost, the cheapest first."""
    found: list[Point] = []
    for one in sorted(points, key=lambda p: (p.cost.arithmetic, p.cost.weight_bytes, -p.value)):
        if not found or one.value > found[-1].value + GRAIN_OF_NOISE:
            found.append(one)
    return found


@dataclass(frozen=True)
class SearchContext:
    """What a search is given: one model for one chip, and where its points may lie.

    ``folder`` keeps the journal and the trial builds, ``analysis`` is the one that ``space`` was
    made from, ``samples`` is how many held-out samples there are. With ``workers`` points are
    quantised ahead on a cluster.
    """

    session: BuildSession
    loaded: LoadedRecipe
    arch: Arch
    folder: Path
    space: Space
    analysis: Analysis
    samples: int
    workers: tuning.Workers | None = None

    def variant(self, choice: Choice) -> Variant:
        """Return what a point changes in the recipe."""
        return variant_of(choice, self.space, self.loaded.recipe)

    def cost(self, choice: Choice) -> Cost:
        """Return what a point's network weighs and computes."""
        return cost_of(choice, self.space, self.analysis, self.loaded.recipe.inputs)


class Searcher:
    """Tries points of one model for one chip."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self.found = Found()

    def search(self, budget: Budget, tell: Callable[[Found], None] = lambda _: None) -> Found:
        """Try points until the budget is used up, nothing is left to win, or Ctrl-C.

        What an earlier search of the same recipe has tried is taken over.
        """
        study = self._open_study()
        began, found = time.monotonic(), self.found
        repeats, spent, earlier = 0, 0.0, len(found.points)
        asked: list[tuple[Any, Choice]] = []
        while not found.stopped:
            if self._nothing_left():
                found.stopped = "nothing is left to win"
                break
            if len(found.points) >= budget.trials:
                found.stopped = f"{budget.trials} trials"
                break
            if budget.minutes is not None and time.monotonic() - began > budget.minutes * 60:
                found.stopped = f"{budget.minutes:g} minutes"
                break
            try:
                trial, choice = asked.pop(0) if asked else self._next(study, asked, budget)
            except (KeyboardInterrupt, Interrupted):
                found.stopped = "interrupted"
                break
            known = next((one for one in found.points if one.choice == choice), None)
            if known is not None:
                study.tell(trial, None if known.error else known.value, **self._failed(known.error))
                repeats += 1
                if repeats >= REPEATS:
                    found.stopped = "every point that is left was tried"
                continue
            repeats = 0
            tried = len(found.points) - earlier
            self._say(choice, budget, spent, tried, time.monotonic() - began)
            try:
                point = self._try(choice, trial)
            except (KeyboardInterrupt, Interrupted):
                study.tell(trial, **self._failed("interrupted"))
                found.stopped = "interrupted"
                break
            spent += point.seconds
            found.points.append(point)
            self._tell(study, trial, point)
            tell(found)
        for trial, choice in asked:  # for another time: a search that goes on begins with them
            study.tell(trial, **self._failed("not tried"))
            study.enqueue_trial(choice.to_json())
        return found

    def _next(self, study: Any, asked: list[tuple[Any, Choice]], budget: Budget) -> Any:
        """Return the next trial and its point; with workers several are made ahead at once."""
        count = 1
        if self._context.workers is not None:
            count = max(1, min(self._context.workers.slots, budget.trials - len(self.found.points)))
        for _ in range(count):
            trial = study.ask()
            asked.append((trial, self._ask(trial)))
        if self._context.workers is not None and count > 1:
            first = not self.found.points
            tries = []
            for number, (_, choice) in enumerate(asked):
                if any(one.choice == choice for one in self.found.points):
                    continue
                samples = None if first and number == 0 else self._few()
                variant = self._context.variant(choice)
                tries.append((variant, AnalyzeOptions(samples=samples, layers=False)))
            self._context.workers.make(self._context.loaded, self._context.arch, tries)
        return asked.pop(0)

    def _few(self) -> int | None:
        """Return on how many samples a point is looked at first, ``None`` for all of them."""
        few = max(FIRST_LEAST, int(self._context.samples * FIRST_SHARE))
        return few if few < self._context.samples else None

    # --- one point -------------------------------------------------------------------------------

    def _say(
        self, choice: Choice, budget: Budget, spent: float, tried: int, elapsed: float
    ) -> None:
        done = len(self.found.points)
        name = self._context.variant(choice).name
        left = left_text(spent, tried, done, budget, elapsed)
        self._context.session.observer.note(f"trial {done + 1} of {budget.trials}{left}: {name}")

    def _try(self, choice: Choice, trial: Any) -> Point:
        variant, cost = self._context.variant(choice), self._context.cost(choice)
        odd = other_pictures(variant.changes) and self.found.measure not in ABSOLUTE
        began, samples = time.monotonic(), self._context.samples
        if odd:
            # Against a float network that sees other pictures, agreement says nothing.
            told = "another input can only be compared by labels or a metric of your own"
            return Point(choice, variant, cost, {}, 0, 0.0, error=told)
        few = self._few()
        first = not self.found.points
        try:
            if few is not None and not first:
                verdict = self._judge(variant, few)
                measures = _last(verdict)
                trial.report(self._value(measures), step=few)
                if trial.should_prune():
                    return Point(
                        choice, variant, cost, measures, few, time.monotonic() - began,
                        self._value(measures), dropped=True,
                    )  # fmt: skip
            verdict = self._judge(variant, None)
        except HefsmithError as error:
            if error.exit_code not in (ExitCode.STAGE_FAILED, ExitCode.USAGE):
                raise
            told = error.message.splitlines()[0]
            return Point(choice, variant, cost, {}, 0, time.monotonic() - began, error=told)
        if first:
            self._settle(verdict)
        measures = _last(verdict)
        return Point(
            choice, variant, cost, measures, samples, time.monotonic() - began,
            self._value(measures),
        )  # fmt: skip

    def _judge(self, variant: Variant, samples: int | None) -> Verdict:
        from orchestrator.pipeline.validation import judge_build

        loaded = tuning.applied(self._context.loaded, variant)
        place = self._context.folder / "trial"
        options = AnalyzeOptions(samples=samples, layers=False)
        if self._context.workers is not None:
            self._context.workers.need(self._context.loaded, self._context.arch, variant, options)
        build, _ = self._context.session.build(loaded, self._context.arch, place, options)
        return judge_build(build, recipe_folder=self._context.loaded.folder)

    def _settle(self, verdict: Verdict) -> None:
        """Choose the measure that decides, and what the float network reaches by it."""
        measures, best = _last(verdict), _first(verdict)
        measure = next((m for m in (tuning.POINTS, *tuning.DECISIVE) if m in measures), "cosine")
        self.found.measure = measure
        self.found.ideal = best.get(measure, None if measure in _NO_IDEAL else 1.0)

    def _value(self, measures: Mapping[str, float]) -> float:
        """Return what orders points: the task's measure, then the signal-to-noise ratio."""
        return value_of(measures, self.found.measure)

    def _nothing_left(self) -> bool:
        best, ideal = self.found.best, self.found.ideal
        if best is None or ideal is None:
            return False
        sign = -1.0 if self.found.measure == tuning.POINTS else 1.0
        reached = sign * best.measures.get(self.found.measure, float("-inf"))
        return reached >= sign * ideal - CLOSE

    # --- the library -----------------------------------------------------------------------------

    def _open_study(self) -> Any:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._context.folder.mkdir(parents=True, exist_ok=True)
        path = str(self._context.folder / JOURNAL)
        storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
        study = optuna.create_study(
            storage=storage,
            study_name=self._study_name(),
            load_if_exists=True,
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8),
            pruner=optuna.pruners.SuccessiveHalvingPruner(
                min_resource=1, reduction_factor=2, min_early_stopping_rate=0
            ),
        )
        self._take_over(study)
        have = {one.choice for one in self.found.points}
        waiting = len(study.get_trials(states=(optuna.trial.TrialState.WAITING,)))
        if not waiting:
            for choice in self._context.space.first:
                if choice not in have:
                    study.enqueue_trial(choice.to_json())
        return study

    def _study_name(self) -> str:
        document = [
            self._context.loaded.document.value,
            self._context.arch,
            {name: list(values) for name, values in self._context.space.axes.items()},
            self._context.space.worst,
            self._context.space.also,
            self._context.samples,
        ]
        text = json.dumps(document, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _take_over(self, study: Any) -> None:
        """Take the points of an earlier search, which their trials carry with them."""
        for trial in study.get_trials(deepcopy=False):
            kept = trial.user_attrs.get("point")
            if kept is None or not trial.state.is_finished():
                continue
            if "settled" in trial.user_attrs:
                self.found.measure, self.found.ideal = trial.user_attrs["settled"]
            choice = Choice.from_json(kept["choice"])
            if any(one.choice == choice for one in self.found.points):
                continue
            self.found.points.append(
                Point(
                    choice,
                    self._context.variant(choice),
                    self._context.cost(choice),
                    kept["measures"],
                    kept["samples"],
                    kept["seconds"],
                    float("-inf") if kept["value"] is None else kept["value"],
                    kept["dropped"],
                    kept["error"],
                )
            )

    def _ask(self, trial: Any) -> Choice:
        return Choice(
            **{
                name: trial.suggest_categorical(name, list(values))
                for name, values in self._context.space.axes.items()
            }
        )

    def _tell(self, study: Any, trial: Any, point: Point) -> None:
        import optuna

        value = point.value if point.value > float("-inf") else None
        trial.set_user_attr("point", {**point.to_json(), "value": value})
        trial.set_user_attr("settled", [self.found.measure, self.found.ideal])
        if point.error is not None:
            study.tell(trial, **self._failed(point.error))
        elif point.dropped:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, point.value)

    def _failed(self, error: str | None) -> dict[str, object]:
        if error is None:
            return {}
        import optuna

        return {"state": optuna.trial.TrialState.FAIL}


def other_pictures(changes: Mapping[str, object]) -> bool:
    """Tell whether changes of a recipe give the network other pictures, or other answers."""
    return any(key.partition(".")[0] in ("inputs", "preprocessing", "parser") for key in changes)


def left_text(spent: float, tried: int, done: int, budget: Budget, elapsed: float) -> str:
    """Return how much longer the points may take, and the compiles after them, in words.

    ``spent`` are the seconds of the ``tried`` points of this run; ``done`` counts earlier ones.
    """
    if not tried or spent <= 0.0:
        return ""
    mean = spent / tried
    seconds = mean * max(budget.trials - done, 0)
    if budget.minutes is not None:
        seconds = min(seconds, max(budget.minutes * 60 - elapsed, 0.0))
    # A compile takes as long as a point at least: what it needs beside that nobody knows yet.
    seconds += mean * budget.compiles
    return (
        f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"
    )


def value_of(measures: Mapping[str, float], measure: str) -> float:
    """Return what orders points: the measure, then (between equals) the signal-to-noise ratio."""
    found = measures.get(measure)
    if found is None:
        return -1.0
    sign = -1.0 if measure == tuning.POINTS else 1.0
    return sign * found + GRAIN_OF_NOISE * min(measures.get("snr_db", 100.0), 100.0) / 10.0


def _last(verdict: Verdict) -> dict[str, float]:
    return dict(verdict.steps[-1].measures) if verdict.steps else {}


def _first(verdict: Verdict) -> dict[str, float]:
    return dict(verdict.steps[0].measures) if verdict.steps else {}
