"""Whose a project is: what shows that it came from elsewhere, and what its user said of it.

As in editors, a user says once that a folder is trusted. The list is kept with the user's data,
never in the project, and by real paths. A folder without any sign of having come from elsewhere
is the user's own.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator import paths
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import changing, write_atomic
from orchestrator.reading import read_json

#: Trusts every project of a command: for machines that only run what was reviewed, such as CI.
VARIABLE = "HEFSMITH_TRUST"

_FILE = "trusted.json"
#: More than a log's first line and a repository's settings have.
_LOG_BYTES = 4096
_SETTINGS_BYTES = 1 << 16


@dataclass(frozen=True)
class Standing:
    """What counts as one project with ``root``, and why.

    ``foreign`` says in words what shows that it came from elsewhere, ``trusted`` that its user
    trusts it all the same.
    """

    root: Path
    foreign: str | None
    trusted: bool

    @property
    def stranger(self) -> bool:
        """Whether it came from elsewhere and nobody here has said that it is trusted."""
        return self.foreign is not None and not self.trusted


def standing(folder: Path) -> Standing:
    """Return whose the project is that ``folder`` belongs to; reads a few small files."""
    here = folder.resolve()
    top = next((one for one in (here, *here.parents) if (one / ".git").exists()), None)
    root = top or here
    told = os.environ.get(VARIABLE, "").lower() in ("1", "true", "yes", "on")
    foreign = (cloned(top / ".git") if top is not None else None) or _others(here)
    return Standing(root, foreign, told or (foreign is not None and is_trusted(here)))


def cloned(git: Path) -> str | None:
    """Return in words what shows that a repository is somebody else's, ``None``: nothing does.

    Its log begins with a clone, or it has a remote and no first commit that was made here.
    """
    with suppress(OSError, ValueError, IndexError):
        if git.is_file():  # a work tree, or a submodule
            named = _start(git, _LOG_BYTES).partition("gitdir:")[2].strip()
            git = (git.parent / named).resolve()
            if (git / "commondir").is_file():
                git = (git / _start(git / "commondir", _LOG_BYTES).strip()).resolve()
    first = ""
    with suppress(OSError):
        first = _start(git / "logs" / "HEAD", _LOG_BYTES).partition("\n")[0].partition("\t")[2]
    if first.startswith("clone:"):
        source = _without_login(first.removeprefix("clone:").strip().removeprefix("from").strip())
        return f"it was cloned from {source}"
    if first.startswith("commit (initial)"):
        return None
    with suppress(OSError):
        found = re.search(r'^\[remote "[^\n]*\n(?:[^\[\n]*\n)*?\s*url\s*=\s*(\S+)',
                          _start(git / "config", _SETTINGS_BYTES), re.MULTILINE)  # fmt: skip
        if found is not None:
            return f"it was fetched from {_without_login(found[1])}"
    return None


def _without_login(address: str) -> str:
    return escape_control(re.sub(r"//[^/@\s]+@", "//", address)[:200])


def _others(folder: Path) -> str | None:
    """Return what else shows that a folder came from elsewhere."""
    if sys.platform != "win32":
        with suppress(OSError):
            if os.getuid() not in (0, folder.stat().st_uid):
                return "it belongs to another user of this machine"
    marked = next((one for one in _code_files(folder) if downloaded(one)), None)
    return None if marked is None else f"{escape_control(marked.name)} was downloaded"


def _code_files(folder: Path) -> list[Path]:
    """Return code and recipes; weights and pictures are downloaded for one's own projects."""
    with suppress(OSError):
        return [one for one in sorted(folder.iterdir()) if one.suffix in (".py", ".yaml", ".yml")]
    return []


def downloaded(path: Path, system: str = sys.platform) -> bool:
    """Tell whether a ``system`` marked a file as downloaded; Linux marks none."""
    if system == "win32":
        return Path(f"{path}:Zone.Identifier").is_file()
    if system == "darwin":
        import ctypes

        with suppress(OSError, AttributeError):
            ask = ctypes.CDLL(None).getxattr
            name = b"com.apple.quarantine"
            return int(ask(os.fsencode(path), name, None, ctypes.c_size_t(0), 0, 0)) >= 0
    return False


def _start(path: Path, limit: int) -> str:
    with path.open("rb") as stream:
        return stream.read(limit).decode("utf-8", "replace")


# --- what the user said ---------------------------------------------------------------------------


def trusted_folders() -> dict[Path, float]:
    """Return the trusted folders and since when (seconds since 1970)."""
    try:
        kept = read_json(_place())
        return {Path(name): float(since) for name, since in kept["folders"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def is_trusted(folder: Path) -> bool:
    """Tell whether the user said so of the folder, or of one that it lies in."""
    here = folder.resolve()
    return any(here.is_relative_to(one) for one in trusted_folders())


def trust(folder: Path) -> Path:
    """Keep that a folder is trusted; return its real path."""
    here = folder.resolve()
    if not here.is_dir():
        msg = f"{escape_control(str(folder))} is not a folder"
        raise ConfigError(msg, code="trust.folder")
    with changing(_place()):
        _keep({**trusted_folders(), here: time.time()})
    return here


def revoke(folder: Path) -> Path:
    """Drop a folder from the list; return its real path.

    Raises :class:`~orchestrator.errors.ConfigError` for one that is not on it.
    """
    here = folder.resolve()
    listed = trusted_folders()
    if here not in listed:
        above = next((one for one in listed if here.is_relative_to(one)), None)
        msg = f"{escape_control(str(here))} is not on the list"
        hint = "hef trust --list" if above is None else f"It lies in one that is: {above}"
        raise ConfigError(msg, hint=hint, code="trust.unknown")
    with changing(_place()):
        _keep({one: since for one, since in trusted_folders().items() if one != here})
    return here


def _place() -> Path:
    return paths.user_data() / _FILE


def _keep(listed: dict[Path, float]) -> None:
    document = {"folders": {str(one): since for one, since in sorted(listed.items())}}
    write_atomic(_place(), json.dumps(document, indent=1), private=True)
