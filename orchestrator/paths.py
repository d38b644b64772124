"""Where the program finds its own data and where it may write, as ``Path`` values.

Image contexts and the worker are package data. An editable installation has them in the
checkout that the installation itself names; nothing ever walks up from a file.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from orchestrator.errors import HefsmithError
from orchestrator.installation import DISTRIBUTION, this_installation

ImageName = Literal["emulator", "suite", "pi"]


def _package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        msg = f"this installation of hefsmith lacks its package {name}"
        raise HefsmithError(msg, hint="Install it again: pip install --force-reinstall hefsmith")
    return Path(found.submodule_search_locations[0])


def _data(packaged: str, checkout: str) -> Path:
    """Return a data folder of the installation; both paths use forward slashes."""
    installed = _package("orchestrator") / packaged
    if installed.is_dir():
        return installed
    root = this_installation().checkout
    if root is not None and (root / checkout).is_dir():
        return root / checkout
    msg = f"this installation of hefsmith lacks its data folder {checkout}"
    raise HefsmithError(msg, hint="Install it again: pip install --force-reinstall hefsmith")


def image_context(name: ImageName) -> Path:
    """Return the folder with the Dockerfile and files of one of our images."""
    return _data(f"_docker/{name}", f"docker/{name}")


def bundled_model(name: str) -> Path:
    """Return the folder of a model that comes with the program."""
    return _data(f"_models/{name}", f"models/{name}")


def worker_package() -> Path:
    """Return the folder of the ``hefsmith_worker`` package (its parent goes on PYTHONPATH)."""
    return _package("hefsmith_worker")


def emulator_path() -> tuple[Path, ...]:
    """Return what a Python of this machine has on its path that plays the compiler."""
    return image_context("emulator") / "packages", worker_package().parent


def user_cache() -> Path:
    """Return the cache folder: ``HEFSMITH_CACHE``, else the platform's own for users."""
    if override := os.environ.get("HEFSMITH_CACHE"):
        return Path(override).expanduser()
    import platformdirs

    return platformdirs.user_cache_path(DISTRIBUTION, appauthor=False)


def user_data() -> Path:
    """Return the folder for what must last: toolchains, known hosts, running builds."""
    if override := os.environ.get("HEFSMITH_DATA"):
        return Path(override).expanduser()
    import platformdirs

    return platformdirs.user_data_path(DISTRIBUTION, appauthor=False)
