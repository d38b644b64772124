"""Foresees training: a level that the recipe names runs as named, on a CPU for hours.

Only the compiler's *default* level is lowered where images or a GPU are missing. What a build
will train is decided here from what is asked, before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.options import (
    EPOCHS_OF_LEVEL,
    FINE_TUNE_LEVEL,
    FULL_IMAGES,
    IMAGES_OF_LEVEL,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds that a CPU takes for one picture in one epoch, for networks like YOLO nano and small:
#: users report several hours for the 4096 pictures of level 2 (hailo.md 3.4). A guide, no more.
SECONDS_ON_CPU = (1.0, 5.0)
#: Shorter training than this many hours, at worst, is nothing to be asked about.
WORTH_SAYING = 0.25

#: What the hours of AdaRound rest on.
_RECKONED = " (reckoned from reports of level 2; of AdaRound none is known)"

#: Algorithms that train, as model scripts name them.
FINE_TUNE, ADAROUND = "finetune", "adaround"


@dataclass(frozen=True)
class Training:
    """What will be trained: why, how, over how many pictures, how many times each."""

    why: str
    algorithm: str
    images: int
    epochs: int

    @property
    def hours_on_cpu(self) -> tuple[float, float]:
        """The least and the most hours to reckon with."""
        low, high = (self.images * self.epochs * pace / 3600 for pace in SECONDS_ON_CPU)
        return low, high


def planned_training(level: int | None, script: Sequence[str], count: int) -> Training | None:
    """Return the longest training that a recipe asks for by name, ``None`` without any.

    ``level`` is the recipe's, ``script`` its own lines (they win), ``count`` the calibration
    images that it asks for.
    """
    from hefsmith_worker.script import ScriptSyntaxError, parse

    try:
        own = parse("\n".join(script))
    except ScriptSyntaxError:
        own = parse("")  # the build itself tells what is wrong with the lines
    for command in own.named("model_optimization_flavor"):
        named = command.keyword.get("optimization_level")
        level = named if isinstance(named, int) else level
    found: dict[str, Training] = {}
    if level is not None and level in EPOCHS_OF_LEVEL:
        name = FINE_TUNE if level == FINE_TUNE_LEVEL else ADAROUND
        images = min(count, IMAGES_OF_LEVEL[level])
        found[name] = Training(f"optimization.level {level}", name, images, EPOCHS_OF_LEVEL[level])
    for command in own.named("post_quantization_optimization"):
        name = str(command.positional[0]) if command.positional else ""
        if name not in (FINE_TUNE, ADAROUND):
            continue
        if command.keyword.get("policy") == "disabled":
            found.pop(name, None)
            continue
        usual = FINE_TUNE_LEVEL if name == FINE_TUNE else max(EPOCHS_OF_LEVEL)
        size, epochs = (command.keyword.get(key) for key in ("dataset_size", "epochs"))
        found[name] = Training(
            f"{name} in optimization.script",
            name,
            min(count, size if isinstance(size, int) else IMAGES_OF_LEVEL[usual]),
            epochs if isinstance(epochs, int) else EPOCHS_OF_LEVEL[usual],
        )
    return max(found.values(), key=lambda one: one.images * one.epochs, default=None)


def foresee(
    level: int | None, script: Sequence[str], count: int, *, gpu: bool, emulated: bool
) -> Finding | None:
    """Return what to know before such a build starts, ``None`` where there is nothing.

    On the emulator a training takes seconds: it is news for the real compiler, no warning.
    """
    training = planned_training(level, script, count)
    if training is None:
        return None
    said = []
    low, high = training.hours_on_cpu
    if not gpu and high >= WORTH_SAYING:
        said.append(
            f"it takes about {_hours(low)} to {_hours(high)} hours without a GPU for a network "
            "like YOLOv8 nano or small, and longer for larger ones"
            + ("" if training.algorithm == FINE_TUNE else _RECKONED)
        )
    if training.algorithm == FINE_TUNE and training.images < FULL_IMAGES:
        said.append(
            f"{training.images} images are few to train on (the compiler's own number is "
            f"{FULL_IMAGES}): the network can end worse than untrained"
        )
    if not said:
        return None
    where = "on the real compiler, " if emulated else ""
    return Finding(
        code="optimize.training",
        severity="info" if emulated else "warning",
        stage="optimize",
        message=f"{where}{training.why} trains as named, it is not lowered: {'; '.join(said)}",
        asked=level,
        fix="Choose: a GPU (--gpu on), fewer or more images (calibration.count), or "
        "optimization: {level: auto}, which the compiler lowers to what the machine can do.",
    )


def _hours(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
