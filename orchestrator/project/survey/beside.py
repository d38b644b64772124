"""What lies beside a network's weights of its preparation: plain values and configuration files."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.project.survey.arithmetic import SIZES, size_of
from orchestrator.project.survey.stated import Stated
from orchestrator.project.yaml_source import parse_yaml
from orchestrator.reading import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LARGEST_JSON = 4 << 20
#: Files that model hubs and training programs put beside weights.
CONFIGS = (
    "args.yaml", "hparams.yaml", "config.yaml", "config.yml", "preprocess.yaml",
    "preprocessing.yaml", "transforms.yaml", "config.json", "model_config.json", "metadata.json",
    "preprocessor_config.json",
)  # fmt: skip
#: Levels of a configuration in which its plain values are looked for.
_DEEPEST = 4
_MEANS = ("mean", "image_mean", "normalize_mean", "norm_mean", "img_mean", "pixel_mean")
_STDS = ("std", "image_std", "normalize_std", "norm_std", "img_std", "pixel_std")


def stated_in_facts(facts: Mapping[str, Any], name: str) -> Stated:
    """Return what the plain values beside some weights say; ``name`` is the file's."""
    last = {key.rpartition(".")[2].lower(): value for key, value in facts.items()}
    values: dict[str, Any] = {}
    mean = next((_floats(last[key]) for key in _MEANS if key in last), None)
    std = next((_floats(last[key]) for key in _STDS if key in last), None)
    if mean and std and min(std) > 0:
        unit = 255.0 if max(std) <= 1.5 else 1.0
        values["mean"] = tuple(round(unit * one, 4) for one in mean)
        values["std"] = tuple(round(unit * one, 4) for one in std)
    size = next((size_of(last[key]) for key in SIZES if key in last), None)
    if size is not None:
        values["size"] = size
    share = last.get("crop_pct")
    if size is not None and isinstance(share, int | float) and 0.1 < share <= 1:
        larger = round(size[0] / share)
        values.update(resize="shorter_then_crop", resize_to=larger if larger > max(size) else None)
    return Stated(**values, where=(f"{name}: {', '.join(sorted(values))}",)) if values else Stated()


def _floats(value: object) -> list[float] | None:
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return None
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if listed and all(isinstance(one, int | float) for one in listed) and len(listed) in (1, 3):
        return [float(one) for one in listed]
    return None


def facts_beside(weights: Path) -> dict[str, Any]:
    """Return the plain values of the configuration files beside a network's file.

    Those of a file called like the network come first, then what model hubs write, then what
    training programs do; Lightning's lies one folder above. Values inside of sections are told by
    their own names.
    """
    own = (weights.with_suffix(ending) for ending in (".yml", ".yaml", ".json"))
    paths = (
        weights.parent.parent / "hparams.yaml",
        *(weights.with_name(name) for name in CONFIGS),
        *own,
    )
    found: dict[str, Any] = {}
    for path in paths:
        value = _configuration(path)
        if isinstance(value, dict):
            found.update(_unmistaken(value))
    return found


def _configuration(path: Path) -> Any:
    try:
        with open_regular(path) as stream:
            content = stream.read(_LARGEST_JSON)
        if path.suffix == ".json":
            return parse_json(content)
        return parse_yaml(content.decode("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _unmistaken(document: dict[Any, Any]) -> dict[str, Any]:
    """Return the values by their own names; of several of one name the one with fewest sections.

    Where those differ, nobody knows which one was meant, and none is told.
    """
    found: dict[str, Any] = {}
    sections = [document]
    for _ in range(_DEEPEST):
        level: dict[str, list[Any]] = {}
        for section in sections:
            for key, value in section.items():
                if isinstance(key, str):
                    level.setdefault(key, []).append(value)
        for key, values in level.items():
            if key not in found:
                found[key] = values[0] if all(one == values[0] for one in values) else None
        inner = [one for values in level.values() for one in values]
        sections = [one for one in inner if isinstance(one, dict)]
    return {key: value for key, value in found.items() if value is not None}
