"""``hef init``: write a recipe for a network that the user has, found by looking around."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.cli.asking import Asker
    from orchestrator.pipeline.start.first_recipe import Started
    from orchestrator.project.starter import Network
    from orchestrator.project.survey.folder import Folder, NetworkFile
    from orchestrator.project.survey.given import Given
    from orchestrator.project.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "init",
        epilog="Example: hef init     or: hef init plates --onnx plates.onnx --calib photos/",
    )(init)


def init(
    name: Annotated[
        str | None, typer.Argument(help="Name of the model, or its network's file.")
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="Network as ONNX.")] = None,
    torch: Annotated[
        str | None, typer.Option(help="Network as torch code.", metavar="FILE.py:FACTORY")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint: of --torch, or one whose code is found.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Input of a torch network: channels, height, width.", metavar="C,H,W"),
    ] = None,
    tflite: Annotated[Path | None, typer.Option(help="Network as TFLite.")] = None,
    keras: Annotated[Path | None, typer.Option(help="Network as a .keras or .h5 file.")] = None,
    saved_model: Annotated[
        Path | None, typer.Option(help="Network as a SavedModel's folder.")
    ] = None,
    from_hailomz: Annotated[
        str | None, typer.Option(help="A hailomz command line to write as a recipe.")
    ] = None,
    calib: Annotated[Path | None, typer.Option(help="Calibration pictures.")] = None,
    arch: Annotated[str | None, typer.Option(help="Chip; default: hailo8l.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take the default of every question.")
    ] = False,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Run the network to learn its preprocessing.")
    ] = True,
    engine: Annotated[
        str | None, typer.Option(help="Where it is run: auto, docker, local.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing recipe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ci: Annotated[
        str | None,
        typer.Option("--ci", metavar="github|gitlab", help="Write a CI workflow instead."),
    ] = None,
) -> None:
    """Look around in this folder and write a recipe that builds."""
    if ci is not None:
        from orchestrator.cli.workflow import write

        write(ci, force=force, as_json=as_json)
        return
    from orchestrator.cli.asking import Asker
    from orchestrator.errors import ConfigError
    from orchestrator.project.recipe import MODEL_NAME
    from orchestrator.project.workspace import open_workspace

    files = {
        "onnx": onnx, "tflite": tflite, "keras": keras, "saved_model": saved_model,
        "weights": weights,
    }  # fmt: skip
    named = {kind: path for kind, path in files.items() if path is not None}
    if name is not None and not named and (kind := _kind_of(name)) is not None:
        # A network in the place of a name is what many write.
        named, name = {kind: Path(name)}, None
    if name is not None and not MODEL_NAME.match(name):
        msg = (
            "the name of a model has letters, digits, - and _ only, starts with a letter, and is "
            "not a device of Windows (con, aux, nul)"
        )
        hint = "A network's file may stand there instead: hef init net.onnx"
        raise ConfigError(msg, hint=hint, code="init.name")
    if len(named) + (from_hailomz is not None) > 1 or (torch is not None and named and not weights):
        msg = "give one of --onnx, --torch, --tflite, --keras, --saved-model and --from-hailomz"
        raise ConfigError(msg, hint="--weights goes with --torch", code="init.source")
    workspace = open_workspace()
    if from_hailomz is not None:
        _from_hailomz(from_hailomz, name, workspace, arch, force=force, as_json=as_json)
        return
    ask = Asker(yes=yes or as_json)
    folder = _look_around(workspace, Path.cwd())
    network = _chosen(named, torch, folder, ask)
    given = _given(network, name, torch, size, calib, arch, folder, run=run)
    target = workspace.models / given.name / "model.yaml"
    _refuse_existing(target, force=force)
    started = _start(given, folder, engine, ask)
    _write(workspace, target, started, as_json=as_json)


#: What a network's file is called at its end, and which option takes it.
_ENDINGS = {
    ".onnx": "onnx", ".tflite": "tflite", ".keras": "keras", ".h5": "keras", ".pt": "weights",
    ".pth": "weights", ".ckpt": "weights", ".safetensors": "weights", ".pt2": "weights",
}  # fmt: skip


def _kind_of(name: str) -> str | None:
    """Return which kind of network a word names, ``None`` where it is a name."""
    if (Path(name) / "saved_model.pb").is_file():
        return "saved_model"
    from hefsmith_worker.packed_weights import is_checkpoint, packed

    from orchestrator.inspect.source_files import ending_of

    path = Path(name)
    found = _ENDINGS.get(ending_of(path))
    if found is None and path.is_file() and (is_checkpoint(path) or packed(path) is not None):
        return "weights"
    return found


def _look_around(workspace: Workspace, here: Path) -> Folder:
    from orchestrator.project.survey.folder import look_around
    from orchestrator.project.workspace import BUNDLED_MODEL

    # Among its recipes a user may keep weights and code of their own. The demo's pictures are ours.
    demo = workspace.calibration / BUNDLED_MODEL
    return look_around(here, recipes=workspace.models, skipping=(demo,))


def _refuse_existing(target: Path, *, force: bool) -> None:
    from orchestrator.errors import ConfigError

    if target.exists() and not force:
        msg = f"{target} already exists"
        hint = f"--force replaces it; hef up {target.parent.name} builds it"
        raise ConfigError(msg, hint=hint, code="init.exists")


def _chosen(
    named: Mapping[str, Path], torch: str | None, folder: Folder, ask: Asker
) -> NetworkFile:
    """Return the network that was named, else the one that is found."""
    from orchestrator.errors import ConfigError
    from orchestrator.inspect.checkpoint import Checkpoint, read_checkpoint
    from orchestrator.inspect.mistaken import refuse_damaged
    from orchestrator.inspect.source_files import CHECKPOINTS, ending_of
    from orchestrator.project.survey.folder import NetworkFile

    for kind, path in named.items():
        if not path.exists():
            msg = f"{path} does not exist"
            raise ConfigError(msg, code="init.file")
        if kind != "weights":
            return NetworkFile(kind, path)
        refuse_damaged(path)
        plain = path.suffix.lower() == ".safetensors"
        return NetworkFile(
            "weights", path, Checkpoint("weights") if plain else read_checkpoint(path)
        )
    _say_found(folder)
    if torch is not None:
        file = Path(torch.rpartition(":")[0])
        if not file.is_file():
            msg = "--torch takes FILE.py:FACTORY, such as model.py:build"
            raise ConfigError(msg, code="init.torch")
        return NetworkFile("weights", file, None)
    if not folder.networks:
        raise _nothing(folder)
    chosen = _one_of(folder, ask)
    if chosen.kind == "weights":
        refuse_damaged(chosen.path)
    if chosen.checkpoint is not None and ending_of(chosen.path) in CHECKPOINTS:
        read_checkpoint(chosen.path)  # the search goes on past one that starts a program
    return chosen


def _say_found(folder: Folder) -> None:
    from orchestrator.cli.output import note
    from orchestrator.errors import escape_control

    def below(path: Path) -> str:
        return escape_control(path.relative_to(folder.root).as_posix() or ".")

    note(f"looked around in {escape_control(str(folder.root))}:")
    lines = [("network", f"{below(one.path)}  ({one.words})") for one in folder.networks[:6]]
    kinds = {"classes": "in class folders", "yolo": "a YOLO data set", "coco": "a COCO data set"}
    for one in folder.pictures[:3]:
        count = f"{one.count} pictures" if one.count else ""
        what = " ".join(part for part in (count, kinds.get(one.kind, "")) if part)
        lines.append(("pictures", f"{below(one.path)}  ({what})"))
    lines += [
        ("arrays", f"{below(one.path)}  ({one.count} in class folders)")
        for one in folder.array_sets[:2]
    ]
    lines += [("labels", below(path)) for path in (*folder.labels, *folder.tables)[:3]]
    lines += [("code", below(path)) for path in folder.scripts[:4]]
    lines += [("hailomz", f"{below(path)}  (hef init --from-hailomz)") for path in folder.zoo[:2]]
    for title, text in lines:
        note(f"  {title:<9} {text}")
    if folder.cut_short:
        note("  ... and more: this folder is too large to be looked through")


def _nothing(folder: Folder) -> Exception:
    from orchestrator.errors import ConfigError

    msg = f"no network was found in {folder.root} or below"
    hint = (
        "Copy your checkpoint (.pt, .pth, .safetensors), .onnx or .tflite file here, and run "
        "hef init again,\nor name it: hef init NAME --onnx FILE\n"
        "or try the bundled demo: hef up digits"
    )
    if folder.zoo:
        hint = (
            f'For a YAML of the Model Zoo: hef init NAME --from-hailomz "hailomz compile --ckpt '
            f'FILE.onnx --yaml {folder.zoo[0].name} --calib-path DIR"\n{hint}'
        )
    elif folder.hefs:
        hint = (
            f"{folder.hefs[0].name} is compiled already: hef inspect {folder.hefs[0].name}\n{hint}"
        )
    return ConfigError(msg, hint=hint, code="init.nothing")


def _one_of(folder: Folder, ask: Asker) -> NetworkFile:
    from orchestrator.project.survey.folder import model_name
    from orchestrator.project.survey.questions import Question

    best = folder.networks[0]
    names = {model_name(one.path, folder.root) for one in folder.networks}
    if len(names) < 2:
        return best
    options = tuple(
        (str(number), f"{one.path.relative_to(folder.root).as_posix()} ({one.words})")
        for number, one in enumerate(folder.networks[:8])
    )
    reason = "several are here; the first is whole, or the newest"
    question = Question("network", "Which network?", options, "0", reason)
    return folder.networks[int(ask(question))]


def _given(
    network: NetworkFile,
    name: str | None,
    torch: str | None,
    size: str | None,
    calib: Path | None,
    arch: str | None,
    folder: Folder,
    *,
    run: bool,
) -> Given:
    from orchestrator.project.survey.chosen import pictures_near
    from orchestrator.project.survey.folder import model_name
    from orchestrator.project.survey.given import Given

    inputs, head = _declared(network)
    return Given(
        network=network,
        name=name or model_name(network.path, folder.root),
        torch=torch,
        inputs=inputs,
        head=head,
        size=None if size is None else _shape(size),
        calibration=pictures_near(folder, calib),
        arch=arch,
        measure=run,
    )


def _shape(size: str) -> tuple[int, ...]:
    """Return (C, H, W) of what ``--size`` says, (L, C) for tokens or (F,) for features."""
    from orchestrator.errors import ConfigError

    try:
        shape = tuple(int(side) for side in size.split(","))
    except ValueError:
        shape = ()
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        msg = (
            "--size takes channels, height and width, such as 3,224,224; length and channels of "
            "tokens, such as 50,6; or a number of features, such as 12"
        )
        raise ConfigError(msg, code="init.size")
    return shape


def _declared(network: NetworkFile) -> tuple[dict[str, tuple[int, ...]], dict[str, object]]:
    """Return the inputs that a file states, read without the packages that made it."""
    if network.kind == "onnx":
        return _onnx_inputs(network.path, leave_open=True)
    if network.kind == "tflite":
        return _tflite_inputs(network.path), {}
    return {}, {}


def _onnx_inputs(
    path: Path, *, leave_open: bool = False
) -> tuple[dict[str, tuple[int, ...]], dict[str, object]]:
    """Return inputs and head of an ONNX file; sides of pictures that it leaves open may be 0."""
    from hefsmith_worker.contract.trials import OPEN_SIDE

    from orchestrator.errors import ConfigError, HefsmithError, escape_control
    from orchestrator.hef.errors import ModelFileError
    from orchestrator.inspect.onnx_file import read_onnx
    from orchestrator.project.starter import inputs_as_built

    try:
        from hefsmith_worker.graph import GraphError
        from hefsmith_worker.graph.analysis import analyse_graph
        from hefsmith_worker.graph.model import read_graph
    except ImportError:
        # The base installation has no onnx: what the look shows counts, where it can be had.
        model = read_onnx(path)
        found = {}
        for value in model.inputs:
            sides = [side if isinstance(side, int) else 0 for side in value.shape or ()]
            found[value.name] = tuple(sides)
        return found, {}
    try:
        graph = read_graph(path)
        inputs = inputs_as_built(graph)
        for name in graph.open_inputs if leave_open else ():
            shape = inputs[name]
            if len(shape) == 4:
                inputs[name] = (*shape[:2], *(0 if one == OPEN_SIDE else one for one in shape[2:]))
        return dict(inputs), dict(analyse_graph(graph).to_dict())
    except GraphError as error:
        try:
            read_onnx(path)
        except ModelFileError as other:
            # It is something else that is called so, or a part of a model.
            raise ConfigError(other.message, hint=other.hint, code="init.onnx") from None
        except HefsmithError:
            pass
        raise ConfigError(escape_control(str(error)), code="init.onnx") from None


def _tflite_inputs(path: Path) -> dict[str, tuple[int, ...]]:
    from hefsmith_worker.tflite_file import TfliteError, plain_name, read_network

    from orchestrator.errors import ConfigError, escape_control

    try:
        found = read_network(path)
    except OSError as error:
        msg = f"{escape_control(str(path))}: {error.strerror or error}"
        raise ConfigError(msg, code="init.tflite") from None
    except TfliteError as error:
        raise ConfigError(escape_control(str(error)), code="init.tflite") from None
    return {
        plain_name(one.name): (1, one.shape[3], one.shape[1], one.shape[2])
        for one in found.inputs
        if len(one.shape) == 4 and min(one.shape[1:]) > 0
    }


def _start(given: Given, folder: Folder, engine: str | None, ask: Asker) -> Started:
    from orchestrator.cli.display import open_display
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.start.first_recipe import start
    from orchestrator.project.survey.code import read_script

    scripts = [found for path in folder.scripts if (found := read_script(path)) is not None]
    with (
        open_display() as display,
        make_session({"engine": engine}, observer=display) as session,
    ):
        ask.around = display.paused
        return start(given, folder, scripts, session, ask)


def _write(workspace: Workspace, target: Path, started: Started, *, as_json: bool) -> None:
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.errors import escape_control
    from orchestrator.pipeline.start.files import write_started
    from orchestrator.project.trust import standing, trust

    fresh = not workspace.model_names()
    written = write_started(workspace, target, started)
    if fresh and standing(workspace.root).stranger:
        # Its only recipe is the user's own word; in a clone with recipes the others are not.
        trust(workspace.root)
    if as_json:
        emit_json(
            {
                "recipe": str(target),
                "files": [str(path) for path in written],
                "head": dict(started.network.head) or None,
                "preprocessing": started.recipe.get("preprocessing"),
                "found": list(started.said),
                "notes": list(started.notes),
            }
        )
        return
    for line in started.said:
        note(escape_control(line))
    for line in started.notes:
        note(f"note: {escape_control(line)}")
    for path in written:
        print_result(escape_control(str(path)))
    note(f"next: {escape_control(started.first) or f'hef up {target.parent.name}'}")


def _from_hailomz(
    line: str,
    name: str | None,
    workspace: Workspace,
    arch: str | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from orchestrator.pipeline.start.first_recipe import Started
    from orchestrator.pipeline.start.zoo import recipe_from_hailomz

    model, recipe, network, notes = recipe_from_hailomz(line, name, workspace, _network_of)
    if arch is not None:
        recipe["arch"] = [arch]
    target = workspace.models / model / "model.yaml"
    _refuse_existing(target, force=force)
    _write(workspace, target, Started(recipe, network, notes=tuple(notes)), as_json=as_json)
    _say_what_is_missing(model)


def _say_what_is_missing(model: str) -> None:
    """Tell what a build would lack, in its own words; the recipe is there to be completed."""
    from orchestrator.cli.output import note
    from orchestrator.cli.up import make_session
    from orchestrator.errors import ConfigError, escape_control

    with make_session({}) as session:
        try:
            loaded = session.workspace.recipe(model)
            session.full(loaded, loaded.recipe.arch[0])
        except ConfigError as error:
            note(f"it does not build yet: {escape_control(error.message)}")
            for line in (error.hint or "").splitlines():
                note(f"  {escape_control(line)}")


def _network_of(path: Path) -> Network:
    from orchestrator.project.starter import Network

    inputs, head = _onnx_inputs(path)
    return Network(inputs, head)
