"""What an image is built from: a tree of files laid out as in the repository, and its digest.

The tree comes from the installed package, not from a checkout. Wheels and the host's pip
settings travel along but do not count: they change how an image is built, not what it is.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from configparser import ConfigParser
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from orchestrator.engine.transfer import ArchiveMember, list_tree, pack
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.engine.base import Report

WHEELS = "docker/emulator/wheels"

#: Never part of an image: what Python, editors and people leave behind.
LEFT_BEHIND = re.compile(r"(^|/)(__pycache__|\.[^/]*|wheels)(/|$)|\.(pyc|pyo|orig|swp)$")


@dataclass(frozen=True, slots=True)
class Blob:
    """The content of one small file, read once, so that digest and build see the same bytes."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """A build context: what counts (``blobs``, by name) and what only helps (``wheels``)."""

    blobs: Mapping[str, Blob]
    wheels: tuple[ArchiveMember, ...] = ()

    @property
    def digest(self) -> str:
        """Return the sha256 over names, modes and contents, wheels and pip settings apart."""
        total = hashlib.sha256(b"hefsmith context 1\n")
        for name, blob in sorted(self.blobs.items()):
            if "/wheels/" not in name:
                content = hashlib.sha256(blob.data).hexdigest()
                total.update(f"{content} {blob.executable:d} {name}\n".encode())
        return total.hexdigest()

    def stream(self, report: Report) -> Iterator[bytes]:
        """Yield the context as a tar stream."""
        for name, blob in sorted(self.blobs.items()):
            info = tarfile.TarInfo(name)
            info.size = len(blob.data)
            info.mode = 0o755 if blob.executable else 0o644
            yield info.tobuf() + blob.data + bytes(-len(blob.data) % 512)
        yield from pack(self.wheels, what="build context", report=report)


def emulator_tree(emulator: Path, worker: Path, program: Path) -> dict[str, Blob]:
    """Return what the stage ``emulator`` copies; the arguments are folders of this machine.

    ``program`` is the ``orchestrator`` package: only its HEF room goes in.
    """
    return {
        **read_folder(emulator / "bin", "docker/emulator/bin"),
        **read_folder(emulator / "packages", "docker/emulator/packages"),
        **read_folder(worker, "docker/worker/hefsmith_worker"),
        **read_files(program, ("__init__.py", "errors.py"), "orchestrator"),
        **read_folder(program / "hef", "orchestrator/hef"),
    }


def runtime_tree(emulator: Path) -> dict[str, Blob]:
    """Return what the stage ``runtime`` copies, wheels apart."""
    names = ("install.sh", "requirements.txt", "requirements-host.txt")
    return read_files(emulator, names, "docker/emulator")


def wheel_entries(
    wheels: Iterable[Path], somewhere: Path, *, under: str = WHEELS
) -> tuple[ArchiveMember, ...]:
    """Return the wheels folder of a context; it is there even without wheels."""
    return (
        ArchiveMember(under, somewhere, folder=True, size=0),
        *(ArchiveMember(f"{under}/{one.name}", one, False, one.stat().st_size) for one in wheels),
    )


def read_folder(folder: Path, prefix: str) -> dict[str, Blob]:
    """Return the files below ``folder`` under ``prefix``, without what is left behind there.

    Scripts can be started, whatever the file system says: that of Windows keeps no such mark,
    and an image made there is the same.
    """
    found = {
        entry.name: entry.path.read_bytes()
        for entry in list_tree(folder, prefix=prefix)
        if not entry.folder and not LEFT_BEHIND.search(entry.name.removeprefix(prefix))
    }
    return {name: Blob(data, data.startswith(b"#!")) for name, data in found.items()}


def read_files(folder: Path, names: Iterable[str], prefix: str) -> dict[str, Blob]:
    """Return single files of ``folder`` under ``prefix``."""
    return {f"{prefix}/{name}": Blob((folder / name).read_bytes()) for name in names}


def program_package() -> Path:
    """Return the folder of the ``orchestrator`` package."""
    return Path(str(resources.files("orchestrator")))


def stage_lines(dockerfile: str) -> dict[str, tuple[int, int]]:
    """Return for each named stage of a Dockerfile its first line and the one after its last."""
    lines = dockerfile.splitlines()
    starts = [
        (number, match.group(1))
        for number, line in enumerate(lines)
        if (match := re.match(r"FROM\s+\S+\s+AS\s+(\S+)\s*$", line, re.IGNORECASE))
    ]
    ends = [number for number, _ in starts[1:]] + [len(lines)]
    return {name: (start, end) for (start, name), end in zip(starts, ends, strict=True)}


def cut_stage(dockerfile: str, stage: str, base: str) -> str:
    """Return a Dockerfile with ``stage`` alone, standing on the image ``base``.

    So a change of our own code never sends wheels again, nor asks the builder about them.
    """
    stages = stage_lines(dockerfile)
    if stage not in stages:
        msg = f"the Dockerfile has no stage {stage!r}"
        raise EngineError(msg, code="engine.dockerfile")
    start, end = stages[stage]
    body = dockerfile.splitlines()[start + 1 : end]
    return "\n".join([f"FROM {base} AS {stage}", *body]) + "\n"


def until_stage(dockerfile: str, stage: str) -> str:
    """Return the Dockerfile up to and with ``stage``."""
    return "\n".join(dockerfile.splitlines()[: stage_lines(dockerfile)[stage][1]]).rstrip() + "\n"


@dataclass(frozen=True, slots=True)
class PipSettings:
    """Where the host's pip takes packages from, as far as a container can use it too."""

    options: Mapping[str, str]
    ca_file: Path | None

    def files(self, under: str = WHEELS) -> dict[str, Blob]:
        """Return the files for a wheels folder, which a build sees as ``/build/wheels``.

        They are ``pip.conf`` and the CA bundle that it names.
        """
        files: dict[str, Blob] = {}
        options = dict(self.options)
        if self.ca_file is not None and self.ca_file.is_file():
            files[f"{under}/pip-ca.crt"] = Blob(self.ca_file.read_bytes())
            options["cert"] = "/build/wheels/pip-ca.crt"
        if options:
            config = ConfigParser(interpolation=None)
            config["global"] = options
            out = io.StringIO()
            config.write(out)
            files[f"{under}/pip.conf"] = Blob(out.getvalue().encode())
        return files


#: Settings of pip that are addresses; local ones mean nothing inside a container.
ADDRESSES: tuple[Literal["index-url", "extra-index-url"], ...] = ("index-url", "extra-index-url")


def read_pip_settings(environ: Mapping[str, str], configured: str) -> PipSettings:
    """Return the settings to hand on; ``configured`` is what ``pip config list`` prints.

    The environment goes before the files, as with pip itself. Nothing is invented: without
    settings on the host the container uses pip's defaults.
    """
    found = {}
    for line in configured.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.strip().partition(".")
        if section in {"global", "install", "download"}:
            found[name] = value.strip().strip("'\"").replace("\\n", " ")
    for name in (*ADDRESSES, "cert", "trusted-host", "timeout"):
        variable = "PIP_" + name.upper().replace("-", "_")
        if environ.get(variable):
            found[name] = environ[variable]
    options = {
        name: " ".join(found[name].split())
        for name in ("trusted-host", "timeout")
        if found.get(name)
    }
    for name in ADDRESSES:
        usable = [
            url for url in found.get(name, "").split() if urlsplit(url).scheme in {"http", "https"}
        ]
        if usable:
            options[name] = " ".join(usable)
    cert = found.get("cert")
    return PipSettings(options, Path(cert) if cert else None)
