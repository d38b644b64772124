"""What is told to a cluster, and how the project of an order is opened on a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.session import BuildSession

#: Model, chip, and parameter set.
Names = tuple[str, str, str | None]


@dataclass(frozen=True)
class Place:
    """Where and how workers build, as plain values: what a worker needs to open the project.

    ``root`` and ``store`` are as the workers see them; ``topic`` is where they tell their news;
    ``signers`` is the list of those whose entries count, where signatures are asked for.
    """

    root: str
    store: str
    topic: str
    toolchain: str | None
    gpu: str | None
    strict: bool
    memory: str | None
    cpus: float | None
    network: bool
    signers: str | None = None


@dataclass(frozen=True)
class Order:
    """One cell for a worker. ``changes`` are values of a trial, ``analysis`` its look at it."""

    place: Place
    model: str
    arch: str
    set: str | None
    cell: str
    changes: Mapping[str, object] | None = None
    analysis: Mapping[str, object] | None = None


def stop_flag(topic: str) -> str:
    """Return the name of the flag that stops a run."""
    return f"{topic}-stop"


def open_place(place: Place, scratch: str) -> BuildSession:
    """Open the project on a worker; raises :class:`ConfigError` where it is not to be seen."""
    from orchestrator.pipeline.matrix.messages import same_folder
    from orchestrator.pipeline.observer import Silent
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.targets import SandboxOverrides
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace(same_folder(place.root))
    flags: dict[str, str | bool | None] = {
        name: getattr(place, name) for name in ("toolchain", "gpu", "strict", "store")
    }
    flags["artifacts"] = f"{scratch}/artifacts"
    if place.signers is not None:
        # Theirs, not this machine's: what nobody of them has signed must not go into their build.
        listed = Path(scratch) / "allowed_signers"
        listed.write_text(place.signers, encoding="utf-8", newline="\n")
        flags["signers"] = str(listed)
    overrides = SandboxOverrides(network=place.network, memory=place.memory, cpus=place.cpus)
    session = BuildSession(
        workspace, resolve(workspace, flags=flags), Silent(), overrides=overrides
    )
    assert session.team is not None
    session.team.needed = True
    return session


def need_key(place: Place, sign_with: str | None) -> None:
    """Raise :class:`ConfigError` where a worker would make what nobody takes from it."""
    if place.signers is not None and not sign_with:
        from orchestrator.errors import ConfigError

        msg = "this worker has no signing key, and only signed entries are accepted (signers)"
        hint = (
            "Start it with HEFSMITH_SIGN_WITH=~/.ssh/id_ed25519, a key of its machine, and add the "
            "key's .pub to the list of signers."
        )
        raise ConfigError(msg, hint=hint, code="cluster.unsigned")


def cells_of(session: BuildSession, names: Sequence[Names]) -> tuple[Cell, ...]:
    """Return the cells of these names, as the project has them now; one may say what is wrong."""
    from orchestrator.errors import HefsmithError
    from orchestrator.pipeline.archs import pick_archs
    from orchestrator.pipeline.matrix.cells import Asked, Cell, wanted_cells

    load: Callable[[str], Any] = session.recipe
    known: dict[str, Any] = {}
    found = []
    for model, arch, set_name in names:
        try:
            if model not in known:
                known[model] = load(model)
            (cell,) = wanted_cells(
                Asked((model,), (arch,), (set_name,) if set_name else ()),
                session.workspace.file.matrix,
                (),
                known.__getitem__,
            )
        except HefsmithError as error:
            cell = Cell(model, None, set_name, wrong=error)
            (chip,) = pick_archs(known[model], (arch,)) if model in known else (None,)
            cell = replace(cell, arch=chip)
        found.append(cell)
    return tuple(found)
