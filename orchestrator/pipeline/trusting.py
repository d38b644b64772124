"""What a project would run and read here, and what of it somebody else's may.

A project that came from elsewhere, and that its user has not called trusted, may run code in a
box alone, reads what lies outside of it only where its recipe says so in plain words, and does
not choose the engine, the store or the folders that results go to.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.errors import ConfigError, EngineError, HefsmithError, escape_control
from orchestrator.project.trust import Standing, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.engine.base import EngineInfo
    from orchestrator.pipeline.inputs import BuildRequest
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace

_SHOWN = 6
#: Engines that a stranger's hef.yaml may name: they are of this machine.
_OWN_ENGINES = ("auto", "docker", "local")


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
        if is_bundled(loaded, request):
            return request
        about = standing(loaded.folder)
        self._check_settings(standing(self.workspace.root))
        self._check_outside(loaded, request, about)
        code = code_of(loaded, request)
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
        found = outside((one.path for one in request.materials), inside)
        if not found or about.foreign is None:
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

    def _check_settings(self, about: Standing) -> None:
        if not about.stranger or self.workspace.document is None:
            return
        written = self.workspace.document.value
        wrong = [
            f"{one.origin}: {one.name}: {escape_control(_masked(str(one.value)))}"
            for one in self.settings
            if isinstance(written, dict)
            and one.name in written
            and one.origin == self.workspace.document.where((one.name,))
            and not self._harmless(one.name, str(one.value), about.root)
        ]
        if not wrong:
            return
        listed = "\n  ".join(wrong)
        msg = (
            f"this project is not trusted ({about.foreign}), and its hef.yaml says where "
            f"your files go:\n  {listed}"
        )
        root = shlex.quote(str(about.root))
        hint = f"If you know who wrote it: hef trust {root}\nelse remove those lines."
        raise ConfigError(msg, hint=hint, code="trust.settings")

    def _harmless(self, name: str, value: str, root: Path) -> bool:
        if name == "engine":
            return value in _OWN_ENGINES
        if name in ("cache", "artifacts", "signers"):
            place = (self.workspace.root / Path(value).expanduser()).resolve()
            return place.is_relative_to(root)
        return name not in ("store", "sign_with") or value == "None"


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


def is_bundled(loaded: LoadedRecipe, request: BuildRequest) -> bool:
    """Tell whether a recipe is one that comes with the program, or runs its very code."""
    try:
        bundled = paths.bundled_model(loaded.name)
    except HefsmithError:
        return False
    if loaded.folder.resolve() == bundled.resolve():
        return True
    if loaded.recipe.postprocess.metric is not None or loaded.recipe.source.trust_pickle:
        return False
    code = [one for one in request.materials if one.files is not None]
    try:
        return bool(code) and all(
            (one.path / name).read_bytes() == (bundled / name).read_bytes()
            for one in code
            for name in one.files or ()
        )
    except OSError:
        return False
