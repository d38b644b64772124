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

from hefsmith_worker.contract import names as safe_names
from hefsmith_worker.contract import stages
from hefsmith_worker.contract.options import (
    AnalyzeOptions,
    CalibrationOptions,
    ExportOptions,
    NmsOptions,
    OptimizeOptions,
    Options,
)
from hefsmith_worker.contract.sources import BY_NAME, TENSORFLOW
from hefsmith_worker.contract.stages import ANALYSIS, HEF

from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.materials import BuildInput, Collector, Described
from orchestrator.pipeline.network import describe_network, export_packages
from orchestrator.project.recipe import Preprocessing, SourceOptions
from orchestrator.reading import SCRIPT_LIMIT, read_regular, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch, PictureSource, Recipe
    from orchestrator.project.section import Section

_GLOB = re.compile(r"[*?\[]")
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://")

#: Sources that name other files beside themselves, so their folder goes along.
_LISTS = frozenset({".txt", ".csv", ".json", ".yaml", ".yml"})

Group = TypeVar("Group", bound=Options)


@dataclass(frozen=True)
class BuildRequest:
    """Everything that decides a build, before any cache or engine is looked at.

    ``used_by`` says which materials' content goes into which stage's key, ``goal`` what it is
    for: a HEF, or an analysis of the quantised network. ``found`` are all paths that the recipe
    names, also those that were only read here (labels, a script). ``untrusted`` is code of a
    stranger's project, in words, that runs in a box alone, ``project`` the folder to trust for it.
    """

    model: str
    arch: Arch
    net_name: str
    materials: tuple[BuildInput, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    used_by: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    trust_pickle: bool = False
    found: tuple[Path, ...] = ()
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
        kind: str = self.parameters["export"]["source"]["kind"]
        return BY_NAME[kind].framework == TENSORFLOW


@dataclass(frozen=True)
class _Gathered:
    """What a recipe names, as it was found; ``nms_files`` are names of materials."""

    source: Described
    labels: tuple[str, ...]
    preprocessing: Mapping[str, object]
    calibration: Described
    samples: Described
    nms: NmsOptions
    nms_files: tuple[str, ...]
    script: tuple[str, ...]


def collect(loaded: LoadedRecipe, project: Path, arch: Arch) -> BuildRequest:
    """Return the request for one model and chip.

    Raises :class:`ConfigError` for every path that is not there.
    """
    collector = Collector(loaded, project)
    found = _gather(collector)
    parameters = _parameters(loaded.recipe, found)
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
            "export": found.source.materials,
            "samples": (*found.source.materials, *found.samples.materials),
            "calibrate": (*found.calibration.materials, *found.samples.materials),
            "parse": (),
            "optimize": found.nms_files,
            "analyze": (),
            "compile": (),
            "evaluate": (),
        },
        labels=found.labels,
        trust_pickle=loaded.recipe.source.trust_pickle,
        found=tuple(dict.fromkeys(collector.found)),
    )


def _gather(collector: Collector) -> _Gathered:
    recipe = collector.loaded.recipe
    source = describe_network(collector)
    labels = _labels(collector)
    where = ("calibration", "source")
    calibration = _pictures(collector, recipe.calibration.source, where[0], where)
    samples = calibration
    if recipe.validation.source is not None:
        where = ("validation", "source")
        samples = _pictures(collector, recipe.validation.source, where[0], where)
    nms = _group(recipe.postprocess.nms, NmsOptions)
    nms_files: tuple[str, ...] = ()
    if nms.config is not None:
        config = collector.find_file(nms.config, "postprocess", "nms", "config")
        nms = replace(nms, config=collector.add(config.name, config))
        nms_files = (str(nms.config),)
    return _Gathered(
        source,
        labels,
        stated_preprocessing(recipe),
        calibration,
        samples,
        nms,
        nms_files,
        _script(collector),
    )


def _parameters(recipe: Recipe, found: _Gathered) -> Mapping[str, Mapping[str, object]]:
    """Return the values of each stage's options."""
    task = None if recipe.postprocess.task == "auto" else recipe.postprocess.task
    origin = "calibration" if recipe.validation.source is None else "validation"
    optimization = recipe.optimization
    packages = export_packages(recipe)
    return {
        "export": {
            "source": found.source.plan,
            "inputs": {name: list(shape) for name, shape in recipe.inputs.items()},
            **_group(recipe.export, ExportOptions).plain(),
            "packages": packages,
        },
        "samples": {
            "source": found.source.plan,
            "tolerance": recipe.export.tolerance,
            "packages": packages,
            "sources": found.samples.plan,
            "origin": origin,
            "count": recipe.validation.samples,
            "seed": recipe.validation.seed,
            "labels": list(found.labels),
            "task": task,
            "preprocessing": found.preprocessing,
        },
        "calibrate": {
            "sources": found.calibration.plan,
            "validation": found.samples.plan if origin == "validation" else None,
            **_group(recipe.calibration, CalibrationOptions).plain(),
            "script": list(found.script),
            "labels": list(found.labels),
            "task": task,
            "preprocessing": found.preprocessing,
        },
        "parse": {
            "start_nodes": list(recipe.parser.start_nodes),
            "end_nodes": list(recipe.parser.end_nodes),
        },
        "optimize": replace(
            _group(optimization, OptimizeOptions),
            level=optimization.named_level,
            script=found.script,
            task=task,
            softmax=recipe.postprocess.softmax,
            nms=found.nms,
        ).plain(),
        "analyze": {**found.nms.plain(), **AnalyzeOptions().plain()},
        "compile": {},
        "evaluate": found.nms.plain(),
    }


def _group(section: Section, options: type[Group]) -> Group:
    """Return a section of the recipe as the options of the same names that a plan carries."""
    return options(
        **{
            one.name: getattr(section, one.name)
            for one in fields(options)
            if hasattr(section, one.name)
        }
    )


def _labels(collector: Collector) -> tuple[str, ...]:
    labels = collector.loaded.recipe.postprocess.labels
    if labels is None:
        return ()
    where = collector.loaded.where("postprocess", "labels")
    if isinstance(labels, tuple):
        listed = tuple(enumerate(labels, 1))
        place = "entry"
    else:
        path = collector.find_file(labels, "postprocess", "labels")
        try:
            text = read_text(path).removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{where}: postprocess.labels: {path} is not a text file with one label a line"
            raise ConfigError(msg) from error
        # Not str.splitlines: it knows ends of lines that nobody else does who reads such a list.
        lines = enumerate(text.replace("\r\n", "\n").split("\n"), 1)
        listed = tuple((number, line.strip()) for number, line in lines if line.strip())
        place = f"{escape_control(str(path))}: line"
    for number, label in listed:
        fault = safe_names.label_fault(label)
        if fault is not None:
            msg = (
                f"{where}: postprocess.labels: {place} {number} {fault}: {safe_names.shown(label)}"
            )
            raise ConfigError(msg, hint="One line of text for each class.", code="recipe.labels")
    return tuple(label for _, label in listed)


def stated_preprocessing(recipe: Recipe) -> Mapping[str, Any]:
    """Return a recipe's preprocessing as plain values: ``shared`` or ``by_input``."""
    given = recipe.preprocessing
    if isinstance(given, Preprocessing):
        return {"shared": given.plain(skip_none=True)}
    return {"by_input": {name: entry.plain(skip_none=True) for name, entry in given.items()}}


def _pictures(
    collector: Collector, source: PictureSource, name: str, location: tuple[str, ...]
) -> Described:
    """Return pictures as the worker reads them: one source, or one for each input."""
    if isinstance(source, dict):
        parts = {
            key: _one_source(collector, value, f"{name}-{key}", (*location, key))
            for key, value in source.items()
        }
        used = [material for part in parts.values() for material in part.materials]
        return Described({key: part.plan for key, part in parts.items()}, tuple(used))
    return _one_source(collector, source, name, location)


def _one_source(
    collector: Collector, source: str | SourceOptions, name: str, location: tuple[str, ...]
) -> Described:
    options = source if isinstance(source, SourceOptions) else SourceOptions(path=source)
    described = options.plain(skip_none=True)
    written = options.path
    if _REMOTE.match(written):
        copy = _remote(collector, written, name, location)
        return Described({**described, "path": copy}, (copy,))
    names: list[str] = []
    if _GLOB.search(written):
        described["path"], used = _glob(collector, written, name, location)
        names.append(used)
    else:
        path = collector.find(written, *location)
        if path.is_file() and path.suffix.lower() in _LISTS:
            folder = collector.add(name, path.parent)
            described["path"] = f"{folder}/{path.name}"
            pictures = options.images and collector.find(options.images, *location, "images")
            mounts, places = _pointed_to(collector, options, path, pictures, name, folder)
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
    return Described(described, tuple(names))


def _pointed_to(
    collector: Collector,
    options: SourceOptions,
    path: Path,
    pictures: Path | str | None,
    name: str,
    own: str,
) -> tuple[list[tuple[str, str]], list[str]]:
    """Hand over the folders that a list or data set points into, besides its ``own``.

    ``pictures`` is where ``images`` of the recipe leads to, which is no way from the list.
    Returns pairs (as written, as handed) and the names of what was handed over. Where all is
    said relative to the file so are the pairs: such a set means the same on every machine.
    """
    from hefsmith_worker.calibration import CalibrationError, Source, look_around

    paths = {"path": str(path), **({"images": str(pictures)} if pictures else {})}
    source = Source.from_value({**options.plain(skip_none=True), **paths})
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


def _remote(collector: Collector, written: str, name: str, location: tuple[str, ...]) -> str:
    """Hand over the local copy of a remote source, which ``hef calib fetch`` brings here."""
    from hefsmith_worker.calibration.remote import local_place

    from orchestrator.pipeline.sharing.objects import without_password

    copy = local_place(written, collector.project / "calib" / "remote")
    if not copy.exists():
        where = collector.loaded.where(*location)
        shown = without_password(written)
        msg = f"{where}: {'.'.join(location)}: {shown} is not here yet"
        hint = f"Bring it with: hef calib fetch {collector.loaded.name}"
        raise ConfigError(msg, hint=hint, code="calib.remote")
    return collector.add(f"{name}{''.join(copy.suffixes[-2:])}", copy)


def _yolo_root(path: Path) -> Path | None:
    """Return the folder that holds ``images/`` and ``labels/`` when the path is in the former."""
    if path.is_dir():
        for folder in (path, *path.parents):
            if folder.name == "images" and (folder.parent / "labels").is_dir():
                return folder.parent
    return None


def _glob(
    collector: Collector, written: str, name: str, location: tuple[str, ...]
) -> tuple[str, str]:
    """Split a glob at its first pattern: the folder before it is what is handed over."""
    parts = Path(written).parts
    first = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    base = str(Path(*parts[:first])) if first else "."
    folder = collector.find(base, *location)
    handed = collector.add(name, folder)
    return "/".join([handed, *parts[first:]]), handed


def _script(collector: Collector) -> tuple[str, ...]:
    optimization = collector.loaded.recipe.optimization
    lines = list(optimization.script)
    if optimization.script_file is not None:
        path = collector.find_file(optimization.script_file, "optimization", "script_file")
        text = read_regular(path, limit=SCRIPT_LIMIT).decode("utf-8-sig", "replace")
        lines = [*text.splitlines(), *lines]
    return tuple(lines)
