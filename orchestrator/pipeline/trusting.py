"""What a project would run and read here, and what of it somebody else's may.

A project that came from elsewhere, and that its user has not called trusted, may run code in a
box alone, reads what lies outside of it only where its recipe says so in plain words, and does
not choose the engine, the store or the folders that results go to.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.errors import ConfigError, EngineError, HefsmithError, escape_control
from orchestrator.project.projectfile import RESERVED_ENGINES
from orchestrator.project.trust import Standing, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.engine.base import EngineInfo
    from orchestrator.pipeline.inputs import BuildRequest
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace

_SHOWN = 6


def code_of(loaded: LoadedRecipe, request: BuildRequest) -> tuple[str, ...]:
    """Return in words each piece of a project's code that its recipe runs."""
    source, metric = loaded.recipe.source, loaded.recipe.postprocess.metric
    found = []
    if source.torch is not None:
        files = next((one.files for one in request.materials if one.files is not None), ()) or ()
        more = f", with {len(files) - 1} more files" if len(files) > 1 else ""
        found.append(f"the factory {source.torch}{more}")
    if source.trust_pickle and source.weights is not None:
        found.append(f"the pickle {source.weights} (trust_pickle)")
    if metric is not None:
        found.append(f"the metric {metric}")
    return tuple(escape_control(one) for one in found)


def outside(materials: Iterable[Path], inside: Iterable[Path]) -> tuple[Path, ...]:
    """Return those paths that lie in none of the folders ``inside`` (all of them real paths)."""
    folders = tuple(inside)
    return tuple(
        dict.fromkeys(
            path for path in materials if not any(path.is_relative_to(one) for one in folders)
        )
    )


def read_by(request: BuildRequest, inside: Iterable[Path]) -> Iterator[Path]:
    """Yield the real paths that a build reads: what its recipe names, and the links below that.

    Links are followed as long as they stay in the folders ``inside``.
    """
    folders = tuple(inside)
    for one in request.materials:
        yield one.path.resolve()
        if one.files is not None:
            yield from ((one.path / name).resolve() for name in one.files)
        elif one.path.is_dir():
            yield from _links(one.path.resolve(), folders)
    yield from request.found


def _links(folder: Path, inside: tuple[Path, ...]) -> Iterator[Path]:
    """Yield where the links below a folder lead to.

    Hidden names are left out, as those who read pictures leave them out, and so are virtual
    environments: their links to Python are everywhere.
    """
    seen: set[Path] = set()
    pending = [folder]
    while pending:
        place = pending.pop()
        if place in seen or (place / "pyvenv.cfg").is_file():
            continue
        seen.add(place)
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    target = Path(entry.path).resolve()
                    if target.exists():
                        yield target
                    if target.is_dir() and any(target.is_relative_to(one) for one in inside):
                        pending.append(target)
                elif entry.is_dir():
                    pending.append(Path(entry.path))


class ProjectTrust:
    """One command's judge of what projects may do; tells each thing once."""

    def __init__(self, workspace: Workspace, settings: Settings, note: Callable[[str], None]):
        self.workspace = workspace
        self.settings = settings
        self.note = note
        self._told: set[str] = set()

    def judged(self, loaded: LoadedRecipe, request: BuildRequest) -> BuildRequest:
        """Return the request with the code in it that needs a box (``untrusted``).

        Raises :class:`~orchestrator.errors.ConfigError` for what a stranger's project may not do.
        """
        check_settings(self.workspace, self.settings)
        self._check_results(loaded.name)
        if is_bundled(loaded):
            return request
        about = standing(loaded.folder)
        self._check_outside(loaded, request, about)
        code = () if is_bundled_code(loaded, request) else code_of(loaded, request)
        if not about.stranger and any(
            one.files is not None and one.path.is_relative_to(self.workspace.root)
            for one in request.materials
        ):
            # A recipe that hef itself drafts elsewhere runs code of the project all the same.
            about = standing(self.workspace.root)
        if not about.stranger or not code:
            return request
        self._tell(
            f"{loaded.name} is not trusted ({about.foreign}); in a box it runs "
            f"{', '.join(code)}. To trust it: hef trust {shlex.quote(str(about.root))}"
        )
        return replace(request, untrusted=code, project=about.root)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.note(text)

    def _check_outside(self, loaded: LoadedRecipe, request: BuildRequest, about: Standing) -> None:
        inside = [about.root, loaded.folder.resolve()]
        if loaded.folder.resolve().is_relative_to(self.workspace.root):
            inside.append(self.workspace.root.resolve())
        if about.foreign is None:
            return
        found = outside(read_by(request, inside), inside)
        if not found:
            return
        shown = [escape_control(str(one)) for one in found[:_SHOWN]]
        shown += [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        if about.trusted or loaded.recipe.allow_outside:
            self._tell(f"{loaded.name} reads outside of its project: {', '.join(shown)}")
            return
        listed = "\n  ".join(shown)
        msg = (
            f"{loaded.name} is not trusted ({about.foreign}) and would read outside of its "
            f"project:\n  {listed}"
        )
        hint = (
            f"If you know who wrote it: hef trust {shlex.quote(str(about.root))}\n"
            f"or let this recipe alone read there: allow_outside: true in {loaded.document.path}"
        )
        raise ConfigError(msg, hint=hint, code="trust.outside")

    def _check_results(self, model: str) -> None:
        """Refuse a stranger's link in the place of a folder that results go to."""
        about = standing(self.workspace.root)
        if not about.stranger:
            return
        written = self.workspace.root.resolve() / str(self.settings.artifacts.value)
        artifacts = Path(os.path.normpath(written))
        if not artifacts.is_relative_to(about.root):
            return  # the user's own word, or refused before
        for place in (artifacts, artifacts / model, *_folders_below(artifacts / model)):
            leads_to = place.resolve()
            if leads_to.is_relative_to(about.root):
                continue
            shown, there = (escape_control(str(one)) for one in (place, leads_to))
            msg = (
                f"this project is not trusted ({about.foreign}), and results would go through a "
                f"link of it to your files:\n  {shown} -> {there}"
            )
            hint = f"Remove the link, or: hef trust {shlex.quote(str(about.root))}"
            raise ConfigError(msg, hint=hint, code="trust.link")


def _folders_below(folder: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the folders of a model's results, sets and chips, without going through a link."""
    if depth and not folder.is_symlink():
        with suppress(OSError):
            for one in folder.iterdir():
                if one.is_dir() or one.is_symlink():
                    yield one
                    yield from _folders_below(one, depth - 1)


def check_settings(workspace: Workspace, settings: Settings) -> None:
    """Refuse what a stranger's ``hef.yaml`` says of where files go."""
    about = standing(workspace.root)
    if not about.stranger or workspace.document is None:
        return
    written = workspace.document.value
    wrong = [
        f"{one.origin}: {one.name}: {escape_control(_masked(str(one.value)))}"
        for one in settings
        if isinstance(written, dict)
        and one.name in written
        and one.origin == workspace.document.where((one.name,))
        and not _harmless(one.name, str(one.value), workspace.root, about.root)
    ]
    if wrong:
        raise not_trusted(workspace, wrong)


def _harmless(name: str, value: str, folder: Path, root: Path) -> bool:
    if name == "engine":
        return value in RESERVED_ENGINES  # they are of this machine
    if name in ("cache", "artifacts", "signers"):
        return (folder / Path(value).expanduser()).resolve().is_relative_to(root)
    return name not in ("store", "sign_with") or value == "None"


def not_trusted(workspace: Workspace, lines: Iterable[str]) -> ConfigError:
    """Return what to say of lines of a stranger's ``hef.yaml`` that are not for it to write."""
    about = standing(workspace.root)
    listed = "\n  ".join(escape_control(one) for one in lines)
    msg = (
        f"this project is not trusted ({about.foreign}), and its hef.yaml says where your files "
        f"go, or what is done to your devices:\n  {listed}"
    )
    root = shlex.quote(str(about.root))
    hint = f"If you know who wrote it: hef trust {root}\nelse remove those lines."
    return ConfigError(msg, hint=hint, code="trust.settings")


def own_engines(workspace: Workspace) -> dict[str, str]:
    """Return the addresses of the engines that ``hef.yaml`` names; a stranger's name none."""
    if standing(workspace.root).stranger:
        return {}
    return {name: entry.address for name, entry in workspace.file.engines.items()}


def _masked(value: str) -> str:
    from orchestrator.pipeline.sharing.objects import without_password

    return without_password(value) if "://" in value else value


def check_box(request: BuildRequest, engine: EngineInfo) -> None:
    """Refuse a stranger's code on an engine that has no box for it.

    Raises :class:`~orchestrator.errors.EngineError`, which says what would run, and how to go on.
    """
    if not request.untrusted or engine.boxed or engine.sandbox:
        return
    from orchestrator.engine.sandbox import HOW_TO_GET_ONE

    root = str(request.project or ".")
    listed = "\n  ".join(request.untrusted)
    msg = (
        f"{request.model} is not trusted, and the local engine has no box here: "
        f"this would run as you do:\n  {listed}"
    )
    hint = (
        f"If you know who wrote it: hef trust {shlex.quote(root)}\n"
        f"else use Docker: --engine docker. {HOW_TO_GET_ONE}"
    )
    raise EngineError(msg, hint=hint, code="trust.no-box")


def check_metric(folder: Path, shown: str) -> None:
    """Refuse a stranger's metric where there is no box for it."""
    about = standing(folder)
    if not about.stranger:
        return
    from orchestrator.engine.sandbox import HOW_TO_GET_ONE

    msg = (
        f"this project is not trusted ({about.foreign}), and its metric {shown} would run as you do"
    )
    root = shlex.quote(str(about.root))
    hint = f"If you know who wrote it: hef trust {root}\nelse give it a box. {HOW_TO_GET_ONE}"
    raise ConfigError(msg, hint=hint, code="trust.no-box")


def is_bundled(loaded: LoadedRecipe) -> bool:
    """Tell whether a recipe is one that comes with the program, in its own folder."""
    try:
        return loaded.folder.resolve() == paths.bundled_model(loaded.name).resolve()
    except HefsmithError:
        return False


def is_bundled_code(loaded: LoadedRecipe, request: BuildRequest) -> bool:
    """Tell whether a recipe runs the very code of the bundled one of its name, as that does.

    The same files alone do not tell: any name in them can be called a factory, with any values.
    """
    from orchestrator.project.loading import load_recipe

    recipe = loaded.recipe
    if recipe.postprocess.metric is not None or recipe.source.trust_pickle:
        return False
    try:
        bundled = paths.bundled_model(loaded.name)
        own = load_recipe(bundled).recipe.source
        code = [one for one in request.materials if one.files is not None]
        return (
            bool(code)
            and recipe.source.torch == own.torch
            and recipe.source.kwargs == own.kwargs
            and all(
                (one.path / name).read_bytes() == (bundled / name).read_bytes()
                for one in code
                for name in one.files or ()
            )
        )
    except (OSError, HefsmithError):
        return False
