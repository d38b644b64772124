"""A folder with all that a user needs to run a model: HEF, labels, settings, a working script.

:func:`plan_bundle` is pure: it says which file gets which content. :func:`write_bundle` writes.
The scripts are real files of ``jobs/bundle``; they prepare pictures with a copy of the code
that prepared the calibration set, so that the chip sees what it was calibrated for.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.device.bundle_text import packages_of, readme
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import replacing, sha256_of, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.device.bundle_model import BundleModel
    from orchestrator.device.bundle_targets import Target

#: The file by which a folder is known as a bundle of ours.
FACTS = "hefsmith.json"
SCHEMA = 1

#: What was written, as ``sha256sum -c`` reads it.
MADE = "SHA256SUMS"

#: Our code for pictures and boxes, as an archive that Python imports from.
LIBRARY = "hefsmith_worker.zip"


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """One file: a copy of ``source``, or ``data``. Names are plain: a bundle has no folders."""

    name: str
    source: Path | None = None
    data: bytes = b""

    @property
    def text(self) -> str:
        """What is written, as text."""
        return self.data.decode("utf-8")


def plan_bundle(model: BundleModel, target: Target, folder: str = ".") -> tuple[BundleFile, ...]:
    """Return the files of a bundle; ``folder`` is the name of its folder, for the README.

    Raises :class:`~orchestrator.errors.ConfigError` when the target cannot run such a model.
    """
    target.check(model)
    texts = {
        FACTS: _facts(model, target),
        "README.md": readme(model, target, folder),
        **target.texts(model),
    }
    if model.labels:
        texts["labels.txt"] = "".join(f"{label}\n" for label in model.labels)
    files = [BundleFile(name=model.hef_name, source=model.hef)]
    if target.programs:
        files += [BundleFile(name=path.name, source=path) for path in _programs()]
        files.append(BundleFile(name=LIBRARY, data=_library()))
    files += [BundleFile(name=name, data=text.encode("utf-8")) for name, text in texts.items()]
    return tuple(sorted(files, key=lambda file: file.name))


def write_bundle(files: Sequence[BundleFile], folder: Path) -> dict[str, str]:
    """Write a bundle; the files of an earlier one in ``folder`` are replaced, others stay.

    Returns the files of the earlier one that somebody had changed, and what they are called now:
    they are kept beside, as ``NAME.old``. Raises :class:`~orchestrator.errors.ConfigError` when
    ``folder`` holds something else than a bundle.
    """
    kept: dict[str, str] = {}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / FACTS).is_file():
            msg = f"{escape_control(str(folder))} exists and is not a bundle that hefsmith made"
            raise ConfigError(msg, hint="Name another folder with --output.")
        kept = _clear(folder)
    for file in files:
        path = folder / file.name
        if file.source is not None:
            size = file.source.stat().st_size
            with file.source.open("rb") as source, replacing(path, needed=size) as sink:
                shutil.copyfileobj(source, sink)
        else:
            write_atomic(path, file.data)
    write_atomic(folder / MADE, _made(files, folder))
    return kept


def _made(files: Sequence[BundleFile], folder: Path) -> str:
    """Return the list of what was written, with digests, for the next time."""
    return "".join(f"{sha256_of(folder / file.name)}  {file.name}\n" for file in files)


def _clear(folder: Path) -> dict[str, str]:
    """Remove the files of an earlier bundle, keep what somebody has changed or added."""
    kept = {}
    listed = folder / MADE
    for line in listed.read_text("utf-8").splitlines() if listed.is_file() else ():
        digest, _, name = line.partition("  ")
        path = folder / name
        if Path(name).name != name or not path.is_file() or path.is_symlink():
            continue
        if sha256_of(path) == digest:
            path.unlink()
        else:
            # What was put aside before is somebody's work, too.
            free = (f"{name}.old{number}" for number in ("", *range(2, 1000)))
            kept[name] = next(one for one in free if not os.path.lexists(folder / one))
            path.rename(folder / kept[name])
    return kept


def _facts(model: BundleModel, target: Target) -> str:
    document = {
        "schema": SCHEMA,
        "model": model.model,
        "arch": model.arch,
        "emulated": model.emulated,
        "for": target.name,
        "source": target.source,
        "packages": packages_of(model.arch),
        "hef": model.hef_name,
        "task": model.task,
        "inputs": [
            {"name": item.name, "preprocess": dict(item.preprocess)} for item in model.inputs
        ],
        "outputs": [{"stream": item.stream, "kind": item.kind} for item in model.outputs],
        "head": dict(model.head) if model.head is not None else None,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _programs() -> list[Path]:
    folder = Path(str(resources.files("orchestrator.device") / "jobs" / "bundle"))
    return sorted(folder.glob("*.py"))


def _library() -> bytes:
    """Return the picture code and the facts it reads, without the rest of the worker.

    The same code gives the same bytes: an unchanged bundle is an unchanged release.
    """
    package = Path(str(resources.files("hefsmith_worker")))
    # The whole contract: on a stand-in, the runtime beside the bundle reads it too.
    paths = [path for part in ("contract", "pictures") for path in (package / part).glob("*.py")]
    init = '"""The part of hefsmith\'s worker that prepares pictures."""\n'
    members = {
        f"hefsmith_worker/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in [*paths, package / "decoding.py"]
    }
    members["hefsmith_worker/__init__.py"] = init.encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()
