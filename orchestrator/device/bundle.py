"""A folder with all that a user needs to run a model: HEF, labels, settings, a working script.

:func:`plan_bundle` is pure: it says which file gets which content. :func:`write_bundle` writes.
The scripts are real files of ``jobs/bundle``; they prepare pictures with a copy of the code
that prepared the calibration set, so that the chip sees what it was calibrated for.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

from orchestrator.device.bundle_text import (
    frigate_config,
    frigate_labels,
    hailo_apps_labels,
    readme,
)
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import replacing, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.device.bundle_model import BundleModel, Target

#: The file by which a folder is known as a bundle of ours.
FACTS = "hefsmith.json"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """One file: either a copy of ``source``, or ``text``."""

    name: str
    source: Path | None = None
    text: str | None = None


def plan_bundle(model: BundleModel, target: Target) -> tuple[BundleFile, ...]:
    """Return the files of a bundle.

    Raises :class:`~orchestrator.errors.ConfigError` when the target cannot run such a model.
    """
    _check_target(model, target)
    files = [
        BundleFile(name=model.hef_name, source=model.hef),
        BundleFile(name=FACTS, text=_facts(model, target)),
        BundleFile(name="README.md", text=readme(model, target)),
        *(BundleFile(name=name, source=_scripts() / name) for name in ("hailo_model.py", "run.py")),
        *_pictures(),
    ]
    if model.head is not None:
        source = Path(str(resources.files("hefsmith_worker"))) / "decoding.py"
        files.append(BundleFile(name="hefsmith_worker/decoding.py", source=source))
    if model.labels:
        text = "".join(f"{label}\n" for label in model.labels)
        files.append(BundleFile(name="labels.txt", text=text))
    if target == "picamera2":
        files.append(BundleFile(name="camera.py", source=_scripts() / "camera.py"))
    if target == "frigate":
        files.append(BundleFile(name="frigate.yml", text=frigate_config(model)))
        files.append(BundleFile(name="labelmap.txt", text=frigate_labels(model)))
    if target == "hailo-apps":
        files.append(BundleFile(name="labels.json", text=hailo_apps_labels(model)))
    return tuple(sorted(files, key=lambda file: file.name))


def write_bundle(files: Sequence[BundleFile], folder: Path) -> None:
    """Write a bundle; an earlier bundle in ``folder`` is replaced, anything else is left alone.

    Raises :class:`~orchestrator.errors.ConfigError` when ``folder`` holds something else.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / FACTS).is_file():
            msg = f"{escape_control(str(folder))} is there and is no bundle of ours"
            raise ConfigError(msg, hint="Name another folder with --output.")
        shutil.rmtree(folder)
    for file in files:
        path = folder.joinpath(*file.name.split("/"))
        if file.source is not None:
            size = file.source.stat().st_size
            with file.source.open("rb") as source, replacing(path, needed=size) as sink:
                shutil.copyfileobj(source, sink)
        else:
            write_atomic(path, file.text or "")


def _check_target(model: BundleModel, target: Target) -> None:
    if target in ("python", "picamera2"):
        if target == "picamera2" and len(model.inputs) != 1:
            msg = f"{model.model} has {len(model.inputs)} inputs; a camera gives one picture"
            raise ConfigError(msg, hint="Use --for python.")
        return
    if not model.has_boxes or len(model.inputs) != 1:
        msg = f"{target} runs detectors with one input whose HEF gives boxes; this one does not"
        raise ConfigError(msg, hint="Use --for python or --for picamera2.", code="bundle.task")
    if target == "frigate" and not _drives(model.arch):
        msg = f"Frigate drives Hailo-8 and Hailo-8L; this model is for {model.arch}"
        raise ConfigError(msg, hint="Use --for python.", code="bundle.chip")


def _drives(arch: str) -> bool:
    """Tell whether Frigate's detector can drive a chip: it is made for HailoRT 4.x."""
    chip = chips.by_name().get(arch)
    return chip is not None and chip.line is chips.LINE_3


def _facts(model: BundleModel, target: Target) -> str:
    document = {
        "schema": SCHEMA,
        "model": model.model,
        "arch": model.arch,
        "emulated": model.emulated,
        "for": target,
        "hef": model.hef_name,
        "task": model.task,
        "inputs": [
            {"name": item.name, "preprocess": dict(item.preprocess)} for item in model.inputs
        ],
        "outputs": [{"stream": item.stream, "kind": item.kind} for item in model.outputs],
        "head": dict(model.head) if model.head is not None else None,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _scripts() -> Path:
    return Path(str(resources.files("orchestrator.device") / "jobs" / "bundle"))


def _pictures() -> list[BundleFile]:
    """Return the picture code and the facts it reads, without the rest of the worker."""
    package = Path(str(resources.files("hefsmith_worker")))
    files = [
        BundleFile(name=f"hefsmith_worker/{part}/{path.name}", source=path)
        # The whole contract: on a stand-in, the runtime beside the bundle reads it too.
        for part in ("contract", "pictures")
        for path in sorted((package / part).glob("*.py"))
    ]
    init = '"""The part of hefsmith\'s worker that prepares pictures."""\n'
    return [BundleFile(name="hefsmith_worker/__init__.py", text=init), *files]
