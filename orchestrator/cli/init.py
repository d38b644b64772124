"""``hef init``: write a recipe for a network that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.project.starter import Network, Pictures


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", epilog="Example: hef init plates --onnx plates.onnx --calib photos/")(init)


def init(
    name: Annotated[str, typer.Argument(help="Name of the model: models/NAME/model.yaml.")],
    onnx: Annotated[Path | None, typer.Option(help="Network as ONNX.")] = None,
    torch: Annotated[
        str | None, typer.Option(help="Network as torch code.", metavar="FILE.py:FACTORY")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint: of --torch, or one that holds its network.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="Input of --torch: channels, height, width.", metavar="C,H,W")
    ] = "3,224,224",
    tflite: Annotated[Path | None, typer.Option(help="Network as TFLite.")] = None,
    keras: Annotated[Path | None, typer.Option(help="Network as a .keras or .h5 file.")] = None,
    saved_model: Annotated[
        Path | None, typer.Option(help="Network as a SavedModel's folder.")
    ] = None,
    from_hailomz: Annotated[
        str | None, typer.Option(help="A hailomz command line to write as a recipe.")
    ] = None,
    calib: Annotated[Path | None, typer.Option(help="Calibration pictures.")] = None,
    arch: Annotated[str, typer.Option(help="Chip.")] = "hailo8l",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing recipe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write models/NAME/model.yaml with what the network's graph tells."""
    from orchestrator.errors import ConfigError
    from orchestrator.project.recipe import MODEL_NAME
    from orchestrator.project.workspace import open_workspace

    if not MODEL_NAME.match(name):
        msg = "the name of a model has letters, digits, - and _ only, and starts with a letter"
        raise ConfigError(msg, code="init.name")
    tensorflow = {"tflite": tflite, "keras": keras, "saved_model": saved_model}
    given = [one for one in (onnx, torch, from_hailomz, *tensorflow.values()) if one is not None]
    if len(given) > 1 or (not given and weights is None):
        msg = "give one of --onnx, --torch, --tflite, --keras, --saved-model and --from-hailomz"
        raise ConfigError(msg, hint=f"hef init {name} --onnx FILE", code="init.source")
    if weights is not None and given and torch is None:
        msg = "--weights goes with --torch, or stands alone"
        raise ConfigError(msg, code="init.source")
    target = open_workspace().models / name / "model.yaml"
    if target.exists() and not force:
        msg = f"{target} is there already"
        raise ConfigError(msg, hint="--force replaces it", code="init.exists")
    if from_hailomz is not None:
        recipe, network, notes = _from_hailomz(from_hailomz, target.parent)
    elif onnx is not None:
        network = _network(onnx)
        recipe = _started({"onnx": _relative(onnx, target.parent)}, network, calib, arch, target)
        notes = _notes(calib)
    elif weights is not None and torch is None:
        recipe, network, notes = _from_checkpoint(weights, size, calib, arch, target)
    elif torch is None:
        kind, path = next((kind, path) for kind, path in tensorflow.items() if path is not None)
        network = _from_tensorflow(kind, path)
        recipe = _started({kind: _relative(path, target.parent)}, network, calib, arch, target)
        notes = _notes(calib)
    else:
        recipe, network, notes = _from_torch(torch, weights, size, calib, arch, target)
    _write(target, recipe, network, notes, as_json=as_json)


def _from_tensorflow(kind: str, path: Path) -> Network:
    """Return what the network's file tells; only TFLite is read without TensorFlow."""
    from hefsmith_worker.tflite_file import TfliteError, plain_name, read_network

    from orchestrator.errors import ConfigError, escape_control
    from orchestrator.project.starter import Network

    if not path.exists():
        msg = f"{path} is not there"
        raise ConfigError(msg, code="init.file")
    if kind != "tflite":
        return Network()
    try:
        found = read_network(path)
    except (TfliteError, OSError) as error:
        raise ConfigError(escape_control(str(error)), code="init.tflite") from None
    shapes = {
        plain_name(one.name): (1, one.shape[3], one.shape[1], one.shape[2])
        for one in found.inputs
        if len(one.shape) == 4 and min(one.shape[1:]) > 0
    }
    return Network(shapes)


def _from_torch(
    factory: str,
    weights: Path | None,
    size: str,
    calib: Path | None,
    arch: str,
    target: Path,
) -> tuple[dict[str, Any], Network, list[str]]:
    from orchestrator.errors import ConfigError
    from orchestrator.project.starter import Network

    file, colon, function = factory.rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        msg = "--torch takes FILE.py:FACTORY, such as model.py:build"
        raise ConfigError(msg, code="init.torch")
    for path in (Path(file), weights):
        if path is not None and not path.is_file():
            msg = f"{path} is not there"
            raise ConfigError(msg, code="init.file")
    network = Network({"image": _picture(size)})
    source = {"torch": f"{_relative(Path(file), target.parent)}:{function}"}
    if weights is not None:
        source["weights"] = _relative(weights, target.parent)
    return _started(source, network, calib, arch, target), network, _notes(calib)


def _from_checkpoint(
    weights: Path, size: str, calib: Path | None, arch: str, target: Path
) -> tuple[dict[str, Any], Network, list[str]]:
    """Write a recipe for a checkpoint that holds its network; what is in it is not run."""
    from orchestrator.errors import ConfigError
    from orchestrator.project.checkpoint import read_checkpoint
    from orchestrator.project.starter import Network, ultralytics_recipe

    if not weights.is_file():
        msg = f"{weights} is not there"
        raise ConfigError(msg, code="init.file")
    found = read_checkpoint(weights)
    name = _relative(weights, target.parent)
    if found.kind == "ultralytics" and found.task is not None:
        recipe = ultralytics_recipe(name, found.task, pictures=_pictures(calib, target), arch=arch)
        shape = tuple(recipe["inputs"]["images"])
        return recipe, Network({"images": shape}), _notes(calib)
    if found.kind == "torchscript":
        network = Network({"image": _picture(size)})
        return _started({"weights": name}, network, calib, arch, target), network, _notes(calib)
    what = "a network of " + ", ".join(found.classes[:3]) if found.classes else "weights alone"
    msg = f"{weights} holds {what}: the code that defines the network is needed too"
    hint = f"hef init {target.parent.name} --torch FILE.py:FACTORY --weights {weights}"
    raise ConfigError(msg, hint=hint, code="init.weights")


def _picture(size: str) -> tuple[int, ...]:
    """Return (1, C, H, W) for what ``--size`` says."""
    from orchestrator.errors import ConfigError

    try:
        shape = (1, *(int(side) for side in size.split(",")))
    except ValueError:
        shape = ()
    if len(shape) != 4 or min(shape) < 1:
        msg = "--size takes channels, height and width, such as 3,224,224"
        raise ConfigError(msg, code="init.size")
    return shape


def _from_hailomz(line: str, folder: Path) -> tuple[dict[str, Any], Network, list[str]]:
    from orchestrator.project.starter import Network
    from orchestrator.project.zoo import load_zoo_yaml, parse_hailomz, recipe_from_zoo
    from orchestrator.project.zoo_source import recipe_of_command

    command = parse_hailomz(line)
    network = Network()
    if command.checkpoint is not None and command.checkpoint.suffix.lower() == ".onnx":
        network = _network(command.checkpoint)
    document, notes = ({}, []) if command.yaml is None else load_zoo_yaml(command.yaml)
    where = None if command.yaml is None else command.yaml.parent
    made = recipe_from_zoo(document, folder=where, command=command)
    recipe = recipe_of_command(command, made)
    if command.yaml is None:
        notes.append("a zoo network by name needs the suite: its YAML and script are inside it")
    else:
        recipe["source"]["zoo"] = _relative(command.yaml, folder)
        notes.extend(made.notes)
    _make_relative(recipe, folder)
    pictures = [shape for shape in network.inputs.values() if len(shape) == 4]
    size = made.recipe["preprocessing"].get("size")
    if command.yaml is not None and len(pictures) == 1 and size != list(pictures[0][2:]):
        notes.append(f"the network's own input is {pictures[0][2]} x {pictures[0][3]}: used here")
        recipe["preprocessing"] = {"size": list(pictures[0][2:])}
    return recipe, network, notes


def _make_relative(recipe: dict[str, Any], folder: Path) -> None:
    """Let the recipe's paths start where the recipe is; hailomz's start where it is run."""
    places = [
        (recipe.get("source", {}), ("weights",)),
        (recipe.get("calibration", {}), ("source",)),
        (recipe.get("optimization", {}), ("script_file",)),
    ]
    for section, keys in places:
        for key in keys:
            if key in section and Path(section[key]).exists():
                section[key] = _relative(Path(section[key]), folder)


def _started(
    source: dict[str, Any], network: Network, calib: Path | None, arch: str, target: Path
) -> dict[str, Any]:
    from orchestrator.project.starter import starter_recipe

    return starter_recipe(source, network, pictures=_pictures(calib, target), arch=arch)


def _pictures(calib: Path | None, target: Path) -> Pictures:
    """Return what the folder of pictures shows, as the recipe in ``target`` names it."""
    from orchestrator.project.picture_folder import look
    from orchestrator.project.starter import Pictures

    if calib is None:
        return Pictures()
    found = look(calib)
    held_out = None if found.held_out is None else _relative(found.held_out, target.parent)
    return Pictures(_relative(found.calibration, target.parent), held_out, found.classes)


def _notes(calib: Path | None) -> list[str]:
    return [] if calib is not None else ["calibration.source is a guess: name your pictures"]


def _network(path: Path) -> Network:
    """Read inputs and head of an ONNX file."""
    from hefsmith_worker.graph import GraphError
    from hefsmith_worker.graph.analysis import analyse_graph
    from hefsmith_worker.graph.model import read_graph

    from orchestrator.errors import ConfigError, escape_control
    from orchestrator.project.starter import Network, inputs_as_built

    try:
        graph = read_graph(path)
        return Network(inputs_as_built(graph), analyse_graph(graph).to_dict())
    except GraphError as error:
        raise ConfigError(escape_control(str(error)), code="init.onnx") from None


def _relative(path: Path, folder: Path) -> str:
    import os

    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()


def _write(
    target: Path, recipe: dict[str, Any], network: Network, notes: list[str], *, as_json: bool
) -> None:
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.errors import ConfigError, escape_control
    from orchestrator.files import write_atomic
    from orchestrator.project.checking import Mistake, section_from
    from orchestrator.project.recipe import Recipe
    from orchestrator.project.starter import render_recipe

    try:
        section_from(recipe, Recipe)
    except Mistake as mistake:
        msg = f"no recipe comes of it: {mistake}"
        raise ConfigError(escape_control(msg), code="init.recipe") from None
    write_atomic(target, render_recipe(recipe, network, notes))
    if as_json:
        emit_json({"recipe": str(target), "head": dict(network.head) or None, "notes": notes})
        return
    for line in notes:
        note(f"note: {escape_control(line)}")
    print_result(escape_control(str(target)))
    note(f"next: check {target.name}, then hef up {target.parent.name}")
