"""One answer for each setting, and who gave it: defaults < hef.yaml < environment < flags."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.project.workspace import Workspace

#: Settings that a flag or the environment may change: name -> environment variable.
VARIABLES = {
    "engine": "HEFSMITH_ENGINE",
    "toolchain": "HEFSMITH_TOOLCHAIN",
    "device": "HEFSMITH_DEVICE",
    "gpu": "HEFSMITH_GPU",
    "strict": "HEFSMITH_STRICT",
    "cache": "HEFSMITH_CACHE",
    "store": "HEFSMITH_STORE",
    "signers": "HEFSMITH_SIGNERS",
    "sign_with": "HEFSMITH_SIGN_WITH",
    "artifacts": "HEFSMITH_ARTIFACTS",
}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_CHOICES = {"gpu": ("auto", "on", "off")}

Value = str | bool | None


@dataclass(frozen=True)
class Setting:
    """A value and its origin, such as ``hef.yaml:3:9``, ``HEFSMITH_ENGINE`` or ``--engine``."""

    name: str
    value: Value
    origin: str


@dataclass(frozen=True)
class Settings:
    """All settings of one command."""

    engine: Setting
    toolchain: Setting
    device: Setting
    gpu: Setting
    strict: Setting
    cache: Setting
    store: Setting
    signers: Setting
    sign_with: Setting
    artifacts: Setting

    def __iter__(self) -> Iterator[Setting]:
        """Yield the settings in a fixed order."""
        return iter(getattr(self, name) for name in VARIABLES)

    def text(self, name: str) -> str | None:
        """Return a setting's value as text, ``None`` when unset."""
        value = getattr(self, name).value
        return None if value is None else str(value)

    @property
    def cache_folder(self) -> Path:
        """Folder of the cache."""
        return Path(str(self.cache.value))

    def artifacts_of(self, workspace: Workspace) -> Path:
        """Return the folder of a project's results."""
        return workspace.root / str(self.artifacts.value)


def resolve(
    workspace: Workspace,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Value] = MappingProxyType({}),
) -> Settings:
    """Return every setting by precedence; ``flags`` holds only what was given (not ``None``)."""
    found: dict[str, Setting] = {}
    for name, variable in VARIABLES.items():
        if (flag := flags.get(name)) is not None:
            found[name] = Setting(name, _checked(name, flag, f"--{name}"), f"--{name}")
        elif variable in environ:
            found[name] = Setting(name, _checked(name, environ[variable], variable), variable)
        elif workspace.document is not None and name in workspace.document.value:
            found[name] = Setting(
                name, getattr(workspace.file, name), workspace.document.where((name,))
            )
        else:
            found[name] = Setting(name, _default(workspace, name, environ), "default")
    return Settings(**found)


def _default(workspace: Workspace, name: str, environ: Mapping[str, str]) -> Value:
    if name == "cache":
        return str(workspace.cache(environ))
    value: Value = getattr(workspace.file, name)
    return value


def _checked(name: str, value: Value, origin: str) -> Value:
    if name == "strict" and isinstance(value, str):
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        msg = f"{origin}: {name} is true or false, not {value!r}"
        raise ConfigError(msg)
    if name in _CHOICES and value not in _CHOICES[name]:
        msg = f"{origin}: {name} is one of {', '.join(_CHOICES[name])}, not {value!r}"
        raise ConfigError(msg)
    return value
