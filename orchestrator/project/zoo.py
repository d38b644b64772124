"""Model Zoo YAMLs and ``hailomz`` command lines, read into the words of a recipe.

The schema is that of the Model Zoo's ``cfg/networks`` (a ``base`` list is merged first, later
files win). A YAML alone says less than a build needs: what is left open is in the notes.
"""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from hefsmith_worker.contract import chips
from hefsmith_worker.contract.sources import SOURCES

from orchestrator.errors import ConfigError, escape_control, shorten
from orchestrator.project.recipe import MODEL_NAME
from orchestrator.project.yaml_loader import MOST_VALUES, LimitedLoader
from orchestrator.project.yaml_source import read_yaml
from orchestrator.reading import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_INTERPOLATION = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")
NORMALIZATION = re.compile(r"^\s*[\w./-]+\s*=\s*normalization\(\s*\[([^\]]*)\]\s*,\s*\[([^\]]*)\]")
_NMS = re.compile(r"^\s*nms_postprocess\(\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_DEEPEST = 20
_MOST_FILES = 100

#: Letterbox with this fill is what the YOLO bases do.
_YOLO_PAD = 114
#: Preprocessing families of the zoo, by the beginning of ``preprocessing.meta_arch``.
_LETTERBOX = ("yolo", "nanodet", "damoyolo")
_STRETCH = ("ssd", "mobilenet_ssd", "efficientdet", "retinanet", "centernet")
_TASKS = {
    "classification": "classification",
    "object detection": "detection",
    "detection": "detection",
    "instance segmentation": "segmentation",
    "semantic segmentation": "segmentation",
    "segmentation": "segmentation",
    "pose estimation": "pose",
    "single person pose estimation": "pose",
    "oriented object detection": "obb",
}


@dataclass(frozen=True)
class HailomzCommand:
    """A ``hailomz`` command line, as its own parser would understand it."""

    action: str
    model: str | None = None
    yaml: Path | None = None
    checkpoint: Path | None = None
    arch: str | None = None
    calibration: Path | None = None
    model_script: Path | None = None
    performance: bool = False
    classes: int | None = None
    start_nodes: tuple[str, ...] = ()
    end_nodes: tuple[str, ...] = ()
    resize: tuple[int, int] | None = None
    input_conversion: str | None = None


@dataclass(frozen=True)
class ZooRecipe:
    """A recipe (without its name) and what the zoo's files leave open."""

    name: str
    recipe: dict[str, Any]
    notes: tuple[str, ...] = ()


#: Options of ``hailomz eval`` and ``profile``: what they ask for is no part of a recipe.
_EVALUATION_VALUES = (
    "--target", "--data-count", "--eval-num-examples", "--data-path", "--batch-size",
    "--video-outpath", "--hef", "--hn", "--results-dir",
)  # fmt: skip
_EVALUATION_FLAGS = ("--visualize", "--use-service", "--lite-inference", "--show-results-per-class")


def _dashed(word: str) -> str:
    """Return an option with dashes for underscores, its value as it is."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        msg = f"this is not a hailomz command: {escape_control(message)}"
        raise ConfigError(
            msg,
            hint="hailomz compile --ckpt M.onnx --calib-path DIR --yaml Y --hw-arch hailo8l",
            code="zoo.command",
        )


def parse_hailomz(command: str) -> HailomzCommand:
    """Read a ``hailomz`` command line; unknown options are an error, never dropped."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        msg = f"the hailomz command cannot be read: {error}"
        raise ConfigError(msg, code="zoo.command") from None
    if words and PurePosixPath(words[0]).name == "hailomz":
        words = words[1:]
    # The older releases spell their options with underscores.
    words = [_dashed(word) for word in words]
    parser = _Parser(prog="hailomz", add_help=False, allow_abbrev=True)
    parser.add_argument("action", choices=("parse", "optimize", "compile", "profile", "eval"))
    parser.add_argument("model", nargs="?")
    parser.add_argument("--yaml", type=Path)
    parser.add_argument("--ckpt", type=Path)
    parser.add_argument("--hw-arch")
    parser.add_argument("--start-node-names", nargs="+", default=[])
    parser.add_argument("--end-node-names", nargs="+", default=[])
    parser.add_argument("--model-script", type=Path)
    parser.add_argument("--performance", action="store_true")
    parser.add_argument("--har", type=Path)
    parser.add_argument("--calib-path", type=Path)
    parser.add_argument("--resize", type=int, nargs="+")
    parser.add_argument("--input-conversion", choices=("nv12_to_rgb", "yuy2_to_rgb", "rgbx_to_rgb"))
    parser.add_argument("--classes", type=int)
    for option in _EVALUATION_VALUES:
        parser.add_argument(option)
    for option in _EVALUATION_FLAGS:
        parser.add_argument(option, action="store_true")
    # A name may stand behind the options, too; argparse takes it at its first chance only.
    found, left = parser.parse_known_args(words)
    if found.model is None and len(left) == 1 and not left[0].startswith("-"):
        found.model, left = left[0], []
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if (found.model is None) == (found.yaml is None):
        parser.error("give a model name or --yaml, not both")
    if found.har is not None:
        parser.error("--har continues an earlier run; give --ckpt with the network itself")
    if found.resize is not None and len(found.resize) > 2:
        parser.error("--resize takes a height and a width")
    size = None if found.resize is None else (found.resize[0], found.resize[-1])
    return HailomzCommand(
        found.action,
        found.model,
        found.yaml,
        found.ckpt,
        found.hw_arch,
        found.calib_path,
        found.model_script,
        found.performance,
        found.classes,
        tuple(found.start_node_names),
        tuple(found.end_node_names),
        size,
        found.input_conversion,
    )


class _TooManyValuesError(Exception):
    """References that multiply."""


def load_zoo_yaml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a network's YAML with its bases merged in, and a note for each base not found.

    Raises :class:`ConfigError` for a file that is none, and for one that refers to itself.
    """
    notes: list[str] = []
    merged = _load(path, notes, 0, iter(range(_MOST_FILES)))
    try:
        return _resolved(merged, merged, 0, iter(range(MOST_VALUES))), notes
    except _TooManyValuesError:
        msg = f"{escape_control(str(path))}: its ${{...}} stand for more than {MOST_VALUES} values"
        raise ConfigError(msg, code="zoo.yaml") from None


def _load(path: Path, notes: list[str], depth: int, files: Iterator[int]) -> dict[str, object]:
    if depth > _DEEPEST or next(files, None) is None:
        msg = f"{escape_control(str(path))}: its bases lead in a circle, or to too many files"
        raise ConfigError(msg, code="zoo.yaml")
    try:
        value = dict(read_yaml(path, loader=LimitedLoader).value)
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint, code="zoo.yaml") from None
    if not value:
        msg = f"{escape_control(str(path))} is not a network of the Model Zoo: it has no keys"
        raise ConfigError(msg, code="zoo.yaml")
    merged: dict[str, object] = {}
    bases = value.pop("base", None)
    for base in bases if isinstance(bases, list) else []:
        found = _find_base(path, str(base))
        if found is None:
            shown = shorten(str(base), 100)
            notes.append(f"{shown} is not beside {path.name}: what it says is not known here")
            continue
        merged = merge(merged, _load(found, notes, depth + 1, files))
    return merge(merged, value)


def _find_base(path: Path, base: str) -> Path | None:
    """Look where the zoo keeps bases: in ``cfg``, beside ``networks``, or beside the file."""
    for folder in (path.parent.parent, path.parent, *path.parents[2:4]):
        candidate = folder / base
        if candidate.is_file() and candidate.resolve() != path.resolve():
            return candidate
    return None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, object]:
    """Return ``under`` with the values of ``over`` put over it, mappings key by key."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return result


def _resolved(value: Any, root: Mapping[str, Any], depth: int, budget: Iterator[int]) -> Any:
    """Put values in place of ``${a.b}``; what leads nowhere stays as it is."""
    if next(budget, None) is None:
        raise _TooManyValuesError
    if isinstance(value, dict):
        return {key: _resolved(item, root, depth, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, root, depth, budget) for item in value]
    if isinstance(value, str) and depth < _DEEPEST:
        whole = _INTERPOLATION.fullmatch(value)
        if whole is not None:
            found = _at(root, *whole.group(1).split("."))
            return value if found is None else _resolved(found, root, depth + 1, budget)
    return value


def _at(document: Mapping[str, Any], *keys: str) -> Any:
    value: Any = document
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def recipe_from_zoo(
    document: Mapping[str, Any],
    *,
    folder: Path | None = None,
    command: HailomzCommand | None = None,
) -> ZooRecipe:
    """Turn a merged network YAML into a recipe; what ``command`` gives goes before the YAML.

    ``folder`` is the YAML's own, to find the model script beside it.
    """
    command = command or HailomzCommand("compile")
    notes: list[str] = []
    script = command.model_script or _script(document, folder, command.arch, notes)
    name = str(_at(document, "network", "network_name") or command.model or "model")
    recipe: dict[str, object] = {"schema": 1, "source": _source(document, command, notes)}
    recipe["preprocessing"] = _preprocessing(document, script, notes)
    nodes = _nodes(document, command)
    if nodes:
        recipe["parser"] = nodes
    recipe["calibration"] = {"source": _calibration(document, command, notes)}
    optimization = script_options(command, script)
    if optimization:
        recipe["optimization"] = optimization
    recipe["arch"] = _archs(document, command)
    recipe["postprocess"] = _postprocess(document, command, script)
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return ZooRecipe(safe if MODEL_NAME.match(safe) else f"m_{safe}"[:63], recipe, tuple(notes))


def _source(
    document: Mapping[str, Any], command: HailomzCommand, notes: list[str]
) -> dict[str, object]:
    checkpoint = command.checkpoint
    if checkpoint is None:
        paths = _at(document, "paths", "network_path") or []
        checkpoint = Path(str(paths[0])) if paths else None
        if checkpoint is not None:
            notes.append(f"no --ckpt: {checkpoint} is the zoo's own file, fetch it yourself")
    if checkpoint is None:
        notes.append("no network file is named: set source.onnx")
        return {"onnx": "model.onnx"}
    suffix = checkpoint.suffix.lower()
    for kind in SOURCES:
        if suffix in kind.endings:
            return {kind.name: checkpoint.as_posix()}
    if suffix in (".pt", ".pth"):
        notes.append("hailomz takes .onnx and .tflite; a checkpoint is exported first")
        return {"weights": checkpoint.as_posix()}
    if _at(document, "parser", "is_tf2_saved_model"):
        return {"saved_model": checkpoint.as_posix()}
    return {"onnx": checkpoint.as_posix()}


def find_script(document: Mapping[str, Any], folder: Path, arch: str | None) -> Path | None:
    """Return the model script of a network, looked for where hailomz does, ``None`` if nowhere.

    ``folder`` is the YAML's. Beside it goes first; then the zoo's folders by chip.
    """
    name = _at(document, "paths", "alls_script")
    if not name:
        return None
    scripts = folder.parent / "alls"
    # The 5.x line keeps the scripts of Hailo-10H with those of Hailo-15H.
    row = chips.by_name().get(str(arch))
    chip = str(arch) if row is None else row.zoo_scripts_of or row.name
    by_chip = [scripts / chip / "base", scripts / chip] if arch else []
    for place in (folder, *by_chip, scripts / "generic", scripts):
        if (place / str(name)).is_file():
            return place / str(name)
    return None


def _script(
    document: Mapping[str, Any], folder: Path | None, arch: str | None, notes: list[str]
) -> Path | None:
    found = None if folder is None else find_script(document, folder, arch)
    name = _at(document, "paths", "alls_script")
    if name and found is None:
        notes.append(f"{name} is not here: the model script is generated from the graph instead")
    return found


def _preprocessing(
    document: Mapping[str, Any], script: Path | None, notes: list[str]
) -> dict[str, object]:
    section: dict[str, object] = {}
    shape = _at(document, "preprocessing", "input_shape")
    if isinstance(shape, list) and len(shape) >= 2:
        section["size"] = [int(shape[0]), int(shape[1])]
    meta = str(_at(document, "preprocessing", "meta_arch") or "")
    base_of_yolo = str(_at(document, "postprocessing", "meta_arch") or "")
    if meta.startswith(_LETTERBOX) or (not meta and base_of_yolo.startswith(_LETTERBOX)):
        section["resize"] = "letterbox"
        pad = _at(document, "preprocessing", "padding_color")
        section["pad"] = int(_YOLO_PAD if pad is None else pad)
    elif meta.startswith(_STRETCH):
        section["resize"] = "stretch"
    elif _at(document, "info", "task") == "classification" or meta:
        section["resize"] = "shorter_then_crop"
    if isinstance(shape, list) and len(shape) > 2 and int(shape[2]) == 1:
        section["color"] = "gray"
    elif _at(document, "hn_editor", "bgr2rgb"):
        section["color"] = "bgr"
    section.update(_normalization(document, script, notes))
    return section


def _normalization(
    document: Mapping[str, Any], script: Path | None, notes: list[str]
) -> dict[str, object]:
    """Read mean and deviation: of the script where the network does it, else of the YAML."""
    if script is not None and script.is_file():
        for line in read_regular(script).decode("utf-8", "replace").splitlines():
            match = NORMALIZATION.match(line)
            if match:
                first, second = match.groups()
                return {"mean": _numbers(first), "std": _numbers(second), "normalize": "chip"}
    params = _at(document, "parser", "normalization_params") or {}
    mean, std = params.get("mean_list"), params.get("std_list")
    if mean and std:
        where = "chip" if params.get("normalize_in_net") else "host"
        return {
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "normalize": where,
        }
    notes.append("mean and std are not known here: check preprocessing.mean and .std")
    return {"mean": [0.0], "std": [255.0], "normalize": "chip"}


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part.strip()]


def _nodes(document: Mapping[str, Any], command: HailomzCommand) -> dict[str, object]:
    nodes = _at(document, "parser", "nodes") or [None, None]
    start: Sequence[str] = command.start_nodes or _names(nodes[0] if nodes else None)
    end: Sequence[str] = command.end_nodes or _names(nodes[1] if len(nodes) > 1 else None)
    found: dict[str, object] = {}
    if start:
        found["start_nodes"] = list(start)
    if end:
        found["end_nodes"] = list(end)
    return found


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _calibration(document: Mapping[str, Any], command: HailomzCommand, notes: list[str]) -> str:
    if command.calibration is not None:
        return command.calibration.as_posix()
    sets = _names(_at(document, "quantization", "calib_set"))
    if sets:
        notes.append(f"no --calib-path: {sets[0]} is the zoo's own set, name your pictures instead")
    else:
        notes.append("no calibration pictures are named: set calibration.source")
    return sets[0] if sets else "calib/images"


def script_options(command: HailomzCommand, script: Path | None) -> dict[str, object]:
    """Return what a command changes about the model script, and the script, as a recipe has it."""
    section: dict[str, object] = {}
    if script is not None:
        section["script_file"] = script.as_posix()
    lines = []
    if command.input_conversion:
        lines.append(f"input_conversion1 = input_conversion({command.input_conversion})")
    if command.resize is not None:
        height, width = command.resize
        lines.append(f"resize_input1 = resize(input_layer1, resize_shapes=[{height}, {width}])")
    if command.performance:
        lines.append("performance_param(compiler_optimization_level=max)")
    if lines:
        section["script"] = lines
    return section


def _archs(document: Mapping[str, Any], command: HailomzCommand) -> list[str]:
    known = tuple(chip.name for chip in chips.usable())
    if command.arch is not None:
        if command.arch not in known:
            msg = f"--hw-arch {escape_control(command.arch)} is not a chip that hefsmith knows"
            raise ConfigError(msg, hint="one of " + ", ".join(known), code="zoo.arch")
        return [command.arch]
    listed = [str(arch) for arch in _at(document, "info", "supported_hw_arch") or []]
    return [arch for arch in listed if arch in known][:1] or ["hailo8l"]


def _postprocess(
    document: Mapping[str, Any], command: HailomzCommand, script: Path | None
) -> dict[str, object]:
    task = _TASKS.get(str(_at(document, "info", "task") or "").strip().lower())
    section: dict[str, object] = {"task": task or "auto"}
    if _at(document, "postprocessing", "device_pre_post_layers", "softmax"):
        section["softmax"] = True
    if task != "detection":
        return section
    nms: dict[str, object] = {}
    on_chip = _at(document, "postprocessing", "device_pre_post_layers", "nms")
    in_hef = on_chip or _at(document, "postprocessing", "hpp")
    if in_hef is not None and not in_hef:
        nms["enabled"] = False
    for key, words in (
        ("score", "score_threshold"),
        ("iou", "nms_iou_thresh"),
        ("max_boxes", "nms_max_output_per_class"),
    ):
        value = _at(document, "postprocessing", words)
        if value is not None:
            nms[key] = value
    classes = command.classes or _at(document, "evaluation", "classes")
    if classes:
        nms["classes"] = int(classes)
    config = _nms_config(script)
    if config is not None:
        nms["config"] = config.as_posix()
    if nms:
        section["nms"] = nms
    return section


def _nms_config(script: Path | None) -> Path | None:
    """Return the NMS JSON that a model script names, when it lies where the script says."""
    if script is None or not script.is_file():
        return None
    match = _NMS.search(read_regular(script).decode("utf-8", "replace"))
    if match is None or "$" in match.group(1):
        return None
    found = (script.parent / match.group(1)).resolve()
    return found if found.is_file() else None
