"""Runs the user's metric, in a process of its own: standard library and numpy only.

Arguments: a folder with ``request.json`` and ``arrays.npz``, where ``answer.json`` is written.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

#: Seconds of processor time, bytes of a file that it writes, bytes of memory.
SECONDS, FILE_BYTES, MEMORY = 600, 64 << 20, 64 << 30


def limit() -> None:
    """Keep this process within bounds, where the system has them."""
    if sys.platform == "win32":
        return
    import resource

    for which, most in (
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, MEMORY),
    ):
        try:
            _, hard = resource.getrlimit(which)
            resource.setrlimit(which, (most if hard < 0 else min(most, hard), hard))
        except (ValueError, OSError):
            continue


def load(name: str, folder: Path) -> Any:
    """Return the module ``metric.py``, ``metric`` or ``package.module`` of the recipe's folder."""
    sys.path.insert(0, str(folder))
    stem = name.removesuffix(".py")
    path = folder.joinpath(*stem.split("/" if "/" in stem else ".")).with_suffix(".py")
    if not path.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"hefsmith_metric_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(arrays: Any, key: str, lengths: list[int | None]) -> list[object]:
    """Return one step's outputs: an array each, or a list with one array a sample."""
    return [
        arrays[f"{key}{number}"]
        if length is None
        else [arrays[f"{key}{number}_{sample}"] for sample in range(length)]
        for number, length in enumerate(lengths)
    ]


def answer(folder: Path) -> dict[str, object]:
    """Return ``score``, or ``stage`` (import, missing, raised) and ``error``."""
    import numpy as np

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    try:
        module = load(request["module"], Path(request["folder"]))
    except Exception as error:
        return {"stage": "import", "error": f"{type(error).__name__}: {error}"}
    metric = getattr(module, request["function"], None)
    if not callable(metric):
        return {"stage": "missing", "error": ""}
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        reference = outputs(arrays, "r", request["reference"])
        step = outputs(arrays, "s", request["step"])
    try:
        score = float(metric(reference, step, request["samples"]))
    except Exception as error:
        return {"stage": "raised", "error": f"{type(error).__name__}: {error}"}
    if not math.isfinite(score):
        return {"stage": "raised", "error": f"it returned {score}"}
    return {"score": score}


def main() -> None:
    """Write the answer; what the metric prints is nobody's."""
    limit()
    folder = Path(sys.argv[1])
    found = answer(folder)
    (folder / "answer.json").write_text(json.dumps(found), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
