"""From a recipe to what a build is made of: files to hand over and parameters of each stage.

Pure but for looking whether the files exist: every path that the recipe names is found here,
so that a missing one is told with its line in the recipe before anything starts.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hefsmith_worker.contract import names, stages
from hefsmith_worker.contract.options import (
    AnalyzeOptions,
    CalibrationOptions,
    ExportOptions,
    NmsOptions,
    OptimizeOptions,
    Options,
)
from hefsmith_worker.contract.stages import ANALYSIS, HEF

from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.identity import TENSORFLOW_PACKAGES
from orchestrator.project.recipe import Preprocessing, SourceOptions
from orchestrator.reading import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch, PictureSource, Recipe, Source
    from orchestrator.project.section import Section

#: More than a factory's code can be.
SOURCE_FILES = 2000
SOURCE_BYTES = 32 << 20
#: Kinds of source that TensorFlow reads.
TENSORFLOW_KINDS = frozenset({"tflite", "keras", "saved_model"})

_GLOB = re.compile(r"[*?\[]")
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://")

#: Sources that name other files beside themselves, so their folder goes along.
_LISTS = frozenset({".txt", ".csv", ".json", ".yaml", ".yml"})

Group = TypeVar("Group", bound=Options)


@dataclass(frozen=True)
class BuildInput:
    """One input of a build: the name that the worker knows, and where it is on this machine.

    ``files`` limits a folder to these relative names (the factory's own code).
    """

    name: str
    path: Path
    files: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BuildRequest:
    """Everything that decides a build, before any cache or engine is looked at.

    ``used_by`` says which materials' content goes into which stage's key, ``goal`` what it is
    for: a HEF, or an analysis of the quantised network. ``untrusted`` is code of a stranger's
    project, in words, that runs in a box alone, ``project`` the folder to trust for it.
    """

    model: str
    arch: Arch
    net_name: str
    materials: tuple[BuildInput, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    used_by: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    trust_pickle: bool = False
    untrusted: tuple[str, ...] = ()
    project: Path | None = None
    goal: str = HEF

    def analysis(self, options: AnalyzeOptions) -> BuildRequest:
        """Return the request for an analysis of the same network."""
        own = {**self.parameters["analyze"], **options.plain()}
        parameters = {**self.parameters, "analyze": own}
        return replace(self, goal=ANALYSIS, parameters=parameters)

    @property
    def tensorflow(self) -> bool:
        """Whether the network comes from TensorFlow: it is read with other libraries."""
        return self.parameters["export"]["source"]["kind"] in TENSORFLOW_KINDS


class _Collector:
    """Gathers materials under names that do not collide."""

    def __init__(self, loaded: LoadedRecipe, project: Path) -> None:
        self.loaded = loaded
        self.project = project
        self.materials: dict[str, BuildInput] = {}

    def find(self, written: str, *location: str | int) -> Path:
        """Return a path of the recipe that exists, else say where it was looked for."""
        where = self.loaded.where(*location)
        field = ".".join(map(str, location))
        if "\0" in written or not written:
            msg = f"{where}: {field}: not a path"
            raise ConfigError(msg, code="recipe.path")
        candidates = [self.loaded.folder / Path(written).expanduser(), self.project / written]
        for candidate in candidates:
            try:
                if candidate.exists():
                    return candidate.resolve()
            except OSError:
                continue
        msg = f"{where}: {field}: no such file or folder: {escape_control(written)}"
        looked = dict.fromkeys(str(candidate.resolve()) for candidate in candidates)
        raise ConfigError(
            msg, hint="Looked for " + "\nand for ".join(looked), code="recipe.missing"
        )

    def add(self, name: str, path: Path, files: tuple[str, ...] | None = None) -> str:
        """Hand over a file or folder under ``name``; the same path keeps its first name."""
        for material in self.materials.values():
            if material.path == path and material.files == files:
                return material.name
        # A file of the user may be called as no input can be; it is lent under another name.
        name = names.tame(name)
        free, number = name, 2
        while free in self.materials:
            stem, dot, suffix = name.partition(".")
            free, number = f"{stem}-{number}{dot}{suffix}", number + 1
        self.materials[free] = BuildInput(free, path, files)
        return free


def collect(loaded: LoadedRecipe, project: Path, arch: Arch) -> BuildRequest:
    """Return the request for one model and chip.

    Raises :class:`ConfigError` for every path that is not there.
    """
    recipe = loaded.recipe
    collector = _Collector(loaded, project)
    source, source_names = _network(collector)
    labels = _labels(collector)
    preprocessing = _preprocessing(loaded)
    calibration, calibration_names = _pictures(
        collector, recipe.calibration.source, "calibration", ("calibration", "source")
    )
    origin = "validation" if recipe.validation.source is not None else "calibration"
    if recipe.validation.source is not None:
        samples, sample_names = _pictures(
            collector, recipe.validation.source, "validation", ("validation", "source")
        )
    else:
        samples, sample_names = calibration, calibration_names
    task = None if recipe.postprocess.task == "auto" else recipe.postprocess.task
    nms = _group(recipe.postprocess.nms, NmsOptions)
    optimize_names: tuple[str, ...] = ()
    if nms.config is not None:
        config = collector.find(nms.config, "postprocess", "nms", "config")
        nms = replace(nms, config=collector.add(config.name, config))
        optimize_names = (str(nms.config),)
    script = _script(collector)
    optimization = recipe.optimization
    packages = _export_packages(recipe)
    parameters: dict[str, dict[str, Any]] = {
        "export": {
            "source": source,
            "inputs": {name: list(shape) for name, shape in recipe.inputs.items()},
            **_group(recipe.export, ExportOptions).plain(),
            "packages": packages,
        },
        "samples": {
            "source": source,
            "tolerance": recipe.export.tolerance,
            "packages": packages,
            "sources": samples,
            "origin": origin,
            "count": recipe.validation.samples,
            "seed": recipe.validation.seed,
            "labels": list(labels),
            "task": task,
            "preprocessing": preprocessing,
        },
        "calibrate": {
            "sources": calibration,
            "validation": samples if origin == "validation" else None,
            **_group(recipe.calibration, CalibrationOptions).plain(),
            "script": list(script),
            "labels": list(labels),
            "task": task,
            "preprocessing": preprocessing,
        },
        "parse": {
            "start_nodes": list(recipe.parser.start_nodes),
            "end_nodes": list(recipe.parser.end_nodes),
        },
        "optimize": replace(
            _group(optimization, OptimizeOptions),
            level=optimization.named_level,
            script=tuple(script),
            task=task,
            softmax=recipe.postprocess.softmax,
            nms=nms,
        ).plain(),
        "analyze": {**nms.plain(), **AnalyzeOptions().plain()},
        "compile": {},
        "evaluate": nms.plain(),
    }
    return BuildRequest(
        model=loaded.name,
        arch=arch,
        net_name=re.sub(r"[^A-Za-z0-9_]", "_", loaded.name),
        materials=tuple(collector.materials.values()),
        parameters={
            stage.name: {name: parameters[stage.name][name] for name in stage.options}
            for stage in stages.STAGES
        },
        used_by={
            "export": source_names,
            "samples": (*source_names, *sample_names),
            "calibrate": (*calibration_names, *sample_names),
            "parse": (),
            "optimize": optimize_names,
            "analyze": (),
            "compile": (),
            "evaluate": (),
        },
        labels=labels,
        trust_pickle=recipe.source.trust_pickle,
    )


def _group(section: Section, options: type[Group]) -> Group:
    """Return a section of the recipe as the options of the same names that a plan carries."""
    return options(
        **{
            one.name: getattr(section, one.name)
            for one in fields(options)
            if hasattr(section, one.name)
        }
    )


def _export_packages(recipe: Recipe) -> list[str]:
    if recipe.source.kind in TENSORFLOW_KINDS:
        return [*TENSORFLOW_PACKAGES, *recipe.export.packages]
    return list(recipe.export.needed)


def _network(collector: _Collector) -> tuple[dict[str, Any], tuple[str, ...]]:
    source = collector.loaded.recipe.source
    kind = source.kind
    if kind == "onnx":
        from hefsmith_worker.onnx_external import external_files

        assert source.onnx is not None
        path = collector.find(source.onnx, "source", "onnx")
        name = collector.add(path.name, path)
        beside = [
            collector.add(other, path.parent / other)
            for other in external_files(path)
            if _is_beside(collector, path, other)
        ]
        return {"kind": "onnx", "file": name}, (name, *beside)
    if kind in TENSORFLOW_KINDS:
        return _tensorflow(collector, kind)
    described: dict[str, Any] = {
        "kind": "torch",
        "kwargs": dict(source.kwargs),
        "trust_pickle": source.trust_pickle,
        "weights": None,
        "file": None,
    }
    names: list[str] = []
    if source.torch is not None:
        written, _, factory = source.torch.rpartition(":")
        file = collector.find(written, "source", "torch")
        files = _code_behind(file, source, collector.loaded.where("source", "torch"))
        name = collector.add("source", file.parent, files)
        described.update(file=f"{name}/{file.name}", factory=factory)
        names.append(name)
    if source.weights is not None:
        path = collector.find(source.weights, "source", "weights")
        described["weights"] = collector.add(path.name, path)
        names.append(described["weights"])
    return described, tuple(names)


def _is_beside(collector: _Collector, model: Path, name: str) -> bool:
    """Tell whether weights that an ONNX file names are there; refuses what is not beside it."""
    fault = names.fault(name)
    if fault is not None or len(names.parts(name)) > 1:
        what = "that is not beside it" if fault is None else f"whose name {fault}"
        where = collector.loaded.where("source", "onnx")
        msg = (
            f"{where}: source.onnx: {escape_control(model.name)} keeps weights in a file "
            f"{what}: {names.shown(name)}"
        )
        hint = (
            "Weights must lie in the model's own folder. If you do not know who made the file,\n"
            "do not use it; else save it anew: onnx.save(onnx.load(FILE), FILE)."
        )
        raise ConfigError(msg, hint=hint, code="onnx.external-data")
    return (model.parent / name).is_file()


def _tensorflow(collector: _Collector, kind: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a TensorFlow source; what is wrong with its file is told before anything starts."""
    from hefsmith_worker.tflite_file import TfliteError, read_network

    source = collector.loaded.recipe.source
    path = collector.find(str(getattr(source, kind)), "source", kind)
    wrong = hint = None
    if kind == "saved_model":
        if not (path / "saved_model.pb").is_file():
            wrong = f"{path.name} is not a SavedModel (a folder with saved_model.pb)"
            hint = "Write one with model.export(folder) or tf.saved_model.save(model, folder)."
    elif not path.is_file():
        wrong = f"{path.name} is not a file"
    elif kind == "keras" and path.suffix not in (".keras", ".h5", ".hdf5"):
        wrong = f"{path.name} is not a Keras file (.keras or .h5)"
        hint = "Keras tells its formats by the name's ending."
    elif kind == "tflite":
        try:
            quantised = read_network(path).quantised
        except TfliteError as error:
            wrong = str(error)
        except OSError as error:
            wrong = f"{path.name} cannot be read: {error.strerror}"
        else:
            if quantised:
                wrong = f"{path.name} is quantised already ({len(quantised)} tensors)"
                hint = (
                    "Hailo's compiler quantises the network itself and needs it in floating\n"
                    "point: convert it without converter.optimizations, or with float16 only."
                )
    if wrong is not None:
        where = collector.loaded.where("source", kind)
        msg = f"{where}: source.{kind}: {escape_control(wrong)}"
        raise ConfigError(msg, hint=hint, code="recipe.tensorflow")
    name = collector.add(path.name, path)
    return {"kind": kind, "file": name, "trust_pickle": source.trust_pickle}, (name,)


def _code_behind(file: Path, source: Source, where: str) -> tuple[str, ...]:
    """Return the factory's code: small text files, by their names below its folder."""
    from orchestrator.pipeline.factory_code import factory_files

    texts = [value for value in source.kwargs.values() if isinstance(value, str)]
    found = factory_files(file, texts, everything=source.trust_pickle)
    total = sum((file.parent / name).stat().st_size for name in found)
    if len(found) > SOURCE_FILES or total > SOURCE_BYTES:
        msg = (
            f"{where}: source.torch: the folder {file.parent} has more code than a model "
            f"needs (over {SOURCE_FILES} files or {SOURCE_BYTES >> 20} MiB)"
        )
        raise ConfigError(msg, hint="Put the model's files into a folder of their own.")
    return found


def _labels(collector: _Collector) -> tuple[str, ...]:
    labels = collector.loaded.recipe.postprocess.labels
    if labels is None:
        return ()
    if isinstance(labels, tuple):
        return labels
    path = collector.find(labels, "postprocess", "labels")
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        where = collector.loaded.where("postprocess", "labels")
        msg = f"{where}: postprocess.labels: {path} is not a text file with one label a line"
        raise ConfigError(msg) from error
    return tuple(line.strip() for line in lines if line.strip())


def _preprocessing(loaded: LoadedRecipe) -> dict[str, Any]:
    given = loaded.recipe.preprocessing
    if isinstance(given, Preprocessing):
        return {"shared": given.plain(skip_none=True)}
    return {"by_input": {name: entry.plain(skip_none=True) for name, entry in given.items()}}


def _pictures(
    collector: _Collector, source: PictureSource, name: str, location: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a source as the worker reads it, and the names of the materials in it."""
    if isinstance(source, dict):
        described: dict[str, Any] = {}
        names: list[str] = []
        for key, value in source.items():
            one, used = _one_source(collector, value, f"{name}-{key}", (*location, key))
            described[key] = one
            names.extend(used)
        return described, tuple(names)
    return _one_source(collector, source, name, location)


def _one_source(
    collector: _Collector, source: str | SourceOptions, name: str, location: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    options = source if isinstance(source, SourceOptions) else SourceOptions(path=source)
    described = options.plain(skip_none=True)
    written = options.path
    if _REMOTE.match(written):
        return _remote(collector, described, name, location)
    names: list[str] = []
    if _GLOB.search(written):
        described["path"], used = _glob(collector, written, name, location)
        names.append(used)
    else:
        path = collector.find(written, *location)
        if path.is_file() and path.suffix.lower() in _LISTS:
            folder = collector.add(name, path.parent)
            described["path"] = f"{folder}/{path.name}"
            mounts, places = _pointed_to(collector, options, path, name, folder)
            if mounts:
                described["mounts"] = mounts
            names += [folder, *places]
        elif (root := _yolo_root(path)) is not None:
            folder = collector.add(name, root)
            described["path"] = f"{folder}/{path.relative_to(root).as_posix()}"
            names.append(folder)
        else:
            suffix = "".join(path.suffixes[-2:]) if path.is_file() else ""
            described["path"] = collector.add(f"{name}{suffix}", path)
            names.append(described["path"])
    for key in ("images", "masks"):
        folder_named = getattr(options, key)
        if folder_named is not None:
            found = collector.find(folder_named, *location, key)
            described[key] = collector.add(f"{name}-{key}", found)
            names.append(described[key])
    return described, tuple(names)


def _pointed_to(
    collector: _Collector, options: SourceOptions, path: Path, name: str, own: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """Hand over the folders that a list or data set points into, besides its ``own``.

    Returns pairs (as written, as handed) and the names of what was handed over. Where all is
    said relative to the file so are the pairs: such a set means the same on every machine.
    """
    from hefsmith_worker.calibration import CalibrationError, Source, look_around

    source = Source.from_value({**options.plain(skip_none=True), "path": str(path)})
    try:
        around = look_around(source)
    except CalibrationError as error:
        raise ConfigError(error.message, hint=error.fix, code=error.code) from error
    handed = {
        folder: collector.add(f"{name}-{index}", Path(folder))
        for index, folder in enumerate(around.outside, 1)
    }
    base = path.parent if around.relative else None
    mounts = [(_written(folder, base), place) for folder, place in handed.items()]
    for named, real in around.linked:
        for folder, place in handed.items():
            if Path(real).is_relative_to(folder):
                below = Path(real).relative_to(folder).as_posix()
                mounts.append((_written(named, base), f"{place}/{below}".removesuffix("/.")))
    if around.outside or not around.relative:
        # Entries that lead out of the list's folder begin there.
        mounts.append((_written(str(path.parent), base), own))
    return mounts, list(handed.values())


def _written(folder: str, base: Path | None) -> str:
    """Return a folder as entries lead to it: by the way from ``base``, or all of it."""
    if base is None:
        return folder
    try:
        return Path(os.path.relpath(folder, base)).as_posix()
    except ValueError as error:  # another drive of Windows
        msg = f"{folder}: not on the drive of {base}"
        raise ConfigError(msg, hint="Write the whole paths into the list.") from error


def _remote(
    collector: _Collector, described: dict[str, Any], name: str, location: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the local copy of a remote source, which ``hef calib fetch`` brings here."""
    from hefsmith_worker.calibration.remote import local_place

    from orchestrator.pipeline.sharing.objects import without_password

    written = str(described["path"])
    copy = local_place(written, collector.project / "calib" / "remote")
    if not copy.exists():
        where = collector.loaded.where(*location)
        shown = without_password(written)
        msg = f"{where}: {'.'.join(location)}: {shown} is not here yet"
        hint = f"Bring it with: hef calib fetch {collector.loaded.name}"
        raise ConfigError(msg, hint=hint, code="calib.remote")
    described["path"] = collector.add(f"{name}{''.join(copy.suffixes[-2:])}", copy)
    return described, (described["path"],)


def _yolo_root(path: Path) -> Path | None:
    """Return the folder that holds ``images/`` and ``labels/`` when the path is in the former."""
    if path.is_dir():
        for folder in (path, *path.parents):
            if folder.name == "images" and (folder.parent / "labels").is_dir():
                return folder.parent
    return None


def _glob(
    collector: _Collector, written: str, name: str, location: tuple[str, ...]
) -> tuple[str, str]:
    """Split a glob at its first pattern: the folder before it is what is handed over."""
    parts = Path(written).parts
    first = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    base = str(Path(*parts[:first])) if first else "."
    folder = collector.find(base, *location)
    handed = collector.add(name, folder)
    return "/".join([handed, *parts[first:]]), handed


def _script(collector: _Collector) -> tuple[str, ...]:
    optimization = collector.loaded.recipe.optimization
    lines = list(optimization.script)
    if optimization.script_file is not None:
        path = collector.find(optimization.script_file, "optimization", "script_file")
        lines = [*path.read_text(encoding="utf-8", errors="replace").splitlines(), *lines]
    return tuple(lines)
