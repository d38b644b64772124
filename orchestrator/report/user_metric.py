"""The user's own metric: ``postprocess.metric: module:function`` of a recipe.

The function gets (outputs of the float model, outputs of a step, samples) and returns a number,
more is better. Outputs are arrays (N, ...) in the network's order, or for boxes a list with one
(k, 6) array per sample; samples are dictionaries with ``name``, ``label`` and ``boxes``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from orchestrator.report.verdict import UserMetric


def load_metric(text: str, folder: Path) -> UserMetric:
    """Return the function that ``text`` names: ``metric.py:score`` or ``package.module:score``.

    A file is looked for in ``folder`` (the recipe's). Raises
    :class:`~orchestrator.errors.ConfigError` when there is no such function or it cannot be
    imported; the user's own exception is in the message.
    """
    module_name, colon, function = text.rpartition(":")
    if not colon or not function.isidentifier() or not module_name:
        msg = f"postprocess.metric: {escape_control(text)!r} is not module:function"
        raise ConfigError(msg, hint="For example: metric: metric.py:score", code="metric.name")
    try:
        module = _load(module_name, folder)
    except Exception as error:
        msg = (
            f"postprocess.metric: {escape_control(module_name)} cannot be imported: "
            f"{type(error).__name__}: {escape_control(str(error))}"
        )
        raise ConfigError(msg, code="metric.import") from error
    found = getattr(module, function, None)
    if not callable(found):
        msg = f"postprocess.metric: {escape_control(module_name)} has no function {function}"
        raise ConfigError(msg, code="metric.missing")
    metric: UserMetric = found
    return metric


def _load(name: str, folder: Path) -> ModuleType:
    stem = name.removesuffix(".py")
    path = folder.joinpath(*stem.split("/" if "/" in stem else ".")).with_suffix(".py")
    if not path.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"hefsmith_metric_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module
