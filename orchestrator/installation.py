"""How hefsmith came onto this machine, and the command that adds an extra to it.

hefsmith may lie in a checkout, a wheel or a registry, in an environment of pip, pipx or uv: only
the command that fits the way it was installed works word for word.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

DISTRIBUTION = "hefsmith"

Extra = Literal["cluster", "emulator", "store", "tensorflow", "tune"]
Manager = Literal["pip", "pipx", "uv-tool", "uv-pip"]

#: The extra that brings a module which the base installation does without.
EXTRA_OF: dict[str, Extra] = {
    "PIL": "emulator",
    "distributed": "cluster",
    "fsspec": "store",
    "keras": "tensorflow",
    "ml_dtypes": "emulator",
    "onnx": "emulator",
    "onnxruntime": "emulator",
    "onnxscript": "emulator",
    "optuna": "tune",
    "ruamel": "tune",
    "safetensors": "emulator",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "torch": "emulator",
}


#: What the emulator needs to import; the extra `emulator` installs it.
EMULATOR_NEEDS = ("numpy", "onnx", "onnxruntime", "onnxscript", "PIL", "torch", "xxhash")


def missing_modules() -> tuple[str, ...]:
    """Return which of the emulator's libraries this Python lacks; imports none of them."""
    return tuple(name for name in EMULATOR_NEEDS if find_spec(name) is None)


@dataclass(frozen=True)
class Installation:
    """Where hefsmith came from and what manages it.

    ``url`` is the address that it was installed from (PEP 610), ``None`` for a registry;
    ``python`` is the interpreter as a person would type it.
    """

    manager: Manager
    python: str
    url: str | None = None
    folder: bool = False
    editable: bool = False

    @property
    def checkout(self) -> Path | None:
        """The checkout of an editable installation."""
        return local_path(self.url) if self.editable and self.url else None


def local_path(url: str) -> Path:
    """Return the path that a ``file:`` address names."""
    path = urlsplit(url).path
    if os.name == "nt":
        # Not at the top, since it brings all of HTTP along.
        from urllib.request import url2pathname

        return Path(url2pathname(path))
    return Path(unquote(path))


@cache
def origin() -> tuple[str | None, bool, bool]:
    """Return address, whether it is a folder, and whether it is editable (PEP 610)."""
    # Reading packages' metadata the usual way loads all that e-mails and archives need.
    for place in sys.path:
        for found in Path(place).glob(f"{DISTRIBUTION}-*.dist-info/direct_url.json"):
            noted = json.loads(found.read_text(encoding="utf-8"))
            folder = noted.get("dir_info")
            return noted["url"], folder is not None, bool((folder or {}).get("editable"))
    return None, False, False


def this_installation() -> Installation:
    """Return how the running hefsmith was installed."""
    url, folder, editable = origin()
    here = Path(sys.prefix)
    manager: Manager = "pip" if find_spec("pip") is not None else "uv-pip"
    if "pipx" in here.parts and here.name == DISTRIBUTION:
        manager = "pipx"
    elif here.parts[-3:-1] == ("uv", "tools"):
        manager = "uv-tool"
    return Installation(manager, _typed(Path(sys.executable)), url, folder, editable)


def _typed(python: Path) -> str:
    """Return the interpreter as it is typed from the current folder."""
    try:
        return str(python.relative_to(Path.cwd()))
    except ValueError:
        return str(python)


def install_command(extra: Extra, found: Installation | None = None) -> str:
    """Return the command that adds an extra to an installation, to be typed as it is."""
    known = found or this_installation()
    package = f"{DISTRIBUTION}[{extra}]"
    if known.url is not None:
        target = f"{local_path(known.url)}[{extra}]" if known.folder else f"{package} @ {known.url}"
    else:
        target = package
    words = {
        "pip": (known.python, "-m", "pip", "install"),
        "pipx": ("pipx", "install", "--force"),
        "uv-tool": ("uv", "tool", "install", "--force"),
        "uv-pip": ("uv", "pip", "install", "--python", known.python),
    }[known.manager]
    if known.editable:
        words = (*words, "--editable" if known.manager in ("pipx", "uv-tool") else "-e")
    return " ".join(quoted(word, windows=os.name == "nt") for word in (*words, target))


def pip_command(packages: Sequence[str], found: Installation | None = None) -> str:
    """Return the command that adds packages of other people to an installation's environment."""
    known = found or this_installation()
    words = {
        "pip": (known.python, "-m", "pip", "install"),
        "pipx": ("pipx", "inject", DISTRIBUTION),
        # A tool of uv has no pip, and loses with its next install what was put into it by hand.
        "uv-tool": ("uv", "pip", "install", "--python", known.python),
        "uv-pip": ("uv", "pip", "install", "--python", known.python),
    }[known.manager]
    return " ".join(quoted(word, windows=os.name == "nt") for word in (*words, *packages))


def quoted(word: str, *, windows: bool) -> str:
    """Return a word as a shell takes it: PowerShell and cmd.exe there, a POSIX shell elsewhere."""
    if windows:
        return f'"{word}"' if set(word) & set(' []@&"') else word
    return shlex.quote(word)
