"""``source: zoo`` while a build is planned: the user's YAML, or the zoo inside the suite."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.errors import ConfigError, escape_control
from orchestrator.project.zoo_source import expand, is_path, own_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.observer import Observer
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace


def fill_in(
    loaded: LoadedRecipe,
    arch: Arch,
    settings: Settings,
    workspace: Workspace,
    observer: Observer,
    hailort: str | None,
) -> LoadedRecipe:
    """Return the recipe with what the zoo's network says; told on screen what that leaves open.

    Raises :class:`ConfigError` when the zoo is not there or says too little.
    """
    zoo = str(loaded.zoo)
    if is_path(zoo):
        yaml = own_yaml(loaded, workspace.root)
    else:
        yaml = _from_suite(loaded, zoo, arch, settings, workspace, hailort)
    full, notes = expand(loaded, yaml, arch)
    for note in notes:
        observer.note(f"note: {escape_control(note)}")
    return full


def _by_graph(loaded: LoadedRecipe) -> str:
    """Return the command that builds the recipe's checkpoint without the zoo."""
    weights = loaded.recipe.source.weights
    path = loaded.path(weights) if weights is not None else None
    flag = "--weights" if path is not None and path.suffix in (".pt", ".pth") else "--onnx"
    shown = "MODEL.onnx" if path is None else shlex.quote(str(path))
    if path is not None and path.suffix == ".tflite":
        flag = "--tflite"
    return f"hef init {loaded.name} --force {flag} {escape_control(shown)}"


def _from_suite(
    loaded: LoadedRecipe,
    name: str,
    arch: Arch,
    settings: Settings,
    workspace: Workspace,
    hailort: str | None,
) -> Path:
    """Return the YAML of a network inside the suite that is to compile, copied to the cache."""
    from orchestrator.pipeline.targets import EMULATOR, imported_suite

    where = loaded.where("source", "zoo")
    wanted = settings.text("toolchain") or "auto"
    chosen = None if wanted == EMULATOR else imported_suite(arch, wanted, workspace, hailort)
    if chosen is None:
        msg = f"{where}: source.zoo: {escape_control(name)} by its name is inside Hailo's suite"
        raise ConfigError(
            msg,
            hint="Import the suite: hef toolchain import FILE; or give a hailomz YAML that you\n"
            "have: source: {zoo: path/to/network.yaml, weights: model.onnx};\n"
            f"or build from the network's own graph: {_by_graph(loaded)}",
            code="zoo.no-suite",
        )
    if chosen.zoo is None:
        msg = f"{where}: source.zoo: toolchain {chosen.name} has no Model Zoo inside"
        raise ConfigError(
            msg,
            hint="Import the whole suite, or put hailo_model_zoo-*.whl beside the compiler's\n"
            "wheel and import both again.",
            code="zoo.absent",
        )
    from orchestrator.engine.choose import choose_engine
    from orchestrator.toolchain.zoo import bring

    engine = choose_engine(chosen.engine).engine
    try:
        store = engine.image_store()
        if store is None:
            msg = f"{where}: source.zoo: toolchain {chosen.name} is imported in no Docker engine"
            raise ConfigError(
                msg, hint="Import it again: hef toolchain import FILE", code="zoo.engine"
            )
        return bring(chosen, name, store, paths.user_cache() / "zoo", where)
    finally:
        engine.close()
