"""hefsmith's open stand-in for HailoRT's Python binding. No Hailo software, no Hailo chip.

It has the vendor's import names, order of calls, checks and exceptions, and computes with ONNX
Runtime what an emulated HEF carries. Which chip, version and fault it plays is chosen by the
environment; see ``hailo_emulator/runtime/settings.py`` and docker/emulator/README.md. Names
follow the version at each look-up, as a test may change it between two.
"""

from __future__ import annotations

import atexit as _atexit
import os as _os
import sys as _sys
from typing import Any as _Any

from hailo_emulator.runtime import names as _names
from hailo_emulator.runtime.settings import read_setup as _read_setup

from hailo_platform.pyhailort import _pyhailort
from hailo_platform.pyhailort import pyhailort as _pyhailort_names

#: True here, absent in the vendor's package: how our own programs tell the two apart.
__emulated__ = True

_setup = _read_setup()
#: Whether the wheel that this stands for reads arrays of numpy 2.
__emulated_numpy2__ = not _setup.acts("numpy2-nbytes")
if _pyhailort.__version__ != _setup.version:
    _text = (
        f"_pyhailort version ({_pyhailort.__version__}) does not match pyhailort version "
        f"({_setup.version})"
    )
    raise ImportError(_text)
if _setup.acts("crash-at-exit"):
    # The vendor's dies later still, when modules go: what was printed is out by then.
    _atexit.register(_os.kill, _os.getpid(), 11)
    _atexit.register(_sys.stdout.flush)


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        setup = _read_setup()
        return "unknown" if setup.acts("version-unknown") else setup.version
    if name == "__all__":
        return _names.present()
    if name in _names.present():
        return getattr(_pyhailort_names, name)
    _text = f"module 'hailo_platform' has no attribute '{name}'"
    raise AttributeError(_text)


def __dir__() -> list[str]:
    return [*globals(), *_names.present(), "__version__"]
