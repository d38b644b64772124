"""The user's own metric: ``postprocess.metric: module:function`` of a recipe.

The function gets (outputs of the float model, outputs of a step, samples) and returns a number,
more is better. Outputs are arrays (N, ...) in the network's order, or for boxes a list with one
(k, 6) array per sample; samples are dictionaries with ``name``, ``label`` and ``boxes``.

It is code of the project, so it never runs in this process: it gets one of its own, in a box
where the system has one, with arrays in and a number out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.findings import INFO, Finding

from orchestrator.engine.sandbox import HOW_TO_GET_ONE, boxed_program, bubblewrap
from orchestrator.errors import ConfigError, escape_control, last_line
from orchestrator.pipeline import metric_program
from orchestrator.pipeline.trusting import check_metric
from orchestrator.reading import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.report.verdict import UserMetric

#: Seconds until a metric is ended.
PATIENCE = 900.0
ANSWER_BYTES = 1 << 20

#: The user's variables that a program needs to start; no secret is among them.
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP")


def load_metric(text: str, folder: Path) -> UserMetric:
    """Return the function that ``text`` names: ``metric.py:score`` or ``package.module:score``.

    A file is looked for in ``folder`` (the recipe's), and its code is run when the function is
    called. Raises :class:`~orchestrator.errors.ConfigError`, here for a name that is none, and
    when called for what cannot be imported, is not there, raises, or returns no number.
    """
    module, colon, function = text.rpartition(":")
    if not colon or not function.isidentifier() or not module:
        msg = f"postprocess.metric: {escape_control(text)!r} is not module:function"
        raise ConfigError(msg, hint="For example: metric: metric.py:score", code="metric.name")

    def score(
        reference: Sequence[object], step: Sequence[object], samples: Sequence[Mapping[str, object]]
    ) -> float:
        with tempfile.TemporaryDirectory(prefix="hefsmith-metric-") as scratch:
            place = Path(scratch).resolve()
            request = {"module": module, "function": function, "folder": str(folder.resolve())}
            _write(place, request, reference, step, samples)
            return _run(place, module, function, folder.resolve())

    return score


def told_of_the_box() -> list[Finding]:
    """Return what a user should know of where the metric ran: nothing, where it had a box."""
    if boxed_program() is not None:
        return []
    message = "the metric of the recipe ran on this machine without a box"
    return [Finding(code="metric.no-box", severity=INFO, message=message, fix=HOW_TO_GET_ONE)]


def _write(
    place: Path,
    request: Mapping[str, object],
    reference: Sequence[object],
    step: Sequence[object],
    samples: Sequence[Mapping[str, object]],
) -> None:
    import numpy as np

    document = dict(request)
    arrays: dict[str, Any] = {}
    for key, name, values in (("r", "reference", reference), ("s", "step", step)):
        lengths: list[int | None] = []
        for number, value in enumerate(values):
            if isinstance(value, list):
                lengths.append(len(value))
                arrays |= {f"{key}{number}_{at}": one for at, one in enumerate(value)}
            else:
                lengths.append(None)
                arrays[f"{key}{number}"] = value
        document[name] = lengths
    document["samples"] = [dict(sample) for sample in samples]
    np.savez(place / "arrays.npz", **arrays)
    (place / "request.json").write_text(json.dumps(document), encoding="utf-8", newline="\n")


def _run(place: Path, module: str, function: str, folder: Path) -> float:
    program = Path(metric_program.__file__).resolve()
    command: tuple[str, ...] = (sys.executable, "-I", "-B", str(program), str(place))
    if (box := boxed_program()) is not None:
        readable = (folder, program)
        command = bubblewrap(command, readable=readable, writable=place, program=box)
    else:
        check_metric(folder, f"{escape_control(module)}:{function}")
    env = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(place)}
    shown = escape_control(module)
    try:
        done = subprocess.run(
            command, cwd=place, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        msg = f"postprocess.metric: {shown}:{function} did not end within {PATIENCE:.0f} s"
        raise ConfigError(msg, code="metric.timeout") from error
    try:
        # A link or a pipe would be one of the metric's making.
        with open_regular(place / "answer.json", follow=False) as stream:
            found = parse_json(stream.read(ANSWER_BYTES))
        score = found.get("score")
        stage, told = str(found.get("stage")), escape_control(str(found.get("error"))[:500])
    except (OSError, ValueError, AttributeError) as error:
        last = last_line(done.stderr.decode("utf-8", "replace"), "no word")
        msg = (
            f"postprocess.metric: the process of {shown} ended with status {done.returncode} "
            f"({escape_control(last[:300])})"
        )
        raise ConfigError(msg, code="metric.ended") from error
    if isinstance(score, float | int) and isfinite(score):
        return float(score)
    what = {
        "import": f"{shown} cannot be imported: {told}",
        "missing": f"{shown} has no function {function}",
    }.get(stage, f"{shown}:{function} failed: {told}")
    hint = None
    if stage == "import" and boxed_program() is not None:
        hint = "It runs in a box that has its folder and this Python's packages, and no network."
    msg = f"postprocess.metric: {what}"
    raise ConfigError(msg, hint=hint, code=f"metric.{stage}")
