"""``source: zoo``: a recipe filled in from a network of Hailo's Model Zoo.

The counterpart of ``hailomz compile --ckpt W --calib-path DIR --yaml Y --classes N --hw-arch A``:
the YAML gives nodes, preprocessing, model script and NMS JSON, the recipe the checkpoint
(``source.weights``), the pictures, the chip and the number of classes. What the recipe states
itself goes before the zoo.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, escape_control
from orchestrator.project.checking import Mistake, section_from, validate
from orchestrator.project.recipe import Recipe
from orchestrator.project.zoo import (
    NORMALIZATION,
    HailomzCommand,
    ZooRecipe,
    find_script,
    load_zoo_yaml,
    merge,
    recipe_from_zoo,
    script_options,
)
from orchestrator.reading import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.project.loading import LoadedRecipe

_SUFFIXES = (".yaml", ".yml")


def is_path(zoo: str) -> bool:
    """Tell a hailomz YAML of the user's from the name of a network inside the suite."""
    return zoo.lower().endswith(_SUFFIXES)


def own_yaml(loaded: LoadedRecipe, project: Path) -> Path:
    """Return the user's YAML that the recipe names."""
    written = str(loaded.zoo)
    for place in (loaded.folder / written, project / written):
        if place.is_file():
            return place.resolve()
    msg = f"{loaded.where('source', 'zoo')}: source.zoo: no such file: {escape_control(written)}"
    raise ConfigError(msg, code="recipe.missing")


def expand(loaded: LoadedRecipe, yaml: Path, arch: str) -> tuple[LoadedRecipe, tuple[str, ...]]:
    """Return the recipe as it is built for ``arch``, and what the zoo's files leave open.

    Raises :class:`ConfigError` where the zoo's files are not enough for a build.
    """
    given = validate(loaded.document, Recipe)
    where = loaded.where("source", "zoo")
    document, missing = load_zoo_yaml(yaml)
    _check_chip(document, arch, where)
    own = deepcopy(dict(loaded.document.value))
    own_script = (own.get("optimization") or {}).get("script_file")
    wanted = (document.get("paths") or {}).get("alls_script")
    script = find_script(document, yaml.parent, arch)
    if wanted and script is None and own_script is None:
        msg = f"{where}: source.zoo: {yaml.name} wants the model script {wanted}, which is not here"
        raise ConfigError(
            escape_control(msg),
            hint="Put it beside the YAML (with the JSON that it names where it says), or name\n"
            "another one: optimization: {script_file: F.alls}.",
            code="zoo.script",
        )
    if own_script is not None:
        script = _find(loaded, str(own_script))
    classes = given.postprocess.nms.classes
    command = HailomzCommand(
        "compile",
        checkpoint=_checkpoint(loaded, given),
        arch=arch,
        model_script=script,
        classes=classes,
    )
    made = recipe_from_zoo(document, folder=yaml.parent, command=command)
    scaling = own.get("preprocessing") or {}
    if not {"preset", "mean", "std"} & set(scaling):
        _check_range(made.notes, missing, where)
    elif "preset" in scaling:
        for key in ("mean", "std", "normalize"):
            made.recipe["preprocessing"].pop(key, None)
    _finish(made.recipe, script, document, classes)
    _take_lines(made.recipe, own, script)
    own["source"] = made.recipe.pop("source")
    merged = merge(made.recipe, own)
    try:
        recipe = section_from(merged, Recipe)
    except Mistake as mistake:
        msg = f"{where}: source.zoo: {yaml.name} makes no recipe: {mistake}"
        raise ConfigError(escape_control(msg), code="zoo.recipe") from None
    notes = (*missing, *(note for note in made.notes if "calib" not in note))
    return replace(loaded, recipe=recipe), notes


def recipe_of_command(command: HailomzCommand, made: ZooRecipe) -> dict[str, Any]:
    """Return the recipe that stands for a ``hailomz`` command: what the command itself says.

    The rest is read from the zoo's files when it is built, as ``hailomz`` does; ``made`` is what
    they give today, for the chip and the pictures where the command names none.
    """
    zoo = command.model if command.yaml is None else command.yaml.as_posix()
    recipe: dict[str, Any] = {"schema": 1, "source": {"zoo": zoo}}
    if command.checkpoint is not None:
        recipe["source"]["weights"] = command.checkpoint.as_posix()
    nodes = {"start_nodes": command.start_nodes, "end_nodes": command.end_nodes}
    if any(nodes.values()):
        recipe["parser"] = {name: list(value) for name, value in nodes.items() if value}
    recipe["calibration"] = made.recipe["calibration"]
    optimization = script_options(command, command.model_script)
    if optimization:
        recipe["optimization"] = optimization
    recipe["arch"] = made.recipe["arch"]
    if command.classes is not None:
        recipe["postprocess"] = {"nms": {"classes": command.classes}}
    return recipe


def _check_chip(document: Mapping[str, Any], arch: str, where: str) -> None:
    listed = (document.get("info") or {}).get("supported_hw_arch")
    if isinstance(listed, list) and listed and arch not in [str(one) for one in listed]:
        name = (document.get("network") or {}).get("network_name") or "the network"
        msg = f"{where}: source.zoo: {name} is not for {arch}; the zoo has it for {listed}"
        raise ConfigError(
            escape_control(msg),
            hint="The zoo of that chip's line may have it; or build without the zoo.",
            code="zoo.arch",
        )


def _checkpoint(loaded: LoadedRecipe, given: Recipe) -> Path:
    written = given.source.weights
    if written is None:
        msg = f"{loaded.where('source')}: source.weights: the zoo's network needs your checkpoint"
        raise ConfigError(
            msg,
            hint="source: {zoo: ..., weights: model.onnx}. hailomz would download the zoo's own; "
            "hef fetches nothing.",
            code="zoo.checkpoint",
        )
    return _find(loaded, written)


def _find(loaded: LoadedRecipe, written: str) -> Path:
    """Return a path of the recipe as an absolute one, if it is there; else as it was written."""
    path = loaded.path(written)
    return path if path.exists() else Path(written)


def _finish(
    recipe: dict[str, Any], script: Path | None, document: Mapping[str, Any], classes: int | None
) -> None:
    """Leave out what hailomz does not do: no NMS but the script's, no classes but those given."""
    text = read_regular(script).decode("utf-8", "replace") if script is not None else ""
    nms = recipe.setdefault("postprocess", {}).setdefault("nms", {})
    if "nms_postprocess" not in text:
        nms["enabled"] = False
    if classes is None:
        # The JSON counts as its head does (with a background, say), the evaluation as labels do.
        nms.pop("classes", None)
    if set(recipe["source"]) == {"weights"}:
        shape = (document.get("preprocessing") or {}).get("input_shape")
        if isinstance(shape, list) and len(shape) == 3:
            recipe["inputs"] = {"images": [1, int(shape[2]), int(shape[0]), int(shape[1])]}


def _take_lines(recipe: dict[str, Any], own: dict[str, Any], script: Path | None) -> None:
    """Put the script's lines into the recipe, but for the normalisation that the recipe states.

    ``preprocessing`` has its mean and deviation by now, and the line is written from there:
    two owners of one thing would be an error.
    """
    below = recipe.setdefault("optimization", {})
    below.pop("script_file", None)
    mine = own.get("optimization") or {}
    mine.pop("script_file", None)
    text = read_regular(script).decode("utf-8", "replace") if script is not None else ""
    lines = text.splitlines()
    normalising = [line for line in lines if NORMALIZATION.match(line)]
    if len(normalising) == 1:
        lines.remove(normalising[0])
    added = [*below.get("script", ()), *mine.pop("script", ())]
    below["script"] = [*lines, *added]


def _check_range(notes: tuple[str, ...], missing: list[str], where: str) -> None:
    """Refuse to guess how pixels are scaled: a wrong guess ends well and computes nonsense."""
    if not any("mean and std" in note for note in notes):
        return
    hint = "\n".join((*missing, "Write preprocessing: {mean: [...], std: [...]}, of 0..255."))
    msg = f"{where}: source.zoo: neither the YAML nor its script says mean and std of the input"
    raise ConfigError(msg, hint=escape_control(hint), code="zoo.normalisation")
