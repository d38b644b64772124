"""Which preprocessing a network was trained with: what is written somewhere, and what was measured.

Pure. Labelled pictures were shown to the float network under each way; a way is as good as the
best one where the pictures cannot tell the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.presets import IMAGENET_MEAN, IMAGENET_STD
from hefsmith_worker.contract.trials import FITS, LARGER, SCALINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.project.survey.stated import Stated

#: Standard errors by which a loss must differ to count as worse.
CLEARLY = 2.0
#: Differences of the mean loss (nats) that nobody would notice.
NOTHING = 0.002
#: How likely guessing may be as often right as a way that counts.
BY_CHANCE = 0.01
#: Shown as a tie at most.
MOST_OPTIONS = 4


@dataclass(frozen=True)
class Trial:
    """One way of preparing pictures, and how the network did under it.

    ``right`` of ``len(losses)`` pictures were told; ``losses`` are in nats. Mean and deviation
    are in units of 0..255, in the order of ``color``.
    """

    scaling: str
    color: str
    resize: str
    resize_to: int | None
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    right: int
    losses: tuple[float, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Trial:
        """Return a trial as the worker tells it."""
        return cls(
            str(document["scaling"]),
            str(document["color"]),
            str(document["resize"]),
            document.get("resize_to"),
            (int(document["size"][0]), int(document["size"][1])),
            tuple(float(one) for one in document["mean"]),
            tuple(float(one) for one in document["std"]),
            int(document["right"]),
            tuple(float(one) for one in document["losses"]),
        )

    @property
    def loss(self) -> float:
        """Mean loss in nats."""
        return float(np.mean(self.losses))

    @property
    def words(self) -> str:
        """The way in a few words."""
        high, wide = self.size
        larger = f" from {self.resize_to}" if self.resize_to else ""
        fit = {"shorter_then_crop": "crop"}.get(self.resize, self.resize)
        return f"{self.scaling}, {self.color.upper()}, {fit}{larger}, {high} x {wide}"

    def section(self) -> dict[str, Any]:
        """Return the way as a recipe's ``preprocessing``."""
        found: dict[str, Any] = {"size": list(self.size), "resize": self.resize}
        if self.resize_to is not None:
            found["resize_to"] = self.resize_to
        found.update(scaling_section(self.mean, self.std, self.color))
        return found


def scaling_section(mean: Sequence[float], std: Sequence[float], color: str) -> dict[str, Any]:
    """Return colour, mean and deviation as a recipe has them."""
    if all(one == 0 for one in mean) and all(one == 1 for one in std):
        return {"color": color, "normalize": "none"}
    if color == "rgb" and _close(mean, IMAGENET_MEAN) and _close(std, IMAGENET_STD):
        return {"preset": "imagenet", "color": color, "normalize": "chip"}
    return {
        "mean": [_short(one) for one in mean],
        "std": [_short(one) for one in std],
        "color": color,
        "normalize": "chip",
    }


def _short(value: float) -> float | int:
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded


@dataclass(frozen=True)
class Decision:
    """A preprocessing, why, and whether it is known.

    ``options`` are the ways that do as well (the chosen one first); ``asks`` is whether a person
    should choose among them. ``contradicts`` says that a stated way does clearly worse.
    """

    section: dict[str, Any]
    why: tuple[str, ...]
    figure: str = ""
    options: tuple[Trial, ...] = ()
    asks: bool = False
    contradicts: str = ""


def scalings(stated: Stated, channels: int) -> list[dict[str, Any]]:
    """Return the scalings to try, the stated one first."""
    found: list[dict[str, Any]] = [
        {"name": one.name, "mean": one.mean, "std": one.std}
        for one in SCALINGS
        if one.fits(channels)
    ]
    if stated.scaled:
        assert stated.mean is not None
        assert stated.std is not None
        own: dict[str, Any] = {"name": "as stated", "mean": stated.mean, "std": stated.std}
        if len(stated.mean) in (1, channels) and len(stated.std) in (1, channels):
            same = next((one for one in found if _same_scale(one["mean"], one["std"], own)), None)
            if same is not None:
                found.remove(same)
                own = same
            found.insert(0, own)
    return found


def fits(stated: Stated, size: tuple[int, int] | None) -> list[str]:
    """Return the fits to try, the stated one first; ``NAME:SIDE`` scales to more than is cut."""
    found: list[str] = []
    if stated.resize is not None:
        side = f":{stated.resize_to}" if stated.resize_to else ""
        found.append(f"{stated.resize}{side}")
    found += [fit for fit in FITS if fit not in found]
    if size is not None and size[0] == size[1]:
        larger = f"shorter_then_crop:{round(size[0] * LARGER)}"
        if larger not in found:
            found.append(larger)
    return found


def undecided(trials: Sequence[Trial], classes: int) -> tuple[int, int] | None:
    """Return how many of how many the best way tells, where guessing may tell as many.

    Of many ways one is always best: with few pictures, or a network that does not know them, it
    is so by chance, and would be written down as if it were known.
    """
    if classes < 2 or not trials:
        return None
    best = max(trials, key=lambda one: one.right)
    count = len(best.losses)
    share = 1 / classes
    chance = sum(
        math.comb(count, right) * share**right * (1 - share) ** (count - right)
        for right in range(best.right, count + 1)
    )
    return (best.right, count) if chance > BY_CHANCE else None


def decide(stated: Stated, trials: Sequence[Trial], assumed: Mapping[str, Any]) -> Decision:
    """Return the preprocessing: stated and as good as any, else the best, else the assumed one."""
    if not trials:
        return _unmeasured(stated, assumed)
    best = min(trials, key=lambda one: (-one.right, one.loss))
    best = min((one for one in trials if not _worse(one, best)), key=lambda one: one.loss)
    equal = sorted(
        (one for one in trials if not _worse(one, best)), key=lambda one: (one.loss, one.words)
    )
    told = f"{best.right} of {len(best.losses)} labelled pictures are right"
    figure = f"measured on the float model: {told}, the best of {len(trials)} ways"
    if best.right < max(one.right for one in trials):
        figure = f"measured on the float model: {told}, none of {len(trials)} ways clearly more"
    claimed = next((one for one in trials if _is_stated(one, stated)), None)
    if claimed is not None and (claimed in equal or not _refuted(claimed, best)):
        told = f"{claimed.right} of {len(claimed.losses)} labelled pictures are right"
        figure = f"measured on the float model: {told}, none of {len(trials)} ways clearly more"
        return Decision(claimed.section(), stated.where, figure, (claimed,))
    if claimed is not None:
        against = (
            f"{stated.where[0] if stated.where else 'what is stated'} ({claimed.words}) gets "
            f"{claimed.right} of {len(claimed.losses)} right, {best.words} gets {best.right}"
        )
        return Decision(best.section(), (), figure, (best, claimed), True, against)

    # A difference of the fit alone is no question that anybody can answer: the better one is it.
    def question(one: Trial) -> tuple[object, ...]:
        return one.scaling, one.color, None if stated.size is not None else one.size

    distinct: dict[tuple[object, ...], Trial] = {}
    for one in equal:
        if one.right >= best.right - 1 and question(one) != question(best):
            distinct.setdefault(question(one), one)
    options = (best, *list(distinct.values())[: MOST_OPTIONS - 1])
    return Decision(best.section(), stated.where, figure, options, bool(distinct))


def _worse(one: Trial, best: Trial) -> bool:
    """Tell whether a way is worse than another by more than these pictures leave open."""
    count = len(one.losses)
    if count != len(best.losses) or not count:
        return one is not best
    if best.right - one.right > max(2, round(0.04 * count)):
        return True
    mean, error = _apart(one, best)
    return mean > NOTHING and mean > CLEARLY * error


def _apart(one: Trial, best: Trial) -> tuple[float, float]:
    """Return by how much the mean loss differs, picture by picture, and its standard error."""
    apart = np.asarray(one.losses) - np.asarray(best.losses)
    return float(apart.mean()), float(apart.std()) / len(apart) ** 0.5


def _refuted(claimed: Trial, best: Trial) -> bool:
    """Tell whether what somebody wrote down is wrong: that takes more than a better guess."""
    count = len(claimed.losses)
    if count != len(best.losses):
        return True
    fewer = best.right - claimed.right
    if fewer > max(4, round(0.1 * count)):
        return True
    mean, error = _apart(claimed, best)
    return fewer > max(2, round(0.04 * count)) and mean > 2 * CLEARLY * error


def _is_stated(trial: Trial, stated: Stated) -> bool:
    if not stated.scaled:
        return False
    scale = {"mean": stated.mean, "std": stated.std}
    return (
        _same_scale(trial.mean, trial.std, scale)
        and trial.color == (stated.color or trial.color)
        and trial.color != ("rgb" if stated.color == "bgr" else "bgr")
        and (stated.resize is None or trial.resize == stated.resize)
        and (stated.resize is None or trial.resize_to == stated.resize_to)
        and (stated.size is None or trial.size == stated.size)
    )


def _same_scale(mean: Sequence[float], std: Sequence[float], other: Mapping[str, Any]) -> bool:
    return _close(mean, other["mean"]) and _close(std, other["std"])


def _close(left: Sequence[float], right: Sequence[float]) -> bool:
    count = max(len(left), len(right))
    wide = [tuple(one) * count if len(one) == 1 else tuple(one) for one in (left, right)]
    return len(wide[0]) == len(wide[1]) and all(
        abs(a - b) <= 0.02 * max(abs(a), abs(b), 1.0) for a, b in zip(*wide, strict=True)
    )


def _unmeasured(stated: Stated, assumed: Mapping[str, Any]) -> Decision:
    section = dict(assumed)
    if stated.size is not None:
        section["size"] = list(stated.size)
    if stated.resize is not None:
        section["resize"] = stated.resize
        section.pop("resize_to", None)
        section.pop("pad", None)
        if stated.resize_to is not None:
            section["resize_to"] = stated.resize_to
    color = stated.color or str(section.get("color", "rgb"))
    if not stated.scaled:
        if stated.color is not None:
            section["color"] = color
        return Decision(section, stated.where, asks=True)
    assert stated.mean is not None
    assert stated.std is not None
    for key in ("preset", "mean", "std", "color", "normalize"):
        section.pop(key, None)
    section.update(scaling_section(stated.mean, stated.std, color))
    return Decision(section, stated.where)


def chosen(decision: Decision, trial: Trial) -> Decision:
    """Return the decision with another of its ways, as a person has chosen it."""
    why = (f"chosen by you: {trial.words}",)
    return replace(decision, section=trial.section(), why=why, asks=False)
