"""What a search may change in a recipe, and in which order it is worth trying. Pure.

A :class:`Choice` is one point: how many of the worst layers get 16 bits, the level, what is
trained, how many pictures calibrate. The first ones to try follow from the analysis and from
what is known of the family; whatever else is tried, a search library picks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.known import KnownSettings, known_for

from orchestrator.pipeline.tune.training import Training, planned_training
from orchestrator.pipeline.tune.tuning import AS_IT_IS, Variant
from orchestrator.report.analysis import (
    GOOD_DB,
    SPREAD,
    may_widen,
    outlier_of,
    wide_line,
    worst_layers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.project.recipe import Recipe
    from orchestrator.report.analysis import Analysis

#: How many of the worst layers may get 16 bits.
WIDE = (0, 1, 2, 3, 5, 8)
#: Sizes of calibration sets that are tried, as far as there are pictures.
COUNTS = (64, 256, 1024)
#: Epochs of a fine-tune.
EPOCHS = (4, 8)
#: How much longer 16 bits compute is not public; the cost index assumes this.
WIDE_FACTOR = 1.5

_ADAROUND = "post_quantization_optimization(adaround, policy=enabled)"
_NO_EQUALISATION = "pre_quantization_optimization(equalization, policy=disabled)"


@dataclass(frozen=True)
class Choice:
    """One point of the search. ``own`` means: as the recipe has it.

    ``known`` is the name of settings that are known for the family; they come with the rest.
    ``finetune`` is how many epochs, 0 for none; ``count`` how many pictures calibrate; ``also``
    names other values of the recipe's keys: a calibration set, end nodes, an input's size.
    """

    wide: int = 0
    outputs: bool = False
    level: str = "own"
    adaround: bool = False
    finetune: int = 0
    clip: bool = False
    equalise: bool = True
    count: str = "own"
    known: str = ""
    also: str = "own"

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Choice:
        """Return the choice that plain values stand for."""
        names = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in given.items() if key in names})


@dataclass(frozen=True)
class Space:
    """What may be chosen for one model: values by field, and what to try first."""

    axes: Mapping[str, tuple[Any, ...]]
    first: tuple[Choice, ...]
    worst: tuple[str, ...]
    outliers: tuple[str, ...]
    known: Mapping[str, KnownSettings]
    notes: tuple[str, ...] = ()
    also: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many points a full grid has."""
        return prod(map(len, self.axes.values()))


def make_space(
    recipe: Recipe,
    analysis: Analysis,
    head: Mapping[str, Any],
    arch: str,
    *,
    pictures: int,
    hours: float | None = None,
    also: Mapping[str, Mapping[str, object]] | None = None,
) -> Space:
    """Return what may be tried for a recipe.

    ``pictures`` is how many there are to calibrate on; ``hours`` is the most that one training
    may take on a CPU, ``None`` where nothing trains for long (a GPU, or the emulator); ``also``
    are further changes of the recipe by their names, as :class:`~.tuning.Variant` has them.
    """
    harms = worst_layers(analysis, arch, max(WIDE))
    worst = tuple(h.layer.short for h in harms if may_widen(h.layer, arch))
    outliers = tuple(h.layer.short for h in harms if outlier_of(h.layer) is not None)
    spread = any((h.layer.channel_spread or 0.0) > SPREAD for h in harms)
    known = known_for(head, tuple(sorted({one.type for one in analysis.layers})), pictures)
    notes: list[str] = []
    axes: dict[str, tuple[Any, ...]] = {
        "wide": tuple(n for n in WIDE if n <= len(worst)),
        "outputs": (False,) if recipe.optimization.outputs_16bit else (False, True),
        "level": ("own", *(str(n) for n in (0, 1) if n != recipe.optimization.level)),
        "count": ("own", *(str(n) for n in COUNTS if n < min(pictures, recipe.calibration.count))),
        "clip": (False, True) if outliers else (False,),
        "equalise": (True, False) if spread else (True,),
    }
    trainings: tuple[tuple[str, tuple[Any, ...], Choice], ...] = (
        ("adaround", (False, True), Choice(adaround=True)),
        ("finetune", (0, *EPOCHS), Choice(finetune=EPOCHS[-1])),
    )
    for name, values, trial in trainings:
        training = training_of(trial, recipe, pictures)
        if hours is not None and training is not None and training.hours_on_cpu[1] > hours:
            low, high = training.hours_on_cpu
            notes.append(
                f"{name} is left out: it takes about {low:.1f} to {high:.0f} hours without a GPU "
                "for a network like YOLOv8 nano; --hours lets it in"
            )
            axes[name] = values[:1]
        else:
            axes[name] = values
    kept = {row.name: row for row in known if _affordable(row, pictures, hours)}
    axes["known"] = ("", *kept)
    axes["also"] = ("own", *(also or {}))
    space = Space(axes, (), worst, outliers, kept, tuple(notes), also or {})
    return replace(space, first=_first(space, analysis))


def _affordable(row: KnownSettings, pictures: int, hours: float | None) -> bool:
    if hours is None:
        return True
    training = planned_training(row.level, row.lines(pictures), pictures)
    return training is None or training.hours_on_cpu[1] <= hours


def _first(space: Space, analysis: Analysis) -> tuple[Choice, ...]:
    """Return the recipe as it is, what is known, then what the analysis points to."""
    wanted = [Choice(), *(Choice(known=name) for name in space.known)]
    wanted += [Choice(also=name) for name in space.axes["also"] if name != "own"]
    hurt = [one for one in analysis.layers if one.alone_db is not None and one.alone_db < GOOD_DB]
    few = next((n for n in space.axes["wide"] if n >= min(3, max(1, len(hurt)))), 0)
    epochs = space.axes["finetune"][-1]
    wanted += [
        Choice(wide=1),
        Choice(wide=few),
        Choice(wide=few, outputs=True),
        Choice(wide=few, outputs=True, level="1"),
        Choice(wide=few, adaround=True),
        Choice(wide=few, outputs=True, finetune=epochs),
        Choice(clip=True),
        Choice(wide=max(space.axes["wide"]), outputs=True, level="1", finetune=epochs),
        Choice(wide=few, equalise=False),
        Choice(count="256"),
    ]
    return tuple(dict.fromkeys(one for one in wanted if _allowed(one, space.axes)))


def _allowed(choice: Choice, axes: Mapping[str, Sequence[Any]]) -> bool:
    return all(getattr(choice, name) in values for name, values in axes.items())


def variant_of(choice: Choice, space: Space, recipe: Recipe) -> Variant:
    """Return the recipe's keys that a choice changes, with a name for people."""
    variant, words = Variant(AS_IT_IS, {}), []
    own = recipe.optimization
    extra: list[str] = []
    row = space.known.get(choice.known)
    count = recipe.calibration.count if choice.count == "own" else int(choice.count)
    level = None if choice.level == "own" else int(choice.level)
    if row is not None:
        words.append(row.name)
        level = row.level if level is None else level
        extra += row.lines(count)
    if choice.wide:
        layers = space.worst[: choice.wide]
        extra.append(wide_line(layers))
        words.append(f"16 bits for {_shown(layers)}")
    if choice.clip:
        extra.append(
            f"pre_quantization_optimization(activation_clipping, "
            f"layers=[{', '.join(space.outliers)}], mode=percentile, "
            "clipping_values=[0.01, 99.99])"
        )
        words.append("outliers clipped")
    if not choice.equalise:
        extra.append(_NO_EQUALISATION)
        words.append("no equalisation")
    trains = "".join(extra)
    if choice.adaround and "adaround" not in trains:
        extra.append(_ADAROUND)
        words.append("AdaRound")
    if choice.finetune and "finetune" not in trains:
        extra.append(_fine_tune(count, choice.finetune))
        words.append(f"fine-tune of {choice.finetune} epochs")
    changes: dict[str, object] = dict(space.also.get(choice.also, {}))
    if changes:
        words.append(choice.also)
    if level is not None and level != own.level:
        changes["optimization.level"] = level
        if row is None:
            words.insert(0, f"level {level}")
    if (choice.outputs or (row is not None and row.outputs_16bit)) and not own.outputs_16bit:
        changes["optimization.outputs_16bit"] = True
        if row is None:
            words.append("16-bit outputs")
    if choice.count != "own":
        changes["calibration.count"] = min(count, _whole(changes.get("calibration.count"), count))
        words.append(f"{count} pictures")
    if extra:
        changes["optimization.script"] = [*own.script, *extra]
    return replace(variant, name=", ".join(words) or AS_IT_IS, changes=changes)


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _shown(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) <= 2 else f"{layers[0]} and {len(layers) - 1} more"


def _fine_tune(images: int, epochs: int) -> str:
    return (
        f"post_quantization_optimization(finetune, policy=enabled, dataset_size={images}, "
        f"epochs={epochs})"
    )


def training_of(choice: Choice, recipe: Recipe, pictures: int) -> Training | None:
    """Return the longest training that a choice asks for, beside the recipe's own."""
    script = list(recipe.optimization.script)
    count = min(pictures, recipe.calibration.count)
    if choice.adaround:
        script.append(_ADAROUND)
    if choice.finetune:
        script.append(_fine_tune(count, choice.finetune))
    level = recipe.optimization.named_level if choice.level == "own" else int(choice.level)
    return planned_training(level, script, count)


@dataclass(frozen=True)
class Cost:
    """What a choice costs, reckoned from the network: bytes of weights, and arithmetic.

    ``arithmetic`` is 1.0 where all is in 8 bits. How much 16 bits slow the chip down is not
    public: it is an index to compare choices by, no prediction of a rate.
    """

    weight_bytes: int
    arithmetic: float


def cost_of(
    choice: Choice,
    space: Space,
    analysis: Analysis,
    own: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Cost:
    """Return what a choice costs; ``own`` are the recipe's inputs, where it states them."""
    wide = set(space.worst[: choice.wide])
    total, slowed, weights = max(1, analysis.macs), 0.0, 0.0
    for layer in analysis.layers:
        macs = layer.macs or 0
        widened = layer.short in wide or layer.activation_bits == 16
        slowed += macs * (WIDE_FACTOR if widened else 1.0)
        bits = 16 if layer.short in wide else layer.weight_bits or 8
        weights += layer.weights * bits / 8
    row = space.known.get(choice.known)
    extra = 0.02 if choice.outputs or (row is not None and row.outputs_16bit) else 0.0
    arithmetic = (slowed / total if analysis.macs else 1.0) * area_of(choice, space, own)
    return Cost(int(weights), arithmetic + extra)


def area_of(choice: Choice, space: Space, own: Mapping[str, Sequence[int]]) -> float:
    """Return the pixels of all inputs as a share of the recipe's own (``own``: shapes by name)."""
    changed = space.also.get(choice.also, {})
    shapes = {
        key.partition(".")[2]: value for key, value in changed.items() if key.startswith("inputs.")
    }
    before = after = 0
    for name, shape in own.items():
        new = shapes.get(name, shape)
        if not isinstance(new, (list, tuple)) or len(new) != len(shape):
            return 1.0
        before, after = before + prod(shape), after + prod(int(side) for side in new)
    return after / before if before else 1.0
