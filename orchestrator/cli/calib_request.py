"""From a recipe, or a bare source, to the request that the calibration package takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, HefsmithError
from orchestrator.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hefsmith_worker.calibration import CalibrationError, CalibrationRequest, InputSpec
    from hefsmith_worker.contract.documents import TensorFacts

    from orchestrator.pipeline.inputs import BuildRequest
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.workspace import Workspace


@dataclass(frozen=True)
class Wanted:
    """What to look at: ``name`` for files and headings, and the request."""

    name: str
    request: CalibrationRequest


def need_libraries() -> None:
    """Raise :class:`ConfigError` when the host cannot open pictures."""
    try:
        import numpy  # noqa: F401, ICN001
        import PIL  # noqa: F401
    except ImportError as error:
        msg = f"looking at pictures on this machine needs {error.name}, which is not installed"
        raise ConfigError(msg, hint=install_command("emulator"), code="calib.library") from None


def as_hefsmith_error(error: CalibrationError) -> HefsmithError:
    """Return a calibration error as one that the command line prints."""
    return ConfigError(error.message, hint=error.fix, code=error.code)


def from_model(workspace: Workspace, loaded: LoadedRecipe, count: int | None) -> Wanted:
    """Return the request of a recipe, with the paths of this machine."""
    from hefsmith_worker.calibration import CalibrationRequest, read_sources

    from orchestrator.pipeline.inputs import collect

    build = collect(loaded, workspace.root, loaded.recipe.arch[0])
    wanted = build.parameters["calibrate"]
    model = _onnx_file(workspace, loaded)
    validation = wanted.get("validation")
    request = CalibrationRequest(
        inputs=tuple(_inputs(loaded, wanted["preprocessing"], model)),
        sources=read_sources(_on_this_machine(wanted["sources"], build)),
        count=count or wanted["count"],
        minimum=wanted["minimum"],
        seed=wanted["seed"],
        level=build.parameters["optimize"]["level"],
        validation=read_sources(_on_this_machine(validation, build)) if validation else None,
        script=tuple(wanted["script"]),
        drop_duplicates=wanted["deduplicate"],
        model=None if model is None else str(model),
        labels=tuple(wanted.get("labels", ())),
        task=wanted.get("task"),
    )
    return Wanted(loaded.name, request)


def from_source(path: str, size: str | None, color: str, count: int | None) -> Wanted:
    """Return a request for a bare source; arrays and pictures are looked at as they are."""
    from hefsmith_worker.calibration import CalibrationRequest, InputSpec, Source
    from hefsmith_worker.contract.options import CALIBRATION
    from hefsmith_worker.pictures import Preprocess, PreprocessError

    sides = parse_size(size) if size else _sides_of(Path(path)) or [640, 640]
    try:
        preprocess = Preprocess.from_dict({"size": sides, "color": color, "resize": "letterbox"})
    except PreprocessError as error:
        raise ConfigError(str(error), code="usage") from None
    name = Path(path.rstrip("/\\*?")).stem or "source"
    request = CalibrationRequest(
        (InputSpec("image", preprocess),),
        {"*": Source(path)},
        count=count or CALIBRATION.count,
        minimum=1,
    )
    return Wanted(name, request)


def _sides_of(path: Path) -> list[int] | None:
    """Return the height and width of an array's pictures: no network is known that takes others."""
    import numpy as np

    if path.suffix.lower() != ".npy" or not path.is_file():
        return None
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):
        # What is wrong with the file is told by who reads it.
        return None
    if len(shape) != 4 or not 0 < shape[3] <= 4:
        return None
    return [int(side) for side in shape[1:3]]


def parse_size(text: str) -> list[int]:
    """Read ``640`` or ``480x640`` (height x width)."""
    parts = text.lower().split("x")
    if len(parts) in (1, 2) and all(part.isdigit() and int(part) > 0 for part in parts):
        numbers = [int(part) for part in parts]
        return numbers * 2 if len(numbers) == 1 else numbers
    msg = f"--size: {text!r} is not a size; use 640, or 480x640 for height and width"
    raise ConfigError(msg, code="usage")


def _inputs(
    loaded: LoadedRecipe, preprocessing: Mapping[str, Any], model: Path | None
) -> list[InputSpec]:
    """Return how each network input is prepared; shapes come from the recipe or the ONNX file."""
    from hefsmith_worker.golden import input_specs
    from hefsmith_worker.protocol import StageError

    shapes: list[TensorFacts] = [
        {"name": name, "shape": list(shape)} for name, shape in loaded.recipe.inputs.items()
    ]
    try:
        if model is not None:
            shapes = _shapes_of(model) or shapes
        if not shapes:
            msg = f"{loaded.document.path}: inputs: needed to look at pictures before a build"
            raise ConfigError(msg, hint="Write inputs: {name: [1, 3, height, width]}.")
        return input_specs(preprocessing, shapes)
    except StageError as error:
        raise ConfigError(str(error), hint=error.fix or None, code=error.code) from None


def _shapes_of(model: Path) -> list[TensorFacts]:
    """Return the inputs that an ONNX file declares; none when it cannot be read here."""
    try:
        import onnx
        from hefsmith_worker import onnx_files

        inputs = onnx_files.describe(onnx.load(str(model), load_external_data=False))["inputs"]
    except ImportError:
        return []
    except Exception as error:
        msg = f"{model}: not an ONNX file that can be read: {str(error)[:200]}"
        raise ConfigError(msg, code="onnx") from None
    known = [entry for entry in inputs if all(isinstance(side, int) for side in entry["shape"])]
    return known if len(known) == len(inputs) else []


def _onnx_file(workspace: Workspace, loaded: LoadedRecipe) -> Path | None:
    """Return the recipe's ONNX file, else the one of the last build, for the float test."""
    from orchestrator.project.settings import resolve

    if loaded.recipe.source.onnx is not None:
        path = loaded.path(loaded.recipe.source.onnx)
        return path if path.is_file() else None
    built = sorted(
        (resolve(workspace).artifacts_of(workspace) / loaded.name).glob("*/model.onnx"),
        key=lambda path: path.stat().st_mtime,
    )
    return built[-1] if built else None


def _on_this_machine(sources: Any, build: BuildRequest) -> Any:
    """Replace names of materials at the start of paths by where the materials are."""
    if not isinstance(sources, dict):
        return sources
    found = {}
    for key, value in sources.items():
        if isinstance(value, dict):
            found[key] = _on_this_machine(value, build)
        elif key in ("path", "images", "masks") and isinstance(value, str):
            found[key] = _material_path(value, build)
        elif key == "mounts":
            found[key] = [(there, _material_path(here, build)) for there, here in value]
        else:
            found[key] = value
    return found


def _material_path(written: str, build: BuildRequest) -> str:
    for material in build.materials:
        if written == material.name:
            return str(material.path)
        if written.startswith(material.name + "/"):
            return str(material.path / written[len(material.name) + 1 :])
    return written
