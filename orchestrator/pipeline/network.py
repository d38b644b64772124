"""The network that a recipe starts from, as a plan describes it: one row of ``SOURCES`` each.

What a kind is stands in :mod:`hefsmith_worker.contract.sources`; here is how its files are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hefsmith_worker.contract import names as safe_names
from hefsmith_worker.contract.sources import BY_NAME

from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.identity import FRAMEWORK_PACKAGES
from orchestrator.pipeline.materials import Described
from orchestrator.project.code_root import code_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hefsmith_worker.contract.sources import SourceKind

    from orchestrator.pipeline.materials import Collector
    from orchestrator.project.recipe import Recipe, Source

#: More than a factory's code can be.
SOURCE_BYTES = 32 << 20


def export_packages(recipe: Recipe) -> list[str]:
    """Return what the export needs besides the worker's own packages."""
    framework = BY_NAME[recipe.source.kind or "torch"].framework
    if framework in FRAMEWORK_PACKAGES:
        return [*FRAMEWORK_PACKAGES[framework], *recipe.export.packages]
    return list(recipe.export.needed)


def describe_network(collector: Collector) -> Described:
    """Return the recipe's source; what is wrong with its files is told with the recipe's line."""
    kind = BY_NAME[collector.loaded.recipe.source.kind or "torch"]
    return DESCRIBED.get(kind.name, _of_file)(collector, kind)


def _of_torch(collector: Collector, _: SourceKind) -> Described:
    source = collector.loaded.recipe.source
    names: list[str] = []
    file = factory = weights = module = None
    if source.torch is not None:
        written, _colon, factory = source.torch.rpartition(":")
        path = collector.find_file(written, "source", "torch")
        root = code_root(path, collector.project.resolve())
        files = _code_behind(path, root, source, collector.loaded.where("source", "torch"))
        name = collector.add("source", root, files)
        file = f"{name}/{path.relative_to(root).as_posix()}"
        names.append(name)
        if root != path.parent:
            module = ".".join(path.relative_to(root).with_suffix("").parts)
    if source.weights is not None:
        path = collector.find_file(source.weights, "source", "weights")
        weights = collector.add(path.name, path)
        names.append(weights)
    plan: dict[str, object] = {
        "kind": "torch",
        "kwargs": dict(source.kwargs),
        "trust_pickle": source.trust_pickle,
        "weights": weights,
        "file": file,
        **({"module": module} if module is not None else {}),
    }
    return Described(plan if factory is None else {**plan, "factory": factory}, tuple(names))


def _of_onnx(collector: Collector, kind: SourceKind) -> Described:
    from hefsmith_worker.onnx_external import external_files

    path = collector.find_file(str(collector.loaded.recipe.source.onnx), "source", "onnx")
    name = collector.add(path.name, path)
    beside = [
        collector.add(other, path.parent / other)
        for other in external_files(path)
        if _is_beside(collector, path, other)
    ]
    return Described({"kind": kind.name, "file": name}, (name, *beside))


def _is_beside(collector: Collector, model: Path, name: str) -> bool:
    """Tell whether weights that an ONNX file names are there; refuses what is not beside it."""
    fault = safe_names.fault(name)
    if fault is not None or len(safe_names.parts(name)) > 1:
        what = "that is not beside it" if fault is None else f"whose name {fault}"
        where = collector.loaded.where("source", "onnx")
        msg = (
            f"{where}: source.onnx: {escape_control(model.name)} keeps weights in a file "
            f"{what}: {safe_names.shown(name)}"
        )
        hint = (
            "Weights must lie in the model's own folder. If you do not know who made the file,\n"
            "do not use it; else save it again: onnx.save(onnx.load(FILE), FILE)."
        )
        raise ConfigError(msg, hint=hint, code="onnx.external-data")
    return (model.parent / name).is_file()


def _code_behind(file: Path, root: Path, source: Source, where: str) -> tuple[str, ...]:
    """Return the factory's code: small text files, by their names below ``root``."""
    from orchestrator.pipeline.factory_code import MOST_FILES, factory_files

    texts = [value for value in source.kwargs.values() if isinstance(value, str)]
    above = None if root == file.parent else root
    found = factory_files(file, texts, everything=source.trust_pickle, root=above)
    total = sum((root / name).stat().st_size for name in found)
    if len(found) > MOST_FILES or total > SOURCE_BYTES:
        msg = (
            f"{where}: source.torch: the folder {root} has more code than a model "
            f"needs (over {MOST_FILES} files or {SOURCE_BYTES >> 20} MiB)"
        )
        raise ConfigError(msg, hint="Put the model's files into a folder of their own.")
    return found


def _of_file(collector: Collector, kind: SourceKind) -> Described:
    """Return a source that is one file or folder."""
    source = collector.loaded.recipe.source
    path = collector.find(str(getattr(source, kind.name)), "source", kind.name)
    wrong = wrong_form(path, kind) or CHECKS.get(kind.name, _nothing_wrong)(path)
    if wrong is not None:
        where = collector.loaded.where("source", kind.name)
        msg = f"{where}: source.{kind.name}: {escape_control(wrong[0])}"
        raise ConfigError(msg, hint=wrong[1], code=f"recipe.{kind.framework or kind.name}")
    name = collector.add(path.name, path)
    plan = {"kind": kind.name, "file": name, "trust_pickle": source.trust_pickle}
    return Described(plan, (name,))


def wrong_form(path: Path, kind: SourceKind) -> tuple[str, str | None] | None:
    """Return what tells that a path is none of that kind, and how one is made, or ``None``."""
    if kind.inside is not None:
        if (path / kind.inside).is_file():
            return None
        return f"{path.name} is not a {kind.title} (a folder with {kind.inside})", kind.advice
    if not path.is_file():
        return f"{path.name} is not a file", None
    if kind.by_ending and not kind.takes(path.suffix):
        first = " or ".join([*kind.endings, *kind.shared_endings][:2])
        return f"{path.name} is not a {kind.title} file ({first})", kind.advice
    return None


def _nothing_wrong(_: Path) -> None:
    return None


def _wrong_with_tflite(path: Path) -> tuple[str, str | None] | None:
    from hefsmith_worker.tflite_file import TfliteError, read_network

    try:
        quantised = read_network(path).quantised
    except TfliteError as error:
        return str(error), None
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}", None
    if not quantised:
        return None
    return f"{path.name} is quantised already ({len(quantised)} tensors)", (
        "Hailo's compiler quantises the network itself and needs it in floating\n"
        "point: convert it without converter.optimizations, or with float16 only."
    )


#: Kinds that are more than one file or folder.
DESCRIBED: Mapping[str, Callable[[Collector, SourceKind], Described]] = {
    "torch": _of_torch,
    "onnx": _of_onnx,
}
#: What is looked at inside a file before anything starts: what is wrong, and what to do.
CHECKS: Mapping[str, Callable[[Path], tuple[str, str | None] | None]] = {
    "tflite": _wrong_with_tflite,
}
